"""Faults that a test can inject while the server runs.

A fault is a value; ``Faults.add`` states to which requests it applies and how often. ``Gone`` and ``Refuse`` replace a
response; the others change one that has begun.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

SPOILABLE = ("list", "continue", "watch")


@dataclass(frozen=True)
class Gone:
    """410 as an HTTP status, with the wording for a list, a continue token or a watch."""


@dataclass(frozen=True)
class Refuse:
    """Any other HTTP status instead of the answer: 401, 403, 429, 500, 503 … ``retry_after`` is in seconds."""

    code: int
    retry_after: int | None = None


@dataclass(frozen=True)
class ErrorFrame:
    """An ERROR frame inside a watch's HTTP 200, after ``after`` lines of that connection; then the watch ends."""

    code: int = 410
    after: int = 0


@dataclass(frozen=True)
class Break:
    """The connection breaks in the middle of a line: by RST, or by FIN when ``reset`` is false."""

    after: int = 0
    reset: bool = True


@dataclass(frozen=True)
class EmptyWatch:
    """The watch ends cleanly as soon as it has begun."""


@dataclass(frozen=True)
class Stall:
    """No more bytes after ``after`` lines; the connection stays open until the fault is lifted."""

    after: int = 0


@dataclass(frozen=True)
class Slow:
    """The body arrives slowly."""

    bytes_per_second: int = 2000


@dataclass(frozen=True)
class BadLine:
    """A line that is not JSON is sent between the others."""

    after: int = 0
    line: bytes = b'{"type":"ADDED","object":{"kind":"Pod",,,"metadata"\n'


@dataclass(frozen=True)
class HugeLine:
    """The next change (or object of a list) has an annotation of this many bytes."""

    size: int = 10_000_000


@dataclass(frozen=True)
class OffSchema:
    """The next change (or object of a list) has strings where integers are expected."""


Fault = Gone | Refuse | ErrorFrame | Break | EmptyWatch | Stall | Slow | BadLine | HugeLine | OffSchema

_VERBS: dict[type, tuple[str, ...]] = {
    Gone: SPOILABLE,
    Refuse: ("list", "continue", "watch", "get", "create", "update", "patch", "delete", "discovery"),
    ErrorFrame: ("watch",),
    Break: ("watch",),
    EmptyWatch: ("watch",),
    Stall: ("watch",),
    Slow: ("watch",),
    BadLine: ("watch",),
    HugeLine: ("watch",),
    OffSchema: ("watch",),
}


@dataclass(eq=False)
class Injection:
    """An active fault. As a context manager it is lifted at the end."""

    fault: Fault
    resource: str | None
    verbs: tuple[str, ...]
    times: int | None
    _lift: Callable[["Injection"], None] = field(repr=False)
    hits: int = 0
    """How often it was applied."""
    lifted: bool = False

    def lift(self) -> None:
        self._lift(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.lift()

    def applies(self, resource: str, verb: str) -> bool:
        exhausted = self.times is not None and self.hits >= self.times
        return not self.lifted and not exhausted and self.resource in (None, resource) and verb in self.verbs


class Faults:
    """The active faults. ``changed`` is called after each change."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._lock = threading.Lock()
        self._injections: list[Injection] = []

    def add(
        self, fault: Fault, resource: str | None = None, verb: str | None = None, times: int | None = None
    ) -> Injection:
        """Activate a fault: for a resource (or all), a verb (or all possible ones), ``times`` (or until lifted).

        Verbs: list (its first page), continue (the others), watch, get, create, update, patch, delete, discovery. A
        fault that changes a body applies to watches unless ``verb`` is given, and also to open ones.
        """
        verbs = (verb,) if verb else _VERBS[type(fault)]
        injection = Injection(fault, resource, verbs, times, self._remove)
        with self._lock:
            self._injections.append(injection)
        self._changed()
        return injection

    def clear(self) -> None:
        for injection in list(self._injections):
            injection.lift()

    def _remove(self, injection: Injection) -> None:
        with self._lock:
            injection.lifted = True
            if injection in self._injections:
                self._injections.remove(injection)
        self._changed()

    def take(
        self, resource: str, verb: str, *kinds: type, sent: int = 0, spare: Injection | None = None
    ) -> Injection | None:
        """Return the first fault of these kinds that applies to this request now, and count it.

        ``sent`` is the number of lines sent to the watch; ``spare`` is a fault that was applied to it before.
        """
        with self._lock:
            for injection in self._injections:
                due = getattr(injection.fault, "after", 0) <= sent
                if (
                    isinstance(injection.fault, kinds)
                    and due
                    and injection is not spare
                    and injection.applies(resource, verb)
                ):
                    injection.hits += 1
                    return injection
        return None

    def next_after(self, resource: str, sent: int) -> int | None:
        """Return how many more lines a watch may send before its next fault."""
        with self._lock:
            afters = [
                getattr(injection.fault, "after", 0) - sent
                for injection in self._injections
                if injection.applies(resource, "watch")
            ]
        return min((after for after in afters if after > 0), default=None)
