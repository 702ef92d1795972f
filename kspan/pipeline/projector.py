"""The single writer: steps in, transactions of journal, cursors and projection out."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

import msgspec

from kspan.errors import StoreError
from kspan.graph import Fold, Rules
from kspan.ingest.list_watch import JournalBatch
from kspan.model import Cursor, Delta, LogRecord, ObjectRow, RecordType
from kspan.pipeline.known_versions import KnownVersions
from kspan.settings import FoldSettings
from kspan.store import Store
from kspan.times import SECOND

BATCH = 500
"""Records in a transaction: enough that the fsync of a commit is shared, few enough that it takes some tens of ms."""

RULES_CHANGED = (
    "the history was made with other rules; what comes now goes by these; 'kspan db rebuild' applies them to all of it"
)


class Projector:
    """Appends to the journal of one cluster, folds, and commits both together.

    Not usable after a StoreError: the fold is then ahead of the database. Open a new one, it goes on from the rows.
    """

    def __init__(
        self, store: Store, cluster: str, rules: Rules, settings: FoldSettings | None = None, batch: int = BATCH
    ) -> None:
        # Before anything is read: what another writes from now on would not be seen.
        store.must_lead(cluster)
        self.store = store
        self.cluster = cluster
        self.fold = Fold(cluster, rules, settings)
        self.appended = 0
        self.known_already = 0
        self._batch = batch
        self._steps: list[JournalBatch] = []
        self._waiting = 0
        self._sequence = store.last_sequence(cluster)
        self._versions = self._load()

    def _load(self) -> KnownVersions:
        live = self.store.load_projection(self.cluster)
        if live.last_seq != self._sequence:
            raise StoreError(
                f"{self.store.name}: the projection stands at record {live.last_seq} of {self._sequence}; "
                "run 'kspan db rebuild'"
            )
        self.fold.load(
            _emptied(live.objects),
            live.owners,
            chain((row.fold for row in live.pending), (row.fold for row in live.spans)),
            (row.fold for row in live.traces),
            live.clock,
        )
        return KnownVersions(self.store, self.cluster, live.newest)

    def add(self, steps: Iterable[JournalBatch]) -> None:
        """Takes in steps; commits when a batch is full."""
        for step in steps:
            self._steps.append(step)
            self._waiting += len(step.records)
            if self._waiting >= self._batch:
                self.flush()

    def flush(self) -> None:
        """Commits what was taken in. Raises StoreError."""
        if not self._steps:
            return
        steps, self._steps, self._waiting = self._steps, [], 0
        self._versions.look_up(record for step in steps for record in step.records)
        accepted = [new for step in steps for record in step.records if (new := self._admit(record)) is not None]
        cursors = {step.cursor.resource: step.cursor for step in steps if step.cursor is not None}
        self._commit(accepted, list(cursors.values()))

    def let_time_pass(self, until: int) -> None:
        """Lets logical time go on to ``until`` (ns) with a TICK, if something waits for time to pass."""
        self.flush()
        deadline = self.fold.next_deadline()
        if deadline and self.fold.now < until:
            self._commit([LogRecord(RecordType.TICK, until)], [])

    def run_out(self) -> None:
        """Lets so much time pass that every trace is closed."""
        self.flush()
        settings = self.fold.settings
        while self.fold.next_deadline():
            self.let_time_pass(self.fold.now + settings.hold + settings.max_trace_age + SECOND)

    # What a relist is compared with; both see every step that was added.

    def live_objects(self, resource: str) -> Sequence[ObjectRow]:
        """The objects of a stream that are not deleted."""
        self.flush()
        self.store.settle()
        return self.store.live_objects(self.cluster, resource)

    def last_payload(self, uid: str) -> bytes:
        """The newest payload of an object, as JSON."""
        self.store.settle()
        return self.store.last_payload(self.cluster, uid)

    def news_among(self, records: Sequence[LogRecord]) -> list[LogRecord]:
        """Those whose version of their object the journal does not have."""
        self.flush()
        self.store.settle()
        self._versions.look_up(records)
        return [record for record in records if self._versions.is_news(record)]

    # ---------------------------------------------------------------------------------------------------------------

    def _admit(self, record: LogRecord) -> LogRecord | None:
        if not record.uid:
            return record
        if not self._versions.is_news(record):
            self.known_already += 1
            return None
        if record.type is RecordType.LISTED and self._versions.knows(record):
            record = msgspec.structs.replace(record, type=RecordType.MODIFIED)
        self._versions.note(record)
        return record

    def _commit(self, records: list[LogRecord], cursors: list[Cursor]) -> None:
        first = self._sequence + 1
        for record in records:
            self._sequence += 1
            self.fold.apply(self._sequence, record)
        self._write(first, records, cursors, self.fold.take_delta())
        self.appended += len(records)
        self._versions.forget()

    def _write(self, first: int, records: list[LogRecord], cursors: list[Cursor], delta: Delta) -> None:
        self.store.commit(self.cluster, first, records, cursors, delta, self._versions.newest())


def _emptied(states: list[bytes]) -> Iterator[bytes]:
    # Each is let go once it is read: two forms of a hundred thousand objects are half a gigabyte.
    states.reverse()
    while states:
        yield states.pop()
