"""Who deleted an object, and for which change."""

from typing import Any

import msgspec
import pytest

from kspan.graph import built_in_rules
from kspan.graph.cause.choice import Choice
from kspan.graph.cause.choose_deletion import DeletionChooser
from kspan.graph.cause.prerequisites import Prerequisites
from kspan.graph.observe.condition_diff import PHASE
from kspan.graph.state.records import KnownChange, ObjectState, Transition
from kspan.settings import FoldSettings
from kspan.times import SECOND
from tests.graph.making import change, occurrence, state_of, thing, transition


def text(choice: Choice) -> str:
    cause = choice.cause.span if choice.cause is not None else "-"
    return f"{choice.rule} {cause} {round(choice.confidence, 2)}" + (f" by {choice.actor}" if choice.actor else "")


def deleted(obj: ObjectState, *others: ObjectState, **more: Any) -> str:
    """The cause of the deletion of ``obj`` with version 50, at second 100."""
    state, settings, rules = state_of(obj, *others), FoldSettings(), built_in_rules()
    chooser = DeletionChooser(state, rules, settings, Prerequisites(state, rules, settings))
    fields: dict[str, Any] = {"uid": obj.uid, "kind": obj.kind, "verb": "Delete"} | more
    return text(chooser.of_deletion(occurrence("this", 50, 100, **fields), obj))


ROOT = "root - 0.7"


def end(span: str, rv: int, seconds: float, phase: str = "Failed") -> Transition:
    return transition(span, rv, seconds, phase)


@pytest.mark.parametrize(
    "changes, expected",
    [
        ([change("d", 40, 90, "Delete")], "owner d 0.95 by garbage-collector"),
        ([change("d", 50, 90, "Delete")], ROOT),
        ([change("d", 40, 90)], ROOT),
        # Only the last change: it exists again.
        ([change("d", 40, 90, "Delete"), change("c", 45, 95, "Create")], ROOT),
        ([], ROOT),
    ],
)
def test_the_dependents_of_a_deleted_owner_are_garbage(changes: list[KnownChange], expected: str) -> None:
    owner = thing("owner", "Widget", changes=changes)
    assert deleted(thing("obj", owners=("owner",)), owner) == expected
    assert deleted(thing("obj", owners=("nobody", "owner")), owner) == expected


@pytest.mark.parametrize(
    "cause, expected",
    [
        (change("d", 40, 90, "Delete"), "place d 0.9 by namespace-controller"),
        (change("d", 50, 90, "Delete"), ROOT),
        (change("d", 40, 90), ROOT),
    ],
)
def test_a_deleted_namespace_is_emptied(cause: KnownChange, expected: str) -> None:
    assert deleted(thing("obj"), thing("ns", "Namespace", "shop", namespace="", changes=[cause])) == expected


@pytest.mark.parametrize(
    "disruption, node, actor, expected",
    [
        ("DeletionByTaintManager", {"changes": [change("n", 40, 90, effect="evicts")]}, "", "place n 0.8"),
        ("DeletionByTaintManager", {"changes": [change("n", 50, 90, effect="evicts")]}, "", "root - 0.5"),
        ("DeletionByTaintManager", {"changes": [change("n", 40, 90, effect="closed")]}, "", "root - 0.5"),
        (
            "DeletionByTaintManager",
            {"changes": [change("n", 40, 90, effect="evicts"), change("o", 45, 95, effect="opened")]},
            "",
            "root - 0.5",
        ),
        ("Unknown", {"changes": [change("n", 40, 90, effect="evicts")]}, "somebody", "root - 0.5 by somebody"),
        ("Unknown", {"transitions": [transition("t", 40, 90)]}, "kubelet", "place t 0.8 by kubelet"),
        ("Unknown", {"transitions": [transition("t", 40, 90, bad=False)]}, "kubelet", "root - 0.5 by kubelet"),
        ("Unknown", {"transitions": [transition("t", 50, 90)]}, "kubelet", "root - 0.5 by kubelet"),
        ("Unknown", {"transitions": [transition("t", 40, 90)]}, "somebody", "root - 0.5 by somebody"),
    ],
)
def test_a_disrupted_pod_is_deleted_because_of_its_node(
    disruption: str, node: dict[str, Any], actor: str, expected: str
) -> None:
    pod = thing("pod", disruption=disruption, node="node-a")
    found = deleted(pod, thing("n", "Node", "node-a", namespace="", **node), actor=actor)
    assert found.removesuffix(" by taint-eviction-controller") == expected


def test_a_disrupted_pod_without_a_node_is_a_root() -> None:
    node = thing("n", "Node", "", namespace="", changes=[change("n", 40, 90, effect="evicts")])
    assert deleted(thing("pod", disruption="Unknown"), node, actor="x") == "root - 0.5 by x"


def test_a_dependent_that_its_owners_controller_deletes() -> None:
    down = change("down", 40, 90, replicas_before=2, replicas=1)
    rs = thing("rs", "ReplicaSet", changes=[down])
    assert deleted(thing("pod", owner="rs"), rs) == "owner down 0.85 by replicaset-controller"
    assert deleted(thing("pod", owner="rs"), thing("rs", "ReplicaSet")) == ROOT


@pytest.mark.parametrize(
    "kind, changes, expected",
    [
        ("DaemonSet", [change("n", 40, 70, effect="evicts")], "place n 0.8 by daemonset-controller"),
        ("DaemonSet", [change("n", 40, 69.9, effect="evicts")], ROOT),
        ("DaemonSet", [change("n", 40, 90, effect="opened")], ROOT),
        ("DaemonSet", [change("n", 40, 90, effect="evicts"), change("o", 45, 95, effect="opened")], ROOT),
        ("DaemonSet", [change("n", 50, 90, effect="evicts")], ROOT),
        ("ReplicaSet", [change("n", 40, 90, effect="evicts")], ROOT),
    ],
)
def test_a_daemon_set_deletes_the_pod_of_a_node_that_evicts(
    kind: str, changes: list[KnownChange], expected: str
) -> None:
    node = thing("n", "Node", "node-a", namespace="", changes=changes)
    assert deleted(thing("pod", owner="ds", node="node-a"), node, thing("ds", kind)) == expected


@pytest.mark.parametrize(
    "kind, effect, ended, expected",
    [
        ("StatefulSet", "ended", end("t", 40, 70), "own t 0.8 by statefulset-controller"),
        ("DaemonSet", "ended", end("t", 40, 70, "Succeeded"), "own t 0.8 by daemonset-controller"),
        ("StatefulSet", "ended", end("t", 40, 69.9), ROOT),
        ("StatefulSet", "ended", end("t", 50, 90), ROOT),
        ("StatefulSet", "ended", end("t", 40, 90, "Ready"), ROOT),
        ("StatefulSet", "", end("t", 40, 90), ROOT),
        ("ReplicaSet", "ended", end("t", 40, 90), ROOT),
    ],
)
def test_a_pod_that_ended_is_deleted_to_be_replaced(kind: str, effect: str, ended: Transition, expected: str) -> None:
    changes = [change("this", 50, 100, "Delete", effect=effect)]
    # What it is when its deletion is decided is not what it was when it was deleted.
    pod = thing("pod", owner="owner", conditions=(("Failed", PHASE),), transitions=[ended], changes=changes)
    assert deleted(pod, thing("owner", kind)) == expected


@pytest.mark.parametrize(
    "ended, ttl, expected",
    [
        (90, 10, "own c 0.8 by ttl-after-finished-controller"),
        (90, 10.1, ROOT),
        (90, 0, "own c 0.8 by ttl-after-finished-controller"),
        (90, None, ROOT),
        (0, 10, ROOT),
        (100.5, 0, ROOT),
    ],
)
def test_a_job_is_deleted_when_its_time_to_live_is_over(ended: float, ttl: float | None, expected: str) -> None:
    whole = None if ttl is None else int(ttl) + (ttl != int(ttl))
    spec = msgspec.json.encode({"ttlSecondsAfterFinished": whole})
    job = thing("job", "Job", ended=int(ended * SECOND), spec=spec)
    job.changes = [change("c", 30, 80), change("d", 40, 90, "Delete")]
    assert deleted(job) == expected


@pytest.mark.parametrize(
    "policy, claim, expected",
    [
        ("Delete", change("d", 40, 90, "Delete"), "owner d 0.85 by persistentvolume-controller"),
        ("Retain", change("d", 40, 90, "Delete"), ROOT),
        ("Delete", change("d", 50, 90, "Delete"), ROOT),
        ("Delete", change("d", 40, 90), ROOT),
    ],
)
def test_a_volume_is_deleted_with_its_claim_if_its_policy_says_so(
    policy: str, claim: KnownChange, expected: str
) -> None:
    spec = msgspec.json.encode({"persistentVolumeReclaimPolicy": policy})
    volume = thing("pv", "PersistentVolume", namespace="", claim="claim", spec=spec)
    assert deleted(volume, thing("claim", "PersistentVolumeClaim", changes=[claim])) == expected


@pytest.mark.parametrize(
    "own, cause, expected",
    [
        ({}, {}, "owner d 0.95 by garbage-collector"),
        ({"exact": False}, {}, "owner d 0.85 by garbage-collector"),
        ({}, {"exact": False}, "owner d 0.85 by garbage-collector"),
        ({"exact": False}, {"exact": False}, "owner d 0.85 by garbage-collector"),
    ],
)
def test_a_deletion_is_less_certain_if_it_or_its_cause_was_not_watched(
    own: dict[str, Any], cause: dict[str, Any], expected: str
) -> None:
    owner = thing("owner", "Widget", changes=[change("d", 40, 90, "Delete", **cause)])
    obj = thing("obj", owners=("owner",), changes=[change("this", 50, 100, "Delete", **own)])
    assert deleted(obj, owner) == expected


def test_a_deletion_without_a_cause_is_less_certain_if_it_was_not_watched() -> None:
    assert deleted(thing("obj", changes=[change("this", 50, 100, "Delete")])) == "root - 0.7"
    assert deleted(thing("obj", changes=[change("this", 50, 100, "Delete", exact=False)])) == "root - 0.6"


# Pods that are missing from a list -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes, fields, expected",
    [
        ([change("n", 40, 60, effect="deleted")], {}, "place n 0.8 by pod-garbage-collector"),
        ([change("n", 40, 60, effect="evicts")], {}, "place n 0.8"),
        ([change("n", 40, 60, effect="closed")], {}, "place n 0.8"),
        ([change("n", 40, 60, effect="labelled")], {}, ROOT),
        ([change("n", 40, 60, effect="evicts"), change("o", 45, 61, effect="opened")], {}, ROOT),
        # Before the earliest time at which the Pod can have been deleted, and not long before.
        ([change("n", 40, 59.9, effect="evicts")], {}, ROOT),
        ([change("n", 40, 59.9, effect="deleted")], {}, ROOT),
        ([change("n", 50, 60, effect="evicts")], {}, ROOT),
        # It was watched: then a disruption would have been seen.
        ([change("n", 40, 60, effect="evicts")], {"uncertainty": 0}, ROOT),
        ([change("n", 40, 60, effect="deleted")], {"uncertainty": 0}, ROOT),
    ],
)
def test_a_pod_that_is_missing_from_a_list_was_removed_with_what_happened_to_its_node(
    changes: list[KnownChange], fields: dict[str, Any], expected: str
) -> None:
    node = thing("n", "Node", "node-a", namespace="", changes=changes)
    more: dict[str, Any] = {"uncertainty": 10 * SECOND} | fields
    assert deleted(thing("pod", node="node-a"), node, **more) == expected
    assert deleted(thing("pod", node="node-b"), node, **more) == ROOT
    assert deleted(thing("pod"), thing("n", "Node", "", namespace="", changes=changes), **more) == ROOT


@pytest.mark.parametrize("kind, expected", [("DaemonSet", ROOT), ("ReplicaSet", "place n 0.8")])
def test_evictions_spare_the_pods_of_a_daemon_set(kind: str, expected: str) -> None:
    node = thing("n", "Node", "node-a", namespace="", changes=[change("n", 40, 90, effect="closed")])
    pod = thing("pod", owner="owner", node="node-a")
    assert deleted(pod, thing("owner", kind), node, uncertainty=10 * SECOND) == expected


def test_of_two_nodes_with_one_name_the_newer_one_counts() -> None:
    old, new = (
        thing(uid, "Node", "node-a", namespace="", created=at, changes=[change(uid, rv, 90, effect="evicts")])
        for uid, at, rv in (("old", 1, 41), ("new", 2, 40))
    )
    pod = thing("pod", node="node-a")
    assert deleted(pod, new, old, uncertainty=10 * SECOND) == "place new 0.8"


@pytest.mark.parametrize(
    "created, namespaces, expected",
    [
        (50, [(49, "first")], "place first 0.9 by namespace-controller"),
        (50, [(51, "first")], "place first 0.9 by namespace-controller"),
        (50, [(52, "first")], ROOT),
        # The name was used again since.
        (50, [(10, "first"), (40, "second")], "place second 0.9 by namespace-controller"),
        (50, [(10, "first"), (60, "second")], "place first 0.9 by namespace-controller"),
    ],
)
def test_an_object_is_deleted_with_the_namespace_in_which_it_was_created(
    created: int, namespaces: list[tuple[int, str]], expected: str
) -> None:
    named = [
        thing(name, "Namespace", "shop", namespace="", created=at * SECOND, changes=[change(name, 40, 90, "Delete")])
        for at, name in namespaces
    ]
    assert deleted(thing("obj", created=created * SECOND), *named) == expected


def test_a_deletion_has_the_reason_of_the_disruption_as_its_message() -> None:
    pod = thing("pod", disruption="PreemptionByScheduler", node="node-a")
    state, settings, rules = state_of(pod), FoldSettings(), built_in_rules()
    chooser = DeletionChooser(state, rules, settings, Prerequisites(state, rules, settings))
    assert chooser.of_deletion(occurrence("this", 50, 100, verb="Delete"), pod).message == "PreemptionByScheduler"
