"""The versions of an object that the journal has: the one at a time, and the one before its last change."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, Connection, Select, TextClause, func, select, true, union_all

from kspan.errors import QueryError
from kspan.k8s.resource_version import version_order
from kspan.model import LogRecord, ObjectRow, RecordType
from kspan.query.objects.find import find, is_nameless
from kspan.query.objects.manifest import comparable, decode
from kspan.query.objects.names import ObjectName
from kspan.query.visible import EVERYTHING, Visible
from kspan.store.schema import tables as schema
from kspan.store.tables.rows import CHUNK, select_rows
from kspan.times import LATEST, format_time

_LOOKED_AT: Final = 1_000
"""Versions before the newest that are compared with it. A Node's status alone may have changed thousands of times."""

_BATCH: Final = 50

_DISORDER: Final = 200
"""Records by which the journal may be out of the order of receipt."""


class Version(msgspec.Struct, frozen=True):
    """A version of an object in the journal.

    ``sequence`` is its number there.
    """

    object: ObjectRow
    sequence: int
    record: LogRecord

    @property
    def deleted(self) -> bool:
        """True if this is the last version, after which the object was gone."""
        return self.record.type is RecordType.DELETED


def version_at(
    connection: Connection,
    cluster: str,
    wanted: ObjectName,
    *,
    at: int = 0,
    uid: str = "",
    visible: Visible = EVERYTHING,
) -> Version:
    """Return the newest version of an object that was received until ``at`` (Unix ns; 0: now).

    Raises QueryError if the object is unknown, if its name is ambiguous, and if the journal has no such version.
    """
    found = find(connection, cluster, wanted, uid=uid, at=at, visible=visible).object
    newest = newest_versions(
        connection, cluster, found, 1, until=at or LATEST, below=first_after(connection, cluster, at) if at else 0
    )
    if newest:
        return newest[0]
    raise QueryError(_no_version(connection, cluster, found, at))


def version_before(connection: Connection, cluster: str, version: Version, *, status: bool = False) -> Version | None:
    """Return the newest earlier version that differs in more than what is hidden; None if there is none.

    Args:
        version: a version of the object.
        status: compare the status too.
    """
    now, before = comparable(decode(version.record.payload), status=status), version.sequence
    for _ in range(0, _LOOKED_AT, _BATCH):
        earlier = _read(connection, cluster, version.object, true(), limit=_BATCH, below=before)
        for each in earlier:
            if comparable(decode(each.record.payload), status=status) != now:
                return each
        if len(earlier) < _BATCH:
            return None
        before = earlier[-1].sequence
    return None


def newest_versions(
    connection: Connection, cluster: str, found: ObjectRow, limit: int, *, until: int = LATEST, below: int = 0
) -> list[Version]:
    """Return the newest versions of an object that were received until a time (Unix ns), newest first.

    ``below`` is what ``first_after`` returns for that time: without it, all later versions are looked at, too.
    """
    return _read(connection, cluster, found, schema.journal.c.recorded_at <= until, limit=limit, below=below)


def newest_of_each(
    connection: Connection, cluster: str, found: Sequence[ObjectRow], *, until: int = LATEST, below: int = 0
) -> dict[str, Version]:
    """Return the newest version of each of some objects, by uid, as ``newest_versions``; in two statements.

    Objects of which the journal has no version are missing. The caller bounds the number of objects.
    """
    table = schema.journal
    newest = [select(func.max(table.c.seq)).where(*_records_of(cluster, each)) for each in found]
    newest = [query.where(table.c.seq < below) for query in newest] if below else newest
    numbers = connection.execute(union_all(*newest)).scalars().all() if newest else []
    here = (table.c.cluster == cluster, table.c.seq.in_([number for number in numbers if number is not None]))
    read = {row[-1]: LogRecord(*row[:-1]) for row in connection.execute(_with_number().where(*here))}
    by_uid = {each.uid: each for each in found}
    versions = {record.uid: Version(by_uid[record.uid], number, record) for number, record in read.items()}
    # The journal may be out of order by some records.
    wrong = [uid for uid, each in versions.items() if each.record.recorded_at > until or not each.record.payload]
    for uid in wrong:
        before = newest_versions(connection, cluster, by_uid[uid], 1, until=until, below=versions.pop(uid).sequence)
        versions |= {uid: before[0]} if before else {}
    return versions


def _with_number() -> Select[Any]:
    return select_rows(schema.journal, LogRecord).add_columns(schema.journal.c.seq)


def first_after(connection: Connection, cluster: str, time: int) -> int:
    """Return a number in the journal below which are all records that were received until a time (Unix ns).

    Few records below it are later; 0: it is the end. The journal has no index by time, but its records are in order of
    receipt, so that a bisection finds it.
    """
    seq, recorded_at = schema.journal.c.seq, schema.journal.c.recorded_at
    mine = schema.journal.c.cluster == cluster
    ends = [select(seq).where(mine, seq > 0).order_by(order).limit(1) for order in (seq, seq.desc())]
    low, last = (connection.execute(end).scalar() or 0 for end in ends)
    high = last + 1
    end = high
    while low < high:
        middle = (low + high) // 2
        # Retention deletes records, so the next one counts.
        query = select(seq, recorded_at).where(mine, seq >= middle, seq < high).order_by(seq).limit(1)
        row = connection.execute(query).first()
        if row is None or row[1] > time:
            high = middle
        else:
            low = row[0] + 1
    return 0 if low >= end else low + _DISORDER


def oldest_version(connection: Connection, cluster: str, found: ObjectRow) -> Version | None:
    """Return the oldest version of an object that the journal has; None if it has none."""
    table = schema.journal
    oldest = select(table.c.seq).where(*_records_of(cluster, found)).order_by(table.c.seq).limit(1)
    number = connection.execute(oldest).scalar()
    query = select_rows(table, LogRecord).where(table.c.cluster == cluster, table.c.seq == number)
    row = connection.execute(query).first() if number is not None else None
    return Version(found, number, LogRecord(*row)) if number is not None and row is not None else None


def version_numbered(
    connection: Connection,
    cluster: str,
    wanted: ObjectName,
    resource_version: str,
    *,
    uid: str = "",
    visible: Visible = EVERYTHING,
) -> Version | None:
    """Return the version of an object with a resourceVersion; None if the journal has none.

    Raises QueryError if the object is unknown or its name is ambiguous.
    """
    found = find(connection, cluster, wanted, uid=uid, visible=visible).object
    here = schema.journal.c.resource_version == resource_version
    newest = _read(connection, cluster, found, here, limit=1, runs=1)
    if not newest and (below := _after_version(connection, cluster, found, resource_version)):
        newest = _read(connection, cluster, found, here, limit=1, runs=1, below=below)
    if not newest:
        newest = _read(connection, cluster, found, here, limit=1)
    return newest[0] if newest else None


def _after_version(connection: Connection, cluster: str, found: ObjectRow, resource_version: str) -> int:
    """Return a number in the journal below which are all records of an object up to a resourceVersion; 0 if unknown.

    Found by bisection: resourceVersions increase, unless they are no numbers or started over (a restored etcd).
    """
    table, wanted = schema.journal.c, version_order(resource_version)
    records, mine = _records_of(cluster, found), table.cluster == cluster
    known = select(table.seq, table.epoch).where(mine)
    ends = [select(end(table.seq)).where(*records).scalar_subquery() for end in (func.min, func.max)]
    first, last = (connection.execute(known.where(table.seq == end)).first() for end in ends)
    if wanted < 0 or first is None or last is None or first.epoch != last.epoch:
        return 0
    low, high = int(first.seq), int(last.seq) + 1
    while low < high:
        middle = (low + high) // 2
        at_middle = select(func.min(table.seq)).where(*records, table.seq >= middle).scalar_subquery()
        query = select(table.seq, table.resource_version).where(mine, table.seq == at_middle)
        seq, version = connection.execute(query).one()
        low, high = (low, middle) if version_order(version) > wanted else (seq + 1, high)
    return high


def _read(
    connection: Connection,
    cluster: str,
    found: ObjectRow,
    until: ColumnElement[bool],
    *,
    limit: int,
    below: int = 0,
    runs: int | None = None,
) -> list[Version]:
    """Return versions of an object that match a condition, newest first; with ``below`` those before that number.

    ``runs`` is how many runs of records are looked at (None: all).
    """
    table, versions = schema.journal, list[Version]()
    for numbers in islice(_numbers(connection, cluster, found, below), runs):
        here = (table.c.cluster == cluster, table.c.seq.in_(numbers), table.c.payload.is_not(None), until)
        # An expression, not the column: else PostgreSQL walks the journal backwards until it meets one of the numbers.
        query = select_rows(table, LogRecord).add_columns(table.c.seq).where(*here).order_by((table.c.seq + 0).desc())
        rows = connection.execute(query.limit(limit - len(versions)))
        versions += [Version(found, row[-1], LogRecord(*row[:-1])) for row in rows]
        if len(versions) == limit:
            break
    return versions


def _numbers(connection: Connection, cluster: str, found: ObjectRow, below: int) -> Iterator[Sequence[int]]:
    """Yield the sequence numbers of the records of an object in runs, newest first.

    They are read from the index alone. In one statement with the records, SQLite walks through the whole journal.
    """
    seq = schema.journal.c.seq
    size = _BATCH
    while True:
        query = select(seq).where(*_records_of(cluster, found))
        query = query.where(seq < below) if below else query
        run = connection.execute(query.order_by(seq.desc()).limit(size)).scalars().all()
        if run:
            yield run
        if len(run) < size:
            return
        below, size = run[-1], min(size * 4, CHUNK)


def _records_of(cluster: str, found: ObjectRow) -> tuple[ColumnElement[bool] | TextClause, ...]:
    """The conditions of all records of an object; an index has them."""
    table = schema.journal.c
    return (
        table.cluster == cluster,
        table.kind == found.kind,
        table.namespace == found.namespace,
        table.name == found.name,
        table.uid == found.uid,
        schema.HAS_UID,
    )


def _no_version(connection: Connection, cluster: str, found: ObjectRow, at: int) -> str:
    name = f"{found.kind} {f'{found.namespace}/' if found.namespace else ''}{found.name}"
    if is_nameless(found) or not found.resource:
        return f"{name} was only mentioned by others: kspan does not watch it, or did not then"
    if not at:
        return f"the journal has no version of {name} any more"
    first = _first(connection, cluster, found)
    return f"the journal has no version of {name} from before {format_time(at)[:19]}Z; its first is from {first}"


def _first(connection: Connection, cluster: str, found: ObjectRow) -> str:
    oldest = oldest_version(connection, cluster, found)
    return f"{format_time(oldest.record.recorded_at)[:19]}Z" if oldest is not None else "no time that is known"
