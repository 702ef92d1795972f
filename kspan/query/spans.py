"""Spans as questions read them: whatever their state, with all that is known of them."""

from collections.abc import Iterator
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Select, func, literal, select

from kspan import vocabulary
from kspan.errors import QueryError
from kspan.model import PendingRow, SpanRow, SpanState
from kspan.store.schema import tables as schema
from kspan.store.tables import rows
from kspan.store.tables.fold_history import fold_version

spans: Final = schema.spans

DEEPEST: Final = 1_000
"""Steps of one chain that are followed: a real one has about ten."""


def fetch(connection: Connection, cluster: str, query: Select[Any]) -> Iterator[SpanRow]:
    """The spans of a ``rows.select_rows(spans, SpanRow)``; open ones with everything known so far.

    Raises QueryError if another version of the fold wrote a span that is still open.
    """
    checked = False
    for row in connection.execute(query):
        span = SpanRow(*row)
        if span.state is not SpanState.CLOSED:
            # Imported here: the libraries of the graph take a tenth of a second, and most answers do not need them.
            from kspan.graph.state.rows import told_so_far

            if not checked:
                _check_fold_version(connection, cluster)
                checked = True
            span = told_so_far(span)
        yield span


def _check_fold_version(connection: Connection, cluster: str) -> None:
    from kspan.graph.state.version import FOLD_VERSION

    version = fold_version(connection, cluster)
    if version is not None and version != FOLD_VERSION:
        raise QueryError(
            f"the open traces were written by another version of kspan (fold version {version}, this one reads "
            f"{FOLD_VERSION}): use that version, or run 'kspan db rebuild'"
        )


def waiting(connection: Connection, cluster: str, *where: ColumnElement[bool]) -> Iterator[SpanRow]:
    """The spans that occurrences will become which wait for their cause, in the order in which those came."""
    from kspan.graph.state.rows import span_to_be

    pending = schema.pending
    query = rows.select_rows(pending, PendingRow).where(pending.c.cluster == cluster, *where)
    found = connection.execute(query.order_by(pending.c.arrival)).all()
    if found:
        _check_fold_version(connection, cluster)
    for row in found:
        yield span_to_be(PendingRow(*row))


def of_trace(connection: Connection, cluster: str, trace_id: str) -> list[SpanRow]:
    """All spans of a trace, by start."""
    query = rows.select_rows(spans, SpanRow).where(spans.c.cluster == cluster, spans.c.trace_id == trace_id)
    return sorted(fetch(connection, cluster, query), key=lambda span: (span.start_time, span.span_id))


def one(connection: Connection, cluster: str, trace_id: str, span_id: str) -> SpanRow | None:
    """A span by its ids."""
    here = (spans.c.cluster == cluster, spans.c.trace_id == trace_id, spans.c.span_id == span_id)
    return next(fetch(connection, cluster, rows.select_rows(spans, SpanRow).where(*here)), None)


def line_of(connection: Connection, cluster: str, trace_id: str, span_id: str) -> list[SpanRow]:
    """A span and its ancestors within its trace, nearest first, at most ``DEEPEST``."""
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
    return _until_it_turns(fetch(connection, cluster, query))


def _until_it_turns(line: Iterator[SpanRow]) -> list[SpanRow]:
    # A ring of parents is nothing that the fold makes, but a damaged database can have one.
    found: dict[str, SpanRow] = {}
    for span in line:
        if span.span_id in found:
            break
        found[span.span_id] = span
    return list(found.values())


def summary_of(span: SpanRow) -> str:
    """What changed, in readable words; empty where the span is no change, or nothing of it is known."""
    text = span.attributes.get(vocabulary.CHANGE_SUMMARY, "")
    return text if isinstance(text, str) else ""


def who(span: SpanRow) -> str:
    """The component that did it, as exactly as is known: ``kubectl-set`` rather than ``kubectl``."""
    manager = span.attributes.get(vocabulary.FIELD_MANAGER)
    if isinstance(manager, str) and manager.startswith(f"{span.service}-"):
        return manager
    return span.service


def times(span: SpanRow) -> int:
    """How often it happened: an Event's counts jump, so they tell more than the number of repeats that were seen."""
    repeats = [event for event in span.events if vocabulary.is_repeat(event.attributes)]
    counts = [event.attributes.get(vocabulary.EVENT_COUNT) for event in repeats]
    known = [count for count in counts if isinstance(count, int)]
    first = span.attributes.get(vocabulary.EVENT_COUNT, 1)
    told = max(known) - first + 1 if known and isinstance(first, int) else 0
    return max(told, 1 + len(repeats))


def distinct(column: ColumnElement[str], *conditions: ColumnElement[bool], name: str) -> Select[str]:
    """The different values of a column under conditions, by one seek each in an index that begins with these
    (neither database does that for SELECT DISTINCT). ``name`` tells two of them in one statement apart."""
    first = select(func.min(column).label("value")).where(*conditions)
    walk = first.cte(name, recursive=True)
    after = select(func.min(column)).where(*conditions, column > walk.c.value).correlate(walk).scalar_subquery()
    walk = walk.union_all(select(after).where(walk.c.value.is_not(None)))
    return select(walk.c.value).where(walk.c.value.is_not(None))
