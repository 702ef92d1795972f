"""A table of values that expire, with a limit on their number."""

import threading
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Bounded(Generic[Value]):
    """Values by key, each until a time. For all threads.

    Args:
        most: number of values; one more replaces the oldest.
        clock: the current time in seconds.
    """

    def __init__(self, most: int, clock: Callable[[], float]) -> None:
        self._most = most
        self._clock = clock
        self._lock = threading.Lock()
        self._values: dict[Hashable, tuple[float, Value]] = {}

    def get(self, key: Hashable) -> Value | None:
        """Return a value that has not expired."""
        with self._lock:
            until, value = self._values.get(key, (0.0, None))
            if value is not None and self._clock() >= until:
                del self._values[key]
                return None
            return value

    def put(self, key: Hashable, value: Value, seconds: float) -> None:
        """Keep a value for some seconds."""
        with self._lock:
            self._values.pop(key, None)
            while len(self._values) >= self._most:
                del self._values[next(iter(self._values))]
            self._values[key] = self._clock() + seconds, value

    def remove(self, key: Hashable) -> None:
        """Forget a value."""
        with self._lock:
            self._values.pop(key, None)
