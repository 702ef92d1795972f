"""One cluster's daemon: watches, writer, schedule and exports as one set of parts."""

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
from kspan.settings import FoldSettings
from kspan.store import Store
from kspan.store.tables.retention import prune
from kspan.times import SECOND
from kspan.web.server import DEFAULT_LISTEN

_logger = logging.getLogger(__name__)


LEAD_S: Final = 1.0
"""Seconds between two looks at who may write to the cluster: so long a daemon that died is missed."""


DAY: Final = 86_400 * SECOND


_HEALTHY_END: Final = "timeout"


class Options(msgspec.Struct, frozen=True):
    """How the daemon runs. ``retention`` in ns (0: everything is kept); intervals in seconds."""

    listen: str = DEFAULT_LISTEN
    cluster: str = ""
    cluster_name: str = ""
    retention: int = 7 * DAY
    redact_env: bool = True
    tick_s: float = 1.0
    emit_s: float = 2.0
    prune_s: float = 600.0
    settings: FoldSettings = FoldSettings()


class Watching(Protocol):
    """What the daemon needs of a watcher."""

    failure: BaseException | None

    def start(self) -> None:
        """Begin."""

    def stop(self) -> None:
        """End soon."""

    def join(self, timeout: float) -> bool:
        """Wait for the end, at most ``timeout`` seconds."""

    def synced(self) -> bool:
        """Whether everything was listed, is resumed or cannot be."""

    def awaited(self) -> list[str]:
        """The resources that are not listed yet, as far as they are known."""


MakeWatcher = Callable[[Callable[[Frame], None], Mapping[str, Cursor], "WatchEvents"], Watching]


class WatchEvents:
    """Takes what becomes of the watches to the metrics and to the watermark of time."""

    def __init__(self, metrics: Metrics, watermark: Watermark, clock: Callable[[], int]) -> None:
        self._metrics = metrics
        self._watermark = watermark
        self._clock = clock

    def restarted(self, resource: str, reason: str) -> None:
        """A watch ended and is begun again."""
        self._metrics.watch_restarted(resource, reason, healthy=reason == _HEALTHY_END)
        if reason != _HEALTHY_END:
            self._watermark.disconnected(resource, self._clock())

    def connected(self, resource: str) -> None:
        """A watch is on its way."""
        self._metrics.watch_connected(resource)
        self._watermark.connected(resource, self._clock())

    def refused(self, resource: str, status: int) -> None:
        """A resource cannot be watched."""
        self._metrics.watch_refused(resource, status)
        self._watermark.removed(resource)


class Daemon:
    """All the parts, for one cluster. ``fail`` of a part is the end of all."""

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
        self.writer = Writer(
            store, cluster, rules, options.settings,
            metrics=metrics, watermark=self._watermark, redact_env=options.redact_env, clock=clock,
        )  # fmt: skip
        self._exports = exports
        self._schedule = self._planned()
        observer = WatchEvents(metrics, self._watermark, clock)
        self._watcher = make_watcher(self._deliver, store.cursors(cluster), observer)

    def _planned(self) -> Scheduler:
        schedule = Scheduler(self._clock)
        schedule.every(self._options.tick_s, "tick", self._tick)
        schedule.every(LEAD_S, "leadership", self._stay_leader)
        for export in self._exports:
            schedule.every(self._options.emit_s, f"export to {export.target}", export.run)
        if self._options.retention:
            schedule.every(self._options.prune_s, "prune", self._prune)
        return schedule

    def start(self) -> None:
        """Begin to write, to watch and to emit."""
        self.writer.start()
        self._schedule.start()
        self._watcher.start()
        self._started = True

    def failures(self) -> Iterator[tuple[str, BaseException | None]]:
        """The parts that died, and of what."""
        if self.writer.failure is not None or not self.writer.is_alive():
            yield "the writer", self.writer.failure
        if self._watcher.failure is not None:
            yield "a watch", self._watcher.failure
        if self._schedule.failure is not None or not self._schedule.is_alive():
            yield "the schedule", self._schedule.failure

    def problems(self) -> list[str]:
        """Why the daemon is not ready, a line each."""
        found = []
        if not self._is_synced():
            missing = ", ".join(self._watcher.awaited()) or "what the API server has"
            found.append(f"watches: not listed yet: {missing}")
        if self.writer.error:
            found.append(f"database: {self.writer.error}")
        if self.writer.queue.blocked:
            found.append(f"queue: full with {len(self.writer.queue)} frames, {self.writer.queue.blocked} watches wait")
        return found

    def stop(self, deadline: float) -> None:
        """End the watches, commit what was delivered, emit once more, by ``deadline`` (monotonic seconds)."""

        def left(share: float) -> float:
            return max(0.05, (deadline - time.monotonic()) * share)

        self._schedule.stop()
        self._watcher.stop()
        # A watch that waits for room in the queue is turned away when the writer takes in nothing more.
        if not self._watcher.join(left(0.2)):
            _logger.debug("some watches have not ended yet")
        if not self.writer.stop(left(0.5)):
            _logger.warning("not everything that was received could be committed: it will be read again")
        self._watcher.join(left(0.1))
        if not finish_all(self._exports, self._clock(), left(0.9)):
            _logger.warning("a target did not answer in time: what it did not take is sent again after the next start")

    # -----------------------------------------------------------------------------------------------------------------

    def _deliver(self, frame: Frame) -> None:
        if frame.type in _FROM_A_WATCH:
            self._watermark.received(frame.received)
            if self._watermark.is_disconnected(frame.resource):
                self._watermark.connected(frame.resource, self._clock())
        self.writer.deliver(frame)

    def _is_synced(self) -> bool:
        # A watcher in which nothing was begun yet has nothing that is missing.
        return self._started and self._watcher.synced()

    def _tick(self, now: int) -> None:
        if not self._synced and self._is_synced():
            self._synced = True
            _logger.info("every resource is watched")
            self._watermark.synced(now)
        self.writer.tick(now)

    def _stay_leader(self, _now: int) -> None:
        # The writer tells of a database that is away; that another has taken over is the end.
        with suppress(StoreError):
            self._store.lead(self._cluster)

    def _prune(self, now: int) -> None:
        targets = [export.target for export in self._exports]
        try:
            gone = prune(self._store, self._cluster, now - self._options.retention, targets)
        except StoreError as error:
            _logger.warning("cannot prune, trying again later: %s", error)
            return
        self._metrics.pruned.inc(gone.records)
        for target, count in gone.waiting.items():
            _logger.warning(
                "%d traces are older than the retention and are kept, with everything since, until they are taken",
                count,
                extra={"target": target},
            )
        if gone.records or gone.traces:
            _logger.info("pruned %d records, %d traces, %d objects", gone.records, gone.traces, gone.objects)


_FROM_A_WATCH = frozenset({FrameType.ADDED, FrameType.MODIFIED, FrameType.DELETED})
