"""A real replay process, killed at any instant and run again, ends with the tables of one that was never killed."""

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
    """A replay that has begun its work: half of its time goes by with imports, before there is anything to lose."""
    lock = database.with_name(f"{database.name}.lock")
    lock.unlink(missing_ok=True)
    process = subprocess.Popen(command(database, spans), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not lock.exists() and process.poll() is None:
        time.sleep(0.001)
    return process


def run(database: Path, spans: Path) -> float:
    """Runs a replay to its end; returns how long it worked on the database, in seconds."""
    process = start(database, spans)
    began = time.monotonic()
    assert process.wait() == 0
    return time.monotonic() - began


def run_and_kill(database: Path, spans: Path, after: float) -> bool:
    """Runs a replay and kills it when it has worked for so many seconds; whether it was still at it."""
    process = start(database, spans)
    try:
        process.wait(timeout=after)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
    return process.wait() == -signal.SIGKILL


def left_half_done(database: Path, whole: int) -> bool:
    """Whether a killed replay has left some of its ``whole`` journal records, or some of its traces unsent."""
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
    """The spans in a file by trace and span id; sending twice must have sent the same."""
    found: dict[str, Any] = {}
    for line in spans.read_text().splitlines():
        for resource in json.loads(line)["resourceSpans"]:
            for scope in resource["scopeSpans"]:
                for span in scope["spans"]:
                    key = span["traceId"] + span["spanId"]
                    assert found.setdefault(key, span) == span
    return found


def moments(took: float, count: int) -> Sequence[float]:
    # From the first look at the database to the last emission, and a little beyond.
    chance = random.Random(SEED)
    return [chance.uniform(0, took * 1.05) for _ in range(count)]


@pytest.mark.timeout(900)
def test_a_replay_killed_at_30_moments_ends_with_the_tables_of_one_that_was_never_killed(tmp_path: Path) -> None:
    took = run(tmp_path / "whole.sqlite", tmp_path / "whole.jsonl")
    expected, expected_spans = tables(tmp_path / "whole.sqlite"), exported(tmp_path / "whole.jsonl")
    whole = sum(len(found["journal"]) for found in expected.values())
    killed = half_done = 0
    # A database that is killed once and then finished, again and again: each kill meets a replay in a fresh state ...
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
    # What the kills are about: something was there already, and not all of it.
    assert half_done >= KILLS // 3
    # ... and one that is killed over and over.
    database, spans = tmp_path / "often.sqlite", tmp_path / "often.jsonl"
    for after in moments(took, KILLS // 3):
        run_and_kill(database, spans, after)
    run(database, spans)
    assert tables(database) == expected
    assert exported(spans) == expected_spans
