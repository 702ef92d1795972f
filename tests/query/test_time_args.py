"""Moments as people write them."""

import pytest

from kspan.errors import QueryError
from kspan.query.time_args import parse_moment
from kspan.times import format_time, parse_time

NOW = parse_time("2026-11-24T02:30:15.5Z")


@pytest.mark.parametrize(
    "text, meant",
    [
        ("2026-11-22T10:25:05Z", "2026-11-22T10:25:05Z"),
        ("2026-11-22T10:25:05.290000Z", "2026-11-22T10:25:05.29Z"),
        ("2026-11-22t10:25:05z", "2026-11-22T10:25:05Z"),
        ("2026-11-22T10:25:05+02:00", "2026-11-22T08:25:05Z"),
        ("2026-11-22T10:25-0530", "2026-11-22T15:55:00Z"),
        ("2026-11-22 10:25", "2026-11-22T10:25:00Z"),
        ("2026-11-22 10:25:05.29", "2026-11-22T10:25:05.29Z"),
        ("2026-11-22 10:25:05 UTC", "2026-11-22T10:25:05Z"),
        ("2026-11-22 10:25:05Z", "2026-11-22T10:25:05Z"),
        ("2026-11-22", "2026-11-22T00:00:00Z"),
        ("02:30", "2026-11-24T02:30:00Z"),
        ("2:30:15", "2026-11-24T02:30:15Z"),
        ("now", "2026-11-24T02:30:15.5Z"),
        ("15m", "2026-11-24T02:15:15.5Z"),
        ("2h ago", "2026-11-24T00:30:15.5Z"),
        ("2hago", "2026-11-24T00:30:15.5Z"),
        ("-15m", "2026-11-24T02:15:15.5Z"),
        ("1h30m", "2026-11-24T01:00:15.5Z"),
        ("1.5h", "2026-11-24T01:00:15.5Z"),
        (" 7d  ago ", "2026-11-17T02:30:15.5Z"),
    ],
)
def test_a_time_can_be_written_in_many_ways(text: str, meant: str) -> None:
    assert format_time(parse_moment(text, NOW, "--at")) == format_time(parse_time(meant))


def test_a_time_of_day_in_the_future_means_yesterday() -> None:
    assert parse_moment("10:25", NOW, "--at") == parse_time("2026-11-23T10:25:00Z")


@pytest.mark.parametrize(
    "text",
    [
        *("", "soon", "25:00", "10:60", "10:25:60", "2026-13-01", "2026-02-30 10:00", "2026-11-22 10", "22.11.2026"),
        *(
            "2026-11-22T10:25:05+99:00",
            "15",
            "15 parsecs",
            "ago",
            "m",
            "2h 30x",
            "1٣m",
            "2026-11-22T",
            "\x1b[31m",
            "h2",
        ),
    ],
)
def test_an_invalid_time_is_refused_with_the_valid_formats(text: str) -> None:
    with pytest.raises(QueryError, match=r"^--since: invalid time .*: use 2026-.*10:25.*15m.*ago'$"):
        parse_moment(text, NOW, "--since")


@pytest.mark.parametrize("text", ["9999w", "1969-12-31 23:59", "9999-01-01", "0001-01-01", "9" * 40 + "d"])
def test_a_time_before_1970_or_after_2116_is_out_of_range(text: str) -> None:
    with pytest.raises(QueryError, match=r"^--at: time .* is out of range"):
        parse_moment(text, NOW, "--at")
