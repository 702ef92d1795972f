"""Choosing a cause changes nothing: its result is a value, which the driver places."""

import ast
from pathlib import Path

import pytest

from kspan import graph
from kspan.graph.cause.choice import OWNER, UNKNOWN, Choice
from kspan.graph.state.records import KnownChange
from tests.graph.cause.fingerprint import fold_checked
from tests.recordings import SCENARIOS, journal

CAUSE = Path(graph.__file__).parent / "cause"


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_choosing_a_cause_leaves_the_state_of_the_fold_as_it_was(scenario: str) -> None:
    assert fold_checked(*journal(scenario)) > 0


def test_a_choice_cannot_be_changed() -> None:
    choice = Choice(KnownChange("span", "Update", 1, 1), OWNER, 0.9)
    with pytest.raises(AttributeError):
        choice.rule = "root"  # type: ignore[misc]
    assert UNKNOWN.cause is None


def test_only_the_driver_changes_the_state() -> None:
    changing = {
        path.name
        for path in CAUSE.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in ("decide", "place", "placer", "add_occurrence")
        if not (isinstance(node.value, ast.Name) and node.value.id in ("event", "occ", "cause", "change", "other"))
    }
    assert changing <= {"decide.py"}
