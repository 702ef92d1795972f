"""Writes the schema in ``docs/sql.md`` from the comments of the tables and the descriptions of the views."""

import re
from collections.abc import Iterator
from pathlib import Path

from kspan.query.sql.catalog import TableInfo, catalog
from kspan.store.schema.views import FUNCTIONS

DOCUMENT = Path(__file__).parents[3] / "docs" / "sql.md"

_SCHEMA = re.compile(r"(?<=<!-- begin schema -->\n).*(?=<!-- end schema -->)", re.DOTALL)


def with_schema(text: str) -> str:
    """Return the document with the current schema."""
    return _SCHEMA.sub(lambda _: "\n" + "\n".join(_lines()) + "\n", text)


def _lines() -> Iterator[str]:
    yield "Written by `make docs` from the comments of the tables. Types are SQLite / PostgreSQL if they differ. Text"
    yield "is never NULL; a missing text is empty. Columns described as internal are not part of the interface."
    other = {table.name: table for table in catalog("postgresql")}
    tables = catalog("sqlite")
    for kind, heading in (("view", "Views"), ("table", "Tables")):
        yield f"\n### {heading}"
        for table in tables:
            if table.kind == kind:
                yield from _table(table, other[table.name])
    yield "\n### Functions\n"
    yield "PostgreSQL has these functions; on SQLite only `kspan sql` has them.\n"
    yield "| function | result |\n|---|---|"
    yield from (f"| `{name}` | {_cell(meaning)} |" for name, meaning in FUNCTIONS)


def _table(table: TableInfo, other: TableInfo) -> Iterator[str]:
    key = ", ".join(f"`{column.name}`" for column in table.columns if column.key)
    yield f"\n#### `{table.name}`\n"
    yield f"{table.comment}." + (f" Key: {key}." if key else "")
    yield "\n| column | type | meaning |\n|---|---|---|"
    for column, its in zip(table.columns, other.columns, strict=True):
        types = column.type if column.type == its.type else f"{column.type} / {its.type}"
        yield f"| `{column.name}` | {types} | {_cell(column.comment)} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def questions() -> dict[str, str]:
    """Return the statements of the cookbook, by heading."""
    (cookbook,) = re.findall(r"^## Questions\n(.*?)^## ", DOCUMENT.read_text(), re.DOTALL | re.MULTILINE)
    return dict(re.findall(r"^### ([^\n]*)\n.*?^```sql\n(.*?)^```", cookbook, re.DOTALL | re.MULTILINE))
