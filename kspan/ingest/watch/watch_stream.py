"""One watch, followed for as long as its versions last: a resource, in one namespace or in all of the cluster."""

import random
import time
from collections.abc import Callable
from typing import NoReturn

import msgspec

from kspan.ingest.frames import FrameType
from kspan.ingest.watch.backoff import Action, Attempt, Decision, Ending, decide
from kspan.ingest.watch.cancellation import Halt
from kspan.ingest.watch.client.connection import Connection, LineStream
from kspan.ingest.watch.client.errors import ApiError, GoneError
from kspan.ingest.watch.frame_sink import Delivery
from kspan.ingest.watch.stream_status import StreamStatus
from kspan.k8s.resources import WatchTarget
from kspan.k8s.strict_json import shown
from kspan.k8s.wire import Head, read_bookmark, read_line, read_object, read_status

_CHANGES = {"ADDED": FrameType.ADDED, "MODIFIED": FrameType.MODIFIED, "DELETED": FrameType.DELETED}

OVER = 0.9
"""Of its timeout: a watch that lasted so long was ended for it."""


_AWAY = frozenset({Ending.DISCONNECTED, Ending.SERVER_ERROR})
"""What answers after these may be another API server than before, on an etcd that was restored from a backup."""

FLAPS = 2
"""Watches in a row that were opened and failed without news, after which an open one is not believed at once."""


class _ErrorFrame(Exception):  # noqa: N818 -- ends the reading of a stream, nothing more
    def __init__(self, ending: Ending, message: str) -> None:
        self.ending = ending
        super().__init__(message)


class _Parsed(msgspec.Struct, frozen=True, gc=False):
    type: FrameType
    head: Head
    text: bytes


def _parse(target: WatchTarget, line: bytes) -> _Parsed:
    """A line of a watch; ValueError with a sentence about it where it makes no sense."""
    parsed = read_line(line)
    change = _CHANGES.get(parsed.type)
    if change is not None:
        return _Parsed(change, *read_object(target, parsed.object))
    if parsed.type == "BOOKMARK":
        return _Parsed(FrameType.BOOKMARK, Head(read_bookmark(parsed.object), ()), b"")
    if parsed.type == "ERROR":
        return _Parsed(FrameType.ERROR, Head("", ()), bytes(parsed.object))
    raise ValueError(f"the line has an unknown type {shown(parsed.type)}")


class Stream:
    """Follows a watch from version to version; knows how often it failed in a row."""

    def __init__(
        self,
        connection: Connection,
        delivery: Delivery,
        namespace: str,
        status: StreamStatus,
        opened: Callable[[], None],
    ) -> None:
        self.namespace = namespace
        self.version = ""
        """The newest resourceVersion that was seen, or that a list gave. Empty: must be listed."""
        self._connection = connection
        self._timing = connection.timing
        self._delivery = delivery
        self._status = status
        self._opened = opened
        self._random = random.Random()
        self._failures = 0
        self._list_failures = 0
        self._flaps = 0
        self._away = False
        self._lines = 0
        self._news = 0

    def follow(self, halt: Halt) -> None:
        """Watches until only a new list helps; the frame that says why was delivered. Raises Stopped."""
        while True:
            decision = self._watch_once(halt)
            if decision.action is Action.REFUSED:
                halt.doze(decision.delay)
                continue
            halt.sleep(decision.delay)
            if decision.action is Action.RELIST:
                return

    def listed(self) -> None:
        """A page of a list came."""
        self._list_failures = 0

    def recover(self, error: ApiError, lasted: float, halt: Halt) -> None:
        """After a request of a list failed: reports it, and waits unless it is refused. Raises Stopped."""
        halt.check()
        attempt = Attempt(error.ending, lasted, 0, error.retry_after)
        decision = decide(attempt, self._list_failures, self._timing, self._random.random())
        self._list_failures = decision.failures
        self._report(error.ending, error, decision)
        if decision.action is not Action.REFUSED:
            halt.sleep(decision.delay)

    # ------------------------------------------------------------------------------------------------------------------

    def _watch_once(self, halt: Halt) -> Decision:
        timeout = round(self._random.uniform(self._timing.watch_min, self._timing.watch_max))
        started = time.monotonic()
        self._lines = self._news = 0
        ending, error = self._look_back() if self._away else (Ending.TIMEOUT, None)
        if ending is Ending.TIMEOUT:
            self._away = False
            ending, error = self._read(halt, max(1, timeout))
        halt.check()
        lasted = time.monotonic() - started
        if ending is Ending.TIMEOUT and not self._lines and lasted >= timeout * OVER:
            ending, error = self._look_back()
        retry_after = error.retry_after if isinstance(error, ApiError) else 0.0
        attempt = Attempt(ending, lasted, self._news, retry_after)
        decision = decide(attempt, self._failures, self._timing, self._random.random())
        self._failures = decision.failures
        if self._news or not self._failures:
            self._flaps = 0
        self._report(ending, error, decision)
        return decision

    def _read(self, halt: Halt, timeout: int) -> tuple[Ending, Exception | None]:
        """Opens the watch and delivers what it says; how it ended, and why if that was not in good order."""
        try:
            stream = self._connection.watch(self._delivery.target, self.namespace, self.version, timeout)
        except GoneError as error:
            self._delivery.error(error.body, str(error))
            return Ending.GONE, error
        except ApiError as error:
            self._away = error.ending in _AWAY
            return error.ending, error
        try:
            with halt.hold(stream):
                self._take_all(stream)
        except _ErrorFrame as error:
            return error.ending, error
        except ApiError as error:
            halt.check()
            return error.ending, error
        finally:
            stream.close()
        return Ending.TIMEOUT, None

    def _take_all(self, stream: LineStream) -> None:
        self._opened()
        # A server that says 200 and then fails, again and again, is not back yet.
        if self._flaps < FLAPS:
            self._status.connected()
        self._flaps += 1
        for lines in stream:
            for line in lines:
                if line and not line.isspace():
                    self._take(line)
            if self._news:
                self._status.connected()

    def _take(self, line: bytes) -> None:
        try:
            parsed = _parse(self._delivery.target, line)
        except ValueError as error:
            self._status.skipped(str(error))
            self._delivery.note(f"skipped: {error}")
            return
        self._lines += 1
        if parsed.type is FrameType.ERROR:
            self._fail(parsed.text)
        elif parsed.type is FrameType.BOOKMARK:
            self._delivery.marker(FrameType.BOOKMARK, parsed.head.version)
        else:
            self._delivery.object(parsed.type, parsed.head, parsed.text)
            self._news += 1
        # Not earlier: a version counts as seen once it was delivered.
        self.version = parsed.head.version

    def _fail(self, text: bytes) -> NoReturn:
        status = read_status(text)
        message = f"{status.code} {status.message or status.reason or 'an ERROR frame'}"
        self._delivery.error(text, message)
        raise _ErrorFrame(Ending.GONE if status.gone else Ending.ERROR, message)

    def _report(self, ending: Ending, error: Exception | None, decision: Decision) -> None:
        if decision.action is Action.REFUSED and isinstance(error, ApiError):
            self._status.refused(error, decision.delay)
            self._opened()
            return
        self._status.ended(ending)
        if not decision.failures:
            self._status.connected()
            return
        reason = str(error) if error is not None else "the watch ended as soon as it began"
        changed = self._status.trouble(ending, reason, decision.delay)
        if changed and ending not in (Ending.GONE, Ending.ERROR):
            self._remark(reason)

    def _remark(self, reason: str) -> None:
        # Inside a list a NOTE would seem to end it.
        if self.version:
            self._delivery.note(reason)

    def _look_back(self) -> tuple[Ending, Exception | None]:
        """Whether versions went back, after an outage, or a watch without a word.

        From a version that is yet to come, watches say nothing. That is what a cluster looks like whose etcd was
        restored from a backup.
        """
        try:
            newest = self._connection.list_page(self._delivery.target, self.namespace, limit=1).version
        except ApiError as error:
            return error.ending, error
        ours = self.version
        if not (newest.isdecimal() and ours.isdecimal()) or int(newest) >= int(ours):
            return Ending.TIMEOUT, None
        message = f"the newest resourceVersion is {newest}, before the {ours} that was seen: was etcd restored?"
        self._delivery.error(b"", message)
        return Ending.GONE, GoneError(message)
