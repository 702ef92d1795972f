"""Connections: SQLite's pragmas, transactions, and the translation of what a database says when it fails."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import msgspec
import zstandard
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, SQLAlchemyError, StatementError
from sqlalchemy.pool import ConnectionPoolEntry, QueuePool, StaticPool

from kspan.errors import StoreError
from kspan.store.location import Location
from kspan.store.postgresql import engine as postgres

PAGE_SIZE: Final = 16384
"""Bytes. Must be set before the first write: an SQLite file in WAL mode keeps its page size for good."""

_BUSY_TIMEOUT_S: Final = 10.0

_WRITER: Final = (
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA cache_size = -32768",  # KiB: the default of 2 MB is 125 of our pages
    "PRAGMA journal_size_limit = 67108864",
    # Pages, 64 MB: at full speed a commit writes some hundred, and many of them again and again.
    "PRAGMA wal_autocheckpoint = 4000",
)
_READER: Final = ("PRAGMA query_only = ON", "PRAGMA foreign_keys = ON")

# What a statement can raise: SQLAlchemy lets what the driver raises outside of the DBAPI's own errors through (an
# integer that is too large, a lone surrogate), and our column types decode.
_ERRORS: Final = (
    SQLAlchemyError,
    sqlite3.Error,
    UnicodeError,
    OverflowError,
    msgspec.MsgspecError,
    zstandard.ZstdError,
)


def make_engine(location: Location, *, read_only: bool) -> Engine:
    """An engine on ``location``; nothing is opened yet. Raises ``StoreError`` where the driver is not installed."""
    if location.url.get_backend_name() == "sqlite":
        return _sqlite_engine(location.path, read_only=read_only)
    return postgres.make_engine(location, read_only=read_only)


def _sqlite_engine(path: Path | None, *, read_only: bool) -> Engine:
    target = ":memory:" if path is None else f"file:{quote(str(path.absolute()))}?mode={'ro' if read_only else 'rwc'}"

    def connect() -> sqlite3.Connection:
        # isolation_level=None: we say BEGIN ourselves, as the driver would not before a SELECT or a CREATE TABLE.
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
        # IMMEDIATE: a reader that turns writer half-way cannot wait for a lock, it fails.
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")

    return engine


def prepare_file(engine: Engine, location: Location) -> None:
    """Give an SQLite file what stays with it: the page size (while it is empty) and WAL mode. Call before writing."""
    connection = engine.raw_connection()
    try:
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA page_size = {PAGE_SIZE}")
        mode = cursor.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        cursor.close()
    finally:
        connection.close()
    if mode != "wal":
        raise StoreError(f"{location.name}: cannot use SQLite's WAL mode here (is it on a network file system?)")


@contextlib.contextmanager
def transaction(engine: Engine, *, writing: bool) -> Iterator[Connection]:
    """One transaction: committed at the end of the block, rolled back on whatever is raised in it.

    A rollback that fails too (a full disk, a connection that is gone) never hides the error that led to it.
    """
    options: dict[str, Any] = {"kspan_writing": writing}
    if engine.dialect.name == "postgresql":
        # Several queries of a reader are about one moment; a writer waits for another and then sees what that did.
        options["isolation_level"] = "READ COMMITTED" if writing else "REPEATABLE READ"
    with engine.connect().execution_options(**options) as connection:
        try:
            connection.begin()
            yield connection
            connection.commit()
        except BaseException:
            try:
                connection.rollback()
            except Exception:  # the first error is the one to tell; this connection is not used again
                connection.invalidate()
            raise


def take_time(connection: Connection) -> None:
    """Let the transaction of ``connection`` last as long as it likes; for what is done once."""
    if connection.dialect.name == "postgresql":
        for name in ("statement_timeout", "idle_in_transaction_session_timeout"):
            connection.exec_driver_sql(f"SET LOCAL {name} = 0")


@contextlib.contextmanager
def translated(name: str, doing: str) -> Iterator[None]:
    """Turn what a database raises into a ``StoreError`` of one line, chained: ``NAME: cannot DOING: reason``."""
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
"""Class of SQLSTATE: PostgreSQL has a limit for what goes into an index, and calls it an operational error."""


def is_about_data(error: BaseException) -> bool:
    """Whether the database refused what it was given: trying again cannot help, leaving it out does."""
    cause = error.__cause__
    if isinstance(cause, DBAPIError):
        state = getattr(cause.orig, "sqlstate", None) or ""
        return isinstance(cause, DataError | IntegrityError) or state.startswith(_PROGRAM_LIMIT)
    return isinstance(cause, _ABOUT_DATA)


def _reason(error: BaseException) -> str:
    cause: Any = error.orig if isinstance(error, DBAPIError | StatementError) and error.orig else error
    if isinstance(cause, UnicodeDecodeError):
        # What a driver writes is UTF-8: only a damaged file has anything else.
        return "the database is damaged: it has text that is not UTF-8"
    # PostgreSQL's messages have several lines, SQLAlchemy's append the statement: the first line says it.
    lines = str(cause).strip().splitlines()
    return lines[0] if lines else type(cause).__name__
