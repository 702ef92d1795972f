"""Quiet traces of routine Events, and occurrences that are received at once but happened far apart (60 s)."""

from typing import Any

import pytest

from kspan.graph.cause.choice import Choice
from kspan.graph.rules.rules import Subject
from kspan.graph.state.records import Occurrence, Place, Repeat, Trace
from kspan.ids import trace_id
from kspan.times import SECOND
from tests.graph.making import CLUSTER, change
from tests.graph.trace.test_placement import BY_OWNER, NOT_KNOWN, Placed


class Routine(Placed):
    """Places routine Events."""

    def quiet(self, span: str, choice: Choice = NOT_KNOWN, **more: Any) -> Occurrence:
        fields: dict[str, Any] = {"event_uid": f"event-{span}", "reason": "Reconciled"} | more
        occ = self.add(span, **fields)
        self.placer.place_quietly(occ, choice)
        return occ

    def trace(self, name: str) -> Trace:
        found = self.state.trace(name)
        assert found is not None
        return found


def test_routine_events_with_one_reason_share_a_span_and_others_their_trace() -> None:
    placed = Routine()
    first = placed.quiet("a", seconds=10, message="1")
    placed.quiet("b", seconds=20, message="2", warning=True)
    other = placed.quiet("c", seconds=30, reason="Progressing")
    name = trace_id(CLUSTER, "a", "0")
    assert first.place == other.place == Place(name, "root", 0.3, episodic=True)
    assert first.repeats == (Repeat(20 * SECOND, 2, "2", 0),)
    assert first.warning is True
    assert placed.pod.quiet == name
    trace = placed.trace(name)
    assert (trace.quiet, trace.last) == (True, 30 * SECOND)
    placed.quiet("d", seconds=40)
    assert [repeat.count for repeat in first.repeats] == [2, 3]
    assert [occ.id for occ in placed.state.members(name)] == ["a", "c"]


def test_a_routine_event_after_a_quiet_trace_was_closed_begins_another() -> None:
    placed = Routine(quiet="closed")
    occ = placed.quiet("a")
    assert occ.place.trace == placed.pod.quiet == trace_id(CLUSTER, "a", "0")


@pytest.mark.parametrize("choice, confidence", [(Choice(None, "root", 0.849), 0.85), (BY_OWNER, 0.3)])
def test_of_a_cause_in_a_closed_trace_a_quiet_trace_knows_nothing(choice: Choice, confidence: float) -> None:
    assert Routine().quiet("a", choice).place == Place(trace_id(CLUSTER, "a", "0"), "root", confidence, episodic=True)


def test_the_quiet_trace_of_an_unknown_object_is_not_kept() -> None:
    placed = Routine()
    occ = placed.quiet("a", uid="unknown")
    assert placed.trace(occ.place.trace).quiet is False


# far apart -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "second, now, shares",
    [
        ({"seconds": 160}, 300, True),
        ({"seconds": 160.1}, 300, False),
        ({"seconds": 40}, 300, True),
        ({"seconds": 39.9}, 300, False),
        # It is received later: then time has passed, and ``settle`` separates them.
        ({"seconds": 290}, 359.9, False),
        ({"seconds": 290}, 360, True),
    ],
)
def test_what_is_received_at_once_but_happened_a_minute_apart_is_not_one_episode(
    second: dict[str, Any], now: float, shares: bool
) -> None:
    placed = Placed()
    placed.state.clock.advance(300 * SECOND)
    first = placed.add("a", seconds=100)
    placed.placer.place(first, NOT_KNOWN, None, None)
    placed.state.clock.advance(int(now * SECOND))
    other = placed.add("b", **second)
    placed.placer.place(other, NOT_KNOWN, None, None)
    assert (other.place.trace == first.place.trace) is shares


# who acted -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "subject, manager, actor, expected",
    [
        (Subject("creates"), "kube-controller-manager", "kubelet", "kubelet"),
        (Subject("turns"), "kube-controller-manager", "kubelet", "before"),
        (Subject("turns"), "", "kubelet", "kubelet"),
        (Subject("turns"), "kubelet", "kubelet", "kubelet"),
        (Subject("turns"), "kube-controller-manager", "node-controller", "node-controller"),
        (None, "kube-controller-manager", "kubelet", "kubelet"),
    ],
)
def test_who_reports_a_condition_may_not_be_who_changed_the_object_for_it(
    subject: Subject | None, manager: str, actor: str, expected: str
) -> None:
    for late in (False, True):
        placed = Placed()
        made = placed.add("made", Place("trace") if late else None, verb="Update", manager=manager, actor="before")
        event = placed.add("event", None if late else Place("trace"), event_uid="e", actor=actor, subject=subject)
        if late:
            placed.placer.insert_above(event, made)
        else:
            placed.placer.place_under_event(made, event)
        assert (made.actor, made.reported_by) == (expected, "event")
        assert (made.place.parent, made.place.rule, made.place.confidence) == ("event", "subject", 0.98)


# episodes of failing traces ------------------------------------------------------------------------------------------


def test_an_episode_of_another_closed_trace_is_not_shared() -> None:
    placed = Placed()
    first, second = placed.add("a"), placed.add("b")
    placed.placer.place(first, BY_OWNER, None, None)
    placed.placer.place(second, NOT_KNOWN, None, None)
    assert (first.place.link_trace, second.place.link_trace) == ("closed", "")
    assert first.place.trace != second.place.trace
    third = placed.add("c")
    placed.placer.place(third, Choice(change("x", 9, trace="closed"), "own", 0.8), None, None)
    assert third.place.trace == first.place.trace


def test_the_confidence_in_a_place_has_two_digits() -> None:
    placed = Placed()
    root, episode = placed.add("a", verb="Create"), placed.add("b")
    placed.placer.place(root, Choice(None, "root", 0.9499), None, None)
    placed.placer.place(episode, Choice(None, "root", 0.3499), None, None)
    assert (root.place.confidence, episode.place.confidence) == (0.95, 0.35)
