"""The pages of kspan, and their addresses for a database."""

from pathlib import Path
from typing import Final
from urllib.parse import quote

from sqlalchemy import Connection, func, select

from kspan.store import open_store
from kspan.store.schema import tables as schema

PAGES: Final = ("home", "traces", "trace", "timeline", "rollouts", "why", "objects", "object", "pod")
"""Names of the pages. ``pod`` is the page of the Pod with the most spans, ``object`` that of the root of ``trace``."""


def addresses(db: Path) -> dict[str, str]:
    """Return name -> path of each page of ``PAGES``. ``trace`` is the trace with the most spans."""
    with open_store(str(db), read_only=True) as store, store.reading("choose what to look at") as connection:
        trace_id, root = _largest_trace(connection)
        uid, namespace, name = _busiest_pod(connection)
        return {
            "home": "/",
            "traces": "/traces",
            "trace": f"/traces/{trace_id}",
            "timeline": "/timeline",
            "rollouts": "/rollouts",
            "why": "/why/" + "/".join(quote(part, safe="") for part in ("pod", namespace, name)),
            "objects": "/objects",
            "object": object_address(root),
            "pod": object_address(uid),
        }


def objects_named(db: Path, part: str) -> list[str]:
    """Return the addresses of the objects with ``part`` in their names."""
    query = select(schema.objects.c.uid).where(schema.objects.c.name.contains(part, autoescape=True))
    with open_store(str(db), read_only=True) as store, store.reading("look for objects") as connection:
        return [object_address(uid) for uid in connection.execute(query.order_by(schema.objects.c.uid)).scalars()]


def object_address(uid: str) -> str:
    """Return the address of the page of an object."""
    return f"/objects/{quote(uid, safe='')}"


def _largest_trace(connection: Connection) -> tuple[str, str]:
    """Return the id of the trace with the most spans, and the uid of the object of its root."""
    spans = schema.spans
    counted = select(spans.c.trace_id).group_by(spans.c.trace_id).order_by(func.count().desc(), spans.c.trace_id)
    trace_id = connection.execute(counted.limit(1)).scalar_one()
    first = select(spans.c.object_uid).where(spans.c.trace_id == trace_id, spans.c.parent_span_id == "")
    return trace_id, connection.execute(first.order_by(spans.c.start_time, spans.c.span_id).limit(1)).scalar_one()


def _busiest_pod(connection: Connection) -> tuple[str, str, str]:
    """Return the uid, namespace and name of the Pod with the most spans."""
    objects, spans = schema.objects, schema.spans
    query = (
        select(objects.c.uid, objects.c.namespace, objects.c.name)
        .join(spans, (spans.c.cluster == objects.c.cluster) & (spans.c.object_uid == objects.c.uid))
        .where(objects.c.kind == "Pod")
        .group_by(objects.c.uid, objects.c.namespace, objects.c.name)
        .order_by(func.count().desc(), objects.c.uid)
    )
    uid, namespace, name = connection.execute(query.limit(1)).one()
    return uid, namespace, name
