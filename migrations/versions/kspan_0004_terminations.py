"""A view of the containers that ended, and the container in the view of failures."""

from collections.abc import Callable
from typing import Any, NamedTuple

from alembic import context, op

revision = "kspan_0004"
down_revision = "kspan_0003"

_FATAL = " AS fatal\n"


class Syntax(NamedTuple):
    """The SQL that differs between the two databases, besides that of the first release."""

    between: Callable[[str, str], str]
    integer: Callable[[str, str], str]


_SYNTAX = {
    "sqlite": Syntax(
        between=lambda start, end: f"strftime('%s', {end}) - strftime('%s', {start})",
        integer=lambda span, name: f"json_extract({span}.attributes, '$.\"{name}\"')",
    ),
    "postgresql": Syntax(
        between=lambda start, end: f"extract(epoch FROM ({end})::timestamptz - ({start})::timestamptz)",
        integer=lambda span, name: f"({span}.attributes ->> '{name}')::bigint",
    ),
}


def upgrade() -> None:
    connection = op.get_bind()
    first = context.script.get_revision("kspan_0001").module
    dialect = connection.dialect.name
    statements = [
        "DROP VIEW failures",
        f"CREATE VIEW failures AS {_failures(first, dialect)}",
        f"CREATE VIEW terminations AS {_terminations(first, dialect)}",
    ]
    if dialect != "sqlite":
        # psycopg requires a doubled percent sign.
        statements = [text.replace("%", "%%") for text in statements]
    for text in statements:
        # Not op.execute: SQLAlchemy would treat a colon in the text as a parameter.
        connection.exec_driver_sql(text)


def _failures(first: Any, dialect: str) -> str:
    """The view of the first release, with the container."""
    shared, syntax = first._SYNTAX[dialect], _SYNTAX[dialect]  # noqa: SLF001
    before, after = first._failures(shared).split(_FATAL)  # noqa: SLF001
    return f"""{before} AS fatal,
            {first._attribute(shared, "s", "k8s.container.name")} AS container,
            {syntax.integer("s", "kspan.container.exit_code")} AS exit_code,
            {syntax.integer("s", "k8s.container.restart_count")} AS restart
{after}"""  # noqa: SLF001


def _terminations(first: Any, dialect: str) -> str:
    shared, syntax = first._SYNTAX[dialect], _SYNTAX[dialect]  # noqa: SLF001

    def text(name: str) -> str:
        found: str = first._attribute(shared, "s", name)  # noqa: SLF001
        return found

    started = shared.attribute("s", "kspan.container.started_at")
    finished = shared.attribute("s", "kspan.container.finished_at")
    return f"""
        SELECT s.cluster, s.trace_id, s.span_id, {shared.at("s.start_time")} AS at, s.start_time,
            s.object_namespace AS namespace, s.object_name AS pod, s.object_uid AS uid,
            {text("k8s.node.name")} AS node,
            {text("k8s.container.name")} AS container,
            {syntax.integer("s", "k8s.container.restart_count")} AS restart,
            {text("k8s.container.status.last_terminated_reason")} AS reason,
            {syntax.integer("s", "kspan.container.exit_code")} AS exit_code,
            {syntax.integer("s", "kspan.container.signal")} AS signal,
            {text("kspan.container.message")} AS message,
            {syntax.between(started, finished)} AS ran_seconds,
            coalesce({syntax.integer("s", "kspan.container.missed_terminations")}, 0) AS missed,
            s.error, coalesce(p.name, '') AS cause, coalesce(p.message, '') AS cause_message
        FROM spans s
        LEFT JOIN spans p ON p.cluster = s.cluster AND p.trace_id = s.trace_id AND p.span_id = s.parent_span_id
            AND NOT s.remote_parent
        WHERE s.name = 'Pod.ContainerTerminated' AND s.event_uid = ''
    """
