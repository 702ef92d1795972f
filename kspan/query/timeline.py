"""``kspan timeline``: the occurrences of an interval, oldest first, and new ones as they arrive.

Reads in pages, each in its own transaction: an output that stays open in a pager for an hour must not keep SQLite from
truncating its write-ahead log.
"""

from collections.abc import Iterator, Sequence
from heapq import merge
from itertools import groupby
from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, Connection, Select, and_, exists, func, or_, select, tuple_

from kspan import vocabulary
from kspan.model import SpanRow, SpanState
from kspan.query import spans as reading
from kspan.query.objects.find import at_places, check_kind, kinds_meant, places, places_of
from kspan.query.objects.names import KindName
from kspan.query.visible import EVERYTHING, Visible
from kspan.store import Store
from kspan.store.schema import tables as schema
from kspan.store.tables import rows
from kspan.store.tables.rows import CHUNK, chunks
from kspan.times import LATEST, SECOND

objects, pending, spans, traces = schema.objects, schema.pending, schema.spans, schema.traces

PAGE: Final = 1_000

_FEW: Final = 32
"""Maximum number of objects that are looked up one by one in the index by object."""

_LOOKED_AT: Final = 20_000
"""Spans among which a page looks for what no index has in order of time: those of a node or a kind, and errors."""

_OLDEST: Final = 1_200 * SECOND
"""How long before ``since`` (ns) a span can start and still repeat: traces stay open for max_trace_age (15 min)."""


Position = tuple[int, str, str]
"""Time (Unix ns), trace id and span id: the place of an occurrence in a timeline."""


class TimelineFilter(msgspec.Struct, frozen=True):
    """Selects occurrences. ``since`` is inclusive, ``until`` exclusive (Unix ns; 0: unbounded).

    ``node`` selects those of a Node and of the Pods that ran on it.
    """

    since: int = 0
    until: int = 0
    kind: KindName | None = None
    namespace: str = ""
    name: str = ""
    errors: bool = False
    node: str = ""


class TimelineLine(msgspec.Struct, frozen=True):
    """An occurrence and its time (Unix ns): its start, or its first repeat if it started before the interval."""

    time: int
    span: SpanRow


def newest_time(connection: Connection, cluster: str, visible: Visible = EVERYTHING) -> int:
    """Return the start of the newest occurrence in the namespaces of the asker (Unix ns; 0: there is none)."""
    query = select(spans.c.start_time).where(spans.c.cluster == cluster, spans.c.start_time > 0)
    query = query.order_by(spans.c.start_time.desc()).limit(1)
    if visible.everything():
        return connection.execute(query).scalar() or 0
    inside = [query.where(spans.c.object_namespace == name) for name in visible.namespaces(connection, cluster)]
    return max((connection.execute(each).scalar() or 0 for each in inside), default=0)


def timeline(store: Store, cluster: str, wanted: TimelineFilter) -> Iterator[TimelineLine]:
    """Return the occurrences, oldest first. One that changes meanwhile can be missing, but none comes twice.

    Raises QueryError for an unknown kind.
    """
    with store.reading("read the timeline") as connection:
        if wanted.kind:
            check_kind(connection, cluster, wanted.kind)
        sources = [[*where, *_on_node(wanted)] for where in _sources(connection, cluster, wanted)[0]]
        early = [line for where in sources for line in _before(connection, cluster, wanted, where)]
        early += _undecided(connection, cluster, wanted)
    pages = (_pages(store, cluster, wanted, where) for where in sources)
    # An occurrence that waited for its cause can have got it, and a later start, before its page is read.
    waiting = {line.span.span_id for line in early}
    placed = (line for line in merge(*pages, key=_order) if line.span.span_id not in waiting)
    return merge(sorted(early, key=_order), placed, key=_order)


def page_of_timeline(
    connection: Connection,
    cluster: str,
    wanted: TimelineFilter,
    limit: int,
    after: Position | None = None,
    visible: Visible = EVERYTHING,
) -> tuple[list[TimelineLine], Position | None]:
    """Return occurrences that the asker may see, oldest first, and where the timeline goes on (None: it is complete).

    ``after`` continues a timeline. There can be fewer occurrences than ``limit``, even none, although the timeline goes
    on: the number of spans that are looked at is limited. Raises QueryError for an unknown kind.
    """
    limited = not visible.everything()
    if limited and wanted.namespace and not visible.namespace(wanted.namespace):
        return [], None
    if wanted.kind and not limited:
        # The error names other kinds.
        check_kind(connection, cluster, wanted.kind)
    sources, is_ordered = _sources(connection, cluster, wanted)
    if limited and sources == [[]]:
        inside = visible.namespaces(connection, cluster)
        sources = [[spans.c.object_namespace == name] for name in inside]
    start = after or (wanted.since, "", "")
    # spans_failed has the errors in order, but no index has those of a namespace or an object.
    is_ordered = is_ordered and not wanted.node and not wanted.errors
    edge = 0 if is_ordered else reading.newer_edge(connection, cluster, start[0], _LOOKED_AT, wanted.namespace)
    edge = edge if edge < (wanted.until or LATEST) else 0
    sources = [[*where, *_on_node(wanted)] for where in sources]
    early = [line for where in sources for line in _before(connection, cluster, wanted, where)]
    early += _undecided(connection, cluster, wanted, limit + 1, after)
    waiting = {line.span.span_id for line in early}
    found = [line for line in early if after is None or _order(line) > after]
    if edge:
        found = [line for line in found if line.time < edge]
        wanted = msgspec.structs.replace(wanted, until=edge)
    for where in sources:
        rows_of = reading.fetch(connection, cluster, _page(cluster, wanted, where, start, limit + 1))
        placed = reading.with_outcomes(connection, cluster, rows_of)
        found += [TimelineLine(span.start_time, span) for span in placed if span.span_id not in waiting]
    found.sort(key=_order)
    position = _order(found[limit - 1]) if len(found) > limit else (edge, "", "") if edge else None
    shown = found[:limit]
    if limited:
        # What waits for its cause is in no trace yet, so nobody knows what else belongs to it.
        seen = {span.span_id: span for span in visible.spans(connection, cluster, [line.span for line in shown])}
        shown = [
            TimelineLine(line.time, seen[line.span.span_id])
            for line in shown
            if line.span.span_id in seen and line.span.state is not SpanState.PENDING
        ]
    return shown, position


def _order(line: TimelineLine) -> tuple[int, str, str]:
    return line.time, line.span.trace_id, line.span.span_id


# Where to look


def _sources(
    connection: Connection, cluster: str, wanted: TimelineFilter
) -> tuple[list[list[ColumnElement[bool]]], bool]:
    """Return conditions whose union is the filter, and whether an index has what each selects in order of time."""
    if wanted.name:
        found = places(connection, cluster, wanted.kind, wanted.namespace, wanted.name)
        if len(found) > _FEW:
            return [[at_places(found, _columns(by_index=False))]], False
        return [[at_places([place], _columns(by_index=True))] for place in found], True
    if wanted.kind:
        few = places_of(connection, cluster, wanted.kind, wanted.namespace, _FEW)
        if few is not None:
            return [[at_places([place], _columns(by_index=True))] for place in few], True
        kind, *_ = _columns(by_index=False)
        of_kind = kind.in_(kinds_meant(connection, cluster, wanted.kind))
        return [[of_kind, spans.c.object_namespace == wanted.namespace] if wanted.namespace else [of_kind]], False
    if wanted.namespace:
        itself = at_places([("Namespace", "", wanted.namespace)], _columns(by_index=True))
        return [[spans.c.object_namespace == wanted.namespace], [itself]], True
    return [[]], True


def _on_node(wanted: TimelineFilter) -> list[ColumnElement[bool]]:
    if not wanted.node:
        return []
    itself = and_(spans.c.object_kind == "Node", spans.c.object_name == wanted.node)
    mine = (objects.c.cluster == spans.c.cluster, objects.c.uid == spans.c.object_uid)
    return [or_(itself, exists().where(*mine, objects.c.node == wanted.node).correlate(spans))]


def _columns(*, by_index: bool) -> tuple[ColumnElement[str], ...]:
    """Return the columns of kind, namespace and name.

    Without ``by_index`` the columns are expressions, so that the database does not use the index by object, whose rows
    it would have to sort by time for every page.
    """
    columns = (spans.c.object_kind, spans.c.object_namespace, spans.c.object_name)
    return columns if by_index else tuple(func.coalesce(column, "") for column in columns)


# Reading


def _pages(
    store: Store, cluster: str, wanted: TimelineFilter, where: list[ColumnElement[bool]]
) -> Iterator[TimelineLine]:
    after: tuple[int, str, str] = (wanted.since, "", "")
    while True:
        with store.reading("read the timeline") as connection:
            found = reading.fetch(connection, cluster, _page(cluster, wanted, where, after))
            page = [TimelineLine(span.start_time, span) for span in reading.with_outcomes(connection, cluster, found)]
        yield from page
        if len(page) < PAGE:
            return
        after = _order(page[-1])


def _page(
    cluster: str, wanted: TimelineFilter, where: list[ColumnElement[bool]], after: Position, limit: int = PAGE
) -> Select[Any]:
    time, trace_id, span_id = after
    beyond = or_(spans.c.start_time > time, tuple_(spans.c.trace_id, spans.c.span_id) > tuple_(trace_id, span_id))
    here = [spans.c.cluster == cluster, spans.c.start_time >= time]
    conditions: list[ColumnElement[bool]] = [*here, beyond, *where]
    conditions += [spans.c.start_time < wanted.until] if wanted.until else []
    query = rows.select_rows(spans, SpanRow).where(*conditions)
    query = query.where(schema.FAILED) if wanted.errors else query
    return query.order_by(spans.c.start_time, spans.c.trace_id, spans.c.span_id).limit(limit)


def _before(
    connection: Connection, cluster: str, wanted: TimelineFilter, where: list[ColumnElement[bool]]
) -> Iterator[TimelineLine]:
    """Yield occurrences that started before the interval and repeated in it."""
    if not wanted.since:
        return
    query = rows.select_rows(spans, SpanRow).where(
        spans.c.cluster == cluster,
        spans.c.start_time >= wanted.since - _OLDEST,
        spans.c.start_time < wanted.since,
        or_(spans.c.events != [], spans.c.state == SpanState.OPEN),
        *where,
    )
    for span in reading.with_outcomes(connection, cluster, reading.fetch(connection, cluster, query)):
        repeats = [e.time for e in span.events if vocabulary.is_repeat(e.attributes)]
        again = [time for time in repeats if wanted.since <= time < (wanted.until or LATEST)]
        if again and (span.error or not wanted.errors):
            yield TimelineLine(min(again), span)


def _undecided(
    connection: Connection, cluster: str, wanted: TimelineFilter, most: int | None = None, after: Position | None = None
) -> Iterator[TimelineLine]:
    """Yield occurrences that wait for their cause; with ``most`` at least that many of the earliest after a position.

    In a storm thousands wait, so only those that are yielded are decoded.
    """
    since, until = max(wanted.since, after[0] if after is not None else 0), wanted.until or LATEST
    times = (pending.c.cluster == cluster, pending.c.start_time >= since, pending.c.start_time < until)
    query = select(
        pending.c.arrival,
        pending.c.start_time,
        pending.c.object_kind,
        pending.c.object_namespace,
        pending.c.object_name,
    )
    earliest = connection.execute(query.where(*times).order_by(pending.c.start_time))
    count, last = 0, LATEST
    while found := earliest.fetchmany(CHUNK if most is None else min(most, CHUNK)):
        if found[0].start_time > last:
            break
        arrivals = [row.arrival for row in found if is_about(wanted, *row[2:])]
        some = list(reading.waiting(connection, cluster, pending.c.arrival.in_(arrivals))) if arrivals else []
        there = _uids_on(connection, cluster, wanted.node, some) if wanted.node else None
        for span in some:
            if (there is None or span.object_uid in there) and passes(wanted, span):
                line = TimelineLine(span.start_time, span)
                count += after is None or _order(line) > after
                yield line
        if most is not None and count >= most:
            last = min(last, found[-1].start_time)


def _uids_on(connection: Connection, cluster: str, node: str, found: Sequence[SpanRow]) -> set[str]:
    """Return the uids of a Node and of the Pods on it among the objects of some spans."""
    there = {s.object_uid for s in found if (s.object_kind, s.object_name) == ("Node", node)}
    for uids in chunks(sorted({span.object_uid for span in found})):
        mine = (objects.c.cluster == cluster, objects.c.uid.in_(uids), objects.c.node == node)
        there |= set(connection.execute(select(objects.c.uid).where(*mine)).scalars())
    return there


def passes(wanted: TimelineFilter, span: SpanRow) -> bool:
    """Return whether a span matches the filter, apart from its time and node."""
    return is_about(wanted, span.object_kind, span.object_namespace, span.object_name) and (
        span.error or not wanted.errors
    )


def is_about(wanted: TimelineFilter, kind: str, namespace: str, name: str) -> bool:
    """Return whether the filter selects an object."""
    of = wanted.kind
    if not of and not wanted.name and (kind, name) == ("Namespace", wanted.namespace):
        return True
    return (
        (of is None or kind == of.built_in or (not of.built_in and of.means(kind)))
        and wanted.namespace in ("", namespace)
        and wanted.name in ("", name)
    )


class Follower:
    """Finds new occurrences at each poll. ``seen`` contains the ids of spans that were shown before.

    An occurrence waits for its cause for seconds and then stays in an open trace, where a poll every second finds it.
    One that was opened and closed between two polls, when the daemon caught up, is found by the closing time of its
    trace.
    """

    def __init__(self, store: Store, cluster: str, wanted: TimelineFilter, seen: set[str]) -> None:
        self._store = store
        self._cluster = cluster
        self._wanted = wanted
        self._seen = seen
        self._waited: set[str] = set()
        self._placed: list[tuple[str, str]] = []
        self._closed_at = -1

    def poll(self) -> list[TimelineLine]:
        """Return the occurrences that were not seen before, by time."""
        with self._store.reading("follow the timeline") as connection:
            waiting = list(reading.waiting(connection, self._cluster))
            recent, closed_at = self._recent_traces(connection)
            ids = self._members(connection, recent)
            fresh = [span for span in waiting if span.span_id not in self._seen]
            fresh += self._read(connection, [pair for pair in ids if pair[1] not in self._seen])
        # Only now: after an error, the next poll finds the same.
        self._closed_at = closed_at
        self._placed += [pair for pair in ids if pair[1] in self._waited]
        self._waited = {span.span_id for span in waiting}
        self._seen = {span_id for _, span_id in ids} | self._waited
        since = self._wanted.since
        lines = (TimelineLine(s.start_time, s) for s in fresh if s.start_time >= since and passes(self._wanted, s))
        return sorted(lines, key=_order)

    def placed(self) -> list[TimelineLine]:
        """Return the occurrences that a poll found waiting for their cause and a later one in a trace, by time."""
        with self._store.reading("follow the timeline") as connection:
            found = list(self._read(connection, self._placed))
        self._placed = []
        return sorted((TimelineLine(span.start_time, span) for span in found), key=_order)

    def _recent_traces(self, connection: Connection) -> tuple[list[str], int]:
        """Return the open traces and those that were closed since the last poll, and the newest closing time."""
        mine = traces.c.cluster == self._cluster
        still_open = connection.execute(select(traces.c.trace_id).where(mine, schema.OPEN)).scalars().all()
        last = self._closed_at
        if last < 0:
            newest = select(func.max(traces.c.closed_at)).where(mine, schema.CLOSED)
            last = connection.execute(newest).scalar_one() or 0
        since = select(traces.c.trace_id, traces.c.closed_at).where(mine, schema.CLOSED)
        closed = connection.execute(since.where(traces.c.closed_at >= last)).all()
        last = max([last, *(closed_at for _, closed_at in closed)])
        return [*still_open, *(trace_id for trace_id, _ in closed)], last

    def _members(self, connection: Connection, trace_ids: Sequence[str]) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        for ids in chunks(trace_ids):
            query = select(spans.c.trace_id, spans.c.span_id).where(
                spans.c.cluster == self._cluster, spans.c.trace_id.in_(ids)
            )
            found += [(trace_id, span_id) for trace_id, span_id in connection.execute(query)]
        return found

    def _read(self, connection: Connection, ids: Sequence[tuple[str, str]]) -> Iterator[SpanRow]:
        for trace_id, group in groupby(sorted(ids), key=lambda pair: pair[0]):
            for span_ids in chunks([span_id for _, span_id in group]):
                mine = (spans.c.cluster == self._cluster, spans.c.trace_id == trace_id, spans.c.span_id.in_(span_ids))
                found = reading.fetch(connection, self._cluster, rows.select_rows(spans, SpanRow).where(*mine))
                yield from reading.with_outcomes(connection, self._cluster, found)
