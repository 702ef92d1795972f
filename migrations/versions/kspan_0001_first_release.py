"""The tables and views of kspan 0.2.0, the first release. A released migration never changes."""

from collections.abc import Callable
from typing import Any, NamedTuple

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSON, JSONB

revision = "kspan_0001"
down_revision = None

_CLUSTERED: dict[str, Any] = {"sqlite_with_rowid": False}


# Sorted by code points, as on SQLite, so that a table read in key order has the same order on both databases.
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


# Percent. Rows of these tables are updated a few times while they are live. With room for the new version in the same
# page, PostgreSQL writes no index (HOT). Spans are wide and are updated once or twice.
_FILLED = {"objects": 60, "spans": 80, "traces": 60}

# Dead rows are read by the queries that look for live ones. PostgreSQL's default lets them grow to a fifth of a long
# history.
_VACUUMED = "autovacuum_vacuum_scale_factor = 0.05"


def upgrade() -> None:
    _create_stream_tables()
    _create_object_tables()
    _create_trace_tables()
    _create_state_tables()
    if _on_postgresql():
        for table, share in _FILLED.items():
            op.execute(f"ALTER TABLE {table} SET (fillfactor = {share}, {_VACUUMED})")
    _create_views()


def _create_stream_tables() -> None:
    op.create_table(
        "journal",
        _text("cluster", "uid of the cluster (of its kube-system namespace)"),
        _int("seq", "position in the journal, from 1, without holes"),
        _text("type", "ADDED, MODIFIED, DELETED, LISTED, GAP or TICK"),
        _int("recorded_at", "when the record was received (Unix ns UTC): the fold's event time"),
        _text("resource", "the stream: v1/pods, apps/v1/deployments; empty for a TICK"),
        _text("uid", "uid of the object; empty for GAP and TICK"),
        _text("resource_version", "resourceVersion of the object"),
        _text("api_version", "apiVersion of the object: v1, apps/v1"),
        _text("kind", "kind of the object"),
        _text("namespace", "namespace of the object; empty if it has none"),
        _text("name", "name of the object"),
        sa.Column(
            "payload",
            sa.LargeBinary().with_variant(JSON(), "postgresql"),
            comment="the object as JSON (SQLite: compressed with zstd); NULL if there is none",
        ),
        _text("reason", "GAP only: why records may be missing"),
        _text("gap_from", "GAP only: the last resourceVersion known before the gap"),
        _text("gap_to", "GAP only: the first resourceVersion known after the gap"),
        _int("epoch", "number of times the stream's resourceVersions have started over (etcd restored)"),
        # PostgreSQL: the key of a partitioned table must contain the partition key.
        sa.PrimaryKeyConstraint("cluster", "seq", *(["recorded_at"] if _on_postgresql() else []), name="journal_pkey"),
        comment="Every record received: the only source of truth, append-only",
        postgresql_partition_by="RANGE (recorded_at)",
        **_CLUSTERED,
    )
    if _on_postgresql():
        # lz4 takes half the time of pglz and hardly more space, but not every server has it. Partitions inherit it.
        lz4 = "SELECT 'lz4' = ANY (enumvals) FROM pg_settings WHERE name = 'default_toast_compression'"
        if op.get_bind().execute(sa.text(lz4)).scalar_one_or_none():
            op.execute("ALTER TABLE journal ALTER payload SET COMPRESSION lz4")
        # The partitions of single days are created when needed. The default one takes all other records.
        op.execute("CREATE TABLE journal_default PARTITION OF journal DEFAULT")
    _index("journal_object", "journal", "cluster", "kind", "namespace", "name", "uid", "seq", where="uid <> ''")
    op.create_table(
        "cursors",
        _text("cluster", "uid of the cluster (of its kube-system namespace)"),
        _text("resource", "the stream: v1/pods, apps/v1/deployments"),
        _text("resource_version", "everything up to this resourceVersion is in the journal"),
        _int("updated_at", "when the cursor reached it (Unix ns UTC)"),
        _text("scope", "the namespaces covered, separated by commas; empty for the whole cluster"),
        _int("epoch", "number of times the stream's resourceVersions have started over (etcd restored)"),
        _text("since", "resourceVersion of the first list: everything after it is in the journal, except gaps"),
        _int("since_at", "when the first list was made (Unix ns UTC)"),
        sa.PrimaryKeyConstraint("cluster", "resource", name="cursors_pkey"),
        comment="How far each stream has been read",
        **_CLUSTERED,
    )
    op.create_table(
        "gaps",
        _text("cluster", "uid of the cluster (of its kube-system namespace)"),
        _int("seq", "position of the GAP in the journal"),
        _text("resource", "the stream with the gap"),
        _text("from_version", "the last resourceVersion known before the gap"),
        _text("to_version", "the first resourceVersion known after the gap"),
        _text("reason", "why records may be missing"),
        _int("recorded_at", "when the gap was noticed (Unix ns UTC)"),
        sa.PrimaryKeyConstraint("cluster", "seq", name="gaps_pkey"),
        comment="Gaps in the journal: changes that may have been missed",
        **_CLUSTERED,
    )


def _create_object_tables() -> None:
    op.create_table(
        "objects",
        _text("cluster", "uid of the cluster (of its kube-system namespace)"),
        _text("uid", "uid of the object"),
        _text("resource", "the stream that delivers it: v1/pods"),
        _text("api_version", "apiVersion: v1, apps/v1"),
        _text("kind", "kind"),
        _text("namespace", "namespace; empty if it has none"),
        _text("name", "name; an earlier object may have had the same name"),
        _text("resource_version", "resourceVersion when last seen"),
        _int("generation", "metadata.generation; 0 if the kind has none"),
        _text("owner_uid", "uid of the controlling owner; empty if there is none"),
        _text("node", "node that it runs on; empty if it does not run on a node"),
        _int("created_at", "creationTimestamp (Unix ns UTC)"),
        _int("seen_at", "when it was first seen (Unix ns UTC)"),
        _int("deleted_at", "when it was deleted (Unix ns UTC); 0 while it exists"),
        _bool("remembered", "true while it exists, or if it was deleted or mentioned by an Event recently"),
        _bytes("state", "internal: the fold's record (msgpack); empty if not remembered"),
        sa.PrimaryKeyConstraint("cluster", "uid", name="objects_pkey"),
        comment="Every object seen, existing or deleted, as last seen",
    )
    _index("objects_name", "objects", "cluster", "kind", "namespace", "name")
    _index("objects_past", "objects", "cluster", "deleted_at", "seen_at", where="NOT remembered")
    _index("objects_remembered", "objects", "cluster", "resource", where="remembered")
    op.create_table(
        "owners",
        _text("cluster", "uid of the cluster (of its kube-system namespace)"),
        _text("uid", "uid of the dependent"),
        _text("owner_uid", "uid of the owner"),
        _text("owner_api_version", "apiVersion of the owner, from the dependent's ownerReferences"),
        _text("owner_kind", "kind of the owner"),
        _text("owner_name", "name of the owner"),
        _bool("controller", "true if the owner is the controller of the dependent"),
        sa.PrimaryKeyConstraint("cluster", "uid", "owner_uid", name="owners_pkey"),
        comment="Owner references, present and past",
        **_CLUSTERED,
    )


def _create_trace_tables() -> None:
    op.create_table(
        "spans",
        _text("cluster", "uid of the cluster (of its kube-system namespace)"),
        _text("trace_id", "trace id, 32 hexadecimal digits"),
        _text("span_id", "span id, 16 hexadecimal digits; unique within the trace"),
        _text("parent_span_id", "span id of the cause; empty for a root"),
        _bool("remote_parent", "true if the parent comes from an annotation of the object"),
        _text("state", "open (its trace may still change) or closed (final)"),
        _text("name", "Kind.Reason"),
        _text("rule", "rule that chose the cause"),
        _float("confidence", "confidence in that choice, 0 to 1"),
        _int("start_time", "start (Unix ns UTC)"),
        _int("end_time", "end (Unix ns UTC)"),
        _text("service", "service.name: the component that acted"),
        _text("instance", "service.instance.id: host of that component"),
        _text("object_uid", "uid of the object it happened to"),
        _text("object_kind", "kind of that object"),
        _text("object_namespace", "namespace of that object"),
        _text("object_name", "name of that object"),
        _text("reason", "what happened: an Event's reason, Update, Available …"),
        _bool("error", "true if the span's status is Error"),
        _text("message", "message; the status description of an error"),
        _text("event_uid", "uid of the Event it was made from; empty if it was made from an object"),
        _int("event_count", "count of the Event when last seen; 0 if there is no Event"),
        _json("attributes", "span attributes: a JSON object"),
        _json("events", "span events: JSON [{time: Unix ns, name, attributes}]"),
        _json("links", "span links: JSON [{trace_id, span_id, attributes}]"),
        _bytes("fold", "internal: the fold's record (msgpack)"),
        sa.PrimaryKeyConstraint("cluster", "trace_id", "span_id", name="spans_pkey"),
        comment="Spans: one row per occurrence in a trace",
    )
    named = ("object_kind", "object_namespace", "object_name", "start_time")
    _index("spans_object", "spans", "cluster", *named)
    _index("spans_failed", "spans", "cluster", "start_time", where="error")
    _index("spans_namespace", "spans", "cluster", "object_namespace", "start_time")
    _index("spans_start", "spans", "cluster", "start_time")
    op.create_table(
        "pending",
        _text("cluster", "uid of the cluster (of its kube-system namespace)"),
        _int("arrival", "internal: arrival number of the occurrence"),
        _text("object_kind", "kind of the object it happened to"),
        _text("object_namespace", "namespace of that object"),
        _text("object_name", "name of that object"),
        _int("start_time", "when it happened (Unix ns UTC)"),
        _bytes("fold", "internal: the fold's record (msgpack)"),
        sa.PrimaryKeyConstraint("cluster", "arrival", name="pending_pkey"),
        comment="Internal: occurrences whose cause has not been chosen yet; each becomes a span after a few seconds",
        **_CLUSTERED,
    )
    op.create_table(
        "traces",
        _text("cluster", "uid of the cluster (of its kube-system namespace)"),
        _text("trace_id", "trace id, 32 hexadecimal digits"),
        _text("state", "open or closed (final)"),
        _text("root_span_id", "span id of the root"),
        _text("previous_trace_id", "trace that this one continues; empty if it is the first"),
        _int("opened_at", "when its first occurrence was received (Unix ns UTC, event time)"),
        _int("closed_at", "when it was closed (Unix ns UTC, event time); 0 while open"),
        _int("start_time", "start of the earliest span (Unix ns UTC)"),
        _int("end_time", "end of the latest span (Unix ns UTC)"),
        _int("span_count", "number of spans"),
        _bool("incomplete", "true if it was closed by age while something in it was in progress"),
        _bool("error", "true if it ended in failure"),
        _bytes("fold", "internal: the fold's record (msgpack)"),
        sa.PrimaryKeyConstraint("cluster", "trace_id", name="traces_pkey"),
        comment="Traces: trees of occurrences below one root cause",
    )
    _index("traces_closed", "traces", "cluster", "closed_at", "trace_id", where="state = 'closed'")
    _index("traces_open", "traces", "cluster", "opened_at", where="state = 'open'")
    _index("traces_previous", "traces", "cluster", "previous_trace_id", where="previous_trace_id <> ''")
    _index("traces_start", "traces", "cluster", "start_time", where="state = 'closed'")


def _create_state_tables() -> None:
    op.create_table(
        "emissions",
        _text("cluster", "uid of the cluster (of its kube-system namespace)"),
        _text("trace_id", "trace id, 32 hexadecimal digits"),
        _text("target", "name of the export target"),
        _text("status", "emitted, failed (will be retried) or rejected (final)"),
        _int("attempts", "number of attempts"),
        _int("updated_at", "when it was last attempted (Unix ns UTC)"),
        _text("reason", "why it failed or was rejected"),
        sa.PrimaryKeyConstraint("cluster", "trace_id", "target", name="emissions_pkey"),
        comment="Which trace was sent to which target; kept by a rebuild",
        **_CLUSTERED,
    )
    op.create_table(
        "fold_history",
        _text("cluster", "uid of the cluster (of its kube-system namespace)"),
        _int("from_seq", "first journal record of this period"),
        _int("fold_version", "version of the fold"),
        _text("rules", "digest of the rules"),
        _json("settings", "settings of the fold: a JSON object, times in ns"),
        sa.PrimaryKeyConstraint("cluster", "from_seq", name="fold_history_pkey"),
        comment="Which version of the fold, rules and settings computed the projection; each row holds until the next",
        **_CLUSTERED,
    )
    op.create_table(
        "fold_state",
        _text("cluster", "uid of the cluster (of its kube-system namespace)"),
        _bytes("clock", "internal: the fold's scalar state (msgpack)"),
        _int("last_seq", "internal: last journal record in the projection"),
        _bytes("newest", "internal: greatest resourceVersion in the journal, by kind (msgpack)"),
        _int("pruned_to", "internal: last journal record that retention has processed"),
        sa.PrimaryKeyConstraint("cluster", name="fold_state_pkey"),
        comment="Internal: positions of the journal and the projection",
        **_CLUSTERED,
    )
    op.create_table(
        "export_state",
        _text("cluster", "uid of the cluster (of its kube-system namespace)"),
        _text("target", "name of the export target"),
        _int("done_before", "internal: every trace closed before this time (Unix ns UTC) has been sent"),
        sa.PrimaryKeyConstraint("cluster", "target", name="export_state_pkey"),
        comment="Internal: progress of each export target",
        **_CLUSTERED,
    )
    op.create_table(
        "leader_state",
        _text("cluster", "uid of the cluster (of its kube-system namespace)"),
        _int("epoch", "internal: number of writers so far; only the newest may write"),
        _text("holder", "host and process of the current writer"),
        _int("since", "when it became the writer (Unix ns UTC)"),
        sa.PrimaryKeyConstraint("cluster", name="leader_state_pkey"),
        comment="Internal: the writer of each cluster on PostgreSQL (SQLite uses a lock file)",
        **_CLUSTERED,
    )


class Syntax(NamedTuple):
    """The SQL that differs between the two databases."""

    at: Callable[[str], str]
    seconds: Callable[[str, str], str]
    length: Callable[[str], str]
    repeats: Callable[[str], str]
    attribute: Callable[[str, str], str]
    position: str
    ancestors: str


def _sqlite_at(ns: str) -> str:
    # Seconds and milliseconds separately: a double cannot hold today's time in nanoseconds.
    return f"strftime('%Y-%m-%dT%H:%M:%S', {ns} / 1000000000, 'unixepoch') || printf('.%03dZ', {ns} / 1000000 % 1000)"


def _postgresql_at(ns: str) -> str:
    moment = f"(TIMESTAMP 'epoch' + {ns} / 1000 * INTERVAL '1 microsecond')"
    return f"""to_char({moment}, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')"""


# One recursive query per row, because neither database pushes a condition down into a recursive query. A chain ends at
# the first repeated span, so a cycle is harmless.
_SQLITE_ANCESTORS = """
    json_each((
        WITH RECURSIVE up (id) AS (
            SELECT s.span_id
            UNION
            SELECT p.parent_span_id FROM up JOIN spans p
            ON p.cluster = s.cluster AND p.trace_id = s.trace_id AND p.span_id = up.id
            WHERE p.parent_span_id <> '' AND NOT p.remote_parent
        )
        SELECT json_group_array(id) FROM up
    )) a
"""
_POSTGRESQL_ANCESTORS = """
    CROSS JOIN LATERAL (
        WITH RECURSIVE up (value, key, path) AS (
            SELECT s.span_id, 0::bigint, ARRAY[s.span_id]
            UNION ALL
            SELECT p.parent_span_id, up.key + 1, up.path || p.parent_span_id
            FROM up CROSS JOIN LATERAL (
                SELECT parent_span_id FROM spans
                WHERE cluster = s.cluster AND trace_id = s.trace_id AND span_id = up.value
                    AND parent_span_id <> '' AND NOT remote_parent
                OFFSET 0
            ) p
            WHERE p.parent_span_id <> ALL (up.path)
        )
        SELECT value, key FROM up
    ) a
"""
# OFFSET 0 makes each step look up one span. Without it, PostgreSQL reads the whole trace for each of its spans.

_SYNTAX = {
    "sqlite": Syntax(
        at=_sqlite_at,
        seconds=lambda start, end: f"round(({end} - {start}) / 1e9, 3)",
        length=lambda column: f"json_array_length({column})",
        repeats=lambda column: (
            f"""(
            SELECT count(*) FROM json_each({column}) e
            WHERE json_type(e.value, '$.attributes."kspan.condition.type"') IS NULL
        )"""
        ),
        # Not ->>: before SQLite 3.47 it treats a dot in a key as a path separator.
        attribute=lambda span, name: f"json_extract({span}.attributes, '$.\"{name}\"')",
        position="instr",
        ancestors=f", {_SQLITE_ANCESTORS}",
    ),
    "postgresql": Syntax(
        at=_postgresql_at,
        seconds=lambda start, end: f"round(({end} - {start}) / 1000000000.0, 3)",
        length=lambda column: f"jsonb_array_length({column})",
        repeats=lambda column: (
            f"""(
            SELECT count(*) FROM jsonb_array_elements({column}) e
            WHERE e -> 'attributes' -> 'kspan.condition.type' IS NULL
        )"""
        ),
        attribute=lambda span, name: f"({span}.attributes ->> '{name}')",
        position="strpos",
        ancestors=_POSTGRESQL_ANCESTORS,
    ),
}


def _attribute(syntax: Syntax, span: str, name: str) -> str:
    return f"coalesce({syntax.attribute(span, name)}, '')"


def _repeats(syntax: Syntax) -> str:
    """Number of repeats. Spans that are not made from an Event also have other span events: condition transitions."""
    repeats, length = syntax.repeats("s.events"), syntax.length("s.events")
    return f"CASE WHEN s.event_uid = '' THEN {repeats} ELSE {length} END"


def _occurrences(syntax: Syntax) -> str:
    return f"""
        SELECT s.cluster, s.trace_id, s.span_id, s.parent_span_id,
            {syntax.at("s.start_time")} AS at, {syntax.seconds("s.start_time", "s.end_time")} AS seconds,
            s.start_time, s.end_time, s.name,
            s.object_kind AS kind, s.object_namespace AS namespace, s.object_name AS object, s.object_uid AS uid,
            s.reason, s.service AS actor,
            {_attribute(syntax, "s", "kspan.field_manager")} AS manager,
            {_attribute(syntax, "s", "kspan.change.summary")} AS change,
            {_attribute(syntax, "s", "k8s.node.name")} AS node,
            {_attribute(syntax, "s", "k8s.container.name")} AS container,
            1 + {_repeats(syntax)} AS times,
            s.error, s.message, s.rule, s.confidence, s.state
        FROM spans s
    """


def _ancestry(syntax: Syntax) -> str:
    return f"""
        SELECT s.cluster, s.trace_id, s.span_id AS span, a.value AS ancestor, a.key AS depth
        FROM spans s {syntax.ancestors}
    """


def _rollouts(syntax: Syntax) -> str:
    change, patch = _attribute(syntax, "s", "kspan.change.summary"), syntax.attribute("s", "kspan.change")
    return f"""
        SELECT s.cluster, s.trace_id, s.span_id, {syntax.at("s.start_time")} AS at, s.start_time,
            s.object_kind AS kind, s.object_namespace AS namespace, s.object_name AS name, s.object_uid AS uid,
            s.reason AS action,
            {_side(syntax, change, before=True)} AS changed_from, {_side(syntax, change, before=False)} AS changed_to,
            {change} AS change,
            CASE WHEN r.service <> '' THEN r.service ELSE s.service END AS who,
            {_attribute(syntax, "s", "kspan.field_manager")} AS manager,
            {_ready(syntax)} AS ready_seconds,
            CASE WHEN s.state = 'closed' THEN {syntax.seconds("s.start_time", "s.end_time")} END AS seconds,
            CASE WHEN s.state <> 'closed' THEN 'running' WHEN s.error OR t.error THEN 'failed'
                WHEN t.incomplete THEN 'unfinished' WHEN {_BECAME_READY} THEN 'done' ELSE 'unknown' END AS outcome,
            CASE WHEN s.error THEN s.message WHEN t.error THEN r.message ELSE '' END AS message,
            {_restarts(syntax)} AS restarts
        FROM spans s
        LEFT JOIN traces t ON t.cluster = s.cluster AND t.trace_id = s.trace_id
        LEFT JOIN spans r ON r.cluster = t.cluster AND r.trace_id = t.trace_id AND r.span_id = t.root_span_id
        WHERE s.object_kind IN ('Deployment', 'StatefulSet', 'DaemonSet') AND s.reason IN ('Create', 'Update')
            AND s.event_uid = ''
            AND (s.reason = 'Create' OR s.state <> 'closed' OR {patch} IS NULL OR {patch} LIKE '%"/spec/template%')
    """


def _side(syntax: Syntax, change: str, *, before: bool) -> str:
    """The value before or after the arrow in a summary such as ``replicas: 2 → 3, image: web:v1 → web:v2``."""
    image = f"{syntax.position}({change}, 'image: ')"
    first = f"CASE WHEN {image} > 0 THEN {image} ELSE 1 END"
    entry = f"substr({change}, {first})"
    arrow = f"{syntax.position}({entry}, ' → ')"
    if before:
        colon = f"{syntax.position}({entry}, ': ')"
        value = f"substr({entry}, {colon} + 2, {arrow} - {colon} - 2)"
    else:
        rest = f"substr({entry}, {arrow} + 3)"
        value = f"substr({rest}, 1, {syntax.position}({rest} || ', ', ', ') - 1)"
    return f"CASE WHEN {arrow} > 0 THEN {value} ELSE '' END"


_OF_THE_WORKLOAD = """
    FROM spans p
    JOIN objects o ON o.cluster = p.cluster AND o.uid = p.object_uid
    LEFT JOIN objects w ON w.cluster = o.cluster AND w.uid = o.owner_uid
    WHERE p.cluster = s.cluster AND p.trace_id = s.trace_id AND p.start_time >= s.start_time
        AND (o.owner_uid = s.object_uid OR w.owner_uid = s.object_uid)
"""
"""Spans of the Pods of workload ``s`` in its trace: Pods that it owns, or that one of its ReplicaSets owns."""


# A Deployment with 0 replicas has no Pods, but is Available. The other kinds do not have this condition.
_BECAME_READY = f"""(
    EXISTS (SELECT 1 {_OF_THE_WORKLOAD} AND p.name = 'Pod.Ready')
    OR EXISTS (
        SELECT 1 FROM spans a WHERE a.cluster = s.cluster AND a.trace_id = s.trace_id AND a.object_uid = s.object_uid
            AND a.name = 'Deployment.Available' AND a.start_time >= s.start_time
    )
)"""


def _restarts(syntax: Syntax) -> str:
    """Container starts in its Pods, except the first of each container."""
    container = _attribute(syntax, "p", "k8s.container.name")
    return f"""(
        SELECT coalesce(sum(1 + {syntax.length("p.events")}), 0) - count(DISTINCT p.object_uid || {container})
        {_OF_THE_WORKLOAD} AND p.name = 'Pod.Started'
    )"""


def _ready(syntax: Syntax) -> str:
    """Seconds from the change until the last of its Pods was Ready for the first time."""
    return f"""(
        SELECT {syntax.seconds("s.start_time", "max(f.ready)")} FROM (
            SELECT min(p.start_time) AS ready {_OF_THE_WORKLOAD} AND p.name = 'Pod.Ready' GROUP BY p.object_uid
        ) f
    )"""


def _failures(syntax: Syntax) -> str:
    after = syntax.seconds("r.start_time", "s.start_time")
    return f"""
        SELECT s.cluster, s.trace_id, s.span_id, {syntax.at("s.start_time")} AS at, s.start_time,
            s.object_kind AS kind, s.object_namespace AS namespace, s.object_name AS object,
            {_attribute(syntax, "s", "k8s.node.name")} AS node,
            s.reason, 1 + {_repeats(syntax)} AS times, s.service AS actor, s.message,
            coalesce(r.name, '') AS cause, coalesce(r.object_name, '') AS cause_object,
            coalesce(r.span_id, '') AS cause_span, coalesce(r.service, '') AS who,
            {_attribute(syntax, "r", "kspan.change.summary")} AS change, {after} AS after_seconds,
            coalesce(t.error, FALSE) AS fatal
        FROM spans s
        LEFT JOIN traces t ON t.cluster = s.cluster AND t.trace_id = s.trace_id
        LEFT JOIN spans r ON r.cluster = t.cluster AND r.trace_id = t.trace_id AND r.span_id = t.root_span_id
        WHERE s.error AND (s.event_uid <> '' OR s.parent_span_id <> '')
    """


def _image_pulls(syntax: Syntax) -> str:
    image = "substr(s.message, 16, length(s.message) - 16)"
    host = f"substr({image}, 1, {syntax.position}({image} || '/', '/') - 1)"
    # As container runtimes parse image names: a first part without a dot or colon is not a registry.
    named = f"({image} LIKE '%/%' AND ({host} LIKE '%.%' OR {host} LIKE '%:%' OR {host} = 'localhost'))"
    return f"""
        SELECT s.cluster, s.trace_id, s.span_id, {syntax.at("s.start_time")} AS at, s.start_time,
            s.object_namespace AS namespace, s.object_name AS pod,
            {_attribute(syntax, "s", "k8s.container.name")} AS container,
            {_attribute(syntax, "s", "k8s.node.name")} AS node,
            CASE WHEN {named} THEN {host} ELSE 'docker.io' END AS registry, {image} AS image,
            {syntax.seconds("s.start_time", "s.end_time")} AS seconds, 1 + {syntax.length("s.events")} AS times
        FROM spans s
        WHERE s.name = 'Pod.Pulling' AND s.message LIKE 'Pulling image "%"' AND s.state = 'closed'
    """


_VIEWS = {
    "occurrences": _occurrences,
    "ancestry": _ancestry,
    "rollouts": _rollouts,
    "failures": _failures,
    "image_pulls": _image_pulls,
}

_POSTGRESQL_FUNCTIONS = (
    f"""
    CREATE FUNCTION utc (ns BIGINT) RETURNS TEXT LANGUAGE sql STABLE PARALLEL SAFE
    AS $$ SELECT CASE WHEN ns > 0 THEN {_postgresql_at("ns")} END $$
    """,
    """
    CREATE FUNCTION payload_json (payload JSON) RETURNS JSON LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT payload $$
    """,
)


def _create_views() -> None:
    connection = op.get_bind()
    syntax = _SYNTAX[connection.dialect.name]
    statements = [f"CREATE VIEW {name} AS {made(syntax)}" for name, made in _VIEWS.items()]
    if connection.dialect.name != "sqlite":
        # psycopg requires a doubled percent sign.
        statements = [text.replace("%", "%%") for text in (*_POSTGRESQL_FUNCTIONS, *statements)]
    for text in statements:
        # Not op.execute: SQLAlchemy would treat a colon in the text as a parameter.
        connection.exec_driver_sql(text)
