"""Actions at a later event time: decide occurrences, check traces, forget objects. Pure data."""

import heapq
from collections import deque

from kspan.graph.state.records import Occurrence

NEVER = 2**63
"""A time (ns) after every other."""


class Schedule:
    """Occurrences on hold and the times at which traces are checked and objects are forgotten. Times in ns.

    ``next_time`` is the next time at which anything is due (``NEVER``: none). It is read at each record.
    """

    def __init__(self) -> None:
        self.next_time = NEVER
        self._held: deque[tuple[int, Occurrence]] = deque()
        self._checks: list[tuple[int, str]] = []
        self._expiries: list[tuple[int, str]] = []

    def hold(self, occ: Occurrence, until: int) -> None:
        """Decide an occurrence at ``until``.

        A queue suffices, because all occurrences are held for the same time and event time does not go back.
        """
        held = self._held
        if held:
            assert held[-1][0] <= until, "occurrences are held in the order of arrival"
        elif until < self.next_time:
            self.next_time = until
        held.append((until, occ))

    def check_trace(self, trace: str, at: int) -> None:
        """Check a trace at ``at``. Earlier appointments stay; the caller ignores them."""
        heapq.heappush(self._checks, (at, trace))
        if at < self.next_time:
            self.next_time = at

    def forget_object(self, uid: str, at: int) -> None:
        """Forget an object at ``at``."""
        heapq.heappush(self._expiries, (at, uid))
        if at < self.next_time:
            self.next_time = at

    @property
    def deadline(self) -> int:
        """The next time at which a cause or a trace is due; ``NEVER`` without one."""
        at = self._held[0][0] if self._held else NEVER
        return min(at, self._checks[0][0]) if self._checks else at

    def pop_occurrence(self) -> Occurrence | None:
        """The next occurrence that is due at ``next_time``; None if there is none."""
        if not self._held or self._held[0][0] != self.next_time:
            return None
        occ = self._held.popleft()[1]
        self._set_next_time()
        return occ

    def pop_check(self) -> str | None:
        """The next trace that is to be checked at ``next_time``; None if there is none."""
        if not self._checks or self._checks[0][0] != self.next_time:
            return None
        trace = heapq.heappop(self._checks)[1]
        self._set_next_time()
        return trace

    def pop_expiry(self) -> str:
        """The object that is to be forgotten next."""
        uid = heapq.heappop(self._expiries)[1]
        self._set_next_time()
        return uid

    def _set_next_time(self) -> None:
        at = self._held[0][0] if self._held else NEVER
        if self._checks and self._checks[0][0] < at:
            at = self._checks[0][0]
        if self._expiries and self._expiries[0][0] < at:
            at = self._expiries[0][0]
        self.next_time = at
