"""Changes and failures of nodes, and their effects on Pods."""

from kspan.graph.cause.choice import UNKNOWN
from tests.causality.actors import done, kill, new_pod, new_replicas, only, rolled_out, run
from tests.causality.cluster import MANAGER, Cluster, Thing
from tests.causality.drawing import CLUSTER, shows
from tests.recordings import fold

NOT_READY = {"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"}


def node(c: Cluster, name: str = "node-a") -> Thing:
    found = c.create("Node", name, by="kubelet")
    return c.condition(found, "Ready", "True", by="kubelet")


def evict(c: Cluster, pod: Thing, reason: str, by: str = MANAGER, message: str = "") -> None:
    """The condition with the reason, then the deletion."""
    c.condition(pod, "DisruptionTarget", "True", reason=reason, message=message, by=by)
    kill(c, pod)


def test_a_drain_is_caused_by_the_cordon() -> None:
    c = Cluster()
    old = node(c)
    web, rs, (one, two) = rolled_out(c, "web", 2)
    c.first_list()
    c.update(old, by="kubectl", unschedulable=True)
    c.update(old, by=MANAGER, taints=[{"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}])
    c.event(old, "NodeNotSchedulable", "Node node-a status is now: NodeNotSchedulable", by="kubelet", uid="node-a")
    evict(c, one, "EvictionByEvictionAPI")
    run(c, new_pod(c, rs, "web-1-c"), "node-b")
    evict(c, two, "EvictionByEvictionAPI")
    run(c, new_pod(c, rs, "web-1-d", reported=False), "node-b")
    done(c, rs, web)
    c.gone(one)
    c.gone(two)
    shows(
        c,
        """
        Node.Update node-a  by kubectl  [root]
          Node.Update node-a  by node-controller  [own]
            Node.NodeNotSchedulable node-a  by kubelet  [own]
          Pod.Delete web-1-a  by unknown  [place]
            Pod.Killing web-1-a  by kubelet  [own]
            ReplicaSet.SuccessfulCreate web-1  by replicaset-controller  [owner]
              Pod.Create web-1-c  by replicaset-controller  [subject]
                Pod.Scheduled web-1-c  by default-scheduler  [own]
                Pod.Started web-1-c  by kubelet  [own]
                Pod.Ready web-1-c  by kubelet  [own]
          Pod.Delete web-1-b  by unknown  [place]
            Pod.Killing web-1-b  by kubelet  [own]
            Pod.Create web-1-d  by replicaset-controller  [owner]
              Pod.Scheduled web-1-d  by default-scheduler  [own]
              Pod.Started web-1-d  by kubelet  [own]
              Pod.Ready web-1-d  by kubelet  [own]
        """,
    )


def test_the_evictions_of_a_drain_long_after_the_cordon_are_one_trace() -> None:
    c = Cluster()
    old = node(c)
    _, rs, (one, two) = rolled_out(c, "web", 2)
    api, _, (three,) = rolled_out(c, "api")
    c.first_list()
    c.update(old, by="kubectl-cordon", unschedulable=True)
    c.wait(60)
    for pod in (one, three):
        evict(c, pod, "EvictionByEvictionAPI")
        c.wait(2)
        c.gone(pod)
    run(c, new_pod(c, rs, "web-1-c", reported=False), "node-b")
    c.update(api, by="kubectl", subresource="scale", replicas=2)
    c.wait(60)
    evict(c, two, "EvictionByEvictionAPI")
    c.gone(two)
    shows(
        c,
        """
        Node.Update node-a  by kubectl  [root]

        (continues Node.Update node-a trace)
        Pod.Delete web-1-a  by unknown  [place]
          Pod.Killing web-1-a  by kubelet  [own]
          Pod.Delete api-1-a  by unknown  [place]
            Pod.Killing api-1-a  by kubelet  [own]
          Pod.Create web-1-c  by replicaset-controller  [owner]
            Pod.Scheduled web-1-c  by default-scheduler  [own]
            Pod.Started web-1-c  by kubelet  [own]
            Pod.Ready web-1-c  by kubelet  [own]

        (incomplete)
        Deployment.Update api  by kubectl  [root]

        (continues Node.Update node-a trace)
        Pod.Delete web-1-b  by unknown  [place]
          Pod.Killing web-1-b  by kubelet  [own]
        """,
    )


def test_an_eviction_from_a_node_that_nobody_drains_is_a_root() -> None:
    """The node was changed recently, but not in a way that evicts Pods."""
    c = Cluster()
    old = node(c)
    _, rs, (pod,) = rolled_out(c, "web")
    c.first_list()
    c.update(old, by="kubectl", unschedulable=True)
    c.wait(1)
    c.update(old, by="kubectl", unschedulable=False)
    c.wait(1)
    evict(c, pod, "EvictionByEvictionAPI")
    run(c, new_pod(c, rs, "web-1-b"))
    c.gone(pod)
    shows(
        c,
        """
        Node.Update node-a  by kubectl  [root]

        Node.Update node-a  by kubectl  [root]

        Pod.Delete web-1-a  by unknown  [root]
          Pod.Killing web-1-a  by kubelet  [own]
          ReplicaSet.SuccessfulCreate web-1  by replicaset-controller  [owner]
            Pod.Create web-1-b  by replicaset-controller  [subject]
              Pod.Scheduled web-1-b  by default-scheduler  [own]
              Pod.Started web-1-b  by kubelet  [own]
              Pod.Ready web-1-b  by kubelet  [own]
        """,
    )


def test_a_scale_down_during_a_drain_is_not_caused_by_the_drain() -> None:
    c = Cluster()
    old = node(c)
    web, rs, (one, two) = rolled_out(c, "web", 2)
    c.first_list()
    c.update(old, by="kubectl", unschedulable=True)
    c.wait(1)
    c.update(web, by="kubectl", subresource="scale", replicas=1)
    c.update(rs, by=MANAGER, replicas=1)
    kill(c, two)
    evict(c, one, "EvictionByEvictionAPI")
    new_pod(c, rs, "web-1-c", reported=False)
    c.gone(one)
    c.gone(two)
    done(c, rs, web)
    shows(
        c,
        """
        (incomplete)
        Node.Update node-a  by kubectl  [root]
          Pod.Delete web-1-a  by unknown  [place]
            Pod.Killing web-1-a  by kubelet  [own]
            Pod.Create web-1-c  by replicaset-controller  [owner]

        Deployment.Update web  by kubectl  [root]
          ReplicaSet.Update web-1  by deployment-controller  [owner]
            Pod.Delete web-1-b  by replicaset-controller  [owner]
              Pod.Killing web-1-b  by kubelet  [own]
        """,
    )


def test_a_taint_by_hand_evicts_the_pods_on_its_node() -> None:
    """The taint manager names Pods without their uid."""
    c = Cluster()
    old, other = node(c), node(c, "node-b")
    _, rs, (pod,) = rolled_out(c, "web")
    c.first_list()
    c.update(old, by="kubectl-taint", taints=[{"key": "gone", "effect": "NoExecute"}])
    c.update(other, by="kubectl-taint", taints=[{"key": "batch", "effect": "NoSchedule"}])
    message = "Marking for deletion Pod shop/web-1-a"
    c.event(pod, "TaintManagerEviction", message, by="taint-eviction-controller", uid="")
    evict(c, pod, "DeletionByTaintManager")
    run(c, new_pod(c, rs, "web-1-b"), "node-b")
    c.gone(pod)
    shows(
        c,
        """
        Node.Update node-a  by kubectl  [root]
          Pod.TaintManagerEviction web-1-a  by taint-eviction-controller  [place]
            Pod.Delete web-1-a  by taint-eviction-controller  [subject]
              Pod.Killing web-1-a  by kubelet  [own]
              ReplicaSet.SuccessfulCreate web-1  by replicaset-controller  [owner]
                Pod.Create web-1-b  by replicaset-controller  [subject]
                  Pod.Scheduled web-1-b  by default-scheduler  [own]
                  Pod.Started web-1-b  by kubelet  [own]
                  Pod.Ready web-1-b  by kubelet  [own]

        Node.Update node-b  by kubectl  [root]
        """,
    )


def test_a_node_that_dies_loses_its_pods_after_a_while() -> None:
    c = Cluster()
    old = node(c)
    _, rs, (pod,) = rolled_out(c, "web")
    c.first_list()
    c.condition(old, "Ready", "Unknown", reason="NodeStatusUnknown")
    c.event(old, "NodeNotReady", "Node node-a status is now: NodeNotReady", by="node-controller")
    c.event(pod, "NodeNotReady", "Node is not ready", by="node-controller", warning=True)
    c.update(old, by=MANAGER, taints=[{**NOT_READY, "effect": "NoSchedule"}])
    c.wait(5)
    c.update(old, by=MANAGER, taints=[{**NOT_READY, "effect": "NoSchedule"}, NOT_READY])
    c.wait(300)
    message = "Marking for deletion Pod shop/web-1-a"
    c.event(pod, "TaintManagerEviction", message, by="taint-eviction-controller", uid="")
    c.condition(pod, "DisruptionTarget", "True", reason="DeletionByTaintManager")
    c.delete(pod, grace=30)
    run(c, new_pod(c, rs, "web-1-b"), "node-b")
    shows(
        c,
        """
        (incomplete)
        (failing)
        Node.Ready=Unknown node-a  by node-controller  [root] error
          Node.NodeNotReady node-a  by node-controller  [own]
            Pod.NodeNotReady web-1-a  by node-controller  [place] error
            Node.Update node-a  by node-controller  [subject]
              Node.Update node-a  by node-controller  [own]
                Pod.TaintManagerEviction web-1-a  by taint-eviction-controller  [place]
                  Pod.Delete web-1-a  by taint-eviction-controller  [subject]
                    ReplicaSet.SuccessfulCreate web-1  by replicaset-controller  [owner]
                      Pod.Create web-1-b  by replicaset-controller  [subject]
                        Pod.Scheduled web-1-b  by default-scheduler  [own]
                        Pod.Started web-1-b  by kubelet  [own]
                        Pod.Ready web-1-b  by kubelet  [own]
        """,
    )


def test_a_preemption_is_caused_by_the_pod_that_needs_the_room() -> None:
    c = Cluster()
    node(c)
    _, rs, (victim,) = rolled_out(c, "web")
    c.first_list()
    urgent = c.create("Pod", "urgent", by="kubectl-run", containers=[{"name": "app"}])
    c.condition(
        victim, "DisruptionTarget", "True", reason="PreemptionByScheduler", message="preempting", by="kube-scheduler"
    )
    c.delete(victim, grace=5)
    message = f"Preempted by pod {urgent.meta['uid']} on node node-a"
    c.event(victim, "Preempted", message, by="default-scheduler", new=True, related=urgent)
    c.event(victim, "Killing", "Stopping container app", by="kubelet", host="node-a")
    again = new_pod(c, rs, "web-1-b")
    c.gone(victim)
    run(c, urgent)
    run(c, again)
    shows(
        c,
        """
        Pod.Create urgent  by kubectl  [root]
          Pod.Preempted web-1-a  by default-scheduler  [subject]
            Pod.Delete web-1-a  by default-scheduler  [subject]
              Pod.Killing web-1-a  by kubelet  [own]
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


def test_the_pods_of_a_removed_node_are_deleted_with_it() -> None:
    c = Cluster()
    old = node(c)
    _, rs, (pod,) = rolled_out(c, "web")
    c.first_list()
    c.gone(old)
    c.wait(5)
    c.condition(pod, "DisruptionTarget", "True", reason="DeletionByPodGC")
    c.gone(pod)
    run(c, new_pod(c, rs, "web-1-b"), "node-b")
    shows(
        c,
        """
        Node.Delete node-a  by unknown  [root]
          Pod.Delete web-1-a  by pod-garbage-collector  [place]
            ReplicaSet.SuccessfulCreate web-1  by replicaset-controller  [owner]
              Pod.Create web-1-b  by replicaset-controller  [subject]
                Pod.Scheduled web-1-b  by default-scheduler  [own]
                Pod.Started web-1-b  by kubelet  [own]
                Pod.Ready web-1-b  by kubelet  [own]
        """,
    )


def test_the_pods_of_a_removed_node_are_in_its_trace_although_they_are_deleted_a_minute_later() -> None:
    c = Cluster()
    old = node(c)
    _, rs, (one, two) = rolled_out(c, "web", 2)
    c.first_list()
    c.gone(old)
    for pod, name in ((one, "web-1-c"), (two, "web-1-d")):
        c.wait(50)
        c.condition(pod, "DisruptionTarget", "True", reason="DeletionByPodGC")
        c.gone(pod)
        run(c, new_pod(c, rs, name, reported=False), "node-b")
    shows(
        c,
        """
        Node.Delete node-a  by unknown  [root]
          Pod.Delete web-1-a  by pod-garbage-collector  [place]
            Pod.Create web-1-c  by replicaset-controller  [owner]
              Pod.Scheduled web-1-c  by default-scheduler  [own]
              Pod.Started web-1-c  by kubelet  [own]
              Pod.Ready web-1-c  by kubelet  [own]
          Pod.Delete web-1-b  by pod-garbage-collector  [place]
            Pod.Create web-1-d  by replicaset-controller  [owner]
              Pod.Scheduled web-1-d  by default-scheduler  [own]
              Pod.Started web-1-d  by kubelet  [own]
              Pod.Ready web-1-d  by kubelet  [own]
        """,
    )


def collect(c: Cluster, pod: Thing) -> None:
    """The Pod garbage collector removes a Pod whose Node is gone: one patch of the phase and the condition, then the
    deletion, as pkg/controller/podgc/gc_controller.go does it."""
    target = {"type": "DisruptionTarget", "status": "True", "reason": "DeletionByPodGC"}
    conditions = [*pod.raw["status"].get("conditions", []), target]
    c.status(pod, by=MANAGER, phase="Failed", conditions=conditions)
    c.gone(pod)


def test_pods_that_fail_because_they_are_removed_with_their_node_are_no_failure() -> None:
    c = Cluster()
    old = node(c)
    _, rs, (pod,) = rolled_out(c, "web")
    agent = c.apply("DaemonSet", "agent")
    run(c, own := new_pod(c, agent, "agent-a", affinity=only("node-a")))
    c.first_list()
    c.gone(old)
    c.wait(50)
    collect(c, own)
    collect(c, pod)
    run(c, new_pod(c, rs, "web-1-b"), "node-b")
    shows(
        c,
        """
        Node.Delete node-a  by unknown  [root]
          Pod.Failed agent-a  by pod-garbage-collector  [place]
            Pod.Delete agent-a  by pod-garbage-collector  [own]
          Pod.Failed web-1-a  by pod-garbage-collector  [place]
            Pod.Delete web-1-a  by pod-garbage-collector  [own]
            ReplicaSet.SuccessfulCreate web-1  by replicaset-controller  [owner]
              Pod.Create web-1-b  by replicaset-controller  [subject]
                Pod.Scheduled web-1-b  by default-scheduler  [own]
                Pod.Started web-1-b  by kubelet  [own]
                Pod.Ready web-1-b  by kubelet  [own]
        """,
    )
    (trace,) = fold(CLUSTER, c.records)["traces"]
    assert trace["outcome"] == "ok"


def test_a_removed_node_whose_pods_stay_is_not_ok() -> None:
    c = Cluster()
    old = node(c)
    rolled_out(c, "web")
    c.first_list()
    c.gone(old)
    shows(
        c,
        """
        (incomplete)
        Node.Delete node-a  by unknown  [root]
        """,
    )
    (trace,) = fold(CLUSTER, c.records)["traces"]
    assert trace["reason"] == "Pods are left on Node node-a, which was deleted"


def test_a_removed_node_that_joins_again_keeps_its_pods_and_its_trace_does_not_wait_for_them() -> None:
    c = Cluster()
    old = node(c)
    rolled_out(c, "web")
    c.first_list()
    c.gone(old)
    c.wait(20)
    node(c)
    shows(
        c,
        """
        Node.Delete node-a  by unknown  [root]

        Node.Create node-a  by kubelet  [root]
          Node.Ready node-a  by kubelet  [own]
        """,
    )


def test_a_new_node_gets_the_pods_of_the_daemon_sets() -> None:
    c = Cluster()
    agent = c.apply("DaemonSet", "agent")
    done(c, agent)
    c.first_list()
    new = node(c, "node-c")
    c.event(new, "RegisteredNode", "Node node-c event: Registered Node node-c in Controller", by="node-controller")
    run(c, new_pod(c, agent, "agent-x", affinity=only("node-c")), "node-c")
    shows(
        c,
        """
        Node.Create node-c  by kubelet  [root]
          Node.Ready node-c  by kubelet  [own]
          Node.RegisteredNode node-c  by node-controller  [own]
          DaemonSet.SuccessfulCreate agent  by daemonset-controller  [place]
            Pod.Create agent-x  by daemonset-controller  [subject]
              Pod.Scheduled agent-x  by default-scheduler  [own]
              Pod.Started agent-x  by kubelet  [own]
              Pod.Ready agent-x  by kubelet  [own]
        """,
    )


def test_a_label_on_a_node_causes_the_daemon_sets_pod() -> None:
    """A label change without an effect starts no trace."""
    c = Cluster()
    some, other = node(c, "node-c"), node(c, "node-d")
    agent = c.apply("DaemonSet", "agent")
    done(c, agent)
    c.first_list()
    c.label(other, team="blue")
    c.label(some, logs="yes")
    run(c, new_pod(c, agent, "agent-x", affinity=only("node-c"), reported=False), "node-c")
    shows(
        c,
        """
        Node.Update node-c  by kubectl  [root]
          Pod.Create agent-x  by daemonset-controller  [place]
            Pod.Scheduled agent-x  by default-scheduler  [own]
            Pod.Started agent-x  by kubelet  [own]
            Pod.Ready agent-x  by kubelet  [own]
        """,
    )


def test_the_kubelets_events_of_its_node_are_matched_by_name() -> None:
    c = Cluster()
    new = node(c)
    c.event(new, "Starting", "Starting kubelet.", by="kubelet", host="node-a", uid="node-a")
    c.event(new, "NodeReady", "Node node-a status is now: NodeReady", by="kubelet", host="node-a", uid="node-a")
    shows(
        c,
        """
        Node.Create node-a  by kubelet  [root]
          Node.Ready node-a  by kubelet  [own]
            Node.NodeReady node-a  by kubelet  [own]
          Node.Starting node-a  by kubelet  [own]
        """,
    )


def test_a_drained_stateful_set_pod_is_created_again_with_its_name() -> None:
    c = Cluster()
    old = node(c)
    db = c.apply("StatefulSet", "db", replicas=1)
    pod = new_pod(c, db, "db-0", reported=False)
    run(c, pod)
    done(c, db)
    c.first_list()
    c.update(old, by="kubectl", unschedulable=True)
    evict(c, pod, "EvictionByEvictionAPI")
    c.wait(4)
    c.gone(pod)
    run(c, new_pod(c, db, "db-0", message="create Pod db-0 in StatefulSet db successful"), "node-b")
    shows(
        c,
        """
        Node.Update node-a  by kubectl  [root]
          Pod.Delete db-0  by unknown  [place]
            Pod.Killing db-0  by kubelet  [own]
            StatefulSet.SuccessfulCreate db  by statefulset-controller  [owner]
              Pod.Create db-0  by statefulset-controller  [subject]
                Pod.Scheduled db-0  by default-scheduler  [own]
                Pod.Started db-0  by kubelet  [own]
                Pod.Ready db-0  by kubelet  [own]
        """,
    )


def test_an_autoscaler_that_taints_a_node_and_empties_it_is_the_root() -> None:
    c = Cluster()
    old = node(c)
    _, rs, (pod,) = rolled_out(c, "web")
    c.first_list()
    c.update(old, by="cluster-autoscaler", taints=[{"key": "ToBeDeletedByClusterAutoscaler", "effect": "NoSchedule"}])
    c.wait(3)
    evict(c, pod, "EvictionByEvictionAPI")
    run(c, new_pod(c, rs, "web-1-b", reported=False), "node-b")
    c.gone(pod)
    shows(
        c,
        """
        Node.Update node-a  by cluster-autoscaler  [root]
          Pod.Delete web-1-a  by unknown  [place]
            Pod.Killing web-1-a  by kubelet  [own]
            Pod.Create web-1-b  by replicaset-controller  [owner]
              Pod.Scheduled web-1-b  by default-scheduler  [own]
              Pod.Started web-1-b  by kubelet  [own]
              Pod.Ready web-1-b  by kubelet  [own]
        """,
    )


def test_a_taint_causes_the_eviction_after_the_toleration_seconds() -> None:
    """The trace waits only for Pods with toleration seconds."""
    c = Cluster()
    old = node(c)
    web = c.apply("Deployment", "web", replicas=2)
    rs = new_replicas(c, web, "web-1", 2)
    patient, lasting = ([{"key": "gone", "effect": "NoExecute", **more}] for more in ({"tolerationSeconds": 60}, {}))
    one, two = new_pod(c, rs, "web-1-a", tolerations=patient), new_pod(c, rs, "web-1-b", tolerations=lasting)
    for pod in (one, two):
        run(c, pod)
    done(c, rs, web)
    c.first_list()
    c.update(old, by="kubectl-taint", taints=[{"key": "gone", "effect": "NoExecute"}])
    c.wait(60)
    evict(c, one, "DeletionByTaintManager")
    run(c, new_pod(c, rs, "web-1-c", reported=False), "node-b")
    c.gone(one)
    shows(
        c,
        """
        Node.Update node-a  by kubectl  [root]
          Pod.Delete web-1-a  by taint-eviction-controller  [place]
            Pod.Killing web-1-a  by kubelet  [own]
            Pod.Create web-1-c  by replicaset-controller  [owner]
              Pod.Scheduled web-1-c  by default-scheduler  [own]
              Pod.Started web-1-c  by kubelet  [own]
              Pod.Ready web-1-c  by kubelet  [own]
        """,
    )


def test_a_drain_of_a_node_that_was_cordoned_shortly_before_anybody_watched() -> None:
    c = Cluster()
    old = node(c)
    _, rs, (pod,) = rolled_out(c, "web")
    c.wait(7200)
    c.update(old, by="kubectl", unschedulable=True)
    c.update(old, by=MANAGER, taints=[{"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}])
    c.events.clear()
    c.first_list(30)
    evict(c, pod, "EvictionByEvictionAPI")
    run(c, new_pod(c, rs, "web-1-b", reported=False), "node-b")
    c.gone(pod)
    shows(
        c,
        """
        Node.Update node-a  by kubectl  [root]
          Pod.Delete web-1-a  by unknown  [place]
            Pod.Killing web-1-a  by kubelet  [own]
            Pod.Create web-1-b  by replicaset-controller  [owner]
              Pod.Scheduled web-1-b  by default-scheduler  [own]
              Pod.Started web-1-b  by kubelet  [own]
              Pod.Ready web-1-b  by kubelet  [own]
        """,
    )


def test_a_drain_of_a_node_that_was_cordoned_long_ago_has_no_known_cause() -> None:
    c = Cluster()
    old = node(c)
    _, rs, (pod,) = rolled_out(c, "web")
    c.update(old, by="kubectl", unschedulable=True)
    c.first_list()
    evict(c, pod, "EvictionByEvictionAPI")
    run(c, new_pod(c, rs, "web-1-b", reported=False), "node-b")
    c.gone(pod)
    shows(
        c,
        """
        Pod.Delete web-1-a  by unknown  [root]
          Pod.Killing web-1-a  by kubelet  [own]
          Pod.Create web-1-b  by replicaset-controller  [owner]
            Pod.Scheduled web-1-b  by default-scheduler  [own]
            Pod.Started web-1-b  by kubelet  [own]
            Pod.Ready web-1-b  by kubelet  [own]
        """,
    )


def test_a_drain_that_a_disruption_budget_delays_continues_with_the_next_ready_pod() -> None:
    """A refused eviction is not recorded; kubectl retries every five seconds."""
    c = Cluster()
    old = node(c)
    _, rs, (one, two) = rolled_out(c, "web", 2)
    c.first_list()
    c.update(old, by="kubectl", unschedulable=True)
    evict(c, one, "EvictionByEvictionAPI")
    new = new_pod(c, rs, "web-1-c", reported=False)
    c.wait(40)
    run(c, new, "node-b")
    c.gone(one)
    c.wait(5)
    evict(c, two, "EvictionByEvictionAPI")
    run(c, new_pod(c, rs, "web-1-d", reported=False), "node-b")
    c.gone(two)
    shows(
        c,
        """
        Node.Update node-a  by kubectl  [root]
          Pod.Delete web-1-a  by unknown  [place]
            Pod.Killing web-1-a  by kubelet  [own]
            Pod.Create web-1-c  by replicaset-controller  [owner]
              Pod.Scheduled web-1-c  by default-scheduler  [own]
              Pod.Started web-1-c  by kubelet  [own]
              Pod.Ready web-1-c  by kubelet  [own]
          Pod.Delete web-1-b  by unknown  [place]
            Pod.Killing web-1-b  by kubelet  [own]
            Pod.Create web-1-d  by replicaset-controller  [owner]
              Pod.Scheduled web-1-d  by default-scheduler  [own]
              Pod.Started web-1-d  by kubelet  [own]
              Pod.Ready web-1-d  by kubelet  [own]
        """,
    )


def test_a_mirror_pod_is_a_root() -> None:
    c = Cluster()
    host = node(c)
    c.first_list()
    c.update(host, by="kubectl", unschedulable=False)
    c.wait(1)
    run(
        c, c.create("Pod", "etcd-node-a", owner=host, by="kubelet", namespace="kube-system", containers=[{"name": "x"}])
    )
    shows(
        c,
        """
        Node.Update node-a  by kubectl  [root]

        Pod.Create etcd-node-a  by kubelet  [root]
          Pod.Scheduled etcd-node-a  by default-scheduler  [own]
          Pod.Started etcd-node-a  by kubelet  [own]
          Pod.Ready etcd-node-a  by kubelet  [own]
        """,
    )


def test_a_taint_is_removed_by_the_node_controller_although_the_kubelet_reports_that_its_node_is_ready() -> None:
    c = Cluster()
    host = node(c)
    c.update(host, by=MANAGER, taints=[NOT_READY])
    c.condition(host, "Ready", "Unknown", by=MANAGER)
    c.first_list()
    c.wait(60)
    c.condition(host, "Ready", "True", by="kubelet")
    c.event(host, "NodeReady", "Node node-a status is now: NodeReady", by="kubelet", host="node-a", uid="node-a")
    c.remove(host, "taints")
    shows(
        c,
        """
        Node.Ready node-a  by kubelet  [root]
          Node.NodeReady node-a  by kubelet  [own]
            Node.Update node-a  by node-controller  [subject]
        """,
    )


NO_FILESYSTEM = "get filesystem info: cannot find filesystem info for device"


def test_what_a_kubelet_reports_about_its_machine_is_not_caused_by_a_cordon() -> None:
    """It reports the same every five minutes, on every Node."""
    c = Cluster()
    old = node(c)
    c.first_list()
    c.wait(60)
    c.update(old, by="kubectl-cordon", unschedulable=True)
    c.event(old, "ImageGCFailed", NO_FILESYSTEM, by="kubelet", uid="node-a", warning=True)
    c.event(old, "NodeNotSchedulable", "Node node-a status is now: NodeNotSchedulable", by="kubelet", uid="node-a")
    shows(
        c,
        """
        Node.Update node-a  by kubectl  [root]
          Node.NodeNotSchedulable node-a  by kubelet  [own]

        Node.ImageGCFailed node-a  by kubelet  [root] error
        """,
    )


def test_a_node_that_is_cordoned_and_uncordoned_in_a_gap_is_so_for_an_unknown_cause() -> None:
    """A list after the gap shows no difference, and the Node is an hour old."""
    c = Cluster()
    old = node(c)
    c.wait(3600)
    failed = c.event(old, "ImageGCFailed", NO_FILESYSTEM, by="kubelet", uid="node-a", warning=True)
    c.first_list(after=60)
    c.stop_watching("Node")
    c.update(old, by="kubectl-cordon", unschedulable=True)
    c.repeat(failed)
    c.wait(8)
    c.event(old, "NodeNotSchedulable", "Node node-a status is now: NodeNotSchedulable", by="kubelet", uid="node-a")
    c.remove(old, "unschedulable")
    c.wait(8)
    c.event(old, "NodeSchedulable", "Node node-a status is now: NodeSchedulable", by="kubelet", uid="node-a")
    c.list_again()
    c.receive_all()
    rows = fold(CLUSTER, c.records)["spans"]
    found = [(row["rule"], row["confidence"]) for row in rows if "Schedulable" in row["name"]]
    assert found == [("root", UNKNOWN.confidence)] * 2


def test_an_uncordon_is_reported_by_the_kubelet_and_not_a_taint_that_was_set_since() -> None:
    c = Cluster()
    old = node(c)
    c.update(old, by="kubectl-cordon", unschedulable=True)
    c.first_list()
    c.remove(old, "unschedulable")
    c.update(old, by="kubectl-taint", taints=[{"key": "maintenance", "effect": "NoSchedule"}])
    c.event(old, "NodeSchedulable", "Node node-a status is now: NodeSchedulable", by="kubelet", uid="node-a")
    shows(
        c,
        """
        Node.Update node-a  by kubectl  [root]
          Node.NodeSchedulable node-a  by kubelet  [own]

        Node.Update node-a  by kubectl  [root]
        """,
    )
