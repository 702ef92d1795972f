"""The delays between retries."""

import pytest

from kspan.backoff import Backoff

BACKOFF = Backoff(first=1.0, limit=30.0)


def test_delays_double_up_to_the_limit() -> None:
    assert [BACKOFF.delay(failures) for failures in range(1, 8)] == [1, 2, 4, 8, 16, 30, 30]


@pytest.mark.parametrize("jitter, factor", [(0.0, 1.0), (0.5, 0.75), (1.0, 0.5)])
def test_jitter_shortens_a_delay_by_up_to_a_half(jitter: float, factor: float) -> None:
    assert [BACKOFF.delay(failures, jitter) for failures in (1, 3, 9)] == [factor, 4 * factor, 30 * factor]


def test_any_number_of_failures_has_a_delay() -> None:
    assert BACKOFF.delay(10_000_000) == 30
    assert BACKOFF.delay(0) == 1
