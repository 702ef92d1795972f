"""Transitions of conditions and phases: their causes, their effects, and which spans they end."""

import pytest

from kspan.times import SECOND
from kspan.vocabulary import CHANGE_SUMMARY
from tests.causality.actors import done, new_pod, new_replicas, rolled_out, run, running, settled
from tests.causality.cluster import MANAGER, Cluster, Thing
from tests.causality.drawing import CLUSTER, shows
from tests.causality.test_limits import refusal
from tests.causality.test_nodes import NOT_READY, node
from tests.recordings import fold

APP = "spec.containers{app}"


def lasting(c: Cluster) -> dict[str, int]:
    """Durations of the spans in whole seconds, by name."""
    return {row["name"]: (row["end_time"] - row["start_time"]) // SECOND for row in fold(CLUSTER, c.records)["spans"]}


def ready(c: Cluster, pod: Thing, status: str, *, by: str = "kubelet") -> None:
    c.condition(pod, "Ready", status, by=by)


def available(c: Cluster, web: Thing, status: str) -> None:
    c.condition(web, "Available", status, reason="MinimumReplicasUnavailable" if status == "False" else "")


def test_the_span_of_a_kubelet_action_lasts_until_its_end() -> None:
    """A pull lasts until the image is pulled, a start until the Pod is ready, whatever else happens to the Pod."""
    c = Cluster()
    pod = c.create("Pod", "lone", by="kubectl-run", containers=[{"name": "app"}])
    run(c, pod, started=False)
    container = "spec.containers{app}"
    c.event(pod, "Pulling", "Pulling image", by="kubelet", field_path=container)
    c.wait(10)
    c.event(pod, "FailedMount", "not yet", by="kubelet", warning=True)
    c.wait(10)
    c.event(pod, "Pulled", "Successfully pulled image", by="kubelet", field_path=container)
    c.event(pod, "Started", "Started container app", by="kubelet", field_path=container)
    c.wait(5)
    c.event(pod, "Unhealthy", "Startup probe failed", by="kubelet", warning=True, field_path=container)
    c.wait(5)
    running(c, pod)
    found = lasting(c)
    assert (found["Pod.Pulling"], found["Pod.Started"], found["Pod.Create"]) == (20, 10, 30)


def test_a_rollout_is_available_because_its_last_pod_is_ready() -> None:
    c = Cluster()
    web = c.apply("Deployment", "web", replicas=2)
    rs = new_replicas(c, web, "web-1", 2)
    c.condition(web, "Progressing", "True", reason="NewReplicaSetCreated")
    available(c, web, "False")
    for letter in "ab":
        run(c, new_pod(c, rs, f"web-1-{letter}"))
    done(c, rs, web)
    available(c, web, "True")
    shows(
        c,
        """
        Deployment.Create web  by kubectl  [root]
          Deployment.ScalingReplicaSet web  by deployment-controller  [owner]
            ReplicaSet.Create web-1  by deployment-controller  [subject]
              ReplicaSet.SuccessfulCreate web-1  by replicaset-controller  [owner]
                Pod.Create web-1-a  by replicaset-controller  [subject]
                  Pod.Scheduled web-1-a  by default-scheduler  [own]
                  Pod.Started web-1-a  by kubelet  [own]
                  Pod.Ready web-1-a  by kubelet  [own]
              ReplicaSet.SuccessfulCreate web-1  by replicaset-controller  [owner]
                Pod.Create web-1-b  by replicaset-controller  [subject]
                  Pod.Scheduled web-1-b  by default-scheduler  [own]
                  Pod.Started web-1-b  by kubelet  [own]
                  Pod.Ready web-1-b  by kubelet  [own]
                    Deployment.Available web  by deployment-controller  [owner]
        """,
    )


def test_an_unready_pod_makes_its_deployment_unavailable() -> None:
    """Long after the rollout: an episode that contains all effects."""
    c = Cluster()
    web, _, (pod,) = rolled_out(c, "web")
    available(c, web, "True")
    c.wait(300)
    ready(c, pod, "False")
    available(c, web, "False")
    c.wait(20)
    ready(c, pod, "True")
    available(c, web, "True")
    shows(
        c,
        """
        Deployment.Create web  by kubectl  [root]
          Deployment.ScalingReplicaSet web  by deployment-controller  [owner]
            ReplicaSet.Create web-1  by deployment-controller  [subject]
              ReplicaSet.SuccessfulCreate web-1  by replicaset-controller  [owner]
                Pod.Create web-1-a  by replicaset-controller  [subject]
                  Pod.Scheduled web-1-a  by default-scheduler  [own]
                  Pod.Started web-1-a  by kubelet  [own]
                  Pod.Ready web-1-a  by kubelet  [own]
                    Deployment.Available web  by deployment-controller  [owner]

        (continues Deployment.Create web trace)
        Pod.Ready=False web-1-a  by kubelet  [own]
          Deployment.Available=False web  by deployment-controller  [owner]
          Pod.Ready web-1-a  by kubelet  [own]
            Deployment.Available web  by deployment-controller  [owner]
        """,
    )


def test_scaling_up_makes_a_deployment_unavailable() -> None:
    c = Cluster()
    web, _, _ = rolled_out(c, "web")
    available(c, web, "True")
    c.first_list()
    c.update(web, by="kubectl", subresource="scale", replicas=3)
    available(c, web, "False")
    shows(
        c,
        """
        (incomplete)
        Deployment.Update web  by kubectl  [root]
          Deployment.Available=False web  by deployment-controller  [own]
        """,
    )


def test_a_condition_is_caused_by_the_change_that_its_controller_had_observed() -> None:
    c = Cluster()
    widget = c.apply("Widget", "a", size=1)
    c.wait(1)
    c.update(widget, by="kubectl-patch", size=2)
    c.condition(widget, "Ready", "True", by="widget-controller", observed=1)
    c.wait(2)
    c.condition(widget, "Ready", "False", reason="ResizeFailed", by="widget-controller")
    shows(
        c,
        """
        Widget.Create a  by kubectl  [root]
          Widget.Ready a  by widget-controller  [own]

        Widget.Update a  by kubectl  [root] error
          Widget.Ready=False a  by widget-controller  [own] error
        """,
    )


def test_a_condition_that_is_written_before_the_change_counts_as_observed_is_caused_by_the_newest_change() -> None:
    """The deployment controller reports a pause, and a new ReplicaSet, with the old observedGeneration."""
    c = Cluster()
    web, _, _ = rolled_out(c, "web")
    c.condition(web, "Progressing", "True", reason="NewReplicaSetAvailable")
    c.wait(14)
    c.update(web, by="kubectl-rollout", paused=True)
    c.condition(web, "Progressing", "Unknown", reason="DeploymentPaused", message="Deployment is paused", observed=1)
    c.wait(20)
    c.update(web, by="kubectl-rollout", paused=False)
    c.condition(web, "Progressing", "False", reason="ProgressDeadlineExceeded")
    c.wait(60)
    c.update(web, by="kubectl-set", image="app:v2")
    c.condition(web, "Progressing", "True", reason="NewReplicaSetCreated", observed=3)
    done(c, web)
    rows = {row["span_id"]: row for row in fold(CLUSTER, c.records)["spans"]}
    causes = {
        row["name"]: rows[row["parent_span_id"]]["attributes"].get(CHANGE_SUMMARY)
        for row in rows.values()
        if row["name"] in ("Deployment.Progressing", "Deployment.Progressing=Unknown") and row["parent_span_id"]
    }
    assert causes == {
        "Deployment.Progressing=Unknown": "paused: true",
        "Deployment.Progressing": "app.image: app:v1 → app:v2",
    }


def test_an_initial_false_condition_is_no_transition_unless_it_is_a_failure() -> None:
    c = Cluster()
    for name, reason in (("new", "Creating"), ("broken", "InvalidSize")):
        widget = c.apply("Widget", name, size=1)
        c.condition(widget, "Ready", "False", reason=reason, by="widget-controller")
        c.condition(widget, "Synced", "Unknown", by="widget-controller")
    shows(
        c,
        """
        Widget.Create new  by kubectl  [root]

        Widget.Create broken  by kubectl  [root] error
          Widget.Ready=False broken  by widget-controller  [own] error
        """,
    )


def test_a_condition_that_is_removed_when_it_no_longer_holds() -> None:
    """As Argo CD has them (no status), and as the ReplicaSet controller removes ReplicaFailure."""
    c = Cluster()
    widget = c.apply("Widget", "a", size=1)
    c.status(widget, by="widget-controller", conditions=[{"type": "SyncError", "message": "no such chart"}])
    c.wait(3)
    c.status(widget, by="widget-controller", conditions=[])
    shows(
        c,
        """
        Widget.Create a  by kubectl  [root]
          Widget.SyncError a  by widget-controller  [own] error
          Widget.SyncError=False a  by widget-controller  [own]
        """,
    )


def test_the_phase_of_a_claim_is_a_transition() -> None:
    c = Cluster()
    claim = c.apply("PersistentVolumeClaim", "data", storageClassName="fast")
    c.status(claim, phase="Pending")
    c.status(claim, phase="Bound")
    c.wait(2)
    c.status(claim, phase="Lost")
    shows(
        c,
        """
        PersistentVolumeClaim.Create data  by kubectl  [root] error
          PersistentVolumeClaim.Bound data  by persistentvolume-controller  [own]
          PersistentVolumeClaim.Lost data  by persistentvolume-controller  [own] error
        """,
    )


def test_a_lost_node_makes_its_pods_unready_and_its_recovery_makes_them_ready() -> None:
    c = Cluster()
    host = node(c)
    web, _, (pod,) = rolled_out(c, "web")
    available(c, web, "True")
    c.first_list()
    c.condition(host, "Ready", "Unknown", reason="NodeStatusUnknown")
    ready(c, pod, "False", by=MANAGER)
    c.update(host, by=MANAGER, taints=[{**NOT_READY, "effect": "NoSchedule"}])
    available(c, web, "False")
    c.wait(40)
    c.condition(host, "Ready", "True", by="kubelet")
    c.update(host, by=MANAGER, taints=[])
    ready(c, pod, "True")
    available(c, web, "True")
    shows(
        c,
        """
        (recovered)
        Node.Ready=Unknown node-a  by node-controller  [root] error
          Pod.Ready=False web-1-a  by node-controller  [place]
            Deployment.Available=False web  by deployment-controller  [owner]
          Node.Update node-a  by node-controller  [own]
          Node.Ready node-a  by kubelet  [own]
            Node.Update node-a  by node-controller  [own]
            Pod.Ready web-1-a  by kubelet  [place]
              Deployment.Available web  by deployment-controller  [owner]
        """,
    )


def test_a_lost_node_has_one_transition() -> None:
    """Its other conditions are unknown as well."""
    c = Cluster()
    host = node(c)
    c.condition(host, "MemoryPressure", "False", by="kubelet")
    c.first_list()
    kinds = ("Ready", "MemoryPressure", "DiskPressure")
    c.status(host, conditions=[{"type": t, "status": "Unknown", "reason": "NodeStatusUnknown"} for t in kinds])
    shows(
        c,
        """
        (incomplete)
        (failing)
        Node.Ready=Unknown node-a  by node-controller  [root] error
        """,
    )


def test_node_pressure_causes_an_eviction_which_causes_the_replacement() -> None:
    c = Cluster()
    host = node(c)
    _, rs, (pod,) = rolled_out(c, "web")
    c.first_list()
    c.condition(host, "MemoryPressure", "True", reason="KubeletHasInsufficientMemory", by="kubelet")
    c.event(pod, "Evicted", "The node was low on resource: memory.", by="kubelet", host="node-a", warning=True)
    c.condition(pod, "DisruptionTarget", "True", reason="TerminationByKubelet", by="kubelet")
    c.status(pod, by="kubelet", phase="Failed", reason="Evicted", message="The node was low on resource: memory.")
    run(c, new_pod(c, rs, "web-1-b"), "node-b")
    done(c, rs)
    shows(
        c,
        """
        Node.MemoryPressure node-a  by kubelet  [root] error
          Pod.Evicted web-1-a  by kubelet  [place] error
            Pod.Failed web-1-a  by kubelet  [own] error
              ReplicaSet.SuccessfulCreate web-1  by replicaset-controller  [owner]
                Pod.Create web-1-b  by replicaset-controller  [subject]
                  Pod.Scheduled web-1-b  by default-scheduler  [own]
                  Pod.Started web-1-b  by kubelet  [own]
                  Pod.Ready web-1-b  by kubelet  [own]
        """,
    )


def test_a_refusal_ends_because_a_dependent_was_created() -> None:
    c = Cluster()
    quota = c.apply("ResourceQuota", "few", hard={"pods": "0"})
    web, rs, _ = rolled_out(c, "web", 0)
    c.first_list()
    c.update(web, by="kubectl", subresource="scale", replicas=1)
    c.update(rs, by=MANAGER, replicas=1)
    c.event(rs, "FailedCreate", refusal("web-1-b", "few"), by="replicaset-controller", warning=True)
    c.condition(rs, "ReplicaFailure", "True", reason="FailedCreate", message=refusal("web-1-b", "few"))
    c.wait(10)
    c.update(quota, by="kubectl-patch", hard={"pods": "10"})
    c.wait(10)
    pod = new_pod(c, rs, "web-1-b")
    c.status(rs, conditions=[])
    run(c, pod)
    done(c, rs, web)
    shows(
        c,
        """
        Deployment.Update web  by kubectl  [root]
          ReplicaSet.Update web-1  by deployment-controller  [owner]
            ReplicaSet.FailedCreate web-1  by replicaset-controller  [own] error
            ReplicaSet.ReplicaFailure web-1  by replicaset-controller  [own] error

        ResourceQuota.Update few  by kubectl  [root]
          ReplicaSet.SuccessfulCreate web-1  by replicaset-controller  [subject]
            Pod.Create web-1-b  by replicaset-controller  [subject]
              ReplicaSet.ReplicaFailure=False web-1  by replicaset-controller  [owner]
              Pod.Scheduled web-1-b  by default-scheduler  [own]
              Pod.Started web-1-b  by kubelet  [own]
              Pod.Ready web-1-b  by kubelet  [own]
        """,
    )


@pytest.mark.parametrize(
    "kind, named, reason",
    [
        ("Job", "Suspended", "JobSuspended"),
        ("HorizontalPodAutoscaler", "ScalingLimited", "TooManyReplicas"),
        ("PersistentVolumeClaim", "Resizing", ""),
        ("NodeClaim", "Drifted", "NodePoolDrifted"),
        ("Workload", "Evicted", "Preempted"),
    ],
)
def test_a_state_lasts_while_it_is_true_and_its_end_is_a_moment(kind: str, named: str, reason: str) -> None:
    c = Cluster()
    thing = c.apply(kind, "x")
    c.condition(thing, named, "False")
    c.wait(3)
    c.condition(thing, named, "True", reason=reason)
    c.wait(5)
    c.condition(thing, named, "False")
    c.wait(3)
    c.condition(thing, named, "True", reason=reason)
    found = sorted(fold(CLUSTER, c.records)["spans"], key=lambda row: int(row["start_time"]))
    lasted = [(r["name"], (r["end_time"] - r["start_time"]) // SECOND) for r in found if named in r["name"]]
    assert lasted[0] == (f"{kind}.{named}", 5)
    assert f"{kind}.{named}=False" in [name for name, _ in lasted]
    assert all(seconds == 0 for name, seconds in lasted if name.endswith("False"))
    assert not any(row["error"] for row in found)


@pytest.mark.parametrize(
    "named", ["KernelDeadlock", "ReadonlyFilesystem", "CorruptDockerOverlay2", "FrequentKubeletRestart", "XfsShutdown"]
)
def test_a_problem_that_a_node_has_is_a_failure_and_that_it_has_none_is_not(named: str) -> None:
    c = Cluster()
    host = node(c)
    c.first_list()
    c.condition(host, named, "True", by="node-problem-detector")
    c.wait(20)
    c.condition(host, named, "False", by="node-problem-detector")
    rows = {row["name"]: row for row in fold(CLUSTER, c.records)["spans"]}
    problem, end = rows[f"Node.{named}"], rows[f"Node.{named}=False"]
    assert (problem["error"], end["error"]) == (True, False)
    assert 20 <= (problem["end_time"] - problem["start_time"]) / SECOND < 22
    assert end["end_time"] == end["start_time"]


UNREADY = "containers with unready status: [app]"


def unready(c: Cluster, pod: Thing, message: str = UNREADY) -> None:
    c.condition(pod, "Ready", "False", by="kubelet", reason="ContainersNotReady", message=message)


def test_a_pod_is_not_ready_any_more_because_its_readiness_probe_failed() -> None:
    c, web, *_ = settled("web")
    c.update(web, by="kubectl-set", image="app:v2")
    two = new_replicas(c, web, "web-2", 1)
    new = new_pod(c, two, "web-2-a")
    run(c, new)
    done(c, two, web)
    c.wait(5)
    failed = c.event(new, "Unhealthy", "Readiness probe failed: ", by="kubelet", warning=True, field_path=APP)
    c.wait(3)
    c.repeat(failed)
    unready(c, new)
    c.wait(6)
    running(c, new)
    c.wait(20)
    c.repeat(failed)
    unready(c, new)
    c.wait(6)
    running(c, new)
    shows(
        c,
        """
        Deployment.Update web  by kubectl  [root]
          Deployment.ScalingReplicaSet web  by deployment-controller  [owner]
            ReplicaSet.Create web-2  by deployment-controller  [subject]
              ReplicaSet.SuccessfulCreate web-2  by replicaset-controller  [owner]
                Pod.Create web-2-a  by replicaset-controller  [subject]
                  Pod.Scheduled web-2-a  by default-scheduler  [own]
                  Pod.Started web-2-a  by kubelet  [own]
                  Pod.Ready web-2-a  by kubelet  [own] +2
                  Pod.Unhealthy web-2-a  by kubelet  [own] +2 error
                    Pod.Ready=False web-2-a  by kubelet  [own] +1
        """,
    )


@pytest.mark.parametrize(
    "path, said, message",
    [
        (APP, "Liveness probe failed: ", UNREADY),
        (APP, "Readiness probe errored: context deadline exceeded", UNREADY),
        ("spec.containers{log}", "Readiness probe failed: ", UNREADY),
        (APP, "Readiness probe failed: ", 'the status of pod readiness gate "x" is not "True", but False'),
    ],
)
def test_no_other_probe_is_why_a_pod_is_not_ready_any_more(path: str, said: str, message: str) -> None:
    c = Cluster()
    pod = c.create("Pod", "lone", by="kubectl-run", containers=[{"name": "app"}, {"name": "log"}])
    run(c, pod)
    c.wait(5)
    c.event(pod, "Unhealthy", said, by="kubelet", warning=True, field_path=path)
    unready(c, pod, message)
    rows = {row["span_id"]: row for row in fold(CLUSTER, c.records)["spans"]}
    parent = next(rows[r["parent_span_id"]]["name"] for r in rows.values() if r["name"] == "Pod.Ready=False")
    assert parent == "Pod.Create"


def test_a_probe_that_failed_before_the_pod_was_ready_is_not_why_it_is_not_ready_any_more() -> None:
    c = Cluster()
    pod = c.create("Pod", "lone", by="kubectl-run", containers=[{"name": "app"}])
    run(c, pod, started=False)
    c.event(pod, "Unhealthy", "Readiness probe failed: ", by="kubelet", warning=True, field_path=APP)
    c.wait(3)
    running(c, pod)
    c.wait(9)
    unready(c, pod)
    rows = {row["span_id"]: row for row in fold(CLUSTER, c.records)["spans"]}
    parent = next(rows[r["parent_span_id"]]["name"] for r in rows.values() if r["name"] == "Pod.Ready=False")
    assert parent == "Pod.Create"
