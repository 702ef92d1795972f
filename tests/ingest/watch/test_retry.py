"""Decisions after the end of a request or a watch."""

import pytest

from kspan.ingest.watch.retry import Action, Attempt, Ending, Timing, decide

TIMING = Timing()


def delays(ending: Ending, count: int, jitter: float = 0.0) -> list[float]:
    failures, found = 0, []
    for _ in range(count):
        decision = decide(Attempt(ending, 0.1), failures, TIMING, jitter)
        failures = decision.failures
        found.append(decision.delay)
    return found


def test_delays_double_from_one_second_to_thirty() -> None:
    assert delays(Ending.DISCONNECTED, 7) == [1, 2, 4, 8, 16, 30, 30]


def test_jitter_shortens_a_delay_by_up_to_a_half() -> None:
    assert delays(Ending.DISCONNECTED, 7, jitter=1.0) == [0.5, 1, 2, 4, 8, 15, 15]


def test_an_outage_of_months_does_not_overflow() -> None:
    assert decide(Attempt(Ending.DISCONNECTED, 0.1), 10_000_000, TIMING, 0.0).delay == 30


def test_a_failure_after_a_healthy_time_counts_as_the_first() -> None:
    assert decide(Attempt(Ending.DISCONNECTED, 61.0), 20, TIMING, 0.0).delay == 1


def test_a_watch_that_reached_its_timeout_is_resumed_at_once() -> None:
    decision = decide(Attempt(Ending.TIMEOUT, 300.0), 4, TIMING, 0.0)
    assert (decision.action, decision.delay, decision.failures) == (Action.RESUME, 0.0, 0)


def test_a_watch_that_ends_at_once_counts_as_failed_unless_it_had_news() -> None:
    assert delays(Ending.TIMEOUT, 3) == [1, 2, 4]
    assert decide(Attempt(Ending.TIMEOUT, 0.1, news=1), 2, TIMING, 0.0).delay == 0


@pytest.mark.parametrize("ending", [Ending.THROTTLED, Ending.SERVER_ERROR])
def test_retry_after_is_respected_up_to_a_limit(ending: Ending) -> None:
    assert decide(Attempt(ending, 0.1, retry_after=17.0), 0, TIMING, 0.5).delay == 17
    assert decide(Attempt(ending, 0.1, retry_after=1.0), 5, TIMING, 0.0).delay == 30
    assert decide(Attempt(ending, 0.1, retry_after=1e9), 0, TIMING, 0.0).delay == 300


def test_gone_needs_a_list_and_has_the_usual_delays() -> None:
    assert decide(Attempt(Ending.GONE, 0.1), 0, TIMING, 0.0).action is Action.RELIST
    assert delays(Ending.GONE, 4) == [1, 2, 4, 8]


def test_the_third_error_frame_in_a_row_needs_a_list() -> None:
    actions = [decide(Attempt(Ending.ERROR, 0.1), failures, TIMING, 0.0).action for failures in range(3)]
    assert actions == [Action.RESUME, Action.RESUME, Action.RELIST]


@pytest.mark.parametrize(
    "watched, expected",
    [
        # An API server that was started just now refuses everything until it knows its roles.
        (True, [1, 2, 4, 8, 16, 30, 30, 30, 30]),
        (False, [5, 10, 20, 40, 80, 160, 320, 600, 600]),
    ],
)
def test_what_was_watched_before_is_retried_soon_although_it_is_refused(watched: bool, expected: list[float]) -> None:
    failures, found = 0, []
    for _ in expected:
        decision = decide(Attempt(Ending.REFUSED, 0.1, watched=watched), failures, TIMING, 0.0)
        assert decision.action is Action.REFUSED
        failures = decision.failures
        found.append(decision.delay)
    assert found == expected


@pytest.mark.parametrize("ending", [ending for ending in Ending if ending is not Ending.TIMEOUT])
def test_no_failure_is_retried_without_a_delay(ending: Ending) -> None:
    assert all(delay >= 0.5 for delay in delays(ending, 50, jitter=1.0))
