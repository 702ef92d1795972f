"""An occurrence, and a span with all that the database has of it."""

from typing import Any

import msgspec

from kspan.model import SpanEvent, SpanLink, SpanRow, SpanState
from kspan.query import spans as reading
from kspan.query.timeline import TimelineLine
from kspan.query.why import Link
from kspan.terminal.deletions import held_text
from kspan.times import format_time
from kspan.vocabulary import CONTAINER_NAME


class OccurrenceAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """An occurrence: an Event, a change or a transition of an object.

    Args:
        time, end_time: first and last moment.
        who, service: the component or tool that acted, such as ``kubectl``.
        manager: its field manager, such as ``kubectl-set``; empty for an Event.
        instance: its instance, such as the node of a kubelet.
        kind, namespace, name, uid: the object.
        container: the container of a Pod that it is about; empty if it is about the object.
        reason: what happened, such as ``Update`` or ``FailedScheduling``.
        error: true for a Warning, a failed condition and the root of a trace that failed.
        message: message of the Event or condition.
        change: what a change changed, such as ``replicas: 1 → 3``.
        held: what a deletion waited for.
        count: number of times it happened.
        rule, confidence: the rule that chose the cause, and its confidence (0 to 1).
        state: pending (its cause is not chosen), open (its trace can change) or closed.
        trace_id, span_id, parent_span_id: the span; the parent is the cause, empty for a root.
    """

    time: str
    end_time: str
    who: str
    service: str
    manager: str
    instance: str
    kind: str
    namespace: str
    name: str
    container: str
    uid: str
    reason: str
    error: bool
    message: str
    change: str
    held: str
    count: int
    rule: str
    confidence: float
    state: SpanState
    trace_id: str
    span_id: str
    parent_span_id: str


class LinkAnswer(OccurrenceAnswer, frozen=True, kw_only=True):
    """A link of a chain of causes. ``continues_trace_id`` is the trace of the next link, if it is another one."""

    continues_trace_id: str | None


class LineAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A line of a timeline: an occurrence (see ``OccurrenceAnswer``) that started or was repeated at ``time``.

    Args:
        last_time: its last repeat; null if it happened once.
        outcome, outcome_reason: of the root of a trace how the trace ended, and why.
    """

    time: str
    start_time: str
    end_time: str
    who: str
    service: str
    manager: str
    instance: str
    kind: str
    namespace: str
    name: str
    container: str
    uid: str
    reason: str
    error: bool
    message: str
    change: str
    count: int
    rule: str
    confidence: float
    state: SpanState
    trace_id: str
    span_id: str
    parent_span_id: str
    held: str
    last_time: str | None
    outcome: str
    outcome_reason: str


class SpanAnswer(msgspec.Struct, frozen=True):
    """A span as in the table ``spans``, times in Unix ns. The fields are those of ``SpanRow``."""

    trace_id: str
    span_id: str
    parent_span_id: str
    remote_parent: bool
    state: SpanState
    name: str
    rule: str
    confidence: float
    start_time: int
    end_time: int
    service: str
    instance: str
    object_uid: str
    object_kind: str
    object_namespace: str
    object_name: str
    reason: str
    error: bool
    message: str
    event_uid: str
    event_count: int
    attributes: dict[str, Any]
    events: list[SpanEvent]
    links: list[SpanLink]


def occurrence(span: SpanRow) -> OccurrenceAnswer:
    """Return an occurrence."""
    return OccurrenceAnswer(**_fields(span))


def link(found: Link) -> LinkAnswer:
    """Return a link of a chain of causes."""
    return LinkAnswer(**_fields(found.span), continues_trace_id=found.continues or None)


def line(found: TimelineLine) -> LineAnswer:
    """Return a line of a timeline."""
    fields, last = _fields(found.span), reading.last_repeat(found.span)
    return LineAnswer(
        **fields | {"start_time": fields["time"], "time": format_time(found.time)},
        last_time=format_time(last) if last else None,
        outcome=reading.outcome_of(found.span),
        outcome_reason=reading.outcome_reason_of(found.span),
    )


def span(row: SpanRow) -> SpanAnswer:
    """Return a span with all that the database has of it."""
    return SpanAnswer(*(getattr(row, name) for name in SpanAnswer.__struct_fields__))


def _fields(row: SpanRow) -> dict[str, Any]:
    return {
        "time": format_time(row.start_time),
        "end_time": format_time(row.end_time),
        "who": row.service,
        "service": row.service,
        "manager": reading.manager_of(row),
        "instance": row.instance,
        "kind": row.object_kind,
        "namespace": row.object_namespace,
        "name": row.object_name,
        "container": row.attributes.get(CONTAINER_NAME, ""),
        "uid": row.object_uid,
        "reason": row.reason,
        "error": row.error,
        "message": row.message,
        "change": reading.summary_of(row),
        "held": held_text(row),
        "count": reading.times(row),
        "rule": row.rule,
        "confidence": row.confidence,
        "state": row.state,
        "trace_id": row.trace_id,
        "span_id": row.span_id,
        "parent_span_id": row.parent_span_id,
    }
