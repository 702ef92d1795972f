"""Who changed an object, and what. Pure.

Who: the entry of managedFields (not of ``status``) that is new or newer than in the version before
(server-side apply: sigs.k8s.io/structured-merge-diff, apimachinery managedfields).
"""

import zlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import jsonpatch
import jsonpointer
import msgspec

from kspan.graph.objects import ManagedFieldsEntry, decode_spec
from kspan.times import parse_time_or_zero

PATCH_LIMIT = 4096
"""Bytes of a JSON patch that a span carries at most: receivers cut or refuse longer attributes."""

SUMMARY_LIMIT = 160
"""Characters of a readable summary: it must fit beside a span in a terminal."""

_MASK = "<redacted>"

_BOOKKEEPING = ("deployment.kubernetes.io/", "kubectl.kubernetes.io/last-applied-configuration")
"""Beginnings of annotations that only repeat what the spec, or the status, tells."""

_members = msgspec.json.Decoder(dict[str, msgspec.Raw])

_MIRROR = "node.kubernetes.io/unschedulable"


class Writer(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An entry of managedFields outside ``status``: ``time`` in ns (0: none given), ``fields`` a checksum."""

    manager: str
    subresource: str
    time: int
    fields: int


_NOBODY = "before-first-apply"
"""Stands for whoever wrote before the first server-side apply (structured-merge-diff, managedFields)."""


def writers(entries: Sequence[ManagedFieldsEntry] | None) -> tuple[Writer, ...]:
    """The writers of an object outside its status."""
    found, old = [], True
    for entry in entries or ():
        if entry.subresource:
            old = False
        if entry.subresource != "status" and entry.manager != _NOBODY:
            found.append(entry)
    if old and len(found) > 1:  # Before Kubernetes 1.22 no entry told its subresource.
        found = [entry for entry in found if not _of_status(entry)]
    return tuple([Writer(e.manager, e.subresource, parse_time_or_zero(e.time), zlib.crc32(e.fieldsV1)) for e in found])


def _of_status(entry: ManagedFieldsEntry) -> bool:
    if entry.subresource:
        return entry.subresource == "status"
    fields = bytes(entry.fieldsV1)
    return b'"f:status"' in fields and b'"f:spec"' not in fields


def last_write(entries: Sequence[ManagedFieldsEntry] | None) -> int:
    """When the object was last written, status included (ns, whole seconds; 0: not told)."""
    return max((parse_time_or_zero(e.time) for e in entries or ()), default=0)


def owning_manager(entries: Sequence[ManagedFieldsEntry] | None) -> str:
    """The manager who wrote the owner references, that is: the owner's controller. Empty where nobody did."""
    for e in entries or ():
        if b'"f:ownerReferences"' in bytes(e.fieldsV1):
            return e.manager
    return ""


def status_writers(entries: Sequence[ManagedFieldsEntry] | None) -> frozenset[str]:
    """The managers who write the status: the controllers of this very object."""
    return frozenset(e.manager for e in entries or () if _of_status(e))


def status_writer(entries: Sequence[ManagedFieldsEntry] | None, field: str) -> tuple[str, int]:
    """(manager, ns) of the newest write to the status that names a field or the key of a list there; the newest of all
    where none does, ``("", 0)`` where nobody wrote to the status."""
    told = [e for e in entries or () if _of_status(e)]
    naming = [e for e in told if field.encode() in bytes(e.fieldsV1)]
    found = [(parse_time_or_zero(e.time), e.manager) for e in naming or told]
    time, manager = max(found, default=(0, ""))
    return manager, time


def turn_of_node(before: bytes, after: bytes) -> str:
    """What a change of a Node's spec (JSON) means to Pods: it ``evicts`` them, is ``closed`` to them, or ``opened``.

    Empty where it means nothing. The taint that only mirrors ``unschedulable`` does not count.
    """
    old, new = decode_spec(before), decode_spec(after)
    was, now = ({t for t in spec.taints or () if t.key != _MIRROR} for spec in (old, new))
    if any(taint.effect == "NoExecute" for taint in now - was):
        return "evicts"
    if now - was or (new.unschedulable and not old.unschedulable):
        return "closed"
    if was - now or (old.unschedulable and not new.unschedulable):
        return "opened"
    return ""


def newest_writer(now: Sequence[Writer]) -> Writer | None:
    """The newest of them; one without a time only where there is no other."""
    return max(now, key=lambda w: (w.time, w.manager), default=None)


def changing_writer(before: Sequence[Writer], now: Sequence[Writer]) -> Writer | None:
    """Who made ``now`` out of ``before``.

    An entry that is new or has a new time wrote; one whose fields alone differ may only have lost some of them to the
    writer, so it counts where there is no other. Where nothing differs (a second ``scale`` by the same manager leaves
    its timeless entry as it was) the ``scale`` entry, if any, else the newest writer.
    """
    known = {(w.manager, w.subresource, w.time) for w in before}
    fresh = [w for w in now if (w.manager, w.subresource, w.time) not in known]
    if fresh:
        return newest_writer(fresh)
    same = set(before)
    altered = [w for w in now if w not in same]
    if altered:
        return newest_writer(altered)
    return next((w for w in now if w.subresource == "scale"), None) or newest_writer(now)


def service_of(manager: str) -> str:
    """The program behind a field manager: ``kubectl-client-side-apply`` and ``kubectl-set`` are kubectl."""
    return "kubectl" if manager.startswith("kubectl-") else manager


def _redact(tree: Any) -> Any:
    if isinstance(tree, list):
        return [_redact(item) for item in tree]
    if not isinstance(tree, dict):
        return tree
    out: dict[str, Any] = {}
    for key, value in tree.items():
        if key == "env" and isinstance(value, list):
            out[key] = [{**e, "value": _MASK} if isinstance(e, dict) and "value" in e else e for e in value]
        elif key in ("data", "stringData", "binaryData") and isinstance(value, dict):
            out[key] = dict.fromkeys(value, _MASK)
        else:
            out[key] = _redact(value)
    return out


def _label(path: str) -> str:
    # The index of a list says nothing: the list's name does.
    parts = [p.replace("~1", "/").replace("~0", "~") for p in path.split("/")[1:]]
    return ".".join(p for p in parts[-2:] if not p.isdigit()) if parts and parts[-1].isdigit() else parts[-1]


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text if len(text) <= 60 else text[:59] + "…"


def _summary(patch: list[dict[str, Any]], before: Any) -> str:
    parts = []
    for op in patch:
        label = _label(op["path"])
        if op["op"] == "replace":
            old = jsonpointer.resolve_pointer(before, op["path"], None)
            parts.append(f"{label}: {_short(old)} → {_short(op['value'])}")
        elif op["op"] == "remove":
            parts.append(f"{label} removed")
        elif op["op"] == "add":
            parts.append(f"{label}: {_short(op['value'])}")
    text = ", ".join(parts)
    return text if len(text) <= SUMMARY_LIMIT else text[: SUMMARY_LIMIT - 1] + "…"


def _differing(before: bytes, after: bytes) -> tuple[Any, Any]:
    """The two, without the members that are the same: a pod template is large, and seldom what changes."""
    try:
        old, new = _members.decode(before), _members.decode(after)
    except msgspec.MsgspecError:
        return msgspec.json.decode(before), msgspec.json.decode(after)
    same = {key for key in old.keys() & new.keys() if old[key] == new[key]}
    first, second = ({k: msgspec.json.decode(v) for k, v in side.items() if k not in same} for side in (old, new))
    return first, second


def notes_of(annotations: dict[str, str] | None) -> dict[str, str]:
    """The annotations of which a change is told."""
    return {key: value for key, value in (annotations or {}).items() if not key.startswith(_BOOKKEEPING)}


class Version(NamedTuple):
    """What of an object a change is told of: spec and labels as JSON (empty: none), and its annotations."""

    spec: bytes
    labels: bytes
    annotations: dict[str, str]


def _sides(before: Version, after: Version) -> tuple[dict[str, Any], dict[str, Any]]:
    """The parts of two versions that differ, redacted, the spec first."""
    old: dict[str, Any] = {}
    new: dict[str, Any] = {}
    if before.spec and after.spec and before.spec != after.spec:
        old["spec"], new["spec"] = map(_redact, _differing(before.spec, after.spec))
    if before.labels != after.labels or before.annotations != after.annotations:
        for side, version in ((old, before), (new, after)):
            labels = msgspec.json.decode(version.labels) if version.labels else None
            side["metadata"] = {"labels": labels or {}, "annotations": version.annotations}
    return old, new


def describe(before: Version, after: Version) -> tuple[str, str]:
    """(JSON patch, readable summary) between two versions of an object; both empty where nothing (readable) differs.

    The patch is RFC 6902, with paths below ``/spec`` and ``/metadata``; values of environment variables and Secret data
    are masked. A patch above PATCH_LIMIT bytes is left out, its summary stays.
    """
    try:
        old, new = _sides(before, after)
    except (msgspec.MsgspecError, RecursionError):
        return "", ""
    if old == new:
        return "", ""
    patch = jsonpatch.make_patch(old, new).patch
    text = msgspec.json.encode(patch).decode() if patch else ""
    return (text if len(text.encode()) <= PATCH_LIMIT else ""), _summary(patch, old)
