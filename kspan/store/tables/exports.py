"""Emissions: which closed traces a target still has to get, and what became of those it was sent.

Traces close in the order of logical time. So a mark for each target, before which none waits any more, keeps the look
for what does from walking through all that went out long ago.
"""

from collections.abc import Collection
from typing import Final

from sqlalchemy import ColumnElement, Connection, and_, func, select

from kspan.model import SpanRow, SpanState, TraceRow
from kspan.store.schema import tables as schema
from kspan.store.tables import rows
from kspan.store.tables.bulk_write import dialect_insert

EMITTED: Final = "emitted"
FAILED: Final = "failed"
REJECTED: Final = "rejected"


def unemitted(connection: Connection, cluster: str, target: str, limit: int) -> list[TraceRow]:
    """Closed traces that ``target`` neither took nor rejected, by time of closing and trace id."""
    traces = schema.traces
    query = (
        rows.select_rows(traces, TraceRow)
        .where(waits(connection, cluster, target))
        .order_by(traces.c.closed_at, traces.c.trace_id)
        .limit(limit)
    )
    return rows.fetch(connection, query, TraceRow)


def waits(connection: Connection, cluster: str, target: str) -> ColumnElement[bool]:
    """The condition for a row of ``traces`` that ``target`` still has to get."""
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


def advance(connection: Connection, cluster: str, target: str | None = None) -> None:
    """Bring the mark of a target, or of each that has one, to the first trace that waits for it."""
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
    # Sorted, so that the order holds across chunks.
    for chunk in rows.chunks(sorted(set(trace_ids))):
        found += rows.fetch(connection, query.where(table.c.trace_id.in_(chunk)), SpanRow)
    return found


def mark(
    connection: Connection,
    cluster: str,
    target: str,
    trace_ids: Collection[str],
    at: int,
    status: str,
    reason: str,
) -> None:
    """Note what became of an attempt to send some traces."""
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
