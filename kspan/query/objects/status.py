"""The state of an object in words, from the newest version in the journal."""

import enum
from collections.abc import Iterator
from typing import Any, Final

import msgspec
from sqlalchemy import Connection

from kspan.model import ObjectRow
from kspan.query.objects.versions import newest_versions
from kspan.terminal.counted import counted
from kspan.times import LATEST

_Json = dict[str, Any]

_STARTING: Final = ("", "ContainerCreating", "PodInitializing")
"""Reasons for which a container waits while it is started."""


class Tone(enum.StrEnum):
    """The state of an object in short. ``NONE``: its kind has no status that kspan reads."""

    OK = "ok"
    WAITING = "waiting"
    FAILING = "failing"
    NONE = ""


def state_of(connection: Connection, cluster: str, here: ObjectRow, *, at: int = 0) -> str:
    """Return what an object says of its state, at ``at`` (Unix ns; 0: now); empty if the journal has no version of it,
    or if its kind has no status that kspan reads."""
    found = newest_versions(connection, cluster, here, 1, until=at or LATEST)
    return describe(here.kind, found[0].record.payload) if found else ""


def describe(kind: str, payload: bytes) -> str:
    """Return the state of an object in words; empty if the object does not show it."""
    try:
        raw = msgspec.json.decode(payload)
    except msgspec.MsgspecError:
        return ""
    metadata, spec, status = (_object(_object(raw).get(part)) for part in ("metadata", "spec", "status"))
    texts = {
        "Pod": _pod,
        "Deployment": _replicas,
        "ReplicaSet": _replicas,
        "StatefulSet": _replicas,
        "DaemonSet": _daemons,
        "Job": _job,
        "Node": _node,
    }
    found = texts.get(kind, _other)(spec, status)
    return f"terminating ({found})" if metadata.get("deletionTimestamp") and found else found


def tone_of(kind: str, payload: bytes) -> Tone:
    """Return the state of an object in short: whether it does what it should, not yet, or fails to."""
    try:
        raw = msgspec.json.decode(payload)
    except msgspec.MsgspecError:
        return Tone.NONE
    spec, status = (_object(_object(raw).get(part)) for part in ("spec", "status"))
    if not status:
        return Tone.NONE
    tones = {"Pod": _tone_of_pod, "Deployment": _tone_of_replicas, "ReplicaSet": _tone_of_replicas}
    tones |= {"StatefulSet": _tone_of_replicas, "DaemonSet": _tone_of_daemons, "Job": _tone_of_job}
    return tones.get(kind, _tone_of_other)(spec, status)


def _tone_of_pod(_: _Json, status: _Json) -> Tone:
    phase = _text(status, "phase")
    if phase == "Succeeded":
        return Tone.OK
    scheduled, ready = _condition(status, "PodScheduled"), _condition(status, "Ready")
    stuck = phase in ("Failed", "Unknown") or _text(scheduled, "reason") == "Unschedulable"
    for each in _containers(status):
        states = _object(each.get("state"))
        stuck = stuck or _text(_object(states.get("waiting")), "reason") not in _STARTING
        stuck = stuck or _number(_object(states.get("terminated")), "exitCode") != 0
    if stuck:
        return Tone.FAILING
    return Tone.OK if _text(ready, "status") == "True" else Tone.WAITING


def _tone_of_replicas(spec: _Json, status: _Json) -> Tone:
    refused = _text(_condition(status, "ReplicaFailure"), "status") == "True"
    if refused or _text(_condition(status, "Progressing"), "status") == "False":
        return Tone.FAILING
    wanted = _number(spec, "replicas") if "replicas" in spec else 1
    return Tone.OK if _number(status, "availableReplicas") >= wanted else Tone.WAITING


def _tone_of_daemons(_: _Json, status: _Json) -> Tone:
    missing = _number(status, "numberAvailable") < _number(status, "desiredNumberScheduled")
    return Tone.WAITING if missing else Tone.OK


def _tone_of_job(_: _Json, status: _Json) -> Tone:
    if _text(_condition(status, "Failed"), "status") == "True":
        return Tone.FAILING
    return Tone.OK if _text(_condition(status, "Complete"), "status") == "True" else Tone.WAITING


def _tone_of_other(_: _Json, status: _Json) -> Tone:
    phase, ready = _text(status, "phase"), _text(_condition(status, "Ready"), "status")
    if ready in ("False", "Unknown") or phase in ("Failed", "Lost"):
        return Tone.FAILING
    if ready == "True" or phase in ("Active", "Bound", "Available"):
        return Tone.OK
    return Tone.WAITING if phase else Tone.NONE


def _pod(spec: _Json, status: _Json) -> str:
    phase = _text(status, "phase") or "Unknown"
    containers = list(_containers(status))
    restarts = sum(_number(each, "restartCount") for each in containers)
    also = f", {counted(restarts, 'restart')}" if restarts else ""
    if phase in ("Succeeded", "Failed"):
        return _reason(phase, status) + also
    for each in containers:
        waiting = _object(_object(each.get("state")).get("waiting"))
        if _text(waiting, "reason") not in _STARTING:
            return f"container {_text(each, 'name')} waits: {_text(waiting, 'reason')}{also}, phase {phase}"
    for each in containers:
        ended = _object(_object(each.get("state")).get("terminated"))
        if _number(ended, "exitCode"):
            return f"container {_text(each, 'name')} ended: {_text(ended, 'reason')}{also}, phase {phase}"
    if phase == "Pending" and not _text(spec, "nodeName"):
        return "Pending, not scheduled"
    ready = _condition(status, "Ready")
    return (
        f"{phase}{'' if phase == 'Pending' else ', ready' if _text(ready, 'status') == 'True' else ', not ready'}{also}"
    )


def _containers(status: _Json) -> Iterator[_Json]:
    """Those on which the Pod depends: ephemeral containers are for people who look into it."""
    for part in ("initContainerStatuses", "containerStatuses"):
        entries = status.get(part)
        yield from (_object(entry) for entry in (entries if isinstance(entries, list) else ()))


def _replicas(spec: _Json, status: _Json) -> str:
    wanted = _number(spec, "replicas") if "replicas" in spec else 1
    updated = _number(status, "updatedReplicas") if "updatedReplicas" in status else wanted
    also = f", {updated} updated" if updated != wanted and wanted else ""
    old = _number(status, "replicas") - updated if "updatedReplicas" in status else 0
    if old > 0 and updated:
        also = f"; {counted(updated, 'Pod')} of the new revision, {old} of an older one"
    elif old > 0:
        also += f", {old} of an older revision"
    paused = ", paused" if spec.get("paused") is True else ""
    return f"{_number(status, 'availableReplicas')} of {wanted} replicas available{also}{paused}"


def _daemons(_: _Json, status: _Json) -> str:
    return f"{_number(status, 'numberAvailable')} of {_number(status, 'desiredNumberScheduled')} Pods available"


def _job(spec: _Json, status: _Json) -> str:
    if _text(_condition(status, "Complete"), "status") == "True":
        return "complete"
    failed = _condition(status, "Failed")
    if _text(failed, "status") == "True":
        return _reason("failed", failed)
    counts = ", ".join(f"{_number(status, word)} {word}" for word in ("active", "succeeded", "failed"))
    return f"{counts}{', suspended' if spec.get('suspend') is True else ''}"


def _node(spec: _Json, status: _Json) -> str:
    ready = _condition(status, "Ready")
    words = {"True": "ready", "False": _reason("not ready", ready), "Unknown": _reason("not reachable", ready)}
    found = words.get(_text(ready, "status"), "")
    return f"{found}, unschedulable" if found and spec.get("unschedulable") is True else found


def _other(_: _Json, status: _Json) -> str:
    ready = _condition(status, "Ready")
    if ready:
        return "ready" if _text(ready, "status") == "True" else _reason("not ready", ready)
    return _text(status, "phase")


def _reason(what: str, where: _Json) -> str:
    """``what``, with the reason and the message of a status or condition, as far as it has them."""
    return ": ".join(filter(None, [what, _text(where, "reason"), _text(where, "message")]))


def _condition(status: _Json, name: str) -> _Json:
    entries = status.get("conditions")
    found = (_object(entry) for entry in (entries if isinstance(entries, list) else ()))
    return next((entry for entry in found if entry.get("type") == name), {})


# A custom resource can have anything in place of a value.


def _object(value: Any) -> _Json:
    return value if isinstance(value, dict) else {}


def _text(where: _Json, key: str) -> str:
    value = where.get(key)
    return value if isinstance(value, str) else ""


def _number(where: _Json, key: str) -> int:
    value = where.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
