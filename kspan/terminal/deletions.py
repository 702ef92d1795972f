"""Describes what a deletion waited for: finalizers, and what remained in a Namespace."""

from kspan import vocabulary
from kspan.model import SpanRow, SpanState
from kspan.terminal.text import duration, harmless

_SHORT = 1_000_000_000
"""Shorter delays (ns) are not mentioned: most objects have a finalizer that their controller removes at once."""


def held_text(span: SpanRow) -> str:
    """Return which finalizers held the object of a deletion and for how long, and what remained in a Namespace, on one
    line that is safe to print; empty if nothing did for a second."""
    names = span.attributes.get(vocabulary.FINALIZERS, ())
    removed = {event.attributes.get(vocabulary.FINALIZER): event.time for event in span.events}
    found = [_held(span, str(name), removed.get(name)) for name in names if isinstance(names, list | tuple)]
    if span.reason == "Delete" and span.object_kind == "Namespace":
        found.append(_remained(span))
    return harmless("; ".join(filter(None, found)))


def _held(span: SpanRow, finalizer: str, removed: int | None) -> str:
    if removed is not None:
        long = removed - span.start_time
        return f"held by {finalizer} for {duration(long)}" if long >= _SHORT else ""
    return f"still held by {finalizer}{_so_far(span)}"


def _so_far(span: SpanRow) -> str:
    return f" after {duration(span.end_time - span.start_time)}" if span.state is SpanState.CLOSED else ""


def _remained(span: SpanRow) -> str:
    """The newest message of the most informative condition that delayed the deletion of a Namespace."""
    for kind in vocabulary.REMAINING:
        events = [event for event in span.events if event.attributes.get(vocabulary.CONDITION_TYPE) == kind]
        true = [event for event in events if event.attributes.get(vocabulary.CONDITION_STATUS) == "True"]
        message = str(true[-1].attributes.get(vocabulary.CONDITION_MESSAGE, "")) if true else ""
        if not message:
            continue
        if events[-1] is true[-1] and span.state is not SpanState.CLOSED:
            return message
        long = (span.end_time if events[-1] is true[-1] else events[-1].time) - true[0].time
        if long >= _SHORT:
            return f"waited {duration(long)}: {message}"
    return ""
