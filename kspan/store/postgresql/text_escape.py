"""Escapes NUL (U+0000), which PostgreSQL cannot store in text and JSONB but a cluster may send.

NUL is stored as U+001A ``0``, and U+001A (an unused control character) as U+001A ``1``.
"""

import re
from collections.abc import Callable
from typing import Any, Final

import msgspec

_MARK: Final = "\x1a"
_MARKED: Final = re.compile("\x1a([01])")
_BACK: Final = {"0": "\0", "1": _MARK}


def escape(text: str) -> str:
    """Encode text for PostgreSQL."""
    if "\0" in text or _MARK in text:
        return text.replace(_MARK, "\x1a1").replace("\0", "\x1a0")
    return text


def unescape(text: str) -> str:
    """Decode text that ``escape`` has encoded."""
    return _MARKED.sub(lambda found: _BACK[found[1]], text) if _MARK in text else text


def to_jsonb(value: Any) -> str:
    """Encode a value as JSON for PostgreSQL."""
    encoded = msgspec.json.encode(value)
    if rb"\u0000" in encoded or rb"\u001a" in encoded:
        encoded = msgspec.json.encode(_mapped(msgspec.json.decode(encoded), escape))
    return encoded.decode()


def from_jsonb(stored: bytes) -> Any:
    """Decode the result of ``to_jsonb`` to builtins."""
    value = msgspec.json.decode(stored)
    return _mapped(value, unescape) if rb"\u001a" in stored else value


def _mapped(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {change(key): _mapped(inner, change) for key, inner in value.items()}
    if isinstance(value, list):
        return [_mapped(inner, change) for inner in value]
    return value
