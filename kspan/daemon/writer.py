"""The single writer: frames of all streams in, group commits out, through whatever happens to the database.

A batch that could not be committed is kept, as steps, and applied again to a projector made afresh from the database:
the fold of the one that failed is ahead of it. The streams never see the trouble, so what they know stays true. While
the database is away the queue fills and whoever delivers waits; nothing is dropped and nothing grows.
"""

import logging
import random
import threading
import time
from collections.abc import Callable, Sequence

from kspan.daemon.frame_queue import ClosedError, FrameQueue, Moment
from kspan.daemon.metrics import Metrics
from kspan.daemon.retrying_projector import GivenUpError, RetryingProjector, at_latest
from kspan.daemon.watermark import Watermark
from kspan.errors import InputError
from kspan.graph import Rules
from kspan.ingest.frames import Frame, FrameType
from kspan.ingest.list_watch import JournalBatch
from kspan.ingest.list_watch_live import LiveListWatch, watched
from kspan.ingest.watch import Stopped
from kspan.k8s.redact import redact
from kspan.model import LogRecord, ObjectRow
from kspan.settings import FoldSettings
from kspan.store import Store

_logger = logging.getLogger(__name__)

BATCH = 500
"""Records in a transaction: enough that the fsync of a commit is shared, few enough that it takes some tens of ms."""

LINGER = 0.05
"""Seconds that a record waits for others to be committed with it."""

PROBLEMS = 1_000
"""Kinds of bad objects that are remembered as told; a hostile cluster has any number."""

_OBJECTS = frozenset({FrameType.LISTED, FrameType.ADDED, FrameType.MODIFIED, FrameType.DELETED})


class Writer:
    """Owns the journal of one cluster from ``start`` to ``stop``.

    ``clock`` is Unix ns. ``accept`` says which resources are journalled. Raises StoreError where the database cannot be
    read or its projection has to be rebuilt.
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
        accept: Callable[[str], bool] = watched,
        queue: FrameQueue | None = None,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self.queue = queue if queue is not None else FrameQueue()
        self.metrics = metrics or Metrics()
        self.metrics.watch_queue(self.queue.__len__, lambda: self.queue.bytes)
        self.failure: BaseException | None = None
        self._passage = watermark
        self._redact_env = redact_env
        self._clock = clock
        self._steps = RetryingProjector(store, cluster, rules, settings, self.metrics, clock, self._pause, self._mended)
        self._streams = LiveListWatch(_Known(self), store.cursors(cluster), accept)
        self._batch: list[JournalBatch] = []
        self._waiting = 0
        self._since = 0.0
        self._still_at = 0
        self._told: set[tuple[str, str]] = set()
        self._ending = threading.Event()
        self._give_up_at = float("inf")
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)

    def start(self) -> None:
        """Begin to write what is delivered."""
        self._thread.start()

    def deliver(self, frame: Frame) -> None:
        """Take in a frame; waits while the queue is full. Raises Stopped once the daemon stops."""
        try:
            self.queue.put(frame)
        except ClosedError:
            raise Stopped from None

    def tick(self, now: int) -> None:
        """Let time pass up to ``now`` (ns), after what was delivered before, if something waits for it."""
        self.queue.put_moment(now)

    @property
    def trouble(self) -> str:
        """Why nothing can be committed at the moment; empty while all is well."""
        return self._steps.trouble

    @property
    def appended(self) -> int:
        """Records appended to the journal since the start."""
        return self._steps.appended

    def stop(self, timeout: float) -> bool:
        """Take in nothing more, commit what was delivered; whether that was done within ``timeout`` seconds.

        What was not committed is not lost: the cursors stand before it.
        """
        self._give_up_at = time.monotonic() + timeout
        self.queue.close()
        self._ending.set()
        if self._thread.ident is not None:
            self._thread.join(timeout)
        return not self._thread.is_alive() and not self._batch and not self._steps.uncertain

    def is_alive(self) -> bool:
        """Whether the writer's thread is running."""
        return self._thread.is_alive()

    # the writer's thread ---------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._write()
        except GivenUpError:
            left = self._waiting + self._steps.uncertain
            _logger.warning("stopped with %d records not committed: they will be read again", left)
        except BaseException as error:
            self.failure = error
        finally:
            self.queue.close()

    def _write(self) -> None:
        while True:
            if not self._batch and not len(self.queue):
                self._steps.settle()
            items = self.queue.take(BATCH, self._patience())
            self._look_at_the_time()
            for item in items:
                if isinstance(item, Moment):
                    self._pass_time(item.now)
                else:
                    self._feed(item)
                if self._waiting >= BATCH:
                    self._commit()
            if self._batch and time.monotonic() >= self._since + LINGER:
                self._commit()
            if not items and self.queue.closed:
                break
        self._commit()
        self._steps.settle()

    def _patience(self) -> float | None:
        return None if not self._batch else max(0.0, self._since + LINGER - time.monotonic())

    def _feed(self, frame: Frame) -> None:
        try:
            if frame.type in _OBJECTS:
                frame = self._redacted(frame)
            for step in self._streams.feed(frame):
                self._add(step)
        except InputError as error:
            self._skip(frame, error)

    def _redacted(self, frame: Frame) -> Frame:
        try:
            raw = redact(frame.resource, frame.object, env=self._redact_env)
        except ValueError as error:
            raise InputError(frame.source, frame.line, str(error)) from error
        if raw is frame.object:
            return frame
        return Frame(frame.received, frame.resource, frame.type, raw, frame.source, frame.line)

    def _add(self, step: JournalBatch) -> None:
        if not self._batch:
            self._since = time.monotonic()
        if self._still_at:
            step = at_latest(step, self._still_at)
        self._batch.append(step)
        self._waiting += len(step.records)

    def _skip(self, frame: Frame, error: InputError) -> None:
        self.metrics.skipped.labels(frame.resource).inc()
        kind = (frame.resource, error.problem.partition(" (")[0])
        if kind not in self._told and len(self._told) < PROBLEMS:
            self._told.add(kind)
            _logger.warning(
                "an object cannot be journalled, it and others like it are skipped: %s",
                error.problem,
                extra={"resource": frame.resource},
            )

    def _commit(self) -> None:
        if self._batch:
            self._steps.apply(self._batch)
            self._batch, self._waiting = [], 0

    # time ------------------------------------------------------------------------------------------------------------

    def _look_at_the_time(self) -> None:
        """Logical time stands still, or goes on, from here."""
        still = self._passage is not None and self._passage.stands_still(self._clock())
        if still and not self._still_at:
            self._still_at = self._steps.now or self._clock()
        elif not still:
            self._still_at = 0

    def _pass_time(self, now: int) -> None:
        self._commit()
        if not self._still_at:
            self._steps.let_time_pass(now)
        self._steps.measure()

    def _mended(self) -> None:
        if self._passage is not None:
            self._passage.mended(self._clock())
            self._look_at_the_time()

    def _pause(self, seconds: float) -> bool:
        """Wait before the next try; False once it is time to give up."""
        left = self._give_up_at - time.monotonic()
        if left <= 0:
            return False
        seconds *= random.uniform(0.5, 1)
        if self._ending.is_set():
            time.sleep(min(seconds, left))
        else:
            self._ending.wait(seconds)
        return True

    # what a relist is compared with ----------------------------------------------------------------------------------

    def live_objects(self, resource: str) -> Sequence[ObjectRow]:
        """The objects of a stream that are not deleted, everything that was fed included. For the writer's thread."""
        self._commit()
        return self._steps.live_objects(resource)

    def last_payload(self, uid: str) -> bytes:
        """The newest payload of an object. For the writer's thread."""
        return self._steps.last_payload(uid)

    def news_among(self, records: Sequence[LogRecord]) -> list[LogRecord]:
        """Those whose version of their object the journal does not have. For the writer's thread."""
        self._commit()
        return self._steps.news_among(records)


class _Known:
    """The journal as the streams see it: late, perhaps, but never broken."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    def live_objects(self, resource: str) -> Sequence[ObjectRow]:
        return self._writer.live_objects(resource)

    def last_payload(self, uid: str) -> bytes:
        return self._writer.last_payload(uid)

    def news_among(self, records: Sequence[LogRecord]) -> list[LogRecord]:
        return self._writer.news_among(records)
