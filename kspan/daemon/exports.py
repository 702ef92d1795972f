"""Emission from the daemon: each target by itself, tried again for as long as it takes."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

from kspan.daemon.metrics import Metrics
from kspan.emit.emitter import EmitReport, Emitter
from kspan.emit.otel_spans import ClusterIdentity
from kspan.emit.targets import ExportTarget, open_sink
from kspan.errors import FencedError, StoreError
from kspan.store import Store

_logger = logging.getLogger(__name__)

BACKOFF_FIRST: Final = 2.0
BACKOFF_MOST: Final = 60.0
"""Seconds between two tries. A receiver that is back gets its traces within the second."""

ROUND: Final = 2_000
"""Traces in one round; between two of them there is a look at whether to stop."""


class Export:
    """Brings a cluster's closed traces to one target. Safe to use from several threads.

    ``monotonic`` (seconds) measures the waiting after a failure.
    """

    def __init__(
        self, emitter: Emitter, target: str, metrics: Metrics, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self.target = target
        self._emitter = emitter
        self._metrics = metrics
        self._monotonic = monotonic
        self._turn = threading.Lock()
        self._stopping = False
        self._wait = 0.0
        self._not_before = 0.0
        self._trouble = ""
        metrics.register_target(target)

    def run(self, now: int) -> None:
        """Send what waits, unless the last try failed and it is too early for another. ``now`` is Unix ns."""
        if not self._turn.acquire(blocking=False):
            return
        try:
            if not self._stopping and self._monotonic() >= self._not_before:
                self._rounds(now)
        finally:
            self._turn.release()

    def finish(self, now: int, timeout: float) -> bool:
        """One last try, after one that is under way has ended; whether it came to an end within ``timeout`` seconds."""
        self._stopping = True
        began = self._monotonic()
        if not self._turn.acquire(timeout=max(0.0, timeout)):
            return False
        # The lock is never given back: a job that comes later finds it taken.
        done = threading.Event()

        def try_once() -> None:
            try:
                self._round(now)
                self._emitter.close()
            finally:
                done.set()

        threading.Thread(target=try_once, name=f"last export to {self.target}", daemon=True).start()
        return done.wait(max(0.0, timeout - (self._monotonic() - began)))

    def _rounds(self, now: int) -> None:
        while not self._stopping and self._round(now) >= ROUND:
            pass

    def _round(self, now: int) -> int:
        """How many traces were dealt with; 0 after trouble."""
        try:
            report = self._emitter.emit_pending(now, limit=ROUND)
        except FencedError:
            if not self._stopping:
                raise
            return 0
        except StoreError as error:
            self._metrics.export_failed(self.target)
            self._postpone(str(error))
            return 0
        self._metrics.emitted(self.target, report)
        return self._settle(report)

    def _settle(self, report: EmitReport) -> int:
        if report.reason:
            # The emitter has told of it.
            self._delay(report.retry_after)
            return 0
        self._wait = self._not_before = 0.0
        self._trouble = ""
        return report.traces + report.rejected

    def _postpone(self, problem: str) -> None:
        if problem != self._trouble:
            _logger.warning("traces wait: %s", problem, extra={"target": self.target})
        self._trouble = problem
        self._delay()

    def _delay(self, at_least: float = 0.0) -> None:
        """Wait, twice as long as the last time; ``at_least`` (s) is what the receiver asked for."""
        self._wait = min(BACKOFF_MOST, self._wait * 2 or BACKOFF_FIRST)
        self._not_before = self._monotonic() + max(self._wait, at_least)


def open_exports(
    store: Store, cluster: str, cluster_name: str, targets: Sequence[ExportTarget], metrics: Metrics
) -> list[Export]:
    """The exports to these targets (none for ``none``). Raises ExportError and SettingsError."""
    exports = []
    for target in targets:
        sink = open_sink(target, ClusterIdentity(cluster, cluster_name))
        if sink is not None:
            exports.append(Export(Emitter(store, cluster, target.name, sink), target.name, metrics))
    return exports


def finish_all(exports: Sequence[Export], now: int, timeout: float) -> bool:
    """One last try of each, side by side; whether all came to an end within ``timeout`` seconds."""
    done: list[bool] = []
    threads = [
        threading.Thread(target=lambda e=export: done.append(e.finish(now, timeout)), name="last export", daemon=True)
        for export in exports
    ]
    deadline = time.monotonic() + timeout
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline + 0.2 - time.monotonic()))
    return len(done) == len(exports) and all(done)
