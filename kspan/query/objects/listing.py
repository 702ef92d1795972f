"""Lists objects by kind, namespace and the beginning of a name, in pages."""

from typing import Final

import msgspec
from sqlalchemy import ColumnElement, Connection, func, or_, select

from kspan.model import ObjectRow
from kspan.query.objects.find import kinds_meant, known_kinds
from kspan.query.objects.names import KindName
from kspan.query.visible import EVERYTHING, Visible
from kspan.store.schema.tables import objects
from kspan.store.tables import rows

Position = tuple[str, str, str, str]
"""Kind, namespace, name and uid: the place of an object in the order of lists."""

_LAST: Final = "\U0010ffff"

_LOOKED_AT: Final = 20_000
"""Objects of a kind among which a page looks for those that exist: no index leaves out the deleted ones."""


class ObjectFilter(msgspec.Struct, frozen=True):
    """Selects objects whose name begins with ``prefix``. Without ``deleted`` only those that exist.

    ``after`` continues a list: only objects that come after this position.
    """

    kind: KindName | None = None
    namespace: str = ""
    prefix: str = ""
    deleted: bool = False
    after: Position | None = None


def list_objects(
    connection: Connection, cluster: str, wanted: ObjectFilter, limit: int, visible: Visible = EVERYTHING
) -> tuple[list[ObjectRow], Position | None]:
    """Return objects that the asker may see, by kind, namespace and name, and where the list goes on.

    Objects that are only mentioned by others are left out. There can be fewer objects than ``limit``, even none,
    although the list goes on: the number of objects that are looked at is limited.
    """
    kinds = kinds_meant(connection, cluster, wanted.kind) if wanted.kind else known_kinds(connection, cluster)
    after = wanted.after
    found: list[ObjectRow] = []
    for kind in sorted(kinds):
        if after is not None and kind < after[0]:
            continue
        conditions: list[ColumnElement[bool]] = [objects.c.cluster == cluster, objects.c.kind == kind]
        conditions += [objects.c.namespace == wanted.namespace] if wanted.namespace else []
        if not visible.everything():
            conditions.append(objects.c.namespace.in_(visible.namespaces(connection, cluster)))
        first = after[1:] if after is not None and kind == after[0] else None
        last = _edge(connection, conditions, first)
        conditions += _beginning(wanted.prefix)
        conditions += [] if wanted.deleted else [objects.c.deleted_at == 0]
        conditions += [objects.c.resource_version != ""]
        for part in _parts(first, last):
            query = rows.select_rows(objects, ObjectRow).where(*conditions, *part)
            query = query.order_by(objects.c.namespace, objects.c.name, objects.c.uid).limit(limit + 1 - len(found))
            found += rows.fetch(connection, query, ObjectRow)
            if len(found) > limit:
                end = found[limit - 1]
                return found[:limit], (end.kind, end.namespace, end.name, end.uid)
        if last is not None:
            return found, (kind, *last, _LAST)
    return found, None


_Part = list[ColumnElement[bool]]
_PLACE: Final = (objects.c.namespace, objects.c.name)


def _edge(connection: Connection, conditions: _Part, first: tuple[str, str, str] | None) -> tuple[str, str] | None:
    """Return the namespace and name of the last object that a page looks at after ``first``; None: it looks at all."""
    left = _LOOKED_AT
    for part in _parts(first, None):
        places = select(*_PLACE).where(*conditions, *part).order_by(*_PLACE)
        row = connection.execute(places.offset(left - 1).limit(1)).first()
        if row is not None:
            return row[0], row[1]
        few = places.limit(left).subquery()
        left -= connection.execute(select(func.count()).select_from(few)).scalar_one()
    return None


def _parts(first: tuple[str, str, str] | None, last: tuple[str, str] | None) -> list[_Part]:
    """Return the conditions of consecutive parts of the range after ``first``, up to ``last``.

    Each part is a range of one column, so that SQLite finds it in the index: it does so for the first column of a tuple
    only.
    """
    namespace, name, uid = objects.c.namespace, objects.c.name, objects.c.uid
    beyond: _Part = [name >= first[1], or_(name > first[1], uid > first[2])] if first is not None else []
    until: _Part = [name <= last[1]] if last is not None else []
    if first is not None and last is not None and first[0] == last[0]:
        return [[namespace == first[0], *beyond, *until]]
    between: _Part = [namespace > first[0]] if first is not None else []
    between += [namespace < last[0]] if last is not None else []
    found = [[namespace == first[0], *beyond]] if first is not None else []
    found.append(between)
    return [*found, [namespace == last[0], *until]] if last is not None else found


def object_with_uid(connection: Connection, cluster: str, uid: str, visible: Visible = EVERYTHING) -> ObjectRow | None:
    """Return the object with a uid that the asker may see; None if there is none."""
    query = rows.select_rows(objects, ObjectRow).where(objects.c.cluster == cluster, objects.c.uid == uid)
    found = next(iter(rows.fetch(connection, query, ObjectRow)), None)
    return found if found is not None and visible.namespace(found.namespace) else None


def _beginning(prefix: str) -> list[ColumnElement[bool]]:
    return [objects.c.name >= prefix, objects.c.name < prefix + _LAST] if prefix else []
