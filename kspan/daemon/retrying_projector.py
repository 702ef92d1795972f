"""A projector for a database that may fail: waits while it is away, leaves out records that it rejects."""

import logging
import sys
from collections.abc import Callable, Sequence
from functools import partial

from kspan.daemon.metrics import Metrics
from kspan.daemon.retrying_committer import RetryingCommitter
from kspan.errors import StoreError
from kspan.graph import Rules
from kspan.ingest.journal_builder import JournalBatch
from kspan.model import LogRecord, ObjectRow, RecordType
from kspan.pipeline.commit import Result
from kspan.pipeline.projector import BATCH, Projector
from kspan.settings import FoldSettings
from kspan.store import Store

_logger = logging.getLogger(__name__)


class RetryingProjector:
    """Projects journal batches through a ``RetryingCommitter``. For one thread.

    If the database rejects a commit for its data, the projection is loaded again and the batches of that commit are
    committed one by one. The rejected ones are left out and reported.

    Raises StoreError if the database cannot be read at the start, or its projection has to be rebuilt.
    """

    def __init__(
        self,
        store: Store,
        cluster: str,
        rules: Rules,
        settings: FoldSettings | None,
        committer: RetryingCommitter,
        metrics: Metrics,
    ) -> None:
        self._committer = committer
        self._metrics = metrics
        self._load = partial(Projector, store, cluster, rules, settings, sys.maxsize, committer)
        self._projector = self._load()
        for notice in self._projector.notices:
            _logger.log(logging.WARNING if notice.warning else logging.INFO, notice.text)
        self._first_sequence = self._projector.sequence
        self._invalid_contexts = self._projector.fold.invalid_contexts

    @property
    def event_time(self) -> int:
        """Event time of the fold (ns)."""
        return self._projector.fold.now

    @property
    def waiting(self) -> int:
        """Number of records that were added and are not committed."""
        return self._projector.waiting

    @property
    def appended(self) -> int:
        """Number of records committed since the start."""
        return self._projector.sequence - self._first_sequence

    def add(self, batch: JournalBatch) -> None:
        """Add a batch to the next commit; commits when enough records are waiting."""
        projector = self._projector
        projector.add((batch,))
        if projector.waiting >= BATCH:
            self.flush()

    def flush(self) -> None:
        """Commit the batches that were added. They are durable after the next commit, or after ``wait_durable``."""
        self._run(Projector.flush)

    def wait_durable(self) -> None:
        """Wait until all commits are durable."""
        self._run(lambda _: self._committer.wait_durable())

    def let_time_pass(self, until: int) -> None:
        """Advance event time to ``until`` (ns), if the fold waits for a time up to then."""
        self.flush()
        deadline = self._projector.fold.next_deadline()
        if self._projector.fold.is_held or (deadline and deadline <= until):
            self._run(lambda projector: projector.let_time_pass(until))
            self.wait_durable()

    def hold_time(self, since: int) -> None:
        """Let event time stand still until ``let_time_pass``: changes after ``since`` (ns) may be missing."""
        self.flush()
        self._run(lambda projector: projector.hold_time(since))

    def measure(self) -> None:
        """Update the metrics of the fold."""
        fold = self._projector.fold
        self._metrics.open_traces.set(fold.open_traces)
        self._metrics.pending.set(fold.pending_occurrences)
        self._metrics.invalid_contexts.inc(fold.invalid_contexts - self._invalid_contexts)
        self._invalid_contexts = fold.invalid_contexts

    # For comparing a relist with the known objects (the protocol ``Known``).

    def live_objects(self, resource: str) -> Sequence[ObjectRow]:
        """The objects of a stream that are not deleted."""
        return self._run(lambda projector: projector.live_objects(resource))

    def last_payload(self, uid: str) -> bytes:
        """The newest payload of an object, as JSON."""
        return self._run(lambda projector: projector.last_payload(uid))

    def news_among(self, records: Sequence[LogRecord]) -> list[LogRecord]:
        """Those records whose version of their object is not in the journal."""
        return self._run(lambda projector: projector.news_among(records))

    # rejected data ---------------------------------------------------------------------------------------------------

    def _run(self, action: Callable[[Projector], Result]) -> Result:
        try:
            return action(self._projector)
        except StoreError:
            # The committer retries all other errors.
            self._commit_one_by_one(self._committer.take_rejected())
            return action(self._projector)

    def _commit_one_by_one(self, batches: Sequence[JournalBatch]) -> None:
        self._reload()
        for batch in batches:
            try:
                self._commit_alone(batch)
            except StoreError as error:
                self._leave_out(batch, error)

    def _commit_alone(self, batch: JournalBatch) -> None:
        self._projector.add([batch])
        self._projector.flush()
        self._committer.wait_durable()

    def _leave_out(self, batch: JournalBatch, error: StoreError) -> None:
        if any(record.type is RecordType.TICK for record in batch.records):
            raise error  # No record is to blame: the database rejects a decision of the fold.
        for record in batch.records:
            self._metrics.skipped.labels(record.resource).inc()
            _logger.error(
                "record left out, the database cannot store it: %s",
                error,
                extra={"resource": record.resource, "namespace": record.namespace, "object": record.name},
            )
        self._committer.take_rejected()
        self._reload()
        self._commit_alone(JournalBatch([], batch.cursor))

    def _reload(self) -> None:
        """Discard the fold, which contains rejected records, and load the projection from the database."""
        self._projector.close()
        self._projector = self._committer.read(self._load)
        self._invalid_contexts = min(self._invalid_contexts, self._projector.fold.invalid_contexts)
