"""Traces in the JSON of Jaeger's first query API, which Jaeger UI and Grafana still read. Pure.

Source: jaegertracing/jaeger internal/uimodel/model.go. Times are in microseconds. The parent of a span is its first
reference whose span is in the trace, so CHILD_OF comes before FOLLOWS_FROM.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from kspan import vocabulary as words
from kspan.model import SpanEvent, SpanRow, TraceRow, TraceState

_PROCESS_TAGS: Final = (words.NAMESPACE_NAME, "k8s.pod.name")
"""Attributes that "trace to logs" of Grafana looks for in the tags of the process."""

Tag = dict[str, Any]


class Dependency(msgspec.Struct, frozen=True):
    """How often a component did something because of another one."""

    parent: str
    child: str
    callCount: int


class Error(msgspec.Struct, frozen=True):
    """An error of this API."""

    code: int
    msg: str


class Envelope(msgspec.Struct, frozen=True):
    """The form of every answer of this API. ``data`` is None after an error."""

    data: Any
    total: int = 0
    limit: int = 0
    offset: int = 0
    errors: list[Error] | None = None


def trace_json(trace: TraceRow, spans: Sequence[SpanRow], cluster: Mapping[str, str]) -> dict[str, Any]:
    """Return a trace.

    Args:
        trace: the trace.
        spans: its spans.
        cluster: attributes of the resource that identify the cluster.
    """
    processes: dict[tuple[str, ...], str] = {}
    listed: dict[str, Any] = {}
    found = []
    for span in spans:
        key = (span.service, span.instance, *(str(span.attributes.get(name, "")) for name in _PROCESS_TAGS))
        if key not in processes:
            processes[key] = f"p{len(processes) + 1}"
            listed[processes[key]] = _process(span, cluster)
        found.append(_span(span, processes[key]))
    return {
        "traceID": trace.trace_id,
        "spans": found,
        "processes": listed,
        "warnings": _warnings(trace) or None,
    }


def operation_of(span: SpanRow) -> str:
    """Return the operation of a span as the waterfall shows it. It has the object: two Pods would look the same."""
    return f"{span.name} {span.object_name}" if span.object_name else span.name


def dependencies(spans: Iterable[SpanRow]) -> list[Dependency]:
    """Return how often one component caused what another one did."""
    by_id = {(span.trace_id, span.span_id): span for span in spans}
    counts: dict[tuple[str, str], int] = {}
    for span in by_id.values():
        cause = by_id.get((span.trace_id, span.parent_span_id))
        if cause is not None and cause.service != span.service:
            edge = cause.service, span.service
            counts[edge] = counts.get(edge, 0) + 1
    return [Dependency(parent, child, count) for (parent, child), count in sorted(counts.items())]


def _process(span: SpanRow, cluster: Mapping[str, str]) -> dict[str, Any]:
    attributes = dict(cluster)
    if span.instance:
        attributes["service.instance.id"] = span.instance
    attributes |= {name: str(span.attributes[name]) for name in _PROCESS_TAGS if name in span.attributes}
    return {"serviceName": span.service, "tags": _tags(attributes)}


def _span(span: SpanRow, process: str) -> dict[str, Any]:
    references = [_reference("CHILD_OF", span.trace_id, span.parent_span_id)] if span.parent_span_id else []
    references += [_reference("FOLLOWS_FROM", link.trace_id, link.span_id) for link in span.links]
    status = {"otel.status_code": "ERROR", "otel.status_description": span.message, "error": True} if span.error else {}
    return {
        "traceID": span.trace_id,
        "spanID": span.span_id,
        "operationName": operation_of(span),
        "references": references,
        "startTime": span.start_time // 1000,
        "duration": max(span.end_time - span.start_time, 0) // 1000,
        "tags": _tags({**span.attributes, "span.kind": "internal", **status}),
        "logs": [_log(event) for event in span.events],
        "processID": process,
        "warnings": None,
    }


def _reference(kind: str, trace_id: str, span_id: str) -> dict[str, str]:
    return {"refType": kind, "traceID": trace_id, "spanID": span_id}


def _log(event: SpanEvent) -> dict[str, Any]:
    return {"timestamp": event.time // 1000, "fields": _tags({"event": event.name, **event.attributes})}


def _tags(attributes: Mapping[str, Any]) -> list[Tag]:
    return [{"key": key, **_typed(value)} for key, value in attributes.items()]


def _typed(value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"type": "bool", "value": value}
    if isinstance(value, int):
        # JavaScript has no larger integers.
        return {"type": "int64", "value": value if abs(value) < 2**53 else str(value)}
    if isinstance(value, float):
        return {"type": "float64", "value": value}
    return {"type": "string", "value": value if isinstance(value, str) else msgspec.json.encode(value).decode()}


def _warnings(trace: TraceRow) -> list[str]:
    if trace.state is TraceState.OPEN:
        return ["this trace is still open: it can get more spans, and times can change"]
    return [f"this trace is incomplete: {trace.reason or 'something in it did not finish'}"] if trace.incomplete else []
