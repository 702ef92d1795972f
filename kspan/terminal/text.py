"""Makes text safe for terminals, cuts it to a width, and formats durations. Widths are in terminal cells."""

import re
import unicodedata

from rich.cells import cell_len, set_cell_size

# Whole sequences, such as colors: the text remains readable without them.
_ESCAPE_SEQUENCE = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)")
_BLANKS = re.compile(r"\s+")
# Control, format (direction overrides, zero-width), surrogate and unassigned characters can move, hide or reverse text.
_HOSTILE = frozenset({"Cc", "Cf", "Cs", "Cn", "Co"})

_SECOND = 1_000_000_000


def harmless(text: str) -> str:
    """Return the text on one line, without escape sequences, and with other unprintable characters as ``\\x1b``."""
    if text.isascii() and text.isprintable():
        return text
    text = _BLANKS.sub(" ", _ESCAPE_SEQUENCE.sub("", text)).strip()
    return "".join(_escaped(char) if unicodedata.category(char) in _HOSTILE else char for char in text)


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")


def cut(text: str, width: int) -> str:
    """Return the text, with ``…`` instead of its end if it is wider than ``width``."""
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, width - 1).rstrip() + "…" if width > 0 else ""


def cut_middle(text: str, width: int) -> str:
    """Return the text, with ``…`` instead of its middle if it is too wide: generated names differ at the end."""
    if cell_len(text) <= width:
        return text
    if width < 8 or not text.isascii():
        return cut(text, width)
    tail = (width - 1) // 2
    return text[: width - 1 - tail] + "…" + text[-tail:]


def pad(text: str, width: int) -> str:
    """Return the text, cut or filled with spaces to ``width``."""
    return cut(text, width) + " " * (width - cell_len(text))


def duration(nanoseconds: int) -> str:
    """Format a duration in at most six cells: ``0ms``, ``12ms``, ``3.4s``, ``2m05s``, ``1h02m``, ``3d04h``."""
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
