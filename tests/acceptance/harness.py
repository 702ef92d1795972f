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
from tests.limits import HANG_S
from tests.recordings import recording

CHANGES = (FrameType.ADDED, FrameType.MODIFIED, FrameType.DELETED)

INEXACT = "kspan.time.uncertainty"

QUIET = ("--hold", "2s", "--settle", "5s", "--max-trace-age", "30s")
"""Short waits for a recording that is compressed to seconds.

Traces that never get quiet (a crash loop, an unschedulable Pod) are closed by age, which is longer than the recording,
so that no trace is cut in its middle.
"""

LENGTH = 10.0
"""Duration of a compressed recording in seconds."""

STILL = 2.0
"""Seconds without a new record after which everything served has arrived."""


class Cluster(NamedTuple):
    """An API server in a process of its own."""

    url: str
    kubeconfig: Path

    def begin(self) -> None:
        """Serve a held recording as soon as it is watched."""
        self.control("begin", wait_for=WATCHED)

    def control(self, action: str, **arguments: object) -> None:
        """Control the server (``tests/apiserver/control.py``)."""
        body = json.dumps(arguments).encode()
        with urllib.request.urlopen(f"{self.url}/_test/{action}", body, timeout=HANG_S) as answer:
            assert answer.status == 200

    def finished(self) -> bool:
        """True once the whole recording has been served."""
        with urllib.request.urlopen(f"{self.url}/_test/stats", timeout=HANG_S) as answer:
            return all(replay["done"] == replay["total"] for replay in json.load(answer)["replays"])


def speed(scenario: str) -> float:
    """By which factor a recording is served faster than it was recorded."""
    times = [frame.received for frame in read_frames([str(recording(scenario))]) if frame.type in CHANGES]
    return max(1.0, (max(times) - min(times)) / SECOND / LENGTH)


WATCHED = (
    "v1/events",
    "v1/pods",
    "apps/v1/replicasets",
    "apps/v1/deployments",
    "v1/namespaces",
    "v1/configmaps",
    "v1/serviceaccounts",
)
"""Resources that have to be watched before a recording begins. The last two have objects in each new namespace."""


@contextmanager
def serving(scenario: str, folder: Path, *, held: bool = False) -> Iterator[Cluster]:
    """An API server that serves a compressed recording as soon as it is watched; if ``held``, after ``begin``."""
    with serving_file(recording(scenario), folder, speed(scenario), held=held) as cluster:
        yield cluster


@contextmanager
def serving_file(file: Path, folder: Path, pace: float, *, held: bool = False) -> Iterator[Cluster]:
    """The same with any recording, ``pace`` times as fast as it was made."""
    kubeconfig = folder / "kubeconfig"
    command = [sys.executable, "-m", "tests.apiserver", "--recording", str(file), "--token", "t0ken"]
    command += ["--speed", str(pace), "--kubeconfig", str(kubeconfig)]
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
    """The address of a receiver, running or not."""

    http_endpoint: str


def start(
    kubeconfig: Path, database: Path | str, rotel: Rotel | Receiver | None, log: Path, *flags: str
) -> subprocess.Popen[bytes]:
    """Start ``kspan run``, with an OTLP target if there is a receiver."""
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "kspan", "run", "--kubeconfig", str(kubeconfig), "--db", str(database), *QUIET]
    command += ["--export", "otlp" if rotel else "none", "--listen", f"127.0.0.1:{port}", *flags]
    environment = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": rotel.http_endpoint if rotel else ""}
    with log.open("ab") as output:
        return subprocess.Popen(command, env=environment, stdout=output, stderr=output)


def records_and_unsent(database: Path | str, target: str = "otlp") -> tuple[int, int]:
    """Number of journal records, and of occurrences and traces that are not exported to a target."""
    records = unsent = 0
    try:
        with open_store(str(database), read_only=True) as store:
            for cluster in store.clusters():
                records += store.last_sequence(cluster)
                live = store.load_projection(cluster)
                unsent += len(live.pending) + len(live.traces) + len(store.unemitted_traces(cluster, target, 1_000))
    except StoreError:
        return 0, 0  # The tables are not there yet.
    return records, unsent


def wait_for(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + HANG_S
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def wait_until_all_is_emitted(database: Path | str, daemon: subprocess.Popen[bytes], cluster: Cluster) -> None:
    deadline = time.monotonic() + HANG_S
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
"""Waits for the moment at which a daemon on this database is killed."""


def after_seconds(seconds: float) -> Life:
    """Killed at any moment: from before it listens until everything has arrived."""
    return lambda _: time.sleep(seconds)


def after_records(number: int, seconds: float) -> Life:
    """Killed as soon as it has committed ``number`` records, or after ``seconds``.

    A kill loses the state that is not in the database. Most of it exists right after a commit: lists are half done, or
    a kind has just been named.
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
    """Begin a held recording once the first list is in the database. Changes before that cannot be known."""
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
    """The printed text of each span without times, by span id. One that was sent twice must be the same both times.

    By how much a time may be wrong depends on when a daemon was killed.
    """
    found: dict[str, str] = {}
    for block in re.split(r"^Span #\d+$|^ResourceSpans #\d+$", rotel.text(), flags=re.MULTILINE):
        span = re.search(r"^    ID             : ([0-9a-f]{16})$", block, flags=re.MULTILINE)
        if span is not None:
            content = "\n".join(line for line in block.splitlines() if line.startswith(" ") and not _is_time(line))
            assert found.setdefault(span[1], content) == content
    return found


def _is_time(line: str) -> bool:
    """True for the time of a span event, and for how uncertain a time is."""
    return INEXACT in line or line.lstrip().startswith("-> Timestamp:")


def run(scenario: str, folder: Path, lives: Sequence[Life] = ()) -> dict[str, str]:
    """The spans that a receiver got from a daemon that was killed at the end of each of ``lives``."""
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
            assert daemon.wait(HANG_S) == 0, log.read_text()
        finally:
            daemon.kill()
            daemon.wait()
        return spans_received(rotel)
