"""Writes rows to standard output: as table or records for people; as JSON, JSON lines, CSV or Parquet for programs.

Rows are written while they are read, so that memory use does not depend on their number. Values are those of a database
driver: ``None``, numbers, text, ``bytes``, ``bool``, times and JSON values.
"""

import csv
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from itertools import chain
from typing import IO, Any, Final, TextIO

import msgspec
from rich.cells import cell_len

from kspan.cli.render.values import Row, encode_json, to_text
from kspan.errors import SettingsError
from kspan.query.sql.result import sized_head
from kspan.terminal.counted import counted
from kspan.terminal.stdout import printable, silence_stdout
from kspan.terminal.text import cut, harmless

FORMATS: Final = ("table", "record", "json", "jsonl", "csv", "parquet")

_SAMPLE: Final = 1000
"""Number of rows that determine the widths of a table. Wider cells in later rows are cut on a terminal."""

_SAMPLE_BYTES: Final = 16 * 1024 * 1024

_NARROWEST: Final = 10
"""Minimum width of a column on a terminal, in cells. If the columns still do not fit, the last ones are left out."""


def check_format(output: str, allowed: Sequence[str] = FORMATS) -> None:
    """Check the value of --output before the work starts. Raises SettingsError."""
    if output not in allowed:
        raise SettingsError(f"--output: invalid format {output!r}: use {', '.join(allowed[:-1])} or {allowed[-1]}")
    if output == "parquet":
        from kspan.cli.render.parquet import check_parquet

        check_parquet(sys.stdout)


def write_rows(
    columns: Sequence[str], rows: Iterable[Row], output: str, *, noun: str = "row", headers: bool = True
) -> int:
    """Write rows to standard output and return their number.

    After a table and records, the number is also printed on standard error. If the reader of a pipe exits, the
    remaining rows are not read, and no error is reported.

    Args:
        columns: names of the columns.
        rows: the rows.
        output: one of ``FORMATS``.
        noun: the singular noun for the number.
        headers: write the names of the columns above a table and CSV.
    """
    printed = _Counted(rows)
    try:
        left_out = _write(columns, printed, output, headers=headers)
        sys.stdout.flush()
    except BrokenPipeError:
        silence_stdout()
        return printed.count
    if output in ("table", "record"):
        print(counted(printed.count, noun), file=sys.stderr)
    if left_out:
        print(f"kspan: no room for {', '.join(left_out)}: use -o record, or select fewer columns", file=sys.stderr)
    return printed.count


def write_structs(
    kind: type[msgspec.Struct], structs: Iterable[msgspec.Struct], output: str, *, headers: bool = True
) -> int:
    """Write structs of one kind as rows: a column for each field. See ``write_rows``."""
    return write_rows(kind.__struct_fields__, map(msgspec.structs.astuple, structs), output, headers=headers)


def _write(columns: Sequence[str], rows: Iterable[Row], output: str, *, headers: bool) -> list[str]:
    """Write rows. Return the columns that did not fit a terminal."""
    if output == "table":
        return _write_table(columns, rows, headers=headers)
    if output == "record":
        _write_records(columns, rows)
    elif output == "csv":
        _write_csv(columns, rows, headers=headers)
    elif output == "parquet":
        from kspan.cli.render.parquet import write_parquet

        write_parquet(unique_names(columns), rows, sys.stdout.buffer)
    else:
        _write_json(unique_names(columns), rows, lines=output == "jsonl")
    return []


class _Counted:
    def __init__(self, rows: Iterable[Row]) -> None:
        self._rows = rows
        self.count = 0

    def __iter__(self) -> Iterator[Row]:
        for row in self._rows:
            self.count += 1
            yield row


def unique_names(columns: Sequence[str]) -> list[str]:
    """Return the names, with ``_2``, ``_3`` … after repeated ones, because JSON objects need unique names."""
    taken: set[str] = set()
    return [_free_name(name, taken) for name in columns]


def _free_name(name: str, taken: set[str]) -> str:
    found, number = name, 1
    while found in taken:
        number += 1
        found = f"{name}_{number}"
    taken.add(found)
    return found


# JSON and CSV


def _write_json(names: Sequence[str], rows: Iterable[Row], *, lines: bool) -> None:
    out = _utf8(sys.stdout)
    first, between, last = ("", "\n", "\n") if lines else ("[", ",\n ", "]\n")
    empty = True
    for row in rows:
        out.write((first if empty else between).encode())
        out.write(encode_json(dict(zip(names, row, strict=True))))
        empty = False
    out.write(("" if lines else "[]\n").encode() if empty else last.encode())


def _write_csv(columns: Sequence[str], rows: Iterable[Row], *, headers: bool) -> None:
    """Write CSV with quotes where needed; NULL is empty. Lines end as a shell expects, without a carriage return."""
    out = csv.writer(_Utf8Lines(_utf8(sys.stdout)), lineterminator="\n")
    if headers:
        out.writerow(columns)
    for row in rows:
        out.writerow([to_text(value) for value in row])


class _Utf8Lines:
    def __init__(self, out: IO[bytes]) -> None:
        self._out = out

    def write(self, text: str) -> int:
        return self._out.write(text.encode("utf-8", "backslashreplace"))


def _utf8(stream: TextIO) -> IO[bytes]:
    # Output for programs is UTF-8 in every locale.
    stream.flush()
    return stream.buffer


# Tables


def _write_table(columns: Sequence[str], rows: Iterable[Row], *, headers: bool) -> list[str]:
    source = iter(rows)
    sample = sized_head(source, _SAMPLE, _SAMPLE_BYTES)
    right = [_is_number(row[i] for row in sample) for i in range(len(columns))]
    header = [harmless(name) for name in columns]
    cells = [_cells(row) for row in sample]
    widths = [max((cell_len(line[i]) for line in (header, *cells)), default=0) for i in range(len(columns))]
    line_width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    fitting = len(columns)
    if line_width is not None:
        widths = fit(widths, line_width)
        fitting = _fitting(widths, line_width)
    top = (header, ["-" * width for width in widths]) if headers else ()
    with printable(sys.stdout):
        for line in chain(top, cells, map(_cells, source)):
            print(_line(line[:fitting], widths[:fitting], right[:fitting], line_width))
    return header[fitting:]


def _fitting(widths: Sequence[int], line_width: int) -> int:
    """Return how many columns fit a line, at least one."""
    used = 0
    for number, width in enumerate(widths):
        used += width + (2 if number else 0)
        if used > line_width:
            return max(number, 1)
    return len(widths)


def _write_records(columns: Sequence[str], rows: Iterable[Row]) -> None:
    """Write one line for each column of each row, for rows that are too wide for a table."""
    header = [harmless(name) for name in columns]
    width = max(map(cell_len, header), default=0)
    with printable(sys.stdout):
        for number, row in enumerate(rows, 1):
            print(f"{'' if number == 1 else chr(10)}-- {number}")
            for name, cell in zip(header, _cells(row), strict=True):
                print(f"{name + ' ' * (width - cell_len(name))}  {cell}".rstrip())


def _cells(row: Row) -> list[str]:
    return [harmless(_short(value)) for value in row]


def _short(value: Any) -> str:
    if isinstance(value, bytes | memoryview):
        return f"<{len(value)} bytes>"
    return to_text(value)


def _is_number(values: Iterable[Any]) -> bool:
    known = [value for value in values if value is not None]
    return bool(known) and all(isinstance(v, int | float | Decimal) and not isinstance(v, bool) for v in known)


def fit(widths: Sequence[int], line_width: int) -> list[int]:
    """Return column widths that fit a line, if possible. The widest columns are narrowed first, all to one width."""
    room = line_width - 2 * (len(widths) - 1)
    if sum(widths) <= room:
        return list(widths)
    narrow = 0
    for position, width in enumerate(sorted(widths)):
        level = (room - narrow) // (len(widths) - position)
        if width > level:
            return [min(w, max(level, _NARROWEST)) for w in widths]
        narrow += width
    return list(widths)


def _line(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool], line_width: int | None) -> str:
    parts = []
    for text, width, to_the_right in zip(cells, widths, right, strict=True):
        shown = text if line_width is None else cut(text, width)
        blanks = " " * (width - cell_len(shown))
        parts.append(blanks + shown if to_the_right else shown + blanks)
    line = "  ".join(parts).rstrip()
    return line if line_width is None else cut(line, line_width)
