"""A view of the containers that ended, and the container in the view of failures."""

from collections.abc import Callable
from typing import NamedTuple

from alembic import op

revision = "kspan_0004"
down_revision = "kspan_0003"


class Syntax(NamedTuple):
    """The SQL that differs between the two databases."""

    at: Callable[[str], str]
    seconds: Callable[[str, str], str]
    between: Callable[[str, str], str]
    length: Callable[[str], str]
    repeats: Callable[[str], str]
    attribute: Callable[[str, str], str]
    integer: Callable[[str, str], str]


def upgrade() -> None:
    connection = op.get_bind()
    syntax = _SYNTAX[connection.dialect.name]
    statements = [
        "DROP VIEW failures",
        f"CREATE VIEW failures AS {_failures(syntax)}",
        f"CREATE VIEW terminations AS {_terminations(syntax)}",
    ]
    if connection.dialect.name != "sqlite":
        # psycopg requires a doubled percent sign.
        statements = [text.replace("%", "%%") for text in statements]
    for text in statements:
        # Not op.execute: SQLAlchemy would treat a colon in the text as a parameter.
        connection.exec_driver_sql(text)


def _sqlite_at(ns: str) -> str:
    # Seconds and milliseconds separately: a double cannot hold today's time in nanoseconds.
    return f"strftime('%Y-%m-%dT%H:%M:%S', {ns} / 1000000000, 'unixepoch') || printf('.%03dZ', {ns} / 1000000 % 1000)"


def _postgresql_at(ns: str) -> str:
    moment = f"(TIMESTAMP 'epoch' + {ns} / 1000 * INTERVAL '1 microsecond')"
    return f"""to_char({moment}, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')"""


_SYNTAX = {
    "sqlite": Syntax(
        at=_sqlite_at,
        seconds=lambda start, end: f"round(({end} - {start}) / 1e9, 3)",
        between=lambda start, end: f"strftime('%s', {end}) - strftime('%s', {start})",
        length=lambda column: f"json_array_length({column})",
        repeats=lambda column: (
            f"""(
            SELECT count(*) FROM json_each({column}) e
            WHERE json_type(e.value, '$.attributes."kspan.condition.type"') IS NULL
        )"""
        ),
        # Not ->>: before SQLite 3.47 it treats a dot in a key as a path separator.
        attribute=lambda span, name: f"json_extract({span}.attributes, '$.\"{name}\"')",
        integer=lambda span, name: f"json_extract({span}.attributes, '$.\"{name}\"')",
    ),
    "postgresql": Syntax(
        at=_postgresql_at,
        seconds=lambda start, end: f"round(({end} - {start}) / 1000000000.0, 3)",
        between=lambda start, end: f"extract(epoch FROM ({end})::timestamptz - ({start})::timestamptz)",
        length=lambda column: f"jsonb_array_length({column})",
        repeats=lambda column: (
            f"""(
            SELECT count(*) FROM jsonb_array_elements({column}) e
            WHERE e -> 'attributes' -> 'kspan.condition.type' IS NULL
        )"""
        ),
        attribute=lambda span, name: f"({span}.attributes ->> '{name}')",
        integer=lambda span, name: f"({span}.attributes ->> '{name}')::bigint",
    ),
}


def _attribute(syntax: Syntax, span: str, name: str) -> str:
    return f"coalesce({syntax.attribute(span, name)}, '')"


def _repeats(syntax: Syntax) -> str:
    """Number of repeats. Spans that are not made from an Event also have other span events: condition transitions."""
    repeats, length = syntax.repeats("s.events"), syntax.length("s.events")
    return f"CASE WHEN s.event_uid = '' THEN {repeats} ELSE {length} END"


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
            coalesce(t.error, FALSE) AS fatal,
            {_attribute(syntax, "s", "k8s.container.name")} AS container,
            {syntax.integer("s", "kspan.container.exit_code")} AS exit_code,
            {syntax.integer("s", "k8s.container.restart_count")} AS restart
        FROM spans s
        LEFT JOIN traces t ON t.cluster = s.cluster AND t.trace_id = s.trace_id
        LEFT JOIN spans r ON r.cluster = t.cluster AND r.trace_id = t.trace_id AND r.span_id = t.root_span_id
        WHERE s.error AND (s.event_uid <> '' OR s.parent_span_id <> '')
    """


def _terminations(syntax: Syntax) -> str:
    started = syntax.attribute("s", "kspan.container.started_at")
    finished = syntax.attribute("s", "kspan.container.finished_at")
    return f"""
        SELECT s.cluster, s.trace_id, s.span_id, {syntax.at("s.start_time")} AS at, s.start_time,
            s.object_namespace AS namespace, s.object_name AS pod, s.object_uid AS uid,
            {_attribute(syntax, "s", "k8s.node.name")} AS node,
            {_attribute(syntax, "s", "k8s.container.name")} AS container,
            {syntax.integer("s", "k8s.container.restart_count")} AS restart,
            {_attribute(syntax, "s", "k8s.container.status.last_terminated_reason")} AS reason,
            {syntax.integer("s", "kspan.container.exit_code")} AS exit_code,
            {syntax.integer("s", "kspan.container.signal")} AS signal,
            {_attribute(syntax, "s", "kspan.container.message")} AS message,
            {syntax.between(started, finished)} AS ran_seconds,
            coalesce({syntax.integer("s", "kspan.container.missed_terminations")}, 0) AS missed,
            s.error, coalesce(p.name, '') AS cause, coalesce(p.message, '') AS cause_message
        FROM spans s
        LEFT JOIN spans p ON p.cluster = s.cluster AND p.trace_id = s.trace_id AND p.span_id = s.parent_span_id
            AND NOT s.remote_parent
        WHERE s.name = 'Pod.ContainerTerminated' AND s.event_uid = ''
    """
