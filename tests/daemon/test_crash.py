"""A real replay process, killed at any instant and run again, ends with the tables of one that was never killed."""

import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from kspan.daemon.rebuild import TABLES
from kspan.store import open_store
from tests.recordings import all_files

KILLS = 30
SEED = 20261122


def command(database: Path, spans: Path) -> list[str]:
    export = ["--export", f"file:{spans}"]
    return [sys.executable, "-m", "kspan", "replay", *all_files(), "--db", str(database), *export, "--no-progress"]


def run(database: Path, spans: Path) -> float:
    """Runs a replay to its end; returns how long it took, in seconds."""
    began = time.monotonic()
    subprocess.run(command(database, spans), check=True, capture_output=True)
    return time.monotonic() - began


def run_and_kill(database: Path, spans: Path, after: float) -> bool:
    """Runs a replay and kills it after so many seconds; whether it was still at it."""
    process = subprocess.Popen(command(database, spans), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        process.wait(timeout=after)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
    return process.wait() == -signal.SIGKILL


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
    # From the first import to the last emission, and a little beyond.
    chance = random.Random(SEED)
    return [chance.uniform(0.05, took * 1.05) for _ in range(count)]


@pytest.mark.timeout(900)
def test_a_replay_killed_at_30_moments_ends_with_the_tables_of_one_that_was_never_killed(tmp_path: Path) -> None:
    took = run(tmp_path / "whole.sqlite", tmp_path / "whole.jsonl")
    expected, expected_spans = tables(tmp_path / "whole.sqlite"), exported(tmp_path / "whole.jsonl")
    killed = 0
    # A database that is killed once and then finished, again and again: each kill meets a replay in a fresh state ...
    for number, after in enumerate(moments(took, KILLS)):
        database, spans = tmp_path / f"{number}.sqlite", tmp_path / f"{number}.jsonl"
        killed += run_and_kill(database, spans, after)
        run(database, spans)
        assert tables(database) == expected
        assert exported(spans) == expected_spans
        for leftover in tmp_path.glob(f"{number}.*"):
            leftover.unlink()
    assert killed >= KILLS // 2
    # ... and one that is killed over and over.
    database, spans = tmp_path / "often.sqlite", tmp_path / "often.jsonl"
    for after in moments(took, KILLS // 3):
        run_and_kill(database, spans, after)
    run(database, spans)
    assert tables(database) == expected
    assert exported(spans) == expected_spans
