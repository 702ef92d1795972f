"""The first tables."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSON, JSONB

revision = "kspan0001"
down_revision = None

_CLUSTERED: dict[str, Any] = {"sqlite_with_rowid": False}


# Sorted by code points, as SQLite does: whoever reads a table in the order of its key gets the same order on both.
_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def _text(name: str, comment: str) -> sa.Column[str]:
    return sa.Column(name, _TEXT, nullable=False, comment=comment)


def _int(name: str, comment: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), autoincrement=False, nullable=False, comment=comment)


def _float(name: str, comment: str) -> sa.Column[float]:
    return sa.Column(name, sa.Double(), nullable=False, comment=comment)


def _bool(name: str, comment: str) -> sa.Column[bool]:
    return sa.Column(name, sa.Boolean(), nullable=False, comment=comment)


def _bytes(name: str, comment: str) -> sa.Column[bytes]:
    return sa.Column(name, sa.LargeBinary(), nullable=False, comment=comment)


def _json(name: str, comment: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Text().with_variant(JSONB(), "postgresql"), nullable=False, comment=comment)


def _index(name: str, table: str, *columns: str, where: str = "", unique: bool = False) -> None:
    condition: dict[str, Any] = {"sqlite_where": sa.text(where), "postgresql_where": sa.text(where)} if where else {}
    op.create_index(name, table, list(columns), unique=unique, **condition)


def _on_postgresql() -> bool:
    return op.get_context().dialect.name == "postgresql"


# A row of these is updated some times while it is live, and then no more. With room for the new version in its own page
# no index is written for it (HOT). A span is updated once or twice, and wide.
_FILLED = {"objects": 60, "spans": 80, "traces": 60}

# What updates and deletions left behind lies where one looks for what is live, and is read there. PostgreSQL's default
# lets it grow to a fifth of a long history.
_VACUUMED = "autovacuum_vacuum_scale_factor = 0.05"


def upgrade() -> None:
    _create_stream_tables()
    _create_object_tables()
    _create_trace_tables()
    if _on_postgresql():
        for table, share in _FILLED.items():
            op.execute(f"ALTER TABLE {table} SET (fillfactor = {share}, {_VACUUMED})")


def _create_stream_tables() -> None:
    op.create_table(
        "journal",
        _text("cluster", "uid of the cluster (of its kube-system namespace)"),
        _int("seq", "position in the journal, from 1, without holes"),
        _text("type", "ADDED, MODIFIED, DELETED, LISTED, GAP or TICK"),
        _int("recorded_at", "when the record was received (Unix ns UTC): the fold's logical time"),
        _text("resource", "the stream: v1/pods, apps/v1/deployments; empty for a TICK"),
        _text("uid", "uid of the object; empty for GAP and TICK"),
        _text("resource_version", "resourceVersion of the object"),
        _text("api_version", "apiVersion of the object: v1, apps/v1"),
        _text("kind", "kind of the object"),
        _text("namespace", "namespace of the object; empty where it has none"),
        _text("name", "name of the object"),
        sa.Column(
            "payload",
            sa.LargeBinary().with_variant(JSON(), "postgresql"),
            comment="the object as JSON (SQLite: zstd-compressed); NULL where there is none",
        ),
        _text("reason", "of a GAP: why something may be missing"),
        _text("gap_from", "of a GAP: the last resourceVersion known before it"),
        _text("gap_to", "of a GAP: the first resourceVersion known after it"),
        _int("epoch", "how often the stream's resourceVersions had started over (etcd restored)"),
        # PostgreSQL: a key of a partitioned table has to have what it is partitioned by.
        sa.PrimaryKeyConstraint("cluster", "seq", *(["recorded_at"] if _on_postgresql() else []), name="journal_pkey"),
        comment="All that was received: the only source of truth, append-only",
        postgresql_partition_by="RANGE (recorded_at)",
        **_CLUSTERED,
    )
    if _on_postgresql():
        # lz4, where the server has it, takes half of pglz's time and hardly more space; partitions take it over.
        lz4 = "SELECT 'lz4' = ANY (enumvals) FROM pg_settings WHERE name = 'default_toast_compression'"
        if op.get_bind().execute(sa.text(lz4)).scalar_one_or_none():
            op.execute("ALTER TABLE journal ALTER payload SET COMPRESSION lz4")
        # Each of the others is one day, and made when it is due; this one takes what none was made for.
        op.execute("CREATE TABLE journal_default PARTITION OF journal DEFAULT")
    _index("journal_object", "journal", "cluster", "kind", "namespace", "name", "uid", "seq", where="uid <> ''")
    op.create_table(
        "cursors",
        _text("cluster", "uid of the cluster (of its kube-system namespace)"),
        _text("resource", "the stream: v1/pods, apps/v1/deployments"),
        _text("resource_version", "everything up to this resourceVersion is in the journal"),
        _int("updated_at", "when it got there (Unix ns UTC)"),
        _text("scope", "the namespaces that this is true of, separated by commas; empty: the whole cluster"),
        _int("epoch", "how often the stream's resourceVersions had started over (etcd restored)"),
        _text("since", "resourceVersion of its first list: what came after it is in the journal, but for gaps"),
        _int("since_at", "when that was (Unix ns UTC)"),
        sa.PrimaryKeyConstraint("cluster", "resource", name="cursors_pkey"),
        comment="How far each stream was read",
        **_CLUSTERED,
    )
    op.create_table(
        "gaps",
        _text("cluster", "uid of the cluster (of its kube-system namespace)"),
        _int("seq", "position of the GAP in the journal"),
        _text("resource", "the stream that may lack something"),
        _text("from_version", "the last resourceVersion known before the gap"),
        _text("to_version", "the first resourceVersion known after the gap"),
        _text("reason", "why something may be missing"),
        _int("recorded_at", "when the gap was noticed (Unix ns UTC)"),
        sa.PrimaryKeyConstraint("cluster", "seq", name="gaps_pkey"),
        comment="What may be missing from the journal",
        **_CLUSTERED,
    )


def _create_object_tables() -> None:
    op.create_table(
        "objects",
        _text("cluster", "uid of the cluster (of its kube-system namespace)"),
        _text("uid", "uid of the object"),
        _text("resource", "the stream that it came on: v1/pods"),
        _text("api_version", "apiVersion: v1, apps/v1"),
        _text("kind", "kind"),
        _text("namespace", "namespace; empty where it has none"),
        _text("name", "name; another object may have had it before"),
        _text("resource_version", "resourceVersion when last seen"),
        _int("generation", "metadata.generation; 0 where the kind has none"),
        _text("owner_uid", "uid of the controlling owner; empty where there is none"),
        _text("node", "node that it is on; empty where that means nothing"),
        _int("created_at", "creationTimestamp (Unix ns UTC)"),
        _int("seen_at", "when it was first seen (Unix ns UTC)"),
        _int("deleted_at", "when it was deleted (Unix ns UTC); 0 while it lives"),
        _bool("remembered", "whether it lives, or was deleted or only spoken of a short while ago"),
        _bytes("state", "internal: the fold's record (msgpack); empty for one that is not remembered"),
        sa.PrimaryKeyConstraint("cluster", "uid", name="objects_pkey"),
        comment="Every object that was seen, alive or gone, as it was last seen",
    )
    _index("objects_name", "objects", "cluster", "kind", "namespace", "name")
    _index("objects_past", "objects", "cluster", "deleted_at", "seen_at", where="NOT remembered")
    _index("objects_remembered", "objects", "cluster", "resource", where="remembered")
    op.create_table(
        "owners",
        _text("cluster", "uid of the cluster (of its kube-system namespace)"),
        _text("uid", "uid of the dependent"),
        _text("owner_uid", "uid of the owner"),
        _text("owner_api_version", "apiVersion of the owner, as the dependent names it"),
        _text("owner_kind", "kind of the owner"),
        _text("owner_name", "name of the owner"),
        _bool("controller", "whether the owner controls the dependent"),
        sa.PrimaryKeyConstraint("cluster", "uid", "owner_uid", name="owners_pkey"),
        comment="Who owns, or once owned, whom",
        **_CLUSTERED,
    )


def _create_trace_tables() -> None:
    op.create_table(
        "spans",
        _text("cluster", "uid of the cluster (of its kube-system namespace)"),
        _text("trace_id", "trace id, 32 hexadecimal digits"),
        _text("span_id", "span id, 16 hexadecimal digits; unique within the trace"),
        _text("parent_span_id", "span id of the cause; empty for a root"),
        _bool("remote_parent", "whether the parent came with the object's annotations"),
        _text("state", "open (its trace may change) or closed (final)"),
        _text("name", "Kind.Reason"),
        _text("rule", "rule that drew the edge to the cause"),
        _float("confidence", "confidence in that edge, 0 to 1"),
        _int("start_time", "start (Unix ns UTC)"),
        _int("end_time", "end (Unix ns UTC)"),
        _text("service", "service.name: the component that did it"),
        _text("instance", "service.instance.id: the component's host"),
        _text("object_uid", "uid of the object that it happened to"),
        _text("object_kind", "kind of that object"),
        _text("object_namespace", "namespace of that object"),
        _text("object_name", "name of that object"),
        _text("reason", "what happened: an Event's reason, Update, Available …"),
        _bool("error", "whether the span's status is Error"),
        _text("message", "message; the status description of an error"),
        _text("event_uid", "uid of the Event that it came from; empty where it came from the object"),
        _int("event_count", "the Event's count when last seen; 0 where there is no Event"),
        _json("attributes", "span attributes: a JSON object"),
        _json("events", "span events: JSON [{time: Unix ns, name, attributes}]"),
        _json("links", "span links: JSON [{trace_id, span_id, attributes}]"),
        _bytes("fold", "internal: the fold's record (msgpack)"),
        sa.PrimaryKeyConstraint("cluster", "trace_id", "span_id", name="spans_pkey"),
        comment="Occurrences",
    )
    named = ("object_kind", "object_namespace", "object_name", "start_time")
    _index("spans_object", "spans", "cluster", *named)
    _index("spans_failed", "spans", "cluster", "start_time", where="error")
    _index("spans_namespace", "spans", "cluster", "object_namespace", "start_time")
    _index("spans_start", "spans", "cluster", "start_time")
    op.create_table(
        "pending",
        _text("cluster", "uid of the cluster (of its kube-system namespace)"),
        _int("arrival", "internal: which of all occurrences it was, in the order of their coming"),
        _text("object_kind", "kind of the object that it happened to"),
        _text("object_namespace", "namespace of that object"),
        _text("object_name", "name of that object"),
        _int("start_time", "when it happened (Unix ns UTC)"),
        _bytes("fold", "internal: the fold's record (msgpack)"),
        sa.PrimaryKeyConstraint("cluster", "arrival", name="pending_pkey"),
        comment="Internal: occurrences that wait for what may explain them; spans in some seconds",
        **_CLUSTERED,
    )
    op.create_table(
        "traces",
        _text("cluster", "uid of the cluster (of its kube-system namespace)"),
        _text("trace_id", "trace id, 32 hexadecimal digits"),
        _text("state", "open or closed (final)"),
        _text("root_span_id", "span id of the root"),
        _text("previous_trace_id", "trace that this one follows up; empty where it is the first"),
        _int("opened_at", "when its first occurrence was received (Unix ns UTC, logical time)"),
        _int("closed_at", "when it was closed (Unix ns UTC, logical time); 0 while it is open"),
        _int("start_time", "start of the earliest span (Unix ns UTC)"),
        _int("end_time", "end of the latest span (Unix ns UTC)"),
        _int("span_count", "how many spans it has"),
        _bool("incomplete", "whether it was closed by age, with something still on its way"),
        _bool("error", "whether it failed in the end"),
        _bytes("fold", "internal: the fold's record (msgpack)"),
        sa.PrimaryKeyConstraint("cluster", "trace_id", name="traces_pkey"),
        comment="Trees of occurrences under one root cause",
    )
    _index("traces_closed", "traces", "cluster", "closed_at", "trace_id", where="state = 'closed'")
    _index("traces_open", "traces", "cluster", "opened_at", where="state = 'open'")
    _index("traces_previous", "traces", "cluster", "previous_trace_id", where="previous_trace_id <> ''")
    _index("traces_start", "traces", "cluster", "start_time", where="state = 'closed'")
    op.create_table(
        "emissions",
        _text("cluster", "uid of the cluster (of its kube-system namespace)"),
        _text("trace_id", "trace id, 32 hexadecimal digits"),
        _text("target", "where it goes: the exporter's name"),
        _text("status", "emitted, failed (to be tried again) or rejected (for good)"),
        _int("attempts", "how often it was tried"),
        _int("updated_at", "when it was last tried (Unix ns UTC)"),
        _text("reason", "why it failed or was rejected"),
        sa.PrimaryKeyConstraint("cluster", "trace_id", "target", name="emissions_pkey"),
        comment="What was sent where; outlives a rebuild",
        **_CLUSTERED,
    )
    op.create_table(
        "fold_state",
        _text("cluster", "uid of the cluster (of its kube-system namespace)"),
        _bytes("clock", "internal: the fold's scalar state (msgpack)"),
        _int("last_seq", "internal: the journal position that the projection stands at"),
        _bytes("newest", "internal: the greatest resourceVersion journalled of each kind (msgpack)"),
        _int("pruned_to", "internal: what is left of the journal up to here is state, as of a first list"),
        sa.PrimaryKeyConstraint("cluster", name="fold_state_pkey"),
        comment="Internal: where journal and projection stand",
        **_CLUSTERED,
    )
    op.create_table(
        "export_state",
        _text("cluster", "uid of the cluster (of its kube-system namespace)"),
        _text("target", "where traces go: the exporter's name"),
        _int("done_before", "internal: of the traces closed before (Unix ns UTC) none waits for the target"),
        sa.PrimaryKeyConstraint("cluster", "target", name="export_state_pkey"),
        comment="Internal: how far each target has got",
        **_CLUSTERED,
    )
    op.create_table(
        "leader_state",
        _text("cluster", "uid of the cluster (of its kube-system namespace)"),
        _int("epoch", "internal: how many writers there were; only the newest may write"),
        _text("holder", "host and process of the newest writer"),
        _int("since", "since when it writes (Unix ns UTC)"),
        sa.PrimaryKeyConstraint("cluster", name="leader_state_pkey"),
        comment="Internal: who writes to a cluster's tables on PostgreSQL; on SQLite a locked file says so",
        **_CLUSTERED,
    )
