"""A real replay process that is killed at any moment and run again ends with the tables of an undisturbed one."""

import json
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from kspan.pipeline.rebuild import TABLES
from kspan.store import open_store
from tests.recordings import all_files

KILLS = 30
SEED = 20261122


def command(database: Path, spans: Path) -> list[str]:
    export = ["--export", f"file:{spans}"]
    return [sys.executable, "-m", "kspan", "replay", *all_files(), "--db", str(database), *export, "--no-progress"]


def start(database: Path, spans: Path) -> subprocess.Popen[bytes]:
    """Start a replay and wait until it opens the database: half of its time is spent on imports before that."""
    lock = database.with_name(f"{database.name}.lock")
    lock.unlink(missing_ok=True)
    process = subprocess.Popen(command(database, spans), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not lock.exists() and process.poll() is None:
        time.sleep(0.001)
    return process


def run(database: Path, spans: Path) -> float:
    """Run a replay to its end. Returns the seconds it worked on the database."""
    process = start(database, spans)
    began = time.monotonic()
    assert process.wait() == 0
    return time.monotonic() - began


def run_and_kill(database: Path, spans: Path, after: float) -> bool:
    """Kill a replay after it has worked for ``after`` seconds. Returns true if it was still running."""
    process = start(database, spans)
    try:
        process.wait(timeout=after)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
    return process.wait() == -signal.SIGKILL


def left_half_done(database: Path, whole: int) -> bool:
    """True if a killed replay has left some of its ``whole`` journal records, or some traces unsent."""
    connection = sqlite3.connect(database)
    try:
        tables = {name for (name,) in connection.execute("select name from sqlite_master")}
        if "emissions" not in tables:
            return False
        query = "select (select count(*) from journal), (select count(*) from emissions), (select count(*) from traces)"
        records, sent, traces = connection.execute(query).fetchone()
        return bool(0 < records < whole or (records == whole and sent < traces))
    finally:
        connection.close()


def tables(database: Path) -> dict[str, Any]:
    with open_store(str(database), read_only=True) as store:
        found: dict[str, Any] = {}
        for cluster in store.clusters():
            found[cluster] = {table: list(store.projection_rows(cluster, table)) for table in TABLES}
            found[cluster]["journal"] = [entry for run in store.replay(cluster) for entry in run]
            found[cluster]["cursors"] = store.cursors(cluster)
    return found


def exported(spans: Path) -> dict[str, Any]:
    """The spans in a file by trace and span id. A span that was sent twice must be equal both times."""
    found: dict[str, Any] = {}
    for line in spans.read_text().splitlines():
        for resource in json.loads(line)["resourceSpans"]:
            for scope in resource["scopeSpans"]:
                for span in scope["spans"]:
                    key = span["traceId"] + span["spanId"]
                    assert found.setdefault(key, span) == span
    return found


def moments(took: float, count: int) -> Sequence[float]:
    # From the opening of the database to the last export, and a little longer.
    chance = random.Random(SEED)
    return [chance.uniform(0, took * 1.05) for _ in range(count)]


@pytest.mark.timeout(900)
def test_a_replay_killed_at_30_moments_ends_with_the_tables_of_an_undisturbed_one(tmp_path: Path) -> None:
    took = run(tmp_path / "whole.sqlite", tmp_path / "whole.jsonl")
    expected, expected_spans = tables(tmp_path / "whole.sqlite"), exported(tmp_path / "whole.jsonl")
    whole = sum(len(found["journal"]) for found in expected.values())
    killed = half_done = 0
    # Kill a replay once and let the next one finish, repeatedly, so that each kill hits another state ...
    for number, after in enumerate(moments(took, KILLS)):
        database, spans = tmp_path / f"{number}.sqlite", tmp_path / f"{number}.jsonl"
        killed += run_and_kill(database, spans, after)
        half_done += left_half_done(database, whole)
        run(database, spans)
        assert tables(database) == expected
        assert exported(spans) == expected_spans
        for leftover in tmp_path.glob(f"{number}.*"):
            leftover.unlink()
    assert killed >= KILLS // 2
    # At least one kill must leave some, but not all, of the records or exports.
    assert half_done >= KILLS // 3
    # ... and kill the replays of one database repeatedly.
    database, spans = tmp_path / "often.sqlite", tmp_path / "often.jsonl"
    for after in moments(took, KILLS // 3):
        run_and_kill(database, spans, after)
    run(database, spans)
    assert tables(database) == expected
    assert exported(spans) == expected_spans
