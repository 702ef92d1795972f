"""``kspan why``: the chain of causes of an occurrence up to its root cause, and the root cause's other effects."""

from typing import Final

import msgspec
from msgspec.structs import replace
from sqlalchemy import Connection

from kspan import vocabulary
from kspan.errors import QueryError
from kspan.model import ObjectRow, SpanLink, SpanRow, TraceRow
from kspan.query import spans as reading
from kspan.query.explain.as_of import as_of
from kspan.query.explain.effects import Effect, effects_in
from kspan.query.explain.own import own_error, own_message
from kspan.query.explain.reasons.disruptions import replacement_of
from kspan.query.explain.reasons.find_reason import Facts, reason_of
from kspan.query.explain.reasons.reason import Reason
from kspan.query.explain.serving import still_serving
from kspan.query.explain.shown import Shown, shown_of
from kspan.query.objects.find import Found, find
from kspan.query.objects.names import ObjectName
from kspan.query.objects.status import state_of
from kspan.query.traces import summarise
from kspan.query.visible import EVERYTHING, Visible
from kspan.store.schema import tables as schema
from kspan.store.tables import rows
from kspan.times import LATEST, SECOND, format_time

spans, traces = schema.spans, schema.traces

EFFECTS: Final = 12
"""Maximum number of effects; the others are counted."""

FOLLOWED: Final = 5

ERRORS: Final = 100
"""Maximum number of errors of one object that are read."""

REPORTED: Final = 2 * SECOND
"""A controller writes a condition and the Event about the same at once (times of Events may be in whole seconds)."""

RECENT: Final = 900 * SECOND
"""An error of an object explains what it does next for as long as this (the default of ``--max-trace-age``)."""

CERTAIN: Final = 0.6
"""Confidence from which a root counts as a root cause. Below it, the cause is unknown."""


class Link(msgspec.Struct, frozen=True):
    """One occurrence in a chain of causes.

    ``continues`` is the id of the trace that contains its cause, if that is another one: it was closed before, or an
    Event in it reports the same failure.
    """

    span: SpanRow
    continues: str = ""


class Why(msgspec.Struct, frozen=True):
    """The answer of ``why``. Pairs of strings are (trace id, span id)."""

    found: Found
    undecided: list[SpanRow]  # newer occurrences of the object that still wait for their cause, newest first
    links: list[Link]  # from the newest decided occurrence, or the failure that ``shown`` has, to the root cause
    remote: tuple[str, str] | None  # the remote parent of the last link, from a trace context on the object
    lost: str  # the trace that contained the cause of the last link, if it was pruned
    related: tuple[str, str] | None  # a trace context that the object carried before the last link
    trace: TraceRow | None  # the trace of the last link
    resumed: list[SpanRow]  # changes made while the rollout was paused that the last link resumed, oldest first
    effects: list[Effect]  # other occurrences in that trace
    more_effects: int  # number of groups that ``effects`` leaves out
    followed: list[TraceRow]  # the traces that continue that trace
    state: str = ""  # what the object says of its state
    problem: SpanRow | None = None  # the newest error of the object, if it happened recently and is not in ``links``
    problem_since: int = 0  # when an error of the same reason happened first (Unix ns)
    message: SpanRow | None = None  # the first report of the newest error, if only that one has the reason
    reason: Reason | None = None  # what made it happen, if that is nearer than the chain
    replacement: str = ""  # the Pod that was created in the place of a deleted one, and its state
    serving: str = ""  # the Pods of older revisions that still serve while a rollout fails
    shown: Shown | None = None  # what the answer begins with; None without links
    at: int = 0  # the time that was asked about (Unix ns; 0: now)


def why(
    connection: Connection,
    cluster: str,
    wanted: ObjectName,
    *,
    at: int = 0,
    uid: str = "",
    visible: Visible = EVERYTHING,
) -> Why:
    """Return the chain of causes of an object's newest occurrence, or of the newest at ``at`` (Unix ns; 0: now).

    Raises QueryError if the object is unknown, if its name is ambiguous, if it has no occurrence, and if the asker may
    not see the whole chain.
    """
    found = find(connection, cluster, wanted, uid=uid, at=at, visible=visible)
    until = at or LATEST
    undecided = _undecided(connection, cluster, found.object, until)
    newest = _newest(connection, cluster, found, until)
    if newest is None and not undecided:
        raise QueryError(_nothing_happened(found.object, at))
    links = _chain(connection, cluster, newest, at) if newest else []
    trace = _trace(connection, cluster, links[-1].span.trace_id) if links else None
    resumed = _resumed(connection, cluster, links[-1].span) if links else []
    problem, problem_since = _problem(connection, cluster, found.object, newest, links) if newest else (None, 0)
    effects = _effects(connection, cluster, links, until) if links else []
    first = _shown(found.object, links, effects, trace) if links else None
    if first is not None and first.effect is not None:
        # The chain begins with the failure that is shown, and not with what the object did last.
        below = _chain_of_failure(connection, cluster, first.effect, links[-1].span, at)
        if below:
            links, first = below, first._replace(number=0)
            effects = _effects(connection, cluster, links, until)
    shown = {span.trace_id for span in (*(link.span for link in links), *resumed, *([problem] if problem else []))}
    if len(visible.traces(connection, cluster, sorted(shown))) < len(shown):
        raise QueryError(f"{found.object.kind} {found.object.name}: you may not see everything that led to its state")
    remote, lost, related = _end(links[-1].span, trace, resumed) if links else (None, "", None)
    answer = Why(
        found=found,
        undecided=[as_of(each, at) for each in undecided if newest is None or each.start_time >= newest.start_time],
        links=links,
        remote=remote,
        lost=lost,
        related=related,
        trace=trace,
        resumed=[as_of(each, at) for each in resumed],
        effects=effects[:EFFECTS],
        more_effects=max(len(effects) - EFFECTS, 0),
        followed=_followed(connection, cluster, trace, visible, until) if trace else [],
        state=state_of(connection, cluster, found.object, at=at),
        problem=as_of(problem, at) if problem is not None else None,
        problem_since=problem_since,
        message=_full_message(connection, cluster, links) if links else None,
        shown=first,
        at=at,
    )
    return replace(
        answer,
        reason=_reason(connection, cluster, answer, effects),
        replacement=_replacement(connection, cluster, answer),
        serving=_serving(connection, cluster, answer),
    )


def _shown(here: ObjectRow, links: list[Link], effects: list[Effect], trace: TraceRow | None) -> Shown:
    return shown_of(here.uid, [link.span for link in links], effects, trace)


def _reason(connection: Connection, cluster: str, answer: Why, effects: list[Effect]) -> Reason | None:
    if answer.shown is None:
        return None
    chain, here = [link.span for link in answer.links], answer.found.object
    failed = _object_of(connection, cluster, chain[answer.shown.number]) if answer.shown.effect is not None else None
    facts = Facts(
        asked=failed or here,
        chain=chain,
        shown=answer.shown,
        problem=answer.problem,
        problem_since=answer.problem_since,
        effects=effects,
        until=answer.at or LATEST,
    )
    return reason_of(connection, cluster, facts)


def _replacement(connection: Connection, cluster: str, answer: Why) -> str:
    deletion = next((link.span for link in answer.links if link.span.reason == "Delete"), None)
    if deletion is None or deletion.object_uid != answer.found.object.uid or deletion.object_kind != "Pod":
        return ""
    return replacement_of(connection, cluster, deletion, answer.at)


def _serving(connection: Connection, cluster: str, answer: Why) -> str:
    """The Pods of older revisions that still serve, if the answer is about a rollout that fails."""
    chain, here = [link.span for link in answer.links], answer.found.object
    if answer.shown is None or not (answer.shown.effect is not None or chain[answer.shown.number].error):
        return ""
    workload = next((span for span in chain if span.object_kind == "Deployment"), None)
    row = here if here.kind == "Deployment" else _object_of(connection, cluster, workload) if workload else None
    above = {span.object_uid for span in chain if span.object_kind == "ReplicaSet"}
    return still_serving(connection, cluster, row, above, answer.at) if row is not None else ""


def _object_of(connection: Connection, cluster: str, span: SpanRow) -> ObjectRow | None:
    here = schema.objects.c
    query = rows.select_rows(schema.objects, ObjectRow).where(here.cluster == cluster, here.uid == span.object_uid)
    return next(iter(rows.fetch(connection, query, ObjectRow)), None)


# The occurrence


def _newest(connection: Connection, cluster: str, found: Found, until: int) -> SpanRow | None:
    query = reading.of_object(cluster, found.object, unnamed_too=True).where(spans.c.start_time <= until)
    newest = list(reading.fetch(connection, cluster, query.limit(16)))
    together = [span for span in newest if span.start_time == newest[0].start_time]
    # Of several with the same start, take the one that the others caused.
    causes = {span.parent_span_id for span in together}
    last = next((span for span in together if span.span_id not in causes), None)
    return _last_transition(last, newest, until) if last is not None else None


def _last_transition(found: SpanRow, newest: list[SpanRow], until: int) -> SpanRow:
    """Of a transition, the one by which its condition has another status now: it may be a repeat, in a span that began
    before."""
    condition = found.attributes.get(vocabulary.CONDITION_TYPE)
    if not condition:
        return found
    alike = [span for span in newest if span.attributes.get(vocabulary.CONDITION_TYPE) == condition]
    last = max(alike, key=lambda span: max(time for time in reading.all_times(span) if time <= until))
    return last if last.reason != found.reason else found


def _problem(
    connection: Connection, cluster: str, here: ObjectRow, newest: SpanRow, links: list[Link]
) -> tuple[SpanRow | None, int]:
    """The newest error of an object within ``RECENT`` before its newest occurrence, if the chain has none of it, and
    when there was one of the same reason first."""
    if any(link.span.error and link.span.object_uid == here.uid for link in links):
        return None, 0
    recent = spans.c.start_time.between(newest.start_time - RECENT, newest.start_time)
    query = reading.of_object(cluster, here).where(recent, spans.c.error)
    found = [span for span in reading.fetch(connection, cluster, query.limit(ERRORS)) if own_error(span)]
    if not found:
        return None, 0
    return found[0], min(span.start_time for span in found if span.reason == found[0].reason)


def _full_message(connection: Connection, cluster: str, links: list[Link]) -> SpanRow | None:
    """The first report of an image that cannot be pulled or a container that cannot be created, which has the reason.

    The kubelet reports it again as ``Error: ImagePullBackOff`` (pkg/kubelet/images/image_manager.go, kuberuntime).
    """
    shown = next((link.span for link in links if link.span.error), None)
    if shown is None or shown.reason != "Failed" or not own_message(shown).startswith("Error: "):
        return None
    alike = (
        spans.c.cluster == cluster,
        spans.c.trace_id == shown.trace_id,
        spans.c.object_uid == shown.object_uid,
        spans.c.reason == "Failed",
        reading.not_after(spans.c.start_time, shown.start_time),
    )
    query = rows.select_rows(spans, SpanRow).where(*alike)
    query = query.order_by(reading.unindexed(spans.c.start_time)).limit(ERRORS)
    same = vocabulary.CONTAINER_NAME
    return next(
        (
            span
            for span in reading.fetch(connection, cluster, query)
            if span.attributes.get(same) == shown.attributes.get(same) and not own_message(span).startswith("Error: ")
        ),
        None,
    )


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
    until = f" is known until {format_time(at)[:19]}Z" if at else " is known"
    first = f": it existed before kspan started to watch (created {format_time(here.created_at)[:19]}Z)"
    return f"no occurrence of {name}{until}{first if here.created_at and not at else ''}"


# The chain


def _chain(connection: Connection, cluster: str, newest: SpanRow, at: int) -> list[Link]:
    """Return the links from ``newest`` up to the last known cause, as they were known ``at`` (Unix ns; 0: now)."""
    links: list[Link] = []
    walked: set[tuple[str, str]] = set()
    here: SpanRow | None = newest
    while here is not None and (here.trace_id, here.span_id) not in walked and len(links) < reading.DEEPEST:
        linked: SpanRow | None = None
        for span in reading.ancestors(connection, cluster, here.trace_id, here.span_id):
            walked.add((span.trace_id, span.span_id))
            linked = _reported(connection, cluster, span, walked) or _linked(connection, cluster, span)
            links.append(Link(as_of(span, at), linked.trace_id if linked else ""))
            if linked:
                break
        here = linked
    return links


def _chain_of_failure(connection: Connection, cluster: str, failure: Effect, root: SpanRow, at: int) -> list[Link]:
    """The chain from an effect up to a root cause; empty if it does not get there."""
    span = reading.one(connection, cluster, root.trace_id, failure.span_id)
    found = _chain(connection, cluster, span, at) if span is not None else []
    return found if found and found[-1].span.span_id == root.span_id else []


def _end(
    last: SpanRow, trace: TraceRow | None, resumed: list[SpanRow]
) -> tuple[tuple[str, str] | None, str, tuple[str, str] | None]:
    """Return the ids that lead out of the database: remote parent, pruned trace, related trace context."""
    remote = (last.trace_id, last.parent_span_id) if last.remote_parent else None
    previous = trace.previous_trace_id if trace is not None else ""
    lost = next((link.trace_id for link in last.links if link.trace_id == previous), "")
    others = [link for link in last.links if link.trace_id != previous and _kind(link) in ("", vocabulary.RELATES)]
    known = {(span.trace_id, span.span_id) for span in resumed}
    contexts = [(link.trace_id, link.span_id) for link in others]
    return remote, lost, next((context for context in contexts if context not in known), None)


def _kind(link: SpanLink) -> str:
    """The kind of a link; empty in histories of kspan 0.2.0."""
    kind = link.attributes.get(vocabulary.LINK, "")
    return kind if isinstance(kind, str) else ""


def _resumed(connection: Connection, cluster: str, root: SpanRow) -> list[SpanRow]:
    """Return the changes that were made while the rollout was paused that a root cause resumed, oldest first."""
    linked = (link for link in root.links if _kind(link) == vocabulary.RELATES)
    found = (reading.one(connection, cluster, link.trace_id, link.span_id) for link in linked)
    return [span for span in found if span is not None]


def _linked(connection: Connection, cluster: str, span: SpanRow) -> SpanRow | None:
    """Return the cause in an earlier, closed trace, if the span has one.

    It takes precedence over the parent: an episode puts all later occurrences of an object below its first one.
    """
    for link in span.links:
        if _kind(link) in (vocabulary.SUPERSEDED, vocabulary.RELATES):
            continue
        cause = reading.one(connection, cluster, link.trace_id, link.span_id)
        if cause is not None:
            return cause
    return None


def _reported(connection: Connection, cluster: str, span: SpanRow, walked: set[tuple[str, str]]) -> SpanRow | None:
    """Return the Event in another trace by which a controller reported the same failure as a condition, if any.

    The rules know what an Event goes back to: the commit of which the health check failed, for example. Of the
    condition they only know that it belongs to its object.
    """
    reason = str(span.attributes.get(vocabulary.CONDITION_REASON, ""))
    message = str(span.attributes.get(vocabulary.CONDITION_MESSAGE, ""))
    if not (span.error and reason and message):
        return None
    same = (
        spans.c.cluster == cluster,
        spans.c.object_kind == span.object_kind,
        spans.c.object_namespace == span.object_namespace,
        spans.c.object_name == span.object_name,
        spans.c.object_uid == span.object_uid,
        spans.c.reason == reason,
        spans.c.event_uid != "",
        spans.c.trace_id != span.trace_id,
        spans.c.start_time.between(span.start_time - REPORTED, span.start_time + REPORTED),
    )
    query = rows.select_rows(spans, SpanRow).where(*same).order_by(spans.c.start_time.desc()).limit(ERRORS)
    found = (each for each in reading.fetch(connection, cluster, query) if own_message(each) == message)
    return next((each for each in found if (each.trace_id, each.span_id) not in walked), None)


# Effects


def _trace(connection: Connection, cluster: str, trace_id: str) -> TraceRow | None:
    query = rows.select_rows(traces, TraceRow).where(traces.c.cluster == cluster, traces.c.trace_id == trace_id)
    found = next(iter(rows.fetch(connection, query, TraceRow)), None)
    return summarise(connection, cluster, [found])[0].trace if found is not None else None


def _effects(connection: Connection, cluster: str, links: list[Link], until: int) -> list[Effect]:
    trace_id = links[-1].span.trace_id
    chain = [link.span.span_id for link in links if link.span.trace_id == trace_id]
    return effects_in(connection, cluster, trace_id, chain, until=until)


def _followed(connection: Connection, cluster: str, trace: TraceRow, visible: Visible, until: int) -> list[TraceRow]:
    query = (
        rows.select_rows(traces, TraceRow)
        .where(
            traces.c.cluster == cluster, traces.c.previous_trace_id == trace.trace_id, traces.c.previous_trace_id != ""
        )
        .order_by(traces.c.opened_at)
        .limit(FOLLOWED)
    )
    found = {trace.trace_id: trace for trace in rows.fetch(connection, query, TraceRow)}
    seen = visible.traces(connection, cluster, list(found))
    known = summarise(connection, cluster, [found[trace_id] for trace_id in seen])
    return [each for each in (summary.trace for summary in known) if (each.start_time or each.opened_at) <= until]
