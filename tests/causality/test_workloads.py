"""StatefulSets, DaemonSets and what they bring with them."""

from tests.causality.actors import done, kill, new_pod, only, run
from tests.causality.cluster import MANAGER, Cluster
from tests.causality.drawing import shows


def test_a_stateful_set_creates_its_pods_one_after_the_other_in_the_old_words_and_the_new() -> None:
    c = Cluster()
    db = c.apply("StatefulSet", "db", replicas=2)
    words = "create Pod db-0 in StatefulSet db successful"
    run(c, new_pod(c, db, "db-0", message=words))
    c.wait(3)
    words = "Create Pod db-1 in StatefulSet db successful"
    run(c, new_pod(c, db, "db-1", message=words))
    done(c, db)
    shows(
        c,
        """
        StatefulSet.Create db  by kubectl  [root]
          StatefulSet.SuccessfulCreate db  by statefulset-controller  [owner]
            Pod.Create db-0  by statefulset-controller  [subject]
              Pod.Scheduled db-0  by default-scheduler  [own]
              Pod.Started db-0  by kubelet  [own]
              Pod.Ready db-0  by kubelet  [own]
          StatefulSet.SuccessfulCreate db  by statefulset-controller  [owner]
            Pod.Create db-1  by statefulset-controller  [subject]
              Pod.Scheduled db-1  by default-scheduler  [own]
              Pod.Started db-1  by kubelet  [own]
              Pod.Ready db-1  by kubelet  [own]
        """,
    )


def test_a_stateful_set_replaces_a_pod_by_one_of_the_same_name() -> None:
    """The Event of the second creation is only a count on that of the first; the name is no evidence, the uid is."""
    c = Cluster()
    db = c.apply("StatefulSet", "db", replicas=1)
    pod = c.create("Pod", "db-0", owner=db, containers=[{"name": "app"}])
    created = c.event(
        db, "SuccessfulCreate", "create Pod db-0 in StatefulSet db successful", by="statefulset-controller"
    )
    run(c, pod)
    done(c, db)
    c.wait(60)
    c.update(db, by="kubectl-set", image="app:v2")
    c.delete(pod, grace=5)
    c.event(db, "SuccessfulDelete", "delete Pod db-0 in StatefulSet db successful", by="statefulset-controller")
    killing = c.event(pod, "Killing", "Stopping container app", by="kubelet", host="node-a")
    c.wait(4)
    c.gone(pod)
    again = c.create("Pod", "db-0", owner=db, containers=[{"name": "app"}])
    c.repeat(created)
    run(c, again)
    done(c, db)
    assert killing
    shows(
        c,
        """
        StatefulSet.Create db  by kubectl  [root]
          StatefulSet.SuccessfulCreate db  by statefulset-controller  [owner]
            Pod.Create db-0  by statefulset-controller  [subject]
              Pod.Scheduled db-0  by default-scheduler  [own]
              Pod.Started db-0  by kubelet  [own]
              Pod.Ready db-0  by kubelet  [own]

        StatefulSet.Update db  by kubectl  [root]
          StatefulSet.SuccessfulDelete db  by statefulset-controller  [owner]
            Pod.Delete db-0  by statefulset-controller  [subject]
              Pod.Killing db-0  by kubelet  [own]
          StatefulSet.SuccessfulCreate db  by statefulset-controller  [owner]
            Pod.Create db-0  by statefulset-controller  [subject]
              Pod.Scheduled db-0  by default-scheduler  [own]
              Pod.Started db-0  by kubelet  [own]
              Pod.Ready db-0  by kubelet  [own]
        """,
    )


def test_a_stateful_set_pod_deleted_by_hand_comes_again_when_it_is_gone() -> None:
    """However long it takes to stop."""
    c = Cluster()
    db = c.apply("StatefulSet", "db", replicas=2)
    pods = [new_pod(c, db, f"db-{n}", message=f"create Pod db-{n} in StatefulSet db successful") for n in range(2)]
    for pod in pods:
        run(c, pod)
    done(c, db)
    c.first_list()
    c.delete(pods[0], grace=600)
    c.wait(20)
    c.delete(pods[1], grace=5)
    c.wait(5)
    c.gone(pods[1])
    run(c, new_pod(c, db, "db-1", told=False))
    c.wait(500)
    c.gone(pods[0])
    run(c, new_pod(c, db, "db-0", told=False))
    shows(
        c,
        """
        Pod.Delete db-0  by unknown  [root]
          Pod.Create db-0  by statefulset-controller  [owner]
            Pod.Scheduled db-0  by default-scheduler  [own]
            Pod.Started db-0  by kubelet  [own]
            Pod.Ready db-0  by kubelet  [own]

        Pod.Delete db-1  by unknown  [root]
          Pod.Create db-1  by statefulset-controller  [owner]
            Pod.Scheduled db-1  by default-scheduler  [own]
            Pod.Started db-1  by kubelet  [own]
            Pod.Ready db-1  by kubelet  [own]
        """,
    )


def test_a_stateful_set_scales_down_from_the_end() -> None:
    c = Cluster()
    db = c.apply("StatefulSet", "db", replicas=2)
    pods = [new_pod(c, db, f"db-{n}", told=False) for n in range(2)]
    c.first_list()
    c.update(db, by="kubectl", subresource="scale", replicas=1)
    kill(c, pods[1])
    done(c, db)
    c.gone(pods[1])
    c.wait(30)
    kill(c, pods[0])
    c.gone(pods[0])
    run(c, new_pod(c, db, "db-0", told=False))
    shows(
        c,
        """
        StatefulSet.Update db  by kubectl  [root]
          Pod.Delete db-1  by statefulset-controller  [owner]
            Pod.Killing db-1  by kubelet  [own]

        Pod.Delete db-0  by unknown  [root]
          Pod.Killing db-0  by kubelet  [own]
          Pod.Create db-0  by statefulset-controller  [owner]
            Pod.Scheduled db-0  by default-scheduler  [own]
            Pod.Started db-0  by kubelet  [own]
            Pod.Ready db-0  by kubelet  [own]
        """,
    )


def test_a_daemon_set_replaces_its_pods_on_every_node_when_its_template_changes() -> None:
    c = Cluster()
    agent = c.apply("DaemonSet", "agent")
    old = [new_pod(c, agent, f"agent-{n}") for n in "ab"]
    run(c, old[0], "node-a")
    run(c, old[1], "node-b")
    done(c, agent)
    c.first_list()
    c.update(agent, by="kubectl-set", image="app:v2")
    for pod, node in zip(old, ("node-a", "node-b"), strict=True):
        kill(c, pod, by=agent)
        c.wait(2)
        c.gone(pod)
        run(c, new_pod(c, agent, f"agent-{node}"), node)
    done(c, agent)
    shows(
        c,
        """
        DaemonSet.Update agent  by kubectl  [root]
          DaemonSet.SuccessfulDelete agent  by daemonset-controller  [owner]
            Pod.Delete agent-a  by daemonset-controller  [subject]
              Pod.Killing agent-a  by kubelet  [own]
          DaemonSet.SuccessfulCreate agent  by daemonset-controller  [owner]
            Pod.Create agent-node-a  by daemonset-controller  [subject]
              Pod.Scheduled agent-node-a  by default-scheduler  [own]
              Pod.Started agent-node-a  by kubelet  [own]
              Pod.Ready agent-node-a  by kubelet  [own]
          DaemonSet.SuccessfulDelete agent  by daemonset-controller  [owner]
            Pod.Delete agent-b  by daemonset-controller  [subject]
              Pod.Killing agent-b  by kubelet  [own]
          DaemonSet.SuccessfulCreate agent  by daemonset-controller  [owner]
            Pod.Create agent-node-b  by daemonset-controller  [subject]
              Pod.Scheduled agent-node-b  by default-scheduler  [own]
              Pod.Started agent-node-b  by kubelet  [own]
              Pod.Ready agent-node-b  by kubelet  [own]
        """,
    )


def test_a_daemon_set_pod_deleted_by_hand_is_replaced_on_its_own_node() -> None:
    c = Cluster()
    agent = c.apply("DaemonSet", "agent")
    pods = [new_pod(c, agent, f"agent-{n}") for n in "ab"]
    run(c, pods[0], "node-a")
    run(c, pods[1], "node-b")
    done(c, agent)
    c.first_list()
    kill(c, pods[0])
    kill(c, pods[1])
    c.gone(pods[1])
    run(c, new_pod(c, agent, "agent-y", told=False, affinity=only("node-b")), "node-b")
    c.gone(pods[0])
    run(c, new_pod(c, agent, "agent-x", told=False, affinity=only("node-a")), "node-a")
    shows(
        c,
        """
        Pod.Delete agent-a  by unknown  [root]
          Pod.Killing agent-a  by kubelet  [own]
          Pod.Create agent-x  by daemonset-controller  [owner]
            Pod.Scheduled agent-x  by default-scheduler  [own]
            Pod.Started agent-x  by kubelet  [own]
            Pod.Ready agent-x  by kubelet  [own]

        Pod.Delete agent-b  by unknown  [root]
          Pod.Killing agent-b  by kubelet  [own]
          Pod.Create agent-y  by daemonset-controller  [owner]
            Pod.Scheduled agent-y  by default-scheduler  [own]
            Pod.Started agent-y  by kubelet  [own]
            Pod.Ready agent-y  by kubelet  [own]
        """,
    )


def test_a_stateful_set_makes_its_claims_before_its_pods() -> None:
    """A claim has no owner reference: the Event tells whose it is."""
    c = Cluster()
    db = c.apply("StatefulSet", "db", replicas=1)
    claim = c.create("PersistentVolumeClaim", "data-db-0", resources={})
    words = "create Claim data-db-0 Pod db-0 in StatefulSet db success"
    c.event(db, "SuccessfulCreate", words, by="statefulset-controller")
    pod = new_pod(c, db, "db-0", message="create Pod db-0 in StatefulSet db successful")
    c.update(claim, by=MANAGER, volumeName="pv-1")
    run(c, pod)
    done(c, db)
    shows(
        c,
        """
        StatefulSet.Create db  by kubectl  [root]
          StatefulSet.SuccessfulCreate db  by statefulset-controller  [owner]
            PersistentVolumeClaim.Create data-db-0  by statefulset-controller  [subject]
              PersistentVolumeClaim.Update data-db-0  by kube-controller-manager  [own]
          StatefulSet.SuccessfulCreate db  by statefulset-controller  [owner]
            Pod.Create db-0  by statefulset-controller  [subject]
              Pod.Scheduled db-0  by default-scheduler  [own]
              Pod.Started db-0  by kubelet  [own]
              Pod.Ready db-0  by kubelet  [own]
        """,
    )


def test_a_claim_is_bound_because_it_was_created() -> None:
    c = Cluster()
    claim = c.apply("PersistentVolumeClaim", "data", resources={})
    c.event(claim, "WaitForFirstConsumer", "waiting for first consumer", by="persistentvolume-controller")
    c.wait(5)
    c.update(claim, by=MANAGER, volumeName="pv-1")
    shows(
        c,
        """
        PersistentVolumeClaim.Create data  by kubectl  [root]
          PersistentVolumeClaim.WaitForFirstConsumer data  by persistentvolume-controller  [own]
          PersistentVolumeClaim.Update data  by kube-controller-manager  [own]
        """,
    )
