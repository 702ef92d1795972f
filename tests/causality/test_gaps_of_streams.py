"""Gaps of several streams: listed at different times, with names that are used again, with Events."""

from tests.causality.actors import done, kill, new_pod, rolled_out, run, scale, settled
from tests.causality.cluster import Cluster
from tests.causality.drawing import shows

# names used again -----------------------------------------------------------------------------------------------------


def test_a_deployment_deleted_and_applied_again_in_a_gap() -> None:
    c, web, rs, (pod,) = settled("web")
    with c:
        for thing in (web, rs, pod):
            c.gone(thing)
        rolled_out(c, "web")
        c.wait(60)
    shows(
        c,
        """
        Deployment.Create web  by kubectl  [root]
          ReplicaSet.Create web-1  by deployment-controller  [owner]
            Pod.Create web-1-a  by replicaset-controller  [owner]
              Pod.Ready web-1-a  by kubelet  [own]

        Deployment.Delete web  by unknown  [root]
          ReplicaSet.Delete web-1  by garbage-collector  [owner]
            Pod.Delete web-1-a  by garbage-collector  [owner]
        """,
    )


def test_a_namespace_deleted_and_created_again_in_a_gap() -> None:
    c = Cluster()
    shop = c.create("Namespace", "shop", by="kubectl-create")
    pod = c.create("Pod", "lone", by="kubectl-run", containers=[{"name": "app"}])
    c.first_list()
    with c:
        c.gone(pod)
        c.gone(shop)
        c.wait(30)
        c.create("Namespace", "shop", by="kubectl-create")
        again = c.create("Pod", "lone", by="kubectl-run", containers=[{"name": "app"}])
        c.wait(30)
    c.wait(60)
    c.gone(again)
    shows(
        c,
        """
        Namespace.Create shop  by kubectl  [root]

        (superseded)
        Pod.Create lone  by kubectl  [root]

        Namespace.Delete shop  by unknown  [root]
          Pod.Delete lone  by namespace-controller  [place]

        Pod.Delete lone  by unknown  [root]
        """,
    )


# streams that are listed at different times ---------------------------------------------------------------------------


def test_streams_that_are_listed_at_different_versions() -> None:
    c, web, rs, (pod,) = settled("web")
    c.stop_watching()
    c.gone(web)
    c.gone(rs)
    c.gone(pod)
    c.list_again("Pod")
    c.apply("ConfigMap", "other")
    c.wait(1)
    c.list_again("Deployment")
    c.apply("ConfigMap", "another")
    c.wait(1)
    c.list_again()
    shows(
        c,
        """
        ConfigMap.Create other  by kubectl  [root]

        Deployment.Delete web  by unknown  [root]
          ReplicaSet.Delete web-1  by garbage-collector  [owner]
            Pod.Delete web-1-a  by garbage-collector  [owner]

        ConfigMap.Create another  by kubectl  [root]
        """,
    )


def test_an_owner_whose_deletion_was_seen_and_dependents_that_were_not() -> None:
    c, web, rs, (pod,) = settled("web")
    c.stop_watching("ReplicaSet", "Pod")
    c.gone(web)
    c.gone(rs)
    c.gone(pod)
    c.wait(3)
    c.list_again()
    shows(
        c,
        """
        Deployment.Delete web  by unknown  [root]
          ReplicaSet.Delete web-1  by garbage-collector  [owner]
            Pod.Delete web-1-a  by garbage-collector  [owner]
        """,
    )


def test_dependents_whose_deletion_was_seen_before_that_of_their_owner_was_found() -> None:
    c, web, rs, (pod,) = settled("web")
    c.stop_watching("Deployment")
    c.gone(web)
    c.gone(rs)
    c.gone(pod)
    c.wait(2)
    c.list_again()
    shows(
        c,
        """
        Deployment.Delete web  by unknown  [root]
          ReplicaSet.Delete web-1  by garbage-collector  [owner]
            Pod.Delete web-1-a  by garbage-collector  [owner]
        """,
    )


def test_an_owner_that_was_deleted_after_its_dependents_is_not_their_cause() -> None:
    c, web, rs, (pod,) = settled("web")
    c.stop_watching("Pod", "ReplicaSet")
    c.gone(pod)
    c.gone(rs)
    c.wait(1)
    c.list_again()
    c.gone(web)
    shows(
        c,
        """
        ReplicaSet.Delete web-1  by unknown  [root]
          Pod.Delete web-1-a  by garbage-collector  [owner]

        Deployment.Delete web  by unknown  [root]
        """,
    )


def test_dependents_that_were_found_missing_long_before_their_owner() -> None:
    """The gap of the Pods is over when the list of the Deployments is received, 15 seconds later."""
    c, web, rs, (pod,) = settled("web")
    c.stop_watching()
    c.gone(web)
    c.gone(rs)
    c.gone(pod)
    c.list_again("Pod", "ReplicaSet")
    c.wait(15)
    c.list_again("Deployment")
    shows(
        c,
        """
        Deployment.Delete web  by unknown  [root]
          ReplicaSet.Delete web-1  by garbage-collector  [owner]
            Pod.Delete web-1-a  by garbage-collector  [owner]
        """,
    )


def test_dependents_that_were_found_missing_long_before_their_namespace() -> None:
    c = Cluster()
    shop = c.create("Namespace", "shop", by="kubectl-create")
    web, rs, (pod,) = rolled_out(c, "web")
    c.first_list()
    c.stop_watching()
    for thing in (web, rs, pod, shop):
        c.gone(thing)
    c.list_again("Pod")
    c.wait(7)
    c.list_again("Deployment")
    c.wait(7)
    c.list_again("ReplicaSet", "Namespace")
    shows(
        c,
        """
        Namespace.Delete shop  by unknown  [root]
          Deployment.Delete web  by namespace-controller  [place]
            ReplicaSet.Delete web-1  by garbage-collector  [owner]
              Pod.Delete web-1-a  by garbage-collector  [owner]
        """,
    )


def test_dependents_whose_deletion_was_seen_long_before_that_of_their_owner_was_found() -> None:
    c, web, rs, (pod,) = settled("web")
    c.stop_watching("Deployment")
    c.gone(web)
    c.gone(rs)
    kill(c, pod)
    c.wait(30)
    c.gone(pod)
    c.list_again()
    shows(
        c,
        """
        Deployment.Delete web  by unknown  [root]
          ReplicaSet.Delete web-1  by garbage-collector  [owner]
            Pod.Delete web-1-a  by garbage-collector  [owner]
              Pod.Killing web-1-a  by kubelet  [own]
        """,
    )


# Events ---------------------------------------------------------------------------------------------------------------


def test_events_of_the_gap_belong_to_the_deletions_that_they_report() -> None:
    c, web, rs, (one, two) = settled("web", 2)
    c.stop_watching()
    c.wait(600)
    c.event(one, "Unhealthy", "Readiness probe failed", by="kubelet", warning=True)
    c.wait(600)
    c.update(web, by="kubectl", subresource="scale", replicas=1)
    scale(c, web, rs, 1)
    kill(c, one, by=rs)
    c.gone(one)
    c.wait(600)
    kill(c, two)
    c.gone(two)
    run(c, new_pod(c, rs, "web-1-c"))
    done(c, rs, web)
    c.list_again()
    shows(
        c,
        """
        (superseded)
        Pod.Unhealthy web-1-a  by kubelet  [root] error

        Deployment.Update web  by kubectl  [root]
          Deployment.ScalingReplicaSet web  by deployment-controller  [owner]
            ReplicaSet.Update web-1  by deployment-controller  [subject]
              ReplicaSet.SuccessfulDelete web-1  by replicaset-controller  [owner]
                Pod.Delete web-1-a  by replicaset-controller  [subject]
                  Pod.Killing web-1-a  by kubelet  [own]

        Pod.Delete web-1-b  by unknown  [root]
          Pod.Killing web-1-b  by kubelet  [own]
          ReplicaSet.SuccessfulCreate web-1  by replicaset-controller  [owner]
            Pod.Create web-1-c  by replicaset-controller  [subject]
              Pod.Scheduled web-1-c  by default-scheduler  [own]
              Pod.Started web-1-c  by kubelet  [own]
              Pod.Ready web-1-c  by kubelet  [own]
        """,
    )
