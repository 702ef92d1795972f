"""The scheduler: pkg/scheduler. Node affinity, taints and cordons; the fullest node last; no preemption."""

from tests.simulator.manager import Manager
from tests.simulator.objects import (
    Obj,
    deleting,
    has_labels,
    name_of,
    pinned_to,
    set_condition,
    taints_of,
    tolerates,
    uid_of,
)

COMPONENT = "default-scheduler"
UNSCHEDULABLE = "node.kubernetes.io/unschedulable"


class Scheduler:
    def __init__(self, manager: Manager) -> None:
        self.manager, self.cluster = manager, manager.cluster
        self.waiting: set[str] = set()
        manager.workers["schedule"] = self.schedule

    def seen(self, type_: str, _old: Obj | None, o: Obj) -> None:
        if o["kind"] != "Pod":
            return
        if type_ == "ADDED" and not o["spec"].get("nodeName"):
            self.manager.enqueue("schedule", uid_of(o), self.cluster.between(0.01, 0.03))
        if type_ == "DELETED" or (deleting(o) and not o["spec"].get("nodeName")):
            self.wake()

    def wake(self) -> None:
        """What did not fit is tried again when something changed (moveAllToActiveOrBackoffQueue)."""
        for uid in sorted(self.waiting):
            self.manager.enqueue("schedule", uid, self.cluster.between(0.02, 0.2))

    def schedule(self, uid: str) -> None:
        pod = self.cluster.cache.get(uid)
        if pod is None or pod["spec"].get("nodeName") or deleting(pod) or uid not in self.cluster.stored:
            self.waiting.discard(uid)
            return
        nodes = self.cluster.cached("Node")
        fitting = [node for node in nodes if self._fits(pod, node)]
        if fitting:
            self.waiting.discard(uid)
            self._bind(pod, fitting)
        else:
            self.waiting.add(uid)
            self._report_failure(pod, len(nodes))

    def _fits(self, pod: Obj, node: Obj) -> bool:
        spec, tolerations = pod["spec"], pod["spec"]["tolerations"]
        if (pinned_to(pod) or name_of(node)) != name_of(node) or not has_labels(node, spec.get("nodeSelector", {})):
            return False
        if node["spec"].get("unschedulable") and not any(t.get("key") == UNSCHEDULABLE for t in tolerations):
            return False
        return all(any(tolerates(x, t) for x in tolerations) for t in taints_of(node, "NoSchedule", "NoExecute"))

    def _bind(self, pod: Obj, fitting: list[Obj]) -> None:
        def load(node: Obj) -> tuple[int, float]:
            return len(self.cluster.pods_on(name_of(node))), self.cluster.random.random()

        node = name_of(min(fitting, key=load))

        def change(o: Obj) -> None:
            o["spec"]["nodeName"] = node
            set_condition(o, "PodScheduled", "True", now=self.cluster.now)

        self.cluster.update(pod, change, by=None)
        message = f"Successfully assigned {self.cluster.namespace}/{name_of(pod)} to {node}"
        cause, above = self.cluster.birth(uid_of(pod))
        self.manager.reporters.event(COMPONENT, pod, "Scheduled", message, cause=cause, above=above)

    def _report_failure(self, pod: Obj, nodes: int) -> None:
        cause, above = self.cluster.birth(uid_of(pod))
        message = (
            f"0/{nodes} nodes are available: {nodes} node(s) had untolerated taint(s). preemption: 0/{nodes} nodes are "
            f"available: {nodes} Preemption is not helpful for scheduling."
        )
        self.manager.reporters.event(
            COMPONENT, pod, "FailedScheduling", message, warning=True, cause=cause, above=above
        )
        self.cluster.update(
            pod,
            lambda o: set_condition(o, "PodScheduled", "False", "Unschedulable", now=self.cluster.now),
            by="kube-scheduler",
            subresource="status",
        )
