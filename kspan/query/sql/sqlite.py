"""Runs statements on SQLite."""

import contextlib
import sqlite3
from collections.abc import Iterator, Mapping
from typing import Any, Final

from kspan.errors import QueryError
from kspan.query.sql.lexer import Statement
from kspan.query.sql.result import Budget, Result, Row
from kspan.store.engine import STEPS
from kspan.store.schema.column_types import decompress
from kspan.times import format_time

_READING: Final = frozenset(
    {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}
)
# Pragmas without a value, and pragmas whose value is the name of a table or index.
_PRAGMAS: Final = frozenset(
    {
        "collation_list",
        "compile_options",
        "data_version",
        "database_list",
        "encoding",
        "freelist_count",
        "function_list",
        "journal_mode",
        "page_count",
        "page_size",
        "table_list",
        "user_version",
    }
)
_TABLE_PRAGMAS: Final = frozenset(
    {"foreign_key_list", "index_info", "index_list", "index_xinfo", "table_info", "table_list", "table_xinfo"}
)
_REFUSED_FUNCTIONS: Final = frozenset({"fts3_tokenizer", "load_extension"})


@contextlib.contextmanager
def run(
    driver: Any, statement: Statement, parameters: Mapping[str, str | int], budget: Budget, _limit: int
) -> Iterator[Result]:
    """Run a statement on a read-only connection."""
    values = {name: _as_number(value) for name, value in parameters.items()}
    with _guarded(driver, budget), contextlib.closing(driver.cursor()) as cursor, _translated_errors(budget):
        cursor.execute(statement.text, values)
        yield Result([column[0] for column in cursor.description or ()], _rows(cursor, budget))


def _rows(cursor: sqlite3.Cursor, budget: Budget) -> Iterator[Row]:
    with _translated_errors(budget):
        for row in cursor:
            budget.check(row)
            yield row


@contextlib.contextmanager
def _guarded(driver: sqlite3.Connection, budget: Budget) -> Iterator[None]:
    factory = driver.text_factory
    driver.text_factory = _text
    # On PostgreSQL, the migrations create these functions.
    driver.create_function("payload_json", 1, _payload_json, deterministic=True)
    driver.create_function("utc", 1, _utc, deterministic=True)
    driver.set_progress_handler(lambda: budget.spent, STEPS)
    longest = driver.getlimit(sqlite3.SQLITE_LIMIT_LENGTH)
    if budget.max_bytes:
        if not budget.shared:
            # For all of the process, and it can only be lowered.
            driver.execute(f"PRAGMA hard_heap_limit = {budget.max_bytes}").close()
        driver.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, min(budget.row_bytes, longest))
    driver.set_authorizer(authorize)
    try:
        yield
    finally:
        driver.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, longest)
        driver.set_progress_handler(None, 0)
        driver.set_authorizer(None)
        driver.text_factory = factory


def authorize(action: int, first: str | None, second: str | None, _database: str | None, _inner: str | None) -> int:
    """Allow or deny an action of a statement (callback of ``sqlite3_set_authorizer``)."""
    if action == sqlite3.SQLITE_PRAGMA:
        pragma = (first or "").lower()
        allowed = pragma in _PRAGMAS if second is None else pragma in _TABLE_PRAGMAS
    elif action == sqlite3.SQLITE_FUNCTION:
        allowed = (second or "").lower() not in _REFUSED_FUNCTIONS
    else:
        allowed = action in _READING
    return sqlite3.SQLITE_OK if allowed else sqlite3.SQLITE_DENY


@contextlib.contextmanager
def _translated_errors(budget: Budget) -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        if getattr(error, "sqlite_errorcode", 0) != sqlite3.SQLITE_INTERRUPT:
            raise QueryError(_reason(error)) from error
        if not budget.spent:
            # Ctrl-C during a call of SQLite: it was raised in the progress handler, and SQLite discarded it.
            raise KeyboardInterrupt from error
        raise budget.over() from error
    except MemoryError as error:
        raise budget.too_large() from error
    except sqlite3.DataError as error:
        if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_TOOBIG and budget.max_bytes:
            raise budget.too_large() from error
        raise QueryError(_reason(error)) from error
    except (sqlite3.Error, sqlite3.Warning, OverflowError, ValueError) as error:
        raise QueryError(_reason(error)) from error


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    if "prohibited" in text or "not authorized" in text:
        return f"only reading is allowed ({text})"
    return text


def _as_number(value: str | int) -> str | int | float:
    """Convert a number, because SQLite compares expressions with text as text: ``1 < '0'``."""
    if isinstance(value, int):
        return value
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            if str(kind(value)) == value:
                return kind(value)
    return value


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def _utc(ns: int | None) -> str | None:
    return f"{format_time(ns)[:23]}Z" if ns and ns > 0 else None


def _payload_json(payload: bytes | None) -> str | None:
    return None if payload is None else _text(decompress(payload))
