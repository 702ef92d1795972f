"""The head of a trace without all of its spans: its root, its neighbors, and the first spans."""

from typing import Final

import msgspec
from sqlalchemy import Connection, func, select

from kspan.errors import QueryError
from kspan.model import SpanRow, TraceRow, TraceState
from kspan.query import spans as reading
from kspan.query.traces import trace_starting_with, whole_trace
from kspan.query.visible import Visible
from kspan.store.schema import tables as schema
from kspan.store.tables import rows

spans, traces = schema.spans, schema.traces

FOLLOWING: Final = 5
"""Episodes that are named; more are not."""


class Head(msgspec.Struct, frozen=True):
    """A trace, of which not all spans need be read.

    Args:
        trace: the trace; of an open one with the values so far.
        root: its root span; None if it has no spans.
        previous: the trace that it continues; None if it continues none that the asker may see.
        lost: true if it continues a trace that was deleted.
        following: the traces that continue it, oldest first, at most ``FOLLOWING``.
        first: its first spans by start.
    """

    trace: TraceRow
    root: SpanRow | None
    previous: TraceRow | None
    lost: bool
    following: list[TraceRow]
    first: list[SpanRow]


def visible_trace(connection: Connection, cluster: str, visible: Visible, prefix: str) -> TraceRow:
    """Return the trace whose id starts with ``prefix``, as it is stored.

    Raises QueryError unless it is one, and the same for a trace that the asker may not see as for one that does not
    exist.
    """
    unknown = QueryError(f"no trace id starts with {prefix[:64]!r}")
    try:
        trace = trace_starting_with(connection, cluster, prefix)
    except QueryError:
        if visible.everything():
            raise
        raise unknown from None
    if not visible.traces(connection, cluster, [trace.trace_id]):
        raise unknown
    return trace


def read_head(connection: Connection, cluster: str, visible: Visible, trace: TraceRow, most: int) -> Head:
    """Return the head of a trace with at most ``most`` spans."""
    if trace.state is TraceState.OPEN:
        # How long an open span lasts so far depends on the others.
        trace, members = whole_trace(connection, cluster, trace)
        first, root = members[:most], next((each for each in members if each.span_id == trace.root_span_id), None)
    else:
        first = _first(connection, cluster, trace.trace_id, most)
        root = reading.one(connection, cluster, trace.trace_id, trace.root_span_id)
    previous = _trace(connection, cluster, trace.previous_trace_id)
    following = _following(connection, cluster, trace.trace_id)
    near = [each.trace_id for each in (previous, *following) if each is not None]
    seen = set(visible.traces(connection, cluster, near))
    return Head(
        trace,
        root or next(iter(first), None),
        previous if previous is not None and previous.trace_id in seen else None,
        bool(trace.previous_trace_id) and previous is None,
        [each for each in following if each.trace_id in seen],
        first,
    )


def count_spans(connection: Connection, cluster: str, trace_id: str) -> int:
    """Return the number of spans of a trace."""
    query = select(func.count()).where(spans.c.cluster == cluster, spans.c.trace_id == trace_id)
    return int(connection.execute(query).scalar_one())


def _first(connection: Connection, cluster: str, trace_id: str, most: int) -> list[SpanRow]:
    here = (spans.c.cluster == cluster, spans.c.trace_id == trace_id)
    # An expression instead of the column: otherwise SQLite walks through all spans in the order of their start.
    ids = select(spans.c.span_id).where(*here).order_by(spans.c.start_time + 0, spans.c.span_id).limit(most)
    query = rows.select_rows(spans, SpanRow).where(*here, spans.c.span_id.in_(ids.scalar_subquery()))
    return sorted(reading.fetch(connection, cluster, query), key=lambda span: (span.start_time, span.span_id))


def _trace(connection: Connection, cluster: str, trace_id: str) -> TraceRow | None:
    if not trace_id:
        return None
    query = rows.select_rows(traces, TraceRow).where(traces.c.cluster == cluster, traces.c.trace_id == trace_id)
    return next(iter(rows.fetch(connection, query, TraceRow)), None)


def _following(connection: Connection, cluster: str, trace_id: str) -> list[TraceRow]:
    query = (
        rows.select_rows(traces, TraceRow)
        .where(traces.c.cluster == cluster, traces.c.previous_trace_id == trace_id, schema.FOLLOWING)
        .order_by(traces.c.opened_at)
        .limit(FOLLOWING)
    )
    return rows.fetch(connection, query, TraceRow)
