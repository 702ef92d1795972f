"""Facts about workloads and their Pods: template, revision, ordinal, tolerations, wanted node. Pure.

Controllers keep them in labels, annotations and the affinity of Pods.
"""

import re
import zlib
from collections.abc import Mapping
from functools import lru_cache

import msgspec
from msgspec import Raw

from kspan.k8s.objects import Affinity, LabelSelector, PodVolumes, RunningPod, Template, Toleration
from kspan.k8s.strict_json import DECODE_ERRORS
from kspan.times import parse_time_or_zero

REVISION = "deployment.kubernetes.io/revision"
"""Annotation in which the deployment controller numbers the ReplicaSets of a Deployment
(pkg/controller/deployment/util/deployment_util.go)."""

_DEFAULT_TOLERATIONS = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
"""Taints that every Pod tolerates for 300 s (DefaultTolerationSeconds admission plugin)."""

_WRITTEN_EACH_TIME = ("generation", "managedFields", "resourceVersion", "selfLink")

SCALE_DOWN_DELAY = 30
"""Seconds after which Argo Rollouts scales the old ReplicaSet down by default (utils/defaults/defaults.go)."""

LONGEST_DELAY = 300
"""Seconds that a rollout may go on by itself: later, people expect nothing."""

_REVISION = re.compile(rb'"controller-revision-hash": ?"([^"]*)"')


class PauseStep(msgspec.Struct, gc=False):
    """argoproj.io RolloutPause."""

    duration: int | str | None = None


class CanaryStep(msgspec.Struct, gc=False):
    """argoproj.io CanaryStep."""

    pause: PauseStep | None = None


class Canary(msgspec.Struct, gc=False):
    """argoproj.io CanaryStrategy."""

    steps: list[CanaryStep] | None = None
    scaleDownDelaySeconds: int | None = None


class BlueGreen(msgspec.Struct, gc=False):
    """argoproj.io BlueGreenStrategy."""

    autoPromotionSeconds: int | None = None
    scaleDownDelaySeconds: int | None = None


class RolloutStrategy(msgspec.Struct, gc=False):
    """argoproj.io RolloutStrategy."""

    canary: Canary | None = None
    blueGreen: BlueGreen | None = None


class RolloutSpec(msgspec.Struct, gc=False):
    """argoproj.io RolloutSpec."""

    strategy: RolloutStrategy = msgspec.field(default_factory=RolloutStrategy)
    restartAt: str | None = None


class PauseCondition(msgspec.Struct, gc=False):
    """argoproj.io PauseCondition."""

    reason: str = ""


class RolloutStatus(msgspec.Struct, gc=False):
    """argoproj.io RolloutStatus."""

    controllerPause: bool = False
    pauseConditions: list[PauseCondition] | None = None
    currentStepIndex: int | None = None
    restartedAt: str | None = None


class Operation(msgspec.Struct, gc=False):
    """argoproj.io OperationState."""

    phase: str = ""


class ApplicationStatus(msgspec.Struct, gc=False):
    """argoproj.io ApplicationStatus."""

    operationState: Operation | None = None


_application_status = msgspec.json.Decoder(ApplicationStatus)
_rollout_spec = msgspec.json.Decoder(RolloutSpec)
_rollout_status = msgspec.json.Decoder(RolloutStatus)

_template = msgspec.json.Decoder(Template)
_labels = msgspec.json.Decoder(dict[str, str])
_tolerations = msgspec.json.Decoder(list[Toleration])
_volumes = msgspec.json.Decoder(PodVolumes)
_affinity = msgspec.json.Decoder(Affinity)
_running = msgspec.json.Decoder(RunningPod)
_members = msgspec.json.Decoder(dict[str, Raw])


def template_fingerprint(raw: bytes) -> int:
    """Return a checksum that identifies a pod template (0: no template).

    It is the same for a Deployment and its ReplicaSet, although the deployment controller adds the label
    ``pod-template-hash`` to the ReplicaSet's template (pkg/controller/deployment/sync.go).
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


def pause_ends(spec: bytes, status: bytes) -> bool:
    """True if the pause of a Rollout ends by itself, or was ended (argoproj/argo-rollouts rollout/pause.go)."""
    try:
        strategy, state = _rollout_spec.decode(spec).strategy, _rollout_status.decode(status)
    except msgspec.MsgspecError:
        return False
    reasons = {pause.reason for pause in state.pauseConditions or ()}
    if not reasons:
        return state.controllerPause
    if "BlueGreenPause" in reasons:
        return strategy.blueGreen is not None and bool(strategy.blueGreen.autoPromotionSeconds)
    steps = (strategy.canary.steps if strategy.canary is not None else None) or []
    number = state.currentStepIndex or 0
    step = steps[number].pause if "CanaryPauseStep" in reasons and 0 <= number < len(steps) else None
    return step is not None and step.duration not in (None, 0, "0")


def operation_phase(status: bytes) -> str:
    """Return the phase of the operation in the status of an Application; empty without one."""
    try:
        operation = _application_status.decode(status).operationState if status else None
    except msgspec.MsgspecError:
        return ""
    return operation.phase if operation is not None else ""


def is_scaled_down_later(spec: bytes) -> bool:
    """True if a Rollout soon scales the old ReplicaSet down, which still serves for ``scaleDownDelaySeconds``."""
    try:
        strategy = _rollout_spec.decode(spec).strategy
    except msgspec.MsgspecError:
        return False
    delayed = strategy.blueGreen or strategy.canary
    delay = delayed.scaleDownDelaySeconds if delayed is not None else None
    return (SCALE_DOWN_DELAY if delay is None else delay) <= LONGEST_DELAY


def restart_time(spec: bytes) -> int:
    """Return when the Pods of a Rollout are to be restarted (ns); 0 if they are not (argoproj RolloutSpec)."""
    try:
        return parse_time_or_zero(_rollout_spec.decode(spec).restartAt or "")
    except msgspec.MsgspecError:
        return 0


def is_restarting(spec: bytes, status: bytes, now: int) -> bool:
    """True while the controller of a Rollout restarts its Pods one after the other (argoproj/argo-rollouts
    rollout/restart.go): until its status has the time that the spec states.

    Args:
        now: a time (ns) that is not later than now. A restart can be ordered for later.
    """
    try:
        restarted = _rollout_status.decode(status).restartedAt or ""
    except msgspec.MsgspecError:
        return False
    return parse_time_or_zero(restarted) < restart_time(spec) <= now


def selects(selector: LabelSelector, template: bytes) -> bool:
    """True if a label selector selects the Pods made from a template (meta/v1 LabelSelector: all of it must match)."""
    try:
        labels = _template.decode(template).metadata.labels or {}
    except msgspec.MsgspecError:
        return False
    equal = all(labels.get(key) == value for key, value in (selector.matchLabels or {}).items())
    return equal and all(_meets(labels.get(e.key), e.operator, e.values or []) for e in selector.matchExpressions or ())


def _meets(value: str | None, operator: str, values: list[str]) -> bool:
    if operator == "Exists":
        return value is not None
    if operator == "DoesNotExist":
        return value is None
    return (value in values) == (operator == "In")


def content(payload: bytes) -> bytes:
    """Return the fields of an object that has no spec, as JSON: a ConfigMap's data, a Role's rules."""
    try:
        members = _members.decode(payload)
    except msgspec.MsgspecError:
        return b""
    kept = {k: v for k, v in members.items() if k not in ("kind", "apiVersion", "metadata", "status")}
    return msgspec.json.encode(kept) if kept else b""


def metadata_fingerprint(payload: bytes) -> int:
    """Return the checksum of the metadata of an object, without what every write changes."""
    try:
        metadata = _members.decode(_members.decode(payload)["metadata"])
    except (*DECODE_ERRORS, KeyError):
        return 0
    kept = [name.encode() + bytes(value) for name, value in sorted(metadata.items()) if name not in _WRITTEN_EACH_TIME]
    return zlib.crc32(b"".join(kept))


def lease_holder(spec: bytes) -> bytes:
    """Return the fields of the spec of a Lease that a renewal does not change, as JSON."""
    try:
        members = _members.decode(spec) if spec else {}
    except msgspec.MsgspecError:
        return spec
    return msgspec.json.encode({k: v for k, v in members.items() if k not in ("renewTime", "acquireTime")})


def pod_index(labels: bytes) -> int:
    """Return the ordinal of a StatefulSet's Pod from its label (Kubernetes 1.28 and later); -1 without the label."""
    if b'"apps.kubernetes.io/pod-index"' not in labels:
        return -1
    try:
        index = _labels.decode(labels).get("apps.kubernetes.io/pod-index", "")
    except msgspec.MsgspecError:
        return -1
    return int(index) if index.isascii() and index.isdigit() and len(index) < 10 else -1


def revision_label(labels: bytes) -> str:
    """Return the revision of the StatefulSet or DaemonSet that a Pod was created from; empty without the label."""
    found = _REVISION.search(labels)
    return found[1].decode(errors="replace") if found is not None else ""


def chosen_labels(labels: bytes, keys: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Return those labels of an object that have one of these keys, with their values."""
    if not labels:
        return ()
    try:
        found = _labels.decode(labels)
    except msgspec.MsgspecError:
        return ()
    return tuple((key, found[key]) for key in keys if key in found)


def toleration_seconds(tolerations: bytes) -> int:
    """Return how many seconds a Pod stays on a node with a NoExecute taint (0: not limited, or not tolerated).

    The tolerations that every Pod has do not count: a node that is not ready is progressing anyway.
    """
    try:
        found = _tolerations.decode(tolerations) if b"tolerationSeconds" in tolerations else []
    except msgspec.MsgspecError:
        return 0
    return max((t.tolerationSeconds or 0 for t in found if t.key not in _DEFAULT_TOLERATIONS), default=0)


@lru_cache(maxsize=1024)
def _same(text: bytes) -> bytes:
    """Return an equal object, the same each time: the Pods of a ReplicaSet differ in nothing here."""
    return text


def changeable_fields(spec: bytes) -> bytes:
    """Return the fields of the spec of a Pod that can change while it runs (images, resources, ephemeral containers).

    They are JSON with the structure of the spec. The whole spec has 2 KB, and Pods are the most numerous kind.
    """
    try:
        return _same(msgspec.json.encode(_running.decode(spec)))
    except msgspec.MsgspecError:
        return b""


@lru_cache(maxsize=1024)
def container_images(spec: bytes) -> Mapping[str, str]:
    """Return the image of each container of a Pod by its field path (``spec.containers{web}``)."""
    try:
        pod = _running.decode(spec)
    except msgspec.MsgspecError:
        return {}
    lists = {
        "spec.initContainers": pod.initContainers,
        "spec.containers": pod.containers,
        "spec.ephemeralContainers": pod.ephemeralContainers,
    }
    return {
        f"{where}{{{c.name}}}": c.image for where, found in lists.items() for c in found or () if c.name and c.image
    }


def mounted_claims(spec: bytes, pod: str) -> tuple[str, ...]:
    """Return the names of the claims in the volumes of a Pod. That of an ephemeral volume begins with the name of the
    ``pod`` (pkg/controller/volume/ephemeral)."""
    if b'"persistentVolumeClaim"' not in spec and b'"ephemeral"' not in spec:
        return ()
    try:
        volumes = _volumes.decode(spec).volumes or ()
    except msgspec.MsgspecError:
        return ()
    named = (v.persistentVolumeClaim.claimName if v.persistentVolumeClaim is not None else "" for v in volumes)
    made = (f"{pod}-{v.name}" if v.ephemeral else "" for v in volumes)
    return tuple(dict.fromkeys(name for pair in zip(named, made, strict=True) for name in pair if name))


def wanted_node(affinity: bytes) -> str:
    """Return the node that a Pod's affinity requires; empty if it does not require a single one.

    The DaemonSet controller selects the node of a Pod this way (pkg/controller/daemon/util/daemonset_util.go).
    """
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
