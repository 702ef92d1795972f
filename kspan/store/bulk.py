"""Writing many rows at once.

SQLAlchemy compiles each statement once, for its database; the values then go to the driver as they are, through
encoders that are looked up once for a table. SQLAlchemy's own binding, row by row, would be a third of the time of
a commit.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from operator import attrgetter
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Dialect, Insert, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import psycopg
from sqlalchemy.dialects.sqlite import pysqlite

from kspan.store.types import Json, Payload, Word, compress

_Encoder = Callable[[Any], Any]

_DIALECTS: Final[dict[str, Dialect]] = {
    "sqlite": pysqlite.dialect(),
    "postgresql": psycopg.dialect(),  # type: ignore[no-untyped-call]
}


class _Statement:
    """A compiled INSERT: its text for the driver, and what turns the values of a row into the driver's."""

    def __init__(self, table: Table, dialect: str, statement: Insert) -> None:
        columns = [column for column in table.columns if column.computed is None]
        names = [column.name for column in columns]
        compiled = statement.compile(dialect=_DIALECTS[dialect], column_keys=names)
        self.sql = str(compiled)
        # Question marks take values in the table's order; psycopg's markers are named.
        self.names = None if compiled.positional else names
        self.encoders = [
            (position, encoder)
            for position, column in enumerate(columns)
            if (encoder := _encoder(column.type, dialect)) is not None
        ]

    def run(self, connection: Connection, rows: Iterable[list[Any]]) -> None:
        """Insert rows, each with a value for every column of the table, in its order."""
        encoded = [self._encode(row) for row in rows]
        if self.names is None:
            connection.exec_driver_sql(self.sql, [tuple(row) for row in encoded])
        else:
            names = self.names
            connection.exec_driver_sql(self.sql, [dict(zip(names, row, strict=True)) for row in encoded])

    def _encode(self, row: list[Any]) -> list[Any]:
        for position, encode in self.encoders:
            row[position] = encode(row[position])
        return row


def _encoder(kind: Any, dialect: str) -> _Encoder | None:
    if isinstance(kind, Word):
        return attrgetter("value")
    if isinstance(kind, Json):
        return _json
    if isinstance(kind, Payload):
        return compress if dialect == "sqlite" else _text
    return None


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _text(payload: bytes) -> str | None:
    return payload.decode() if payload else None


def dialect_insert(table: Table, dialect: str) -> sqlite.Insert | postgresql.Insert:
    """An INSERT that knows ON CONFLICT, which is no standard SQL."""
    return sqlite.insert(table) if dialect == "sqlite" else postgresql.insert(table)


@cache
def _insert(table: Table, dialect: str) -> _Statement:
    return _Statement(table, dialect, dialect_insert(table, dialect))


@cache
def _upsert(table: Table, dialect: str) -> _Statement:
    statement = dialect_insert(table, dialect)
    key = [column.name for column in table.primary_key]
    changed = {column.name: statement.excluded[column.name] for column in table.columns if not column.primary_key}
    return _Statement(table, dialect, statement.on_conflict_do_update(index_elements=key, set_=changed))


def upsert_rows(connection: Connection, table: Table, cluster: str, rows: Sequence[msgspec.Struct]) -> None:
    """Write whole rows, replacing those of the same key; the last of several for one key stays."""
    if rows:
        statement = _upsert(table, connection.dialect.name)
        statement.run(connection, ([cluster, *msgspec.structs.astuple(row)] for row in rows))


def insert_numbered(
    connection: Connection, table: Table, cluster: str, first: int, rows: Sequence[msgspec.Struct]
) -> None:
    """Insert rows that are numbered from ``first`` on, in the column after ``cluster``."""
    if rows:
        statement = _insert(table, connection.dialect.name)
        numbered = enumerate(rows, first)
        statement.run(connection, ([cluster, number, *msgspec.structs.astuple(row)] for number, row in numbered))
