"""Runs SQL statements of users so that they can only read.

On SQLite, the file is opened with ``mode=ro`` and ``query_only``, and an authorizer denies every action but reading
when the statement is prepared. On PostgreSQL, the statement runs in a read-only transaction that is rolled back,
through the extended protocol (one statement) and a cursor (``DECLARE`` accepts no writing statement), and may call no
volatile function.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from kspan.errors import QueryError
from kspan.query.sql.lexer import Statement
from kspan.query.sql.result import Budget, Result
from kspan.store import Store

_READING: Final = ("SELECT", "WITH", "VALUES", "TABLE", "EXPLAIN")
_OF_SQLITE: Final = ("SELECT", "WITH", "VALUES", "EXPLAIN", "PRAGMA")


@contextlib.contextmanager
def run_statement(
    store: Store,
    statement: Statement,
    parameters: Mapping[str, str | int],
    timeout: float = 0.0,
    limit: int = 0,
    max_bytes: int = 0,
    *,
    shared: bool = False,
) -> Iterator[Result]:
    """Run a statement in a read transaction that lasts as long as the block.

    Args:
        store: the database.
        statement: the statement.
        parameters: values of ``:name``; those that the statement does not use are ignored.
        timeout: seconds until the last row must have been read (0: no limit).
        limit: maximum number of rows that the caller will read (0: all).
        max_bytes: memory that SQLite may take in this process, from now on; a row may have a quarter of it (0: no
            limit). On PostgreSQL, it limits the size of a row.
        shared: this process does other work, too, so that only the size of a row is limited.

    Raises QueryError, also while rows are read, for a statement that is invalid, writes, or takes too long or too much.
    """
    _check(statement, store.dialect)
    for name in sorted(statement.parameters - parameters.keys()):
        raise QueryError(f"the parameter :{name} has no value: set it with -p {name}=VALUE")
    budget = Budget(timeout, max_bytes, shared=shared)
    values = {name: parameters[name] for name in statement.parameters}
    with store.reading("run the statement") as connection:
        driver = connection.connection.driver_connection
        if store.dialect == "sqlite":
            from kspan.query.sql.sqlite import run

            runner: Callable[..., contextlib.AbstractContextManager[Result]] = run
        else:
            from kspan.query.sql.postgresql import run as runner
        with runner(driver, statement, values, budget, limit) as result:
            yield result


def _check(statement: Statement, dialect: str) -> None:
    allowed = _OF_SQLITE if dialect == "sqlite" else _READING
    first = statement.words[0] if statement.words else statement.tokens[0].text
    if first not in allowed:
        raise QueryError(
            f"only reading is allowed: start the statement with {', '.join(allowed[:-1])} or {allowed[-1]}, not {first}"
        )
