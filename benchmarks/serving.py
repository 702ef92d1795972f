"""Measures what readers of the pages cost the writer.

    python -m benchmarks.serving RECORDING [--events 100000] [--loads 12] [--rounds 5]

Events are watched over loopback into an SQLite file, as in ``python -m benchmarks``, once without readers and once
while another process opens pages, in turns. As in ``kspan run``, the process that writes relays what they ask to a
process that answers.
"""

import argparse
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Final

import msgspec

from benchmarks import watching
from benchmarks.table import head, machine, row, say
from kspan.cli.commands import answer
from kspan.daemon.main import tune_garbage_collection
from kspan.web.apart.process import Process, Program
from kspan.web.apart.relay import Relay
from kspan.web.guard import Access
from kspan.web.server import Server
from kspan.web.status import make_relaying_app
from tests.recordings import all_files

PATHS: Final = ("/", "/traces", "/timeline", "/rollouts", "/objects", "/v1/traces")

LIMIT: Final = 1.05
"""How many times as long ingest may take with readers."""

READER: Final = """
import sys, time, urllib.error, urllib.request
address, per_second, paths = sys.argv[1], float(sys.argv[2]), sys.argv[3:]
began, count = time.monotonic(), 0
while True:
    try:
        with urllib.request.urlopen(address + paths[count % len(paths)], timeout=60) as answer:
            answer.read()
    except urllib.error.HTTPError:  # nothing has been recorded yet
        time.sleep(0.1)
        continue
    count += 1
    print(count, flush=True)
    time.sleep(max(0.0, began + count / per_second - time.monotonic()))
"""


@contextmanager
def readers(database: str, loads: float, rates: list[float], memory: list[float]) -> Iterator[None]:
    """Serve a database while another process opens ``loads`` pages a second; append how many a second it opened,
    and the memory (MB) of the process that answers."""
    setup = msgspec.msgpack.encode(answer.Setup(database, serves_sql=False, private=False, log_level="warning"))
    process = Process(Program(answer.MODULE, setup))
    relay = Relay(process, lambda: (watching.CLUSTER, (1, 1)))
    server = Server("127.0.0.1:0", make_relaying_app({}, Access(hosts=None), relay))
    server.start()
    try:
        with urllib.request.urlopen(f"{server.url}/v1/openapi.json", timeout=60) as first:
            first.read()
        command = [sys.executable, "-c", READER, server.url, str(loads), *PATHS]
        began = time.perf_counter()
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as reader:
            try:
                yield
            finally:
                reader.terminate()
                rates.append(len(reader.communicate()[0].split()) / (time.perf_counter() - began))
                memory.append(_resident(process.pid))
    finally:
        server.stop()


def main() -> None:
    options = _parse()
    tune_garbage_collection()
    machine()
    alone: list[float] = []
    read: list[float] = []
    rates: list[float] = []
    memory: list[float] = []
    with tempfile.TemporaryDirectory() as name:
        made = Path(name) / "made.jsonl"
        say(f"making {options.events:,} lines")
        watching.write_copies(options.recording, ["v1/events"], options.events, 500, made)
        for number in range(options.rounds):
            for with_readers in (False, True) if number % 2 else (True, False):
                with tempfile.TemporaryDirectory(dir=name) as folder:
                    beside = (lambda db: readers(db, options.loads, rates, memory)) if with_readers else None
                    found = watching.watch(made, "v1/events", Path(folder), 0, beside)
                (read if with_readers else alone).append(found.seconds)
                say(f"{found.records / found.seconds:,.0f} lines/s{' with readers' if with_readers else ''}")
    head("", "figure", "limit", "ratio")
    row("pages opened a second", median(rates), options.loads)
    row("lines/s with readers", options.events / median(read), options.events / median(alone))
    row("memory of the process that answers, MB", max(memory), 150)
    row("ingest with readers took, relative to without", median(read) / median(alone), LIMIT)


def _resident(pid: int | None) -> float:
    (line,) = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1000


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description=__doc__.partition("\n")[0])
    parser.add_argument("recording", type=Path, nargs="?", default=Path(all_files()[1]))
    parser.add_argument("--events", type=int, default=100_000, help="lines in each run")
    parser.add_argument("--loads", type=float, default=12, help="pages opened a second")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each kind")
    return parser.parse_args()


if __name__ == "__main__":
    main()
