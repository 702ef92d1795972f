"""What the traces are worth: scored against what really happened, as the API server's audit log told it.

The truth is for scoring only; nothing in the program reads it.
"""

import math
from typing import Any

import pytest

from tests.accuracy.score_traces import score
from tests.accuracy.scoring import export
from tests.recordings import RECORDINGS, SCENARIOS, recording

LEAST = {"found": 1.0, "times": 1.0, "grouping": 0.99, "root": 0.99, "above": 0.99}
"""On the mean of the scenarios."""

LEAST_ANYWHERE = {"found": 1.0, "times": 1.0, "grouping": 0.97, "root": 0.97, "above": 0.97}
"""In each of them."""


@pytest.fixture(scope="module")
def scores(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("spans")
    found = {}
    for scenario in SCENARIOS:
        export(recording(scenario), folder / f"{scenario}.jsonl")
        found[scenario] = score(str(RECORDINGS / scenario / "truth.json"), str(folder / f"{scenario}.jsonl"))
    return found


@pytest.mark.parametrize("column", LEAST)
def test_the_mean_of_the_recordings_does_not_fall(scores: dict[str, dict[str, Any]], column: str) -> None:
    values = [s[column] for s in scores.values() if not math.isnan(s[column])]
    assert sum(values) / len(values) >= LEAST[column]


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("column", LEAST_ANYWHERE)
def test_no_recording_falls_behind(scores: dict[str, dict[str, Any]], scenario: str, column: str) -> None:
    value = scores[scenario][column]
    assert math.isnan(value) or value >= LEAST_ANYWHERE[column]
