"""The estimate of when something happened."""

import pytest

from kspan.graph.observe.timing import PROMPT, clock_error, estimate_time
from kspan.model import LogRecord, RecordType
from kspan.times import SECOND

NOW = 1_800_000_000 * SECOND


@pytest.mark.parametrize(
    "floor, expected",
    [
        (0, NOW),  # no time is stated
        (NOW, NOW),
        (NOW - PROMPT + 1, NOW),  # received promptly: the receipt is more precise than a whole second
        (NOW - PROMPT, NOW - PROMPT),  # received late
        (NOW + 1, NOW),  # stated by a clock that is ahead
    ],
)
def test_the_receipt_counts_only_if_it_was_prompt(floor: int, expected: int) -> None:
    assert estimate_time(LogRecord(RecordType.MODIFIED, NOW), floor) == expected


@pytest.mark.parametrize("floor, expected", [(0, NOW), (NOW - SECOND + 1, NOW), (NOW - SECOND, NOW - SECOND)])
def test_the_receipt_does_not_count_if_it_may_be_late_by_a_second(floor: int, expected: int) -> None:
    assert estimate_time(LogRecord(RecordType.MODIFIED, NOW), floor, watched=False) == expected


@pytest.mark.parametrize("stated, expected", [(0, 0), (NOW, 0), (NOW + 3, 3)])
def test_a_clock_is_ahead_by_at_least_the_difference_to_the_receipt(stated: int, expected: int) -> None:
    assert clock_error(LogRecord(RecordType.MODIFIED, NOW), stated) == expected
