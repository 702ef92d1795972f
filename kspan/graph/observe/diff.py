"""The difference between two versions of an object, as a JSON patch and a readable summary. Pure."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from kspan.k8s.json_patch import Operation, Pointer, format_pointer, make_patch
from kspan.k8s.redact import LAST_APPLIED, mask_values

PATCH_LIMIT = 4096
"""Maximum size of a JSON patch in bytes: receivers cut or refuse longer attributes."""

SUMMARY_LIMIT = 160
"""Maximum length of a summary in characters: it must fit beside a span in a terminal."""

VALUE_LIMIT = 60
"""Maximum length of one value in a summary, in characters."""

_BOOKKEEPING = ("deployment.kubernetes.io/", LAST_APPLIED)
"""Prefixes of annotations that only repeat what the spec or the status contains."""

_decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class ComparedFields(NamedTuple):
    """The fields of one version of an object that are compared.

    ``spec`` and ``labels`` are JSON (empty if the object has none).
    """

    spec: bytes
    labels: bytes
    annotations: dict[str, str]


def compared_annotations(annotations: dict[str, str] | None) -> dict[str, str]:
    """Return the annotations whose changes are described."""
    return {key: value for key, value in (annotations or {}).items() if not key.startswith(_BOOKKEEPING)}


def describe(before: ComparedFields, after: ComparedFields) -> tuple[str, str]:
    """Return the JSON patch (RFC 6902) and the readable summary of a change.

    Paths begin with ``/spec`` or ``/metadata``. Confidential values are masked. Both results are empty if nothing
    differs or a version is not valid JSON. A patch above PATCH_LIMIT is left out; its summary stays.
    """
    try:
        operations = list(_operations(before, after))
        if not operations:
            return "", ""
        patch = msgspec.json.encode([operation.as_json() for operation in operations])
        return (patch.decode() if len(patch) <= PATCH_LIMIT else ""), _summary(operations)
    except (msgspec.MsgspecError, RecursionError):
        return "", ""


def describe_status(before: dict[str, Any], after: dict[str, Any]) -> tuple[str, str]:
    """Return the JSON patch and the summary of a change of fields of the status, by their names with dots."""
    operations = [
        operation._replace(pointer=("status", *str(operation.pointer[0]).split("."), *operation.pointer[1:]))
        for operation in make_patch(before, after)
    ]
    patch = msgspec.json.encode([operation.as_json() for operation in operations])
    return (patch.decode() if len(patch) <= PATCH_LIMIT else ""), _summary(operations)


def first_pointer(patch: str) -> Pointer:
    """Return where the first operation of a JSON patch is; empty if there is none. Indexes of arrays are left out."""
    if not patch:
        return ()
    path = str(msgspec.json.decode(patch)[0]["path"])
    tokens = (token.replace("~1", "/").replace("~0", "~") for token in path.split("/")[1:])
    return tuple(token for token in tokens if not token.isdecimal())


def _operations(before: ComparedFields, after: ComparedFields) -> Iterator[Operation]:
    """Yield the differences, those of the spec first: the summary may be cut, and they matter most."""
    if before.spec and after.spec and before.spec != after.spec:
        old, new = _differing_members(before.spec, after.spec)
        yield from make_patch(mask_values(old), mask_values(new), ("spec",))
    if before.labels != after.labels:
        yield from make_patch(_labels(before.labels), _labels(after.labels), ("metadata", "labels"))
    if before.annotations != after.annotations:
        yield from make_patch(before.annotations, after.annotations, ("metadata", "annotations"))


def _labels(raw: bytes) -> Any:
    return (msgspec.json.decode(raw) if raw else None) or {}


def _differing_members(before: bytes, after: bytes) -> tuple[Any, Any]:
    """Decode two JSON objects without the members that are equal byte for byte.

    A pod template is large and seldom changes.
    """
    try:
        old, new = _decode_members(before), _decode_members(after)
    except msgspec.MsgspecError:
        return msgspec.json.decode(before), msgspec.json.decode(after)
    equal = {name for name, value in old.items() if name in new and value == new[name]}
    first, second = ({k: msgspec.json.decode(v) for k, v in side.items() if k not in equal} for side in (old, new))
    return first, second


def _summary(operations: list[Operation]) -> str:
    return _shorten(", ".join(map(_summarize, operations)), SUMMARY_LIMIT)


def _summarize(operation: Operation) -> str:
    label = _label(operation.pointer)
    match operation.op:
        case "remove":
            return f"{label} removed"
        case "add":
            return f"{label}: {_value(operation.new)}"
        case "replace":
            return f"{label}: {_value(operation.old)} → {_value(operation.new)}"


def _label(pointer: Pointer) -> str:
    """Return the last name in a pointer: ``args`` for ``/spec/args/0``, since an index means nothing to a reader."""
    return next((token for token in reversed(pointer) if isinstance(token, str)), format_pointer(pointer))


def _value(value: Any) -> str:
    return _shorten(value if isinstance(value, str) else msgspec.json.encode(value).decode(), VALUE_LIMIT)


def _shorten(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
