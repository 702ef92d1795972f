"""What Prometheus is told. Units are in the names, as its conventions want them."""

from collections import Counter as Tally
from collections.abc import Callable, Sequence

import msgspec
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from kspan import __version__
from kspan.emit.export_queue import ExportReport
from kspan.model import LogRecord, RecordType
from kspan.times import SECOND, parse_time_or_zero

# When each counter was made: as many lines again, and nobody asks.
disable_created_metrics()  # type: ignore[no-untyped-call]

CONTENT_TYPE = CONTENT_TYPE_LATEST

# From the fsync of a small commit to SQLite's busy timeout.
_COMMIT_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
# Event times are often whole seconds; a busy cluster's Events come more than a minute late.
_LAG_BUCKETS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900)


class Metrics:
    """The figures of one daemon, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        Info("kspan_build", "What is running.", registry=registry).info({"version": __version__})
        self._records = Counter("kspan_records", "Records appended to the journal.", ["type"], registry=registry)
        for kind in RecordType:
            self._records.labels(kind.value)  # A rate needs the zero.
        self._commit = Histogram(
            "kspan_commit_seconds", "Seconds to fold and commit a batch.", buckets=_COMMIT_BUCKETS, registry=registry
        )
        self._lag = Histogram(
            "kspan_event_lag_seconds",
            "Seconds from an Event's own time to its commit (the newest Event of each commit).",
            buckets=_LAG_BUCKETS,
            registry=registry,
        )
        self.failed_commits = Counter("kspan_failed_commits", "Commits that the database refused.", registry=registry)
        self.skipped = Counter(
            "kspan_skipped_objects", "Objects that could not be journalled.", ["resource"], registry=registry
        )
        self._gaps = Counter(
            "kspan_gaps", "Times that changes of a resource may have been missed.", ["resource"], registry=registry
        )
        self._queue_length = Gauge("kspan_queue_length", "Frames that wait for the writer.", registry=registry)
        self._queue_bytes = Gauge("kspan_queue_bytes", "Bytes of the frames that wait.", registry=registry)
        self.open_traces = Gauge("kspan_open_traces", "Traces that are not resolved.", registry=registry)
        self.pending = Gauge("kspan_pending_occurrences", "Occurrences whose cause is open.", registry=registry)
        self._spans = Counter("kspan_emitted_spans", "Spans that a target took.", ["target"], registry=registry)
        self._traces = Counter("kspan_emitted_traces", "Traces that a target took.", ["target"], registry=registry)
        self._rejected = Counter(
            "kspan_rejected_traces", "Traces that a target refused for good.", ["target"], registry=registry
        )
        self._failed = Counter(
            "kspan_failed_exports", "Rounds of export that failed, to be tried again.", ["target"], registry=registry
        )
        self._restarts = Counter(
            "kspan_watch_restarts", "Watches that were begun again.", ["resource", "reason"], registry=registry
        )
        self._connected = Gauge(
            "kspan_watch_connected", "Whether the watch of a resource is on its way.", ["resource"], registry=registry
        )
        self.invalid_contexts = Counter(
            "kspan_invalid_trace_contexts",
            "Trace contexts in annotations that were none, and ignored.",
            registry=registry,
        )
        self.pruned = Counter("kspan_pruned_records", "Records deleted from the journal by age.", registry=registry)

    def watch_queue(self, length: Callable[[], int], size: Callable[[], int]) -> None:
        """Read the queue's length and bytes from these whenever the metrics are."""
        self._queue_length.set_function(length)
        self._queue_bytes.set_function(size)

    def register_target(self, target: str) -> None:
        """Show a target's counters before anything was sent: a rate needs the zero."""
        for counter in (self._spans, self._traces, self._rejected, self._failed):
            counter.labels(target)

    def committed(self, records: Sequence[LogRecord], seconds: float, now: int) -> None:
        """A commit of these records took so long and ended at ``now`` (ns)."""
        self._commit.observe(seconds)
        for kind, count in Tally(record.type for record in records).items():
            self._records.labels(kind.value).inc(count)
        for record in records:
            if record.type is RecordType.GAP:
                self._gaps.labels(record.resource).inc()
        # Reading the time of every Event would cost more than counting is worth.
        newest = next((r for r in reversed(records) if r.resource == "v1/events" and r.type in _NEWS), None)
        if newest is not None and (happened := _event_time(newest.payload)):
            self._lag.observe(max(0.0, (now - happened) / SECOND))

    def exported(self, target: str, report: ExportReport) -> None:
        """A round of export to a target ended."""
        self._spans.labels(target).inc(report.spans)
        self._traces.labels(target).inc(report.traces)
        self._rejected.labels(target).inc(report.rejected)
        if report.reason:
            self._failed.labels(target).inc()

    def export_failed(self, target: str) -> None:
        """A round of export failed for another reason than the target."""
        self._failed.labels(target).inc()

    def watch_restarted(self, resource: str, reason: str, *, healthy: bool) -> None:
        """A watch ended (``healthy``: as it should, after some minutes) and is begun again."""
        self._restarts.labels(resource, reason).inc()
        if not healthy:
            self._connected.labels(resource).set(0)

    def watch_refused(self, resource: str, status: int) -> None:
        """The API server refuses a resource with this HTTP status."""
        self._restarts.labels(resource, f"refused {status}").inc()
        self._connected.labels(resource).set(0)

    def watch_connected(self, resource: str) -> None:
        """A watch is on its way."""
        self._connected.labels(resource).set(1)

    def text(self) -> bytes:
        """Everything, in Prometheus's text format."""
        return generate_latest(self.registry)


_NEWS = (RecordType.ADDED, RecordType.MODIFIED)


class _Series(msgspec.Struct):
    lastObservedTime: str | None = None


class _Times(msgspec.Struct):
    eventTime: str | None = None
    lastTimestamp: str | None = None
    series: _Series | None = None


_decode_times = msgspec.json.Decoder(_Times).decode


def _event_time(payload: bytes) -> int:
    """When an Event last happened (ns), 0 where it does not say."""
    try:
        times = _decode_times(payload)
    except msgspec.MsgspecError:
        return 0
    last = times.series.lastObservedTime if times.series else None
    return parse_time_or_zero(last or times.lastTimestamp or times.eventTime)
