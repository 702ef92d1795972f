"""The store: the journal and the projection in one database, each commit one transaction."""

import contextlib
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from sqlalchemy import Connection, Engine, select

from kspan.errors import StoreError
from kspan.model import Cursor, Delta, LogRecord, ObjectRow, SpanRow, TraceRow
from kspan.settings import FoldInputs
from kspan.store.async_commit import Behind
from kspan.store.engine import take_time, transaction, translated
from kspan.store.location import Location, WriterLock
from kspan.store.postgresql.leadership import Leadership
from kspan.store.postgresql.partitions import Partitions
from kspan.store.results import ClusterStats, FoldPeriod, KnownVersion, Projection
from kspan.store.schema import tables as schema
from kspan.store.tables import exports as emissions
from kspan.store.tables import fold_history, journal, projection, rows
from kspan.store.tables import stats as statistics


class Store:
    """One open database; ``open_store`` makes it. Safe to use from several threads.

    Every method raises ``StoreError`` when the database fails; what it was to write is then not written at all.
    """

    def __init__(
        self, engine: Engine, location: Location, lock: WriterLock | None, leadership: Leadership | None = None
    ) -> None:
        self.name = location.name
        self.dialect = engine.dialect.name
        self._engine = engine
        self._location = location
        self._lock = lock
        self._leadership = leadership
        self._partitions = Partitions(engine) if leadership is not None else None
        # Writers queue here and not at SQLite's lock, where they would poll. A turn may end on another thread than it
        # began on; in memory readers take turns, too, and one may be inside a write.
        self._turn = threading.RLock() if location.in_memory else threading.Lock()
        self._behind = Behind()
        self._writing: Connection | None = None

    def close(self) -> None:
        """Close the database and let another writer in. Calling it again does nothing."""
        self._behind.close()
        if self._leadership is not None:
            self._leadership.close()
        self._engine.dispose()
        if self._lock is not None:
            self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def lead(self, cluster: str) -> str:
        """Become the one who may write to a cluster, or stay it: empty, or else who it is.

        An SQLite file was locked when it was opened. Raises FencedError where this store was the one, and another has
        become it since.
        """
        return self._leadership.claim(cluster) if self._leadership is not None else ""

    def must_lead(self, cluster: str) -> None:
        """``lead``; raises StoreError where it is another who may write to the cluster."""
        if holder := self.lead(cluster):
            raise StoreError(f"{self.name}: another kspan ({holder}) is writing to cluster {cluster}; stop it first")

    # The journal

    def clusters(self) -> list[str]:
        """The uids of the clusters that anything was committed for, in order."""
        with self.reading("list the clusters") as connection:
            return list(connection.execute(select(schema.fold_state.c.cluster).order_by("cluster")).scalars())

    def last_sequence(self, cluster: str) -> int:
        """The journal's last sequence number, 0 when it is empty."""
        with self.reading("read the journal") as connection:
            return journal.last_sequence(connection, cluster)

    def record_count(self, cluster: str, at_most: int) -> int:
        """The number of records in the journal, counted up to ``at_most``."""
        with self.reading("read the journal") as connection:
            return journal.count(connection, cluster, at_most)

    def known_versions(self, cluster: str, records: Sequence[LogRecord]) -> dict[str, KnownVersion]:
        """The newest version that the journal has of the objects of these records, by uid.

        Objects are looked up by kind, namespace, name and uid.
        """
        with self.reading("read the journal") as connection:
            return journal.known_versions(connection, cluster, records)

    def last_payload(self, cluster: str, uid: str) -> bytes:
        """The newest payload of one of ``objects``, as JSON; empty when the journal has none."""
        with self.reading("read the journal") as connection:
            return journal.last_payload(connection, cluster, uid)

    def cursors(self, cluster: str) -> dict[str, Cursor]:
        """How far each stream was read, by resource."""
        table = schema.cursors
        query = rows.select_rows(table, Cursor).where(table.c.cluster == cluster).order_by(table.c.resource)
        with self.reading("read the cursors") as connection:
            return {cursor.resource: cursor for cursor in rows.fetch(connection, query, Cursor)}

    def commit(
        self,
        cluster: str,
        first_seq: int,
        records: Sequence[LogRecord],
        cursors: Sequence[Cursor],
        delta: Delta,
        newest: Mapping[str, str] | None = None,
        done: Callable[[], None] | None = None,
    ) -> None:
        """Append ``records`` (as ``first_seq``, ``first_seq + 1`` …) with the cursors and the delta, all or nothing.

        ``newest`` is kept for ``Projection.newest``, in the place of what was told before. Raises ``StoreError``, too,
        when ``first_seq`` does not follow the journal's last sequence number.

        With ``done`` the disk is not waited for: it is called, on another thread, once all is durable. That is for one
        thread, which calls ``settle`` before it relies on it; that, and the next commit, raise what went wrong.
        """
        self.settle()
        if self._partitions is not None:
            with translated(self.name, "commit"):
                self._partitions.prepare(records)
        with contextlib.ExitStack() as stack:
            connection = stack.enter_context(self.writing("commit", cluster))
            last = journal.last_sequence(connection, cluster)
            if records and first_seq != last + 1:
                raise StoreError(f"{self.name}: cannot commit: the journal ends at {last}, {first_seq} does not follow")
            journal.append(connection, cluster, first_seq, records)
            rows.write_cursors(connection, cluster, cursors)
            rows.write_delta(connection, cluster, delta)
            projection.write_position(connection, cluster, last + len(records), delta.clock, newest)
            if done is None:
                return
            transaction = stack.pop_all()
        self._end(transaction, done)

    def _end(self, transaction: contextlib.ExitStack, done: Callable[[], None]) -> None:
        def end() -> None:
            transaction.close()
            done()

        if self._location.in_memory:
            end()
        else:
            self._behind.end(end)

    def settle(self) -> None:
        """Wait for the last commit. Raises StoreError where the disk was not waited for, and it failed: nothing of it
        is written then."""
        self._behind.settle()

    def replay(self, cluster: str, after: int = 0, batch: int = 1000) -> Iterator[list[tuple[int, LogRecord]]]:
        """The journal from the sequence number that follows ``after`` on, in runs of at most ``batch`` records.

        Each run is read when it is asked for, so commits in between are seen, and none waits for the caller.
        """
        while True:
            with self.reading("read the journal") as connection:
                run = journal.read(connection, cluster, after, batch)
            if not run:
                return
            yield run
            after = run[-1][0]

    # The projection

    def live_objects(self, cluster: str, resource: str) -> list[ObjectRow]:
        """The objects of a stream that were not deleted, by uid."""
        with self.reading("read objects") as connection:
            return projection.live_objects(connection, cluster, resource)

    def named_kinds(self, cluster: str) -> list[tuple[str, str]]:
        """apiVersion and kind of what Events spoke of lately and nobody ever saw, and of all owners, in order."""
        with self.reading("read objects") as connection:
            return projection.named_kinds(connection, cluster)

    def load_projection(self, cluster: str) -> Projection:
        """What is live or unresolved, from one snapshot: all that a fold needs to go on."""
        with self.reading("read the projection") as connection:
            return projection.load(connection, cluster)

    def clear_projection(self, cluster: str) -> None:
        """Empty the projection of a cluster; its journal, cursors and emissions stay."""
        with self.writing("clear the projection", cluster) as connection:
            projection.clear(connection, cluster)

    def fold_version(self, cluster: str) -> int | None:
        """The version of the fold that wrote the projection; None before the first record."""
        with self.reading("read the version of the projection") as connection:
            return fold_history.fold_version(connection, cluster)

    def fold_periods(self, cluster: str) -> list[FoldPeriod]:
        """What each period of the journal was folded with, oldest first."""
        with self.reading("read how the projection was computed") as connection:
            return fold_history.periods(connection, cluster)

    def start_fold_period(self, cluster: str, from_seq: int, inputs: FoldInputs) -> None:
        """Record that the journal is folded with ``inputs`` from record ``from_seq`` on."""
        with self.writing("record how the projection is computed", cluster) as connection:
            fold_history.start_period(connection, cluster, from_seq, inputs)

    def rebuild(self, cluster: str, deltas: Iterable[Delta], inputs: FoldInputs) -> None:
        """Replace the projection of a cluster in one transaction.

        Args:
            cluster: uid of the cluster.
            deltas: the changes of its whole journal. The generator may read the journal with ``replay``. If it raises,
                the error is passed on and the old projection stays.
            inputs: what the journal was folded with.
        """
        with self.writing("rebuild the projection", cluster) as connection:
            take_time(connection)
            projection.clear(connection, cluster)
            last = journal.last_sequence(connection, cluster)
            for delta in deltas:
                rows.write_delta(connection, cluster, delta)
                projection.write_position(connection, cluster, last, delta.clock)
            projection.write_position(connection, cluster, last, b"")
            fold_history.start_period(connection, cluster, 1, inputs)
            emissions.advance(connection, cluster)

    def projection_rows(self, cluster: str, table: str) -> Iterator[dict[str, Any]]:
        """The rows of ``objects``, ``owners``, ``spans``, ``traces`` or ``gaps`` in the order of their key.

        Each is a dict of the columns but ``cluster``, with the values that the row's struct has.
        """
        after: tuple[Any, ...] | None = None
        while True:
            with self.reading(f"read {table}") as connection:
                run, after = projection.read_table(connection, cluster, table, after)
            yield from run
            if after is None:
                return

    # Emissions

    def unemitted_traces(self, cluster: str, target: str, limit: int) -> list[TraceRow]:
        """At most ``limit`` closed traces that ``target`` neither took nor rejected; the first closed come first."""
        with self.reading("read traces") as connection:
            return emissions.unemitted(connection, cluster, target, limit)

    def spans_of(self, cluster: str, trace_ids: Collection[str]) -> list[SpanRow]:
        """The closed spans of some traces, by trace id, start and span id."""
        with self.reading("read spans") as connection:
            return emissions.spans_of(connection, cluster, trace_ids)

    def mark_emitted(self, cluster: str, target: str, trace_ids: Collection[str], at: int) -> None:
        """Note that ``target`` took some traces, at ``at`` (Unix ns)."""
        with self.writing("mark traces as emitted", cluster) as connection:
            emissions.mark(connection, cluster, target, trace_ids, at, emissions.EMITTED, "")

    def mark_failed(
        self, cluster: str, target: str, trace_ids: Collection[str], at: int, reason: str, rejected: bool
    ) -> None:
        """Note that ``target`` did not take some traces, at ``at`` (Unix ns); ``rejected``: never try again."""
        status = emissions.REJECTED if rejected else emissions.FAILED
        with self.writing("mark traces as failed", cluster) as connection:
            emissions.mark(connection, cluster, target, trace_ids, at, status, reason)

    def stats(self, cluster: str | None = None) -> list[ClusterStats]:
        """Figures of one cluster, or of all. Counts rows: takes its time on a large database."""
        names = self.clusters() if cluster is None else [cluster]
        with self.reading("count rows") as connection:
            size = statistics.database_size(connection, self._location.path)
            return [statistics.of_cluster(connection, name, size) for name in names]

    # Transactions

    @contextlib.contextmanager
    def reading(self, doing: str) -> Iterator[Connection]:
        """A connection in a read transaction: all its queries see one snapshot.

        ``doing`` completes the message of a StoreError: ``NAME: cannot DOING: reason``. On a store that was opened
        read-only, the database refuses writes.
        """
        # A database in memory has a single connection: readers take turns with the writer, and a reader inside a
        # write (a rebuild that replays) shares its transaction.
        turn = self._turn if self._location.in_memory else contextlib.nullcontext()
        with turn, translated(self.name, doing):
            if self._location.in_memory and self._writing is not None:
                yield self._writing
                return
            with transaction(self._engine, writing=False) as connection:
                yield connection

    @contextlib.contextmanager
    def writing(self, doing: str, cluster: str) -> Iterator[Connection]:
        """A connection in a write transaction on the tables of a cluster, committed at the end of the block.

        Writers take turns. Raises StoreError if another process writes to the cluster, FencedError if one has taken
        over.
        """
        if self._leadership is not None and not self._leadership.was_claimed(cluster):
            self.must_lead(cluster)
        with self._turn, translated(self.name, doing), transaction(self._engine, writing=True) as connection:
            if self._leadership is not None:
                self._leadership.check(connection, cluster)
            self._writing = connection
            try:
                yield connection
            finally:
                self._writing = None

    @contextlib.contextmanager
    def maintaining(self, doing: str) -> Iterator[Connection]:
        """A connection in a write transaction outside of the writers' turns, for long work on tables of no cluster."""
        with translated(self.name, doing), transaction(self._engine, writing=True) as connection:
            yield connection
