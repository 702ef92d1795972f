"""Which failures an object has after an Event about it. A recovery is at most 300 s old."""

from typing import Any

import pytest

from kspan.graph import built_in_rules
from kspan.graph.observe.failures import FailureObserver
from kspan.graph.state.records import Failure, ObjectState, Occurrence
from kspan.settings import FoldSettings
from kspan.times import SECOND
from tests.graph.making import occurrence, thing

PULL = 'Failed to pull image "app:v1"'


def failure(rule: str = "image-pull", last: float = 95, **more: Any) -> Failure:
    times = {name: int(more.pop(name) * SECOND) for name in ("since", "ended", "heard") if name in more}
    fields: dict[str, Any] = {"since": 90 * SECOND, "patience": 20 * SECOND} | times | more
    return Failure(rule, "Failed", last=int(last * SECOND), **fields)


def event(reason: str, seconds: float = 100, **more: Any) -> Occurrence:
    return occurrence("this", 50, seconds, reason=reason, event_uid="event", **more)


def after(occ: Occurrence, pod: ObjectState, *waiting: Occurrence, now: float = 100) -> tuple[Failure, ...]:
    observer = FailureObserver(built_in_rules().failures, FoldSettings())
    return observer.after_event(occ, pod, int(now * SECOND), waiting)


@pytest.mark.parametrize(
    "before, reason, over",
    [
        (failure(), "Pulled", True),
        (failure(), "Scheduled", False),
        # In the second of its last sign: an image is pulled after it could not be.
        (failure(last=100), "Pulled", True),
        (failure(last=100.1), "Pulled", False),
        # The status knows better.
        (failure(in_status=True), "Pulled", False),
        (failure("crash-loop"), "Pulled", False),
    ],
)
def test_a_failure_that_only_events_show_ends_with_one_that_says_so(
    before: Failure, reason: str, *, over: bool
) -> None:
    (found,) = after(event(reason), thing("pod", failures=(before,)))
    assert found.ended == (100 * SECOND if over else 0)


def test_a_failure_that_ended_keeps_its_time() -> None:
    (found,) = after(event("Pulled"), thing("pod", failures=(failure(ended=97),)))
    assert found.ended == 97 * SECOND


def test_an_event_of_a_failure_begins_it_or_shows_that_it_lasts() -> None:
    sign = event("Failed", 99, message=PULL)
    (first,) = after(sign, thing("pod"))
    assert (first.rule, first.reason) == ("image-pull", "Failed")
    assert (first.since, first.last, first.heard, first.ended) == (100 * SECOND, 99 * SECOND, 100 * SECOND, 0)
    assert (first.patience, first.in_status) == (20 * SECOND, False)
    (again,) = after(sign, thing("pod", failures=(failure(last=95, in_status=True),)))
    assert (again.since, again.last, again.heard, again.in_status) == (90 * SECOND, 99 * SECOND, 100 * SECOND, True)
    (older,) = after(sign, thing("pod", failures=(failure(last=99.5),)))
    assert older.last == int(99.5 * SECOND)


@pytest.mark.parametrize("ended, since", [(40, 90), (39.9, 100)])
def test_a_failure_that_returns_within_a_minute_is_the_same(ended: float, since: float) -> None:
    before = failure(last=30, ended=ended)
    (found,) = after(event("Failed", message=PULL), thing("pod", failures=(before,)))
    assert (found.since, found.ended) == (since * SECOND, 0)


def test_other_failures_stay_for_a_minute_after_their_end_and_all_are_sorted_by_rule() -> None:
    others = (failure("unschedulable"), failure("crash", ended=40), failure("bound", ended=39.9))
    found = after(event("Failed", message=PULL), thing("pod", failures=others))
    assert [one.rule for one in found] == ["crash", "image-pull", "unschedulable"]


@pytest.mark.parametrize(
    "fields, seconds, counts",
    [
        ({}, 100, True),
        # Too late.
        ({}, 20, True),
        ({}, 19.9, False),
        ({"rv": 0}, 19.9, True),
        # It was deleted, or has recovered since.
        ({"deleting": True}, 100, False),
        ({"deleted": 1}, 100, False),
        ({"rv": 0, "deleting": True}, 100, True),
        ({"reached": 99 * SECOND}, 100, True),
        ({"reached": 100 * SECOND}, 100, False),
        ({"reached": 100 * SECOND, "progressing": True}, 100, True),
        ({"failures": (failure(ended=99),)}, 100, True),
        ({"failures": (failure(ended=100),)}, 100, False),
        ({"failures": (failure("crash", ended=100),)}, 100, True),
    ],
)
def test_an_event_from_before_a_recovery_is_no_sign_of_a_failure(
    fields: dict[str, Any], seconds: float, *, counts: bool
) -> None:
    pod = thing("pod", **fields)
    found = after(event("Failed", seconds, message=PULL), pod, now=320)
    assert (found != pod.failures) is counts


@pytest.mark.parametrize(
    "reason, seconds, counts", [("Pulled", 100.1, False), ("Pulled", 100, True), ("Killing", 101, True)]
)
def test_an_event_of_a_failure_that_ended_meanwhile_is_no_sign(reason: str, seconds: float, *, counts: bool) -> None:
    found = after(event("Failed", message=PULL), thing("pod"), event(reason, seconds))
    assert bool(found) is counts


def test_an_event_concerns_a_failure_that_it_shows_or_that_there_is() -> None:
    observer = FailureObserver(built_in_rules().failures, FoldSettings())
    assert observer.concerns(event("Failed", message=PULL), thing("pod"))
    assert observer.concerns(event("Scheduled"), thing("pod", failures=(failure(),)))
    assert not observer.concerns(event("Scheduled"), thing("pod"))
