"""Reads SQLite files in places that cannot be written: other users' directories, read-only mounts, full disks.

To read a database in WAL mode, SQLite creates two files beside it, ``-wal`` and ``-shm``, unless they exist. Where it
cannot, and no ``-wal`` has changes, the database can be opened with ``immutable=1``, which needs no other file.
See https://www.sqlite.org/wal.html#read_only_databases.
"""

import contextlib
import sqlite3
from pathlib import Path
from typing import Final
from urllib.parse import quote

from kspan.errors import StoreError
from kspan.paths import why_unusable

_CANNOT_CREATE: Final = frozenset(
    {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL}
)
_PRIMARY: Final = 0xFF
"""Bits of an extended result code that are the primary one."""


def file_uri(path: Path, options: str) -> str:
    """Return the URI of an SQLite file."""
    return f"file:{quote(str(path.absolute()))}?{options}"


def readable_uri(path: Path) -> str:
    """Return the URI that opens a database for reading.

    Raises StoreError if its newest changes are in a ``-wal`` file that cannot be opened here.
    """
    uri = file_uri(path, "mode=ro")
    if not _lacks_files(uri):
        return uri
    wal = path.with_name(path.name + "-wal")
    if _size(wal) == 0:
        return file_uri(path, "mode=ro&immutable=1")
    raise StoreError(
        f"{path}: cannot be read without its newest changes, which are in {wal}: copy both files to a directory where "
        "you can create files, or read it as a user who can write to it"
    )


def _lacks_files(uri: str) -> bool:
    """Return whether reading fails because SQLite cannot open or create the files beside a database."""
    try:
        with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=0)) as connection:
            connection.execute("SELECT count(*) FROM sqlite_master")
    except sqlite3.Error as error:
        # Any other error will be reported when the database is used.
        return getattr(error, "sqlite_errorcode", 0) & _PRIMARY in _CANNOT_CREATE
    return False


def _size(wal: Path) -> int:
    try:
        return wal.stat().st_size
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise StoreError(f"{wal}: {why_unusable(error)}") from error
