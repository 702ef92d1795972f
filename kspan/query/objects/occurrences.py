"""Occurrences of an object, newest first, in pages."""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection, or_, select, tuple_

from kspan.model import ObjectRow, SpanRow
from kspan.query import spans as reading
from kspan.query.objects.authors import CHANGES, SCHEDULED
from kspan.query.visible import EVERYTHING, Visible
from kspan.store.schema.tables import spans
from kspan.times import LATEST, SECOND

Position = tuple[int, str, str]
"""Start (Unix ns), trace id and span id: the place of an occurrence in the order of the list."""

LOOKED_AT: Final = 2_000
"""Occurrences of objects of this name that one page looks at: the Pods of a StatefulSet have the same name, one after
another."""

_AFTERWARDS: Final = 3_600 * SECOND
"""How long (ns) after its deletion Events can be about an object."""

_SLACK: Final = 2 * SECOND
"""By how much a change can seem to begin earlier than it did: some times are whole seconds."""

_CHANGES: Final = 200


def page_of_occurrences(
    connection: Connection,
    cluster: str,
    here: ObjectRow,
    limit: int,
    *,
    until: int = LATEST,
    before: Position | None = None,
    visible: Visible = EVERYTHING,
) -> tuple[list[SpanRow], Position | None]:
    """Return occurrences of an object that the asker may see, newest first, and where the list goes on (None: nowhere).

    There can be fewer than ``limit``, even none, although the list goes on: the number of spans that are looked at is
    limited.

    Args:
        until: only those that began until then (Unix ns).
        before: continues a list.
    """
    until = min(until, here.deleted_at + _AFTERWARDS) if here.deleted_at else until
    until = min(until, before[0]) if before is not None else until
    edge = _edge(connection, cluster, here, until)
    query = reading.of_object(cluster, here).where(spans.c.start_time <= until, spans.c.start_time >= edge)
    if before is not None:
        earlier = tuple_(spans.c.trace_id, spans.c.span_id) < tuple_(before[1], before[2])
        query = query.where(or_(spans.c.start_time < before[0], earlier))
    query = query.order_by(spans.c.trace_id.desc(), spans.c.span_id.desc()).limit(limit + 1)
    found = reading.with_outcomes(connection, cluster, reading.fetch(connection, cluster, query))
    position: Position | None = None
    if len(found) > limit:
        last = found[limit - 1]
        position = (last.start_time, last.trace_id, last.span_id)
    elif edge and _goes_on(connection, cluster, here, edge):
        position = (edge, "", "")
    return visible.spans(connection, cluster, found[:limit]), position


def changes_between(connection: Connection, cluster: str, here: ObjectRow, since: int, until: int) -> list[SpanRow]:
    """Return the changes of an object that began in an interval (Unix ns), and Events about its binding to a Node.

    Of very many occurrences, only the newest are looked at.
    """
    since = max(since - _SLACK, _edge(connection, cluster, here, until))
    query = reading.of_object(cluster, here).where(
        spans.c.start_time >= since, spans.c.start_time <= until + _SLACK, spans.c.reason.in_((*CHANGES, SCHEDULED))
    )
    return list(reading.fetch(connection, cluster, query.limit(_CHANGES)))


def creation_of(connection: Connection, cluster: str, here: ObjectRow) -> SpanRow | None:
    """Return the occurrence of the creation of an object; None if it is not known."""
    return next((span for span in _first(connection, cluster, here) if _is_change(span, "Create")), None)


def deletion_in(found: Sequence[SpanRow]) -> SpanRow | None:
    """Return the occurrence of a deletion among some; None if it is not among them."""
    return next((span for span in found if _is_change(span, "Delete")), None)


def _is_change(span: SpanRow, reason: str) -> bool:
    return span.reason == reason and not span.event_uid


def _first(connection: Connection, cluster: str, here: ObjectRow) -> list[SpanRow]:
    if not here.created_at:
        return []
    since, until = here.created_at - _SLACK, here.created_at + 5 * _SLACK
    query = reading.of_object(cluster, here).where(spans.c.start_time >= since, spans.c.start_time <= until)
    return list(reading.fetch(connection, cluster, query.order_by(None).order_by(spans.c.start_time).limit(20)))


def _of_name(cluster: str, here: ObjectRow) -> tuple[Any, ...]:
    return (
        spans.c.cluster == cluster,
        spans.c.object_kind == here.kind,
        spans.c.object_namespace == here.namespace,
        spans.c.object_name == here.name,
    )


def _edge(connection: Connection, cluster: str, here: ObjectRow, until: int) -> int:
    """Return the start of the oldest span that is looked at (Unix ns); 0: all are."""
    query = select(spans.c.start_time).where(*_of_name(cluster, here), spans.c.start_time <= until)
    query = query.order_by(spans.c.start_time.desc()).offset(LOOKED_AT).limit(1)
    return connection.execute(query).scalar() or 0


def _goes_on(connection: Connection, cluster: str, here: ObjectRow, edge: int) -> bool:
    """True if there are older spans that began after the object was created."""
    since = here.created_at - _SLACK if here.created_at else 0
    query = select(spans.c.start_time).where(*_of_name(cluster, here), spans.c.start_time < edge)
    return (connection.execute(query.order_by(spans.c.start_time.desc()).limit(1)).scalar() or 0) > since
