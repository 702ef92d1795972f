"""A real daemon, a real API server that serves a recording, and a real receiver, each a process of its own."""

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from kspan.errors import StoreError
from kspan.ingest import read_frames
from kspan.ingest.frames import FrameType
from kspan.store import open_store
from kspan.times import SECOND
from tests.emit.receivers import Rotel, free_ports, run_rotel
from tests.recordings import recording

CHANGES = (FrameType.ADDED, FrameType.MODIFIED, FrameType.DELETED)

DEADLINE = 120.0
"""Seconds in which all that was served has to be emitted."""

QUIET = ("--hold", "2s", "--settle", "5s", "--max-trace-age", "30s")
"""A compressed recording is over in seconds; so is the waiting. What never comes to rest (a crash loop, a Pod that fits
nowhere) is closed by its age: more than a compressed recording lasts, so that no trace is cut in the middle of it."""

LENGTH = 10.0
"""Seconds that a compressed recording lasts."""

STILL = 2.0
"""Seconds without a new record after which what was served has come."""


class Cluster(NamedTuple):
    """An API server in a process of its own."""

    url: str
    kubeconfig: Path

    def begin(self) -> None:
        """Lets a recording happen that was held, as soon as it is watched."""
        body = json.dumps({"wait_for": WATCHED}).encode()
        with urllib.request.urlopen(f"{self.url}/_test/begin", body, timeout=10) as answer:
            assert answer.status == 200

    def finished(self) -> bool:
        """Whether all that was recorded has happened."""
        with urllib.request.urlopen(f"{self.url}/_test/stats", timeout=10) as answer:
            return all(replay["done"] == replay["total"] for replay in json.load(answer)["replays"])


def speed(scenario: str) -> float:
    """How many times faster than it happened a recording is served."""
    times = [frame.received for frame in read_frames([str(recording(scenario))]) if frame.type in CHANGES]
    return max(1.0, (max(times) - min(times)) / SECOND / LENGTH)


WATCHED = ("v1/events", "v1/pods", "apps/v1/replicasets", "apps/v1/deployments", "v1/namespaces")
"""What has to be watched before a recording begins."""


@contextmanager
def serving(scenario: str, folder: Path, *, held: bool = False) -> Iterator[Cluster]:
    """An API server on which the recording happens once somebody watches; one that is ``held``, once it is begun."""
    kubeconfig = folder / "kubeconfig"
    command = [sys.executable, "-m", "tests.apiserver", "--recording", str(recording(scenario)), "--token", "t0ken"]
    command += ["--speed", str(speed(scenario)), "--kubeconfig", str(kubeconfig)]
    command += ["--stepwise"] if held else [part for resource in WATCHED for part in ("--wait-for", resource)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        ready, url = process.stdout.readline().split()
        assert ready == "ready"
        yield Cluster(url, kubeconfig)
    finally:
        process.terminate()
        process.communicate()


class Receiver(NamedTuple):
    """Where a receiver is, or will be."""

    http_endpoint: str


def start(
    kubeconfig: Path, database: Path | str, rotel: Rotel | Receiver | None, log: Path, *flags: str
) -> subprocess.Popen[bytes]:
    """``kspan run``, which sends to a receiver if there is to be one."""
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "kspan", "run", "--kubeconfig", str(kubeconfig), "--db", str(database), *QUIET]
    command += ["--export", "otlp" if rotel else "none", "--listen", f"127.0.0.1:{port}", *flags]
    environment = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": rotel.http_endpoint if rotel else ""}
    with log.open("ab") as output:
        return subprocess.Popen(command, env=environment, stdout=output, stderr=output)


def records_and_unsent(database: Path | str) -> tuple[int, int]:
    """How many records are journalled, and how much of what they tell has not been emitted."""
    records = unsent = 0
    try:
        with open_store(str(database), read_only=True) as store:
            for cluster in store.clusters():
                records += store.last_sequence(cluster)
                live = store.load_projection(cluster)
                unsent += len(live.pending) + len(live.traces) + len(store.unemitted_traces(cluster, "otlp", 1_000))
    except StoreError:
        return 0, 0  # The tables are not there yet.
    return records, unsent


def wait_for(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + DEADLINE
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def wait_until_all_is_emitted(database: Path | str, daemon: subprocess.Popen[bytes], cluster: Cluster) -> None:
    deadline = time.monotonic() + DEADLINE
    seen, since = 0, time.monotonic()
    while True:
        assert daemon.poll() is None
        assert time.monotonic() < deadline, records_and_unsent(database)
        there, unsent = records_and_unsent(database)
        if there != seen or unsent or not cluster.finished():
            seen, since = there, time.monotonic()
        if there and time.monotonic() - since > STILL:
            return
        time.sleep(0.2)


Life = Callable[[Path], None]
"""Waits until a daemon on this database is to be killed."""


def after_seconds(seconds: float) -> Life:
    """Killed at any moment: from before it listens to after all has come."""
    return lambda _: time.sleep(seconds)


def after_records(number: int, seconds: float) -> Life:
    """Killed as soon as it has committed so many records, after so many seconds if they do not come.

    What is lost of a daemon is what it knew beside the database, and that is most at the moment of a commit: the lists
    are half done, or a kind has just been named.
    """

    def wait(database: Path) -> None:
        deadline = time.monotonic() + seconds
        enough = _newest_record(database) + number
        while _newest_record(database) < enough and time.monotonic() < deadline:
            time.sleep(0.001)

    return wait


def _newest_record(database: Path) -> int:
    return _ask(database, "SELECT max(seq) FROM journal")


def _ask(database: Path, query: str) -> int:
    try:
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
            found: int | None = connection.execute(query).fetchone()[0]
    except sqlite3.OperationalError:
        return 0  # There is no file, or no table yet.
    return found or 0


@contextmanager
def beginning(cluster: Cluster, database: Path) -> Iterator[None]:
    """Begins a recording that is held once the first list is in the database: what happened before any was nobody
    knows, and a daemon that is killed until then was never there."""
    over = threading.Event()

    def begin() -> None:
        while not over.wait(0.001):
            if _ask(database, "SELECT count(*) FROM cursors"):
                cluster.begin()
                return

    thread = threading.Thread(target=begin)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def spans_received(rotel: Rotel) -> dict[str, str]:
    """What was printed of each span, by its id. What was sent twice must have been the same twice."""
    found: dict[str, str] = {}
    for block in re.split(r"^Span #\d+$|^ResourceSpans #\d+$", rotel.text(), flags=re.MULTILINE):
        span = re.search(r"^    ID             : ([0-9a-f]{16})$", block, flags=re.MULTILINE)
        if span is not None:
            content = "\n".join(line for line in block.splitlines() if line.startswith(" "))
            assert found.setdefault(span[1], content) == content
    return found


def run(scenario: str, folder: Path, lives: Sequence[Life] = ()) -> dict[str, str]:
    """The spans that reached the receiver from a daemon that had these lives before the one that nobody ended."""
    folder.mkdir()
    database, log = folder / "kspan.sqlite", folder / "kspan.log"
    with (
        run_rotel(folder) as rotel,
        serving(scenario, folder, held=True) as cluster,
        beginning(cluster, database),
    ):
        for life in lives:
            daemon = start(cluster.kubeconfig, database, rotel, log)
            life(database)
            daemon.send_signal(signal.SIGKILL)
            daemon.wait()
        daemon = start(cluster.kubeconfig, database, rotel, log)
        try:
            wait_until_all_is_emitted(database, daemon, cluster)
            daemon.send_signal(signal.SIGTERM)
            assert daemon.wait(15) == 0, log.read_text()
        finally:
            daemon.kill()
            daemon.wait()
        return spans_received(rotel)
