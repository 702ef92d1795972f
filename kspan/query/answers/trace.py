"""Traces: an entry of a list, a mention in another answer, and a whole trace with its spans."""

from collections.abc import Sequence
from typing import Any

import msgspec

from kspan.model import SpanRow, TraceRow, TraceState
from kspan.query import spans as reading
from kspan.query.answers import occurrence
from kspan.query.answers.occurrence import SpanAnswer
from kspan.query.traces import TraceSummary
from kspan.terminal.deletions import held_text
from kspan.times import MILLISECOND, format_time
from kspan.vocabulary import CONTAINER_NAME


class TraceItem(msgspec.Struct, frozen=True, kw_only=True):
    """A trace in a list, with its root span (see ``OccurrenceAnswer``). All fields of a root are empty if it has none.

    Args:
        start_time: start of the first span.
        duration_ms: milliseconds from there to the latest end.
        spans: number of spans.
        warnings: number of spans that are a Warning or a failed condition.
        status: error, incomplete and open, separated by commas; ok if it is none of them.
        outcome: ``kspan.model.Outcome``; empty while open if nothing fails.
        previous_trace_id: the trace that it continues; empty if it continues none.
        error: true if the root is a Warning or failed condition, or the trace failed.
        held: what the deletion of the root's object waited for.
        outcome_reason: what failed, or what superseded it; empty if there is nothing to say.
    """

    trace_id: str
    start_time: str
    duration_ms: float
    spans: int
    warnings: int
    status: str
    outcome: str
    service: str = ""
    who: str = ""
    manager: str = ""
    kind: str = ""
    namespace: str = ""
    name: str = ""
    container: str = ""
    reason: str = ""
    change: str = ""
    message: str = ""
    previous_trace_id: str = ""
    error: bool = False
    held: str = ""
    outcome_reason: str = ""


class TraceMention(msgspec.Struct, frozen=True):
    """A trace without its spans. ``spans`` is their number."""

    trace_id: str
    state: TraceState
    start_time: str | None
    end_time: str | None
    spans: int
    outcome: str
    reason: str
    warnings: int
    error: bool
    incomplete: bool
    previous_trace_id: str | None


class TraceColumns(msgspec.Struct, frozen=True):
    """A trace as in the table ``traces``, times in Unix ns. The fields are those of ``TraceRow``."""

    trace_id: str
    state: TraceState
    root_span_id: str
    previous_trace_id: str
    opened_at: int
    closed_at: int
    start_time: int
    end_time: int
    span_count: int
    incomplete: bool
    error: bool
    outcome: str
    reason: str
    warnings: int


class TraceAnswer(msgspec.Struct, frozen=True):
    """A whole trace: spans by start."""

    trace: TraceColumns
    spans: list[SpanAnswer]


def item(summary: TraceSummary) -> TraceItem:
    """Return a trace of a list."""
    trace, root = summary.trace, summary.root
    of_root: dict[str, Any] = {}
    if root is not None:
        of_root = {
            "service": root.service,
            "who": root.service,
            "manager": reading.manager_of(root),
            "kind": root.object_kind,
            "namespace": root.object_namespace,
            "name": root.object_name,
            "container": root.attributes.get(CONTAINER_NAME, ""),
            "reason": root.reason,
            "change": reading.summary_of(root),
            "message": root.message,
            "error": root.error,
            "held": held_text(root),
            "outcome_reason": reading.outcome_reason_of(root),
        }
    return TraceItem(
        trace_id=trace.trace_id,
        start_time=format_time(trace.start_time),
        duration_ms=summary.duration / MILLISECOND,
        spans=trace.span_count,
        warnings=trace.warnings,
        status=",".join(summary.statuses),
        outcome=trace.outcome,
        previous_trace_id=trace.previous_trace_id,
        **of_root,
    )


def mention(trace: TraceRow) -> TraceMention:
    """Return a trace without its spans."""
    return TraceMention(
        trace.trace_id,
        trace.state,
        format_time(trace.start_time) if trace.start_time else None,
        format_time(trace.end_time) if trace.end_time else None,
        trace.span_count,
        trace.outcome,
        trace.reason,
        trace.warnings,
        trace.error,
        trace.incomplete,
        trace.previous_trace_id or None,
    )


def rows_of(answer: TraceAnswer) -> tuple[TraceRow, list[SpanRow]]:
    """Return the rows of a whole trace, without what only the fold reads."""
    trace = TraceRow(**msgspec.structs.asdict(answer.trace), fold=b"")
    return trace, [SpanRow(**msgspec.structs.asdict(each), fold=b"") for each in answer.spans]


def whole(trace: TraceRow, spans: Sequence[SpanRow]) -> TraceAnswer:
    """Return a trace with its spans."""
    columns = TraceColumns(*(getattr(trace, name) for name in TraceColumns.__struct_fields__))
    return TraceAnswer(columns, [occurrence.span(each) for each in spans])
