"""The journal's partitions on PostgreSQL: one for each day (UTC) of ``recorded_at``, and one for all the rest.

A day's partition is made when its first record comes, or ahead; what none was made for goes to the default one, so no
commit ever fails or waits because of a partition. Each is a change to the table's definition, for which everybody who
works with the table has to be out of it for a moment: it is not waited for longer than ``PATIENCE_MS``, and tried again
later.
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
"""Partitions: each takes planning time from every query of the journal, and a hostile recording has any time."""

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
