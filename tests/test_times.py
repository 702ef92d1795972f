"""RFC 3339 times and Unix nanoseconds."""

import contextlib
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kspan.times import MILLISECOND, SECOND, format_time, parse_go_duration, parse_time

NS = st.integers(0, 2**63 - 1)


@given(NS)
def test_a_time_comes_back_from_its_text_to_the_microsecond(ns: int) -> None:
    assert parse_time(format_time(ns)) == ns // 1000 * 1000


@given(NS)
def test_a_time_of_nine_digits_is_exact(ns: int) -> None:
    seconds, rest = divmod(ns, 10**9)
    text = f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09}"
    assert parse_time(text + "Z") == ns
    assert parse_time(text + "+00:00") == ns
    assert parse_time(text + "-05:30") == ns + 19_800 * 10**9


@given(st.one_of(st.text(), st.from_regex(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d*)?(Z|[+-]\d\d:\d\d)?")))
def test_a_text_is_a_time_or_a_value_error(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert isinstance(parse_time(text), int)


@pytest.mark.parametrize(
    "text, ns",
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T00:00:00.1Z", 10**8),
        ("1970-01-01T00:00:00.000000001Z", 1),
        ("1970-01-01T00:00:00.0000000019Z", 1),
        ("1970-01-01T01:00:00+01:00", 0),
        ("2021-05-19T09:42:59.20271856Z", 1621417379_202718560),
    ],
)
def test_times_have_any_number_of_digits_and_any_zone(text: str, ns: int) -> None:
    assert parse_time(text) == ns


@pytest.mark.parametrize("text", ["", "2026-11-22", "2026-11-22T10:00:00", "2026-13-22T10:00:00Z", "now", "1234567890"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"time|month|isoformat"):
        parse_time(text)


def test_times_are_written_with_microseconds() -> None:
    assert format_time(1795343044_623585_999) == "2026-11-22T10:24:04.623585Z"


@pytest.mark.parametrize(
    "text, ns",
    [
        ("0s", 0),
        ("1.2s", 1_200 * MILLISECOND),
        ("834.1ms", 834_100_000),
        ("1.2µs", 1_200),
        ("1.2μs", 1_200),
        ("7us", 7_000),
        ("42ns", 42),
        ("1m2.5s", 62_500 * MILLISECOND),
        ("1h0m0.000000001s", 3_600 * SECOND + 1),
    ],
)
def test_durations_as_go_prints_them(text: str, ns: int) -> None:
    assert parse_go_duration(text) == ns


@pytest.mark.parametrize("text", ["", "0", "1", "s", "-1s", "1d", "1s ", "1s2x"])
def test_what_go_does_not_print_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="invalid duration"):
        parse_go_duration(text)
