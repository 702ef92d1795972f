"""Reads spans in any state, with everything that is known about them so far."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, Final, NamedTuple

from msgspec.structs import replace
from sqlalchemy import BigInteger, ColumnElement, Connection, Select, and_, bindparam, func, literal, select

from kspan import vocabulary
from kspan.errors import QueryError
from kspan.ids import unnamed
from kspan.model import ObjectRow, PendingRow, SpanRow, SpanState, TraceRow
from kspan.store.schema import tables as schema
from kspan.store.tables import rows
from kspan.store.tables.fold_history import fold_version

pending: Final = schema.pending
spans: Final = schema.spans

DEEPEST: Final = 1_000
"""Maximum number of ancestors that are read. A real chain of causes has about ten links."""

_RUN: Final = 500
"""Spans of traces that are read at a time."""


def fetch(connection: Connection, cluster: str, query: Select[Any]) -> Iterator[SpanRow]:
    """Yield the spans of a ``rows.select_rows(spans, SpanRow)``. Open spans get the attributes known so far.

    Raises QueryError if another version of the fold wrote a span that is still open.
    """
    checked = False
    for row in connection.execute(query):
        span = SpanRow(*row)
        if span.state is not SpanState.CLOSED:
            # Imported here: the libraries of the graph take a tenth of a second, and most answers do not need them.
            from kspan.graph.state.rows import span_so_far

            if not checked:
                check_fold_version(connection, cluster)
                checked = True
            span = span_so_far(span)
        yield span


def check_fold_version(connection: Connection, cluster: str) -> None:
    """Raise QueryError if another version of the fold wrote the spans that are open."""
    from kspan.graph.state.version import FOLD_VERSION

    version = fold_version(connection, cluster)
    if version is not None and version != FOLD_VERSION:
        raise QueryError(
            f"the open traces were written by another version of kspan (fold version {version}, this one reads "
            f"{FOLD_VERSION}): use that version, or run 'kspan db rebuild' with the same --db"
        )


def waiting(connection: Connection, cluster: str, *where: ColumnElement[bool]) -> Iterator[SpanRow]:
    """Yield the future spans of occurrences that wait for their cause, in order of arrival."""
    from kspan.graph.state.rows import pending_span_so_far

    query = rows.select_rows(pending, PendingRow).where(pending.c.cluster == cluster, *where)
    found = connection.execute(query.order_by(pending.c.arrival)).all()
    if found:
        check_fold_version(connection, cluster)
    for row in found:
        yield pending_span_so_far(PendingRow(*row))


def with_outcome(span: SpanRow, trace: TraceRow) -> SpanRow:
    """Return a span; the root of an open trace in which something fails as it would be if the trace were closed now."""
    if span.state is not SpanState.OPEN or span.parent_span_id or not trace.outcome:
        return span
    attributes = span.attributes | {vocabulary.OUTCOME: trace.outcome, vocabulary.OUTCOME_REASON: trace.reason}
    return replace(span, attributes=attributes, error=True, message=trace.reason)


def with_outcomes(connection: Connection, cluster: str, found: Iterable[SpanRow]) -> list[SpanRow]:
    """Return spans, of which the roots of open traces say what fails."""
    found = list(found)
    ids = sorted({span.trace_id for span in found if span.state is SpanState.OPEN and not span.parent_span_id})
    traces, known = schema.traces, dict[str, TraceRow]()
    for run in rows.chunks(ids):
        query = rows.select_rows(traces, TraceRow).where(traces.c.cluster == cluster, traces.c.trace_id.in_(run))
        known |= {trace.trace_id: trace for trace in rows.fetch(connection, query, TraceRow)}
    return [with_outcome(span, known[span.trace_id]) if span.trace_id in known else span for span in found]


def of_trace(connection: Connection, cluster: str, trace_id: str) -> list[SpanRow]:
    """Return all spans of a trace, by start time."""
    query = rows.select_rows(spans, SpanRow).where(spans.c.cluster == cluster, spans.c.trace_id == trace_id)
    found = rows.fetch(connection, query, SpanRow)
    if any(span.state is not SpanState.CLOSED for span in found):
        from kspan.graph.trace.so_far import so_far

        check_fold_version(connection, cluster)
        found = so_far(found)
    return sorted(found, key=lambda span: (span.start_time, span.span_id))


class Member(NamedTuple):
    """A span of a trace, as a list of traces needs it.

    Args:
        span_id, parent_span_id, start_time, error: columns of the span.
        last_time: when it ended, or its occurrence happened last (Unix ns).
        open_row: makes the row of the span so far; None if it is the stored one.
    """

    span_id: str
    parent_span_id: str
    start_time: int
    error: bool
    last_time: int
    open_row: Callable[[], SpanRow] | None


_MEMBERS: Final = select(
    spans.c.trace_id,
    spans.c.span_id,
    spans.c.parent_span_id,
    spans.c.start_time,
    spans.c.error,
    spans.c.end_time,
    spans.c.events,
    spans.c.fold,
    spans.c.state,
).where(spans.c.cluster == bindparam("cluster"), spans.c.trace_id.in_(bindparam("traces", expanding=True)))


def members_of(connection: Connection, cluster: str, trace_ids: Sequence[str]) -> Iterator[tuple[str, list[Member]]]:
    """Yield the ids of traces, in order, with their spans by start. Traces without spans are left out.

    One statement reads the spans of many traces. Raises QueryError if another version of the fold wrote an open span.
    """
    from kspan.graph.trace.so_far import open_spans

    checked = False
    for ids in rows.chunks(sorted(trace_ids)):
        found = connection.execute(_MEMBERS.order_by(spans.c.trace_id), {"cluster": cluster, "traces": ids})
        every = (row for run in found.partitions(_RUN) for row in run)
        for trace_id, group in groupby(every, key=itemgetter(0)):
            of_trace = list(group)
            if not checked and any(row.state is not SpanState.CLOSED for row in of_trace):
                check_fold_version(connection, cluster)
                checked = True
            known = open_spans(row.fold for row in of_trace if row.fold)
            members = []
            for _, span_id, parent, start, error, end, events, _, _ in of_trace:
                if (now := known.get(span_id)) is not None:
                    members.append(Member(span_id, parent, start, error, now.last_time, now.row))
                else:
                    last = max([end, *(event.time for event in events)])
                    members.append(Member(span_id, parent, start, error, last, None))
            members.sort(key=lambda member: (member.start_time, member.span_id))
            yield trace_id, members


def roots_of(connection: Connection, cluster: str, trace_ids: Sequence[str], actor: str) -> dict[str, SpanRow]:
    """Return the root spans of closed traces by trace id; with ``actor`` only those of this actor."""
    found: dict[str, SpanRow] = {}
    traces = schema.traces
    mine = (spans.c.cluster == traces.c.cluster, spans.c.trace_id == traces.c.trace_id)
    for ids in rows.chunks(trace_ids):
        query = (
            rows.select_rows(spans, SpanRow)
            .join(traces, and_(*mine, spans.c.span_id == traces.c.root_span_id))
            .where(traces.c.cluster == cluster, traces.c.trace_id.in_(ids))
        )
        query = query.where(spans.c.service == actor) if actor else query
        found |= {span.trace_id: span for span in fetch(connection, cluster, query)}
    return found


def one_of_each(connection: Connection, cluster: str, wanted: Mapping[str, str]) -> dict[str, SpanRow]:
    """Return one span of each of some traces by trace id. ``wanted`` has its id by trace id."""
    found: dict[str, SpanRow] = {}
    for ids in rows.chunks(list(wanted)):
        some = (spans.c.trace_id.in_(ids), spans.c.span_id.in_([wanted[each] for each in ids]))
        query = rows.select_rows(spans, SpanRow).where(spans.c.cluster == cluster, *some)
        read = fetch(connection, cluster, query)
        found |= {span.trace_id: span for span in read if span.span_id == wanted[span.trace_id]}
    return found


def of_object(cluster: str, here: ObjectRow, *, unnamed_too: bool = False) -> Select[Any]:
    """Select the spans of an object, newest first.

    ``unnamed_too`` adds those of Events that name the object without its uid.
    """
    uids = [here.uid, unnamed(here.kind, here.namespace, here.name)] if unnamed_too else [here.uid]
    query = rows.select_rows(spans, SpanRow).where(
        spans.c.cluster == cluster,
        spans.c.object_kind == here.kind,
        spans.c.object_namespace == here.namespace,
        spans.c.object_name == here.name,
        spans.c.object_uid.in_(uids) if unnamed_too else spans.c.object_uid == here.uid,
    )
    return query.order_by(spans.c.start_time.desc())


def unindexed(time: ColumnElement[int]) -> ColumnElement[int]:
    """Return a column of times as an expression, which no index has.

    For conditions and the order within one trace: with the column alone SQLite walks through all spans by time, and not
    through those of the trace.
    """
    return time + literal(0, BigInteger)


def not_after(column: ColumnElement[int], time: int) -> ColumnElement[bool]:
    """Return the condition that spans of a trace started at or before a time (Unix ns)."""
    return unindexed(column) <= literal(time, BigInteger)


def last_time(span: SpanRow) -> int:
    """Return when the span ended, or its occurrence happened last (Unix ns)."""
    return max([span.end_time, *(event.time for event in span.events)])


def one(connection: Connection, cluster: str, trace_id: str, span_id: str) -> SpanRow | None:
    """Return a span by its ids."""
    here = (spans.c.cluster == cluster, spans.c.trace_id == trace_id, spans.c.span_id == span_id)
    return next(fetch(connection, cluster, rows.select_rows(spans, SpanRow).where(*here)), None)


def ancestors(connection: Connection, cluster: str, trace_id: str, span_id: str) -> list[SpanRow]:
    """Return a span and its ancestors within its trace, nearest first, at most ``DEEPEST``."""
    here = (spans.c.cluster == cluster, spans.c.trace_id == trace_id)
    first = select(spans.c.span_id, spans.c.parent_span_id, literal(0).label("depth")).where(
        *here, spans.c.span_id == span_id
    )
    line = first.cte("line", recursive=True)
    above = select(spans.c.span_id, spans.c.parent_span_id, line.c.depth + 1).where(
        *here, spans.c.span_id == line.c.parent_span_id, line.c.parent_span_id != "", line.c.depth < DEEPEST
    )
    line = line.union_all(above)
    query = (
        rows.select_rows(spans, SpanRow)
        .join(line, line.c.span_id == spans.c.span_id)
        .where(*here)
        .order_by(line.c.depth)
    )
    return with_outcomes(connection, cluster, _without_cycle(fetch(connection, cluster, query)))


def _without_cycle(line: Iterator[SpanRow]) -> list[SpanRow]:
    # The fold creates no cycle of parents, but a damaged database can contain one.
    found: dict[str, SpanRow] = {}
    for span in line:
        if span.span_id in found:
            break
        found[span.span_id] = span
    return list(found.values())


def summary_of(span: SpanRow) -> str:
    """Return the summary of a change; empty if the span is not a change or its content is unknown."""
    text = span.attributes.get(vocabulary.CHANGE_SUMMARY, "")
    return text if isinstance(text, str) else ""


def manager_of(span: SpanRow) -> str:
    """Return the field manager of a change or transition: ``kubectl-set``, where the service is ``kubectl``.

    Empty if it is unknown, and for an Event.
    """
    manager = span.attributes.get(vocabulary.FIELD_MANAGER, "")
    return manager if isinstance(manager, str) else ""


def outcome_of(span: SpanRow) -> str:
    """Return how the trace of a root span ended; empty for another span."""
    return str(span.attributes.get(vocabulary.OUTCOME, ""))


def outcome_reason_of(span: SpanRow) -> str:
    """Return what failed in the trace of a root span, or what superseded it; empty if there is nothing to say."""
    return str(span.attributes.get(vocabulary.OUTCOME_REASON, ""))


def last_repeat(span: SpanRow) -> int:
    """Return when the occurrence was repeated last (Unix ns; 0: never)."""
    return max(all_times(span)[1:], default=0)


def all_times(span: SpanRow) -> list[int]:
    """Return when the occurrence happened, and when it was repeated (Unix ns), as far as repeats were kept."""
    return [span.start_time, *(event.time for event in span.events if vocabulary.is_repeat(event.attributes))]


def times(span: SpanRow) -> int:
    """Return how often the occurrence happened."""
    return vocabulary.count_occurrences(span.attributes, (event.attributes for event in span.events))


def distinct(column: ColumnElement[str], *conditions: ColumnElement[bool], name: str) -> Select[str]:
    """Select the distinct values of a column with one index seek for each.

    The index must start with the columns of ``conditions``. (Neither database does this for SELECT DISTINCT.) ``name``
    must be unique within a statement.
    """
    first = select(func.min(column).label("value")).where(*conditions)
    walk = first.cte(name, recursive=True)
    after = select(func.min(column)).where(*conditions, column > walk.c.value).correlate(walk).scalar_subquery()
    walk = walk.union_all(select(after).where(walk.c.value.is_not(None)))
    return select(walk.c.value).where(walk.c.value.is_not(None))


# The part of the history that one page looks at, so that no page looks at all of it.


def older_edge(connection: Connection, cluster: str, before: int, most: int, namespace: str = "") -> int:
    """Return the start (Unix ns) of the ``most``-th newest span before a time; 0 if there are fewer.

    ``before`` is 0 for now. With ``namespace`` only spans about its objects count.
    """
    query = _starts(cluster, namespace, 0)
    query = query.where(schema.spans.c.start_time < before) if before else query
    return connection.execute(query.order_by(schema.spans.c.start_time.desc()).offset(most - 1).limit(1)).scalar() or 0


def newer_edge(connection: Connection, cluster: str, after: int, most: int, namespace: str = "") -> int:
    """Return the start (Unix ns) of the ``most``-th oldest span after a time; 0 if there are fewer.

    With ``namespace`` only spans about its objects count.
    """
    query = _starts(cluster, namespace, max(after, 0))
    return connection.execute(query.order_by(schema.spans.c.start_time).offset(most - 1).limit(1)).scalar() or 0


def _starts(cluster: str, namespace: str, after: int) -> Select[Any]:
    # One lower bound: of two, SQLite uses the first for the index, and filters by the second.
    query = select(spans.c.start_time).where(spans.c.cluster == cluster, spans.c.start_time > after)
    return query.where(spans.c.object_namespace == namespace) if namespace else query
