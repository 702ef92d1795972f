"""Measures all that the daemon does with a line after it has received it, and compares that with another checkout.

    python -m benchmarks.ingest RECORDING [--against CHECKOUT] [--resource v1/pods …] [--lines 45000] [--instructions]

Each run is a process of its own with the ``kspan`` of one checkout. On one thread, it redacts each line, makes a record
of it, folds it and commits to an SQLite file, as many lines at a time as that checkout commits at most. The times of
receipt are given (``--rate`` lines a second), so every run does the same. The lines are those that ``kspan run``
watches by default, as they are mixed in the recording, or those of the resources that are named. With
``--instructions`` valgrind counts the instructions of one run of each, which do not depend on what else the machine
does; the work of the operating system is not in them.
"""

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import msgspec

_COUNTED: Final = re.compile(r"I\s+refs:\s+([\d,]+)")
_VALGRIND: Final = ("valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null")


def main() -> None:
    from benchmarks.watching import write_copies
    from kspan.k8s.resources import DEFAULT

    options = _parse()
    here = Path(__file__).parents[1]
    checkouts = {"this checkout": here} | ({"the other": options.against.resolve()} if options.against else {})
    if options.instructions and shutil.which(_VALGRIND[0]) is None:
        raise SystemExit("valgrind is not installed")
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "made.jsonl"
        resources = options.resource or [target.resource for target in DEFAULT]
        write_copies(options.recording, resources, options.lines, options.rate, made)
        costs: dict[str, list[float]] = {name: [] for name in checkouts}
        for _ in range(1 if options.instructions else options.runs):
            for name, checkout in checkouts.items():
                cost = _instructions if options.instructions else _processor_us
                costs[name].append(cost(checkout, made, options.lines))
    unit = "instructions" if options.instructions else "µs of processor time"
    medians = {name: statistics.median(found) for name, found in costs.items()}
    for name, found in costs.items():
        print(
            f"{name:15}{medians[name]:12,.1f} {unit} a line, median of {len(found)} runs over {options.lines:,} lines"
        )
    if options.against:
        print(f"{'ratio':15}{medians['the other'] / medians['this checkout']:12.3f} times as many lines a second")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ingest", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("recording", type=Path)
    parser.add_argument("--against", type=Path, help="a checkout that it is compared with")
    parser.add_argument("--resource", action="append", help="whose changes (default: all that kspan run watches)")
    parser.add_argument("--lines", type=int, default=45_000)
    parser.add_argument("--rate", type=float, default=4_500, help="lines a second, by their times (default: 4500)")
    parser.add_argument("--runs", type=int, default=9, help="runs of each, in turns (default: 9)")
    parser.add_argument("--instructions", action="store_true", help="count instructions instead of time")
    return parser.parse_args()


def _processor_us(checkout: Path, made: Path, lines: int) -> float:
    return float(_run(checkout, made, lines).stdout) / lines * 1e6


def _instructions(checkout: Path, made: Path, lines: int) -> float:
    """Without those of a run that stops after the first line."""
    return (_counted(checkout, made, lines) - _counted(checkout, made, 1)) / lines


def _counted(checkout: Path, made: Path, lines: int) -> int:
    found = _COUNTED.search(_run(checkout, made, lines, *_VALGRIND).stderr)
    assert found is not None
    return int(found[1].replace(",", ""))


def _run(checkout: Path, made: Path, lines: int, *launcher: str) -> subprocess.CompletedProcess[str]:
    command = [*launcher, sys.executable, str(Path(__file__).resolve()), "--once", str(made), str(lines)]
    environment = os.environ | {"PYTHONPATH": str(checkout), "PYTHONHASHSEED": "0"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True)


def _once(made: Path, lines: int) -> float:
    """Seconds of processor time. Uses only the parts of ``kspan`` that every checkout has."""
    from kspan.daemon.main import tune_garbage_collection
    from kspan.graph import built_in_rules
    from kspan.ingest import read_frames
    from kspan.ingest.journal_builder import JournalBuilder
    from kspan.ingest.list_policy import LIVE_LISTS
    from kspan.k8s.redact import redact
    from kspan.k8s.resources import is_watched_whole
    from kspan.pipeline.projector import Projector
    from kspan.store import open_store

    frames = []
    for frame in read_frames([str(made)]):
        frames.append(frame)
        if len(frames) > lines:
            break
    with tempfile.TemporaryDirectory(dir=made.parent) as folder, open_store(f"{folder}/kspan.sqlite") as store:
        projector = Projector(store, "benchmark", built_in_rules())
        builder = JournalBuilder(projector, {}, LIVE_LISTS, is_watched_whole)
        tune_garbage_collection()
        began = time.process_time()
        for frame in frames:
            whole = redact(frame.resource, frame.object, env=True) if frame.object else frame.object
            projector.add(builder.feed(msgspec.structs.replace(frame, object=whole)))
        projector.flush()
        return time.process_time() - began


if __name__ == "__main__":
    if sys.argv[1:2] == ["--once"]:
        print(_once(Path(sys.argv[2]), int(sys.argv[3])))
    else:
        main()
