"""The text of an SQL statement: where it ends, what it begins with, its parameters, the functions that it names. Pure.

Not a parser: tokens, as the database's own lexer cuts them (SQLite: ``tokenize.c``; PostgreSQL: ``scan.l`` with
``standard_conforming_strings``). Where the two could see a token differently, the statement is refused.
"""

import re
from collections.abc import Iterator
from typing import Final

import msgspec

from kspan.errors import QueryError

# Any character beyond ASCII is one of a name, as it is to both databases.
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
"""What is a token of its own only where it opens something that has no end."""

_LONGEST_NAME: Final = 63
"""Bytes of a name that PostgreSQL looks at (NAMEDATALEN - 1)."""


class Token(msgspec.Struct, frozen=True, gc=False):
    """``kind`` is the name of a group of the patterns above."""

    kind: str
    text: str


class Statement(msgspec.Struct, frozen=True):
    """One statement, without its semicolon.

    ``words`` are its words outside of quotes, in upper case, in their order; ``names`` the names before a parenthesis
    or after a dot, as the database compares them: among them is every function that is called.
    """

    tokens: tuple[Token, ...]
    words: tuple[str, ...]
    parameters: frozenset[str]
    names: frozenset[str]

    @property
    def text(self) -> str:
        return "".join(token.text for token in self.tokens)

    def numbered(self) -> tuple[str, list[str]]:
        """The text with ``$1``, ``$2`` … in the place of named parameters, and the names in that order."""
        order = sorted(self.parameters)
        numbers = {f":{name}": f"${number}" for number, name in enumerate(order, 1)}
        return "".join(numbers[t.text] if t.kind == "parameter" else t.text for t in self.tokens), order


def read_statement(text: str, dialect: str) -> Statement:
    """The one statement in ``text``. Raises QueryError where there is none, are several, or where it does not end."""
    tokens = list(_tokens(text, dialect))
    for token in tokens:
        if token.kind == "odd" or "\x00" in token.text:
            raise QueryError(f"the statement holds {token.text!r}: write plain quotes, and parameters as :name")
    if any(token.kind == "open" for token in tokens):
        raise QueryError("a quote or a comment in the statement has no end")
    while tokens and tokens[-1].kind in ("blank", "end"):
        tokens.pop()
    while tokens and tokens[0].kind in ("blank", "end"):
        del tokens[0]
    if not tokens:
        raise QueryError("there is no statement")
    if any(token.kind == "end" for token in tokens):
        raise QueryError("one statement at a time: there is more after the semicolon")
    return Statement(
        tokens=tuple(tokens),
        words=tuple(token.text.upper() for token in tokens if token.kind == "name"),
        parameters=frozenset(token.text[1:] for token in tokens if token.kind == "parameter"),
        names=frozenset(_names([token for token in tokens if token.kind != "blank"])),
    )


def is_complete(text: str, dialect: str) -> bool:
    """Whether somebody who types has come to the semicolon that ends the statement."""
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
