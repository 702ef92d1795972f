"""A change that only removes something leaves no newer entry in managedFields: when it was made, and by whom."""

from pathlib import Path
from typing import Any

import pytest

from kspan.model import RecordType
from kspan.times import parse_time
from kspan.vocabulary import FIELD_MANAGER, PROBABLE_MANAGER
from tests.causality.actors import done, kill, new_pod, only, run, scale, settled
from tests.causality.cluster import MANAGER, Cluster, Thing
from tests.causality.drawing import CLUSTER, shows
from tests.recordings import fold, journal_of

CASES = Path(__file__).parents[1] / "data" / "cases"


def updates(c: Cluster, thing: Thing) -> list[tuple[int, str, bool]]:
    """(time, field manager, whether that is only probable) of each update of an object."""
    c.receive_all()
    rows = [r for r in fold(CLUSTER, c.records)["spans"] if r["object_uid"] == thing.meta["uid"]]
    found: list[dict[str, Any]] = sorted((r for r in rows if r["reason"] == "Update"), key=lambda r: r["start_time"])
    return [
        (r["start_time"], r["attributes"].get(FIELD_MANAGER, ""), r["attributes"].get(PROBABLE_MANAGER, False))
        for r in found
    ]


def received(c: Cluster, thing: Thing) -> int:
    """When the newest version of an object was received (ns)."""
    return max(record.recorded_at for record in c.records if record.uid == thing.meta["uid"])


def test_a_removal_is_dated_by_its_receipt_and_probably_made_by_whoever_had_the_field() -> None:
    c, web, _, _ = settled("web")
    c.update(web, by="kubectl-rollout", paused=True)
    c.wait(24)
    c.remove(web, "paused")
    resumed = received(c, web)
    assert updates(c, web)[1:] == [(resumed, "kubectl-rollout", True)]


def test_a_value_that_changed_without_a_trace_is_dated_by_its_receipt() -> None:
    """Kubernetes 1.18 to 1.24 leave managedFields as they were (kubernetes/kubernetes 109576)."""
    c, web, _, _ = settled("web")
    c.update(web, by="kubectl-set", image="app:v2")
    c.update(web, by="kubectl-patch", minReadySeconds=5)
    c.wait(160)
    c.change_without_trace(web, minReadySeconds=6)
    assert updates(c, web)[2:] == [(received(c, web), "kubectl-patch", True)]


def test_a_change_that_nothing_explains_is_by_nobody_known() -> None:
    c, web, _, _ = settled("web")
    c.wait(160)
    c.change_without_trace(web, paused=True)
    assert updates(c, web) == [(received(c, web), "", False)]


def test_scaling_to_zero_and_from_zero_is_dated_by_its_receipt_and_probably_made_by_the_command_of_before() -> None:
    """Not by ``kubectl apply``, which would have kept the field: by ``kubectl scale``."""
    c, web, rs, _ = settled("web", 2)
    times = []
    for replicas in (0, 2, 0):
        c.wait(20)
        c.remove(web, replicas=replicas)
        times.append(received(c, web))
        scale(c, web, rs, replicas)
        done(c, rs, web)
    assert updates(c, web) == [(time, "kubectl", True) for time in times]


def test_the_subresource_scale_is_who_scaled_as_long_as_its_entry_stays() -> None:
    c, web, rs, _ = settled("web", 2)
    c.update(web, by="kubectl", subresource="scale", replicas=3)
    scale(c, web, rs, 3)
    done(c, rs, web)
    c.wait(60)
    c.update(web, by="kubectl", subresource="scale", replicas=4)
    again = received(c, web)
    assert updates(c, web)[1:] == [(again, "kubectl", False)]


def test_uncordon_is_by_whoever_cordoned_and_its_taint_is_removed_because_of_that() -> None:
    c = Cluster()
    node = c.create("Node", "node-a", by="kubelet")
    c.first_list()
    c.update(node, by="kubectl-cordon", unschedulable=True)
    c.update(node, by=MANAGER, taints=[{"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}])
    c.wait(64)
    c.remove(node, "unschedulable")
    uncordoned = received(c, node)
    c.remove(node, "taints")
    shows(
        c,
        """
        Node.Update node-a  by kubectl  [root]
          Node.Update node-a  by node-controller  [own]

        Node.Update node-a  by kubectl  [root]
          Node.Update node-a  by node-controller  [own]
        """,
    )
    assert updates(c, node)[2] == (uncordoned, "kubectl-cordon", True)


def test_a_label_that_is_removed_from_a_node_is_why_the_pod_of_a_daemon_set_is_deleted() -> None:
    c = Cluster()
    node = c.create("Node", "node-a", by="kubelet")
    agent = c.apply("DaemonSet", "agent")
    c.label(node, disk="ssd")
    pod = new_pod(c, agent, "agent-a", affinity=only("node-a"))
    run(c, pod)
    done(c, agent)
    c.first_list()
    c.wait(40)
    c.unlabel(node, "disk")
    kill(c, pod, by=agent)
    c.gone(pod)
    shows(
        c,
        """
        Node.Update node-a  by kubectl  [root]
          DaemonSet.SuccessfulDelete agent  by daemonset-controller  [place]
            Pod.Delete agent-a  by daemonset-controller  [subject]
              Pod.Killing agent-a  by kubelet  [own]
        """,
    )


def test_a_variable_removed_from_a_template_is_a_rollout_that_starts_at_its_receipt() -> None:
    """``kubectl set env deployment/web A-`` and a JSON patch with ``remove``."""
    c, web, _, _ = settled("web")
    env = [{"name": "A", "value": "1"}]
    plain = web.raw["spec"]["template"]
    c.update(web, by="kubectl-set", template=plain | {"spec": {"containers": [{"name": "app", "env": env}]}})
    c.wait(60)
    c.remove(web, template=plain)
    assert updates(c, web)[1:] == [(received(c, web), "kubectl-set", True)]


def give_up(thing: Thing, field: str) -> None:
    """Only the manager that changes a field next has it: server-side apply without it, or an autoscaler."""
    for entry in thing.meta["managedFields"]:
        entry["fieldsV1"].get("f:spec", {}).pop(f"f:{field}", None)


def test_nobody_knows_who_scaled_to_zero_what_an_autoscaler_had_scaled() -> None:
    """An autoscaler does not scale to zero, and reports what it does."""
    c, web, rs, pods = settled("web")
    give_up(web, "replicas")
    target = {"kind": "Deployment", "name": "web", "apiVersion": "apps/v1"}
    scaler = c.apply("HorizontalPodAutoscaler", "web", scaleTargetRef=target)
    c.wait(60)
    c.update(web, by=MANAGER, subresource="scale", replicas=2)
    words = "New size: 2; reason: cpu resource utilization (percentage of request) above target"
    c.event(scaler, "SuccessfulRescale", words, by="horizontal-pod-autoscaler")
    scale(c, web, rs, 2)
    pods.append(new_pod(c, rs, "web-1-b"))
    run(c, pods[1])
    done(c, rs, web)
    for replicas in (0, 1):
        c.wait(60)
        c.remove(web, replicas=replicas)
        scale(c, web, rs, replicas)
        for pod in () if replicas else pods:
            kill(c, pod, by=rs)
            c.gone(pod)
        done(c, rs, web)
    shows(
        c,
        """
        HorizontalPodAutoscaler.Create web  by kubectl  [root]

        HorizontalPodAutoscaler.SuccessfulRescale web  by horizontal-pod-autoscaler  [root]
          Deployment.Update web  by horizontal-pod-autoscaler  [subject]
            Deployment.ScalingReplicaSet web  by deployment-controller  [owner]
              ReplicaSet.Update web-1  by deployment-controller  [subject]
                ReplicaSet.SuccessfulCreate web-1  by replicaset-controller  [owner]
                  Pod.Create web-1-b  by replicaset-controller  [subject]
                    Pod.Scheduled web-1-b  by default-scheduler  [own]
                    Pod.Started web-1-b  by kubelet  [own]
                    Pod.Ready web-1-b  by kubelet  [own]

        Deployment.Update web  by unknown  [root]
          Deployment.ScalingReplicaSet web  by deployment-controller  [owner]
            ReplicaSet.Update web-1  by deployment-controller  [subject]
              ReplicaSet.SuccessfulDelete web-1  by replicaset-controller  [owner]
                Pod.Delete web-1-a  by replicaset-controller  [subject]
                  Pod.Killing web-1-a  by kubelet  [own]
              ReplicaSet.SuccessfulDelete web-1  by replicaset-controller  [owner]
                Pod.Delete web-1-b  by replicaset-controller  [subject]
                  Pod.Killing web-1-b  by kubelet  [own]

        Deployment.Update web  by unknown  [root]
          Deployment.ScalingReplicaSet web  by deployment-controller  [owner]
            ReplicaSet.Update web-1  by deployment-controller  [subject]
        """,
    )


def transitions(c: Cluster, thing: Thing) -> list[tuple[str, int, str]]:
    """(name, time, service) of each condition transition of an object."""
    c.receive_all()
    rows = [r for r in fold(CLUSTER, c.records)["spans"] if r["object_uid"] == thing.meta["uid"]]
    turns = [r for r in rows if r["reason"] not in ("Create", "Update", "Delete")]
    return [(r["reason"], r["start_time"], r["service"]) for r in sorted(turns, key=lambda r: int(r["start_time"]))]


@pytest.mark.parametrize("others", [[], [{"type": "Ready", "status": "True"}]], ids=["emptied", "one of two"])
def test_a_condition_that_is_removed_ends_at_its_receipt_by_nobody_known(others: list[dict[str, str]]) -> None:
    c = Cluster()
    widget = c.apply("Widget", "w", size=1)
    c.first_list()
    c.status(widget, by="widget-controller", conditions=others)
    c.condition(widget, "Stalled", "True", reason="Waiting", by="widget-controller")
    c.wait(60)
    widget.raw["status"]["conditions"] = others
    c._write(RecordType.MODIFIED, widget)
    assert transitions(c, widget)[-1] == ("Stalled=False", received(c, widget), "unknown")


def test_a_phase_that_changed_without_a_trace_is_dated_by_its_receipt() -> None:
    """Before Kubernetes 1.25 an entry can be older than a value that it owns."""
    c = Cluster()
    pod = c.create("Pod", "lone", by="kubectl-run", containers=[])
    run(c, pod)
    c.first_list()
    c.wait(60)
    pod.raw["status"]["phase"] = "Succeeded"
    c._write(RecordType.MODIFIED, pod)
    assert transitions(c, pod) == [("Succeeded", received(c, pod), "kubelet")]


def test_a_recorded_change_whose_entries_are_stale_starts_when_it_was_received() -> None:
    (row,) = fold(*journal_of(CASES / "stale-managed-fields.jsonl"))["spans"]
    assert (row["reason"], row["service"]) == ("Update", "unknown")
    assert row["start_time"] == parse_time("2026-05-01T10:01:00.2Z")


def scaled_through_subresource(c: Cluster, web: Thing) -> list[tuple[str, bool]]:
    """(field manager, whether that is only probable) of scaling to zero and from zero."""
    for replicas in (0, 2):
        c.wait(20)
        c.remove(web, replicas=replicas)
    return [(manager, probable) for _, manager, probable in updates(c, web)]


@pytest.mark.parametrize("manager", ["argocd-controller", "helm", "kustomize-controller (apply)", "my-platform"])
def test_who_applies_an_object_did_not_scale_it_to_zero_through_the_subresource(manager: str) -> None:
    """It would have kept the field: only the subresource drops it from all entries."""
    c, web, _, _ = settled("web", 2, by=manager)
    c.remove(web, replicas=0)
    done(c, web)
    assert [(name, probable) for _, name, probable in updates(c, web)] == [("", False)]
    shows(c, "Deployment.Update web  by unknown  [root]")


def test_an_object_of_a_tool_that_applies_is_scaled_from_zero_by_nobody_known() -> None:
    c, web, _, _ = settled("web", 2, by="argocd-controller")
    assert scaled_through_subresource(c, web) == [("", False), ("", False)]


def test_who_scaled_through_the_subresource_before_probably_scaled_to_zero_and_from_zero() -> None:
    c, web, _, _ = settled("web", 2)
    give_up(web, "replicas")
    c.update(web, by="my-scaler", subresource="scale", replicas=3)
    assert scaled_through_subresource(c, web)[1:] == [("my-scaler", True), ("my-scaler", True)]


def test_who_applies_zero_replicas_scaled_to_zero() -> None:
    c, web, _, _ = settled("web", 2, by="helm")
    c.wait(20)
    c.update(web, by="helm", replicas=0)
    assert [(name, probable) for _, name, probable in updates(c, web)] == [("helm", False)]
