"""The difference between two versions of an object, as a JSON patch and a readable summary. Pure."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from kspan.k8s.json_patch import Operation, Pointer, make_patch
from kspan.k8s.redact import LAST_APPLIED, mask_values
from kspan.k8s.strict_json import DECODE_ERRORS

PATCH_LIMIT = 4096
"""Maximum size of a JSON patch in bytes: receivers cut or refuse longer attributes."""

SUMMARY_LIMIT = 160
"""Maximum length of a summary in characters: it must fit beside a span in a terminal."""

VALUE_LIMIT = 60
"""Maximum length of one value in a summary, in characters."""

_BOOKKEEPING = (
    "autoscaling.alpha.kubernetes.io/",
    "control-plane.alpha.kubernetes.io/leader",
    "deployment.kubernetes.io/",
    "deprecated.daemonset.template.generation",
    "endpoints.kubernetes.io/last-change-trigger-time",
    "pv.kubernetes.io/bind-completed",
    "pv.kubernetes.io/bound-by-controller",
    LAST_APPLIED,
)
"""Prefixes of annotations that only repeat what the spec or the status contains."""

_CONTAINERS = ("containers", "initContainers", "ephemeralContainers")
"""Lists of containers, whose names say more than where they are."""

_MAPS = frozenset(["annotations", "labels", "limits", "matchLabels", "nodeSelector", "requests"])
"""Maps whose keys say more than that the map was removed."""

_WRAPPING = frozenset([*_CONTAINERS, "jobTemplate", "metadata", "spec", "template"])
"""Names in a pointer that say nothing to a reader."""

_decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_fields = msgspec.json.Decoder(dict[str, Any]).decode


_Described = tuple[Operation, tuple[str, ...]]
"""A difference, and the names along its pointer."""


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
        described = list(_operations(before, after))
        if not described:
            return "", ""
        patch = msgspec.json.encode([operation.as_json() for operation, _ in described])
        return (patch.decode() if len(patch) <= PATCH_LIMIT else ""), _summary(described)
    except (msgspec.MsgspecError, RecursionError):
        return "", ""


def join_summaries(*summaries: str) -> str:
    """Return several summaries as one."""
    return _shorten(", ".join(filter(None, summaries)), SUMMARY_LIMIT)


def describe_status(before: dict[str, Any], after: dict[str, Any]) -> tuple[str, str]:
    """Return the JSON patch and the summary of a change of fields of the status, by their names with dots."""
    described: list[_Described] = []
    for operation in make_patch(before, after):
        pointer: Pointer = ("status", *str(operation.pointer[0]).split("."), *operation.pointer[1:])
        names = tuple(name for name in pointer if isinstance(name, str))
        described.append((operation._replace(pointer=pointer), names))
    patch = msgspec.json.encode([operation.as_json() for operation, _ in described])
    return (patch.decode() if len(patch) <= PATCH_LIMIT else ""), _summary(described)


def first_pointer(patch: str) -> Pointer:
    """Return where the first operation of a JSON patch is; empty if there is none. Indexes of arrays are left out."""
    if not patch:
        return ()
    path = str(msgspec.json.decode(patch)[0]["path"])
    return tuple(token for token in _tokens(path) if not token.isdecimal())


def _tokens(path: str) -> list[str]:
    """Return the tokens of a JSON pointer."""
    return [token.replace("~1", "/").replace("~0", "~") for token in path.split("/")[1:]]


def owns(fields: msgspec.Raw, path: str, document: Any) -> bool:
    """Return whether an entry of managedFields owns a field, or a part of it.

    The format is that of structured-merge-diff (fieldpath/serialize-pe.go): ``f:`` and the name of a field, ``k:`` and
    the keys of an item of a list, ``v:`` and the value of an item of a set.

    Args:
        fields: fieldsV1 of the entry.
        path: a JSON pointer to the field in ``document``.
        document: the object, as far as the path leads through it. It shows which item of a list is meant.
    """
    try:
        members = _decode_fields(fields) if fields else {}
    except DECODE_ERRORS:
        return False
    return _contain(members, _tokens(path), document)


def _contain(fields: Any, tokens: Sequence[str], document: Any) -> bool:
    for token in tokens:
        if isinstance(document, list):
            document = document[int(token)] if token.isdecimal() and int(token) < len(document) else None
            key = next((key for key in fields if _is_key_of(key, document)), "")
        else:
            document = document.get(token) if isinstance(document, dict) else None
            key = f"f:{token}"
        if key not in fields:
            return False
        fields = fields[key]
        if not fields:
            return True  # One without fields below is owned as a whole.
    return True


def _is_key_of(key: str, item: Any) -> bool:
    """True for ``k:{"name":"web"}`` and the container ``web``, and for ``v:"a"`` and the text ``a``."""
    kind, _, text = key.partition(":")
    try:
        value = msgspec.json.decode(text) if kind in ("k", "v") else None
    except DECODE_ERRORS:
        return False
    if kind == "k" and isinstance(value, dict) and isinstance(item, dict):
        return all(item.get(name) == own for name, own in value.items())
    return kind == "v" and value == item


def _operations(before: ComparedFields, after: ComparedFields) -> Iterator[_Described]:
    """Yield the differences, those of the spec first: the summary may be cut, and they matter most."""
    if before.spec and after.spec and before.spec != after.spec:
        old, new = _differing_members(before.spec, after.spec)
        yield from _compared(mask_values(old), mask_values(new), ("spec",))
    if before.labels != after.labels:
        yield from _compared(_labels(before.labels), _labels(after.labels), ("metadata", "labels"))
    if before.annotations != after.annotations:
        yield from _compared(before.annotations, after.annotations, ("metadata", "annotations"))


def _compared(old: Any, new: Any, at: Pointer) -> Iterator[_Described]:
    for operation in make_patch(old, new, at):
        removed = operation.old if operation.op == "remove" else None
        names = _names(operation.pointer[len(at) :], new, removed)
        yield operation, (*(name for name in at if isinstance(name, str)), *names)


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


def _summary(described: list[_Described]) -> str:
    return _shorten(", ".join(line for each in described for line in _summarize(*each)), SUMMARY_LIMIT)


def _summarize(operation: Operation, names: tuple[str, ...]) -> Iterator[str]:
    """Yield the parts of a summary for one operation: for a map that was added, each of its members."""
    match operation.op:
        case "remove" if names[-1] in _MAPS and isinstance(operation.old, dict) and operation.old:
            yield from (f"{_label((*names, str(key)))} removed" for key in sorted(operation.old))
        case "remove" if isinstance(operation.old, list) and operation.old and all(map(_name_of, operation.old)):
            yield from (f"{_label((*names, _name_of(item)))} removed" for item in operation.old)
        case "remove":
            yield f"{_label(names)} removed"
        case "add":
            yield from _added(names, operation.new)
        case "replace":
            yield f"{_label(names)}: {_value(operation.old)} → {_value(operation.new)}"


def _added(names: tuple[str, ...], new: Any) -> Iterator[str]:
    if isinstance(new, dict) and isinstance(new.get("image"), str) and any(map(names.__contains__, _CONTAINERS)):
        yield f"{_label(names)} added: {_value(new['image'])}"
    elif isinstance(new, dict) and {"key", "effect"} <= new.keys():
        yield f"{_label(names)}: {_value(':'.join(str(new[k]) for k in ('value', 'effect') if new.get(k)))}"
    elif isinstance(new, dict) and {"kind", "name"} <= new.keys():
        name = "/".join(str(new[key]) for key in ("namespace", "name") if new.get(key))
        yield f"{_label(names)}: {_value(str(new['kind']) + ' ' + name)}"
    elif isinstance(new, dict) and new:
        members = {key: value for key, value in new.items() if (key, value) != ("name", names[-1])}
        for key in sorted(members):
            yield from _added((*names, key), members[key])
        yield from () if members else (f"{_label(names)} added",)
    elif isinstance(new, list) and new and all(_name_of(item) for item in new):
        for item in new:
            yield from _added((*names, _name_of(item)), item)
    else:
        yield f"{_label(names)}: {_value(new)}"


def _names(pointer: Pointer, document: Any, removed: Any) -> tuple[str, ...]:
    """Return the names along a pointer into a document; of an item of a list its name, if it has one.

    Args:
        pointer: from the root of the document.
        document: the version after the change.
        removed: what was removed, if it is not in that version.
    """
    found: list[str] = []
    for number, token in enumerate(pointer, 1):
        document = _item(document, token) if removed is None or number < len(pointer) else removed
        name = token if isinstance(token, str) else _name_of(document)
        found += [name] if name else []
    return tuple(found)


def _item(document: Any, token: str | int) -> Any:
    if isinstance(document, dict):
        return document.get(token)
    return document[token] if isinstance(document, list) and isinstance(token, int) and token < len(document) else None


def _name_of(item: Any) -> str:
    """Return the name of an item of a list (of a container, a variable, a port), or the key of a taint."""
    name = (item.get("name") or item.get("key")) if isinstance(item, dict) else None
    return name if isinstance(name, str) else ""


def _label(names: tuple[str, ...]) -> str:
    """Return what a reader calls a field: ``replicas``, ``nodeSelector.disk``, ``web.image``, ``strategy.type``."""
    lists = [i for i, name in enumerate(names[:-1]) if name in _CONTAINERS]
    if lists and len(names) > lists[0] + 2:
        own = names[lists[0] + 1 :]
        return ".".join(own[:-1] if own[1] == "env" and own[-1] == "value" and len(own) > 3 else own)
    if lists:
        return ".".join(names[lists[0] :])
    said = [name for name in names[:-1] if name not in _WRAPPING]
    of_template = ["template"] if "template" in names[:-1] and "metadata" in names[:-1] else []
    return ".".join([*of_template, *said[-1:], names[-1]])


def _value(value: Any) -> str:
    return _shorten(value if isinstance(value, str) else msgspec.json.encode(value).decode(), VALUE_LIMIT)


def _shorten(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
