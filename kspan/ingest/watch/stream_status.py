"""The state of each stream: changes are logged once, with the resource as a field, and reported to an observer."""

import logging
from collections.abc import Callable
from typing import Protocol

from kspan.ingest.watch.client.errors import ApiError
from kspan.ingest.watch.doubt import Doubt
from kspan.ingest.watch.retry import Ending

log = logging.getLogger("kspan.watch")


class WatchObserver(Protocol):
    """Receives changes of the state of streams. Called from the threads of the streams."""

    def restarted(self, resource: str, reason: str) -> None:
        """A watch or a list ended and is started again; ``reason`` is a value of ``Ending``."""

    def connected(self, resource: str) -> None:
        """A watch is open, for the first time or again."""

    def doubted(self, resource: str, reason: str) -> None:
        """A watch was silent and is opened again; ``reason`` is a value of ``Doubt``. Then ``connected`` follows."""

    def refused(self, resource: str, status: int) -> None:
        """The API server refuses this resource (HTTP status). Called once per change of the status."""


class NullObserver:
    """A WatchObserver that does nothing."""

    def restarted(self, resource: str, reason: str) -> None:
        """Do nothing."""

    def connected(self, resource: str) -> None:
        """Do nothing."""

    def doubted(self, resource: str, reason: str) -> None:
        """Do nothing."""

    def refused(self, resource: str, status: int) -> None:
        """Do nothing."""


class StreamStatus:
    """The state of one stream: not open yet, open, being renewed, in doubt, failing or refused. For one thread."""

    def __init__(
        self,
        resource: str,
        namespace: str,
        observer: WatchObserver,
        on_recovery: Callable[[], None] = lambda: None,
        *,
        optional: bool = False,
    ) -> None:
        self._resource = resource
        self._refusal_level = logging.INFO if optional else logging.WARNING
        self._observer = observer
        self._on_recovery = on_recovery
        self._fields = {"resource": resource, "namespace": namespace}
        self._state = ""
        self._doubt_logged = False

    def connected(self) -> None:
        """Note that the watch is open."""
        if self._state == "open":
            return
        recovered = self._state not in ("", "in doubt", "renewing")
        level = logging.INFO if recovered else logging.DEBUG
        log.log(level, "watching %s", self._resource, extra=self._fields)
        self._state = "open"
        self._observer.connected(self._resource)
        if recovered:
            self._on_recovery()

    def ended(self, ending: Ending) -> None:
        """Note that a watch or a list ended, with or without an error, and is started again."""
        if self._state == "open":
            self._state = "renewing"
        self._observer.restarted(self._resource, ending.value)

    def doubted(self, doubt: Doubt) -> None:
        """Note that the watch was silent and is opened again. Logged once per stream: quiet resources look the same."""
        level = logging.DEBUG if self._doubt_logged else logging.INFO
        fields = self._fields | {"reason": doubt.value}
        log.log(level, "%s: the watch was silent and is opened again (%s)", self._resource, doubt.value, extra=fields)
        self._doubt_logged = True
        self._state = "in doubt"
        self._observer.doubted(self._resource, doubt.value)

    def failed(self, ending: Ending, reason: str, delay: float) -> bool:
        """Note a failure; the next attempt follows in ``delay`` seconds. True if the stream was not failing before."""
        changed = self._state != "failing"
        level = logging.WARNING if changed else logging.DEBUG
        fields = self._fields | {"reason": ending.value}
        log.log(level, "%s: %s; retrying in %.1f s", self._resource, reason, delay, extra=fields)
        self._state = "failing"
        return changed

    def refused(self, error: ApiError, delay: float) -> None:
        """Note that the API server refuses or does not have the resource; the next attempt is in ``delay`` seconds."""
        state = f"refused {error.status}"
        changed = self._state != state
        level = self._refusal_level if changed else logging.DEBUG
        fields = self._fields | {"status": error.status}
        log.log(level, "%s is not watched: %s; retrying in %.0f s", self._resource, error, delay, extra=fields)
        self._state = state
        if changed:
            self._observer.refused(self._resource, error.status)

    def skipped(self, reason: str) -> None:
        """Log that a line is skipped because it is not valid."""
        log.warning("%s: skipped: %s", self._resource, reason, extra=self._fields)
