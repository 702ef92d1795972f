"""Karpenter replaces a Node: it taints it, launches a NodeClaim, and deletes the old one when the new Node is ready.

The order is that of pkg/controllers/disruption/queue.go; a Node gets its NodeClaim as an owner when it has registered
(pkg/controllers/nodeclaim/lifecycle/registration.go). A finalizer of Karpenter drains the Node that is deleted.
"""

from tests.causality.actors import kill, new_pod, rolled_out, run
from tests.causality.cluster import Cluster, Thing
from tests.causality.drawing import shows

KARPENTER = "karpenter"
TERMINATION = "karpenter.sh/termination"


def claim(c: Cluster, name: str) -> Thing:
    return c.create("NodeClaim", name, by=KARPENTER)


def registered(c: Cluster, name: str, owner: Thing) -> Thing:
    """A Node registers itself, and then gets its owner, which does not control it."""
    node = c.create("Node", name, by="kubelet")
    reference = {"apiVersion": "karpenter.sh/v1", "kind": "NodeClaim", "name": owner.name, "uid": owner.meta["uid"]}
    node.meta["ownerReferences"] = [{**reference, "blockOwnerDeletion": True}]
    c.condition(node, "Ready", "True", reason="KubeletReady", by="kubelet")
    return node


def evicted(c: Cluster, pod: Thing) -> None:
    c.event(pod, "Evicted", "Evicted pod: Underutilized", by=KARPENTER)
    c.condition(pod, "DisruptionTarget", "True", reason="EvictionByEvictionAPI", by="kube-apiserver")
    kill(c, pod)


def test_the_replacement_of_a_node_is_one_story() -> None:
    c = Cluster()
    old = claim(c, "old")
    node = registered(c, "node-a", old)
    node.meta["finalizers"], old.meta["finalizers"] = [TERMINATION], [TERMINATION]
    _, rs, (pod,) = rolled_out(c, "web")
    c.first_list()
    c.update(node, by=KARPENTER, taints=[{"key": "karpenter.sh/disrupted", "effect": "NoSchedule"}])
    new = claim(c, "new")
    c.event(new, "DisruptionLaunching", "Launching NodeClaim: Underutilized", by=KARPENTER)
    c.condition(new, "Launched", "True", reason="Launched", by=KARPENTER)
    c.wait(35)
    registered(c, "node-b", new)
    c.condition(new, "Registered", "True", reason="Registered", by=KARPENTER)
    c.wait(5)
    c.condition(new, "Initialized", "True", reason="Initialized", by=KARPENTER)
    c.event(node, "DisruptionTerminating", "Disrupting Node: Underutilized", by=KARPENTER)
    c.event(old, "DisruptionTerminating", "Disrupting NodeClaim: Underutilized", by=KARPENTER)
    c.delete(old)
    c.delete(node)
    evicted(c, pod)
    run(c, new_pod(c, rs, "web-1-b", reported=False), "node-b")
    c.wait(2)
    c.gone(pod)
    c.wait(5)
    c.gone(node)
    c.gone(old)
    shows(
        c,
        """
        Node.Update node-a  by karpenter  [root]
          NodeClaim.Create new  by karpenter  [place]
            NodeClaim.DisruptionLaunching new  by karpenter  [own]
            NodeClaim.Launched new  by karpenter  [own]
            Node.Create node-b  by kubelet  [owner]
              Node.Ready node-b  by kubelet  [own]
                NodeClaim.Registered new  by karpenter  [owner]
                NodeClaim.Initialized new  by karpenter  [owner]
          Node.DisruptionTerminating node-a  by karpenter  [own]
            Node.Delete node-a  by karpenter  [subject]
              Pod.Evicted web-1-a  by karpenter  [place]
                Pod.Delete web-1-a  by karpenter  [subject]
                  Pod.Killing web-1-a  by kubelet  [own]
                  Pod.Create web-1-b  by replicaset-controller  [owner]
                    Pod.Scheduled web-1-b  by default-scheduler  [own]
                    Pod.Started web-1-b  by kubelet  [own]
                    Pod.Ready web-1-b  by kubelet  [own]
          NodeClaim.DisruptionTerminating old  by karpenter  [place]
            NodeClaim.Delete old  by karpenter  [subject]
        """,
    )


def test_a_node_that_a_finalizer_of_its_owner_deletes_is_not_deleted_by_the_garbage_collector() -> None:
    c = Cluster()
    old = claim(c, "old")
    node = registered(c, "node-a", old)
    node.meta["finalizers"], old.meta["finalizers"] = [TERMINATION], [TERMINATION]
    c.first_list()
    c.delete(old)
    c.delete(node)
    c.wait(5)
    c.gone(node)
    c.gone(old)
    shows(
        c,
        """
        NodeClaim.Delete old  by unknown  [root]
          Node.Delete node-a  by unknown  [owner]
        """,
    )


def test_the_garbage_collector_deletes_the_dependents_of_an_owner_that_waits_for_it() -> None:
    c = Cluster()
    web, rs, _ = rolled_out(c, "web", 0)
    web.meta["finalizers"] = ["foregroundDeletion"]
    c.first_list()
    c.delete(web)
    c.gone(rs)
    c.gone(web)
    shows(
        c,
        """
        Deployment.Delete web  by unknown  [root]
          ReplicaSet.Delete web-1  by garbage-collector  [owner]
        """,
    )
