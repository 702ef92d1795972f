"""What goes out when: closed traces, oldest first, marked as emitted only when the sink took them.

The emitter knows neither database nor network: it stands between a ``TraceStore`` and a ``TraceSink``.
"""

import logging
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Protocol

import msgspec

from kspan.model import SpanRow, TraceRow

_logger = logging.getLogger(__name__)

BATCH = 512
"""Spans that go out in one call: some hundred amortise the call, and stay far from receivers' 4 MiB limits."""

_PAGE = 512  # traces asked of the store at a time

TraceSpans = tuple[TraceRow, list[SpanRow]]
"""A trace and all of its spans, by start time."""


class TraceStore(Protocol):
    """What the emitter needs of the store. ``cluster`` is the cluster's uid, ``target`` a name as in ``emissions``."""

    def unemitted_traces(self, cluster: str, target: str, limit: int) -> list[TraceRow]:
        """Closed traces neither emitted to nor rejected by ``target``: at most ``limit``, by (closed_at, trace_id)."""

    def spans_of(self, cluster: str, trace_ids: Sequence[str]) -> list[SpanRow]:
        """All spans of these traces, in any order."""

    def mark_emitted(self, cluster: str, target: str, trace_ids: Sequence[str], at: int) -> None:
        """``target`` took these traces, whole, at ``at`` (ns). Durable on return."""

    def mark_failed(
        self, cluster: str, target: str, trace_ids: Sequence[str], at: int, reason: str, rejected: bool
    ) -> None:
        """``target`` did not take these traces; where ``rejected``, it never will, and they are not offered again."""


class SinkResult(msgspec.Struct, frozen=True):
    """What became of the traces of one ``send``.

    ``taken`` went out whole. ``rejected`` (trace id → reason) were refused for good. All others were not taken this
    time, for the ``reason``, which is empty exactly when there are no others; ``retry_after`` is how long (s) the
    receiver asks to wait.
    """

    taken: list[str] = []
    rejected: dict[str, str] = {}
    reason: str = ""
    retry_after: float = 0.0


class TraceSink(Protocol):
    """A way out for whole traces."""

    def send(self, traces: Sequence[TraceSpans]) -> SinkResult:
        """Deliver the traces, in order. A ``taken`` trace is with the receiver (in a file: on the disk) on return."""

    def close(self) -> None:
        """Let go of connections and files. A closed sink is not used again."""


class EmitReport(msgspec.Struct, frozen=True):
    """One round: ``traces`` with ``spans`` went out, ``rejected`` traces were refused for good, ``failed`` were tried
    and wait for the next round because of ``reason`` (empty: nothing failed), for ``retry_after`` s at least."""

    traces: int = 0
    spans: int = 0
    failed: int = 0
    rejected: int = 0
    reason: str = ""
    retry_after: float = 0.0


class Emitter:
    """Brings a cluster's closed traces to one target.

    ``cluster`` is the cluster's uid and ``target`` the target's name, both as in the emissions table; ``batch`` is how
    many spans are sent at a time (a bigger trace goes alone).
    """

    def __init__(self, store: TraceStore, cluster: str, target: str, sink: TraceSink, batch: int = BATCH) -> None:
        self._store = store
        self._cluster = cluster
        self._target = target
        self._sink = sink
        self._batch = batch
        self._trouble = ""

    def emit_pending(self, now: int, limit: int | None = None) -> EmitReport:
        """Send what waits, at most ``limit`` traces (None: all), until the sink fails. ``now`` (ns) is what is noted.

        Errors of the sink end up in the report; those of the store are raised.
        """
        report = EmitReport()
        for traces in self._batches(limit):
            report = _sum(report, self._emit(traces, now))
            if report.reason:
                break
        self._tell(report)
        return report

    def close(self) -> None:
        """Close the sink."""
        self._sink.close()

    def _batches(self, limit: int | None) -> Iterator[list[TraceRow]]:
        offered: set[str] = set()
        while limit is None or len(offered) < limit:
            page = self._store.unemitted_traces(
                self._cluster, self._target, _PAGE if limit is None else min(_PAGE, limit - len(offered))
            )
            fresh = [trace for trace in page if trace.trace_id not in offered]
            if not fresh:
                return
            offered.update(trace.trace_id for trace in fresh)
            yield from _by_size(fresh, self._batch)

    def _emit(self, traces: list[TraceRow], now: int) -> EmitReport:
        ids = [trace.trace_id for trace in traces]
        spans: dict[str, list[SpanRow]] = defaultdict(list)
        for span in self._store.spans_of(self._cluster, ids):
            spans[span.trace_id].append(span)
        for rows in spans.values():
            # The same rows must give the same bytes, whatever order the database has them in.
            rows.sort(key=lambda row: (row.start_time, row.span_id))
        result = self._send([(trace, spans[trace.trace_id]) for trace in traces])
        left = set(ids).difference(result.taken, result.rejected)
        if result.taken:
            self._store.mark_emitted(self._cluster, self._target, result.taken, now)
        for trace_id, reason in result.rejected.items():
            self._store.mark_failed(self._cluster, self._target, [trace_id], now, reason, True)
        if left:
            waiting = [trace_id for trace_id in ids if trace_id in left]
            self._store.mark_failed(self._cluster, self._target, waiting, now, result.reason, False)
        return EmitReport(
            traces=len(result.taken),
            spans=sum(len(spans[trace_id]) for trace_id in result.taken),
            failed=len(left),
            rejected=len(result.rejected),
            reason=result.reason,
            retry_after=result.retry_after,
        )

    def _send(self, traces: list[TraceSpans]) -> SinkResult:
        try:
            return self._sink.send(traces)
        except Exception as error:
            # A sink is other people's code (exporters, terminals): whatever it raises, the traces are still here.
            return SinkResult(reason=f"{type(error).__name__}: {error}")

    def _tell(self, report: EmitReport) -> None:
        if report.rejected:
            _logger.warning("%s refused %d traces for good", self._target, report.rejected)
        # An outage lasts for many rounds: it is told once, and its end once.
        if report.reason and report.reason != self._trouble:
            _logger.warning("%s takes no traces (they wait): %s", self._target, report.reason)
        elif self._trouble and report.traces and not report.reason:
            _logger.info("%s takes traces again", self._target)
        if report.reason or report.traces:
            self._trouble = report.reason


def _by_size(traces: Sequence[TraceRow], batch: int) -> Iterator[list[TraceRow]]:
    """Runs of traces with at most ``batch`` spans together, or of one bigger trace."""
    run: list[TraceRow] = []
    size = 0
    for trace in traces:
        if run and size + trace.span_count > batch:
            yield run
            run, size = [], 0
        run.append(trace)
        size += trace.span_count
    if run:
        yield run


def _sum(one: EmitReport, other: EmitReport) -> EmitReport:
    return EmitReport(
        traces=one.traces + other.traces,
        spans=one.spans + other.spans,
        failed=one.failed + other.failed,
        rejected=one.rejected + other.rejected,
        reason=other.reason,
        retry_after=other.retry_after,
    )
