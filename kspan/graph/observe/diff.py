"""What changed between two versions of an object: a JSON patch and a readable summary. Pure."""

from typing import Any, NamedTuple

import jsonpatch
import jsonpointer
import msgspec

PATCH_LIMIT = 4096
"""Bytes of a JSON patch that a span carries at most: receivers cut or refuse longer attributes."""


SUMMARY_LIMIT = 160
"""Characters of a readable summary: it must fit beside a span in a terminal."""


_MASK = "<redacted>"


_BOOKKEEPING = ("deployment.kubernetes.io/", "kubectl.kubernetes.io/last-applied-configuration")
"""Beginnings of annotations that only repeat what the spec, or the status, tells."""


_members = msgspec.json.Decoder(dict[str, msgspec.Raw])


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
