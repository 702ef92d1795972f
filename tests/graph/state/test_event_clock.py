"""Event time, the lateness of Events, gaps, and traces that must not be opened again."""

import pytest

from kspan.graph.state.event_clock import REMOTE_TRACES_KEPT, EventClock
from kspan.graph.state.records import Gap
from kspan.times import SECOND


def test_event_time_does_not_go_back() -> None:
    clock = EventClock()
    clock.advance(10)
    clock.advance(9)
    assert (clock.now, clock.before) == (10, 0)
    clock.advance(11)
    assert (clock.now, clock.before) == (11, 10)
    assert [clock.next_arrival(), clock.next_arrival()] == [1, 2]


@pytest.mark.parametrize(
    "seconds, expected", [(0, 8), (59.9, 8), (60, 4), (119, 4), (120, 2), (180, 1), (240, 0.5), (60 * 61, 0)]
)
def test_the_lateness_of_events_halves_every_minute(seconds: float, expected: float) -> None:
    clock = EventClock()
    clock.note_event_lag(8 * SECOND)
    clock.advance(int(seconds * SECOND))
    assert clock.event_lag() / SECOND == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize("lag, expected", [(3.9, 4), (4, 4), (5, 5)])
def test_a_peak_of_lateness_counts_until_a_higher_one(lag: float, expected: float) -> None:
    clock = EventClock()
    clock.note_event_lag(8 * SECOND)
    clock.advance(60 * SECOND)
    clock.note_event_lag(int(lag * SECOND))
    assert clock.event_lag() == expected * SECOND
    clock.advance(119 * SECOND)
    # One that is as high as what is left begins a minute of its own.
    assert clock.event_lag() == expected * SECOND


def test_a_lateness_that_is_as_high_as_what_is_left_begins_a_new_minute() -> None:
    clock = EventClock()
    clock.note_event_lag(8 * SECOND)
    clock.advance(90 * SECOND)
    clock.note_event_lag(4 * SECOND)
    clock.advance(149 * SECOND)
    assert clock.event_lag() == 4 * SECOND


def test_a_stored_clock_goes_on() -> None:
    clock, other = EventClock(), EventClock()
    clock.advance(100 * SECOND)
    clock.next_arrival()
    clock.note_event_lag(8 * SECOND)
    clock.add_gap("v1/pods", Gap(5, 9, 1, 2))
    clock.note_closed("trace")
    clock.count_invalid_context()
    other.load(clock.encoded())
    assert (other.now, other.next_arrival(), other.event_lag()) == (100 * SECOND, 2, 8 * SECOND)
    assert (other.gap("v1/pods"), other.gap("v1/nodes")) == (Gap(5, 9, 1, 2), Gap())
    assert (other.was_closed("trace"), other.was_closed("other"), other.invalid_contexts) == (True, False, 1)


def test_the_newest_closed_traces_of_remote_contexts_are_kept() -> None:
    clock = EventClock()
    for number in range(REMOTE_TRACES_KEPT + 2):
        clock.note_closed(f"t{number}")
    assert [clock.was_closed(f"t{number}") for number in (0, 1, 2)] == [False, True, True]
    clock.note_closed("t1")
    assert clock.was_closed("t2"), "one that is known takes no room"


def test_what_the_list_before_the_newest_one_showed_was_seen() -> None:
    clock = EventClock()
    for at in (100, 101, 130, 1000, 1030):
        clock.note_listed_event(at * SECOND)
        assert clock.events_listed_before == (130 * SECOND if at >= 1000 else 0)


def test_event_time_begins_with_the_first_record() -> None:
    clock = EventClock()
    clock.advance(7)
    clock.advance(9)
    assert clock.began == 7
