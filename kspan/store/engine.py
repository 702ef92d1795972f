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
from sqlalchemy.exc import DBAPIError, NoSuchModuleError, SQLAlchemyError, StatementError
from sqlalchemy.pool import ConnectionPoolEntry, QueuePool, StaticPool

from kspan.errors import StoreError
from kspan.store.location import Location

PAGE_SIZE: Final = 16384
"""Bytes. Must be set before the first write: an SQLite file in WAL mode keeps its page size for good."""

_BUSY_TIMEOUT_S: Final = 10.0

_WRITER: Final = (
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA cache_size = -32768",  # KiB: the default of 2 MB is 125 of our pages
    "PRAGMA journal_size_limit = 67108864",
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
    try:
        options = {"postgresql_readonly": True} if read_only else {}
        return create_engine(location.url, execution_options=options)
    except (ModuleNotFoundError, NoSuchModuleError) as error:
        raise StoreError(f"{location.name}: no driver for this database: install kspan[postgres]") from error


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
    with engine.connect().execution_options(kspan_writing=writing) as connection:
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


@contextlib.contextmanager
def translated(name: str, doing: str) -> Iterator[None]:
    """Turn what a database raises into a ``StoreError`` of one line, chained: ``NAME: cannot DOING: reason``."""
    try:
        yield
    except _ERRORS as error:
        raise StoreError(f"{name}: cannot {doing}: {_reason(error)}") from error


def _reason(error: BaseException) -> str:
    cause: Any = error.orig if isinstance(error, DBAPIError | StatementError) and error.orig else error
    # PostgreSQL's messages have several lines, SQLAlchemy's append the statement: the first line says it.
    lines = str(cause).strip().splitlines()
    return lines[0] if lines else type(cause).__name__
