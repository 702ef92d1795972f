"""The commands on PostgreSQL: the same tables and spans as on SQLite, and refusals in a line."""

import json
from pathlib import Path
from typing import Any

from kspan.pipeline.rebuild import TABLES
from kspan.store import open_store
from tests.cli.commands.test_commands import ROLLING_UPDATE, kspan, refused
from tests.postgres import PASSWORD, PostgresServer


def contents(url: str) -> dict[str, Any]:
    with open_store(url, read_only=True) as store:
        (cluster,) = store.clusters()
        found: dict[str, Any] = {table: list(store.projection_rows(cluster, table)) for table in TABLES}
        found["journal"] = [entry for run in store.replay(cluster) for entry in run]
        found["cursors"] = store.cursors(cluster)
        return found


def spans(file: Path) -> list[Any]:
    """What was exported, whatever the order of the attributes."""

    def sort(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: sort(inner) for key, inner in value.items()}
        return sorted(map(sort, value), key=json.dumps) if isinstance(value, list) else value

    return [sort(json.loads(line)) for line in file.read_text().splitlines()]


def test_a_replay_writes_the_same_rows_and_spans_as_on_sqlite(postgres_url: str, tmp_path: Path) -> None:
    lite = str(tmp_path / "kspan.sqlite")
    for url, name in ((postgres_url, "pg"), (lite, "lite")):
        done = kspan("replay", ROLLING_UPDATE, "--db", url, "--export", f"file:{tmp_path / name}.jsonl")
        assert done.returncode == 0, done.stderr
    assert contents(postgres_url) == contents(lite)
    assert spans(tmp_path / "pg.jsonl") == spans(tmp_path / "lite.jsonl")
    assert kspan("db", "verify", "--db", postgres_url).returncode == 0
    before = contents(postgres_url)
    assert kspan("db", "rebuild", "--db", postgres_url).returncode == 0
    assert contents(postgres_url) == before
    assert kspan("db", "stats", "--db", postgres_url).returncode == 0


def test_writing_commands_are_refused_while_a_daemon_runs_and_reading_ones_are_not(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    name = postgres.create()
    url = postgres.url(name, tcp=True)
    assert kspan("replay", ROLLING_UPDATE, "--db", url, "--export", "none").returncode == 0
    with open_store(url) as daemon:
        assert daemon.lead(daemon.clusters()[0]) == ""
        for command in (("replay", ROLLING_UPDATE), ("db", "rebuild")):
            words = refused(kspan(*command, "--db", url))
            assert "is writing to cluster" in words
            assert "stop it first" in words
            assert PASSWORD not in words
        assert kspan("db", "stats", "--db", url).returncode == 0
        assert kspan("db", "verify", "--db", url).returncode == 0
    postgres.drop(name)
