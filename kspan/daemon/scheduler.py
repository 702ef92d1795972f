"""Periodic jobs (ticks, exports, pruning), driven by the wall clock. Stateless."""

import concurrent.futures
import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC
from typing import Any, Final

from apscheduler.executors.pool import BasePoolExecutor
from apscheduler.jobstores.memory import MemoryJobStore
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.interval import IntervalTrigger

_logger = logging.getLogger(__name__)

GRACE_S: Final = 60
"""Seconds by which a job may be late and still run. On an overloaded machine every job is late."""

Job = Callable[[int], None]
"""Is called with the current time (Unix ns)."""


class Scheduler:
    """Runs jobs at intervals, each in a thread of its own.

    A job that hangs is not started again and does not delay the others. A job that raises an error ends them all:
    ``failure`` is the error, and no job is started any more.
    """

    def __init__(self, clock: Callable[[], int] = time.time_ns) -> None:
        self.failure: BaseException | None = None
        self._clock = clock
        self._scheduler = BackgroundScheduler(
            jobstores={"default": MemoryJobStore()},
            executors={"default": _DaemonExecutor()},
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": GRACE_S},
            timezone=UTC,
        )

    def every(self, seconds: float, name: str, job: Job) -> None:
        """Run a job every ``seconds``; the first time after ``seconds``."""

        def guarded() -> None:
            if self.failure is not None:
                return
            try:
                job(self._clock())
            except BaseException as error:
                _logger.debug("job %s failed", name, exc_info=True)
                self.failure = error

        self._scheduler.add_job(guarded, IntervalTrigger(seconds=seconds, timezone=UTC), id=name, name=name)

    def start(self) -> None:
        """Start running jobs."""
        self._scheduler.start()

    def stop(self) -> None:
        """Start no more jobs; those that are running continue. Calling it again does nothing."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)

    def is_alive(self) -> bool:
        """True while jobs are started."""
        return bool(self._scheduler.running)


class _DaemonExecutor(BasePoolExecutor):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__(_Threads())


class _Threads(concurrent.futures.Executor):
    """A daemon thread for each call. The process would wait for the threads of a pool when it ends, however long."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> concurrent.futures.Future[Any]:
        """Start a thread that calls ``fn``."""
        future: concurrent.futures.Future[Any] = concurrent.futures.Future()

        def run() -> None:
            try:
                future.set_result(fn(*args, **kwargs))
            except BaseException as error:
                future.set_exception(error)

        threading.Thread(target=run, name="job", daemon=True).start()
        return future
