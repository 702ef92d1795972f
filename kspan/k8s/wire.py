"""What a watcher has to read of a line or an object: type, version, and the kinds that it names. Pure."""

from typing import Any

import msgspec
from msgspec import Raw

from kspan.k8s.kinds import kind_of
from kspan.k8s.redact import without_last_applied
from kspan.k8s.resources import WatchTarget
from kspan.k8s.strict_json import explain

EVENTS = "v1/events"


class WatchLine(msgspec.Struct, gc=False):
    """A line of a watch."""

    type: str
    object: Raw


class _Reference(msgspec.Struct, gc=False, rename="camel"):
    kind: str = ""
    api_version: str = ""


class _Metadata(msgspec.Struct, gc=False, rename="camel"):
    uid: str
    resource_version: str
    owner_references: list[_Reference] | None = None


class _Object(msgspec.Struct, gc=False):
    metadata: _Metadata


class _Event(msgspec.Struct, gc=False, rename="camel"):
    metadata: _Metadata
    involved_object: _Reference | None = None


class _Version(msgspec.Struct, gc=False, rename="camel"):
    resource_version: str


class _Bookmark(msgspec.Struct, gc=False):
    metadata: _Version


class ApiStatus(msgspec.Struct, gc=False):
    """meta/v1 ApiStatus, as far as it is read."""

    code: int = 0
    reason: str = ""
    message: str = ""

    @property
    def gone(self) -> bool:
        """Whether a version is too old: the wording differs between cache and etcd, code and reason do not."""
        return self.code == 410 or self.reason in ("Expired", "Gone")


class _Page(msgspec.Struct):
    metadata: dict[str, Any]
    items: list[Raw] | None = None


class Page(msgspec.Struct, frozen=True):
    """A page of a list; ``token`` is empty on the last one."""

    version: str
    token: str
    items: list[Raw]


class Head(msgspec.Struct, frozen=True, gc=False):
    """An object's version, and (apiVersion, kind) of its owners, or of what an Event is about."""

    version: str
    named: tuple[tuple[str, str], ...]


_decode_line = msgspec.json.Decoder(WatchLine).decode
_decode_object = msgspec.json.Decoder(_Object).decode
_decode_event = msgspec.json.Decoder(_Event).decode
_decode_bookmark = msgspec.json.Decoder(_Bookmark).decode
_decode_status = msgspec.json.Decoder(ApiStatus).decode
_decode_page = msgspec.json.Decoder(_Page).decode
_decode_fields = msgspec.json.Decoder(dict[str, Raw]).decode

_BAD = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def read_line(line: bytes) -> WatchLine:
    """Type and object of a line; ValueError with a sentence about the line."""
    try:
        return _decode_line(line)
    except _BAD as error:
        raise ValueError(f"the line {explain(error, line)}") from error


def read_head(resource: str, raw: bytes | Raw) -> Head:
    """What is to be known of an object of this resource; ValueError with a sentence about it where it is none."""
    named: tuple[tuple[str, str], ...]
    try:
        if resource == EVENTS:
            event = _decode_event(raw)
            metadata, about = event.metadata, event.involved_object
            named = ((about.api_version, about.kind),) if about is not None and about.kind else ()
        else:
            metadata = _decode_object(raw).metadata
            owners = metadata.owner_references
            named = tuple((owner.api_version, owner.kind) for owner in owners) if owners else ()
    except _BAD as error:
        raise ValueError(f"the object {explain(error, bytes(raw))}") from error
    if not metadata.uid or not metadata.resource_version:
        raise ValueError("the object has an empty uid or resourceVersion")
    return Head(metadata.resource_version, named)


def read_bookmark(raw: Raw) -> str:
    """The resourceVersion of a BOOKMARK's object."""
    try:
        return _decode_bookmark(raw).metadata.resource_version
    except _BAD as error:
        raise ValueError(f"the bookmark {explain(error, bytes(raw))}") from error


def read_status(raw: bytes | Raw) -> ApiStatus:
    """A ApiStatus; an empty one where it is none."""
    try:
        return _decode_status(raw)
    except _BAD:
        return ApiStatus()


def read_page(body: bytes) -> Page:
    """A list's page; ValueError with a sentence about it where it is none."""
    try:
        page = _decode_page(body)
    except _BAD as error:
        raise ValueError(f"the list {explain(error, body)}") from error
    version, token = page.metadata.get("resourceVersion"), page.metadata.get("continue")
    if not isinstance(version, str) or not version:
        raise ValueError("the list has no resourceVersion")
    return Page(version, token if isinstance(token, str) else "", page.items or [])


def read_object(target: WatchTarget, raw: Raw) -> tuple[Head, bytes]:
    """What is to be known of an object, and the object as a frame carries it: as it was sent, but for three things.

    Where only metadata was asked for, only metadata is left, whatever the server sent, under the object's own kind and
    not ``PartialObjectMetadata``; the last applied configuration is not (a Secret's has the Secret in it). An item that
    does not say its kind, of a list of no built-in kind, is given it. ValueError with a sentence about it where it is
    no object.
    """
    head = read_head(target.resource, raw)
    try:
        return head, _render(target, raw)
    except _BAD as error:
        raise ValueError(f"the object {explain(error, bytes(raw))}") from error


def _render(target: WatchTarget, raw: Raw) -> bytes:
    if target.metadata_only:
        metadata = without_last_applied(_decode_fields(raw)["metadata"])
        return msgspec.json.encode({"kind": target.kind, "apiVersion": target.api_version, "metadata": metadata})
    if not kind_of(target.resource):
        fields = _decode_fields(raw)
        if "kind" not in fields:
            return msgspec.json.encode({"kind": target.kind, "apiVersion": target.api_version, **fields})
    return bytes(raw)
