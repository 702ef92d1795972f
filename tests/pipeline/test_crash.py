"""A real replay process that is killed at any moment and run again ends with the tables of an undisturbed one."""

import json
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

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
    database.with_name(f"{database.name}.lock").unlink(missing_ok=True)
    return subprocess.Popen(command(database, spans), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def run(database: Path, spans: Path) -> None:
    """Run a replay to its end."""
    assert start(database, spans).wait() == 0


class Moment(NamedTuple):
    """When a replay is killed: between one commit and the next, independent of the speed of the machine.

    Args:
        progress: Rows of the journal and traces sent, together, that are committed before; 0 at its start.
        delay: Time from then on, as a share of the time that its latest progress took.
    """

    progress: int
    delay: float


def run_and_kill(database: Path, spans: Path, moment: Moment) -> bool:
    """Run a replay and kill it at a moment. Returns true if it was still running."""
    process, since, took = start(database, spans), time.monotonic(), 0.0
    seen = -1
    while process.poll() is None:
        if seen < moment.progress and (now := progress(database)) > seen:
            seen, since, took = now, time.monotonic(), time.monotonic() - since
        if seen >= moment.progress and time.monotonic() - since >= took * moment.delay:
            process.send_signal(signal.SIGKILL)
            break
        time.sleep(0.001)
    return process.wait() == -signal.SIGKILL


def progress(database: Path) -> int:
    """Rows of the journal and traces sent, together; -1 before a replay opens the database."""
    if not database.with_name(f"{database.name}.lock").exists():
        return -1
    return sum(counts(database)[:2])


def left_half_done(database: Path, whole: int) -> bool:
    """True if a killed replay has left some of its ``whole`` journal records, or some traces unsent."""
    records, sent, traces = counts(database)
    return bool(0 < records < whole or (records == whole and sent < traces))


def counts(database: Path) -> tuple[int, int, int]:
    """Journal records, traces sent, traces."""
    if not database.exists():
        return 0, 0, 0
    query = "select (select count(*) from journal), (select count(*) from emissions), (select count(*) from traces)"
    try:
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
            records, sent, traces = connection.execute(query).fetchone()
    except sqlite3.OperationalError:
        return 0, 0, 0  # The tables are not there yet.
    return records, sent, traces


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


def moments(whole: int, count: int) -> Sequence[Moment]:
    chance = random.Random(SEED)
    return [Moment(max(0, chance.randrange(-whole // 6, whole)), chance.random()) for _ in range(count)]


@pytest.mark.timeout(7200)
def test_a_replay_killed_at_30_moments_ends_with_the_tables_of_an_undisturbed_one(tmp_path: Path) -> None:
    run(tmp_path / "whole.sqlite", tmp_path / "whole.jsonl")
    expected, expected_spans = tables(tmp_path / "whole.sqlite"), exported(tmp_path / "whole.jsonl")
    whole = sum(len(found["journal"]) for found in expected.values())
    most = progress(tmp_path / "whole.sqlite")
    killed = half_done = 0
    # Kill a replay once and let the next one finish, repeatedly, so that each kill hits another state ...
    for number, moment in enumerate(moments(most, KILLS)):
        database, spans = tmp_path / f"{number}.sqlite", tmp_path / f"{number}.jsonl"
        killed += run_and_kill(database, spans, moment)
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
    for moment in sorted(moments(most, KILLS // 3)):
        run_and_kill(database, spans, moment)
    run(database, spans)
    assert tables(database) == expected
    assert exported(spans) == expected_spans
