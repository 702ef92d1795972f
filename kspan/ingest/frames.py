"""Frames, which files and watches deliver (one is a line of a recording), and their journal records. Pure.

A frame carries the object's JSON unchanged and its decoded head. The objects of LIST, BOOKMARK and NOTE frames are
kspan's own and defined here (``marker_object``, ``note_object``).
"""

from collections.abc import Sequence
from enum import StrEnum

import msgspec

from kspan.k8s.events_api import EVENTS
from kspan.k8s.wire import ObjectHead, check_head, read_head
from kspan.model import RECEIVED_SINCE, LogRecord, RecordType, scope_of
from kspan.times import format_time


class FrameType(StrEnum):
    """The type of a frame, as recordings spell it."""

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
    """The API server ended a watch, or the pages of a list; the object is its Status."""
    NOTE = "NOTE"
    """A remark of the recorder (a broken connection, say)."""


OBJECT_TYPES = frozenset({FrameType.LISTED, FrameType.ADDED, FrameType.MODIFIED, FrameType.DELETED})
"""The frames that carry a Kubernetes object with a uid."""


class Frame(msgspec.Struct, frozen=True, gc=False):
    """One line of a recording, or its equivalent from another input."""

    received: int
    """Unix ns."""
    resource: str
    """The stream's name: ``v1/pods``, ``apps/v1/deployments``; may be empty for a NOTE."""
    type: FrameType
    object: bytes
    """JSON as the API server sent it (converted if the input is YAML)."""
    source: str
    """The name of the input, for messages."""
    line: int
    """The line in the input, from 1; 0 for a watch."""
    head: ObjectHead | None = None
    """The decoded head of the object, from the reader that decoded it; None: ``to_record`` decodes it."""
    since: int = 0
    """The time of receipt is not known exactly: it is between this time (Unix ns) and ``received``. 0: it is known."""


# records -----------------------------------------------------------------------------------------------------------


def to_record(
    type: RecordType,  # noqa: A002
    received: int,
    resource: str,
    raw: bytes,
    head: ObjectHead | None = None,
    epoch: int = 0,
) -> LogRecord:
    """Return the journal record of one object.

    The DELETED of an Event gets no payload: it is the Event's expiry, not activity.

    Args:
        type: the type of the record.
        received: Unix ns.
        resource: the stream's name.
        raw: the object as JSON.
        head: the decoded head of the object, if it is known.
        epoch: the resourceVersion epoch of the stream.

    Raises:
        ValueError: the object has no uid, is not valid JSON, or has a name that cannot be stored ("the object …").
    """
    if head is None:
        head = read_head(resource, raw)
    else:
        check_head(head)
    payload = b"" if type is RecordType.DELETED and resource == EVENTS else raw
    return LogRecord(
        type,
        received,
        resource,
        head.uid,
        head.resource_version,
        head.api_version,
        head.kind,
        head.namespace,
        head.name,
        payload,
        epoch=epoch,
    )


def received_since(record: LogRecord, since: int) -> LogRecord:
    """Return a record that was received at an unknown time after ``since`` (Unix ns) and not after ``recorded_at``."""
    return msgspec.structs.replace(record, reason=RECEIVED_SINCE + format_time(since))


def read_cluster_uid(frame: Frame) -> str | None:
    """Return the cluster's uid if the frame carries the namespace kube-system, whose uid it is.

    OpenTelemetry defines ``k8s.cluster.uid`` this way.
    """
    if frame.resource != "v1/namespaces" or frame.type not in OBJECT_TYPES or b"kube-system" not in frame.object:
        return None
    try:
        head = frame.head or read_head(frame.resource, frame.object)
    except ValueError:
        return None
    return head.uid if head.name == "kube-system" else None


# kspan's own objects -----------------------------------------------------------------------------------------------


class Marker(msgspec.Struct, frozen=True):
    """The content of a LIST or BOOKMARK: a resourceVersion, and the scope of the list (see ``Cursor``)."""

    version: str
    scope: str


class _MarkerMetadata(msgspec.Struct, rename="camel"):
    resource_version: str = ""


class _MarkerObject(msgspec.Struct):
    metadata: _MarkerMetadata = msgspec.field(default_factory=_MarkerMetadata)
    namespaces: list[str] = []


class _Failure(msgspec.Struct):
    """The object of an ERROR (a Status: ``code`` and ``message``) or of a NOTE (``error``)."""

    code: int = 0
    message: str = ""
    error: str = ""


_decode_marker = msgspec.json.Decoder(_MarkerObject).decode
_decode_failure = msgspec.json.Decoder(_Failure).decode


def marker_object(version: str, namespaces: Sequence[str] = ()) -> bytes:
    """Return the object of a LIST or BOOKMARK. Without namespaces, the list is of the whole cluster."""
    scope = {"namespaces": list(namespaces)} if any(namespaces) else {}
    return msgspec.json.encode({"metadata": {"resourceVersion": version}} | scope)


def read_marker(frame: Frame) -> Marker:
    """Decode the object of a LIST or BOOKMARK; the version is empty if it has none."""
    try:
        found = _decode_marker(frame.object)
    except msgspec.MsgspecError:
        found = _MarkerObject()
    return Marker(found.metadata.resource_version, scope_of(found.namespaces))


def note_object(text: str) -> bytes:
    """Return the object of a NOTE."""
    return msgspec.json.encode({"error": text})


def failure_reason(frame: Frame) -> str:
    """Return why a stream broke, from an ERROR or a NOTE."""
    try:
        found = _decode_failure(frame.object)
    except msgspec.MsgspecError:
        found = _Failure()
    text = found.message or found.error or "the stream broke"
    return f"{found.code} {text}" if found.code else text
