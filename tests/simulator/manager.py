"""Common parts of the controllers: informers that fill work queues, expectations, back-off, and the report of Events.

pkg/controller/controller_utils.go (expectations, active Pods), client-go util/workqueue (one pass an object at a time,
exponential back-off from 5 ms). The fields of Reasons are the truth's memory, and no controller decides by them.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.simulator.cluster import Cluster, Conflict, Forbidden
from tests.simulator.fields import of_owner
from tests.simulator.objects import (
    NOT_READY,
    Cause,
    Obj,
    deleting,
    ended,
    labels_of,
    name_of,
    owner_of,
    owner_reference,
    pin,
    selects,
    uid_of,
)
from tests.simulator.reporters import Reporters
from tests.simulator.truth import Note

Key = tuple[str, str]
"""A queue's entry: the worker's name and the object's uid."""

WORKERS = {
    "Deployment": "deployment",
    "ReplicaSet": "replicaset",
    "StatefulSet": "statefulset",
    "DaemonSet": "daemonset",
    "Job": "job",
}


@dataclass
class Reasons:
    """Why a controller will act, from the moment of the reason to that of the action.

    ``lost``: Pods that went unasked, by owner. ``ordered``: Pods that a controller deleted by itself. ``replaces``:
    what the forerunner at an ordinal or node was deleted for. ``nodes`` and ``node_fits``: the newest change of a node
    that evicts from it, or that decides what runs there. ``relabelled``: who labelled a Pod.
    """

    lost: dict[str, list[tuple[Obj, Cause]]] = field(default_factory=dict)
    ordered: set[str] = field(default_factory=set)
    replaces: dict[tuple[str, str | int], Cause] = field(default_factory=dict)
    nodes: dict[str, Cause] = field(default_factory=dict)
    relabelled: dict[str, Cause] = field(default_factory=dict)
    quota_raised: tuple[float, Cause] | None = None
    node_fits: dict[str, Cause] = field(default_factory=dict)

    def take_lost(self, owner: str, is_it: Callable[[Obj], bool]) -> Cause:
        """The newest known reason why such a Pod of the owner went; it answers for one Pod only."""
        lost = self.lost.get(owner, [])
        found = [cause for pod, cause in lost if is_it(pod) and cause is not None]
        self.lost[owner] = [(pod, cause) for pod, cause in lost if not is_it(pod)]
        return found[-1] if found else None

    def quota_since(self, failed_at: float) -> Cause:
        return self.quota_raised[1] if self.quota_raised and self.quota_raised[0] >= failed_at else None


class Manager:
    """The work queues of one controller manager, the scheduler and the kubelets."""

    def __init__(self, cluster: Cluster, reporters: Reporters) -> None:
        self.cluster, self.reporters = cluster, reporters
        self.reasons = Reasons()
        self.workers: dict[str, Callable[[str], None]] = {}
        self.expected: dict[str, set[str]] = {}
        self.failed_at: dict[Any, float] = {}
        self._queued: dict[Key, float] = {}
        self._tries: dict[Key, int] = {}
        cluster.admit = self._admit

    # queues

    def enqueue(self, worker: str, uid: str, delay: float | None = None) -> None:
        key, wait = (worker, uid), self.cluster.between(0.004, 0.03) if delay is None else delay
        at = self.cluster.now + wait
        if key in self._queued and self._queued[key] <= at + 1e-9:
            return
        self._queued[key] = at
        self.cluster.after(wait, lambda: self._work(key, at))

    def _work(self, key: Key, at: float) -> None:
        if self._queued.get(key) != at:
            return
        del self._queued[key]
        try:
            self.workers[key[0]](key[1])
            self._tries.pop(key, None)
        except (Conflict, Forbidden):
            tries = self._tries[key] = self._tries.get(key, 0) + 1
            self.enqueue(*key, min(0.005 * 2 ** min(tries, 20), 1000) + 0.002)

    def waiting(self, uid: str) -> bool:
        """Whether creations or deletions that were asked for are not seen yet (ControllerExpectations)."""
        return bool(self.expected.get(uid))

    # informers

    def seen(self, type_: str, old: Obj | None, new: Obj) -> None:
        kind = new["kind"]
        if kind in WORKERS:
            self.enqueue(WORKERS[kind], uid_of(new))
        owner = owner_of(new)
        if owner is None:
            self._orphan_seen(type_, old, new)
        for reference in [owner, *([owner_of(old)] if old else [])]:
            if reference and reference["kind"] in WORKERS:
                self.enqueue(WORKERS[reference["kind"]], reference["uid"])
            if reference and kind == "Pod":
                self._owned_pod_seen(type_, old, new, reference["uid"])

    def _orphan_seen(self, type_: str, old: Obj | None, new: Obj) -> None:
        if new["kind"] == "Pod":
            relabelled = old is not None and (owner_of(old) or old["metadata"].get("labels") != labels_of(new))
            if type_ == "ADDED" or relabelled:
                for rs in self.cluster.cached("ReplicaSet"):
                    if selects(rs, new):
                        self.enqueue("replicaset", uid_of(rs))
        if new["kind"] == "ReplicaSet":
            for d in self.cluster.cached("Deployment"):
                self.enqueue("deployment", uid_of(d))

    def _owned_pod_seen(self, type_: str, old: Obj | None, pod: Obj, owner: str) -> None:
        rs_owner = owner_of(self.cluster.cache.get(owner))
        if type_ == "DELETED" and rs_owner and rs_owner["kind"] == "Deployment":
            self.enqueue("deployment", rs_owner["uid"])
        expected, uid = self.expected.get(owner, set()), uid_of(pod)
        if type_ == "ADDED":
            expected.discard(name_of(pod))
        if type_ == "DELETED" or (deleting(pod) and not deleting(old)):
            expected.discard(f"-{uid}")
            if uid not in self.reasons.ordered:
                self.reasons.ordered.add(uid)
                self.reasons.lost.setdefault(owner, []).append((pod, self.cluster.why_deleted(uid)))

    # what controllers do

    def pods(self, owner: str) -> list[Obj]:
        """The owner's Pods, as the informer shows them."""
        return [p for p in self.cluster.cached("Pod") if (owner_of(p) or {}).get("uid") == owner]

    def _admit(self, name: str) -> None:
        """The admission plugin ResourceQuota, for ``pods``. Raises Forbidden."""
        for quota in self.cluster.of_kind("ResourceQuota"):
            used = sum(not ended(p) for p in self.cluster.of_kind("Pod"))
            hard = int(quota["spec"]["hard"]["pods"])
            if used + 1 > hard:
                raise Forbidden(
                    f'pods "{name}" is forbidden: exceeded quota: {name_of(quota)}, requested: pods=1, '
                    f"used: pods={used}, limited: pods={hard}"
                )

    def create_pod(
        self,
        owner: Obj,
        template: Obj,
        name: str,
        note: Note,
        cause: Cause,
        *,
        generate_name: str | None = None,
        labels: Obj | None = None,
        node: str | None = None,
        tolerations: list[Obj] | None = None,
    ) -> Obj:
        spec: Obj = copy.deepcopy(template["spec"])
        added = NOT_READY if tolerations is None else tolerations
        spec["tolerations"] = [*spec.get("tolerations", []), *added]
        if node:
            spec["affinity"] = pin(node)
        return self.cluster.create(
            "Pod",
            name,
            spec,
            owner_reference=owner_reference(owner),
            generate_name=generate_name,
            labels={**template["metadata"]["labels"], **(labels or {})},
            cause=cause,
            note=note,
            status={"phase": "Pending", "qosClass": "Burstable"},
        )

    def delete_pod(
        self, component: str, owner: Obj, pod: Obj, message: str, cause: Cause, above: Note | None = None
    ) -> None:
        note = Note()
        self.reasons.ordered.add(uid_of(pod))
        self.cluster.delete(pod, cause=cause, note=note)
        self.report(note, component, owner, "SuccessfulDelete", message, cause=cause, above=above)

    def report(self, note: Note, component: str, o: Obj, reason: str, message: str, **how: Any) -> None:
        """Tells what ``note`` announced: the act comes first, its Event after it."""
        note.reported_by = self.reporters.event(component, o, reason, message, **how)

    def adopt(self, owner: Obj, o: Obj) -> Obj:
        """pkg/controller/controller_ref_manager.go: a patch of the ownerReferences."""
        reference = [owner_reference(owner)]
        return self.cluster.update(
            o, lambda new: new["metadata"].__setitem__("ownerReferences", reference), fields=of_owner(uid_of(owner))
        )

    def suffix(self) -> str:
        return "".join(self.cluster.random.choice("bcdfghjklmnpqrstvwxz2456789") for _ in range(5))
