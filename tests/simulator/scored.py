"""A scenario's recordings, replayed and scored in process as the real ones are."""

import math
from pathlib import Path
from typing import Any

from tests.accuracy.score_traces import score
from tests.accuracy.scoring import export
from tests.simulator import of_deployments, of_nodes, of_others, of_sets
from tests.simulator.scenario import SCENARIOS

COLUMNS = ("found", "grouping", "root", "above", "times")
REGISTERED = (of_deployments, of_nodes, of_others, of_sets)
"""Importing them fills SCENARIOS."""


def score_scenario(name: str, seed: int, folder: Path, **conditions: Any) -> dict[str, float]:
    """The scorer's figures of one recording; NaN where there is nothing to judge. ``conditions``: Scenario.record's."""
    SCENARIOS[name].record(seed, folder, **conditions)
    spans = folder / "spans.jsonl"
    export(folder / "recording.jsonl.gz", spans)
    row = score(str(folder / "truth.json"), str(spans))
    return {column: float(row[column]) for column in ("events", *COLUMNS)}


def mean(rows: list[dict[str, float]], column: str) -> float:
    values = [row[column] for row in rows if not math.isnan(row[column])]
    return sum(values) / len(values) if values else math.nan
