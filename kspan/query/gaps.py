"""Gaps: intervals in which changes of a stream may have been missed."""

from sqlalchemy import Connection

from kspan.model import GapRow
from kspan.store.schema.tables import gaps
from kspan.store.tables import rows


def newest_gaps(connection: Connection, cluster: str, limit: int, before: int = 0) -> list[GapRow]:
    """Return gaps, newest first. ``before`` continues a list: the ``seq`` of its last gap (0: from the newest)."""
    query = rows.select_rows(gaps, GapRow).where(gaps.c.cluster == cluster)
    query = query.where(gaps.c.seq < before) if before else query
    return rows.fetch(connection, query.order_by(gaps.c.seq.desc()).limit(limit), GapRow)
