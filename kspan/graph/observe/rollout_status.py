"""Whether an object is progressing, and whether it failed: this keeps a trace open and decides its outcome. Pure.

The rules are those of ``kubectl rollout status`` (k8s.io/kubectl pkg/polymorphichelpers/rollout_status.go) and the life
cycles of Pods and Jobs.
"""

from typing import NamedTuple

from kspan.graph.observe.field_managers import last_write
from kspan.k8s.objects import Condition, KubeObject, ObjectStatus, Spec
from kspan.k8s.workloads import is_restarting, is_scaled_down_later, operation_phase, pause_ends
from kspan.times import parse_time_or_zero


class Progress(NamedTuple):
    """The state of an object."""

    progressing: bool
    """True if its controller has not finished."""
    failed: bool
    """True if it ended with a failure."""


ENDED_BY_KUBELET = "TerminationByKubelet"
"""Reason of the condition DisruptionTarget with which a Pod fails and stays (core/v1 PodReasonTerminationByKubelet)."""

SETTLED = Progress(progressing=False, failed=False)
PROGRESSING = Progress(progressing=True, failed=False)


def _condition(status: ObjectStatus, kind: str) -> Condition | None:
    for condition in status.conditions or ():
        if condition.type == kind:
            return condition
    return None


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
        # Not only old replicas: it may have been scaled down (pkg/controller/deployment/util, DeploymentComplete).
        or status.replicas != wanted
        or status.availableReplicas < wanted
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
    """True if Pods are updated only when they are deleted."""
    return spec.updateStrategy is not None and spec.updateStrategy.type == "OnDelete"


def _job(_obj: KubeObject, spec: Spec, status: ObjectStatus) -> Progress:
    failed = _is_true(status, "Failed")
    if failed or spec.suspend or _is_true(status, "Complete"):
        return Progress(progressing=False, failed=failed)
    return PROGRESSING


def _pod(_obj: KubeObject, _spec: Spec, status: ObjectStatus) -> Progress:
    if status.phase in ("Succeeded", "Failed"):
        return Progress(progressing=False, failed=status.phase == "Failed" and not is_removed(status))
    if status.phase == "Running" and _is_true(status, "Ready"):
        return SETTLED
    return PROGRESSING


def _node(_obj: KubeObject, _spec: Spec, status: ObjectStatus) -> Progress:
    # A Node that is not ready recovers, or its Pods are evicted (after 300 s by default).
    ready = _condition(status, "Ready")
    return PROGRESSING if ready is not None and ready.status != "True" else SETTLED


def _node_claim(obj: KubeObject, _spec: Spec, status: ObjectStatus) -> Progress:
    """That of Karpenter: its Node is launched, registers, and is initialized; one that does not register within 15
    minutes is deleted (pkg/controllers/nodeclaim/lifecycle)."""
    if not obj.apiVersion.startswith("karpenter.sh/") or not status.conditions:
        return SETTLED
    return SETTLED if _is_true(status, "Initialized") else PROGRESSING


def _rollout(obj: KubeObject, spec: Spec, status: ObjectStatus) -> Progress:
    """That of Argo Rollouts (utils/rollout/rolloututil.go, GetRolloutPhase); others have none."""
    if not obj.apiVersion.startswith("argoproj.io/"):
        return SETTLED
    if 0 < status.observedGeneration < obj.metadata.generation:
        return PROGRESSING
    if status.phase == "Degraded":
        return Progress(progressing=True, failed=True)
    if is_restarting(bytes(obj.spec), bytes(obj.status), last_write(obj.metadata.managedFields)):
        return PROGRESSING
    if spec.paused or status.phase == "Paused":
        ends = not spec.paused and pause_ends(bytes(obj.spec), bytes(obj.status))
        return Progress(progressing=ends, failed=False)
    if status.phase == "Healthy":
        old = status.replicas > status.updatedReplicas
        return Progress(progressing=old and is_scaled_down_later(bytes(obj.spec)), failed=False)
    return PROGRESSING


def _analysis_run(obj: KubeObject, _spec: Spec, status: ObjectStatus) -> Progress:
    ends = not obj.apiVersion.startswith("argoproj.io/") or status.phase not in ("", "Pending", "Running")
    return Progress(progressing=not ends, failed=status.phase in ("Failed", "Error"))


def _run(obj: KubeObject, _spec: Spec, status: ObjectStatus) -> Progress:
    """That of a PipelineRun, TaskRun or CustomRun of Tekton (tektoncd/pipeline docs/pipelineruns.md, "Monitoring
    execution status"). One that is pending by its spec waits for a person."""
    found = _condition(status, "Succeeded")
    if not obj.apiVersion.startswith("tekton.dev/"):
        return SETTLED
    if found is None or found.status == "Unknown":
        return SETTLED if found is not None and found.reason == "PipelineRunPending" else PROGRESSING
    return Progress(progressing=False, failed=found.status == "False")


def _workflow(obj: KubeObject, spec: Spec, status: ObjectStatus) -> Progress:
    """That of Argo Workflows (argoproj/argo-workflows pkg/apis/workflow/v1alpha1, WorkflowPhase)."""
    if not obj.apiVersion.startswith("argoproj.io/"):
        return SETTLED
    progressing = status.phase in ("Pending", "Running") and not spec.suspend
    return Progress(progressing, failed=status.phase in ("Failed", "Error"))


def _workload(obj: KubeObject, _spec: Spec, status: ObjectStatus) -> Progress:
    """That of Kueue: it waits until it is admitted; from then on its Job is progressing. A server is never finished."""
    over = any(_is_true(status, kind) for kind in ("Admitted", "Finished", "Evicted"))
    return SETTLED if over or not obj.apiVersion.startswith("kueue.x-k8s.io/") else PROGRESSING


def _application(obj: KubeObject) -> Progress:
    """That of an operation of Argo CD (pkg/apis/application/v1alpha1/types.go, OperationState)."""
    if not obj.apiVersion.startswith("argoproj.io/"):
        return SETTLED
    return PROGRESSING if operation_phase(bytes(obj.status)) in ("Running", "Terminating") else SETTLED


def _reconciled(obj: KubeObject, spec: Spec, status: ObjectStatus) -> Progress:
    expected = _CONDITIONS[obj.kind]
    progressing = not spec.suspend and any(
        (c.type, c.status, "") in expected or (c.type, c.status, c.reason) in expected for c in status.conditions or ()
    )
    return Progress(progressing, failed=False)


_KINDS = {
    "AnalysisRun": _analysis_run,
    "CustomRun": _run,
    "Deployment": _deployment,
    "ReplicaSet": _replica_set,
    "StatefulSet": _stateful_set,
    "DaemonSet": _daemon_set,
    "Job": _job,
    "Node": _node,
    "NodeClaim": _node_claim,
    "PipelineRun": _run,
    "Pod": _pod,
    "Rollout": _rollout,
    "TaskRun": _run,
    "Workflow": _workflow,
    "Workload": _workload,
}

ASSESSED = frozenset(_KINDS)
"""Kinds whose status shows whether they are healthy."""

_RECONCILING = (
    ("Reconciling", "True", "Progressing"),  # kstatus; after a failure its reason is ProgressingWithRetry
    # An object waits for others, and asks for them every 30 s (fluxcd/kustomize-controller checkDependencies).
    ("Ready", "False", "DependencyNotReady"),
)

_CONDITIONS = {
    "Certificate": (("Issuing", "True", ""),),  # cert-manager pkg/apis/certmanager/v1
    "HelmRelease": _RECONCILING,
    "Kustomization": _RECONCILING,
}
"""Conditions of custom resources that are progressing: type, status and reason (empty: any)."""

BUILT_IN = frozenset(
    [
        *_KINDS,
        *_CONDITIONS,
        "Application",
        "CronJob",
        "HorizontalPodAutoscaler",
        "Namespace",
        "PersistentVolume",
        "PersistentVolumeClaim",
        "ReplicationController",
    ],
)
"""Kinds whose spec is decoded."""


def assess(obj: KubeObject, spec: Spec, status: ObjectStatus) -> Progress:
    """Return the state of an object. One that is being deleted is progressing."""
    if obj.metadata.deletionTimestamp:
        return PROGRESSING
    if obj.kind in _CONDITIONS:
        return _reconciled(obj, spec, status)
    if obj.kind == "Application":
        return _application(obj)
    assess_kind = _KINDS.get(obj.kind)
    return assess_kind(obj, spec, status) if assess_kind else SETTLED


def job_end(status: ObjectStatus) -> int:
    """Return when a Job completed or failed (ns, in whole seconds); 0 if it did not."""
    found = (c for c in status.conditions or () if c.type in ("Complete", "Failed") and c.status == "True")
    return max((parse_time_or_zero(c.lastTransitionTime) for c in found), default=0)


def disruption_reason(status: ObjectStatus) -> str:
    """Return the reason of a Pod's condition DisruptionTarget; empty if it is not true.

    The condition is set before a Pod is evicted, preempted or removed with its node (core/v1 PodConditionType).
    """
    condition = _condition(status, "DisruptionTarget")
    return condition.reason if condition is not None and condition.status == "True" else ""


def is_removed(status: ObjectStatus) -> bool:
    """True for a Pod that is disrupted by being deleted.

    The Pod garbage collector writes the phase Failed, in one patch with the condition, before it deletes a Pod
    (pkg/controller/podgc/gc_controller.go, markFailedAndDeletePodWithCondition): the Pod itself did not fail. A kubelet
    that ends a Pod does not delete it.
    """
    return disruption_reason(status) not in ("", ENDED_BY_KUBELET)
