"""Checksums of the journal, one per day, with which a change of the journal is noticed.

A row has the number of the records of its day that are in the journal, and the sum of their checksums. So a commit adds
to one row without reading the journal, and retention subtracts what it deletes, in any order. Records that were written
before the table existed are not counted: ``from_seq`` is the first record that is.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from operator import attrgetter
from struct import Struct
from typing import Final

import msgspec
import zstandard
from sqlalchemy import Connection, Insert, delete, select, tuple_, update

from kspan.model import LogRecord
from kspan.store.postgresql.partitions import DAY
from kspan.store.schema import tables as schema
from kspan.store.tables import journal
from kspan.store.tables.bulk_write import dialect_insert
from kspan.store.tables.finding import Finding
from kspan.store.tables.rows import select_rows

MODULUS: Final = 1 << 62
"""Two checksums below it can be added in the 64-bit integers of both databases."""

_RUN: Final = 500
"""Records that are read at once. A payload can have more than a megabyte."""

# Stored checksums depend on these fields and their order. A new field may be added only if it is left out while it has
# its default value.
_fields: Final = attrgetter(
    "type",
    "recorded_at",
    "resource",
    "uid",
    "resource_version",
    "api_version",
    "kind",
    "namespace",
    "name",
    "payload",
    "reason",
    "gap_from",
    "gap_to",
    "epoch",
)
_encode: Final = msgspec.msgpack.Encoder().encode
_first_number: Final = Struct(">Q24x").unpack


class _Sum(msgspec.Struct):
    first: int
    """Sequence number of the first record."""
    records: int = 0
    checksum: int = 0

    def add(self, seq: int, record: LogRecord) -> None:
        self.records += 1
        self.checksum = (self.checksum + checksum(seq, record)) % MODULUS


def checksum(seq: int, record: LogRecord) -> int:
    """The checksum of a record: a non-negative number below ``MODULUS``, the same on both databases."""
    (number,) = _first_number(sha256(_encode((seq, *_fields(record)))).digest())
    return int(number) % MODULUS


def add(connection: Connection, cluster: str, first_seq: int, records: Sequence[LogRecord]) -> None:
    """Count records that are appended to the journal."""
    upsert = _add(connection.dialect.name)
    for day, total in _sums(enumerate(records, first_seq)).items():
        values = {"from_seq": total.first, "records": total.records, "checksum": total.checksum}
        connection.execute(upsert, {"cluster": cluster, "day": day} | values)


@cache  # Each commit runs it, and making the statement takes longer than running it.
def _add(dialect: str) -> Insert:
    table = schema.recorded_days
    statement = dialect_insert(table, dialect)
    added = statement.excluded
    changed = {
        "records": table.c.records + added.records,
        "checksum": (table.c.checksum + added.checksum) % MODULUS,
    }
    return statement.on_conflict_do_update(index_elements=["cluster", "day"], set_=changed)


def subtract(connection: Connection, cluster: str, seqs: Sequence[int]) -> None:
    """Stop counting some records, which must still be in the journal."""
    table = schema.recorded_days
    started = _started(connection, cluster)
    covered = [seq for seq in seqs if started and seq >= min(started.values())]
    for start in range(0, len(covered), _RUN):
        run = covered[start : start + _RUN]
        for day, total in _sums(_counted(_read(connection, cluster, run), started)).items():
            changed = {
                "records": table.c.records - total.records,
                "checksum": (table.c.checksum + (MODULUS - total.checksum)) % MODULUS,
            }
            here = (table.c.cluster == cluster, table.c.day == day)
            connection.execute(update(table).where(*here).values(changed))
    connection.execute(delete(table).where(table.c.cluster == cluster, table.c.records == 0))


def sum_of(connection: Connection, cluster: str, day: int, seqs: Sequence[int]) -> tuple[int, int]:
    """(number, checksum) of those records among ``seqs`` that the row of a day counts."""
    started = _started(connection, cluster)
    total = _Sum(0)
    for start in range(0, len(seqs), _RUN):
        for seq, record in _counted(_read(connection, cluster, seqs[start : start + _RUN]), started):
            if record.recorded_at // DAY == day:
                total.add(seq, record)
    return total.records, total.checksum


def replace(connection: Connection, cluster: str, day: int, records: int, checksum: int) -> None:
    """Set the number and the checksum of the records of a day."""
    table = schema.recorded_days
    here = (table.c.cluster == cluster, table.c.day == day)
    if records:
        connection.execute(update(table).where(*here).values(records=records, checksum=checksum))
    else:
        connection.execute(delete(table).where(*here))


class JournalCheck:
    """Compares the journal with its sequence numbers and its checksums, one run after the other."""

    def __init__(self, connection: Connection, cluster: str) -> None:
        table, state = schema.recorded_days, schema.fold_state
        query = select(table.c.day, table.c.from_seq, table.c.records, table.c.checksum)
        self._cluster = cluster
        self._stored = {day: _Sum(*row) for day, *row in connection.execute(query.where(table.c.cluster == cluster))}
        self._covered_from = min((row.first for row in self._stored.values()), default=None)
        self._found: dict[int, _Sum] = {}
        # Records that are appended later are not in the checksums that were read above.
        last = connection.execute(select(state.c.last_seq).where(state.c.cluster == cluster)).scalar_one_or_none() or 0
        self._last = max(last, journal.last_sequence(connection, cluster))
        self._pruned_to = journal.pruned_to(connection, cluster)
        self._after = (-MODULUS, 0)

    def step(self, connection: Connection) -> tuple[list[Finding], bool]:
        """Read the next records. Returns (differences, true if these were the last)."""
        table = schema.journal
        query = select_rows(table, LogRecord).add_columns(table.c.seq).where(table.c.cluster == self._cluster)
        # PostgreSQL: the time of a record is a part of the key, because the journal has partitions.
        query = query.where(tuple_(table.c.seq, table.c.recorded_at) > self._after)
        query = query.where(table.c.seq >= self._after[0], table.c.seq <= self._last)
        try:
            rows = connection.execute(query.order_by(table.c.seq, table.c.recorded_at).limit(_RUN)).all()
        except (msgspec.MsgspecError, UnicodeError, zstandard.ZstdError):
            return [Finding("journal", f"a record after {max(self._after[0], 0)}", "unreadable")], True
        differences: list[Finding] = []
        for *fields, seq in rows:
            differences += self._number(seq)
            record = LogRecord(*fields)
            self._after = (seq, record.recorded_at)
            self._add(seq, record)
        if len(rows) == _RUN:
            return differences, False
        differences += self._hole(self._last + 1)
        return differences + list(self._days()), True

    def _number(self, seq: int) -> list[Finding]:
        if seq < 1 or seq == self._after[0]:
            return [Finding("journal", str(seq), "unexpected")]
        return self._hole(seq)

    def _hole(self, seq: int) -> list[Finding]:
        """The records before ``seq`` that are missing. Retention leaves holes."""
        first = max(self._after[0], self._pruned_to) + 1
        if seq <= first:
            return []
        return [Finding("journal", str(first) if seq == first + 1 else f"{first} to {seq - 1}", "missing")]

    def _add(self, seq: int, record: LogRecord) -> None:
        day = record.recorded_at // DAY
        stored = self._stored.get(day)
        first = stored.first if stored is not None else self._covered_from
        if first is not None and seq >= first:
            self._found.setdefault(day, _Sum(first)).add(seq, record)

    def _days(self) -> Iterator[Finding]:
        for day in sorted(self._stored.keys() | self._found.keys()):
            stored, found = self._stored.get(day, _Sum(0)), self._found.get(day, _Sum(0))
            first = stored.first or found.first
            columns = tuple(name for name in ("records", "checksum") if getattr(stored, name) != getattr(found, name))
            if columns:
                yield Finding("journal", f"of {_date(day)} from record {first}", "was changed", columns)


def _date(day: int) -> str:
    try:
        return datetime.fromtimestamp(day * 86_400, UTC).strftime("%Y-%m-%d")
    except (OverflowError, ValueError):
        return f"day {day}"


def _started(connection: Connection, cluster: str) -> dict[int, int]:
    """The first record that is counted, by day."""
    table = schema.recorded_days
    query = select(table.c.day, table.c.from_seq).where(table.c.cluster == cluster)
    return {row.day: row.from_seq for row in connection.execute(query)}


def _read(connection: Connection, cluster: str, seqs: Sequence[int]) -> Iterator[tuple[int, LogRecord]]:
    """Records as they were appended."""
    table = schema.journal
    query = select_rows(table, LogRecord).add_columns(table.c.seq)
    for *fields, seq in connection.execute(query.where(table.c.cluster == cluster, table.c.seq.in_(seqs))):
        yield seq, LogRecord(*fields)


def _counted(records: Iterable[tuple[int, LogRecord]], started: dict[int, int]) -> Iterator[tuple[int, LogRecord]]:
    for seq, record in records:
        first = started.get(record.recorded_at // DAY)
        if first is not None and seq >= first:
            yield seq, record


def _sums(records: Iterable[tuple[int, LogRecord]]) -> dict[int, _Sum]:
    """The sums of some records by day."""
    found: defaultdict[int, _Sum] = defaultdict(lambda: _Sum(0))
    for seq, record in records:
        total = found[record.recorded_at // DAY]
        total.first = total.first or seq
        total.records += 1
        total.checksum += checksum(seq, record)
    for total in found.values():
        total.checksum %= MODULUS
    return found
