"""Events: repeated, combined, early, late, about deleted objects, and about reused names."""

from kspan.graph import Fold, built_in_rules
from tests.causality.actors import done, kill, new_pod, new_replicas, rolled_out, run
from tests.causality.cluster import Cluster, Thing
from tests.causality.drawing import CLUSTER, shows

UNHEALTHY = "Readiness probe failed: HTTP probe failed with statuscode: 500"
COMBINED = "(combined from similar events): "


def lone_pod(c: Cluster, name: str = "lone") -> Thing:
    pod = c.create("Pod", name, by="kubectl-run", containers=[{"name": "app"}])
    run(c, pod)
    return pod


def unhealthy(c: Cluster, pod: Thing, count: int = 1) -> str:
    return c.event(pod, "Unhealthy", UNHEALTHY, by="kubelet", host="node-a", warning=True, count=count)


def test_a_repeat_with_the_same_cause_is_an_event_of_its_span() -> None:
    c = Cluster()
    event = unhealthy(c, lone_pod(c))
    for _ in range(3):
        c.wait(10)
        c.repeat(event)
    shows(
        c,
        """
        Pod.Create lone  by kubectl  [root]
          Pod.Scheduled lone  by default-scheduler  [own]
          Pod.Started lone  by kubelet  [own]
          Pod.Ready lone  by kubelet  [own]
          Pod.Unhealthy lone  by kubelet  [own] +3 error
        """,
    )


def test_repeats_of_a_series_are_handled_like_a_count() -> None:
    c = Cluster()
    pod = c.create("Pod", "lone", by="kubectl-run", containers=[{"name": "app"}])
    message = "0/2 nodes are available: insufficient cpu"
    event = c.event(pod, "FailedScheduling", message, by="default-scheduler", new=True, warning=True)
    for _ in range(2):
        c.wait(5)
        c.repeat(event)
    run(c, pod)
    shows(
        c,
        """
        Pod.Create lone  by kubectl  [root]
          Pod.FailedScheduling lone  by default-scheduler  [own] +2 error
          Pod.Scheduled lone  by default-scheduler  [own]
          Pod.Started lone  by kubelet  [own]
          Pod.Ready lone  by kubelet  [own]
        """,
    )


def test_repeats_of_a_series_refer_to_the_version_of_the_first() -> None:
    """client-go starts a new Event when the object has changed: its key contains the whole reference (getKey)."""
    c = Cluster()
    widget = c.apply("Widget", "a", size=1)
    event = c.event(widget, "Waiting", "no room", by="widget-controller", new=True)
    c.wait(1)
    c.update(widget, by="kubectl-patch", size=2)
    c.repeat(event)
    shows(
        c,
        """
        Widget.Create a  by kubectl  [root]
          Widget.Waiting a  by widget-controller  [own] +1

        Widget.Update a  by kubectl  [root]
        """,
    )


def test_a_repeat_with_another_cause_is_a_span_of_its_own() -> None:
    """The Event object is reused for the next rollout: only its count grows."""
    c = Cluster()
    widget = c.apply("Widget", "a", size=1)
    event = c.event(widget, "Resized", "resized", by="widget-controller")
    c.wait(1)
    c.repeat(event)
    c.wait(2)
    c.update(widget, by="kubectl-patch", size=2)
    c.wait(2)
    c.repeat(event)
    c.wait(2)
    c.repeat(event)
    shows(
        c,
        """
        Widget.Create a  by kubectl  [root]
          Widget.Resized a  by widget-controller  [own] +1

        Widget.Update a  by kubectl  [root]
          Widget.Resized a  by widget-controller  [own] +1
        """,
    )


def test_a_count_can_skip_numbers_and_start_above_one() -> None:
    c = Cluster()
    event = unhealthy(c, lone_pod(c), count=4)
    c.wait(10)
    c.repeat(event, count=25)
    c.wait(10)
    c.repeat(event, count=2053)
    shows(
        c,
        """
        Pod.Create lone  by kubectl  [root]
          Pod.Scheduled lone  by default-scheduler  [own]
          Pod.Started lone  by kubelet  [own]
          Pod.Ready lone  by kubelet  [own]
          Pod.Unhealthy lone  by kubelet  [own] +2 error
        """,
    )


def test_an_event_written_again_with_the_same_count_is_ignored() -> None:
    c = Cluster()
    event = unhealthy(c, lone_pod(c), count=2)
    c.wait(10)
    c.repeat(event, count=2)
    c.wait(10)
    c.repeat(event, count=1)
    shows(
        c,
        """
        Pod.Create lone  by kubectl  [root]
          Pod.Scheduled lone  by default-scheduler  [own]
          Pod.Started lone  by kubelet  [own]
          Pod.Ready lone  by kubelet  [own]
          Pod.Unhealthy lone  by kubelet  [own] error
        """,
    )


def test_each_combined_event_is_a_span() -> None:
    c = Cluster()
    web = c.apply("Deployment", "web", replicas=3)
    rs = new_replicas(c, web, "web-1", 3)
    pods = [new_pod(c, rs, "web-1-a", reported=False)]
    event = c.event(rs, "SuccessfulCreate", f"{COMBINED}Created pod: web-1-a", by="replicaset-controller")
    for letter in "bc":
        pods.append(new_pod(c, rs, f"web-1-{letter}", reported=False))
        c.repeat(event, message=f"{COMBINED}Created pod: web-1-{letter}")
    for pod in pods:
        run(c, pod)
    done(c, rs, web)
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
              ReplicaSet.SuccessfulCreate web-1  by replicaset-controller  [owner]
                Pod.Create web-1-c  by replicaset-controller  [subject]
                  Pod.Scheduled web-1-c  by default-scheduler  [own]
                  Pod.Started web-1-c  by kubelet  [own]
                  Pod.Ready web-1-c  by kubelet  [own]
        """,
    )


def test_an_event_that_arrives_before_its_object_waits_for_it() -> None:
    """Streams can overtake each other."""
    c = Cluster()
    pod = c.create("Pod", "lone", by="kubectl-run", containers=[{"name": "app"}])
    created = c.records.pop()
    run(c, pod)
    c.records.insert(1, created)
    shows(
        c,
        """
        Pod.Create lone  by kubectl  [root]
          Pod.Scheduled lone  by default-scheduler  [own]
          Pod.Started lone  by kubelet  [own]
          Pod.Ready lone  by kubelet  [own]
        """,
    )


def test_an_event_about_a_deleted_object_is_caused_by_the_deletion() -> None:
    c = Cluster()
    pod = lone_pod(c)
    c.first_list()
    kill(c, pod, late=90)
    c.gone(pod)
    c.wait(100)
    shows(
        c,
        """
        Pod.Delete lone  by unknown  [root]

        (continues Pod.Delete lone trace)
        Pod.Killing lone  by kubelet  [own]
        """,
    )


def test_an_event_belongs_to_the_object_with_its_uid_if_a_name_is_reused() -> None:
    c = Cluster()
    first = lone_pod(c)
    c.first_list()
    kill(c, first, late=2)
    c.gone(first)
    lone_pod(c)
    shows(
        c,
        """
        Pod.Delete lone  by unknown  [root]
          Pod.Killing lone  by kubelet  [own]

        Pod.Create lone  by kubectl  [root]
          Pod.Scheduled lone  by default-scheduler  [own]
          Pod.Started lone  by kubelet  [own]
          Pod.Ready lone  by kubelet  [own]
        """,
    )


def test_an_event_without_a_uid_belongs_to_the_object_that_had_the_name_then() -> None:
    c = Cluster()
    db = c.apply("StatefulSet", "db", replicas=1)
    first = new_pod(c, db, "db-0", reported=False)
    run(c, first)
    done(c, db)
    c.first_list()
    node_says = "Marking for deletion Pod shop/db-0"
    c.event(first, "TaintManagerEviction", node_says, by="taint-eviction-controller", uid="", late=1)
    c.condition(first, "DisruptionTarget", "True", reason="DeletionByTaintManager")
    c.delete(first, grace=0)
    c.gone(first)
    again = new_pod(c, db, "db-0", reported=False)
    c.event(again, "FailedMount", "no such volume", by="kubelet", uid="", warning=True)
    run(c, again)
    shows(
        c,
        """
        Pod.TaintManagerEviction db-0  by taint-eviction-controller  [root]
          Pod.Delete db-0  by taint-eviction-controller  [subject]
            Pod.Create db-0  by statefulset-controller  [owner]
              Pod.FailedMount db-0  by kubelet  [own] error
              Pod.Scheduled db-0  by default-scheduler  [own]
              Pod.Started db-0  by kubelet  [own]
              Pod.Ready db-0  by kubelet  [own]
        """,
    )


def test_an_event_about_an_unseen_object_is_a_root_with_low_confidence() -> None:
    c = Cluster()
    pod = lone_pod(c)
    c.records.clear()
    unhealthy(c, pod)
    c.wait(2)
    c.event(pod, "Killing", "Container app failed liveness probe", by="kubelet", host="node-a")
    shows(
        c,
        """
        (superseded)
        Pod.Unhealthy lone  by kubelet  [root] error
          Pod.Killing lone  by kubelet  [root]
        """,
    )


def test_a_restart_long_after_the_rollout_is_an_episode_of_it() -> None:
    c = Cluster()
    web = c.apply("Deployment", "web", replicas=1)
    rs = new_replicas(c, web, "web-1", 1)
    pod = new_pod(c, rs, "web-1-a")
    run(c, pod)
    done(c, rs, web)
    c.wait(300)
    unhealthy(c, pod)
    c.event(pod, "Killing", "Container app failed liveness probe", by="kubelet", host="node-a")
    c.event(pod, "Started", "Started container app", by="kubelet", host="node-a")
    c.wait(300)
    unhealthy(c, pod)
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

        (continues Deployment.Create web trace)
        (recovered)
        Pod.Unhealthy web-1-a  by kubelet  [own] error
          Pod.Killing web-1-a  by kubelet  [own]
          Pod.Started web-1-a  by kubelet  [own]

        (continues Deployment.Create web trace)
        Pod.Unhealthy web-1-a  by kubelet  [own] error
        """,
    )


def test_a_probe_that_fails_before_the_rollout_settled_is_in_its_trace() -> None:
    c = Cluster()
    web = c.apply("Deployment", "web", replicas=1)
    rs = new_replicas(c, web, "web-1", 1)
    pod = new_pod(c, rs, "web-1-a")
    run(c, pod, started=False)
    event = unhealthy(c, pod)
    c.wait(10)
    c.repeat(event)
    c.wait(10)
    run(c, pod)
    done(c, rs, web)
    c.wait(30)
    c.repeat(event)
    shows(
        c,
        """
        Deployment.Create web  by kubectl  [root]
          Deployment.ScalingReplicaSet web  by deployment-controller  [owner]
            ReplicaSet.Create web-1  by deployment-controller  [subject]
              ReplicaSet.SuccessfulCreate web-1  by replicaset-controller  [owner]
                Pod.Create web-1-a  by replicaset-controller  [subject]
                  Pod.Scheduled web-1-a  by default-scheduler  [own]
                  Pod.Unhealthy web-1-a  by kubelet  [own] +2 error
                  Pod.Scheduled web-1-a  by default-scheduler  [own]
                  Pod.Started web-1-a  by kubelet  [own]
                  Pod.Ready web-1-a  by kubelet  [own]
        """,
    )


def test_an_event_with_the_top_level_annotation_starts_a_trace() -> None:
    c = Cluster()
    pod = lone_pod(c)
    c.event(pod, "Promoted", "now the leader", by="elector", top=True)
    shows(
        c,
        """
        Pod.Create lone  by kubectl  [root]
          Pod.Scheduled lone  by default-scheduler  [own]
          Pod.Started lone  by kubelet  [own]
          Pod.Ready lone  by kubelet  [own]

        Pod.Promoted lone  by elector  [root]
        """,
    )


def test_events_without_their_objects_form_a_tree() -> None:
    """As from ``kubectl get events``: no object was seen."""
    c = Cluster()
    rolled_out(c, "web")
    c.records[:] = [record for record in c.records if record.kind == "Event"]
    shows(
        c,
        """
        Deployment.ScalingReplicaSet web  by deployment-controller  [root]
          ReplicaSet.SuccessfulCreate web-1  by replicaset-controller  [subject]
            Pod.Scheduled web-1-a  by default-scheduler  [subject]
            Pod.Started web-1-a  by kubelet  [subject]
        """,
    )


def test_a_repeat_after_its_trace_was_closed_is_an_episode() -> None:
    c = Cluster()
    event = unhealthy(c, lone_pod(c))
    c.wait(200)
    c.repeat(event)
    c.wait(10)
    c.repeat(event)
    shows(
        c,
        """
        Pod.Create lone  by kubectl  [root]
          Pod.Scheduled lone  by default-scheduler  [own]
          Pod.Started lone  by kubelet  [own]
          Pod.Ready lone  by kubelet  [own]
          Pod.Unhealthy lone  by kubelet  [own] error

        (continues Pod.Create lone trace)
        Pod.Unhealthy lone  by kubelet  [own] +1 error
        """,
    )


def test_an_event_that_alternates_between_messages_without_counting_is_remembered_once_for_each() -> None:
    c = Cluster()
    rs = c.create("ReplicaSet", "web-1", by="kubectl")
    event = c.event(rs, "SuccessfulCreate", "Created pod: web-1-a", by="replicaset-controller")
    for name in ("b", "a", "b", "a", "b"):
        c.wait(0.1)
        c.repeat(event, count=1, message=f"Created pod: web-1-{name}")
    c.wait(1_000)
    c.apply("ConfigMap", "other")
    fold = Fold(CLUSTER, built_in_rules())
    for number, record in enumerate(c.records, 1):
        fold.apply(number, record)
    assert not len(fold.state._events)
    shows(
        c,
        """
        (incomplete)
        ReplicaSet.Create web-1  by kubectl  [root]
          ReplicaSet.SuccessfulCreate web-1  by replicaset-controller  [owner]
          ReplicaSet.SuccessfulCreate web-1  by replicaset-controller  [owner]
          ReplicaSet.SuccessfulCreate web-1  by replicaset-controller  [owner]

        ConfigMap.Create other  by kubectl  [root]
        """,
    )
