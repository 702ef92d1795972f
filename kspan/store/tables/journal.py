"""Appends to and reads the journal, and looks up objects in it."""

from collections.abc import Sequence
from functools import cache
from typing import Final

import msgspec
from sqlalchemy import Connection, Select, TextClause, bindparam, func, select, text

from kspan.model import LogRecord, RecordType
from kspan.store.results import KnownVersion
from kspan.store.schema import tables as schema
from kspan.store.tables.bulk_write import insert_numbered
from kspan.store.tables.rows import select_rows

_LOOKUPS: Final = 50
"""Objects in one look-up. The number is fixed, so that one prepared statement is enough; the last one is padded."""

NEWS: Final = frozenset({RecordType.ADDED, RecordType.MODIFIED})


def last_sequence(connection: Connection, cluster: str) -> int:
    """The last sequence number, 0 if the journal is empty."""
    return int(connection.execute(_last(), {"cluster": cluster}).scalar_one())


@cache  # Each commit runs it, and making the statement takes longer than running it.
def _last() -> Select[int]:
    table = schema.journal
    return select(func.coalesce(func.max(table.c.seq), 0)).where(table.c.cluster == bindparam("cluster"))


def count(connection: Connection, cluster: str, at_most: int) -> int:
    """The number of records, counted up to ``at_most``: counting a long journal takes minutes."""
    table = schema.journal
    first = select(table.c.seq).where(table.c.cluster == cluster).limit(at_most).subquery()
    return int(connection.execute(select(func.count()).select_from(first)).scalar_one())


def append(connection: Connection, cluster: str, first_seq: int, records: Sequence[LogRecord]) -> None:
    """Insert records. An existing sequence number violates the key."""
    insert_numbered(connection, schema.journal, cluster, first_seq, records)


def pruned_to(connection: Connection, cluster: str) -> int:
    """The last record that retention has processed: up to it, only the newest versions are left (0: all records)."""
    state = schema.fold_state
    return connection.execute(select(state.c.pruned_to).where(state.c.cluster == cluster)).scalar_one_or_none() or 0


def first_time(connection: Connection, cluster: str, after: int) -> int:
    """When the first record after ``after`` was received (Unix ns); 0 if there is none."""
    table = schema.journal
    query = select(table.c.recorded_at).where(table.c.cluster == cluster, table.c.seq > after)
    return connection.execute(query.order_by(table.c.seq).limit(1)).scalar_one_or_none() or 0


def read(connection: Connection, cluster: str, after: int, batch: int) -> list[tuple[int, LogRecord]]:
    """At most ``batch`` records after ``after``, with their sequence numbers.

    A record that retention has kept becomes LISTED, whatever its type was.
    """
    table = schema.journal
    state = pruned_to(connection, cluster)
    query = (
        select_rows(table, LogRecord)
        .add_columns(table.c.seq)
        .where(table.c.cluster == cluster, table.c.seq > after)
        .order_by(table.c.seq)
        .limit(batch)
    )
    return [(row[-1], _after_retention(LogRecord(*row[:-1]), row[-1] <= state)) for row in connection.execute(query)]


def _after_retention(record: LogRecord, state: bool) -> LogRecord:
    return msgspec.structs.replace(record, type=RecordType.LISTED) if state and record.type in NEWS else record


def known_versions(connection: Connection, cluster: str, records: Sequence[LogRecord]) -> dict[str, KnownVersion]:
    """The newest version in the journal of each object of these records, by uid."""
    known: dict[str, KnownVersion] = {}
    wanted = list({record.uid: record for record in records if record.uid}.values())
    for start in range(0, len(wanted), _LOOKUPS):
        chunk = wanted[start : start + _LOOKUPS]
        values = {"cluster": cluster}
        for position in range(_LOOKUPS):
            record = chunk[position] if position < len(chunk) else None
            key = (record.kind, record.namespace, record.name, record.uid) if record is not None else ("",) * 4
            values |= {f"{word}_{position}": part for word, part in zip(_KEY, key, strict=True)}
        for uid, version, kind, epoch, received in connection.execute(_newest(), values):
            known[uid] = KnownVersion(version, kind == RecordType.DELETED, epoch, received)
    return known


_KEY: Final = ("kind", "namespace", "name", "uid")


@cache
def _newest() -> TextClause:
    values = ", ".join(
        f"({', '.join(f'CAST(:{word}_{position} AS TEXT)' for word in _KEY)})" for position in range(_LOOKUPS)
    )
    return text(
        "SELECT j.uid, j.resource_version, j.type, j.epoch, j.recorded_at "  # noqa: S608
        f"FROM (VALUES {values}) AS wanted JOIN journal AS j ON j.cluster = :cluster AND j.seq = ("
        "SELECT max(n.seq) FROM journal AS n WHERE n.cluster = :cluster AND n.kind = wanted.column1 "
        "AND n.namespace = wanted.column2 AND n.name = wanted.column3 AND n.uid = wanted.column4 AND n.uid <> '')"
    )


def last_payload(connection: Connection, cluster: str, uid: str) -> bytes:
    """The newest payload of an object in ``objects``; empty if there is none."""
    journal, objects = schema.journal, schema.objects
    named = select(objects.c.kind, objects.c.namespace, objects.c.name)
    found = connection.execute(named.where(objects.c.cluster == cluster, objects.c.uid == uid)).one_or_none()
    if found is None:
        return b""
    versions = select(journal.c.seq).where(
        journal.c.cluster == cluster,
        journal.c.kind == found.kind,
        journal.c.namespace == found.namespace,
        journal.c.name == found.name,
        journal.c.uid == uid,
        schema.HAS_UID,
    )
    # A deletion may have no payload, every other version has one: the first or second look-up finds it.
    for seq in connection.execute(versions.order_by(journal.c.seq.desc()).limit(2)).scalars().all():
        payload = connection.execute(
            select(journal.c.payload).where(journal.c.cluster == cluster, journal.c.seq == seq)
        )
        if kept := payload.scalar_one():
            return bytes(kept)
    return b""
