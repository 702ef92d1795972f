"""Engines, transactions, SQLite's pragmas, and the translation of database errors."""

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import zstandard
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, SQLAlchemyError, StatementError
from sqlalchemy.pool import ConnectionPoolEntry, QueuePool, StaticPool

from kspan.errors import StoreError
from kspan.store.location import Location
from kspan.store.postgresql import engine as postgres
from kspan.store.read_only import file_uri, readable_uri

PAGE_SIZE: Final = 16384
"""Bytes. Set before the first write, because the page size of an SQLite file in WAL mode cannot be changed."""

_BUSY_TIMEOUT_S: Final = 10.0

STEPS: Final = 10_000
"""Instructions of SQLite's virtual machine between two looks at the time: about a millisecond."""

_WRITER: Final = (
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA cache_size = -32768",  # KiB: the default of 2 MB holds 125 of our pages
    "PRAGMA journal_size_limit = 67108864",
    # Pages, 64 MB. A commit at full speed writes some hundred, many of them repeatedly.
    "PRAGMA wal_autocheckpoint = 4000",
)
_READER: Final = ("PRAGMA query_only = ON", "PRAGMA foreign_keys = ON")

# Everything that a statement can raise. SQLAlchemy passes on errors of the driver that are not DBAPI errors (an integer
# that is too large, a lone surrogate), and our column types decode values.
_ERRORS: Final = (
    SQLAlchemyError,
    sqlite3.Error,
    UnicodeError,
    OverflowError,
    msgspec.MsgspecError,
    zstandard.ZstdError,
)


def make_engine(location: Location, *, read_only: bool) -> Engine:
    """Return an engine for ``location``. Raises StoreError if it cannot be read, or the driver is not installed."""
    if location.url.get_backend_name() == "sqlite":
        return _sqlite_engine(location.path, read_only=read_only)
    return postgres.make_engine(location, read_only=read_only)


def _sqlite_engine(path: Path | None, *, read_only: bool) -> Engine:
    target = ":memory:" if path is None else readable_uri(path) if read_only else file_uri(path, "mode=rwc")

    def connect() -> sqlite3.Connection:
        # isolation_level=None: we run BEGIN ourselves, because the driver omits it before SELECT and CREATE TABLE.
        return sqlite3.connect(target, uri=True, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)

    engine = create_engine("sqlite://", creator=connect, poolclass=StaticPool if path is None else QueuePool)

    @event.listens_for(engine, "connect")
    def set_pragmas(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
        cursor = connection.cursor()
        for pragma in _READER if read_only else _WRITER:
            cursor.execute(pragma)
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        writing = connection.get_execution_options().get("kspan_writing", False)
        # IMMEDIATE: a transaction that begins by reading cannot wait for the write lock later; it would fail.
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")

    return engine


def prepare_file(engine: Engine, location: Location) -> None:
    """Set the page size (if the SQLite file is empty) and WAL mode. Call this before writing."""
    connection = engine.raw_connection()
    try:
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA page_size = {PAGE_SIZE}")
        mode = cursor.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        cursor.close()
    finally:
        connection.close()
    if mode != "wal":
        raise StoreError(
            f"{location.name}: SQLite cannot use WAL mode here: move the database off the network file system"
        )


@contextlib.contextmanager
def transaction(engine: Engine, *, writing: bool) -> Iterator[Connection]:
    """A transaction: committed at the end of the block, rolled back if the block raises.

    An error of the rollback (a full disk, a lost connection) does not hide the error that caused it.
    """
    options: dict[str, Any] = {"kspan_writing": writing}
    if engine.dialect.name == "postgresql":
        # All queries of a reader see one snapshot. A writer that waited for another one sees its changes.
        options["isolation_level"] = "READ COMMITTED" if writing else "REPEATABLE READ"
    with engine.connect().execution_options(**options) as connection:
        try:
            connection.begin()
            yield connection
            connection.commit()
        except BaseException:
            try:
                connection.rollback()
            except Exception:  # the first error is the one to report; this connection is not used again
                connection.invalidate()
            raise


@contextlib.contextmanager
def limited(connection: Connection, seconds: float) -> Iterator[None]:
    """Have the database stop a query of the current transaction that runs ``seconds`` after this began (0: never)."""
    if not seconds:
        yield
    elif connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SET LOCAL statement_timeout = {max(int(seconds * 1000), 1)}")
        yield
    else:
        driver: Any = connection.connection.driver_connection
        until = time.monotonic() + seconds
        driver.set_progress_handler(lambda: time.monotonic() > until, STEPS)
        try:
            yield
        finally:
            driver.set_progress_handler(None, 0)


def take_time(connection: Connection) -> None:
    """Lift the time limits of the current transaction, for rare and long work."""
    if connection.dialect.name == "postgresql":
        for name in ("statement_timeout", "idle_in_transaction_session_timeout"):
            connection.exec_driver_sql(f"SET LOCAL {name} = 0")


@contextlib.contextmanager
def translated(name: str, doing: str) -> Iterator[None]:
    """Translate database errors into a StoreError of one line, chained: ``NAME: cannot DOING: reason``."""
    try:
        yield
    except _ERRORS as error:
        raise StoreError(f"{name}: cannot {doing}: {_reason(error)}") from error


_ABOUT_DATA: Final = (
    StatementError,
    sqlite3.DataError,
    sqlite3.IntegrityError,
    UnicodeError,
    OverflowError,
    msgspec.MsgspecError,
)

_PROGRAM_LIMIT: Final = "54"
"""Class of SQLSTATE. A value that is too long for an index is an operational error on PostgreSQL."""


def is_about_data(error: BaseException) -> bool:
    """True if the database rejected the data: retrying cannot help, leaving the data out does."""
    cause = error.__cause__
    if isinstance(cause, DBAPIError):
        state = getattr(cause.orig, "sqlstate", None) or ""
        return isinstance(cause, DataError | IntegrityError) or state.startswith(_PROGRAM_LIMIT)
    return isinstance(cause, _ABOUT_DATA)


def _reason(error: BaseException) -> str:
    cause: Any = error.orig if isinstance(error, DBAPIError | StatementError) and error.orig else error
    if isinstance(cause, UnicodeDecodeError):
        # Drivers write UTF-8, so the file must be damaged.
        return "the database is damaged: it contains text that is not UTF-8"
    # PostgreSQL's messages have several lines, and SQLAlchemy appends the statement: the first line is enough.
    lines = str(cause).strip().splitlines()
    return lines[0] if lines else type(cause).__name__
