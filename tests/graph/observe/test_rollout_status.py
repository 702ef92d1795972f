"""Whether an object is progressing, and whether it failed."""

from typing import Any

import pytest
from msgspec import Raw, json

from kspan.graph.observe.rollout_status import assess, disruption_reason, job_end
from kspan.k8s.objects import KubeObject, ObjectMeta, decode_spec, decode_status
from kspan.times import parse_time

Fields = dict[str, Any]


def state_of(kind: str, spec: Fields, status: Fields, **meta: Any) -> str:
    obj = KubeObject(ObjectMeta(uid="u", generation=2, **meta), kind, spec=Raw(b"{}"))
    found = assess(obj, decode_spec(json.encode(spec)), decode_status(json.encode({"observedGeneration": 2} | status)))
    return ("failed " if found.failed else "") + ("progressing" if found.progressing else "settled")


def condition(kind: str, status: str, **more: str) -> Fields:
    return {"conditions": [{"type": kind, "status": status, **more}]}


DONE = {"replicas": 2, "updatedReplicas": 2, "readyReplicas": 2, "availableReplicas": 2}
ONE = dict.fromkeys(DONE, 1)
NODES = {"desiredNumberScheduled": 2, "updatedNumberScheduled": 2, "numberAvailable": 2}
ON_DELETE = {"updateStrategy": {"type": "OnDelete"}}
STUCK = condition("Progressing", "False", reason="ProgressDeadlineExceeded")


@pytest.mark.parametrize(
    "kind, spec, status, expected",
    [
        ("Deployment", {"replicas": 2}, DONE, "settled"),
        ("Deployment", {}, ONE, "settled"),
        ("Deployment", {}, DONE | {"updatedReplicas": 0}, "progressing"),
        ("Deployment", {"replicas": 2}, DONE | {"observedGeneration": 1}, "progressing"),
        ("Deployment", {"replicas": 2}, DONE | {"observedGeneration": 3}, "settled"),
        ("Deployment", {"replicas": 3}, DONE, "progressing"),
        ("Deployment", {"replicas": 2}, DONE | {"replicas": 3}, "progressing"),
        ("Deployment", {"replicas": 2}, DONE | {"availableReplicas": 1}, "progressing"),
        ("Deployment", {"replicas": 3}, DONE | STUCK, "failed progressing"),
        ("Deployment", {"replicas": 2}, DONE | STUCK, "settled"),
        ("Deployment", {"replicas": 3, "paused": True}, DONE, "settled"),
        ("Deployment", {"replicas": 3, "paused": True}, DONE | STUCK, "failed settled"),
        ("ReplicaSet", {"replicas": 2}, DONE, "settled"),
        ("ReplicaSet", {}, ONE, "settled"),
        ("ReplicaSet", {"replicas": 2}, DONE | {"observedGeneration": 1}, "progressing"),
        ("ReplicaSet", {"replicas": 1}, DONE, "progressing"),
        ("ReplicaSet", {"replicas": 2}, DONE | {"availableReplicas": 1}, "progressing"),
        ("StatefulSet", {"replicas": 2}, DONE, "settled"),
        ("StatefulSet", {}, ONE, "settled"),
        ("StatefulSet", {"replicas": 2}, DONE | {"observedGeneration": 1}, "progressing"),
        ("StatefulSet", {"replicas": 1}, DONE, "progressing"),
        ("StatefulSet", {"replicas": 2}, DONE | {"readyReplicas": 1}, "progressing"),
        ("StatefulSet", {"replicas": 2}, DONE | {"updatedReplicas": 1}, "progressing"),
        ("StatefulSet", {"replicas": 2} | ON_DELETE, DONE | {"updatedReplicas": 1}, "settled"),
        (
            "StatefulSet",
            {"replicas": 2, "updateStrategy": {"rollingUpdate": {"partition": 1}}},
            DONE | {"updatedReplicas": 1},
            "settled",
        ),
        ("DaemonSet", {}, NODES, "settled"),
        ("DaemonSet", {}, NODES | {"observedGeneration": 1}, "progressing"),
        ("DaemonSet", {}, NODES | {"updatedNumberScheduled": 1}, "progressing"),
        ("DaemonSet", ON_DELETE, NODES | {"updatedNumberScheduled": 1}, "settled"),
        ("DaemonSet", {}, NODES | {"numberAvailable": 1}, "progressing"),
        ("Job", {}, {}, "progressing"),
        ("Job", {"suspend": True}, {}, "settled"),
        ("Job", {}, condition("Complete", "True"), "settled"),
        ("Job", {}, condition("Complete", "False"), "progressing"),
        ("Job", {}, condition("Failed", "True"), "failed settled"),
        ("Pod", {}, {"phase": "Pending"}, "progressing"),
        ("Pod", {}, {"phase": "Running"}, "progressing"),
        ("Pod", {}, {"phase": "Running"} | condition("Ready", "True"), "settled"),
        ("Pod", {}, {"phase": "Pending"} | condition("Ready", "True"), "progressing"),
        ("Pod", {}, {"phase": "Succeeded"}, "settled"),
        ("Pod", {}, {"phase": "Failed"}, "failed settled"),
        ("Node", {}, {}, "settled"),
        ("Node", {}, condition("Ready", "True"), "settled"),
        ("Node", {}, condition("Ready", "Unknown"), "progressing"),
        ("Widget", {}, {}, "settled"),
    ],
)
def test_states(kind: str, spec: Fields, status: Fields, expected: str) -> None:
    assert state_of(kind, spec, status) == expected


def test_an_object_that_is_being_deleted_is_progressing() -> None:
    assert state_of("Widget", {}, {}, deletionTimestamp="2026-11-22T10:00:00Z") == "progressing"


def test_the_end_of_a_job_is_the_transition_to_complete_or_failed() -> None:
    ended = "2026-11-22T10:00:05Z"

    def end(kind: str, status: str) -> int:
        return job_end(decode_status(json.encode(condition(kind, status, lastTransitionTime=ended))))

    assert end("Complete", "True") == end("Failed", "True") == parse_time(ended)
    assert end("Complete", "False") == end("Suspended", "True") == 0


def test_the_reason_of_a_disruption_counts_while_it_is_true() -> None:
    for status, expected in (("True", "EvictionByEvictionAPI"), ("False", "")):
        found = condition("DisruptionTarget", status, reason="EvictionByEvictionAPI")
        assert disruption_reason(decode_status(json.encode(found))) == expected
    assert disruption_reason(decode_status(b"{}")) == ""
