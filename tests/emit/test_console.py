"""Export to a terminal: each trace once, and only written traces are marked."""

import io
import os
import subprocess
import sys
from pathlib import Path

from rich.console import Console

from kspan.emit.console import ConsoleExporter
from kspan.emit.export_queue import ExportQueue
from tests.emit.memory_store import MemoryStore
from tests.emit.rows import START, rolling_update
from tests.limits import HANG_S

WIDTHS = [20, 40, 60, 80, 100, 120, 160, 240]


def test_the_console_target_prints_each_trace_once(store: MemoryStore) -> None:
    for name in ("one", "two"):
        store.add(*rolling_update(name))
    file = io.StringIO()
    queue = ExportQueue(store, store.cluster, "console", ConsoleExporter(Console(file=file, width=100)))
    assert queue.export_pending(START).traces == 2
    assert queue.export_pending(START).traces == 0
    assert file.getvalue().count("✓ Deployment shop/web by kubectl") == 2
    assert "\n\n✓ Deployment" in file.getvalue(), "traces stand apart"


class _Full(io.StringIO):
    """A file on a full disk, in the place of a terminal."""

    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")


def test_traces_wait_if_the_output_cannot_be_written(store: MemoryStore) -> None:
    store.add(*rolling_update())
    queue = ExportQueue(store, store.cluster, "console", ConsoleExporter(Console(file=_Full(), width=100)))
    report = queue.export_pending(START)
    assert (report.traces, report.failed) == (0, 1)
    assert report.reason == "no space left on device"


def test_a_closed_pipe_ends_the_program_quietly_with_nothing_marked() -> None:
    script = """
import sys
from kspan.emit.console import ConsoleExporter
from kspan.emit.export_queue import ExportQueue
from tests.emit.memory_store import MemoryStore
from tests.emit.rows import START, rolling_update
store = MemoryStore()
store.add(*rolling_update())
try:
    ExportQueue(store, store.cluster, "console", ConsoleExporter()).export_pending(START)
finally:
    print(len(store.emitted("console")), file=sys.stderr)
"""
    reader, writer = os.pipe()
    os.close(reader)
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, check=False, stdout=writer, stderr=subprocess.PIPE, cwd=root, timeout=HANG_S)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"0\n")
