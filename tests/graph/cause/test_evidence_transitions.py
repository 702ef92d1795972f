"""Evidence about condition transitions."""

from typing import Any

import msgspec
import pytest

from kspan.graph.cause import choose_transition, evidence
from kspan.graph.state.records import Transition
from tests.graph.cause.test_evidence import span
from tests.graph.making import change, occurrence, state_of, thing, transition

# transitions ---------------------------------------------------------------------------------------------------------


def test_the_newest_transition_before_an_occurrence() -> None:
    known = [transition("a", 10), transition("b", 20), transition("c", 20), transition("d", 30)]
    assert span(evidence.newest_transition(known, occurrence(rv=30))) == "c"
    assert span(evidence.newest_transition(known, occurrence("c", rv=30))) == "b"
    assert span(evidence.newest_transition(known, occurrence(rv=31))) == "d"
    assert evidence.newest_transition(known, occurrence(rv=10)) is None


@pytest.mark.parametrize("seconds, expected", [(69.9, ""), (70, "t"), (100, "t"), (130, "t"), (130.1, "")])
def test_an_event_reports_a_transition_of_its_object_within_30_s(seconds: float, expected: str) -> None:
    obj = thing("pod", transitions=[transition("t", 10, seconds)])
    assert span(evidence.nearest_transition(obj, occurrence(seconds=100))) == expected


def test_the_nearest_transition_is_nearest_in_time_then_by_span() -> None:
    obj = thing("pod", transitions=[transition("c", 1, 97), transition("b", 2, 102), transition("a", 3, 98)])
    assert span(evidence.nearest_transition(obj, occurrence(seconds=100))) == "a"


@pytest.mark.parametrize(
    "this, below, expected",
    [
        (transition("t", 50), {"transitions": [transition("a", 49)]}, "a"),
        (transition("t", 50), {"transitions": [transition("a", 50)]}, ""),
        (transition("t", 50), {"transitions": [transition("a", 49, bad=False)]}, ""),
        (transition("t", 50, bad=False), {"transitions": [transition("a", 49, bad=False)]}, "a"),
        (transition("t", 50), {"changes": [change("d", 49, verb="Delete")]}, "d"),
        (transition("t", 50), {"changes": [change("d", 50, verb="Delete")]}, ""),
        (transition("t", 50), {"changes": [change("d", 2, verb="Delete")]}, ""),
        (transition("t", 50), {"changes": [change("d", 3, verb="Delete")]}, "d"),
        (transition("t", 50, bad=False), {"changes": [change("d", 49, verb="Delete")]}, ""),
        (transition("t", 50), {"changes": [change("c", 49, verb="Create")]}, ""),
        (transition("t", 50, kind="ReplicaFailure", bad=False), {"changes": [change("c", 49, verb="Create")]}, "c"),
        (transition("t", 50, bad=False), {"changes": [change("c", 49, verb="Create")]}, ""),
    ],
)
@pytest.mark.parametrize("siblings", [0, 513], ids=["few", "indexed"])
def test_what_happened_to_a_dependent_may_have_caused_a_transition(
    this: Transition, below: dict[str, Any], expected: str, siblings: int
) -> None:
    owner, child, grandchild = thing("rs"), thing("other", owner="rs"), thing("pod", owner="other", **below)
    others = [thing(f"pod-{number}", owner="other") for number in range(siblings)]
    assert span(choose_transition.newest_below(state_of(owner, child, *others, grandchild), owner, this)) == expected


@pytest.mark.parametrize("siblings", [0, 513], ids=["few", "indexed"])
def test_of_a_transition_and_a_deletion_below_the_newest_counts(siblings: int) -> None:
    owner, this = thing("rs"), transition("t", 50)
    others = [thing(f"pod-{number}", owner="rs") for number in range(siblings)]
    for rv, expected in ((39, "a"), (41, "d")):
        turned = thing("x", owner="rs", transitions=[transition("a", 40)])
        gone = thing("y", owner="rs", changes=[change("d", rv, verb="Delete")])
        assert span(choose_transition.newest_below(state_of(owner, *others, turned, gone), owner, this)) == expected


@pytest.mark.parametrize(
    "fields, labels, expected",
    [
        ({}, {"app": "web"}, "a"),
        ({"kind": "StatefulSet"}, {"app": "web"}, "a"),
        ({"kind": "ReplicationController"}, {"app": "web"}, "a"),
        ({"kind": "Widget"}, {"app": "web"}, ""),
        ({"namespace": "lab"}, {"app": "web"}, ""),
        ({}, {"app": "db"}, ""),
    ],
)
def test_a_budget_changes_because_of_the_pods_that_it_guards(
    fields: dict[str, Any], labels: dict[str, str], expected: str
) -> None:
    selector = msgspec.json.encode({"selector": {"matchLabels": {"app": "web"}}})
    template = msgspec.json.encode({"template": {"metadata": {"labels": labels}}})
    budget = thing("budget", "PodDisruptionBudget", spec=selector)
    controller = thing("rs", **({"kind": "ReplicaSet", "spec": template} | fields))
    pod = thing("pod", owner="rs", transitions=[transition("a", 40)])
    state = state_of(budget, controller, pod)
    assert (
        span(choose_transition.newest_guarded(state, budget, transition("t", 50, kind="DisruptionAllowed"))) == expected
    )
    without = thing("other", "PodDisruptionBudget")
    assert choose_transition.newest_guarded(state, without, transition("t", 50)) is None


def test_of_the_pods_of_two_controllers_the_newest_counts() -> None:
    spec = msgspec.json.encode({"template": {"metadata": {"labels": {"app": "web"}}}})
    budget = thing("budget", "PodDisruptionBudget", spec=b'{"selector": {"matchLabels": {"app": "web"}}}')
    controllers = [thing(name, "ReplicaSet", spec=spec) for name in ("one", "two")]
    pods = [
        thing(f"of-{name}", owner=name, transitions=[transition(name, rv)]) for name, rv in (("one", 41), ("two", 40))
    ]
    assert (
        span(choose_transition.newest_guarded(state_of(budget, *controllers, *pods), budget, transition("t", 50)))
        == "one"
    )
