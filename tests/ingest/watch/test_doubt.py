"""When an open watch that is silent is in doubt."""

import pytest

from kspan.ingest.watch.doubt import Doubt, SignsOfLife, doubt_of, is_periodic
from kspan.ingest.watch.retry import Timing

TIMING = Timing(silent=90, grace=10)
NEVER = float("-inf")

# A watch that was opened, or received its last line, at 1,000, and should end at 1,150.
QUIET = SignsOfLife(heard=1_000, end=1_150)
WITH_BOOKMARKS = SignsOfLife(heard=1_000, end=1_400, bookmarks=True)
REOPENED = SignsOfLife(heard=1_000, end=1_150, reopened=True)


@pytest.mark.parametrize(
    "signs, siblings_advanced, now, expected",
    [
        # Bookmarks are expected about every minute.
        (WITH_BOOKMARKS, NEVER, 1_089, None),
        (WITH_BOOKMARKS, NEVER, 1_090, Doubt.BOOKMARK),
        (WITH_BOOKMARKS, 1_080, 1_090, Doubt.BOOKMARK),
        # Without bookmarks, silence is in doubt only if others received something since.
        (QUIET, NEVER, 1_090, None),
        (QUIET, 999, 1_100, None),
        (QUIET, 1_000, 1_100, None),
        (QUIET, 1_001, 1_089, None),
        (QUIET, 1_001, 1_090, Doubt.SIBLINGS),
        # A reopened watch that is still silent is of a quiet resource.
        (REOPENED, 1_089, 1_159, None),
        # The API server should have ended the watch.
        (QUIET, NEVER, 1_159, None),
        (QUIET, NEVER, 1_160, Doubt.END),
        (QUIET, 1_100, 1_160, Doubt.END),
        (REOPENED, NEVER, 1_160, Doubt.END),
        # It did not, but still sends lines.
        (SignsOfLife(heard=1_159, end=1_150), NEVER, 1_248, None),
        (SignsOfLife(heard=1_159, end=1_150), NEVER, 1_249, Doubt.END),
    ],
)
def test_a_watch_is_in_doubt_only_for_a_reason(
    signs: SignsOfLife, siblings_advanced: float, now: float, expected: Doubt | None
) -> None:
    assert doubt_of(signs, siblings_advanced, now, TIMING) is expected


def test_a_dead_watch_without_bookmarks_is_noticed_within_three_and_a_half_minutes() -> None:
    timing = Timing()
    longest = SignsOfLife(heard=0, end=timing.short_max)
    assert doubt_of(longest, NEVER, 200, timing) is Doubt.END


def test_a_bookmark_that_is_half_a_minute_late_is_not_in_doubt() -> None:
    assert doubt_of(SignsOfLife(heard=0, end=480, bookmarks=True), NEVER, 89, Timing()) is None


@pytest.mark.parametrize(
    "since_previous, before_end, expected",
    [
        (60, 90, True),
        (0, 150, True),
        (89, 10, True),
        # Sent before the end, as by API servers that send no others.
        (148, 2, False),
        (58, 2, False),
        # Too rarely for a silence of 90 s to mean anything.
        (90, 60, False),
    ],
)
def test_only_a_bookmark_that_came_in_time_lets_others_be_expected(
    since_previous: float, before_end: float, expected: bool
) -> None:
    assert is_periodic(since_previous, before_end, TIMING) is expected
