"""The journal and the projection in one database. Each commit is one transaction."""

import contextlib
import shlex
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from sqlalchemy import Connection, Engine, select

from kspan.errors import StoreError
from kspan.model import Cursor, Delta, LogRecord, ObjectRow, SpanOutline, SpanRow, TraceRow
from kspan.settings import FoldInputs
from kspan.store.async_commit import AsyncCommit
from kspan.store.engine import limited, take_time, transaction, translated
from kspan.store.location import Location, WriterLock
from kspan.store.postgresql.leadership import Leadership
from kspan.store.postgresql.partitions import Partitions
from kspan.store.results import ClusterStats, FoldPeriod, KnownVersion, NamedCluster, Position, Projection
from kspan.store.schema import tables as schema
from kspan.store.tables import (
    cluster_names,
    exports,
    fold_history,
    journal,
    projection,
    recorded_days,
    rows,
    stats,
)


class Store:
    """One open database (see ``open_store``). Safe to use from several threads.

    Every method raises StoreError if the database fails. Nothing of what it was to write is written then.
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
        # Writers queue for this lock, because they would poll for SQLite's. It may be released by another thread than
        # the one that took it. In memory, readers take it too, and one may be inside of a write.
        self._lock_to_write = threading.RLock() if location.in_memory else threading.Lock()
        self._async_commit = AsyncCommit()
        self._write_connection: Connection | None = None

    def close(self) -> None:
        """Close the database and release the right to write. Calling it again does nothing."""
        self._async_commit.close()
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
        """Acquire or renew the right to write to a cluster. Returns "", or the current writer if it is another.

        An SQLite file was locked when it was opened. Raises FencedError if another process has taken over.
        """
        return self._leadership.claim(cluster) if self._leadership is not None else ""

    def must_lead(self, cluster: str) -> None:
        """``lead``; raises StoreError if another process writes to the cluster."""
        if holder := self.lead(cluster):
            raise StoreError(f"{self.name}: another kspan ({holder}) is writing to cluster {cluster}; stop it first")

    # The journal

    def clusters(self) -> list[str]:
        """The uids of all clusters with a commit, in order."""
        with self.reading("list the clusters") as connection:
            return list(connection.execute(select(schema.fold_state.c.cluster).order_by("cluster")).scalars())

    def named_clusters(self) -> list[NamedCluster]:
        """All clusters with a commit, by uid."""
        with self.reading("list the clusters") as connection:
            return cluster_names.named_clusters(connection)

    def name_cluster(self, cluster: str, name: str) -> None:
        """Name a cluster; an empty name keeps the one that it has."""
        with self.reading("read the name of the cluster") as connection:
            known = cluster_names.name_of(connection, cluster)
        if name not in ("", known):
            with self.writing("name the cluster", cluster) as connection:
                cluster_names.write_name(connection, cluster, name)

    def last_sequence(self, cluster: str) -> int:
        """The last sequence number of the journal, 0 if it is empty."""
        with self.reading("read the journal") as connection:
            return journal.last_sequence(connection, cluster)

    def record_count(self, cluster: str, at_most: int) -> int:
        """The number of records in the journal, counted up to ``at_most``."""
        with self.reading("read the journal") as connection:
            return journal.count(connection, cluster, at_most)

    def pruned_to(self, cluster: str) -> int:
        """The last journal record that retention has processed; 0 if the journal is complete."""
        with self.reading("read the journal") as connection:
            return journal.pruned_to(connection, cluster)

    def known_versions(self, cluster: str, records: Sequence[LogRecord]) -> dict[str, KnownVersion]:
        """The newest version in the journal of each object of these records, by uid.

        Objects are looked up by kind, namespace, name and uid.
        """
        with self.reading("read the journal") as connection:
            return journal.known_versions(connection, cluster, records)

    def last_payload(self, cluster: str, uid: str) -> bytes:
        """The newest payload of an object in ``objects``, as JSON; empty if the journal has none."""
        with self.reading("read the journal") as connection:
            return journal.last_payload(connection, cluster, uid)

    def cursors(self, cluster: str) -> dict[str, Cursor]:
        """How far each stream has been read, by resource."""
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
        on_durable: Callable[[], None] | None = None,
    ) -> None:
        """Append records, and write cursors and the change of the projection, in one transaction.

        Args:
            cluster: uid of the cluster.
            first_seq: sequence number of the first record; it must follow the last one of the journal.
            records: the records, numbered from ``first_seq``.
            cursors: new positions of streams.
            delta: change of the projection.
            newest: replaces ``Projection.newest``, if given.
            on_durable: if given, ``commit`` does not wait for the disk: another thread calls this when the transaction
                is durable. Only one thread may do this. If the transaction fails, the next ``wait_durable`` or
                ``commit`` raises the error.
        """
        self.wait_durable()
        if self._partitions is not None:
            with translated(self.name, "commit"):
                self._partitions.prepare(records)
        with contextlib.ExitStack() as stack:
            connection = stack.enter_context(self.writing("commit", cluster))
            last = journal.last_sequence(connection, cluster)
            if records and first_seq != last + 1:
                raise StoreError(f"{self.name}: cannot commit: the journal ends at {last}, {first_seq} does not follow")
            journal.append(connection, cluster, first_seq, records)
            recorded_days.add(connection, cluster, first_seq, records)
            rows.write_cursors(connection, cluster, cursors)
            exports.offer_again(connection, cluster, rows.write_delta(connection, cluster, delta))
            projection.write_position(connection, cluster, last + len(records), delta.clock, newest or None)
            if on_durable is None:
                return
            open_transaction = stack.pop_all()
        self._finish(open_transaction, on_durable)

    def _finish(self, open_transaction: contextlib.ExitStack, on_durable: Callable[[], None]) -> None:
        def finish() -> None:
            open_transaction.close()
            on_durable()

        if self._location.in_memory:
            finish()
        else:
            self._async_commit.start(finish)

    def wait_durable(self) -> None:
        """Wait until the last commit is durable. Raises StoreError if it failed; nothing of it is written then."""
        self._async_commit.wait()

    def replay(self, cluster: str, after: int = 0, batch: int = 1000) -> Iterator[list[tuple[int, LogRecord]]]:
        """Read the journal after the sequence number ``after``, in runs of at most ``batch`` records.

        Each run is a transaction of its own: it sees the latest commits, and no commit waits for the caller.
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
        """The objects of a stream that are not deleted, by uid."""
        with self.reading("read objects") as connection:
            return projection.live_objects(connection, cluster, resource)

    def named_kinds(self, cluster: str) -> list[tuple[str, str]]:
        """apiVersion and kind of all owners, and of all objects known only from recent Events, in order."""
        with self.reading("read objects") as connection:
            return projection.named_kinds(connection, cluster)

    def load_projection(self, cluster: str) -> Projection:
        """Everything that a fold needs to continue, from one snapshot: live and unresolved rows."""
        with self.reading("read the projection") as connection:
            return projection.load(connection, cluster)

    def position(self, cluster: str) -> Position:
        """How far the projection follows the journal, as stored."""
        with self.reading("read the projection") as connection:
            return projection.position(connection, cluster)

    def clear_projection(self, cluster: str) -> None:
        """Delete the projection of a cluster. Its journal, cursors and emissions stay."""
        with self.writing("clear the projection", cluster) as connection:
            projection.clear(connection, cluster)

    def fold_version(self, cluster: str) -> int | None:
        """The version of the fold that wrote the projection; None before the first record."""
        with self.reading("read the version of the projection") as connection:
            return fold_history.fold_version(connection, cluster)

    def fold_periods(self, cluster: str) -> list[FoldPeriod]:
        """The inputs of the fold for each period of the journal, oldest first."""
        with self.reading("read how the projection was computed") as connection:
            return fold_history.periods(connection, cluster)

    def start_fold_period(self, cluster: str, from_seq: int, inputs: FoldInputs) -> None:
        """Record that the journal is folded with ``inputs`` from record ``from_seq`` on."""
        with self.writing("record how the projection is computed", cluster) as connection:
            fold_history.start_period(connection, cluster, from_seq, inputs)

    def rebuild(
        self, cluster: str, deltas: Iterable[Delta], inputs: FoldInputs, newest: Callable[[], Mapping[str, str]]
    ) -> None:
        """Replace the projection of a cluster in one transaction.

        If retention has deleted a part of the journal, a trace at its edge lacks its beginning and has another id than
        the one that was exported. So the traces that closed within ``max_trace_age`` of the edge count as exported,
        except those that waited for their export before.

        Args:
            cluster: uid of the cluster.
            deltas: the changes of its whole journal. The generator may read the journal with ``replay``. If it raises,
                the error is passed on and the old projection stays.
            inputs: what the journal was folded with.
            newest: ``Projection.newest``; called once all deltas have been read.
        """
        with self.writing("rebuild the projection", cluster) as connection:
            take_time(connection)
            pruned_to = journal.pruned_to(connection, cluster)
            waiting = exports.waiting(connection, cluster) if pruned_to else {}
            projection.clear(connection, cluster)
            last = journal.last_sequence(connection, cluster)
            for delta in deltas:
                exports.offer_again(connection, cluster, rows.write_delta(connection, cluster, delta))
                projection.write_position(connection, cluster, last, delta.clock)
            projection.write_position(connection, cluster, last, b"", newest())
            fold_history.start_period(connection, cluster, 1, inputs)
            if pruned_to:
                edge = journal.first_time(connection, cluster, pruned_to)
                exports.mark_cut(connection, cluster, edge + inputs.settings.max_trace_age, waiting)
            exports.advance(connection, cluster)

    def rebuild_command(self, cluster: str) -> str:
        """The command that computes the projection of a cluster again, for messages."""
        several = f" --cluster {cluster}" if len(self.clusters()) > 1 else ""
        return f"kspan db rebuild --db {shlex.quote(self.name)}{several}"

    def projection_rows(self, cluster: str, table: str) -> Iterator[dict[str, Any]]:
        """The rows of ``objects``, ``owners``, ``pending``, ``spans``, ``traces`` or ``gaps``, in key order.

        Each row is a dict of all columns except ``cluster``, with the values of the row's struct.
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
        """At most ``limit`` closed traces that ``target`` has neither accepted nor rejected, in order of closing."""
        with self.reading("read traces") as connection:
            return exports.unemitted(connection, cluster, target, limit)

    def spans_of(self, cluster: str, trace_ids: Collection[str]) -> list[SpanRow]:
        """The closed spans of some traces, by trace id, start and span id."""
        with self.reading("read spans") as connection:
            return exports.spans_of(connection, cluster, trace_ids)

    def outlines_of(self, cluster: str, trace_id: str) -> list[SpanOutline]:
        """The columns of the closed spans of a trace that a summary needs, in any order."""
        with self.reading("read spans") as connection:
            return exports.outlines_of(connection, cluster, trace_id)

    def spans_among(self, cluster: str, trace_id: str, span_ids: Collection[str]) -> list[SpanRow]:
        """The closed spans of a trace with these ids, in any order."""
        with self.reading("read spans") as connection:
            return exports.spans_among(connection, cluster, trace_id, span_ids)

    def larger_traces(self, cluster: str, trace_ids: Collection[str], than: int) -> list[str]:
        """Which of these traces are closed and have more than ``than`` spans."""
        with self.reading("read traces") as connection:
            return exports.larger(connection, cluster, trace_ids, than)

    def mark_emitted(self, cluster: str, target: str, trace_ids: Collection[str], at: int) -> None:
        """Record that ``target`` accepted some traces at ``at`` (Unix ns)."""
        with self.writing("mark traces as emitted", cluster) as connection:
            exports.mark(connection, cluster, target, trace_ids, at, exports.EMITTED, "")

    def mark_failed(
        self, cluster: str, target: str, trace_ids: Collection[str], at: int, reason: str, rejected: bool
    ) -> None:
        """Record that ``target`` did not accept some traces at ``at`` (Unix ns); ``rejected``: do not retry."""
        status = exports.REJECTED if rejected else exports.FAILED
        with self.writing("mark traces as failed", cluster) as connection:
            exports.mark(connection, cluster, target, trace_ids, at, status, reason)

    def stats(self, cluster: str | None = None) -> list[ClusterStats]:
        """Statistics of one cluster, or of all. Counts rows, which is slow on a large database."""
        names = self.clusters() if cluster is None else [cluster]
        with self.reading("count rows") as connection:
            size = stats.database_size(connection, self._location.path)
            return [stats.of_cluster(connection, name, size) for name in names]

    # Transactions

    @contextlib.contextmanager
    def reading(self, doing: str, *, seconds: float = 0.0) -> Iterator[Connection]:
        """A connection in a read transaction: all its queries see one snapshot.

        ``doing`` completes the message of a StoreError: ``NAME: cannot DOING: reason``. On a store that was opened
        read-only, the database refuses writes. After ``seconds`` (0: no limit) the database stops the query, which
        raises StoreError.
        """
        # A database in memory has one connection. Readers take the writer's lock, and a reader inside of a write (a
        # rebuild that replays the journal) shares its transaction.
        lock = self._lock_to_write if self._location.in_memory else contextlib.nullcontext()
        with lock, translated(self.name, doing):
            if self._location.in_memory and self._write_connection is not None:
                yield self._write_connection
                return
            with transaction(self._engine, writing=False) as connection, limited(connection, seconds):
                yield connection

    @contextlib.contextmanager
    def writing(self, doing: str, cluster: str) -> Iterator[Connection]:
        """A connection in a write transaction on the tables of a cluster, committed at the end of the block.

        Writers wait for each other. Raises StoreError if another process writes to the cluster, and FencedError if one
        has taken over.
        """
        if self._leadership is not None and not self._leadership.was_claimed(cluster):
            self.must_lead(cluster)
        with self._lock_to_write, translated(self.name, doing), transaction(self._engine, writing=True) as connection:
            if self._leadership is not None:
                self._leadership.check(connection, cluster)
            self._write_connection = connection
            try:
                yield connection
            finally:
                self._write_connection = None

    @contextlib.contextmanager
    def maintaining(self, doing: str) -> Iterator[Connection]:
        """A connection in a write transaction that no writer waits for, for long work on tables of no cluster."""
        with translated(self.name, doing), transaction(self._engine, writing=True) as connection:
            yield connection
