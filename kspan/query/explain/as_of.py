"""An occurrence as it was known at an earlier time. Pure."""

from typing import Final

from msgspec.structs import replace

from kspan import vocabulary
from kspan.model import SpanRow, SpanState
from kspan.query.explain.own import is_verdict, own_error, own_message
from kspan.query.spans import times
from kspan.times import format_time

_LATER: Final = frozenset(
    [
        vocabulary.OUTCOME,
        vocabulary.OUTCOME_REASON,
        vocabulary.SUPERSEDED_BY,
        vocabulary.INCOMPLETE,
        vocabulary.REPEAT_COUNT,
        vocabulary.REPEAT_LAST_TIME,
        vocabulary.UNFINISHED,
    ]
)
"""Attributes that are only known when the trace is closed."""


def as_of(span: SpanRow, until: int) -> SpanRow:
    """Return a span without what happened after a time (Unix ns; 0: unchanged): repeats, the removal of finalizers, its
    end, and the verdict about its trace."""
    if not until:
        return span
    attributes = {key: value for key, value in span.attributes.items() if key not in _LATER}
    state = SpanState.OPEN if span.end_time > until else span.state
    seen = replace(
        span,
        attributes=attributes,
        events=[event for event in span.events if event.time <= until],
        end_time=min(span.end_time, until),
        state=state,
        error=own_error(span),
        message=own_message(span) if is_verdict(span) else span.message,
    )
    count = times(seen)
    if count < 2:
        return seen
    last = max((event.time for event in seen.events if vocabulary.is_repeat(event.attributes)), default=0)
    known = {vocabulary.REPEAT_COUNT: count, vocabulary.REPEAT_LAST_TIME: format_time(last)} if last else {}
    return replace(seen, attributes=attributes | known)
