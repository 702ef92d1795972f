"""What follows from the loss of Pods, besides their replacement: refusals, and budgets that are used up."""

import pytest

from kspan.times import SECOND
from tests.causality.actors import new_pod, rolled_out, run
from tests.causality.cluster import Cluster, Thing, second
from tests.causality.drawing import shows

REFUSED = 'Error creating: pods "web-1-z" is forbidden: error looking up service account shop/web: not found'


def settled(pods: int = 1) -> tuple[Cluster, Thing, list[Thing]]:
    """A Deployment that was rolled out before anybody watched, its ReplicaSet and its Pods."""
    c = Cluster()
    _, rs, made = rolled_out(c, "web", pods)
    c.first_list()
    return c, rs, made


def test_a_replacement_that_is_refused_goes_back_to_the_lost_pod_like_the_one_that_is_created_then() -> None:
    c, rs, (pod,) = settled()
    c.delete(pod, grace=30)
    event = c.event(rs, "FailedCreate", REFUSED, by="replicaset-controller", warning=True)
    c.wait(1)
    c.repeat(event)
    c.wait(5)
    run(c, new_pod(c, rs, "web-1-new"))
    c.gone(pod)
    shows(
        c,
        f"""
        Pod.Delete {pod.name}  by unknown  [root]
          ReplicaSet.FailedCreate {rs.name}  by replicaset-controller  [owner] +1 error
          ReplicaSet.SuccessfulCreate {rs.name}  by replicaset-controller  [owner]
            Pod.Create web-1-new  by replicaset-controller  [subject]
              Pod.Scheduled web-1-new  by default-scheduler  [own]
              Pod.Started web-1-new  by kubelet  [own]
              Pod.Ready web-1-new  by kubelet  [own]
        """,
    )


OWNERS = [
    ("StatefulSet", "statefulset-controller", "create Pod web-0 in StatefulSet web failed error: pods is forbidden"),
    ("DaemonSet", "daemonset-controller", 'Error creating: pods "web-" is forbidden: exceeded quota'),
    ("Job", "job-controller", 'Error creating: pods "web-" is forbidden: no service account'),
]


@pytest.mark.parametrize("kind, controller, message", OWNERS, ids=[kind for kind, *_ in OWNERS])
def test_every_controller_is_refused_the_replacement_because_of_the_lost_pod(
    kind: str, controller: str, message: str
) -> None:
    c = Cluster()
    owner = c.apply(kind, "web", replicas=1)
    pod = new_pod(c, owner, "web-0", reported=False)
    run(c, pod)
    c.first_list()
    c.delete(pod, grace=30)
    c.wait(1)
    c.gone(pod)
    c.event(owner, "FailedCreate", message, by=controller, warning=True)
    shows(
        c,
        f"""
        (failing)
        Pod.Delete web-0  by unknown  [root] error
          {kind}.FailedCreate web  by {controller}  [owner] error
        """,
    )


def test_a_refusal_after_the_replacement_does_not_go_back_to_the_lost_pod() -> None:
    c, rs, (pod,) = settled()
    c.delete(pod, grace=30)
    run(c, new_pod(c, rs, "web-1-new"))
    c.gone(pod)
    c.wait(5)
    c.update(rs, by="kubectl-scale", replicas=2)
    c.event(rs, "FailedCreate", REFUSED, by="replicaset-controller", warning=True)
    shows(
        c,
        f"""
        Pod.Delete {pod.name}  by unknown  [root]
          ReplicaSet.SuccessfulCreate {rs.name}  by replicaset-controller  [owner]
            Pod.Create web-1-new  by replicaset-controller  [subject]
              Pod.Scheduled web-1-new  by default-scheduler  [own]
              Pod.Started web-1-new  by kubelet  [own]
              Pod.Ready web-1-new  by kubelet  [own]

        (failing)
        ReplicaSet.Update {rs.name}  by kubectl  [root] error
          ReplicaSet.FailedCreate {rs.name}  by replicaset-controller  [own] error
        """,
    )


def budget(c: Cluster, **labels: str) -> Thing:
    pdb = c.apply("PodDisruptionBudget", "web", minAvailable=1, selector={"matchLabels": labels})
    c.condition(pdb, "DisruptionAllowed", "True", reason="SufficientPods", by="kube-controller-manager")
    return pdb


def test_a_budget_is_used_up_by_the_pod_that_was_removed() -> None:
    c = Cluster()
    _, _, (pod,) = rolled_out(c, "web", 1)
    pdb = budget(c, app="app")
    c.first_list()
    c.delete(pod, grace=30)
    c.condition(pdb, "DisruptionAllowed", "False", reason="InsufficientPods")
    c.gone(pod)
    shows(
        c,
        f"""
        Pod.Delete {pod.name}  by unknown  [root]
          PodDisruptionBudget.DisruptionAllowed=False web  by kube-controller-manager  [owner]
        """,
    )


def test_a_budget_is_used_up_by_a_drain_which_writes_it_before_it_deletes_the_pod() -> None:
    c = Cluster()
    host = c.create("Node", "node-a", by="kubelet")
    _, _, (one,) = rolled_out(c, "web")
    pdb = budget(c, app="app")
    c.first_list()
    c.update(host, by="kubectl", unschedulable=True)
    c.wait(3)
    taken = {"type": "DisruptionAllowed", "status": "False", "reason": "InsufficientPods"}
    c.status(
        pdb, by="kubectl", conditions=[taken], disruptedPods={"gone": second(c.now - SECOND), one.name: second(c.now)}
    )
    c.condition(one, "DisruptionTarget", "True", reason="EvictionByEvictionAPI", by="kubectl")
    c.delete(one, grace=30)
    c.wait(2)
    c.gone(one)
    shows(
        c,
        f"""
        Node.Update node-a  by kubectl  [root]
          Pod.Delete {one.name}  by unknown  [place]
            PodDisruptionBudget.DisruptionAllowed=False web  by kubectl  [owner]
        """,
    )


def test_a_budget_is_not_used_up_by_a_pod_that_it_does_not_guard() -> None:
    c = Cluster()
    _, _, (pod,) = rolled_out(c, "web", 1)
    pdb = budget(c, app="other")
    c.first_list()
    c.delete(pod, grace=30)
    c.condition(pdb, "DisruptionAllowed", "False", reason="InsufficientPods")
    c.gone(pod)
    shows(
        c,
        f"""
        Pod.Delete {pod.name}  by unknown  [root]

        PodDisruptionBudget.DisruptionAllowed=False web  by kube-controller-manager  [root]
        """,
    )
