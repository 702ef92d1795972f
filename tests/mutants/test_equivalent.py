"""The list of mutants that no test can kill stays true."""

from pathlib import Path

import pytest

from tests.mutants.__main__ import SOURCE
from tests.mutants.equivalent import Equivalent, load_equivalent, outdated
from tests.mutants.selection import all_mutants

ROOT = Path(__file__).parents[2]
LISTED = load_equivalent()


def test_every_entry_is_a_mutant_of_the_code_as_it_is() -> None:
    gone = outdated(LISTED, all_mutants(ROOT, SOURCE))
    assert gone == [], "remove these entries from equivalent.toml, or adapt them: their lines have changed"


@pytest.mark.parametrize("entry", LISTED, ids=lambda entry: f"{entry.path}: {entry.change}")
def test_every_entry_has_a_reason(entry: Equivalent) -> None:
    assert len(entry.reason.split()) >= 4


def test_no_entry_is_there_twice() -> None:
    keys = [entry.key for entry in LISTED]
    assert len(keys) == len(set(keys))
