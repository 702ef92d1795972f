"""One watch: a resource in one namespace or in the whole cluster, resumed for as long as its version is accepted."""

import random
import time
from collections.abc import Callable
from typing import NoReturn

from kspan.ingest.frames import FrameType
from kspan.ingest.watch.cancellation import Cancellation
from kspan.ingest.watch.client.connection import Connection, LineStream
from kspan.ingest.watch.client.errors import ApiError, GoneError
from kspan.ingest.watch.doubt import Doubt
from kspan.ingest.watch.frame_sink import FrameSink
from kspan.ingest.watch.retry import Action, Attempt, Decision, Ending, decide
from kspan.ingest.watch.silence import StreamActivity
from kspan.ingest.watch.stream_status import StreamStatus
from kspan.k8s.wire import WatchEvent, read_status, read_watch_line

FULL_LENGTH = 0.9
"""A watch that lasted this part of its timeout was ended by it."""

FLAPS = 2
"""After this many watches in a row that opened and failed without news, an open watch does not count as connected."""

_FRAME_TYPES = {kind.value: kind for kind in FrameType}


class _ErrorFrameError(Exception):
    """The API server sent an ERROR."""

    def __init__(self, ending: Ending, message: str) -> None:
        self.ending = ending
        super().__init__(message)


class WatchStream:
    """Watches one resource in one namespace, from version to version, and counts its failures in a row.

    Args:
        connection: the API server.
        sink: where frames are delivered.
        namespace: empty for the whole cluster.
        status: where changes of the state are noted.
        activity: where received lines are noted, so that a silent watch is interrupted.
        on_open: called when a watch is open, or is known to be refused.
        optional: a refusal is expected, so it is as if the resource had never been watched.
    """

    def __init__(
        self,
        connection: Connection,
        sink: FrameSink,
        namespace: str,
        status: StreamStatus,
        activity: StreamActivity,
        on_open: Callable[[], None],
        *,
        optional: bool = False,
    ) -> None:
        self.namespace = namespace
        self.version = ""
        """The newest resourceVersion seen or listed; empty if a list must come first."""
        self.was_watched = False
        """The resource was listed or watched before, now or by an earlier process."""
        self.is_lost = False
        """It was watched before and is not now: the last attempt failed or was refused."""
        self.retry_in = 0.0
        """Seconds until the next attempt at a list that was refused."""
        self._connection = connection
        self._timing = connection.timing
        self._sink = sink
        self._status = status
        self._activity = activity
        self._on_open = on_open
        self._optional = optional
        self._random = random.Random()
        self._failures = 0
        self._list_failures = 0
        self._flaps = 0
        self._was_unreachable = False
        """Another API server may answer now, on an etcd that was restored from a backup. Until one check of the
        versions has succeeded, each resume begins with it."""
        self._lines = 0
        self._news = 0
        self._bookmarks = 0

    def follow(self, cancellation: Cancellation) -> None:
        """Watch until a new list is needed; an ERROR frame with the reason is delivered first. Raises Stopped."""
        self.was_watched = True
        while True:
            decision = self._watch_once(cancellation)
            if decision.action is Action.REFUSED:
                cancellation.sleep_until_woken(decision.delay)
                continue
            cancellation.sleep(decision.delay)
            if decision.action is Action.RELIST:
                return

    def page_received(self) -> None:
        """Note that a page of a list was received: its failures in a row are over."""
        self._list_failures = 0
        self.was_watched, self.is_lost = True, False

    def report_failure_and_wait(self, error: ApiError, lasted: float, cancellation: Cancellation) -> None:
        """Report a failed request of a list, and wait before the next one unless it was refused. Raises Stopped."""
        cancellation.check()
        attempt = Attempt(error.ending, lasted, 0, error.retry_after, self.was_watched and not self._optional)
        decision = decide(attempt, self._list_failures, self._timing, self._random.random())
        self._list_failures, self.retry_in = decision.failures, decision.delay
        self._report(error.ending, error, decision)
        if decision.action is not Action.REFUSED:
            cancellation.sleep(decision.delay)

    # one watch -------------------------------------------------------------------------------------------------------

    def _watch_once(self, cancellation: Cancellation) -> Decision:
        """Open one watch, deliver its frames, and decide how to continue after its end."""
        timeout = self._choose_timeout()
        started = time.monotonic()
        self._lines = self._news = 0
        ending, error = self._check_versions() if self._was_unreachable else (Ending.TIMEOUT, None)
        if ending is Ending.TIMEOUT:
            self._was_unreachable = False
            ending, error = self._read(cancellation, timeout)
        cancellation.check()
        doubt = self._activity.take_doubt()
        # After an ERROR frame a list follows, whatever else happened.
        if doubt is not None and ending not in (Ending.GONE, Ending.ERROR):
            return self._reopen(doubt)
        if ending is Ending.TIMEOUT:
            # Now, because what follows may take long if the API server does not answer.
            self._status.ended(ending)
        lasted = time.monotonic() - started
        if ending is Ending.TIMEOUT and not self._lines and lasted >= timeout * FULL_LENGTH:
            ending, error = self._check_versions()
        retry_after = error.retry_after if isinstance(error, ApiError) else 0.0
        attempt = Attempt(ending, lasted, self._news, retry_after, watched=not self._optional)
        decision = decide(attempt, self._failures, self._timing, self._random.random())
        self._failures = decision.failures
        if self._news or not self._failures:
            self._flaps = 0
        self._report(ending, error, decision)
        return decision

    def _choose_timeout(self) -> int:
        """Return the timeoutSeconds of the next watch."""
        timing = self._timing
        bounds = (timing.watch_min, timing.watch_max)
        if not self._activity.bookmarks:
            bounds = (timing.short_min, timing.short_max)
        return max(1, round(self._random.uniform(*bounds)))

    def _reopen(self, doubt: Doubt) -> Decision:
        """Open a watch again at once that may be dead. This is not a failure: perhaps there was just no news."""
        self._status.doubted(doubt)
        # Other connections may be as dead as this one, and an etcd that was restored leaves a watch silent, too.
        self._connection.close()
        self._was_unreachable = True
        self._failures = self._flaps = 0
        return Decision(Action.RESUME, 0.0, 0)

    def _read(self, cancellation: Cancellation, timeout: int) -> tuple[Ending, Exception | None]:
        """Open a watch for ``timeout`` seconds and deliver its frames; return how it ended, with any error."""
        try:
            stream = self._connection.watch(self._sink.target, self.namespace, self.version, timeout)
        except GoneError as error:
            self._sink.error(error.body, str(error))
            return Ending.GONE, error
        except ApiError as error:
            self._was_unreachable = True
            return error.ending, error
        try:
            with cancellation.attached(stream):
                self._deliver_all(stream, timeout)
        except _ErrorFrameError as error:
            return error.ending, error
        except ApiError as error:
            cancellation.check()
            self._was_unreachable = True
            return error.ending, error
        finally:
            stream.close()
        return Ending.TIMEOUT, None

    def _deliver_all(self, stream: LineStream, timeout: int) -> None:
        self._on_open()
        self.is_lost = False
        # A server that repeatedly answers 200 and then fails is not back yet.
        if self._flaps < FLAPS:
            self._status.connected()
        self._flaps += 1
        with self._activity.watching(stream, timeout):
            for lines in stream:
                self._activity.delivering()
                version, news, bookmarks = self.version, self._news, self._bookmarks
                for line in lines:
                    if line and not line.isspace():
                        self._deliver(line)
                self._activity.delivered(
                    advanced=self.version != version, news=self._news > news, bookmark=self._bookmarks > bookmarks
                )
                if self._news:
                    self._status.connected()

    def _deliver(self, line: bytes) -> None:
        try:
            event = read_watch_line(self._sink.target, line)
        except ValueError as error:
            self._status.skipped(str(error))
            self._sink.note(f"skipped: {error}")
            return
        self._lines += 1
        if event.head is not None:
            self._sink.object(_FRAME_TYPES[event.type], event.head, event.object)
            self._news += 1
        elif event.type == "BOOKMARK":
            self._sink.marker(FrameType.BOOKMARK, event.version)
            self._bookmarks += 1
        else:
            self._raise_error_frame(event)
        # Not earlier: the version counts as seen once it is delivered.
        self.version = event.version

    def _raise_error_frame(self, event: WatchEvent) -> NoReturn:
        status = read_status(event.object)
        message = f"{status.code} {status.message or status.reason or 'an ERROR frame'}"
        self._sink.error(event.object, message)
        raise _ErrorFrameError(Ending.GONE if status.gone else Ending.ERROR, message)

    def _check_versions(self) -> tuple[Ending, Exception | None]:
        """Check whether resourceVersions started over: GONE if so, TIMEOUT if not, else how the request failed.

        After an etcd was restored from a backup, our version is in the future, and a watch from there sends nothing.
        """
        try:
            newest = self._connection.list_page(self._sink.target, self.namespace, limit=1).version
        except ApiError as error:
            return error.ending, error
        ours = self.version
        if not (newest.isdecimal() and ours.isdecimal()) or int(newest) >= int(ours):
            return Ending.TIMEOUT, None
        message = f"the newest resourceVersion is {newest}, older than {ours}, which was seen: was etcd restored?"
        self._sink.error(b"", message)
        return Ending.GONE, GoneError(message)

    # reports ---------------------------------------------------------------------------------------------------------

    def _report(self, ending: Ending, error: Exception | None, decision: Decision) -> None:
        if decision.failures:
            self.is_lost = self.was_watched
        if decision.action is Action.REFUSED and isinstance(error, ApiError):
            self._status.refused(error, decision.delay)
            if not self.was_watched or self._optional:
                self._on_open()
            return
        if not decision.failures:
            return
        if ending is not Ending.TIMEOUT:
            self._status.ended(ending)
        reason = str(error) if error is not None else "the watch ended as soon as it began"
        changed = self._status.failed(ending, reason, decision.delay)
        if changed and ending not in (Ending.GONE, Ending.ERROR) and self.version:
            # Without a version this is inside a list, and a NOTE would end the list for the reader of a recording.
            self._sink.note(reason)
