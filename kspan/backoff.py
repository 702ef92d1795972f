"""Exponential backoff between retries. Pure: the caller counts failures, waits, and supplies the random number."""

import msgspec

_MOST_DOUBLINGS = 32
"""An outage may last for days; a float overflows after 1024 doublings."""


class Backoff(msgspec.Struct, frozen=True):
    """How long to wait before a retry: ``first`` seconds, doubled after each further failure, at most ``limit``."""

    first: float
    limit: float

    def delay(self, failures: int, jitter: float = 0.0) -> float:
        """Seconds to wait after ``failures`` consecutive failures (at least 1).

        Args:
            failures: number of failures in a row, including the latest one.
            jitter: a random number from 0 to 1; shortens the wait by up to a half, so that clients that failed
                together do not retry together.
        """
        doublings = min(max(failures, 1) - 1, _MOST_DOUBLINGS)
        return float(min(self.limit, self.first * 2.0**doublings) * (1 - jitter / 2))
