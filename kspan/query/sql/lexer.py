"""Splits an SQL statement into tokens, and finds its end, its parameters and the functions it calls. Pure.

The tokens are those of the database's own lexer (SQLite: ``tokenize.c``; PostgreSQL: ``scan.l`` with
``standard_conforming_strings``). A statement whose tokens could be ambiguous is refused.
"""

import re
from collections.abc import Iterator
from typing import Final

import msgspec

from kspan.errors import QueryError

# As in both databases, a name can contain any character outside ASCII.
_NAME: Final = r"[A-Za-z_\u0080-\U0010ffff][\w$\u0080-\U0010ffff]*"
_COMMON: Final = rf"""
    (?P<blank>   [ \t\r\n\f\v]+ | --[^\r\n]* )
  | (?P<comment> /\* )
  | (?P<string>  '(?:[^']|'')*' )
  | (?P<quoted>  "(?:[^"]|"")*" )
  | (?P<cast>    ::|:= )
  | (?P<parameter> :{_NAME} )
  | (?P<end>     ; )
  | (?P<number>  \d+(?:\.\d*)?(?:[eE][+-]?\d+)? )
"""
_TOKEN: Final = {
    "sqlite": re.compile(
        rf"{_COMMON} | (?P<bracketed> \[[^\]]*\] | `(?:[^`]|``)*` ) | (?P<name> {_NAME} ) | (?P<other> .)",
        re.VERBOSE | re.ASCII | re.DOTALL,
    ),
    "postgresql": re.compile(
        rf"""(?P<escaped> [eE]'(?:[^'\\]|\\.|'')*' (?![ \t\r\n\f\v]*(?:--[^\r\n]*[\r\n][ \t\r\n\f\v]*)*') )
           | (?P<odd> [eE]' | [uU]&["'] | \$\d )
           | (?P<dollar> \$(?P<tag>(?:[A-Za-z_\u0080-\U0010ffff][\w\u0080-\U0010ffff]*)?)\$ .*? \$(?P=tag)\$ )
           | {_COMMON} | (?P<name> {_NAME} ) | (?P<other> .)""",
        re.VERBOSE | re.ASCII | re.DOTALL,
    ),
}
_OPENING: Final = {"sqlite": "'\"`[", "postgresql": "'\"$"}
"""Characters that are a token of their own only if they open a quote without an end."""

_LONGEST_NAME: Final = 63
"""Significant bytes of a name in PostgreSQL (NAMEDATALEN - 1)."""


class Token(msgspec.Struct, frozen=True, gc=False):
    """A token. ``kind`` is the name of a group in the patterns above."""

    kind: str
    text: str


class Statement(msgspec.Struct, frozen=True):
    """One statement, without its semicolon.

    ``words`` are the words outside of quotes, in order and in upper case. ``names`` are the names before a parenthesis
    or after a dot, normalized as in the database: they include every function that is called.
    """

    tokens: tuple[Token, ...]
    words: tuple[str, ...]
    parameters: frozenset[str]
    names: frozenset[str]

    @property
    def text(self) -> str:
        return "".join(token.text for token in self.tokens)

    def numbered(self) -> tuple[str, list[str]]:
        """Return the text with ``$1``, ``$2`` … instead of named parameters, and the names in that order."""
        order = sorted(self.parameters)
        numbers = {f":{name}": f"${number}" for number, name in enumerate(order, 1)}
        return "".join(numbers[t.text] if t.kind == "parameter" else t.text for t in self.tokens), order


def read_statement(text: str, dialect: str) -> Statement:
    """Parse exactly one statement. Raises QueryError for none, for several, and for an open quote or comment."""
    tokens = list(_tokens(text, dialect))
    for token in tokens:
        if token.kind == "odd" or "\x00" in token.text:
            raise QueryError(f"the statement contains {token.text!r}: use plain quotes, and :name for parameters")
    if any(token.kind == "open" for token in tokens):
        raise QueryError("the statement contains an open quote or comment: close it")
    while tokens and tokens[-1].kind in ("blank", "end"):
        tokens.pop()
    while tokens and tokens[0].kind in ("blank", "end"):
        del tokens[0]
    if not tokens:
        raise QueryError("the statement is empty")
    if any(token.kind == "end" for token in tokens):
        raise QueryError("there is more text after the semicolon: run one statement at a time")
    return Statement(
        tokens=tuple(tokens),
        words=tuple(token.text.upper() for token in tokens if token.kind == "name"),
        parameters=frozenset(token.text[1:] for token in tokens if token.kind == "parameter"),
        names=frozenset(_names([token for token in tokens if token.kind != "blank"])),
    )


def is_complete(text: str, dialect: str) -> bool:
    """Return whether the text ends with the semicolon of a statement."""
    tokens = [token for token in _tokens(text, dialect) if token.kind != "blank"]
    return bool(tokens) and tokens[-1].kind == "end"


def _tokens(text: str, dialect: str) -> Iterator[Token]:
    pattern, position = _TOKEN[dialect], 0
    while position < len(text):
        found = pattern.match(text, position)
        assert found is not None, "any character is a token"
        kind, end = str(found.lastgroup), found.end()
        if kind == "comment":
            kind, end = _comment(text, position, nested=dialect == "postgresql")
        elif kind == "other" and found[0] in _OPENING[dialect]:
            kind, end = "open", len(text)
        yield Token(kind, text[position:end])
        position = end


def _comment(text: str, start: int, *, nested: bool) -> tuple[str, int]:
    depth = 0
    for found in re.compile(r"/\*|\*/").finditer(text, start):
        depth += 1 if found[0] == "/*" and (nested or depth == 0) else -1 if found[0] == "*/" else 0
        if depth == 0:
            return "blank", found.end()
    return "open", len(text)


def _names(tokens: list[Token]) -> Iterator[str]:
    for position, token in enumerate(tokens):
        if token.kind not in ("name", "quoted"):
            continue
        after = tokens[position + 1].text if position + 1 < len(tokens) else ""
        before = tokens[position - 1].text if position else ""
        if after == "(" or before == ".":
            yield _compared(token)


def _compared(token: Token) -> str:
    name = token.text[1:-1].replace('""', '"') if token.kind == "quoted" else _lower(token.text)
    return name.encode()[:_LONGEST_NAME].decode(errors="ignore")


def _lower(text: str) -> str:
    return "".join(char.lower() if char.isascii() else char for char in text)
