"""Writes many rows to PostgreSQL with COPY.

For 500 spans this takes a quarter of the client's time and half of the server's time of single INSERTs. Rows that
replace others are copied into a temporary table first, which is slower for a few rows.
"""

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any, Final

from sqlalchemy import BigInteger, Boolean, Connection, Double, LargeBinary, Table

from kspan.store.postgresql.engine import driver_errors
from kspan.store.postgresql.text_escape import escape
from kspan.store.schema.column_types import Json, Payload
from kspan.store.schema.tables import REPLACED_IF

WORTH_IT: Final = 50
"""Number of rows from which a temporary table is faster."""

_TEXT: Final = "text"

# Types on the wire: JSON is sent as text, which the server turns into JSONB, and payloads as bytes.
_WIRE: Final = (
    (BigInteger, "int8"),
    (Boolean, "bool"),
    (Double, "float8"),
    (LargeBinary, "bytea"),
    (Payload, "bytea"),
)


class _Statements:
    """The statements that write the rows of a table."""

    def __init__(self, table: Table) -> None:
        columns = list(table.columns)
        names = [column.name for column in columns]
        self.stage = f"stage_{table.name}"
        self.types = [next((name for kind, name in _WIRE if isinstance(c.type, kind)), _TEXT) for c in columns]
        self.texts = [i for i, c in enumerate(columns) if self.types[i] == _TEXT and not isinstance(c.type, Json)]
        self.keys = [i for i, c in enumerate(columns) if c.primary_key]
        self.copy = f"COPY {table.name} ({', '.join(names)}) FROM STDIN (FORMAT BINARY)"
        self.copy_stage = self.copy.replace(table.name, self.stage, 1)
        definition = ", ".join(f"{name} {kind}" for name, kind in zip(names, self.types, strict=True))
        self.make_stage = f"CREATE TEMPORARY TABLE IF NOT EXISTS {self.stage} ({definition}) ON COMMIT DELETE ROWS"
        self.values = {c.name: f"s.{c.name}::jsonb" if isinstance(c.type, Json) else f"s.{c.name}" for c in columns}
        key = [column.name for column in table.primary_key]
        self.same = " AND ".join(f"t.{name} = s.{name}" for name in key)
        self.upsert = (
            f"INSERT INTO {table.name} ({', '.join(names)}) SELECT {', '.join(self.values.values())} "  # noqa: S608
            f"FROM {self.stage} AS s ON CONFLICT ({', '.join(key)}) DO UPDATE SET "
            + ", ".join(f"{name} = excluded.{name}" for name in names if name not in key)
            + (f" WHERE {table.info[REPLACED_IF]}" if REPLACED_IF in table.info else "")
        )
        self.name = table.name

    def update(self, changed: Sequence[str]) -> str:
        """The UPDATE of some columns."""
        values = ", ".join(f"{name} = {self.values[name]}" for name in changed)
        source = f"FROM {self.stage} AS s WHERE t.cluster = %s AND {self.same}"
        return f"UPDATE {self.name} AS t SET {values} {source}"  # noqa: S608


_statements = cache(_Statements)


def insert(connection: Connection, table: Table, rows: Iterable[Sequence[Any]]) -> None:
    """COPY new rows into a table without JSON. Rows have the stored values of all columns."""
    way = _statements(table)
    _copy(connection, way, way.copy, rows)


def upsert(connection: Connection, table: Table, rows: Iterable[Sequence[Any]]) -> int:
    """Insert or replace rows. Of several rows with one key, the last is kept. Returns the number of rows written."""
    way = _statements(table)
    _fill(connection, way, rows)
    return connection.exec_driver_sql(way.upsert).rowcount


def update(
    connection: Connection, table: Table, cluster: str, rows: Iterable[Sequence[Any]], changed: Sequence[str]
) -> None:
    """Update the columns ``changed`` of existing rows."""
    way = _statements(table)
    _fill(connection, way, rows)
    connection.exec_driver_sql(way.update(changed), (cluster,))


def _fill(connection: Connection, way: _Statements, rows: Iterable[Sequence[Any]]) -> None:
    last = {tuple(row[place] for place in way.keys): row for row in rows}
    connection.exec_driver_sql(way.make_stage)
    # A rebuild fills the temporary table many times in one transaction.
    if connection.info.get(way.stage) is connection.get_transaction():
        connection.exec_driver_sql(f"TRUNCATE {way.stage}")
    connection.info[way.stage] = connection.get_transaction()
    _copy(connection, way, way.copy_stage, last.values())


def _copy(connection: Connection, way: _Statements, statement: str, rows: Iterable[Sequence[Any]]) -> None:
    driver: Any = connection.connection.driver_connection
    with driver_errors(statement), driver.cursor() as cursor, cursor.copy(statement) as copy:
        copy.set_types(way.types)
        for row in rows:
            copy.write_row(_escaped(row, way.texts))


def _escaped(row: Sequence[Any], texts: Sequence[int]) -> Sequence[Any]:
    # set_types uses the driver's own encoders, which are fast but do not escape NUL.
    for place in texts:
        if (text := escape(row[place])) is not row[place]:
            row = [*row[:place], text, *row[place + 1 :]]
    return row
