"""Which occurrence, or which effect of a change, an answer of ``why`` is about. Pure."""

from collections.abc import Sequence
from typing import NamedTuple

from kspan.model import SpanRow, TraceRow
from kspan.query.explain.effects import Effect
from kspan.query.explain.own import CHANGES, is_end, is_verdict


class Shown(NamedTuple):
    """The subject of an answer."""

    number: int
    """Its link of the chain."""
    effect: Effect | None
    """The first failure below that link, if the object says no more than that its trace failed."""
    since: int
    """When it happened (Unix ns)."""


def shown_of(uid: str, chain: Sequence[SpanRow], effects: Sequence[Effect], trace: TraceRow | None) -> Shown:
    """Return what to begin with: the end of a container that failed or that a failure ended, the nearest error of the
    object, its deletion, or the newest.

    Args:
        uid: that of the object.
        chain: its newest occurrence and the causes, at least one.
        effects: the other effects of the root cause.
        trace: the trace of the root cause.
    """
    number = _number(uid, chain)
    effect = _failed_effect(trace, chain[number], effects)
    return Shown(number, effect, effect.first if effect is not None else chain[number].start_time)


def _number(uid: str, chain: Sequence[SpanRow]) -> int:
    own = [i for i, span in enumerate(chain) if span.object_uid == uid]
    errors = [i for i in own if chain[i].error and not is_verdict(chain[i])]
    ends = [i for i in own if is_end(chain[i]) and (chain[i].error or any(i < other for other in errors))]
    deletions = [i for i in own if chain[i].reason == "Delete"]
    verdicts = [i for i in own if chain[i].error]
    return next(iter((*ends, *errors, *deletions, *verdicts)), 0)


def _failed_effect(trace: TraceRow | None, shown: SpanRow, effects: Sequence[Effect]) -> Effect | None:
    if trace is None or shown.trace_id != trace.trace_id:
        return None
    if shown.error and (shown.event_uid or shown.reason not in CHANGES):
        return None
    return next((effect for effect in effects if effect.error and effect.message), None) if trace.error else None
