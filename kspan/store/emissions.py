"""Emissions: which closed traces a target still has to get, and what became of those it was sent."""

from collections.abc import Collection
from typing import Final

from sqlalchemy import Connection, select

from kspan.model import SpanRow, TraceRow, TraceState
from kspan.store import rows, schema
from kspan.store.bulk import dialect_insert

EMITTED: Final = "emitted"
FAILED: Final = "failed"
REJECTED: Final = "rejected"


def unemitted(connection: Connection, cluster: str, target: str, limit: int) -> list[TraceRow]:
    """Closed traces that ``target`` neither took nor rejected, by time of closing and trace id."""
    traces, sent = schema.traces, schema.emissions
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
    query = (
        rows.select_rows(traces, TraceRow)
        .where(traces.c.cluster == cluster, traces.c.state == TraceState.CLOSED, ~done)
        .order_by(traces.c.closed_at, traces.c.trace_id)
        .limit(limit)
    )
    return rows.fetch(connection, query, TraceRow)


def spans_of(connection: Connection, cluster: str, trace_ids: Collection[str]) -> list[SpanRow]:
    """The closed spans of some traces, by trace id, start and span id."""
    table = schema.spans
    query = (
        rows.select_rows(table, SpanRow)
        .where(table.c.cluster == cluster, schema.CLOSED)
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
