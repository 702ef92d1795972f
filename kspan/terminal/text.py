"""Words for a terminal: harmless, cut to a width, and durations as people say them. Widths are in terminal cells."""

import re
import unicodedata

from rich.cells import cell_len, set_cell_size

# Colours and the like, whole: without them the text reads as its author meant it to.
_ESCAPE_SEQUENCE = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)")
_BLANKS = re.compile(r"\s+")
# Controls, formatting (direction overrides, zero-width), surrogates, unassigned: they move, hide or turn text around.
_HOSTILE = frozenset({"Cc", "Cf", "Cs", "Cn", "Co"})

_SECOND = 1_000_000_000


def harmless(text: str) -> str:
    """``text`` on one line, without terminal escape sequences; other characters that do not print as ``\\x1b``."""
    if text.isascii() and text.isprintable():
        return text
    text = _BLANKS.sub(" ", _ESCAPE_SEQUENCE.sub("", text)).strip()
    return "".join(_escaped(char) if unicodedata.category(char) in _HOSTILE else char for char in text)


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")


def cut(text: str, width: int) -> str:
    """``text``, its end replaced by ``…`` where it is wider than ``width``."""
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, width - 1).rstrip() + "…" if width > 0 else ""


def cut_middle(text: str, width: int) -> str:
    """``text``, its middle replaced by ``…``: the end of a generated name is what tells it from its siblings."""
    if cell_len(text) <= width:
        return text
    if width < 8 or not text.isascii():
        return cut(text, width)
    tail = (width - 1) // 2
    return text[: width - 1 - tail] + "…" + text[-tail:]


def pad(text: str, width: int) -> str:
    """``text`` filled with blanks up to ``width``, or cut."""
    return cut(text, width) + " " * (width - cell_len(text))


def duration(nanoseconds: int) -> str:
    """As people say it: ``0ms``, ``12ms``, ``3.4s``, ``42s``, ``2m05s``, ``1h02m``, ``3d04h``: six cells."""
    ms = max(nanoseconds, 0) // 1_000_000
    if ms < 1000:
        return f"{ms}ms"
    if ms < 60_000:
        tenths = ms // 100
        return f"{tenths // 10}.{tenths % 10}s"
    for unit, small, word, small_word in ((60, 1, "m", "s"), (3600, 60, "h", "m"), (86_400, 3600, "d", "h")):
        seconds = ms // 1000
        if unit == 86_400 or seconds < unit * (60 if unit == 60 else 24):
            return f"{seconds // unit}{word}{seconds % unit // small:02d}{small_word}"
    raise AssertionError("unreachable")
