"""Measures the daemon and prints a table (``make bench RECORDING=...``).

    python -m benchmarks RECORDING [--events 300000] [--pods 60000] [--seconds 30] [--objects 100000] [--folder DIR]

RECORDING should have many Events and Pods (a storm); the default is a short one of the tests. Another process serves
its lines over a loopback HTTP watch. The pages are measured in /usr/bin/chromium (alone: ``python -m
benchmarks.pages``). The table shows each figure, its limit and their ratio.
"""

import argparse
import tempfile
from pathlib import Path

from benchmarks import living, pages, sending, watching
from benchmarks.table import head, machine, made_folder, row, say
from kspan.daemon.main import tune_garbage_collection
from tests.recordings import all_files

RATE = 500
"""Lines a second at which the time from receipt to commit is measured."""

LINES = 10_000


def main() -> None:
    options = _parse()
    tune_garbage_collection()
    machine()
    head("", "figure", "limit", "ratio")
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        pages.measure(folder)
        _throughput(
            options.recording, folder, {"v1/events": (options.events, 12_000), "v1/pods": (options.pods, 7_000)}
        )
        _latency(options.recording, folder, options.seconds)
        _sending(options.recording, folder)
        _living(options.recording, folder, options.objects)


def _throughput(recording: Path, folder: Path, asked: dict[str, tuple[int, int]]) -> None:
    for resource, (lines, limit) in asked.items():
        say(f"making {lines:,} lines of {resource}")
        made = folder / "made.jsonl"
        watching.write_copies(recording, [resource], lines, RATE, made)
        say("watching")
        found = watching.watch(made, resource, folder, 0)
        row(f"{resource}: lines/s, of {found.records:,}", found.records / found.seconds, limit)
        row(f"{resource}: lines/s of processor time", found.records / found.processor, limit)
        row(f"{resource}: last half took, relative to the first", found.halves[1] / found.halves[0], 1)


def _latency(recording: Path, folder: Path, seconds: int) -> None:
    made = folder / "made.jsonl"
    watching.write_copies(recording, ["v1/events"], RATE * seconds, RATE, made)
    say(f"watching {RATE} lines/s for {seconds} s")
    found = watching.watch(made, "v1/events", folder, 1)
    for part in (0.5, 0.99):
        row(f"receipt to commit at {RATE} lines/s, p{part * 100:.0f}", found.percentile(part), 150, " ms")


def _sending(recording: Path, folder: Path) -> None:
    say("sending")
    spans, seconds, processor = sending.send(recording, folder)
    row(f"OTLP/HTTP: spans/s, of {spans:,}", spans / seconds, 6_000)
    row("OTLP/HTTP: spans/s of processor time", spans / processor, 6_000)


def _living(recording: Path, folder: Path, objects: int) -> None:
    database = folder / "living.sqlite"
    sizes = [size for size in (1_000, 10_000) if size < objects] + [objects]
    costs = []
    for size, cost in living.populate(recording, database, sizes, LINES):
        say(f"{size:,} living objects: {cost:.0f} µs a line")
        costs.append((size, cost))
    opened = living.open_again(database)
    row(f"memory with {costs[-1][0]:,} living objects", opened.resident, 600, " MB")
    row("the same, at its peak (start-up)", opened.peak, 600, " MB")
    row("start-up with them, by the clock", opened.seconds, 5, " s")
    row("start-up with them, processor time", opened.processor, 5, " s")
    print()
    head("living objects", "µs a line", "relative")
    for size, cost in costs:
        print(f"{size:<50,}{cost:12.1f}{cost / costs[0][1]:12.2f}", flush=True)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.partition("\n")[0])
    parser.add_argument("recording", type=Path, nargs="?", default=Path(all_files()[1]))
    parser.add_argument("--events", type=int, default=300_000, help="lines")
    parser.add_argument("--pods", type=int, default=60_000, help="lines")
    parser.add_argument("--seconds", type=int, default=30, help="duration of the latency measurement")
    parser.add_argument("--objects", type=int, default=100_000, help="live objects")
    parser.add_argument("--folder", type=made_folder, help="for databases and a generated recording of 0.5 GB")
    return parser.parse_args()


if __name__ == "__main__":
    main()
