"""A process that folds the journals it is sent, for comparing processes with different hash seeds.

Run as ``python -m tests.graph.fold_process``. Messages on stdin and stdout are msgpack, each after its length.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, Self

import msgspec

from kspan.graph import Fold, built_in_rules
from kspan.model import LogRecord, RecordType
from kspan.pipeline.rebuild import TABLES
from tests.limits import HANG_S
from tests.recordings import RUN_OUT, apply_delta

CLUSTER = "00000000-0000-4000-8000-00000000cafe"


class Task(msgspec.Struct):
    """A journal; after how many records the rows are compared (``cuts``), and the fold starts again (``restarts``)."""

    records: Sequence[LogRecord]
    cuts: Sequence[int] = ()
    restarts: Sequence[int] = ()


class FoldProcess:
    """The process with one PYTHONHASHSEED, as its parent sees it."""

    def __init__(self, seed: int) -> None:
        environment = os.environ | {"PYTHONHASHSEED": str(seed)}
        command = [sys.executable, "-m", "tests.graph.fold_process"]
        root = Path(__file__).parents[2]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, cwd=root
        )

    def send(self, task: Task) -> None:
        """Starts a task."""
        assert self._process.stdin is not None
        _write(self._process.stdin, msgspec.msgpack.encode(task))

    def receive(self) -> list[bytes]:
        """The rows at each cut and at the end."""
        assert self._process.stdout is not None
        return msgspec.msgpack.decode(_read(self._process.stdout), type=list[bytes])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate(timeout=HANG_S)


def rows_of(task: Task) -> list[bytes]:
    """The rows of the projection, as bytes, at each cut and once the clock has run out."""
    tables: dict[str, dict[Any, Any]] = {table: {} for table in TABLES}
    fold, found = Fold(CLUSTER, built_in_rules()), []
    number = 0
    for number, record in enumerate(task.records, 1):
        fold.apply(number, record)
        if number in task.cuts or number in task.restarts:
            delta = fold.take_delta()
            apply_delta(tables, delta)
            if number in task.restarts:
                fold = _restarted(tables, delta.clock)
            if number in task.cuts:
                found.append(_bytes(tables))
    fold.apply(number + 1, LogRecord(RecordType.TICK, fold.now + RUN_OUT))
    apply_delta(tables, fold.take_delta())
    return [*found, _bytes(tables)]


def _restarted(tables: dict[str, dict[Any, Any]], clock: bytes) -> Fold:
    """A fold that goes on from rows in the order of their keys, as the store gives them."""
    rows = {table: [row for _, row in sorted(found.items())] for table, found in tables.items()}
    fold = Fold(CLUSTER, built_in_rules())
    fold.load(
        [row.state for row in rows["objects"] if row.remembered],
        rows["owners"],
        [row.fold for table in ("pending", "spans") for row in rows[table] if row.fold],
        [row.fold for row in rows["traces"] if row.fold],
        clock,
    )
    return fold


def _bytes(tables: dict[str, dict[Any, Any]]) -> bytes:
    return msgspec.msgpack.encode([[row for _, row in sorted(found.items())] for found in tables.values()])


def _write(stream: IO[bytes], message: bytes) -> None:
    stream.write(len(message).to_bytes(4) + message)
    stream.flush()


def _read(stream: IO[bytes]) -> bytes:
    return stream.read(int.from_bytes(stream.read(4)))


if __name__ == "__main__":
    while message := _read(sys.stdin.buffer):
        _write(sys.stdout.buffer, msgspec.msgpack.encode(rows_of(msgspec.msgpack.decode(message, type=Task))))
