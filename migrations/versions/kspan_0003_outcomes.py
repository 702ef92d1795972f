"""How traces turned out: columns of ``traces``, and the outcome of rollouts and the restarts in them."""

from typing import Any

import sqlalchemy as sa
from alembic import context, op

revision = "kspan_0003"
down_revision = "kspan_0002"

# Sorted by code points, as on SQLite.
_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")

_BEFORE = "CASE WHEN s.state <> 'closed' THEN 'running'"
_OUTCOME = """CASE WHEN t.outcome <> '' THEN t.outcome WHEN s.state <> 'closed' THEN 'running' ELSE 'unknown' END"""
_ENDED = " AS outcome,"
_MESSAGE_BEFORE = "CASE WHEN s.error THEN s.message WHEN t.error THEN r.message ELSE '' END AS message"
_MESSAGE = "CASE WHEN t.reason <> '' THEN t.reason WHEN s.error THEN s.message ELSE '' END AS message"
_IS_TEMPLATE = """OR {patch} LIKE '%"/spec/template%'"""
_IS_RESUME = """ OR ({patch} LIKE '%"/spec/paused"%' AND {patch} NOT LIKE '%"/spec/paused","value":true%')"""
"""A resume rolls out what was changed while the Deployment was paused."""
_RESTARTS = "(SELECT count(*) {of_the_workload} AND p.name = 'Pod.ContainerRestarted' AND p.event_uid = '')"
_LATER = "p.start_time >= s.start_time"


def upgrade() -> None:
    values = "ok, failing, failed, recovered, superseded, incomplete, unknown"
    for column in (
        _added("outcome", _TEXT, "''", f"{values}; while open failing or empty"),
        _added("reason", _TEXT, "''", "what failed, or what superseded it and what it had reached"),
        _added("warnings", sa.BigInteger(), "0", "number of Warnings and failed conditions in it; 0 while open"),
    ):
        op.add_column("traces", column)
    op.execute(
        "UPDATE traces SET outcome = CASE WHEN error THEN 'failed' WHEN incomplete THEN 'incomplete' "
        "ELSE 'unknown' END WHERE state = 'closed'"
    )
    connection = op.get_bind()
    connection.exec_driver_sql("DROP VIEW rollouts")
    text = _rollouts(connection.dialect.name)
    # Not op.execute: SQLAlchemy would treat a colon in the text as a parameter. psycopg requires doubled percent signs.
    connection.exec_driver_sql(text if connection.dialect.name == "sqlite" else text.replace("%", "%%"))


def _added(name: str, kind: sa.types.TypeEngine[Any], default: str, comment: str) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False, server_default=sa.text(default), comment=comment)


def _rollouts(dialect: str) -> str:
    """The view of the first release, with the outcome of the trace, with resumes, and with restarts as the status of
    Pods shows them: the kubelet's Events may be missing."""
    first = context.script.get_revision("kspan_0001").module
    text: str = first._rollouts(first._SYNTAX[dialect])  # noqa: SLF001
    by_events = first._restarts(first._SYNTAX[dialect])  # noqa: SLF001
    assert by_events in text
    text = text.replace(by_events, _RESTARTS.format(of_the_workload=first._OF_THE_WORKLOAD))  # noqa: SLF001
    start = text.index(_BEFORE)
    end = text.index(_ENDED, start)
    text = text[:start] + _OUTCOME + text[end:]
    before, after = text.split(_MESSAGE_BEFORE)
    patch = first._SYNTAX[dialect].attribute("s", "kspan.change")  # noqa: SLF001
    template = _IS_TEMPLATE.format(patch=patch)
    after = after.replace(template, template + _IS_RESUME.format(patch=patch))
    view = f"CREATE VIEW rollouts AS {before}{_MESSAGE}{after}"
    if dialect == "sqlite":
        # Without statistics SQLite reads the spans of a Pod's trace by time: all later ones, for every rollout. The
        # plus keeps it from using that index.
        assert _LATER in view
        view = view.replace(_LATER, _LATER.replace("p.", "+p."))
    return view
