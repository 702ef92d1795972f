"""Line numbers of the keys of a TOML text, which ``tomllib`` does not provide. Pure.

Only for texts that ``tomllib`` has parsed without an error.
"""

import re
from collections import defaultdict

Path = tuple[str | int, ...]

_KEY = re.compile(r"""\s*(?:"((?:[^"\\]|\\.)*)"|'([^']*)'|([A-Za-z0-9_-]+))\s*""")
_BLANK = re.compile(r"(?:\s|#[^\n]*)*")


class Positions:
    """Line numbers from 1, by path: ``("rule", 0, "message")`` is the key ``message`` of the first ``[[rule]]``."""

    def __init__(self, text: str) -> None:
        self._lines: dict[Path, int] = {}
        self._text = text
        self._counts: defaultdict[Path, int] = defaultdict(int)
        self._read()

    def line(self, path: Path) -> int:
        """The line of a key, or of the nearest parent that has a line of its own; 1 if there is none."""
        while path:
            if path in self._lines:
                return self._lines[path]
            path = path[:-1]
        return 1

    def _read(self) -> None:
        table: Path = ()
        at = self._skip_blank(0)
        while at < len(self._text):
            line = self._text.count("\n", 0, at) + 1
            if self._text[at] == "[":
                table, at = self._header(at, line)
            else:
                keys, at = self._keys(at)
                for end in range(1, len(keys) + 1):
                    self._lines.setdefault((*table, *keys[:end]), line)
                at = self._skip_value(at + 1)
            at = self._skip_blank(at)

    def _skip_blank(self, at: int) -> int:
        found = _BLANK.match(self._text, at)
        return found.end() if found else at

    def _keys(self, at: int) -> tuple[tuple[str, ...], int]:
        keys = []
        while (found := _KEY.match(self._text, at)) is not None:
            keys.append(next(part for part in found.groups() if part is not None))
            at = found.end()
            if self._text[at] != ".":
                break
            at += 1
        return tuple(keys), at

    def _header(self, at: int, line: int) -> tuple[Path, int]:
        many = self._text.startswith("[[", at)
        keys, at = self._keys(at + (2 if many else 1))
        path = self._within(keys[:-1])
        path = (*path, keys[-1])
        if many:
            self._lines.setdefault(path, line)
            self._counts[path] += 1
            path = (*path, self._counts[path] - 1)
        self._lines.setdefault(path, line)
        return path, at + (2 if many else 1)

    def _within(self, keys: tuple[str, ...]) -> Path:
        """The table at these keys; the last table of an array of tables."""
        path: Path = ()
        for key in keys:
            path = (*path, key)
            if path in self._counts:
                path = (*path, self._counts[path] - 1)
        return path

    def _skip_value(self, at: int) -> int:
        text, depth = self._text, 0
        while at < len(text) and (depth or text[at] != "\n"):
            if text[at] in "\"'":
                at = self._end_of_string(at)
                continue
            if text[at] == "#":
                at = text.find("\n", at) if "\n" in text[at:] else len(text)
                continue
            depth += (text[at] in "[{") - (text[at] in "]}")
            at += 1
        return at

    def _end_of_string(self, at: int) -> int:
        text, quote = self._text, self._text[at]
        mark = quote * 3 if text.startswith(quote * 3, at) else quote
        at += len(mark)
        while not text.startswith(mark, at):
            at += 2 if quote == '"' and text[at] == "\\" else 1
        at += len(mark)
        # A text may end with up to two quotes, directly before the three that close it.
        while len(mark) == 3 and at < len(text) and text[at] == quote:
            at += 1
        return at
