"""Opening a database: refusing what is not ours, locking, migrating."""

from kspan.errors import StoreError
from kspan.store.engine import make_engine, prepare_file, translated
from kspan.store.location import Location, WriterLock, check_file, locate
from kspan.store.postgresql import engine as postgres
from kspan.store.postgresql.leadership import Leadership
from kspan.store.schema.migrate import check_readable, migrate, revision_of
from kspan.store.store import Store


def open_store(url: str, *, read_only: bool = False) -> Store:
    """Open a database, bringing its tables up to date, or making them, unless ``read_only``.

    ``url`` is an SQLAlchemy URL (``sqlite://`` is memory, ``sqlite:///PATH`` a file, ``postgresql://…``) or the plain
    path of an SQLite file, whose directory must exist. One store at a time may write to an SQLite file, and on a server
    one to each cluster: who that is is settled by ``Store.lead``, or when something is first written.

    Raises ``StoreError`` for a database that is not ours or newer than this program, that another process is writing
    to, or that cannot be opened; such a database is left as it was.
    """
    location = locate(url)
    if read_only and location.in_memory:
        raise StoreError("a database in memory is empty when it is opened: reading only makes no sense")
    if location.path is not None:
        check_file(location.path, must_exist=read_only)
    lock = WriterLock(location.path) if location.path is not None and not read_only else None
    try:
        return _open(location, lock, read_only=read_only)
    except BaseException:
        if lock is not None:
            lock.release()
        raise


def _open(location: Location, lock: WriterLock | None, *, read_only: bool) -> Store:
    engine = make_engine(location, read_only=read_only)
    try:
        with translated(location.name, "open the database"):
            if read_only:
                check_readable(engine, location)
            else:
                revision = revision_of(engine, location)
                # Only now: another program's file is not to be switched to WAL.
                if location.path is not None:
                    prepare_file(engine, location)
                migrate(engine, revision)
    except BaseException:
        engine.dispose()
        raise
    if engine.dialect.name != "postgresql" or read_only:
        return Store(engine, location, lock)
    # A session for each cluster, for as long as it is written to: not out of those that take turns.
    sessions = postgres.make_engine(location, read_only=False, pooled=False)
    return Store(engine, location, lock, Leadership(sessions, location.name))
