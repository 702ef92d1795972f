"""The declared tables, the migrations and the row structs agree."""

import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Index, Table, inspect

from kspan.model import Cursor, LogRecord
from kspan.store import open_store
from kspan.store.engine import make_engine, transaction
from kspan.store.location import locate
from kspan.store.schema import tables as schema
from kspan.store.schema.migrate import scripts
from kspan.store.tables.rows import PROJECTION

ROOT = Path(__file__).parents[3]

USE_TWICE = """
import sys, kspan
from kspan.store import open_store
open_store(sys.argv[1]).close()
assert "alembic" in sys.modules
print(kspan.__file__)
"""

IS_ALEMBIC_LOADED = """
import sys
from kspan.store import open_store
open_store(sys.argv[1]).close()
print("alembic" in sys.modules)
"""


def test_the_migrated_schema_is_the_declared_one(tmp_path: Path) -> None:
    open_store(str(tmp_path / "kspan.sqlite")).close()
    engine = make_engine(locate(str(tmp_path / "kspan.sqlite")), read_only=True)
    with transaction(engine, writing=False) as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, schema.metadata) == []
        partial = connection.exec_driver_sql(
            "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql LIKE '%WHERE%'"
        ).all()
        clustered = connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE sql LIKE '%WITHOUT ROWID%'").all()
    engine.dispose()
    # Alembic compares neither the conditions of partial indexes nor SQLite's table options.
    declared = {
        index.name: str(where.text)
        for table in schema.metadata.tables.values()
        for index in table.indexes
        if (where := index.dialect_options["sqlite"]["where"]) is not None
    }
    assert {name: sql.split("WHERE ")[1] for name, sql in partial} == declared
    assert {name for (name,) in clustered} == {t.name for t in schema.metadata.tables.values() if t.kwargs}


def test_the_migrated_schema_is_the_declared_one_on_postgresql(postgres_url: str) -> None:
    engine = make_engine(locate(postgres_url), read_only=True)
    with transaction(engine, writing=False) as connection:
        options = {"compare_type": True, "compare_server_default": True, "include_name": is_no_partition}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, schema.metadata) == []
        partial = connection.exec_driver_sql(
            "SELECT relname, pg_get_expr(indpred, indrelid) FROM pg_index JOIN pg_class ON oid = indexrelid "
            "WHERE indpred IS NOT NULL AND NOT relispartition"
        ).all()
        keys = inspect(connection).get_pk_constraint("journal")["constrained_columns"]
        sorted_otherwise = connection.exec_driver_sql(
            "SELECT table_name, column_name FROM information_schema.columns JOIN information_schema.tables "
            "USING (table_schema, table_name) WHERE table_schema = 'public' AND table_type = 'BASE TABLE' "
            "AND data_type = 'text' AND collation_name IS DISTINCT FROM 'C'"
        ).all()
        stored = connection.exec_driver_sql(
            "SELECT relname, reloptions FROM pg_class WHERE reloptions IS NOT NULL"
        ).all()
        payload = connection.exec_driver_sql("SELECT pg_typeof(payload) FROM journal RIGHT JOIN (SELECT) one ON true")
        assert payload.scalar_one() == "json"
    engine.dispose()
    declared = {index.name for table in schema.metadata.tables.values() for index in table.indexes if has_where(index)}
    assert {name for name, _ in partial} == declared
    assert keys == ["cluster", "seq", "recorded_at"]
    assert sorted_otherwise == []
    kept = "autovacuum_vacuum_scale_factor=0.05"
    assert {name: options for name, options in stored if name in schema.metadata.tables} == {
        name: [f"fillfactor={share}", kept] for name, share in (("objects", 60), ("spans", 80), ("traces", 60))
    }


def is_no_partition(name: str | None, kind: str, _parents: Any) -> bool:
    return kind != "table" or not str(name).startswith("journal_")


def has_where(index: Index) -> bool:
    return index.dialect_options["postgresql"]["where"] is not None


def test_the_newest_migration_is_the_expected_one() -> None:
    assert ScriptDirectory(str(scripts())).get_heads() == [schema.REVISION]


@pytest.mark.parametrize(
    "table, fields",
    [
        (schema.journal, ("cluster", "seq", *LogRecord.__struct_fields__)),
        (schema.cursors, ("cluster", *Cursor.__struct_fields__)),
        *((table, ("cluster", *struct.__struct_fields__)) for table, struct in PROJECTION.values()),
    ],
    ids=lambda value: value.name if isinstance(value, Table) else "",
)
def test_the_columns_of_a_table_are_the_fields_of_its_struct_in_their_order(
    table: Table, fields: tuple[str, ...]
) -> None:
    assert tuple(column.name for column in table.columns if column.computed is None) == fields


@pytest.mark.parametrize("table", schema.metadata.tables.values(), ids=lambda table: table.name)
def test_every_table_and_column_is_documented_and_every_key_starts_with_the_cluster(table: Table) -> None:
    assert table.comment
    assert all(column.comment for column in table.columns)
    assert next(iter(table.primary_key)).name == "cluster"


def test_an_up_to_date_database_opens_without_alembic(tmp_path: Path) -> None:
    database = str(tmp_path / "kspan.sqlite")
    open_store(database).close()
    assert run(IS_ALEMBIC_LOADED, database, cwd=ROOT, path=ROOT) == "False"


def test_an_installed_wheel_contains_the_migrations(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", str(tmp_path)]
    subprocess.run([*build, str(ROOT)], check=True, capture_output=True, text=True)
    (wheel,) = tmp_path.glob("kspan-*.whl")
    installed = tmp_path / "installed"
    zipfile.ZipFile(wheel).extractall(installed)
    database = str(tmp_path / "kspan.sqlite")
    assert run(USE_TWICE, database, cwd=tmp_path, path=installed) == str(installed / "kspan" / "__init__.py")
    open_store(database, read_only=True).close()


def run(script: str, argument: str, *, cwd: Path, path: Path) -> str:
    command = [sys.executable, "-c", script, argument]
    result = subprocess.run(
        command, check=True, capture_output=True, text=True, cwd=cwd, env={"PYTHONPATH": str(path), "PATH": ""}
    )
    return result.stdout.strip()
