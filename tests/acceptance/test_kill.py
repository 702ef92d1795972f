"""A daemon that is killed again and again: the same traces come out.

``KSPAN_KILLS=100 pytest tests/acceptance`` kills it a hundred times; ten times is what CI has time for.
"""

import os
import random
from pathlib import Path

import pytest

from tests.acceptance.harness import SCENARIOS, deltas, run

KILLS = int(os.environ.get("KSPAN_KILLS", "10"))
SEED = 20261122


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_traces_of_a_daemon_that_is_killed_are_those_of_one_that_is_not(scenario: str, tmp_path: Path) -> None:
    undisturbed, _ = run(scenario, tmp_path / "undisturbed", [], deltas(scenario))
    chance = random.Random(SEED)
    kills = [chance.uniform(0.4, 3.0) for _ in range(KILLS)]
    disturbed, _ = run(scenario, tmp_path / "disturbed", kills, deltas(scenario))
    assert sorted(disturbed) == sorted(undisturbed)
    assert disturbed == undisturbed
