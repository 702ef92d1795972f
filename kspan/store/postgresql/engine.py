"""PostgreSQL engine: TCP keepalives, statement timeouts, and escaping of NUL characters."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError, NoSuchModuleError
from sqlalchemy.pool import ConnectionPoolEntry, NullPool, QueuePool

from kspan.errors import StoreError
from kspan.store.location import Location
from kspan.store.postgresql.text_escape import escape, from_jsonb, unescape

OLDEST: Final = 130000
"""server_version_num of the oldest supported PostgreSQL."""

# Time limits for an address that does not answer and for a connection whose other side is gone.
_CONNECT: Final = {
    "connect_timeout": "10",
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "15000",
    "application_name": "kspan",
    "client_encoding": "utf8",
}

# The same on the server, so that it releases the locks of a lost client, and limits for locks and statements.
_SESSION: Final = {
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "15000",
    "lock_timeout": "10000",
}
_WRITER: Final = {"statement_timeout": "60000", "idle_in_transaction_session_timeout": "30000"}


def make_engine(location: Location, *, read_only: bool, pooled: bool = True) -> Engine:
    """Return an engine for a server; ``pooled``: keep connections open for reuse.

    Raises StoreError if psycopg is not installed.
    """
    missing = f"{location.name}: PostgreSQL needs the driver psycopg: install kspan with the extra 'postgres'"
    try:
        import psycopg  # noqa: F401

        engine = create_engine(
            location.url,
            connect_args={name: value for name, value in _CONNECT.items() if name not in location.url.query},
            execution_options={"postgresql_readonly": True} if read_only else {},
            pool_pre_ping=pooled,
            poolclass=QueuePool if pooled else NullPool,
        )
    except (ImportError, NoSuchModuleError) as error:
        raise StoreError(missing) from error

    @event.listens_for(engine, "connect")
    def prepare(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
        _adapt(connection)
        _set_up(connection, location, _SESSION if read_only else _SESSION | _WRITER)

    return engine


def _set_up(connection: Any, location: Location, settings: dict[str, str]) -> None:
    """Apply the settings and check the server, in one round trip."""
    calls = ", ".join("set_config(%s, %s, false)" for _ in settings)
    query = f"SELECT current_setting('server_encoding'), current_setting('server_version_num')::int, {calls}"
    cursor = connection.cursor()
    encoding, version, *_ = cursor.execute(query, [part for pair in settings.items() for part in pair]).fetchone()
    cursor.close()
    connection.commit()
    if encoding != "UTF8":
        raise StoreError(f"{location.name}: its encoding is {encoding}: create a database with ENCODING 'UTF8'")
    if version < OLDEST:
        raise StoreError(
            f"{location.name}: the server is PostgreSQL {version // 10000}: kspan needs {OLDEST // 10000} or later"
        )


def _adapt(connection: Any) -> None:
    """Set up escaping in the driver, so that it applies to every statement."""
    from psycopg.adapt import Dumper, Loader

    class Text(Dumper):
        def dump(self, obj: str) -> bytes:
            return escape(obj).encode()

    class LoadText(Loader):
        def load(self, data: Any) -> str:
            return unescape(str(data, "utf-8"))

    class LoadJson(Loader):
        def load(self, data: Any) -> Any:
            return from_jsonb(bytes(data))

    connection.adapters.register_dumper(str, Text)
    connection.adapters.register_loader("text", LoadText)
    connection.adapters.register_loader("jsonb", LoadJson)


@contextmanager
def driver_errors(doing: str) -> Iterator[None]:
    """Translate errors of psycopg into those of SQLAlchemy, for statements that bypass SQLAlchemy."""
    import psycopg

    try:
        yield
    except psycopg.Error as error:
        raise DBAPIError.instance(doing, None, error, psycopg.Error) from error
