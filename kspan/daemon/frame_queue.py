"""The bounded queue between the watches and the writer. When it is full, the watches wait."""

import threading
import time
from collections import deque
from typing import Final

import msgspec

from kspan.ingest.frames import Frame

FRAMES: Final = 5_000
BYTES: Final = 64 * 1024 * 1024


class Moment(msgspec.Struct, frozen=True):
    """A point between frames: all frames ahead of it in the queue were received before ``now`` (Unix ns)."""

    now: int


class ClosedError(Exception):
    """The queue accepts no more frames."""


class FrameQueue:
    """Frames in order of delivery, at most ``frames`` of them and at most ``max_bytes`` in total.

    A single frame that is larger than ``max_bytes`` is accepted when the queue is empty.
    """

    def __init__(self, frames: int = FRAMES, max_bytes: int = BYTES) -> None:
        self._items: deque[Frame | Moment] = deque()
        self._frames = frames
        self._max_bytes = max_bytes
        self._bytes = 0
        self._blocked = 0
        self._moments = 0
        self._wanted = 1
        """Items for which ``take`` waits."""
        self._closed = False
        lock = threading.Lock()
        self._room = threading.Condition(lock)
        self._arrival = threading.Condition(lock)

    def __len__(self) -> int:
        return len(self._items)

    @property
    def bytes(self) -> int:
        """Total size of the objects in the queue."""
        return self._bytes

    @property
    def blocked(self) -> int:
        """Number of deliveries that wait for room."""
        return self._blocked

    def put(self, frame: Frame) -> None:
        """Add a frame; waits while the queue is full. Raises ClosedError once the queue is closed."""
        size = len(frame.object)
        with self._room:
            while self._full(size) and not self._closed:
                self._blocked += 1
                self._arrival.notify()
                try:
                    self._room.wait()
                finally:
                    self._blocked -= 1
            if self._closed:
                raise ClosedError
            self._items.append(frame)
            self._bytes += size
            if len(self._items) >= self._wanted:
                self._arrival.notify()

    def put_moment(self, now: int) -> None:
        """Record that everything received before ``now`` (Unix ns) was delivered.

        Does nothing while a delivery waits for room, because it may be older than ``now``, and while the queue already
        has a moment.
        """
        with self._arrival:
            if not (self._blocked or self._moments or self._closed):
                self._moments += 1
                self._items.append(Moment(now))
                if len(self._items) >= self._wanted:
                    self._arrival.notify()

    def take(self, limit: int, timeout: float | None) -> list[Frame | Moment]:
        """Take at most ``limit`` items.

        Waits up to ``timeout`` seconds for that many items; with None, for the first item and without a limit. Returns
        an empty list if none arrived in this time, or the queue is closed and empty.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        with self._arrival:
            # Waking this thread for every frame would cost more than processing the frame.
            self._wanted = 1 if timeout is None else limit
            while len(self._items) < self._wanted and not self._closed and not (self._blocked and self._items):
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    break
                self._arrival.wait(left)
            return self._take_now(limit)

    def close(self) -> None:
        """Accept no more frames; deliveries that wait raise ClosedError. Frames in the queue can still be taken."""
        with self._room:
            self._closed = True
            self._room.notify_all()
            self._arrival.notify_all()

    @property
    def closed(self) -> bool:
        """True once ``close`` was called."""
        return self._closed

    def _take_now(self, limit: int) -> list[Frame | Moment]:
        taken = [self._items.popleft() for _ in range(min(limit, len(self._items)))]
        for item in taken:
            if isinstance(item, Frame):
                self._bytes -= len(item.object)
            else:
                self._moments -= 1
        if taken and self._blocked:
            self._room.notify_all()
        return taken

    def _full(self, size: int) -> bool:
        return len(self._items) >= self._frames or bool(self._items and self._bytes + size > self._max_bytes)
