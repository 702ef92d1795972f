"""Measures the cost of 100,000 live objects: memory, start-up, and time per line."""

import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.storm import Shift, Template, deltas
from kspan.graph import built_in_rules
from kspan.ingest.frames import Frame, FrameType, to_record
from kspan.ingest.journal_builder import JournalBatch, JournalBuilder
from kspan.model import RecordType
from kspan.pipeline.projector import BATCH, Projector
from kspan.store import Store, open_store
from kspan.times import SECOND

CLUSTER: Final = "benchmark"

KINDS: Final = ("v1/pods", "apps/v1/replicasets", "apps/v1/deployments")

OPEN: Final = """
import resource, sys, time
began = time.perf_counter()
from kspan.daemon.main import tune_garbage_collection
from kspan.graph import built_in_rules
from kspan.pipeline.projector import Projector
from kspan.store import open_store
tune_garbage_collection()
with open_store(sys.argv[1]) as store:
    projector = Projector(store, sys.argv[2], built_in_rules())
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(time.perf_counter() - began, used.ru_utime + used.ru_stime)
    print([int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(("VmRSS", "VmHWM"))])
"""


class Opened(msgspec.Struct, frozen=True):
    """A process that loaded the projection: seconds (wall clock, processor), and MB at the end and at the peak."""

    seconds: float
    processor: float
    resident: float
    peak: float


class Population:
    """Creates live objects from copies of a recording: each object as it was before its deletion."""

    def __init__(self, recording: Path) -> None:
        self._lives = list(_lives(deltas(recording, KINDS)))
        self._templates = [(frame, Template(frame.object)) for frame in self._lives]
        self.objects = sum(1 for frame in self._lives if frame.type is FrameType.ADDED)

    def grow(self, projector: Projector, first: int, last: int) -> None:
        """Add the copies from ``first`` to ``last - 1``."""
        for number in range(first, last):
            shift = Shift(number, 0)
            for frame, template in self._templates:
                record = to_record(RecordType(frame.type.value), frame.received, frame.resource, template.filled(shift))
                projector.add([JournalBatch([record])])
        projector.run_out()


def _lives(frames: list[Frame]) -> Iterator[Frame]:
    """The creation of each object and its newest version before it was deleted."""
    added: dict[bytes, Frame] = {}
    newest: dict[bytes, Frame] = {}
    for frame in frames:
        uid = msgspec.json.decode(frame.object, type=_Object).metadata.uid.encode()
        if frame.type is FrameType.ADDED:
            added[uid] = frame
        elif frame.type is FrameType.MODIFIED and b'"deletionTimestamp"' not in frame.object:
            newest[uid] = frame
    yield from sorted([*added.values(), *newest.values()], key=lambda frame: frame.received)


class _Metadata(msgspec.Struct):
    uid: str = ""


class _Object(msgspec.Struct):
    metadata: _Metadata


def open_again(database: Path) -> Opened:
    """Start a process that loads the projection."""
    command = [sys.executable, "-c", OPEN, str(database), CLUSTER]
    first, second = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    seconds, processor = map(float, first.split())
    peak, resident = (kilobytes / 1024 for kilobytes in msgspec.json.decode(second, type=list[int]))
    return Opened(seconds, processor, resident, peak)


def per_line(store: Store, recording: Path, number: int, lines: int) -> float:
    """Microseconds of processor time per line (Events and objects as in the recording) on this store.

    The median of the commits, because one of them includes the checkpoint of a large WAL.
    """
    frames = [frame for frame in deltas(recording) if frame.resource in (*KINDS, "v1/events")][:lines]
    shift = Shift(number, 0)
    now = time.time_ns()
    made = [
        Frame(now + n * SECOND // 1_000, f.resource, f.type, Template(f.object).filled(shift), f.source, f.line)
        for n, f in enumerate(frames)
    ]
    projector = Projector(store, CLUSTER, built_in_rules())
    streams = JournalBuilder(projector, store.cursors(CLUSTER))
    costs = []
    for start in range(0, len(made), BATCH):
        began = time.thread_time()
        for frame in made[start : start + BATCH]:
            projector.add(streams.feed(frame))
        projector.flush()
        costs.append((time.thread_time() - began) / BATCH * 1e6)
    return statistics.median(costs)


def populate(recording: Path, database: Path, sizes: list[int], lines: int) -> Iterator[tuple[int, float]]:
    """Grow a database to each number of live objects; yields (objects, microseconds per line)."""
    population, copies = Population(recording), 0
    with open_store(str(database)) as store:
        for step, size in enumerate(sizes):
            wanted = max(1, round(size / population.objects))
            population.grow(Projector(store, CLUSTER, built_in_rules()), copies, wanted)
            copies = wanted
            yield copies * population.objects, per_line(store, recording, 60_000 + step, lines)
