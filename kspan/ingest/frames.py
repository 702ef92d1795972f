"""From what the API server sent to journal records. Pure: no I/O, no clock, no logging.

``Frame`` is the raw input, whoever delivered it (a file's reader, a watch); ``to_record`` gives it its meaning.
This is the one place that knows what an object's head looks like on the wire.
"""

from enum import StrEnum

import msgspec

from kspan.k8s.kinds import kind_of
from kspan.k8s.strict_json import explain, shown
from kspan.model import LogRecord, RecordType
from kspan.times import format_time, parse_time

__all__ = [
    "Frame",
    "FrameType",
    "check_object",
    "format_time",
    "parse_time",
    "read_cluster_uid",
    "to_record",
]


class FrameType(StrEnum):
    """What a frame says; the words of the recordings' format."""

    LIST = "LIST"
    """A list begins; the object holds its metadata."""
    LISTED = "LISTED"
    """An item of the list that began last."""
    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"
    BOOKMARK = "BOOKMARK"
    """Nothing new up to the resourceVersion in the object."""
    ERROR = "ERROR"
    """The API server ended the watch; the object is its Status."""
    NOTE = "NOTE"
    """A remark of the recorder (a broken connection, say)."""


class Frame(msgspec.Struct, frozen=True, gc=False):
    """One line of a recording, or what amounts to one in another format.

    ``received`` is Unix nanoseconds, ``resource`` a stream's name (``v1/pods``, ``apps/v1/deployments``; may be empty
    for a NOTE), ``object`` JSON exactly as it was sent (made from YAML where the input is YAML). ``source`` and
    ``line`` (from 1) say where it stands, for messages.
    """

    received: int
    resource: str
    type: FrameType
    object: bytes
    source: str
    line: int


class _Metadata(msgspec.Struct, gc=False, rename="camel"):
    uid: str | None = None
    resource_version: str | None = None
    namespace: str | None = None
    name: str | None = None


class _Head(msgspec.Struct, gc=False, rename="camel"):
    metadata: _Metadata | None = None
    kind: str | None = None
    api_version: str | None = None


_decode_head = msgspec.json.Decoder(_Head).decode

# Kubernetes allows 253 characters at most; databases have limits of their own for what they index.
_MAX_WORD = 512

_EXPIRY = frozenset({(RecordType.DELETED, "v1/events")})


def _read_head(raw: bytes) -> tuple[_Head, _Metadata, str]:
    """The head, its metadata and the uid of an object; raises ValueError with a sentence about the object."""
    try:
        head = _decode_head(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"the object {explain(error, raw)}") from error
    metadata = head.metadata
    if metadata is None or not metadata.uid:
        raise ValueError(f"the object has no metadata.uid{_called(head)}")
    return head, metadata, metadata.uid


def _called(head: _Head) -> str:
    name = head.metadata.name if head.metadata else None
    words = [word for word in (head.kind, name) if word]
    return f" ({shown(' '.join(words))})" if words else ""


def _check_words(*words: str) -> None:
    joined = "".join(words)
    if "\0" in joined:
        raise ValueError("the object has a NUL character in its metadata")
    if len(joined) > _MAX_WORD and any(len(word) > _MAX_WORD for word in words):
        raise ValueError(f"the object has a name, uid or version of more than {_MAX_WORD} characters")


def to_record(type: RecordType, received: int, resource: str, raw: bytes) -> LogRecord:  # noqa: A002
    """The journal record of one delta: ``received`` in Unix ns, ``raw`` the object as JSON, as it was sent.

    A kind and an API version that the object does not name (items of a typed list do not) come from the resource. The
    DELETED of an Event keeps no payload: it is the Event's expiry, not activity. Raises ValueError ("the object …")
    where the object is no JSON object, has no uid, or a name of it is out of all bounds.
    """
    head, metadata, uid = _read_head(raw)
    version, namespace, name = metadata.resource_version or "", metadata.namespace or "", metadata.name or ""
    kind = head.kind or kind_of(resource)
    api_version = head.api_version or resource.rpartition("/")[0]
    _check_words(uid, version, namespace, name, kind, api_version)
    payload = b"" if (type, resource) in _EXPIRY else raw
    return LogRecord(type, received, resource, uid, version, api_version, kind, namespace, name, payload)


def check_object(raw: bytes) -> None:
    """Raise ValueError where ``to_record`` would."""
    head, metadata, uid = _read_head(raw)
    _check_words(
        uid,
        metadata.resource_version or "",
        metadata.namespace or "",
        metadata.name or "",
        head.kind or "",
        head.api_version or "",
    )


_SHOWS_OBJECT = frozenset({FrameType.LISTED, FrameType.ADDED, FrameType.MODIFIED, FrameType.DELETED})


def read_cluster_uid(frame: Frame) -> str | None:
    """The cluster's uid (OpenTelemetry's ``k8s.cluster.uid``), if this frame shows the namespace kube-system."""
    if frame.resource != "v1/namespaces" or frame.type not in _SHOWS_OBJECT or b"kube-system" not in frame.object:
        return None
    try:
        _, metadata, uid = _read_head(frame.object)
    except ValueError:
        return None
    return uid if metadata.name == "kube-system" else None
