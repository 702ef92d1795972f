"""``python -m tests.mutants``: see the package."""

import argparse
import os
import sys
import time
from pathlib import Path

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tests.mutants.covering import Covering, digest_of, measure
from tests.mutants.equivalent import load_equivalent, outdated
from tests.mutants.operators import Mutant
from tests.mutants.report import again, load_report, make_report, show
from tests.mutants.running import Job, Outcome, call, load, run
from tests.mutants.selection import TestChooser, all_mutants, sample

SOURCE = "kspan/graph"
TESTS = ["tests/graph", "tests/causality", "tests/simulator", "tests/pipeline/test_known_versions.py", "tests/accuracy"]
"""Tests that fold records in their own process."""
WATCHED = ["kspan", "tests", "pyproject.toml"]
"""What the result of a run without mutants depends on."""


def main() -> int:
    options = _options()
    root = Path.cwd()
    mutants = all_mutants(root, options.source)
    chosen = _choose(mutants, options)
    if not chosen:
        print("no mutant fits these options", file=sys.stderr)
        return 2
    listed = load_equivalent()
    for entry in outdated(listed, mutants) if options.source == SOURCE else ():
        print(f"equivalent.toml: no such mutant anymore: {entry.path}: {entry.line}: {entry.change}", file=sys.stderr)
    start = time.monotonic()
    covering = _covering(root, options)
    if covering.failed:
        print("these tests fail without any mutant:", *covering.failed, sep="\n", file=sys.stderr)
        return 2
    chooser = TestChooser(root, options.source, covering, options.budget)
    load(covering.libraries)
    outcomes = _run(root, [chooser.job(mutant) for mutant in chosen], options.jobs)
    reasons = {entry.key: entry.reason for entry in listed}
    report = make_report(options.seed, outcomes, reasons, (time.monotonic() - start) / 60)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n")
    print(show(report, options.target / 100))
    return 0 if report.share >= options.target / 100 else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description="Test the tests of kspan/graph.")
    parser.add_argument("--seed", type=int, default=0, help="which sample (default: 0)")
    parser.add_argument("--count", type=int, default=200, help="number of mutants (default: 200)")
    parser.add_argument("--only", metavar="PATH", action="append", default=[], help="only below this path (repeatable)")
    parser.add_argument("--line", metavar="FILE:LINE", help="all mutants of one line")
    parser.add_argument("--again", metavar="REPORT", type=Path, help="the survivors of an earlier report")
    parser.add_argument("--target", type=float, default=85, help="percentage to kill (default: 85)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes (default: one per core)")
    parser.add_argument("--budget", type=float, default=15, help="CPU seconds of tests per mutant (default: 15)")
    parser.add_argument("--output", type=Path, default=Path(".mutants/report.json"), help="where the report is written")
    parser.add_argument("--source", default=SOURCE, help=f"what is mutated (default: {SOURCE})")
    parser.add_argument("--tests", nargs="+", default=TESTS, help="test files and folders")
    return parser.parse_args()


def _choose(mutants: list[Mutant], options: argparse.Namespace) -> list[Mutant]:
    if options.again is not None:
        return again(mutants, load_report(options.again))
    if options.line is not None:
        path, _, line = options.line.rpartition(":")
        return [mutant for mutant in mutants if mutant.path == path and str(mutant.line) == line]
    if options.only:
        mutants = [mutant for mutant in mutants if mutant.path.startswith(tuple(options.only))]
    return sample(mutants, options.count, options.seed)


def _covering(root: Path, options: argparse.Namespace) -> Covering:
    """The covering tests; from the file of an earlier run if no source has changed since."""
    digest = digest_of(root, sorted({*WATCHED, options.source, *options.tests} - _absent(root)))
    file = options.output.with_name("covering.msgpack")
    if file.exists():
        found = msgspec.msgpack.decode(file.read_bytes(), type=Covering)
        if found.digest == digest:
            return found
    print("running all tests once, to see which lines each executes", file=sys.stderr)
    found = call(measure, root, options.source, options.tests, digest)
    if not found.failed:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(msgspec.msgpack.encode(found))
    return found


def _absent(root: Path) -> set[str]:
    return {path for path in WATCHED if not (root / path).exists()}


def _run(root: Path, jobs: list[Job], workers: int) -> list[Outcome]:
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    outcomes = list[Outcome]()
    # No thread refreshes the bar: this process forks.
    with Progress(*columns, console=Console(stderr=True), auto_refresh=False) as progress:
        task = progress.add_task("", total=len(jobs))
        for outcome in run(root, jobs, workers):
            outcomes.append(outcome)
            survived = sum(not one.killed for one in outcomes)
            progress.update(task, advance=1, description=f"{survived} survived", refresh=True)
    return outcomes


if __name__ == "__main__":
    sys.exit(main())
