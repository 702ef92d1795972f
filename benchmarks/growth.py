"""What becomes of kspan on a long history (``make growth RECORDING=...``).

    python -m benchmarks.growth RECORDING [--records 10000000] [--spans 1000000] [--db URL]

Without --db in an SQLite file in a temporary folder. The database has to be empty. The table tells figure, limit and
their ratio; it judges nothing. What is compared runs in turns with its peer, so that both meet the same machine.
"""

import argparse
import os
import platform
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path

from benchmarks.history import CLUSTER, TARGET, History, make
from benchmarks.storm import Shift, Template
from benchmarks.table import say
from kspan.daemon.projector import Projector
from kspan.daemon.run import tune_garbage_collection
from kspan.graph import built_in_rules
from kspan.ingest.normalize import Frame
from kspan.ingest.streams import Streams
from kspan.query.naming import parse_object
from kspan.query.traces import Filter, find_trace, list_traces
from kspan.query.why import why
from kspan.store import Store, open_store
from kspan.store.pruning import prune
from kspan.times import SECOND

CHUNK = 500
"""Records in a transaction, and in a turn."""

QUERIES = 30

START = """
import sys
from kspan.daemon.projector import Projector
from kspan.graph import built_in_rules
from kspan.store import open_store
with open_store(sys.argv[1]) as store:
    Projector(store, sys.argv[2], built_in_rules())
"""


def row(what: str, figure: str, limit: str, ratio: float) -> None:
    """A row of the table."""
    print(f"{what:46}{figure:>16}{limit:>12}{ratio:8.2f}", flush=True)


class Ingest:
    """A projector that takes in frames, and how long each turn took it (seconds, of processor and by the clock)."""

    def __init__(self, store: Store) -> None:
        self.projector = Projector(store, CLUSTER, built_in_rules(), batch=CHUNK)
        self.streams = Streams(self.projector, store.cursors(CLUSTER))
        self.cpu: list[float] = []
        self.wall: list[float] = []

    def take(self, frames: list[Frame]) -> None:
        cpu, wall = time.thread_time(), time.perf_counter()
        for frame in frames:
            self.projector.add(self.streams.feed(frame))
        self.projector.flush()
        self.cpu.append(time.thread_time() - cpu)
        self.wall.append(time.perf_counter() - wall)


def next_copy(history: History, number: int) -> list[Frame]:
    """The recording once more, after all that is there."""
    shift = Shift(number, number * history.period)
    later = number * history.period
    return [
        Frame(f.received + later, f.resource, f.type, Template(f.object).filled(shift), f.source, f.line)
        for f in history.frames
    ]


def ingest(big: Store, small: Store, frames: list[Frame]) -> None:
    """The same frames into both, a batch here and a batch there."""
    say(f"taking in {len(frames):,} records twice")
    ways = Ingest(big), Ingest(small)
    source = iter(frames)
    while chunk := list(islice(source, CHUNK)):
        for way in ways:
            way.take(chunk)
    for what, here, there in (
        ("processor", ways[0].cpu, ways[1].cpu),
        ("clock", ways[0].wall, ways[1].wall),
    ):
        slower = statistics.median(here) / statistics.median(there)
        rates = f"{CHUNK / statistics.median(here):,.0f} to {CHUNK / statistics.median(there):,.0f}"
        row(f"ingest, records/s to those on an empty store ({what})", rates, "1.15", slower / 1.15)


def start_up(url: str) -> None:
    """A process that opens the store and takes up what is live."""
    wall, cpu = [], []
    for _ in range(3):
        began, spent = time.perf_counter(), _children()
        subprocess.run([sys.executable, "-c", START, url, CLUSTER], check=True)
        wall.append(time.perf_counter() - began)
        cpu.append(_children() - spent)
    for what, took in (("clock", wall), ("processor", cpu)):
        row(f"start-up ({what})", f"{statistics.median(took):.2f} s", "3 s", statistics.median(took) / 3)


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def questions(store: Store) -> None:
    """Each for other objects, traces and moments."""
    chance = random.Random(1)
    with store.reading("choose") as connection:
        last = connection.exec_driver_sql("SELECT max(start_time) FROM traces WHERE state = 'closed'").scalar_one()
        traces = list(
            connection.exec_driver_sql(
                "SELECT trace_id FROM traces WHERE state = 'closed' AND span_count > 5"
            ).scalars()
        )
        names = connection.exec_driver_sql(
            "SELECT DISTINCT object_kind, object_namespace, object_name FROM spans "
            "WHERE object_kind IN ('Pod', 'Deployment')"
        ).all()

    def ask(question: Callable[[], object]) -> float:
        began = time.perf_counter()
        question()
        return (time.perf_counter() - began) * 1000

    def asked_why() -> object:
        kind, namespace, name = chance.choice(names)
        return why(connection, CLUSTER, parse_object((f"{kind}/{name}",), namespace))

    with store.reading("ask") as connection:
        asked: dict[str, Callable[[], object]] = {
            "kspan why KIND/NAME": asked_why,
            "kspan trace ID": lambda: find_trace(connection, CLUSTER, chance.choice(traces)),
            "kspan traces --since 2h": lambda: list_traces(connection, CLUSTER, Filter(since=last - 7200 * SECOND), 20),
            "kspan traces --since, somewhere in the history": lambda: list_traces(
                connection, CLUSTER, Filter(since=last - chance.randint(1, 48) * 3600 * SECOND), 20
            ),
        }
        for what, question in asked.items():
            median = statistics.median([ask(question) for _ in range(QUERIES)])
            row(f"{what}, median", f"{median:.1f} ms", "150 ms", median / 150)


def pruning(store: Store, frames: list[Frame], before: int) -> None:
    """The longest commit while the oldest records go, with 500 records a second coming in."""
    say("pruning")
    way = Ingest(store)
    done = threading.Event()
    gone = []

    def run() -> None:
        gone.append(prune(store, CLUSTER, before, [TARGET]))
        done.set()

    thread = threading.Thread(target=run)
    source = iter(frames)
    for _ in range(40):
        way.take(list(islice(source, 25)))
    alone = max(way.wall)
    way.wall.clear()
    thread.start()
    while not done.is_set() and (chunk := list(islice(source, 25))):
        way.take(chunk)
        done.wait(0.05)
    thread.join()
    longest = max(way.wall)
    row(f"longest commit while {gone[0].records:,} records are pruned", f"{longest:.3f} s", "0.5 s", longest / 0.5)
    row("longest commit before", f"{alone:.3f} s", "0.5 s", alone / 0.5)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__.partition("\n")[0])
    parser.add_argument("recording", type=Path)
    parser.add_argument("--records", type=int, default=10_000_000)
    parser.add_argument("--spans", type=int, default=1_000_000)
    parser.add_argument("--db", help="SQLAlchemy URL of an empty database")
    parser.add_argument("--folder", help="for the SQLite files")
    options = parser.parse_args()
    tune_garbage_collection()
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        url = options.db or f"{folder}/growth.sqlite"
        began = time.perf_counter()
        with open_store(url) as big, open_store(f"{folder}/empty.sqlite") as small:
            history = make(big, options.recording, options.records, options.spans, say)
            say(f"made in {time.perf_counter() - began:.0f} s")
            size = big.stats(CLUSTER)[0].size if options.records <= 1_000_000 else 0
            print(f"{history.records:,} records, {history.spans:,} spans in {big.name.rpartition('/')[2]} {size or ''}")
            print(f"{'':46}{'figure':>16}{'limit':>12}{'ratio':>8}")
            questions(big)
            frames = next_copy(history, history.copies + 1)
            ingest(big, small, frames[:20_000])
            cut = frames[0].received - history.period * history.copies * 9 // 10
            pruning(big, frames[20_000:], cut)
        start_up(url)


main()
