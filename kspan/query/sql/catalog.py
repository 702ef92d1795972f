"""The tables and views of the SQL interface, with a description of each column."""

from typing import Final

import msgspec

from kspan.store.schema.tables import INTERNAL, metadata
from kspan.store.schema.views import VIEWS

_TYPES: Final = {
    "sqlite": {"LargeBinary": "BLOB", "Json": "TEXT", "Payload": "BLOB", "Double": "REAL", "Boolean": "BOOLEAN"},
    "postgresql": {"LargeBinary": "BYTEA", "Json": "JSONB", "Payload": "JSON", "Double": "DOUBLE PRECISION"},
}


class ColumnInfo(msgspec.Struct, frozen=True):
    """A column. ``type`` is the name of the database, ``key`` whether the primary key contains the column."""

    name: str
    type: str
    key: bool
    comment: str


class TableInfo(msgspec.Struct, frozen=True):
    """A table or view (``kind``)."""

    name: str
    kind: str
    comment: str
    columns: tuple[ColumnInfo, ...]


def catalog(dialect: str) -> list[TableInfo]:
    """Return the tables of the interface, then the views."""
    tables = [table for table in metadata.tables.values() if table not in INTERNAL]
    return [
        *(
            TableInfo(
                str(table.name),
                "table",
                str(table.comment),
                tuple(
                    ColumnInfo(str(c.name), _type(type(c.type).__name__, dialect), c.primary_key, str(c.comment))
                    for c in table.columns
                ),
            )
            for table in tables
        ),
        *(
            TableInfo(view.name, "view", view.comment, tuple(ColumnInfo(n, t, False, c) for n, t, c in view.columns))
            for view in VIEWS
        ),
    ]


def _type(name: str, dialect: str) -> str:
    plain = {"Text": "TEXT", "Word": "TEXT", "BigInteger": "BIGINT", "Boolean": "BOOLEAN"}
    return _TYPES[dialect].get(name) or plain[name]
