"""Exports closed traces while the daemon runs: one job for each target, retried until the target accepts them."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

from kspan.backoff import Backoff
from kspan.daemon.metrics import Metrics
from kspan.emit.export_queue import ExportQueue, ExportReport
from kspan.emit.otel_spans import ClusterIdentity
from kspan.emit.targets import ExportTarget, open_exporter
from kspan.errors import FencedError, StoreError
from kspan.store import Store

_logger = logging.getLogger(__name__)

BACKOFF: Final = Backoff(first=2.0, limit=60.0)
"""Seconds between two attempts. A receiver that is back gets its traces within ``limit``."""

ROUND: Final = 2_000
"""Traces in one round. Between two rounds the job checks whether it has to stop."""


class ExportJob:
    """Exports the closed traces of a cluster to one target. Safe to use from several threads.

    ``monotonic`` (seconds) measures the time since a failure.
    """

    def __init__(
        self, queue: ExportQueue, target: str, metrics: Metrics, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self.target = target
        self._queue = queue
        self._metrics = metrics
        self._monotonic = monotonic
        self._running = threading.Lock()
        self._stopping = False
        self._failures = 0
        self._not_before = 0.0
        self._reason = ""
        """Why the last attempt failed; empty if it succeeded."""
        metrics.register_target(target)

    def run(self, now: int) -> None:
        """Export waiting traces, unless the last attempt failed a short time ago. ``now`` is Unix ns."""
        if not self._running.acquire(blocking=False):
            return
        try:
            if not self._stopping and self._monotonic() >= self._not_before:
                self._export_all(now)
        finally:
            self._running.release()

    def finish(self, now: int, timeout: float) -> bool:
        """Make a last attempt, after the one that is running; True if it ended within ``timeout`` seconds."""
        self._stopping = True
        began = self._monotonic()
        if not self._running.acquire(timeout=max(0.0, timeout)):
            return False
        # The lock is not released: a job that starts later does nothing.
        done = threading.Event()

        def try_once() -> None:
            try:
                self._export_round(now)
                self._queue.close()
            finally:
                done.set()

        threading.Thread(target=try_once, name=f"last export to {self.target}", daemon=True).start()
        return done.wait(max(0.0, timeout - (self._monotonic() - began)))

    def _export_all(self, now: int) -> None:
        while not self._stopping and self._export_round(now) >= ROUND:
            pass

    def _export_round(self, now: int) -> int:
        """Number of traces that were accepted or rejected; 0 after a failure."""
        try:
            report = self._queue.export_pending(now, limit=ROUND)
        except FencedError:
            if not self._stopping:
                raise
            return 0
        except StoreError as error:
            self._metrics.export_failed(self.target)
            self._postpone(str(error))
            return 0
        self._metrics.exported(self.target, report)
        self._log(report)
        if report.reason:
            self._postpone(report.reason, report.retry_after)
            return 0
        self._failures, self._not_before = 0, 0.0
        return report.traces + report.rejected

    def _log(self, report: ExportReport) -> None:
        if report.rejected:
            _logger.warning("%s rejected %d traces; they are not sent again", self.target, report.rejected)
        if self._reason and report.traces and not report.reason:
            _logger.info("%s accepts traces again", self.target)
            self._reason = ""

    def _postpone(self, reason: str, retry_after: float = 0.0) -> None:
        """Wait before the next attempt, at least ``retry_after`` seconds."""
        self._failures += 1
        self._not_before = self._monotonic() + max(BACKOFF.delay(self._failures), retry_after)
        if reason != self._reason:
            _logger.warning("export to %s failing, will retry: %s", self.target, reason)
        self._reason = reason


def open_export_jobs(
    store: Store,
    cluster: str,
    cluster_name: str,
    targets: Sequence[ExportTarget],
    metrics: Metrics,
    max_trace_spans: int = 0,
) -> list[ExportJob]:
    """The jobs for these targets (there is none for ``none``). Raises ExportError and SettingsError."""
    jobs = []
    for target in targets:
        exporter = open_exporter(target, ClusterIdentity(cluster, cluster_name))
        if exporter is not None:
            queue = ExportQueue(store, cluster, target.name, exporter, max_spans=max_trace_spans)
            jobs.append(ExportJob(queue, target.name, metrics))
    return jobs


def finish_all(jobs: Sequence[ExportJob], now: int, timeout: float) -> bool:
    """Make a last attempt of each job, in parallel; True if all ended within ``timeout`` seconds."""
    done: list[bool] = []
    threads = [
        threading.Thread(target=lambda j=job: done.append(j.finish(now, timeout)), name="last export", daemon=True)
        for job in jobs
    ]
    deadline = time.monotonic() + timeout
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline + 0.2 - time.monotonic()))
    return len(done) == len(jobs) and all(done)
