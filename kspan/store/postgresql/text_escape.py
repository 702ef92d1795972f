"""Characters that PostgreSQL cannot hold: it has no NUL (U+0000) in text and JSONB, and what a cluster sends has any.

So on its way in NUL becomes U+001A ``0``, and U+001A (a control character that nobody means) becomes U+001A ``1``; on
its way out it is what it was.
"""

import re
from collections.abc import Callable
from typing import Any, Final

import msgspec

_MARK: Final = "\x1a"
_MARKED: Final = re.compile("\x1a([01])")
_BACK: Final = {"0": "\0", "1": _MARK}


def escape(text: str) -> str:
    """Text as PostgreSQL can hold it."""
    if "\0" in text or _MARK in text:
        return text.replace(_MARK, "\x1a1").replace("\0", "\x1a0")
    return text


def unescape(text: str) -> str:
    """Text as it was before ``escape``."""
    return _MARKED.sub(lambda found: _BACK[found[1]], text) if _MARK in text else text


def to_jsonb(value: Any) -> str:
    """JSON as PostgreSQL can hold it."""
    encoded = msgspec.json.encode(value)
    if rb"\u0000" in encoded or rb"\u001a" in encoded:
        encoded = msgspec.json.encode(_mapped(msgspec.json.decode(encoded), escape))
    return encoded.decode()


def from_jsonb(stored: bytes) -> Any:
    """The builtins of what ``to_jsonb`` made."""
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
