"""Column types whose form differs between SQLite and PostgreSQL.

On SQLite a JSON value is text that SQL's ``json_extract`` reads, and a payload is JSON compressed with zstd; on
PostgreSQL both are JSONB. Python sees the same values on either.
"""

import threading
from enum import StrEnum
from typing import Any

import msgspec
import zstandard
from sqlalchemy import Dialect, LargeBinary, Text, TypeDecorator
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeEngine

_POSTGRESQL = "postgresql"


class Json(TypeDecorator[Any]):
    """A JSON value that is read back as ``shape``: builtins, or msgspec structs and lists of them."""

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
            return msgspec.to_builtins(value)
        return msgspec.json.encode(value).decode()

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        if dialect.name == _POSTGRESQL:
            return msgspec.convert(value, self.shape)
        return self._decoder.decode(value)


class _Zstd(threading.local):
    """zstd contexts: costly to make for every row, and not to be shared between threads."""

    def __init__(self) -> None:
        self.compressor = zstandard.ZstdCompressor(level=3)
        self.decompressor = zstandard.ZstdDecompressor()


_zstd = _Zstd()


def compress(payload: bytes) -> bytes | None:
    """A payload as SQLite stores it: zstd, or NULL for an empty one."""
    return _zstd.compressor.compress(payload) if payload else None


def decompress(stored: bytes) -> bytes:
    """A payload as it was before SQLite stored it. Raises ``zstandard.ZstdError`` for what is none."""
    return _zstd.decompressor.decompress(stored)


class Payload(TypeDecorator[bytes]):
    """An object as JSON bytes; NULL in the database where it is empty.

    SQLite gives back the very bytes that were stored; PostgreSQL, whose JSONB keeps the value and not the text,
    gives back an equal value.
    """

    impl = LargeBinary
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        # none_as_null: an empty payload is SQL's NULL, not JSON's null.
        return dialect.type_descriptor(JSONB(none_as_null=True) if dialect.name == _POSTGRESQL else LargeBinary())

    def process_bind_param(self, value: bytes | None, dialect: Dialect) -> Any:
        if not value:
            return None
        return msgspec.json.decode(value) if dialect.name == _POSTGRESQL else compress(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> bytes:
        if value is None:
            return b""
        if dialect.name == _POSTGRESQL:
            return msgspec.json.encode(value)
        return decompress(value)


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
        return None if value is None else self.words(value)
