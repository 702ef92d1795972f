"""The spans of a trace as columns of numbers and tables of texts: what the page of a trace draws. Pure."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from kspan import vocabulary
from kspan.model import SpanRow, TraceRow, TraceState
from kspan.query.spans import last_time, summary_of, times
from kspan.terminal.deletions import held_text
from kspan.terminal.text import harmless

ERROR: Final = 1
"""The span is a Warning, a failed condition, or the end of a container that failed."""

EVENT: Final = 2
"""It was made from an Event."""

CHANGE: Final = 4
"""It is a change of its object."""

UNFINISHED: Final = 8
"""It lasted longer than the span."""

REMOTE: Final = 16
"""Its parent is a span outside of the cluster."""

LONGEST: Final = 400
"""Characters of a message; the whole one is in the answer about the span."""

_CHANGES: Final = frozenset({"Create", "Update", "Delete"})


class Texts:
    """A table in which each text is once. The first one is empty."""

    def __init__(self) -> None:
        self.list = [""]
        self._known = {"": 0}

    def number(self, text: str) -> int:
        """Return the number of a text, made safe to show."""
        known = self._known.get(text)
        if known is None:
            known = self._known[text] = len(self.list)
            self.list.append(harmless(text))
        return known


class Columns(msgspec.Struct, frozen=True, kw_only=True):
    """A trace as columns, one entry a span, by start.

    Args:
        trace_id, open, root: the trace, whether it is open, and the id of its root.
        begin: start of the trace in milliseconds since 1970.
        length: milliseconds from there to the end.
        total: number of its spans; more than the entries if some are left out.
        texts: the texts; entry 0 is empty. The columns that are marked with * are numbers of texts.
        id, parent: ids of the spans; number of the parent's entry, -1 for none.
        start, end: milliseconds since ``begin``.
        kind*, reason*, service*, rule*, name*, namespace*, container*: as in ``SpanRow``.
        note*: what a change changed or what a deletion waited for.
        message*: the message, at most ``LONGEST`` characters.
        confidence: of the cause, in hundredths.
        flags: sums of ``ERROR`` … ``REMOTE``.
        counts: pairs of an entry and how often it happened, for those that happened more than once.
        marks: span events as triples of an entry, milliseconds since ``begin``, and a name*.
    """

    trace_id: str
    open: bool
    root: str
    begin: float
    length: float
    total: int
    texts: list[str]
    id: list[str]
    parent: list[int]
    start: list[float]
    end: list[float]
    kind: list[int]
    reason: list[int]
    service: list[int]
    rule: list[int]
    name: list[int]
    namespace: list[int]
    container: list[int]
    note: list[int]
    message: list[int]
    confidence: list[int]
    flags: list[int]
    counts: list[int]
    marks: list[float]


def columns(trace: TraceRow, spans: Sequence[SpanRow], total: int) -> Columns:
    """Return spans of a trace as columns. ``total`` is the number of its spans."""
    texts = Texts()
    text = texts.number
    begin = min([*(span.start_time for span in spans[:1]), trace.start_time])
    at = {span.span_id: number for number, span in enumerate(spans)}

    def ms(time: int) -> float:
        return round((time - begin) / 1_000_000, 3)

    return Columns(
        trace_id=trace.trace_id,
        open=trace.state is TraceState.OPEN,
        root=trace.root_span_id,
        begin=begin / 1_000_000,
        length=max(ms(trace.end_time), *(ms(last_time(span)) for span in spans), 0.0) if spans else 0.0,
        total=total,
        texts=texts.list,
        id=[span.span_id for span in spans],
        parent=[at.get(span.parent_span_id, -1) for span in spans],
        start=[ms(span.start_time) for span in spans],
        end=[ms(max(span.end_time, span.start_time)) for span in spans],
        kind=[text(span.object_kind) for span in spans],
        reason=[text(span.reason) for span in spans],
        service=[text(span.service) for span in spans],
        rule=[text(span.rule) for span in spans],
        name=[text(span.object_name) for span in spans],
        namespace=[text(span.object_namespace) for span in spans],
        container=[text(str(span.attributes.get(vocabulary.CONTAINER_NAME, ""))) for span in spans],
        note=[text(summary_of(span) or held_text(span)) for span in spans],
        message=[text(span.message[:LONGEST]) for span in spans],
        confidence=[round(span.confidence * 100) for span in spans],
        flags=[flags(span) for span in spans],
        counts=list(_counts(spans)),
        marks=[
            value
            for number, span in enumerate(spans)
            for event in span.events
            for value in (number, ms(event.time), text(event.name))
        ],
    )


def flags(span: SpanRow) -> int:
    """Return the flags of a span."""
    is_change = not span.event_uid and span.reason in _CHANGES
    # A root whose trace failed says so; the change itself went well.
    verdict = is_change and span.message == span.attributes.get(vocabulary.OUTCOME_REASON)
    return (
        ERROR * (span.error and not verdict)
        + EVENT * bool(span.event_uid)
        + CHANGE * is_change
        + UNFINISHED * (span.attributes.get(vocabulary.UNFINISHED) is True)
        + REMOTE * span.remote_parent
    )


def encode(found: Any) -> bytes:
    """Return JSON."""
    return msgspec.json.encode(found)


def _counts(spans: Sequence[SpanRow]) -> Iterable[int]:
    for number, span in enumerate(spans):
        count = times(span)
        if count > 1:
            yield from (number, count)
