"""Estimates of when something happened. Pure."""

from kspan.model import LogRecord
from kspan.times import SECOND

PROMPT = 2 * SECOND
"""A record that was received at most this long (ns) after a timestamp in whole seconds was received at once."""


def estimate_time(record: LogRecord, floor: int) -> int:
    """Return the best estimate (ns) of when the change in a record happened.

    The time of receipt is more precise than whole seconds, unless the record was received late.

    Args:
        record: the record that shows the change.
        floor: the time that the object states, truncated to a second (ns; 0: none).
    """
    received = record.recorded_at
    return received if not floor or 0 <= received - floor < PROMPT else floor
