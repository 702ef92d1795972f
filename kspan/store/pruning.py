"""Letting history go by age, in small transactions: the writer commits in between.

Kept, whatever its age: what is not decided or closed, what a target still has to get, and everything from the earliest
of these on. Of each object that is alive the newest record stays, as LISTED: that is what a relist is compared with,
what an odd repeat is recognised by, and what a rebuild begins from, as from a first list. Closed traces that every
target has had go with their spans and emissions, deleted objects with their owners: a projection without its journal
could be neither verified nor rebuilt.
"""

from collections.abc import Collection
from typing import Final

import msgspec
from sqlalchemy import ColumnElement, Connection, and_, bindparam, delete, exists, func, or_, select, text, update

from kspan.model import RecordType, SpanState, TraceState
from kspan.store import schema
from kspan.store.emissions import EMITTED, REJECTED
from kspan.store.journal import last_sequence
from kspan.store.rows import chunks
from kspan.store.store import Store

WINDOW: Final = 2_000
"""Journal records that one transaction looks at: it takes some tens of ms."""

TRACES: Final = 200
"""Traces in a transaction; a big one has some thousand spans."""

_NO_STATE: Final = text("length(state) = 0")


class Pruned(msgspec.Struct, frozen=True):
    """How many rows went."""

    records: int = 0
    traces: int = 0
    objects: int = 0


def prune(store: Store, cluster: str, before: int, targets: Collection[str] = ()) -> Pruned:
    """Delete what is older than ``before`` (Unix ns) and not needed. ``targets`` are those that have to get each trace.

    Raises StoreError; what was deleted until then stays deleted.
    """
    with store._read("look for what is old") as connection:  # noqa: SLF001 -- one package
        limit = _needed_from(connection, cluster, before, targets)
    records = after = 0
    done = False
    while not done:
        with store._write("prune the journal") as connection:  # noqa: SLF001
            count, after, done = _prune_journal(connection, cluster, limit, after)
        records += count
    traces = objects = 0
    while True:
        with store._write("prune traces") as connection:  # noqa: SLF001
            count = _prune_traces(connection, cluster, limit, targets)
        traces += count
        if count < TRACES:
            break
    while True:
        with store._write("prune objects") as connection:  # noqa: SLF001
            count = _prune_objects(connection, cluster, limit)
        objects += count
        if count < WINDOW:
            return Pruned(records, traces, objects)


def _needed_from(connection: Connection, cluster: str, before: int, targets: Collection[str]) -> int:
    """``before``, or the time from which on the journal is needed if that is earlier."""
    traces, spans = schema.traces, schema.spans
    waiting = select(func.min(spans.c.start_time)).where(
        spans.c.cluster == cluster, schema.UNFINISHED, spans.c.state == SpanState.PENDING
    )
    opened = select(func.min(traces.c.opened_at)).where(traces.c.cluster == cluster, traces.c.state == TraceState.OPEN)
    unsent = select(func.min(traces.c.opened_at)).where(
        traces.c.cluster == cluster, traces.c.state == TraceState.CLOSED, _wanted(targets)
    )
    queries = [waiting, opened, *([unsent] if targets else [])]
    found = [connection.execute(query).scalar_one() for query in queries]
    return int(min([before, *(moment for moment in found if moment is not None)]))


def _wanted(targets: Collection[str]) -> ColumnElement[bool]:
    """Whether one of the targets has neither taken nor rejected the trace."""
    traces, sent = schema.traces, schema.emissions
    return or_(
        *(
            ~exists().where(
                sent.c.cluster == traces.c.cluster,
                sent.c.trace_id == traces.c.trace_id,
                sent.c.target == target,
                sent.c.status.in_((EMITTED, REJECTED)),
            )
            for target in sorted(set(targets))
        )
    )


def _prune_journal(connection: Connection, cluster: str, limit: int, after: int) -> tuple[int, int, bool]:
    """Look at the records that follow ``after``; (how many went, the last that was looked at, whether that is all)."""
    table = schema.journal
    query = (
        select(table.c.seq, table.c.uid, table.c.recorded_at, table.c.type)
        .where(table.c.cluster == cluster, table.c.seq > after)
        .order_by(table.c.seq)
        .limit(WINDOW)
    )
    run = connection.execute(query).all()
    old = []
    for row in run:
        if row.recorded_at >= limit:
            break
        old.append(row)
    kept = _newest_of_living(connection, cluster, {row.uid for row in old if row.uid})
    # The journal's last record stays: the numbers go on from it.
    last = last_sequence(connection, cluster)
    gone = [row.seq for row in old if row.seq not in kept and row.seq != last]
    if gone:
        connection.execute(
            delete(table).where(table.c.cluster == bindparam("at_cluster"), table.c.seq == bindparam("at_seq")),
            [{"at_cluster": cluster, "at_seq": seq} for seq in gone],
        )
    news = [row.seq for row in old if row.seq in kept and row.type is not RecordType.LISTED]
    if news:
        connection.execute(
            update(table)
            .where(table.c.cluster == bindparam("at_cluster"), table.c.seq == bindparam("at_seq"))
            .values(type=RecordType.LISTED),
            [{"at_cluster": cluster, "at_seq": seq} for seq in news],
        )
    return len(gone), old[-1].seq if old else after, len(old) < WINDOW


def _newest_of_living(connection: Connection, cluster: str, uids: Collection[str]) -> set[int]:
    """The sequence numbers of the newest records of those objects that are not deleted."""
    objects, journal = schema.objects, schema.journal
    found: set[int] = set()
    for chunk in chunks(sorted(uids)):
        living = select(objects.c.uid).where(
            objects.c.cluster == cluster, objects.c.uid.in_(chunk), objects.c.deleted_at == 0
        )
        alive = list(connection.execute(living).scalars())
        if alive:
            newest = (
                select(func.max(journal.c.seq + 0))
                .where(journal.c.cluster == cluster, journal.c.uid.in_(alive), schema.HAS_UID)
                .group_by(journal.c.uid)
            )
            found.update(connection.execute(newest).scalars())
    return found


def _prune_traces(connection: Connection, cluster: str, limit: int, targets: Collection[str]) -> int:
    traces, spans, sent = schema.traces, schema.spans, schema.emissions
    old = and_(traces.c.cluster == cluster, traces.c.state == TraceState.CLOSED, traces.c.closed_at < limit)
    query = select(traces.c.trace_id).where(old).order_by(traces.c.closed_at, traces.c.trace_id).limit(TRACES)
    if targets:
        query = query.where(~_wanted(targets))
    gone = list(connection.execute(query).scalars())
    for table in (spans, sent, traces):
        theirs = delete(table).where(table.c.cluster == cluster, table.c.trace_id.in_(gone))
        connection.execute(theirs.where(schema.CLOSED) if table is spans else theirs)
    return len(gone)


def _prune_objects(connection: Connection, cluster: str, limit: int) -> int:
    """Objects that are past mattering: deleted, or never seen but only spoken of (they have no resource)."""
    objects, owners, gaps = schema.objects, schema.owners, schema.gaps
    connection.execute(delete(gaps).where(gaps.c.cluster == cluster, gaps.c.recorded_at < limit))
    deleted = and_(objects.c.deleted_at > 0, objects.c.deleted_at < limit)
    named = and_(objects.c.resource == "", objects.c.seen_at < limit)
    query = select(objects.c.uid).where(objects.c.cluster == cluster, _NO_STATE, or_(deleted, named)).limit(WINDOW)
    gone = list(connection.execute(query).scalars())
    for chunk in chunks(gone):
        for table in (owners, objects):
            connection.execute(delete(table).where(table.c.cluster == cluster, table.c.uid.in_(chunk)))
    return len(gone)
