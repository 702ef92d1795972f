"""References to other objects: to the one for which a tool applied an object, and to the one whose content it applies.
Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from kspan.graph.rules.rules import Applier, Part

Name = tuple[str, str, str]
"""Kind, namespace (empty: unknown, or none) and name of an object."""

_labels = msgspec.json.Decoder(dict[str, str])
_spec = msgspec.json.Decoder(dict[str, Any])


def applier_of(
    appliers: Mapping[str, Applier], labels: bytes, annotations: Mapping[str, str] | None, manager: str
) -> Name | tuple[()]:
    """Return the object for which a tool applied an object; empty if it has no mark of that.

    Args:
        appliers: the marks: labels and annotations by key.
        labels: those of the object, as JSON.
        annotations: those of the object.
        manager: who made the change; empty: unknown, which a deletion always is.
    """
    if not labels and not annotations:
        return ()
    for mark, applier in appliers.items():
        if (manager not in applier.manager if manager else applier.shared) or not (
            mark.encode() in labels or (annotations is not None and mark in annotations)
        ):
            continue
        marks = {**(annotations or {}), **_decoded(labels, mark)}
        if mark in marks:
            return _named(applier, marks[mark], marks.get(applier.namespace, ""))
    return ()


def _decoded(labels: bytes, mark: str) -> dict[str, str]:
    if mark.encode() not in labels:
        return {}
    try:
        return _labels.decode(labels)
    except msgspec.MsgspecError:
        return {}


def _named(applier: Applier, value: str, namespace: str) -> Name:
    """Read ``name``, ``namespace/name`` or ``namespace_name``; what comes after a colon describes the marked object
    (argoproj/argo-cd util/argo/resource_tracking.go)."""
    head, _, name = value.partition(":")[0].replace("_", "/").rpartition("/")
    return applier.kind, namespace or head, name


def whole_of(parts: Mapping[str, Part], annotations: Mapping[str, str] | None, namespace: str) -> Name | tuple[()]:
    """Return the object whose controller makes an object again when it is deleted; empty without such a mark."""
    for mark, part in parts.items() if annotations else ():
        if annotations is not None and annotations.get(mark):
            return part.kind, namespace, annotations[mark]
    return ()


def revision_of(status: bytes, paths: Sequence[str]) -> str:
    """Return the text at the first of some paths in a status (JSON) that has one; empty without one."""
    try:
        fields = _spec.decode(status) if status else {}
    except msgspec.MsgspecError:
        return ""
    found = (_at(fields, path) for path in paths)
    return next((text for text in found if isinstance(text, str) and text), "")


def _at(fields: Any, path: str) -> Any:
    for name in path.split("."):
        fields = fields.get(name) if isinstance(fields, dict) else None
    return fields


def source_of(spec: bytes, paths: Sequence[str], namespace: str) -> Name | tuple[()]:
    """Return the object to which a spec refers at the first of some paths; empty without a reference.

    Args:
        spec: the spec, as JSON.
        paths: names of fields, with dots between them.
        namespace: that of the object, for a reference without one.
    """
    try:
        fields = _spec.decode(spec) if spec else {}
    except msgspec.MsgspecError:
        return ()
    for path in paths:
        found = _at(fields, path)
        if isinstance(found, dict) and isinstance(found.get("name"), str):
            return str(found.get("kind", "")), str(found.get("namespace") or namespace), found["name"]
    return ()
