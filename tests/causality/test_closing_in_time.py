"""A trace that is complete is not kept open by what begins in another trace, and misses nothing that belongs to it."""

import pytest

from kspan.times import SECOND
from kspan.vocabulary import LINK, SUPERSEDED
from tests.causality.actors import done, new_pod, new_replicas, rolled_out, run, running, scale
from tests.causality.cluster import MANAGER, Cluster, Thing
from tests.causality.drawing import CLUSTER, shows
from tests.recordings import Rows, fold

BINDER = "persistentvolume-controller"

CLOSED = 15.0
"""Seconds from the receipt of the last span of a trace until it is closed: hold and settle."""


def traces(c: Cluster) -> Rows:
    c.receive_all()
    return fold(CLUSTER, c.records)


def closed_after(c: Cluster, root: str) -> float:
    """Seconds from the last span of the trace with this root until it is closed."""
    rows = traces(c)
    spans = {row["span_id"]: row for row in rows["spans"]}
    (trace,) = (t for t in rows["traces"] if spans[t["root_span_id"]]["name"] == root)
    last = max(row["start_time"] for row in spans.values() if row["trace_id"] == trace["trace_id"])
    return float((trace["closed_at"] - last) / SECOND)


def new_cluster() -> Cluster:
    """A cluster that is watched from its beginning on."""
    c = Cluster()
    c.create("Namespace", "shop", by="kubectl-create")
    c.first_list()
    return c


def second_rollout(c: Cluster, web: Thing, one: Thing) -> None:
    c.update(web, by="helm", image="app:v2")
    two = new_replicas(c, web, "web-2", 1)
    pod = new_pod(c, two, "web-2-a")
    c.wait(4)
    run(c, pod)
    scale(c, web, one, 0)
    done(c, one, two, web)


@pytest.mark.parametrize("apart", [9, 12, 14, 14.9], ids="{} s".format)
def test_a_second_rollout_that_begins_before_the_trace_of_the_first_is_closed_does_not_keep_it_open(
    apart: float,
) -> None:
    c = new_cluster()
    web, one, _ = rolled_out(c, "web")
    c.wait(apart)
    second_rollout(c, web, one)
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

        Deployment.Update web  by helm  [root]
          Deployment.ScalingReplicaSet web  by deployment-controller  [owner]
            ReplicaSet.Create web-2  by deployment-controller  [subject]
              ReplicaSet.SuccessfulCreate web-2  by replicaset-controller  [owner]
                Pod.Create web-2-a  by replicaset-controller  [subject]
                  Pod.Scheduled web-2-a  by default-scheduler  [own]
                  Pod.Started web-2-a  by kubelet  [own]
                  Pod.Ready web-2-a  by kubelet  [own]
          Deployment.ScalingReplicaSet web  by deployment-controller  [owner]
            ReplicaSet.Update web-1  by deployment-controller  [subject]
        """,
    )
    assert closed_after(c, "Deployment.Create") == pytest.approx(CLOSED, abs=0.1)


def test_a_claim_that_is_bound_for_a_pod_in_another_trace_does_not_keep_its_trace_open() -> None:
    c = new_cluster()
    disk = c.create("PersistentVolume", "disk", by="kubectl-create")
    c.status(disk, phase="Available")
    c.wait(30)
    claim = c.create("PersistentVolumeClaim", "data", by="kubectl-create", storageClassName="late")
    c.status(claim, phase="Pending")
    c.event(claim, "WaitForFirstConsumer", "waiting for first consumer to be created before binding", by=BINDER)
    c.wait(14)
    pod = c.create(
        "Pod",
        "lone",
        by="kubectl-run",
        containers=[],
        volumes=[{"name": "files", "persistentVolumeClaim": {"claimName": "data"}}],
    )
    c.update(disk, by="kube-scheduler", claimRef={"kind": claim.kind, "name": "data", "uid": claim.meta["uid"]})
    c.status(disk, phase="Bound")
    c.update(claim, by=MANAGER, volumeName="disk")
    c.status(claim, phase="Bound")
    c.wait(0.5)
    run(c, pod)
    shows(
        c,
        """
        PersistentVolume.Create disk  by kubectl  [root]

        PersistentVolumeClaim.Create data  by kubectl  [root]
          PersistentVolumeClaim.WaitForFirstConsumer data  by persistentvolume-controller  [own]

        Pod.Create lone  by kubectl  [root]
          PersistentVolume.Update disk  by kube-scheduler  [subject]
            PersistentVolume.Bound disk  by persistentvolume-controller  [own]
          PersistentVolumeClaim.Update data  by persistentvolume-controller  [subject]
            PersistentVolumeClaim.Bound data  by persistentvolume-controller  [own]
          Pod.Scheduled lone  by default-scheduler  [own]
          Pod.Started lone  by kubelet  [own]
          Pod.Ready lone  by kubelet  [own]
        """,
    )
    assert closed_after(c, "PersistentVolumeClaim.Create") == pytest.approx(CLOSED, abs=0.1)


def test_a_trace_waits_for_what_belongs_to_it_also_if_another_trace_has_taken_the_object_meanwhile() -> None:
    """The Event of the kubelet about the first rollout is received after the second change, and waits."""
    c = new_cluster()
    web, _, (pod,) = rolled_out(c, "web")
    c.wait(9)
    c.event(pod, "Noted", "Something about the container app", by="kubelet", host="node-a", late=4)
    c.wait(4.5)
    c.update(web, by="helm", replicas=1, paused=True)
    c.wait(60)
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
                  Pod.Noted web-1-a  by kubelet  [own]

        Deployment.Update web  by helm  [root]
        """,
    )


def test_a_rollout_that_is_interrupted_just_before_its_trace_would_be_closed_has_a_link_to_what_interrupts_it() -> None:
    """Nothing has happened for 14 s, because the Pod does not become ready: whether the rollout goes on is open."""
    c = new_cluster()
    web = c.apply("Deployment", "web", replicas=1)
    one = new_replicas(c, web, "web-1", 1)
    c.status(web, observedGeneration=1, replicas=1)
    pod = new_pod(c, one, "web-1-a")
    run(c, pod, started=False)
    running(c, pod, "Pending")
    c.wait(14)
    second_rollout(c, web, one)
    rows = traces(c)
    spans = {row["span_id"]: row for row in rows["spans"]}
    first, second = (spans[t["root_span_id"]] for t in sorted(rows["traces"], key=lambda t: t["start_time"]))
    (link,) = (link for link in first["links"] if link.attributes[LINK] == SUPERSEDED)
    assert (link.trace_id, link.span_id) == (second["trace_id"], second["span_id"])
