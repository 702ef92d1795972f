"""Checks of the values in a rules file; every mistake is collected with its line. Pure."""

import difflib
from collections.abc import Collection, Iterable
from typing import Any

import msgspec

from kspan.toml_positions import Path, Positions

SUGGESTED = 12
"""Maximum number of known names that a mistake lists."""

_TYPES = {bool: "a boolean", int: "a number", float: "a number", str: "a string", list: "a list", dict: "a table"}


class Mistake(msgspec.Struct, frozen=True, order=True):
    """A mistake in a rules file. ``line`` counts from 1."""

    line: int
    problem: str


class Checks:
    """Reads values of a rules file and collects the mistakes.

    A value with a mistake is read as empty, so that one run finds all mistakes.
    """

    def __init__(self, text: str) -> None:
        self.mistakes: list[Mistake] = []
        self._text = text
        self._positions: Positions | None = None

    def wrong(self, path: Path, problem: str) -> None:
        """Add a mistake at a key. If the key is missing, the line is that of its table."""
        self.mistakes.append(Mistake(self.line(path), problem))

    def line(self, path: Path) -> int:
        """Return the line of a key."""
        if self._positions is None:
            self._positions = Positions(self._text)
        return self._positions.line(path)

    def keys(self, path: Path, found: Iterable[str], known: Collection[str], what: str = "key") -> None:
        """Check that all keys of a table are known."""
        for key in found:
            if key not in known:
                self.wrong((*path, key), f"unknown {what} {key!r}{suggestion(key, known)}")

    def string(self, path: Path, entry: dict[str, Any], key: str, missing: str = "") -> str:
        """Read a string; empty if the key is missing. ``missing`` is the mistake for a value that must not be empty."""
        value: object = entry.get(key, "")
        if not isinstance(value, str):
            self.wrong((*path, key), f"{key} must be a string, not {type_of(value)}")
            return ""
        if missing and not value:
            self.wrong((*path, key), missing)
        return value

    def names(self, path: Path, entry: dict[str, Any], key: str, *, needed: bool = False) -> tuple[str, ...]:
        """Read a string or a list of strings."""
        value = entry.get(key, ())
        names = (value,) if isinstance(value, str) else value
        if not isinstance(names, list | tuple) or not all(isinstance(name, str) and name for name in names):
            self.wrong((*path, key), f"{key} must be a string or a list of strings, not {type_of(value)}")
            return ()
        if needed and not names:
            self.wrong((*path, key), f"{key} is missing")
        return tuple(names)

    def boolean(self, path: Path, entry: dict[str, Any], key: str, *, default: bool) -> bool:
        """Read true or false."""
        value: object = entry.get(key, default)
        if isinstance(value, bool):
            return value
        self.wrong((*path, key), f"{key} must be true or false, not {type_of(value)}")
        return default

    def table(self, data: dict[str, Any], key: str) -> dict[str, Any]:
        """Read a table at the top level; empty if it is missing."""
        table = data.get(key, {})
        if isinstance(table, dict):
            return table
        self.wrong((key,), f"{key} must be a table: write [{key}]")
        return {}


def suggestion(given: str, known: Collection[str]) -> str:
    """Return the end of a mistake about an unknown name: the most similar known name, or a few known names."""
    near = difflib.get_close_matches(given, known, n=1)
    if near:
        return f": did you mean {near[0]}?"
    return f" (known: {', '.join(known)})" if len(known) <= SUGGESTED else ""


def type_of(value: Any) -> str:
    """Return the type of a TOML value, in words."""
    return _TYPES.get(type(value), type(value).__name__)
