"""Searches for traces as Jaeger does: by component, operation, time, duration and tags. The work is bounded.

Jaeger finds a trace if one of its spans matches. Only the newest spans of the time range are looked at, because no
index has the component.
"""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Final

import msgspec
from sqlalchemy import ColumnElement, Connection, Subquery, case, func, select, tuple_

from kspan.model import SpanRow, TraceRow
from kspan.query import spans as reading
from kspan.query.traces import summarise
from kspan.query.visible import Visible
from kspan.store.schema import tables as schema
from kspan.store.tables import rows
from kspan.store.tables.rows import chunks
from kspan.times import LATEST

spans, traces = schema.spans, schema.traces

LOOKED_AT: Final = 20_000
"""Newest spans of a time range that a search looks at, and from which components and operations are listed."""

PAGE: Final = 500
"""Spans whose tags are read at once."""

MOST: Final = 1_500
"""Traces in one answer (Jaeger's own limit)."""


class Wanted(msgspec.Struct, frozen=True):
    """Conditions of a search. Empty and 0 stand for any.

    ``since`` and ``until`` are Unix nanoseconds, durations of a span are nanoseconds.
    """

    service: str = ""
    operation: str = ""
    since: int = 0
    until: int = 0
    shortest: int = 0
    longest: int = 0
    tags: Mapping[str, str] = {}
    limit: int = 100


class ServiceCount(msgspec.Struct, frozen=True):
    """A component in a trace, with the number of its spans and of those that are errors."""

    name: str
    spans: int
    errors: int


class Found(msgspec.Struct, frozen=True):
    """A trace that matches. ``orphans`` is the number of spans whose parent is in another system."""

    trace: TraceRow
    root: SpanRow | None
    services: list[ServiceCount]
    orphans: int


def services(connection: Connection, cluster: str, visible: Visible) -> list[str]:
    """Return the components of the newest spans, sorted."""
    newest = _newest(cluster, Wanted())
    return _values(connection, cluster, visible, newest, newest.c.service)


def operations(connection: Connection, cluster: str, visible: Visible, service: str) -> list[str]:
    """Return the names of the newest spans of a component (empty: of all), sorted."""
    newest = _newest(cluster, Wanted())
    mine = [newest.c.service == service] if service else []
    return _values(connection, cluster, visible, newest, newest.c.name, *mine)


def _values(
    connection: Connection,
    cluster: str,
    visible: Visible,
    newest: Subquery,
    column: ColumnElement[str],
    *where: ColumnElement[bool],
) -> list[str]:
    """Return the values of a column of the newest spans in visible traces, sorted."""
    if visible.everything():
        return list(connection.execute(select(column).where(*where).distinct().order_by(column)).scalars())
    pairs = connection.execute(select(newest.c.trace_id, column).where(*where).distinct()).all()
    seen = set(visible.traces(connection, cluster, list(dict.fromkeys(trace_id for trace_id, _ in pairs))))
    return sorted({value for trace_id, value in pairs if trace_id in seen})


def search(connection: Connection, cluster: str, visible: Visible, wanted: Wanted) -> list[str]:
    """Return the ids of the visible traces that match, those with the newest matching span first."""
    newest = _newest(cluster, wanted)
    length = newest.c.end_time - newest.c.start_time
    given: list[tuple[object, ColumnElement[bool]]] = [
        (wanted.service, newest.c.service == wanted.service),
        (wanted.operation, newest.c.name == wanted.operation),
        (wanted.shortest, length >= wanted.shortest),
        (wanted.longest, length <= wanted.longest),
    ]
    matching = select(newest.c.trace_id, newest.c.span_id).where(
        *(condition for is_given, condition in given if is_given)
    )
    matching = matching.order_by(newest.c.start_time.desc(), newest.c.span_id)
    most = min(wanted.limit, MOST)
    ids: dict[str, None] = {}
    pairs = iter([(trace_id, span_id) for trace_id, span_id in connection.execute(matching)])
    while len(ids) < most and (page := list(islice(pairs, PAGE))):
        seen = set(visible.traces(connection, cluster, list(dict.fromkeys(trace_id for trace_id, _ in page))))
        page = [pair for pair in page if pair[0] in seen]
        if wanted.tags:
            page = _tagged(connection, cluster, page, wanted.tags)
        ids |= dict.fromkeys(trace_id for trace_id, _ in page)
    return list(ids)[:most]


def summarised(connection: Connection, cluster: str, trace_ids: Sequence[str]) -> list[Found]:
    """Return traces by id with their components, in this order. Those that do not exist are left out."""
    known: dict[str, TraceRow] = {}
    counts: dict[str, list[ServiceCount]] = {}
    orphans: dict[str, int] = {}
    failed = func.sum(case((spans.c.error, 1), else_=0))
    remote = func.sum(case((spans.c.remote_parent, 1), else_=0))
    for run in chunks(list(trace_ids)):
        here = rows.select_rows(traces, TraceRow).where(traces.c.cluster == cluster, traces.c.trace_id.in_(run))
        known |= {trace.trace_id: trace for trace in rows.fetch(connection, here, TraceRow)}
        query = (
            select(spans.c.trace_id, spans.c.service, func.count(), failed, remote)
            .where(spans.c.cluster == cluster, spans.c.trace_id.in_(run))
            .group_by(spans.c.trace_id, spans.c.service)
            .order_by(spans.c.trace_id, spans.c.service)
        )
        for trace_id, service, count, errors, without_parent in connection.execute(query):
            counts.setdefault(trace_id, []).append(ServiceCount(service, count, errors))
            orphans[trace_id] = orphans.get(trace_id, 0) + without_parent
    summaries = summarise(connection, cluster, [known[trace_id] for trace_id in trace_ids if trace_id in known])
    return [
        Found(each.trace, each.root, counts.get(each.trace.trace_id, []), orphans.get(each.trace.trace_id, 0))
        for each in summaries
    ]


def newest_spans(connection: Connection, cluster: str, visible: Visible, since: int, until: int) -> list[SpanRow]:
    """Return those of the newest spans between two times (Unix ns) that are in visible traces."""
    query = (
        rows.select_rows(spans, SpanRow)
        .where(spans.c.cluster == cluster, spans.c.start_time >= since, spans.c.start_time <= until)
        .order_by(spans.c.start_time.desc())
        .limit(LOOKED_AT)
    )
    return visible.spans(connection, cluster, rows.fetch(connection, query, SpanRow))


def _newest(cluster: str, wanted: Wanted) -> Subquery:
    columns = (
        *(spans.c.trace_id, spans.c.span_id, spans.c.service, spans.c.name),
        *(spans.c.start_time, spans.c.end_time),
    )
    between = (spans.c.start_time >= wanted.since, spans.c.start_time <= (wanted.until or LATEST))
    query = select(*columns).where(spans.c.cluster == cluster, *between)
    return query.order_by(spans.c.start_time.desc()).limit(LOOKED_AT).subquery()


def _tagged(
    connection: Connection, cluster: str, page: Sequence[tuple[str, str]], tags: Mapping[str, str]
) -> list[tuple[str, str]]:
    """Return those of these spans (trace id, span id) that have all tags."""
    of_page = tuple_(spans.c.trace_id, spans.c.span_id).in_(page)
    query = rows.select_rows(spans, SpanRow).where(spans.c.cluster == cluster, of_page)
    tagged = {(s.trace_id, s.span_id) for s in reading.fetch(connection, cluster, query) if _has(s, tags)}
    return [pair for pair in page if pair in tagged]


def _has(span: SpanRow, tags: Mapping[str, str]) -> bool:
    known = {**span.attributes, "error": span.error, "service.instance.id": span.instance}
    return all(_as_text(known.get(key)) == text for key, text in tags.items())


def _as_text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return str(value).lower() if isinstance(value, bool) else str(value)
