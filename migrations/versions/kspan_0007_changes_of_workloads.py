"""Indexes of the changes of workloads by time, for the view ``rollouts``: a few of many spans."""

import sqlalchemy as sa
from alembic import op

revision = "kspan_0007"
down_revision = "kspan_0006"

# The first three conditions of the view: SQLite uses a partial index only if a query repeats its condition. None of
# these columns changes while a span is open, so no update of a span writes the indexes.
_WORKLOAD_CHANGED = sa.text(
    "object_kind IN ('Deployment', 'StatefulSet', 'DaemonSet') AND reason IN ('Create', 'Update') AND event_uid = ''"
)
_FAILED = sa.text("error")


def upgrade() -> None:
    _index("spans_workload", "start_time", where=_WORKLOAD_CHANGED)
    _index("spans_workload_namespace", "object_namespace", "start_time", where=_WORKLOAD_CHANGED)
    if op.get_context().dialect.name == "sqlite":
        # SQLite has no statistics here, and of equally good indexes it takes the one that was made last. That was the
        # index of all spans.
        op.drop_index("spans_failed", "spans")
        _index("spans_failed", "start_time", where=_FAILED)


def _index(name: str, *columns: str, where: sa.TextClause) -> None:
    op.create_index(name, "spans", ["cluster", *columns], sqlite_where=where, postgresql_where=where)
