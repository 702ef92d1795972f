"""Measures the fold alone, and compares it with that of another checkout, in turns.

    python -m benchmarks.fold RECORDING [--against CHECKOUT] [--runs 5]

Each run is a process of its own with the ``kspan`` of one checkout. It applies the journal of RECORDING and takes a
delta every 500 records. Times are processor times.
"""

import argparse
import gc
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec

BATCH = 500


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fold", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("recording", type=Path)
    parser.add_argument("--against", type=Path, help="a checkout whose fold it is compared with")
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    here = Path(__file__).parents[1]
    checkouts = {"this fold": here} | ({"the other": options.against.resolve()} if options.against else {})
    with tempfile.TemporaryDirectory() as folder:
        journal = Path(folder) / "journal"
        records = _write_journal(options.recording, journal)
        took: dict[str, list[float]] = {name: [] for name in checkouts}
        for _ in range(options.runs):
            for name, checkout in checkouts.items():
                took[name].append(_run(checkout, journal))
    rates = {name: records / statistics.median(seconds) for name, seconds in took.items()}
    for name, seconds in took.items():
        print(f"{name:12}{rates[name]:10,.0f} records/s, median of {len(seconds)} runs over {records:,} records")
    if options.against:
        print(f"{'ratio':12}{rates['this fold'] / rates['the other']:10.2f}")


def _write_journal(recording: Path, out: Path) -> int:
    from kspan.graph import built_in_rules
    from kspan.ingest import read_frames
    from kspan.ingest.journal_builder import JournalBuilder
    from kspan.pipeline.projector import Projector
    from kspan.pipeline.replay import find_cluster
    from kspan.store import open_store

    cluster, frames = find_cluster(read_frames([str(recording)]))
    with open_store("sqlite://") as store:
        projector = Projector(store, cluster, built_in_rules())
        streams = JournalBuilder(projector, {})
        for frame in frames:
            projector.add(streams.feed(frame))
        projector.add(streams.finish())
        projector.flush()
        records = [record for run in store.replay(cluster) for _, record in run]
    out.write_bytes(msgspec.msgpack.encode((cluster, records)))
    return len(records)


def _run(checkout: Path, journal: Path) -> float:
    command = [sys.executable, str(Path(__file__).resolve()), "--once", str(journal)]
    done = subprocess.run(
        command, env=os.environ | {"PYTHONPATH": str(checkout)}, capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def _once(journal: Path) -> float:
    """Seconds of processor time. Uses only the parts of ``kspan`` that every checkout has."""
    from kspan.graph import Fold, built_in_rules
    from kspan.model import LogRecord

    cluster, records = msgspec.msgpack.decode(journal.read_bytes(), type=tuple[str, list[LogRecord]])
    fold = Fold(cluster, built_in_rules())
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 100)  # as the daemon does
    began = time.process_time()
    for sequence, record in enumerate(records, 1):
        fold.apply(sequence, record)
        if sequence % BATCH == 0:
            fold.take_delta()
    fold.take_delta()
    return time.process_time() - began


if __name__ == "__main__":
    if sys.argv[1:2] == ["--once"]:
        print(_once(Path(sys.argv[2])))
    else:
        main()
