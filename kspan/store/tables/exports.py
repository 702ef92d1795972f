"""Exports: which closed traces a target has not received yet, and the result of each attempt.

Traces close in the order of event time. So each target has a mark: all traces that closed before it have been sent. It
keeps the search for unsent traces from walking through the whole history.
"""

import logging
from collections.abc import Collection, Mapping, Sequence
from typing import Final

from sqlalchemy import ColumnElement, Connection, and_, delete, func, select

from kspan.model import SpanOutline, SpanRow, SpanState, TraceRow
from kspan.store.schema import tables as schema
from kspan.store.tables import rows
from kspan.store.tables.bulk_write import dialect_insert

_logger = logging.getLogger(__name__)

EMITTED: Final = "emitted"
FAILED: Final = "failed"
REJECTED: Final = "rejected"

CUT: Final = "rebuilt from a journal of which retention had deleted the beginning: may have been exported before"
"""Reason with which a trace is marked that was not sent."""


def unemitted(connection: Connection, cluster: str, target: str, limit: int) -> list[TraceRow]:
    """Closed traces that ``target`` has neither accepted nor rejected, by time of closing and trace id."""
    traces = schema.traces
    query = (
        rows.select_rows(traces, TraceRow)
        .where(waits(connection, cluster, target))
        .order_by(traces.c.closed_at, traces.c.trace_id)
        .limit(limit)
    )
    return rows.fetch(connection, query, TraceRow)


def waits(connection: Connection, cluster: str, target: str) -> ColumnElement[bool]:
    """The condition for rows of ``traces`` that ``target`` has neither accepted nor rejected."""
    traces, sent, exports = schema.traces, schema.emissions, schema.export_state
    mark = select(exports.c.done_before).where(exports.c.cluster == cluster, exports.c.target == target)
    done = (
        select(sent.c.trace_id)
        .where(
            sent.c.cluster == traces.c.cluster,
            sent.c.trace_id == traces.c.trace_id,
            sent.c.target == target,
            sent.c.status.in_((EMITTED, REJECTED)),
        )
        .exists()
    )
    since = connection.execute(mark).scalar_one_or_none() or 0
    return and_(traces.c.cluster == cluster, schema.CLOSED, traces.c.closed_at >= since, ~done)


def waiting(connection: Connection, cluster: str) -> dict[str, set[str]]:
    """The ids of the closed traces that each known target has neither accepted nor rejected."""
    exports, traces = schema.export_state, schema.traces
    known = connection.execute(select(exports.c.target).where(exports.c.cluster == cluster)).scalars().all()
    query = select(traces.c.trace_id)
    return {
        target: set(connection.execute(query.where(waits(connection, cluster, target))).scalars()) for target in known
    }


def mark_cut(connection: Connection, cluster: str, edge: int, waiting: Mapping[str, Collection[str]]) -> None:
    """Count the traces that closed before ``edge`` (Unix ns) as sent, except those in ``waiting``, by target."""
    traces = schema.traces
    for target, kept in waiting.items():
        query = select(traces.c.trace_id).where(waits(connection, cluster, target), traces.c.closed_at < edge)
        cut = [trace for trace in connection.execute(query).scalars() if trace not in kept]
        mark(connection, cluster, target, cut, edge, EMITTED, CUT)


def advance(connection: Connection, cluster: str, target: str | None = None) -> None:
    """Move the mark of a target (default: of all targets) to the first trace that it has not received."""
    traces, exports = schema.traces, schema.export_state
    if target is None:
        known = select(exports.c.target).where(exports.c.cluster == cluster)
        for name in connection.execute(known).scalars().all():
            advance(connection, cluster, name)
        return
    first = select(traces.c.closed_at).where(waits(connection, cluster, target)).order_by(traces.c.closed_at).limit(1)
    moment = connection.execute(first).scalar_one_or_none()
    if moment is None:
        last = select(func.max(traces.c.closed_at)).where(traces.c.cluster == cluster, schema.CLOSED)
        moment = connection.execute(last).scalar_one() or 0
    statement = dialect_insert(exports, connection.dialect.name)
    changed = {"done_before": statement.excluded.done_before}
    upsert = statement.on_conflict_do_update(index_elements=["cluster", "target"], set_=changed)
    connection.execute(upsert, {"cluster": cluster, "target": target, "done_before": moment})


def spans_of(connection: Connection, cluster: str, trace_ids: Collection[str]) -> list[SpanRow]:
    """The closed spans of some traces, by trace id, start and span id."""
    table = schema.spans
    query = (
        rows.select_rows(table, SpanRow)
        .where(table.c.cluster == cluster, table.c.state == SpanState.CLOSED)
        .order_by(table.c.trace_id, table.c.start_time, table.c.span_id)
    )
    found: list[SpanRow] = []
    # Sorted, so that the result is in order across chunks.
    for chunk in rows.chunks(sorted(set(trace_ids))):
        found += rows.fetch(connection, query.where(table.c.trace_id.in_(chunk)), SpanRow)
    return found


def outlines_of(connection: Connection, cluster: str, trace_id: str) -> list[SpanOutline]:
    """The columns of the closed spans of a trace that a summary needs."""
    table = schema.spans
    query = rows.select_rows(table, SpanOutline).where(table.c.cluster == cluster, table.c.trace_id == trace_id)
    return rows.fetch(connection, query.where(table.c.state == SpanState.CLOSED), SpanOutline)


def spans_among(connection: Connection, cluster: str, trace_id: str, span_ids: Collection[str]) -> list[SpanRow]:
    """The closed spans of a trace with these ids."""
    table = schema.spans
    query = rows.select_rows(table, SpanRow).where(table.c.cluster == cluster, table.c.trace_id == trace_id)
    query = query.where(table.c.state == SpanState.CLOSED)
    found: list[SpanRow] = []
    for chunk in rows.chunks(list(span_ids)):
        found += rows.fetch(connection, query.where(table.c.span_id.in_(chunk)), SpanRow)
    return found


def larger(connection: Connection, cluster: str, trace_ids: Collection[str], than: int) -> list[str]:
    """Which of these traces are closed and have more than ``than`` spans."""
    table, found = schema.traces, list[str]()
    query = select(table.c.trace_id).where(table.c.cluster == cluster, schema.CLOSED, table.c.span_count > than)
    for chunk in rows.chunks(sorted(trace_ids)):
        found += connection.execute(query.where(table.c.trace_id.in_(chunk))).scalars()
    return found


def offer_again(connection: Connection, cluster: str, trace_ids: Sequence[str]) -> None:
    """Forget that some traces were exported, which have got more spans since.

    Only the trace of a remote context can get some: the context can be used again long after it was closed.
    """
    table = schema.emissions
    for chunk in rows.chunks(trace_ids):
        _logger.warning("traces that were closed before have more spans, and are exported again: %s", ", ".join(chunk))
        connection.execute(delete(table).where(table.c.cluster == cluster, table.c.trace_id.in_(chunk)))


def mark(
    connection: Connection,
    cluster: str,
    target: str,
    trace_ids: Collection[str],
    at: int,
    status: str,
    reason: str,
) -> None:
    """Record the result of an attempt to send some traces."""
    if not trace_ids:
        return
    table = schema.emissions
    statement = dialect_insert(table, connection.dialect.name)
    changed = {name: statement.excluded[name] for name in ("status", "updated_at", "reason")}
    upsert = statement.on_conflict_do_update(
        index_elements=["cluster", "trace_id", "target"], set_=changed | {"attempts": table.c.attempts + 1}
    )
    shared = {"cluster": cluster, "target": target, "status": status, "updated_at": at, "reason": reason}
    connection.execute(upsert, [shared | {"trace_id": trace, "attempts": 1} for trace in trace_ids])
    if status != FAILED:
        advance(connection, cluster, target)
