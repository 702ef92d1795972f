"""docs/rules.md: its examples are valid, and it describes every key and value."""

import re
from pathlib import Path

import pytest

from kspan.graph import Rule, built_in_rules, check_rules
from kspan.graph.rules.loader import NODE_CHANGES
from kspan.graph.rules.rule_entry import GROUPS
from kspan.graph.rules.rules import MEANINGS, SOURCES
from kspan.query.rules.unmatched_events import Need

TEXT = (Path(__file__).parents[3] / "docs" / "rules.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda text: text.splitlines()[0])
def test_every_example_is_accepted(example: str) -> None:
    assert check_rules(example, built_in_rules())[1] == []


@pytest.mark.parametrize("word", [*Rule.__struct_fields__, *MEANINGS, *SOURCES, *Need])
def test_every_key_and_every_value_is_described(word: str) -> None:
    assert f"`{word}`" in TEXT


@pytest.mark.parametrize("group", GROUPS)
def test_every_group_is_described(group: str) -> None:
    assert f"(?P<{group}>" in TEXT


@pytest.mark.parametrize("change", NODE_CHANGES)
def test_every_change_of_a_node_is_described(change: str) -> None:
    assert re.search(rf"\b{change}\b", TEXT)
