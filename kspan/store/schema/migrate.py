"""Schema version of a database, and migration to the newest one.

The scripts are in ``migrations/`` at the root of a checkout and in ``kspan/_migrations`` in an installed wheel.
Alembic is imported only if there is something to migrate: an up-to-date database opens without it.
"""

from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Engine, inspect, text

from kspan.errors import StoreError
from kspan.store.engine import take_time, transaction
from kspan.store.location import Location
from kspan.store.schema.tables import REVISION

_VERSION_TABLE: Final = "alembic_version"

_OURS: Final = "kspan"
"""Prefix of our revisions. Other programs use Alembic too, in a table of the same name."""

_BEFORE_RELEASE: Final = frozenset({"kspan0001", "kspan0002"})
"""Revisions that were edited after databases had been created with them. Nothing can be migrated from them."""


def scripts() -> Path:
    """Return the folder of the migration scripts. Raises StoreError if the installation lacks them."""
    package = Path(__file__).parents[2]
    for folder in (package / "_migrations", package.parent / "migrations"):
        if (folder / "env.py").is_file():
            return folder
    raise StoreError("this installation of kspan lacks its migration scripts: install kspan again")


def revision_of(engine: Engine, location: Location) -> str:
    """Return the revision of a database, empty if it has no tables.

    Raises StoreError for a database of another program, of a kspan before 0.2.0, or of a newer kspan.
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
    _check_supported(revisions[0], location)
    return revisions[0]


def check_readable(engine: Engine, location: Location) -> None:
    """Raise StoreError if the database cannot be read without migrating it."""
    revision = revision_of(engine, location)
    if not revision:
        raise StoreError(f"{location.name}: has no kspan tables yet: run 'kspan run' or 'kspan replay' first")
    if revision != REVISION:
        raise StoreError(
            f"{location.name}: has the tables of an older kspan ({revision}; this one reads {REVISION}): "
            "open it for writing once, with kspan run or kspan db rebuild, to upgrade them"
        )


def migrate(engine: Engine, revision: str) -> None:
    """Upgrade a database from ``revision`` (empty: no tables) to the newest, in one transaction."""
    if revision == REVISION:
        return
    with transaction(engine, writing=True) as connection:
        take_time(connection)
        if connection.dialect.name == "postgresql":
            # Of two programs that start at the same time, the second waits and finds the migration done.
            connection.execute(text("SELECT pg_advisory_xact_lock(hashtextextended('kspan migration', 0))"))
        upgrade(connection)


def upgrade(connection: Connection) -> None:
    """Run all migrations that have not been applied, in the transaction of ``connection``."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(scripts()).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _check_supported(revision: str, location: Location) -> None:
    if revision == REVISION:
        return
    if revision in _BEFORE_RELEASE:
        raise StoreError(
            f"{location.name}: was written by a kspan before 0.2.0 and cannot be upgraded: move it away (mv) or use "
            "another --db, and record or replay again; only the old kspan can read it"
        )
    from alembic.script import ScriptDirectory

    known = {script.revision for script in ScriptDirectory(str(scripts())).walk_revisions()}
    if revision not in known:
        raise StoreError(
            f"{location.name}: was written by a newer kspan (its tables are {revision}, this one knows {REVISION}): "
            "update kspan"
        )
