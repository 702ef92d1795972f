"""Strict JSON, and readable errors for input that is not. Pure.

A value that passes here can be decoded again anywhere (typed or untyped, from a deeper stack) and stored as JSON by a
database: it is UTF-8, without unpaired surrogates or integers beyond 64 bits, and at most ``MAX_DEPTH`` levels deep.
"""

import re
from typing import Any

import msgspec

MAX_DEPTH = 256
"""Levels of nesting: several times those of the deepest known schema, and far below Python's own limit."""

DECODE_ERRORS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""The exceptions of a decoder for invalid input; ``explain`` takes any of them."""

_MIN_INT, _MAX_INT = -(2**63), 2**64 - 1
_DIGITS = bytes.maketrans(b"123456789", b"000000000")
_LONG_NUMBER = b"0" * 19

_decode = msgspec.json.Decoder().decode

_TYPE_NAMES = {
    "str": "a string",
    "int": "a number",
    "float": "a number",
    "bool": "a boolean",
    "null": "null",
    "object": "an object",
    "array": "a list",
}


def decode_json(raw: bytes) -> Any:
    """Decode a JSON text. Raises ValueError, whose text is a predicate: "is not valid JSON: …"."""
    try:
        value = _decode(raw)
    except DECODE_ERRORS as error:
        raise ValueError(explain(error, raw)) from error
    # Walking the value is slow and rarely needed: counting brackets and digits shows when it is not.
    if raw.count(b"{") + raw.count(b"[") > MAX_DEPTH or _LONG_NUMBER in raw.translate(_DIGITS):
        check_tree(value)
    return value


def check_tree(value: Any) -> None:
    """Raise ValueError if a decoded value is nested too deeply or contains an integer beyond 64 bits."""
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
    """Describe a decoder's error as a predicate about the text ``raw``, such as "is empty"."""
    if isinstance(error, RecursionError):
        return f"is nested more than {MAX_DEPTH} levels deep"
    if isinstance(error, UnicodeDecodeError):
        return "is not UTF-8 text"
    text = str(error)
    if isinstance(error, msgspec.ValidationError):
        return _explain_validation(text)
    if b"\0" in raw:
        return "contains NUL bytes (was the machine switched off while the file was written?)"
    if "surrogate" in text or _ends_in_half_a_pair(text, raw):
        return "has an unpaired surrogate in a string"
    if "truncated" in text:
        return "is not valid JSON: it ends in the middle (was it cut off?)" if raw.strip() else "is empty"
    return "is not valid JSON: " + text.removeprefix("JSON is malformed: ")


def quoted(text: str) -> str:
    """Return a text from an input for use in a message: quoted, escaped and shortened."""
    return ascii(text if len(text) <= 60 else text[:57] + "...")


def _ends_in_half_a_pair(text: str, raw: bytes) -> bool:
    # msgspec reads on for the second half, and reports a text that is too short for one as truncated.
    return "truncated" in text and re.search(rb'\\u[dD][89abAB][0-9a-fA-F]{2}"', raw[-64:]) is not None


def _explain_validation(text: str) -> str:
    if "out of range" in text:
        return "has a number beyond 64 bits"
    problem, _, where = text.partition(" - at ")
    path = where.strip("`").removeprefix("$").removeprefix(".")
    if missing := re.search(r"missing required field `(.+)`", problem):
        return f"has no {path + '.' if path else ''}{missing[1]}"
    if wrong := re.search(r"Expected `(.+)`, got `(.+)`", problem):
        expected = wrong[1].removesuffix(" | null")
        found, expected = _TYPE_NAMES.get(wrong[2], wrong[2]), _TYPE_NAMES.get(expected, expected)
        return f"has {found} for its {path}, not {expected}" if path else f"is {found}, not {expected}"
    return f"is not valid: {text}"
