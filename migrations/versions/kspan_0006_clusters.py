"""Names of clusters, and a view of the clusters in the database.

On PostgreSQL, the recursion of the view ``ancestry`` carries the cluster: Citus rejects a join of distributed tables
without it.
"""

from typing import Any

import sqlalchemy as sa
from alembic import context, op

revision = "kspan_0006"
down_revision = "kspan_0005"

# Sorted by code points, as on SQLite.
_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")

_FIRST, _LAST = "ORDER BY j.seq LIMIT 1", "ORDER BY j.seq DESC LIMIT 1"

_WITHOUT_CLUSTER = (
    ("up (value, key, path)", "up (cluster, value, key, path)"),
    ("SELECT s.span_id, 0::bigint", "SELECT s.cluster, s.span_id, 0::bigint"),
    ("SELECT p.parent_span_id, up.key + 1", "SELECT up.cluster, p.parent_span_id, up.key + 1"),
    ("WHERE cluster = s.cluster AND", "WHERE cluster = up.cluster AND"),
)
"""Parts of the recursion of the first release, and what they become."""


def upgrade() -> None:
    op.create_table(
        "cluster_names",
        sa.Column("cluster", _TEXT, nullable=False, comment="uid of the cluster (of its kube-system namespace)"),
        sa.Column("name", _TEXT, nullable=False, comment="internal: the newest --cluster-name; not unique"),
        sa.PrimaryKeyConstraint("cluster", name="cluster_names_pkey"),
        comment="Internal: the names of the clusters, for the view clusters",
        sqlite_with_rowid=False,
    )
    connection = op.get_bind()
    first = context.script.get_revision("kspan_0001").module
    dialect = connection.dialect.name
    statements = [f"CREATE VIEW clusters AS {_clusters(first._SYNTAX[dialect])}"]  # noqa: SLF001
    if dialect != "sqlite":
        statements += ["DROP VIEW ancestry", f"CREATE VIEW ancestry AS {_ancestry(first)}"]
        # psycopg requires a doubled percent sign.
        statements = [text.replace("%", "%%") for text in statements]
    for text in statements:
        # Not op.execute: SQLAlchemy would treat a colon in the text as a parameter.
        connection.exec_driver_sql(text)


def _clusters(syntax: Any) -> str:
    def recorded(which: str) -> str:
        return f"coalesce((SELECT j.recorded_at FROM journal j WHERE j.cluster = f.cluster {which}), 0)"

    return f"""
        SELECT c.cluster, coalesce(n.name, '') AS name,
            {syntax.at("c.first_time")} AS first_at, {syntax.at("c.last_time")} AS last_at, c.first_time, c.last_time
        FROM (
            SELECT f.cluster, {recorded(_FIRST)} AS first_time, {recorded(_LAST)} AS last_time FROM fold_state f
        ) c
        LEFT JOIN cluster_names n ON n.cluster = c.cluster
    """


def _ancestry(first: Any) -> str:
    text: str = first._ancestry(first._SYNTAX["postgresql"])  # noqa: SLF001
    for before, after in _WITHOUT_CLUSTER:
        assert text.count(before) == 1, before
        text = text.replace(before, after)
    return text
