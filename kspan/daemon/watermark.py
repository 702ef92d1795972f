"""Whether time passes for what waits. Pure: times are handed in.

The fold waits some seconds for what explains an occurrence, and closes a trace to which nothing comes any more. Neither
means anything while nobody is looking: after a restart, or while watches are cut off, what happened meanwhile arrives
at once, later. So time stands still from the cut until some seconds after it was mended; what arrives then counts as
received at the moment of the cut, and only then do the seconds go by that decide and close.
"""

import threading

from kspan.times import SECOND

BRIEF = SECOND
"""A watch that is renewed this fast missed nothing that matters: each ends after some minutes by itself."""

LONG = 60 * SECOND
"""A watch that is cut off for longer does not keep the others waiting."""


class Watermark:
    """Which streams are cut off, and until when time stands still. ``hold`` (ns): how long evidence is waited for.

    All times are Unix ns. Safe to use from several threads.
    """

    def __init__(self, hold: int) -> None:
        self._hold = hold
        self._lock = threading.Lock()
        self._synced = False
        self._until = 0
        self._news = 0
        self._down: dict[str, int] = {}
        self._up: set[str] = set()

    def synced(self, now: int) -> None:
        """Every stream was listed or resumed. Only the first call counts."""
        with self._lock:
            if not self._synced:
                self._synced = True
                self._until = max(self._until, now + self._hold)

    def news(self, received: int) -> None:
        """Something came from a watch."""
        self._news = received

    def cut(self, resource: str, now: int) -> None:
        """The watch of a resource ended."""
        with self._lock:
            self._up.discard(resource)
            self._down.setdefault(resource, now)

    def connected(self, resource: str, now: int) -> None:
        """The watch of a resource is on its way."""
        with self._lock:
            self._up.add(resource)
            began = self._down.pop(resource, None)
            if began is not None and self._matters(began, now, alone=not self._up - {resource}):
                self._until = max(self._until, now + self._hold)

    def waits_for(self, resource: str) -> bool:
        """Whether the watch of a resource is cut off, as far as is known."""
        return resource in self._down

    def gone(self, resource: str) -> None:
        """The resource cannot be watched (any more): nothing is waited for."""
        with self._lock:
            self._down.pop(resource, None)
            self._up.discard(resource)

    def mended(self, now: int) -> None:
        """An outage of ours (the database) is over: what could not be read meanwhile comes now."""
        with self._lock:
            self._until = max(self._until, now + self._hold)

    def stands_still(self, now: int) -> bool:
        """Whether nothing may be decided or closed for lack of news now."""
        with self._lock:
            if not self._synced or now < self._until or now < self._last_words():
                return True
            alone = not self._up
            return any(self._matters(began, now, alone=alone) for began in self._down.values())

    def _last_words(self) -> int:
        """Until when what came at the end of a standstill is waited for: it counts as received at its beginning, and
        would otherwise be decided upon at once. On a cluster where there is always news, not for ever."""
        return min(self._news, self._until + self._hold) + self._hold if self._news and self._until else 0

    def _matters(self, began: int, now: int, *, alone: bool) -> bool:
        """Whether a cut is one to wait for. While every watch is cut off nothing comes that could go wrong."""
        return now - began > BRIEF and (alone or now - began <= LONG)
