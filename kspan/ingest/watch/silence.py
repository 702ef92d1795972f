"""Finds open watches that are silent for too long, and interrupts them, so that their threads open them again."""

import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager

from kspan.ingest.watch.cancellation import Interruptible
from kspan.ingest.watch.doubt import Doubt, SignsOfLife, doubt_of, is_periodic
from kspan.ingest.watch.retry import Timing


class StreamActivity:
    """When one stream received lines. For the thread of the stream, except for ``interrupt_if_doubtful``."""

    def __init__(self, timing: Timing) -> None:
        self.advanced = float("-inf")
        """When the stream last received a newer version (monotonic seconds)."""
        self.bookmarks = False
        """True if bookmarks can be expected. A stream that was reopened in doubt has to receive one first."""
        self._timing = timing
        self._reopened = False
        self._heard: float | None = None
        """None while the thread does not wait for a line: then a silence is not the API server's."""
        self._end = 0.0
        self._marked = 0.0
        """When the last bookmark was received, or the watch was opened."""
        self._stream: Interruptible | None = None
        self._doubt: Doubt | None = None
        self._lock = threading.Lock()

    @contextmanager
    def watching(self, stream: Interruptible, timeout: float) -> Iterator[None]:
        """Within this context, the stream waits for lines of a watch that was opened for ``timeout`` seconds."""
        now = time.monotonic()
        with self._lock:
            self._stream, self._heard, self._end, self._marked, self._doubt = stream, now, now + timeout, now, None
        try:
            yield
        finally:
            with self._lock:
                self._stream = self._heard = None

    def delivering(self) -> None:
        """Note that lines arrived, and are being delivered: this may take long while the database is slow."""
        with self._lock:
            self._heard = None

    def delivered(self, *, advanced: bool, news: bool, bookmark: bool) -> None:
        """Note that the lines were delivered, and whether a newer version, an object or a bookmark was among them."""
        now = time.monotonic()
        with self._lock:
            self._heard = now
            self._reopened = self._reopened and not news
            if bookmark:
                self.bookmarks = self.bookmarks or is_periodic(now - self._marked, self._end - now, self._timing)
                self._marked = now
            if advanced:
                self.advanced = now

    def take_doubt(self) -> Doubt | None:
        """Return why the last watch was interrupted, if it was. The next one has to prove that bookmarks are sent."""
        with self._lock:
            doubt, self._doubt = self._doubt, None
        if doubt is not None:
            self._reopened, self.bookmarks = True, False
        return doubt

    def interrupt_if_doubtful(self, siblings_advanced: float, now: float) -> None:
        """Interrupt the watch if it may be dead. For the thread of the monitor."""
        with self._lock:
            if self._heard is None or self._stream is None or self._doubt is not None:
                return
            signs = SignsOfLife(self._heard, self._end, self.bookmarks, self._reopened)
            self._doubt = doubt_of(signs, siblings_advanced, now, self._timing)
            if self._doubt is not None:
                self._stream.interrupt()


class SilenceMonitor:
    """All streams of a cluster. Their thread calls ``check`` every ``Timing.check`` seconds. For all threads."""

    def __init__(self, timing: Timing) -> None:
        self._timing = timing
        self._lock = threading.Lock()
        self._activities: weakref.WeakSet[StreamActivity] = weakref.WeakSet()

    def add_stream(self) -> StreamActivity:
        """Return the activity of another stream. It is checked as long as the stream exists."""
        activity = StreamActivity(self._timing)
        with self._lock:
            self._activities.add(activity)
        return activity

    def check(self, now: float) -> None:
        """Interrupt the watches that may be dead at ``now`` (monotonic seconds)."""
        with self._lock:
            activities = list(self._activities)
        # A stream's own version cannot have advanced after its last line, so it need not be excluded here.
        advanced = max((activity.advanced for activity in activities), default=float("-inf"))
        for activity in activities:
            activity.interrupt_if_doubtful(advanced, now)
