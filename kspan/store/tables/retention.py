"""Deletes old history in small transactions with pauses, so that the writer can commit in between.

Kept, whatever its age:

* pending occurrences, open traces, traces that a target has not received, and all records since the earliest of these,
* the newest record of each existing object. A relist is compared with it, repeats are recognised by it, and a rebuild
  begins with it. Records are not rewritten: ``fold_state.pruned_to`` marks the part of the journal in which the
  remaining records are state and are replayed as LISTED.

Deleted: other old records (on PostgreSQL whole partitions where possible, see ``drop_partitions``), closed traces with
their spans and emissions, deleted objects with their owners, periods of ``fold_history`` without records. The
projection is deleted along with its journal, because it could be neither verified nor rebuilt without it.
"""

import time
from collections.abc import Callable, Collection, Iterator
from functools import partial
from itertools import accumulate, takewhile
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Row, delete, func, select, update

from kspan.model import RecordType
from kspan.store.postgresql import drop_partitions
from kspan.store.schema import tables as schema
from kspan.store.store import Store
from kspan.store.tables import fold_history, recorded_days
from kspan.store.tables.exports import waits
from kspan.store.tables.journal import NEWS, last_sequence, pruned_to
from kspan.store.tables.rows import chunks

WINDOW: Final = 1_000
"""Journal records per transaction, which takes some tens of milliseconds."""

SPANS: Final = 500
"""Spans per transaction, or one trace with more. Each span is in several places of the indexes."""


class Pruned(msgspec.Struct, frozen=True):
    """Numbers of deleted rows.

    ``waiting``: number of old traces by target that has not received them. They and everything newer are kept.
    """

    records: int = 0
    traces: int = 0
    objects: int = 0
    waiting: dict[str, int] = {}


def prune(
    store: Store,
    cluster: str,
    before: int,
    targets: Collection[str] = (),
    pause: Callable[[float], None] = time.sleep,
) -> Pruned:
    """Delete history of a cluster that is old and not needed any more.

    Args:
        store: the database.
        cluster: uid of the cluster.
        before: delete what is older than this (Unix ns).
        targets: export targets that must receive each trace.
        pause: called with seconds after each transaction, for as long as that took, so that the writer can commit.

    Raises:
        StoreError: the database failed. What was deleted before stays deleted.
    """
    with store.reading("look for old rows") as connection:
        limit = _needed_from(connection, cluster, before, targets)
        waiting = _waiting(connection, cluster, before, targets)
    walk = partial(_in_transactions, store, cluster, pause)
    records = drop_partitions.prune(store, cluster, limit) if store.dialect == "postgresql" else 0
    records += sum(walk("prune the journal", _JournalWalk(cluster, limit).step))
    traces = sum(walk("prune traces", lambda c: _prune_traces(c, cluster, limit)))
    objects = sum(walk("prune objects", lambda c: _prune_objects(c, cluster, limit)))
    with store.writing("prune the history of the fold", cluster) as connection:
        fold_history.drop_before(connection, cluster, pruned_to(connection, cluster) + 1)
    return Pruned(records, traces, objects, waiting)


def _in_transactions(
    store: Store,
    cluster: str,
    pause: Callable[[float], None],
    doing: str,
    step: Callable[[Connection], tuple[int, bool]],
) -> Iterator[int]:
    """Run ``step`` in transactions until it reports that it was the last. Yields the numbers of deleted rows."""
    done = False
    while not done:
        began = time.perf_counter()
        with store.writing(doing, cluster) as connection:
            count, done = step(connection)
        yield count
        if not done:
            pause(time.perf_counter() - began)


def _needed_from(connection: Connection, cluster: str, before: int, targets: Collection[str]) -> int:
    """``before``, or an earlier time since which the journal is still needed."""
    traces, pending = schema.traces, schema.pending
    waiting = select(func.min(pending.c.start_time)).where(pending.c.cluster == cluster)
    opened = select(func.min(traces.c.opened_at)).where(traces.c.cluster == cluster, schema.OPEN)
    unsent = [
        select(func.min(traces.c.opened_at)).where(waits(connection, cluster, target)) for target in sorted(targets)
    ]
    found = [connection.execute(query).scalar_one() for query in (waiting, opened, *unsent)]
    return int(min([before, *(moment for moment in found if moment is not None)]))


def _waiting(connection: Connection, cluster: str, before: int, targets: Collection[str]) -> dict[str, int]:
    closed = schema.traces.c.closed_at
    found = {}
    for target in sorted(targets):
        query = select(func.count()).where(waits(connection, cluster, target), closed < before)
        found[target] = int(connection.execute(query).scalar_one())
    return {target: count for target, count in found.items() if count}


class _JournalWalk:
    """Walks through all old records, also those kept by earlier runs: their objects may have been deleted since."""

    def __init__(self, cluster: str, limit: int) -> None:
        self._cluster = cluster
        self._limit = limit
        self._after = 0

    def step(self, connection: Connection) -> tuple[int, bool]:
        """Process the next records. Returns (number of deleted records, true if these were the last)."""
        table = schema.journal
        old = self._read(connection)
        if not old:
            return 0, True
        alive = _versions_of_living(connection, self._cluster, {row.uid for row in old})
        kept = [row.seq for row in old if row.type in _STATE and alive.get(row.uid) == row.resource_version]
        # The last record of the journal is kept: sequence numbers continue from it.
        kept.append(last_sequence(connection, self._cluster))
        last = old[-1].seq
        gone = sorted({row.seq for row in old}.difference(kept))
        if gone:
            recorded_days.subtract(connection, self._cluster, gone)
            run = delete(table).where(table.c.cluster == self._cluster, table.c.seq > self._after, table.c.seq <= last)
            connection.execute(run.where(table.c.seq.not_in(kept)))
        state = schema.fold_state
        mark = update(state).where(state.c.cluster == self._cluster, state.c.pruned_to < last)
        connection.execute(mark.values(pruned_to=last))
        self._after = last
        return len(gone), len(old) < WINDOW

    def _read(self, connection: Connection) -> list[Row[Any]]:
        table = schema.journal
        query = (
            select(table.c.seq, table.c.uid, table.c.resource_version, table.c.recorded_at, table.c.type)
            .where(table.c.cluster == self._cluster, table.c.seq > self._after)
            .order_by(table.c.seq)
            .limit(WINDOW)
        )
        return list(takewhile(lambda row: row.recorded_at < self._limit, connection.execute(query)))


_STATE: Final = NEWS | {RecordType.LISTED}


def _versions_of_living(connection: Connection, cluster: str, uids: Collection[str]) -> dict[str, str]:
    """The newest resourceVersion of those objects that exist, by uid."""
    objects = schema.objects
    found: dict[str, str] = {}
    for chunk in chunks(sorted(uids)):
        living = select(objects.c.uid, objects.c.resource_version).where(
            objects.c.cluster == cluster, objects.c.uid.in_(chunk), objects.c.deleted_at == 0
        )
        found.update((row.uid, row.resource_version) for row in connection.execute(living))
    return found


def _prune_traces(connection: Connection, cluster: str, limit: int) -> tuple[int, bool]:
    traces, spans, sent = schema.traces, schema.spans, schema.emissions
    query = (
        select(traces.c.trace_id, traces.c.span_count)
        .where(traces.c.cluster == cluster, schema.CLOSED, traces.c.closed_at < limit)
        .order_by(traces.c.closed_at, traces.c.trace_id)
        .limit(SPANS)
    )
    old = connection.execute(query).all()
    sizes = list(accumulate(row.span_count for row in old))
    gone = [row.trace_id for row, size in zip(old, sizes, strict=True) if size <= SPANS or size == sizes[0]]
    for table in (spans, sent, traces):
        connection.execute(delete(table).where(table.c.cluster == cluster, table.c.trace_id.in_(gone)))
    return len(gone), len(gone) == len(old) < SPANS


def _prune_objects(connection: Connection, cluster: str, limit: int) -> tuple[int, bool]:
    """Delete objects that are not remembered: deleted ones, and those known only from Events (without a resource)."""
    objects, owners, gaps = schema.objects, schema.owners, schema.gaps
    connection.execute(delete(gaps).where(gaps.c.cluster == cluster, gaps.c.recorded_at < limit))
    past = select(objects.c.uid).where(objects.c.cluster == cluster, schema.PAST).limit(SPANS)
    deleted = past.where(objects.c.deleted_at > 0, objects.c.deleted_at < limit)
    named = past.where(objects.c.deleted_at == 0, objects.c.seen_at < limit)
    gone = [*connection.execute(deleted).scalars(), *connection.execute(named).scalars()]
    for chunk in chunks(gone):
        for table in (owners, objects):
            connection.execute(delete(table).where(table.c.cluster == cluster, table.c.uid.in_(chunk)))
    return len(gone), len(gone) < SPANS
