"""Somebody's own SQL, run so that it can only read.

What keeps it from writing, on SQLite: the file is opened ``mode=ro`` with ``query_only``, and an authorizer refuses
everything but reading when a statement is prepared. On PostgreSQL: a read-only transaction, the extended protocol (one
statement), a cursor (``DECLARE`` takes nothing that writes), no function that the catalogue calls volatile, and a
rollback at the end.
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
    store: Store, statement: Statement, parameters: Mapping[str, str | int], timeout: float = 0.0, limit: int = 0
) -> Iterator[Result]:
    """Runs a statement in a read transaction of its own, which lasts as long as the block.

    ``parameters`` are the values of ``:name`` (more than it has are no harm). ``timeout`` in seconds, 0: none; only
    what the database takes counts. ``limit`` tells how many rows will be read at most (0: all). Raises QueryError for
    a statement that is none, that writes, or that takes too long, at once or while rows are read.
    """
    _check(statement, store.dialect)
    for name in sorted(statement.parameters - parameters.keys()):
        raise QueryError(f"there is no value for :{name}: give it with -p {name}=VALUE")
    budget = Budget(timeout)
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
        raise QueryError(f"only reading is allowed: a statement begins with {', '.join(allowed)}, not with {first}")
