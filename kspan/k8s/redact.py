"""What must not get into the journal, taken out of an object on the way in. Pure.

Secrets never keep their data and ConfigMaps lose theirs; kubectl's copy of the whole manifest and the values of
environment variables are masked wherever they are in an object. An object that has none of these is given back as it
is, after a search of its bytes; of another only the branches that have them are decoded.
"""

import hashlib
from collections.abc import Iterator
from typing import Any

import msgspec

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
MASK = "<redacted>"

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
_encode = msgspec.json.Encoder().encode
_MASKED = _Raw(_encode(MASK))


def redact(resource: str, raw: bytes, *, env: bool = True) -> bytes:
    """The object of a frame (JSON) without what is confidential: JSON again, the same for the same object.

    ``resource`` is the stream (``v1/secrets``). With ``env`` the values of environment variables are masked, each with
    a tag of 16 bits over all of them together, so that a change of a value stays visible as a change. (Kubernetes
    itself publishes 32 bits of the same in the label ``pod-template-hash``.)

    Raises ValueError where the object makes no sense as JSON.
    """
    needles = _needles(raw, env)
    dropped = _DROPPED.get(resource)
    if not needles and dropped is None:
        return raw
    try:
        if dropped is not None:
            raw = _encode({key: value for key, value in _decode_object(raw).items() if key not in dropped})
        if _ENV in needles:
            needles[_ENV] = _Raw(_encode(f"<redacted {_tag(raw)}>"))
        return bytes(_masked(_Raw(raw.strip()), needles))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"the object cannot be redacted: {error}") from error


def _needles(raw: bytes, env: bool) -> dict[bytes, _Raw]:
    """What of this object is to be masked, and with what."""
    found = {}
    if _LAST_APPLIED in raw:
        found[_LAST_APPLIED] = _MASKED
    if env and _ENV in raw:
        found[_ENV] = _MASKED
    return found


def _masked(raw: _Raw, needles: dict[bytes, _Raw]) -> _Raw:
    view = bytes(raw)
    if not any(needle in view for needle in needles):
        return raw
    if view.startswith(b"{"):
        members = _decode_object(view)
        return _Raw(_encode({key: _member(key, value, needles) for key, value in members.items()}))
    if view.startswith(b"["):
        return _Raw(_encode([_masked(item, needles) for item in _decode_array(view)]))
    return raw


def _member(key: str, value: _Raw, needles: dict[bytes, _Raw]) -> _Raw:
    if key == LAST_APPLIED:
        return _MASKED
    if key == "env" and _ENV in needles and bytes(value).startswith(b"["):
        return _Raw(_encode([_variable(item, needles[_ENV]) for item in _decode_array(value)]))
    return _masked(value, needles)


def _variable(raw: _Raw, mask: _Raw) -> _Raw:
    """An environment variable without its value; one that comes from elsewhere (valueFrom) has none."""
    if not bytes(raw).startswith(b"{"):
        return mask
    members = _decode_object(raw)
    if "value" not in members:
        return raw
    return _Raw(_encode(members | {"value": mask}))


def _tag(raw: bytes) -> str:
    digest = hashlib.blake2b(digest_size=2)
    for value in _values(_Raw(raw.strip())):
        digest.update(len(value).to_bytes(4) + value)
    return digest.hexdigest()


def _values(raw: _Raw) -> Iterator[bytes]:
    """The values of all environment variables, as they are written, in their order."""
    view = bytes(raw)
    if _ENV not in view:
        return
    if view.startswith(b"["):
        for item in _decode_array(view):
            yield from _values(item)
    elif view.startswith(b"{"):
        for key, value in _decode_object(view).items():
            if key != "env" or not bytes(value).startswith(b"["):
                yield from _values(value)
                continue
            for item in _decode_array(value):
                found: Any = _decode_object(item).get("value", b"") if bytes(item).startswith(b"{") else item
                yield bytes(found)
