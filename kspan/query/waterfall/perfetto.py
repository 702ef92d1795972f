"""A trace as Chrome trace events, which Perfetto and chrome://tracing open. Pure.

Components are processes and their objects threads; an arrow leads from each cause to its effect. The slices of a thread
must not overlap unless one contains the other, so an object gets another thread for those that would.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from kspan import vocabulary
from kspan.model import SpanRow
from kspan.terminal.text import harmless

_MICROSECOND: Final = 1_000

_Json = dict[str, Any]


def trace_events(spans: Sequence[SpanRow]) -> _Json:
    """Return the trace. Times are in microseconds since its first span, whose time is in ``otherData``."""
    begin = min((span.start_time for span in spans), default=0)
    threads = _Threads()
    ordered = sorted(spans, key=lambda span: (span.start_time, -_end(span)))
    places = {span.span_id: threads.place(span) for span in ordered}
    events = [_slice(span, places[span.span_id], begin) for span in ordered]
    events += _arrows(ordered, places, begin)
    return {
        "displayTimeUnit": "ms",
        "otherData": {"beginUnixNano": str(begin), "traceId": spans[0].trace_id if spans else ""},
        "traceEvents": [*threads.names(), *events],
    }


class _Threads:
    """Numbers of processes and threads."""

    def __init__(self) -> None:
        self._processes: dict[str, int] = {}
        self._threads: dict[tuple[str, str, int], int] = {}
        self._open: dict[tuple[str, str, int], list[int]] = {}

    def place(self, span: SpanRow) -> tuple[int, int]:
        """Return the process and thread of a span.

        Spans must be given by start, and the longer first if two start together.
        """
        subject = f"{span.object_kind} {f'{span.object_namespace}/' if span.object_namespace else ''}{span.object_name}"
        lane = 0
        while not self._fits(span, key := (span.service, subject, lane)):
            lane += 1
        process = self._processes.setdefault(span.service, len(self._processes) + 1)
        return process, self._threads.setdefault(key, len(self._threads) + 1)

    def _fits(self, span: SpanRow, key: tuple[str, str, int]) -> bool:
        ends = self._open.setdefault(key, [])
        while ends and ends[-1] <= span.start_time:
            ends.pop()
        if ends and ends[-1] < _end(span):
            return False
        ends.append(_end(span))
        return True

    def names(self) -> Iterator[_Json]:
        """Yield the names of all processes and threads."""
        for service, number in self._processes.items():
            yield _name("process_name", harmless(service) or "unknown", number, 0)
        for (service, subject, lane), number in self._threads.items():
            text = harmless(subject) + (f" ({lane + 1})" if lane else "")
            yield _name("thread_name", text, self._processes[service], number)


def _end(span: SpanRow) -> int:
    """Return the end of the slice. A moment lasts a microsecond: arrows cannot end at a slice without a length."""
    return max(span.end_time, span.start_time + _MICROSECOND)


def _name(what: str, name: str, process: int, thread: int) -> _Json:
    return {"ph": "M", "name": what, "pid": process, "tid": thread, "args": {"name": name}}


def _slice(span: SpanRow, place: tuple[int, int], begin: int) -> _Json:
    known = {
        "span": span.span_id,
        "message": span.message,
        "change": span.attributes.get(vocabulary.CHANGE_SUMMARY, ""),
        "rule": span.rule,
        "confidence": span.confidence,
        "error": span.error,
    }
    return {
        "ph": "X",
        "name": harmless(f"{span.reason} {span.object_name}"),
        "cat": harmless(span.object_kind),
        "pid": place[0],
        "tid": place[1],
        "ts": (span.start_time - begin) / _MICROSECOND,
        "dur": (_end(span) - span.start_time) / _MICROSECOND,
        "args": {key: value for key, value in known.items() if value},
    }


def _arrows(spans: Sequence[SpanRow], places: dict[str, tuple[int, int]], begin: int) -> Iterator[_Json]:
    known = {span.span_id: span for span in spans}
    for number, span in enumerate(spans, 1):
        cause = known.get(span.parent_span_id)
        if cause is None:
            continue
        # An arrow starts within the slice of the cause.
        start = min(max(span.start_time, cause.start_time), _end(cause))
        arrow = {"name": "causes", "cat": span.rule, "id": number}
        for phase, here, time in (("s", cause, start), ("f", span, span.start_time)):
            process, thread = places[here.span_id]
            end = {"bp": "e"} if phase == "f" else {}
            at = {"ph": phase, "pid": process, "tid": thread, "ts": (time - begin) / _MICROSECOND}
            yield arrow | at | end
