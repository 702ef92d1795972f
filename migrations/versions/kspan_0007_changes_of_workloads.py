"""Indexes of the changes of workloads by time, for the view ``rollouts``: a few of many spans."""

import sqlalchemy as sa
from alembic import context, op

revision = "kspan_0007"
down_revision = "kspan_0006"

_OF_A_WORKLOAD_BEFORE = (
    "s.object_kind IN ('Deployment', 'StatefulSet', 'DaemonSet') AND s.reason IN ('Create', 'Update')"
)
# For each span that is written, SQLite would make a temporary B-tree of the values of an IN with more than two.
_OF_A_WORKLOAD = (
    "({span}object_kind = 'Deployment' OR {span}object_kind = 'StatefulSet' OR {span}object_kind = 'DaemonSet') "
    "AND ({span}reason = 'Create' OR {span}reason = 'Update')"
)
# None of these columns changes while a span is open, so no update of a span writes the indexes.
_WORKLOAD_CHANGED = sa.text(_OF_A_WORKLOAD.format(span="") + " AND event_uid = ''")
_FAILED = sa.text("error")


def upgrade() -> None:
    # SQLite uses a partial index only if a query repeats its condition.
    connection = op.get_bind()
    dialect = connection.dialect.name
    text: str = context.script.get_revision("kspan_0003").module._rollouts(dialect)  # noqa: SLF001
    assert _OF_A_WORKLOAD_BEFORE in text
    text = text.replace(_OF_A_WORKLOAD_BEFORE, _OF_A_WORKLOAD.format(span="s."))
    connection.exec_driver_sql("DROP VIEW rollouts")
    # Not op.execute: SQLAlchemy would treat a colon in the text as a parameter. psycopg requires doubled percent signs.
    connection.exec_driver_sql(text if dialect == "sqlite" else text.replace("%", "%%"))
    _index("spans_workload", "start_time", where=_WORKLOAD_CHANGED)
    _index("spans_workload_namespace", "object_namespace", "start_time", where=_WORKLOAD_CHANGED)
    if dialect == "sqlite":
        # SQLite has no statistics here, and of equally good indexes it takes the one that was made last. That was the
        # index of all spans.
        op.drop_index("spans_failed", "spans")
        _index("spans_failed", "start_time", where=_FAILED)


def _index(name: str, *columns: str, where: sa.TextClause) -> None:
    op.create_index(name, "spans", ["cluster", *columns], sqlite_where=where, postgresql_where=where)
