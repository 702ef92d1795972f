"""Watch lines, pages of lists, errors, and the heads of objects, as an API server sends them. Pure.

An object is decoded once here, as far as kspan needs to route it (``ObjectHead``); its JSON is passed on unchanged.
Sources: k8s.io/apimachinery pkg/apis/meta/v1 types.go and watch.go, k8s.io/api core/v1 types.go.
"""

import re
from typing import Any

import msgspec
from msgspec import Raw

from kspan.k8s.events_api import EVENTS
from kspan.k8s.kinds import kind_of
from kspan.k8s.redact import without_last_applied
from kspan.k8s.resources import WatchTarget
from kspan.k8s.strict_json import DECODE_ERRORS, explain, quoted

MAX_NAME = 512
"""Characters of a name, uid or version. Kubernetes allows 253; databases limit what they can index."""


class NoUidError(ValueError):
    """An object has no uid, so no API server sent it: it is a manifest, or the file of a tool."""


class ObjectHead(msgspec.Struct, frozen=True, gc=False):
    """The fields of an object that identify it and its version, and the kinds that it references."""

    uid: str
    resource_version: str
    api_version: str
    kind: str
    namespace: str
    name: str
    references: tuple[tuple[str, str], ...] = ()
    """(apiVersion, kind) of its owners; for an Event, of the object that it is about. Empty for objects of a file."""


class WatchEvent(msgspec.Struct, frozen=True, gc=False):
    """A line of a watch: ``type`` is ADDED, MODIFIED, DELETED, BOOKMARK or ERROR.

    ``object`` is JSON. ``version`` is the resourceVersion of the object (empty for an ERROR). Only an ADDED, MODIFIED
    or DELETED has a ``head``.
    """

    type: str
    object: bytes
    version: str = ""
    head: ObjectHead | None = None


class ApiStatus(msgspec.Struct, gc=False):
    """The fields of a meta/v1 Status that are used."""

    code: int = 0
    reason: str = ""
    message: str = ""

    @property
    def gone(self) -> bool:
        """True if a resourceVersion is too old. Cache and etcd word this differently; code and reason do not vary."""
        return self.code == 410 or self.reason in ("Expired", "Gone")


class Page(msgspec.Struct, frozen=True):
    """A page of a list. ``token`` continues the list; it is empty on the last page."""

    version: str
    token: str
    items: list[Raw]


# decoding ----------------------------------------------------------------------------------------------------------


class _Reference(msgspec.Struct, gc=False, rename="camel"):
    kind: str = ""
    api_version: str = ""


class _HeadMetadata(msgspec.Struct, gc=False, rename="camel"):
    uid: str | None = None
    resource_version: str | None = None
    namespace: str | None = None
    name: str | None = None


class _OwnedHeadMetadata(_HeadMetadata, gc=False, rename="camel"):
    owner_references: list[_Reference] | None = None


class _Object(msgspec.Struct, gc=False, rename="camel"):
    metadata: _HeadMetadata | None = None
    kind: str | None = None
    api_version: str | None = None


class _OwnedObject(msgspec.Struct, gc=False, rename="camel"):
    metadata: _OwnedHeadMetadata | None = None
    kind: str | None = None
    api_version: str | None = None


class _Event(_Object, gc=False, rename="camel"):
    involved_object: _Reference | None = None


_AnyObject = _Object | _OwnedObject


class _WatchLine(msgspec.Struct, gc=False):
    type: str
    object: Raw


class _BookmarkMetadata(msgspec.Struct, gc=False, rename="camel"):
    resource_version: str


class _Bookmark(msgspec.Struct, gc=False):
    metadata: _BookmarkMetadata


class _Page(msgspec.Struct):
    metadata: dict[str, Any]
    items: list[Raw] | None = None


_decode_object = msgspec.json.Decoder(_Object).decode
_decode_owned_object = msgspec.json.Decoder(_OwnedObject).decode
_decode_event = msgspec.json.Decoder(_Event).decode
_decode_line = msgspec.json.Decoder(_WatchLine).decode
_decode_bookmark = msgspec.json.Decoder(_Bookmark).decode
_decode_status = msgspec.json.Decoder(ApiStatus).decode
_decode_page = msgspec.json.Decoder(_Page).decode
_decode_fields = msgspec.json.Decoder(dict[str, Raw]).decode


def read_head(resource: str, raw: bytes) -> ObjectHead:
    """Decode the head of an object, without its references.

    Items of a typed list state no kind and API version; both are taken from the resource then.

    Raises:
        ValueError: the object is not valid JSON, has no uid, or has a name that cannot be stored.
    """
    try:
        found = _decode_object(raw)
    except DECODE_ERRORS as error:
        raise ValueError(f"the object {explain(error, raw)}") from error
    head = _head(found)
    if not head.kind or not head.api_version:
        head = _completed(head, kind_of(resource), resource.rpartition("/")[0])
    check_head(head)
    return head


def read_watched_object(target: WatchTarget, raw: bytes | Raw) -> tuple[ObjectHead, bytes]:
    """Decode the head of an object that a list or a watch of ``target`` sent; return it with the object's JSON.

    The JSON is unchanged, with two exceptions. If only metadata was requested, everything else is removed even if the
    server sent it, the kind is the object's own instead of ``PartialObjectMetadata``, and kubectl's copy of the
    manifest is removed (a Secret's contains the Secret). An object of a custom resource without a kind gets one.

    Raises:
        ValueError: the object is not valid JSON, or has no uid or resourceVersion.
    """
    try:
        found, references = _decode_with_references(target, raw)
        has_kind = bool(found.kind)
        if target.metadata_only:
            found.kind, found.api_version = target.kind, target.api_version
        head = _head(found, references)
        if not head.kind or not head.api_version:
            head = _completed(head, target.kind, target.api_version)
        if not head.resource_version:
            raise ValueError(f"the object has no metadata.resourceVersion{_description(found)}")
        return head, _text_of(target, raw, has_kind=has_kind)
    except DECODE_ERRORS as error:
        raise ValueError(f"the object {explain(error, bytes(raw))}") from error


def _decode_with_references(target: WatchTarget, raw: bytes | Raw) -> tuple[_AnyObject, tuple[tuple[str, str], ...]]:
    if target.resource == EVENTS:
        event = _decode_event(raw)
        involved = event.involved_object
        return event, (((involved.api_version, involved.kind),) if involved is not None and involved.kind else ())
    found = _decode_owned_object(raw)
    owners = found.metadata.owner_references if found.metadata is not None else None
    return found, (tuple([(owner.api_version, owner.kind) for owner in owners]) if owners else ())


def _head(found: _AnyObject, references: tuple[tuple[str, str], ...] = ()) -> ObjectHead:
    metadata = found.metadata
    if metadata is None or not metadata.uid:
        raise NoUidError(f"the object has no metadata.uid{_description(found)}")
    return ObjectHead(
        metadata.uid,
        metadata.resource_version or "",
        found.api_version or "",
        found.kind or "",
        metadata.namespace or "",
        metadata.name or "",
        references,
    )


def _completed(head: ObjectHead, kind: str, api_version: str) -> ObjectHead:
    """The head with kind and API version: items of a typed list do not state them."""
    return msgspec.structs.replace(head, kind=head.kind or kind, api_version=head.api_version or api_version)


def _description(found: _AnyObject) -> str:
    name = found.metadata.name if found.metadata else None
    words = [word for word in (found.kind, name) if word]
    return f" ({quoted(' '.join(words))})" if words else ""


def check_head(head: ObjectHead) -> None:
    """Raise ValueError if the head has a text that a database cannot store."""
    words = (head.uid, head.resource_version, head.namespace, head.name, head.kind, head.api_version)
    joined = "".join(words)
    if "\0" in joined:
        raise ValueError("the object has a NUL character in its metadata")
    if len(joined) > MAX_NAME and any(len(word) > MAX_NAME for word in words):
        raise ValueError(f"the object has a name, uid or version of more than {MAX_NAME} characters")


def metadata_only(raw: bytes | Raw, kind: str, api_version: str) -> bytes:
    """Return an object with nothing but its metadata, as JSON, and without kubectl's copy of the manifest.

    Raises:
        ValueError: the object is not valid JSON, or has no metadata.
    """
    try:
        metadata = without_last_applied(_decode_fields(raw)["metadata"])
    except KeyError:
        raise ValueError("the object has no metadata") from None
    except DECODE_ERRORS as error:
        raise ValueError(f"the object {explain(error, bytes(raw))}") from error
    return msgspec.json.encode({"kind": kind, "apiVersion": api_version, "metadata": metadata})


def _text_of(target: WatchTarget, raw: bytes | Raw, *, has_kind: bool) -> bytes:
    if target.metadata_only:
        return metadata_only(raw, target.kind, target.api_version)
    if not has_kind and not kind_of(target.resource):
        return msgspec.json.encode({"kind": target.kind, "apiVersion": target.api_version} | _decode_fields(raw))
    return bytes(raw)


# watches and lists -------------------------------------------------------------------------------------------------

_USUAL_CHANGE = re.compile(rb'\{"type":"(ADDED|MODIFIED|DELETED)","object":')

_CHANGES = frozenset({"ADDED", "MODIFIED", "DELETED"})


def read_watch_line(target: WatchTarget, line: bytes) -> WatchEvent:
    """Decode a line of a watch of ``target``.

    Go's encoder writes the two fields of a line always in the same form and order. The object of such a line is cut
    out without decoding the line, because decoding the object shows whether the rest was valid JSON.

    Raises:
        ValueError: the line or its object is not valid JSON or has another form than expected.
    """
    usual = _USUAL_CHANGE.match(line)
    if usual is not None and line.endswith(b"}"):
        try:
            return _change(target, usual[1].decode(), line[usual.end() : -1])
        except ValueError:
            pass  # Decoding the whole line shows whether the line or its object is wrong.
    try:
        found = _decode_line(line)
    except DECODE_ERRORS as error:
        raise ValueError(f"the line {explain(error, line)}") from error
    if found.type in _CHANGES:
        return _change(target, found.type, found.object)
    text = bytes(found.object)
    if found.type == "BOOKMARK":
        return WatchEvent(found.type, text, _read_bookmark(text))
    if found.type == "ERROR":
        return WatchEvent(found.type, text)
    raise ValueError(f"the line has an unknown type {quoted(found.type)}")


def _change(target: WatchTarget, kind: str, raw: bytes | Raw) -> WatchEvent:
    head, text = read_watched_object(target, raw)
    return WatchEvent(kind, text, head.resource_version, head)


def _read_bookmark(raw: bytes) -> str:
    """Return the resourceVersion in the object of a BOOKMARK."""
    try:
        return _decode_bookmark(raw).metadata.resource_version
    except DECODE_ERRORS as error:
        raise ValueError(f"the bookmark {explain(error, raw)}") from error


def read_status(raw: bytes) -> ApiStatus:
    """Decode a Status; an empty one if ``raw`` is not a Status."""
    try:
        return _decode_status(raw)
    except DECODE_ERRORS:
        return ApiStatus()


def read_page(body: bytes) -> Page:
    """Decode a page of a list.

    Raises:
        ValueError: the body is not a list, or has no resourceVersion.
    """
    try:
        page = _decode_page(body)
    except DECODE_ERRORS as error:
        raise ValueError(f"the list {explain(error, body)}") from error
    version, token = page.metadata.get("resourceVersion"), page.metadata.get("continue")
    if not isinstance(version, str) or not version:
        raise ValueError("the list has no resourceVersion")
    return Page(version, token if isinstance(token, str) else "", page.items or [])
