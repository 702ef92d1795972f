"""The schema's version: which one a database has, and the way to the newest.

The scripts are at the root of a checkout (``migrations/``) and inside an installed wheel (``kspan/_migrations``).
Alembic is imported only when there is something to migrate: a database that is up to date opens without it.
"""

from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Engine, inspect, text

from kspan.errors import StoreError
from kspan.store.engine import take_time, transaction
from kspan.store.location import Location
from kspan.store.schema.tables import REVISION

_VERSION_TABLE: Final = "alembic_version"
# Other programs use Alembic too, and number their revisions as they like.
_OURS: Final = "kspan"


def scripts() -> Path:
    """The folder of the migration scripts. Raises ``StoreError`` for an installation that lacks them."""
    package = Path(__file__).parents[2]
    for folder in (package / "_migrations", package.parent / "migrations"):
        if (folder / "env.py").is_file():
            return folder
    raise StoreError("this installation of kspan lacks its migration scripts: install it again")


def revision_of(engine: Engine, location: Location) -> str:
    """The revision of a database, empty for one without tables.

    Raises ``StoreError`` for a database of another program.
    """
    with transaction(engine, writing=False) as connection:
        tables = set(inspect(connection).get_table_names())
        if not tables:
            return ""
        revisions: list[str] = []
        if _VERSION_TABLE in tables:
            revisions = list(connection.execute(text(f"SELECT version_num FROM {_VERSION_TABLE}")).scalars())  # noqa: S608
    if len(revisions) != 1 or not revisions[0].startswith(_OURS):
        raise StoreError(f"{location.name}: is a database of another program (tables: {', '.join(sorted(tables)[:5])})")
    return revisions[0]


def check_readable(engine: Engine, location: Location) -> None:
    """Raises ``StoreError`` for a database that a reader, who must not migrate it, cannot use as it is."""
    revision = revision_of(engine, location)
    if not revision:
        raise StoreError(f"{location.name}: holds no kspan tables yet")
    if revision == REVISION:
        return
    _refuse_unknown(revision, location)
    raise StoreError(f"{location.name}: was made by an older kspan: let this one open it for writing once")


def migrate(engine: Engine, location: Location, revision: str) -> None:
    """Bring a database from ``revision`` (empty: nothing there) to the newest, in one transaction.

    Raises ``StoreError`` for a revision that this program does not know.
    """
    if revision == REVISION:
        return
    if revision:
        _refuse_unknown(revision, location)
    with transaction(engine, writing=True) as connection:
        take_time(connection)
        if connection.dialect.name == "postgresql":
            # Two that start at the same time: the second finds that all was done.
            connection.execute(text("SELECT pg_advisory_xact_lock(hashtextextended('kspan migration', 0))"))
        upgrade(connection)


def upgrade(connection: Connection) -> None:
    """Run all migrations that are not applied yet, inside the transaction of ``connection``."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(scripts()).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _refuse_unknown(revision: str, location: Location) -> None:
    from alembic.script import ScriptDirectory

    known = {script.revision for script in ScriptDirectory(str(scripts())).walk_revisions()}
    if revision not in known:
        raise StoreError(
            f"{location.name}: was written by a newer kspan (its schema is {revision}, this one knows {REVISION}): "
            "update kspan"
        )
