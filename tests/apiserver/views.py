"""The form of an object for a request: whole or metadata only, as a list item or in a watch; and selectors."""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import msgspec

from tests.apiserver.resources import Json, Resource
from tests.apiserver.storage import Stored, decode, encode

_TERM = re.compile(r"^([^=!]+?)\s*(==|=|!=)\s*(.*)$")
_HEAD = re.compile(rb'\{"(?:kind|apiVersion)":"[^"]*","(?:kind|apiVersion)":"[^"]*",')

Select = Callable[[Stored], bool]
Render = Callable[[bytes], bytes]


class _ObjectMetadata(msgspec.Struct):
    metadata: msgspec.Raw


_metadata = msgspec.json.Decoder(_ObjectMetadata).decode


def wants_metadata(accept: str) -> bool:
    """True if an Accept header prefers PartialObjectMetadata or PartialObjectMetadataList."""
    return "as=PartialObjectMetadata" in accept.partition(",")[0]


def metadata_only(raw: bytes) -> bytes:
    head = b'{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":'
    return head + bytes(_metadata(raw).metadata) + b"}"


def without_head(raw: bytes) -> bytes:
    """Remove kind and apiVersion, which the items of a typed list do not have."""
    head = _HEAD.match(raw)
    if head:
        return b"{" + raw[head.end() :]
    obj = decode(raw)
    return encode({key: value for key, value in obj.items() if key not in ("kind", "apiVersion")})


def item_renderer(resource: Resource, *, metadata: bool) -> Render:
    if metadata:
        return metadata_only
    return bytes if resource.custom else without_head


def list_head(resource: Resource, *, metadata: bool) -> tuple[str, str]:
    """(kind, apiVersion) of a list."""
    if metadata:
        return "PartialObjectMetadataList", "meta.k8s.io/v1"
    return f"{resource.kind}List", resource.group_version


def bookmark(resource: Resource, version: int, *, metadata: bool, initial: bool = False) -> bytes:
    """The line of a BOOKMARK; ``initial`` marks the end of the initial events."""
    kind, api_version = (
        ("PartialObjectMetadata", "meta.k8s.io/v1") if metadata else (resource.kind, resource.group_version)
    )
    head: Json = {"resourceVersion": str(version)}
    if initial:
        head["annotations"] = {"k8s.io/initial-events-end": "true"}
    return line("BOOKMARK", encode({"kind": kind, "apiVersion": api_version, "metadata": head}))


def line(kind: str, raw: bytes) -> bytes:
    return b'{"type":"%s","object":%s}\n' % (kind.encode(), raw)


def selector(namespace: str, fields: str, labels: str) -> Select | None:
    """Return a filter for namespace and selectors; None if it accepts everything. Equality selectors only."""
    if not (namespace or fields or labels):
        return None
    field_terms, label_terms = _terms(fields), _terms(labels)

    def select(stored: Stored) -> bool:
        if namespace and stored.namespace != namespace:
            return False
        if not (field_terms or label_terms):
            return True
        obj = decode(stored.raw)
        found = (_dig(obj, path) for path, _, _ in field_terms)
        if not all(_holds(value, *term[1:]) for value, term in zip(found, field_terms, strict=True)):
            return False
        known = (obj.get("metadata") or {}).get("labels") or {}
        return all(_holds(known.get(name, ""), sign, value) for name, sign, value in label_terms)

    return select


@lru_cache(maxsize=256)
def _terms(text: str) -> tuple[tuple[str, str, str], ...]:
    matches = [_TERM.match(term.strip()) for term in text.split(",") if term.strip()]
    if not all(matches):
        raise ValueError(f"invalid selector: {text!r}")
    return tuple((m[1], m[2], m[3]) for m in matches if m)


def _dig(obj: Any, path: str) -> str:
    for key in path.split("."):
        obj = obj.get(key) if isinstance(obj, dict) else None
    return "" if obj is None else str(obj)


def _holds(value: str, sign: str, wanted: str) -> bool:
    return (value != wanted) if sign == "!=" else (value == wanted)


def padded(raw: bytes, size: int) -> bytes:
    """The object with an annotation of ``size`` bytes."""
    obj = decode(raw)
    obj["metadata"].setdefault("annotations", {})["padding"] = "x" * size
    return encode(obj)


def off_schema(raw: bytes) -> bytes:
    """Return the object with strings instead of integers, including some that it did not have."""
    obj = _worded(decode(raw))
    obj["metadata"]["generation"] = "three"
    if "count" in obj or obj.get("kind") == "Event":
        obj["count"] = "many"
    return encode(obj)


def _worded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _worded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_worded(item) for item in value]
    return f"no {value}" if isinstance(value, int) and not isinstance(value, bool) else value
