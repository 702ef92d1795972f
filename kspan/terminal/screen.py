"""Prints lines on standard output: colored and cut on a terminal, plain and complete into a pipe."""

import contextlib
import sys
from collections.abc import Iterator
from shutil import get_terminal_size

from rich.console import Console, RenderableType
from rich.text import Text

from kspan.terminal.stdout import printable, silence_stdout
from kspan.terminal.zone import in_zone

Piece = tuple[str, str]
"""A text and its style."""

_PIPE_SIZE = (160, 25)  # the size for trees in a pipe, unless COLUMNS is set


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
