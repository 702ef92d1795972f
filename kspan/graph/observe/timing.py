"""Estimates of when something happened. Pure."""

from kspan.model import LogRecord
from kspan.times import SECOND

MAX_LAG = 300 * SECOND
"""Maximum lateness of an Event (ns). A later one was not observed when it was sent, or a clock is wrong."""

PROMPT = 2 * SECOND
"""A record that was received at most this long (ns) after a timestamp in whole seconds was received at once."""


def estimate_time(record: LogRecord, floor: int, *, watched: bool = True) -> int:
    """Return the best estimate (ns) of when the change in a record happened.

    The time of receipt is more precise than whole seconds, unless the record was received late. Nothing happened after
    its receipt: a clock that states a later time is ahead.

    Args:
        record: the record that shows the change.
        floor: the time that the object states, truncated to a second (ns; 0: none).
        watched: false while changes may be missing. Then the record may be late, by less than ``PROMPT`` as well.
    """
    received = record.recorded_at
    return received if not floor or received - floor < (PROMPT if watched else SECOND) else floor


def middle(earliest: int, latest: int) -> tuple[int, int]:
    """Return the middle of two times, and by how much it may be wrong (ns)."""
    half = (latest - earliest) // 2
    return earliest + half, latest - earliest - half


def clock_error(record: LogRecord, stated: int) -> int:
    """Return by how much (ns) a clock must be ahead that states a time after the receipt of the record."""
    return max(0, stated - record.recorded_at)
