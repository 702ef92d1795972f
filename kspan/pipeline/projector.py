"""Journal batches in, commits of journal, cursors and projection out."""

from collections.abc import Iterable, Sequence

import msgspec

from kspan.graph import Rules
from kspan.ingest.frames import received_since
from kspan.ingest.journal_builder import JournalBatch
from kspan.k8s.events_api import EVENTS
from kspan.model import ENDED, HELD, LogRecord, ObjectRow, RecordType
from kspan.pipeline.commit import Commit, Committer, DirectCommitter
from kspan.pipeline.known_versions import KnownVersions
from kspan.pipeline.open_projection import open_projection
from kspan.settings import FoldSettings
from kspan.store import Store
from kspan.times import SECOND

BATCH = 1000
"""Records in a transaction. Enough to share the fsync of a commit, and the pages in which rows with random keys are one
each. Few enough to take 0.1 or 0.2 s."""


class Projector:
    """Folds the journal batches of one cluster and hands the result to a committer, one ``Commit`` at a time.

    The fold is ahead of the database while a commit is being written, and stays ahead if writing it failed. A committer
    that raises StoreError makes the projector unusable: open a new one, which loads the projection from the database.

    Args:
        committer: writes the commits; the default writes each one once and waits for the disk.
        batch: records after which ``add`` commits.
    """

    def __init__(
        self,
        store: Store,
        cluster: str,
        rules: Rules,
        settings: FoldSettings | None = None,
        batch: int = BATCH,
        committer: Committer | None = None,
    ) -> None:
        # Before the first query: another writer's commits after it would not be seen.
        store.must_lead(cluster)
        self.store = store
        self.cluster = cluster
        opened = open_projection(store, cluster, rules, settings)
        self.fold = opened.fold
        self.notices = opened.notices
        self.appended = 0
        self.known_already = 0
        self.waiting = 0
        """Records that were added and are not in a commit yet."""
        self._committer = committer if committer is not None else DirectCommitter(store, cluster)
        self._batch = batch
        self._batches: list[JournalBatch] = []
        self._sequence = opened.sequence
        self._versions = KnownVersions(store, cluster, opened.newest)

    @property
    def sequence(self) -> int:
        """Sequence number of the last record that was folded."""
        return self._sequence

    def add(self, batches: Iterable[JournalBatch]) -> None:
        """Add batches; commits whenever enough records are waiting."""
        for batch in batches:
            self._batches.append(batch)
            self.waiting += len(batch.records)
            if self.waiting >= self._batch:
                self.flush()

    def flush(self) -> None:
        """Fold and commit all batches that were added."""
        if not self._batches:
            return
        batches, self._batches, self.waiting = tuple(self._batches), [], 0
        records = [record for batch in batches for record in batch.records]
        self._committer.read(lambda: self._versions.look_up(records))
        admitted = [new for record in records if (new := self._admit(record)) is not None]
        self._commit(admitted, batches)

    def let_time_pass(self, until: int, reason: str = "") -> None:
        """Advance event time to ``until`` (ns) with a TICK, if the fold waits for time to pass, or stands still."""
        self.flush()
        deadline = self.fold.next_deadline()
        if self.fold.is_held or (deadline and self.fold.now < until):
            self._tick(LogRecord(RecordType.TICK, max(until, self.fold.now), reason=reason))

    def hold_time(self, since: int) -> None:
        """Let event time stand still until ``let_time_pass``: changes after ``since`` (ns) may be missing."""
        self.flush()
        if not self.fold.is_held:
            self._tick(LogRecord(RecordType.TICK, max(since, self.fold.now), reason=HELD))

    def _tick(self, tick: LogRecord) -> None:
        self._commit([tick], (JournalBatch([tick]),))

    def run_out(self) -> None:
        """Advance event time until every trace is closed."""
        self.flush()
        settings = self.fold.settings
        while self.fold.next_deadline():
            self.let_time_pass(self.fold.now + settings.hold + settings.max_trace_age + SECOND, ENDED)

    def close(self) -> None:
        """Release the fold, which may be half a gigabyte. The projector cannot be used afterwards."""
        del self.fold, self._versions

    # For comparing a relist with the known objects. All three see every batch that was added.

    def live_objects(self, resource: str) -> Sequence[ObjectRow]:
        """The objects of a stream that are not deleted."""
        self.flush()
        self._committer.wait_durable()
        return self._committer.read(lambda: self.store.live_objects(self.cluster, resource))

    def last_payload(self, uid: str) -> bytes:
        """The newest payload of an object, as JSON."""
        self.flush()
        self._committer.wait_durable()
        return self._committer.read(lambda: self.store.last_payload(self.cluster, uid))

    def news_among(self, records: Sequence[LogRecord]) -> list[LogRecord]:
        """Those records whose version of their object is not in the journal."""
        self.flush()
        self._committer.wait_durable()
        self._committer.read(lambda: self._versions.look_up(records))
        return [record for record in records if self._versions.is_news(record)]

    # ---------------------------------------------------------------------------------------------------------------

    def _admit(self, record: LogRecord) -> LogRecord | None:
        """The record as it is journalled; None if the journal has this version of the object."""
        if not record.uid:
            return record
        if not self._versions.is_news(record):
            self.known_already += 1
            return None
        if record.type is RecordType.LISTED and self._versions.knows(record):
            record = self._changed_before_list(record)
        self._versions.note(record)
        return record

    def _changed_before_list(self, record: LogRecord) -> LogRecord:
        """The change of a known object that a list shows: it was made since the version before was received."""
        since = self._versions.received(record)
        record = msgspec.structs.replace(record, type=RecordType.MODIFIED)
        return received_since(record, since) if 0 < since < record.recorded_at and record.resource != EVENTS else record

    def _commit(self, records: list[LogRecord], batches: tuple[JournalBatch, ...]) -> None:
        first = self._sequence + 1
        for record in records:
            self._sequence += 1
            self.fold.apply(self._sequence, record)
        cursors = {batch.cursor.resource: batch.cursor for batch in batches if batch.cursor is not None}
        commit = Commit(
            first,
            tuple(records),
            tuple(cursors.values()),
            self.fold.take_delta(),
            self._versions.newest(),
            batches,
        )
        self._committer.commit(commit)
        self.appended += len(records)
        self._versions.forget()
