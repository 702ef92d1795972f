"""A daemon that is killed again and again: the same traces come out.

``KSPAN_KILLS=100 pytest -n0 tests/acceptance/test_kill.py`` spreads a hundred kills over all the recordings; ten, over
two of them, is what CI has time for.
"""

import os
import random
from pathlib import Path

import pytest

from tests.acceptance.conftest import Undisturbed
from tests.acceptance.harness import run
from tests.recordings import SCENARIOS

TOTAL = int(os.environ.get("KSPAN_KILLS", "10"))
CHOSEN = SCENARIOS if "KSPAN_KILLS" in os.environ else ["02-rolling-update", "11-delete-cascade"]
SEED = 20261122


def lives(scenario: str) -> list[float]:
    """How long (seconds) each of the daemons lives that are killed: from before it listens to after all has come."""
    chance = random.Random(f"{SEED} {scenario}")
    share = TOTAL * (CHOSEN.index(scenario) + 1) // len(CHOSEN) - TOTAL * CHOSEN.index(scenario) // len(CHOSEN)
    return [chance.uniform(0.4, 4.0) for _ in range(share)]


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("scenario", CHOSEN)
def test_the_traces_of_a_daemon_that_is_killed_are_those_of_one_that_is_not(
    scenario: str, tmp_path: Path, undisturbed: Undisturbed
) -> None:
    expected = undisturbed(scenario)
    disturbed = run(scenario, tmp_path / "disturbed", lives(scenario))
    assert sorted(disturbed) == sorted(expected)
    assert disturbed == expected
    assert len(expected) > 10
