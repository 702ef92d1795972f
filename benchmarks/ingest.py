"""``make bench RECORDING=FILE``: how fast a watch becomes committed and projected history.

An API server in a process of its own serves the recording's lines over loopback HTTP as fast as they are read; the
daemon's watcher and writer take them into an SQLite file (WAL, synchronous=FULL), causality on, nothing exported. The
table tells figure, limit and their ratio; it judges nothing. Without RECORDING the (short) recordings of the tests.
"""

import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from kspan.daemon.metrics import Metrics
from kspan.daemon.passage import Passage
from kspan.daemon.run import tune_garbage_collection
from kspan.daemon.writer import Writer
from kspan.graph import built_in_rules
from kspan.ingest.kube import Selection, Watcher, connect
from kspan.settings import FoldSettings
from kspan.store import open_store
from tests.recordings import all_files

LIMITS = {"v1/events": 12_000, "v1/pods": 7_000}
"""Lines a second that were asked for, on two cores."""

CLUSTER = "benchmark"
QUIET_S = 2.0
"""Seconds without a new record after which all of them are taken to have come."""


class _Nobody:
    def restarted(self, resource: str, reason: str) -> None:
        """Not of interest here."""

    def connected(self, resource: str) -> None:
        """Not of interest here."""

    def refused(self, resource: str, status: int) -> None:
        """Not of interest here."""


def measure(resource: str, recording: Path, folder: Path) -> tuple[int, float]:
    """(records, seconds) of one resource of the recording, from the first record to the last commit."""
    kubeconfig, database = folder / "kubeconfig", folder / "bench.sqlite"
    command = [sys.executable, "-m", "tests.apiserver", "--recording", str(recording), "--speed", "0"]
    command += ["--resource", resource, "--wait-for", resource, "--kubeconfig", str(kubeconfig)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        server.stdout.readline()
        settings = FoldSettings()
        with open_store(str(database)) as store:
            writer = Writer(
                store, CLUSTER, built_in_rules(), settings, metrics=Metrics(), passage=Passage(settings.hold)
            )
            watcher = Watcher(connect(str(kubeconfig)), Selection((resource,)), writer.deliver, {}, _Nobody())
            writer.start()
            began = time.perf_counter()
            watcher.start()
            count, last = 0, began
            while time.perf_counter() - last < QUIET_S or not count:
                time.sleep(0.01)
                now = store.last_sequence(CLUSTER)
                if now != count:
                    count, last = now, time.perf_counter()
            watcher.stop()
            writer.stop(5.0)
            watcher.join(5.0)
        return count, last - began
    finally:
        server.terminate()
        server.communicate()


def main() -> None:
    tune_garbage_collection()
    recordings = [Path(argument) for argument in sys.argv[1:]] or [Path(all_files()[1])]
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print(f"{'lines of':14}{'records':>9}{'seconds':>9}{'per second':>12}{'limit':>9}{'ratio':>7}")
    for recording in recordings:
        for resource, limit in LIMITS.items():
            with tempfile.TemporaryDirectory() as folder:
                count, seconds = measure(resource, recording, Path(folder))
            rate = count / seconds
            print(f"{resource:14}{count:9}{seconds:9.2f}{rate:12,.0f}{limit:9,}{rate / limit:7.2f}")


main()
