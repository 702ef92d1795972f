"""What is kept of an object, for how long, and how much of it. A trace can be 900 s old."""

from typing import Any

import pytest

from kspan.graph.state.objects import ANNOUNCEMENTS_KEPT, DEPENDENTS_KEPT, TRANSITIONS_KEPT
from kspan.graph.state.records import Continuation, Note, Place
from kspan.graph.state.state import NOTES_KEPT, REPEATS_KEPT, State
from kspan.times import SECOND
from tests.graph.making import change, lost, occurrence, replacement, state_of, thing, transition


def at(state: State, seconds: float) -> State:
    state.clock.advance(int(seconds * SECOND))
    return state


def spans(found: Any) -> list[str]:
    return [one.span for one in found]


def test_changes_older_than_a_trace_can_be_are_dropped_but_the_newest() -> None:
    pod = thing("pod", changes=[change("old", 1, 99.9), change("young", 2, 100), change("last", 3, 50)])
    at(state_of(pod), 1000).objects.add_change(pod, change("new", 4, 1000))
    assert spans(pod.changes) == ["young", "last", "new"]


def test_an_old_change_is_kept_while_its_occurrence_waits_or_is_in_an_open_trace() -> None:
    pod = thing("pod", changes=[change("waits", 1, 1), change("old", 1, 1), change("last", 3, 50)])
    state = at(state_of(pod), 1000)
    state.add_occurrence(occurrence("waits"))
    state.objects.add_change(pod, change("new", 4, 1000))
    assert spans(pod.changes) == ["waits", "last", "new"]


def test_lost_dependents_and_replacements_are_dropped_with_a_change_of_their_owner() -> None:
    old, young = (lost("old", 1, 50), lost("young", 2, 100)), (replacement("r0", 1, 50), replacement("r1", 2, 100))
    rs = thing("rs", lost_dependents=old, replacements=young)
    at(state_of(rs), 1000).objects.add_change(rs, change("new", 4, 1000))
    assert (spans(rs.lost_dependents), spans(rs.replacements)) == (["young"], ["r1"])


@pytest.mark.parametrize("gone, expected", [(0, ["new"]), (99, ["new"]), (100, ["a", "new"])])
def test_a_lost_dependent_is_young_from_its_removal_on(gone: int, expected: list[str]) -> None:
    rs = thing("rs", lost_dependents=(lost("a", 1, 50, gone=gone * SECOND),))
    pod = thing("pod", owner="rs")
    at(state_of(rs, pod), 1000).objects.add_lost_dependent(pod, lost("new", 5, 1000))
    assert spans(rs.lost_dependents) == expected


def test_the_newest_lost_dependents_are_kept() -> None:
    rs, pod = thing("rs"), thing("pod", owner="rs")
    state = at(state_of(rs, pod), 1)
    for number in range(DEPENDENTS_KEPT + 2):
        state.objects.add_lost_dependent(pod, lost(f"l{number}", number, 1))
    assert spans(rs.lost_dependents) == [f"l{number}" for number in range(2, DEPENDENTS_KEPT + 2)]
    for number in range(DEPENDENTS_KEPT + 2):
        state.objects.add_replacement(rs, replacement(f"r{number}", number, 1))
    assert spans(rs.replacements) == [f"r{number}" for number in range(2, DEPENDENTS_KEPT + 2)]
    assert DEPENDENTS_KEPT == 256


def test_old_transitions_are_dropped_and_of_young_ones_the_newest_are_kept() -> None:
    pod = thing("pod", transitions=[transition("old", 1, 99), *(transition(f"t{n}", n, 100) for n in range(100))])
    assert at(state_of(pod), 1000).objects.make_room_for_transition(pod)
    assert spans(pod.transitions) == [f"t{n}" for n in range(100 - 2 * TRANSITIONS_KEPT, 100)]
    assert TRANSITIONS_KEPT == 48


@pytest.mark.parametrize("waiting, room", [(TRANSITIONS_KEPT - 1, True), (TRANSITIONS_KEPT, False)])
def test_there_is_no_room_while_too_many_transitions_wait_for_their_cause(waiting: int, room: bool) -> None:
    pod = thing("pod", transitions=[transition(f"t{n}", n, 1) for n in range(60)])
    state = at(state_of(pod), 1000)
    for number in range(60):
        state.add_occurrence(occ := occurrence(f"t{number}", condition="Ready"))
        if number >= waiting:
            state.start_deciding(occ)
    assert state.objects.make_room_for_transition(pod) is room


def test_the_newest_announcements_of_a_deletion_are_kept() -> None:
    pod = thing("pod")
    state = state_of(pod)
    for number in range(ANNOUNCEMENTS_KEPT + 1):
        state.objects.announce_deletion(pod, Note(number, "", "", "", "", ""))
    assert [note.time for note in state.objects.take_announcements(pod)] == list(range(1, ANNOUNCEMENTS_KEPT + 1))
    assert pod.announcements == ()
    assert ANNOUNCEMENTS_KEPT == 8


def test_an_object_keeps_the_newest_eight_continuations() -> None:
    pod = thing("pod")
    objects = state_of(pod).objects
    for number in range(9):
        objects.continue_trace(pod, None, Continuation("", (f"t{number}",), "", (), (), 1, 0))
    assert [kept.follows for kept in pod.continuations] == [(f"t{number}",) for number in range(1, 9)]
    assert objects.continuation("t0") is None
    second = objects.continuation("t2")
    assert second is not None
    objects.continue_trace(pod, second[1], None)
    assert [kept.follows for kept in pod.continuations] == [(f"t{number}",) for number in (1, *range(3, 9))]
    assert objects.continuation("t2") is None


def test_an_object_that_is_only_referenced_is_remembered_for_the_age_of_a_trace() -> None:
    state = at(state_of(), 100)
    obj = state.objects.reference("uid", "Pod", "shop", "web")
    assert (obj.created, obj.seen, obj.forget, obj.rv) == (100 * SECOND, 100 * SECOND, 1000 * SECOND, 0)
    assert state.objects.reference("uid", "Pod", "shop", "web", "v1") is obj
    assert obj.api_version == "v1"
    state.objects.reference("uid", "Pod", "shop", "web", "v2")
    assert obj.api_version == "v1", "the first that is known stays"


def test_a_deleted_object_is_remembered_for_the_age_of_a_trace_and_its_owner_notes_when_it_went() -> None:
    rs = thing("rs", lost_dependents=(lost("a", 5, 90, uid="pod"), lost("b", 6, 90, uid="other")))
    pod = thing("pod", owner="rs", progressing=True)
    at(state_of(rs, pod), 100).objects.delete(pod, 95 * SECOND)
    assert (pod.deleted, pod.settled, pod.reached, pod.forget) == (
        100 * SECOND,
        100 * SECOND,
        95 * SECOND,
        1000 * SECOND,
    )
    assert not pod.progressing
    assert [one.gone for one in rs.lost_dependents] == [100 * SECOND, 0]


def test_a_loss_is_marked_as_ordered_or_not() -> None:
    rs = thing("rs", lost_dependents=(lost("d", 5), lost("other", 6)))
    state = state_of(rs, thing("pod", owner="rs"))
    state.objects.mark_lost_dependent(occurrence("d"), ordered=True)
    assert [one.ordered for one in rs.lost_dependents] == [1, -1]
    state.objects.mark_lost_dependent(occurrence("d"), ordered=False)
    assert [one.ordered for one in rs.lost_dependents] == [0, -1]
    state.objects.mark_lost_dependent(occurrence("d", uid="unknown"), ordered=False)


def test_an_object_knows_the_traces_of_its_changes_and_transitions() -> None:
    pod = thing("pod", changes=[change("c", 1)], transitions=[transition("t", 2)])
    state = state_of(pod)
    state.objects.note_trace(occurrence("c", verb="Create", place=Place("one")))
    state.objects.note_trace(occurrence("t", condition="Ready", place=Place("two")))
    state.objects.note_trace(occurrence("c", event_uid="e", place=Place("three")))
    assert (pod.changes[0].trace, pod.transitions[0].trace) == ("one", "two")


def placed(state: State, span: str, **more: Any) -> Any:
    state.add_occurrence(occ := occurrence(span, **more))
    state.start_deciding(occ)
    state.place(occ, Place("trace"))
    return occ


def test_a_span_keeps_its_first_repeats_and_the_newest() -> None:
    state = state_of(thing("pod"))
    last = placed(state, "first", event_uid="e")
    for number in range(REPEATS_KEPT + 2):
        state.add_occurrence(occ := occurrence(f"r{number}", event_uid="e", arrival=number + 2, warning=number == 3))
        state.start_deciding(occ)
        state.add_repeat(last, occ, number)
    counts = [repeat.count for repeat in last.repeats]
    assert counts == [*range(REPEATS_KEPT - 1), REPEATS_KEPT + 1]
    assert REPEATS_KEPT == 128
    assert last.warning, "a repeat can be the first warning"
    state.add_occurrence(occ := occurrence("late", event_uid="e", arrival=3))
    state.start_deciding(occ)
    state.add_repeat(last, occ, 999)
    assert last.repeats[-1].count == REPEATS_KEPT + 1, "one that arrived earlier is not the newest"


def test_a_span_keeps_so_many_notes() -> None:
    state = state_of(thing("pod"))
    occ = placed(state, "a")
    notes = [Note(number, "", "", "", "", "") for number in range(NOTES_KEPT)]
    state.add_notes(occ, notes[:-1])
    state.add_notes(occ, notes[-1:])
    state.add_notes(occ, notes[:1])
    assert occ.notes == tuple(notes)
    assert NOTES_KEPT == 64


def test_a_trace_is_active_when_it_gets_an_occurrence_or_a_repeat() -> None:
    state = at(state_of(thing("pod")), 100)
    first = placed(state, "a", event_uid="e")
    trace = state.trace("trace")
    assert trace is not None
    assert (trace.opened, trace.active, trace.check) == (100 * SECOND, 100 * SECOND, 110 * SECOND)
    placed(at(state, 105), "b", warning=True)
    assert (trace.active, trace.warning) == (105 * SECOND, True)
    state.add_occurrence(occ := occurrence("r", event_uid="e"))
    state.start_deciding(occ)
    at(state, 107).add_repeat(first, occ, 2)
    assert trace.active == 107 * SECOND
    assert not state.holds("r")


@pytest.mark.parametrize("add", ["add_repeat", "add_routine"])
def test_a_trace_whose_first_warning_is_a_repeat_has_a_warning(add: str) -> None:
    state = state_of(thing("pod"))
    first = placed(state, "a", event_uid="e")
    trace = state.trace("trace")
    assert trace is not None
    assert not trace.warning
    state.add_occurrence(occ := occurrence("r", event_uid="e", warning=True))
    state.start_deciding(occ)
    if add == "add_repeat":
        state.add_repeat(first, occ, 2)
    else:
        state.add_routine(first, occ)
    assert (first.warning, trace.warning) == (True, True)


def test_an_occurrence_waits_for_its_hold() -> None:
    state = at(state_of(thing("pod")), 100)
    state.add_occurrence(occ := occurrence("a"))
    assert state.schedule.deadline == 105 * SECOND
    assert (state.is_pending("pod"), set(state.pending_of("pod")), state.pending_count) == (True, {"a"}, 1)
    state.add_occurrence(other := occurrence("b"))
    state.start_deciding(occ)
    assert (state.is_pending("pod"), state.pending_count) == (True, 1)
    state.start_deciding(other)
    assert (state.is_pending("pod"), set(state.pending_of("pod")), state.pending_count) == (False, set(), 0)


def test_a_loaded_state_waits_for_the_rest_of_the_hold() -> None:
    state = at(state_of(thing("pod")), 100)
    state.add_occurrence(occurrence("a", seconds=98))
    placed(state, "b", seconds=97)
    delta = state.take_delta()
    other = State("cluster", state._settings)
    waiting = [*(row.fold for row in delta.pending), *(row.fold for row in delta.spans)]
    other.load(
        [row.state for row in delta.objects], delta.owners, waiting, [row.fold for row in delta.traces], delta.clock
    )
    assert other.clock.now == 100 * SECOND
    assert (other.is_pending("pod"), other.open_traces, other.pending_count) == (True, 1, 1)
    assert other.schedule.deadline == 103 * SECOND
    assert [occ.id for occ in other.members("trace")] == ["b"]
