"""The scheduler of periodic jobs."""

import threading

from kspan.daemon.scheduler import Scheduler
from kspan.times import SECOND
from tests.daemon.small_cluster import wait_until

NOW = 1_800_000_000 * SECOND


def test_a_job_that_hangs_is_not_started_twice_and_does_not_delay_others() -> None:
    schedule, hang = Scheduler(lambda: NOW), threading.Event()
    started: list[int] = []
    ticks: list[int] = []

    def wait(now: int) -> None:
        started.append(now)
        hang.wait()

    schedule.every(0.05, "hang", wait)
    schedule.every(0.05, "tick", ticks.append)
    schedule.start()
    wait_until(lambda: len(ticks) >= 5)
    schedule.stop()
    hang.set()
    assert started == [NOW]
    assert set(ticks) == {NOW}
    assert schedule.failure is None


def test_a_job_that_raises_ends_the_schedule() -> None:
    schedule = Scheduler()
    later: list[int] = []

    def fail(now: int) -> None:
        raise LookupError("odd")

    schedule.every(0.05, "odd", fail)
    schedule.start()
    wait_until(lambda: schedule.failure)
    schedule.every(0.05, "later", later.append)
    schedule.stop()
    assert isinstance(schedule.failure, LookupError)
    assert later == []
