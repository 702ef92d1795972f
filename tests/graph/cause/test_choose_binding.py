"""Why a claim and a volume were bound."""

from typing import Any

import msgspec
import pytest

from kspan.graph import built_in_rules
from kspan.graph.cause.choose_binding import SCHEDULER, BindingChooser
from kspan.graph.cause.prerequisites import Prerequisites
from kspan.graph.state.records import KnownChange, ObjectState
from kspan.settings import FoldSettings
from tests.graph.making import change, occurrence, state_of, thing

BOUND = msgspec.json.encode({"volumeName": "disk"})


def made(span: str, rv: int) -> KnownChange:
    return change(span, rv, rv, "Create")


def claim(**more: Any) -> ObjectState:
    fields = {"spec": BOUND, "changes": [made("claim", 10), change("bound", 50, 50)]} | more
    return thing("pvc", "PersistentVolumeClaim", "data", **fields)


def volume(*changes: KnownChange) -> ObjectState:
    return thing("pv", "PersistentVolume", "disk", namespace="", claim="pvc", changes=list(changes))


def pod(name: str, rv: int, **more: Any) -> ObjectState:
    return thing(name, claims=("data",), changes=[made(name, rv)], **more)


def bound(*objects: ObjectState, of: str = "pvc", **more: Any) -> str:
    """The cause of the change of an object at version 50, by which a controller bound it."""
    rules, settings = built_in_rules(), FoldSettings()
    state = state_of(*objects)
    obj = state.object(of)
    assert obj is not None
    fields: dict[str, Any] = {"uid": of, "kind": obj.kind, "verb": "Update", "by_controller": True} | more
    chooser = BindingChooser(state, Prerequisites(state, rules, settings))
    choice = chooser.of_binding(occurrence("bound", 50, 50, **fields), obj)
    return f"{choice.rule} {choice.cause.span}" if choice is not None and choice.cause is not None else ""


@pytest.mark.parametrize(
    "others, expected",
    [
        ([], "own claim"),
        ([volume(made("volume", 5))], "own claim"),
        ([volume(made("volume", 20))], "subject volume"),
        # What the controllers do with the volume is no reason, what people do with it is one.
        ([volume(made("volume", 5), change("reserved", 40, 40))], "own claim"),
        ([volume(made("volume", 5), change("freed", 40, 40, manual=True))], "subject freed"),
        ([volume(made("volume", 60))], "own claim"),
        # Nothing says that the claim waits for a Pod.
        ([pod("web", 30)], "own claim"),
        # The scheduler does.
        ([pod("web", 30), volume(made("volume", 5), change("r", 40, 40, manager=SCHEDULER))], "subject web"),
    ],
)
def test_a_claim_is_bound_because_of_what_was_made_last(others: list[ObjectState], expected: str) -> None:
    assert bound(claim(), *others) == expected


@pytest.mark.parametrize(
    "pods, expected",
    [
        ([pod("web", 30)], "subject web"),
        ([pod("web", 60)], "own claim"),
        ([pod("old", 20), pod("web", 30)], "subject old"),
        ([pod("old", 20), pod("web", 30, node="node-a")], "subject web"),
        ([thing("other", claims=("files",), changes=[made("other", 30)])], "own claim"),
        ([pod("elsewhere", 30, namespace="lab")], "own claim"),
        ([], "own claim"),
    ],
)
def test_a_claim_that_waits_for_a_pod_is_bound_because_of_the_first_that_gets_a_node(
    pods: list[ObjectState], expected: str
) -> None:
    assert bound(claim(awaits="Pod"), *pods) == expected


def test_a_volume_is_bound_because_of_its_claim_or_of_itself() -> None:
    assert bound(claim(), volume(made("volume", 5)), of="pv") == "owner claim"
    assert bound(claim(), volume(made("volume", 20)), of="pv") == "own volume"


@pytest.mark.parametrize(
    "objects, of, more",
    [
        ([claim()], "pvc", {"by_controller": False}),
        ([claim()], "pvc", {"verb": "Delete"}),
        ([claim()], "pvc", {"verb": "Create"}),
        ([volume()], "pv", {}),
        ([thing("w", "Widget", claim="pvc"), claim()], "w", {}),
    ],
)
def test_other_changes_are_no_bindings(objects: list[ObjectState], of: str, more: dict[str, Any]) -> None:
    assert bound(*objects, of=of, **more) == ""
