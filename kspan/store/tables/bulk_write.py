"""Writes many rows at once.

SQLAlchemy compiles each statement once per database. Values go to the driver directly, through encoders that are looked
up once per table: SQLAlchemy's own binding of each row would take a third of the time of a commit.
"""

import re
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

from kspan.store.postgresql import copy as copying
from kspan.store.postgresql.text_escape import to_jsonb
from kspan.store.schema import tables as schema
from kspan.store.schema.column_types import Json, Payload, Word, compress

_Encoder = Callable[[Any], Any]

_DIALECTS: Final[dict[str, Dialect]] = {
    "sqlite": pysqlite.dialect(),
    "postgresql": psycopg.dialect(),  # type: ignore[no-untyped-call]
}

# SQLAlchemy uses the names of columns for the values to be set, so parameters of a WHERE need other names.
_KEY: Final = "key_"
_NAME: Final = re.compile(r"\w+")


class _Statement:
    """A compiled statement: its text and the encoders of its values for the driver.

    Rows have a value for each of ``columns``, in their order. A parameter has the name of its column, with the prefix
    ``key_`` in a condition.
    """

    def __init__(self, columns: Sequence[Any], dialect: str, statement: UpdateBase, names: list[str]) -> None:
        compiled = statement.compile(dialect=_DIALECTS[dialect], column_keys=names)
        self.sql = str(compiled)
        markers = list(compiled.positiontup or ()) if compiled.positional else list(compiled.params)
        place = {column.name: position for position, column in enumerate(columns)}
        used = [place[marker.removeprefix(_KEY)] for marker in markers]
        # Question marks are positional; psycopg's parameters are named.
        self.names = None if compiled.positional else markers
        self.pick = None if used == list(range(len(columns))) else itemgetter(*used)
        self.encoders = [
            (position, encoder)
            for position, column in enumerate(columns)
            if position in used and (encoder := _encoder(column.type, dialect)) is not None
        ]

    def run(self, connection: Connection, rows: Iterable[list[Any]]) -> int:
        """Execute the statement for each row. Returns the number of rows written."""
        encoded = [self._picked(row) for row in self.encoded(rows)]
        if self.names is None:
            return connection.exec_driver_sql(self.sql, encoded).rowcount
        names = self.names
        named = [dict(zip(names, row, strict=True)) for row in encoded]
        return connection.exec_driver_sql(self.sql, named).rowcount

    def encoded(self, rows: Iterable[list[Any]]) -> Iterable[list[Any]]:
        """The rows with values for the driver, still one for every column."""
        for row in rows:
            for position, encode in self.encoders:
                row[position] = encode(row[position])
            yield row

    def _picked(self, row: list[Any]) -> tuple[Any, ...]:
        return tuple(row) if self.pick is None else self.pick(row)


def _encoder(kind: Any, dialect: str) -> _Encoder | None:
    if isinstance(kind, Word):
        return attrgetter("value")
    if isinstance(kind, Json):
        return _json if dialect == "sqlite" else to_jsonb
    if isinstance(kind, Payload):
        return compress if dialect == "sqlite" else _or_null
    return None


def _or_null(payload: bytes) -> bytes | None:
    return payload or None


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def dialect_insert(table: Table, dialect: str) -> sqlite.Insert | postgresql.Insert:
    """An INSERT with ON CONFLICT, which is not standard SQL."""
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
    upsert = statement.on_conflict_do_update(
        index_elements=_names(table.primary_key), set_=changed, where=table.info.get(schema.REPLACED_IF)
    )
    return _Statement(list(table.columns), dialect, upsert, _names(table.columns))


@cache
def _update(table: Table, dialect: str) -> _Statement:
    statement = update(table).where(*(column == bindparam(_KEY + column.name) for column in table.primary_key))
    names = [*not_indexed(table), *(_KEY + column.name for column in table.primary_key)]
    return _Statement(list(table.columns), dialect, statement, names)


@cache
def not_indexed(table: Table) -> list[str]:
    """The columns that are in no index: PostgreSQL writes an index if a statement sets one of its columns at all.

    Only these may change in ``updated_*`` rows of a delta. For an index on another column, change
    ``kspan/graph/state/delta_builder.py``.
    """
    indexed = {column.name for index in table.indexes for column in index.columns}
    indexed |= {name for index in table.indexes for name in _names(table.columns) if name in _condition(index)}
    return [c.name for c in table.columns if not c.primary_key and c.name not in indexed]


def _condition(index: Any) -> set[str]:
    where = index.dialect_options["sqlite"]["where"]
    return set() if where is None else set(_NAME.findall(where.text))


@cache
def _delete(table: Table, dialect: str) -> _Statement:
    keys = list(table.primary_key)
    statement = delete(table).where(*(column == bindparam(_KEY + column.name) for column in keys))
    return _Statement(keys, dialect, statement, [_KEY + column.name for column in keys])


def _whole(cluster: str, rows: Iterable[msgspec.Struct]) -> Iterable[list[Any]]:
    return ([cluster, *msgspec.structs.astuple(row)] for row in rows)


def _are_copied(connection: Connection, rows: Sequence[msgspec.Struct]) -> bool:
    return connection.dialect.name == "postgresql" and len(rows) >= copying.WORTH_IT


def upsert_rows(connection: Connection, table: Table, cluster: str, rows: Sequence[msgspec.Struct]) -> int:
    """Insert or replace rows, except those that the table keeps (``REPLACED_IF``). Of several rows with one key, the
    last is kept.

    Returns:
        The number of rows written.
    """
    if not rows:
        return 0
    statement = _upsert(table, connection.dialect.name)
    if _are_copied(connection, rows):
        return copying.upsert(connection, table, statement.encoded(_whole(cluster, rows)))
    return statement.run(connection, _whole(cluster, rows))


def update_rows(connection: Connection, table: Table, cluster: str, rows: Sequence[msgspec.Struct]) -> None:
    """Update existing rows that change no column of the key or of an index."""
    if not rows:
        return
    if _are_copied(connection, rows):
        encoded = _upsert(table, connection.dialect.name).encoded(_whole(cluster, rows))
        copying.update(connection, table, cluster, encoded, not_indexed(table))
    else:
        _update(table, connection.dialect.name).run(connection, _whole(cluster, rows))


def delete_keys(connection: Connection, table: Table, cluster: str, keys: Sequence[tuple[Any, ...]]) -> None:
    """Delete the rows with these keys (without the cluster), if they exist."""
    if keys:
        _delete(table, connection.dialect.name).run(connection, ([cluster, *key] for key in keys))


def insert_numbered(
    connection: Connection, table: Table, cluster: str, first: int, rows: Sequence[msgspec.Struct]
) -> None:
    """Insert rows, numbered from ``first`` in the column after ``cluster``."""
    if not rows:
        return
    statement = _insert(table, connection.dialect.name)
    numbered = ([cluster, number, *msgspec.structs.astuple(row)] for number, row in enumerate(rows, first))
    if connection.dialect.name == "postgresql":
        copying.insert(connection, table, statement.encoded(numbered))
    else:
        statement.run(connection, numbered)
