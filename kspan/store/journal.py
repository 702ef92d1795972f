"""The journal: appending, reading, and what it knows of an object."""

from collections.abc import Collection, Sequence
from functools import cache
from typing import Final

from sqlalchemy import Connection, TextClause, func, select, text

from kspan.model import LogRecord, RecordType
from kspan.store import schema
from kspan.store.bulk import insert_numbered
from kspan.store.rows import select_rows
from kspan.store.views import KnownVersion

_LOOKUPS: Final = 100
"""Uids in one look-up. A fixed number keeps one prepared statement; the rest of the last one is padded."""


def last_sequence(connection: Connection, cluster: str) -> int:
    """The last sequence number, 0 for an empty journal."""
    table = schema.journal
    query = select(func.coalesce(func.max(table.c.seq), 0)).where(table.c.cluster == cluster)
    return int(connection.execute(query).scalar_one())


def append(connection: Connection, cluster: str, first_seq: int, records: Sequence[LogRecord]) -> None:
    """Insert records; a version that is there already violates a unique index."""
    insert_numbered(connection, schema.journal, cluster, first_seq, records)


def read(connection: Connection, cluster: str, after: int, batch: int) -> list[tuple[int, LogRecord]]:
    """At most ``batch`` records that follow ``after``, with their sequence numbers."""
    table = schema.journal
    query = (
        select_rows(table, LogRecord)
        .add_columns(table.c.seq)
        .where(table.c.cluster == cluster, table.c.seq > after)
        .order_by(table.c.seq)
        .limit(batch)
    )
    return [(row[-1], LogRecord(*row[:-1])) for row in connection.execute(query)]


def known_versions(connection: Connection, cluster: str, uids: Collection[str]) -> dict[str, KnownVersion]:
    """The newest version of each uid that the journal has."""
    known: dict[str, KnownVersion] = {}
    wanted = [uid for uid in uids if uid]
    for start in range(0, len(wanted), _LOOKUPS):
        chunk = wanted[start : start + _LOOKUPS]
        chunk += [""] * (_LOOKUPS - len(chunk))
        values = {f"uid_{position}": uid for position, uid in enumerate(chunk)} | {"cluster": cluster}
        for uid, version, kind in connection.execute(_newest(), values):
            known[uid] = KnownVersion(version, kind == RecordType.DELETED)
    return known


@cache
def _newest() -> TextClause:
    # seq + 0: SQLite would find a bare max(seq) by walking the journal backwards until the uid turns up.
    values = ", ".join(f"(CAST(:uid_{position} AS TEXT))" for position in range(_LOOKUPS))
    return text(
        "SELECT j.uid, j.resource_version, j.type "  # noqa: S608
        f"FROM (VALUES {values}) AS wanted JOIN journal AS j ON j.cluster = :cluster AND j.seq = ("
        "SELECT max(n.seq + 0) FROM journal AS n "
        "WHERE n.cluster = :cluster AND n.uid = wanted.column1 AND n.uid <> '')"
    )


def last_payload(connection: Connection, cluster: str, uid: str) -> bytes:
    """The newest payload of an object, empty when there is none."""
    table = schema.journal
    versions = select(table.c.seq).where(table.c.cluster == cluster, table.c.uid == uid, schema.HAS_UID)
    # A deletion may come without a payload, any other version of an object has one: the first or second look hits.
    for seq in sorted(connection.execute(versions).scalars(), reverse=True):
        payload = connection.execute(select(table.c.payload).where(table.c.cluster == cluster, table.c.seq == seq))
        if found := payload.scalar_one():
            return bytes(found)
    return b""
