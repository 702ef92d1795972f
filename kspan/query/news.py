"""News: traces that open and close, and occurrences, as polls of the database find them."""

import msgspec
from sqlalchemy import Connection, func, select

from kspan.model import TraceRow
from kspan.query.timeline import Follower, TimelineFilter, TimelineLine
from kspan.query.traces import TraceSummary, summarise, summarise_closed
from kspan.store import Store
from kspan.store.schema import tables as schema
from kspan.store.tables import rows

traces = schema.traces

MOST = 1_000
"""Closed traces of one poll. If there are more, clients have to read the lists again."""


class News(msgspec.Struct, frozen=True):
    """The news since the last poll. ``complete`` is False if there was more than is in it."""

    traces: list[TraceSummary]
    occurrences: list[TimelineLine]
    complete: bool = True


class NewsReader:
    """Finds news at each poll; the first one finds none. For one thread.

    A trace is news when it opens and when it closes.
    """

    def __init__(self, store: Store, cluster: str) -> None:
        self._store = store
        self._cluster = cluster
        self._open: set[str] = set()
        self._closed_at = -1
        self._told: set[str] = set()
        self._follower: Follower | None = None

    def poll(self) -> News:
        """Return what is new. Raises StoreError if the database cannot be read; the next poll finds it then."""
        first = self._follower is None
        if self._follower is None:
            self._follower = Follower(self._store, self._cluster, TimelineFilter(), set())
        lines = self._follower.poll()
        with self._store.reading("look for news") as connection:
            found, complete = self._traces(connection)
        return News([], []) if first else News(found, lines, complete)

    def _traces(self, connection: Connection) -> tuple[list[TraceSummary], bool]:
        mine = traces.c.cluster == self._cluster
        query = rows.select_rows(traces, TraceRow)
        still_open = rows.fetch(connection, query.where(mine, schema.OPEN), TraceRow)
        opened = [trace for trace in still_open if trace.trace_id not in self._open]
        self._open = {trace.trace_id for trace in still_open}
        if self._closed_at < 0:
            newest = select(func.max(traces.c.closed_at)).where(mine, schema.CLOSED)
            self._closed_at = connection.execute(newest).scalar_one() or 0
            at = query.where(mine, schema.CLOSED, traces.c.closed_at == self._closed_at)
            self._told = {trace.trace_id for trace in rows.fetch(connection, at, TraceRow)}
            return [], True
        since = query.where(mine, schema.CLOSED, traces.c.closed_at >= self._closed_at)
        since = since.order_by(traces.c.closed_at, traces.c.trace_id).limit(MOST + 1)
        closed = [trace for trace in rows.fetch(connection, since, TraceRow) if trace.trace_id not in self._told]
        complete = len(closed) <= MOST
        if closed:
            last = closed[-1].closed_at
            kept = self._told if last == self._closed_at else set()
            self._told = kept | {trace.trace_id for trace in closed if trace.closed_at == last}
            self._closed_at = last
        found = [summarise(connection, self._cluster, trace) for trace in opened]
        return found + summarise_closed(connection, self._cluster, closed), complete
