"""Who deleted a Pod: its controller, for a change of its owner, or somebody else."""

from typing import Any

from tests.causality.actors import done, kill, new_pod, only, run, settled
from tests.causality.cluster import Cluster, Thing
from tests.causality.drawing import shows


def stateful(c: Cluster, replicas: int = 2, **spec: Any) -> tuple[Thing, list[Thing]]:
    """A StatefulSet that was rolled out, and its Pods."""
    db = c.apply("StatefulSet", "db", replicas=replicas, **spec)
    pods = [numbered(c, db, number) for number in range(replicas)]
    done(c, db)
    c.first_list()
    return db, pods


def numbered(c: Cluster, db: Thing, number: int) -> Thing:
    labels = {"app": "app", "apps.kubernetes.io/pod-index": str(number)}
    pod = new_pod(c, db, f"db-{number}", reported=False, labels=labels)
    run(c, pod)
    return pod


def replaced(c: Cluster, db: Thing, pod: Thing) -> Thing:
    c.wait(1)
    c.gone(pod)
    new = numbered(c, db, int(pod.meta["labels"]["apps.kubernetes.io/pod-index"]))
    c.wait(1)
    return new


def test_with_on_delete_a_new_template_deletes_nothing() -> None:
    c = Cluster()
    db, pods = stateful(c, updateStrategy={"type": "OnDelete"})
    c.update(db, image="app:v2")
    c.status(db, observedGeneration=2, updatedReplicas=0)
    c.wait(30)
    kill(c, pods[1])
    replaced(c, db, pods[1])
    shows(
        c,
        """
        StatefulSet.Update db  by kubectl  [root]

        Pod.Delete db-1  by unknown  [root]
          Pod.Killing db-1  by kubelet  [own]
          Pod.Create db-1  by statefulset-controller  [owner]
            Pod.Scheduled db-1  by default-scheduler  [own]
            Pod.Started db-1  by kubelet  [own]
            Pod.Ready db-1  by kubelet  [own]
        """,
    )


def test_a_daemon_set_with_on_delete_replaces_what_was_deleted_by_hand() -> None:
    c = Cluster()
    agent = c.apply("DaemonSet", "agent", updateStrategy={"type": "OnDelete"})
    pod = new_pod(c, agent, "agent-a", affinity=only("node-a"))
    run(c, pod)
    done(c, agent)
    c.first_list()
    c.update(agent, image="app:v2")
    c.status(agent, observedGeneration=2, updatedNumberScheduled=0)
    c.wait(30)
    kill(c, pod)
    c.gone(pod)
    run(c, new_pod(c, agent, "agent-b", affinity=only("node-a"), reported=False))
    shows(
        c,
        """
        DaemonSet.Update agent  by kubectl  [root]

        Pod.Delete agent-a  by unknown  [root]
          Pod.Killing agent-a  by kubelet  [own]
          Pod.Create agent-b  by daemonset-controller  [owner]
            Pod.Scheduled agent-b  by default-scheduler  [own]
            Pod.Started agent-b  by kubelet  [own]
            Pod.Ready agent-b  by kubelet  [own]
        """,
    )


def test_a_pod_below_the_partition_is_deleted_by_hand_or_because_the_partition_was_lowered() -> None:
    c = Cluster()
    db, pods = stateful(c, updateStrategy={"type": "RollingUpdate", "rollingUpdate": {"partition": 2}})
    c.update(db, image="app:v2")
    c.status(db, observedGeneration=2, updatedReplicas=0)
    c.wait(30)
    kill(c, pods[1])
    pods[1] = replaced(c, db, pods[1])
    c.wait(60)
    c.update(db, updateStrategy={"type": "RollingUpdate", "rollingUpdate": {"partition": 0}})
    kill(c, pods[0])
    c.gone(pods[0])
    done(c, db)
    shows(
        c,
        """
        StatefulSet.Update db  by kubectl  [root]

        Pod.Delete db-1  by unknown  [root]
          Pod.Killing db-1  by kubelet  [own]
          Pod.Create db-1  by statefulset-controller  [owner]
            Pod.Scheduled db-1  by default-scheduler  [own]
            Pod.Started db-1  by kubelet  [own]
            Pod.Ready db-1  by kubelet  [own]

        StatefulSet.Update db  by kubectl  [root]
          Pod.Delete db-0  by statefulset-controller  [owner]
            Pod.Killing db-0  by kubelet  [own]
        """,
    )


def test_a_stateful_set_pod_deleted_out_of_order_was_deleted_by_hand() -> None:
    c = Cluster()
    db, pods = stateful(c, 3)
    c.update(db, image="app:v2")
    kill(c, pods[2])
    kill(c, pods[0])
    replaced(c, db, pods[2])
    c.gone(pods[0])
    done(c, db)
    shows(
        c,
        """
        StatefulSet.Update db  by kubectl  [root]
          Pod.Delete db-2  by statefulset-controller  [owner]
            Pod.Killing db-2  by kubelet  [own]
          Pod.Create db-2  by statefulset-controller  [owner]
            Pod.Scheduled db-2  by default-scheduler  [own]
            Pod.Started db-2  by kubelet  [own]
            Pod.Ready db-2  by kubelet  [own]

        Pod.Delete db-0  by unknown  [root]
          Pod.Killing db-0  by kubelet  [own]
        """,
    )


def test_a_pod_that_never_became_ready_stops_the_update_until_somebody_deletes_it() -> None:
    c = Cluster()
    db, pods = stateful(c)
    c.update(db, image="app:broken")
    kill(c, pods[1])
    c.gone(pods[1])
    labels = {"app": "app", "apps.kubernetes.io/pod-index": "1"}
    broken = new_pod(c, db, "db-1", reported=False, labels=labels)
    c.wait(30)
    c.update(db, image="app:v3")
    c.wait(30)
    kill(c, broken)
    c.gone(broken)
    done(c, db)
    shows(
        c,
        """
        (superseded)
        StatefulSet.Update db  by kubectl  [root]
          Pod.Delete db-1  by statefulset-controller  [owner]
            Pod.Killing db-1  by kubelet  [own]
          Pod.Create db-1  by statefulset-controller  [owner]

        StatefulSet.Update db  by kubectl  [root]

        Pod.Delete db-1  by unknown  [root]
          Pod.Killing db-1  by kubelet  [own]
        """,
    )


def test_two_scale_downs_in_a_row_remove_as_many_as_both() -> None:
    c, _, rs, pods = settled("web", 3)
    c.update(rs, by="kubectl", subresource="scale", replicas=2)
    c.update(rs, by="kubectl", subresource="scale", replicas=1)
    for pod in pods[:2]:
        kill(c, pod)
        c.gone(pod)
    done(c, rs)
    c.wait(1)
    kill(c, pods[2])
    run(c, new_pod(c, rs, "web-1-d", reported=False))
    c.gone(pods[2])
    shows(
        c,
        """
        ReplicaSet.Update web-1  by kubectl  [root]

        ReplicaSet.Update web-1  by kubectl  [root]
          Pod.Delete web-1-a  by replicaset-controller  [owner]
            Pod.Killing web-1-a  by kubelet  [own]
          Pod.Delete web-1-b  by replicaset-controller  [owner]
            Pod.Killing web-1-b  by kubelet  [own]

        Pod.Delete web-1-c  by unknown  [root]
          Pod.Killing web-1-c  by kubelet  [own]
          Pod.Create web-1-d  by replicaset-controller  [owner]
            Pod.Scheduled web-1-d  by default-scheduler  [own]
            Pod.Started web-1-d  by kubelet  [own]
            Pod.Ready web-1-d  by kubelet  [own]
        """,
    )
