"""Exports traces through a span sender: whole traces in, requests of some hundred spans out."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from opentelemetry.sdk.trace import ReadableSpan

from kspan import vocabulary
from kspan.emit.export_queue import BATCH, ExportResult, TraceSpans
from kspan.emit.otel_spans import ClusterIdentity, readable_span
from kspan.emit.span_sender import FailureKind, SendFailure, SpanSender
from kspan.model import SpanRow

_REQUEST_BYTES: Final = 2 * 1024 * 1024
"""Receivers accept 4 MiB over gRPC by default; the estimate here is lower than the size of the request."""

_SPAN_BYTES: Final = 1024

MAX_REJECTIONS: Final = 12
"""Failed requests in a row after which the route is to blame. Halving 512 spans takes ten to find a rejected one."""

_Item = tuple[str, ReadableSpan]
"""A trace id and one of the trace's spans."""


class BatchExporter:
    """Sends traces through ``sender``, at most ``batch`` spans a request (fewer if they are large).

    If the receiver rejects a request, the request is halved until the rejected spans are found: one bad span then costs
    one trace and does not block the queue. A rejection is believed only of a receiver that has accepted something
    before: one that rejects everything is not the intended receiver, and the traces wait. An ambiguous failure (401,
    403, 404 …) is believed only if other spans are accepted in the same round.
    """

    def __init__(self, sender: SpanSender, cluster: ClusterIdentity, batch: int = BATCH) -> None:
        self._sender = sender
        self._cluster = cluster
        self._batch = batch
        self._has_accepted = False

    def export(self, traces: Sequence[TraceSpans]) -> ExportResult:
        """Implements ``TraceExporter``. Errors that the sender raises are not caught."""
        items: list[_Item] = []
        sizes: list[int] = []
        unencodable: dict[str, str] = {}
        for trace, rows in traces:
            try:
                items.extend([(trace.trace_id, readable_span(row, self._cluster)) for row in rows])
                sizes.extend(_size(row) for row in rows)
            except (ValueError, TypeError, OverflowError) as error:
                unencodable[trace.trace_id] = f"OTLP cannot represent a span of it: {error}"
        round_ = _Round(self._sender)
        failure = round_.send(list(_requests(items, sizes, self._batch)))
        self._has_accepted = self._has_accepted or bool(round_.accepted)
        rejected = round_.rejected
        if rejected and not self._has_accepted:
            failure = failure or SendFailure(next(iter(rejected.values())))
            rejected = {}
        rejected = unencodable | rejected
        complete = [
            trace.trace_id
            for trace, rows in traces
            if trace.trace_id not in rejected and round_.accepted[trace.trace_id] == len(rows)
        ]
        if failure is None:
            return ExportResult(complete, rejected)
        return ExportResult(complete, rejected, failure.reason, failure.retry_after)

    def close(self) -> None:
        """Close the sender."""
        self._sender.close()


class _Round:
    """Sends requests until one fails, and finds the spans that are rejected."""

    def __init__(self, sender: SpanSender) -> None:
        self._sender = sender
        self.accepted: Counter[str] = Counter()
        """Number of accepted spans of each trace."""
        self.rejected: dict[str, str] = {}
        """Trace id → reason."""

    def send(self, requests: list[list[_Item]]) -> SendFailure | None:
        """Send the requests in order. Returns the failure that ended the round early, if any."""
        waiting = requests[::-1]
        rejections = 0
        ambiguous: SendFailure | None = None
        while waiting:
            # The rest of a rejected trace would be orphaned spans at the receiver.
            request = [item for item in waiting.pop() if item[0] not in self.rejected]
            if not request:
                continue
            failure = self._sender.send([span for _, span in request])
            if failure is None:
                self.accepted.update(trace_id for trace_id, _ in request)
                continue
            if failure.kind is FailureKind.TEMPORARY:
                return failure
            rejections += 1
            if ambiguous is None and failure.kind is FailureKind.AMBIGUOUS:
                ambiguous = failure
            if ambiguous is not None and not self.accepted and rejections > MAX_REJECTIONS:
                break
            if len(request) == 1:
                self.rejected[request[0][0]] = failure.reason
            else:
                middle = len(request) // 2
                waiting += [request[middle:], request[:middle]]
        if ambiguous is None or self.accepted:
            return None
        self.rejected.clear()
        return SendFailure(ambiguous.reason)


def _size(row: SpanRow) -> int:
    """Estimated size of a span in a request. Only messages and changes are ever large."""
    change = row.attributes.get(vocabulary.CHANGE, "")
    return _SPAN_BYTES + len(row.message) + (len(change) if isinstance(change, str) else 0) + 128 * len(row.events)


def _requests(items: Sequence[_Item], sizes: Sequence[int], batch: int) -> Iterator[list[_Item]]:
    request: list[_Item] = []
    total = 0
    for item, size in zip(items, sizes, strict=True):
        if request and (len(request) >= batch or total + size > _REQUEST_BYTES):
            yield request
            request, total = [], 0
        request.append(item)
        total += size
    if request:
        yield request
