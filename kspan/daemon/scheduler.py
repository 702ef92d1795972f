"""What is done again and again: ticks, emission, pruning. The wall clock enters here; state there is none."""

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
"""Seconds by which a job may be late and still run: on a starved machine everything is late."""

Job = Callable[[int], None]
"""What is to be done; it is handed the time (Unix ns)."""


class Scheduler:
    """Jobs at intervals, each by itself: one that hangs is not started twice, and keeps no other waiting.

    A job that raises is the end: ``failure`` holds what it raised, and none is started any more.
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
        """Do it each ``seconds``, the first time after as many."""

        def guarded() -> None:
            if self.failure is not None:
                return
            try:
                job(self._clock())
            except BaseException as error:
                _logger.debug("the job %s failed", name, exc_info=True)
                self.failure = error

        self._scheduler.add_job(guarded, IntervalTrigger(seconds=seconds, timezone=UTC), id=name, name=name)

    def start(self) -> None:
        """Begin."""
        self._scheduler.start()

    def stop(self) -> None:
        """Start nothing more; what is being done goes on. Calling it again does nothing."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)

    def is_alive(self) -> bool:
        """Whether jobs are started."""
        return bool(self._scheduler.running)


class _DaemonExecutor(BasePoolExecutor):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__(_Threads())


class _Threads(concurrent.futures.Executor):
    """A daemon thread for each call: those of a pool are waited for when the process ends, however long they hang."""

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
