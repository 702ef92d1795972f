"""Changes and failures of nodes: pkg/controller/nodelifecycle, pkg/controller/tainteviction, and the eviction API.

A dead node is found after the grace period of 40 s, marked NotReady and tainted unreachable; its Pods tolerate that for
300 s. A taint of effect NoExecute deletes what does not tolerate it, or not for longer.
"""

import math

from tests.simulator.fields import Fields
from tests.simulator.kubelets import Kubelets
from tests.simulator.manager import Manager
from tests.simulator.objects import (
    Cause,
    Obj,
    deleting,
    labels_of,
    name_of,
    seconds,
    set_condition,
    taints_of,
    tolerates,
    uid_of,
)
from tests.simulator.people import People
from tests.simulator.scheduler import UNSCHEDULABLE, Scheduler
from tests.simulator.truth import Note

TAINTS: Fields = {"f:spec": {"f:taints": {}}}
EVICTOR = "taint-eviction-controller"


class Nodes:
    def __init__(self, manager: Manager, scheduler: Scheduler, kubelets: Kubelets, people: People) -> None:
        self.manager, self.cluster, self.reasons = manager, manager.cluster, manager.reasons
        self.scheduler, self.kubelets, self.people = scheduler, kubelets, people
        self._evicting: dict[str, float] = {}
        manager.workers["mirror"] = self._mirror_cordon

    def seen(self, type_: str, old: Obj | None, o: Obj) -> None:
        if o["kind"] == "Node" and old:
            self._node_seen(old, o)
        elif o["kind"] == "Pod" and type_ != "DELETED":
            was_bound = old is not None and old["spec"].get("nodeName")
            if o["spec"].get("nodeName") and not was_bound:
                self._check(o)

    def _node_seen(self, old: Obj, node: Obj) -> None:
        if old["spec"] == node["spec"] and labels_of(old) == labels_of(node):
            return
        self.cluster.after(0.01, self.scheduler.wake)
        for o in self.cluster.cached("DaemonSet"):
            self.manager.enqueue("daemonset", uid_of(o))
        tainted = any(t["key"] == UNSCHEDULABLE for t in taints_of(node))
        if bool(node["spec"].get("unschedulable")) != tainted:
            self.manager.enqueue("mirror", uid_of(node), self.cluster.between(0.02, 0.06))
        if taints_of(old, "NoExecute") != taints_of(node, "NoExecute"):
            for pod in self.cluster.cached("Pod"):
                if pod["spec"].get("nodeName") == name_of(node):
                    self._check(pod)

    def _mirror_cordon(self, uid: str) -> None:
        """doNoScheduleTaintingPass: ``unschedulable`` becomes a taint."""

        def change(o: Obj) -> None:
            taints = [t for t in taints_of(o) if t["key"] != UNSCHEDULABLE]
            if o["spec"].get("unschedulable"):
                added = {"key": UNSCHEDULABLE, "effect": "NoSchedule", "timeAdded": seconds(self.cluster.now)}
                taints.append(added)
            set_taints(o, taints)

        self.cluster.update(self.cluster.cache[uid], change, fields=TAINTS)

    # eviction by taint

    def _check(self, pod: Obj) -> None:
        """processPodOnNode: an eviction is planned for when the shortest toleration ends, or cancelled."""
        uid, cluster = uid_of(pod), self.cluster
        node = next((n for n in cluster.cached("Node") if name_of(n) == pod["spec"]["nodeName"]), None)
        taints = taints_of(node, "NoExecute") if node else []
        if not taints:
            if self._evicting.pop(uid, None):
                self._report(pod, f"Cancelling deletion of Pod {cluster.namespace}/{name_of(pod)}", None)
            return
        wait = min(self._tolerated(pod, taint) for taint in taints)
        if wait == math.inf or uid in self._evicting:
            return
        at = self._evicting[uid] = cluster.now + wait
        cluster.after(wait + cluster.between(0.005, 0.03), lambda: self._evict_tainted(uid, at))

    def _tolerated(self, pod: Obj, taint: Obj) -> float:
        """For how many seconds."""
        fitting = [t for t in pod["spec"].get("tolerations", []) if tolerates(t, taint)]
        return min((float(t.get("tolerationSeconds", math.inf)) for t in fitting), default=0)

    def _evict_tainted(self, uid: str, at: float) -> None:
        pod, cluster = self.cluster.stored.get(uid), self.cluster
        if pod is None or self._evicting.pop(uid, None) != at or deleting(pod):
            return
        cause = self.reasons.nodes.get(pod["spec"]["nodeName"])
        note = self._report(pod, f"Marking for deletion Pod {cluster.namespace}/{name_of(pod)}", cause)
        why = "Taint manager: deleting due to NoExecute taint"
        cluster.update(
            pod,
            lambda o: set_condition(o, "DisruptionTarget", "True", "DeletionByTaintManager", why, now=cluster.now),
            subresource="status",
        )
        cluster.delete(cluster.stored[uid], cause=cause, note=note)

    def _report(self, pod: Obj, message: str, cause: Cause) -> Note:
        return self.manager.reporters.event(EVICTOR, pod, "TaintManagerEviction", message, by_name=True, cause=cause)

    def evict(self, pod: Obj, cause: Cause) -> None:
        """The eviction API: pkg/registry/core/pod/storage/eviction.go. It reports no Event."""
        cluster, why = self.cluster, "Eviction API: evicting"
        cluster.update(
            pod,
            lambda o: set_condition(o, "DisruptionTarget", "True", "EvictionByEvictionAPI", why, now=cluster.now),
            by=None,
        )
        cluster.delete(cluster.stored[uid_of(pod)], cause=cause)

    # a node's death

    def kill(self, name: str) -> None:
        self.kubelets.dead.add(name)
        self.cluster.after(self.cluster.between(40, 45), lambda: self._not_ready(name))

    def _not_ready(self, name: str) -> None:
        cluster, node = self.cluster, self.cluster.node(name)
        action = self.people.act("update", node, "status", who="system:serviceaccount:kube-system:node-controller")
        cause = self.reasons.nodes[name] = action["id"]
        report = self.manager.reporters.event
        report("node-controller", node, "NodeNotReady", f"Node {name} status is now: NodeNotReady", cause=cause)

        def unknown(o: Obj) -> None:
            why = "Kubelet stopped posting node status."
            for condition in ("Ready", "MemoryPressure", "DiskPressure", "PIDPressure"):
                set_condition(o, condition, "Unknown", "NodeStatusUnknown", why, now=cluster.now)

        cluster.update(node, unknown, subresource="status")
        for pod in cluster.pods_on(name):
            report("node-controller", pod, "NodeNotReady", "Node is not ready", warning=True, cause=cause)
            cluster.update(pod, lambda o: set_condition(o, "Ready", "False", now=cluster.now), subresource="status")
        cluster.after(0.05, lambda: self._unreachable(name, "NoSchedule"))
        cluster.after(cluster.between(0.1, 5), lambda: self._unreachable(name, "NoExecute"))

    def _unreachable(self, name: str, effect: str) -> None:
        def change(o: Obj) -> None:
            added = {"key": "node.kubernetes.io/unreachable", "effect": effect, "timeAdded": seconds(self.cluster.now)}
            o["spec"].setdefault("taints", []).append(added)

        self.cluster.update(self.cluster.node(name), change, fields=TAINTS)

    def revive(self, name: str) -> None:
        cluster = self.cluster
        self.kubelets.dead.discard(name)

        def change(o: Obj) -> None:
            set_condition(o, "Ready", "True", "KubeletReady", "kubelet is posting ready status", now=cluster.now)

        cluster.update(cluster.node(name), change, by="kubelet", subresource="status")
        cluster.after(
            0.1, lambda: cluster.update(cluster.node(name), lambda o: o["spec"].pop("taints", None), fields=TAINTS)
        )
        for pod in cluster.pods_on(name):
            self._catch_up(pod, name)

    def _catch_up(self, pod: Obj, node: str) -> None:
        def ready_again() -> None:
            self.cluster.update(
                pod,
                lambda o: set_condition(o, "Ready", "True", now=self.cluster.now),
                by="kubelet",
                subresource="status",
            )

        uid, wait = uid_of(pod), self.cluster.between(0.2, 1)
        self.cluster.after(wait, (lambda: self.kubelets.kill(uid, node)) if deleting(pod) else ready_again)


def set_taints(node: Obj, taints: list[Obj]) -> None:
    if taints:
        node["spec"]["taints"] = taints
    else:
        node["spec"].pop("taints", None)
