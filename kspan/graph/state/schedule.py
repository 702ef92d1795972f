"""What the fold does when event time reaches a moment: decide occurrences, check traces, forget objects. Pure data."""

import heapq
from collections import deque

from kspan.graph.state.records import Occurrence

NEVER = 2**63
"""A time (ns) after every other."""


class Schedule:
    """Occurrences on hold and the times at which traces are checked and objects are forgotten. Times in ns."""

    def __init__(self) -> None:
        self._held: deque[tuple[int, Occurrence]] = deque()
        self._checks: list[tuple[int, str]] = []
        self._expiries: list[tuple[int, str]] = []

    def hold(self, occ: Occurrence, until: int) -> None:
        """Decide an occurrence at ``until``.

        A queue suffices, because all occurrences are held for the same time and event time does not go back.
        """
        assert not self._held or self._held[-1][0] <= until, "occurrences are held in the order of arrival"
        self._held.append((until, occ))

    def check_trace(self, trace: str, at: int) -> None:
        """Check a trace at ``at``. Earlier appointments stay; the caller ignores them."""
        heapq.heappush(self._checks, (at, trace))

    def forget_object(self, uid: str, at: int) -> None:
        """Forget an object at ``at``."""
        heapq.heappush(self._expiries, (at, uid))

    @property
    def deadline(self) -> int:
        """The next time at which a cause or a trace is due; ``NEVER`` without one."""
        held = self._held[0][0] if self._held else NEVER
        return min(held, self._checks[0][0]) if self._checks else held

    @property
    def next_expiry(self) -> int:
        """The next time at which an object is to be forgotten; ``NEVER`` without one."""
        return self._expiries[0][0] if self._expiries else NEVER

    def pop_occurrence(self, at: int) -> Occurrence | None:
        """The next occurrence that is due at ``at``, the time of the earliest entry."""
        return self._held.popleft()[1] if self._held and self._held[0][0] == at else None

    def pop_check(self, at: int) -> str | None:
        """The next trace that is to be checked at ``at``."""
        return heapq.heappop(self._checks)[1] if self._checks and self._checks[0][0] == at else None

    def pop_expiry(self) -> str:
        """The object that is to be forgotten next."""
        return heapq.heappop(self._expiries)[1]
