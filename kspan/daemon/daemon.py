"""The daemon for one cluster: watches, writer, scheduler and export jobs as one set of parts."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Final, Protocol

import msgspec

from kspan.daemon.exports import ExportJob, finish_all
from kspan.daemon.metrics import Metrics
from kspan.daemon.scheduler import Scheduler
from kspan.daemon.watermark import Watermark
from kspan.daemon.writer import Writer
from kspan.errors import StoreError
from kspan.graph import Rules
from kspan.ingest.frames import Frame, FrameType
from kspan.model import Cursor
from kspan.settings import MAX_TRACE_SPANS, FoldSettings
from kspan.store import Store
from kspan.store.tables.retention import prune
from kspan.times import SECOND
from kspan.web.apart.process import Program
from kspan.web.guard import Access
from kspan.web.server import DEFAULT_LISTEN
from kspan.web.tls import CertificateFiles

_logger = logging.getLogger(__name__)


LEAD_S: Final = 1.0
"""Seconds between two checks of the leadership: a daemon that died is replaced within this time."""


DAY: Final = 86_400 * SECOND


_HEALTHY_END: Final = "timeout"

_CHANGES: Final = frozenset({FrameType.ADDED, FrameType.MODIFIED, FrameType.DELETED})


class Options(msgspec.Struct, frozen=True):
    """How the daemon runs. Names that end in ``_s`` are intervals in seconds."""

    listen: str = DEFAULT_LISTEN
    access: Access = Access(hosts=None)
    tls: CertificateFiles | None = None
    answering: Program | None = None
    """The program that answers questions to the history; None: only health and metrics are served."""
    cluster: str = ""
    """uid of the cluster; empty: read it from the API server."""
    cluster_name: str = ""
    max_trace_spans: int = MAX_TRACE_SPANS
    """Spans of a trace above which it is exported with summaries; 0: never."""
    retention: int = 7 * DAY
    """Age (ns) at which history is deleted; 0: never."""
    redact_env: bool = True
    tick_s: float = 1.0
    export_s: float = 2.0
    prune_s: float = 600.0
    settings: FoldSettings = FoldSettings()


class Watching(Protocol):
    """The part of a watcher that the daemon uses."""

    failure: BaseException | None

    def start(self) -> None:
        """Start watching."""

    def stop(self) -> None:
        """Ask all watches to end."""

    def join(self, timeout: float) -> bool:
        """Wait for the end of all watches, at most ``timeout`` seconds; True if they ended."""

    def synced(self) -> bool:
        """True once every resource is listed, resumed, or found to be unavailable."""

    def awaited(self) -> list[str]:
        """The known resources that are not listed yet."""

    def lost(self) -> list[str]:
        """The resources that were watched before, and are not at the moment."""

    def unwatched(self) -> list[str]:
        """The selected resources that the API server refuses or does not have."""

    def watches_nothing(self) -> bool:
        """True if no resource is watched."""

    def watched(self) -> tuple[int, int]:
        """How many resources are watched, and how many should be."""


MakeWatcher = Callable[[Callable[[Frame], None], Mapping[str, Cursor], "WatchEvents"], Watching]


class WatchEvents:
    """Forwards events of watches to the metrics and to the watermark."""

    def __init__(self, metrics: Metrics, watermark: Watermark, clock: Callable[[], int]) -> None:
        self._metrics = metrics
        self._watermark = watermark
        self._clock = clock

    def restarted(self, resource: str, reason: str) -> None:
        """A watch ended and is started again."""
        self._metrics.watch_restarted(resource, reason, healthy=reason == _HEALTHY_END)
        # A watch that ended by itself is open again at once, unless the API server does not answer.
        self._watermark.disconnected(resource, self._clock())

    def connected(self, resource: str) -> None:
        """A watch is running."""
        self._metrics.watch_connected(resource)
        self._watermark.connected(resource, self._clock())

    def doubted(self, resource: str, reason: str) -> None:
        """A watch was silent and is opened again."""
        self._metrics.reopened_watches.labels(resource, reason).inc()
        self._watermark.doubted(resource, self._clock())

    def refused(self, resource: str, status: int) -> None:
        """A resource cannot be watched."""
        self._metrics.watch_refused(resource, status)
        # What was watched before may be back soon: an API server that has just been started refuses everything.
        if not self._watermark.is_disconnected(resource):
            self._watermark.removed(resource)


class Daemon:
    """All parts for one cluster. If one of them fails, all have to be stopped."""

    def __init__(
        self,
        store: Store,
        cluster: str,
        rules: Rules,
        exports: Sequence[ExportJob],
        options: Options,
        metrics: Metrics,
        make_watcher: MakeWatcher,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._clock = clock
        self._store = store
        self._cluster = cluster
        self._options = options
        self._metrics = metrics
        self._watermark = Watermark(options.settings.hold)
        self._started = False
        self._synced = False
        self._is_named = False
        self.writer = Writer(
            store, cluster, rules, options.settings,
            metrics=metrics, watermark=self._watermark, redact_env=options.redact_env, clock=clock,
        )  # fmt: skip
        self._exports = exports
        self._scheduler = self._scheduled_jobs()
        events = WatchEvents(metrics, self._watermark, clock)
        self._watcher = make_watcher(self._deliver, store.cursors(cluster), events)

    def _scheduled_jobs(self) -> Scheduler:
        scheduler = Scheduler(self._clock)
        scheduler.every(self._options.tick_s, "tick", self._tick)
        scheduler.every(LEAD_S, "leadership", self._stay_leader)
        for export in self._exports:
            scheduler.every(self._options.export_s, f"export to {export.target}", export.run)
        if self._options.retention:
            scheduler.every(self._options.prune_s, "prune", self._prune)
        return scheduler

    def start(self) -> None:
        """Start writing, watching and exporting."""
        self.writer.start()
        self._scheduler.start()
        self._watcher.start()
        self._started = True

    def failures(self) -> Iterator[tuple[str, BaseException | None]]:
        """The parts that died, each with its error."""
        if self.writer.failure is not None or not self.writer.is_alive():
            yield "the writer", self.writer.failure
        if self._watcher.failure is not None:
            yield "a watch", self._watcher.failure
        if self._scheduler.failure is not None or not self._scheduler.is_alive():
            yield "the scheduler", self._scheduler.failure

    def watched(self) -> tuple[int, int]:
        """How many resources are watched, and how many should be."""
        return self._watcher.watched()

    def problems(self) -> list[str]:
        """Why the daemon is not ready, one line each."""
        found = []
        if not self._is_synced():
            missing = ", ".join(self._watcher.awaited()) or "the API server's resources"
            found.append(f"watches: not listed yet: {missing}")
        elif self._watcher.watches_nothing():
            found.append(f"watches: nothing is watched; refused or unknown: {', '.join(self._watcher.unwatched())}")
        elif lost := self._watcher.lost():
            found.append(f"watches: not watched at the moment: {', '.join(lost)}")
        if self.writer.error:
            found.append(f"database: {self.writer.error}")
        if self.writer.queue.blocked:
            found.append(f"queue: full with {len(self.writer.queue)} frames, {self.writer.queue.blocked} watches wait")
        return found

    def stop(self, deadline: float) -> None:
        """End the watches, commit all frames and export once more, by ``deadline`` (monotonic seconds)."""

        def left(share: float) -> float:
            return max(0.05, (deadline - time.monotonic()) * share)

        self._scheduler.stop()
        self._watcher.stop()
        # A watch that waits for room in the queue ends when the writer accepts no more frames.
        if not self._watcher.join(left(0.2)):
            _logger.debug("some watches have not ended yet")
        if not self.writer.stop(left(0.5)):
            _logger.warning("not everything received could be committed: it is read again at the next start")
        self._watcher.join(left(0.1))
        if not finish_all(self._exports, self._clock(), left(0.9)):
            _logger.warning("a target did not answer in time: traces it did not accept are sent at the next start")

    # -----------------------------------------------------------------------------------------------------------------

    def _deliver(self, frame: Frame) -> None:
        if frame.type in _CHANGES:
            self._watermark.received(frame.received)
            if self._watermark.is_disconnected(frame.resource):
                self._watermark.connected(frame.resource, self._clock())
        self.writer.deliver(frame)

    def _is_synced(self) -> bool:
        # Before it is started, a watcher awaits nothing.
        return self._started and self._watcher.synced()

    def _tick(self, now: int) -> None:
        if not self._synced and self._is_synced():
            self._synced = True
            unwatched = self._watcher.unwatched()
            if unwatched:
                _logger.warning("listed and watched, except what is refused or unknown: %s", ", ".join(unwatched))
            else:
                _logger.info("all resources are listed and watched")
            self._watermark.synced(now)
        self.writer.tick(now)

    def _stay_leader(self, _now: int) -> None:
        # The writer reports a database that is away. FencedError ends the daemon: another process has taken over.
        with suppress(StoreError):
            self._store.lead(self._cluster)
            if not self._is_named:
                self._store.name_cluster(self._cluster, self._options.cluster_name)
                self._is_named = True

    def _prune(self, now: int) -> None:
        targets = [export.target for export in self._exports]
        try:
            pruned = prune(self._store, self._cluster, now - self._options.retention, targets)
        except StoreError as error:
            _logger.warning("cannot prune, will retry: %s", error)
            return
        self._metrics.pruned.inc(pruned.records)
        for target, count in pruned.waiting.items():
            _logger.warning(
                "%d traces are older than the retention but not exported yet; they and all newer history are kept",
                count,
                extra={"target": target},
            )
        if pruned.records or pruned.traces:
            _logger.info("pruned %d records, %d traces, %d objects", pruned.records, pruned.traces, pruned.objects)
