"""The journal's partitions on PostgreSQL: one for each day (UTC) of ``recorded_at``, and one for all the rest.

A day's partition is made when its first record comes, or ahead; what none was made for goes to the default one, so no
commit ever fails or waits because of a partition. Each is a change to the table's definition, for which everybody who
works with the table has to be out of it for a moment: it is not waited for longer than ``PATIENCE_MS``, and tried again
later.

Pruning drops a partition as a whole once all that is in it is old. What is still needed of it, the newest records of
objects that live, goes to the default partition in the same transaction. A partition of which much is needed, or in
which there is something of another cluster, is not dropped: its records are deleted like SQLite's.
"""

import logging
import re
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from kspan.errors import StoreError
from kspan.model import LogRecord
from kspan.store.journal import last_sequence
from kspan.times import SECOND

if TYPE_CHECKING:
    from kspan.store.store import Store

_logger = logging.getLogger(__name__)

DAY: Final = 86_400 * SECOND

MOST: Final = 1_000
"""Partitions: each takes planning time from every query of the journal, and a hostile recording has any time."""

KEPT: Final = 2_000
"""Records that are moved out of a partition that is dropped; the lock lasts for some 100 ms then."""

PATIENCE_MS: Final = 200

_RETRY_S: Final = 60.0

_LAST_DAY: Final = 100_000
"""The year 2243: nanoseconds of 64 bits end soon after."""

_NAME: Final = re.compile(r"journal_(\d{8})")


def name_of(day: int) -> str:
    """The partition of a day (since 1970)."""
    return datetime.fromtimestamp(day * 86_400, UTC).strftime("journal_%Y%m%d")


def days(connection: Connection) -> set[int]:
    """The days (since 1970) that have a partition."""
    query = "SELECT relname FROM pg_inherits JOIN pg_class ON oid = inhrelid WHERE inhparent = 'journal'::regclass"
    names = connection.execute(text(query)).scalars()
    found = filter(None, map(_NAME.fullmatch, names))
    return {int(datetime.strptime(match[1], "%Y%m%d").replace(tzinfo=UTC).timestamp()) // 86_400 for match in found}


class Partitions:
    """Makes the partitions that a store needs."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._there: set[int] | None = None
        self._not_before: dict[int, float] = {}

    def prepare(self, records: Iterable[LogRecord]) -> None:
        """Make what these records need, and the next day's; what cannot be made at once is tried again later."""
        wanted = {record.recorded_at // DAY for record in records}
        if wanted:
            self.prepare_days(wanted | {max(wanted) + 1})

    def prepare_days(self, days: Iterable[int]) -> None:
        """Make the partitions of these days (since 1970)."""
        wanted = set(days)
        if self._there is not None and wanted <= self._there:
            return
        now = time.monotonic()
        missing = {day for day in wanted if self._not_before.get(day, 0) <= now}
        for day in sorted(missing - self._known()):
            self._make_one(day, now)

    def _known(self) -> set[int]:
        if self._there is None:
            with self._engine.connect() as connection:
                self._there = days(connection)
        return self._there

    def _make_one(self, day: int, now: float) -> None:
        self._not_before[day] = float("inf")
        known = self._known()
        if len(known) >= MOST or not 0 <= day < _LAST_DAY:
            return
        try:
            with self._engine.begin() as connection:
                be_quick(connection)
                # Two that make the same one: the second finds it.
                connection.execute(text("SELECT pg_advisory_xact_lock(hashtextextended('kspan partitions', 0))"))
                connection.exec_driver_sql(
                    f"CREATE TABLE IF NOT EXISTS {name_of(day)} PARTITION OF journal "
                    f"FOR VALUES FROM ({day * DAY}) TO ({(day + 1) * DAY})"
                )
            known.add(day)
        except IntegrityError:
            _logger.debug("the default partition has records of %s already", name_of(day))
        except SQLAlchemyError as error:
            _logger.debug("the partition %s is made later: %s", name_of(day), error)
            self._not_before[day] = now + _RETRY_S


def be_quick(connection: Connection) -> None:
    """Do not stand in a queue for a lock: everybody who comes later would stand behind."""
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = {PATIENCE_MS}")


def prune(store: "Store", cluster: str, before: int) -> int:
    """Drop partitions of the journal in which all is older than ``before`` (Unix ns); how many records went."""
    with store.reading("look for old partitions") as connection:
        names = [name_of(day) for day in sorted(days(connection)) if (day + 1) * DAY <= before]
    return sum(_drop(store, cluster, name, before) for name in names)


def _drop(store: "Store", cluster: str, name: str, before: int) -> int:
    """How many records went: none where something of another cluster, or too much, is needed, or it is being read."""
    with store.reading("look for what is needed of a partition") as connection:
        # A long look, while others write: what is not needed now never will be.
        if _has_others(connection, name, cluster):
            return 0
        last, count, kept = _needed(connection, cluster, name)
    if len(kept) > KEPT:
        return 0
    try:
        with store._write("drop a partition", cluster) as connection:  # noqa: SLF001 -- one package
            be_quick(connection)
            connection.exec_driver_sql(f"ALTER TABLE journal DETACH PARTITION {name}")
            if _has_others(connection, name, cluster) or _is_young(connection, cluster, last, before):
                raise _ChangedError
            connection.exec_driver_sql(f"INSERT INTO journal SELECT * FROM {name} WHERE seq = ANY(%s)", (kept,))  # noqa: S608
            connection.exec_driver_sql(f"DROP TABLE {name}")
            connection.exec_driver_sql(
                "UPDATE fold_state SET pruned_to = greatest(pruned_to, %s) WHERE cluster = %s", (last, cluster)
            )
    except _ChangedError:
        return 0
    except StoreError as error:
        _logger.info("the partition %s is not dropped now: %s", name, error)
        return 0
    return count - len(kept)


class _ChangedError(Exception):
    """The partition is not what it was a moment ago."""


def _has_others(connection: Connection, name: str, cluster: str) -> bool:
    one = f"EXISTS (SELECT FROM {name} WHERE cluster"
    return bool(connection.exec_driver_sql(f"SELECT {one} < %s) OR {one} > %s)", (cluster, cluster)).scalar_one())


def _is_young(connection: Connection, cluster: str, last: int, before: int) -> bool:
    """Whether something before the sequence number ``last`` has to stay: what is pruned goes in the journal's order."""
    query = "SELECT EXISTS (SELECT FROM journal WHERE cluster = %s AND seq < %s AND recorded_at >= %s)"
    return bool(connection.exec_driver_sql(query, (cluster, last, before)).scalar_one())


def _needed(connection: Connection, cluster: str, name: str) -> tuple[int, int, list[int]]:
    """The last sequence number of a partition, how many records it has, and which of them have to stay."""
    last, count = connection.exec_driver_sql(f"SELECT coalesce(max(seq), 0), count(*) FROM {name}").one()  # noqa: S608
    living = (
        f"SELECT j.seq FROM {name} AS j JOIN objects AS o ON o.cluster = j.cluster AND o.uid = j.uid "  # noqa: S608
        "WHERE j.cluster = %s AND j.uid <> '' AND j.type IN ('ADDED', 'MODIFIED', 'LISTED') AND o.deleted_at = 0 "
        f"AND o.resource_version = j.resource_version LIMIT {KEPT + 1}"
    )
    kept = set(connection.exec_driver_sql(living, (cluster,)).scalars())
    # The journal's last record stays: the numbers go on from it.
    if last == last_sequence(connection, cluster):
        kept.add(last)
    return last, count, sorted(kept)
