"""What a controller deletes by itself of what it owns, and for which change of the owner. Pure questions to the state.

Sources: pkg/controller/statefulset/stateful_set_control.go, pkg/controller/daemon/update.go, pkg/controller/replicaset,
pkg/controller/deployment/sync.go (cleanupDeployment).
"""

from typing import NamedTuple

from kspan.graph.cause import evidence
from kspan.graph.state.records import SYNTHETIC_UPDATE, KnownChange, ObjectState, Occurrence
from kspan.graph.state.state import State
from kspan.k8s.objects import RollingUpdate, Spec, UpdateStrategy, decode_spec

HISTORY_LIMIT = 10
"""Old ReplicaSets that a Deployment keeps where revisionHistoryLimit is unset (k8s.io/api apps/v1 DeploymentSpec)."""


def ordered_by_owner(
    state: State, change: Occurrence, obj: ObjectState, owner: ObjectState, since: int = 0
) -> KnownChange | None:
    """The owner's change by which its controller deleted this dependent; None where it was not that controller.

    A scale-down deletes as many as it removes; a new pod template replaces all that are older (StatefulSet, DaemonSet),
    where and when the update strategy lets it; a Job that has ended deletes what still runs; a rollout sweeps away the
    ReplicaSets beyond the history limit. What turned before ``since`` (ns) may be forgotten.
    """
    changes = [c for c in owner.changes if c.verb != "Delete" and evidence.before(c, change)]
    last = evidence.newest(changes)
    if owner.kind == "Deployment":
        return last if _beyond_history(state, change, obj, owner) else None
    template = evidence.newest(c for c in changes if c.template_changed)
    if template is not None and last is not None and owner.kind in ("StatefulSet", "DaemonSet"):
        spec = decode_spec(owner.spec)
        if _Update(state, change, owner, template, spec, last.replicas, since).replaces(obj):
            return last  # A newer one (a lower partition, say) is what the controller saw.
    scaled = _scaled_down(change, obj, owner, changes)
    if scaled is not None:
        return scaled
    if owner.kind in ("ReplicaSet", "ReplicationController"):
        return _crowded_out(state, change, owner, last)
    return last if owner.kind == "Job" and not owner.progressing else None


def _scaled_down(
    change: Occurrence, obj: ObjectState, owner: ObjectState, changes: list[KnownChange]
) -> KnownChange | None:
    """The newest scale-down, if it and those before it have this one still to remove; of a StatefulSet it removes the
    last ordinals."""
    down = evidence.newest(c for c in changes if c.added < 0)
    if down is None or (owner.kind == "StatefulSet" and 0 <= _ordinal(obj) < down.replicas):
        return None
    surplus = 0
    for cause in sorted(changes, key=lambda c: c.order, reverse=True):
        surplus -= cause.added
        gone = sum(cause.rv < loss.rv < change.rv and not loss.ended for loss in owner.lost_dependents)
        if cause.added < 0 and gone < surplus:
            return down
    return None


def _crowded_out(state: State, change: Occurrence, owner: ObjectState, last: KnownChange | None) -> KnownChange | None:
    """The labels for which the controller adopted a Pod (controller_ref_manager.go), if it has one too many since."""
    joined = evidence.newest(
        cause
        for other in state.objects.dependents(owner.uid)
        for cause in other.changes
        if cause.effect == "joined" and evidence.before(cause, change)
    )
    if joined is None or (last is not None and last.order > joined.order):
        return None
    gone = any(joined.rv < loss.rv < change.rv and not loss.ended for loss in owner.lost_dependents)
    return None if gone or change.time - joined.time > evidence.MATCH else joined


class _Update(NamedTuple):
    """The update of the Pods of a StatefulSet or DaemonSet to its newest ``template``, as of ``change``."""

    state: State
    change: Occurrence
    owner: ObjectState
    template: KnownChange
    spec: Spec
    replicas: int
    since: int

    def replaces(self, pod: ObjectState) -> bool:
        """Whether the controller would delete this Pod for it."""
        strategy = self.spec.updateStrategy or UpdateStrategy()
        if not pod.rv or not self._older(pod) or strategy.type == "OnDelete":
            return False
        return self.owner.kind == "DaemonSet" or self._in_turn(pod, strategy.rollingUpdate or RollingUpdate())

    def _older(self, pod: ObjectState) -> bool:
        revision = evidence.revision_made(self.state, self.owner, pod.revision) if pod.revision else 0
        if revision and self.template.rv > SYNTHETIC_UPDATE:
            return revision < self.template.rv
        made = next((c for c in pod.changes if c.verb == "Create" and c.rv > SYNTHETIC_UPDATE), None)
        if made is not None and made.exact and self.template.exact and self.template.rv > SYNTHETIC_UPDATE:
            return made.rv < self.template.rv
        return pod.created <= self.template.time

    def _in_turn(self, pod: ObjectState, rolling: RollingUpdate) -> bool:
        """A StatefulSet is updated from the last ordinal down to the partition, each once those after it are up to date
        and ready (where maxUnavailable does not allow for more); but for podManagementPolicy Parallel, one that is not
        ready stops it too."""
        ordinal = _ordinal(pod)
        strict = rolling.maxUnavailable in (None, 1)
        if 0 <= ordinal < (rolling.partition or 0):
            return False
        if strict and self.spec.podManagementPolicy != "Parallel" and not self._was_ready(pod):
            return False
        done: dict[int, bool] = {}
        for other in self.state.objects.dependents(self.owner.uid):
            number = _ordinal(other)
            if other.kind != "Pod" or ordinal < 0 or number <= ordinal or not self._born_before(other):
                continue
            there = not _gone_before(other, self.change)
            if there and self._older(other):
                return False
            done[number] = done.get(number, False) or (there and self._was_ready(other))
        return not strict or all(ready for number, ready in done.items() if number < self.replicas)

    def _born_before(self, pod: ObjectState) -> bool:
        return bool(pod.rv) and next((c.rv for c in pod.changes if c.verb == "Create"), 0) < self.change.rv

    def _was_ready(self, pod: ObjectState) -> bool:
        """One of which that is not known was."""
        transitions = [t for t in pod.transitions if t.type == "Ready" and t.rv < self.change.rv]
        if transitions:
            return not max(transitions, key=lambda t: t.rv).bad
        made = next((c for c in pod.changes if c.verb == "Create" and c.rv > SYNTHETIC_UPDATE), None)
        return made is None or not made.exact or made.time < self.since


def _ordinal(pod: ObjectState) -> int:
    """The ordinal of a StatefulSet's Pod; before Kubernetes 1.28 only its name told it. -1: not known."""
    number = pod.name.rpartition("-")[2]
    if pod.ordinal >= 0 or not (number.isascii() and number.isdigit() and len(number) < 10):
        return pod.ordinal
    return int(number)


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
