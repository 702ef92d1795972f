"""How a stream is, told once per change: to the log, with the resource as a field, and to the daemon's metrics."""

import logging
from typing import Protocol

from kspan.ingest.watch.backoff import Ending
from kspan.ingest.watch.client.errors import ApiError

log = logging.getLogger("kspan.watch")


class WatchObserver(Protocol):
    """Is told what becomes of the streams; called from their threads."""

    def restarted(self, resource: str, reason: str) -> None:
        """A watch (or a list) ended and is started again; ``reason`` is one of a few words (``Ending``)."""

    def connected(self, resource: str) -> None:
        """A watch is open, after the start or after trouble."""

    def refused(self, resource: str, status: int) -> None:
        """The API server refuses this resource (HTTP status); told once, until it changes."""


class Silent:
    """A WatchObserver that nobody listens to."""

    def restarted(self, resource: str, reason: str) -> None:
        """Nothing."""

    def connected(self, resource: str) -> None:
        """Nothing."""

    def refused(self, resource: str, status: int) -> None:
        """Nothing."""


class StreamStatus:
    """The state of one stream: not yet open, open, in trouble, refused. For the use of one thread."""

    def __init__(self, resource: str, namespace: str, observer: WatchObserver) -> None:
        self._resource = resource
        self._observer = observer
        self._fields = {"resource": resource, "namespace": namespace}
        self._state = ""

    def connected(self) -> None:
        """The watch is open."""
        if self._state == "open":
            return
        level = logging.INFO if self._state else logging.DEBUG
        log.log(level, "watching %s", self._resource, extra=self._fields)
        self._state = "open"
        self._observer.connected(self._resource)

    def ended(self, ending: Ending) -> None:
        """It ended, well or badly, and is started again."""
        self._observer.restarted(self._resource, ending.value)

    def trouble(self, ending: Ending, reason: str, delay: float) -> bool:
        """It failed; ``delay`` in seconds. Whether that is a change."""
        changed = self._state != "trouble"
        level = logging.WARNING if changed else logging.DEBUG
        fields = self._fields | {"reason": ending.value}
        log.log(level, "%s: %s; trying again from %.1f s on", self._resource, reason, delay, extra=fields)
        self._state = "trouble"
        return changed

    def refused(self, error: ApiError, delay: float) -> None:
        """The API server does not let us, or does not have it; ``delay`` in seconds."""
        state = f"refused {error.status}"
        changed = self._state != state
        level = logging.WARNING if changed else logging.DEBUG
        fields = self._fields | {"status": error.status}
        log.log(level, "%s is not watched: %s; trying again in %.0f s", self._resource, error, delay, extra=fields)
        self._state = state
        if changed:
            self._observer.refused(self._resource, error.status)

    def skipped(self, reason: str) -> None:
        """A line or an object makes no sense."""
        log.warning("%s: skipped: %s", self._resource, reason, extra=self._fields)
