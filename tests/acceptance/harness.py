"""A real daemon, a real API server that serves a recording, and a real receiver, each a process of its own."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from kspan.errors import StoreError
from kspan.store import open_store
from tests.emit.receivers import Rotel, free_ports, run_rotel
from tests.recordings import recording

DEADLINE = 120.0
"""Seconds in which all that was served has to be emitted."""

QUIET = ("--hold", "1s", "--settle", "3s")
"""A compressed recording is over in seconds; so is the waiting."""

SCENARIOS = {"02-rolling-update": 10.0, "11-delete-cascade": 10.0}
"""How many times faster than they happened. Every minute of a recording is then some seconds."""


@contextmanager
def serving(scenario: str, folder: Path) -> Iterator[Path]:
    """An API server, as a process, on which the recording happens once somebody watches; its kubeconfig."""
    kubeconfig = folder / "kubeconfig"
    command = [sys.executable, "-m", "tests.apiserver", "--recording", str(recording(scenario)), "--token", "t0ken"]
    command += ["--speed", str(SCENARIOS[scenario]), "--kubeconfig", str(kubeconfig)]
    for resource in ("v1/events", "v1/pods", "apps/v1/replicasets", "apps/v1/deployments", "v1/namespaces"):
        command += ["--wait-for", resource]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("ready ")
        yield kubeconfig
    finally:
        process.terminate()
        process.communicate()


class Receiver(NamedTuple):
    """Where a receiver is, or will be."""

    http_endpoint: str


def start(kubeconfig: Path, database: Path, rotel: Rotel | Receiver, log: Path) -> subprocess.Popen[bytes]:
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "kspan", "run", "--kubeconfig", str(kubeconfig), "--db", str(database), *QUIET]
    command += ["--export", "otlp", "--listen", f"127.0.0.1:{port}"]
    environment = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": rotel.http_endpoint}
    with log.open("ab") as output:
        return subprocess.Popen(command, env=environment, stdout=output, stderr=output)


def records_and_unsent(database: Path) -> tuple[int, int]:
    """How many records are journalled, and how much of what they tell has not been emitted."""
    records = unsent = 0
    try:
        with open_store(str(database), read_only=True) as store:
            for cluster in store.clusters():
                records += store.last_sequence(cluster)
                live = store.load_projection(cluster)
                unsent += len(live.spans) + len(live.traces) + len(store.unemitted_traces(cluster, "otlp", 1_000))
    except StoreError:
        return 0, 0  # The tables are not there yet.
    return records, unsent


def wait_until_all_is_emitted(database: Path, daemon: subprocess.Popen[bytes], records: int) -> None:
    deadline = time.monotonic() + DEADLINE
    while True:
        assert daemon.poll() is None
        assert time.monotonic() < deadline
        there, unsent = records_and_unsent(database)
        if there >= records and not unsent:
            return
        time.sleep(0.2)


def spans_received(rotel: Rotel) -> dict[str, str]:
    """What was printed of each span, by its id. What was sent twice must have been the same twice."""
    found: dict[str, str] = {}
    for block in re.split(r"^Span #\d+$|^ResourceSpans #\d+$", rotel.text(), flags=re.MULTILINE):
        span = re.search(r"^    ID             : ([0-9a-f]{16})$", block, flags=re.MULTILINE)
        if span is not None:
            content = "\n".join(line for line in block.splitlines() if line.startswith(" "))
            assert found.setdefault(span[1], content) == content
    return found


def run(scenario: str, folder: Path, kills: list[float], records: int) -> tuple[dict[str, str], int]:
    """The spans that reached the receiver, and the number of records, of a daemon that lived so long between kills."""
    folder.mkdir()
    database, log = folder / "kspan.sqlite", folder / "kspan.log"
    with run_rotel(folder) as rotel, serving(scenario, folder) as kubeconfig:
        for alive in kills:
            daemon = start(kubeconfig, database, rotel, log)
            time.sleep(alive)
            daemon.send_signal(signal.SIGKILL)
            daemon.wait()
        daemon = start(kubeconfig, database, rotel, log)
        try:
            wait_until_all_is_emitted(database, daemon, records)
            daemon.send_signal(signal.SIGTERM)
            assert daemon.wait(15) == 0, log.read_text()
        finally:
            daemon.kill()
            daemon.wait()
        return spans_received(rotel), records_and_unsent(database)[0]


def deltas(scenario: str) -> int:
    """Records that a daemon journals of this recording at the least."""
    return {"02-rolling-update": 300, "11-delete-cascade": 200}[scenario]
