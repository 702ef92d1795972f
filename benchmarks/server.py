"""Prepares a PostgreSQL server for a benchmark, and measures its processor time."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, make_url
from sqlalchemy.exc import SQLAlchemyError

from benchmarks.table import say
from kspan.store import Store, open_store

EMPTY: Final = "growth_empty"
"""The schema of the empty store: same server, same database, same settings."""

SETTINGS: Final = (
    "server_version",
    "shared_buffers",
    "max_wal_size",
    "checkpoint_timeout",
    "fsync",
    "synchronous_commit",
    "full_page_writes",
    "jit",
)


@contextmanager
def alone(store: Store) -> Iterator[Connection]:
    """A connection with autocommit and without timeouts."""
    with store.reading("find the server") as connection:
        engine = connection.engine
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("SET statement_timeout = 0")
        connection.exec_driver_sql("SET lock_timeout = 0")
        yield connection
        connection.invalidate()


@contextmanager
def empty_beside(store: Store, url: str) -> Iterator[Store]:
    """An empty store in a schema of its own beside a store on PostgreSQL."""
    with alone(store) as connection:
        connection.exec_driver_sql(f"CREATE SCHEMA {EMPTY}")
    try:
        place = make_url(url).update_query_dict({"options": f"-csearch_path={EMPTY}"})
        with open_store(place.render_as_string(hide_password=False)) as empty:
            yield empty
    finally:
        with alone(store) as connection:
            connection.exec_driver_sql(f"DROP SCHEMA {EMPTY} CASCADE")


def settle(store: Store) -> None:
    """Vacuum and make a checkpoint: a store that grew over months has had both."""
    if store.dialect != "postgresql":
        return
    with alone(store) as connection:
        say("VACUUM, ANALYZE, CHECKPOINT")
        connection.exec_driver_sql("VACUUM (ANALYZE)")
        try:
            connection.exec_driver_sql("CHECKPOINT")
        except SQLAlchemyError:
            say("no CHECKPOINT: it requires a superuser")


def settings_of(store: Store) -> str:
    """The server settings that influence the figures."""
    if store.dialect != "postgresql":
        return ""
    with store.reading("read the settings") as connection:
        return ", ".join(f"{name} {connection.exec_driver_sql(f'SHOW {name}').scalar_one()}" for name in SETTINGS)


class ServerTime:
    """The processor time of a server on this machine. Comparisons run in turns, so the time in a turn belongs to it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._pids: list[int] = []
        self.is_known = False
        self.find()

    def find(self) -> None:
        """Find the current sessions."""
        if self._store.dialect != "postgresql":
            return
        query = (
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend'"
        )
        with self._store.reading("look for sessions") as connection:
            self._pids = list(connection.exec_driver_sql(query).scalars())
        self.is_known = bool(self._pids) and all(_name(pid) == "postgres" for pid in self._pids)

    def used(self) -> float:
        """Seconds of all session processes so far; 0 if unknown."""
        return sum(map(_spent, self._pids)) if self.is_known else 0.0


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def _spent(pid: int) -> float:
    """Of utime and stime, in ns and not in ticks."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9
    except OSError:
        return 0.0
