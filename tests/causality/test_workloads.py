"""StatefulSets, DaemonSets and their dependents."""

from tests.causality.actors import done, kill, new_pod, only, run, running
from tests.causality.cluster import MANAGER, Cluster, Thing
from tests.causality.drawing import shows

STS = "statefulset-controller"


def test_a_stateful_set_creates_its_pods_one_after_the_other_with_old_and_new_messages() -> None:
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
    """The Event of the second creation only increases the count of the first; the uid decides, not the name."""
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


def test_a_stateful_set_pod_deleted_by_hand_is_created_again_after_its_removal() -> None:
    """However long the Pod takes to stop."""
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
    run(c, new_pod(c, db, "db-1", reported=False))
    c.wait(500)
    c.gone(pods[0])
    run(c, new_pod(c, db, "db-0", reported=False))
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
    pods = [new_pod(c, db, f"db-{n}", reported=False) for n in range(2)]
    c.first_list()
    c.update(db, by="kubectl", subresource="scale", replicas=1)
    kill(c, pods[1])
    done(c, db)
    c.gone(pods[1])
    c.wait(30)
    kill(c, pods[0])
    c.gone(pods[0])
    run(c, new_pod(c, db, "db-0", reported=False))
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
    run(c, new_pod(c, agent, "agent-y", reported=False, affinity=only("node-b")), "node-b")
    c.gone(pods[0])
    run(c, new_pod(c, agent, "agent-x", reported=False, affinity=only("node-a")), "node-a")
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
    """A claim has no owner reference: only the Event shows its owner."""
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
              PersistentVolumeClaim.Update data-db-0  by persistentvolume-controller  [own]
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
          PersistentVolumeClaim.Update data  by persistentvolume-controller  [own]
        """,
    )


def revision(c: Cluster, owner: Thing, name: str) -> None:
    """The controller stores a new template as a revision before it acts."""
    labels = {"controller-revision-hash": name} if owner.kind == "DaemonSet" else {}
    c.create("ControllerRevision", f"{owner.name}-{name}", owner=owner, labels=labels, data={"spec": name}, revision=1)


def test_a_daemon_set_pod_is_caused_by_the_change_that_created_its_revision() -> None:
    """The second change is made while the controller is still creating Pods for the first."""
    c = Cluster()
    agent = c.apply("DaemonSet", "agent")
    revision(c, agent, "one")
    old = new_pod(
        c, agent, "agent-a", reported=False, affinity=only("node-a"), labels={"controller-revision-hash": "one"}
    )
    run(c, old)
    done(c, agent)
    c.first_list()
    c.update(agent, by="kubectl-set", image="agent:v2")
    revision(c, agent, "two")
    kill(c, old)
    c.wait(2)
    c.update(agent, by="kubectl-set", image="agent:v3")
    c.gone(old)
    labels = {"controller-revision-hash": "two"}
    new = new_pod(c, agent, "agent-b", reported=False, affinity=only("node-a"), labels=labels)
    revision(c, agent, "three")
    kill(c, new)
    c.gone(new)
    labels = {"controller-revision-hash": "three"}
    run(c, new_pod(c, agent, "agent-c", reported=False, affinity=only("node-a"), labels=labels))
    done(c, agent)
    shows(
        c,
        """
        (superseded)
        DaemonSet.Update agent  by kubectl  [root]
          ControllerRevision.Create agent-two  by daemonset-controller  [owner]
          Pod.Delete agent-a  by daemonset-controller  [owner]
            Pod.Killing agent-a  by kubelet  [own]
          Pod.Create agent-b  by daemonset-controller  [owner]

        DaemonSet.Update agent  by kubectl  [root]
          ControllerRevision.Create agent-three  by daemonset-controller  [owner]
          Pod.Delete agent-b  by daemonset-controller  [owner]
            Pod.Killing agent-b  by kubelet  [own]
          Pod.Create agent-c  by daemonset-controller  [owner]
            Pod.Scheduled agent-c  by default-scheduler  [own]
            Pod.Started agent-c  by kubelet  [own]
            Pod.Ready agent-c  by kubelet  [own]
        """,
    )


def test_a_stateful_set_pod_is_caused_by_the_change_that_created_its_revision() -> None:
    """If the template does not change, the newest change is the cause."""
    c = Cluster()
    db = c.apply("StatefulSet", "db", replicas=0)
    revision(c, db, "one")
    done(c, db)
    c.first_list()
    c.update(db, by="kubectl-set", image="db:v2")
    revision(c, db, "two")
    c.update(db, by="kubectl", subresource="scale", replicas=1)
    c.wait(1)
    c.update(db, by="kubectl-set", image="db:v3")
    run(c, new_pod(c, db, "db-0", reported=False, labels={"controller-revision-hash": "db-two"}))
    done(c, db)
    shows(
        c,
        """
        (superseded)
        StatefulSet.Update db  by kubectl  [root]
          ControllerRevision.Create db-two  by statefulset-controller  [owner]

        StatefulSet.Update db  by kubectl  [root]
          Pod.Create db-0  by statefulset-controller  [owner]
            Pod.Scheduled db-0  by default-scheduler  [own]
            Pod.Started db-0  by kubelet  [own]
            Pod.Ready db-0  by kubelet  [own]

        StatefulSet.Update db  by kubectl  [root]
        """,
    )


def test_a_failed_stateful_set_pod_is_deleted_and_created_again() -> None:
    c = Cluster()
    db = c.apply("StatefulSet", "db", replicas=1)
    pod = new_pod(c, db, "db-0", reported=False)
    run(c, pod)
    done(c, db)
    c.first_list()
    running(c, pod, "Failed")
    c.event(db, "RecreatingFailedPod", "StatefulSet shop/db is recreating failed Pod db-0", by=STS, warning=True)
    c.gone(pod)
    c.event(db, "SuccessfulDelete", "delete Pod db-0 in StatefulSet db successful", by=STS)
    run(c, new_pod(c, db, "db-0", message="create Pod db-0 in StatefulSet db successful"))
    done(c, db)
    shows(
        c,
        """
        (recovered)
        Pod.Failed db-0  by kubelet  [root] error
          StatefulSet.RecreatingFailedPod db  by statefulset-controller  [subject] error
          StatefulSet.SuccessfulDelete db  by statefulset-controller  [own]
            Pod.Delete db-0  by statefulset-controller  [subject]
          StatefulSet.SuccessfulCreate db  by statefulset-controller  [owner]
            Pod.Create db-0  by statefulset-controller  [subject]
              Pod.Scheduled db-0  by default-scheduler  [own]
              Pod.Started db-0  by kubelet  [own]
              Pod.Ready db-0  by kubelet  [own]
        """,
    )


def test_a_failed_daemon_set_pod_is_deleted_and_created_again() -> None:
    c = Cluster()
    agent = c.apply("DaemonSet", "agent")
    pod = new_pod(c, agent, "agent-a", reported=False, affinity=only("node-a"))
    run(c, pod)
    done(c, agent)
    c.first_list()
    running(c, pod, "Failed")
    message = "Found failed daemon pod shop/agent-a on node node-a, will try to kill it"
    c.event(agent, "FailedDaemonPod", message, by="daemonset-controller", warning=True)
    c.delete(pod)
    c.event(agent, "SuccessfulDelete", "Deleted pod: agent-a", by="daemonset-controller")
    c.gone(pod)
    run(c, new_pod(c, agent, "agent-b", affinity=only("node-a")))
    done(c, agent)
    shows(
        c,
        """
        (recovered)
        Pod.Failed agent-a  by kubelet  [root] error
          DaemonSet.FailedDaemonPod agent  by daemonset-controller  [subject] error
          DaemonSet.SuccessfulDelete agent  by daemonset-controller  [own]
            Pod.Delete agent-a  by daemonset-controller  [subject]
          DaemonSet.SuccessfulCreate agent  by daemonset-controller  [owner]
            Pod.Create agent-b  by daemonset-controller  [subject]
              Pod.Scheduled agent-b  by default-scheduler  [own]
              Pod.Started agent-b  by kubelet  [own]
              Pod.Ready agent-b  by kubelet  [own]
        """,
    )


def test_a_pods_containers_start_one_after_the_other() -> None:
    """Init containers, a sidecar and the main container: all belong to the Pod."""
    c = Cluster()
    pod = c.create("Pod", "lone", by="kubectl-run", containers=[{"name": "app"}])
    run(c, pod, started=False)
    for path in ("initContainers{setup}", "initContainers{proxy}", "containers{app}"):
        for reason in ("Pulled", "Created", "Started"):
            c.event(pod, reason, reason, by="kubelet", host="node-a", field_path=f"spec.{path}")
        c.wait(2)
    running(c, pod)
    shows(
        c,
        """
        Pod.Create lone  by kubectl  [root]
          Pod.Scheduled lone  by default-scheduler  [own]
          Pod.Pulled lone  by kubelet  [own]
          Pod.Created lone  by kubelet  [own]
          Pod.Started lone  by kubelet  [own]
          Pod.Pulled lone  by kubelet  [own]
          Pod.Created lone  by kubelet  [own]
          Pod.Started lone  by kubelet  [own]
          Pod.Pulled lone  by kubelet  [own]
          Pod.Created lone  by kubelet  [own]
          Pod.Started lone  by kubelet  [own]
          Pod.Ready lone  by kubelet  [own]
        """,
    )
