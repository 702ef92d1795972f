"""Deletions that nobody watched: they are found by comparing a list after a gap with what was known before."""

from tests.causality.actors import done, new_pod, new_replicas, rolled_out, run, scale, settled
from tests.causality.cluster import Cluster
from tests.causality.drawing import shows

# cascades -------------------------------------------------------------------------------------------------------------


def test_a_namespace_deleted_in_a_gap_takes_its_objects_with_it() -> None:
    c = Cluster()
    shop = c.create("Namespace", "shop", by="kubectl-create")
    web, rs, (pod,) = rolled_out(c, "web")
    config = c.create("ConfigMap", "settings", by="kubectl-create")
    c.first_list()
    with c:
        for thing in (config, web, rs, pod, shop):
            c.gone(thing)
        c.wait(1800)
    shows(
        c,
        """
        Namespace.Delete shop  by unknown  [root]
          ConfigMap.Delete settings  by namespace-controller  [place]
          Deployment.Delete web  by namespace-controller  [place]
            ReplicaSet.Delete web-1  by garbage-collector  [owner]
              Pod.Delete web-1-a  by garbage-collector  [owner]
        """,
    )


def test_a_stateful_set_deleted_in_a_gap_takes_its_pods_and_claims_with_it() -> None:
    c = Cluster()
    db = c.apply("StatefulSet", "db", replicas=2)
    claims = [c.create("PersistentVolumeClaim", f"data-db-{n}", owner=db) for n in range(2)]
    pods = [new_pod(c, db, f"db-{n}") for n in range(2)]
    for pod in pods:
        run(c, pod)
    done(c, db)
    c.first_list()
    with c:
        for thing in (db, *pods, *claims):
            c.gone(thing)
        c.wait(60)
    shows(
        c,
        """
        StatefulSet.Delete db  by unknown  [root]
          PersistentVolumeClaim.Delete data-db-0  by garbage-collector  [owner]
          PersistentVolumeClaim.Delete data-db-1  by garbage-collector  [owner]
          Pod.Delete db-0  by garbage-collector  [owner]
          Pod.Delete db-1  by garbage-collector  [owner]
        """,
    )


def test_a_cron_job_deleted_in_a_gap_takes_its_jobs_and_pods_with_it() -> None:
    c = Cluster()
    nightly = c.apply("CronJob", "nightly", schedule="0 0 * * *")
    job = c.create("Job", "nightly-1", owner=nightly, completions=1)
    pod = new_pod(c, job, "nightly-1-a")
    run(c, pod)
    c.first_list()
    with c:
        for thing in (nightly, job, pod):
            c.gone(thing)
    shows(
        c,
        """
        CronJob.Delete nightly  by unknown  [root]
          Job.Delete nightly-1  by garbage-collector  [owner]
            Pod.Delete nightly-1-a  by garbage-collector  [owner]
        """,
    )


def test_a_daemon_set_deleted_in_a_gap_takes_its_pods_with_it() -> None:
    c = Cluster()
    c.create("Node", "node-a", by="kubelet")
    agent = c.apply("DaemonSet", "agent")
    pod = new_pod(c, agent, "agent-a")
    run(c, pod)
    c.first_list()
    with c:
        c.gone(agent)
        c.gone(pod)
    shows(
        c,
        """
        DaemonSet.Delete agent  by unknown  [root]
          Pod.Delete agent-a  by garbage-collector  [owner]
        """,
    )


def test_a_custom_owner_deleted_in_a_gap_takes_its_dependents_with_it() -> None:
    c = Cluster()
    widget = c.create("Widget", "shop", by="kubectl-create")
    web = c.create("Deployment", "web", owner=widget, replicas=1)
    config = c.create("ConfigMap", "settings", owner=widget)
    rs = new_replicas(c, web, "web-1", 1)
    c.first_list()
    with c:
        for thing in (widget, config, web, rs):
            c.gone(thing)
    shows(
        c,
        """
        Widget.Delete shop  by unknown  [root]
          ConfigMap.Delete settings  by garbage-collector  [owner]
          Deployment.Delete web  by garbage-collector  [owner]
            ReplicaSet.Delete web-1  by garbage-collector  [owner]
        """,
    )


def test_the_dependents_of_an_owner_that_is_not_watched_are_deleted_with_their_namespace() -> None:
    c = Cluster()
    shop = c.create("Namespace", "shop", by="kubectl-create")
    widget = c.create("Widget", "shop", by="kubectl-create")
    web = c.create("Deployment", "web", owner=widget, replicas=1)
    rs = new_replicas(c, web, "web-1", 1)
    c.first_list()
    c.records = [record for record in c.records if record.kind != "Widget"]
    with c:
        for thing in (web, rs, shop):
            c.gone(thing)
        del c.things[widget.meta["uid"]]
        c._unwatched["example.com/v1/widgets"].things.clear()
    shows(
        c,
        """
        Namespace.Delete shop  by unknown  [root]
          Deployment.Delete web  by namespace-controller  [place]
            ReplicaSet.Delete web-1  by garbage-collector  [owner]
        """,
    )


def test_without_its_namespace_the_topmost_object_that_is_watched_is_the_root() -> None:
    c = Cluster()
    widget = c.create("Widget", "shop", by="kubectl-create")
    web = c.create("Deployment", "web", owner=widget, replicas=1)
    rs = new_replicas(c, web, "web-1", 1)
    c.first_list()
    c.records = [record for record in c.records if record.kind != "Widget"]
    with c:
        for thing in (web, rs):
            c.gone(thing)
    shows(
        c,
        """
        Deployment.Delete web  by unknown  [root]
          ReplicaSet.Delete web-1  by garbage-collector  [owner]
        """,
    )


def test_a_namespace_that_was_terminating_before_the_gap_is_the_cause() -> None:
    c = Cluster()
    shop = c.create("Namespace", "shop", by="kubectl-create")
    web, rs, (pod,) = rolled_out(c, "web")
    c.first_list()
    c.delete(shop)
    c.wait(5)
    with c:
        for thing in (web, rs, pod, shop):
            c.gone(thing)
        c.wait(60)
    shows(
        c,
        """
        Namespace.Delete shop  by unknown  [root]
          Deployment.Delete web  by namespace-controller  [place]
            ReplicaSet.Delete web-1  by garbage-collector  [owner]
              Pod.Delete web-1-a  by garbage-collector  [owner]
        """,
    )


def test_a_foreground_deletion_that_a_list_shows_in_progress_is_the_cause() -> None:
    c, web, rs, (pod,) = settled("web")
    with c:
        c.delete(web, finalizers=("foregroundDeletion",))
        c.delete(rs, finalizers=("foregroundDeletion",))
        c.gone(pod)
        c.wait(60)
    c.gone(rs)
    c.gone(web)
    shows(
        c,
        """
        Deployment.Delete web  by unknown  [root]
          ReplicaSet.Delete web-1  by garbage-collector  [owner]
            Pod.Delete web-1-a  by garbage-collector  [owner]
        """,
    )


# one Pod --------------------------------------------------------------------------------------------------------------


def test_a_pod_lost_in_a_gap_is_the_cause_of_its_replacement() -> None:
    c, _, rs, (pod,) = settled("web")
    with c:
        c.wait(600)
        c.gone(pod)
        run(c, new_pod(c, rs, "web-1-b"))
        c.wait(1200)
    shows(
        c,
        """
        Pod.Delete web-1-a  by unknown  [root]
          Pod.Create web-1-b  by replicaset-controller  [owner]
            Pod.Ready web-1-b  by kubelet  [own]
        """,
    )


def test_each_pod_lost_in_a_gap_is_the_cause_of_one_replacement() -> None:
    c, _, rs, pods = settled("web", 3)
    with c:
        for pod in pods[:2]:
            c.gone(pod)
        for name in "de":
            run(c, new_pod(c, rs, f"web-1-{name}"))
        c.wait(5)
    shows(
        c,
        """
        Pod.Delete web-1-a  by unknown  [root]
          Pod.Create web-1-d  by replicaset-controller  [owner]
            Pod.Ready web-1-d  by kubelet  [own]

        Pod.Delete web-1-b  by unknown  [root]
          Pod.Create web-1-e  by replicaset-controller  [owner]
            Pod.Ready web-1-e  by kubelet  [own]
        """,
    )


def test_a_stateful_pod_recreated_under_its_name_in_a_gap_is_caused_by_the_loss() -> None:
    c = Cluster()
    db = c.apply("StatefulSet", "db", replicas=2)
    pods = [new_pod(c, db, f"db-{n}") for n in range(2)]
    for pod in pods:
        run(c, pod)
    done(c, db)
    c.first_list()
    with c:
        for pod in pods:
            c.gone(pod)
        for n in range(2):
            run(c, new_pod(c, db, f"db-{n}"))
        c.wait(5)
    shows(
        c,
        """
        Pod.Delete db-0  by unknown  [root]
          Pod.Create db-0  by statefulset-controller  [owner]
            Pod.Ready db-0  by kubelet  [own]

        Pod.Delete db-1  by unknown  [root]
          Pod.Create db-1  by statefulset-controller  [owner]
            Pod.Ready db-1  by kubelet  [own]
        """,
    )


def test_an_evicted_pod_that_is_still_there_after_the_gap() -> None:
    c = Cluster()
    node = c.create("Node", "node-a", by="kubelet")
    _, rs, (pod,) = rolled_out(c, "web")
    c.first_list()
    with c:
        c.update(node, by="kubectl-cordon", unschedulable=True)
        c.condition(pod, "DisruptionTarget", "True", reason="EvictionByEvictionAPI")
        c.delete(pod, grace=30)
        run(c, new_pod(c, rs, "web-1-b"), "node-b")
        c.wait(5)
    c.wait(25)
    c.gone(pod)
    shows(
        c,
        """
        Node.Update node-a  by kubectl  [root]
          Pod.Delete web-1-a  by unknown  [place]
            Pod.Create web-1-b  by replicaset-controller  [owner]
              Pod.Ready web-1-b  by kubelet  [own]
        """,
    )


def test_pods_that_are_missing_from_a_node_drained_in_the_gap() -> None:
    c = Cluster()
    node = c.create("Node", "node-a", by="kubelet")
    _, rs, (pod,) = rolled_out(c, "web")
    c.first_list()
    with c:
        c.update(node, by="kubectl-cordon", unschedulable=True)
        c.gone(pod)
        run(c, new_pod(c, rs, "web-1-b"), "node-b")
        c.wait(30)
    shows(
        c,
        """
        Node.Update node-a  by kubectl  [root]
          Pod.Delete web-1-a  by unknown  [place]
            Pod.Create web-1-b  by replicaset-controller  [owner]
              Pod.Ready web-1-b  by kubelet  [own]
        """,
    )


def test_a_node_that_is_gone_after_the_gap_took_its_pods_with_it() -> None:
    c = Cluster()
    node = c.create("Node", "node-a", by="kubelet")
    _, rs, (one, two) = rolled_out(c, "web", 2)
    c.first_list()
    with c:
        c.gone(node)
        c.gone(one)
        c.gone(two)
        for name in "cd":
            run(c, new_pod(c, rs, f"web-1-{name}"), "node-b")
        c.wait(60)
    shows(
        c,
        """
        Node.Delete node-a  by unknown  [root]
          Pod.Delete web-1-a  by pod-garbage-collector  [place]
            Pod.Create web-1-c  by replicaset-controller  [owner]
              Pod.Ready web-1-c  by kubelet  [own]
          Pod.Delete web-1-b  by pod-garbage-collector  [place]
            Pod.Create web-1-d  by replicaset-controller  [owner]
              Pod.Ready web-1-d  by kubelet  [own]
        """,
    )


# decisions of controllers ---------------------------------------------------------------------------------------------


def test_a_scale_down_in_a_gap_deletes_as_many_pods_as_it_removes() -> None:
    c, web, rs, (_, two, three) = settled("web", 3)
    with c:
        c.update(web, by="kubectl", subresource="scale", replicas=1)
        scale(c, web, rs, 1)
        c.gone(two)
        c.gone(three)
        done(c, rs, web)
        c.wait(60)
    shows(
        c,
        """
        Deployment.Update web  by kubectl  [root]
          ReplicaSet.Update web-1  by deployment-controller  [owner]
            Pod.Delete web-1-b  by replicaset-controller  [owner]
            Pod.Delete web-1-c  by replicaset-controller  [owner]
        """,
    )


def test_without_field_managers_an_update_follows_the_change_of_its_owner_just_before() -> None:
    c, web, rs, (_, two) = settled("web", 2)
    with c:
        c.update(web, by="", replicas=1)
        c.update(rs, by="", replicas=1)
        c.gone(two)
        c.wait(60)
    c.wait(60)
    c.update(rs, by="", replicas=2)
    shows(
        c,
        """
        (incomplete)
        Deployment.Update web  by unknown  [root]
          ReplicaSet.Update web-1  by deployment-controller  [owner]
            Pod.Delete web-1-b  by replicaset-controller  [owner]

        (incomplete)
        ReplicaSet.Update web-1  by unknown  [root]
        """,
    )


def test_a_pod_lost_besides_a_scale_down_in_the_same_gap_is_replaced() -> None:
    c, web, rs, (one, two) = settled("web", 2)
    with c:
        c.update(web, by="kubectl", subresource="scale", replicas=1)
        scale(c, web, rs, 1)
        c.gone(one)
        c.gone(two)
        run(c, new_pod(c, rs, "web-1-c"))
        done(c, rs, web)
        c.wait(60)
    shows(
        c,
        """
        Deployment.Update web  by kubectl  [root]
          ReplicaSet.Update web-1  by deployment-controller  [owner]
            Pod.Delete web-1-a  by replicaset-controller  [owner]

        Pod.Delete web-1-b  by unknown  [root]
          Pod.Create web-1-c  by replicaset-controller  [owner]
            Pod.Ready web-1-c  by kubelet  [own]
        """,
    )


def test_a_rollout_in_a_gap_deletes_the_old_pods() -> None:
    c, web, old, pods = settled("web", 2)
    with c:
        c.update(web, by="kubectl-set", image="app:v2")
        new = new_replicas(c, web, "web-2", 2)
        for name in "ab":
            run(c, new_pod(c, new, f"web-2-{name}"))
        scale(c, web, old, 0)
        for pod in pods:
            c.gone(pod)
        done(c, new, old, web)
        c.wait(60)
    shows(
        c,
        """
        Deployment.Update web  by kubectl  [root]
          ReplicaSet.Create web-2  by deployment-controller  [owner]
            Pod.Create web-2-a  by replicaset-controller  [owner]
              Pod.Ready web-2-a  by kubelet  [own]
            Pod.Create web-2-b  by replicaset-controller  [owner]
              Pod.Ready web-2-b  by kubelet  [own]
          ReplicaSet.Update web-1  by deployment-controller  [owner]
            Pod.Delete web-1-a  by replicaset-controller  [owner]
            Pod.Delete web-1-b  by replicaset-controller  [owner]
        """,
    )


def test_a_rollout_of_a_stateful_set_in_a_gap_replaces_its_pods() -> None:
    c = Cluster()
    db = c.apply("StatefulSet", "db", replicas=2, image="db:v1")
    pods = [new_pod(c, db, f"db-{n}", labels=ordinal(n)) for n in range(2)]
    for pod in pods:
        run(c, pod)
    done(c, db)
    c.first_list()
    with c:
        c.wait(5)
        c.update(db, by="kubectl-set", image="db:v2")
        for n in (1, 0):
            c.wait(5)
            c.gone(pods[n])
            run(c, new_pod(c, db, f"db-{n}", labels=ordinal(n)))
        done(c, db)
        c.wait(60)
    shows(
        c,
        """
        StatefulSet.Update db  by kubectl  [root]
          Pod.Delete db-0  by statefulset-controller  [owner]
          Pod.Delete db-1  by statefulset-controller  [owner]
          Pod.Create db-1  by statefulset-controller  [owner]
            Pod.Ready db-1  by kubelet  [own]
          Pod.Create db-0  by statefulset-controller  [owner]
            Pod.Ready db-0  by kubelet  [own]
        """,
    )


def ordinal(n: int) -> dict[str, str]:
    """The labels of the Pod with this number in a StatefulSet."""
    return {"app": "app", "apps.kubernetes.io/pod-index": str(n)}
