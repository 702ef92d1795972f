"""Condition sets, and the transitions between them."""

import pytest

from kspan.graph.observe.condition_diff import (
    CONDITIONS_LIMIT,
    PHASE,
    TYPE_LIMIT,
    condition_set,
    diff_conditions,
    ended_phase,
    not_quiet,
)
from kspan.k8s.objects import Condition, ObjectStatus


def status(*conditions: tuple[str, str] | tuple[str, str, str], phase: str = "") -> ObjectStatus:
    found = [Condition(c[0], c[1], c[2] if len(c) > 2 else "") for c in conditions]  # type: ignore[arg-type]
    return ObjectStatus(phase=phase, conditions=found)


def changes(kind: str, before: ObjectStatus | None, now: ObjectStatus) -> list[str]:
    """The transitions: ``name`` for a good one, ``name!`` for a bad one, ``name!!`` for an error, quiet in brackets."""
    old = condition_set(kind, before) if before is not None else ()
    found = diff_conditions(kind, old, condition_set(kind, now), now)
    return [f"({t.name})" if t.quiet else f"{t.name}{'!!' if t.error else '!' if t.bad else ''}" for t in found]


def test_a_condition_set_has_each_type_once_with_its_last_status() -> None:
    assert condition_set("Widget", status(("A", "True"), ("B", "False"), ("A", "Unknown"))) == (
        ("A", "Unknown"),
        ("B", "False"),
    )
    assert condition_set("Widget", status()) == ()


def test_too_many_conditions_and_invalid_types_are_ignored() -> None:
    many = [(f"C{number}", "True") for number in range(CONDITIONS_LIMIT + 1)]
    assert len(condition_set("Widget", status(*many))) == CONDITIONS_LIMIT
    assert len(condition_set("Pod", status(*many))) == CONDITIONS_LIMIT
    longest = "x" * TYPE_LIMIT
    assert condition_set("Widget", status((longest, "True"), (longest + "x", "True"), ("", "True"))) == (
        (longest, "True"),
    )


@pytest.mark.parametrize(
    "kind, phase, expected",
    [
        ("Pod", "Running", ()),
        ("Pod", "Failed", (("Failed", PHASE),)),
        ("PersistentVolume", "Released", (("Released", PHASE),)),
        ("Widget", "Failed", ()),
    ],
)
def test_some_phases_are_treated_as_conditions(kind: str, phase: str, expected: tuple[tuple[str, str], ...]) -> None:
    assert condition_set(kind, status(phase=phase)) == expected
    assert ended_phase(expected) == (phase if expected else "")


READY, NOT_READY = status(("Ready", "True")), status(("Ready", "False"))
PRESSURE, NO_PRESSURE, LOST = (status(("MemoryPressure", value)) for value in ("True", "False", "Unknown"))


@pytest.mark.parametrize(
    "kind, before, now, expected",
    [
        # Custom resources
        ("Widget", READY, READY, []),
        ("Widget", READY, NOT_READY, ["Ready=False!"]),
        ("Widget", NOT_READY, READY, ["Ready"]),
        ("Widget", READY, status(("Ready", "Unknown")), ["Ready=Unknown!"]),
        ("Widget", READY, status(("Ready", "False", "SyncError")), ["Ready=False!!"]),
        ("Widget", READY, status(), ["Ready=False!"]),  # removed
        ("Widget", NOT_READY, status(), []),
        ("Widget", status(("Degraded", "False")), status(("Degraded", "True")), ["Degraded!!"]),
        ("Widget", status(("Degraded", "True")), status(("Degraded", "False")), ["Degraded=False"]),
        # The first status
        ("Widget", None, READY, ["Ready"]),
        ("Widget", None, NOT_READY, ["(Ready=False)"]),
        ("Widget", None, status(("Ready", "False", "Forbidden")), ["Ready=False!!"]),
        ("Deployment", None, status(("Progressing", "True"), ("Available", "True")), ["(Progressing)", "Available"]),
        ("Deployment", status(("Progressing", "False")), status(("Progressing", "True")), ["Progressing"]),
        # Nodes
        ("Node", READY, NOT_READY, ["Ready=False!!"]),
        ("Node", NO_PRESSURE, PRESSURE, ["MemoryPressure!!"]),
        ("Node", NO_PRESSURE, LOST, ["(MemoryPressure=Unknown)"]),
        ("Node", LOST, NO_PRESSURE, ["(MemoryPressure=False)"]),
        ("Node", PRESSURE, LOST, ["MemoryPressure=Unknown"]),
        ("Node", NOT_READY, status(("Ready", "Unknown")), ["Ready=Unknown!!"]),
        # Pods
        ("Pod", None, status(("PodScheduled", "True"), ("Initialized", "False")), ["(PodScheduled)"]),
        ("Pod", status(("Initialized", "True")), status(("Initialized", "False")), ["(Initialized=False)"]),
        ("Pod", status(("Initialized", "True")), status(), ["(Initialized=False)"]),
        ("Pod", status(("Initialized", "False")), status(), []),
        ("Pod", READY, status(("Ready", "False", "PodCompleted")), ["(Ready=False)"]),
        ("Pod", READY, status(("Ready", "False"), phase="Succeeded"), ["(Ready=False)", "Succeeded"]),
        ("Pod", READY, status(phase="Failed"), ["Failed!!", "(Ready=False)"]),
        # Phases
        ("PersistentVolumeClaim", None, status(phase="Bound"), ["Bound"]),
        ("PersistentVolumeClaim", status(phase="Bound"), status(phase="Lost"), ["Lost!!"]),
        ("PersistentVolume", status(phase="Bound"), status(phase="Released"), ["Released"]),
    ],
)  # fmt: skip
def test_transitions(kind: str, before: ObjectStatus | None, now: ObjectStatus, expected: list[str]) -> None:
    assert changes(kind, before, now) == expected


def test_a_transition_has_its_entry_and_whether_it_is_the_first_status() -> None:
    now = status(("Ready", "False", "Starting"), ("New", "True"))
    ready, new = diff_conditions("Widget", (("Ready", "True"),), condition_set("Widget", now), now)
    assert ready.condition is not None
    assert ready.condition.reason == "Starting"
    assert (ready.first, new.first) == (False, False), "only quiet transitions are marked"
    (first,) = diff_conditions("Widget", (), condition_set("Widget", NOT_READY), NOT_READY)
    assert first.first


def test_a_quiet_transition_can_become_news() -> None:
    now = status(("Initialized", "False"))
    (quiet,) = diff_conditions("Pod", (("Initialized", "True"),), condition_set("Pod", now), now)
    news = not_quiet("Pod", quiet)
    assert (news.quiet, news.bad, news.error, news.name) == (False, True, False, "Initialized=False")
