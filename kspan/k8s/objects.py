"""Raw Kubernetes JSON, typed: the one place that knows what the API server sends. Only what is read is decoded.

Field names are the API's own. Sources: k8s.io/apimachinery meta/v1 types.go, k8s.io/api core/v1, apps/v1, batch/v1.
"""

import re
import zlib
from typing import Literal

import msgspec
from msgspec import Raw

from kspan.times import SECOND, parse_time_or_zero


class OwnerReference(msgspec.Struct, gc=False):
    """meta/v1 OwnerReference."""

    kind: str = ""
    name: str = ""
    uid: str = ""
    apiVersion: str = ""
    controller: bool | None = None


class ManagedFieldsEntry(msgspec.Struct, gc=False):
    """meta/v1 ManagedFieldsEntry; ``time`` is RFC 3339 in whole seconds, missing for the ``scale`` subresource."""

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
    labels: Raw = Raw(b"")
    annotations: dict[str, str] | None = None
    ownerReferences: list[OwnerReference] | None = None
    managedFields: list[ManagedFieldsEntry] | None = None


class KubeObject(msgspec.Struct, gc=False):
    """Any object; spec and status stay raw until somebody asks."""

    metadata: ObjectMeta
    kind: str = ""
    apiVersion: str = ""
    spec: Raw = Raw(b"")
    status: Raw = Raw(b"")


class Condition(msgspec.Struct, gc=False):
    """An entry of status.conditions. One without a status (Argo CD) is true."""

    type: str = ""
    status: Literal["True", "False", "Unknown"] = "True"
    reason: str = ""
    message: str = ""
    observedGeneration: int = 0
    lastTransitionTime: str | None = None


class ScaleTarget(msgspec.Struct, gc=False):
    """autoscaling CrossVersionObjectReference."""

    kind: str = ""
    name: str = ""


class ClaimReference(msgspec.Struct, gc=False):
    """core/v1 ObjectReference, as a PersistentVolume names its claim."""

    uid: str = ""


class Taint(msgspec.Struct, frozen=True, gc=False):
    """core/v1 Taint, as far as it tells one from another."""

    key: str = ""
    effect: str = ""
    value: str = ""


class RollingUpdate(msgspec.Struct, gc=False):
    """apps/v1 RollingUpdateStatefulSetStrategy."""

    partition: int | None = None
    maxUnavailable: int | str | None = None


class UpdateStrategy(msgspec.Struct, gc=False):
    """apps/v1 StatefulSetUpdateStrategy and DaemonSetUpdateStrategy."""

    type: str = ""
    rollingUpdate: RollingUpdate | None = None


class DeploymentStrategy(msgspec.Struct, gc=False):
    """apps/v1 DeploymentStrategy."""

    type: str = ""


class Toleration(msgspec.Struct, gc=False):
    """core/v1 Toleration."""

    key: str = ""
    tolerationSeconds: int | None = None


class Spec(msgspec.Struct, gc=False):
    """The parts of a built-in kind's spec that causality reads."""

    replicas: int | None = None
    paused: bool | None = None
    suspend: bool | None = None
    unschedulable: bool | None = None
    revisionHistoryLimit: int | None = None
    ttlSecondsAfterFinished: int | None = None
    nodeName: str = ""
    podManagementPolicy: str = ""
    updateStrategy: UpdateStrategy | None = None
    strategy: DeploymentStrategy | None = None
    scaleTargetRef: ScaleTarget | None = None
    claimRef: ClaimReference | None = None
    persistentVolumeReclaimPolicy: str = ""
    taints: list[Taint] | None = None
    tolerations: Raw = Raw(b"")
    template: Raw = Raw(b"")
    affinity: Raw = Raw(b"")


class TemplateMetadata(msgspec.Struct, gc=False):
    """The parts of a pod template's metadata that make its Pods differ."""

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


class ObjectStatus(msgspec.Struct, gc=False):
    """The parts of a built-in kind's status that tell whether it is on its way."""

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


class AnyStatus(msgspec.Struct, gc=False):
    """A status whose other parts are of another form than those of the built-in kinds."""

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
_any_status = msgspec.json.Decoder(AnyStatus)
_entries = msgspec.json.Decoder(list[Raw])
_condition = msgspec.json.Decoder(Condition)
_template = msgspec.json.Decoder(Template)
_labels = msgspec.json.Decoder(dict[str, str])
_tolerations = msgspec.json.Decoder(list[Toleration])
_affinity = msgspec.json.Decoder(Affinity)
_members = msgspec.json.Decoder(dict[str, Raw])


def _without_nulls(payload: bytes) -> bytes:
    # Go writes null where a slice or a string is unset (old API servers, captures made from YAML).
    return msgspec.json.encode(_strip_nulls(msgspec.json.decode(payload)))


def decode_object(payload: bytes) -> KubeObject | None:
    """The object, or None where its metadata is not of the API's form (an off-schema object has no causality)."""
    try:
        return _object.decode(payload)
    except msgspec.MsgspecError:
        pass
    try:
        return _object.decode(_without_nulls(payload))
    except (msgspec.MsgspecError, RecursionError, ValueError):
        return None


def decode_event(payload: bytes) -> Event | None:
    """The Event, or None where it is not of the API's form."""
    try:
        return _event.decode(payload)
    except msgspec.MsgspecError:
        pass
    try:
        return _event.decode(_without_nulls(payload))
    except (msgspec.MsgspecError, RecursionError, ValueError):
        return None


def decode_spec(raw: bytes) -> Spec:
    """Reads what it understands; an empty Spec for a spec of another form."""
    if not raw:
        return Spec()
    try:
        return _spec.decode(raw)
    except msgspec.MsgspecError:
        return Spec()


def decode_status(raw: bytes) -> ObjectStatus:
    """Reads what it understands of a status, entry by entry where not all of it is of the usual form."""
    if not raw:
        return ObjectStatus()
    try:
        return _status.decode(raw)
    except msgspec.MsgspecError:
        return _lenient_status(raw)


def _lenient_status(raw: bytes) -> ObjectStatus:
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


def template_fingerprint(raw: bytes) -> int:
    """What tells pod templates apart, 0 for none. The same for a Deployment and the ReplicaSet that is made for it.

    The deployment controller adds a label of its own to the ReplicaSet's (pkg/controller/deployment/sync.go).
    """
    if not raw:
        return 0
    try:
        found = _template.decode(raw)
    except msgspec.MsgspecError:
        return zlib.crc32(raw)
    labels = sorted((k, v) for k, v in (found.metadata.labels or {}).items() if k != "pod-template-hash")
    annotations = sorted((found.metadata.annotations or {}).items())
    return zlib.crc32(msgspec.json.encode([labels, annotations]), zlib.crc32(bytes(found.spec)))


def pod_index(labels: bytes) -> int:
    """The ordinal of a StatefulSet's Pod by its label (since Kubernetes 1.28); -1 without one."""
    if b'"apps.kubernetes.io/pod-index"' not in labels:
        return -1
    try:
        index = _labels.decode(labels).get("apps.kubernetes.io/pod-index", "")
    except msgspec.MsgspecError:
        return -1
    return int(index) if index.isascii() and index.isdigit() and len(index) < 10 else -1


REVISION = "deployment.kubernetes.io/revision"
"""The annotation with which the deployment controller numbers what it rolls out, on the ReplicaSet that is for it
(pkg/controller/deployment/util/deployment_util.go)."""

_OF_NODE_LIFE = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")


def toleration_seconds(tolerations: bytes) -> int:
    """How many seconds a Pod stays at most on a node that somebody tainted with NoExecute; 0 where it does not say.

    What the API server adds to every Pod (300 s on a node that is not ready) does not count: such a node is moving.
    """
    try:
        found = _tolerations.decode(tolerations) if b"tolerationSeconds" in tolerations else []
    except msgspec.MsgspecError:
        return 0
    return max((t.tolerationSeconds or 0 for t in found if t.key not in _OF_NODE_LIFE), default=0)


_REVISION = re.compile(rb'"controller-revision-hash": ?"([^"]*)"')


def revision_label(labels: bytes) -> str:
    """The revision of its owner that a Pod of a StatefulSet or DaemonSet was made from; empty where it does not say."""
    found = _REVISION.search(labels)
    return found[1].decode(errors="replace") if found is not None else ""


def wanted_node(affinity: bytes) -> str:
    """The node that a Pod's affinity names, as the DaemonSet controller writes it before anything is scheduled."""
    if not affinity:
        return ""
    try:
        wanted = _affinity.decode(affinity).nodeAffinity
    except msgspec.MsgspecError:
        return ""
    selector = wanted.requiredDuringSchedulingIgnoredDuringExecution if wanted is not None else None
    for term in (selector.nodeSelectorTerms if selector is not None else None) or ():
        for match in term.matchFields or ():
            if match.key == "metadata.name" and match.values and len(match.values) == 1:
                return match.values[0]
    return ""


def content(payload: bytes) -> bytes:
    """What stands for the spec of an object that has none (a ConfigMap's data, a Role's rules): all but its head and
    its status."""
    try:
        members = _members.decode(payload)
    except msgspec.MsgspecError:
        return b""
    kept = {k: v for k, v in members.items() if k not in ("kind", "apiVersion", "metadata", "status")}
    return msgspec.json.encode(kept) if kept else b""


_MOST_DIGITS = len(str(2**63)) - 1

ERA = 1 << 48
"""What versions that started over are raised by: more than a cluster's etcd ever counts to."""


def version_number(resource_version: str, epoch: int = 0) -> int:
    """The resourceVersion as a number, 0 where it is none; those of a later ``epoch`` (LogRecord) are greater.

    Comparable within one resource by the API's own promise (KEP-5504); across resources a hint, since one etcd counts
    them all unless Events were given an etcd of their own. etcd counts in 63 bits; a greater number is none of its.
    """
    if not (resource_version.isascii() and resource_version.isdigit()) or len(resource_version) > _MOST_DIGITS:
        return 0
    return int(resource_version) + epoch * ERA


def name_time(event: Event) -> int:
    """The nanoseconds in an Event's name (client-go tools/record/event.go: ``name.%x``), 0 where not plausible.

    Third parties put other hexadecimal there; the time must fall into the second that firstTimestamp names.
    """
    first = parse_time_or_zero(event.firstTimestamp)
    _, dot, suffix = event.metadata.name.rpartition(".")
    if not dot or not first or not 14 <= len(suffix) <= 16:
        return 0
    try:
        named = int(suffix, 16)
    except ValueError:
        return 0
    return named if first <= named < first + SECOND else 0
