"""News: traces that open and close, and occurrences, as polls of the database find them."""

import msgspec
from sqlalchemy import Connection, func, select

from kspan.model import TraceRow
from kspan.query.timeline import Follower, TimelineFilter, TimelineLine
from kspan.query.traces import TraceSummary, summarise
from kspan.store import Store
from kspan.store.schema import tables as schema
from kspan.store.tables import rows

traces = schema.traces

MOST = 1_000
"""Closed traces of one poll. More are no news: a client that has to know them reads the lists again."""


class News(msgspec.Struct, frozen=True):
    """The news since the last poll.

    Args:
        traces: traces that have opened or closed.
        occurrences: occurrences. Most of them wait for their cause and are in no trace yet.
        placed: occurrences that waited before and are in a trace now.
        complete: False if there are more news than these.
    """

    traces: list[TraceSummary]
    occurrences: list[TimelineLine]
    placed: list[TimelineLine] = []
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
        self._lines: list[TimelineLine] = []
        self._placed: list[TimelineLine] = []

    def poll(self) -> News:
        """Return what is new. Raises StoreError if the database cannot be read; the next poll finds it then."""
        if self._follower is None:
            follower = Follower(self._store, self._cluster, TimelineFilter(), set())
            with self._store.reading("look for news") as connection:
                self._begin(connection)
            follower.poll()
            self._follower = follower
            return News([], [])
        self._lines += self._follower.poll()
        self._placed += self._follower.placed()
        with self._store.reading("look for news") as connection:
            found, complete = self._traces(connection)
        lines, self._lines = self._lines, []
        placed, self._placed = self._placed, []
        return News(found, lines, placed, complete)

    def _begin(self, connection: Connection) -> None:
        """Note what is not news."""
        mine, query = traces.c.cluster == self._cluster, rows.select_rows(traces, TraceRow)
        still_open = rows.fetch(connection, query.where(mine, schema.OPEN), TraceRow)
        newest = select(func.max(traces.c.closed_at)).where(mine, schema.CLOSED)
        last = connection.execute(newest).scalar_one() or 0
        at = query.where(mine, schema.CLOSED, traces.c.closed_at == last)
        self._told = {trace.trace_id for trace in rows.fetch(connection, at, TraceRow)}
        self._open, self._closed_at = {trace.trace_id for trace in still_open}, last

    def _traces(self, connection: Connection) -> tuple[list[TraceSummary], bool]:
        mine, query = traces.c.cluster == self._cluster, rows.select_rows(traces, TraceRow)
        still_open = rows.fetch(connection, query.where(mine, schema.OPEN), TraceRow)
        opened = [trace for trace in still_open if trace.trace_id not in self._open]
        since = query.where(mine, schema.CLOSED, traces.c.closed_at >= self._closed_at)
        since = since.order_by(traces.c.closed_at, traces.c.trace_id).limit(MOST + 1 + len(self._told))
        closed = [trace for trace in rows.fetch(connection, since, TraceRow) if trace.trace_id not in self._told]
        found = summarise(connection, self._cluster, [*opened, *closed])
        # Only now: after an error, the next poll finds the same.
        self._open = {trace.trace_id for trace in still_open}
        if closed:
            last = closed[-1].closed_at
            kept = self._told if last == self._closed_at else set()
            self._told = kept | {trace.trace_id for trace in closed if trace.closed_at == last}
            self._closed_at = last
        return found, len(closed) <= MOST
