"""Preemption, as reported by several versions of the scheduler."""

import pytest

from tests.causality.actors import new_pod, rolled_out, run
from tests.causality.cluster import STEP, Cluster, Thing
from tests.causality.drawing import CLUSTER, draw, shows
from tests.causality.test_nodes import node
from tests.recordings import fold


def crowded(c: Cluster) -> tuple[Thing, Thing, Thing]:
    """(a ReplicaSet, its Pod on the only node, an urgent Pod that does not fit)."""
    node(c)
    _, rs, (victim,) = rolled_out(c, "web")
    c.first_list()
    urgent = c.create("Pod", "urgent", by="kubectl-run", containers=[{"name": "app"}])
    message = "0/1 nodes are available: 1 Insufficient cpu."
    c.event(urgent, "FailedScheduling", message, by="default-scheduler", new=True, warning=True)
    c.condition(urgent, "PodScheduled", "False", reason="Unschedulable", message=message, by="kube-scheduler")
    return rs, victim, urgent


@pytest.mark.parametrize("message", ["by shop/urgent on node node-a", "Preempted by shop/urgent on node node-a"])
def test_before_there_was_a_related_object_the_message_named_the_pod_that_needs_the_room(message: str) -> None:
    c = Cluster()
    rs, victim, urgent = crowded(c)
    c.delete(victim, grace=5)
    c.event(victim, "Preempted", message, by="default-scheduler")
    again = new_pod(c, rs, "web-1-b")
    c.gone(victim)
    run(c, urgent)
    run(c, again)
    shows(
        c,
        """
        Pod.Create urgent  by kubectl  [root]
          Pod.FailedScheduling urgent  by default-scheduler  [own] error
          Pod.Preempted web-1-a  by default-scheduler  [subject]
            Pod.Delete web-1-a  by default-scheduler  [subject]
              ReplicaSet.SuccessfulCreate web-1  by replicaset-controller  [owner]
                Pod.Create web-1-b  by replicaset-controller  [subject]
                  Pod.Scheduled web-1-b  by default-scheduler  [own]
                  Pod.Started web-1-b  by kubelet  [own]
                  Pod.Ready web-1-b  by kubelet  [own]
          Pod.Scheduled urgent  by default-scheduler  [own]
          Pod.Started urgent  by kubelet  [own]
          Pod.Ready urgent  by kubelet  [own]
        """,
    )


def test_a_preemption_without_its_event_is_by_the_scheduler_and_has_no_known_cause() -> None:
    """The condition of the Pod shows that the scheduler did it, but not for which Pod."""
    c = Cluster()
    rs, victim, urgent = crowded(c)
    why = "default-scheduler: preempting to accommodate a higher priority pod"
    c.condition(victim, "DisruptionTarget", "True", reason="PreemptionByScheduler", message=why, by="kube-scheduler")
    c.delete(victim, grace=5)
    again = new_pod(c, rs, "web-1-b")
    c.gone(victim)
    run(c, urgent)
    run(c, again)
    shows(
        c,
        """
        Pod.Create urgent  by kubectl  [root]
          Pod.FailedScheduling urgent  by default-scheduler  [own] error
          Pod.Scheduled urgent  by default-scheduler  [own]
          Pod.Started urgent  by kubelet  [own]
          Pod.Ready urgent  by kubelet  [own]

        Pod.Delete web-1-a  by default-scheduler  [root]
          * DisruptionTarget
          ReplicaSet.SuccessfulCreate web-1  by replicaset-controller  [owner]
            Pod.Create web-1-b  by replicaset-controller  [subject]
              Pod.Scheduled web-1-b  by default-scheduler  [own]
              Pod.Started web-1-b  by kubelet  [own]
              Pod.Ready web-1-b  by kubelet  [own]
        """,
        notes=True,
    )


def test_the_pod_that_needs_the_room_is_known_by_its_uid_even_if_it_is_received_after_the_preemption() -> None:
    """The scheduler acts on a Pod before everybody else has received it."""
    c = Cluster()
    node(c)
    _, _, (victim,) = rolled_out(c, "web")
    c.first_list()
    urgent = c.create("Pod", "urgent", by="kubectl-run", containers=[{"name": "app"}])
    c.now -= 4 * STEP
    c.delete(victim, grace=5)
    message = f"Preempted by pod {urgent.meta['uid']} on node node-a"
    c.event(victim, "Preempted", message, by="default-scheduler", new=True, late=1)
    c.wait(1)
    c.gone(victim)
    run(c, urgent)
    assert draw(fold(CLUSTER, c.records)).splitlines()[:3] == [
        "Pod.Create urgent  by kubectl  [root]",
        "  Pod.Preempted web-1-a  by default-scheduler  [subject]",
        "    Pod.Delete web-1-a  by default-scheduler  [subject]",
    ]
