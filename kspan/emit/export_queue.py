"""Which traces are exported when: closed traces, oldest first, each marked once its target has accepted it.

The queue uses neither the database nor the network itself, but a ``TraceStore`` and a ``TraceExporter``.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from typing import Final, Protocol

import msgspec

from kspan.emit.summary import Plan, make_plan, redirected, shortened, summarized
from kspan.model import SpanOutline, SpanRow, TraceRow

BATCH: Final = 512
"""Spans in one call of an exporter: enough to share the cost of a call, far below the 4 MiB that receivers accept."""

_PAGE: Final = 512
"""Traces that are read from the store at a time."""

_PLANS_KEPT: Final = 4
"""Summaries that are remembered for links to them: that of a trace of 100,000 spans takes 20 MB."""

TraceSpans = tuple[TraceRow, list[SpanRow]]
"""A trace and all of its spans, by start time."""


class TraceStore(Protocol):
    """The part of the store that exporting needs. ``cluster`` is the cluster's uid, ``target`` the name of a target."""

    def unemitted_traces(self, cluster: str, target: str, limit: int) -> list[TraceRow]:
        """At most ``limit`` closed traces that ``target`` neither accepted nor rejected, by (closed_at, trace_id)."""

    def spans_of(self, cluster: str, trace_ids: Sequence[str]) -> list[SpanRow]:
        """All spans of these traces, in any order."""

    def outlines_of(self, cluster: str, trace_id: str) -> list[SpanOutline]:
        """The columns of all spans of a trace that a summary needs, in any order."""

    def spans_among(self, cluster: str, trace_id: str, span_ids: Sequence[str]) -> list[SpanRow]:
        """The spans of a trace with these ids, in any order."""

    def larger_traces(self, cluster: str, trace_ids: Collection[str], than: int) -> list[str]:
        """Which of these traces are closed and have more than ``than`` spans."""

    def mark_emitted(self, cluster: str, target: str, trace_ids: Sequence[str], at: int) -> None:
        """Record that ``target`` accepted these traces completely at ``at`` (ns). Durable on return."""

    def mark_failed(
        self, cluster: str, target: str, trace_ids: Sequence[str], at: int, reason: str, rejected: bool
    ) -> None:
        """Record that ``target`` did not accept these traces. If ``rejected``, they are not offered again."""


class ExportResult(msgspec.Struct, frozen=True):
    """The result of one call. Traces in neither ``accepted`` nor ``rejected`` have to be sent again."""

    accepted: list[str] = []
    """Ids of the traces that the receiver has completely."""
    rejected: dict[str, str] = {}
    """Trace id → reason, for traces that the receiver will never accept."""
    reason: str = ""
    """Why the others were not accepted; empty if there are no others."""
    retry_after: float = 0.0
    """Seconds that the receiver asks to wait."""


class TraceExporter(Protocol):
    """Delivers whole traces to one target."""

    def export(self, traces: Sequence[TraceSpans]) -> ExportResult:
        """Deliver the traces in order. The receiver has an ``accepted`` trace on return (a file: on the disk)."""

    def close(self) -> None:
        """Close connections and files. A closed exporter is not used again."""


class ExportReport(msgspec.Struct, frozen=True):
    """Counts of one round of exporting."""

    traces: int = 0
    """Accepted by the receiver."""
    spans: int = 0
    """In the accepted traces."""
    failed: int = 0
    """Traces that have to be sent again."""
    rejected: int = 0
    """Traces that the receiver will never accept."""
    reason: str = ""
    """Why traces failed; empty if none did."""
    retry_after: float = 0.0
    """Seconds that the receiver asks to wait."""


class ExportQueue:
    """The closed traces of a cluster that wait for one target.

    Args:
        cluster: the cluster's uid.
        target: name of the target, as in the table ``emissions``.
        batch: spans in one call of the exporter (a larger trace is sent alone).
        max_spans: a trace with more spans is summarized (``kspan.emit.summary``); 0: never.
    """

    def __init__(
        self,
        store: TraceStore,
        cluster: str,
        target: str,
        exporter: TraceExporter,
        batch: int = BATCH,
        max_spans: int = 0,
    ) -> None:
        self._store = store
        self._cluster = cluster
        self._target = target
        self._exporter = exporter
        self._batch = batch
        self._max_spans = max_spans
        self._plans: dict[str, Plan] = {}

    def export_pending(self, now: int, limit: int | None = None) -> ExportReport:
        """Export waiting traces, at most ``limit`` (None: all), until the target fails.

        ``now`` (ns) is recorded as the time of the export. Errors of the exporter are in the report, those of the store
        are raised.
        """
        report = ExportReport()
        for traces in self._batches(limit):
            report = _sum(report, self._export(traces, now))
            if report.reason:
                break
        return report

    def close(self) -> None:
        """Close the exporter."""
        self._exporter.close()

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

    def _export(self, traces: list[TraceRow], now: int) -> ExportReport:
        spans = self._spans_of(traces)
        result = self._call([(trace, spans[trace.trace_id]) for trace in traces])
        done = {*result.accepted, *result.rejected}
        failed = [trace.trace_id for trace in traces if trace.trace_id not in done]
        self._mark(result, failed, now)
        return ExportReport(
            traces=len(result.accepted),
            spans=sum(len(spans[trace_id]) for trace_id in result.accepted),
            failed=len(failed),
            rejected=len(result.rejected),
            reason=result.reason,
            retry_after=result.retry_after,
        )

    def _spans_of(self, traces: Sequence[TraceRow]) -> dict[str, list[SpanRow]]:
        spans: dict[str, list[SpanRow]] = defaultdict(list)
        large = [trace.trace_id for trace in traces if self._is_large(trace)]
        for span in self._store.spans_of(self._cluster, [t.trace_id for t in traces if t.trace_id not in large]):
            spans[span.trace_id].append(span)
        for trace in large:
            plan = self._plan(trace)
            spans[trace] = summarized(self._store.spans_among(self._cluster, trace, plan.sent), plan)
        self._redirect_links(spans)
        for trace, rows in spans.items():
            # The same rows must give the same bytes, whatever order the database returns them in.
            rows.sort(key=lambda row: (row.start_time, row.span_id))
            if self._max_spans:
                spans[trace] = shortened(rows)
        return spans

    def _is_large(self, trace: TraceRow) -> bool:
        return 0 < self._max_spans < trace.span_count

    def _plan(self, trace: str) -> Plan:
        """How a large trace is summarized. It stays the same, because a closed trace does."""
        plan = self._plans.pop(trace, None) or make_plan(self._store.outlines_of(self._cluster, trace), self._max_spans)
        self._plans[trace] = plan
        if len(self._plans) > _PLANS_KEPT:
            del self._plans[next(iter(self._plans))]
        return plan

    def _redirect_links(self, spans: dict[str, list[SpanRow]]) -> None:
        """Let links to spans of large traces that are not sent point to those that stand for them."""
        linked = {link.trace_id for rows in spans.values() for row in rows for link in row.links}
        if not linked or not self._max_spans:
            return
        plans = {
            trace: self._plan(trace) for trace in self._store.larger_traces(self._cluster, linked, self._max_spans)
        }
        for rows in spans.values() if plans else ():
            rows[:] = [redirected(row, plans) if row.links else row for row in rows]

    def _call(self, traces: list[TraceSpans]) -> ExportResult:
        try:
            return self._exporter.export(traces)
        except Exception as error:
            # Exporters use other people's code (HTTP, gRPC, terminals). Whatever they raise, the traces are still here.
            return ExportResult(reason=f"{type(error).__name__}: {error}")

    def _mark(self, result: ExportResult, failed: list[str], now: int) -> None:
        if result.accepted:
            self._store.mark_emitted(self._cluster, self._target, result.accepted, now)
        for trace_id, reason in result.rejected.items():
            self._store.mark_failed(self._cluster, self._target, [trace_id], now, reason, True)
        if failed:
            self._store.mark_failed(self._cluster, self._target, failed, now, result.reason, False)


def _by_size(traces: Sequence[TraceRow], batch: int) -> Iterator[list[TraceRow]]:
    """Runs of traces with at most ``batch`` spans in total, or of one larger trace."""
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


def _sum(total: ExportReport, latest: ExportReport) -> ExportReport:
    return ExportReport(
        traces=total.traces + latest.traces,
        spans=total.spans + latest.spans,
        failed=total.failed + latest.failed,
        rejected=total.rejected + latest.rejected,
        reason=latest.reason,
        retry_after=latest.retry_after,
    )
