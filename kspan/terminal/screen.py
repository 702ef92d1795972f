"""Lines on standard output: coloured and as wide as the terminal, or plain and whole into a pipe."""

import contextlib
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from shutil import get_terminal_size

from rich.console import Console, RenderableType
from rich.text import Text

from kspan.terminal.stdout import printable, silence_stdout
from kspan.times import LATEST

Piece = tuple[str, str]
"""Text and its style."""

_PIPE_SIZE = (160, 25)  # for what is drawn to a width, such as a tree, unless COLUMNS says otherwise


class _Console(Console):
    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


class Screen:
    """Where answers are printed; ``width`` is None where nothing needs cutting."""

    def __init__(self) -> None:
        console = _Console(highlight=False)
        self._styled = console.is_terminal
        self.width = console.width if self._styled else None
        self.console = (
            console if self._styled else _Console(highlight=False, width=get_terminal_size(_PIPE_SIZE).columns)
        )

    def line(self, *pieces: Piece) -> None:
        """One line, which a terminal wraps where it is too long. Call ``harmless`` on what is not ours first."""
        if self._styled:
            self.console.print(Text.assemble(*pieces), soft_wrap=True)
        else:
            print("".join(text for text, _ in pieces).rstrip())

    def draw(self, drawn: RenderableType) -> None:
        """Something that was rendered for the width of ``console``."""
        self.console.print(drawn, soft_wrap=True)


@contextlib.contextmanager
def screen() -> Iterator[Screen]:
    """Standard output for lines. When the reader of a pipe goes away the block ends, quietly."""
    with printable(sys.stdout):
        try:
            yield Screen()
            sys.stdout.flush()
        except BrokenPipeError:
            silence_stdout()


def clock(ns: int, *, day: bool = False) -> str:
    """``10:25:05.290`` in UTC, with ``day`` after the date."""
    moment = datetime.fromtimestamp(min(max(ns, 0), LATEST) // 1_000_000 / 1000, UTC)
    return moment.strftime("%Y-%m-%d %H:%M:%S.%f" if day else "%H:%M:%S.%f")[:-3]
