"""The two Event APIs as one, and the times that an object states. Pure.

``v1`` and ``events.k8s.io/v1`` serve the same stored Events under different field names. kspan watches ``v1`` only and
converts Events of the second API that it finds in files. Source: k8s.io/api events/v1 types.go.
"""

from collections.abc import Iterator
from typing import Any

from kspan.k8s.kinds import group_of
from kspan.times import SECOND, parse_time, parse_time_or_zero

EVENTS = "v1/events"
"""The resource that serves Events in the core API."""

OF_CLUSTER_SCOPED = "default?involvedObject.namespace="
"""The Events about Nodes and other cluster-scoped objects: a namespace to watch, and a field selector.

client-go gives these Events the namespace ``default`` (tools/record/event.go, makeEvent). The API server selects Events
by the namespace of their object (pkg/registry/core/event/strategy.go, ToSelectableFields).
"""

# events.k8s.io/v1 -> core/v1. Every other field has the same name in both.
_RENAMED = {
    "regarding": "involvedObject",
    "note": "message",
    "reportingController": "reportingComponent",
    "deprecatedSource": "source",
    "deprecatedFirstTimestamp": "firstTimestamp",
    "deprecatedLastTimestamp": "lastTimestamp",
    "deprecatedCount": "count",
}

# The core API always sends these fields; the second API omits them if they are empty.
_ALWAYS: dict[str, Any] = {
    "eventTime": None,
    "firstTimestamp": None,
    "lastTimestamp": None,
    "reportingComponent": "",
    "reportingInstance": "",
}

_EVENT_TIMES = ("eventTime", "firstTimestamp", "lastTimestamp")
_CONDITION_TIMES = ("lastTransitionTime", "lastUpdateTime", "lastHeartbeatTime", "lastProbeTime")
_STATUS_TIMES = (
    "startTime",
    "completionTime",
    "lastScheduleTime",
    "lastSuccessfulTime",
    "lastScaleTime",
    "lastPhaseTransitionTime",
)
_CONTAINERS = ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses")
_MAX_TIME = 2**63 - 1


def is_second_events_api(group: str) -> bool:
    """True for the API group that serves the core API's Events a second time."""
    return group == "events.k8s.io"


def is_second_api_event(value: dict[str, Any]) -> bool:
    """True if an object is an Event in the form of the second API."""
    return value.get("kind") == "Event" and is_second_events_api(group_of(str(value.get("apiVersion", ""))))


def to_core_event(value: dict[str, Any]) -> dict[str, Any]:
    """Convert an Event of the second API to the form in which the core API serves it."""
    core = {_RENAMED.get(key, key): field for key, field in value.items()}
    return _ALWAYS | {"source": {}} | core | {"apiVersion": "v1"}


def creation_time(value: dict[str, Any]) -> int:
    """Return the creationTimestamp of an object as Unix ns; 0 if it has no valid one."""
    text = _mapping(value, "metadata").get("creationTimestamp")
    return parse_time_or_zero(text) if isinstance(text, str) else 0


def newest_time(value: dict[str, Any]) -> int:
    """Return the newest time in an object as Unix ns; 0 if it states none.

    Times that may be in the future (the expiry of a certificate) do not count. Of a deletion, the request counts.
    """
    newest = _deletion_requested(value)
    for text in _times(value):
        if not isinstance(text, str):
            continue
        try:
            time = parse_time(text)
        except ValueError:
            continue
        if time <= _MAX_TIME:
            newest = max(newest, time)
    return newest


def _deletion_requested(value: dict[str, Any]) -> int:
    """Return when the deletion of an object was requested (Unix ns); 0 if it was not, or if that is not known.

    deletionTimestamp is the time of the request plus the grace period, also after a second request with a shorter one
    (apiserver pkg/registry/rest/delete.go, BeforeDelete).
    """
    metadata = _mapping(value, "metadata")
    text, grace = metadata.get("deletionTimestamp"), metadata.get("deletionGracePeriodSeconds")
    if not isinstance(text, str) or not isinstance(grace, int):
        return 0
    requested = parse_time_or_zero(text) - grace * SECOND
    return requested if 0 < requested <= _MAX_TIME else 0


def _times(value: dict[str, Any]) -> Iterator[Any]:
    """The values of all time fields. The caller skips values that are not valid times."""
    metadata = _mapping(value, "metadata")
    yield metadata.get("creationTimestamp")
    for entry in _mappings(metadata, "managedFields"):
        yield entry.get("time")
    if value.get("kind") == "Event":
        for key in _EVENT_TIMES:
            yield value.get(key)
        yield _mapping(value, "series").get("lastObservedTime")
    # kubectl omits managedFields unless --show-managed-fields is set; the status has the newest times then.
    status = _mapping(value, "status")
    for key in _STATUS_TIMES:
        yield status.get(key)
    for condition in _mappings(status, "conditions"):
        for key in _CONDITION_TIMES:
            yield condition.get(key)
    for containers in _CONTAINERS:
        for container in _mappings(status, containers):
            for state in (*_mapping(container, "state").values(), *_mapping(container, "lastState").values()):
                if isinstance(state, dict):
                    yield state.get("startedAt")
                    yield state.get("finishedAt")


def _mapping(value: dict[str, Any], key: str) -> dict[str, Any]:
    found = value.get(key)
    return found if isinstance(found, dict) else {}


def _mappings(value: dict[str, Any], key: str) -> list[dict[str, Any]]:
    found = value.get(key)
    return [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []
