"""A statement and its rows as ``/v1/sql`` takes and returns them. Pure."""

from datetime import date, datetime, time
from decimal import Decimal
from math import isfinite
from typing import Any, Final

import msgspec


class SqlQuestion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A statement.

    Args:
        statement: the text.
        parameters: values of ``:name``. ``:cluster`` is the uid of the cluster unless it is given.
        limit: maximum number of rows (0: as many as the server returns).
        timeout: seconds after which it is stopped (0: as long as the server allows).
    """

    statement: str
    parameters: dict[str, str | int] = {}
    limit: int = 0
    timeout: float = 0.0


class SqlAnswer(msgspec.Struct, frozen=True):
    """The result of a statement.

    Args:
        dialect: sqlite or postgresql.
        columns: names of the columns, which can be the same.
        rows: the values; what JSON has no type for is an object with ``type`` (bytes, numeric, float, timestamp, date,
            time, json or text) and ``value``.
        more: true if there are more rows than ``limit`` or than the server returns.
    """

    dialect: str
    columns: list[str]
    rows: list[list[Any]]
    more: bool


_TIMES: Final[tuple[tuple[type, str], ...]] = ((datetime, "timestamp"), (date, "date"), (time, "time"))


def to_wire(value: Any) -> Any:
    """Return a value of a database driver as ``SqlAnswer`` has it."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if isfinite(value) else {"type": "float", "value": str(value)}
    if isinstance(value, bytes | memoryview):
        return {"type": "bytes", "value": bytes(value).hex()}
    if isinstance(value, Decimal):
        return {"type": "numeric", "value": str(value)}
    if isinstance(value, dict | list | tuple):
        return {"type": "json", "value": value}
    for kind, name in _TIMES:
        if isinstance(value, kind):
            return {"type": name, "value": value.isoformat()}  # type: ignore[attr-defined]
    return {"type": "text", "value": str(value)}


def from_wire(value: Any) -> Any:
    """Return the value of a database driver that ``to_wire`` was given.

    Raises ValueError, TypeError or ArithmeticError for anything else.
    """
    if not isinstance(value, dict):
        return value
    read = _READERS.get(value.get("type", ""))
    if read is None:
        raise ValueError(f"unknown type {value.get('type')!r}")
    return read(value.get("value"))


def _same(value: Any) -> Any:
    return value


_READERS: Final[dict[str, Any]] = {
    "bytes": bytes.fromhex,
    "numeric": Decimal,
    "float": float,
    "timestamp": datetime.fromisoformat,
    "date": date.fromisoformat,
    "time": time.fromisoformat,
    "json": _same,
    "text": _same,
}
