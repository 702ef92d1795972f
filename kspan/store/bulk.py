"""Writing many rows at once.

SQLAlchemy compiles each statement once, for its database; the values then go to the driver as they are, through
encoders that are looked up once for a table. SQLAlchemy's own binding, row by row, would be a third of the time of
a commit.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from operator import attrgetter, itemgetter
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Dialect, Table, bindparam, delete, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import psycopg
from sqlalchemy.dialects.sqlite import pysqlite
from sqlalchemy.sql.dml import UpdateBase

from kspan.store.types import Json, Payload, Word, compress

_Encoder = Callable[[Any], Any]

_DIALECTS: Final[dict[str, Dialect]] = {
    "sqlite": pysqlite.dialect(),
    "postgresql": psycopg.dialect(),  # type: ignore[no-untyped-call]
}

# SQLAlchemy keeps the names of columns for the values to be set: those of a WHERE need others.
_KEY: Final = "key_"


class _Statement:
    """A compiled statement: its text for the driver, and what turns the values of a row into the driver's.

    It takes rows with a value for each of ``columns``, in their order. A parameter is named as its column is, those of
    a condition with ``key_`` before it.
    """

    def __init__(self, columns: Sequence[Any], dialect: str, statement: UpdateBase, names: list[str]) -> None:
        compiled = statement.compile(dialect=_DIALECTS[dialect], column_keys=names)
        self.sql = str(compiled)
        markers = list(compiled.positiontup or ()) if compiled.positional else list(compiled.params)
        place = {column.name: position for position, column in enumerate(columns)}
        used = [place[marker.removeprefix(_KEY)] for marker in markers]
        # Question marks take values in their order; psycopg's markers are named.
        self.names = None if compiled.positional else markers
        self.pick = None if used == list(range(len(columns))) else itemgetter(*used)
        self.encoders = [
            (position, encoder)
            for position, column in enumerate(columns)
            if position in used and (encoder := _encoder(column.type, dialect)) is not None
        ]

    def run(self, connection: Connection, rows: Iterable[list[Any]]) -> None:
        """Execute it for each row."""
        encoded = [self._encode(row) for row in rows]
        if self.names is not None:
            names = self.names
            connection.exec_driver_sql(self.sql, [dict(zip(names, row, strict=True)) for row in encoded])
        else:
            connection.exec_driver_sql(self.sql, encoded)

    def _encode(self, row: list[Any]) -> tuple[Any, ...]:
        for position, encode in self.encoders:
            row[position] = encode(row[position])
        return tuple(row) if self.pick is None else self.pick(row)


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


def _names(columns: Iterable[Any]) -> list[str]:
    return [column.name for column in columns]


@cache
def _insert(table: Table, dialect: str) -> _Statement:
    return _Statement(list(table.columns), dialect, dialect_insert(table, dialect), _names(table.columns))


@cache
def _upsert(table: Table, dialect: str) -> _Statement:
    statement = dialect_insert(table, dialect)
    changed = {column.name: statement.excluded[column.name] for column in table.columns if not column.primary_key}
    upsert = statement.on_conflict_do_update(index_elements=_names(table.primary_key), set_=changed)
    return _Statement(list(table.columns), dialect, upsert, _names(table.columns))


@cache
def _update(table: Table, dialect: str) -> _Statement:
    """Sets what no index is about: an index with a column among those that are set is written, changed or not."""
    indexed = {column.name for index in table.indexes for column in index.columns}
    indexed |= {name for index in table.indexes for name in _names(table.columns) if name in _condition(index)}
    changed = [c.name for c in table.columns if not c.primary_key and c.name not in indexed]
    statement = update(table).where(*(column == bindparam(_KEY + column.name) for column in table.primary_key))
    return _Statement(list(table.columns), dialect, statement, [*changed, *(_KEY + c.name for c in table.primary_key)])


def _condition(index: Any) -> set[str]:
    where = index.dialect_options["sqlite"]["where"]
    return set() if where is None else set(where.text.split())


@cache
def _delete(table: Table, dialect: str) -> _Statement:
    keys = list(table.primary_key)
    statement = delete(table).where(*(column == bindparam(_KEY + column.name) for column in keys))
    return _Statement(keys, dialect, statement, [_KEY + column.name for column in keys])


def _whole(cluster: str, rows: Iterable[msgspec.Struct]) -> Iterable[list[Any]]:
    return ([cluster, *msgspec.structs.astuple(row)] for row in rows)


def upsert_rows(connection: Connection, table: Table, cluster: str, rows: Sequence[msgspec.Struct]) -> None:
    """Write whole rows, replacing those of the same key; the last of several for one key stays."""
    if rows:
        _upsert(table, connection.dialect.name).run(connection, _whole(cluster, rows))


def update_rows(connection: Connection, table: Table, cluster: str, rows: Sequence[msgspec.Struct]) -> None:
    """Update rows that are there and differ in no column of the key or of an index."""
    if rows:
        _update(table, connection.dialect.name).run(connection, _whole(cluster, rows))


def delete_keys(connection: Connection, table: Table, cluster: str, keys: Sequence[tuple[Any, ...]]) -> None:
    """Delete the rows of these keys (without the cluster), where they are there."""
    if keys:
        _delete(table, connection.dialect.name).run(connection, ([cluster, *key] for key in keys))


def insert_numbered(
    connection: Connection, table: Table, cluster: str, first: int, rows: Sequence[msgspec.Struct]
) -> None:
    """Insert rows that are numbered from ``first`` on, in the column after ``cluster``."""
    if rows:
        statement = _insert(table, connection.dialect.name)
        numbered = enumerate(rows, first)
        statement.run(connection, ([cluster, number, *msgspec.structs.astuple(row)] for number, row in numbered))
