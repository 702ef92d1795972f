"""Answers of Jaeger's query API v3. Pure.

Sources: jaegertracing/jaeger-idl proto/api_v3/query_service.proto, and jaegertracing/jaeger
cmd/jaeger/internal/extension/jaegerquery. Times are nanoseconds as decimal strings, as JSON has them for 64-bit
integers of Protocol Buffers.
"""

from collections.abc import Sequence

import msgspec

from kspan.web.jaeger.search import Found


class Services(msgspec.Struct, frozen=True):
    """The components that acted."""

    services: list[str]


class Operation(msgspec.Struct, frozen=True):
    """An operation of a component."""

    name: str
    spanKind: str = "internal"


class Operations(msgspec.Struct, frozen=True):
    """The operations of a component."""

    operations: list[Operation]


class ServiceSummary(msgspec.Struct, frozen=True):
    """A component in a trace."""

    name: str
    spanCount: int
    errorSpanCount: int


class TraceSummary(msgspec.Struct, frozen=True):
    """A trace in a list."""

    traceId: str
    rootServiceName: str
    rootOperationName: str
    minStartTimeUnixNano: str
    maxEndTimeUnixNano: str
    spanCount: int
    errorSpanCount: int
    orphanSpanCount: int
    services: list[ServiceSummary]


class Summaries(msgspec.Struct, frozen=True):
    """Traces that match a search."""

    summaries: list[TraceSummary]


class Problem(msgspec.Struct, frozen=True):
    """The mistake in a request."""

    httpCode: int
    message: str


class Failure(msgspec.Struct, frozen=True):
    """An error of this API."""

    error: Problem


def traces_json(lines: Sequence[bytes]) -> bytes:
    """Return traces as one answer.

    ``lines`` are OTLP/JSON: ``{"resourceSpans":[…]}``. Ids are hexadecimal, kinds and codes of status are integers.
    """
    spans = [part for line in lines for part in msgspec.json.decode(line, type=_Line).resourceSpans]
    return msgspec.json.encode({"result": {"resourceSpans": spans}})


class _Line(msgspec.Struct):
    resourceSpans: list[msgspec.Raw]


def summaries(found: Sequence[Found]) -> Summaries:
    """Return a list of traces."""
    return Summaries([_summary(each) for each in found])


def _summary(found: Found) -> TraceSummary:
    trace, root = found.trace, found.root
    return TraceSummary(
        traceId=trace.trace_id,
        rootServiceName=root.service if root is not None else "",
        rootOperationName=root.name if root is not None else "",
        minStartTimeUnixNano=str(trace.start_time),
        maxEndTimeUnixNano=str(trace.end_time),
        spanCount=sum(each.spans for each in found.services),
        errorSpanCount=sum(each.errors for each in found.services),
        orphanSpanCount=found.orphans,
        services=[ServiceSummary(each.name, each.spans, each.errors) for each in found.services],
    )
