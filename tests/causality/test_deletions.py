"""Deletions by hand, by cascade and with a namespace, and the replacements of deleted objects."""

import msgspec

from kspan.times import SECOND, parse_time
from tests.causality.actors import done, kill, new_pod, new_replicas, rolled_out, run, scale, settled
from tests.causality.cluster import Cluster
from tests.causality.drawing import CLUSTER, shows
from tests.recordings import fold


def test_a_pod_deleted_by_hand_is_the_cause_of_its_replacement() -> None:
    c, _, rs, (pod,) = settled("web")
    kill(c, pod)
    run(c, new_pod(c, rs, "web-1-b"))
    c.gone(pod)
    shows(
        c,
        """
        Pod.Delete web-1-a  by unknown  [root]
          Pod.Killing web-1-a  by kubelet  [own]
          ReplicaSet.SuccessfulCreate web-1  by replicaset-controller  [owner]
            Pod.Create web-1-b  by replicaset-controller  [subject]
              Pod.Scheduled web-1-b  by default-scheduler  [own]
              Pod.Started web-1-b  by kubelet  [own]
              Pod.Ready web-1-b  by kubelet  [own]
        """,
    )


def test_each_of_two_pods_deleted_by_hand_causes_one_replacement() -> None:
    c, _, rs, (one, two) = settled("web", 2)
    kill(c, one)
    kill(c, two)
    run(c, new_pod(c, rs, "web-1-c", reported=False))
    run(c, new_pod(c, rs, "web-1-d"))
    c.gone(one)
    c.gone(two)
    shows(
        c,
        """
        Pod.Delete web-1-a  by unknown  [root]
          Pod.Killing web-1-a  by kubelet  [own]
          Pod.Create web-1-c  by replicaset-controller  [owner]
            Pod.Scheduled web-1-c  by default-scheduler  [own]
            Pod.Started web-1-c  by kubelet  [own]
            Pod.Ready web-1-c  by kubelet  [own]

        Pod.Delete web-1-b  by unknown  [root]
          Pod.Killing web-1-b  by kubelet  [own]
          ReplicaSet.SuccessfulCreate web-1  by replicaset-controller  [owner]
            Pod.Create web-1-d  by replicaset-controller  [subject]
              Pod.Scheduled web-1-d  by default-scheduler  [own]
              Pod.Started web-1-d  by kubelet  [own]
              Pod.Ready web-1-d  by kubelet  [own]
        """,
    )


def test_a_pod_that_was_replaced_is_not_the_cause_of_later_pods() -> None:
    """A Pod that finished is replaced because of that, not because of the deletion before."""
    c, _, rs, (one, two) = settled("web", 2)
    kill(c, one)
    run(c, new_pod(c, rs, "web-1-c", reported=False))
    c.gone(one)
    c.wait(60)
    c.status(two, by="kubelet", phase="Failed", reason="Evicted")
    new_pod(c, rs, "web-1-d", reported=False)
    shows(
        c,
        """
        Pod.Delete web-1-a  by unknown  [root]
          Pod.Killing web-1-a  by kubelet  [own]
          Pod.Create web-1-c  by replicaset-controller  [owner]
            Pod.Scheduled web-1-c  by default-scheduler  [own]
            Pod.Started web-1-c  by kubelet  [own]
            Pod.Ready web-1-c  by kubelet  [own]

        (incomplete)
        Pod.Failed web-1-b  by kubelet  [root] error
          Pod.Create web-1-d  by replicaset-controller  [owner]
        """,
    )


def test_foreground_deletion_of_an_owner_causes_that_of_its_dependents() -> None:
    c, web, rs, (pod,) = settled("web")
    c.delete(web, finalizers=("foregroundDeletion",))
    c.delete(rs, finalizers=("foregroundDeletion",))
    kill(c, pod)
    c.wait(5)
    c.gone(pod)
    c.gone(rs)
    c.gone(web)
    shows(
        c,
        """
        Deployment.Delete web  by unknown  [root]
          ReplicaSet.Delete web-1  by garbage-collector  [owner]
            Pod.Delete web-1-a  by garbage-collector  [owner]
              Pod.Killing web-1-a  by kubelet  [own]
        """,
    )


def test_background_deletion_of_an_owner_causes_that_of_its_dependents() -> None:
    c, web, rs, (pod,) = settled("web")
    c.gone(web)
    c.gone(rs)
    kill(c, pod)
    c.wait(5)
    c.gone(pod)
    shows(
        c,
        """
        Deployment.Delete web  by unknown  [root]
          ReplicaSet.Delete web-1  by garbage-collector  [owner]
            Pod.Delete web-1-a  by garbage-collector  [owner]
              Pod.Killing web-1-a  by kubelet  [own]
        """,
    )


def test_orphaned_dependents_are_not_deleted_with_their_owner() -> None:
    """Later changes of the orphans are not caused by the deletion."""
    c, web, rs, (pod,) = settled("web")
    c.delete(web, finalizers=("orphan",))
    c.own(rs, None)
    c.gone(web)
    c.wait(20)
    c.gone(rs)
    kill(c, pod)
    c.gone(pod)
    shows(
        c,
        """
        Deployment.Delete web  by unknown  [root]

        ReplicaSet.Delete web-1  by unknown  [root]
          Pod.Delete web-1-a  by garbage-collector  [owner]
            Pod.Killing web-1-a  by kubelet  [own]
        """,
    )


def test_an_adopted_replica_set_follows_its_new_owner() -> None:
    c = Cluster()
    web, rs, (pod,) = rolled_out(c, "web")
    c.delete(web, finalizers=("orphan",))
    c.own(rs, None)
    c.gone(web)
    c.first_list()
    again = c.apply("Deployment", "web", replicas=2)
    c.own(rs, again)
    scale(c, again, rs, 2)
    run(c, new_pod(c, rs, "web-1-b"))
    done(c, rs, again)
    c.wait(30)
    c.gone(again)
    c.gone(rs)
    kill(c, pod)
    c.gone(pod)
    shows(
        c,
        """
        Deployment.Create web  by kubectl  [root]
          Deployment.ScalingReplicaSet web  by deployment-controller  [owner]
            ReplicaSet.Update web-1  by deployment-controller  [subject]
              ReplicaSet.SuccessfulCreate web-1  by replicaset-controller  [owner]
                Pod.Create web-1-b  by replicaset-controller  [subject]
                  Pod.Scheduled web-1-b  by default-scheduler  [own]
                  Pod.Started web-1-b  by kubelet  [own]
                  Pod.Ready web-1-b  by kubelet  [own]

        Deployment.Delete web  by unknown  [root]
          ReplicaSet.Delete web-1  by garbage-collector  [owner]
            Pod.Delete web-1-a  by garbage-collector  [owner]
              Pod.Killing web-1-a  by kubelet  [own]
        """,
    )


def test_adopted_pods_beyond_the_replicas_are_deleted_by_the_new_owner() -> None:
    """Two Pods without an owner match the selector of a ReplicaSet with one replica."""
    c = Cluster()
    pods = [c.create("Pod", f"lone-{n}", by="kubectl-run", containers=[{"name": "app"}]) for n in "ab"]
    for pod in pods:
        run(c, pod)
    c.first_list()
    rs = c.apply("ReplicaSet", "web", replicas=1)
    for pod in pods:
        c.own(pod, rs)
    kill(c, pods[1], by=rs)
    done(c, rs)
    c.gone(pods[1])
    shows(
        c,
        """
        ReplicaSet.Create web  by kubectl  [root]
          ReplicaSet.SuccessfulDelete web  by replicaset-controller  [owner]
            Pod.Delete lone-b  by replicaset-controller  [subject]
              Pod.Killing lone-b  by kubelet  [own]
        """,
    )


def test_a_label_that_adds_a_pod_to_a_replica_set_causes_a_deletion() -> None:
    c = Cluster()
    _, rs, (pod,) = rolled_out(c, "web")
    stray = c.create("Pod", "stray", by="kubectl-run", labels={"app": "other"}, containers=[])
    run(c, stray)
    c.first_list()
    c.label(stray, app="web")
    c.own(stray, rs)
    kill(c, pod, by=rs)
    c.gone(pod)
    shows(
        c,
        """
        Pod.Update stray  by kubectl  [root]
          ReplicaSet.SuccessfulDelete web-1  by replicaset-controller  [owner]
            Pod.Delete web-1-a  by replicaset-controller  [subject]
              Pod.Killing web-1-a  by kubelet  [own]
        """,
    )


def test_a_label_that_removes_a_pod_from_a_replica_set_causes_a_replacement() -> None:
    """The label alone starts no trace; but the ReplicaSet releases the Pod, and that causes the replacement."""
    c, _, rs, (pod,) = settled("web")
    c.label(pod, app="debugged")
    c.own(pod, None)
    run(c, new_pod(c, rs, "web-1-b"))
    c.wait(60)
    kill(c, pod)
    c.gone(pod)
    shows(
        c,
        """
        Pod.Update web-1-a  by kubectl  [root]
          ReplicaSet.SuccessfulCreate web-1  by replicaset-controller  [owner]
            Pod.Create web-1-b  by replicaset-controller  [subject]
              Pod.Scheduled web-1-b  by default-scheduler  [own]
              Pod.Started web-1-b  by kubelet  [own]
              Pod.Ready web-1-b  by kubelet  [own]

        Pod.Delete web-1-a  by unknown  [root]
          Pod.Killing web-1-a  by kubelet  [own]
        """,
    )


def test_the_deletion_of_a_namespace_causes_that_of_its_objects() -> None:
    """No Event can be created in the namespace any more."""
    c = Cluster()
    space = c.apply("Namespace", "shop", by="kubectl-create")
    _, other, (kept,) = rolled_out(c, "other", namespace="office")
    web, rs, (pod,) = rolled_out(c, "web")
    c.first_list()
    c.delete(space)
    c.wait(1)
    c.delete(pod, grace=5)
    c.gone(web)
    c.gone(rs)
    kill(c, kept)
    new_pod(c, other, "other-1-b", namespace="office", reported=False)
    c.wait(5)
    c.gone(kept)
    c.gone(pod)
    c.gone(space)
    shows(
        c,
        """
        Namespace.Delete shop  by unknown  [root]
          Pod.Delete web-1-a  by namespace-controller  [place]
          Deployment.Delete web  by namespace-controller  [place]
            ReplicaSet.Delete web-1  by garbage-collector  [owner]

        (incomplete)
        Pod.Delete other-1-a  by unknown  [root]
          Pod.Killing other-1-a  by kubelet  [own]
          Pod.Create other-1-b  by replicaset-controller  [owner]
        """,
    )


def test_a_rollout_deletes_replica_sets_beyond_the_history_limit() -> None:
    c = Cluster()
    web, one, _ = rolled_out(c, "web", 1, revisionHistoryLimit=1)
    c.update(web, by="kubectl-set", image="app:v2")
    two = new_replicas(c, web, "web-2", 1)
    scale(c, web, one, 0)
    c.first_list()
    c.update(web, by="kubectl-set", image="app:v3")
    three = new_replicas(c, web, "web-3", 1)
    scale(c, web, two, 0)
    done(c, two, three, web)
    c.gone(one)
    shows(
        c,
        """
        Deployment.Update web  by kubectl  [root]
          Deployment.ScalingReplicaSet web  by deployment-controller  [owner]
            ReplicaSet.Create web-3  by deployment-controller  [subject]
          Deployment.ScalingReplicaSet web  by deployment-controller  [owner]
            ReplicaSet.Update web-2  by deployment-controller  [subject]
          ReplicaSet.Delete web-1  by deployment-controller  [owner]
        """,
    )


def test_a_replica_set_deleted_by_hand_is_created_again() -> None:
    c, web, rs, (pod,) = settled("web")
    c.gone(rs)
    again = new_replicas(c, web, "web-1", 1)
    kill(c, pod)
    run(c, new_pod(c, again, "web-1-b"))
    c.gone(pod)
    done(c, again, web)
    shows(
        c,
        """
        ReplicaSet.Delete web-1  by unknown  [root]
          Deployment.ScalingReplicaSet web  by deployment-controller  [owner]
            ReplicaSet.Create web-1  by deployment-controller  [subject]
              ReplicaSet.SuccessfulCreate web-1  by replicaset-controller  [owner]
                Pod.Create web-1-b  by replicaset-controller  [subject]
                  Pod.Scheduled web-1-b  by default-scheduler  [own]
                  Pod.Started web-1-b  by kubelet  [own]
                  Pod.Ready web-1-b  by kubelet  [own]
          Pod.Delete web-1-a  by garbage-collector  [owner]
            Pod.Killing web-1-a  by kubelet  [own]
        """,
    )


def test_the_time_of_a_deletion_is_that_of_the_request() -> None:
    """deletionTimestamp is the request plus the grace period."""
    c, _, _, (pod,) = settled("web")
    c.delete(pod, grace=30)
    asked = c.records.pop()
    c.wait(20)
    c.records.append(msgspec.structs.replace(asked, recorded_at=c.now))
    (row,) = fold(CLUSTER, c.records)["spans"]
    stamp = parse_time(pod.meta["deletionTimestamp"])
    assert (row["name"], row["start_time"]) == ("Pod.Delete", stamp - 30 * SECOND)


def test_pods_of_an_owner_that_is_not_watched_can_be_deleted_at_any_time() -> None:
    c = Cluster()
    rs = c.create("ReplicaSet", "web-1")
    first, second = c.create("Pod", "web-1-a", owner=rs), c.create("Pod", "web-1-b", owner=rs)
    c.first_list()
    c.gone(first)
    c.wait(2_000)
    c.gone(second)
    c.records = [record for record in c.records if record.kind != "ReplicaSet"]
    shows(
        c,
        """
        Pod.Delete web-1-a  by unknown  [root]

        Pod.Delete web-1-b  by unknown  [root]
        """,
    )


def test_a_pod_can_outlive_its_deleted_owner() -> None:
    c = Cluster()
    rs = c.create("ReplicaSet", "web-1", by="kubectl")
    pod = c.create("Pod", "web-1-a", owner=rs)
    c.first_list()
    c.gone(rs)
    c.wait(2_000)
    c.apply("ConfigMap", "other")  # Time passes only with records.
    c.gone(pod)
    shows(
        c,
        """
        ReplicaSet.Delete web-1  by unknown  [root]

        ConfigMap.Create other  by kubectl  [root]

        (continues ReplicaSet.Delete web-1 trace)
        Pod.Delete web-1-a  by garbage-collector  [owner]
        """,
    )
