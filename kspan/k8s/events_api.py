"""Events: one shape for both APIs, and the times that an object tells. Pure."""

from collections.abc import Iterator
from typing import Any

from kspan.times import parse_time

# events.k8s.io/v1 -> core/v1. Whatever is not here has the same name in both.
_RENAMED = {
    "regarding": "involvedObject",
    "note": "message",
    "reportingController": "reportingComponent",
    "deprecatedSource": "source",
    "deprecatedFirstTimestamp": "firstTimestamp",
    "deprecatedLastTimestamp": "lastTimestamp",
    "deprecatedCount": "count",
}

# The core API always sends these, the other one leaves them out where they are empty.
_ALWAYS: dict[str, Any] = {
    "eventTime": None,
    "firstTimestamp": None,
    "lastTimestamp": None,
    "reportingComponent": "",
    "reportingInstance": "",
}

_EVENT_TIMES = ("eventTime", "firstTimestamp", "lastTimestamp")
_CONDITION_TIMES = ("lastTransitionTime", "lastUpdateTime", "lastHeartbeatTime", "lastProbeTime")
_STATUS_TIMES = ("startTime", "completionTime", "lastScheduleTime", "lastSuccessfulTime", "lastScaleTime")
_CONTAINERS = ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses")
_MAX_TIME = 2**63 - 1


def is_new_event(value: dict[str, Any]) -> bool:
    """Whether an object is an Event of the ``events.k8s.io`` API."""
    return value.get("kind") == "Event" and str(value.get("apiVersion", "")).startswith("events.k8s.io/")


def to_core_event(value: dict[str, Any]) -> dict[str, Any]:
    """An ``events.k8s.io`` Event as the core API would show the same stored object."""
    core = {_RENAMED.get(key, key): field for key, field in value.items()}
    return _ALWAYS | {"source": {}} | core | {"apiVersion": "v1"}


def newest_time(value: dict[str, Any]) -> int:
    """Unix ns of the newest thing that an object says happened (0: it tells no time).

    Times that may lie ahead (deletionTimestamp, a certificate's end) do not count.
    """
    newest = 0
    for text in _times(value):
        if not isinstance(text, str):
            continue
        try:
            moment = parse_time(text)
        except ValueError:
            continue
        if moment <= _MAX_TIME:
            newest = max(newest, moment)
    return newest


def _times(value: dict[str, Any]) -> Iterator[Any]:
    """What should be times; one that is of another type or no time at all is for the caller to pass over."""
    metadata = _mapping(value, "metadata")
    yield metadata.get("creationTimestamp")
    for entry in _mappings(metadata, "managedFields"):
        yield entry.get("time")
    if value.get("kind") == "Event":
        for key in _EVENT_TIMES:
            yield value.get(key)
        yield _mapping(value, "series").get("lastObservedTime")
    # kubectl leaves managedFields out unless it is told otherwise: then the status has the newest times.
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
