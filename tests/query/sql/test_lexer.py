"""What a statement is taken for by looking at its text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kspan.errors import QueryError
from kspan.query.sql.lexer import is_complete, read_statement

PIECES = [
    *(
        "SELECT",
        "1",
        " ",
        "\n",
        "f(x)",
        "'it''s'",
        '"a""b"',
        "-- x\n",
        "/* ; */",
        ";",
        "'",
        '"',
        "`",
        "[",
        "]",
        "$",
        "$$",
    ),
    *(
        "$a$",
        "E'\\''",
        "e'",
        "::",
        ":name",
        ":",
        "\\",
        "/*",
        "*/",
        "(",
        ")",
        "\u00e9",
        "\u00a0",
        "U&'",
        "a.b",
        "$1",
        "\x00",
    ),
]


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
@given(pieces=st.lists(st.sampled_from(PIECES), max_size=12))
def test_any_text_is_refused_or_one_complete_statement(dialect: str, pieces: list[str]) -> None:
    text = "".join(pieces)
    is_complete(text, dialect)
    try:
        statement = read_statement(text, dialect)
    except QueryError:
        return
    assert statement.text in text
    assert "\x00" not in statement.text


@pytest.mark.parametrize(
    "text, names",
    [
        ("SELECT f(1), G (2), h\n--x\n(3)", {"f", "g", "h"}),
        ('SELECT "F"(1), "a""b" /* /* */ */ (2)', {"F", 'a"b'}),
        ("SELECT a.b, (c).d, e . f(1)", {"b", "d", "f"}),
        ("SELECT 'f(1)', $$f(2)$$, $x$ $$ f(3) $x$, E'\\'f(4)' -- f(5)", set()),
        ("SELECT 1 IN (2), x y", {"in"}),
        ("SELECT 1AND g(2)", {"g"}),
        ("SELECT \u00c9t\u00c9(1)", {"\u00c9t\u00c9"}),
        (f"SELECT {'x' * 70}(1)", {"x" * 63}),
    ],
)
def test_names_contain_every_function_that_is_called(text: str, names: set[str]) -> None:
    assert read_statement(text, "postgresql").names == names


def test_parameters_are_found_outside_of_quotes_and_casts() -> None:
    text = "SELECT :a, ':b', x::text, \":c\", /* :d */ :a, $$:e$$, y[1:2] -- :f"
    statement = read_statement(text, "postgresql")
    assert statement.parameters == {"a"}
    assert statement.numbered()[0] == text.replace(":a", "$1").removesuffix(" -- :f")
    assert read_statement("SELECT :b, :a", "postgresql").numbered() == ("SELECT $2, $1", ["a", "b"])
    assert read_statement("SELECT [:a], `:b`, :c", "sqlite").parameters == {"c"}


@pytest.mark.parametrize(
    "text, complete",
    [
        ("SELECT 1", False),
        ("SELECT 1;", True),
        ("SELECT 1; -- done\n", True),
        ("SELECT ';'", False),
        ("SELECT /* ; */ 1", False),
        ("SELECT '\n;", False),
        ("", False),
    ],
)
def test_a_semicolon_completes_a_statement(text: str, complete: bool) -> None:
    assert is_complete(text, "sqlite") is complete
    assert is_complete(text, "postgresql") is complete


@pytest.mark.parametrize(
    "text, words",
    [
        ("", "the statement is empty"),
        (" ; ; -- nothing", "the statement is empty"),
        ("SELECT 1; SELECT 2", "one statement"),
        ("SELECT 'x", "open quote or comment"),
        ("SELECT /* x", "open quote or comment"),
        ("SELECT $1", "'$1'"),
        ('SELECT U&"x"', "'U&\"'"),
        ("SELECT E'a'\n'b'", "plain quotes"),
        ("SELECT \x00", "plain quotes"),
    ],
)
def test_a_text_that_is_not_one_statement_is_refused(text: str, words: str) -> None:
    with pytest.raises(QueryError, match=words.replace("$", r"\$")):
        read_statement(text, "postgresql")
