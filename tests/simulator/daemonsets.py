"""The DaemonSet controller: pkg/controller/daemon (daemon_controller.go, update.go; maxUnavailable 1, no surge)."""

from dataclasses import dataclass

from tests.simulator.manager import Manager
from tests.simulator.objects import (
    DAEMON,
    Cause,
    Obj,
    deleting,
    has_labels,
    labels_of,
    name_of,
    owner_reference,
    pinned_to,
    ready,
    taints_of,
    template_hash,
    tolerates,
    uid_of,
)
from tests.simulator.truth import Note

COMPONENT = "daemonset-controller"


@dataclass
class Pass:
    """A DaemonSet and its Pods, in one pass of the controller."""

    o: Obj
    pods: list[Obj]
    cause: Cause
    wanted: int = 0

    def __post_init__(self) -> None:
        self.uid, self.name = uid_of(self.o), name_of(self.o)
        self.template: Obj = self.o["spec"]["template"]
        self.hash = template_hash(self.template)[:9]
        self.selector: dict[str, str] = self.template["spec"].get("nodeSelector", {})
        self.tolerations = DAEMON + self.template["spec"].get("tolerations", [])

    def fits(self, node: Obj, *effects: str) -> bool:
        """NodeShouldRunDaemonPod, for taints of these effects."""
        taints = taints_of(node, *effects)
        return has_labels(node, self.selector) and all(any(tolerates(x, t) for x in self.tolerations) for t in taints)

    def on(self, node: str) -> list[Obj]:
        return [p for p in self.pods if (p["spec"].get("nodeName") or pinned_to(p)) == node]

    def is_new(self, pod: Obj) -> bool:
        return labels_of(pod)["controller-revision-hash"] == self.hash


class DaemonSets:
    def __init__(self, manager: Manager) -> None:
        self.manager, self.cluster, self.reasons = manager, manager.cluster, manager.reasons
        manager.workers["daemonset"] = self.sync

    def sync(self, uid: str) -> None:
        o = self.cluster.cache.get(uid)
        if o is None or deleting(o) or self.manager.waiting(uid):
            return
        run = Pass(o, self.manager.pods(uid), self.cluster.cause_at(o)[0])
        self._write_revision(run)
        for node in sorted(self.cluster.cached("Node"), key=name_of):
            self._manage(run, node)
        strategy = o["spec"].get("updateStrategy", {"type": "RollingUpdate"})
        if strategy["type"] == "RollingUpdate" and not self.manager.waiting(uid):
            self._update(run)
        self._write_status(run)

    def _write_revision(self, run: Pass) -> None:
        name = f"{run.name}-{run.hash}"
        if not any(name_of(r) == name for r in self.cluster.of_kind("ControllerRevision")):
            labels = {**run.template["metadata"]["labels"], "controller-revision-hash": run.hash}
            data = {"data": {"spec": {"template": run.template}}, "revision": int(run.o["metadata"]["generation"])}
            self.cluster.create(
                "ControllerRevision",
                name,
                owner_reference=owner_reference(run.o),
                labels=labels,
                extra=data,
                cause=run.cause,
            )

    def _manage(self, run: Pass, node: Obj) -> None:
        """podsShouldBeOnNode: a NoSchedule taint keeps new Pods away, a NoExecute one or labels end those there."""
        name = name_of(node)
        here = run.on(name)
        should_run = run.fits(node, "NoSchedule", "NoExecute")
        run.wanted += should_run
        if should_run and not here:
            self._create(run, name)
        elif not run.fits(node, "NoExecute"):
            for pod in here:
                if not deleting(pod):
                    self._delete(run, pod, self.reasons.node_fits.get(name) or run.cause)

    def _create(self, run: Pass, node: str) -> None:
        pod, note = f"{run.name}-{self.manager.suffix()}", Note()
        cause = self._why(run, node)
        self.manager.create_pod(
            run.o,
            run.template,
            pod,
            note,
            cause,
            generate_name=f"{run.name}-",
            labels={"controller-revision-hash": run.hash},
            node=node,
            tolerations=DAEMON,
        )
        self.manager.expected.setdefault(run.uid, set()).add(pod)
        self.manager.report(note, COMPONENT, run.o, "SuccessfulCreate", f"Created pod: {pod}", cause=cause)

    def _why(self, run: Pass, node: str) -> Cause:
        """What the forerunner was deleted for, a loss nobody ordered, what made the node fit, or the newest change."""
        lost = self.reasons.take_lost(run.uid, lambda pod: pod["spec"].get("nodeName") == node)
        replaced = self.reasons.replaces.pop((run.uid, node), None)
        return replaced or lost or self.reasons.node_fits.get(node) or run.cause

    def _update(self, run: Pass) -> None:
        """rollingUpdate: an old Pod goes when none is missing."""
        unavailable = sum(deleting(p) or not ready(p) for p in run.pods) + max(0, run.wanted - len(run.pods))
        for pod in run.pods:
            if unavailable < 1 and not run.is_new(pod) and not deleting(pod):
                self.reasons.replaces[run.uid, pod["spec"]["nodeName"]] = run.cause
                self._delete(run, pod, run.cause)
                unavailable += 1

    def _delete(self, run: Pass, pod: Obj, cause: Cause) -> None:
        self.manager.expected.setdefault(run.uid, set()).add(f"-{uid_of(pod)}")
        self.manager.delete_pod(COMPONENT, run.o, pod, f"Deleted pod: {name_of(pod)}", cause)

    def _write_status(self, run: Pass) -> None:
        live = [p for p in run.pods if not deleting(p)]
        now_ready = sum(map(ready, live))
        status = {
            "currentNumberScheduled": len(run.pods),
            "desiredNumberScheduled": run.wanted,
            "numberMisscheduled": 0,
            "numberReady": now_ready,
            "numberAvailable": now_ready,
            "updatedNumberScheduled": sum(map(run.is_new, live)),
            "observedGeneration": run.o["metadata"]["generation"],
        }
        self.cluster.update(run.o, lambda o: o["status"].update(status), subresource="status")
