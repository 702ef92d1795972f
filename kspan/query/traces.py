"""``kspan traces`` and ``kspan trace``: lists traces, newest first, and reads one of them."""

from collections.abc import Sequence
from enum import StrEnum
from itertools import islice
from typing import Any, Final, TypeVar

import msgspec
from sqlalchemy import ColumnElement, Connection, Select, TextClause, and_, exists, not_, or_, select, tuple_

from kspan.errors import QueryError
from kspan.model import SpanRow, TraceRow, TraceState
from kspan.query import spans as reading
from kspan.query.objects.find import Place, at_places, check_kind, kinds_meant, places, places_of
from kspan.query.objects.names import KindName
from kspan.query.spans import Member
from kspan.query.visible import EVERYTHING, Visible
from kspan.store.schema import tables as schema
from kspan.store.tables import rows
from kspan.store.tables.rows import CHUNK, chunks
from kspan.times import LATEST

spans, traces = schema.spans, schema.traces

_LOOKED_AT: Final = 500
"""Number of an object's newest spans whose traces are read first."""

_FEW: Final = 32
"""Maximum number of objects of a kind that are looked up one by one."""

_MOST: Final = 2_500
"""Number of traces that are looked at for a page."""

_SHOWN: Final = 5

_Span = TypeVar("_Span", SpanRow, Member)


class Status(StrEnum):
    """The status of a trace. A trace can be error, incomplete and open at once; one with Warnings also has others."""

    OK = "ok"
    ERROR = "error"
    INCOMPLETE = "incomplete"
    OPEN = "open"
    WARNING = "warning"


Position = tuple[int, str]
"""Start (Unix ns) and id of a trace: its place in the order of lists."""


class TraceFilter(msgspec.Struct, frozen=True):
    """Selects traces that started at or after ``since`` and before ``until`` (Unix ns; 0: unbounded).

    ``kind``, ``namespace`` and ``name`` describe one object that any span is about. ``actor`` is the service of the
    root span. ``min_duration`` is in nanoseconds. ``outcome`` is an ``Outcome``. ``text`` is a part, in any case, of
    the name of the root's object, its reason, change or message, or of the reason of the outcome. ``before`` continues
    a list: only traces that are older than this position.
    """

    since: int = 0
    until: int = 0
    kind: KindName | None = None
    namespace: str = ""
    name: str = ""
    actor: str = ""
    status: Status | None = None
    min_duration: int = 0
    outcome: str = ""
    text: str = ""
    before: Position | None = None

    @property
    def is_selective(self) -> bool:
        """True if it depends on more than time."""
        return self != TraceFilter(since=self.since, until=self.until, before=self.before)

    @property
    def of_root(self) -> bool:
        """True if it depends on root spans, which are read trace by trace."""
        return bool(self.actor or self.text)


class TraceSummary(msgspec.Struct, frozen=True):
    """A trace and its root span, with the values so far if it is open. ``root`` is None if it has no spans."""

    trace: TraceRow
    root: SpanRow | None

    @property
    def duration(self) -> int:
        """Nanoseconds from the earliest start to the latest end."""
        return self.trace.end_time - self.trace.start_time

    @property
    def position(self) -> Position:
        """The place of the trace in the order of lists."""
        return self.trace.start_time, self.trace.trace_id

    @property
    def statuses(self) -> list[Status]:
        """The statuses of the trace, the most important first. Warnings are counted instead (``trace.warnings``)."""
        trace = self.trace
        found = {
            Status.ERROR: trace.error,
            Status.INCOMPLETE: trace.incomplete,
            Status.OPEN: trace.state is TraceState.OPEN,
        }
        return [status for status, holds in found.items() if holds] or [Status.OK]


class _Objects(msgspec.Struct, frozen=True):
    """Conditions on spans, of which one must hold. ``by_time``: an index has the matching spans in order of time."""

    conditions: list[ColumnElement[bool]]
    by_time: bool


class TracePage(msgspec.Struct, frozen=True):
    """Traces, newest first. ``next`` is the position after which the list goes on (None: it is complete).

    There can be fewer traces than asked for, even none, and a ``next``: the number of traces that are looked at for a
    page is limited.
    """

    traces: list[TraceSummary]
    next: Position | None


def list_traces(
    connection: Connection,
    cluster: str,
    wanted: TraceFilter,
    limit: int | None,
    visible: Visible = EVERYTHING,
) -> list[TraceSummary]:
    """Return the matching traces that the asker may see, newest first, at most ``limit`` (None: all).

    Raises QueryError for an unknown kind.
    """
    found: list[TraceSummary] = []
    while True:
        page = page_of_traces(connection, cluster, wanted, None if limit is None else limit - len(found), visible)
        found += page.traces
        if page.next is None or (limit is not None and len(found) >= limit):
            return found
        wanted = msgspec.structs.replace(wanted, before=page.next)


def page_of_traces(
    connection: Connection,
    cluster: str,
    wanted: TraceFilter,
    limit: int | None,
    visible: Visible = EVERYTHING,
) -> TracePage:
    """Return the first matching traces that the asker may see, at most ``limit`` (None: all).

    Raises QueryError for an unknown kind.
    """
    limited = not visible.everything()
    if limited and wanted.namespace and not visible.namespace(wanted.namespace):
        return TracePage([], None)
    if wanted.kind and not limited:
        # The error names other kinds.
        check_kind(connection, cluster, wanted.kind)
    objects = _objects(connection, cluster, wanted)
    if objects is None and limited:
        inside = visible.namespaces(connection, cluster)
        objects = _Objects([spans.c.object_namespace == name for name in inside], by_time=True)
    if objects is not None and not objects.conditions:
        return TracePage([], None)
    more = None if limit is None else limit + 1
    found, stopped = [], None
    if wanted.status in (None, Status.OPEN, Status.ERROR, Status.WARNING):
        found += _open(connection, cluster, wanted, objects, more, visible)
    if wanted.status is not Status.OPEN:
        closed, stopped = _closed(connection, cluster, wanted, objects, more, visible)
        found += closed
    found.sort(key=lambda summary: summary.position, reverse=True)
    if stopped is not None:
        found = [summary for summary in found if summary.position >= stopped]
    if limit is not None and len(found) > limit:
        return TracePage(found[:limit], found[limit - 1].position if limit else wanted.before)
    return TracePage(found, stopped)


def _objects(connection: Connection, cluster: str, wanted: TraceFilter) -> _Objects | None:
    """Return the conditions of the filter on objects; None if it has none."""
    columns = (spans.c.object_kind, spans.c.object_namespace, spans.c.object_name)
    kind, namespace, name = wanted.kind, wanted.namespace, wanted.name
    if name:
        found: list[Place] | None = places(connection, cluster, kind, namespace, name)
    elif kind:
        found = places_of(connection, cluster, kind, namespace, _FEW)
    else:
        found = None
    if found is not None:
        return _Objects([at_places([place], columns) for place in found], by_time=True)
    if kind:
        kinds = kinds_meant(connection, cluster, kind)
        return _Objects([at_places([(each, namespace, "")], columns) for each in kinds], by_time=False)
    if namespace:
        # The deletion of a namespace belongs to the history of the namespace.
        itself = at_places([("Namespace", "", namespace)], columns)
        return _Objects([spans.c.object_namespace == namespace, itself], by_time=True)
    return None


# Closed traces


def _closed(
    connection: Connection,
    cluster: str,
    wanted: TraceFilter,
    objects: _Objects | None,
    limit: int | None,
    visible: Visible,
) -> tuple[list[TraceSummary], Position | None]:
    """Return the newest matching closed traces, and where the search stopped (None: at its end)."""
    if objects is None:
        return _newest_of_some(connection, cluster, [], wanted, limit, visible)
    ids, since = _recent(connection, cluster, objects)
    recent = msgspec.structs.replace(wanted, since=max(since, wanted.since))
    found: list[TraceSummary] = []
    for run in chunks(ids):
        found += _newest(connection, cluster, [traces.c.trace_id.in_(run)], recent, limit, visible)[0]
    if since > wanted.since and (limit is None or len(found) < limit):
        anywhere = [_any_span(or_(*objects.conditions))]
        more, stopped = _newest_of_some(connection, cluster, anywhere, wanted, limit, visible)
        # What the newest spans show can reach further back.
        return (found, (since, "")) if stopped is not None and since <= stopped[0] else (more, stopped)
    return found, None


def _newest_of_some(
    connection: Connection,
    cluster: str,
    conditions: Sequence[ColumnElement[bool]],
    wanted: TraceFilter,
    limit: int | None,
    visible: Visible,
) -> tuple[list[TraceSummary], Position | None]:
    """As ``_newest``, among the ``_MOST`` newest traces: rare ones could be anywhere in the history.

    ``conditions`` are those that are not in the filter.
    """
    edge = 0
    if limit is not None and wanted.is_selective:
        newer = wanted.before[0] if wanted.before is not None else wanted.until
        query = select(traces.c.start_time).where(traces.c.cluster == cluster, schema.CLOSED)
        query = query.where(traces.c.start_time < newer) if newer else query
        query = query.order_by(traces.c.start_time.desc()).offset(_MOST - 1).limit(1)
        edge = connection.execute(query).scalar() or 0
    within = msgspec.structs.replace(wanted, since=max(edge, wanted.since))
    found, stopped = _newest(connection, cluster, conditions, within, limit, visible)
    if edge <= wanted.since:
        return found, stopped
    return found, (edge, "") if stopped is None and limit is not None and len(found) < limit else stopped


def _recent(connection: Connection, cluster: str, objects: _Objects) -> tuple[list[str], int]:
    """Return the traces of the newest matching spans, and the time (ns) since which no matching trace is missing."""
    found: set[str] = set()
    complete_since = 0
    for condition in objects.conditions:
        query = select(spans.c.trace_id, spans.c.start_time).where(spans.c.cluster == cluster, condition)
        if objects.by_time:
            query = query.order_by(spans.c.start_time.desc())
        looked_at = connection.execute(query.limit(_LOOKED_AT)).all()
        found.update(trace_id for trace_id, _ in looked_at)
        if len(looked_at) == _LOOKED_AT:
            # A trace that started after the oldest of these spans has no older span.
            complete_since = max(complete_since, looked_at[-1].start_time + 1 if objects.by_time else LATEST)
    return sorted(found), complete_since


def _conditions(cluster: str, wanted: TraceFilter) -> list[ColumnElement[bool] | TextClause]:
    """Return the conditions of a filter on closed traces.

    There is one lower and one upper bound: of several, SQLite uses the first for the index, and filters by the others.
    """
    length = traces.c.end_time - traces.c.start_time
    given = [
        (wanted.since, traces.c.start_time >= wanted.since),
        (wanted.until and wanted.before is None, traces.c.start_time < wanted.until),
        (wanted.min_duration, length >= wanted.min_duration),
        (wanted.status is Status.OK, and_(not_(traces.c.error), not_(traces.c.incomplete))),
        (wanted.status is Status.ERROR, traces.c.error),
        (wanted.status is Status.INCOMPLETE, traces.c.incomplete),
        (wanted.status is Status.WARNING, traces.c.warnings > 0),
        (wanted.outcome, traces.c.outcome == wanted.outcome),
    ]
    found: list[ColumnElement[bool] | TextClause] = [traces.c.cluster == cluster, schema.CLOSED]
    found += [condition for is_given, condition in given if is_given]
    return [*found, *_older(wanted.before, wanted.until)] if wanted.before is not None else found


def _older(position: Position, until: int) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    # Also the start alone, for which SQLite can use the index.
    start, trace_id = position
    newest = min(start, until - 1) if until else start
    return traces.c.start_time <= newest, tuple_(traces.c.start_time, traces.c.trace_id) < tuple_(start, trace_id)


def _any_span(*conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    mine = (spans.c.cluster == traces.c.cluster, spans.c.trace_id == traces.c.trace_id)
    return exists().where(*mine, *conditions).correlate(traces)


def _newest(
    connection: Connection,
    cluster: str,
    conditions: Sequence[ColumnElement[bool]],
    wanted: TraceFilter,
    limit: int | None,
    visible: Visible,
) -> tuple[list[TraceSummary], Position | None]:
    """Return the visible closed traces that match the filter and ``conditions``, newest first.

    Also returns where the search stopped: at the end (None), or after ``_MOST`` traces.
    """
    found: list[TraceSummary] = []
    looked_at, actor = 0, wanted.actor
    # In pages, with the roots read by trace id: in a join, a query planner may start with all root spans.
    size = limit if limit is not None and not wanted.of_root and visible.everything() else CHUNK
    while page := rows.fetch(connection, _page(cluster, conditions, wanted, size), TraceRow):
        ids = visible.traces(connection, cluster, [trace.trace_id for trace in page])
        roots, seen = reading.roots_of(connection, cluster, ids, actor), set(ids)
        matching = (trace for trace in page if trace.trace_id in (roots if actor else seen))
        summaries = (TraceSummary(trace, roots.get(trace.trace_id)) for trace in matching)
        found += [summary for summary in summaries if _says(summary, wanted.text)]
        if len(page) < size or (limit is not None and len(found) >= limit):
            break
        looked_at += len(page)
        last = page[-1].start_time, page[-1].trace_id
        if looked_at >= _MOST and limit is not None:
            return found, last
        wanted = msgspec.structs.replace(wanted, before=last)
    return found[:limit], None


def _page(cluster: str, conditions: Sequence[ColumnElement[bool]], wanted: TraceFilter, size: int) -> Select[Any]:
    query = rows.select_rows(traces, TraceRow).where(*_conditions(cluster, wanted), *conditions)
    return query.order_by(traces.c.start_time.desc(), traces.c.trace_id.desc()).limit(size)


def _says(summary: TraceSummary, text: str) -> bool:
    """Return whether a trace has a text (see ``TraceFilter``)."""
    if not text:
        return True
    root, part = summary.root, text.casefold()
    said = [summary.trace.reason]
    if root is not None:
        said += [root.object_name, root.reason, root.message, reading.summary_of(root)]
    return any(part in each.casefold() for each in said)


# Open traces


def _open(
    connection: Connection,
    cluster: str,
    wanted: TraceFilter,
    objects: _Objects | None,
    limit: int | None,
    visible: Visible,
) -> list[TraceSummary]:
    """Return the matching open traces among the newest ``limit``, or among all if some are hidden.

    The row of an open trace has only its opening time; the other values are computed from its spans.
    """
    conditions: list[ColumnElement[bool]] = [traces.c.cluster == cluster]
    if objects:
        conditions.append(_any_span(or_(*objects.conditions)))
    query = rows.select_rows(traces, TraceRow).where(*conditions, schema.OPEN)
    newest_first = query.order_by(traces.c.opened_at.desc())
    all_of_them = not visible.everything() or wanted.before is not None or wanted.of_root or wanted.outcome
    query = newest_first.limit(None if all_of_them else limit)
    newest = {trace.trace_id: trace for trace in rows.fetch(connection, query, TraceRow)}
    seen = visible.traces(connection, cluster, list(newest))
    found = summarise(connection, cluster, [newest[trace_id] for trace_id in seen])
    return [summary for summary in found if _passes(summary, wanted)]


def _passes(summary: TraceSummary, wanted: TraceFilter) -> bool:
    start = summary.trace.start_time
    return (
        start >= wanted.since
        and (wanted.before is None or summary.position < wanted.before)
        and wanted.outcome in ("", summary.trace.outcome)
        and _says(summary, wanted.text)
        and (wanted.status is not Status.ERROR or summary.trace.error)
        and (wanted.status is not Status.WARNING or summary.trace.warnings > 0)
        and (not wanted.until or start < wanted.until)
        and summary.duration >= wanted.min_duration
        and wanted.actor in ("", summary.root.service if summary.root else "")
    )


def summarise(connection: Connection, cluster: str, found: Sequence[TraceRow]) -> list[TraceSummary]:
    """Return traces with their root spans, open ones with the values so far.

    The number of statements does not depend on the number of traces.
    """
    opened = [trace for trace in found if trace.state is TraceState.OPEN]
    closed = [trace for trace in found if trace.state is TraceState.CLOSED]
    summaries = [*_summarise_open(connection, cluster, opened), *_summarise_closed(connection, cluster, closed)]
    by_id = {summary.trace.trace_id: summary for summary in summaries}
    return [by_id[trace.trace_id] for trace in found]


def _summarise_closed(connection: Connection, cluster: str, closed: Sequence[TraceRow]) -> list[TraceSummary]:
    roots = reading.roots_of(connection, cluster, [trace.trace_id for trace in closed], "")
    return [TraceSummary(trace, roots.get(trace.trace_id)) for trace in closed]


def _summarise_open(connection: Connection, cluster: str, opened: Sequence[TraceRow]) -> list[TraceSummary]:
    rows_of = {trace.trace_id: trace for trace in opened}
    roots, stored = dict[str, SpanRow](), dict[str, str]()
    for trace_id, members in reading.members_of(connection, cluster, list(rows_of)):
        trace = rows_of[trace_id]
        if (top := _top(trace, members)) is not None:
            last = max(member.last_time for member in members)
            rows_of[trace_id] = _so_far(trace, top.span_id, members, last)
            if top.open_row is None:
                stored[trace_id] = top.span_id
            else:
                roots[trace_id] = top.open_row()
    roots |= reading.one_of_each(connection, cluster, stored)
    roots = {trace_id: reading.with_outcome(root, rows_of[trace_id]) for trace_id, root in roots.items()}
    return [TraceSummary(rows_of[trace.trace_id], roots.get(trace.trace_id)) for trace in opened]


def _top(trace: TraceRow, members: Sequence[_Span]) -> _Span | None:
    """Return the root: the first span that is not below another one."""
    known = {span.span_id for span in members}
    tops = (span for span in members if span.span_id == trace.root_span_id or span.parent_span_id not in known)
    return next(tops, None)


def _so_far(trace: TraceRow, root: str, members: Sequence[SpanRow | Member], last: int) -> TraceRow:
    return msgspec.structs.replace(
        trace,
        root_span_id=root,
        start_time=min(span.start_time for span in members),
        end_time=last,
        span_count=len(members),
        warnings=sum(span.error for span in members),
    )


# One trace


def find_trace(connection: Connection, cluster: str, prefix: str) -> tuple[TraceRow, list[SpanRow]]:
    """Return the trace whose id starts with ``prefix`` and its spans by start. Raises QueryError unless it is one."""
    return whole_trace(connection, cluster, trace_starting_with(connection, cluster, prefix))


def trace_starting_with(connection: Connection, cluster: str, prefix: str) -> TraceRow:
    """Return the trace whose id starts with ``prefix``, as it is stored. Raises QueryError unless it is one."""
    begin = prefix.strip().lower()
    if not begin or not set(begin) <= set("0123456789abcdef"):
        raise QueryError(f"invalid trace id {prefix!r}: use 32 hexadecimal digits, or the first of them")
    query = rows.select_rows(traces, TraceRow).where(
        traces.c.cluster == cluster, traces.c.trace_id >= begin, traces.c.trace_id < begin + "g"
    )
    found = rows.fetch(connection, query.order_by(traces.c.trace_id).limit(_SHOWN + 1), TraceRow)
    if not found:
        raise QueryError(f"no trace id starts with {begin!r}: 'kspan traces' lists the traces")
    if len(found) > 1:
        listed = ", ".join(trace.trace_id for trace in islice(found, _SHOWN))
        more = " …" if len(found) > _SHOWN else ""
        raise QueryError(f"several trace ids start with {begin!r}: use more digits of {listed}{more}")
    return found[0]


def read_traces(connection: Connection, cluster: str, trace_ids: Sequence[str]) -> list[tuple[TraceRow, list[SpanRow]]]:
    """Return traces and their spans by start, in the order of ``trace_ids``. Those that do not exist are left out."""
    known: dict[str, TraceRow] = {}
    for run in chunks(list(trace_ids)):
        query = rows.select_rows(traces, TraceRow).where(traces.c.cluster == cluster, traces.c.trace_id.in_(run))
        known |= {trace.trace_id: trace for trace in rows.fetch(connection, query, TraceRow)}
    return [whole_trace(connection, cluster, known[each]) for each in trace_ids if each in known]


def whole_trace(connection: Connection, cluster: str, found: TraceRow) -> tuple[TraceRow, list[SpanRow]]:
    """Return a trace and its spans by start, with the values so far if it is open."""
    members = reading.of_trace(connection, cluster, found.trace_id)
    top = _top(found, members) if found.state is TraceState.OPEN else None
    if top is not None:
        found = _so_far(found, top.span_id, members, max(map(reading.last_time, members)))
    if found.state is TraceState.OPEN:
        members = [reading.with_outcome(span, found) for span in members]
    return found, members
