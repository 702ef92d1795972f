"""Why a claim and a volume were bound."""

from typing import Any

import msgspec
import pytest

from kspan.graph import built_in_rules
from kspan.graph.cause.choice import Choice
from kspan.graph.cause.choose_binding import SCHEDULER, BindingChooser
from kspan.graph.cause.prerequisites import Prerequisites
from kspan.graph.rules.rules import Subject
from kspan.graph.state.records import KnownChange, ObjectState
from kspan.settings import FoldSettings
from kspan.times import SECOND
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
    return text(choice)


def text(choice: Choice | None) -> str:
    return f"{choice.rule} {choice.cause.span if choice.cause is not None else '-'}" if choice is not None else ""


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
        ([pod("old", 20), pod("web", 60, node="node-a", created=60 * SECOND)], "subject old"),
        ([pod("old", 20), pod("web", 49, node="node-a", created=50 * SECOND)], "subject web"),
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
        # Nobody saw how the claim and its volume were made.
        ([claim(changes=[change("bound", 50, 50)])], "pvc", {}),
        ([volume()], "pv", {}),
        ([thing("w", "Widget", claim="pvc"), claim()], "w", {}),
    ],
)
def test_other_changes_are_no_bindings(objects: list[ObjectState], of: str, more: dict[str, Any]) -> None:
    assert bound(*objects, of=of, **more) == ""


# Events of a claim ---------------------------------------------------------------------------------------------------


KNOWN = Choice(change("known", 30, 30), "own", 0.8)


def reported(*objects: ObjectState, choice: Choice = KNOWN, subject: Subject | None = None) -> str:
    """The cause of an Event of the claim with version 50, at second 50, of which ``choice`` is known."""
    rules, settings = built_in_rules(), FoldSettings()
    state = state_of(*objects)
    chooser = BindingChooser(state, Prerequisites(state, rules, settings))
    event = occurrence("this", 50, 50, uid="pvc", event_uid="event", subject=subject)
    return text(chooser.of_event(event, objects[0], choice))


@pytest.mark.parametrize(
    "waits_for, pods, expected",
    [
        ("Pod", [pod("web", 31)], "subject web"),
        ("Pod", [pod("web", 30)], "subject web"),
        ("Pod", [pod("web", 29)], "own known"),
        ("Pod", [pod("web", 50)], "own known"),
        ("Pod", [thing("web", claims=("data",), changes=[change("web", 40, 51, "Create")])], "subject web"),
        ("Pod", [thing("web", claims=("data",), changes=[change("web", 40, 51.1, "Create")])], "own known"),
        ("Pod", [], "own known"),
        ("", [pod("web", 31)], "own known"),
    ],
)
def test_an_event_of_a_claim_that_waited_follows_the_pod_that_uses_it_if_that_is_newer(
    waits_for: str, pods: list[ObjectState], expected: str
) -> None:
    assert reported(claim(awaits=waits_for), *pods) == expected


def test_without_another_cause_the_pod_counts_however_old_it_is() -> None:
    assert reported(claim(awaits="Pod"), pod("web", 5), choice=Choice(None, "root", 0.3)) == "subject web"


@pytest.mark.parametrize(
    "subject, expected",
    [
        (Subject("awaits"), "own known"),
        (Subject("awaits", "Pod", "shop", "web"), "subject web"),
        (Subject("creates"), "subject web"),
    ],
)
def test_an_event_that_a_claim_waits_for_any_pod_follows_none(subject: Subject, expected: str) -> None:
    assert reported(claim(awaits="Pod"), pod("web", 31), subject=subject) == expected
