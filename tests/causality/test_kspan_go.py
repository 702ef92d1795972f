"""The test cases of the Go kspan, written by hand: Events of Kubernetes 1.18 to 1.20, with the objects as they are at
the end or at some time in between.

Its tests: controllers/events/event_controller_test.go and object_test.go in weaveworks-experiments/kspan.
"""

from textwrap import dedent

import msgspec
import pytest

from kspan.model import RecordType
from tests.causality.actors import done, new_pod, new_replicas, run, running, scale, settled
from tests.causality.cluster import API, MANAGER, Cluster, Thing
from tests.causality.drawing import draw, shows
from tests.recordings import RECORDINGS, fold, journal_of

CAPTURE = RECORDINGS.parent / "kspan-go" / "deployment-2-pods.yaml"


def as_they_stand(c: Cluster, *, since: int, managed: bool = True) -> None:
    """The watcher lists the current objects, then receives the Events since that time (ns)."""
    events = [r for r in c.records if r.kind == "Event" and r.recorded_at >= since]
    c.records.clear()
    for thing in c.things.values():
        if not managed:
            thing.meta.pop("managedFields", None)
        for entry in thing.meta.get("managedFields", ()):
            entry.pop("subresource", None)  # Since Kubernetes 1.22.
        c._record(RecordType.LISTED, API[thing.kind], thing.raw)
    c.records = [msgspec.structs.replace(r, recorded_at=since) for r in c.records] + events


def start_old(c: Cluster, pod: Thing, node: str = "node-a") -> None:
    """Scheduled, pulled and started, with the messages of Kubernetes 1.19."""
    message = f"Successfully assigned {pod.meta['namespace']}/{pod.name} to {node}"
    c.event(pod, "Scheduled", message, by="default-scheduler")
    c.bind(pod, node)
    for reason, words in (
        ("Pulled", 'Container image "app" already present on machine'),
        ("Created", "Created container app"),
        ("Started", "Started container app"),
    ):
        c.event(pod, reason, words, by="kubelet", host=node, field_path="spec.containers{app}")
    running(c, pod)


def flux_1(c: Cluster, about: Thing, message: str) -> None:
    """Flux 1 reports the objects that it applied once it applied all of them."""
    meta = {"name": about.name, "namespace": about.meta["namespace"], "uid": "", "resourceVersion": ""}
    applied = Thing({"kind": about.kind.lower(), "apiVersion": about.raw["apiVersion"], "metadata": meta})
    c.event(applied, "Sync", message, by="flux", uid="", top=True)


def rolling_out(c: Cluster, *, by: str = "kubectl") -> tuple[Thing, Thing, Thing, int]:
    """A Deployment of one old Pod that is changed now: (Deployment, its ReplicaSet, its Pod, time)."""
    web = c.apply("Deployment", "web", by=by, replicas=1)
    old = c.create("ReplicaSet", "web-1", owner=web, replicas=1)
    pod = c.create("Pod", "web-1-a", owner=old, containers=[{"name": "app"}])
    done(c, old, web)
    c.wait(5000)
    c.update(web, by=by, image="app:v2")
    return web, old, pod, c.now


@pytest.mark.parametrize("earlier", [False, True])
def test_the_root_of_a_rollout_is_the_manager_of_the_deployment_whichever_scaling_arrives_first(earlier: bool) -> None:
    """One Event continues the count of the last rollout, and one is about a Pod that was not seen."""
    c = Cluster()
    web, old, pod, since = rolling_out(c)
    new = c.create("ReplicaSet", "web-2", owner=web, replicas=1)
    message = "Scaled up replica set web-2 to 1"
    c.event(web, "ScalingReplicaSet", message, by="deployment-controller", count=2)
    started = new_pod(c, new, "web-2-a")
    c.update(old, by=MANAGER, replicas=0)
    down = "Scaled down replica set web-1 to 0"
    if earlier:
        c.event(web, "ScalingReplicaSet", down, by="deployment-controller", count=2)
    start_old(c, started)
    if not earlier:
        c.event(web, "ScalingReplicaSet", down, by="deployment-controller", count=2)
    c.gone(pod)
    c.event(pod, "Killing", "Stopping container app", by="kubelet", host="node-a", field_path="spec.containers{app}")
    c.event(old, "SuccessfulDelete", "Deleted pod: web-1-a", by="replicaset-controller")
    done(c, old, new, web)
    as_they_stand(c, since=since)
    up = """
          Deployment.ScalingReplicaSet web  by deployment-controller  [owner]
            ReplicaSet.Create web-2  by deployment-controller  [subject]
              ReplicaSet.SuccessfulCreate web-2  by replicaset-controller  [owner]
                Pod.Create web-2-a  by replicaset-controller  [subject]
                  Pod.Scheduled web-2-a  by default-scheduler  [own]
                  Pod.Pulled web-2-a  by kubelet  [own]
                  Pod.Created web-2-a  by kubelet  [own]
                  Pod.Started web-2-a  by kubelet  [own]"""
    shows(
        c,
        f"""
        Deployment.Update web  by kubectl  [root]{up}
          Deployment.ScalingReplicaSet web  by deployment-controller  [owner]
            ReplicaSet.Update web-1  by deployment-controller  [subject]
              ReplicaSet.SuccessfulDelete web-1  by replicaset-controller  [owner]
                Pod.Killing web-1-a  by kubelet  [subject]
        """,
    )


def test_a_rollout_of_two_pods_is_one_trace_if_only_the_final_objects_are_seen() -> None:
    """One Pod may be missing, one surplus: one old Pod is deleted at once, the other after the first new one."""
    c = Cluster()
    web = c.apply("Deployment", "web", replicas=2)
    old = c.create("ReplicaSet", "web-1", owner=web, replicas=2)
    gone = [c.create("Pod", f"web-1-{letter}", owner=old, containers=[{"name": "app"}]) for letter in "ab"]
    done(c, old, web)
    c.wait(5000)
    seen = c.update(web, image="app:v2").version
    since = c.now
    new = c.create("ReplicaSet", "web-2", owner=web, replicas=1)
    c.event(web, "ScalingReplicaSet", "Scaled up replica set web-2 to 1", by="deployment-controller", seen=seen)
    pods = [new_pod(c, new, "web-2-a")]
    for number, pod in enumerate(gone):
        c.update(old, by=MANAGER, replicas=1 - number)
        c.gone(pod)
        c.event(old, "SuccessfulDelete", f"Deleted pod: {pod.name}", by="replicaset-controller")
        c.event(pod, "Killing", "Stopping container app", by="kubelet", host="node-a")
        down = f"Scaled down replica set web-1 to {1 - number}"
        c.event(web, "ScalingReplicaSet", down, by="deployment-controller", seen=seen, count=3)
        if number == 0:
            c.update(new, by=MANAGER, replicas=2)
            up = "Scaled up replica set web-2 to 2"
            c.event(web, "ScalingReplicaSet", up, by="deployment-controller", seen=seen, count=2)
            pods.append(new_pod(c, new, "web-2-b"))
            c.wait(8)
            start_old(c, pods[0])
    start_old(c, pods[1])
    done(c, old, new, web)
    as_they_stand(c, since=since)
    shows(
        c,
        """
        Deployment.Update web  by kubectl  [root]
          Deployment.ScalingReplicaSet web  by deployment-controller  [owner]
          ReplicaSet.SuccessfulDelete web-1  by replicaset-controller  [owner]
            Pod.Killing web-1-a  by kubelet  [subject]
          Deployment.ScalingReplicaSet web  by deployment-controller  [owner]
          Deployment.ScalingReplicaSet web  by deployment-controller  [owner]
            ReplicaSet.Create web-2  by deployment-controller  [subject]
              ReplicaSet.SuccessfulCreate web-2  by replicaset-controller  [owner]
                Pod.Create web-2-a  by replicaset-controller  [subject]
                  Pod.Scheduled web-2-a  by default-scheduler  [own]
                  Pod.Pulled web-2-a  by kubelet  [own]
                  Pod.Created web-2-a  by kubelet  [own]
                  Pod.Started web-2-a  by kubelet  [own]
              ReplicaSet.SuccessfulCreate web-2  by replicaset-controller  [owner]
                Pod.Create web-2-b  by replicaset-controller  [subject]
                  Pod.Scheduled web-2-b  by default-scheduler  [own]
                  Pod.Pulled web-2-b  by kubelet  [own]
                  Pod.Created web-2-b  by kubelet  [own]
                  Pod.Started web-2-b  by kubelet  [own]
          Deployment.ScalingReplicaSet web  by deployment-controller  [owner]
            ReplicaSet.Update web-1  by deployment-controller  [subject]
              ReplicaSet.SuccessfulDelete web-1  by replicaset-controller  [owner]
                Pod.Killing web-1-b  by kubelet  [subject]
        """,
    )


def test_a_capture_of_the_go_kspan_is_one_trace() -> None:
    rows = fold(*journal_of(CAPTURE))
    drawing = """
        (incomplete)
        Deployment.Update px  by kubectl  [root]
          Deployment.ScalingReplicaSet px  by deployment-controller  [owner]
            ReplicaSet.Create px-5d567cc74c  by deployment-controller  [subject]
              ReplicaSet.SuccessfulCreate px-5d567cc74c  by replicaset-controller  [owner]
                Pod.Create px-5d567cc74c-ss4lb  by replicaset-controller  [subject]
                  Pod.Scheduled px-5d567cc74c-ss4lb  by default-scheduler  [own]
                  Pod.Pulling px-5d567cc74c-ss4lb  by kubelet  [own]
                  Pod.Pulled px-5d567cc74c-ss4lb  by kubelet  [own]
                  Pod.Created px-5d567cc74c-ss4lb  by kubelet  [own]
                  Pod.Started px-5d567cc74c-ss4lb  by kubelet  [own]
          Deployment.ScalingReplicaSet px  by deployment-controller  [owner]
            ReplicaSet.Update px-7df978b9bf  by deployment-controller  [subject]
              ReplicaSet.SuccessfulDelete px-7df978b9bf  by replicaset-controller  [owner]
                Pod.Killing px-7df978b9bf-jm22q  by kubelet  [subject]
          Deployment.ScalingReplicaSet px  by deployment-controller  [owner]
            ReplicaSet.SuccessfulCreate px-5d567cc74c  by replicaset-controller  [subject]
              Pod.Create px-5d567cc74c-pmvzr  by replicaset-controller  [subject]
                Pod.Scheduled px-5d567cc74c-pmvzr  by default-scheduler  [own]
                Pod.Pulled px-5d567cc74c-pmvzr  by kubelet  [own]
                Pod.Created px-5d567cc74c-pmvzr  by kubelet  [own]
                Pod.Started px-5d567cc74c-pmvzr  by kubelet  [own]
          Deployment.ScalingReplicaSet px  by deployment-controller  [owner]
            ReplicaSet.SuccessfulDelete px-7df978b9bf  by replicaset-controller  [subject]
              Pod.Killing px-7df978b9bf-bfdrj  by kubelet  [subject]
    """
    assert draw(rows) == dedent(drawing).strip()


def test_a_sync_of_flux_1_that_is_reported_during_the_rollout_is_its_root() -> None:
    """The objects have no managedFields, so only the Event shows who changed them, and the new ReplicaSet that and
    when somebody did."""
    c = Cluster()
    web, old, pod, since = rolling_out(c)
    new = c.create("ReplicaSet", "web-2", owner=web, replicas=1)
    c.event(web, "ScalingReplicaSet", "Scaled up replica set web-2 to 1", by="deployment-controller")
    started = new_pod(c, new, "web-2-a")
    c.wait(1)
    flux_1(c, web, "Commit e332e7bac962: Update app")
    start_old(c, started)
    c.update(old, by=MANAGER, replicas=0)
    c.event(web, "ScalingReplicaSet", "Scaled down replica set web-1 to 0", by="deployment-controller")
    c.gone(pod)
    c.event(pod, "Killing", "Stopping container app", by="kubelet", host="node-a")
    c.event(old, "SuccessfulDelete", "Deleted pod: web-1-a", by="replicaset-controller")
    done(c, old, new, web)
    as_they_stand(c, since=since, managed=False)
    shows(
        c,
        """
        Deployment.Sync web  by flux  [root]
          Deployment.Update web  by flux  [subject]
            Deployment.ScalingReplicaSet web  by deployment-controller  [owner]
              ReplicaSet.Create web-2  by deployment-controller  [subject]
                ReplicaSet.SuccessfulCreate web-2  by replicaset-controller  [owner]
                  Pod.Create web-2-a  by replicaset-controller  [subject]
                    Pod.Scheduled web-2-a  by default-scheduler  [own]
                    Pod.Pulled web-2-a  by kubelet  [own]
                    Pod.Created web-2-a  by kubelet  [own]
                    Pod.Started web-2-a  by kubelet  [own]
            Deployment.ScalingReplicaSet web  by deployment-controller  [owner]
              ReplicaSet.SuccessfulDelete web-1  by replicaset-controller  [subject]
                Pod.Killing web-1-a  by kubelet  [subject]
        """,
    )


def test_the_sync_of_flux_1_is_the_parent_of_the_change_that_it_reports() -> None:
    c, web, old, _ = settled("web")
    c.update(web, by="kubectl", image="app:v2")
    new = new_replicas(c, web, "web-2", 1, old=True)
    c.wait(2)
    flux_1(c, web, "Commit e332e7bac962: Update app")
    scale(c, web, old, 0, old=True)
    done(c, old, new, web)
    shows(
        c,
        """
        Deployment.Sync web  by flux  [root]
          Deployment.Update web  by flux  [subject]
            Deployment.ScalingReplicaSet web  by deployment-controller  [owner]
              ReplicaSet.Create web-2  by deployment-controller  [subject]
            Deployment.ScalingReplicaSet web  by deployment-controller  [owner]
              ReplicaSet.Update web-1  by deployment-controller  [subject]
        """,
    )


def test_a_top_level_event_that_saw_a_later_version_does_not_report_the_change() -> None:
    """The Event describes the state of the object; later occurrences are still caused by its changes."""
    c = Cluster()
    pod = c.create("Pod", "lone", by="kubectl-run", containers=[{"name": "app"}])
    run(c, pod)
    c.event(pod, "Promoted", "now the leader", by="elector", top=True)
    c.event(pod, "Unhealthy", "Readiness probe failed", by="kubelet", host="node-a", warning=True)
    shows(
        c,
        """
        Pod.Create lone  by kubectl  [root]
          Pod.Scheduled lone  by default-scheduler  [own]
          Pod.Started lone  by kubelet  [own]
          Pod.Ready lone  by kubelet  [own]
          Pod.Unhealthy lone  by kubelet  [own] error

        Pod.Promoted lone  by elector  [root]
        """,
    )


def test_the_sync_of_flux_1_is_the_root_of_all_pods_of_a_stateful_set() -> None:
    """Minutes without any Event pass between the two Pods."""
    c = Cluster()
    db = c.apply("StatefulSet", "db", replicas=2)
    pods = [c.create("Pod", f"db-{number}", owner=db, containers=[{"name": "app"}]) for number in range(2)]
    done(c, db)
    c.wait(5000)
    c.update(db, by="kubectl", image="app:v2")
    since = c.now
    for number in (1, 0):
        reported = f"Pod db-{number} in StatefulSet db successful"
        c.event(db, "SuccessfulDelete", f"delete {reported}", by="statefulset-controller", count=7)
        c.event(pods[number], "Killing", "Stopping container app", by="kubelet", host="node-a")
        c.gone(pods[number])
        if number:
            flux_1(c, db, "Commit fc4e825b46ac: Update db to latest, in dev")
        c.wait(5)
        again = c.create("Pod", f"db-{number}", owner=db, containers=[{"name": "app"}])
        c.event(db, "SuccessfulCreate", f"create {reported}", by="statefulset-controller", count=15)
        start_old(c, again)
        c.wait(180)
    done(c, db)
    as_they_stand(c, since=since, managed=False)
    shows(
        c,
        """
        StatefulSet.Sync db  by flux  [root]
          StatefulSet.SuccessfulDelete db  by statefulset-controller  [owner]
            Pod.Killing db-1  by kubelet  [subject]
          StatefulSet.SuccessfulCreate db  by statefulset-controller  [owner]
            Pod.Create db-1  by statefulset-controller  [subject]
              Pod.Scheduled db-1  by default-scheduler  [own]
              Pod.Pulled db-1  by kubelet  [own]
              Pod.Created db-1  by kubelet  [own]
              Pod.Started db-1  by kubelet  [own]

        (continues StatefulSet.Sync db trace)
        StatefulSet.SuccessfulDelete db  by statefulset-controller  [owner]
          Pod.Killing db-0  by kubelet  [subject]
          StatefulSet.SuccessfulCreate db  by statefulset-controller  [owner]
            Pod.Create db-0  by statefulset-controller  [subject]
              Pod.Scheduled db-0  by default-scheduler  [own]
              Pod.Pulled db-0  by kubelet  [own]
              Pod.Created db-0  by kubelet  [own]
              Pod.Started db-0  by kubelet  [own]
        """,
    )


@pytest.mark.parametrize(
    "managers, changes",
    [
        (["kubeadm"], "Deployment.Create coredns  by kubeadm  [root]"),
        (["kubeadm", "other"], "Deployment.Update coredns  by other  [root]"),
        ([], "Deployment.Create coredns  by unknown  [root]"),
    ],
)
def test_the_actor_of_a_change_is_taken_from_managed_fields_if_there_are_any(managers: list[str], changes: str) -> None:
    c = Cluster()
    web = c.apply("Deployment", "coredns", by=managers[0] if managers else "x", replicas=2)
    for manager in managers[1:]:
        c.wait(60)
        c.update(web, by=manager, replicas=2)
    c.wait(1)
    since = c.now
    c.status(web, observedGeneration=web.meta["generation"])
    rs = c.create("ReplicaSet", "coredns-1", owner=web, replicas=2)
    c.event(web, "ScalingReplicaSet", "Scaled up replica set coredns-1 to 2", by="deployment-controller")
    done(c, rs, web)
    as_they_stand(c, since=since, managed=bool(managers))
    shows(
        c,
        f"""
        {changes}
          Deployment.ScalingReplicaSet coredns  by deployment-controller  [owner]
            ReplicaSet.Create coredns-1  by deployment-controller  [subject]
        """,
    )
