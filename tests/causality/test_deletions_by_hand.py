"""Pods that a person deletes: what ends because of a deletion does not explain it."""

from typing import Any

import pytest

from tests.causality.actors import CONTROLLERS, done, new_pod, only, run, running
from tests.causality.cluster import Cluster, Thing
from tests.causality.drawing import shows

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
