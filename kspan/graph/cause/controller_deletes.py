"""Which dependents a controller deletes by itself, and for which change of their owner. Pure questions to the state.

Sources: pkg/controller/statefulset/stateful_set_control.go, pkg/controller/daemon/update.go, pkg/controller/replicaset,
pkg/controller/deployment/sync.go (cleanupDeployment).
"""

from typing import NamedTuple

from kspan.graph.cause import evidence
from kspan.graph.observe.condition_diff import ENDED, ended_phase
from kspan.graph.state.records import SYNTHETIC_UPDATE, KnownChange, ObjectState, Occurrence
from kspan.graph.state.state import State
from kspan.k8s.objects import RollingUpdate, Spec, UpdateStrategy, decode_spec

HISTORY_LIMIT = 10
"""Old ReplicaSets that a Deployment keeps where revisionHistoryLimit is unset (k8s.io/api apps/v1 DeploymentSpec)."""


def ordered_by_owner(
    state: State, change: Occurrence, obj: ObjectState, owner: ObjectState, since: int = 0
) -> KnownChange | None:
    """The owner's change for which its controller deleted this dependent; None if the controller did not delete it.

    A scale-down deletes as many dependents as it removes. A new pod template replaces all older Pods (StatefulSet,
    DaemonSet), as the update strategy allows. A Job that ended deletes Pods that still run. A rollout deletes
    ReplicaSets beyond the history limit.

    Args:
        since: time (ns) before which transitions may be forgotten.
    """
    changes = [c for c in owner.changes if c.verb != "Delete" and evidence.before(c, change)]
    last = evidence.newest(changes)
    if owner.kind == "Deployment":
        return last if _beyond_history(state, change, obj, owner) else None
    template = evidence.newest(c for c in changes if c.template_changed)
    if template is not None and last is not None and owner.kind in ("StatefulSet", "DaemonSet"):
        spec = decode_spec(owner.spec)
        if _Update(state, change, owner, template, spec, last.replicas, since).replaces(obj):
            return last  # The controller saw the newest change (a lower partition, for example).
    scaled = _scaled_down(state, change, obj, owner, changes)
    if scaled is not None:
        return scaled
    if owner.kind in ("ReplicaSet", "ReplicationController"):
        return _crowded_out(state, change, owner, last)
    return last if owner.kind == "Job" and _stopped_by_job(change, obj, owner) else None


def _stopped_by_job(change: Occurrence, pod: ObjectState, job: ObjectState) -> bool:
    """True if a Job deleted a Pod because it had ended, or was suspended, while the Pod was still running
    (job_controller.go, deleteActivePods). It keeps Pods that ended. A Job that failed later did so because of the
    deletion."""
    over = not job.progressing and job.reached <= change.latest + evidence.SLACK
    return over and not evidence.had_ended(pod, change)


def _scaled_down(
    state: State, change: Occurrence, obj: ObjectState, owner: ObjectState, changes: list[KnownChange]
) -> KnownChange | None:
    """The newest scale-down, if it and those before it had one more dependent to remove. A StatefulSet removes the last
    ordinals. Later than ``MATCH`` there must have been too many dependents: not all that were wanted before need have
    existed (a quota)."""
    down = evidence.newest(c for c in changes if c.added < 0)
    if down is None or (owner.kind == "StatefulSet" and 0 <= _ordinal(obj) < down.replicas):
        return None
    late = change.earliest - down.latest > evidence.MATCH and owner.kind != "StatefulSet"
    if late and not _too_many(state, change, obj, owner, down.replicas):
        return None
    surplus = 0
    for cause in sorted(changes, key=lambda c: c.order, reverse=True):
        surplus -= cause.added
        if cause.added < 0 and evidence.lost_earlier(owner, change, cause) < surplus:
            return down
    return None


def _too_many(state: State, change: Occurrence, obj: ObjectState, owner: ObjectState, wanted: int) -> bool:
    """True if an owner had more dependents than it wanted when one of them was deleted. Those that ended, or were being
    deleted already, do not count."""
    found = 0
    for other in state.objects.dependents(owner.uid):
        if other.kind == obj.kind and _existed_before(other, change) and not _ended_before(other, change):
            found += not _gone_before(other, change)
        if found > wanted:
            return True
    return False


def _crowded_out(state: State, change: Occurrence, owner: ObjectState, last: KnownChange | None) -> KnownChange | None:
    """The label change for which the controller adopted a Pod (controller_ref_manager.go), if it has one too many since
    then."""
    joined = evidence.newest(
        cause
        for other in state.objects.dependents(owner.uid)
        for cause in other.changes
        if cause.effect == "joined" and evidence.before(cause, change)
    )
    if joined is None or (last is not None and last.order > joined.order):
        return None
    gone = evidence.lost_earlier(owner, change, joined)
    return None if gone or change.earliest - joined.time > evidence.MATCH else joined


class _Update(NamedTuple):
    """The update of the Pods of a StatefulSet or DaemonSet to its newest ``template``, at the time of ``change``."""

    state: State
    change: Occurrence
    owner: ObjectState
    template: KnownChange
    spec: Spec
    replicas: int
    since: int

    def replaces(self, pod: ObjectState) -> bool:
        """True if the controller deletes this Pod for the update."""
        strategy = self.spec.updateStrategy or UpdateStrategy()
        if not pod.rv or not self._older(pod) or strategy.type == "OnDelete":
            return False
        rolling = strategy.rollingUpdate or RollingUpdate()
        return self._may_be_missing(pod, rolling) if self.owner.kind == "DaemonSet" else self._is_next(pod, rolling)

    def _older(self, pod: ObjectState) -> bool:
        revision = evidence.revision_made(self.state, self.owner, pod.revision) if pod.revision else 0
        if revision and self.template.rv > SYNTHETIC_UPDATE:
            return revision < self.template.rv
        made = next((c for c in pod.changes if c.verb == "Create" and c.rv > SYNTHETIC_UPDATE), None)
        if made is not None and made.exact and self.template.exact and self.template.rv > SYNTHETIC_UPDATE:
            return made.rv < self.template.rv
        return pod.created <= self.template.time

    def _may_be_missing(self, pod: ObjectState, rolling: RollingUpdate) -> bool:
        """True if a DaemonSet can be without a Pod (rollingUpdate in daemon/update.go).

        One that is not ready is always replaced. Others are as long as fewer Nodes than maxUnavailable have no Pod that
        is ready; or with maxSurge, once the new Pod on the same Node is ready.
        """
        made = evidence.made_by(pod, self.change)
        if not self._was_ready(pod) or (made is not None and not made.exact):
            return True
        ready = {pod.node: False}
        for other in self.state.objects.dependents(self.owner.uid):
            if other is pod or other.kind != "Pod" or not _existed_before(other, self.change):
                continue
            gone = _gone_before(other, self.change)
            if gone and 0 < other.deleted <= self.change.latest:
                continue  # Whether its Node still needs one is not known.
            serves = not gone and self._was_ready(other) and (other.node != pod.node or not self._older(other))
            ready[other.node] = ready.get(other.node, False) or serves
        if rolling.maxSurge not in (None, 0, "0", "0%"):
            return ready[pod.node]
        missing = sum(not is_ready for node, is_ready in ready.items() if node != pod.node)
        return missing < _allowed(rolling.maxUnavailable, len(ready))

    def _is_next(self, pod: ObjectState, rolling: RollingUpdate) -> bool:
        """True if it is this Pod's turn.

        A StatefulSet is updated from the last ordinal down to the partition: each Pod once those after it are up to
        date and ready, unless maxUnavailable allows more. A Pod that is not ready stops the update as well, unless
        podManagementPolicy is Parallel.
        """
        ordinal = _ordinal(pod)
        strict = rolling.maxUnavailable in (None, 1)
        if 0 <= ordinal < (rolling.partition or 0):
            return False
        if strict and self.spec.podManagementPolicy != "Parallel" and not self._was_ready(pod):
            return False
        done: dict[int, bool] = {}
        for other in self.state.objects.dependents(self.owner.uid):
            number = _ordinal(other)
            if other.kind != "Pod" or ordinal < 0 or number <= ordinal or not _existed_before(other, self.change):
                continue
            there = not _gone_before(other, self.change)
            if there and self._older(other):
                return False
            done[number] = done.get(number, False) or (there and self._was_ready(other))
        return not strict or all(ready for number, ready in done.items() if number < self.replicas)

    def _was_ready(self, pod: ObjectState) -> bool:
        """True if the Pod was ready before the change, or if that is not known."""
        turns = [t for t in pod.transitions if t.type == "Ready"]
        if transitions := [t for t in turns if t.rv < self.change.rv]:
            return not max(transitions, key=lambda t: t.rv).bad
        if not turns and not pod.deleting and ("Ready", "False") in pod.conditions:
            return False  # It never was since it is known.
        made = next((c for c in pod.changes if c.verb == "Create" and c.rv > SYNTHETIC_UPDATE), None)
        return made is None or not made.exact or made.time < self.since


def _ordinal(pod: ObjectState) -> int:
    """The ordinal of a StatefulSet's Pod, before Kubernetes 1.28 only from its name; -1 if it is not known."""
    number = pod.name.rpartition("-")[2]
    if pod.ordinal >= 0 or not (number.isascii() and number.isdigit() and len(number) < 10):
        return pod.ordinal
    return int(number)


def _allowed(most: int | str | None, total: int) -> int:
    """How many Pods of ``total`` can be unavailable: a number (by default 1) or a percentage, rounded up."""
    if isinstance(most, str):
        percent = most.removesuffix("%")
        return -(-total * int(percent) // 100) if percent.isdecimal() and len(percent) < 4 else total
    return 1 if most is None else most


def _existed_before(obj: ObjectState, change: Occurrence) -> bool:
    return bool(obj.rv) and next((c.rv for c in obj.changes if c.verb == "Create"), 0) < change.rv


def _ended_before(pod: ObjectState, change: Occurrence) -> bool:
    """True if a Pod had succeeded or failed before a change. Of one that a list showed so, no transition is known."""
    turns = [t.rv for t in pod.transitions if t.type in ENDED]
    return bool(ended_phase(pod.conditions)) and min(turns, default=0) < change.rv


def _gone_before(obj: ObjectState, change: Occurrence) -> bool:
    gone = evidence.newest(c for c in obj.changes if c.verb == "Delete")
    return gone is not None and gone.rv < change.rv


def _beyond_history(state: State, change: Occurrence, obj: ObjectState, owner: ObjectState) -> bool:
    if obj.kind != "ReplicaSet" or obj.replicas:
        return False
    limit = decode_spec(owner.spec).revisionHistoryLimit
    idle = sum(
        other.kind == "ReplicaSet" and not other.replicas and not _gone_before(other, change)
        for other in state.objects.dependents(owner.uid)
    )
    return idle > (HISTORY_LIMIT if limit is None else limit)
