"""Where an occurrence is placed once its cause is chosen."""

from typing import Any

import pytest
from msgspec.structs import replace

from kspan.graph.cause.choice import Choice
from kspan.graph.rules.rules import Subject
from kspan.graph.state.records import Occurrence, Place
from kspan.graph.state.state import State
from kspan.graph.trace.placement import Placer
from kspan.ids import trace_id
from tests.graph.making import CLUSTER, change, occurrence, state_of, thing, transition

TRACE, SPAN = "c" * 32, "d" * 16
CONTEXT = f"00-{TRACE}-{SPAN}-01"
BY_OWNER = Choice(change("cause", 10, 90, trace="closed"), "owner", 0.849)
NOT_KNOWN = Choice(None, "root", 0.3)


class Placed:
    """A Placer on the state of one Pod."""

    def __init__(self, **pod: Any) -> None:
        self.pod = thing("pod", **pod)
        self.state: State = state_of(self.pod)
        self.placer = Placer(self.state)

    def add(self, span: str, place: Place | None = None, **more: Any) -> Occurrence:
        self.state.add_occurrence(occ := occurrence(span, **more))
        self.state.start_deciding(occ)
        if place is not None:
            self.state.place(occ, place)
        return occ


# carried contexts ----------------------------------------------------------------------------------------------------


def test_a_change_joins_the_trace_whose_context_it_carries() -> None:
    placed = Placed()
    occ = placed.add("a", traceparent=CONTEXT)
    assert placed.placer.carry(occ)
    assert occ.place == Place(TRACE, "carried", 1.0, remote_parent=SPAN)
    other = placed.add("b", traceparent="invalid")
    assert not placed.placer.carry(other)
    assert other.place == Place()


def test_a_closed_trace_is_only_linked_to() -> None:
    placed = Placed()
    placed.state.clock.note_closed(TRACE)
    occ = placed.add("a", traceparent=CONTEXT)
    assert not placed.placer.carry(occ)
    assert (occ.related, occ.place) == (CONTEXT, Place())


# under a cause, as a root, in an episode -----------------------------------------------------------------------------


def test_an_effect_is_placed_under_its_cause() -> None:
    placed = Placed()
    cause, occ = placed.add("cause", Place("trace")), placed.add("a")
    placed.placer.place(occ, BY_OWNER, cause, None)
    assert occ.place == Place("trace", "owner", 0.85, cause="cause", parent="cause")


@pytest.mark.parametrize(
    "fields, version",
    [
        ({"verb": "Update", "rv": 40}, "40"),
        ({"verb": "Create", "rv": 1, "inferred_from": "30"}, "30"),
        ({"top_level": True, "event_uid": "event", "rv": 50}, "50"),
        ({"subject": Subject("scales", starts=True), "event_uid": "event", "rv": 60}, "60"),
    ],
)
def test_a_change_without_a_cause_and_an_event_that_starts_a_trace_are_roots(
    fields: dict[str, Any], version: str
) -> None:
    placed = Placed()
    occ = placed.add("a", **fields)
    placed.placer.place(occ, NOT_KNOWN, None, None)
    assert occ.place == Place(trace_id(CLUSTER, "a", version), "root", 0.3)


def test_an_event_about_a_change_starts_the_trace_that_the_change_would_have_started() -> None:
    placed = Placed()
    made = placed.add("made", verb="Create", rv=7)
    occ = placed.add("a", event_uid="event", rv=9)
    placed.placer.place(occ, NOT_KNOWN, None, made)
    assert occ.place.trace == trace_id(CLUSTER, "made", "7")


@pytest.mark.parametrize("fields", [{"event_uid": "event"}, {"event_uid": "event", "subject": Subject("creates")}])
def test_occurrences_without_a_known_cause_share_an_episode_of_their_object(fields: dict[str, Any]) -> None:
    placed = Placed()
    first, second = placed.add("a", **fields), placed.add("b", condition="Ready")
    for occ in (first, second):
        placed.placer.place(occ, NOT_KNOWN, None, None)
    name = trace_id(CLUSTER, "a", "0")
    assert first.place == second.place == Place(name, "root", 0.3, episodic=True)
    assert placed.pod.episodes == (name,)


def test_what_follows_a_closed_trace_is_an_episode_with_a_link_to_it() -> None:
    placed = Placed(episodes=("closed before",))
    occ = placed.add("a")
    placed.placer.place(occ, BY_OWNER, None, None)
    name = trace_id(CLUSTER, "a", "0")
    assert placed.pod.episodes == (name,)
    where = Place(name, "owner", 0.85, cause="cause", link_trace="closed", link_span="cause", link="caused by")
    assert occ.place == replace(where, episodic=True)
    trace = placed.state.trace(name)
    assert trace is not None
    assert trace.previous_trace == "closed"
    # The same closed trace: the same episode, in any order. Another one, or none: a new one.
    other, again = placed.add("b"), placed.add("c")
    placed.placer.place(other, Choice(change("x", 1, trace="older"), "owner", 0.9), None, None)
    placed.placer.place(again, BY_OWNER, None, None)
    assert other.place.trace == trace_id(CLUSTER, "b", "0")
    assert again.place.trace == name
    assert list(placed.pod.episodes) == [name, other.place.trace]


def test_a_cause_that_is_not_placed_itself_makes_a_root() -> None:
    placed = Placed()
    cause, occ = placed.add("cause"), placed.add("a", verb="Update")
    placed.placer.place(occ, BY_OWNER, cause, None)
    assert (occ.place.parent, occ.place.link_trace) == ("", "")


def test_a_trace_has_one_root_the_first_occurrence_which_has_the_link() -> None:
    placed = Placed()
    members = [placed.add(name) for name in "abc"]
    for occ in members[:2]:
        placed.placer.place(occ, BY_OWNER, None, None)
    placed.placer.place(members[2], BY_OWNER._replace(cause=change("z", 9, trace="closed")), None, None)
    members.append(placed.add("d", Place(members[0].place.trace, parent="c")))
    placed.placer.gather_roots(members)
    assert [occ.place.parent for occ in members] == ["", "a", "a", "c"]
    assert [occ.place.link_span for occ in members] == ["cause", "cause", "z", ""], "each keeps that to its cause"
    carried = [placed.add(name, Place("remote", remote_parent="r")) for name in "ef"]
    placed.placer.gather_roots(carried)
    assert [occ.place.parent for occ in carried] == ["", ""]


# trace ids -----------------------------------------------------------------------------------------------------------


def test_a_closing_trace_is_named_after_its_root_in_every_place_that_refers_to_it() -> None:
    placed = Placed(changes=[change("b", 10), change("other", 20, trace="other")], transitions=[transition("c", 10)])
    later = placed.add("b", verb="Update", seconds=2, rv=10)
    placed.placer.place(later, NOT_KNOWN, None, None)
    trace = placed.state.trace(later.place.trace)
    assert trace is not None
    early = placed.add("a", Place(trace.id), seconds=1, rv=9)
    ready = placed.add("c", Place(trace.id, parent="b"), condition="Ready", seconds=3)
    members = [early, later, ready]
    placed.placer.gather_roots(members)
    placed.placer.name_trace(trace)
    name = trace_id(CLUSTER, "a", "9")
    assert (trace.id, {occ.place.trace for occ in members}) == (name, {name})
    assert [c.trace for c in placed.pod.changes] == [name, "other"]
    assert [t.trace for t in placed.pod.transitions] == [name]
    assert placed.state.trace(name) is trace
    assert [occ.id for occ in placed.state.members(name)] == ["b", "a", "c"]
    delta = placed.state.take_delta()
    assert [row.trace_id for row in delta.traces] == []
    assert delta.dropped_traces == [], "it was never written"


def test_a_trace_is_named_after_its_root_also_if_an_effect_has_an_earlier_time() -> None:
    placed = Placed()
    placed.add("root", Place("preliminary"), seconds=2, rv=9)
    placed.add("effect", Place("preliminary", parent="root"), seconds=1, rv=10)
    trace = placed.state.trace("preliminary")
    assert trace is not None
    placed.placer.name_trace(trace)
    assert trace.id == trace_id(CLUSTER, "root", "9")


def test_the_row_of_a_trace_that_gets_another_id_is_dropped() -> None:
    placed = Placed()
    placed.add("a", Place("preliminary"), seconds=1)
    placed.state.take_delta()
    trace = placed.state.trace("preliminary")
    assert trace is not None
    placed.placer.name_trace(trace)
    delta = placed.state.take_delta()
    assert delta.dropped_traces == [("preliminary",)]
    assert delta.dropped_spans == [("preliminary", "a")]
    assert [row.trace_id for row in delta.spans] == [trace_id(CLUSTER, "a", "0")]


def test_a_trace_keeps_the_id_of_the_change_that_its_root_reports() -> None:
    placed = Placed()
    made = placed.add("made", verb="Create", rv=7, seconds=1)
    placed.placer.place(made, NOT_KNOWN, None, None)
    name = made.place.trace
    event = placed.add("event", event_uid="e", actor="controller", rv=9)
    placed.placer.insert_above(event, made)
    trace = placed.state.trace(name)
    assert trace is not None
    placed.placer.name_trace(trace)
    assert trace.id == name == trace_id(CLUSTER, "made", "7")


def test_the_id_of_a_remote_context_stays_whatever_the_root_is() -> None:
    placed = Placed()
    made = placed.add("made", traceparent=CONTEXT, verb="Create")
    assert placed.placer.carry(made)
    event = placed.add("event", event_uid="e", actor="controller")
    placed.placer.insert_above(event, made)
    trace = placed.state.trace(TRACE)
    assert trace is not None
    placed.placer.name_trace(trace)
    assert trace.id == TRACE


def test_the_trace_of_a_change_that_only_a_top_level_event_reports_is_that_of_the_event() -> None:
    placed = Placed()
    placed.state.objects.add_assumed_change(placed.pod, change("a", 2, trace="preliminary"))
    placed.add("a", Place("preliminary"), top_level=True, event_uid="e", name="pod")
    trace = placed.state.trace("preliminary")
    assert trace is not None
    placed.placer.name_trace(trace)
    assert [c.trace for c in placed.pod.changes] == [trace.id] != ["preliminary"]


# Events that arrive late ---------------------------------------------------------------------------------------------


def test_a_late_event_takes_the_place_of_the_change_that_it_reports() -> None:
    placed = Placed()
    made = placed.add("made", Place("trace", "owner", 0.9, cause="p", parent="p", remote_parent="r"), actor="x")
    event = placed.add("event", event_uid="e", actor="controller")
    placed.placer.insert_above(event, made)
    assert event.place == Place("trace", "owner", 0.9, cause="p", parent="p")
    assert made.place == Place("trace", "subject", 0.98, cause="event", parent="event", remote_parent="r")
    assert (made.reported_by, made.actor) == ("event", "controller")


def test_a_change_moves_below_its_event_with_all_its_effects() -> None:
    placed = Placed()
    cause = placed.add("cause", Place("to"))
    made = placed.add("made", Place("from"))
    effect = placed.add("effect", Place("from", parent="made"))
    far = placed.add("far", Place("from", parent="effect"))
    other = placed.add("other", Place("from"))
    event = placed.add("event", event_uid="e", actor="controller")
    placed.placer.move_below(event, BY_OWNER, cause, made)
    assert event.place == Place("to", "owner", 0.85, cause="cause", parent="cause")
    assert made.place == Place("to", "subject", 0.98, cause="event", parent="event")
    assert [occ.place.trace for occ in (effect, far, other)] == ["to", "to", "from"]
    assert sorted(occ.id for occ in placed.state.members("to")) == ["cause", "effect", "event", "far", "made"]
    assert [occ.id for occ in placed.state.members("from")] == ["other"]


# repeats -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "cause, message, merged",
    [
        ("p", "said", True),
        ("q", "said", False),
        ("p", "other", False),
        ("p", "(combined from similar events): said", False),
    ],
)
def test_a_repeat_with_the_same_cause_and_message_is_an_event_of_the_span_before(
    cause: str, message: str, merged: bool
) -> None:
    placed = Placed()
    said = message if message.startswith("(") else "said"
    first = placed.add("a", Place("trace", cause="p"), event_uid="e", message=said, arrival=1)
    again = placed.add("b", event_uid="e", message=message, arrival=2, event_count=7, seconds=9)
    assert placed.placer.merge_repeat(again, cause) is merged
    assert [(repeat.count, repeat.message) for repeat in first.repeats] == ([(7, "said")] if merged else [])


def test_a_first_occurrence_repeats_nothing() -> None:
    placed = Placed()
    assert not placed.placer.merge_repeat(placed.add("b", event_uid="e", message=""), "")


@pytest.mark.parametrize(
    "earlier, reason, cause, merged",
    [
        (transition("a", 40), "Ready", "p", True),
        (transition("a", 50), "Ready", "p", False),
        (transition("a", 40, kind="Other"), "Ready", "p", False),
        (transition("a", 40), "Ready=False", "p", False),
        (transition("a", 40), "Ready", "q", False),
        (transition("unknown", 40), "Ready", "p", False),
    ],
)
def test_a_flapping_condition_with_the_same_cause_is_an_event_of_the_span_before(
    earlier: Any, reason: str, cause: str, merged: bool
) -> None:
    placed = Placed(transitions=[earlier, transition("this", 50)])
    first = placed.add("a", Place("trace", cause="p"), reason="Ready", condition="Ready")
    this = placed.add("this", reason=reason, condition="Ready", message="said")
    assert placed.placer.merge_repeated_transition(this, cause) is merged
    assert [repeat.count for repeat in first.repeats] == ([2] if merged else [])
    assert placed.pod.transitions[1].span == ("a" if merged else "this")
    if merged:
        placed.pod.transitions.append(transition("third", 60))
        third = placed.add("third", reason=reason, condition="Ready")
        assert placed.placer.merge_repeated_transition(third, cause)
        assert [repeat.count for repeat in first.repeats] == [2, 3]


def test_a_transition_that_is_not_known_repeats_nothing() -> None:
    placed = Placed()
    assert not placed.placer.merge_repeated_transition(placed.add("this", condition="Ready"), "p")
    assert not placed.placer.merge_repeated_transition(placed.add("other", uid="nobody", condition="Ready"), "p")


def test_a_transition_whose_span_waits_is_not_repeated() -> None:
    placed = Placed(transitions=[transition("a", 40), transition("this", 50)])
    placed.add("a", reason="Ready", condition="Ready")
    assert not placed.placer.merge_repeated_transition(placed.add("this", reason="Ready", condition="Ready"), "")


def test_a_change_moves_below_a_cause_that_became_known_later_with_its_effects_and_its_empty_trace_is_dropped() -> None:
    placed = Placed()
    placed.state.objects.put(thing("rs", "ReplicaSet"))
    cause = placed.add("cause", Place("new"), uid="rs", verb="Delete")
    deletion = placed.add("deletion", Place("old", "root", 0.7), verb="Delete")
    effect = placed.add("effect", Place("old", "own", 0.9, cause="deletion", parent="deletion"))
    placed.state.take_delta()
    placed.placer.move(deletion, Choice(change("cause", 10, 90), "owner", 0.85), cause)
    assert deletion.place == Place("new", "owner", 0.85, cause="cause", parent="cause")
    assert (effect.place.trace, effect.place.parent) == ("new", "deletion")
    assert not placed.state.is_open("old")
    delta = placed.state.take_delta()
    assert delta.dropped_traces == [("old",)]
    assert sorted(row.span_id for row in delta.spans) == ["deletion", "effect"]


def test_a_trace_that_was_never_stored_is_dropped_without_a_trace() -> None:
    placed = Placed()
    cause, deletion = placed.add("cause", Place("new"), verb="Delete"), placed.add("deletion", Place("old"))
    placed.placer.move(deletion, Choice(change("cause", 10, 90), "owner", 0.85), cause)
    delta = placed.state.take_delta()
    assert delta.dropped_traces == []
    assert [row.trace_id for row in delta.traces] == ["new"]
