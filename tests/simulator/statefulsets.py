"""The StatefulSet controller, OrderedReady: pkg/controller/statefulset/stateful_set_control.go."""

from dataclasses import dataclass

from tests.simulator.cluster import Forbidden
from tests.simulator.manager import Manager
from tests.simulator.objects import (
    Cause,
    Obj,
    deleting,
    labels_of,
    name_of,
    owner_reference,
    ready,
    template_hash,
    uid_of,
)
from tests.simulator.truth import Note

COMPONENT = "statefulset-controller"


@dataclass
class Pass:
    """A StatefulSet and its Pods by ordinal, in one pass of the controller."""

    o: Obj
    pods: dict[int, Obj]
    cause: Cause

    def __post_init__(self) -> None:
        self.uid, self.name = uid_of(self.o), name_of(self.o)
        spec = self.o["spec"]
        self.template: Obj = spec["template"]
        self.wanted: int = spec["replicas"]
        self.revision = f"{self.name}-{template_hash(self.template)[:9]}"
        self.current: str = self.o["status"].get("currentRevision") or self.revision
        strategy = spec.get("updateStrategy", {"type": "RollingUpdate"})
        self.rolling: bool = strategy["type"] == "RollingUpdate"
        self.partition: int = strategy.get("rollingUpdate", {}).get("partition", 0)

    def is_new(self, pod: Obj) -> bool:
        return labels_of(pod)["controller-revision-hash"] == self.revision


class StatefulSets:
    def __init__(self, manager: Manager) -> None:
        self.manager, self.cluster, self.reasons = manager, manager.cluster, manager.reasons
        self._quota: dict[str, Cause] = {}
        manager.workers["statefulset"] = self.sync

    def sync(self, uid: str) -> None:
        o = self.cluster.cache.get(uid)
        if o is None or deleting(o):
            return
        pods = {int(name_of(p).rpartition("-")[2]): p for p in self.manager.pods(uid)}
        run = Pass(o, pods, self.cluster.cause_at(o)[0])
        self._write_revision(run)
        try:
            if self._create_next(run) and self._shrink(run) and run.rolling:
                self._update_next(run)
        finally:
            self._write_status(run)

    def _write_revision(self, run: Pass) -> None:
        if not any(name_of(r) == run.revision for r in self.cluster.of_kind("ControllerRevision")):
            data = {"data": {"spec": {"template": run.template}}, "revision": int(run.o["metadata"]["generation"])}
            self.cluster.create(
                "ControllerRevision",
                run.revision,
                owner_reference=owner_reference(run.o),
                labels=dict(run.template["metadata"]["labels"]),
                extra=data,
                cause=run.cause,
            )

    def _create_next(self, run: Pass) -> bool:
        """Creates the first that is missing. Whether all are there and ready: else nothing more is done."""
        for i in range(run.wanted):
            pod = run.pods.get(i)
            if pod is None:
                self._create(run, i)
                return False
            if deleting(pod) or not ready(pod):
                return False
        return True

    def _create(self, run: Pass, i: int) -> None:
        pod, note = f"{run.name}-{i}", Note()
        if pod in self.manager.expected.get(run.uid, ()):
            return
        revision = run.current if run.rolling and i < run.partition else run.revision
        cause = self._why(run, i)
        labels = {
            "controller-revision-hash": revision,
            "statefulset.kubernetes.io/pod-name": pod,
            "apps.kubernetes.io/pod-index": str(i),
        }
        try:
            self.manager.create_pod(run.o, self._template(run, revision), pod, note, cause, labels=labels)
        except Forbidden as e:
            message = f"create Pod {pod} in StatefulSet {run.name} failed error: {e}"
            self.manager.reporters.event(COMPONENT, run.o, "FailedCreate", message, warning=True, cause=cause)
            self.manager.failed_at.setdefault((run.uid, i), self.cluster.now)
            raise
        self.manager.expected.setdefault(run.uid, set()).add(pod)
        message = f"create Pod {pod} in StatefulSet {run.name} successful"
        self.manager.report(note, COMPONENT, run.o, "SuccessfulCreate", message, cause=cause)

    def _template(self, run: Pass, revision: str) -> Obj:
        if revision == run.revision:
            return run.template
        known = {name_of(r): r for r in self.cluster.of_kind("ControllerRevision")}
        template: Obj = known[revision]["data"]["spec"]["template"]
        return template

    def _why(self, run: Pass, i: int) -> Cause:
        """The loss that nobody ordered, what its forerunner was deleted for, a raised quota, or the newest change."""
        cause = self.reasons.take_lost(run.uid, lambda pod: name_of(pod) == f"{run.name}-{i}")
        cause = cause or self.reasons.replaces.pop((run.uid, i), None) or run.cause
        failed = self.manager.failed_at.get((run.uid, i))
        if failed is not None and (raised := self.reasons.quota_since(failed)):
            self._quota[run.uid] = raised
        return self._quota.get(run.uid) or cause

    def _shrink(self, run: Pass) -> bool:
        """Deletes the last of too many; the next one goes when this one is gone."""
        surplus = sorted((i for i in run.pods if i >= run.wanted), reverse=True)
        if surplus and not deleting(run.pods[surplus[0]]):
            self._delete(run, surplus[0])
        return not surplus

    def _update_next(self, run: Pass) -> None:
        """From the last ordinal down to the partition: deletes the first old one, unless one above is not ready."""
        for i in sorted((i for i in run.pods if run.partition <= i < run.wanted), reverse=True):
            pod = run.pods[i]
            if not run.is_new(pod) and not deleting(pod):
                self.reasons.replaces[run.uid, i] = run.cause
                self._delete(run, i)
                return
            if not ready(pod) or deleting(pod):
                return

    def _delete(self, run: Pass, i: int) -> None:
        message = f"delete Pod {run.name}-{i} in StatefulSet {run.name} successful"
        self.manager.delete_pod(COMPONENT, run.o, run.pods[i], message, run.cause)

    def _write_status(self, run: Pass) -> None:
        def change(o: Obj) -> None:
            status, pods = o["status"], list(run.pods.values())
            status["observedGeneration"] = run.o["metadata"]["generation"]
            status["replicas"] = len(pods)
            status["readyReplicas"] = status["availableReplicas"] = sum(map(ready, pods))
            status["updatedReplicas"] = sum(run.is_new(p) and not deleting(p) for p in pods)
            status["updateRevision"] = run.revision
            current = status.setdefault("currentRevision", run.revision)
            status["currentReplicas"] = sum(labels_of(p)["controller-revision-hash"] == current for p in pods)
            done = status["updatedReplicas"] == run.wanted == status["readyReplicas"]
            if run.rolling and run.partition == 0 and done:
                status["currentRevision"], status["currentReplicas"] = run.revision, run.wanted

        self.cluster.update(run.o, change, subresource="status")
