"""Better estimates for changes that were not watched, from their causes and effects. Times are seconds."""

from kspan.graph.state.records import Occurrence, Place
from kspan.graph.trace.estimated_times import with_estimated_times
from kspan.times import SECOND
from tests.graph.making import occurrence

SOME = 0.1
"""A fraction of a second, so that a time is not a truncated one."""


def at(span: str, seconds: float, uncertain: float = 0, parent: str = "") -> Occurrence:
    place = Place("trace", parent=parent)
    return occurrence(span, 0, seconds, uncertainty=int(uncertain * SECOND), place=place)


def estimated(*members: Occurrence) -> dict[str, tuple[float, float]]:
    found = with_estimated_times(list(members))
    return {occ.id: (round(occ.time / SECOND, 3), round(occ.uncertainty / SECOND, 3)) for occ in found}


def test_a_trace_that_was_watched_stays_as_it_is() -> None:
    members = [at("a", 1), at("b", 2, parent="a")]
    assert with_estimated_times(members) is members


def test_without_evidence_it_is_the_middle_also_for_the_effects() -> None:
    found = estimated(at("a", 50 + SOME, 40), at("b", 50 + SOME, 40, "a"), at("c", 60 + SOME, 50, "b"))
    assert found == {"a": (50.1, 40), "b": (50.1, 40), "c": (50.1, 60)}


def test_an_effect_of_unknown_time_only_narrows_the_range() -> None:
    found = estimated(at("a", 50 + SOME, 40), at("b", 45 + SOME, 35, "a"))
    assert found == {"a": (45.1, 35), "b": (45.1, 35)}


def test_an_effect_follows_its_cause() -> None:
    assert estimated(at("a", 30 + SOME), at("b", 50 + SOME, 40, "a")) == {"a": (30.1, 0), "b": (30.1, 60)}


def test_an_effect_is_not_earlier_than_it_can_be() -> None:
    assert estimated(at("a", 5), at("b", 50 + SOME, 40, "a"))["b"] == (10.1, 80)


def test_a_cause_was_just_before_its_first_effect_and_so_were_its_other_effects() -> None:
    found = estimated(
        at("a", 50, 40),
        at("b", 50, 40, "a"),
        at("first", 30 + SOME, 0, "b"),
        at("late", 70, 0, "b"),
        at("c", 50, 40, "a"),
    )
    assert {span: found[span] for span in "ab"} == {"a": (30.1, 20.1), "b": (30.1, 20.1)}
    assert found["c"] == (30.1, 59.9)


def test_an_effect_in_whole_seconds_may_be_later() -> None:
    assert estimated(at("a", 50, 40), at("b", 30, 0, "a"))["a"] == (30, 20)
    assert estimated(at("a", 50, 40), at("b", 10, 0, "a"))["a"] == (10, 1)


def test_an_effect_before_the_range_of_its_cause_leaves_a_second() -> None:
    assert estimated(at("a", 50 + SOME, 40), at("b", 9 + SOME, 0, "a"))["a"] == (10.1, 1)


def test_the_occurrences_are_in_order_of_their_new_times() -> None:
    members = [at("b", 40), at("a", 50, 40), at("c", 20 + SOME, 0, "a")]
    members[0].place = Place("trace", parent="a")
    assert [occ.id for occ in with_estimated_times(members)] == ["a", "c", "b"]
