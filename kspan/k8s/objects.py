"""Typed Kubernetes objects, and their decoders. Pure.

The structs have only the fields that kspan reads, under the names of the API. Sources: k8s.io/apimachinery meta/v1
types.go; k8s.io/api core/v1, apps/v1, autoscaling/v2 and batch/v1 types.go.
"""

from typing import Literal

import msgspec
from msgspec import UNSET, Raw, UnsetType


class OwnerReference(msgspec.Struct, gc=False):
    """meta/v1 OwnerReference."""

    kind: str = ""
    name: str = ""
    uid: str = ""
    apiVersion: str = ""
    controller: bool | None = None


class ManagedFieldsEntry(msgspec.Struct, gc=False):
    """meta/v1 ManagedFieldsEntry. ``time`` is RFC 3339 in whole seconds; the ``scale`` subresource has none."""

    manager: str = ""
    operation: str = ""
    subresource: str = ""
    time: str | None = None
    fieldsV1: Raw = Raw(b"")


class ObjectMeta(msgspec.Struct, gc=False):
    """meta/v1 ObjectMeta."""

    uid: str = ""
    name: str = ""
    namespace: str = ""
    resourceVersion: str = ""
    generation: int = 0
    creationTimestamp: str | None = None
    deletionTimestamp: str | None = None
    deletionGracePeriodSeconds: int | None = None
    finalizers: list[str] | None = None
    labels: Raw = Raw(b"")
    annotations: dict[str, str] | None = None
    ownerReferences: list[OwnerReference] | None = None
    managedFields: list[ManagedFieldsEntry] | None = None


class KubeObject(msgspec.Struct, gc=False):
    """An object of any kind. ``decode_spec`` and ``decode_status`` read its spec and status."""

    metadata: ObjectMeta
    kind: str = ""
    apiVersion: str = ""
    spec: Raw = Raw(b"")
    status: Raw = Raw(b"")


class Condition(msgspec.Struct, gc=False):
    """meta/v1 Condition. An entry without a status is true (Argo CD writes such entries)."""

    type: str = ""
    status: Literal["True", "False", "Unknown"] = "True"
    reason: str = ""
    message: str = ""
    observedGeneration: int = 0
    lastTransitionTime: str | None = None


class LabelRequirement(msgspec.Struct, gc=False):
    """meta/v1 LabelSelectorRequirement."""

    key: str = ""
    operator: str = ""
    values: list[str] | None = None


class LabelSelector(msgspec.Struct, gc=False):
    """meta/v1 LabelSelector."""

    matchLabels: dict[str, str] | None = None
    matchExpressions: list[LabelRequirement] | None = None


class SelectingSpec(msgspec.Struct, gc=False):
    """policy/v1 PodDisruptionBudgetSpec."""

    selector: LabelSelector | None = None


class ScaleTarget(msgspec.Struct, gc=False):
    """autoscaling CrossVersionObjectReference; argoproj ObjectRef."""

    kind: str = ""
    name: str = ""


class ClaimReference(msgspec.Struct, gc=False):
    """core/v1 ObjectReference, in PersistentVolumeSpec.claimRef."""

    uid: str = ""


class Taint(msgspec.Struct, frozen=True, gc=False):
    """core/v1 Taint: the fields that identify it."""

    key: str = ""
    effect: str = ""
    value: str = ""


class RollingUpdate(msgspec.Struct, gc=False):
    """apps/v1 RollingUpdateStatefulSetStrategy and RollingUpdateDaemonSet."""

    partition: int | None = None
    maxUnavailable: int | str | None = None
    maxSurge: int | str | None = None


class UpdateStrategy(msgspec.Struct, gc=False):
    """apps/v1 StatefulSetUpdateStrategy and DaemonSetUpdateStrategy."""

    type: str = ""
    rollingUpdate: RollingUpdate | None = None


class DeploymentStrategy(msgspec.Struct, gc=False):
    """apps/v1 DeploymentStrategy."""

    type: str = ""


class ClaimSource(msgspec.Struct, gc=False):
    """core/v1 PersistentVolumeClaimVolumeSource."""

    claimName: str = ""


class Volume(msgspec.Struct, gc=False):
    """core/v1 Volume."""

    name: str = ""
    persistentVolumeClaim: ClaimSource | None = None
    ephemeral: Raw = Raw(b"")


class PodVolumes(msgspec.Struct, gc=False):
    """The volumes of a core/v1 PodSpec."""

    volumes: list[Volume] | None = None


class RunningContainer(msgspec.Struct, gc=False):
    """core/v1 Container and EphemeralContainer: what can change while it runs, and what it is for."""

    name: str | UnsetType = UNSET
    image: str | UnsetType = UNSET
    resources: Raw | UnsetType = UNSET
    targetContainerName: str | UnsetType = UNSET


class RunningPod(msgspec.Struct, gc=False):
    """The fields of a core/v1 PodSpec that can change while the Pod runs, or waits for its scheduling gates."""

    activeDeadlineSeconds: int | UnsetType | None = UNSET
    containers: list[RunningContainer] | UnsetType = UNSET
    ephemeralContainers: list[RunningContainer] | UnsetType = UNSET
    initContainers: list[RunningContainer] | UnsetType = UNSET
    resources: Raw | UnsetType = UNSET
    schedulingGates: Raw | UnsetType = UNSET


class Toleration(msgspec.Struct, gc=False):
    """core/v1 Toleration."""

    key: str = ""
    tolerationSeconds: int | None = None


class Spec(msgspec.Struct, gc=False):
    """The fields of the specs of built-in kinds that kspan reads."""

    replicas: int | None = None
    paused: bool | None = None
    suspend: bool | None = None
    unschedulable: bool | None = None
    revisionHistoryLimit: int | None = None
    ttlSecondsAfterFinished: int | None = None
    nodeName: str = ""
    podManagementPolicy: str = ""
    concurrencyPolicy: str = ""
    updateStrategy: UpdateStrategy | None = None
    strategy: DeploymentStrategy | None = None
    scaleTargetRef: ScaleTarget | None = None
    workloadRef: ScaleTarget | None = None
    claimRef: ClaimReference | None = None
    volumeName: str = ""
    persistentVolumeReclaimPolicy: str = ""
    taints: list[Taint] | None = None
    tolerations: Raw = Raw(b"")
    template: Raw = Raw(b"")
    affinity: Raw = Raw(b"")


class TemplateMetadata(msgspec.Struct, gc=False):
    """The metadata of a pod template that its Pods inherit."""

    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None


class Template(msgspec.Struct, gc=False):
    """core/v1 PodTemplateSpec."""

    metadata: TemplateMetadata = msgspec.field(default_factory=TemplateMetadata)
    spec: Raw = Raw(b"")


class MatchField(msgspec.Struct, gc=False):
    """core/v1 NodeSelectorRequirement."""

    key: str = ""
    values: list[str] | None = None


class NodeTerm(msgspec.Struct, gc=False):
    """core/v1 NodeSelectorTerm."""

    matchFields: list[MatchField] | None = None


class NodeSelector(msgspec.Struct, gc=False):
    """core/v1 NodeSelector."""

    nodeSelectorTerms: list[NodeTerm] | None = None


class NodeAffinity(msgspec.Struct, gc=False):
    """core/v1 NodeAffinity."""

    requiredDuringSchedulingIgnoredDuringExecution: NodeSelector | None = None


class Affinity(msgspec.Struct, gc=False):
    """core/v1 Affinity."""

    nodeAffinity: NodeAffinity | None = None


class ContainerStateWaiting(msgspec.Struct, gc=False):
    """core/v1 ContainerStateWaiting."""

    reason: str = ""


class ContainerStateRunning(msgspec.Struct, gc=False):
    """core/v1 ContainerStateRunning."""

    startedAt: str | None = None


class ContainerStateTerminated(msgspec.Struct, gc=False):
    """core/v1 ContainerStateTerminated."""

    exitCode: int = 0
    signal: int = 0
    reason: str = ""
    message: str = ""
    startedAt: str | None = None
    finishedAt: str | None = None
    containerID: str = ""


class ContainerState(msgspec.Struct, gc=False):
    """core/v1 ContainerState."""

    terminated: ContainerStateTerminated | None = None
    running: ContainerStateRunning | None = None
    waiting: ContainerStateWaiting | None = None


class ContainerStatus(msgspec.Struct, gc=False):
    """core/v1 ContainerStatus."""

    name: str = ""
    restartCount: int = 0
    containerID: str = ""
    state: ContainerState | None = None
    lastState: ContainerState | None = None


class ObjectStatus(msgspec.Struct, gc=False):
    """The fields of the statuses of built-in kinds that kspan reads."""

    phase: str = ""
    reason: str = ""
    message: str = ""
    observedGeneration: int = 0
    replicas: int = 0
    updatedReplicas: int = 0
    readyReplicas: int = 0
    availableReplicas: int = 0
    desiredNumberScheduled: int = 0
    updatedNumberScheduled: int = 0
    numberAvailable: int = 0
    conditions: list[Condition] | None = None
    disruptedPods: dict[str, str] | None = None
    initContainerStatuses: list[ContainerStatus] | None = None
    containerStatuses: list[ContainerStatus] | None = None
    ephemeralContainerStatuses: list[ContainerStatus] | None = None


class AnyStatus(msgspec.Struct, gc=False):
    """The conditions of a status whose other fields do not fit ObjectStatus."""

    conditions: Raw = Raw(b"[]")


class ObjectReference(msgspec.Struct, gc=False):
    """core/v1 ObjectReference."""

    kind: str = ""
    namespace: str = ""
    name: str = ""
    uid: str = ""
    apiVersion: str = ""
    resourceVersion: str = ""
    fieldPath: str = ""


class EventSource(msgspec.Struct, gc=False):
    """core/v1 EventSource."""

    component: str = ""
    host: str = ""


class EventSeries(msgspec.Struct, gc=False):
    """core/v1 EventSeries."""

    count: int = 0
    lastObservedTime: str | None = None


class Event(msgspec.Struct, gc=False):
    """core/v1 Event."""

    metadata: ObjectMeta
    involvedObject: ObjectReference = msgspec.field(default_factory=ObjectReference)
    related: ObjectReference | None = None
    reason: str = ""
    message: str = ""
    type: str = ""
    action: str = ""
    source: EventSource = msgspec.field(default_factory=EventSource)
    count: int | None = None
    series: EventSeries | None = None
    firstTimestamp: str | None = None
    lastTimestamp: str | None = None
    eventTime: str | None = None
    reportingComponent: str = ""
    reportingInstance: str = ""


# Decoders ----------------------------------------------------------------------------------------------------------


def _strip_nulls(value: object) -> object:
    if isinstance(value, dict):
        return {k: _strip_nulls(v) for k, v in value.items() if v is not None}
    if isinstance(value, list):
        return [_strip_nulls(v) for v in value]
    return value


_object = msgspec.json.Decoder(KubeObject)
_event = msgspec.json.Decoder(Event)
_spec = msgspec.json.Decoder(Spec)
_status = msgspec.json.Decoder(ObjectStatus)
# The observedGeneration of Argo Rollouts is a string.
_converted_status = msgspec.json.Decoder(ObjectStatus, strict=False)
_selecting = msgspec.json.Decoder(SelectingSpec)
_any_status = msgspec.json.Decoder(AnyStatus)
_entries = msgspec.json.Decoder(list[Raw])
_condition = msgspec.json.Decoder(Condition)


def _without_nulls(payload: bytes) -> bytes:
    # Go writes null for an unset slice or string (old API servers, captures made from YAML).
    return msgspec.json.encode(_strip_nulls(msgspec.json.decode(payload)))


def decode_object(payload: bytes) -> KubeObject | None:
    """Decode an object; None if its metadata does not match the schema."""
    try:
        return _object.decode(payload)
    except msgspec.MsgspecError:
        pass
    try:
        return _object.decode(_without_nulls(payload))
    except (msgspec.MsgspecError, RecursionError, ValueError):
        return None


def decode_event(payload: bytes) -> Event | None:
    """Decode a core/v1 Event; None if it does not match the schema."""
    try:
        return _event.decode(payload)
    except msgspec.MsgspecError:
        pass
    try:
        return _event.decode(_without_nulls(payload))
    except (msgspec.MsgspecError, RecursionError, ValueError):
        return None


def decode_spec(raw: bytes | Raw) -> Spec:
    """Decode a spec; an empty Spec if a field does not match the schema (the spec of a custom resource)."""
    if not raw:
        return Spec()
    try:
        return _spec.decode(raw)
    except msgspec.MsgspecError:
        return Spec()


def decode_selector(raw: bytes) -> LabelSelector | None:
    """Decode the selector of a PodDisruptionBudget's spec; None if it has none, or does not match the schema."""
    try:
        return _selecting.decode(raw).selector if raw else None
    except msgspec.MsgspecError:
        return None


def decode_status(raw: bytes | Raw) -> ObjectStatus:
    """Decode a status. If a field does not match the schema, only the valid conditions are returned."""
    if not raw:
        return ObjectStatus()
    try:
        return _status.decode(raw)
    except msgspec.MsgspecError:
        pass
    try:
        return _converted_status.decode(raw)
    except msgspec.MsgspecError:
        return _lenient_status(raw)


def _lenient_status(raw: bytes | Raw) -> ObjectStatus:
    try:
        found = _any_status.decode(raw)
        entries = _entries.decode(found.conditions)
    except msgspec.MsgspecError:
        return ObjectStatus()
    return ObjectStatus(conditions=[c for c in map(_lenient_condition, entries) if c is not None])


def _lenient_condition(raw: Raw) -> Condition | None:
    try:
        return _condition.decode(raw)
    except msgspec.MsgspecError:
        pass
    try:
        return _condition.decode(_without_nulls(bytes(raw)))
    except (msgspec.MsgspecError, RecursionError, ValueError):
        return None
