"""Formats lists of traces, single traces and timelines as text."""

from collections.abc import Sequence
from typing import Final

from rich.cells import cell_len

from kspan.model import SpanRow, TraceRow
from kspan.query import spans as reading
from kspan.query.span_text import note_of, object_text, repeats_text
from kspan.query.timeline import TimelineLine
from kspan.query.traces import Status, TraceSummary
from kspan.terminal.screen import Screen, clock
from kspan.terminal.text import cut, duration, harmless
from kspan.terminal.zone import zone_label
from kspan.vocabulary import with_container

_ID = 12
"""Digits of a trace id in tables. ``kspan trace`` accepts them."""

_STYLES: Final = {Status.ERROR: "bold red", Status.INCOMPLETE: "yellow", Status.OPEN: "cyan", Status.OK: "green"}


def traces_table(found: Sequence[TraceSummary], out: Screen, *, headers: bool = True) -> None:
    """Print one line for each trace. On a narrow terminal, columns are left out so that WHAT has room."""
    if not found:
        return
    cells = [_trace_cells(summary) for summary in found]
    if out.width is not None:
        cells = [_narrowed(line, out.width) for line in cells]
    header = [f"START ({zone_label(found[0].trace.start_time)})" if name == "START" else name for name in _HEADER]
    widths = [max(cell_len(line[i]) for line in (header, *cells)) for i in range(len(header))]
    shown = _columns_that_fit(widths, out.width)
    used = sum(widths[i] + 2 for i in shown[:-1])
    room = None if out.width is None else max(out.width - used, 12)
    if headers:
        out.line((_joined(header, shown, widths, room), "bold"))
    for summary, line in zip(found, cells, strict=True):
        at = shown.index(_OUTCOME)
        before, after = _joined(line, shown[:at], widths), _joined(line, shown[at + 1 :], widths, room)
        outcome = line[_OUTCOME].ljust(widths[_OUTCOME])
        out.line((before + "  " if before else "", ""), (outcome, _STYLES[summary.statuses[0]]), ("  " + after, ""))


_HEADER: Final = ("TRACE", "START", "DURATION", "SPANS", "WARNINGS", "OUTCOME", "WHO", "WHAT")
_OUTCOME: Final = 5
_WHAT: Final = 7
_RIGHT: Final = frozenset({2, 3, 4})
_LEFT_OUT: Final = (3, 4, 6, 2)
"""The columns that a narrow terminal does without, the least important first."""

_ROOM_FOR_WHAT: Final = 34
_WIDEST_WHO: Final = 22
_YEAR: Final = len("2026-")


def _narrowed(line: tuple[str, ...], line_width: int) -> tuple[str, ...]:
    """Return cells for a terminal: a long name of a component is cut, and the year left out where little room is."""
    trace, start, *numbers, who, what = line
    return trace, start[_YEAR:] if line_width < 100 else start, *numbers, cut(who, _WIDEST_WHO), what


def _columns_that_fit(widths: Sequence[int], line_width: int | None) -> list[int]:
    shown = list(range(len(widths)))
    for column in _LEFT_OUT:
        used = sum(widths[i] + 2 for i in shown if i != _WHAT)
        if line_width is None or line_width - used >= min(widths[_WHAT], _ROOM_FOR_WHAT):
            break
        shown.remove(column)
    return shown


def _joined(line: Sequence[str], columns: Sequence[int], widths: Sequence[int], room: int | None = None) -> str:
    parts = []
    for i in columns:
        text, blanks = line[i], " " * (widths[i] - cell_len(line[i]))
        if i == _WHAT:
            parts.append(text if room is None else cut(text, room))
        else:
            parts.append(blanks + text if i in _RIGHT else text + blanks)
    return "  ".join(parts)


def _trace_cells(summary: TraceSummary) -> tuple[str, ...]:
    trace, root = summary.trace, summary.root
    outcome, warnings = ", ".join(trace.verdicts), str(trace.warnings or "")
    start, length = clock(trace.start_time, day=True)[:19], duration(summary.duration)
    if root is None:
        return trace.trace_id[:_ID], start, length, str(trace.span_count), warnings, outcome, "", ""
    subject = with_container(root.object_name, root.attributes)
    what = f"{harmless(root.reason)} {object_text(root.object_kind, root.object_namespace, subject)}"
    note = note_of(root)
    who = harmless(root.service)
    head = trace.trace_id[:_ID], start, length, str(trace.span_count), warnings, outcome
    return *head, who, f"{what}: {note}" if note else what


# One trace


def tree(trace: TraceRow, spans: Sequence[SpanRow], out: Screen) -> None:
    """Print the trace as a tree, and the command that shows the trace it continues."""
    from kspan.terminal.trace_tree import render_trace

    options = out.console.options
    out.draw(render_trace(trace, spans, width=options.max_width, ascii_only=options.ascii_only))
    if trace.previous_trace_id:
        out.line((f"continues: kspan trace {trace.previous_trace_id[:_ID]}", "dim"))


# The timeline


class Timeline:
    """Prints one line for each occurrence. Later lines are unknown, so columns grow as needed, up to a limit."""

    _WIDEST: Final = (28, 64)

    def __init__(self, out: Screen) -> None:
        self._out = out
        self._widths = [21, 40]

    def show(self, line: TimelineLine) -> None:
        """Print an occurrence: errors in red, changes in bold."""
        span = line.span
        note = note_of(span)
        place = f"{span.object_namespace}/" if span.object_namespace else ""
        what = harmless(f"{span.name} {place}{with_container(span.object_name, span.attributes)}")
        cells = [harmless(span.service), what + repeats_text(span)]
        for i, cell in enumerate(cells):
            self._widths[i] = max(self._widths[i], min(cell_len(cell), self._WIDEST[i]))
        padded = [cell + " " * (width - cell_len(cell)) for cell, width in zip(cells, self._widths, strict=True)]
        style = "red" if span.error else "bold" if reading.summary_of(span) else ""
        start: list[tuple[str, str]] = [(clock(line.time, day=True), "dim"), ("  " + padded[0], "")]
        self._out.line(*start, ("  " + padded[1], style), ("  " + note if note else "", style))
