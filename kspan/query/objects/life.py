"""The life of an object: its versions with their authors, what happened to it, its owners and dependents."""

import difflib
from typing import Any, Final

import msgspec
from sqlalchemy import Connection

from kspan.model import ObjectRow, SpanRow
from kspan.query.objects.authors import Authors, author_of_change
from kspan.query.objects.family import Family, family_of
from kspan.query.objects.manifest import comparable, decode, to_lines
from kspan.query.objects.occurrences import Position as OccurrencePosition
from kspan.query.objects.occurrences import changes_between, creation_of, deletion_in, page_of_occurrences
from kspan.query.objects.versions import Version, first_after, newest_versions, oldest_version
from kspan.query.view_rows import Termination, terminations_of
from kspan.query.visible import EVERYTHING, Visible
from kspan.store.schema import tables as schema
from kspan.store.tables import rows
from kspan.times import LATEST

objects = schema.objects

VERSIONS: Final = 60
OCCURRENCES: Final = 100


class Revision(msgspec.Struct, frozen=True):
    """A version of an object.

    Args:
        version: it, as the journal has it.
        lines: how it differs from the one before, as a unified diff without the status; empty if only the status does.
        change: the change that made it; None if it is none, or is not known.
        author: who made it; empty if that is not certain.
    """

    version: Version
    lines: list[str]
    change: SpanRow | None
    author: str


class State(msgspec.Struct, frozen=True):
    """The state that a version shows: the phase (empty: none) and the status of each condition."""

    time: int
    phase: str
    conditions: dict[str, str]


class Life(msgspec.Struct, frozen=True):
    """All that is shown of an object.

    Args:
        object: the object.
        namesakes: other objects that have or had its name.
        family: its owners and dependents.
        revisions, more_revisions: its versions, newest first, and whether there are older ones.
        occurrences: the newest of what happened to it, newest first.
        listed, older: the asked page of what happened to it, and where the list goes on (None: nowhere).
        terminations: ends of its containers, newest first.
        states: its states in order of time.
        created_by, deleted_by: who created and deleted it; empty if that is not certain.
    """

    object: ObjectRow
    namesakes: list[ObjectRow]
    family: Family
    revisions: list[Revision]
    more_revisions: bool
    occurrences: list[SpanRow]
    listed: list[SpanRow]
    older: OccurrencePosition | None
    terminations: list[Termination]
    states: list[State]
    created_by: str
    deleted_by: str


def life_of(
    connection: Connection,
    cluster: str,
    here: ObjectRow,
    *,
    at: int = 0,
    before: OccurrencePosition | None = None,
    visible: Visible = EVERYTHING,
) -> Life:
    """Return the life of an object, up to ``at`` (Unix ns; 0: now). ``before`` continues the list of occurrences."""
    until = at or LATEST
    below = first_after(connection, cluster, at) if at else 0
    versions = newest_versions(connection, cluster, here, VERSIONS + 1, until=until, below=below)
    occurrences, older = page_of_occurrences(connection, cluster, here, OCCURRENCES, until=until, visible=visible)
    listed = occurrences
    if before is not None:
        listed, older = page_of_occurrences(
            connection, cluster, here, OCCURRENCES, until=until, before=before, visible=visible
        )
    newest = versions[0] if versions else None
    return Life(
        object=here,
        namesakes=_namesakes(connection, cluster, here),
        family=family_of(connection, cluster, here, newest, at=at, below=below, visible=visible),
        revisions=_revisions(connection, cluster, here, versions, visible),
        more_revisions=len(versions) > VERSIONS,
        occurrences=occurrences,
        listed=listed,
        older=older,
        terminations=terminations_of(connection, cluster, here, visible, until) if here.kind == "Pod" else [],
        states=[_state(version) for version in reversed(versions)],
        created_by=_creator(connection, cluster, here, visible),
        deleted_by=_deleter(occurrences),
    )


def _creator(connection: Connection, cluster: str, here: ObjectRow, visible: Visible) -> str:
    creation = creation_of(connection, cluster, here)
    if creation is None or not visible.spans(connection, cluster, [creation]):
        return ""
    return author_of_change(creation, oldest_version(connection, cluster, here))


def _deleter(occurrences: list[SpanRow]) -> str:
    deletion = deletion_in(occurrences)
    return author_of_change(deletion) if deletion is not None else ""


def _revisions(
    connection: Connection, cluster: str, here: ObjectRow, versions: list[Version], visible: Visible
) -> list[Revision]:
    if not versions:
        return []
    since, until = versions[-1].record.recorded_at, versions[0].record.recorded_at
    changes = changes_between(connection, cluster, here, since, until)
    authors = Authors(visible.spans(connection, cluster, changes))
    lines = _differences([comparable(decode(version.record.payload)) for version in versions])
    found = []
    for number, version in enumerate(versions[:VERSIONS]):
        older = versions[number + 1] if number + 1 < len(versions) else None
        author = authors.author_of(version, older)
        found.append(Revision(version, lines[number], authors.change_of(version), author))
    return found


def _differences(contents: list[dict[str, Any]]) -> list[list[str]]:
    """Return how each content differs from the next one, as a unified diff; nothing for the last."""
    # Writing YAML takes far longer than comparing, and most versions differ in the status alone.
    texts: dict[int, list[str]] = {}

    def text(number: int) -> list[str]:
        if number not in texts:
            texts[number] = to_lines(contents[number])
        return texts[number]

    found: list[list[str]] = []
    for number in range(len(contents) - 1):
        same = contents[number] == contents[number + 1]
        found.append([] if same else list(difflib.unified_diff(text(number + 1), text(number), lineterm=""))[2:])
    return [*found, []]


def _state(version: Version) -> State:
    status = decode(version.record.payload).get("status")
    status = status if isinstance(status, dict) else {}
    phase, listed = status.get("phase"), status.get("conditions")
    conditions = {
        str(each["type"]): str(each["status"])
        for each in (listed if isinstance(listed, list) else [])
        if isinstance(each, dict) and "type" in each and "status" in each
    }
    return State(version.record.recorded_at, phase if isinstance(phase, str) else "", conditions)


def _namesakes(connection: Connection, cluster: str, here: ObjectRow) -> list[ObjectRow]:
    query = rows.select_rows(objects, ObjectRow).where(
        objects.c.cluster == cluster,
        objects.c.kind == here.kind,
        objects.c.namespace == here.namespace,
        objects.c.name == here.name,
        objects.c.uid != here.uid,
    )
    return rows.fetch(connection, query.order_by(objects.c.created_at.desc()).limit(10), ObjectRow)
