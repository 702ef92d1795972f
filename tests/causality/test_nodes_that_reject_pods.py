"""Nodes that do not keep or admit Pods: a shutdown, taints, removed labels."""

from tests.causality.actors import done, kill, new_pod, new_replicas, only, rolled_out, run
from tests.causality.cluster import Cluster
from tests.causality.drawing import shows
from tests.causality.test_nodes import evict, node


def test_a_node_shutdown_ends_its_pods() -> None:
    c = Cluster()
    host = node(c)
    _, rs, (pod,) = rolled_out(c, "web")
    c.first_list()
    c.condition(host, "Ready", "False", reason="KubeletNotReady", message="node is shutting down", by="kubelet")
    c.event(host, "NodeNotReady", "Node node-a status is now: NodeNotReady", by="kubelet", uid="node-a")
    c.condition(pod, "DisruptionTarget", "True", reason="TerminationByKubelet", by="kubelet")
    message = "Pod was terminated in response to imminent node shutdown."
    c.status(pod, by="kubelet", phase="Failed", reason="Terminated", message=message)
    run(c, new_pod(c, rs, "web-1-b"), "node-b")
    done(c, rs)
    shows(
        c,
        """
        (incomplete)
        (failing)
        Node.Ready=False node-a  by kubelet  [root] error
          Node.NodeNotReady node-a  by kubelet  [own]
          Pod.Failed web-1-a  by kubelet  [place] error
            ReplicaSet.SuccessfulCreate web-1  by replicaset-controller  [owner]
              Pod.Create web-1-b  by replicaset-controller  [subject]
                Pod.Scheduled web-1-b  by default-scheduler  [own]
                Pod.Started web-1-b  by kubelet  [own]
                Pod.Ready web-1-b  by kubelet  [own]
        """,
    )


def test_a_pod_on_a_tainted_node_stays_for_its_toleration_seconds() -> None:
    c = Cluster()
    old = node(c)
    web = c.apply("Deployment", "web", replicas=1)
    rs = new_replicas(c, web, "web-1", 1)
    patient = [{"key": "gone", "effect": "NoExecute", "tolerationSeconds": 40}]
    one = new_pod(c, rs, "web-1-a", tolerations=patient)
    run(c, one)
    done(c, rs, web)
    c.first_list()
    c.update(old, by="kubectl-taint", taints=[{"key": "gone", "effect": "NoExecute"}])
    c.wait(40)
    evict(c, one, "DeletionByTaintManager")
    two = new_pod(c, rs, "web-1-b", reported=False, tolerations=patient)
    run(c, two)
    c.gone(one)
    c.wait(40)
    evict(c, two, "DeletionByTaintManager")
    c.gone(two)
    shows(
        c,
        """
        Node.Update node-a  by kubectl  [root]
          Pod.Delete web-1-a  by taint-eviction-controller  [place]
            Pod.Killing web-1-a  by kubelet  [own]
            Pod.Create web-1-b  by replicaset-controller  [owner]
              Pod.Scheduled web-1-b  by default-scheduler  [own]
              Pod.Started web-1-b  by kubelet  [own]
              Pod.Ready web-1-b  by kubelet  [own]
          Pod.Delete web-1-b  by taint-eviction-controller  [place]
            Pod.Killing web-1-b  by kubelet  [own]
        """,
    )


def test_removing_a_nodes_label_causes_the_deletion_of_the_daemon_sets_pod() -> None:
    c = Cluster()
    one = node(c)
    agent = c.apply("DaemonSet", "agent")
    pod = new_pod(c, agent, "agent-a", affinity=only("node-a"))
    run(c, pod)
    done(c, agent)
    c.first_list()
    c.label(one, disk="hdd")
    kill(c, pod, by=agent)
    c.gone(pod)
    shows(
        c,
        """
        Node.Update node-a  by kubectl  [root]
          DaemonSet.SuccessfulDelete agent  by daemonset-controller  [place]
            Pod.Delete agent-a  by daemonset-controller  [subject]
              Pod.Killing agent-a  by kubelet  [own]
        """,
    )


def test_a_taint_causes_the_deletion_of_a_daemon_set_pod_without_a_disruption_condition() -> None:
    c = Cluster()
    one = node(c)
    agent = c.apply("DaemonSet", "agent")
    pod = new_pod(c, agent, "agent-a", affinity=only("node-a"))
    run(c, pod)
    done(c, agent)
    c.first_list()
    c.update(one, by="kubectl-taint", taints=[{"key": "gone", "effect": "NoExecute"}])
    kill(c, pod)
    c.gone(pod)
    shows(
        c,
        """
        Node.Update node-a  by kubectl  [root]
          Pod.Delete agent-a  by daemonset-controller  [place]
            Pod.Killing agent-a  by kubelet  [own]
        """,
    )
