"""Runs statements on PostgreSQL."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any, Final

import psycopg
from psycopg import sql

from kspan.errors import QueryError
from kspan.query.sql.lexer import Statement
from kspan.query.sql.result import PAGE, Budget, Result, Row

# Volatile functions without side effects.
_HARMLESS: Final = frozenset(
    {
        "clock_timestamp",
        "gen_random_uuid",
        "pg_database_size",
        "pg_indexes_size",
        "pg_relation_size",
        "pg_table_size",
        "pg_total_relation_size",
        "random",
        "timeofday",
    }
)
_VOLATILE: Final = """
    SELECT p.proname, bool_and(n.nspname = 'pg_catalog') FROM pg_catalog.pg_proc p
    JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
    WHERE p.provolatile = 'v' AND p.proname = ANY(%s) GROUP BY p.proname ORDER BY p.proname
"""
_SETTINGS: Final = """
    SELECT set_config('standard_conforming_strings', 'on', true), set_config('cursor_tuple_fraction', %s, true),
           current_setting('transaction_read_only')
"""
_PAGE_BYTES: Final = 8 * 1024 * 1024
"""Bytes of a page, if its rows are no larger than those before."""

_EXPLAINED: Final = ("SELECT", "WITH", "VALUES", "TABLE")


@contextlib.contextmanager
def run(
    driver: Any, statement: Statement, parameters: Mapping[str, str | int], budget: Budget, limit: int
) -> Iterator[Result]:
    """Run a statement in a read-only transaction, which is rolled back at the end."""
    text, order = statement.numbered()
    # PostgreSQL converts each text to the type that the statement needs.
    values = [str(parameters[name]) for name in order]
    with _rolled_back(driver), _translated_errors(budget):
        _prepare(driver, statement, budget, limit)
        if statement.words[0] == "EXPLAIN":
            yield _explain(driver, statement, text, values)
        else:
            yield from _select(driver, text, values, budget)


@contextlib.contextmanager
def _rolled_back(driver: Any) -> Iterator[None]:
    """Roll back at the end, in case a function wrote in spite of all checks. A lost connection needs no rollback."""
    try:
        yield
    finally:
        with contextlib.suppress(psycopg.Error):
            driver.rollback()


def _prepare(driver: Any, statement: Statement, budget: Budget, limit: int) -> None:
    with driver.cursor() as cursor:
        read_only = cursor.execute(_SETTINGS, ["0.1" if limit else "1"]).fetchone()[2]
        if read_only != "on":
            raise QueryError("the database did not start a read-only transaction")
        volatile = cursor.execute(_VOLATILE, [sorted(statement.names)]).fetchall()
        _limit_time(cursor, budget)
    for name, built_in in volatile:
        if not (built_in and name in _HARMLESS):
            raise QueryError(f"only reading is allowed: the function {name} can write")


def _limit_time(cursor: Any, budget: Budget) -> None:
    if budget.spent:
        raise budget.over()
    if budget.seconds:
        milliseconds = max(1, round(budget.left * 1000))
        cursor.execute(sql.SQL("SET LOCAL statement_timeout = {}").format(milliseconds))


def _explain(driver: Any, statement: Statement, text: str, values: list[str]) -> Result:
    # PostgreSQL allows EXPLAIN ANALYZE of CREATE TABLE AS and SELECT INTO when reading. Unquoted, INTO is never a name.
    if _explained(statement) not in _EXPLAINED or "INTO" in statement.words:
        raise QueryError(f"only reading is allowed: use EXPLAIN with {', '.join(_EXPLAINED[:-1])} or {_EXPLAINED[-1]}")
    # Prepared, because the extended protocol accepts only one statement.
    with psycopg.RawCursor(driver) as cursor:
        cursor.execute(text.encode(), values, prepare=True)
        return Result([column.name for column in cursor.description or ()], iter(cursor.fetchall()))


def _explained(statement: Statement) -> str:
    """Return the first word of the statement after EXPLAIN and its options."""
    tokens = [token for token in statement.tokens[1:] if token.kind != "blank"]
    if tokens and tokens[0].text == "(":
        closing = next((number for number, token in enumerate(tokens) if token.text == ")"), 0)
        tokens = tokens[closing + 1 :]
    words = (token.text.upper() for token in tokens if token.text != "(")
    return next((word for word in words if word not in ("ANALYZE", "VERBOSE")), "")


def _select(driver: Any, text: str, values: list[str], budget: Budget) -> Iterator[Result]:
    # Rolled back before the cursor is left: a cursor ends with its transaction. The CLOSE that psycopg would send is
    # subject to the time limit of the statement, and a cursor whose CLOSE was cancelled is never closed.
    with psycopg.RawServerCursor(driver, "kspan_sql") as cursor, _rolled_back(driver):
        cursor.execute(text.encode(), values)
        # DECLARE does not run the statement. Fetching the first row shows whether it works before output starts.
        first = _fetch(driver, cursor, 1, budget)
        yield Result([column.name for column in cursor.description or ()], _rows(driver, cursor, first, budget))


def _rows(driver: Any, cursor: Any, page: list[Row], budget: Budget) -> Iterator[Row]:
    # Growing pages: a slow statement shows its first rows early, a fast one needs few round trips.
    size, largest = 1, 1
    while True:
        for row in page:
            largest = max(largest, budget.check(row))
            yield row
        if len(page) < size:
            return
        size = min(2 * size, PAGE, max(1, _PAGE_BYTES // largest))
        page = _fetch(driver, cursor, size, budget)


def _fetch(driver: Any, cursor: Any, size: int, budget: Budget) -> list[Row]:
    with _translated_errors(budget):
        with driver.cursor() as settings:
            _limit_time(settings, budget)
        return list(cursor.fetchmany(size))


@contextlib.contextmanager
def _translated_errors(budget: Budget) -> Iterator[None]:
    try:
        yield
    except psycopg.errors.QueryCanceled as error:
        raise budget.over() from error
    except psycopg.errors.ReadOnlySqlTransaction as error:
        raise QueryError(f"only reading is allowed ({_reason(error)})") from error
    except psycopg.Error as error:
        raise QueryError(_reason(error)) from error


def _reason(error: psycopg.Error) -> str:
    text = error.diag.message_primary or str(error).strip() or type(error).__name__
    hint = f" ({error.diag.message_hint})" if error.diag.message_hint else ""
    return " ".join((text + hint).split())
