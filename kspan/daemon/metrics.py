"""The metrics of one daemon, in Prometheus' format."""

from collections import Counter as Tally
from collections.abc import Callable, Sequence

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.exposition import choose_encoder

from kspan import __version__
from kspan.emit.export_queue import ExportReport
from kspan.k8s.events_api import EVENTS
from kspan.k8s.objects import decode_event
from kspan.model import LogRecord, RecordType
from kspan.times import SECOND, parse_time_or_zero

# The creation time of each counter would double the number of lines.
disable_created_metrics()  # type: ignore[no-untyped-call]


# From the fsync of a small commit to the busy timeout of SQLite.
_COMMIT_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
# Event times are often whole seconds. Events of a busy cluster arrive more than a minute late.
_LAG_BUCKETS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900)


class Metrics:
    """The metrics of one daemon, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        Info("kspan_build", "Version of kspan.", registry=registry).info({"version": __version__})
        self._records = Counter("kspan_records", "Records appended to the journal.", ["type"], registry=registry)
        for kind in RecordType:
            self._records.labels(kind.value)  # rate() needs the initial zero.
        self._commit = Histogram(
            "kspan_commit_seconds",
            "Seconds to write a batch until it is durable.",
            buckets=_COMMIT_BUCKETS,
            registry=registry,
        )
        self._lag = Histogram(
            "kspan_event_lag_seconds",
            "Seconds from the time in an Event to its commit, for the newest Event of each commit.",
            buckets=_LAG_BUCKETS,
            registry=registry,
        )
        self.failed_commits = Counter(
            "kspan_failed_commits", "Attempts to commit that failed; each is retried.", registry=registry
        )
        self.skipped = Counter(
            "kspan_skipped_objects",
            "Objects that were not journalled because they are invalid or the database rejects them.",
            ["resource"],
            registry=registry,
        )
        self._gaps = Counter(
            "kspan_gaps", "Gaps in which changes of a resource may have been missed.", ["resource"], registry=registry
        )
        self._queue_length = Gauge("kspan_queue_length", "Frames waiting for the writer.", registry=registry)
        self._queue_bytes = Gauge("kspan_queue_bytes", "Bytes of the frames waiting for the writer.", registry=registry)
        self.open_traces = Gauge("kspan_open_traces", "Traces that are not closed.", registry=registry)
        self.pending = Gauge("kspan_pending_occurrences", "Occurrences whose cause is not decided.", registry=registry)
        self._spans = Counter("kspan_emitted_spans", "Spans that a target accepted.", ["target"], registry=registry)
        self._traces = Counter("kspan_emitted_traces", "Traces that a target accepted.", ["target"], registry=registry)
        self._rejected = Counter(
            "kspan_rejected_traces",
            "Traces that a target rejected; they are not sent again.",
            ["target"],
            registry=registry,
        )
        self._failed = Counter(
            "kspan_failed_exports", "Rounds of exporting that failed; they are retried.", ["target"], registry=registry
        )
        self._restarts = Counter(
            "kspan_watch_restarts",
            "Watches that ended and were started again.",
            ["resource", "reason"],
            registry=registry,
        )
        self.reopened_watches = Counter(
            "kspan_watch_reopened",
            "Watches that were silent for too long and were opened again, by reason.",
            ["resource", "reason"],
            registry=registry,
        )
        self._connected = Gauge(
            "kspan_watch_connected", "1 if the watch of a resource is running, else 0.", ["resource"], registry=registry
        )
        self.invalid_contexts = Counter(
            "kspan_invalid_trace_contexts",
            "Invalid trace contexts in annotations; they are ignored.",
            registry=registry,
        )
        self.pruned = Counter(
            "kspan_pruned_records", "Records deleted from the journal because of their age.", registry=registry
        )

    def observe_queue(self, length: Callable[[], int], size: Callable[[], int]) -> None:
        """Report the queue's length and bytes, read from these functions."""
        self._queue_length.set_function(length)
        self._queue_bytes.set_function(size)

    def register_target(self, target: str) -> None:
        """Report a target's counters before anything is sent: rate() needs the initial zero."""
        for counter in (self._spans, self._traces, self._rejected, self._failed):
            counter.labels(target)

    def committed(self, records: Sequence[LogRecord], seconds: float, now: int) -> None:
        """A commit of these records took ``seconds`` and ended at ``now`` (Unix ns)."""
        self._commit.observe(seconds)
        for kind, count in Tally(record.type for record in records).items():
            self._records.labels(kind.value).inc(count)
        for record in records:
            if record.type is RecordType.GAP:
                self._gaps.labels(record.resource).inc()
        # Decoding every Event for its time would cost too much.
        newest = next((r for r in reversed(records) if r.resource == EVENTS and r.type in _NEWS), None)
        if newest is not None and (happened := _event_time(newest.payload)):
            self._lag.observe(max(0.0, (now - happened) / SECOND))

    def exported(self, target: str, report: ExportReport) -> None:
        """A round of exporting to a target ended."""
        self._spans.labels(target).inc(report.spans)
        self._traces.labels(target).inc(report.traces)
        self._rejected.labels(target).inc(report.rejected)
        if report.reason:
            self._failed.labels(target).inc()

    def export_failed(self, target: str) -> None:
        """A round of exporting failed before it reached the target."""
        self._failed.labels(target).inc()

    def watch_restarted(self, resource: str, reason: str, *, healthy: bool) -> None:
        """A watch ended and is started again; ``healthy``: it ended by itself after some minutes."""
        self._restarts.labels(resource, reason).inc()
        if not healthy:
            self._connected.labels(resource).set(0)

    def watch_refused(self, resource: str, status: int) -> None:
        """The API server refuses to serve a resource, with this HTTP status."""
        self._restarts.labels(resource, f"refused {status}").inc()
        self._connected.labels(resource).set(0)

    def watch_connected(self, resource: str) -> None:
        """A watch is running."""
        self._connected.labels(resource).set(1)

    def text(self, accept: str = "") -> tuple[bytes, str]:
        """All metrics and their content type: OpenMetrics if the Accept header asks for it, else Prometheus' format."""
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type


_NEWS = (RecordType.ADDED, RecordType.MODIFIED)


def _event_time(payload: bytes) -> int:
    """When an Event last happened (Unix ns); 0 if it has no time."""
    event = decode_event(payload)
    if event is None:
        return 0
    last = event.series.lastObservedTime if event.series else None
    return parse_time_or_zero(last or event.lastTimestamp or event.eventTime)
