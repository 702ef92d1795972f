"""Steps into the database, for as long as it takes."""

import logging
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, TypeVar

import msgspec

from kspan.daemon.metrics import Metrics
from kspan.errors import StoreError
from kspan.graph import Rules
from kspan.ingest.list_watch import JournalBatch
from kspan.model import Cursor, Delta, LogRecord, ObjectRow
from kspan.pipeline.projector import RULES_CHANGED, Projector
from kspan.settings import FoldSettings
from kspan.store import Store, is_about_data

_logger = logging.getLogger(__name__)

BACKOFF_FIRST: Final = 0.1
BACKOFF_MOST: Final = 5.0
"""Seconds between two tries; a database that is back is found within this time."""

SLOW: Final = 2.0
"""Seconds after which a commit that goes on is trouble: SQLite waits for another's lock for ten before it says so."""

Found = TypeVar("Found")


class GivenUpError(Exception):
    """The daemon stops while the database is away."""


def at_latest(step: JournalBatch, moment: int) -> JournalBatch:
    """The same step, received at ``moment`` (ns) at the latest."""
    records = [
        msgspec.structs.replace(record, recorded_at=moment) if record.recorded_at > moment else record
        for record in step.records
    ]
    return JournalBatch(records, step.cursor)


class LiveProjector(Projector):
    """A projector that commits when it is told to, and tells what it committed.

    It does not wait for the disk: meanwhile the next steps can be folded. What went wrong the next commit tells, or
    ``store.settle``.
    """

    def __init__(
        self,
        store: Store,
        cluster: str,
        rules: Rules,
        settings: FoldSettings | None,
        metrics: Metrics,
        clock: Callable[[], int],
    ) -> None:
        self._metrics = metrics
        self._clock = clock
        self._began = 0.0
        super().__init__(store, cluster, rules, settings, batch=sys.maxsize)

    @property
    def sequence(self) -> int:
        """The journal's last sequence number."""
        return self._sequence

    @property
    def pending(self) -> int:
        """Occurrences whose cause is not decided."""
        return self.fold.state.pending_count

    @property
    def open_traces(self) -> int:
        """Traces that are not closed."""
        return self.fold.state.open_traces

    def _commit(self, records: list[LogRecord], cursors: list[Cursor]) -> None:
        self._began, invalid = time.perf_counter(), self.fold.invalid_contexts
        super()._commit(records, cursors)
        self._metrics.invalid_contexts.inc(self.fold.invalid_contexts - invalid)

    def _write(self, first: int, records: list[LogRecord], cursors: list[Cursor], delta: Delta) -> None:
        began = self._began

        def done() -> None:
            self._metrics.committed(records, time.perf_counter() - began, self._clock())

        self.store.commit(self.cluster, first, records, cursors, delta, self._versions.newest(), done)


class RetryingProjector:
    """Applies steps, each run of them in one transaction, and tries again until the database takes them.

    The last run is kept until it is known to be durable: if it is not, it is applied again, before anything else.

    ``pause(seconds)`` waits before a further try and says whether there is to be one (GivenUpError otherwise);
    ``mended()`` is called when an outage is over. For one thread.
    """

    def __init__(
        self,
        store: Store,
        cluster: str,
        rules: Rules,
        settings: FoldSettings | None,
        metrics: Metrics,
        clock: Callable[[], int],
        pause: Callable[[float], bool],
        mended: Callable[[], None],
    ) -> None:
        self._trouble = ""
        self._trying_since = 0.0
        self._store = store
        self._uncertain: Sequence[JournalBatch] = ()
        self._uncertain_from = 0
        self._metrics = metrics
        self._pause = pause
        self._mended = mended
        self._open = partial(LiveProjector, store, cluster, rules, settings, metrics, clock)
        self._projector: LiveProjector | None = self._open()
        if self._projector.fold.rules_changed:
            _logger.warning(RULES_CHANGED)
        self._first = self._sequence = self._projector.sequence
        self._now = self._projector.fold.now

    @property
    def trouble(self) -> str:
        """Why nothing is committed at the moment; empty while all is well. For any thread."""
        since = self._trying_since
        waited = time.monotonic() - since if since else 0.0
        return self._trouble or (f"has not answered for {waited:.0f} s" if waited > SLOW else "")

    @property
    def now(self) -> int:
        """Logical time (ns), as of the last commit."""
        return self._now

    @property
    def appended(self) -> int:
        """Records appended since the start."""
        return self._sequence - self._first

    def apply(self, steps: Sequence[JournalBatch]) -> None:
        """Commits the steps in one transaction; one that the database refuses for what is in it is left out.

        They are durable when the next are applied, or ``settle`` was called.
        """
        try:
            self._insist(lambda projector: self._commit(projector, steps))
        except StoreError:
            # Only what is about the data gets here: find it.
            for step in steps:
                self._apply_alone(step)

    def let_time_pass(self, until: int) -> None:
        """Lets logical time go on to ``until`` (ns), where something is due by then."""

        def go_on(projector: LiveProjector) -> None:
            deadline = projector.fold.next_deadline()
            if deadline and deadline <= until:
                projector.let_time_pass(until)
                self._store.settle()

        self._insist(go_on)

    def settle(self) -> None:
        """Waits until all that was applied is durable."""
        if self._uncertain:
            self._insist(lambda _: self._store.settle())
            self._uncertain = ()

    @property
    def uncertain(self) -> int:
        """Records that were applied and are not known to be durable."""
        return sum(len(step.records) for step in self._uncertain)

    def measure(self) -> None:
        """Tell the metrics what waits."""
        if self._projector is not None:
            self._metrics.open_traces.set(self._projector.open_traces)
            self._metrics.pending.set(self._projector.pending)

    def live_objects(self, resource: str) -> Sequence[ObjectRow]:
        """The objects of a stream that are not deleted."""
        return self._insist(lambda projector: projector.live_objects(resource))

    def last_payload(self, uid: str) -> bytes:
        """The newest payload of an object, as JSON."""
        return self._insist(lambda projector: projector.last_payload(uid))

    def news_among(self, records: Sequence[LogRecord]) -> list[LogRecord]:
        """Those whose version of their object the journal does not have."""
        return self._insist(lambda projector: projector.news_among(records))

    # -----------------------------------------------------------------------------------------------------------------

    def _apply_alone(self, step: JournalBatch) -> None:
        try:
            self._insist(lambda projector: self._commit(projector, [step]))
        except StoreError as error:
            for record in step.records:
                self._metrics.skipped.labels(record.resource).inc()
                _logger.error(
                    "a record is left out, the database cannot hold it: %s",
                    error,
                    extra={"resource": record.resource, "namespace": record.namespace, "object": record.name},
                )
            self._insist(lambda projector: self._commit(projector, [JournalBatch([], step.cursor)]))

    def _commit(self, projector: LiveProjector, steps: Sequence[JournalBatch]) -> None:
        start = projector.sequence
        projector.add(steps)
        projector.flush()
        self._uncertain, self._uncertain_from = steps, start

    def _insist(self, do: Callable[[LiveProjector], Found]) -> Found:
        """Do it until it works. Raises StoreError for what is about the data, GivenUpError."""
        wait = BACKOFF_FIRST
        while True:
            self._trying_since = time.monotonic()
            try:
                projector = self._reopened()
                found = do(projector)
            except StoreError as error:
                self._projector = None
                if is_about_data(error):
                    raise
                self._tell(error)
                if not self._pause(wait):
                    raise GivenUpError from error
                wait = min(BACKOFF_MOST, wait * 2)
            else:
                self._sequence, self._now = projector.sequence, projector.fold.now
                self._recovered()
                return found
            finally:
                self._trying_since = 0.0

    def _reopened(self) -> LiveProjector:
        if self._projector is None:
            projector = self._open()
            # A connection can break after the commit and before its answer: the steps are in the journal then.
            if self._uncertain and projector.sequence == self._uncertain_from:
                self._commit(projector, self._uncertain)
            self._projector = projector
        return self._projector

    def _tell(self, error: StoreError) -> None:
        self._metrics.failed_commits.inc()
        if str(error) != self._trouble:
            _logger.warning("the database takes nothing (everything waits): %s", error)
        self._trouble = str(error)

    def _recovered(self) -> None:
        if self._trouble:
            _logger.info("the database takes records again")
            self._trouble = ""
            self._mended()
