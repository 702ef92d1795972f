"""The state of an object in words."""

import json
from typing import Any

import pytest

from kspan.query.objects.status import Tone, describe, tone_of

READY = [{"type": "Ready", "status": "True"}]
NOT_READY = [{"type": "Ready", "status": "False", "reason": "Stalled", "message": "said"}]


def container(state: dict[str, Any], restarts: int = 0) -> dict[str, Any]:
    return {"name": "web", "state": state, "restartCount": restarts}


WAITING = container({"waiting": {"reason": "CrashLoopBackOff"}}, 3)
STARTING = container({"waiting": {"reason": "ContainerCreating"}})
ENDED = container({"terminated": {"exitCode": 1, "reason": "Error"}}, 1)
RUNNING = container({"running": {}}, 1)


@pytest.mark.parametrize(
    "kind, spec, status, text",
    [
        ("Pod", {}, {"phase": "Pending"}, "Pending, not scheduled"),
        ("Pod", {"nodeName": "a"}, {"phase": "Pending", "containerStatuses": [STARTING]}, "Pending"),
        ("Pod", {}, {"phase": "Running", "conditions": READY}, "Running, ready"),
        ("Pod", {}, {"phase": "Running", "containerStatuses": [RUNNING]}, "Running, not ready, 1 restart"),
        (
            "Pod",
            {},
            {"phase": "Running", "containerStatuses": [RUNNING, WAITING]},
            "container web waits: CrashLoopBackOff, 4 restarts, phase Running",
        ),
        (
            "Pod",
            {},
            {"phase": "Running", "initContainerStatuses": [ENDED]},
            "container web ended: Error, 1 restart, phase Running",
        ),
        (
            "Pod",
            {},
            {"phase": "Failed", "reason": "Evicted", "message": "low on memory"},
            "Failed: Evicted: low on memory",
        ),
        ("Pod", {}, {"phase": "Succeeded"}, "Succeeded"),
        ("Deployment", {"replicas": 3}, {"availableReplicas": 2, "updatedReplicas": 3}, "2 of 3 replicas available"),
        (
            "Deployment",
            {"replicas": 2, "paused": True},
            {"replicas": 3, "availableReplicas": 2, "updatedReplicas": 1},
            "2 of 2 replicas available; 1 Pod of the new revision, 2 of an older one, paused",
        ),
        ("StatefulSet", {}, {}, "0 of 1 replicas available"),
        ("DaemonSet", {}, {"numberAvailable": 1, "desiredNumberScheduled": 2}, "1 of 2 Pods available"),
        ("Job", {}, {"active": 1, "failed": 2}, "1 active, 0 succeeded, 2 failed"),
        ("Job", {"suspend": True}, {}, "0 active, 0 succeeded, 0 failed, suspended"),
        ("Job", {}, {"conditions": [{"type": "Complete", "status": "True"}]}, "complete"),
        (
            "Job",
            {},
            {"conditions": [{"type": "Failed", "status": "True", "reason": "DeadlineExceeded"}]},
            "failed: DeadlineExceeded",
        ),
        ("Node", {"unschedulable": True}, {"conditions": READY}, "ready, unschedulable"),
        ("Node", {}, {"conditions": NOT_READY}, "not ready: Stalled: said"),
        ("Node", {}, {"conditions": [{"type": "Ready", "status": "Unknown"}]}, "not reachable"),
        ("Kustomization", {}, {"conditions": NOT_READY}, "not ready: Stalled: said"),
        ("Widget", {}, {"conditions": READY}, "ready"),
        ("PersistentVolumeClaim", {}, {"phase": "Bound"}, "Bound"),
        ("ConfigMap", {}, {}, ""),
    ],
)
def test_the_state_of_each_kind(kind: str, spec: dict[str, Any], status: dict[str, Any], text: str) -> None:
    assert describe(kind, json.dumps({"metadata": {}, "spec": spec, "status": status}).encode()) == text


def test_an_object_that_is_being_deleted_is_terminating() -> None:
    raw = {"metadata": {"deletionTimestamp": "2026-11-22T10:00:00Z"}, "status": {"phase": "Running"}}
    assert describe("Pod", json.dumps(raw).encode()) == "terminating (Running, not ready)"


@pytest.mark.parametrize("odd", [None, 1, "x", [1], {"conditions": 1, "phase": 2}, {"conditions": [1, None]}, True])
@pytest.mark.parametrize("kind", ["Pod", "Deployment", "DaemonSet", "Job", "Node", "Widget"])
def test_anything_can_be_in_place_of_a_status(kind: str, odd: Any) -> None:
    describe(kind, json.dumps({"metadata": odd, "spec": odd, "status": odd}).encode())
    describe(kind, json.dumps({"status": {"containerStatuses": odd, "initContainerStatuses": [odd]}}).encode())
    assert describe(kind, b"no json") == ""


UNSCHEDULABLE = [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}]
RUNNING_POD = {"phase": "Running", "conditions": READY}


@pytest.mark.parametrize(
    "kind, spec, status, tone",
    [
        ("Pod", {}, RUNNING_POD, Tone.OK),
        ("Pod", {}, {"phase": "Succeeded", "conditions": NOT_READY}, Tone.OK),
        ("Pod", {}, {"phase": "Pending", "containerStatuses": [STARTING]}, Tone.WAITING),
        ("Pod", {}, {"phase": "Running", "containerStatuses": [RUNNING]}, Tone.WAITING),
        ("Pod", {}, {"phase": "Running", "containerStatuses": [WAITING]}, Tone.FAILING),
        ("Pod", {}, {"phase": "Running", "initContainerStatuses": [ENDED]}, Tone.FAILING),
        ("Pod", {}, {"phase": "Pending", "conditions": UNSCHEDULABLE}, Tone.FAILING),
        ("Pod", {}, {"phase": "Failed"}, Tone.FAILING),
        ("Deployment", {"replicas": 2}, {"availableReplicas": 2}, Tone.OK),
        ("Deployment", {"replicas": 2}, {"availableReplicas": 1}, Tone.WAITING),
        ("Deployment", {}, {"conditions": [{"type": "Progressing", "status": "False"}]}, Tone.FAILING),
        ("ReplicaSet", {}, {"conditions": [{"type": "ReplicaFailure", "status": "True"}]}, Tone.FAILING),
        ("ReplicaSet", {"replicas": 0}, {"replicas": 0}, Tone.OK),
        ("DaemonSet", {}, {"numberAvailable": 1, "desiredNumberScheduled": 2}, Tone.WAITING),
        ("DaemonSet", {}, {"numberAvailable": 2, "desiredNumberScheduled": 2}, Tone.OK),
        ("Job", {}, {"conditions": [{"type": "Failed", "status": "True"}]}, Tone.FAILING),
        ("Job", {}, {"conditions": [{"type": "Complete", "status": "True"}]}, Tone.OK),
        ("Job", {}, {"active": 1}, Tone.WAITING),
        ("Node", {}, {"conditions": NOT_READY}, Tone.FAILING),
        ("Widget", {}, {"conditions": READY}, Tone.OK),
        ("PersistentVolumeClaim", {}, {"phase": "Bound"}, Tone.OK),
        ("PersistentVolumeClaim", {}, {"phase": "Pending"}, Tone.WAITING),
        ("PersistentVolumeClaim", {}, {"phase": "Lost"}, Tone.FAILING),
        ("ConfigMap", {}, {}, Tone.NONE),
        ("Widget", {}, {"conditions": "none", "phase": 7}, Tone.NONE),
    ],
)
def test_the_tone_says_whether_an_object_is_as_it_should_be(
    kind: str, spec: dict[str, Any], status: dict[str, Any], tone: Tone
) -> None:
    assert tone_of(kind, json.dumps({"spec": spec, "status": status}).encode()) is tone


@pytest.mark.parametrize("payload", [b"", b"[]", b"7", b'{"status": []}'])
def test_what_is_no_object_has_no_tone(payload: bytes) -> None:
    assert tone_of("Pod", payload) is Tone.NONE
