"""One fault per mutant, where it is expected, and none where it would mean nothing."""

from textwrap import dedent

import pytest

from tests.mutants.operators import Mutant, find_mutants


def mutants(source: str) -> list[Mutant]:
    return find_mutants("shop/price.py", dedent(source).encode())


def changes(source: str) -> list[str]:
    return [f"{mutant.before} -> {mutant.after}" for mutant in mutants(source)]


@pytest.mark.parametrize(
    "source, expected",
    [
        ("x = a < b", ["< -> <="]),
        ("x = a >= b", [">= -> >"]),
        ("x = a == b", ["== -> !="]),
        ("x = a is  not b", ["is  not -> is"]),
        ("x = a in b", ["in -> not in"]),
        ("x = a < b <= c", ["< -> <=", "<= -> <"]),
        ("x = a and b and c", ["and -> or", "and -> or"]),
        ("x = not a", ["not a -> a"]),
        ("x = a + b", ["+ -> -"]),
        ("x += y", ["+= -> -="]),
        ("x = min(a, b)", ["min -> max"]),
        ("x = any(a)", ["any -> all"]),
        ("x = 5", ["5 -> 4", "5 -> 6"]),
        ("x = 0.9", ["0.9 -> 0.8", "0.9 -> 1.0"]),
        ("x = True", ["True -> False"]),
        ("x = a if b else c", ["b -> False", "b -> True"]),
        ("x = [a for a in b if a]", ["a -> False", "a -> True"]),
    ],
)
def test_an_expression_has_these_mutants(source: str, expected: list[str]) -> None:
    assert changes(source) == expected


@pytest.mark.parametrize(
    "source, expected",
    [
        ("if a:\n    b()", ["a -> False", "a -> True"]),
        ("while a:\n    break", ["a -> False", "break -> pass"]),
        ("while True:\n    continue", ["continue -> pass"]),
        ("def f():\n    return a", ["a -> None"]),
        ("def f():\n    if a:\n        return\n    b()", ["a -> False", "a -> True", "return -> pass"]),
        ("def f(a=5): pass", ["5 -> 4", "5 -> 6"]),
    ],
)
def test_a_statement_has_these_mutants(source: str, expected: list[str]) -> None:
    assert changes(source) == expected


@pytest.mark.parametrize(
    "source",
    [
        '"""5 < 6"""',
        "x: Literal[5]",
        "class A(Struct, frozen=True): pass",
        "assert a < b",
        'x = "a" + b',
        "def f():\n    return None",
        "if (a := b()):\n    c(a)",
    ],
)
def test_a_mutant_that_says_nothing_about_the_tests_is_left_out(source: str) -> None:
    assert changes(source) == []


def test_an_operator_is_found_behind_brackets_and_comments() -> None:
    source = "x = (\n    (a)  # or not\n    and b\n)"
    assert [mutant.apply(source.encode()).decode() for mutant in mutants(source)] == [
        "x = (\n    (a)  # or not\n    or b\n)"
    ]


def test_a_line_with_letters_beyond_ascii_is_cut_in_the_right_place() -> None:
    source = 'x = "größer", a < b'
    assert [mutant.apply(source.encode()).decode() for mutant in mutants(source)] == ['x = "größer", a <= b']


def test_a_mutant_knows_its_function_and_what_its_constant_is_called() -> None:
    found = mutants(
        """
        LIMIT = 5
        class Shop:
            def price(self, factor=2):
                def half(x):
                    return x // 3
                return half
        """
    )
    where = {mutant.before: (mutant.function, mutant.names, mutant.body) for mutant in found}
    assert where["5"] == ("", ("LIMIT",), ())
    assert where["2"] == ("Shop.price", (), (5, 6, 7))
    assert where["3"] == ("Shop.price.half", (), ())


def test_the_key_of_a_mutant_stays_the_same_when_its_line_moves() -> None:
    assert mutants("x = a < b")[0].key == mutants("y = c\n\nx = a < b")[0].key
