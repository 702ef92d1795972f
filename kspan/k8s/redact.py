"""Removes confidential values from objects. Pure.

Secrets and ConfigMaps lose their data. The values of environment variables and the annotation in which kubectl keeps
a copy of the whole manifest are masked at any depth of any object. ``redact`` works on JSON text, before an object
enters the journal or a recording; ``mask_values`` works on decoded values, before a change enters a span.
"""

import hashlib
from collections.abc import Iterator
from typing import Any

import msgspec

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
"""The annotation with kubectl's copy of the manifest; a Secret's contains the Secret."""

MASK = "<redacted>"

DATA_FIELDS = frozenset({"data", "stringData", "binaryData"})
"""Fields of Secrets and ConfigMaps that hold their contents."""

_LAST_APPLIED = b'"' + LAST_APPLIED.encode() + b'"'
_ENV = b'"env"'
_DROPPED = {
    "v1/secrets": frozenset({"data", "stringData"}),
    "v1/configmaps": frozenset({"data", "binaryData"}),
}

_Raw = msgspec.Raw
_Members = dict[str, _Raw]
_decode_object = msgspec.json.Decoder(_Members).decode
_decode_array = msgspec.json.Decoder(list[_Raw]).decode
_decode_any = msgspec.json.Decoder(dict[str, Any]).decode
_encode = msgspec.json.Encoder().encode
_MASKED = _Raw(_encode(MASK))


def redact(resource: str, raw: bytes, *, env: bool = True) -> bytes:
    """Return an object without confidential values; the same bytes object if it has none.

    The bytes are searched first, and only the branches with a match are decoded: most objects have none.

    Args:
        resource: the resource that serves the object, such as ``v1/secrets``.
        raw: the object as JSON.
        env: mask the values of environment variables. Each mask has a tag of 16 bits, computed over all values of the
            object together, so that a changed value is still a change. (Kubernetes publishes 32 bits of the same in
            the label ``pod-template-hash``.)

    Raises:
        ValueError: the object is not valid JSON.
    """
    masks = _masks(raw, env)
    dropped = _DROPPED.get(resource)
    if not masks and dropped is None:
        return raw
    try:
        if dropped is not None:
            raw = _encode({key: value for key, value in _decode_object(raw).items() if key not in dropped})
        if _ENV in masks:
            masks[_ENV] = _Raw(_encode(f"<redacted {_tag(raw)}>"))
        return bytes(_masked(_Raw(raw.strip()), masks))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"the object cannot be redacted: {error}") from error


def without_last_applied(metadata: _Raw) -> _Raw:
    """Return the metadata of an object without kubectl's copy of the manifest."""
    if _LAST_APPLIED not in bytes(metadata):
        return metadata
    fields = _decode_any(metadata)
    annotations = fields.get("annotations")
    if isinstance(annotations, dict):
        annotations.pop(LAST_APPLIED, None)
    return _Raw(_encode(fields))


def mask_values(tree: Any) -> Any:
    """Return a decoded value in which the values of environment variables and of data fields are masked."""
    if isinstance(tree, list):
        return [mask_values(item) for item in tree]
    if not isinstance(tree, dict):
        return tree
    masked: dict[str, Any] = {}
    for key, value in tree.items():
        if key == "env" and isinstance(value, list):
            masked[key] = [{**e, "value": MASK} if isinstance(e, dict) and "value" in e else e for e in value]
        elif key in DATA_FIELDS and isinstance(value, dict):
            masked[key] = dict.fromkeys(value, MASK)
        else:
            masked[key] = mask_values(value)
    return masked


# masking in JSON text ----------------------------------------------------------------------------------------------


def _masks(raw: bytes, env: bool) -> dict[bytes, _Raw]:
    """The quoted keys in this object whose values are masked, each with its mask."""
    found = {}
    if _LAST_APPLIED in raw:
        found[_LAST_APPLIED] = _MASKED
    if env and _ENV in raw:
        found[_ENV] = _MASKED
    return found


def _masked(raw: _Raw, masks: dict[bytes, _Raw]) -> _Raw:
    text = bytes(raw)
    if not any(key in text for key in masks):
        return raw
    if text.startswith(b"{"):
        members = _decode_object(text)
        return _Raw(_encode({key: _masked_member(key, value, masks) for key, value in members.items()}))
    if text.startswith(b"["):
        return _Raw(_encode([_masked(item, masks) for item in _decode_array(text)]))
    return raw


def _masked_member(key: str, value: _Raw, masks: dict[bytes, _Raw]) -> _Raw:
    if key == LAST_APPLIED:
        return _MASKED
    if key == "env" and _ENV in masks and bytes(value).startswith(b"["):
        return _Raw(_encode([_masked_variable(item, masks[_ENV]) for item in _decode_array(value)]))
    return _masked(value, masks)


def _masked_variable(raw: _Raw, mask: _Raw) -> _Raw:
    """An environment variable without its value; with ``valueFrom`` it has none."""
    if not bytes(raw).startswith(b"{"):
        return mask
    members = _decode_object(raw)
    if "value" not in members:
        return raw
    return _Raw(_encode(members | {"value": mask}))


def _tag(raw: bytes) -> str:
    digest = hashlib.blake2b(digest_size=2)
    for value in _variable_values(_Raw(raw.strip())):
        digest.update(len(value).to_bytes(4) + value)
    return digest.hexdigest()


def _variable_values(raw: _Raw) -> Iterator[bytes]:
    """The values of all environment variables below ``raw`` as JSON text, in order."""
    text = bytes(raw)
    if _ENV not in text:
        return
    if text.startswith(b"["):
        for item in _decode_array(text):
            yield from _variable_values(item)
    elif text.startswith(b"{"):
        for key, value in _decode_object(text).items():
            if key != "env" or not bytes(value).startswith(b"["):
                yield from _variable_values(value)
                continue
            for item in _decode_array(value):
                found: Any = _decode_object(item).get("value", b"") if bytes(item).startswith(b"{") else item
                yield bytes(found)
