"""Names of span attributes. Pure.

Sources: OpenTelemetry semantic conventions (resource/k8s), and for Events the OpenTelemetry Collector's k8sevents
receiver (receiver/k8seventsreceiver/k8s_event_to_logdata.go).
"""

from collections.abc import Iterable, Mapping

CLUSTER_UID = "k8s.cluster.uid"
CLUSTER_NAME = "k8s.cluster.name"
NAMESPACE_NAME = "k8s.namespace.name"
NODE_NAME = "k8s.node.name"
CONTAINER_NAME = "k8s.container.name"
CONTAINER_RESTART_COUNT = "k8s.container.restart_count"
"""How often the container had been restarted: the number of its run that ended or was started."""
CONTAINER_TERMINATED_REASON = "k8s.container.status.last_terminated_reason"
CONTAINER_ID = "container.id"
IMAGE_NAME = "container.image.name"
IMAGE_TAGS = "container.image.tags"
IMAGE_DIGESTS = "container.image.repo_digests"

EVENT_REASON = "k8s.event.reason"
EVENT_ACTION = "k8s.event.action"
EVENT_NAME = "k8s.event.name"
EVENT_UID = "k8s.event.uid"
EVENT_COUNT = "k8s.event.count"
EVENT_START_TIME = "k8s.event.start_time"
EVENT_MESSAGE = "k8s.event.message"

OBJECT_KIND = "k8s.object.kind"
OBJECT_NAME = "k8s.object.name"
OBJECT_UID = "k8s.object.uid"
OBJECT_API_VERSION = "k8s.object.api_version"
OBJECT_FIELDPATH = "k8s.object.fieldpath"
OBJECT_RESOURCE_VERSION = "k8s.object.resource_version"

RULE = "kspan.rule"
CONFIDENCE = "kspan.confidence"
EVENT_RULE = "kspan.event.rule"
CHANGE = "kspan.change"
CHANGE_SUMMARY = "kspan.change.summary"
CONDITION_TYPE = "kspan.condition.type"
CONDITION_STATUS = "kspan.condition.status"
CONDITION_REASON = "kspan.condition.reason"
CONDITION_COUNT = "kspan.condition.count"
CONDITION_MESSAGE = "kspan.condition.message"
EXIT_CODE = "kspan.container.exit_code"
SIGNAL = "kspan.container.signal"
"""Number of the signal that ended the container, as stated or from an exit code over 128. Absent if none is known."""
TERMINATION_MESSAGE = "kspan.container.message"
"""The end of the container's termination message."""
STARTED_AT = "kspan.container.started_at"
FINISHED_AT = "kspan.container.finished_at"
"""When the run of a container began and ended (RFC 3339)."""
MISSED_TERMINATIONS = "kspan.container.missed_terminations"
"""How many earlier runs of the container ended unseen, as the restart count shows. Absent if none did."""
FIELD_MANAGER = "kspan.field_manager"
PROBABLE_MANAGER = "kspan.field_manager.probable"
"""True if nothing shows for certain that this manager made the change. Otherwise absent."""
INCOMPLETE = "kspan.trace.incomplete"
SUMMARIZED_SPANS = "kspan.trace.summarized_spans"
"""On the root of a large trace: number of its spans that are not exported as they are."""
SUMMARY_COUNT = "kspan.summary.count"
"""Number of equal spans that one exported span stands for, without those below them."""
SUMMARY_SPANS = "kspan.summary.spans"
"""Number of spans that one exported span stands for, with those below them."""
SUMMARY_ERRORS = "kspan.summary.errors"
"""How many of these are errors. Absent if none is."""
SUMMARY_NAMES = "kspan.summary.names"
"""Names of the first of their objects."""
OMITTED_SPANS = "kspan.summary.omitted_spans"
"""Number of spans below an exported span that are not exported at all."""
DROPPED_ATTRIBUTES = "kspan.dropped_attributes"
"""Names of the attributes of a span that are not exported, because its trace is too large."""
OUTCOME = "kspan.trace.outcome"
"""Outcome of a trace, on its root span: a value of ``kspan.model.Outcome``."""
OUTCOME_REASON = "kspan.trace.outcome.reason"
"""Why a trace has this outcome, on its root span: what failed, or what superseded it and what it had reached."""
SUPERSEDED_BY = "kspan.trace.superseded_by"
"""Id of the span of the change that superseded a trace, on its root span."""
FINALIZERS = "kspan.deletion.finalizers"
"""Finalizers that an object had after its deletion was requested. Absent if it had none."""
FINALIZER = "kspan.deletion.finalizer"
"""The finalizer that was removed, in the event ``FINALIZER_REMOVED`` of the span of a deletion."""
FINALIZER_REMOVED = "FinalizerRemoved"
"""Name of that event."""
REMAINING = (
    "NamespaceDeletionDiscoveryFailure",
    "NamespaceDeletionGroupVersionParsingFailure",
    "NamespaceFinalizersRemaining",
    "NamespaceContentRemaining",
    "NamespaceDeletionContentFailure",
)
"""Conditions of a Namespace whose messages name what delays its deletion, the most informative first."""
IMAGE_SIZE = "kspan.image.size"
"""Size of a pulled image in bytes, as the kubelet states it."""
IMAGE_PULL_DURATION = "kspan.image.pull.duration"
"""Seconds that the pull of an image took, as the kubelet states it."""
IMAGE_PULL_DURATION_WITH_WAITING = "kspan.image.pull.duration_with_waiting"
"""The same with the time that the pull waited for others."""
IMAGE_PRESENT = "kspan.image.present"
"""True if an image did not have to be pulled. Otherwise absent."""
REPEAT_COUNT = "kspan.repeat.count"
"""How often the occurrence happened, the first time included. Absent if it happened once."""
REPEAT_LAST_TIME = "kspan.repeat.last_time"
"""When it happened last (RFC 3339). The span starts when it happened first, and does not last until then."""
UNFINISHED = "kspan.unfinished"
"""True if a change or a condition was not over when its trace was closed: it lasted longer than the span. Otherwise
absent."""
TIME_UNCERTAINTY = "kspan.time.uncertainty"
"""Seconds by which the start of a span may be wrong. Absent if the time is exact."""
LINK = "kspan.link"
"""On a span link: what the other span is to this one, one of the next four."""
CONTINUES = "continues"
"""The span is in an episode that continues the closed trace of the other one."""
CAUSED_BY = "caused by"
"""The other span is the cause. It is in a trace that was closed before."""
RELATES = "relates"
"""A trace context that the object of the span carried before, or a change that was made while a rollout was paused."""
SUPERSEDED = "superseded by"
"""The trace of this root span was superseded by the other one, a change."""

# Kinds for which the semantic conventions define k8s.<kind>.name and k8s.<kind>.uid (only the name for a Namespace).
_KINDS = {
    "Pod": "pod",
    "Deployment": "deployment",
    "ReplicaSet": "replicaset",
    "StatefulSet": "statefulset",
    "DaemonSet": "daemonset",
    "Job": "job",
    "CronJob": "cronjob",
    "Node": "node",
    "Namespace": "namespace",
    "HorizontalPodAutoscaler": "hpa",
    "ReplicationController": "replicationcontroller",
    "ResourceQuota": "resourcequota",
    "PersistentVolumeClaim": "persistentvolumeclaim",
    "PersistentVolume": "persistentvolume",
    "Service": "service",
}


def is_repeat(attributes: Mapping[str, object]) -> bool:
    """True if a span event with these attributes is a repeat of the occurrence, and nothing else that happened to its
    object meanwhile (a condition transition, the removal of a finalizer)."""
    return CONDITION_TYPE not in attributes and FINALIZER not in attributes


def count_occurrences(attributes: Mapping[str, object], span_events: Iterable[Mapping[str, object]]) -> int:
    """Return how often an occurrence happened, from the attributes of its span and of the span's events.

    The counts of an Event can skip numbers, so they can be higher than the number of repeats that were received.
    """
    repeats = [event for event in span_events if is_repeat(event)]
    counts = [count for event in repeats if isinstance(count := event.get(EVENT_COUNT), int)]
    first = attributes.get(EVENT_COUNT, 1)
    counted = max(counts) - first + 1 if counts and isinstance(first, int) else 0
    return max(counted, 1 + len(repeats))


def with_container(name: str, attributes: Mapping[str, object]) -> str:
    """Return the name of an object and, of an occurrence about one container of a Pod, the container: ``web-0/app``."""
    container = attributes.get(CONTAINER_NAME)
    return f"{name}/{container}" if container else name


def object_attributes(kind: str, name: str, uid: str) -> dict[str, str]:
    """The attributes ``k8s.<kind>.name`` and ``k8s.<kind>.uid`` of an object; empty for other kinds."""
    word = _KINDS.get(kind)
    if word is None:
        return {}
    return {f"k8s.{word}.name": name, f"k8s.{word}.uid": uid}


def owner_attribute(kind: str, name: str) -> dict[str, str]:
    """The attribute ``k8s.<kind>.name`` of an owner; empty for other kinds."""
    word = _KINDS.get(kind)
    return {f"k8s.{word}.name": name} if word is not None and name else {}


def pod_label(key: str) -> str:
    """The attribute of a label of a Pod."""
    return f"k8s.pod.label.{key}"
