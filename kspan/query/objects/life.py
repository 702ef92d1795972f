"""The life of an object: its versions with their authors, what happened to it, its owners and dependents."""

from typing import Any, Final

import msgspec
from sqlalchemy import Connection, select

from kspan import vocabulary
from kspan.model import ObjectRow, SpanRow
from kspan.query import spans as reading
from kspan.query.objects.find import known_kinds
from kspan.query.objects.manifest import comparable, decode, unified_diff
from kspan.query.objects.versions import Version, newest_versions
from kspan.query.view_rows import Termination, terminations_of
from kspan.query.visible import EVERYTHING, Visible
from kspan.store.schema import tables as schema
from kspan.store.tables import rows
from kspan.times import LATEST

objects, owners, spans = schema.objects, schema.owners, schema.spans

VERSIONS: Final = 60
OCCURRENCES: Final = 100
DEPENDENTS: Final = 50
_HIGHEST: Final = 10
"""Owners of owners that are followed."""


class Revision(msgspec.Struct, frozen=True):
    """A version of an object.

    Args:
        version: it, as the journal has it.
        lines: how it differs from the one before, as a unified diff without the status; empty if only the status does.
        change: the change that made it; None if it is none, or is not known.
    """

    version: Version
    lines: list[str]
    change: SpanRow | None


class Owner(msgspec.Struct, frozen=True):
    """An owner: its uid, kind and name."""

    uid: str
    kind: str
    name: str


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
        owners: its owner, the owner of that, and so on.
        dependents, more_dependents: the objects that it owns or owned, and whether there are more.
        revisions, more_revisions: its versions, newest first, and whether there are older ones.
        occurrences: what happened to it, newest first.
        terminations: ends of its containers, newest first.
        states: its states in order of time.
    """

    object: ObjectRow
    namesakes: list[ObjectRow]
    owners: list[Owner]
    dependents: list[ObjectRow]
    more_dependents: bool
    revisions: list[Revision]
    more_revisions: bool
    occurrences: list[SpanRow]
    terminations: list[Termination]
    states: list[State]


def life_of(
    connection: Connection, cluster: str, here: ObjectRow, *, at: int = 0, visible: Visible = EVERYTHING
) -> Life:
    """Return the life of an object, up to ``at`` (Unix ns; 0: now)."""
    until = at or LATEST
    versions = newest_versions(connection, cluster, here, VERSIONS + 1, until=until)
    occurrences = _occurrences(connection, cluster, here, until, visible)
    dependents = _dependents(connection, cluster, here, until)
    return Life(
        object=here,
        namesakes=_namesakes(connection, cluster, here),
        owners=_owners(connection, cluster, here.uid) if visible.everything() else [],
        dependents=dependents[:DEPENDENTS],
        more_dependents=len(dependents) > DEPENDENTS,
        revisions=_revisions(versions, occurrences),
        more_revisions=len(versions) > VERSIONS,
        occurrences=occurrences,
        terminations=terminations_of(connection, cluster, here, visible) if here.kind == "Pod" else [],
        states=[_state(version) for version in reversed(versions)],
    )


def _occurrences(connection: Connection, cluster: str, here: ObjectRow, until: int, visible: Visible) -> list[SpanRow]:
    query = reading.of_object(cluster, here).where(spans.c.start_time <= until).limit(OCCURRENCES)
    found = reading.with_outcomes(connection, cluster, reading.fetch(connection, cluster, query))
    return visible.spans(connection, cluster, found)


def _revisions(versions: list[Version], occurrences: list[SpanRow]) -> list[Revision]:
    changes: dict[Any, SpanRow] = {}
    for span in occurrences:
        if not span.event_uid and span.reason in ("Create", "Update", "Delete"):
            changes.setdefault(span.attributes.get(vocabulary.OBJECT_RESOURCE_VERSION), span)
    found = []
    for number, version in enumerate(versions[:VERSIONS]):
        older = versions[number + 1] if number + 1 < len(versions) else None
        after = comparable(decode(version.record.payload))
        lines = [] if older is None else unified_diff(comparable(decode(older.record.payload)), after, ("", ""))[2:]
        found.append(Revision(version, lines, changes.get(version.record.resource_version)))
    return found


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


def _owners(connection: Connection, cluster: str, uid: str) -> list[Owner]:
    found: list[Owner] = []
    while len(found) < _HIGHEST:
        query = select(owners.c.owner_uid, owners.c.owner_kind, owners.c.owner_name).where(
            owners.c.cluster == cluster, owners.c.uid == uid
        )
        row = connection.execute(query.order_by(owners.c.controller.desc()).limit(1)).first()
        if row is None or any(row[0] == each.uid for each in found):
            break
        found.append(Owner(*row))
        uid = row[0]
    return found


def _dependents(connection: Connection, cluster: str, here: ObjectRow, until: int) -> list[ObjectRow]:
    """Return objects in the same namespace that it owns or owned, at most one more than ``DEPENDENTS``."""
    found: list[ObjectRow] = []
    for kind in known_kinds(connection, cluster) if here.namespace else ():
        query = rows.select_rows(objects, ObjectRow).where(
            objects.c.cluster == cluster,
            objects.c.kind == kind,
            objects.c.namespace == here.namespace,
            objects.c.owner_uid == here.uid,
            objects.c.created_at <= until,
        )
        room = DEPENDENTS + 1 - len(found)
        found += rows.fetch(connection, query.order_by(objects.c.name).limit(room), ObjectRow)
        if len(found) > DEPENDENTS:
            break
    return found
