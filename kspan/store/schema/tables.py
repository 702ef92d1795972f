"""The tables: kspan's SQL interface, the same on SQLite and PostgreSQL.

* Every key starts with ``cluster`` (the cluster's uid), so that one database can hold several clusters.
* A time is a BIGINT of Unix nanoseconds in UTC (0: unknown).
* Text columns are never NULL: a missing value is empty.
* The tables in ``INTERNAL``, and the columns ``objects.state``, ``spans.fold`` and ``traces.fold``, are not part of the
  interface.

The cost of a commit must not grow with the history. So rows that are written together are stored together: records by
number, versions of a workload's objects by name, spans by trace, pending occurrences by arrival. Only the row of an
object or a trace has a place of its own, once.

A change of this file needs a migration (``migrations/``); a test compares the two.
"""

from typing import Any, Final

from sqlalchemy import BigInteger, Boolean, Column, Double, Index, LargeBinary, MetaData, Table, Text, text
from sqlalchemy.sql.elements import TextClause
from sqlalchemy.types import TypeEngine

from kspan.model import RecordType, SpanEvent, SpanLink, SpanState, TraceState
from kspan.settings import FoldSettings
from kspan.store.schema.column_types import Json, Payload, Word

REVISION: Final = "kspan_0007"
"""The newest migration. It is repeated here so that an up-to-date database opens without Alembic."""

metadata: Final = MetaData(naming_convention={"pk": "%(table_name)s_pkey"})

# Conditions of partial indexes. SQLite uses such an index only if a query repeats the condition without parameters.
REMEMBERED: Final = text("remembered")
PAST: Final = text("NOT remembered")
OPEN: Final = text("state = 'open'")
CLOSED: Final = text("state = 'closed'")
FOLLOWING: Final = text("previous_trace_id <> ''")
FAILED: Final = text("error")
HAS_UID: Final = text("uid <> ''")
WORKLOAD_CHANGED: Final = text(
    "(object_kind = 'Deployment' OR object_kind = 'StatefulSet' OR object_kind = 'DaemonSet') "
    "AND (reason = 'Create' OR reason = 'Update') AND event_uid = ''"
)
"""As in the view ``rollouts``. For every span that is written, SQLite would make a B-tree of the values of an IN."""


REPLACED_IF: Final = "replaced_if"
"""Key of ``Table.info``: the condition under which an existing row may be replaced (default: always)."""


def _key(name: str, kind: type[TypeEngine[Any]], comment: str) -> Column[Any]:
    return Column(name, kind, primary_key=True, autoincrement=False, comment=comment)


def _cluster() -> Column[Any]:
    return _key("cluster", Text, "uid of the cluster (of its kube-system namespace)")


def _column(name: str, kind: TypeEngine[Any] | type[TypeEngine[Any]], comment: str) -> Column[Any]:
    return Column(name, kind, nullable=False, comment=comment)


def _added(name: str, kind: type[TypeEngine[Any]], default: str, comment: str) -> Column[Any]:
    """A column that a migration added. SQLite requires a default for it."""
    return Column(name, kind, nullable=False, server_default=text(default), comment=comment)


def _partial(where: TextClause) -> dict[str, Any]:
    return {"sqlite_where": where, "postgresql_where": where}


# SQLite: WITHOUT ROWID saves a second B-tree for tables with ordered keys or short rows. Tables of wide rows with
# hashed keys have a rowid: their rows are appended, and only the narrow key is scattered.
_CLUSTERED: Final[dict[str, Any]] = {"sqlite_with_rowid": False}

journal = Table(
    "journal",
    metadata,
    _cluster(),
    _key("seq", BigInteger, "position in the journal, from 1, without holes"),
    _column("type", Word(RecordType), "ADDED, MODIFIED, DELETED, LISTED, GAP or TICK"),
    _column("recorded_at", BigInteger, "when the record was received (Unix ns UTC): the fold's event time"),
    _column("resource", Text, "the stream: v1/pods, apps/v1/deployments; empty for a TICK"),
    _column("uid", Text, "uid of the object; empty for GAP and TICK"),
    _column("resource_version", Text, "resourceVersion of the object"),
    _column("api_version", Text, "apiVersion of the object: v1, apps/v1"),
    _column("kind", Text, "kind of the object"),
    _column("namespace", Text, "namespace of the object; empty if it has none"),
    _column("name", Text, "name of the object"),
    Column("payload", Payload, comment="the object as JSON (SQLite: compressed with zstd); NULL if there is none"),
    _column("reason", Text, "GAP only: why records may be missing"),
    _column("gap_from", Text, "GAP only: the last resourceVersion known before the gap"),
    _column("gap_to", Text, "GAP only: the first resourceVersion known after the gap"),
    _column("epoch", BigInteger, "number of times the stream's resourceVersions have started over (etcd restored)"),
    # By name, not by uid: names of a workload's objects and Events are neighbours, but uids are scattered, so that each
    # would write another page of the index.
    Index("journal_object", "cluster", "kind", "namespace", "name", "uid", "seq", **_partial(HAS_UID)),
    comment="Every record received: the only source of truth, append-only",
    # One partition per day (``postgresql.partitions``). There, the key also has recorded_at, and the writer makes seq
    # unique.
    postgresql_partition_by="RANGE (recorded_at)",
    **_CLUSTERED,
)

cursors = Table(
    "cursors",
    metadata,
    _cluster(),
    _key("resource", Text, "the stream: v1/pods, apps/v1/deployments"),
    _column("resource_version", Text, "everything up to this resourceVersion is in the journal"),
    _column("updated_at", BigInteger, "when the cursor reached it (Unix ns UTC)"),
    _column("scope", Text, "the namespaces covered, separated by commas; empty for the whole cluster"),
    _column("epoch", BigInteger, "number of times the stream's resourceVersions have started over (etcd restored)"),
    _column("since", Text, "resourceVersion of the first list: everything after it is in the journal, except gaps"),
    _column("since_at", BigInteger, "when the first list was made (Unix ns UTC)"),
    comment="How far each stream has been read",
    **_CLUSTERED,
)

gaps = Table(
    "gaps",
    metadata,
    _cluster(),
    _key("seq", BigInteger, "position of the GAP in the journal"),
    _column("resource", Text, "the stream with the gap"),
    _column("from_version", Text, "the last resourceVersion known before the gap"),
    _column("to_version", Text, "the first resourceVersion known after the gap"),
    _column("reason", Text, "why records may be missing"),
    _column("recorded_at", BigInteger, "when the gap was noticed (Unix ns UTC)"),
    comment="Gaps in the journal: changes that may have been missed",
    **_CLUSTERED,
)

objects = Table(
    "objects",
    metadata,
    _cluster(),
    _key("uid", Text, "uid of the object"),
    _column("resource", Text, "the stream that delivers it: v1/pods"),
    _column("api_version", Text, "apiVersion: v1, apps/v1"),
    _column("kind", Text, "kind"),
    _column("namespace", Text, "namespace; empty if it has none"),
    _column("name", Text, "name; an earlier object may have had the same name"),
    _column("resource_version", Text, "resourceVersion when last seen"),
    _column("generation", BigInteger, "metadata.generation; 0 if the kind has none"),
    _column("owner_uid", Text, "uid of the controlling owner; empty if there is none"),
    _column("node", Text, "node that it runs on; empty if it does not run on a node"),
    _column("created_at", BigInteger, "creationTimestamp (Unix ns UTC)"),
    _column("seen_at", BigInteger, "when it was first seen (Unix ns UTC)"),
    _column("deleted_at", BigInteger, "when it was deleted (Unix ns UTC); 0 while it exists"),
    _column("remembered", Boolean, "true while it exists, or if it was deleted or mentioned by an Event recently"),
    _column("state", LargeBinary, "internal: the fold's record (msgpack); empty if not remembered"),
    Index("objects_name", "cluster", "kind", "namespace", "name"),
    Index("objects_remembered", "cluster", "resource", **_partial(REMEMBERED)),
    Index("objects_past", "cluster", "deleted_at", "seen_at", **_partial(PAST)),
    comment="Every object seen, existing or deleted, as last seen",
)

owners = Table(
    "owners",
    metadata,
    _cluster(),
    _key("uid", Text, "uid of the dependent"),
    _key("owner_uid", Text, "uid of the owner"),
    _column("owner_api_version", Text, "apiVersion of the owner, from the dependent's ownerReferences"),
    _column("owner_kind", Text, "kind of the owner"),
    _column("owner_name", Text, "name of the owner"),
    _column("controller", Boolean, "true if the owner is the controller of the dependent"),
    comment="Owner references, present and past",
    **_CLUSTERED,
)

spans = Table(
    "spans",
    metadata,
    _cluster(),
    _key("trace_id", Text, "trace id, 32 hexadecimal digits"),
    _key("span_id", Text, "span id, 16 hexadecimal digits; unique within the trace"),
    _column("parent_span_id", Text, "span id of the cause; empty for a root"),
    _column("remote_parent", Boolean, "true if the parent comes from an annotation of the object"),
    _column("state", Word(SpanState), "open (its trace may still change) or closed (final)"),
    _column("name", Text, "Kind.Reason"),
    _column("rule", Text, "rule that chose the cause"),
    _column("confidence", Double, "confidence in that choice, 0 to 1"),
    _column("start_time", BigInteger, "start (Unix ns UTC)"),
    _column("end_time", BigInteger, "end (Unix ns UTC)"),
    _column("service", Text, "service.name: the component that acted"),
    _column("instance", Text, "service.instance.id: host of that component"),
    _column("object_uid", Text, "uid of the object it happened to"),
    _column("object_kind", Text, "kind of that object"),
    _column("object_namespace", Text, "namespace of that object"),
    _column("object_name", Text, "name of that object"),
    _column("reason", Text, "what happened: an Event's reason, Update, Available …"),
    _column("error", Boolean, "true if the span's status is Error"),
    _column("message", Text, "message; the status description of an error"),
    _column("event_uid", Text, "uid of the Event it was made from; empty if it was made from an object"),
    _column("event_count", BigInteger, "count of the Event when last seen; 0 if there is no Event"),
    _column("attributes", Json(dict[str, Any]), "span attributes: a JSON object"),
    _column("events", Json(list[SpanEvent]), "span events: JSON [{time: Unix ns, name, attributes}]"),
    _column("links", Json(list[SpanLink]), "span links: JSON [{trace_id, span_id, attributes}]"),
    _column("fold", LargeBinary, "internal: the fold's record (msgpack)"),
    Index("spans_object", "cluster", "object_kind", "object_namespace", "object_name", "start_time"),
    Index("spans_start", "cluster", "start_time"),
    Index("spans_namespace", "cluster", "object_namespace", "start_time"),
    Index("spans_failed", "cluster", "start_time", **_partial(FAILED)),
    Index("spans_workload", "cluster", "start_time", **_partial(WORKLOAD_CHANGED)),
    Index("spans_workload_namespace", "cluster", "object_namespace", "start_time", **_partial(WORKLOAD_CHANGED)),
    comment="Spans: one row per occurrence in a trace",
)

pending = Table(
    "pending",
    metadata,
    _cluster(),
    _key("arrival", BigInteger, "internal: arrival number of the occurrence"),
    _column("object_kind", Text, "kind of the object it happened to"),
    _column("object_namespace", Text, "namespace of that object"),
    _column("object_name", Text, "name of that object"),
    _column("start_time", BigInteger, "when it happened (Unix ns UTC)"),
    _column("fold", LargeBinary, "internal: the fold's record (msgpack)"),
    # Keyed by arrival: the newest rows are deleted first. In ``spans``, each of them would write another page.
    comment="Internal: occurrences whose cause has not been chosen yet; each becomes a span after a few seconds",
    **_CLUSTERED,
)

traces = Table(
    "traces",
    metadata,
    _cluster(),
    _key("trace_id", Text, "trace id, 32 hexadecimal digits"),
    _column("state", Word(TraceState), "open or closed (final)"),
    _column("root_span_id", Text, "span id of the root"),
    _column("previous_trace_id", Text, "trace that this one continues; empty if it is the first"),
    _column("opened_at", BigInteger, "when its first occurrence was received (Unix ns UTC, event time)"),
    _column("closed_at", BigInteger, "when it was closed (Unix ns UTC, event time); 0 while open"),
    _column("start_time", BigInteger, "start of the earliest span (Unix ns UTC)"),
    _column("end_time", BigInteger, "end of the latest span (Unix ns UTC)"),
    _column("span_count", BigInteger, "number of spans"),
    _column("incomplete", Boolean, "true if it was closed by age while something in it was in progress"),
    _column("error", Boolean, "true if it ended in failure"),
    _column("fold", LargeBinary, "internal: the fold's record (msgpack)"),
    _added(
        "outcome",
        Text,
        "''",
        "ok, failing, failed, recovered, superseded, incomplete, unknown; while open failing or empty",
    ),
    _added("reason", Text, "''", "what failed, or what superseded it and what it had reached"),
    _added("warnings", BigInteger, "0", "number of Warnings and failed conditions in it; 0 while open"),
    Index("traces_open", "cluster", "opened_at", **_partial(OPEN)),
    Index("traces_closed", "cluster", "closed_at", "trace_id", **_partial(CLOSED)),
    Index("traces_start", "cluster", "start_time", **_partial(CLOSED)),
    Index("traces_previous", "cluster", "previous_trace_id", **_partial(FOLLOWING)),
    comment="Traces: trees of occurrences below one root cause",
    info={REPLACED_IF: text("traces.state = 'open'")},
)

emissions = Table(
    "emissions",
    metadata,
    _cluster(),
    _key("trace_id", Text, "trace id, 32 hexadecimal digits"),
    _key("target", Text, "name of the export target"),
    _column("status", Text, "emitted, failed (will be retried) or rejected (final)"),
    _column("attempts", BigInteger, "number of attempts"),
    _column("updated_at", BigInteger, "when it was last attempted (Unix ns UTC)"),
    _column("reason", Text, "why it failed or was rejected"),
    comment="Which trace was sent to which target; kept by a rebuild",
    **_CLUSTERED,
)

fold_history = Table(
    "fold_history",
    metadata,
    _cluster(),
    _key("from_seq", BigInteger, "first journal record of this period"),
    _column("fold_version", BigInteger, "version of the fold"),
    _column("rules", Text, "digest of the rules"),
    _column("settings", Json(FoldSettings), "settings of the fold: a JSON object, times in ns"),
    comment="Which version of the fold, rules and settings computed the projection; each row holds until the next",
    **_CLUSTERED,
)

fold_state = Table(
    "fold_state",
    metadata,
    _cluster(),
    _column("clock", LargeBinary, "internal: the fold's scalar state (msgpack)"),
    _column("last_seq", BigInteger, "internal: last journal record in the projection"),
    _column("newest", LargeBinary, "internal: greatest resourceVersion in the journal, by kind (msgpack)"),
    _column("pruned_to", BigInteger, "internal: last journal record that retention has processed"),
    comment="Internal: positions of the journal and the projection",
    **_CLUSTERED,
)

recorded_days = Table(
    "recorded_days",
    metadata,
    _cluster(),
    _key("day", BigInteger, "day (UTC) of journal.recorded_at, in days since 1970"),
    _column("from_seq", BigInteger, "internal: first journal record that is counted here"),
    _column("records", BigInteger, "internal: number of records of this day in the journal"),
    _column("checksum", BigInteger, "internal: sum of the checksums of these records, modulo 2^62"),
    comment="Internal: checksums of the journal, with which kspan db verify finds changes",
    **_CLUSTERED,
)

export_state = Table(
    "export_state",
    metadata,
    _cluster(),
    _key("target", Text, "name of the export target"),
    _column("done_before", BigInteger, "internal: every trace closed before this time (Unix ns UTC) has been sent"),
    comment="Internal: progress of each export target",
    **_CLUSTERED,
)

leader_state = Table(
    "leader_state",
    metadata,
    _cluster(),
    _column("epoch", BigInteger, "internal: number of writers so far; only the newest may write"),
    _column("holder", Text, "host and process of the current writer"),
    _column("since", BigInteger, "when it became the writer (Unix ns UTC)"),
    comment="Internal: the writer of each cluster on PostgreSQL (SQLite uses a lock file)",
    **_CLUSTERED,
)

cluster_names = Table(
    "cluster_names",
    metadata,
    _cluster(),
    _column("name", Text, "internal: the newest --cluster-name; not unique"),
    comment="Internal: the names of the clusters, for the view clusters",
    **_CLUSTERED,
)

INTERNAL: Final = (pending, fold_state, recorded_days, export_state, leader_state, cluster_names)
"""Tables that are not part of the SQL interface."""
