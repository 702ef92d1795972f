"""Partitions of the journal on PostgreSQL: one per day (UTC) of ``recorded_at``, and a default one.

A partition is created before its first record is written. Records without a partition are stored in the default one,
so no commit fails or waits for a partition. Creating one needs an exclusive lock on the journal for a moment. kspan
waits at most ``LOCK_TIMEOUT_MS`` for it and tries again later.
"""

import logging
import re
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from kspan.model import LogRecord
from kspan.times import SECOND

_logger = logging.getLogger(__name__)

DAY: Final = 86_400 * SECOND

MOST: Final = 1_000
"""Most partitions. Each one adds planning time to every query, and a recording may contain any times."""

LOCK_TIMEOUT_MS: Final = 200

_RETRY_S: Final = 60.0

_LAST_DAY: Final = 100_000
"""Days since 1970: the year 2243. Nanoseconds in 64 bits end soon after."""

_NAME: Final = re.compile(r"journal_(\d{8})")


def name_of(day: int) -> str:
    """Name of the partition of a day (days since 1970)."""
    return datetime.fromtimestamp(day * 86_400, UTC).strftime("journal_%Y%m%d")


def days(connection: Connection) -> set[int]:
    """The days (since 1970) with a partition."""
    query = "SELECT relname FROM pg_inherits JOIN pg_class ON oid = inhrelid WHERE inhparent = 'journal'::regclass"
    names = connection.execute(text(query)).scalars()
    found = filter(None, map(_NAME.fullmatch, names))
    return {int(datetime.strptime(match[1], "%Y%m%d").replace(tzinfo=UTC).timestamp()) // 86_400 for match in found}


class Partitions:
    """Creates the partitions that a store needs."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._existing: set[int] | None = None
        self._not_before: dict[int, float] = {}

    def prepare(self, records: Iterable[LogRecord]) -> None:
        """Create the partitions for some records and for the next day. If one cannot be created now, retry later."""
        wanted = {record.recorded_at // DAY for record in records}
        if wanted:
            self.prepare_days(wanted | {max(wanted) + 1})

    def prepare_days(self, days: Iterable[int]) -> None:
        """Create the partitions of some days (since 1970)."""
        wanted = set(days)
        if self._existing is not None and wanted <= self._existing:
            return
        now = time.monotonic()
        missing = {day for day in wanted if self._not_before.get(day, 0) <= now}
        for day in sorted(missing - self._known()):
            self._create(day, now)

    def _known(self) -> set[int]:
        if self._existing is None:
            with self._engine.connect() as connection:
                self._existing = days(connection)
        return self._existing

    def _create(self, day: int, now: float) -> None:
        self._not_before[day] = float("inf")
        known = self._known()
        if len(known) >= MOST or not 0 <= day < _LAST_DAY:
            return
        try:
            with self._engine.begin() as connection:
                limit_lock_wait(connection)
                # If two processes create the same partition, the second one finds it.
                connection.execute(text("SELECT pg_advisory_xact_lock(hashtextextended('kspan partitions', 0))"))
                connection.exec_driver_sql(
                    f"CREATE TABLE IF NOT EXISTS {name_of(day)} PARTITION OF journal "
                    f"FOR VALUES FROM ({day * DAY}) TO ({(day + 1) * DAY})"
                )
            known.add(day)
        except IntegrityError:
            _logger.debug("the default partition already has records of %s", name_of(day))
        except SQLAlchemyError as error:
            _logger.debug("partition %s cannot be created now, will retry: %s", name_of(day), error)
            self._not_before[day] = now + _RETRY_S


def limit_lock_wait(connection: Connection) -> None:
    """Limit the wait for locks: all later queries of the table would queue behind it."""
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}")
