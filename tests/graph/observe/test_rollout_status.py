"""When an object is progressing or failed: one row for each side of each condition."""

from typing import Any

import msgspec
import pytest

from kspan.graph.observe.rollout_status import assess, disruption_reason, job_end
from kspan.k8s.objects import decode_object, decode_spec, decode_status
from kspan.times import parse_time


def verdict(kind: str, spec: dict[str, Any], status: dict[str, Any], *, api: str = "", **meta: Any) -> str:
    raw = {
        "kind": kind,
        "apiVersion": api,
        "metadata": {"uid": "u", "name": "x", "generation": 5, **meta},
        "spec": spec,
        "status": status,
    }
    obj = decode_object(msgspec.json.encode(raw))
    assert obj is not None
    progress = assess(obj, decode_spec(bytes(obj.spec)), decode_status(bytes(obj.status)))
    return ("progressing" if progress.progressing else "settled") + (" failed" if progress.failed else "")


def condition(kind: str, status: str, **more: Any) -> dict[str, Any]:
    return {"conditions": [{"type": kind, "status": status, **more}]}


ROLLED_OUT = {"observedGeneration": 5, "replicas": 3, "updatedReplicas": 3, "availableReplicas": 3}
STUCK = condition("Progressing", "False")


@pytest.mark.parametrize(
    "spec, status, expected",
    [
        ({"replicas": 3}, {}, "settled"),
        ({"replicas": 3}, {"observedGeneration": 4}, "progressing"),
        ({"replicas": 3}, {"observedGeneration": 6}, "settled"),
        ({"replicas": 4}, {}, "progressing"),
        ({"replicas": 2}, {}, "progressing"),
        ({"replicas": 2, "paused": True}, {}, "settled"),
        ({"replicas": 3}, {"replicas": 4}, "progressing"),
        ({"replicas": 3}, {"availableReplicas": 2}, "progressing"),
        ({"replicas": 3, "paused": True}, {"availableReplicas": 2}, "settled"),
        ({"replicas": 3}, {"availableReplicas": 2, **STUCK}, "progressing failed"),
        ({"replicas": 3}, {"availableReplicas": 2, **condition("Progressing", "Unknown")}, "progressing"),
        ({"replicas": 3}, STUCK, "settled"),
        ({"replicas": 3, "paused": True}, STUCK, "settled failed"),
        # One replica is the default.
        ({}, {"replicas": 1, "updatedReplicas": 1, "availableReplicas": 1}, "settled"),
        ({}, {"replicas": 0, "updatedReplicas": 0, "availableReplicas": 0}, "progressing"),
        ({"replicas": 0}, {"replicas": 0, "updatedReplicas": 0, "availableReplicas": 0}, "settled"),
    ],
)
def test_a_deployment_is_progressing_until_all_replicas_are_updated_and_available(
    spec: dict[str, Any], status: dict[str, Any], expected: str
) -> None:
    assert verdict("Deployment", spec, ROLLED_OUT | status) == expected


@pytest.mark.parametrize(
    "spec, status, expected",
    [
        ({"replicas": 3}, {}, "settled"),
        ({"replicas": 3}, {"observedGeneration": 4}, "progressing"),
        ({"replicas": 3}, {"replicas": 4}, "progressing"),
        ({"replicas": 3}, {"replicas": 2}, "progressing"),
        ({"replicas": 3}, {"availableReplicas": 2}, "progressing"),
        ({"replicas": 3}, {"availableReplicas": 4}, "settled"),
        ({}, {"replicas": 1, "availableReplicas": 1}, "settled"),
        ({}, {"replicas": 1, "availableReplicas": 0}, "progressing"),
    ],
)
def test_a_replica_set_is_progressing_until_it_has_its_replicas(
    spec: dict[str, Any], status: dict[str, Any], expected: str
) -> None:
    assert verdict("ReplicaSet", spec, ROLLED_OUT | status) == expected


PARTITION = {"updateStrategy": {"rollingUpdate": {"partition": 2}}}
ON_DELETE = {"updateStrategy": {"type": "OnDelete"}}


@pytest.mark.parametrize(
    "spec, status, expected",
    [
        ({"replicas": 3}, {}, "settled"),
        ({"replicas": 3}, {"observedGeneration": 4}, "progressing"),
        ({"replicas": 3}, {"replicas": 4}, "progressing"),
        ({"replicas": 3}, {"readyReplicas": 2}, "progressing"),
        ({"replicas": 3}, {"readyReplicas": 4}, "settled"),
        ({"replicas": 3}, {"updatedReplicas": 2}, "progressing"),
        ({"replicas": 3, **ON_DELETE}, {"updatedReplicas": 2}, "settled"),
        # Pods below the partition stay as they are.
        ({"replicas": 3, **PARTITION}, {"updatedReplicas": 1}, "settled"),
        ({"replicas": 3, **PARTITION}, {"updatedReplicas": 0}, "progressing"),
        ({"replicas": 1, **PARTITION}, {"replicas": 1, "updatedReplicas": 0}, "settled"),
        ({"replicas": 3, "updateStrategy": {"type": "RollingUpdate"}}, {"updatedReplicas": 2}, "progressing"),
        ({}, {"replicas": 1, "readyReplicas": 1, "updatedReplicas": 1}, "settled"),
        ({}, {"replicas": 1, "readyReplicas": 0, "updatedReplicas": 1}, "progressing"),
    ],
)
def test_a_stateful_set_is_progressing_until_its_pods_are_ready_and_updated_down_to_the_partition(
    spec: dict[str, Any], status: dict[str, Any], expected: str
) -> None:
    assert verdict("StatefulSet", spec, ROLLED_OUT | {"readyReplicas": 3} | status) == expected


@pytest.mark.parametrize(
    "spec, status, expected",
    [
        ({}, {}, "settled"),
        ({}, {"observedGeneration": 4}, "progressing"),
        ({}, {"updatedNumberScheduled": 2}, "progressing"),
        ({}, {"updatedNumberScheduled": 4}, "settled"),
        (ON_DELETE, {"updatedNumberScheduled": 2}, "settled"),
        ({}, {"numberAvailable": 2}, "progressing"),
        ({}, {"numberAvailable": 4}, "settled"),
        (ON_DELETE, {"numberAvailable": 2}, "progressing"),
    ],
)
def test_a_daemon_set_is_progressing_until_each_node_has_an_available_pod(
    spec: dict[str, Any], status: dict[str, Any], expected: str
) -> None:
    there = {"observedGeneration": 5, "desiredNumberScheduled": 3, "updatedNumberScheduled": 3, "numberAvailable": 3}
    assert verdict("DaemonSet", spec, there | status) == expected


@pytest.mark.parametrize(
    "kind, spec, status, expected",
    [
        ("Job", {}, {}, "progressing"),
        ("Job", {}, condition("Complete", "True"), "settled"),
        ("Job", {}, condition("Complete", "False"), "progressing"),
        ("Job", {}, condition("Failed", "True"), "settled failed"),
        ("Job", {"suspend": True}, {}, "settled"),
        ("Pod", {}, {"phase": "Pending"}, "progressing"),
        ("Pod", {}, {"phase": "Running"}, "progressing"),
        ("Pod", {}, {"phase": "Running"} | condition("Ready", "True"), "settled"),
        ("Pod", {}, {"phase": "Running"} | condition("Ready", "False"), "progressing"),
        ("Pod", {}, {"phase": "Pending"} | condition("Ready", "True"), "progressing"),
        ("Pod", {}, {"phase": "Succeeded"}, "settled"),
        ("Pod", {}, {"phase": "Failed"}, "settled failed"),
        ("Node", {}, {}, "settled"),
        ("Node", {}, condition("Ready", "True"), "settled"),
        ("Node", {}, condition("Ready", "Unknown"), "progressing"),
        ("Widget", {}, {}, "settled"),
    ],
)
def test_other_kinds_are_progressing_as_their_life_cycles_say(
    kind: str, spec: dict[str, Any], status: dict[str, Any], expected: str
) -> None:
    assert verdict(kind, spec, status) == expected


def by_disruption(reason: str) -> dict[str, Any]:
    return {"phase": "Failed"} | condition("DisruptionTarget", "True", reason=reason)


def test_a_pod_that_is_marked_failed_in_order_to_be_deleted_did_not_fail() -> None:
    assert verdict("Pod", {}, by_disruption("DeletionByPodGC")) == "settled"
    assert verdict("Pod", {}, by_disruption("TerminationByKubelet")) == "settled failed"


CANARY, WRITTEN = {"restartAt": "2026-11-22T10:00:00Z"}, [{"manager": "m", "time": "2026-11-22T10:00:05Z"}]
RUN = {"pipelineRef": {"name": "build"}}


@pytest.mark.parametrize(
    "kind, api, spec, status, expected",
    [
        ("NodeClaim", "karpenter.sh/v1", {}, {}, "settled"),
        ("NodeClaim", "karpenter.sh/v1", {}, condition("Launched", "True"), "progressing"),
        ("NodeClaim", "karpenter.sh/v1", {}, condition("Initialized", "True"), "settled"),
        ("NodeClaim", "example.com/v1", {}, condition("Launched", "True"), "settled"),
        ("PipelineRun", "tekton.dev/v1", RUN, {}, "progressing"),
        ("PipelineRun", "tekton.dev/v1", RUN, condition("Succeeded", "Unknown", reason="Running"), "progressing"),
        (
            "PipelineRun",
            "tekton.dev/v1",
            RUN,
            condition("Succeeded", "Unknown", reason="PipelineRunPending"),
            "settled",
        ),
        ("TaskRun", "tekton.dev/v1", RUN, condition("Succeeded", "False"), "settled failed"),
        ("TaskRun", "tekton.dev/v1", RUN, condition("Succeeded", "True"), "settled"),
        ("TaskRun", "example.com/v1", RUN, condition("Succeeded", "False"), "settled"),
        ("Workflow", "argoproj.io/v1alpha1", {}, {"phase": "Running"}, "progressing"),
        ("Workflow", "argoproj.io/v1alpha1", {"suspend": True}, {"phase": "Running"}, "settled"),
        ("Workflow", "argoproj.io/v1alpha1", {}, {"phase": "Error"}, "settled failed"),
        ("Workflow", "argoproj.io/v1alpha1", {}, {"phase": "Succeeded"}, "settled"),
        ("Workflow", "example.com/v1", {}, {"phase": "Running"}, "settled"),
        ("Workload", "kueue.x-k8s.io/v1beta1", {}, condition("QuotaReserved", "False"), "progressing"),
        ("Workload", "kueue.x-k8s.io/v1beta1", {}, condition("Admitted", "True"), "settled"),
        ("Workload", "example.com/v1", {}, {}, "settled"),
        ("Rollout", "argoproj.io/v1alpha1", CANARY, {"phase": "Healthy"}, "progressing"),
        ("Rollout", "argoproj.io/v1alpha1", CANARY, {"phase": "Healthy", **CANARY}, "progressing"),
        (
            "Rollout",
            "argoproj.io/v1alpha1",
            CANARY,
            {"phase": "Healthy", "restartedAt": CANARY["restartAt"]},
            "settled",
        ),
        ("Rollout", "argoproj.io/v1alpha1", {"restartAt": "2026-11-22T11:00:00Z"}, {"phase": "Healthy"}, "settled"),
        ("Rollout", "argoproj.io/v1alpha1", {"restartAt": 7}, {"phase": "Healthy"}, "settled"),
    ],
)
def test_custom_resources_are_progressing_until_their_controllers_have_done_what_they_want(
    kind: str, api: str, spec: dict[str, Any], status: dict[str, Any], expected: str
) -> None:
    assert verdict(kind, spec, status, api=api, managedFields=WRITTEN) == expected


def test_an_object_that_is_being_deleted_is_progressing() -> None:
    ready = {"phase": "Running"} | condition("Ready", "True")
    assert verdict("Pod", {}, ready, deletionTimestamp="2026-11-22T10:00:00Z") == "progressing"
    assert verdict("Widget", {}, {}, deletionTimestamp="2026-11-22T10:00:00Z") == "progressing"


FIRST, LAST = "2026-11-22T10:00:00Z", "2026-11-22T10:00:05Z"


@pytest.mark.parametrize(
    "conditions, expected",
    [
        ([("Complete", "True", LAST)], parse_time(LAST)),
        ([("Failed", "True", LAST)], parse_time(LAST)),
        ([("Complete", "False", LAST)], 0),
        ([("Suspended", "True", LAST)], 0),
        ([("Failed", "True", FIRST), ("Complete", "True", LAST)], parse_time(LAST)),
        ([("Complete", "True", None)], 0),
        ([], 0),
    ],
)
def test_a_job_ends_when_it_is_complete_or_failed(conditions: list[tuple[str, str, str]], expected: int) -> None:
    entries = [{"type": kind, "status": status, "lastTransitionTime": at} for kind, status, at in conditions]
    assert job_end(decode_status(msgspec.json.encode({"conditions": entries}))) == expected


@pytest.mark.parametrize(
    "status, expected",
    [
        (condition("DisruptionTarget", "True", reason="EvictionByEvictionAPI"), "EvictionByEvictionAPI"),
        (condition("DisruptionTarget", "False", reason="EvictionByEvictionAPI"), ""),
        (condition("Ready", "True", reason="EvictionByEvictionAPI"), ""),
        ({}, ""),
    ],
)
def test_a_pod_is_disrupted_for_the_reason_of_its_condition(status: dict[str, Any], expected: str) -> None:
    assert disruption_reason(decode_status(msgspec.json.encode(status))) == expected
