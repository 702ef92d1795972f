"""Documents, docstrings, comments, messages and names use plain words.

The patterns are habits that made sentences hard to read: a general verb where Kubernetes and OpenTelemetry have an
exact one, archaic adverbs, negation by "no" in place of "not", and clauses in place of nouns.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

PATTERNS = {
    r"\b(tells?|telling|told)\b": "report, state, log, say",
    r"\bwhoever\b": "name the person or the component",
    r"\b(anew|afresh)\b": "again",
    r"\bfor ever\b": "forever, without end, permanently",
    r"(?<![Tt]here )\bis no (?!longer\b|more\b)[a-z]": "is not a, an invalid",
    r"\bare none\b": "there are no, none exist",
    r"\bby then\b": "so far, before that time",
    r"\bso many\b": "the number",
    r"\btroubles?\b": "error, reason",
    r"\bat the latest\b": "at most, before",
    r"\bas (it|they) comes?\b": "as it arrives, the default",
    r"\bturned\b": "changed, a condition transition",
    r"\bbears?\b": "has, contains",
    r'"""(Wh(at|o|ose)|Of what)\b': "a noun phrase or an imperative",
}
"""Pattern of a habit → what to write instead."""

ALLOWED = {
    "kspan/graph/rules/rules.toml": (r"\b(tells?|telling|told)\b",),
}
"""Patterns that a file may contain: names of rules are values of kspan.event.rule, which users query."""


def files() -> Iterator[Path]:
    yield from (ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md")
    yield from sorted((ROOT / "docs").glob("*.md"))
    yield from sorted(path for path in (ROOT / "kspan").rglob("*") if path.suffix in (".py", ".toml"))


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_habit_is_not_in_documents_and_code(pattern: str) -> None:
    found = []
    for path in files():
        name = path.relative_to(ROOT).as_posix()
        if pattern not in ALLOWED.get(name, ()):
            lines = enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
            found += [f"{name}:{number}: {line.strip()}" for number, line in lines if re.search(pattern, line)]
    assert found == [], f"write instead: {PATTERNS[pattern]}"
