"""Runs statements and shows the schema, for the command line and the prompt of ``kspan sql``."""

import sys
import time
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any, Final

import msgspec

from kspan.cli.render.table import write_rows
from kspan.cli.sources.statements import Limits, Statements
from kspan.errors import QueryError, SettingsError
from kspan.query.sql.catalog import TableInfo, catalog
from kspan.query.time_args import parse_moment

ROWS: Final = 1000
"""Default --limit of a table, which people read. The formats for programs have no limit."""


class SqlOptions(msgspec.Struct):
    """The options of ``kspan sql``: ``limit`` in rows (0: all), ``timeout`` in seconds, ``max_bytes`` (0: no limit)."""

    output: str
    limit: int | None
    timeout: float
    max_bytes: int
    parameters: dict[str, str | int]
    headers: bool = True

    @property
    def rows(self) -> int:
        """The maximum number of rows (0: all)."""
        if self.limit is None:
            return ROWS if self.output == "table" else 0
        return self.limit


def run_and_print(statements: Statements, text: str, options: SqlOptions) -> int:
    """Run a statement, print its rows and return their number. Raises QueryError."""
    limit = options.rows
    limits = Limits(limit, options.timeout, options.max_bytes)
    with statements.run(text, options.parameters, limits) as result:
        rows = _Limited(result.rows, limit)
        count = write_rows(result.columns, rows, options.output, headers=options.headers)
    if rows.cut:
        print(f"kspan: only the first {limit} rows are shown; use --limit 0 for all", file=sys.stderr)
    return count


class _Limited:
    """The first ``limit`` rows (0: all). ``cut`` is True if there were more."""

    def __init__(self, rows: Iterator[tuple[Any, ...]], limit: int) -> None:
        self._rows = rows
        self._limit = limit
        self.cut = False

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        for number, row in enumerate(self._rows, 1):
            if self._limit and number > self._limit:
                self.cut = True
                return
            yield row


def add_parameter(parameters: dict[str, str | int], name: str, value: str) -> None:
    """Set the value of ``:name``; ``since`` and ``until`` accept times. Raises SettingsError, QueryError."""
    if not name.isidentifier() or not name.isascii():
        raise SettingsError(f"invalid parameter name {name!r}: use letters, digits and _")
    moment = name in ("since", "until") and not value.isdigit()
    parameters[name] = parse_moment(value, time.time_ns(), name) if moment else value


def show_schema(dialect: str, name: str | None, output: str) -> None:
    """Print the tables and views, or the columns of one. Raises QueryError for an unknown table."""
    tables = catalog(dialect)
    if not name:
        write_rows(("name", "kind", "meaning"), ((t.name, t.kind, t.comment) for t in tables), output, noun="table")
        return
    columns = find_table(tables, name).columns
    rows = ((c.name, c.type, "yes" if c.key else "", c.comment) for c in columns)
    write_rows(("column", "type", "key", "meaning"), rows, output, noun="column")


def find_table(tables: list[TableInfo], name: str) -> TableInfo:
    """Return the table or view of this name. Raises QueryError."""
    for table in tables:
        if table.name == name.strip().lower():
            return table
    names = [table.name for table in tables]
    close = get_close_matches(name, names, 1)
    raise QueryError(
        f"unknown table {name!r}: " + (f"did you mean {close[0]}?" if close else f"use one of {', '.join(names)}")
    )
