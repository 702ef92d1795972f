"""Statistics for ``kspan db stats``."""

from collections import defaultdict
from pathlib import Path

from sqlalchemy import ColumnElement, Connection, Table, func, select, text

from kspan.store.results import ClusterStats
from kspan.store.schema import tables as schema


def of_cluster(connection: Connection, cluster: str, size: int) -> ClusterStats:
    """Count the rows of a cluster; ``size`` (bytes) is copied into the result."""
    recorded_at = schema.journal.c.recorded_at
    first, last = connection.execute(
        select(func.min(recorded_at), func.max(recorded_at)).where(schema.journal.c.cluster == cluster)
    ).one()
    emissions: defaultdict[str, dict[str, int]] = defaultdict(dict)
    sent = schema.emissions
    for (target, status), count in _count(connection, sent, cluster, sent.c.target, sent.c.status).items():
        emissions[target][status] = count
    return ClusterStats(
        cluster=cluster,
        rows={
            table.name: sum(_count(connection, table, cluster).values())
            for table in schema.metadata.sorted_tables
            if table not in schema.INTERNAL
        },
        journal={
            str(key[0]): n for key, n in _count(connection, schema.journal, cluster, schema.journal.c.type).items()
        },
        first_recorded_at=first or 0,
        last_recorded_at=last or 0,
        traces={str(key[0]): n for key, n in _count(connection, schema.traces, cluster, schema.traces.c.state).items()},
        emissions=dict(emissions),
        size=size,
    )


def _count(connection: Connection, table: Table, cluster: str, *by: ColumnElement[str]) -> dict[tuple[str, ...], int]:
    query = select(*by, func.count()).select_from(table).where(table.c.cluster == cluster).group_by(*by).order_by(*by)
    return {tuple(row[:-1]): int(row[-1]) for row in connection.execute(query)}


def database_size(connection: Connection, path: Path | None) -> int:
    """Size of the database in bytes, including the write-ahead log of an SQLite file."""
    if path is not None:
        files = (path, path.with_name(path.name + "-wal"))
        return sum(file.stat().st_size for file in files if file.exists())
    if connection.dialect.name == "sqlite":
        query = "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()"
    else:
        query = "SELECT pg_database_size(current_database())"
    return int(connection.execute(text(query)).scalar_one())
