"""Runs statements of ``kspan sql``: in a database, or by a daemon that serves SQL."""

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

import msgspec

from kspan.cli.common import open_existing, the_cluster
from kspan.cli.sources.source import HistoryOptions
from kspan.errors import KspanError
from kspan.query.sql.answer import SqlAnswer, SqlQuestion, from_wire
from kspan.query.sql.lexer import read_statement
from kspan.query.sql.result import Result
from kspan.query.sql.run import run_statement
from kspan.store import Store
from kspan.web.v1.wire import STATEMENTS

if TYPE_CHECKING:
    from kspan.cli.sources.proxied import ProxiedDaemon


class Limits(msgspec.Struct, frozen=True):
    """Limits of a statement: rows that are read, seconds, bytes of memory (0: none)."""

    rows: int
    seconds: float
    max_bytes: int


class Statements(Protocol):
    """Runs statements that can only read."""

    @property
    def name(self) -> str:
        """Name of the database or the daemon, for people."""
        ...

    @property
    def dialect(self) -> str:
        """sqlite or postgresql."""
        ...

    def run(
        self, text: str, parameters: dict[str, str | int], limits: Limits
    ) -> contextlib.AbstractContextManager[Result]:
        """Yield the result of a statement. Raises QueryError, also while its rows are read, and KspanError."""
        ...


class StoreStatements:
    """Runs statements in a database. ``:cluster`` is ``cluster``, or else the only one."""

    def __init__(self, store: Store, cluster: str) -> None:
        self._store = store
        self._cluster = cluster

    @property
    def name(self) -> str:
        return self._store.name

    @property
    def dialect(self) -> str:
        return self._store.dialect

    @contextlib.contextmanager
    def run(self, text: str, parameters: dict[str, str | int], limits: Limits) -> Iterator[Result]:
        statement = read_statement(text, self._store.dialect)
        if "cluster" in statement.parameters and "cluster" not in parameters:
            parameters = {**parameters, "cluster": the_cluster(self._store, self._cluster)}
        with run_statement(self._store, statement, parameters, limits.seconds, limits.rows, limits.max_bytes) as result:
            yield result


class DaemonStatements:
    """Lets a daemon run statements. Its limits apply, too; a result that they cut ends with KspanError."""

    def __init__(self, asker: "ProxiedDaemon") -> None:
        self._asker = asker
        self._dialect = ""

    @property
    def name(self) -> str:
        return self._asker.name

    @property
    def dialect(self) -> str:
        if not self._dialect:
            self._ask(SqlQuestion("SELECT 1"))
        return self._dialect

    @contextlib.contextmanager
    def run(self, text: str, parameters: dict[str, str | int], limits: Limits) -> Iterator[Result]:
        # One row more than is shown says that there are more.
        rows = limits.rows + 1 if limits.rows else 0
        answer = self._ask(SqlQuestion(text, parameters, rows, limits.seconds))
        yield Result(answer.columns, self._rows(answer, rows))

    def _rows(self, answer: SqlAnswer, asked: int) -> Iterator[tuple[object, ...]]:
        for row in answer.rows:
            try:
                values = tuple(map(from_wire, row))
            except (ValueError, TypeError, ArithmeticError) as error:
                raise self._asker.unreadable(STATEMENTS, str(error)) from error
            yield values
        if answer.more and len(answer.rows) != asked:
            raise KspanError(
                f"{self._asker.name} sends no more than these {len(answer.rows)} rows: select less, or use --limit"
            )

    def _ask(self, question: SqlQuestion) -> SqlAnswer:
        answer = self._asker.post(STATEMENTS, msgspec.to_builtins(question), SqlAnswer)
        self._dialect = answer.dialect
        return answer


@contextlib.contextmanager
def open_statements(options: HistoryOptions) -> Iterator[Statements]:
    """Yield what runs the statements. Raises StoreError, SettingsError, or KspanError for a daemon."""
    if options.remote:
        from kspan.cli.sources.proxied import open_asker

        with open_asker(options) as asker:
            yield DaemonStatements(asker)
        return
    with open_existing(options.db, read_only=True) as store:
        yield StoreStatements(store, options.cluster)
