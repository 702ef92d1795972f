"""Measures kspan on a long history (``make growth RECORDING=...``).

    python -m benchmarks.growth RECORDING [--records 10000000] [--spans 1000000] [--days N] [--prune SHARE] [--db URL]

Without --db it uses an SQLite file in a temporary folder. The database must be empty. The table shows each figure, its
limit and their ratio. Comparisons run both sides in turns, so that both meet the same conditions. The empty store is of
the same kind as the other; on PostgreSQL it is a schema of the same database.
"""

import argparse
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable
from itertools import count, islice
from pathlib import Path

from benchmarks.history import CLUSTER, TARGET, History, make
from benchmarks.server import ServerTime, empty_beside, settings_of, settle
from benchmarks.storm import Shift, Template
from benchmarks.table import machine, made_folder, say
from kspan.daemon.main import tune_garbage_collection
from kspan.graph import built_in_rules
from kspan.ingest.frames import Frame
from kspan.ingest.journal_builder import JournalBuilder
from kspan.pipeline.projector import Projector
from kspan.query.objects.names import parse_object
from kspan.query.traces import TraceFilter, find_trace, list_traces
from kspan.query.why import why
from kspan.store import Store, open_store
from kspan.store.tables.retention import prune
from kspan.store.tables.stats import database_size
from kspan.times import SECOND
from tests.web.pages.site import site

CHUNK = 500
"""Records in a transaction, and in one turn of a comparison."""

WARM_UP = 6
"""Turns that are not counted, in which sessions, statements and caches are set up."""

QUERIES = 30

START = """
import sys
from kspan.graph import built_in_rules
from kspan.pipeline.projector import Projector
from kspan.store import open_store
with open_store(sys.argv[1]) as store:
    Projector(store, sys.argv[2], built_in_rules())
"""


def row(what: str, figure: str, limit: str, ratio: float) -> None:
    """A row of the table."""
    print(f"{what:62}{figure:>16}{limit:>12}{ratio:8.2f}", flush=True)


class Ingest:
    """A projector that is fed frames, with the seconds that each turn took (processor time and wall clock)."""

    def __init__(self, store: Store, server: ServerTime | None = None) -> None:
        self._server = server
        self.projector = Projector(store, CLUSTER, built_in_rules(), batch=CHUNK)
        self.streams = JournalBuilder(self.projector, store.cursors(CLUSTER))
        self.cpu: list[float] = []
        self.wall: list[float] = []
        self.served: list[float] = []

    def take(self, frames: list[Frame]) -> None:
        served = self._server.used() if self._server is not None else 0.0
        cpu, wall = time.thread_time(), time.perf_counter()
        for frame in frames:
            self.projector.add(self.streams.feed(frame))
        self.projector.flush()
        self.cpu.append(time.thread_time() - cpu)
        self.wall.append(time.perf_counter() - wall)
        self.served.append(self._server.used() - served if self._server is not None else 0.0)

    def forget(self) -> None:
        """Discard the times measured so far."""
        for times in (self.cpu, self.wall, self.served):
            times.clear()


def next_copy(history: History, number: int) -> list[Frame]:
    """One more copy of the recording, after the existing history."""
    shift = Shift(number, number * history.period)
    later = number * history.period
    return [
        Frame(f.received + later, f.resource, f.type, Template(f.object).filled(shift), f.source, f.line)
        for f in history.frames
    ]


def ingest(big: Store, small: Store, frames: list[Frame]) -> None:
    """Feed the same frames to both stores, one batch at a time in turns."""
    say(f"ingesting {len(frames):,} records twice")
    server = ServerTime(big)
    ways = Ingest(big, server), Ingest(small, server)
    source = iter(frames)
    for turn in count():
        chunk = list(islice(source, CHUNK))
        if not chunk:
            break
        # The first transactions open the sessions.
        if turn == WARM_UP:
            server.find()
            for way in ways:
                way.forget()
        for way in ways if turn % 2 else ways[::-1]:
            way.take(chunk)
    _compare("processor", ways[0].cpu, ways[1].cpu)
    if server.is_known:
        _compare("server's processor", ways[0].served, ways[1].served)
        both = [[c + s for c, s in zip(way.cpu, way.served, strict=True)] for way in ways]
        _compare("both processors", *both)
    _compare("clock", ways[0].wall, ways[1].wall)


def _compare(what: str, here: list[float], there: list[float]) -> None:
    slower = statistics.median(here) / statistics.median(there)
    rates = f"{CHUNK / statistics.median(here):,.0f} to {CHUNK / statistics.median(there):,.0f}"
    row(f"ingest, records/s to those on an empty store ({what})", rates, "1.15", slower / 1.15)


def start_up(url: str, name: str) -> None:
    """Start a process that opens the store and loads the projection."""
    wall, cpu = [], []
    for _ in range(3):
        began, spent = time.perf_counter(), _children()
        subprocess.run([sys.executable, "-c", START, url, CLUSTER], check=True)
        wall.append(time.perf_counter() - began)
        cpu.append(_children() - spent)
    for what, took in (("clock", wall), ("processor", cpu)):
        row(f"{name} ({what})", f"{statistics.median(took):.2f} s", "3 s", statistics.median(took) / 3)


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def questions(store: Store) -> None:
    """Run each query several times, for random objects, traces and times."""
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
            "kspan traces --since 2h": lambda: list_traces(
                connection, CLUSTER, TraceFilter(since=last - 7200 * SECOND), 20
            ),
            "kspan traces --since, at a random time": lambda: list_traces(
                connection, CLUSTER, TraceFilter(since=last - chance.randint(1, 48) * 3600 * SECOND), 20
            ),
        }
        for what, question in asked.items():
            median = statistics.median([ask(question) for _ in range(QUERIES)])
            row(f"{what}, median", f"{median:.1f} ms", "150 ms", median / 150)


PAGES = (
    "/",
    "/traces",
    "/traces?namespace={namespace}",
    "/traces?text=nowhere",
    "/timeline",
    "/timeline?namespace={namespace}&errors=1&since=2020-01-01T00:00:00Z",
    "/rollouts",
    "/objects",
    "/objects/{uid}",
    "/why/{kind}/{namespace}/{name}",
    "/v1/traces?limit=100",
    "/v1/failures?limit=100",
)


def pages(store: Store) -> None:
    """Ask for pages and answers of ``/v1`` over loopback, each for random objects."""
    chance = random.Random(1)
    with store.reading("choose") as connection:
        found = connection.exec_driver_sql(
            "SELECT DISTINCT object_uid, object_kind, object_namespace, object_name FROM spans "
            "WHERE object_kind IN ('Pod', 'Deployment') AND event_uid = ''"
        ).all()
    with site(store, CLUSTER) as (host, port):
        for pattern in PAGES:
            took = []
            for _ in range(QUERIES):
                uid, kind, namespace, name = chance.choice(found)
                given = {"uid": uid, "kind": kind.lower(), "namespace": namespace, "name": name}
                began = time.perf_counter()
                with urllib.request.urlopen(f"http://{host}:{port}{pattern.format(**given)}", timeout=60) as answer:
                    answer.read()
                took.append((time.perf_counter() - began) * 1000)
            row(f"GET {pattern}, median", f"{statistics.median(took):.1f} ms", "300 ms", statistics.median(took) / 300)


def pruning(store: Store, frames: list[Frame], before: int) -> None:
    """Measure the longest commit while the oldest records are pruned and 500 records a second arrive."""
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


def fill(url: str, options: argparse.Namespace) -> History:
    """Fill the store, vacuum it, and print its size."""
    began = time.perf_counter()
    with open_store(url) as store:
        history = make(store, options.recording, options.records, options.spans, options.days, say)
        say(f"filled in {time.perf_counter() - began:.0f} s")
        settle(store)
        say(f"vacuumed after {time.perf_counter() - began:.0f} s")
        path = Path(url) if store.dialect == "sqlite" else None
        with store.reading("ask for the size") as connection:
            size = f"{database_size(connection, path) / 1e9:.1f} GB"
        print(f"{history.records:,} records, {history.spans:,} spans, {size}, over {history.days:.1f} days")
        print(settings_of(store))
    return history


def measure(url: str, folder: str, options: argparse.Namespace) -> None:
    """Fill the store and print the table."""
    history = fill(url, options)
    print(f"{'':62}{'figure':>16}{'limit':>12}{'ratio':>8}", flush=True)
    start_up(url, "start-up")
    with open_store(url) as big:
        questions(big)
        pages(big)
        frames = next_copy(history, history.copies + 1)
        beside = empty_beside(big, url) if big.dialect == "postgresql" else open_store(f"{folder}/empty.sqlite")
        with beside as small:
            ingest(big, small, frames[:20_000])
        cut = frames[0].received - int(history.period * history.copies * (1 - options.prune))
        pruning(big, frames[20_000:], cut)
    start_up(url, "start-up after pruning")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__.partition("\n")[0])
    parser.add_argument("recording", type=Path)
    parser.add_argument("--records", type=int, default=10_000_000)
    parser.add_argument("--spans", type=int, default=1_000_000)
    parser.add_argument("--days", type=float, default=0, help="length of the history (default: as short as possible)")
    parser.add_argument(
        "--prune", type=float, default=0.1, help="share of the history to prune; PostgreSQL drops whole days"
    )
    parser.add_argument("--db", help="SQLAlchemy URL of an empty database")
    parser.add_argument("--folder", type=made_folder, help="for the SQLite files")
    options = parser.parse_args()
    tune_garbage_collection()
    machine()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        measure(options.db or f"{folder}/growth.sqlite", folder, options)


if __name__ == "__main__":
    main()
