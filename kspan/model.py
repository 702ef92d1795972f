"""The words that the layers share: journal records on the way in, rows of the projection on the way out.

Pure data, hardly any behaviour. Units, everywhere in kspan: a time is an ``int`` of Unix nanoseconds in
UTC (0: not known); a uid is the API server's string; ids of spans and traces are lower-case hexadecimal (16 and 32
digits), as in OTLP/JSON; a resourceVersion is the API server's string.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import Any

import msgspec


class RecordType(StrEnum):
    """What a journal record says (DESIGN: "The state machine")."""

    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"
    LISTED = "LISTED"
    """An object that the very first list of a stream showed: state, not news."""
    GAP = "GAP"
    """Changes on this stream between two resourceVersions may have been missed."""
    TICK = "TICK"
    """Time passed while something was waiting for it."""


class LogRecord(msgspec.Struct, frozen=True, gc=False):
    """One record of the journal.

    ``payload`` is the object as JSON, as the API server sent it (empty: an Event's expiry, a GAP, a TICK).
    ``resource`` names the stream: ``v1/pods``, ``apps/v1/deployments`` (empty for a TICK).
    ``gap_from`` and ``gap_to`` bound the resourceVersions that a GAP is about; ``reason`` says why it is there.
    ``epoch`` is how often the stream's resourceVersions had started over before (etcd was restored from a backup): only
    within an epoch do they tell which is newer.
    """

    type: RecordType
    recorded_at: int
    resource: str = ""
    uid: str = ""
    resource_version: str = ""
    api_version: str = ""
    kind: str = ""
    namespace: str = ""
    name: str = ""
    payload: bytes = b""
    reason: str = ""
    gap_from: str = ""
    gap_to: str = ""
    epoch: int = 0


class Cursor(msgspec.Struct, frozen=True, gc=False):
    """How far a stream was read: everything up to ``resource_version`` is in the journal.

    ``scope`` names the namespaces that this is true of, in order, separated by commas; empty for the whole cluster.
    ``epoch`` is that of the records (``LogRecord``). ``since`` is the version of the first list ever, ``since_at`` when
    that was (Unix ns).
    """

    resource: str
    resource_version: str
    updated_at: int
    scope: str = ""
    epoch: int = 0
    since: str = ""
    since_at: int = 0


def scope_of(namespaces: Iterable[str]) -> str:
    """The scope (``Cursor``) of these namespaces; an empty name among them stands for the whole cluster."""
    names = set(namespaces)
    return "" if "" in names else ",".join(sorted(names))


class GapRow(msgspec.Struct, frozen=True, gc=False):
    """A row of ``gaps``: what may be missing from the journal, and why."""

    seq: int
    resource: str
    from_version: str
    to_version: str
    reason: str
    recorded_at: int


class ObjectRow(msgspec.Struct, frozen=True, gc=False):
    """A row of ``objects``: one Kubernetes object, alive or gone, as it was last seen.

    ``state`` is the fold's own record (msgpack) of an object that is ``remembered``: it lives, or was deleted or spoken
    of a short while ago. Of any other it is empty.
    """

    uid: str
    resource: str
    api_version: str
    kind: str
    namespace: str
    name: str
    resource_version: str
    generation: int
    owner_uid: str
    node: str
    created_at: int
    seen_at: int
    deleted_at: int
    remembered: bool
    state: bytes


class OwnerRow(msgspec.Struct, frozen=True, gc=False):
    """A row of ``owners``: ``uid`` is (or was) owned by ``owner_uid``."""

    uid: str
    owner_uid: str
    owner_api_version: str
    owner_kind: str
    owner_name: str
    controller: bool


class PendingRow(msgspec.Struct, frozen=True, gc=False):
    """A row of ``pending``: an occurrence that waits for what may explain it, and is in no trace yet.

    ``arrival`` numbers all occurrences in the order in which they came; ``fold`` is the fold's own record (msgpack).
    """

    arrival: int
    object_kind: str
    object_namespace: str
    object_name: str
    start_time: int
    fold: bytes


class SpanState(StrEnum):
    """The life of an occurrence."""

    PENDING = "pending"
    """Waiting for what may explain it: not in ``spans`` yet (``PendingRow``)."""
    OPEN = "open"
    """Has its cause; its trace is still open."""
    CLOSED = "closed"
    """Part of a closed trace: never changes again."""


class SpanEvent(msgspec.Struct, frozen=True, gc=False):
    """A repeat of an occurrence, or a condition whose turn only goes with it (OTLP: an event of the span)."""

    time: int
    name: str
    attributes: dict[str, Any]


class SpanLink(msgspec.Struct, frozen=True, gc=False):
    """Another span that this one has to do with, in another trace."""

    trace_id: str
    span_id: str
    attributes: dict[str, Any]


class SpanRow(msgspec.Struct, frozen=True, gc=False):
    """A row of ``spans``: one occurrence.

    Until it is closed only the identifying columns are final. ``parent_span_id`` is empty for a root; where the object
    carried a remote context it is the remote span's id and ``remote_parent`` is true. ``attributes`` holds what goes
    out as span attributes, ``service`` and ``instance`` become the resource's ``service.name`` and
    ``service.instance.id``. ``error`` is true where the span's status is Error, with ``message`` as its description.
    """

    trace_id: str
    span_id: str
    parent_span_id: str
    remote_parent: bool
    state: SpanState
    name: str
    rule: str
    confidence: float
    start_time: int
    end_time: int
    service: str
    instance: str
    object_uid: str
    object_kind: str
    object_namespace: str
    object_name: str
    reason: str
    error: bool
    message: str
    event_uid: str
    event_count: int
    attributes: dict[str, Any]
    events: list[SpanEvent]
    links: list[SpanLink]
    fold: bytes


class TraceState(StrEnum):
    """The life of a trace."""

    OPEN = "open"
    CLOSED = "closed"


class TraceRow(msgspec.Struct, frozen=True, gc=False):
    """A row of ``traces``: a tree of occurrences under one root cause.

    ``incomplete`` marks a trace that was closed by age while something in it was still on its way; ``error`` is the
    outcome of the whole. ``previous_trace_id`` is the trace that an episode follows up.
    """

    trace_id: str
    state: TraceState
    root_span_id: str
    previous_trace_id: str
    opened_at: int
    closed_at: int
    start_time: int
    end_time: int
    span_count: int
    incomplete: bool
    error: bool
    fold: bytes


class Delta(msgspec.Struct):
    """What a run of records changed in the projection, to be applied in this order: rows to drop, by their keys (a
    trace id and a span id; an arrival), rows to write whole, in the place of any of the same key, and rows to update.

    An updated row is there, as an earlier delta wrote it, and differs from it in neither its key nor any column that
    an index is about: most writes are of this kind, and must not cost a page in every index.
    """

    dropped_spans: list[tuple[str, str]] = []
    dropped_pending: list[tuple[int]] = []
    pending: list[PendingRow] = []
    objects: list[ObjectRow] = []
    owners: list[OwnerRow] = []
    spans: list[SpanRow] = []
    traces: list[TraceRow] = []
    gaps: list[GapRow] = []
    updated_objects: list[ObjectRow] = []
    updated_spans: list[SpanRow] = []
    updated_traces: list[TraceRow] = []
    clock: bytes = b""
    """The fold's scalar state (msgpack): logical time and the measured lag."""
