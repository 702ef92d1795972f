"""Regular expressions of rules: their tokens, and text that stands for itself."""

import pytest

from kspan.graph.rules.patterns import Pattern, _beginning, _tokens, escaped
from kspan.graph.rules.rules import _count


@pytest.mark.parametrize(
    "pattern, expected",
    [
        ("ab", ["a", "b"]),
        (r"\.b", [r"\.", "b"]),
        ("[ab]c", ["[ab]", "c"]),
        ("[^]a]c", ["[^]a]", "c"]),
        ("[]a]c", ["[]a]", "c"]),
        (r"[\]a]c", [r"[\]a]", "c"]),
        ("[[:alpha:]x]c", ["[[:alpha:]x]", "c"]),
        ("(?P<name>a)", ["(?P<name>", "a", ")"]),
        ("(?<name>a)", ["(?<name>", "a", ")"]),
        ("(?:a)", ["(?:", "a", ")"]),
        ("(?i)a", ["(?i)", "a"]),
        ("(a)", ["(", "a", ")"]),
    ],
)
def test_an_expression_is_split_into_tokens(pattern: str, expected: list[str]) -> None:
    assert _tokens(pattern) == expected


@pytest.mark.parametrize(
    "pattern, expected",
    [("ab", "ab"), (r"\.b", ".b"), (r"a\d", "a"), ("ab*", "a"), ("a|b", ""), ("a(b|c)", "a"), (r"\(b", "(b"), ("", "")],
)
def test_every_match_of_an_expression_begins_with_its_literal_text(pattern: str, expected: str) -> None:
    assert _beginning(_tokens(pattern)) == expected


@pytest.mark.parametrize("text", ["web", "a.b", "a|b(c)[d]{e}", r"back\\slash", "^$*+?"])
def test_escaped_text_matches_only_itself(text: str) -> None:
    pattern = Pattern(escaped(text))
    assert pattern.match(text) == {}
    assert pattern.match("x" + text) is None
    assert escaped("web") == "web"


@pytest.mark.parametrize(
    "text, expected", [("0", 0), ("12", 12), ("999999999", 999_999_999), ("1234567890", -1), ("", -1), (None, -1)]
)
def test_a_number_of_replicas_has_at_most_nine_digits(text: str | None, expected: int) -> None:
    assert _count(text) == expected
