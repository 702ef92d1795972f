"""Rows on standard output: a table or records for people; JSON, JSON lines, CSV or Parquet for programs.

Rows are written while they are read: memory stays flat however many there are. A value is what a database driver gives:
``None``, a number, text, ``bytes``, a ``bool``, a time, or a JSON value.
"""

import csv
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from itertools import chain, islice
from typing import IO, Any, Final, TextIO

from rich.cells import cell_len

from kspan.cli.render.values import Row, encode_json, to_text
from kspan.errors import SettingsError
from kspan.terminal.stdout import printable, silence_stdout
from kspan.terminal.text import cut, harmless

FORMATS: Final = ("table", "record", "json", "jsonl", "csv", "parquet")

_SAMPLE: Final = 1000
"""Rows that a table's widths are measured on: later cells that are wider stick out (on a terminal: are cut)."""

_NARROWEST: Final = 6
"""Cells that a column keeps when a table is fitted into a terminal; what still does not fit is cut off the line."""


def check_format(output: str, allowed: Sequence[str] = FORMATS) -> None:
    """Whether ``-o output`` can be written: call it before the work begins. Raises SettingsError."""
    if output not in allowed:
        raise SettingsError(f"--output can be {', '.join(allowed[:-1])} or {allowed[-1]}, not {output!r}")
    if output == "parquet":
        from kspan.cli.render.parquet import check_parquet

        check_parquet(sys.stdout)


def write_rows(columns: Sequence[str], rows: Iterable[Row], output: str, *, noun: str = "row") -> int:
    """Writes rows to standard output as ``output`` (one of ``FORMATS``), and returns how many there were.

    After what people read their number goes to standard error, as so many ``noun``. Where the reader of a pipe goes
    away, the rest of the rows is not read, quietly.
    """
    counted = _Counted(rows)
    try:
        _write(columns, counted, output)
        sys.stdout.flush()
    except BrokenPipeError:
        silence_stdout()
        return counted.count
    if output in ("table", "record"):
        print(f"{counted.count} {noun}{'' if counted.count == 1 else 's'}", file=sys.stderr)
    return counted.count


def _write(columns: Sequence[str], rows: Iterable[Row], output: str) -> None:
    if output == "table":
        _write_table(columns, rows)
    elif output == "record":
        _write_records(columns, rows)
    elif output == "csv":
        _write_csv(columns, rows)
    elif output == "parquet":
        from kspan.cli.render.parquet import write_parquet

        write_parquet(unique_names(columns), rows, sys.stdout.buffer)
    else:
        _write_json(unique_names(columns), rows, lines=output == "jsonl")


class _Counted:
    def __init__(self, rows: Iterable[Row]) -> None:
        self._rows = rows
        self.count = 0

    def __iter__(self) -> Iterator[Row]:
        for row in self._rows:
            self.count += 1
            yield row


def unique_names(columns: Sequence[str]) -> list[str]:
    """The names, a repeated one with ``_2``, ``_3`` …: an object of JSON has each of its names once."""
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


def _write_csv(columns: Sequence[str], rows: Iterable[Row]) -> None:
    """As RFC 4180 says: CRLF, quotes where they are needed; NULL is empty."""
    out = csv.writer(_Utf8Lines(_utf8(sys.stdout)), lineterminator="\r\n")
    out.writerow(columns)
    for row in rows:
        out.writerow([to_text(value) for value in row])


class _Utf8Lines:
    def __init__(self, out: IO[bytes]) -> None:
        self._out = out

    def write(self, text: str) -> int:
        return self._out.write(text.encode("utf-8", "backslashreplace"))


def _utf8(stream: TextIO) -> IO[bytes]:
    # What programs read is UTF-8 whatever the locale says.
    stream.flush()
    return stream.buffer


# Tables


def _write_table(columns: Sequence[str], rows: Iterable[Row]) -> None:
    source = iter(rows)
    sample = list(islice(source, _SAMPLE))
    right = [_is_number(row[i] for row in sample) for i in range(len(columns))]
    header = [harmless(name) for name in columns]
    cells = [_cells(row) for row in sample]
    widths = [max((cell_len(line[i]) for line in (header, *cells)), default=0) for i in range(len(columns))]
    line_width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    if line_width is not None:
        widths = fit(widths, line_width)
    with printable(sys.stdout):
        for line in chain((header, ["-" * width for width in widths]), cells, map(_cells, source)):
            print(_line(line, widths, right, line_width))


def _write_records(columns: Sequence[str], rows: Iterable[Row]) -> None:
    """A line for each column of each row, nothing cut: for rows that are too wide to be read across."""
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
    """Column widths whose table fits a line, if it can: the widest columns give way first, all to one width."""
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
