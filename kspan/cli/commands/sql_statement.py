"""A statement as the command line and the prompt run it, and the schema as they show it."""

import sys
import time
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any, Final

import msgspec

from kspan.cli.common import the_cluster
from kspan.cli.render.table import write_rows
from kspan.errors import QueryError, SettingsError
from kspan.query.sql.catalog import TableInfo, catalog
from kspan.query.sql.lexer import Statement, read_statement
from kspan.query.sql.run import run_statement
from kspan.query.time_args import parse_moment
from kspan.store import Store

ROWS: Final = 1000
"""Rows of a table, unless --limit says otherwise: more than anybody reads. What programs read is whole."""


class Asking(msgspec.Struct):
    """How statements are run: ``limit`` rows at most (0: all), ``timeout`` in seconds (0: no limit)."""

    output: str
    limit: int | None
    timeout: float
    cluster: str
    parameters: dict[str, str | int]

    @property
    def rows(self) -> int:
        if self.limit is None:
            return ROWS if self.output == "table" else 0
        return self.limit


def answer(store: Store, text: str, asking: Asking) -> int:
    """Runs a statement and writes its rows; returns how many. Raises QueryError."""
    statement = read_statement(text, store.dialect)
    limit = asking.rows
    values = _with_cluster(store, statement, asking)
    with run_statement(store, statement, values, asking.timeout, limit) as result:
        rows = _Limited(result.rows, limit)
        count = write_rows(result.columns, rows, asking.output)
    if rows.cut:
        print(f"kspan: only the first {limit} rows; --limit 0 gives all", file=sys.stderr)
    return count


class _Limited:
    """The first ``limit`` rows (0: all); ``cut`` tells whether there would have been more."""

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
    """Sets the value of ``:name``; moments are understood for ``since`` and ``until``. Raises SettingsError."""
    if not name.isidentifier() or not name.isascii():
        raise SettingsError(f"{name!r} is no name for a parameter: letters, digits and _")
    moment = name in ("since", "until") and not value.isdigit()
    parameters[name] = parse_moment(value, time.time_ns(), name) if moment else value


def _with_cluster(store: Store, statement: Statement, asking: Asking) -> Mapping[str, str | int]:
    if "cluster" not in statement.parameters or "cluster" in asking.parameters:
        return asking.parameters
    return {**asking.parameters, "cluster": the_cluster(store, asking.cluster)}


def show_schema(dialect: str, name: str | None, output: str) -> None:
    """The tables and views, or the columns of one. Raises QueryError for one that there is not."""
    tables = catalog(dialect)
    if not name:
        write_rows(("name", "kind", "meaning"), ((t.name, t.kind, t.comment) for t in tables), output, noun="table")
        return
    columns = find_table(tables, name).columns
    rows = ((c.name, c.type, "yes" if c.key else "", c.comment) for c in columns)
    write_rows(("column", "type", "key", "meaning"), rows, output, noun="column")


def find_table(tables: list[TableInfo], name: str) -> TableInfo:
    """The table or view of this name. Raises QueryError."""
    for table in tables:
        if table.name == name.strip().lower():
            return table
    names = [table.name for table in tables]
    close = get_close_matches(name, names, 1)
    raise QueryError(
        f"no table {name!r}: " + (f"did you mean {close[0]}?" if close else f"there is {', '.join(names)}")
    )
