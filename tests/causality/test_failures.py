"""Rollouts that fail, or recover."""

from tests.causality.actors import done, kill, new_pod, new_replicas, run, scale, settled
from tests.causality.cluster import Cluster
from tests.causality.drawing import shows


def test_the_root_of_a_failed_rollout_is_an_error() -> None:
    c, web, _, _ = settled("web")
    c.update(web, by="kubectl-set", image="app:broken")
    two = new_replicas(c, web, "web-2", 1)
    pod = new_pod(c, two, "web-2-a")
    run(c, pod, started=False)
    c.event(pod, "Failed", 'Failed to pull image "app:broken": not found', by="kubelet", host="node-a", warning=True)
    c.wait(60)
    c.condition(web, "Progressing", "False", reason="ProgressDeadlineExceeded")
    shows(
        c,
        """
        (failing)
        Deployment.Update web  by kubectl  [root] error
          Deployment.ScalingReplicaSet web  by deployment-controller  [owner]
            ReplicaSet.Create web-2  by deployment-controller  [subject]
              ReplicaSet.SuccessfulCreate web-2  by replicaset-controller  [owner]
                Pod.Create web-2-a  by replicaset-controller  [subject]
                  Pod.Scheduled web-2-a  by default-scheduler  [own]
                  Pod.Failed web-2-a  by kubelet  [own] error

        (continues Deployment.Update web trace)
        (failing)
        Deployment.Progressing=False web  by deployment-controller  [own] error
        """,
    )


def test_the_root_is_no_error_if_the_rollout_recovers() -> None:
    c = Cluster()
    web = c.apply("Deployment", "web", replicas=1)
    rs = new_replicas(c, web, "web-1", 1)
    pod = new_pod(c, rs, "web-1-a")
    c.event(pod, "FailedScheduling", "0/2 nodes are available", by="default-scheduler", new=True, warning=True)
    c.wait(3)
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
                  Pod.FailedScheduling web-1-a  by default-scheduler  [own] error
                  Pod.Scheduled web-1-a  by default-scheduler  [own]
                  Pod.Started web-1-a  by kubelet  [own]
                  Pod.Ready web-1-a  by kubelet  [own]
        """,
    )


def test_a_pull_that_fails_until_somebody_names_another_image() -> None:
    c = Cluster()
    web = c.apply("Deployment", "web", replicas=1, image="app:nope")
    one = new_replicas(c, web, "web-1", 1)
    pod = new_pod(c, one, "web-1-a")
    run(c, pod, started=False)
    failed = 'Failed to pull image "app:nope": not found'
    event = c.event(pod, "Failed", failed, by="kubelet", host="node-a", warning=True)
    backoff = c.event(pod, "BackOff", 'Back-off pulling image "app:nope"', by="kubelet", host="node-a")
    for _ in range(3):
        c.wait(15)
        c.repeat(event)
        c.repeat(backoff)
    c.update(web, by="kubectl-set", image="app:v1")
    two = new_replicas(c, web, "web-2", 1)
    run(c, new_pod(c, two, "web-2-a"))
    scale(c, web, one, 0)
    kill(c, pod, by=one)
    done(c, one, two, web)
    c.gone(pod)
    shows(
        c,
        """
        (failing)
        Deployment.Create web  by kubectl  [root] error
          Deployment.ScalingReplicaSet web  by deployment-controller  [owner]
            ReplicaSet.Create web-1  by deployment-controller  [subject]
              ReplicaSet.SuccessfulCreate web-1  by replicaset-controller  [owner]
                Pod.Create web-1-a  by replicaset-controller  [subject]
                  Pod.Scheduled web-1-a  by default-scheduler  [own]
                  Pod.Failed web-1-a  by kubelet  [own] error
                  Pod.BackOff web-1-a  by kubelet  [own]

        (continues Deployment.Create web trace)
        (superseded)
        Pod.Failed web-1-a  by kubelet  [own] +2 error
          Pod.BackOff web-1-a  by kubelet  [own] +2

        Deployment.Update web  by kubectl  [root]
          Deployment.ScalingReplicaSet web  by deployment-controller  [owner]
            ReplicaSet.Create web-2  by deployment-controller  [subject]
              ReplicaSet.SuccessfulCreate web-2  by replicaset-controller  [owner]
                Pod.Create web-2-a  by replicaset-controller  [subject]
                  Pod.Scheduled web-2-a  by default-scheduler  [own]
                  Pod.Started web-2-a  by kubelet  [own]
                  Pod.Ready web-2-a  by kubelet  [own]
          Deployment.ScalingReplicaSet web  by deployment-controller  [owner]
            ReplicaSet.Update web-1  by deployment-controller  [subject]
              ReplicaSet.SuccessfulDelete web-1  by replicaset-controller  [owner]
                Pod.Delete web-1-a  by replicaset-controller  [subject]
                  Pod.Killing web-1-a  by kubelet  [own]
        """,
    )


def test_a_failed_pull_that_is_fixed_in_the_pod() -> None:
    c = Cluster()
    pod = c.create("Pod", "lone", by="kubectl-run", containers=[{"name": "app", "image": "app:nope"}])
    run(c, pod, started=False)
    failed = c.event(pod, "Failed", "Failed to pull image", by="kubelet", host="node-a", warning=True)
    c.wait(15)
    c.repeat(failed)
    c.update(pod, by="kubectl-set", containers=[{"name": "app", "image": "app:v1"}])
    c.event(pod, "Pulled", "Container image already present", by="kubelet", host="node-a")
    run(c, pod)
    shows(
        c,
        """
        (superseded)
        Pod.Create lone  by kubectl  [root]
          Pod.Scheduled lone  by default-scheduler  [own]
          Pod.Failed lone  by kubelet  [own] +1 error

        Pod.Update lone  by kubectl  [root]
          Pod.Pulled lone  by kubelet  [own]
          Pod.Scheduled lone  by default-scheduler  [own]
          Pod.Started lone  by kubelet  [own]
          Pod.Ready lone  by kubelet  [own]
        """,
    )
