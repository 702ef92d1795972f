"""Pods that a person deletes: what ends because of a deletion does not explain it."""

from typing import Any

import pytest

from tests.causality.actors import CONTROLLERS, done, new_pod, only, run, running
from tests.causality.cluster import Cluster, Thing
from tests.causality.drawing import CLUSTER, shows
from tests.recordings import fold

OLD, NEW = "create Pod db-0 in StatefulSet db successful", "Create Pod db-0 in StatefulSet db successful"


def watched() -> Cluster:
    c = Cluster()
    c.create("Namespace", "shop", by="kubectl-create")
    c.first_list()
    return c


def delete(c: Cluster, pod: Thing, end: str) -> None:
    """Somebody deletes a Pod that runs; its containers end with success or not, then it is removed."""
    seen = pod.version
    c.delete(pod, grace=30)
    c.event(pod, "Killing", "Stopping container app", by="kubelet", host="node-a", seen=seen)
    c.wait(1)
    running(c, pod, end)
    c.gone(pod)


@pytest.mark.parametrize("end", ["Succeeded", "Failed"])
@pytest.mark.parametrize(
    "kind, name, more, message",
    [
        ("StatefulSet", "db-0", {}, OLD),
        ("StatefulSet", "db-0", {}, NEW),
        ("DaemonSet", "db-y", {"affinity": only("node-a")}, ""),
    ],
    ids=["stateful set, old", "stateful set", "daemon set"],
)
def test_a_pod_that_ends_because_it_was_deleted_was_not_deleted_because_it_ended(
    kind: str, name: str, more: dict[str, Any], message: str, end: str
) -> None:
    c = watched()
    db = c.apply(kind, "db")
    pod = new_pod(c, db, "db-0", message=message, **more)
    run(c, pod)
    done(c, db)
    c.wait(8)
    delete(c, pod, end)
    again = new_pod(c, db, name, message=message, **more)
    run(c, again)
    done(c, db)
    controller = CONTROLLERS[kind]
    shows(
        c,
        f"""
        {kind}.Create db  by kubectl  [root]
          {kind}.SuccessfulCreate db  by {controller}  [owner]
            Pod.Create db-0  by {controller}  [subject]
              Pod.Scheduled db-0  by default-scheduler  [own]
              Pod.Started db-0  by kubelet  [own]
              Pod.Ready db-0  by kubelet  [own]

        Pod.Delete db-0  by unknown  [root]
          Pod.Killing db-0  by kubelet  [own]
          {kind}.SuccessfulCreate db  by {controller}  [owner]
            Pod.Create {name}  by {controller}  [subject]
              Pod.Scheduled {name}  by default-scheduler  [own]
              Pod.Started {name}  by kubelet  [own]
              Pod.Ready {name}  by kubelet  [own]
        """,
    )


@pytest.mark.parametrize("reason", ["RecreatingFailedPod", "RecreatingTerminatedPod"])
def test_a_stateful_set_deletes_a_pod_that_failed_by_itself(reason: str) -> None:
    c = watched()
    db = c.apply("StatefulSet", "db")
    pod = new_pod(c, db, "db-0", message=NEW)
    run(c, pod)
    done(c, db)
    c.wait(8)
    running(c, pod, "Failed")
    message = f"StatefulSet shop/db is recreating {'failed' if 'Failed' in reason else 'terminated'} Pod db-0"
    c.event(db, reason, message, by="statefulset-controller", warning=True)
    c.gone(pod)
    run(c, new_pod(c, db, "db-0", message=NEW))
    done(c, db)
    shows(
        c,
        f"""
        StatefulSet.Create db  by kubectl  [root]
          StatefulSet.SuccessfulCreate db  by statefulset-controller  [owner]
            Pod.Create db-0  by statefulset-controller  [subject]
              Pod.Scheduled db-0  by default-scheduler  [own]
              Pod.Started db-0  by kubelet  [own]
              Pod.Ready db-0  by kubelet  [own]
              Pod.Failed db-0  by kubelet  [own] error
                StatefulSet.{reason} db  by statefulset-controller  [subject] error
                Pod.Delete db-0  by statefulset-controller  [own]
                StatefulSet.SuccessfulCreate db  by statefulset-controller  [owner]
                  Pod.Create db-0  by statefulset-controller  [subject]
                    Pod.Scheduled db-0  by default-scheduler  [own]
                    Pod.Started db-0  by kubelet  [own]
                    Pod.Ready db-0  by kubelet  [own]
        """,
    )


def test_a_job_that_fails_because_its_pod_was_deleted_did_not_delete_it() -> None:
    c = watched()
    job = c.apply("Job", "import", backoffLimit=0)
    pod = new_pod(c, job, "import-a")
    run(c, pod)
    c.wait(8)
    delete(c, pod, "Failed")
    c.condition(job, "Failed", "True", reason="BackoffLimitExceeded")
    shows(
        c,
        """
        Job.Create import  by kubectl  [root] error
          Job.SuccessfulCreate import  by job-controller  [owner]
            Pod.Create import-a  by job-controller  [subject]
              Pod.Scheduled import-a  by default-scheduler  [own]
              Pod.Started import-a  by kubelet  [own]
              Pod.Ready import-a  by kubelet  [own]

        Pod.Delete import-a  by unknown  [root] error
          Pod.Killing import-a  by kubelet  [own]
          Job.Failed import  by job-controller  [owner] error
        """,
    )


def test_a_job_keeps_the_pods_that_ended() -> None:
    c = watched()
    job = c.apply("Job", "import")
    pod = new_pod(c, job, "import-a")
    run(c, pod)
    running(c, pod, "Succeeded")
    c.condition(job, "Complete", "True")
    c.wait(8)
    c.gone(pod)
    shows(
        c,
        """
        Job.Create import  by kubectl  [root]
          Job.SuccessfulCreate import  by job-controller  [owner]
            Pod.Create import-a  by job-controller  [subject]
              Pod.Scheduled import-a  by default-scheduler  [own]
              Pod.Started import-a  by kubelet  [own]
              Pod.Ready import-a  by kubelet  [own]
              Pod.Succeeded import-a  by kubelet  [own]
                Job.Complete import  by job-controller  [owner]

        Pod.Delete import-a  by unknown  [root]
        """,
    )


def test_a_job_deletes_the_pods_that_run_beyond_its_deadline() -> None:
    c = watched()
    job = c.apply("Job", "import", activeDeadlineSeconds=8)
    pod = new_pod(c, job, "import-a")
    run(c, pod)
    c.wait(8)
    c.delete(pod, grace=30)
    c.condition(job, "Failed", "True", reason="DeadlineExceeded")
    c.wait(1)
    running(c, pod, "Failed")
    c.gone(pod)
    shows(
        c,
        """
        Job.Create import  by kubectl  [root] error
          Job.SuccessfulCreate import  by job-controller  [owner]
            Pod.Create import-a  by job-controller  [subject]
              Pod.Scheduled import-a  by default-scheduler  [own]
              Pod.Started import-a  by kubelet  [own]
              Pod.Ready import-a  by kubelet  [own]
          Pod.Delete import-a  by job-controller  [owner]
          Job.Failed import  by job-controller  [own] error
        """,
    )


def test_a_scale_down_with_nothing_to_delete_does_not_explain_a_later_deletion() -> None:
    """A quota had refused the third Pod, so that two are all that are wanted since."""
    c = Cluster()
    rs = c.apply("ReplicaSet", "web", replicas=3)
    pods = [new_pod(c, rs, f"web-{n}") for n in range(2)]
    for pod in pods:
        run(c, pod)
    c.status(rs, observedGeneration=1, replicas=2, readyReplicas=2)
    c.first_list()
    c.update(rs, replicas=2)
    done(c, rs)
    c.wait(1200)
    c.delete(pods[0], grace=30)
    run(c, new_pod(c, rs, "web-2", reported=False))
    c.gone(pods[0])
    done(c, rs)
    shows(
        c,
        """
        ReplicaSet.Update web  by kubectl  [root]

        Pod.Delete web-0  by unknown  [root]
          Pod.Create web-2  by replicaset-controller  [owner]
            Pod.Scheduled web-2  by default-scheduler  [own]
            Pod.Started web-2  by kubelet  [own]
            Pod.Ready web-2  by kubelet  [own]
        """,
    )


def test_a_surplus_pod_is_deleted_for_the_scale_down_however_late_it_is() -> None:
    """The controller manager was down."""
    c = Cluster()
    rs = c.apply("ReplicaSet", "web", replicas=3)
    pods = [new_pod(c, rs, f"web-{n}") for n in range(3)]
    for pod in pods:
        run(c, pod)
    done(c, rs)
    c.first_list()
    c.update(rs, replicas=2)
    c.wait(120)
    c.delete(pods[0], grace=30)
    c.gone(pods[0])
    done(c, rs)
    shows(
        c,
        """
        ReplicaSet.Update web  by kubectl  [root]
          Pod.Delete web-0  by replicaset-controller  [owner]
        """,
    )


def updated_agents(c: Cluster, strategy: dict[str, Any], *, ready: bool) -> tuple[Thing, list[Thing]]:
    """A DaemonSet that is updated: its Pod on the first of three Nodes is new, and perhaps ready."""
    agent = c.apply("DaemonSet", "agent", updateStrategy={"type": "RollingUpdate", "rollingUpdate": strategy})
    nodes = ("node-a", "node-b", "node-c")
    pods = [new_pod(c, agent, f"agent-{node[-1]}", affinity=only(node)) for node in nodes]
    for pod, node in zip(pods, nodes, strict=True):
        run(c, pod, node)
    done(c, agent)
    c.first_list()
    c.update(agent, by="kubectl-set", image="app:v2")
    c.delete(pods[0], grace=5)
    c.gone(pods[0])
    new = new_pod(c, agent, "agent-x", affinity=only("node-a"), reported=False)
    c.bind(new, "node-a")
    c.status(new, by="kubelet", phase="Running", conditions=[{"type": "Ready", "status": "True" if ready else "False"}])
    return agent, pods


@pytest.mark.parametrize(
    "strategy, ready, by_controller",
    [
        ({"maxUnavailable": 1}, False, False),
        ({"maxUnavailable": 1}, True, True),
        ({}, False, False),
        ({"maxUnavailable": 2}, False, True),
        ({"maxUnavailable": "50%"}, False, True),
        ({"maxUnavailable": "10%"}, False, False),
        # With a surge, an old Pod is deleted once the new one on its Node is ready.
        ({"maxUnavailable": 0, "maxSurge": 1}, True, False),
    ],
)
@pytest.mark.parametrize("minutes", [0, 20])
def test_a_daemon_set_replaces_no_ready_pod_while_as_many_are_unavailable_as_may_be(
    strategy: dict[str, Any], ready: bool, by_controller: bool, minutes: int
) -> None:
    c = Cluster()
    _, pods = updated_agents(c, strategy, ready=ready)
    c.wait(60 * minutes)
    c.delete(pods[1], grace=30)
    c.gone(pods[1])
    (row,) = [
        r
        for r in fold(CLUSTER, c.records)["spans"]
        if (r["object_uid"], r["reason"]) == (pods[1].meta["uid"], "Delete")
    ]
    assert row["service"] == ("daemonset-controller" if by_controller else "unknown")


def test_a_daemon_set_replaces_an_old_pod_that_is_not_ready_although_others_are_not_either() -> None:
    c = Cluster()
    _, pods = updated_agents(c, {"maxUnavailable": 1}, ready=False)
    c.wait(60)
    c.status(pods[1], by="kubelet", phase="Running", conditions=[{"type": "Ready", "status": "False"}])
    c.delete(pods[1], grace=30)
    c.gone(pods[1])
    rows = [r for r in fold(CLUSTER, c.records)["spans"] if r["object_uid"] == pods[1].meta["uid"]]
    assert {r["service"] for r in rows if r["reason"] == "Delete"} == {"daemonset-controller"}
