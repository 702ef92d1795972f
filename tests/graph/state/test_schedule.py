"""What is due when, and in which order."""

import pytest

from kspan.graph.state.records import Occurrence
from kspan.graph.state.schedule import NEVER, Schedule


def occurrence(arrival: int) -> Occurrence:
    return Occurrence(f"span-{arrival}", "uid", "Pod", "shop", "web", "Update", arrival, 0, 0, 0)


def test_an_empty_schedule_has_no_deadline() -> None:
    schedule = Schedule()
    assert schedule.deadline == schedule.next_time == NEVER


def test_the_deadline_is_the_earliest_of_causes_and_traces_but_not_of_objects() -> None:
    schedule = Schedule()
    schedule.forget_object("uid", 1)
    assert schedule.deadline == NEVER
    schedule.check_trace("late", 30)
    schedule.check_trace("early", 20)
    assert schedule.deadline == 20
    schedule.hold(occurrence(1), 10)
    assert schedule.deadline == 10
    assert schedule.next_time == 1


def test_occurrences_are_decided_in_the_order_of_arrival() -> None:
    schedule = Schedule()
    first, second = occurrence(1), occurrence(2)
    schedule.hold(first, 10)
    schedule.hold(second, 10)
    assert [schedule.pop_occurrence() for _ in range(3)] == [first, second, None]
    assert schedule.next_time == NEVER


def test_occurrences_are_decided_before_traces_are_checked_and_objects_forgotten() -> None:
    schedule = Schedule()
    schedule.forget_object("uid", 10)
    schedule.check_trace("trace", 10)
    schedule.hold(occurrence(1), 10)
    assert schedule.pop_occurrence() == occurrence(1)
    assert schedule.pop_occurrence() is None
    assert schedule.pop_check() == "trace"
    assert schedule.pop_check() is None
    assert schedule.pop_expiry() == "uid"


def test_the_next_time_is_that_of_the_first_object_to_forget() -> None:
    schedule = Schedule()
    for uid, at in (("a", 5), ("b", 10), ("c", 7)):
        schedule.forget_object(uid, at)
    schedule.check_trace("trace", 30)
    assert schedule.next_time == 5
    assert schedule.pop_expiry() == "a"
    assert schedule.next_time == 7


def test_what_is_due_later_is_not_popped() -> None:
    schedule = Schedule()
    schedule.hold(occurrence(1), 20)
    schedule.check_trace("trace", 15)
    assert schedule.pop_occurrence() is None
    schedule.forget_object("uid", 10)
    assert schedule.pop_check() is None
    schedule.pop_expiry()
    assert schedule.next_time == 15
    schedule.pop_check()
    assert schedule.next_time == 20


def test_traces_and_objects_of_one_time_are_popped_by_name() -> None:
    schedule = Schedule()
    for name in ("b", "a"):
        schedule.check_trace(name, 10)
        schedule.forget_object(name, 10)
    assert [schedule.pop_check(), schedule.pop_check()] == ["a", "b"]
    assert [schedule.pop_expiry(), schedule.pop_expiry()] == ["a", "b"]


def test_an_occurrence_cannot_be_held_for_less_time_than_one_before_it() -> None:
    schedule = Schedule()
    schedule.hold(occurrence(1), 10)
    with pytest.raises(AssertionError):
        schedule.hold(occurrence(2), 9)
