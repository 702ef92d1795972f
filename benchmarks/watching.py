"""Measures a watch over loopback HTTP into a database: throughput and latency.

The API server of the tests runs in a process of its own and serves copies of a recording. The daemon's watcher and
writer commit them to an SQLite file (WAL, synchronous=FULL), with traces but without exports.
"""

import subprocess
import sys
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import islice
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.storm import copies, deltas
from kspan.daemon.metrics import Metrics
from kspan.daemon.writer import Writer
from kspan.graph import built_in_rules
from kspan.ingest.watch import Selection, Watcher, connect
from kspan.ingest.watch.stream_status import NullObserver
from kspan.model import LogRecord
from kspan.settings import FoldSettings
from kspan.store import open_store
from kspan.times import SECOND, format_time

CLUSTER: Final = "benchmark"

QUIET_S: Final = 3.0
"""Seconds without a new record after which the run is complete."""

POLL_S: Final = 0.1


class Watched(msgspec.Struct, frozen=True):
    """The result: records, wall-clock seconds from the first to the last, processor seconds, and the time from receipt
    to commit of each record (ns, sorted). ``halves``: seconds for the first and the last half of the records."""

    records: int
    seconds: float
    processor: float
    halves: tuple[float, float]
    latencies: list[int]

    def percentile(self, part: float) -> float:
        """Milliseconds."""
        return self.latencies[min(len(self.latencies) - 1, int(part * len(self.latencies)))] / 1e6


class _Clock(Metrics):
    """Metrics that remember when each record was committed."""

    def __init__(self) -> None:
        super().__init__()
        self.latencies: list[int] = []
        self.commits: list[tuple[float, int]] = []

    def committed(self, records: Sequence[LogRecord], seconds: float, now: int) -> None:
        super().committed(records, seconds, now)
        at = time.time_ns()
        self.latencies += [at - record.recorded_at for record in records]
        self.commits.append((time.perf_counter(), len(records)))


def write_copies(recording: Path, resources: Collection[str], lines: int, per_second: float, out: Path) -> None:
    """Write a recording of ``lines`` changes of these resources, ``per_second`` a second, from copies of ``recording``.

    They are received after all times that the objects state: a time in the future is not believed.
    """
    frames = deltas(recording, resources)
    began = max(frame.received for frame in frames)
    empty = {"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}}
    with out.open("wb") as file:
        for resource in resources:
            head = {"received": format_time(began), "resource": resource, "type": "LIST"}
            file.write(msgspec.json.encode(head | {"object": empty}) + b"\n")
        for number, frame in enumerate(islice(copies(frames), lines)):
            received = format_time(began + int(number / per_second * SECOND))
            line = {"received": received, "resource": frame.resource, "type": frame.type}
            file.write(msgspec.json.encode(line | {"object": msgspec.Raw(frame.object)}) + b"\n")


Beside = Callable[[str], AbstractContextManager[None]]
"""What is done beside the writer, with a database."""


def watch(recording: Path, resource: str, folder: Path, speed: float, beside: Beside | None = None) -> Watched:
    """Serve a recording and watch it. ``speed`` 0: as fast as possible."""
    kubeconfig, database = folder / "kubeconfig", folder / f"{resource.replace('/', '-')}-{speed}.sqlite"
    command = [sys.executable, "-m", "tests.apiserver", "--recording", str(recording), "--speed", str(speed)]
    command += ["--resource", resource, "--wait-for", resource, "--kubeconfig", str(kubeconfig)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        server.stdout.readline()
        return _ingest(str(kubeconfig), str(database), resource, beside or (lambda _: nullcontext()))
    finally:
        server.terminate()
        server.communicate()


def _ingest(kubeconfig: str, database: str, resource: str, beside: Beside) -> Watched:
    settings, clock = FoldSettings(), _Clock()
    with open_store(database) as store, beside(database):
        # Without a watermark event time always advances, as it does on a normal day.
        writer = Writer(store, CLUSTER, built_in_rules(), settings, metrics=clock)
        watcher = Watcher(connect(kubeconfig), Selection((resource,)), writer.deliver, {}, NullObserver())
        writer.start()
        began, processor = time.perf_counter(), time.process_time()
        watcher.start()
        while not clock.commits or time.perf_counter() - clock.commits[-1][0] < QUIET_S:
            time.sleep(POLL_S)
            if time.perf_counter() - began > 60 and not clock.commits:
                raise SystemExit("no record arrived")
        processor = time.process_time() - processor
        watcher.stop()
        writer.stop(5.0)
        watcher.join(5.0)
    return _result(clock, began, processor)


def _result(clock: _Clock, began: float, processor: float) -> Watched:
    total, seen = sum(count for _, count in clock.commits), 0
    middle = end = began
    for at, count in clock.commits:
        seen += count
        if seen <= total // 2:
            middle = at
        end = at
    return Watched(total, end - began, processor, (middle - began, end - middle), sorted(clock.latencies))
