"""``kspan why``: from what happened to an object up to its root cause, and what else that cause did."""

from typing import Final

import msgspec
from sqlalchemy import Connection, func, select

from kspan.errors import QueryError
from kspan.ids import unnamed
from kspan.model import ObjectRow, SpanRow, TraceRow
from kspan.query import spans as reading
from kspan.query.objects.find import Found, find
from kspan.query.objects.names import ObjectName
from kspan.store.schema import tables as schema
from kspan.store.tables import rows
from kspan.times import LATEST, format_time

spans, traces = schema.spans, schema.traces

EFFECTS: Final = 12
"""Lines of what else the cause did: the rest is counted."""

FOLLOWED: Final = 5

CERTAIN: Final = 0.6
"""A root below this confidence is one only because nothing before it is known."""


class Link(msgspec.Struct, frozen=True):
    """One occurrence of the chain.

    ``continues`` is the trace that its cause is in, where that is another one: it was closed before this came.
    """

    span: SpanRow
    continues: str = ""


class Effect(msgspec.Struct, frozen=True):
    """What else the cause did: ``count`` occurrences of one sort, on ``objects`` objects, from ``first`` (ns) on.
    ``example`` names one of the objects, ``message`` is one of the errors' messages."""

    kind: str
    reason: str
    error: bool
    count: int
    objects: int
    first: int
    example: str
    message: str


class Why(msgspec.Struct, frozen=True):
    """The answer.

    ``undecided`` are newer occurrences of the object whose cause is not chosen yet, newest first. ``steps`` lead from
    its newest decided occurrence to the root cause. Where the chain leaves the database, ``remote`` is the (trace id,
    span id) that the object carried, and ``lost`` the trace that is not kept any more; ``related`` is the (trace id,
    span id) that the object had carried since before the last step. ``trace`` is that of the last step: ``effects``
    are what else is in it (``more_effects`` sorts are left out), ``followed`` the traces that go on from it.
    """

    found: Found
    undecided: list[SpanRow]
    steps: list[Link]
    remote: tuple[str, str] | None
    lost: str
    related: tuple[str, str] | None
    trace: TraceRow | None
    effects: list[Effect]
    more_effects: int
    followed: list[TraceRow]


def why(connection: Connection, cluster: str, wanted: ObjectName, *, at: int = 0, uid: str = "") -> Why:
    """Why the newest occurrence of an object came about, or the newest that began at or before ``at`` (ns; 0: now).

    Raises QueryError where no such object was seen, where a name means several, and where nothing happened to it.
    """
    found = find(connection, cluster, wanted, uid=uid, at=at)
    until = at or LATEST
    undecided = _undecided(connection, cluster, found.object, until)
    newest = _newest(connection, cluster, found, until)
    if newest is None and not undecided:
        raise QueryError(_nothing_happened(found.object, at))
    steps = _chain(connection, cluster, newest) if newest else []
    trace = _trace(connection, cluster, steps[-1].span.trace_id) if steps else None
    remote, lost, related = _end(steps[-1].span, trace) if steps else (None, "", None)
    effects = _effects(connection, cluster, steps) if steps else []
    return Why(
        found=found,
        undecided=[span for span in undecided if newest is None or span.start_time >= newest.start_time],
        steps=steps,
        remote=remote,
        lost=lost,
        related=related,
        trace=trace,
        effects=effects[:EFFECTS],
        more_effects=max(len(effects) - EFFECTS, 0),
        followed=_followed(connection, cluster, trace) if trace else [],
    )


# The occurrence


def _newest(connection: Connection, cluster: str, found: Found, until: int) -> SpanRow | None:
    here = found.object
    uids = [here.uid, unnamed(here.kind, here.namespace, here.name)]
    query = (
        rows.select_rows(spans, SpanRow)
        .where(
            spans.c.cluster == cluster,
            spans.c.object_kind == here.kind,
            spans.c.object_namespace == here.namespace,
            spans.c.object_name == here.name,
            spans.c.object_uid.in_(uids),
            spans.c.start_time <= until,
        )
        .order_by(spans.c.start_time.desc())
        .limit(16)
    )
    newest = list(reading.fetch(connection, cluster, query))
    together = [span for span in newest if span.start_time == newest[0].start_time]
    # Of what began in the same instant the last is the one that the others led to.
    causes = {span.parent_span_id for span in together}
    return next((span for span in together if span.span_id not in causes), None)


def _undecided(connection: Connection, cluster: str, here: ObjectRow, until: int) -> list[SpanRow]:
    pending = schema.pending.c
    of_name = (
        pending.object_kind == here.kind,
        pending.object_namespace == here.namespace,
        pending.object_name == here.name,
        pending.start_time <= until,
    )
    found = [span for span in reading.waiting(connection, cluster, *of_name) if span.object_uid == here.uid]
    return sorted(found, key=lambda span: -span.start_time)


def _nothing_happened(here: ObjectRow, at: int) -> str:
    name = f"{here.kind} {f'{here.namespace}/' if here.namespace else ''}{here.name}"
    until = f" until {format_time(at)[:19]}Z" if at else ""
    first = f"; it was there when kspan first looked, created {format_time(here.created_at)[:19]}Z"
    return f"nothing is known to have happened to {name}{until}{first if here.created_at and not at else ''}"


# The chain


def _chain(connection: Connection, cluster: str, newest: SpanRow) -> list[Link]:
    """The steps from ``newest`` up to where nothing before is known."""
    steps: list[Link] = []
    walked: set[tuple[str, str]] = set()
    here: SpanRow | None = newest
    while here is not None and (here.trace_id, here.span_id) not in walked and len(steps) < reading.DEEPEST:
        linked: SpanRow | None = None
        for span in reading.line_of(connection, cluster, here.trace_id, here.span_id):
            walked.add((span.trace_id, span.span_id))
            linked = _linked(connection, cluster, span)
            steps.append(Link(span, linked.trace_id if linked else ""))
            if linked:
                break
        here = linked
    return steps


def _end(last: SpanRow, trace: TraceRow | None) -> tuple[tuple[str, str] | None, str, tuple[str, str] | None]:
    """What the last step names and the database has not: a remote parent, the trace that its own continues, and the
    context that its object carried from before."""
    remote = (last.trace_id, last.parent_span_id) if last.remote_parent else None
    previous = trace.previous_trace_id if trace is not None else ""
    lost = next((link.trace_id for link in last.links if link.trace_id == previous), "")
    related = next(((link.trace_id, link.span_id) for link in last.links if link.trace_id != previous), None)
    return remote, lost, related


def _linked(connection: Connection, cluster: str, span: SpanRow) -> SpanRow | None:
    """The cause in an earlier trace, which was closed before this span came. It is nearer than the parent, under which
    all that came to an object after that is only gathered."""
    for link in span.links:
        cause = reading.one(connection, cluster, link.trace_id, link.span_id)
        if cause is not None:
            return cause
    return None


# What else


def _trace(connection: Connection, cluster: str, trace_id: str) -> TraceRow | None:
    query = rows.select_rows(traces, TraceRow).where(traces.c.cluster == cluster, traces.c.trace_id == trace_id)
    return next(iter(rows.fetch(connection, query, TraceRow)), None)


def _effects(connection: Connection, cluster: str, steps: list[Link]) -> list[Effect]:
    """What is in the trace of the root cause and not in the chain: errors first, then by time."""
    trace_id = steps[-1].span.trace_id
    chain = [step.span.span_id for step in steps if step.span.trace_id == trace_id]
    first = func.min(spans.c.start_time)
    # No column by name: SQLite would rather walk through all spans in the order of an index that begins with the kind
    # than sort the few of this trace.
    kind = func.coalesce(spans.c.object_kind, "")
    query = (
        select(
            kind,
            spans.c.reason,
            spans.c.error,
            func.count(),
            func.count(spans.c.object_uid.distinct()),
            first,
            func.max(spans.c.object_name),
            func.max(spans.c.message),
        )
        .where(spans.c.cluster == cluster, spans.c.trace_id == trace_id, spans.c.span_id.not_in(chain))
        .group_by(kind, spans.c.reason, spans.c.error)
        .order_by(spans.c.error.desc(), first, kind, spans.c.reason)
    )
    return [Effect(*row) for row in connection.execute(query)]


def _followed(connection: Connection, cluster: str, trace: TraceRow) -> list[TraceRow]:
    query = (
        rows.select_rows(traces, TraceRow)
        .where(
            traces.c.cluster == cluster, traces.c.previous_trace_id == trace.trace_id, traces.c.previous_trace_id != ""
        )
        .order_by(traces.c.opened_at)
        .limit(FOLLOWED)
    )
    return rows.fetch(connection, query, TraceRow)
