"""Converts values of a database driver to JSON and to text."""

from collections.abc import Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, Final

import msgspec

_encoder: Final = msgspec.json.Encoder(decimal_format="number")

Row = Sequence[Any]

_EXACT: Final = 2**53
"""Below it, floats are exact."""


def encode_json(value: Any) -> bytes:
    """Encode a value as JSON: bytes as hexadecimal ``\\x…``, as in PostgreSQL, and times in RFC 3339."""
    return _encoder.encode(_plain(value))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Decimal):
        return Decimal(_shortest(value)) if value.is_finite() else None
    if isinstance(value, str):
        return str(value)
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT:
        return int(value)  # As a NUMERIC of PostgreSQL, where SQLite has a float: durations of 0.
    if isinstance(value, int | float | datetime | date | time) or value is None:
        return value
    return to_text(value)


def to_text(value: Any) -> str:
    """Convert a value to text: NULL is empty, JSON values are JSON, bytes are hexadecimal ``\\x…``."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.15g}"
    if isinstance(value, Decimal):
        return _shortest(value)
    if isinstance(value, bytes | memoryview):
        return "\\x" + bytes(value).hex()
    if isinstance(value, datetime | date | time):
        return value.isoformat(*(" ",) if isinstance(value, datetime) else ())
    return encode_json(value).decode() if isinstance(value, dict | list | tuple) else str(value)


def _shortest(value: Decimal) -> str:
    # Averages in PostgreSQL have twenty digits, most of them zeros.
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
