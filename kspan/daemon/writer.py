"""The thread that writes: takes frames from the watches and commits their content to the journal.

    watches ──frames──▶ FrameQueue ──▶ JournalBuilder ──batches──▶ RetryingProjector ──commits──▶ database
                                     (frame → batch)          (fold, projection)

The database is written by ``RetryingCommitter`` in this thread; ``AsyncCommit`` waits for the disk in another.

A *frame* is what a watch delivers: an object, the beginning of a list, a bookmark, an error or a note. A *journal
batch* is what must be committed together: the records of one watch event, or of a whole list, with the resourceVersion
that the stream has reached. *Event time* is the time that the fold sees: the greatest receipt time of all records.

The writer decides three things:

* when records are committed: in groups, at most ``LINGER_S`` after their arrival (bookmarks: ``BOOKMARK_DELAY``);
* when event time advances without a record: at ticks, unless the watermark holds it back;
* which objects are skipped: invalid ones.

While the database is away, the writer waits, the queue fills up and the watches wait: nothing is dropped, and memory
stays bounded.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from kspan.daemon.frame_queue import ClosedError, FrameQueue, Moment
from kspan.daemon.metrics import Metrics
from kspan.daemon.retrying_committer import GivenUpError, RetryingCommitter
from kspan.daemon.retrying_projector import RetryingProjector
from kspan.daemon.watermark import Watermark
from kspan.errors import InputError
from kspan.graph import Rules
from kspan.ingest.frames import OBJECT_TYPES, Frame
from kspan.ingest.journal_builder import JournalBatch, JournalBuilder
from kspan.ingest.list_policy import LIVE_LISTS
from kspan.ingest.watch import Stopped
from kspan.k8s.redact import redact
from kspan.k8s.resources import is_journalled
from kspan.pipeline.projector import BATCH
from kspan.settings import FoldSettings
from kspan.store import Store
from kspan.times import SECOND

_logger = logging.getLogger(__name__)

LINGER_S: Final = 0.05
"""Seconds that a record waits for others to be committed with it."""

BOOKMARK_DELAY: Final = 60 * SECOND
"""Nanoseconds for which a bookmark may stay uncommitted on an idle cluster.

A bookmark moves the resourceVersion that a restart resumes from. A restart from an older version reads some changes
again and drops them, because the journal has them. But the API server compacts etcd every 5 minutes by default, and a
watch cannot resume from a compacted version. A restart is two minutes behind at most: one until the
bookmark arrives, one until it is committed.
"""

MAX_REPORTED_PROBLEMS: Final = 1_000
"""Different reasons for skipping objects that are logged. A hostile cluster could cause any number of them."""


class Writer:
    """Writes the journal of one cluster from ``start`` to ``stop``.

    Args:
        watermark: holds event time back while watches are disconnected; without one it always advances.
        redact_env: mask the values of environment variables before they are journalled.
        accept: returns True for resources that are journalled.
        clock: the current time (Unix ns).

    Raises StoreError if the database cannot be read or its projection has to be rebuilt.
    """

    def __init__(
        self,
        store: Store,
        cluster: str,
        rules: Rules,
        settings: FoldSettings | None = None,
        *,
        metrics: Metrics | None = None,
        watermark: Watermark | None = None,
        redact_env: bool = True,
        accept: Callable[[str], bool] = is_journalled,
        queue: FrameQueue | None = None,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self.queue = queue if queue is not None else FrameQueue()
        self.metrics = metrics or Metrics()
        self.metrics.observe_queue(self.queue.__len__, lambda: self.queue.bytes)
        self.failure: BaseException | None = None
        """The exception that ended the thread; None if none did."""
        self._watermark = watermark
        self._redact_env = redact_env
        self._clock = clock
        cursors = store.cursors(cluster)
        self._committer = RetryingCommitter(store, cluster, self.metrics, clock, self._pause, self._on_recovery)
        self._projector = RetryingProjector(store, cluster, rules, settings, self._committer, self.metrics)
        self._journal_builder = JournalBuilder(self._projector, cursors, LIVE_LISTS, accept)
        self._bookmarks = _Bookmarks(cursors)
        self._commit_at: float | None = None
        """Monotonic time at which the waiting batches are committed; None if none is waiting."""
        self._held = False
        """Event time stands still."""
        self._reported: set[tuple[str, str]] = set()
        self._everything_committed = False
        self._stopping = threading.Event()
        self._give_up_at = float("inf")
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)

    # for the threads of the daemon -----------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the writer's thread."""
        self._thread.start()

    def deliver(self, frame: Frame) -> None:
        """Queue a frame; waits while the queue is full. Raises Stopped once the writer stops."""
        try:
            self.queue.put(frame)
        except ClosedError:
            raise Stopped from None

    def tick(self, now: int) -> None:
        """Queue a time (Unix ns). Event time advances to it after all earlier frames, unless it is held back."""
        self.queue.put_moment(now)

    @property
    def error(self) -> str:
        """Why nothing can be committed at the moment; empty if it can."""
        return self._committer.error

    @property
    def appended(self) -> int:
        """Number of records appended to the journal since the start."""
        return self._projector.appended

    def stop(self, timeout: float) -> bool:
        """Accept no more frames and commit those delivered; True if this succeeded within ``timeout`` seconds.

        Frames that were not committed are not lost: a restart resumes from the committed cursors.
        """
        self._give_up_at = time.monotonic() + timeout
        self.queue.close()
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(timeout)
        return not self._thread.is_alive() and self._everything_committed

    def is_alive(self) -> bool:
        """True while the writer's thread is running."""
        return self._thread.is_alive()

    # the writer's thread: everything below runs on it ----------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self.queue.closed or len(self.queue):
                self._take_and_commit()
            self._commit()
            self._projector.wait_durable()
            self._everything_committed = True
        except GivenUpError:
            records = self._projector.waiting + self._committer.unconfirmed_records
            _logger.warning("stopped with %d records not committed: they are read again at the next start", records)
        except BaseException as error:
            self.failure = error
        finally:
            self.queue.close()

    def _take_and_commit(self) -> None:
        if self._commit_at is None and not len(self.queue):
            self._projector.wait_durable()  # There is nothing to fold meanwhile.
        items = self.queue.take(BATCH, self._seconds_to_commit())
        self._hold_or_release_time()
        for item in items:
            if isinstance(item, Moment):
                self._advance_time(item.now)
            else:
                self._process(item)
        if self._seconds_to_commit() == 0:
            self._commit()

    def _seconds_to_commit(self) -> float | None:
        """Seconds until the waiting batches are committed; None if none are waiting."""
        return max(0.0, self._commit_at - time.monotonic()) if self._commit_at is not None else None

    def _commit(self) -> None:
        for batch in self._bookmarks.take():
            self._projector.add(batch)
        self._projector.flush()
        self._commit_at = None

    # frames ----------------------------------------------------------------------------------------------------------

    def _process(self, frame: Frame) -> None:
        try:
            if frame.type in OBJECT_TYPES:
                frame = self._redacted(frame)
            for batch in self._journal_builder.feed(frame):
                self._add(batch)
        except InputError as error:
            self._skip(frame, error)

    def _redacted(self, frame: Frame) -> Frame:
        try:
            raw = redact(frame.resource, frame.object, env=self._redact_env)
        except ValueError as error:
            raise InputError(frame.source, frame.line, str(error)) from error
        return frame if raw is frame.object else msgspec.structs.replace(frame, object=raw)

    def _add(self, batch: JournalBatch) -> None:
        if self._bookmarks.keep(batch):
            return
        # If nothing is waiting, the projector has committed a full batch by itself: the old deadline no longer applies.
        if self._commit_at is None or not self._projector.waiting:
            self._commit_at = time.monotonic() + LINGER_S
        self._projector.add(batch)

    def _skip(self, frame: Frame, error: InputError) -> None:
        self.metrics.skipped.labels(frame.resource).inc()
        problem = (frame.resource, error.problem.partition(" (")[0])
        if problem not in self._reported and len(self._reported) < MAX_REPORTED_PROBLEMS:
            self._reported.add(problem)
            _logger.warning(
                "invalid object skipped; others with the same problem are skipped without a message: %s",
                error.problem,
                extra={"resource": frame.resource},
            )

    # time ------------------------------------------------------------------------------------------------------------

    def _advance_time(self, now: int) -> None:
        if self._commit_at is not None or self._bookmarks.are_due(now):
            self._commit()
        if not self._held:
            self._projector.let_time_pass(now)
        self._projector.measure()

    def _hold_or_release_time(self) -> None:
        if self._watermark is None:
            return
        now = self._clock()
        held = self._watermark.is_held_back(now)
        if held and not self._held:
            # After a restart, changes may be missing since the last event time in the database.
            self._projector.hold_time(self._watermark.disconnected_at(now) or self._projector.event_time or now)
        elif self._held and not held:
            self._projector.let_time_pass(now)
        self._held = held

    # an outage of the database ---------------------------------------------------------------------------------------

    def _pause(self, seconds: float) -> bool:
        """Wait before the next attempt; False once it is time to give up."""
        left = self._give_up_at - time.monotonic()
        if left <= 0:
            return False
        if self._stopping.is_set():
            time.sleep(min(seconds, left))
        else:
            self._stopping.wait(seconds)
        return True

    def _on_recovery(self) -> None:
        if self._watermark is not None:
            self._watermark.database_recovered(self._clock())
            self._hold_or_release_time()


class _Bookmarks:
    """Batches that only move a cursor. They are committed with the next records, or after ``BOOKMARK_DELAY``.

    Without this, every bookmark of every idle stream would be a transaction of its own, with an fsync.
    """

    def __init__(self, streams: Iterable[str]) -> None:
        self._known_streams = set(streams)
        self._kept: dict[str, JournalBatch] = {}
        self._kept_since = 0

    def keep(self, batch: JournalBatch) -> bool:
        """True if the batch need not be committed now: it is kept, or has no content."""
        cursor = batch.cursor
        if cursor is None:
            return not batch.records
        # The first cursor ends a stream's first list. Without a committed cursor, a restart treats the next list as the
        # first one, and does not report the changes since then.
        if batch.records or cursor.resource not in self._known_streams:
            self._known_streams.add(cursor.resource)
            if self._kept:
                self._kept.pop(cursor.resource, None)
            return False
        if not self._kept:
            self._kept_since = cursor.updated_at
        self._kept[cursor.resource] = batch
        return True

    def are_due(self, now: int) -> bool:
        """True if the oldest kept bookmark is at least ``BOOKMARK_DELAY`` old at ``now`` (Unix ns)."""
        return bool(self._kept) and now - self._kept_since >= BOOKMARK_DELAY

    def take(self) -> list[JournalBatch]:
        """The bookmarks that were kept; they are not kept any longer."""
        kept, self._kept = list(self._kept.values()), {}
        return kept
