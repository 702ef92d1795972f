"""Locations of databases: URLs and paths, checks of a file before SQLite opens it, and the writer's lock."""

import contextlib
import fcntl
import os
import re
import stat
from pathlib import Path
from typing import Final

import msgspec
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from kspan.errors import StoreError
from kspan.paths import expanded, why_unusable

_URL: Final = re.compile(r"(?:sqlite|postgres(?:ql)?)(?:\+\w+)?:")
"""The beginning of an URL, also if slashes are missing behind it."""

_MAGIC: Final = b"SQLite format 3\x00"


class Location(msgspec.Struct, frozen=True):
    """A database. ``path``: the SQLite file (None for memory or a server); ``name``: for messages, without password."""

    url: URL
    path: Path | None
    name: str

    @property
    def in_memory(self) -> bool:
        return self.path is None and self.url.get_backend_name() == "sqlite"


def locate(url: str) -> Location:
    """Parse an SQLAlchemy URL (``sqlite://`` is memory) or the path of an SQLite file.

    Raises StoreError for an invalid URL and for databases that kspan does not support.
    """
    if "://" not in url and not _URL.match(url):
        return _file(expanded(url))
    try:
        parsed = make_url(url)
        backend = parsed.get_backend_name()
    except (ArgumentError, ValueError) as error:
        raise StoreError("invalid database URL: use sqlite:///PATH or postgresql://…") from error
    if backend in ("postgresql", "postgres"):
        return _server(parsed)
    if backend != "sqlite":
        raise StoreError(f"{backend} databases are not supported: use sqlite:///PATH or postgresql://…")
    if parsed.query or parsed.host:
        raise StoreError(f"{url}: an SQLite URL is sqlite:///PATH (relative) or sqlite:////PATH (absolute), no options")
    if parsed.database in (None, "", ":memory:"):
        return Location(parsed, None, "sqlite://")
    return _file(Path(str(parsed.database)))


def _server(url: URL) -> Location:
    if url.drivername not in ("postgresql", "postgres", "postgresql+psycopg"):
        raise StoreError(f"{url.drivername}:// is not supported: use postgresql+psycopg://USER:PASSWORD@HOST/DATABASE")
    # Messages must not show the password, whether it is in its place or among the options.
    name = URL.create("postgresql", url.username, None, url.host, url.port, url.database).render_as_string()
    return Location(url.set(drivername="postgresql+psycopg"), None, name)


def _file(path: Path) -> Location:
    return Location(URL.create("sqlite", database=str(path)), path, str(path))


def check_file(path: Path, *, must_exist: bool) -> None:
    """Raise StoreError for a path that cannot be an SQLite file of kspan: SQLite's own messages mislead."""
    try:
        status = path.stat()
    except FileNotFoundError:
        if must_exist:
            raise StoreError(f"{path}: no such database") from None
        if not path.parent.is_dir():
            raise StoreError(f"{path}: the directory {path.parent} does not exist") from None
        return
    except (OSError, ValueError) as error:
        raise StoreError(f"{path}: {why_unusable(error)}") from error
    if stat.S_ISDIR(status.st_mode):
        raise StoreError(f"{path}: is a directory, not a database file")
    if not stat.S_ISREG(status.st_mode):
        raise StoreError(f"{path}: is not a regular file")
    try:
        with path.open("rb") as file:
            head = file.read(len(_MAGIC))
    except OSError as error:
        raise StoreError(f"{path}: {why_unusable(error)}") from error
    if head not in (b"", _MAGIC):
        raise StoreError(f"{path}: is not an SQLite database")


class WriterLock:
    """The right to write to an SQLite file, held by one open store at a time. It ends with the process.

    SQLite's own locks last for a transaction, but the state of the fold is in memory between transactions: a second
    writer must be kept out all the time. The lock file is not deleted, because that would let two writers in.
    """

    def __init__(self, database: Path) -> None:
        """Raises StoreError if another store holds the lock or the lock file cannot be created."""
        path = database.with_name(database.name + ".lock")
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise StoreError(f"{database}: cannot be locked for writing: {path}: {why_unusable(error)}") from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.read(self._descriptor, 20).decode("ascii", "replace").strip()
            os.close(self._descriptor)
            by = f" (pid {holder})" if holder else ""
            raise StoreError(f"{database}: another kspan is writing to this database{by}; stop it first") from error
        # The pid is only for the message above: a full disk must not prevent the start.
        with contextlib.suppress(OSError):
            os.ftruncate(self._descriptor, 0)
            os.write(self._descriptor, b"%d\n" % os.getpid())

    def release(self) -> None:
        """Release the lock. Calling it again does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
