"""Checks that closed and open traces agree with their spans, whether or not the journal is complete.

Traces and spans are read side by side in the order of trace ids, some hundred traces at a time.
"""

from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, and_, case, func, or_, select

from kspan.model import SpanState, TraceState
from kspan.store.schema import tables as schema
from kspan.store.tables.finding import Finding

RUN: Final = 200
"""Traces that are compared at once."""


def check_traces(connection: Connection, cluster: str, after: str) -> tuple[list[Finding], str | None]:
    """Compare the next traces after the trace id ``after`` with their spans.

    Returns (what does not agree, trace id to continue after; None: no more traces).
    """
    traces = connection.execute(_traces(cluster, after)).all()
    last = traces[-1].trace_id if len(traces) == RUN else None
    spans = {row.trace_id: row for row in connection.execute(_spans(cluster, after, last))}
    found: list[Finding] = []
    for trace in traces:
        found += _compare(trace, spans.pop(trace.trace_id, None))
    found += [Finding("spans", f"of trace {name}", "have no row in traces") for name in spans]
    return sorted(found, key=lambda difference: difference.key.removeprefix("of trace ")), last


def _traces(cluster: str, after: str) -> Any:
    """Some traces, and whether their root span can be a root."""
    table, root = schema.traces, schema.spans.alias()
    join = and_(
        root.c.cluster == table.c.cluster,
        root.c.trace_id == table.c.trace_id,
        root.c.span_id == table.c.root_span_id,
        or_(root.c.parent_span_id == "", root.c.remote_parent),
    )
    names = ("trace_id", "state", "root_span_id", "start_time", "end_time", "span_count")
    return (
        select(*(table.c[name] for name in names), root.c.span_id.label("root"))
        .select_from(table.outerjoin(root, join))
        .where(table.c.cluster == cluster, table.c.trace_id > after)
        .order_by(table.c.trace_id)
        .limit(RUN)
    )


def _spans(cluster: str, after: str, last: str | None) -> Any:
    """The spans of some traces, summed up by trace."""
    table, parent = schema.spans, schema.spans.alias()
    has_parent = (
        select(parent.c.span_id)
        .where(
            parent.c.cluster == table.c.cluster,
            parent.c.trace_id == table.c.trace_id,
            parent.c.span_id == table.c.parent_span_id,
        )
        .exists()
    )
    bounds = [table.c.cluster == cluster, table.c.trace_id > after]
    if last is not None:
        bounds.append(table.c.trace_id <= last)
    return (
        select(
            table.c.trace_id,
            func.count().label("span_count"),
            func.min(table.c.start_time).label("start_time"),
            func.max(table.c.end_time).label("end_time"),
            _number(and_(~table.c.remote_parent, ~has_parent)).label("roots"),
            _number(table.c.remote_parent).label("remote"),
            _number(table.c.state == SpanState.CLOSED).label("closed"),
        )
        .where(*bounds)
        .group_by(table.c.trace_id)
    )


def _number(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.sum(case((condition, 1), else_=0))


def _compare(trace: Row[Any], spans: Row[Any] | None) -> list[Finding]:
    if spans is None:
        return [Finding("traces", trace.trace_id, "has no spans")]
    closed = trace.state is TraceState.CLOSED
    same = {
        "state": spans.closed == (spans.span_count if closed else 0),
        "span_count": spans.span_count == trace.span_count,
    }
    found = []
    # The other columns of an open trace and its spans are not final.
    if closed:
        same |= {
            "root_span_id": trace.root is not None,
            "start_time": spans.start_time == trace.start_time,
            # A trace lasts until the last repeat in it, which makes no span longer.
            "end_time": spans.end_time <= trace.end_time,
        }
        # Several objects can carry the same trace context: each of them is a root then.
        if spans.roots != 1 and not spans.remote:
            found.append(Finding("traces", trace.trace_id, f"has {spans.roots or 'no'} roots"))
    if columns := tuple(name for name, equal in same.items() if not equal):
        found.append(Finding("traces", trace.trace_id, "does not agree with its spans", columns))
    return found
