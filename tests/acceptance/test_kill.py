"""A daemon that is killed again and again produces the same traces.

``KSPAN_KILLS=100 pytest -n0 tests/acceptance/test_kill.py`` spreads a hundred kills over all the recordings; fifteen,
over three of them, is what CI has time for. ``KSPAN_KILLS_SEED`` draws other moments.
"""

import os
import random
from pathlib import Path

import pytest

from tests.acceptance.conftest import Undisturbed
from tests.acceptance.harness import Life, after_records, after_seconds, run
from tests.recordings import SCENARIOS

TOTAL = int(os.environ.get("KSPAN_KILLS", "15"))
IN_CI = ["02-rolling-update", "11-delete-cascade", "13-custom-controller"]
CHOSEN = SCENARIOS if "KSPAN_KILLS" in os.environ else IN_CI
SEED = int(os.environ.get("KSPAN_KILLS_SEED", "20261122"))

LONGEST = 4.0
"""Seconds until a kill, at most. A daemon starts within one, and a compressed recording lasts ten."""


def lives(scenario: str) -> list[Life]:
    """The daemon's lives that are ended, half of them at any moment and half of them right after a commit."""
    chance = random.Random(f"{SEED} {scenario}")
    share = TOTAL * (CHOSEN.index(scenario) + 1) // len(CHOSEN) - TOTAL * CHOSEN.index(scenario) // len(CHOSEN)

    def life() -> Life:
        if chance.random() < 0.5:
            return after_seconds(chance.uniform(0.4, LONGEST))
        return after_records(chance.choice((1, 5, 20, 50)), LONGEST)

    return [life() for _ in range(share)]


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("scenario", CHOSEN)
def test_a_daemon_that_is_killed_produces_the_traces_of_one_that_is_not(
    scenario: str, tmp_path: Path, undisturbed: Undisturbed
) -> None:
    expected = undisturbed(scenario)
    disturbed = run(scenario, tmp_path / "disturbed", lives(scenario))
    assert sorted(disturbed) == sorted(expected)
    assert disturbed == expected
    assert len(expected) > 10
