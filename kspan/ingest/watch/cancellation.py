"""Cancels threads that sleep or wait for bytes."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from kspan.ingest.watch.client.errors import Stopped


class Interruptible(Protocol):
    """Something that blocks a thread and can be interrupted from another thread."""

    def interrupt(self) -> None:
        """Unblock the thread, with an error or an end of the data."""


class Cancellation:
    """A switch, set once, that ends sleeps and interrupts whatever is attached to it.

    A Cancellation can be attached to another: cancelling the outer one cancels the inner one.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cancelled = threading.Event()
        self._woken = threading.Event()
        self._attached: set[Interruptible] = set()

    def cancel(self) -> None:
        """Interrupt everything that is attached now or later."""
        with self._lock:
            self._cancelled.set()
            attached = list(self._attached)
        self._woken.set()
        for item in attached:
            item.interrupt()

    def interrupt(self) -> None:
        """Cancel (the outer Cancellation calls this)."""
        self.cancel()

    def wake(self) -> None:
        """End any ``sleep_until_woken``, here and in attached Cancellations."""
        self._woken.set()
        with self._lock:
            attached = [item for item in self._attached if isinstance(item, Cancellation)]
        for item in attached:
            item.wake()

    @property
    def cancelled(self) -> bool:
        """True once it was cancelled."""
        return self._cancelled.is_set()

    def check(self) -> None:
        """Raise Stopped if it was cancelled."""
        if self._cancelled.is_set():
            raise Stopped

    def sleep(self, seconds: float) -> None:
        """Sleep. Raises Stopped as soon as it is cancelled."""
        if self._cancelled.wait(seconds) if seconds > 0 else self._cancelled.is_set():
            raise Stopped

    def sleep_until_woken(self, seconds: float) -> None:
        """Sleep, at most until ``wake`` is called. Raises Stopped as soon as it is cancelled."""
        self._woken.clear()
        if not self._cancelled.is_set():
            self._woken.wait(seconds)
        self.check()

    @contextmanager
    def attached(self, item: Interruptible) -> Iterator[None]:
        """Within this context, cancelling interrupts the item."""
        with self._lock:
            self._attached.add(item)
        try:
            if self.cancelled:
                item.interrupt()
            yield
        finally:
            with self._lock:
                self._attached.discard(item)
