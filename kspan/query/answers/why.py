"""The answer of ``kspan why``."""

import msgspec

from kspan.model import ObjectRow
from kspan.query.answers import occurrence, trace
from kspan.query.answers.occurrence import LinkAnswer, OccurrenceAnswer
from kspan.query.answers.trace import TraceMention
from kspan.query.explain.effects import Effect
from kspan.query.why import Why
from kspan.times import format_time


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
        example: name of one of the objects.
        message: a message of an error; empty otherwise.
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


class WhyAnswer(msgspec.Struct, frozen=True):
    """Why something happened to an object.

    Args:
        object, state: the object, and its state in words.
        others: other objects that had its name.
        undecided: its occurrences whose cause is not chosen yet.
        chain: the occurrence and its causes, the nearest first.
        remote_parent: a cause outside of the cluster, which an annotation of the object names.
        related: a span outside of the cluster that has to do with it.
        lost_trace_id: the trace of the cause, if it was deleted because of its age.
        trace: the trace of the root cause.
        resumed: changes made while the rollout was paused that the root cause resumed.
        effects, more_effects: what else the root cause led to, and the number of effects that are not listed.
        followed_by: traces that continue that trace.
    """

    object: ObjectMention
    state: str
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


def why(answer: Why) -> WhyAnswer:
    """Return the answer for programs."""
    return WhyAnswer(
        object=mention(answer.found.object),
        state=answer.state,
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
    )


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
