"""A checksum of the journal for each day, so that a change of the journal is noticed."""

import sqlalchemy as sa
from alembic import op

revision = "kspan_0002"
down_revision = "kspan_0001"

# Sorted by code points, as on SQLite.
_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    # Records of a database of kspan_0001 are not read: the first commit of each day begins its row.
    op.create_table(
        "recorded_days",
        sa.Column("cluster", _TEXT, nullable=False, comment="uid of the cluster (of its kube-system namespace)"),
        _int("day", "day (UTC) of journal.recorded_at, in days since 1970"),
        _int("from_seq", "internal: first journal record that is counted here"),
        _int("records", "internal: number of records of this day in the journal"),
        _int("checksum", "internal: sum of the checksums of these records, modulo 2^62"),
        sa.PrimaryKeyConstraint("cluster", "day", name="recorded_days_pkey"),
        comment="Internal: checksums of the journal, with which kspan db verify finds changes",
        sqlite_with_rowid=False,
    )


def _int(name: str, comment: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), autoincrement=False, nullable=False, comment=comment)
