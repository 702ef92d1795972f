"""Regular expressions of rules (RE2). Pure.

Anybody in a cluster can write the message of an Event. With a backtracking engine, an expression such as ``(a+)+b`` and
a long message would stop the fold. RE2 needs time linear in the message; in return it has no look-around and no
backreferences (https://github.com/google/re2/wiki/Syntax).
"""

from typing import Any

import re2

COMBINED = "(combined from similar events): "
"""Prefix of the message of an aggregated Event (client-go tools/record/events_cache.go)."""

_OPENERS = ("(?P<", "(?<")
_QUANTIFIERS = "*+?{"
_META = frozenset(".^$*+?{}[]|()")
_LOOK_AHEAD = frozenset(("$", r"\b", r"\B", r"\z"))
"""Tokens that depend on the text after the match."""


class PatternError(ValueError):
    """A regular expression that RE2 does not accept, and the reason."""


def _options() -> Any:
    options = re2.Options()
    options.case_sensitive = False
    options.log_errors = False
    return options


_OPTIONS = _options()


class Pattern:
    """A compiled expression. It matches at the beginning of a message, and ignores case.

    Raises:
        PatternError: RE2 does not accept the expression.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        try:
            self._compiled = re2.compile(text, _OPTIONS)
        except re2.error as error:
            raise PatternError(_reason(error)) from error
        self._tokens = _tokens(text)
        self._named = tuple(self._compiled.groupindex.items())
        self.groups = [name for token in self._tokens if (name := _group_name(token))]

    def match(self, message: str) -> dict[str, str | None] | None:
        """Return the text of the named groups; None if the message does not match."""
        # RE2 works on UTF-8: its binding is twice as fast with bytes.
        text = message.encode(errors="replace")
        found = self._compiled.match(text)
        if found is None:
            return None
        texts: dict[str, str | None] = {}
        for name, index in self._named:
            start, end = found.span(index)
            texts[name] = text[start:end].decode(errors="replace") if start >= 0 else None
        return texts

    def covers(self, other: "Pattern") -> bool:
        """True if this certainly matches every message that ``other`` matches. False if that is not known."""
        mine, theirs = ([_without_name(token) for token in p._tokens] for p in (self, other))  # noqa: SLF001
        if mine == theirs:
            return True
        if not _LOOK_AHEAD.isdisjoint(mine) or r"\Q" in theirs:
            return False
        rest = theirs[len(mine) :]
        if theirs[: len(mine)] == mine and rest[0] not in _QUANTIFIERS and not _has_alternatives(rest):
            return True
        # Every match of `other` begins with this text, and an expression that matches a beginning matches the whole.
        return self.match(_beginning(theirs)) is not None


def escaped(text: str) -> str:
    """Return an expression that matches only this text."""
    return "".join(f"\\{c}" if c in _META or c == "\\" else c for c in text)


def _reason(error: Exception) -> str:
    raw = error.args[0] if error.args else ""
    text = raw.decode(errors="replace") if isinstance(raw, bytes) else str(raw)
    if text.startswith("invalid perl operator"):
        return f"{text} (RE2 has no look-around, which could take very long on some messages)"
    if text.startswith("invalid escape sequence: \\") and text[-1].isdigit():
        return f"{text} (RE2 has no backreferences, which could take very long on some messages)"
    return text


def _tokens(pattern: str) -> list[str]:
    """Split a pattern into tokens: an escape, a character class and the opening of a group are one token each."""
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


def _without_name(token: str) -> str:
    return "(" if token.startswith((*_OPENERS, "(?:")) else token


def _is_flags(token: str) -> bool:
    return token.startswith("(?") and token.endswith(")")


def _has_alternatives(tokens: list[str]) -> bool:
    depth = 0
    for piece in tokens:
        if piece == "|" and depth == 0:
            return True
        if not _is_flags(piece):
            depth += piece.startswith("(") - (piece == ")")
    return False


def _beginning(tokens: list[str]) -> str:
    """Return the literal text at the beginning of every match."""
    if _has_alternatives(tokens):
        return ""
    text = ""
    for token, following in zip(tokens, [*tokens, ""][1:], strict=True):
        literal = token[1:] if len(token) == 2 and token[0] == "\\" and not token[1].isalnum() else token
        if (token in _META or len(literal) != 1) or (following and following in _QUANTIFIERS):
            break
        text += literal
    return text
