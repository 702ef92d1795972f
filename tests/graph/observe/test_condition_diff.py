"""Which transitions lie between two statuses, and which of them are news, bad, or failures."""

from typing import Any

import msgspec
import pytest

from kspan.graph.observe.condition_diff import (
    PHASE,
    ConditionSet,
    condition_set,
    diff_conditions,
    ended_phase,
    is_bad,
    not_quiet,
)
from kspan.k8s.objects import ObjectStatus, decode_status


def status(*conditions: tuple[str, ...], phase: str = "") -> ObjectStatus:
    """(type, status, reason) each."""
    entries = [{"type": c[0], "status": c[1], "reason": c[2] if len(c) > 2 else ""} for c in conditions]
    raw: dict[str, Any] = {"conditions": entries} | ({"phase": phase} if phase else {})
    return decode_status(msgspec.json.encode(raw))


def changes(kind: str, before: ConditionSet, after: ObjectStatus) -> list[str]:
    """Name of each transition: ``-`` before one that is bad, ``!`` behind an error, brackets around a quiet one."""
    found = []
    for t in diff_conditions(kind, before, condition_set(kind, after), after):
        text = ("-" if t.bad else "") + t.name + ("!" if t.error else "")
        found.append((f"({text})" if t.quiet else text) + (" first" if t.first else ""))
    return found


@pytest.mark.parametrize(
    "kind, before, after, expected",
    [
        # Good if true.
        ("Widget", [("Ready", "False")], [("Ready", "True")], ["Ready"]),
        ("Widget", [("Ready", "True")], [("Ready", "False")], ["-Ready=False"]),
        ("Widget", [("Ready", "True")], [("Ready", "Unknown")], ["-Ready=Unknown"]),
        ("Widget", [("Ready", "True")], [("Ready", "True")], []),
        # Bad if true: always an error.
        ("Node", [("MemoryPressure", "False")], [("MemoryPressure", "True")], ["-MemoryPressure!"]),
        ("Node", [("MemoryPressure", "True")], [("MemoryPressure", "False")], ["MemoryPressure=False"]),
        ("ReplicaSet", [], [("ReplicaFailure", "True")], ["-ReplicaFailure!"]),
        # A failure by its reason, or a Node that is not ready.
        ("Widget", [("Ready", "True")], [("Ready", "False", "BackOff")], ["-Ready=False!"]),
        ("Widget", [("Ready", "True")], [("Ready", "False", "Waiting")], ["-Ready=False"]),
        ("Widget", [("Ready", "False")], [("Ready", "True", "NoErrors")], ["Ready"]),
        ("Node", [("Ready", "True")], [("Ready", "False", "Waiting")], ["-Ready=False!"]),
        ("Pod", [("Ready", "True")], [("Ready", "False", "Waiting")], ["-Ready=False"]),
        # The first status: what is not true yet is expected.
        ("Widget", [], [("Ready", "False")], ["(Ready=False) first"]),
        ("Widget", [], [("Ready", "False", "Denied")], ["-Ready=False!"]),
        ("Widget", [], [("Ready", "True")], ["Ready"]),
        ("Deployment", [], [("Progressing", "True")], ["(Progressing) first"]),
        ("Deployment", [], [("Progressing", "False", "ProgressDeadlineExceeded")], ["-Progressing=False!"]),
        ("Deployment", [("Progressing", "False")], [("Progressing", "True")], ["Progressing"]),
        ("HorizontalPodAutoscaler", [], [("AbleToScale", "True")], ["(AbleToScale) first"]),
        # Conditions that repeat something else.
        ("Pod", [], [("PodScheduled", "True")], ["(PodScheduled) first"]),
        ("Pod", [], [("PodScheduled", "False")], []),
        ("Pod", [("Initialized", "True")], [("Initialized", "False")], ["(Initialized=False)"]),
        ("Widget", [], [("PodScheduled", "True")], ["PodScheduled"]),
        ("Job", [], [("FailureTarget", "True")], ["(FailureTarget) first"]),
        # A condition that is removed is false from then on.
        ("Widget", [("Ready", "True")], [], ["-Ready=False"]),
        ("Widget", [("Ready", "False")], [], []),
        ("Widget", [("Failed", "True")], [], ["Failed=False"]),
        ("Pod", [("Initialized", "True")], [], ["(Initialized=False)"]),
        # A lost Node: what was not true becomes Unknown, which repeats that it is not ready.
        ("Node", [("DiskPressure", "False")], [("DiskPressure", "Unknown")], ["(DiskPressure=Unknown)"]),
        ("Node", [("DiskPressure", "Unknown")], [("DiskPressure", "False")], ["(DiskPressure=False)"]),
        ("Node", [("DiskPressure", "True")], [("DiskPressure", "Unknown")], ["DiskPressure=Unknown"]),
        ("Node", [("DiskPressure", "Unknown")], [("DiskPressure", "True")], ["-DiskPressure!"]),
        ("Node", [("Ready", "False")], [("Ready", "Unknown")], ["-Ready=Unknown!"]),
        # A Pod is not ready because it ended.
        ("Pod", [("Ready", "True")], [("Ready", "False", "PodCompleted")], ["(Ready=False)"]),
        ("Pod", [("Ready", "True")], [("Ready", "False", "PodFailed")], ["(Ready=False)"]),
    ],
)
def test_transitions_of_conditions(
    kind: str, before: list[tuple[str, str]], after: list[tuple[str, ...]], expected: list[str]
) -> None:
    assert changes(kind, tuple(before), status(*after)) == expected


@pytest.mark.parametrize(
    "kind, before, phase, expected",
    [
        ("Pod", "", "Succeeded", ["Succeeded"]),
        ("Pod", "", "Failed", ["-Failed!"]),
        ("Pod", "", "Running", []),
        ("Pod", "Failed", "Failed", []),
        ("PersistentVolumeClaim", "", "Bound", ["Bound"]),
        ("PersistentVolumeClaim", "Bound", "Lost", ["-Lost!"]),
        ("PersistentVolume", "Bound", "Released", ["Released"]),
        ("PersistentVolume", "Released", "Available", []),
        ("Namespace", "", "Terminating", []),
    ],
)
def test_transitions_of_phases(kind: str, before: str, phase: str, expected: list[str]) -> None:
    assert changes(kind, ((before, PHASE),) if before else (), status(phase=phase)) == expected


def test_all_conditions_of_a_pod_that_ended_repeat_its_phase() -> None:
    after = status(("Ready", "False"), ("Initialized", "True"), phase="Succeeded")
    assert changes("Pod", (("Ready", "True"),), after) == ["(Ready=False)", "(Initialized) first", "Succeeded"]
    removed = status(phase="Failed")
    assert changes("Pod", (("Ready", "True"),), removed) == ["-Failed!", "(Ready=False)"]


def test_a_quiet_transition_without_a_span_to_repeat_is_news() -> None:
    after = status(("PodScheduled", "False"))
    (quiet,) = diff_conditions("Pod", (("PodScheduled", "True"),), condition_set("Pod", after), after)
    news = not_quiet("Pod", quiet)
    assert (quiet.quiet, quiet.bad) == (True, False)
    assert (news.quiet, news.name, news.bad, news.error) == (False, "PodScheduled=False", True, False)


@pytest.mark.parametrize("kind", ["Widget", "Pod"])
def test_the_number_of_conditions_and_the_length_of_a_type_are_limited(kind: str) -> None:
    many = [(f"Type{number}", "True") for number in range(33)]
    assert condition_set(kind, status(*many)) == tuple(many[:-1])
    lengths = [("x" * 316, "True"), ("x" * 317, "True"), ("", "True"), ("x", "True")]
    assert condition_set("Widget", status(*lengths)) == (("x" * 316, "True"), ("x", "True"))


def test_of_a_type_that_is_there_twice_the_last_status_counts() -> None:
    twice = status(("Ready", "False"), ("Ready", "True"))
    assert condition_set("Widget", twice) == (("Ready", "True"),)


def test_up_to_eight_conditions_of_a_pod_are_taken_as_they_are() -> None:
    eight = [("Ready", "True")] * 8
    assert condition_set("Pod", status(*eight)) == tuple(eight)
    assert condition_set("Pod", status(*eight, ("Ready", "False"))) == (("Ready", "False"),)


def test_a_phase_that_is_a_condition_of_the_kind_comes_last() -> None:
    assert condition_set("Pod", status(("Ready", "True"), phase="Failed")) == (("Ready", "True"), ("Failed", PHASE))
    assert condition_set("Pod", status(("Ready", "True"), phase="Running")) == (("Ready", "True"),)
    assert condition_set("Widget", status(phase="Failed")) == ()
    assert ended_phase((("Ready", "True"), ("Failed", PHASE))) == "Failed"
    assert ended_phase((("Ready", "True"),)) == ""


@pytest.mark.parametrize(
    "name, status, bad",
    [
        ("Issuing", "False", False),  # The certificate was issued.
        ("Issuing", "True", False),
        ("Issuing", "Unknown", True),
        ("Reconciling", "False", False),
        ("Progressing", "False", True),  # A Deployment exceeded its deadline.
        ("Ready", "False", True),
        ("MemoryPressure", "False", False),
    ],
)
def test_a_controller_that_finished_its_work_is_not_bad(name: str, status: str, bad: bool) -> None:
    assert is_bad(name, status) is bad
