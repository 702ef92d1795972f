"""Letting history go by age, in small transactions with pauses: the writer commits in between.

Kept, whatever its age: what is not decided or closed, what a target still has to get, and everything from the earliest
of these on. Of each object that is alive the newest record stays: that is what a relist is compared with, what an odd
repeat is recognised by, and what a rebuild begins from. No record is rewritten; a mark says up to where what is left is
state, as of a first list (LISTED when it is replayed). On PostgreSQL whole days of the journal are dropped where that
can be (``dropping``). Closed traces that every target has had go with their spans and emissions, deleted objects with
their owners: a projection without its journal could be neither verified nor rebuilt.
"""

import time
from collections.abc import Callable, Collection, Iterator
from functools import partial
from itertools import accumulate, takewhile
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Row, delete, func, select, update

from kspan.model import RecordType
from kspan.store.postgresql import drop_partitions as dropping
from kspan.store.schema import tables as schema
from kspan.store.store import Store
from kspan.store.tables.exports import waits
from kspan.store.tables.journal import NEWS, last_sequence
from kspan.store.tables.rows import chunks

WINDOW: Final = 1_000
"""Journal records that one transaction looks at: it takes some tens of ms."""

SPANS: Final = 500
"""Spans in a transaction, or one trace that has more: each is in indexes at places of their own."""


class Pruned(msgspec.Struct, frozen=True):
    """How many rows went; ``waiting``: how many closed traces that are old enough to go wait for which target, and
    keep everything that is not older than they are."""

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
    """Delete what is older than ``before`` (Unix ns) and not needed. ``targets`` are those that have to get each trace.

    ``pause`` (seconds) is called after each transaction, for as long as that took: whoever waits to write gets a turn.
    Raises StoreError; what was deleted until then stays deleted.
    """
    with store.reading("look for old rows") as connection:
        limit = _needed_from(connection, cluster, before, targets)
        waiting = _waiting(connection, cluster, before, targets)
    walk = partial(_in_turns, store, cluster, pause)
    records = dropping.prune(store, cluster, limit) if store.dialect == "postgresql" else 0
    records += sum(walk("prune the journal", _JournalWalk(cluster, limit).step))
    traces = sum(walk("prune traces", lambda c: _prune_traces(c, cluster, limit)))
    objects = sum(walk("prune objects", lambda c: _prune_objects(c, cluster, limit)))
    return Pruned(records, traces, objects, waiting)


def _in_turns(
    store: Store,
    cluster: str,
    pause: Callable[[float], None],
    doing: str,
    step: Callable[[Connection], tuple[int, bool]],
) -> Iterator[int]:
    """How many rows each transaction deleted, until a step says that it was the last."""
    done = False
    while not done:
        began = time.perf_counter()
        with store.writing(doing, cluster) as connection:
            count, done = step(connection)
        yield count
        if not done:
            pause(time.perf_counter() - began)


def _needed_from(connection: Connection, cluster: str, before: int, targets: Collection[str]) -> int:
    """``before``, or the time from which on the journal is needed if that is earlier."""
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
    """Through all that is old, what earlier runs left of it included: of that, too, something may have died since."""

    def __init__(self, cluster: str, limit: int) -> None:
        self._cluster = cluster
        self._limit = limit
        self._after = 0

    def step(self, connection: Connection) -> tuple[int, bool]:
        """Look at the next records; (how many went, whether that is all)."""
        table = schema.journal
        old = self._read(connection)
        if not old:
            return 0, True
        alive = _versions_of_living(connection, self._cluster, {row.uid for row in old})
        kept = [row.seq for row in old if row.type in _STATE and alive.get(row.uid) == row.resource_version]
        # The journal's last record stays: the numbers go on from it.
        kept.append(last_sequence(connection, self._cluster))
        last = old[-1].seq
        count = len({row.seq for row in old}.difference(kept))
        if count:
            run = delete(table).where(table.c.cluster == self._cluster, table.c.seq > self._after, table.c.seq <= last)
            connection.execute(run.where(table.c.seq.not_in(kept)))
        state = schema.fold_state
        mark = update(state).where(state.c.cluster == self._cluster, state.c.pruned_to < last)
        connection.execute(mark.values(pruned_to=last))
        self._after = last
        return count, len(old) < WINDOW

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
    """The newest resourceVersion of those objects that are not deleted, by uid."""
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
    """Objects that are past mattering: deleted, or never seen but only spoken of (they have no resource)."""
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
