"""Reads fields of recorded manifests."""

from collections.abc import Iterator
from typing import Any

import msgspec
from sqlalchemy import Connection, select

from kspan.model import ObjectRow
from kspan.query.objects.versions import newest_versions
from kspan.store.schema import tables as schema
from kspan.store.tables import rows

Json = dict[str, Any]


def manifest(connection: Connection, cluster: str, here: ObjectRow, until: int) -> Json:
    """Return the newest version of an object that was received until a time (Unix ns); empty if there is none."""
    found = newest_versions(connection, cluster, here, 1, until=until)
    return decoded(found[0].record.payload) if found else {}


def decoded(payload: bytes) -> Json:
    """Return a manifest; empty if it is not a JSON object."""
    try:
        return mapping(msgspec.json.decode(payload))
    except msgspec.MsgspecError:
        return {}


def mapping(value: Any) -> Json:
    """Return a JSON object; empty if the value is something else, which a hostile manifest can have."""
    return value if isinstance(value, dict) else {}


def entries(where: Json, key: str) -> Iterator[Json]:
    """Yield the objects of a list."""
    value = where.get(key)
    yield from (mapping(each) for each in (value if isinstance(value, list) else ()))


def number(where: Json, key: str) -> int | None:
    """Return an integer; None if there is none."""
    value = where.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def text(where: Json, key: str) -> str:
    """Return a string; empty if there is none."""
    value = where.get(key)
    return value if isinstance(value, str) else ""


def named(connection: Connection, cluster: str, kind: str, namespace: str, name: str) -> list[ObjectRow]:
    """Return the objects that had a name, newest first."""
    here = schema.objects.c
    of_name = (here.cluster == cluster, here.kind == kind, here.namespace == namespace, here.name == name)
    query = rows.select_rows(schema.objects, ObjectRow).where(*of_name).order_by(here.created_at.desc()).limit(16)
    return list(rows.fetch(connection, query, ObjectRow))


def is_watched(connection: Connection, cluster: str, kind: str) -> bool:
    """Return whether objects of a kind were seen, and not only mentioned."""
    here = schema.objects.c
    seen = (here.cluster == cluster, here.kind == kind, here.resource_version != "")
    return connection.execute(select(here.uid).where(*seen).limit(1)).first() is not None
