"""Lists objects by kind, namespace and the beginning of a name, in pages."""

import msgspec
from sqlalchemy import ColumnElement, Connection, tuple_

from kspan.model import ObjectRow
from kspan.query.objects.find import kinds_meant, known_kinds
from kspan.query.objects.names import KindName
from kspan.query.visible import EVERYTHING, Visible
from kspan.store.schema.tables import objects
from kspan.store.tables import rows

Position = tuple[str, str, str, str]
"""Kind, namespace, name and uid: the place of an object in the order of lists."""

_LAST = "\U0010ffff"


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

    Objects that are only mentioned by others are left out.
    """
    kinds = kinds_meant(connection, cluster, wanted.kind) if wanted.kind else known_kinds(connection, cluster)
    after = wanted.after
    found: list[ObjectRow] = []
    for kind in sorted(kinds):
        if after is not None and kind < after[0]:
            continue
        conditions: list[ColumnElement[bool]] = [objects.c.cluster == cluster, objects.c.kind == kind]
        conditions += [objects.c.namespace == wanted.namespace] if wanted.namespace else []
        conditions += _beginning(wanted.prefix)
        conditions += [] if wanted.deleted else [objects.c.deleted_at == 0]
        conditions += [objects.c.resource_version != ""]
        if not visible.everything():
            conditions.append(objects.c.namespace.in_(visible.namespaces(connection, cluster)))
        if after is not None and kind == after[0]:
            place = tuple_(objects.c.namespace, objects.c.name, objects.c.uid)
            conditions += [objects.c.namespace >= after[1], place > tuple_(*after[1:])]
        query = rows.select_rows(objects, ObjectRow).where(*conditions)
        query = query.order_by(objects.c.namespace, objects.c.name, objects.c.uid).limit(limit + 1 - len(found))
        found += rows.fetch(connection, query, ObjectRow)
        if len(found) > limit:
            last = found[limit - 1]
            return found[:limit], (last.kind, last.namespace, last.name, last.uid)
    return found, None


def object_with_uid(connection: Connection, cluster: str, uid: str, visible: Visible = EVERYTHING) -> ObjectRow | None:
    """Return the object with a uid that the asker may see; None if there is none."""
    query = rows.select_rows(objects, ObjectRow).where(objects.c.cluster == cluster, objects.c.uid == uid)
    found = next(iter(rows.fetch(connection, query, ObjectRow)), None)
    return found if found is not None and visible.namespace(found.namespace) else None


def _beginning(prefix: str) -> list[ColumnElement[bool]]:
    return [objects.c.name >= prefix, objects.c.name < prefix + _LAST] if prefix else []
