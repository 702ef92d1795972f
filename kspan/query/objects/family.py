"""The owners and dependents of an object at a time."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, Connection, or_, select

from kspan.model import ObjectRow
from kspan.query.objects.find import known_kinds
from kspan.query.objects.manifest import decode
from kspan.query.objects.status import Tone, describe, tone_of
from kspan.query.objects.versions import Version, newest_of_each, newest_versions
from kspan.query.spans import distinct
from kspan.query.visible import EVERYTHING, Visible
from kspan.store.schema import tables as schema
from kspan.store.tables import rows
from kspan.times import LATEST

objects, owners = schema.objects, schema.owners

SHOWN: Final = 24
"""Dependents whose state is read."""

LISTED: Final = 200
"""Dependents that are returned at all."""

_OWNERS: Final = 4
"""Owners of the object itself."""

_HIGHEST: Final = 10
"""Owners of owners that are followed."""

_LOOKED_AT: Final = 1_000
"""Objects of one kind in one namespace among which dependents are looked for: no index has them by owner."""

_PLACES: Final = 64
"""Kinds and namespaces in which dependents of an object without a namespace are looked for."""

_PREFIX: Final = 40
"""Characters of an owner's name with which most names of its dependents begin. Longer names are cut off by some."""

_LAST: Final = "\U0010ffff"

_COLUMNS: Final = ("uid", "kind", "namespace", "name", "created_at", "seen_at", "deleted_at", "owner_uid")


class Relative(msgspec.Struct, frozen=True):
    """An owner or dependent.

    Args:
        uid, kind, namespace, name: which object it is.
        known: False if nothing but this is known of it: it was not watched.
        deleted_at: when it was deleted (Unix ns); 0 if it existed at the time.
        state, tone: its state in words and in short; empty if it is not read or not known.
        controlled: False for a dependent of which the object is an owner, and not the controller.
    """

    uid: str
    kind: str
    namespace: str
    name: str
    known: bool = True
    deleted_at: int = 0
    state: str = ""
    tone: Tone = Tone.NONE
    controlled: bool = True


class Family(msgspec.Struct, frozen=True):
    """The owners and dependents of an object.

    Args:
        owners: its owners, then the controller of its controller, and so on: one list for each level.
        dependents: existing ones first, by kind and name; then those that are gone, the latest first. At most
            ``LISTED``, of which the first ``SHOWN`` have a state.
        more: number of dependents that were found and are not among these.
        complete: False if not all objects could be looked at, so that there can be other dependents.
    """

    owners: list[list[Relative]]
    dependents: list[Relative]
    more: int
    complete: bool


def family_of(
    connection: Connection,
    cluster: str,
    here: ObjectRow,
    newest: Version | None,
    *,
    at: int = 0,
    below: int = 0,
    visible: Visible = EVERYTHING,
) -> Family:
    """Return the family of an object at a time (Unix ns; 0: now).

    Args:
        newest: the newest version of the object at that time.
        below: number of the first journal record after that time; 0: there is none.
    """
    until = at or LATEST
    reading = _Reading(connection, cluster, until, below)
    found, complete = _dependents(connection, cluster, here, until)
    found = reading.without_former(found, here.uid)
    listed = found[:LISTED]
    stated = reading.with_states(listed[:SHOWN])
    above = _owners(reading, here, newest, visible)
    return Family(above, [*stated, *listed[SHOWN:]], len(found) - len(listed), complete)


class _Reading:
    """Reads objects as they were at a time."""

    def __init__(self, connection: Connection, cluster: str, until: int, below: int) -> None:
        self.connection, self.cluster, self.until, self.below = connection, cluster, until, below

    def version(self, row: ObjectRow) -> Version | None:
        found = newest_versions(self.connection, self.cluster, row, 1, until=self.until, below=self.below)
        return found[0] if found else None

    def row(self, uid: str) -> ObjectRow | None:
        query = rows.select_rows(objects, ObjectRow).where(objects.c.cluster == self.cluster, objects.c.uid == uid)
        return next(iter(rows.fetch(self.connection, query, ObjectRow)), None)

    def with_states(self, found: Sequence[Relative]) -> list[Relative]:
        newest = self._newest(found)
        return [_described(each, newest.get(each.uid)) for each in found]

    def without_former(self, found: Sequence[Relative], owner: str) -> list[Relative]:
        """Leave out dependents that had no reference to an owner at the time: the table of owners also has past ones.

        At most ``LISTED`` are looked at. Of one that has a controller the objects know which it is.
        """
        others = [each for each in found[:LISTED] if not each.controlled]
        newest = self._newest(others) if others else {}
        former = {uid for uid, version in newest.items() if owner not in _owners_in(version)}
        return [each for each in found if each.uid not in former]

    def _newest(self, found: Sequence[Relative]) -> dict[str, Version]:
        uids = [each.uid for each in found]
        query = rows.select_rows(objects, ObjectRow).where(objects.c.cluster == self.cluster, objects.c.uid.in_(uids))
        there = rows.fetch(self.connection, query, ObjectRow)
        return newest_of_each(self.connection, self.cluster, there, until=self.until, below=self.below)


def _described(found: Relative, version: Version | None) -> Relative:
    if version is None:
        return found
    payload = version.record.payload
    return msgspec.structs.replace(found, state=describe(found.kind, payload), tone=tone_of(found.kind, payload))


# Owners


def _owners(reading: _Reading, here: ObjectRow, newest: Version | None, visible: Visible) -> list[list[Relative]]:
    levels: list[list[Relative]] = []
    seen = {here.uid}
    references = _references(reading, here.uid, newest)[:_OWNERS]
    while references and len(levels) < _HIGHEST:
        level: list[Relative] = []
        above: list[tuple[str, str, str]] = []
        for number, (uid, kind, name) in enumerate(references):
            row = reading.row(uid)
            if uid in seen or not (visible.namespace(row.namespace) if row is not None else visible.everything()):
                continue
            seen.add(uid)
            version = reading.version(row) if row is not None else None
            gone = row.deleted_at if row is not None and row.deleted_at <= reading.until else 0
            namespace = row.namespace if row is not None else ""
            level.append(_described(Relative(uid, kind, namespace, name, row is not None, gone), version))
            if not number:
                above = _references(reading, uid, version)[:1]
        if level:
            levels.append(level)
        references = above
    return levels


def _references(reading: _Reading, uid: str, version: Version | None) -> list[tuple[str, str, str]]:
    """Return uid, kind and name of the owners, the controller first: those of a version, or else all known ones."""
    if version is not None:
        found = _listed_owners(version)
        found.sort(key=lambda each: each.get("controller") is not True)
        return [(str(each.get("uid", "")), str(each.get("kind", "")), str(each.get("name", ""))) for each in found]
    query = select(owners.c.owner_uid, owners.c.owner_kind, owners.c.owner_name).where(
        owners.c.cluster == reading.cluster, owners.c.uid == uid
    )
    query = query.order_by(owners.c.controller.desc(), owners.c.owner_uid).limit(_OWNERS)
    return [(row[0], row[1], row[2]) for row in reading.connection.execute(query)]


def _listed_owners(version: Version) -> list[dict[str, Any]]:
    """Return the ownerReferences of a version."""
    meta = decode(version.record.payload).get("metadata")
    listed = meta.get("ownerReferences") if isinstance(meta, dict) else None
    return [each for each in (listed if isinstance(listed, list) else []) if isinstance(each, dict)]


def _owners_in(version: Version) -> set[str]:
    return {str(each.get("uid", "")) for each in _listed_owners(version)}


# Dependents


def _dependents(connection: Connection, cluster: str, here: ObjectRow, until: int) -> tuple[list[Relative], bool]:
    """Return the dependents that existed until a time, in order, and whether all objects were looked at."""
    found: dict[str, tuple[Any, ...]] = {}
    complete = True
    for number, (kind, namespace) in enumerate(_places(connection, cluster, here)):
        if number == _PLACES:
            complete = False
            break
        place = (objects.c.cluster == cluster, objects.c.kind == kind, objects.c.namespace == namespace)
        edge = _edge(connection, place)
        found |= _owned(connection, here.uid, (*place, *_from(edge)))
        if edge is not None:
            # Among more than these, those whose name begins like that of the owner.
            beginning = here.name[:_PREFIX]
            near = (*place, objects.c.name >= beginning, objects.c.name < beginning + _LAST)
            found |= _owned(connection, here.uid, (*near, *_from(_edge(connection, near))))
            complete = False
    existed = [row for row in found.values() if (row[4] or row[5]) <= until]
    existed.sort(key=lambda row: (0 < row[6] <= until, -row[6] if row[6] <= until else 0, *row[1:4]))
    return [_relative(row, here.uid, until) for row in existed], complete


def _relative(row: tuple[Any, ...], owner: str, until: int) -> Relative:
    uid, kind, namespace, name, _, _, deleted_at, controller = row
    gone = deleted_at if deleted_at <= until else 0
    return Relative(uid, kind, namespace, name, deleted_at=gone, controlled=controller == owner)


def _places(connection: Connection, cluster: str, here: ObjectRow) -> Iterator[tuple[str, str]]:
    """Yield the kinds and namespaces that dependents can have: an owner is in the same namespace, or in none."""
    for kind in known_kinds(connection, cluster):
        if here.namespace:
            yield kind, here.namespace
            continue
        query = distinct(
            objects.c.namespace, objects.c.cluster == cluster, objects.c.kind == kind, name="namespaces"
        ).limit(_PLACES)
        for namespace in connection.execute(query).scalars():
            yield kind, namespace


def _edge(connection: Connection, place: tuple[ColumnElement[bool], ...]) -> str | None:
    """Return the name from which on objects are looked at, counted from the last name; None: all are."""
    query = select(objects.c.name).where(*place).order_by(objects.c.name.desc())
    return connection.execute(query.offset(_LOOKED_AT).limit(1)).scalar()


def _from(edge: str | None) -> tuple[ColumnElement[bool], ...]:
    return (objects.c.name > edge,) if edge is not None else ()


def _owned(connection: Connection, owner: str, place: tuple[ColumnElement[bool], ...]) -> dict[str, tuple[Any, ...]]:
    """Return the objects in a place that have an owner, which may be their controller or not.

    The second condition is a look-up by the primary key for each object in the place: no index has the dependents of an
    owner. It is written as a value, and not as EXISTS, which a database may turn into a join with all owners.
    """
    refers = select(owners.c.owner_uid).where(
        owners.c.cluster == objects.c.cluster, owners.c.uid == objects.c.uid, owners.c.owner_uid == owner
    )
    has = refers.correlate(objects).scalar_subquery().is_not(None)
    query = select(*(objects.c[name] for name in _COLUMNS)).where(*place, or_(objects.c.owner_uid == owner, has))
    return {row[0]: tuple(row) for row in connection.execute(query)}
