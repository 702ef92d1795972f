"""Why containers ended, and what follows from it. Slack is 1 s."""

from typing import Any

import pytest

from kspan.graph import built_in_rules
from kspan.graph.cause.choice import UNKNOWN, Choice
from kspan.graph.cause.choose_container import ContainerChooser
from kspan.graph.cause.prerequisites import Decide, PrerequisiteError, Prerequisites
from kspan.graph.state.records import ContainerTurn, KnownChange, ObjectState, Occurrence, Repeat, Transition
from kspan.graph.state.state import State
from kspan.k8s.containers import Ended, Restarted
from kspan.settings import FoldSettings
from kspan.times import SECOND, format_time
from tests.graph.making import change, occurrence, state_of, thing, transition

WEB = "spec.containers{web}"


def at(seconds: float) -> str:
    return f"{format_time(int(seconds * SECOND))[:19]}Z"


def ended(number: int = 0, started: float = 80, reason: str = "Error") -> Ended:
    return Ended("web", WEB, number, f"web-{number}", reason, 1, 0, "", at(started), at(100))


def restarted(number: int = 1) -> Restarted:
    return Restarted("web", WEB, number, f"web-{number}", at(100))


def end(span: str, number: int = 0, seconds: float = 90, **more: Any) -> ContainerTurn:
    """The end of a run of the container, in a trace that may be closed."""
    fields: dict[str, Any] = {"field_path": WEB, "ended": True, "rv": 20, "trace": "closed"} | more
    return ContainerTurn(span, number=number, time=int(seconds * SECOND), **fields)


def pod(*changes: KnownChange, **more: Any) -> ObjectState:
    return thing("pod", **({"changes": list(changes) or [change("made", 10, 50, "Create")]} | more))


def event(span: str, seconds: float, **more: Any) -> Occurrence:
    """An Event about the container."""
    fields: dict[str, Any] = {"event_uid": span, "reported_uid": "pod", "field_path": WEB, "decided": True} | more
    return occurrence(span, 30, seconds, **fields)


def to_node(occ: Occurrence, obj: ObjectState) -> Choice:
    return Choice(change("taint", 25, 60), "place", 0.8) if obj.disruption == "eviction" else UNKNOWN


def chooser(state: State) -> ContainerChooser:
    return ContainerChooser(state, Prerequisites(state, built_in_rules(), FoldSettings()), to_node)


def filled(*found: ObjectState | Occurrence) -> State:
    state = state_of(*(one for one in found if isinstance(one, ObjectState)))
    for one in found:
        if isinstance(one, Occurrence):
            state.add_occurrence(one)
    return state


def text(choice: Choice | None) -> str:
    if choice is None:
        return "-"
    cause = choice.cause.span if choice.cause is not None else "-"
    return f"{choice.rule} {cause} {round(choice.confidence, 2)}"


def of_turn(*found: ObjectState | Occurrence, run: Ended | Restarted | None = None, **more: Any) -> str:
    """The cause of the end (if no ``run`` is given) of the container, seen in version 50, at second 100."""
    fields: dict[str, Any] = {"field_path": WEB, "run": run or ended()} | more
    return text(chooser(filled(*found)).of_turn(occurrence("this", 50, 100, **fields)))


def of_event(*found: ObjectState | Occurrence, reason: str, message: str, **more: Any) -> str:
    """The cause of an Event about the container at second 100."""
    state = filled(*found)
    obj = state.object("pod")
    assert obj is not None
    occ = event("this", 100, reason=reason, message=message, **more)
    return text(chooser(state).of_event(occ, obj))


# ends -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes, expected",
    [
        ([change("a", 10, 50), change("b", 20, 60)], "own b 0.8"),
        ([change("a", 10, 50), change("b", 50, 60)], "own b 0.8"),
        ([change("a", 10, 50), change("b", 51, 60)], "own a 0.8"),
        # It was deleted at the end, or only after it.
        ([change("a", 10, 50), change("d", 20, 101, "Delete")], "own d 0.8"),
        ([change("a", 10, 50), change("d", 20, 101.1, "Delete")], "own a 0.8"),
        ([change("a", 10, 50), change("b", 20, 101.1)], "own b 0.8"),
        ([change("b", 51, 60)], "root - 0.3"),
    ],
)
def test_a_container_that_ends_by_itself_goes_back_to_the_newest_change_of_its_pod(
    changes: list[KnownChange], expected: str
) -> None:
    assert of_turn(pod(*changes)) == expected


def test_an_end_without_a_pod_has_no_cause() -> None:
    assert of_turn() == "root - 0.3"
    assert text(chooser(filled(pod())).of_turn(occurrence("this", 50, 100))) == "root - 0.3"


@pytest.mark.parametrize(
    "seconds, more, expected",
    [
        (99, {}, "own k 0.95"),
        (101, {}, "own k 0.95"),
        (101.1, {}, "own made 0.8"),
        # Of this run, which was started at second 80.
        (79, {}, "own k 0.95"),
        (78.9, {}, "own made 0.8"),
        (99, {"field_path": "spec.containers{other}"}, "own made 0.8"),
        (99, {"reason": "Unhealthy"}, "own made 0.8"),
        # A repeat counts as well.
        (70, {"repeats": [Repeat(99 * SECOND, 2, "", 2)]}, "own k 0.95"),
        (70, {"repeats": [Repeat(102 * SECOND, 2, "", 2)]}, "own made 0.8"),
    ],
)
def test_a_container_is_stopped_as_its_kubelet_reports(seconds: float, more: dict[str, Any], expected: str) -> None:
    assert of_turn(pod(), event("k", seconds, **({"reason": "Killing"} | more))) == expected


@pytest.mark.parametrize(
    "before, number, expected",
    [
        # That run ended in the second from 80: it was stopped for the report at 80.9.
        (end("e0", 0, 80), 1, "own made 0.8"),
        (end("e0", 0, 79), 1, "own k 0.95"),
        (end("e0", 0, 80, field_path="spec.containers{other}"), 1, "own k 0.95"),
        # Its end is known from when it was received, after the next run had been started.
        (end("e0", 0, 85), 1, "own made 0.8"),
        # The numbers have started again at 0.
        (end("e7", 7, 79.5), 0, "own k 0.95"),
    ],
)
def test_a_report_explains_the_end_of_one_run(before: ContainerTurn, number: int, expected: str) -> None:
    killing = event("k", 80.9, reason="Killing")
    assert of_turn(pod(containers=(before,)), killing, run=ended(number)) == expected


def test_of_several_reports_the_newest_time_counts() -> None:
    first = event("a", 90, reason="Killing", repeats=[Repeat(98 * SECOND, 2, "", 2)])
    assert of_turn(pod(), first, event("b", 95, reason="Killing")) == "own a 0.95"
    assert of_turn(pod(), first, event("b", 99, reason="Killing")) == "own b 0.95"
    assert of_turn(pod(), event("y", 95, reason="Killing"), event("x", 95, reason="Killing")) == "own y 0.95"


@pytest.mark.parametrize("seconds, waits", [(101, True), (101.1, False)])
def test_a_report_is_decided_before_the_end_that_it_may_explain(seconds: float, *, waits: bool) -> None:
    state = filled(pod(), report := event("k", seconds, reason="Killing", decided=False))
    occ = occurrence("this", 50, 100, field_path=WEB, run=ended())
    if not waits:
        assert text(chooser(state).of_turn(occ)) == "own made 0.8"
        return
    with pytest.raises(PrerequisiteError) as raised:
        chooser(state).of_turn(occ)
    assert raised.value.prerequisite == Decide([report])


@pytest.mark.parametrize(
    "fields, expected",
    [
        ({"disruption": "eviction"}, "place taint 0.8"),
        ({"disruption": "preemption"}, "own made 0.8"),
        ({}, "own made 0.8"),
        # The deletion of the Pod has that cause, and stops its containers.
        ({"disruption": "eviction", "deleting": True}, "own made 0.8"),
    ],
)
def test_a_container_ends_with_its_pod_for_the_reason_of_the_disruption(fields: dict[str, Any], expected: str) -> None:
    assert of_turn(pod(**fields)) == expected


def node(*transitions: Transition) -> ObjectState:
    return thing("node", "Node", "node-a", namespace="", transitions=list(transitions))


@pytest.mark.parametrize(
    "reason, where, turned, expected",
    [
        ("Unknown", "node-a", transition("t", 20, 90), "place t 0.8"),
        ("ContainerStatusUnknown", "node-a", transition("t", 20, 90), "place t 0.8"),
        ("Error", "node-a", transition("t", 20, 90), "own made 0.8"),
        ("Unknown", "", transition("t", 20, 90), "own made 0.8"),
        ("Unknown", "node-b", transition("t", 20, 90), "own made 0.8"),
        ("Unknown", "node-a", transition("t", 20, 90, bad=False), "own made 0.8"),
        # While the container ran.
        ("Unknown", "node-a", transition("t", 20, 80), "place t 0.8"),
        ("Unknown", "node-a", transition("t", 20, 79.9), "own made 0.8"),
        ("Unknown", "node-a", transition("t", 50, 90), "own made 0.8"),
    ],
)
def test_a_container_whose_end_nobody_saw_was_lost_with_its_node(
    reason: str, where: str, turned: Transition, expected: str
) -> None:
    assert of_turn(pod(node=where), node(turned), run=ended(reason=reason)) == expected


def test_of_two_nodes_with_one_name_the_newer_one_was_lost() -> None:
    old, new = node(transition("old", 20, 90)), node(transition("new", 19, 85))
    old.uid, new.created = "before", 1
    lost = ended(reason="Unknown")
    assert of_turn(pod(node="node-a"), old, new, run=lost) == "place new 0.8"


# restarts -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "turns, expected",
    [
        ([end("e0", 0), end("e1", 1)], "own e1 0.95"),
        ([end("e1", 1), end("e0", 0)], "own e1 0.95"),
        # The second is the end of the run that was started.
        ([end("e0", 0), end("e2", 2, 100)], "own e0 0.95"),
        # The numbers have started again at 0.
        ([end("e0", 0, 50), end("e7", 7, 90)], "own e7 0.95"),
        ([end("a", 1, 90), end("b", 1, 91)], "own b 0.95"),
        ([end("e1", 1, field_path="spec.containers{other}")], "own made 0.8"),
        ([end("r1", 1, ended=False)], "own made 0.8"),
        # The first list showed it: it is in no trace.
        ([end("e1", 1, trace="")], "own made 0.8"),
        ([], "own made 0.8"),
    ],
)
def test_a_container_is_started_again_because_its_last_run_ended(turns: list[ContainerTurn], expected: str) -> None:
    assert of_turn(pod(containers=tuple(turns)), run=restarted(2)) == expected


def test_the_end_of_the_last_run_is_decided_before_the_restart() -> None:
    waiting = occurrence("e", 20, 90, run=ended())
    state = filled(pod(containers=(end("e", trace=""),)), waiting)
    occ = occurrence("this", 50, 100, field_path=WEB, run=restarted())
    with pytest.raises(PrerequisiteError) as raised:
        chooser(state).of_turn(occ)
    assert raised.value.prerequisite == Decide([waiting])
    state.start_deciding(waiting)
    assert text(chooser(state).of_turn(occ)) == "own e 0.95"


# Events ---------------------------------------------------------------------------------------------------------------


BACK_OFF = "Back-off restarting failed container web in pod lone"
LIVENESS = "Container web failed liveness probe, will be restarted"


@pytest.mark.parametrize(
    "turn, more, expected",
    [
        (end("e", 0, 90), {}, "own e 0.95"),
        (end("e", 0, 101), {}, "own e 0.95"),
        (end("e", 0, 101.1), {}, "-"),
        (end("e", 0, 90, field_path="spec.containers{other}"), {}, "-"),
        (end("e", 0, 90), {"message": "Back-off pulling image"}, "-"),
        (end("e", 0, 90), {"reason": "Failed"}, "-"),
        (end("e", 0, 90), {"kind": "Widget"}, "-"),
    ],
)
def test_a_back_off_follows_the_last_end(turn: ContainerTurn, more: dict[str, Any], expected: str) -> None:
    fields: dict[str, Any] = {"reason": "BackOff", "message": BACK_OFF} | more
    assert of_event(pod(containers=(turn,)), **fields) == expected


@pytest.mark.parametrize(
    "seconds, said, more, expected",
    [
        (95, "Liveness probe failed: timeout", {}, "own u 0.95"),
        (2, "Liveness probe failed: timeout", {}, "own u 0.95"),
        (101, "Liveness probe failed: timeout", {}, "own u 0.95"),
        (101.1, "Liveness probe failed: timeout", {}, "-"),
        (95, "Startup probe failed: timeout", {}, "-"),
        (95, "Startup probe failed: timeout", {"message": LIVENESS.replace("liveness", "startup")}, "own u 0.95"),
        (95, "Readiness probe failed: timeout", {}, "-"),
        (95, "Liveness probe failed: timeout", {"message": "Stopping container web"}, "-"),
        (95, "Liveness probe failed: timeout", {"reason": "Failed"}, "-"),
        (95, "Liveness probe failed: timeout", {"field_path": "spec.containers{other}"}, "-"),
        (95, "Liveness probe failed: timeout", {"field_path": ""}, "-"),
        (95, "Liveness probe failed: timeout", {"kind": "Widget"}, "-"),
    ],
)
def test_a_container_is_killed_because_of_the_probe_that_failed(
    seconds: float, said: str, more: dict[str, Any], expected: str
) -> None:
    failed = event("u", seconds, reason="Unhealthy", message=said)
    fields: dict[str, Any] = {"reason": "Killing", "message": LIVENESS} | more
    assert of_event(pod(), failed, **fields) == expected
