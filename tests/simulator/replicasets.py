"""The ReplicaSet controller: pkg/controller/replicaset/replica_set.go."""

from tests.simulator.cluster import Forbidden
from tests.simulator.fields import of_labels
from tests.simulator.manager import Manager
from tests.simulator.objects import (
    Cause,
    Obj,
    active,
    deleting,
    ended,
    name_of,
    owner_of,
    ready,
    selects,
    set_condition,
    set_or_drop,
    uid_of,
)
from tests.simulator.truth import Note

COMPONENT = "replicaset-controller"


def rank(pod: Obj) -> tuple[bool, bool, bool, float]:
    """controller.ActivePodsWithRanks: which goes first. Unassigned, pending, not ready, newest."""
    version = float(pod["metadata"]["resourceVersion"])
    return bool(pod["spec"].get("nodeName")), pod["status"].get("phase") != "Pending", ready(pod), -version


class ReplicaSets:
    def __init__(self, manager: Manager) -> None:
        self.manager, self.cluster, self.reasons = manager, manager.cluster, manager.reasons
        manager.workers["replicaset"] = self.sync

    def sync(self, uid: str) -> None:
        rs = self.cluster.cache.get(uid)
        if rs is None or self.manager.waiting(uid):
            return
        mine, surplus = self._claim(rs)
        more = rs["spec"]["replicas"] - len(mine)
        failure = None
        if not deleting(rs):
            if more > 0:
                failure = self._create(rs, more)
            elif more < 0:
                self._delete(rs, sorted(mine, key=rank)[:-more], surplus)
        self._write_status(rs, mine, failure)
        if failure:
            raise Forbidden(failure)

    def _claim(self, rs: Obj) -> tuple[list[Obj], Cause]:
        """Its Pods, after adoption and release; and who labelled a Pod so that it came back."""
        mine, surplus, uid = [], None, uid_of(rs)
        for pod in filter(active, self.cluster.cached("Pod")):
            owner, fits = owner_of(pod), selects(rs, pod)
            relabelled = self.reasons.relabelled.get(uid_of(pod))
            if owner and owner["uid"] == uid:
                if fits:
                    mine.append(pod)
                elif not deleting(rs):
                    self.cluster.update(pod, lambda o: o["metadata"].pop("ownerReferences"), fields=of_labels())
                    self.reasons.lost.setdefault(uid, []).append((pod, relabelled))
            elif owner is None and fits and not deleting(rs):
                self.manager.adopt(rs, pod)
                mine.append(pod)
                surplus = relabelled
        return mine, surplus

    def _create(self, rs: Obj, more: int) -> str | None:
        """Returns why a creation was refused, which ends the pass."""
        uid, name = uid_of(rs), name_of(rs)
        expected = self.manager.expected.setdefault(uid, set())
        for _ in range(more):
            cause, above = self._why(rs)
            pod, note = f"{name}-{self.manager.suffix()}", Note()
            try:
                self.manager.create_pod(rs, rs["spec"]["template"], pod, note, cause, generate_name=f"{name}-")
            except Forbidden as e:
                message = f"Error creating: {e}"
                self.manager.reporters.event(
                    COMPONENT, rs, "FailedCreate", message, warning=True, cause=cause, above=above
                )
                self.manager.failed_at.setdefault(uid, self.cluster.now)
                return str(e)
            expected.add(pod)
            self.manager.report(
                note, COMPONENT, rs, "SuccessfulCreate", f"Created pod: {pod}", cause=cause, above=above
            )
        return None

    def _why(self, rs: Obj) -> tuple[Cause, Note | None]:
        """A creation answers a raised quota, a loss that nobody ordered, or the newest change of the owner."""
        uid = uid_of(rs)
        if uid in self.manager.failed_at and (raised := self.reasons.quota_since(self.manager.failed_at[uid])):
            return raised, None
        lost = self.reasons.lost.get(uid, [])
        while lost:
            _, cause = lost.pop(0)
            if cause is not None:
                return cause, None
        return self.cluster.cause_at(rs)

    def _delete(self, rs: Obj, pods: list[Obj], surplus: Cause) -> None:
        cause, above = (surplus, None) if surplus else self.cluster.cause_at(rs)
        for pod in pods:
            self.manager.expected.setdefault(uid_of(rs), set()).add(f"-{uid_of(pod)}")
            self.manager.delete_pod(COMPONENT, rs, pod, f"Deleted pod: {name_of(pod)}", cause, above)

    def _write_status(self, rs: Obj, mine: list[Obj], failure: str | None) -> None:
        """calculateStatus of replica_set_utils.go."""
        terminating = sum(deleting(p) and not ended(p) for p in self.manager.pods(uid_of(rs)))

        def change(o: Obj) -> None:
            status, now_ready = o["status"], sum(map(ready, mine))
            status["replicas"] = len(mine)
            status["observedGeneration"] = rs["metadata"]["generation"]
            status["terminatingReplicas"] = terminating
            set_or_drop(status, "fullyLabeledReplicas", len(mine))
            set_or_drop(status, "readyReplicas", now_ready)
            set_or_drop(status, "availableReplicas", now_ready)
            if not failure:
                status.pop("conditions", None)
            elif "conditions" not in status:
                set_condition(o, "ReplicaFailure", "True", "FailedCreate", failure, now=self.cluster.now)

        self.cluster.update(rs, change, subresource="status")
