"""What the traces are worth: scored against what really happened, as the API server's audit log told it.

The truth is for scoring only; nothing in the program reads it.
"""

import math
from pathlib import Path
from typing import Any

import pytest

from tests.accuracy.document import DOCUMENT, OURS, Scored, folders, read_section, score_recording, section, write
from tests.recordings import RECORDINGS, SCENARIOS

LEAST = {"found": 1.0, "times": 1.0, "grouping": 0.995, "root": 0.995, "above": 0.995}
"""On the mean of the scenarios."""

LEAST_ANYWHERE = {"found": 1.0, "times": 1.0, "grouping": 0.97, "root": 0.97, "above": 0.97}
"""In each of them."""


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> list[Scored]:
    return [score_recording(folder) for folder in folders(RECORDINGS)]


@pytest.fixture(scope="module")
def scores(scored: list[Scored]) -> dict[str, dict[str, Any]]:
    return {one.row["scenario"]: one.row for one in scored}


@pytest.mark.parametrize("column", LEAST)
def test_the_mean_score_is_not_lower(scores: dict[str, dict[str, Any]], column: str) -> None:
    values = [s[column] for s in scores.values() if not math.isnan(s[column])]
    assert sum(values) / len(values) >= LEAST[column]


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("column", LEAST_ANYWHERE)
def test_no_recording_has_a_lower_score(scores: dict[str, dict[str, Any]], scenario: str, column: str) -> None:
    value = scores[scenario][column]
    assert math.isnan(value) or value >= LEAST_ANYWHERE[column]


def test_the_document_is_what_the_script_writes(scored: list[Scored]) -> None:
    written = read_section(DOCUMENT.read_text(encoding="utf-8"), OURS)
    assert written == section(OURS, scored).rstrip("\n") + "\n", "the traces changed: run 'make accuracy'"


def test_the_misses_that_lower_a_score_are_listed(scored: list[Scored]) -> None:
    for one in scored:
        right = all(
            math.isnan(one.row[column]) or one.row[column] == 1 for column in ("found", "grouping", "root", "above")
        )
        assert right == (not one.misses), one.row["scenario"]


def test_without_other_recordings_their_section_is_kept(scored: list[Scored], tmp_path: Path) -> None:
    path = tmp_path / "accuracy.md"
    write(scored[:1], scored[1:2], path)
    both = path.read_text()
    write(scored[:1], [], path)
    assert path.read_text() == both
    assert scored[1].row["scenario"] in both
