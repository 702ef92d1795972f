"""Decides whether event time may advance. Pure: the caller passes the current time.

The fold waits some seconds for evidence before it decides a cause, and closes a trace that has been quiet for a while.
Both assume that kspan is watching. After a restart or while a watch is disconnected it is not: changes in this time are
received later, all at once. So event time is held back from the disconnect until ``hold`` after the reconnect. This
is not quiet time for a trace, and what is received in between happened at some time since the disconnect.

A watch that is open but silent for too long is in doubt: its connection may be dead, and changes be missing. It counts
as disconnected from then until it delivers something or is open again.

(Stream processors call this a watermark that waits for idle sources.)
"""

import threading

from kspan.times import SECOND

BRIEF = SECOND
"""A shorter disconnect is ignored (ns). Every watch ends by itself after some minutes and is renewed at once."""

LONG = 60 * SECOND
"""A watch that is disconnected for longer (ns) no longer holds event time back for the others."""


class Watermark:
    """Knows which watches are disconnected and until when event time is held back. Safe to use from several threads.

    All times are Unix ns. ``hold``: how long the fold waits for evidence before it decides a cause (ns).
    """

    def __init__(self, hold: int) -> None:
        self._hold = hold
        self._lock = threading.Lock()
        self._synced = False
        self._held_until = 0
        self._last_received = 0
        self._disconnected_since: dict[str, int] = {}
        self._doubted: set[str] = set()
        self._connected: set[str] = set()

    def synced(self, now: int) -> None:
        """All resources have been listed or resumed. Only the first call counts."""
        with self._lock:
            if not self._synced:
                self._synced = True
                self._held_until = max(self._held_until, now + self._hold)

    def received(self, at: int) -> None:
        """A watch delivered a change."""
        self._last_received = at

    def disconnected(self, resource: str, now: int) -> None:
        """The watch of a resource ended."""
        with self._lock:
            self._connected.discard(resource)
            self._disconnected_since.setdefault(resource, now)

    def doubted(self, resource: str, now: int) -> None:
        """The watch of a resource is silent and may be dead. Even a brief doubt holds event time back."""
        with self._lock:
            self._connected.discard(resource)
            self._disconnected_since.setdefault(resource, now)
            self._doubted.add(resource)

    def connected(self, resource: str, now: int) -> None:
        """The watch of a resource is running."""
        with self._lock:
            self._connected.add(resource)
            if self._matters(resource, now, alone=not self._connected - {resource}):
                self._held_until = max(self._held_until, now + self._hold)
            self._disconnected_since.pop(resource, None)
            self._doubted.discard(resource)

    def is_disconnected(self, resource: str) -> bool:
        """True if the watch of a resource ended and has not been reported as running since."""
        return resource in self._disconnected_since

    def disconnected_at(self, now: int) -> int:
        """Since when changes may be missing (ns): the earliest disconnect that matters; 0 if none is known."""
        with self._lock:
            alone = not self._connected
            since = self._disconnected_since.items()
            return min((at for name, at in since if self._matters(name, now, alone=alone)), default=0)

    def removed(self, resource: str) -> None:
        """The resource cannot be watched: do not wait for it."""
        with self._lock:
            self._disconnected_since.pop(resource, None)
            self._doubted.discard(resource)
            self._connected.discard(resource)

    def database_recovered(self, now: int) -> None:
        """The database accepts commits again: changes that could not be read during the outage arrive now."""
        with self._lock:
            self._held_until = max(self._held_until, now + self._hold)

    def is_held_back(self, now: int) -> bool:
        """True if event time must not advance, because relevant records may still be missing."""
        with self._lock:
            if not self._synced or now < self._held_until or now < self._late_records_until():
                return True
            alone = not self._connected
            return any(self._matters(resource, now, alone=alone) for resource in self._disconnected_since)

    def _late_records_until(self) -> int:
        """Until when records that arrived late are waited for.

        Their causes are decided as soon as event time goes on. The wait is bounded: a cluster that is always busy must
        not hold event time back indefinitely.
        """
        if not self._last_received or not self._held_until:
            return 0
        return min(self._last_received, self._held_until + self._hold) + self._hold

    def _matters(self, resource: str, now: int, *, alone: bool) -> bool:
        """True if a disconnect holds event time back. Always, while all watches are disconnected: nothing arrives."""
        since = self._disconnected_since.get(resource)
        if since is None or (now - since <= BRIEF and resource not in self._doubted):
            return False
        return alone or now - since <= LONG
