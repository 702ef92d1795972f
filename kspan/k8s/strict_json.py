"""Strict JSON, and what is wrong with it in the reader's words. Pure.

What passes here can be decoded again anywhere below (typed or not, from a deeper stack) and stored as JSON by a
database: UTF-8, no half surrogate pairs, no number beyond 64 bits, and no deeper than ``MAX_DEPTH``.
"""

import re
from typing import Any

import msgspec

MAX_DEPTH = 256
"""Levels of nesting: several times those of the deepest schema seen, and far from Python's own limit."""

_MIN_INT, _MAX_INT = -(2**63), 2**64 - 1
_DIGITS = bytes.maketrans(b"123456789", b"000000000")
_LONG_NUMBER = b"0" * 19

_decode = msgspec.json.Decoder().decode

_WORDS = {
    "str": "a text",
    "int": "a number",
    "float": "a number",
    "bool": "true or false",
    "null": "null",
    "object": "an object",
    "array": "a list",
}


def decode_json(raw: bytes) -> Any:
    """The value of a JSON text. Raises ValueError, whose text says what is wrong ("is no JSON: …")."""
    try:
        value = _decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(explain(error, raw)) from error
    # The walk is slow and hardly ever needed: counting brackets and digits tells where it can be spared.
    if raw.count(b"{") + raw.count(b"[") > MAX_DEPTH or _LONG_NUMBER in raw.translate(_DIGITS):
        check_tree(value)
    return value


def check_tree(value: Any) -> None:
    """Raise ValueError where a decoded value is nested too deeply or holds an integer beyond 64 bits."""
    level, depth = [value], 0
    while level:
        depth += 1
        below: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                below.extend(item.values())
            elif isinstance(item, list):
                below.extend(item)
            elif isinstance(item, int) and not _MIN_INT <= item <= _MAX_INT:
                raise ValueError("has a number beyond 64 bits")
        if depth > MAX_DEPTH and any(isinstance(item, dict | list) for item in level):
            raise ValueError(f"is nested more than {MAX_DEPTH} levels deep")
        level = below


def explain(error: Exception, raw: bytes) -> str:
    """What a decoder's error means to whoever reads the file, as the rest of a sentence about the text ``raw``."""
    if isinstance(error, RecursionError):
        return f"is nested more than {MAX_DEPTH} levels deep"
    if isinstance(error, UnicodeDecodeError):
        return "is not UTF-8 text"
    text = str(error)
    if isinstance(error, msgspec.ValidationError):
        return _explain_shape(text)
    if b"\0" in raw:
        return "has NUL bytes in it (was the machine switched off while the file was written?)"
    if "surrogate" in text or _ends_in_half_a_pair(text, raw):
        return "has half of a surrogate pair in a text"
    if "truncated" in text:
        return "is no JSON: it ends in the middle (was it cut off?)" if raw.strip() else "is empty"
    return "is no JSON: " + text.removeprefix("JSON is malformed: ")


def shown(text: str) -> str:
    """A text from a file as it can be printed in a message: quoted, escaped, short."""
    return ascii(text if len(text) <= 60 else text[:57] + "...")


def _ends_in_half_a_pair(text: str, raw: bytes) -> bool:
    # msgspec reads on for the second half, and calls the text truncated where it is too short for one.
    return "truncated" in text and re.search(rb'\\u[dD][89abAB][0-9a-fA-F]{2}"', raw[-64:]) is not None


def _explain_shape(text: str) -> str:
    if "out of range" in text:
        return "has a number beyond 64 bits"
    what, _, where = text.partition(" - at ")
    path = where.strip("`").removeprefix("$").removeprefix(".")
    if missing := re.search(r"missing required field `(.+)`", what):
        return f"has no {path + '.' if path else ''}{missing[1]}"
    if wrong := re.search(r"Expected `(.+)`, got `(.+)`", what):
        expected = wrong[1].removesuffix(" | null")
        found, expected = _WORDS.get(wrong[2], wrong[2]), _WORDS.get(expected, expected)
        return f"has {found} for its {path}, not {expected}" if path else f"is {found}, not {expected}"
    return f"makes no sense: {text}"
