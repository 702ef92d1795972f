"""Helper views beside the tables, and on PostgreSQL the functions that ``kspan sql`` brings along on SQLite.

They are derived from the tables: a migration that alters a table which they read drops them first, and makes them
again.
"""

from collections.abc import Callable
from typing import NamedTuple

from alembic import op

revision = "kspan0002"
down_revision = "kspan0001"


class Words(NamedTuple):
    """What the two databases write differently."""

    at: Callable[[str], str]
    seconds: Callable[[str, str], str]
    length: Callable[[str], str]
    repeats: Callable[[str], str]
    attribute: Callable[[str, str], str]
    position: str
    ancestors: str


def _sqlite_at(ns: str) -> str:
    # Whole seconds and milliseconds apart: a double holds no nanoseconds of today.
    return f"strftime('%Y-%m-%dT%H:%M:%S', {ns} / 1000000000, 'unixepoch') || printf('.%03dZ', {ns} / 1000000 % 1000)"


def _postgresql_at(ns: str) -> str:
    moment = f"(TIMESTAMP 'epoch' + {ns} / 1000 * INTERVAL '1 microsecond')"
    return f"""to_char({moment}, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')"""


# The recursion is inside of each row, and not the row inside of the recursion: neither database pushes a condition
# into a recursive query. A chain ends where a span comes again, so a ring does no harm.
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
# OFFSET 0: each step looks one span up; joined freely, PostgreSQL would read the whole trace for each span of it.

_WORDS = {
    "sqlite": Words(
        at=_sqlite_at,
        seconds=lambda start, end: f"round(({end} - {start}) / 1e9, 3)",
        length=lambda column: f"json_array_length({column})",
        repeats=lambda column: (
            f"""(
            SELECT count(*) FROM json_each({column}) e
            WHERE json_type(e.value, '$.attributes."kspan.condition.type"') IS NULL
        )"""
        ),
        # Not ->>: before SQLite 3.47 it takes a dot in a key for a step down.
        attribute=lambda span, name: f"json_extract({span}.attributes, '$.\"{name}\"')",
        position="instr",
        ancestors=f", {_SQLITE_ANCESTORS}",
    ),
    "postgresql": Words(
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


# The condition of the indexes: SQLite uses one only where a query repeats it.


def _attribute(words: Words, span: str, name: str) -> str:
    return f"coalesce({words.attribute(span, name)}, '')"


def _repeats(words: Words) -> str:
    """How often it happened again. Only what is no Event has other span events, too: conditions that turned with it."""
    repeats, length = words.repeats("s.events"), words.length("s.events")
    return f"CASE WHEN s.event_uid = '' THEN {repeats} ELSE {length} END"


def _occurrences(words: Words) -> str:
    return f"""
        SELECT s.cluster, s.trace_id, s.span_id, s.parent_span_id,
            {words.at("s.start_time")} AS at, {words.seconds("s.start_time", "s.end_time")} AS seconds,
            s.start_time, s.end_time, s.name,
            s.object_kind AS kind, s.object_namespace AS namespace, s.object_name AS object, s.object_uid AS uid,
            s.reason, s.service AS actor,
            {_attribute(words, "s", "kspan.field_manager")} AS manager,
            {_attribute(words, "s", "kspan.change.summary")} AS change,
            {_attribute(words, "s", "k8s.node.name")} AS node,
            {_attribute(words, "s", "k8s.container.name")} AS container,
            1 + {_repeats(words)} AS times,
            s.error, s.message, s.rule, s.confidence, s.state
        FROM spans s
    """


def _ancestry(words: Words) -> str:
    return f"""
        SELECT s.cluster, s.trace_id, s.span_id AS span, a.value AS ancestor, a.key AS depth
        FROM spans s {words.ancestors}
    """


def _rollouts(words: Words) -> str:
    change, patch = _attribute(words, "s", "kspan.change.summary"), words.attribute("s", "kspan.change")
    return f"""
        SELECT s.cluster, s.trace_id, s.span_id, {words.at("s.start_time")} AS at, s.start_time,
            s.object_kind AS kind, s.object_namespace AS namespace, s.object_name AS name, s.object_uid AS uid,
            s.reason AS action,
            {_side(words, change, before=True)} AS changed_from, {_side(words, change, before=False)} AS changed_to,
            {change} AS change,
            CASE WHEN r.service <> '' THEN r.service ELSE s.service END AS who,
            {_attribute(words, "s", "kspan.field_manager")} AS manager,
            {_ready(words)} AS ready_seconds,
            CASE WHEN s.state = 'closed' THEN {words.seconds("s.start_time", "s.end_time")} END AS seconds,
            CASE WHEN s.state <> 'closed' THEN 'running' WHEN s.error OR t.error THEN 'failed'
                WHEN t.incomplete THEN 'unfinished' WHEN {_BECAME_READY} THEN 'done' ELSE 'unknown' END AS outcome,
            CASE WHEN s.error THEN s.message WHEN t.error THEN r.message ELSE '' END AS message,
            {_restarts(words)} AS restarts
        FROM spans s
        LEFT JOIN traces t ON t.cluster = s.cluster AND t.trace_id = s.trace_id
        LEFT JOIN spans r ON r.cluster = t.cluster AND r.trace_id = t.trace_id AND r.span_id = t.root_span_id
        WHERE s.object_kind IN ('Deployment', 'StatefulSet', 'DaemonSet') AND s.reason IN ('Create', 'Update')
            AND s.event_uid = ''
            AND (s.reason = 'Create' OR s.state <> 'closed' OR {patch} IS NULL OR {patch} LIKE '%"/spec/template%')
    """


def _side(words: Words, change: str, *, before: bool) -> str:
    """The value before or after the arrow, in a summary like ``replicas: 2 → 3, image: web:v1 → web:v2``."""
    first = f"CASE WHEN {words.position}({change}, 'image: ') > 0 THEN {words.position}({change}, 'image: ') ELSE 1 END"
    entry = f"substr({change}, {first})"
    arrow = f"{words.position}({entry}, ' → ')"
    if before:
        colon = f"{words.position}({entry}, ': ')"
        value = f"substr({entry}, {colon} + 2, {arrow} - {colon} - 2)"
    else:
        rest = f"substr({entry}, {arrow} + 3)"
        value = f"substr({rest}, 1, {words.position}({rest} || ', ', ', ') - 1)"
    return f"CASE WHEN {arrow} > 0 THEN {value} ELSE '' END"


_OF_THE_WORKLOAD = """
    FROM spans p
    JOIN objects o ON o.cluster = p.cluster AND o.uid = p.object_uid
    LEFT JOIN objects w ON w.cluster = o.cluster AND w.uid = o.owner_uid
    WHERE p.cluster = s.cluster AND p.trace_id = s.trace_id AND p.start_time >= s.start_time
        AND (o.owner_uid = s.object_uid OR w.owner_uid = s.object_uid)
"""
"""Occurrences to the Pods of a workload ``s`` in a trace: its own, or those of a ReplicaSet of its own."""


# A Deployment without replicas has no Pods, and is available. The other kinds have no such condition.
_BECAME_READY = f"""(
    EXISTS (SELECT 1 {_OF_THE_WORKLOAD} AND p.name = 'Pod.Ready')
    OR EXISTS (
        SELECT 1 FROM spans a WHERE a.cluster = s.cluster AND a.trace_id = s.trace_id AND a.object_uid = s.object_uid
            AND a.name = 'Deployment.Available' AND a.start_time >= s.start_time
    )
)"""


def _restarts(words: Words) -> str:
    """Starts of its Pods' containers but the first of each."""
    container = _attribute(words, "p", "k8s.container.name")
    return f"""(
        SELECT coalesce(sum(1 + {words.length("p.events")}), 0) - count(DISTINCT p.object_uid || {container})
        {_OF_THE_WORKLOAD} AND p.name = 'Pod.Started'
    )"""


def _ready(words: Words) -> str:
    """From the change until the last of its Pods was ready for the first time."""
    return f"""(
        SELECT {words.seconds("s.start_time", "max(f.ready)")} FROM (
            SELECT min(p.start_time) AS ready {_OF_THE_WORKLOAD} AND p.name = 'Pod.Ready' GROUP BY p.object_uid
        ) f
    )"""


def _failures(words: Words) -> str:
    after = words.seconds("r.start_time", "s.start_time")
    return f"""
        SELECT s.cluster, s.trace_id, s.span_id, {words.at("s.start_time")} AS at, s.start_time,
            s.object_kind AS kind, s.object_namespace AS namespace, s.object_name AS object,
            {_attribute(words, "s", "k8s.node.name")} AS node,
            s.reason, 1 + {_repeats(words)} AS times, s.service AS actor, s.message,
            coalesce(r.name, '') AS cause, coalesce(r.object_name, '') AS cause_object,
            coalesce(r.span_id, '') AS cause_span, coalesce(r.service, '') AS who,
            {_attribute(words, "r", "kspan.change.summary")} AS change, {after} AS after_seconds,
            coalesce(t.error, FALSE) AS fatal
        FROM spans s
        LEFT JOIN traces t ON t.cluster = s.cluster AND t.trace_id = s.trace_id
        LEFT JOIN spans r ON r.cluster = t.cluster AND r.trace_id = t.trace_id AND r.span_id = t.root_span_id
        WHERE s.error AND (s.event_uid <> '' OR s.parent_span_id <> '')
    """


def _image_pulls(words: Words) -> str:
    image = "substr(s.message, 16, length(s.message) - 16)"
    host = f"substr({image}, 1, {words.position}({image} || '/', '/') - 1)"
    # As container runtimes read an image's name: a first part without a dot or a colon is no registry.
    named = f"({image} LIKE '%/%' AND ({host} LIKE '%.%' OR {host} LIKE '%:%' OR {host} = 'localhost'))"
    return f"""
        SELECT s.cluster, s.trace_id, s.span_id, {words.at("s.start_time")} AS at, s.start_time,
            s.object_namespace AS namespace, s.object_name AS pod,
            {_attribute(words, "s", "k8s.container.name")} AS container,
            {_attribute(words, "s", "k8s.node.name")} AS node,
            CASE WHEN {named} THEN {host} ELSE 'docker.io' END AS registry, {image} AS image,
            {words.seconds("s.start_time", "s.end_time")} AS seconds, 1 + {words.length("s.events")} AS times
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


def upgrade() -> None:
    connection = op.get_bind()
    words = _WORDS[connection.dialect.name]
    statements = [f"CREATE VIEW {name} AS {made(words)}" for name, made in _VIEWS.items()]
    if connection.dialect.name != "sqlite":
        # psycopg wants a per cent sign twice.
        statements = [text.replace("%", "%%") for text in (*_POSTGRESQL_FUNCTIONS, *statements)]
    for text in statements:
        # The driver's own way: a colon in the text is no parameter.
        connection.exec_driver_sql(text)
