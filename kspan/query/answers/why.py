"""The answer of ``kspan why``."""

from collections.abc import Callable, Sequence

import msgspec
from msgspec.structs import replace

from kspan.model import ObjectRow, SpanRow, TraceRow
from kspan.query.answers import occurrence, trace
from kspan.query.answers.occurrence import LinkAnswer, OccurrenceAnswer
from kspan.query.answers.trace import TraceMention
from kspan.query.explain.effects import Effect
from kspan.query.explain.reasons.reason import Reason
from kspan.query.why import Why
from kspan.times import SECOND, format_time


class ObjectMention(msgspec.Struct, frozen=True):
    """An object. Its times are null if they are not known or it exists."""

    kind: str
    namespace: str
    name: str
    uid: str
    api_version: str
    created_at: str | None
    deleted_at: str | None


class SpanMention(msgspec.Struct, frozen=True):
    """The ids of a span."""

    trace_id: str
    span_id: str


class EffectAnswer(msgspec.Struct, frozen=True):
    """Occurrences of one kind in the trace of the root cause.

    Args:
        kind, reason, error: what happened, to objects of which kind.
        count, objects: number of occurrences and of objects.
        first: time of the first one.
        example: name of the object of the first one.
        message: the message of the first one, if it is an error; empty otherwise.
        probe: the probe that failed (Readiness, Liveness, Startup); empty otherwise.
    """

    kind: str
    reason: str
    error: bool
    count: int
    objects: int
    first: str
    example: str
    message: str
    probe: str


class ReasonAnswer(msgspec.Struct, frozen=True):
    """Why something happened, if the journal has a reason that is nearer than the causes in the chain.

    Args:
        kind: memory (a container ran out of it), exit (its program exited), probe (it failed), flapping (a Pod is ready
            and not ready again and again), deadline, limit (of attempts), missing (an object does not exist), came
            (what was waited for), preemption, drain, or dependent (a failure of a Pod).
        text: the reason in words.
        likely: true if it is inferred from what happened together, and not recorded.
        runs, alike, unseen: number of runs of the container that ended so far, of those that ended like this one, and
            of those of which nobody saw the end. Of a failed probe, ``alike`` is the number of failures; of a Pod that
            flaps, how often it became not ready.
        first: when the first of these ended, the probe failed first, or the Pod began to flap; null for other reasons.
        typical_seconds: how long such a run lasted (the median); null if unknown.
        started: when the time of a deadline began; null if unknown.
        happened: when the missing object was created or deleted, or that came which was waited for; null otherwise.
        waited_seconds: how long it was waited for; null otherwise.
        again: when the probe failed last, if that was after it ended the container; null otherwise.
    """

    kind: str
    text: str
    likely: bool
    runs: int
    alike: int
    unseen: int
    first: str | None
    typical_seconds: float | None
    started: str | None
    happened: str | None
    waited_seconds: float | None
    again: str | None


class WhyAnswer(msgspec.Struct, frozen=True):
    """Why something happened to an object.

    Args:
        object, state: the object, and its state in words.
        reason: why the last occurrence or failure happened; null if only the chain says it.
        replacement: the Pod that was created in the place of a deleted one, and its state in words; empty if none was.
        serving: the Pods of older revisions that still serve while a rollout fails, in words; empty if that is unknown.
        others: other objects that had its name.
        undecided: its occurrences whose cause is not chosen yet.
        chain: the occurrence and its causes, the nearest first. If all that its object says is that its trace failed,
            the chain begins with that failure.
        remote_parent: a cause outside of the cluster, which an annotation of the object names.
        related: a span outside of the cluster that has to do with it.
        lost_trace_id: the trace of the cause, if it was deleted because of its age.
        trace: the trace of the root cause.
        resumed: changes made while the rollout was paused that the root cause resumed.
        effects, more_effects: what else the root cause led to, and the number of effects that are not listed.
        followed_by: traces that continue that trace.
        rows: the same with whole spans, from which ``kspan why`` prints its text; only if asked for.
    """

    object: ObjectMention
    state: str
    reason: ReasonAnswer | None
    replacement: str
    serving: str
    others: list[ObjectMention]
    undecided: list[OccurrenceAnswer]
    chain: list[LinkAnswer]
    remote_parent: SpanMention | None
    related: SpanMention | None
    lost_trace_id: str | None
    trace: TraceMention | None
    resumed: list[OccurrenceAnswer]
    effects: list[EffectAnswer]
    more_effects: int
    followed_by: list[TraceMention]
    rows: Why | msgspec.UnsetType = msgspec.UNSET


Show = Callable[[Sequence[SpanRow]], list[SpanRow]]
"""Returns spans without what the asker may not see (``Visible.spans``)."""


def why(answer: Why, *, rows: bool = False, show: Show = list) -> WhyAnswer:
    """Return the answer for programs. ``rows``: also its rows, with the spans as ``show`` returns them."""
    return WhyAnswer(
        object=mention(answer.found.object),
        state=answer.state,
        reason=_reason(answer.reason) if answer.reason else None,
        replacement=answer.replacement,
        serving=answer.serving,
        others=[mention(other) for other in answer.found.others],
        undecided=[occurrence.occurrence(span) for span in answer.undecided],
        chain=[occurrence.link(link) for link in answer.links],
        remote_parent=SpanMention(*answer.remote) if answer.remote else None,
        related=SpanMention(*answer.related) if answer.related else None,
        lost_trace_id=answer.lost or None,
        trace=trace.mention(answer.trace) if answer.trace else None,
        resumed=[occurrence.occurrence(span) for span in answer.resumed],
        effects=[_effect(effect) for effect in answer.effects],
        more_effects=answer.more_effects,
        followed_by=[trace.mention(followed) for followed in answer.followed],
        rows=_rows(answer, show) if rows else msgspec.UNSET,
    )


def _rows(answer: Why, show: Show) -> Why:
    """Return the answer without what only the fold reads."""
    links = zip(answer.links, show([link.span for link in answer.links]), strict=True)
    return replace(
        answer,
        found=replace(
            answer.found,
            object=replace(answer.found.object, state=b""),
            others=[replace(other, state=b"") for other in answer.found.others],
        ),
        undecided=[_span(span) for span in show(answer.undecided)],
        links=[replace(link, span=_span(span)) for link, span in links],
        trace=_trace(answer.trace) if answer.trace else None,
        resumed=[_span(span) for span in show(answer.resumed)],
        followed=[_trace(followed) for followed in answer.followed],
        problem=_shown(answer.problem, show),
        message=_shown(answer.message, show),
    )


def _shown(span: SpanRow | None, show: Show) -> SpanRow | None:
    return next(map(_span, show([span])), None) if span is not None else None


def _span(row: SpanRow) -> SpanRow:
    return replace(row, fold=b"")


def _trace(row: TraceRow) -> TraceRow:
    return replace(row, fold=b"")


def mention(row: ObjectRow) -> ObjectMention:
    """Return an object."""
    return ObjectMention(
        row.kind,
        row.namespace,
        row.name,
        row.uid,
        row.api_version,
        format_time(row.created_at) if row.created_at else None,
        format_time(row.deleted_at) if row.deleted_at else None,
    )


def _reason(reason: Reason) -> ReasonAnswer:
    return ReasonAnswer(
        kind=reason.kind,
        text=reason.text,
        likely=reason.likely,
        runs=reason.runs,
        alike=reason.alike,
        unseen=reason.unseen,
        first=format_time(reason.first) if reason.first else None,
        typical_seconds=reason.lasted / SECOND if reason.lasted else None,
        started=format_time(reason.started) if reason.started else None,
        happened=format_time(reason.happened) if reason.happened else None,
        waited_seconds=reason.waited / SECOND if reason.waited else None,
        again=format_time(reason.again) if reason.again else None,
    )


def _effect(effect: Effect) -> EffectAnswer:
    return EffectAnswer(
        effect.kind,
        effect.reason,
        effect.error,
        effect.count,
        effect.objects,
        format_time(effect.first),
        effect.example,
        effect.message if effect.error else "",
        effect.probe,
    )
