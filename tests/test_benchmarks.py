"""The benchmarks still run after modules that they name have moved."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import benchmarks
from benchmarks import fold, growth, living
from kspan.graph import built_in_rules
from kspan.ingest.journal_builder import JournalBatch
from kspan.pipeline.projector import Projector
from kspan.store import open_store
from tests.recordings import journal, recording

SCENARIO = "02-rolling-update"
MODULES = sorted(path.stem for path in Path(benchmarks.__path__[0]).glob("*.py") if path.stem != "__init__")


@pytest.mark.parametrize("name", MODULES)
def test_each_module_can_be_imported(name: str) -> None:
    importlib.import_module(f"benchmarks.{name}")


@pytest.mark.parametrize("script", [growth.START, living.OPEN], ids=["growth", "living"])
def test_the_scripts_that_measure_a_start_run_on_a_database(tmp_path: Path, script: str) -> None:
    cluster, records = journal(SCENARIO)
    with open_store(str(tmp_path / "db")) as store:
        projector = Projector(store, cluster, built_in_rules())
        projector.add(JournalBatch([record]) for record in records)
        projector.flush()
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "db"), cluster], check=True)


def test_the_fold_is_measured_in_a_process_of_its_own() -> None:
    command = [sys.executable, "-m", "benchmarks.fold", str(recording(SCENARIO)), "--runs", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(fold.__file__).parents[1])
    assert "records/s, median of 1 runs" in done.stdout


def test_the_cost_of_a_line_is_measured_in_processes_of_their_own() -> None:
    checkout = Path(fold.__file__).parents[1]
    command = [sys.executable, "-m", "benchmarks.ingest", str(recording(SCENARIO)), "--runs", "1", "--lines", "50"]
    done = subprocess.run(
        [*command, "--against", str(checkout)], capture_output=True, text=True, check=True, cwd=checkout
    )
    assert "µs of processor time a line, median of 1 runs over 50 lines" in done.stdout
    assert "times as many lines a second" in done.stdout
