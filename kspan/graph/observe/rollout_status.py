"""Whether an object is on its way, and whether it failed: what keeps a trace open, and what its outcome is. Pure.

The rules are those by which kubectl waits (k8s.io/kubectl pkg/polymorphichelpers/rollout_status.go) and the Pod and Job
life cycles.
"""

from typing import NamedTuple

from kspan.k8s.objects import Condition, KubeObject, ObjectStatus, Spec
from kspan.times import parse_time_or_zero


class Progress(NamedTuple):
    """``moving``: something is still to come by itself; ``failed``: it ended, and not well."""

    progressing: bool
    failed: bool


STILL = Progress(progressing=False, failed=False)
MOVING = Progress(progressing=True, failed=False)


def _condition(status: ObjectStatus, kind: str) -> Condition | None:
    return next((c for c in status.conditions or () if c.type == kind), None)


def _is_true(status: ObjectStatus, kind: str) -> bool:
    condition = _condition(status, kind)
    return condition is not None and condition.status == "True"


def _deployment(obj: KubeObject, spec: Spec, status: ObjectStatus) -> Progress:
    condition = _condition(status, "Progressing")
    failed = condition is not None and condition.status == "False"
    if spec.paused:
        return Progress(progressing=False, failed=failed)
    wanted = 1 if spec.replicas is None else spec.replicas
    progressing = (
        status.observedGeneration < obj.metadata.generation
        or status.updatedReplicas < wanted
        or status.replicas > status.updatedReplicas
        or status.availableReplicas < status.updatedReplicas
    )
    return Progress(progressing=progressing, failed=failed and progressing)


def _replica_set(obj: KubeObject, spec: Spec, status: ObjectStatus) -> Progress:
    wanted = 1 if spec.replicas is None else spec.replicas
    progressing = (
        status.observedGeneration < obj.metadata.generation
        or status.replicas != wanted
        or status.availableReplicas < wanted
    )
    return Progress(progressing=progressing, failed=False)


def _stateful_set(obj: KubeObject, spec: Spec, status: ObjectStatus) -> Progress:
    wanted = 1 if spec.replicas is None else spec.replicas
    rolling = spec.updateStrategy.rollingUpdate if spec.updateStrategy is not None else None
    updated = max(0, wanted - ((rolling.partition if rolling is not None else None) or 0))
    progressing = (
        status.observedGeneration < obj.metadata.generation
        or status.replicas != wanted
        or status.readyReplicas < wanted
        or (status.updatedReplicas < updated and not _on_delete(spec))
    )
    return Progress(progressing=progressing, failed=False)


def _daemon_set(obj: KubeObject, spec: Spec, status: ObjectStatus) -> Progress:
    wanted = status.desiredNumberScheduled
    progressing = (
        status.observedGeneration < obj.metadata.generation
        or (status.updatedNumberScheduled < wanted and not _on_delete(spec))
        or status.numberAvailable < wanted
    )
    return Progress(progressing=progressing, failed=False)


def _on_delete(spec: Spec) -> bool:
    """Whether Pods are updated only when somebody deletes them."""
    return spec.updateStrategy is not None and spec.updateStrategy.type == "OnDelete"


def _job(_obj: KubeObject, spec: Spec, status: ObjectStatus) -> Progress:
    failed = _is_true(status, "Failed")
    if failed or spec.suspend or _is_true(status, "Complete"):
        return Progress(progressing=False, failed=failed)
    return MOVING


def _pod(_obj: KubeObject, _spec: Spec, status: ObjectStatus) -> Progress:
    if status.phase in ("Succeeded", "Failed"):
        return Progress(progressing=False, failed=status.phase == "Failed")
    if status.phase == "Running" and _is_true(status, "Ready"):
        return STILL
    return MOVING


def _node(_obj: KubeObject, _spec: Spec, status: ObjectStatus) -> Progress:
    # One that is not ready comes back, or its Pods are evicted (after 300 s by default).
    ready = _condition(status, "Ready")
    return MOVING if ready is not None and ready.status != "True" else STILL


_KINDS = {
    "Deployment": _deployment,
    "ReplicaSet": _replica_set,
    "StatefulSet": _stateful_set,
    "DaemonSet": _daemon_set,
    "Job": _job,
    "Node": _node,
    "Pod": _pod,
}

BUILT_IN = frozenset(
    [*_KINDS, "CronJob", "HorizontalPodAutoscaler", "Namespace", "PersistentVolume", "ReplicationController"],
)


def assess(obj: KubeObject, spec: Spec, status: ObjectStatus) -> Progress:
    """How the object stands. One that is being deleted is on its way until it is gone."""
    if obj.metadata.deletionTimestamp:
        return MOVING
    judge = _KINDS.get(obj.kind)
    return judge(obj, spec, status) if judge else STILL


def ended(status: ObjectStatus) -> int:
    """When a Job completed or failed (ns, a whole second), 0 where it has not."""
    found = (c for c in status.conditions or () if c.type in ("Complete", "Failed") and c.status == "True")
    return max((parse_time_or_zero(c.lastTransitionTime) for c in found), default=0)


def disruption(status: ObjectStatus) -> str:
    """The reason of a Pod's DisruptionTarget condition, empty without one.

    Set before a Pod is evicted, preempted or removed with its node (k8s.io/api core/v1 PodConditionType).
    """
    condition = _condition(status, "DisruptionTarget")
    return condition.reason if condition is not None and condition.status == "True" else ""
