"""Which version of the fold, rules and settings computed the projection, for each period of the journal."""

import msgspec
from sqlalchemy import Connection, delete, insert, select

from kspan.settings import FoldInputs
from kspan.store.results import FoldPeriod
from kspan.store.schema import tables as schema


def periods(connection: Connection, cluster: str) -> list[FoldPeriod]:
    """The periods of a cluster's journal, oldest first. Empty before the first record.

    Raises msgspec.ValidationError if a row is damaged: SQLite stores text in a column of integers, for example.
    """
    table = schema.fold_history
    query = (
        select(table.c.from_seq, table.c.fold_version, table.c.rules, table.c.settings)
        .where(table.c.cluster == cluster)
        .order_by(table.c.from_seq)
    )
    return [
        FoldPeriod(
            msgspec.convert(seq, int),
            FoldInputs(msgspec.convert(version, int), msgspec.convert(rules, str), settings),
        )
        for seq, version, rules, settings in connection.execute(query)
    ]


def fold_version(connection: Connection, cluster: str) -> int | None:
    """The version of the fold that wrote the newest rows; None before the first record.

    Raises msgspec.ValidationError if it is not a number.
    """
    table = schema.fold_history
    query = select(table.c.fold_version).where(table.c.cluster == cluster).order_by(table.c.from_seq.desc()).limit(1)
    return msgspec.convert(connection.execute(query).scalar_one_or_none(), int | None)


def drop_before(connection: Connection, cluster: str, seq: int) -> None:
    """Delete the periods that ended before the journal record ``seq``."""
    table, later = schema.fold_history, schema.fold_history.alias()
    ended = select(later.c.from_seq).where(
        later.c.cluster == cluster, later.c.from_seq > table.c.from_seq, later.c.from_seq <= seq
    )
    connection.execute(delete(table).where(table.c.cluster == cluster, ended.exists()))


def start_period(connection: Connection, cluster: str, from_seq: int, inputs: FoldInputs) -> None:
    """Record that the journal is folded with ``inputs`` from ``from_seq`` on, replacing later periods."""
    table = schema.fold_history
    connection.execute(delete(table).where(table.c.cluster == cluster, table.c.from_seq >= from_seq))
    earlier = periods(connection, cluster)
    if earlier and earlier[-1].inputs == inputs:
        return
    connection.execute(
        insert(table).values(
            cluster=cluster,
            from_seq=from_seq,
            fold_version=inputs.fold_version,
            rules=inputs.rules,
            settings=inputs.settings,
        )
    )
