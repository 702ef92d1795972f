"""Stopping threads that sleep or wait for bytes."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from kspan.ingest.watch.client.errors import Stopped


class Interruptible(Protocol):
    """Something that blocks a thread and can be ended from another."""

    def interrupt(self) -> None:
        """Let the blocked thread go on, with an error or an end."""


class Halt:
    """A switch that ends what is held under it, and what hangs below it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._woken = threading.Event()
        self._held: set[Interruptible] = set()

    def set(self) -> None:
        """Stop all that is held now or later."""
        with self._lock:
            self._stopped.set()
            held = list(self._held)
        self._woken.set()
        for item in held:
            item.interrupt()

    def interrupt(self) -> None:
        """The same: a Halt can be held under another."""
        self.set()

    def wake(self) -> None:
        """End a sleep that may be cut short."""
        self._woken.set()
        with self._lock:
            held = [item for item in self._held if isinstance(item, Halt)]
        for item in held:
            item.wake()

    @property
    def stopped(self) -> bool:
        """Whether it was set."""
        return self._stopped.is_set()

    def check(self) -> None:
        """Raise Stopped if it was set."""
        if self._stopped.is_set():
            raise Stopped

    def sleep(self, seconds: float) -> None:
        """Wait; raises Stopped as soon as it is set."""
        if self._stopped.wait(seconds) if seconds > 0 else self._stopped.is_set():
            raise Stopped

    def doze(self, seconds: float) -> None:
        """Wait, or be woken; raises Stopped as soon as it is set."""
        self._woken.clear()
        if not self._stopped.is_set():
            self._woken.wait(seconds)
        self.check()

    @contextmanager
    def hold(self, item: Interruptible) -> Iterator[None]:
        """While this lasts, setting the switch interrupts the item."""
        with self._lock:
            self._held.add(item)
        try:
            if self.stopped:
                item.interrupt()
            yield
        finally:
            with self._lock:
                self._held.discard(item)
