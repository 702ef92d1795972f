"""The cause of a condition or phase transition."""

from typing import Any

import pytest

from kspan.graph import built_in_rules
from kspan.graph.cause.choice import PLACE, ROOT, Choice
from kspan.graph.cause.choose_transition import TransitionChooser
from kspan.graph.cause.prerequisites import Prerequisites
from kspan.graph.observe.condition_diff import PHASE
from kspan.graph.rules.rules import Subject
from kspan.graph.state.records import KnownChange, ObjectState, Occurrence, Transition
from kspan.graph.state.state import State
from kspan.settings import FoldSettings
from tests.graph.making import change, occurrence, state_of, thing, transition

NOT_BY_NODE = Choice(None, ROOT, 0.5)


def chooser_of(state: State, disrupted: Choice = NOT_BY_NODE) -> TransitionChooser:
    needs = Prerequisites(state, built_in_rules(), FoldSettings())
    return TransitionChooser(state, needs, lambda *_: disrupted, lambda *_: None)


def chosen(
    obj: ObjectState,
    *others: ObjectState,
    this: Transition | None = None,
    events: tuple[Occurrence, ...] = (),
    disrupted: Choice = NOT_BY_NODE,
    **more: Any,
) -> str:
    """The cause of the transition ``this`` of ``obj`` with version 50, at second 100."""
    made = this or transition("this", 50, 100)
    obj.transitions = [*obj.transitions, made]
    state: State = state_of(obj, *others)
    for event in events:
        state.add_occurrence(event)
        state.start_deciding(event)
    fields: dict[str, Any] = {"uid": obj.uid, "kind": obj.kind, "condition": made.type} | more
    choice = chooser_of(state, disrupted).of_transition(occurrence("this", 50, 100, **fields))
    cause = choice.cause.span if choice.cause is not None else "-"
    return f"{choice.rule} {cause} {round(choice.confidence, 2)}" + (f" by {choice.actor}" if choice.actor else "")


UNKNOWN = "root - 0.3"
GOOD = transition("this", 50, 100, bad=False)


# its own changes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "own, generation, expected",
    [
        ([change("c", 49, 90)], 0, "own c 0.9"),
        ([change("c", 50, 90)], 0, "own c 0.9"),
        ([change("c", 51, 90)], 0, UNKNOWN),
        ([change("c", 49, 90, "Delete")], 0, UNKNOWN),
        ([change("c", 49, 90, generation=2)], 2, "own c 0.95"),
        ([change("c", 49, 90, generation=3)], 2, UNKNOWN),
        ([change("b", 48, 90, generation=2), change("c", 49, 90, generation=3)], 2, "own b 0.95"),
        ([change("c", 49, 90)], 2, "own c 0.9"),
        ([change("c", 49, 90, generation=3)], 0, "own c 0.9"),
        # One whose version is not exact must not be later.
        ([change("c", 49, 101, exact=False)], 0, "own c 0.9"),
        ([change("c", 49, 101.1, exact=False)], 0, UNKNOWN),
        ([change("c", 49, 200)], 0, "own c 0.9"),
        ([], 0, UNKNOWN),
    ],
)
def test_a_transition_follows_the_change_that_its_controller_had_observed(
    own: list[KnownChange], generation: int, expected: str
) -> None:
    assert chosen(thing("w", "Widget", changes=own), generation=generation) == expected


@pytest.mark.parametrize(
    "below, reason, expected",
    [
        ({"transitions": [transition("t", 45, 95)]}, "", "owner t 0.8"),
        ({"transitions": [transition("t", 40, 95)]}, "", "own c 0.9"),
        ({"transitions": [transition("t", 39, 95)]}, "", "own c 0.9"),
        ({"transitions": [transition("t", 45, 95)]}, "ProgressDeadlineExceeded", "own c 0.9"),
        ({"changes": [change("d", 45, 95, "Delete")]}, "", "owner d 0.8"),
        ({"transitions": [transition("t", 45, 95, bad=False)]}, "", "own c 0.9"),
    ],
)
def test_of_its_own_change_and_what_happened_to_a_dependent_the_newer_one_counts(
    below: dict[str, Any], reason: str, expected: str
) -> None:
    owner = thing("w", "Widget", changes=[change("c", 40, 90)])
    assert chosen(owner, thing("pod", owner="w", **below), condition_reason=reason) == expected


@pytest.mark.parametrize(
    "seconds, expected", [(94.9, UNKNOWN), (95, "own e 0.8"), (101, "own e 0.8"), (101.1, UNKNOWN)]
)
def test_a_decision_that_was_just_reported_is_the_cause(seconds: float, expected: str) -> None:
    decides = Subject("scales", "Deployment", "shop", "web", starts=True)
    event = occurrence("e", 45, seconds, uid="hpa", reported_uid="hpa", event_uid="x", subject=decides)
    assert chosen(thing("hpa", "HorizontalPodAutoscaler"), events=(event,)) == expected
    if expected != UNKNOWN:
        other = occurrence("e", 45, seconds, uid="other", reported_uid="hpa", event_uid="x", subject=decides)
        assert chosen(thing("hpa", "HorizontalPodAutoscaler"), events=(other,)) == UNKNOWN
        assert chosen(thing("hpa", "Pod"), events=(event,)) == UNKNOWN


def test_a_volume_is_released_because_its_claim_was_deleted() -> None:
    claim = thing("claim", changes=[change("d", 45, 95, "Delete")])
    volume = thing("pv", "PersistentVolume", claim="claim", changes=[change("c", 46, 96)])
    assert chosen(volume, claim) == "owner d 0.9"


def test_a_transition_that_is_not_known_has_no_cause() -> None:
    state = state_of(thing("w", changes=[change("c", 40)]))
    chooser = chooser_of(state)
    assert chooser.of_transition(occurrence("this", 50, 100, uid="w")).confidence == 0.3
    assert chooser.of_transition(occurrence("this", 50, 100, uid="nobody")).confidence == 0.3


# Nodes ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "this, node, expected",
    [
        (None, {}, "root - 0.9"),
        (None, {"changes": [change("c", 40, 90)]}, "root - 0.9"),
        (GOOD, {}, "root - 0.5"),
        (GOOD, {"changes": [change("c", 40, 90, "Create")]}, "own c 0.9"),
        (GOOD, {"changes": [change("c", 50, 90, "Create")]}, "own c 0.9"),
        (GOOD, {"changes": [change("c", 51, 90, "Create")]}, "root - 0.5"),
        (GOOD, {"changes": [change("c", 40, 90)]}, "root - 0.5"),
        (GOOD, {"transitions": [transition("t", 45, 95)]}, "own t 0.8"),
        (GOOD, {"transitions": [transition("t", 50, 95)]}, "root - 0.5"),
        (GOOD, {"transitions": [transition("t", 45, 95, kind="Other")]}, "root - 0.5"),
        (GOOD, {"transitions": [transition("t", 45, 95, bad=False)]}, "root - 0.5"),
        (
            GOOD,
            {"changes": [change("c", 40, 90, "Create")], "transitions": [transition("t", 45, 95)]},
            "own t 0.8",
        ),
        (
            GOOD,
            {"changes": [change("c", 46, 90, "Create")], "transitions": [transition("t", 45, 95)]},
            "own c 0.9",
        ),
        (
            GOOD,
            {"changes": [change("c", 45, 90, "Create")], "transitions": [transition("t", 45, 95)]},
            "own c 0.9",
        ),
    ],
)
def test_a_node_fails_by_itself_and_recovers_from_its_failure_or_because_it_joined(
    this: Transition | None, node: dict[str, Any], expected: str
) -> None:
    assert chosen(thing("n", "Node", namespace="", **node), this=this) == expected


def node(*transitions: Transition) -> ObjectState:
    return thing("n", "Node", "node-a", namespace="", transitions=list(transitions))


OTHER = transition("this", 50, 100, by_other_component=True)
OTHER_GOOD = transition("this", 50, 100, bad=False, by_other_component=True)


@pytest.mark.parametrize(
    "this, before, of_node, expected",
    [
        # Another component than the kubelet wrote it: what happened to the Node.
        (OTHER, [], transition("t", 45, 95), "place t 0.95"),
        (OTHER, [], transition("t", 50, 95), "own c 0.9"),
        (OTHER, [], transition("t", 45, 95, bad=False), "own c 0.9"),
        (OTHER_GOOD, [], transition("t", 45, 95, bad=False), "place t 0.95"),
        (OTHER_GOOD, [], transition("t", 45, 95), "place t 0.95"),
        (None, [], transition("t", 45, 95), "own c 0.9"),
        # The kubelet reverts what another component wrote.
        (GOOD, [transition("p", 44, 94, by_other_component=True)], transition("t", 45, 95, bad=False), "place t 0.95"),
        (GOOD, [transition("p", 44, 94)], transition("t", 45, 95, bad=False), "own c 0.9"),
        (
            GOOD,
            [transition("p", 44, 94, by_other_component=True, bad=False)],
            transition("t", 45, 95, bad=False),
            "own c 0.9",
        ),
        (
            GOOD,
            [transition("p", 44, 94, by_other_component=True, kind="Other")],
            transition("t", 45, 95, bad=False),
            "own c 0.9",
        ),
    ],
)
def test_a_condition_of_a_pod_may_change_because_of_its_node(
    this: Transition | None, before: list[Transition], of_node: Transition, expected: str
) -> None:
    pod = thing("pod", node="node-a", changes=[change("c", 30, 80)], transitions=before)
    assert chosen(pod, node(of_node), this=this) == expected
    without = thing("pod", changes=[change("c", 30, 80)], transitions=before)
    assert chosen(without, node(of_node), this=this) == "own c 0.9"


BY_NODE = Choice(change("n", 45, 95), PLACE, 0.8)


@pytest.mark.parametrize(
    "bad, disruption, reason, disrupted, expected",
    [
        (True, "Preempted", "", BY_NODE, "place n 0.8"),
        (True, "", "Evicted", BY_NODE, "place n 0.8"),
        (True, "", "NodeLost", BY_NODE, "place n 0.8"),
        (True, "", "Error", BY_NODE, "own c 0.9"),
        (False, "Preempted", "", BY_NODE, "own c 0.9"),
        (True, "Preempted", "", Choice(None, ROOT, 0.5, actor="somebody"), "own c 0.9 by somebody"),
    ],
)
def test_a_pod_that_failed_because_of_its_node_follows_its_disruption(
    bad: bool, disruption: str, reason: str, disrupted: Choice, expected: str
) -> None:
    pod = thing("pod", node="node-a", disruption=disruption, changes=[change("c", 30, 80)])
    this = transition("this", 50, 100, kind="Failed", bad=bad)
    more: dict[str, Any] = {"condition_status": PHASE, "condition_reason": reason}
    assert chosen(pod, node(), this=this, disrupted=disrupted, **more) == expected
