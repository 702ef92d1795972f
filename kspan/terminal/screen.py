"""Prints lines on standard output: colored and cut on a terminal, plain and complete into a pipe."""

import contextlib
import sys
from collections.abc import Iterable, Iterator
from shutil import get_terminal_size

from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.text import Text

from kspan.terminal.stdout import printable, silence_stdout
from kspan.terminal.zone import in_zone

Piece = tuple[str, str]
"""A text and its style."""

_PIPE_SIZE = (160, 25)  # the size for trees in a pipe, unless COLUMNS is set


_FOLDED = (80, 25)  # the size for paragraphs in a pipe, unless COLUMNS is set
_INDENT = "  "


class _Console(Console):
    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


class Screen:
    """Standard output as a terminal or a pipe. ``width`` is None in a pipe, where nothing is cut."""

    def __init__(self) -> None:
        console = _Console(highlight=False)
        self._styled = console.is_terminal
        self.width = console.width if self._styled else None
        self.console = (
            console if self._styled else _Console(highlight=False, width=get_terminal_size(_PIPE_SIZE).columns)
        )

    def line(self, *pieces: Piece) -> None:
        """Print one line, which a terminal may wrap. The caller applies ``harmless`` to texts from the cluster."""
        if self._styled:
            self.console.print(Text.assemble(*pieces), soft_wrap=True)
        else:
            print("".join(text for text, _ in pieces).rstrip())

    def paragraph(self, *pieces: Piece) -> None:
        """Print a text, folded between words at the width of the terminal, in a pipe at ``COLUMNS`` or 80.

        All lines but the first are indented. Words that are longer, such as names, are not cut.
        """
        width = self.width or get_terminal_size(_FOLDED).columns
        for number, line in enumerate(_folded(pieces, width)):
            self.line(*([(_INDENT, "")] if number else []), *line)

    def draw(self, drawn: RenderableType) -> None:
        """Print something that was rendered for the width of ``console``."""
        self.console.print(drawn, soft_wrap=True)


@contextlib.contextmanager
def screen() -> Iterator[Screen]:
    """Yield standard output for lines. If the reader of a pipe exits, the block ends without an error."""
    with printable(sys.stdout):
        try:
            yield Screen()
            sys.stdout.flush()
        except BrokenPipeError:
            silence_stdout()


def clock(ns: int, *, day: bool = False) -> str:
    """Format a time (Unix ns) as ``10:25:05.290`` in the zone of the reader; with ``day``, the date comes first."""
    return in_zone(ns).strftime("%Y-%m-%d %H:%M:%S.%f" if day else "%H:%M:%S.%f")[:-3]


def _folded(pieces: Iterable[Piece], width: int) -> Iterator[list[Piece]]:
    """Yield the lines of a text. A word can consist of several pieces."""
    line: list[Piece] = []
    used = 0
    for word in _words(pieces):
        long = sum(cell_len(text) for text, _ in word)
        if line and used + 1 + long > width:
            yield line
            line, used = [], len(_INDENT)
        line += [(" ", ""), *word] if line else word
        used += long + (1 if line != word else 0)
    yield line


def _words(pieces: Iterable[Piece]) -> Iterator[list[Piece]]:
    word: list[Piece] = []
    for text, style in pieces:
        for number, part in enumerate(text.split(" ")):
            if number and word:
                yield word
                word = []
            word += [(part, style)] if part else []
    if word:
        yield word
