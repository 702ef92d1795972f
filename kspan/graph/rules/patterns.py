"""The regular expressions of rules: RE2's, which take time linear in the message. Pure.

Messages are hostile, and a rules file is written in a hurry: with a backtracking engine ``(a+)+b`` and a long message
would stop the fold. RE2 (https://github.com/google/re2/wiki/Syntax) has no look-around and no backreferences instead.
"""

from typing import Any

import re2

_OPENERS = ("(?P<", "(?<")
_QUANTIFIERS = "*+?{"
_META = frozenset(".^$*+?{}[]|()")
_ABOUT_WHAT_FOLLOWS = frozenset(("$", r"\b", r"\B", r"\z"))


class PatternError(ValueError):
    """A regular expression that RE2 does not take; the message says why."""


def _options() -> Any:
    options = re2.Options()
    options.case_sensitive = False
    options.log_errors = False
    return options


_OPTIONS = _options()


class Pattern:
    """A compiled expression, searched from the start of a message, case ignored. Raises PatternError."""

    def __init__(self, text: str) -> None:
        self.text = text
        try:
            self._compiled = re2.compile(text, _OPTIONS)
        except re2.error as error:
            raise PatternError(_explained(error)) from error
        self._tokens = _tokens(text)
        self._named = tuple(self._compiled.groupindex.items())
        self.groups = [name for token in self._tokens if (name := _group_name(token))]

    def match(self, message: str) -> dict[str, str | None] | None:
        """What the named groups hold, None where the message is not of this form."""
        # RE2 works on UTF-8, and its binding is twice as fast where it is given that.
        text = message.encode(errors="replace")
        found = self._compiled.match(text)
        if found is None:
            return None
        held: dict[str, str | None] = {}
        for name, index in self._named:
            start, end = found.span(index)
            held[name] = text[start:end].decode(errors="replace") if start >= 0 else None
        return held

    def covers(self, other: "Pattern") -> bool:
        """Whether this certainly matches whatever ``other`` matches. False where that cannot be told."""
        mine, theirs = ([_unnamed(token) for token in p._tokens] for p in (self, other))  # noqa: SLF001
        if mine == theirs:
            return True
        if not _ABOUT_WHAT_FOLLOWS.isdisjoint(mine) or r"\Q" in theirs:
            return False
        rest = theirs[len(mine) :]
        if theirs[: len(mine)] == mine and rest[0] not in _QUANTIFIERS and not _has_alternatives(rest):
            return True
        # All that `other` matches begins with this; what matches a beginning matches the whole.
        return self.match(_beginning(theirs)) is not None


def escaped(text: str) -> str:
    """An expression that matches just this text."""
    return "".join(f"\\{c}" if c in _META or c == "\\" else c for c in text)


def _explained(error: Exception) -> str:
    raw = error.args[0] if error.args else ""
    text = raw.decode(errors="replace") if isinstance(raw, bytes) else str(raw)
    if text.startswith("invalid perl operator"):
        return f"{text} (look-around is not part of RE2's syntax: it could take for ever on a hostile message)"
    if text.startswith("invalid escape sequence: \\") and text[-1].isdigit():
        return f"{text} (backreferences are not part of RE2's syntax: they could take for ever on a hostile message)"
    return text


def _tokens(pattern: str) -> list[str]:
    """The pattern in pieces: an escape, a class and the opening of a group are one each."""
    found, at = [], 0
    while at < len(pattern):
        end = _end_of_token(pattern, at)
        found.append(pattern[at:end])
        at = end
    return found


def _end_of_token(pattern: str, at: int) -> int:
    if pattern[at] == "\\":
        return at + 2
    if pattern[at] == "[":
        return _end_of_class(pattern, at)
    if pattern.startswith(_OPENERS, at):
        return pattern.index(">", at) + 1
    if pattern.startswith("(?", at):
        return next(i for i in range(at + 2, len(pattern)) if pattern[i] in ":)") + 1
    return at + 1


def _end_of_class(pattern: str, at: int) -> int:
    at += 2 if pattern.startswith("[^", at) else 1
    if pattern.startswith("]", at):
        at += 1
    while pattern[at] != "]":
        if pattern.startswith("[:", at):
            at = pattern.index(":]", at) + 2
        else:
            at += 2 if pattern[at] == "\\" else 1
    return at + 1


def _group_name(token: str) -> str:
    return token.partition("<")[2][:-1] if token.startswith(_OPENERS) else ""


def _unnamed(piece: str) -> str:
    return "(" if piece.startswith((*_OPENERS, "(?:")) else piece


def _is_flags(piece: str) -> bool:
    return piece.startswith("(?") and piece.endswith(")")


def _has_alternatives(tokens: list[str]) -> bool:
    depth = 0
    for piece in tokens:
        if piece == "|" and depth == 0:
            return True
        if not _is_flags(piece):
            depth += piece.startswith("(") - (piece == ")")
    return False


def _beginning(tokens: list[str]) -> str:
    """The literal text with which everything begins that the pattern matches."""
    if _has_alternatives(tokens):
        return ""
    text = ""
    for token, following in zip(tokens, [*tokens, ""][1:], strict=True):
        literal = token[1:] if len(token) == 2 and token[0] == "\\" and not token[1].isalnum() else token
        if (token in _META or len(literal) != 1) or (following and following in _QUANTIFIERS):
            break
        text += literal
    return text
