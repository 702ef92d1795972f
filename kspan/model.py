"""Data types shared by all layers: journal records (input) and projection rows (output). Pure.

Units, everywhere in kspan:

* A time is an ``int`` of Unix nanoseconds in UTC (0: unknown).
* A uid and a resourceVersion are the strings of the API server.
* Span and trace ids are lower-case hexadecimal (16 and 32 digits), as in OTLP/JSON.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec


class RecordType(StrEnum):
    """The type of a journal record."""

    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"
    LISTED = "LISTED"
    """An object in the first list of a stream: existing state, not a change."""
    GAP = "GAP"
    """Changes of this stream between two resourceVersions may have been missed."""
    TICK = "TICK"
    """Time passed while the fold was waiting for it; or, with the reason ``HELD``, it stands still; or, with the reason
    ``ENDED``, the input is over."""


HELD = "not watching"
"""The reason of a TICK from which on changes may be missing: nobody watches, or not all that matters. Event time stands
still until a TICK without a reason. What is received in between happened at an unknown time since."""

ENDED = "input ended"
"""The reason of a TICK after the last record of an input: nobody saw what happened in the time that it lets pass."""

VANISHED = "not in the list after a gap"
"""The reason of a DELETED record that nobody sent: a list did not contain the object any more."""


RECEIVED_SINCE = "received since "
"""Begins the reason of a record whose time of receipt is not known exactly: the record was received after the time that
follows (RFC 3339), and not after ``recorded_at``."""


class LogRecord(msgspec.Struct, frozen=True, gc=False):
    """One record of the journal.

    Args:
        type: type of the record.
        recorded_at: when it was received.
        resource: the stream: ``v1/pods``, ``apps/v1/deployments`` (empty for a TICK).
        uid: uid of the object; this and the next five are empty for a GAP and a TICK.
        resource_version: resourceVersion of the object.
        api_version: apiVersion of the object.
        kind: kind of the object.
        namespace: namespace of the object.
        name: name of the object.
        payload: the object as JSON, as the API server sent it (empty for the expiry of an Event and a TICK; of a GAP a
            ``GapDetails``).
        reason: why changes may have been missed (GAP), or ``VANISHED``, ``HELD``, ``ENDED``, or ``RECEIVED_SINCE`` with
            a time.
        gap_from: GAP only: the last resourceVersion known before the gap.
        gap_to: GAP only: the first resourceVersion known after it.
        epoch: number of times the stream's resourceVersions have started over (etcd was restored from a backup).
            resourceVersions can only be compared within an epoch.
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


class GapDetails(msgspec.Struct, frozen=True, rename="camel"):
    """The payload of a GAP record (RFC 3339).

    Args:
        watched_until: when the stream was last known to be watched.
        listed_at: when the list after the gap was received. ``recorded_at`` is earlier while event time is held back.
    """

    watched_until: str = ""
    listed_at: str = ""


class Cursor(msgspec.Struct, frozen=True, gc=False):
    """How far a stream has been read.

    Args:
        resource: the stream.
        resource_version: everything up to this resourceVersion is in the journal.
        updated_at: when the cursor reached it.
        scope: the namespaces covered, in order, separated by commas; empty for the whole cluster. A field selector may
            follow the name of a namespace (``kspan.k8s.events_api.OF_CLUSTER_SCOPED``).
        epoch: epoch of the resourceVersions (see ``LogRecord``).
        since: resourceVersion of the first list.
        since_at: when the first list was made.
    """

    resource: str
    resource_version: str
    updated_at: int
    scope: str = ""
    epoch: int = 0
    since: str = ""
    since_at: int = 0


def scope_of(namespaces: Iterable[str]) -> str:
    """The scope (see ``Cursor``) of some namespaces; an empty name stands for the whole cluster."""
    names = set(namespaces)
    return "" if "" in names else ",".join(sorted(names))


def covers(scope: str, namespace: str) -> bool:
    """True if a scope (see ``Cursor``) has a namespace in full. Cluster-scoped objects are always watched without."""
    return not scope or namespace in scope.split(",")


class GapRow(msgspec.Struct, frozen=True, gc=False):
    """A row of ``gaps``: changes that may be missing from the journal, and why."""

    seq: int
    resource: str
    from_version: str
    to_version: str
    reason: str
    recorded_at: int


class ObjectRow(msgspec.Struct, frozen=True, gc=False):
    """A row of ``objects``: a Kubernetes object, existing or deleted, as last seen.

    ``state`` is the fold's record (msgpack) of an object that is ``remembered``: one that exists, or was deleted or
    mentioned by an Event recently. It is empty for all other objects.
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
    """A row of ``owners``: ``uid`` is or was owned by ``owner_uid``."""

    uid: str
    owner_uid: str
    owner_api_version: str
    owner_kind: str
    owner_name: str
    controller: bool


class PendingRow(msgspec.Struct, frozen=True, gc=False):
    """A row of ``pending``: an occurrence whose cause has not been chosen yet. It is in no trace.

    ``arrival`` numbers all occurrences in the order of their arrival; ``fold`` is the fold's record (msgpack).
    """

    arrival: int
    object_kind: str
    object_namespace: str
    object_name: str
    start_time: int
    fold: bytes


class SpanState(StrEnum):
    """The state of an occurrence."""

    PENDING = "pending"
    """Its cause has not been chosen: it is not in ``spans`` yet (``PendingRow``)."""
    OPEN = "open"
    """It has its cause; its trace is still open."""
    CLOSED = "closed"
    """It is in a closed trace and never changes again."""


class SpanEvent(msgspec.Struct, frozen=True, gc=False):
    """A span event: a repeat of the occurrence, or a condition transition that belongs to it."""

    time: int
    name: str
    attributes: dict[str, Any]


class SpanLink(msgspec.Struct, frozen=True, gc=False):
    """A span link to a related span in another trace."""

    trace_id: str
    span_id: str
    attributes: dict[str, Any]


class SpanRow(msgspec.Struct, frozen=True, gc=False):
    """A row of ``spans``: one occurrence. Until the span is closed, only its identifying columns are final.

    Args:
        trace_id, span_id: ids of the span.
        parent_span_id: span id of the cause; empty for a root.
        remote_parent: true if the parent comes from a trace context of the object.
        state: open or closed.
        name: ``Kind.Reason``.
        rule, confidence: the rule that chose the cause, and the confidence in that choice.
        start_time, end_time: first and last moment.
        service, instance: ``service.name`` and ``service.instance.id`` of the resource.
        object_uid, object_kind, object_namespace, object_name: the object it happened to.
        reason: what happened.
        error: true if the span's status is Error; ``message`` is the description then.
        message: message of the Event, condition or change.
        event_uid, event_count: the Event it was made from (empty and 0: none).
        attributes, events, links: those of the exported span.
        fold: the fold's record (msgpack); empty once closed.
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


class SpanOutline(msgspec.Struct, frozen=True, gc=False):
    """The columns of a row of ``spans`` that decide how a large trace is summarized."""

    span_id: str
    parent_span_id: str
    name: str
    service: str
    error: bool
    start_time: int
    end_time: int
    object_name: str


class TraceState(StrEnum):
    """The state of a trace."""

    OPEN = "open"
    CLOSED = "closed"


class Outcome(StrEnum):
    """How a trace ended. It is an attribute of the root span (``vocabulary.OUTCOME``)."""

    OK = "ok"
    """It was finished, and no Warning is left without a recovery."""
    FAILING = "failing"
    """Something in it fails in a way that waiting does not fix. An episode continues the trace."""
    FAILED = "failed"
    """Something in it failed and does not try again."""
    RECOVERED = "recovered"
    """It began with a Warning or continues a failing trace, and nothing fails any more."""
    SUPERSEDED = "superseded"
    """Something in it was deleted or changed in another trace before it was finished, or while it failed."""
    INCOMPLETE = "incomplete"
    """It was closed by age while something in it was in progress."""
    UNKNOWN = "unknown"
    """The last that is known of an object that is gone is a Warning: nobody saw how it went on."""


class Verdict(NamedTuple):
    """How a trace ended, or how it stands while it is open."""

    outcome: Outcome | None
    """None: the trace is open, and nothing fails."""
    reason: str = ""
    """The failure, or the change that superseded it and how far it had come; empty if nothing is to be said."""
    superseded_by: str = ""
    """Span id of the change that superseded it."""
    superseding_trace: str = ""
    """The trace of that change; empty if it is in none yet."""

    @property
    def error(self) -> str:
        """The failure in words; empty if it did not end in one."""
        return self.reason if self.outcome in (Outcome.FAILED, Outcome.FAILING) else ""


class TraceRow(msgspec.Struct, frozen=True, gc=False):
    """A row of ``traces``: a tree of occurrences below one root cause.

    Args:
        trace_id: id of the trace.
        state: open or closed.
        root_span_id: span id of the root; empty while open.
        previous_trace_id: the trace that this one continues (an episode); empty otherwise.
        opened_at, closed_at: event time of the first occurrence and of closing (0: open).
        start_time, end_time: start of the first and end of the last span.
        span_count: number of spans.
        incomplete: true if it was closed by age while something in it was in progress.
        error: true if it ended in failure, or something in it is failing.
        fold: the fold's record (msgpack); empty once closed.
        outcome: an ``Outcome``; while open ``failing``, or empty if nothing fails.
        reason: what failed, or what superseded it; empty if there is nothing to say.
        warnings: number of spans that are a Warning or a failed condition; 0 while open.
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
    outcome: str = ""
    reason: str = ""
    warnings: int = 0

    @property
    def verdicts(self) -> list[str]:
        """How it ended, in words for people: its outcome, and whether it is open or incomplete."""
        is_open = self.state is TraceState.OPEN
        return verdicts(self.outcome, is_open=is_open, error=self.error, incomplete=self.incomplete)


def verdicts(outcome: str, *, is_open: bool, error: bool, incomplete: bool) -> list[str]:
    """Return how a trace ended, in words for people (see ``TraceRow.verdicts``)."""
    found = [outcome] if outcome else []
    if is_open:
        return [*found, TraceState.OPEN]
    found = found or [Outcome.FAILED if error else Outcome.INCOMPLETE if incomplete else Outcome.OK]
    return list(dict.fromkeys([*found, *([Outcome.INCOMPLETE] if incomplete else [])]))


class Delta(msgspec.Struct):
    """The change of the projection by some records. To be applied in the order of the fields:

    1. ``dropped_*``: keys of rows to delete (trace id and span id; arrival number; trace id).
    2. ``pending``, ``objects`` …: rows to insert or replace.
    3. ``updated_*``: rows that already exist and change only unindexed columns. Most writes are like this; they must
       not touch the indexes.
    """

    dropped_spans: list[tuple[str, str]] = []
    dropped_pending: list[tuple[int]] = []
    dropped_traces: list[tuple[str]] = []
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
    """The fold's scalar state (msgpack): event time, the lateness of Events, gaps."""
