"""Column types that SQLite and PostgreSQL store differently. Python sees the same values on both.

* A JSON value is JSONB on PostgreSQL and text on SQLite, where ``json_extract`` reads it.
* A payload must stay unchanged to the byte: JSON on PostgreSQL (JSONB sorts keys and cannot hold NUL), JSON compressed
  with zstd on SQLite.
"""

import threading
from enum import StrEnum
from typing import Any

import msgspec
import zstandard
from sqlalchemy import ColumnElement, Dialect, LargeBinary, Text, TypeDecorator, cast, type_coerce
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeEngine, UserDefinedType

from kspan.store.postgresql.text_escape import to_jsonb

_POSTGRESQL = "postgresql"


class Json(TypeDecorator[Any]):
    """A JSON value that is read as ``shape``: builtins, or msgspec structs and lists of them."""

    impl = Text
    cache_ok = True

    def __init__(self, shape: Any) -> None:
        super().__init__()
        self.shape = shape
        self._decoder = msgspec.json.Decoder(shape)

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(JSONB() if dialect.name == _POSTGRESQL else Text())

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        if dialect.name == _POSTGRESQL:
            return msgspec.json.decode(to_jsonb(value))
        return msgspec.json.encode(value).decode()

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        if dialect.name == _POSTGRESQL:
            return msgspec.convert(value, self.shape)
        return self._decoder.decode(value)


class _Zstd(threading.local):
    """zstd contexts, one per thread: they cannot be shared, and creating one for each row is slow."""

    def __init__(self) -> None:
        # Measured on Events and Pods: level 3 takes a fifth longer and is not smaller.
        self.compressor = zstandard.ZstdCompressor(level=1)
        self.decompressor = zstandard.ZstdDecompressor()


_zstd = _Zstd()


def compress(payload: bytes) -> bytes | None:
    """Encode a payload for SQLite: zstd, or NULL if it is empty."""
    return _zstd.compressor.compress(payload) if payload else None


def decompress(stored: bytes) -> bytes:
    """Decode a payload from SQLite. Raises ``zstandard.ZstdError`` for invalid data."""
    return _zstd.decompressor.decompress(stored)


class Payload(TypeDecorator[bytes]):
    """An object as JSON bytes; NULL in the database if empty."""

    impl = LargeBinary
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(_VerbatimJson() if dialect.name == _POSTGRESQL else LargeBinary())

    def process_bind_param(self, value: bytes | None, dialect: Dialect) -> str | bytes | None:
        if not value:
            return None
        return value.decode() if dialect.name == _POSTGRESQL else compress(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> bytes:
        if value is None:
            return b""
        return value.encode() if dialect.name == _POSTGRESQL else decompress(value)


class _VerbatimJson(UserDefinedType[str]):
    """JSON on PostgreSQL, read as the stored text."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "JSON"

    def column_expression(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        return type_coerce(cast(column, Text), Payload())


class Word(TypeDecorator[StrEnum]):
    """A member of an enumeration, stored as its value."""

    impl = Text
    cache_ok = True

    def __init__(self, words: type[StrEnum]) -> None:
        super().__init__()
        self.words = words

    def process_bind_param(self, value: StrEnum | None, dialect: Dialect) -> str | None:
        return None if value is None else str(value.value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> StrEnum | None:
        try:
            return None if value is None else self.words(value)
        except ValueError as error:
            raise msgspec.ValidationError(str(error)) from error
