"""The way out through a SpanExporter: whole traces in, calls of some hundred spans out."""

from collections import Counter
from collections.abc import Iterator, Sequence

import msgspec
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from kspan import vocabulary
from kspan.emit.emitter import BATCH, SinkResult, TraceSpans
from kspan.emit.otel_spans import ClusterIdentity, ReasonedExporter, readable_span
from kspan.model import SpanRow

# Receivers take 4 MiB over gRPC unless told otherwise; what is measured here is less than what goes over the wire.
_CALL_BYTES = 2 * 1024 * 1024
_SPAN_BYTES = 1024

IN_VAIN = 12
"""Refusals in a row after which it is the way, not a trace: halving a call of 512 spans takes ten to find one."""

_Item = tuple[str, ReadableSpan]


class SpanSink:
    """Sends traces through ``exporter``, ``batch`` spans a call (fewer where they are big).

    When the receiver refuses a call for good, the call is halved until the spans that it refuses are found, so that
    one bad span sets aside one trace and not the queue behind it. That is believed only of a receiver that has taken
    something before: one that refuses everything is not the receiver that we look for, and its traces wait. Where the
    refusal may be about the way (401, 403, 404 …), it is believed only if others are taken in the same round.
    """

    def __init__(self, exporter: SpanExporter, cluster: ClusterIdentity, batch: int = BATCH) -> None:
        self._exporter = exporter
        self._cluster = cluster
        self._batch = batch
        self._trusted = False

    def send(self, traces: Sequence[TraceSpans]) -> SinkResult:
        """As the ``TraceSink`` protocol says. What the exporter raises is passed on."""
        rejected: dict[str, str] = {}
        items: list[_Item] = []
        sizes: list[int] = []
        for trace, rows in traces:
            try:
                items.extend([(trace.trace_id, readable_span(row, self._cluster)) for row in rows])
                sizes.extend(_size(row) for row in rows)
            except (ValueError, TypeError, OverflowError) as error:
                rejected[trace.trace_id] = f"not a span that OTLP can carry: {error}"
        delivered: Counter[str] = Counter()
        refused: dict[str, str] = {}
        reason, retry_after = self._deliver(list(_calls(items, sizes, self._batch)), delivered, refused)
        if refused and not self._trusted:
            reason, refused = reason or next(iter(refused.values())), {}
        rejected.update(refused)
        taken = [
            trace.trace_id
            for trace, rows in traces
            if trace.trace_id not in rejected and delivered[trace.trace_id] == len(rows)
        ]
        return SinkResult(taken, rejected, reason, retry_after)

    def close(self) -> None:
        """Shut the exporter down."""
        self._exporter.shutdown()

    def _deliver(self, calls: list[list[_Item]], delivered: Counter[str], refused: dict[str, str]) -> tuple[str, float]:
        """Make the calls in order; the reason for which one failed, or an empty string, and how long to wait (s)."""
        calls.reverse()
        in_vain, doubt = 0, ""
        while calls:
            # The rest of a trace that is set aside would be an orphan at the receiver.
            call = [item for item in calls.pop() if item[0] not in refused]
            if not call:
                continue
            if self._exporter.export([span for _, span in call]) is SpanExportResult.SUCCESS:
                self._trusted = True
                delivered.update(trace_id for trace_id, _ in call)
                continue
            why = self._why()
            if not (why.refused or why.doubted):
                return why.reason, why.retry_after
            in_vain += 1
            doubt = doubt or (why.reason if why.doubted else "")
            if doubt and not delivered and in_vain > IN_VAIN:
                break
            if len(call) == 1:
                refused[call[0][0]] = why.reason
            else:
                middle = len(call) // 2
                calls += [call[middle:], call[:middle]]
        if doubt and not delivered:
            refused.clear()
            return doubt, 0.0
        return "", 0.0

    def _why(self) -> "_Failure":
        exporter = self._exporter
        if not isinstance(exporter, ReasonedExporter):
            return _Failure("the exporter failed")
        reason = exporter.reason or "the exporter failed"
        return _Failure(reason, exporter.refused, exporter.doubted, exporter.retry_after)


class _Failure(msgspec.Struct, frozen=True):
    """As in ``ReasonedExporter``."""

    reason: str
    refused: bool = False
    doubted: bool = False
    retry_after: float = 0.0


def _size(row: SpanRow) -> int:
    """About how many bytes the row takes on the wire: only messages and changes are ever big."""
    change = row.attributes.get(vocabulary.CHANGE, "")
    return _SPAN_BYTES + len(row.message) + (len(change) if isinstance(change, str) else 0) + 128 * len(row.events)


def _calls(items: Sequence[_Item], sizes: Sequence[int], batch: int) -> Iterator[list[_Item]]:
    call: list[_Item] = []
    total = 0
    for item, size in zip(items, sizes, strict=True):
        if call and (len(call) >= batch or total + size > _CALL_BYTES):
            yield call
            call, total = [], 0
        call.append(item)
        total += size
    if call:
        yield call
