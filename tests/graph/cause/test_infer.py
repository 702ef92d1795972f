"""Changes that nobody saw, inferred from the managedFields of a listed object that was created at second 100."""

from typing import Any

import msgspec
import pytest

from kspan.graph import built_in_rules
from kspan.graph.cause.infer import infer_changes
from kspan.graph.observe.field_managers import FieldManagerEntry
from kspan.graph.state.records import Baseline, KnownChange, ObjectState, Occurrence
from kspan.ids import span_id
from kspan.settings import FoldSettings
from kspan.times import SECOND
from tests.graph.making import CLUSTER, change, state_of, thing

CONTROLLER = "kube-controller-manager"


def entry(manager: str, seconds: float) -> FieldManagerEntry:
    return FieldManagerEntry(manager, "", int(seconds * SECOND), 1)


def listed(
    entries: list[FieldManagerEntry], *, generation: int = 1, kind: str = "Deployment", **more: Any
) -> ObjectState:
    obj = thing("obj", kind, created=100 * SECOND, generation=generation, **more)
    obj.baseline = Baseline("40", generation, 3, 7, tuple(entries))
    return obj


def inferred(
    obj: ObjectState, near: float = 150, *others: ObjectState, known: list[Occurrence] | None = None
) -> list[tuple[Occurrence, KnownChange]]:
    state = state_of(obj, *others)
    for occ in known or []:
        state.add_occurrence(occ)
    return infer_changes(state, built_in_rules(), FoldSettings(), obj, int(near * SECOND)) or []


def verbs(obj: ObjectState, near: float = 150) -> list[str]:
    return [occ.verb for occ, _ in inferred(obj, near)]


CHANGED = [entry("kubectl", 100), entry("kubectl-set", 140)]


@pytest.mark.parametrize(
    "near, expected",
    [
        (98.9, []),
        (99, ["Create", "Update"]),
        (150, ["Create", "Update"]),
        (1000, ["Create", "Update"]),
        (1000.1, ["Update"]),
        (1040, ["Update"]),
        (1040.1, []),
    ],
)
def test_a_change_is_inferred_if_it_is_not_older_than_a_trace_can_be(near: float, expected: list[str]) -> None:
    assert verbs(listed(CHANGED, generation=2), near) == expected


@pytest.mark.parametrize(
    "entries, generation, expected",
    [
        (CHANGED, 1, ["Create"]),
        (CHANGED, 2, ["Create", "Update"]),
        ([entry("kubectl", 101)], 2, ["Create", "Update"]),
        ([entry("kubectl", 100.9)], 2, ["Create"]),
        ([], 2, ["Create"]),
    ],
)
def test_an_update_is_inferred_from_a_generation_and_a_later_entry(
    entries: list[FieldManagerEntry], generation: int, expected: list[str]
) -> None:
    assert verbs(listed(entries, generation=generation)) == expected


@pytest.mark.parametrize("near", [98, 2000])
def test_without_a_change_near_the_baseline_is_kept_for_later(near: int) -> None:
    obj = listed(CHANGED, generation=2)
    assert infer_changes(state_of(obj), built_in_rules(), FoldSettings(), obj, near * SECOND) is None


def test_nothing_is_inferred_twice_or_of_an_object_that_was_not_listed() -> None:
    obj = listed(CHANGED, generation=2)
    first = inferred(obj)
    known = [occ for occ, _ in first]
    assert [occ.verb for occ, _ in inferred(obj, known=known[:1])] == ["Update"]
    assert inferred(obj, known=known) == []
    assert inferred(thing("obj", created=100 * SECOND)) == []


@pytest.mark.parametrize(
    "entries, taints, expected",
    [
        # Controllers write Nodes all the time: people's changes of taints count.
        ([entry("kubectl", 140), entry(CONTROLLER, 145)], True, [("Create", ""), ("Update", "kubectl")]),
        ([entry(CONTROLLER, 145)], True, [("Create", ""), ("Update", CONTROLLER)]),
        ([entry("kubectl", 140)], False, [("Create", "")]),
    ],
)
def test_a_taint_of_a_node_is_inferred(
    entries: list[FieldManagerEntry], taints: bool, expected: list[tuple[str, str]]
) -> None:
    spec = {"taints": [{"key": "x", "effect": "NoExecute"}]} if taints else {}
    node = listed(entries, generation=0, kind="Node", spec=msgspec.json.encode(spec))
    found = inferred(node)
    assert [(occ.verb, occ.manager) for occ, _ in found] == expected
    assert [change.effect for _, change in found] == ["", "evicts"][: len(found)]


def test_a_node_that_was_created_with_a_taint_evicts_nothing() -> None:
    spec = msgspec.json.encode({"taints": [{"key": "x", "effect": "NoExecute"}]})
    node = listed([entry("kubectl", 100.5)], generation=0, kind="Node", spec=spec)
    assert [(occ.verb, change.effect) for occ, change in inferred(node)] == [("Create", "")]


def test_only_what_the_newest_change_led_to_is_known() -> None:
    (create, made), (update, changed) = inferred(listed(CHANGED, generation=2))
    assert (made.replicas, made.template, changed.replicas, changed.template) == (-1, 0, 3, 7)
    assert (made.rv, changed.rv, create.rv, update.rv) == (1, 2, 1, 2)
    assert (made.manual, changed.manual) == (True, True)
    assert (create.time, create.latest) == (100 * SECOND, 101 * SECOND)
    assert (update.time, update.latest) == (140 * SECOND, 141 * SECOND)
    assert (create.generation, update.generation) == (1, 2)


def test_inferred_changes_have_the_ids_that_they_would_have_had() -> None:
    (create, _), (update, _) = inferred(listed(CHANGED, generation=2))
    assert create.id == span_id(CLUSTER, "obj", "Create")
    assert update.id == span_id(CLUSTER, "obj", "Update", "2")


@pytest.mark.parametrize(
    "entries, expected",
    [
        ([entry("kubectl", 100)], "kubectl"),
        ([entry("kubectl", 101)], "kubectl"),
        ([entry("kubectl", 101.1)], ""),
        ([entry("b", 100), entry("a", 100)], "a"),
        ([entry("b", 140), entry("a", 100)], "a"),
        ([], ""),
    ],
)
def test_the_creator_is_the_first_manager_within_a_second_of_the_creation(
    entries: list[FieldManagerEntry], expected: str
) -> None:
    (occ, _), *_ = inferred(listed(entries))
    assert (occ.manager, occ.actor) == (expected, expected or "unknown")


@pytest.mark.parametrize(
    "entries, generation, traceparent, version",
    [
        ([entry("a", 100)], 1, "context", ""),
        ([entry("a", 100)], 0, "context", "40"),
        # Changed since: what it carries now may be newer.
        ([entry("a", 100), entry("b", 100)], 1, "", ""),
        ([entry("a", 100)], 2, "", ""),
    ],
)
def test_an_unchanged_object_still_has_the_context_with_which_it_was_created(
    entries: list[FieldManagerEntry], generation: int, traceparent: str, version: str
) -> None:
    (occ, _), *_ = inferred(listed(entries, generation=generation, traceparent="context"))
    assert (occ.traceparent, occ.resource_version) == (traceparent, version)
    assert occ.generation == (1 if generation else 0)


@pytest.mark.parametrize(
    "manager, owner, by_controller, actor",
    [
        (CONTROLLER, "web", True, "deployment-controller"),
        ("odd", "web", False, "odd"),
        ("owner-controller", "web", True, "owner-controller"),
        ("owner-controller", "", False, "owner-controller"),
        (CONTROLLER, "", True, CONTROLLER),
        ("kubectl-client-side-apply", "", False, "kubectl"),
    ],
)
def test_a_manager_is_a_controller_by_its_name_or_as_that_of_the_owner(
    manager: str, owner: str, by_controller: bool, actor: str
) -> None:
    obj = listed([entry(manager, 100)], owner=owner, owner_manager="owner-controller")
    (occ, change), *_ = inferred(obj, 150, thing("web", "Deployment"))
    assert (occ.by_controller, occ.actor, change.manual) == (by_controller, actor, not by_controller)


# revisions -----------------------------------------------------------------------------------------------------------


def revision(uid: str, seconds: float, **more: Any) -> ObjectState:
    kind = more.pop("kind", "ReplicaSet")
    return thing(uid, kind, owner="obj", created=int(seconds * SECOND), **({"template": 9} | more))


@pytest.mark.parametrize(
    "kind, made, now, expected",
    [
        ("Deployment", revision("r", 135), 150, [135]),
        # Of the creation itself.
        ("Deployment", revision("r", 129.9), 150, []),
        ("Deployment", revision("r", 130), 150, []),
        ("Deployment", revision("r", 130.1), 150, [130.1]),
        # Next to an update that is known already: that one has a better time.
        ("Deployment", revision("r", 330), 400, []),
        ("Deployment", revision("r", 330.5), 400, [330.5]),
        ("Deployment", revision("r", 300), 400, []),
        ("Deployment", revision("r", 299.5), 400, [299.5]),
        # Its creation was seen, and so the change before it.
        ("Deployment", revision("r", 135, changes=[change("c", 3, 135, "Create")]), 150, []),
        ("Deployment", revision("r", 135, changes=[change("c", 1, 135, "Create")]), 150, [135]),
        ("Deployment", revision("r", 135, changes=[change("c", 3, 135, "Update")]), 150, [135]),
        ("Deployment", revision("r", 135, kind="ControllerRevision"), 150, []),
        ("StatefulSet", revision("r", 135, kind="ControllerRevision"), 150, [135]),
        ("DaemonSet", revision("r", 135, kind="ControllerRevision"), 150, [135]),
        ("StatefulSet", revision("r", 135), 150, []),
        ("Widget", revision("r", 135), 150, []),
    ],
)
def test_each_revision_shows_a_change_of_the_template(
    kind: str, made: ObjectState, now: float, expected: list[float]
) -> None:
    updated = 300 if now > 300 else 0
    entries = [entry("kubectl", 100), *([entry("kubectl-set", updated)] if updated else [])]
    obj = listed(entries, kind=kind, generation=2)
    found = [c for occ, c in inferred(obj, now, made) if occ.verb == "Update" and c.time != updated * SECOND]
    assert [c.time / SECOND for c in found] == expected
    assert all(c.manual and c.template == (9 if kind == "Deployment" else 0) for c in found)


def test_an_object_that_was_never_updated_has_no_change_of_its_template() -> None:
    obj = listed([entry("kubectl", 100)], generation=1)
    assert [occ.verb for occ, _ in inferred(obj, 150, revision("r", 135))] == ["Create"]


@pytest.mark.parametrize(
    "near, now, made, expected",
    [
        # Events in the first list are at most an hour old.
        (5000, 5000, 1400, True),
        (5000, 5000, 1399, False),
        # A late occurrence can have a cause as old as a trace can be.
        (2000, 5000, 1100, True),
        (2000, 5000, 1099, False),
    ],
)
def test_a_revision_counts_if_something_that_a_first_list_shows_may_follow_from_it(
    near: int, now: int, made: float, expected: bool
) -> None:
    obj, owned = listed([entry("kubectl", 100)], generation=2), revision("r", made)
    state = state_of(obj, owned)
    state.clock.advance(now * SECOND)
    found = infer_changes(state, built_in_rules(), FoldSettings(), obj, near * SECOND)
    assert bool(found) is expected
