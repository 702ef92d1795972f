"""The first list, lists after a gap, and traces that take too long."""

from tests.causality.actors import done, kill, new_pod, new_replicas, rolled_out, run, scale
from tests.causality.cluster import Cluster
from tests.causality.drawing import shows


def test_existing_objects_start_no_trace() -> None:
    c = Cluster()
    c.create("Node", "node-a", by="kubelet")
    rolled_out(c, "web")
    c.first_list()
    shows(c, "")


def test_events_of_the_first_list_are_placed_under_inferred_changes() -> None:
    c = Cluster()
    rolled_out(c, "web")
    c.first_list(60)
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
        """,
    )


def test_an_event_long_after_the_last_change_is_a_root_at_first_contact() -> None:
    c = Cluster()
    _, _, (pod,) = rolled_out(c, "web")
    c.wait(7200)
    c.events.clear()
    c.event(pod, "Unhealthy", "Readiness probe failed", by="kubelet", warning=True)
    c.first_list(60)
    shows(c, "Pod.Unhealthy web-1-a  by kubelet  [root] error")


def test_a_rollout_that_continues_after_first_contact_is_caused_by_the_inferred_change() -> None:
    c = Cluster()
    web = c.apply("Deployment", "web", replicas=1)
    c.first_list(1)
    rs = new_replicas(c, web, "web-1", 1)
    run(c, new_pod(c, rs, "web-1-a", reported=False))
    done(c, rs, web)
    shows(
        c,
        """
        Deployment.Create web  by kubectl  [root]
          Deployment.ScalingReplicaSet web  by deployment-controller  [owner]
            ReplicaSet.Create web-1  by deployment-controller  [subject]
              Pod.Create web-1-a  by replicaset-controller  [owner]
                Pod.Scheduled web-1-a  by default-scheduler  [own]
                Pod.Started web-1-a  by kubelet  [own]
                Pod.Ready web-1-a  by kubelet  [own]
        """,
    )


def test_a_list_after_a_gap_shows_the_changes_during_the_gap() -> None:
    c = Cluster()
    web, rs, _ = rolled_out(c, "web", 1)
    _, _, (lost,) = rolled_out(c, "other", 1)
    c.first_list()
    with c:
        c.update(web, by="kubectl", subresource="scale", replicas=2)
        scale(c, web, rs, 2)
        run(c, new_pod(c, rs, "web-1-b"))
        c.gone(lost)
        done(c, rs, web)
        c.wait(5)
    c.wait(30)
    shows(
        c,
        """
        Deployment.Update web  by kubectl  [root]
          ReplicaSet.Update web-1  by deployment-controller  [owner]
            Pod.Create web-1-b  by replicaset-controller  [owner]
              Pod.Ready web-1-b  by kubelet  [own]

        Pod.Delete other-1-a  by unknown  [root]
        """,
    )


def test_a_trace_is_closed_as_incomplete_when_it_takes_too_long() -> None:
    c = Cluster()
    web = c.apply("Deployment", "web", replicas=1)
    rs = new_replicas(c, web, "web-1", 1)
    pod = new_pod(c, rs, "web-1-a")
    c.wait(1000)
    run(c, pod)
    done(c, rs, web)
    shows(
        c,
        """
        (incomplete)
        Deployment.Create web  by kubectl  [root]
          Deployment.ScalingReplicaSet web  by deployment-controller  [owner]
            ReplicaSet.Create web-1  by deployment-controller  [subject]
              ReplicaSet.SuccessfulCreate web-1  by replicaset-controller  [owner]
                Pod.Create web-1-a  by replicaset-controller  [subject]

        (continues Deployment.Create web trace)
        Pod.Scheduled web-1-a  by default-scheduler  [own]
          Pod.Started web-1-a  by kubelet  [own]
          Pod.Ready web-1-a  by kubelet  [own]
        """,
    )


def test_a_slow_pod_does_not_split_the_trace_of_its_rollout() -> None:
    c = Cluster()
    web = c.apply("Deployment", "web", replicas=1)
    rs = new_replicas(c, web, "web-1", 1)
    pod = new_pod(c, rs, "web-1-a")
    c.event(pod, "Pulling", "Pulling image", by="kubelet")
    c.wait(400)
    c.event(pod, "Pulled", "Successfully pulled image", by="kubelet")
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
                  Pod.Pulling web-1-a  by kubelet  [own]
                  Pod.Pulled web-1-a  by kubelet  [own]
                  Pod.Scheduled web-1-a  by default-scheduler  [own]
                  Pod.Started web-1-a  by kubelet  [own]
                  Pod.Ready web-1-a  by kubelet  [own]
        """,
    )


def test_episodes_of_an_object_have_different_traces() -> None:
    c = Cluster()
    pod = c.create("Pod", "lone", by="kubectl-run", containers=[{"name": "app"}])
    run(c, pod)
    for _ in range(2):
        c.wait(300)
        c.event(pod, "Unhealthy", "Readiness probe failed", by="kubelet", warning=True)
    kill(c, pod)
    c.gone(pod)
    shows(
        c,
        """
        Pod.Create lone  by kubectl  [root]
          Pod.Scheduled lone  by default-scheduler  [own]
          Pod.Started lone  by kubelet  [own]
          Pod.Ready lone  by kubelet  [own]

        (continues Pod.Create lone trace)
        Pod.Unhealthy lone  by kubelet  [own] error

        (continues Pod.Create lone trace)
        (superseded)
        Pod.Unhealthy lone  by kubelet  [own] error

        Pod.Delete lone  by unknown  [root]
          Pod.Killing lone  by kubelet  [own]
        """,
    )
