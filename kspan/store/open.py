"""Opens a database: checks it, locks it and migrates its tables."""

from kspan.errors import StoreError
from kspan.store.engine import make_engine, prepare_file, transaction, translated
from kspan.store.location import Location, WriterLock, check_file, locate
from kspan.store.postgresql import engine as postgres
from kspan.store.postgresql.citus import check_coordinator
from kspan.store.postgresql.leadership import Leadership
from kspan.store.schema.migrate import check_readable, migrate, revision_of
from kspan.store.store import Store


def open_store(url: str, *, read_only: bool = False) -> Store:
    """Open a database. Creates or migrates its tables, unless ``read_only``.

    One store at a time may write to an SQLite file. On a server, one store may write to each cluster, from its first
    ``Store.lead`` or write.

    Args:
        url: an SQLAlchemy URL (``sqlite://`` for memory, ``sqlite:///PATH``, ``postgresql://…``) or the path of an
            SQLite file in an existing directory.
        read_only: open it for reading only.

    Raises:
        StoreError: the database belongs to another program or a newer kspan, another process writes to it, or it
            cannot be opened. It is left as it was.
    """
    location = locate(url)
    if read_only and location.in_memory:
        raise StoreError("a database in memory is always empty when it is opened: give --db a path or a URL")
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
                if engine.dialect.name == "postgresql":
                    with transaction(engine, writing=False) as connection:
                        check_coordinator(connection, location.name)
                # After the check: the file of another program must not be switched to WAL mode.
                if location.path is not None:
                    prepare_file(engine, location)
                migrate(engine, revision)
    except BaseException:
        engine.dispose()
        raise
    if engine.dialect.name != "postgresql" or read_only:
        return Store(engine, location, lock)
    # Not from the pool: leadership keeps a session for each cluster for as long as this process writes to it.
    sessions = postgres.make_engine(location, read_only=False, pooled=False)
    return Store(engine, location, lock, Leadership(sessions, location.name))
