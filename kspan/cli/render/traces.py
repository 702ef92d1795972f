"""Formats lists of traces, single traces and timelines as text."""

from collections.abc import Mapping, Sequence
from typing import Final

from rich.cells import cell_len

from kspan.model import SpanRow, TraceRow, verdicts
from kspan.query.answers.occurrence import LineAnswer
from kspan.query.answers.trace import TraceItem
from kspan.query.fleet.traces import FleetTrace
from kspan.query.span_text import note_of_answer, object_text, repeats_of_answer
from kspan.query.traces import Status
from kspan.terminal.screen import Screen, clock
from kspan.terminal.text import cut, cut_middle, duration, harmless
from kspan.terminal.zone import zone_label
from kspan.times import MILLISECOND, parse_time

_ID = 12
"""Digits of a trace id in tables. ``kspan trace`` accepts them."""

_STYLES: Final = {Status.ERROR: "bold red", Status.INCOMPLETE: "yellow", Status.OPEN: "cyan", Status.OK: "green"}


def traces_table(
    found: Sequence[TraceItem], out: Screen, *, headers: bool = True, clusters: Mapping[str, str] | None = None
) -> None:
    """Print one line for each trace. On a narrow terminal, columns are left out so that WHAT has room.

    ``clusters`` has the texts for the column CLUSTER, by uid; without it, that column is left out.
    """
    if not found:
        return
    named = clusters or {}
    cells = [(*_trace_cells(item), _cluster_cell(item, named)) for item in found]
    if out.width is not None:
        cells = [_narrowed(line, out.width) for line in cells]
    header = [f"START ({zone_label(parse_time(found[0].start_time))})" if name == "START" else name for name in _HEADER]
    widths = [max(cell_len(line[i]) for line in (header, *cells)) for i in range(len(header))]
    shown = _columns_that_fit(widths, out.width, fleet=clusters is not None)
    used = sum(widths[i] + 2 for i in shown[:-1])
    room = None if out.width is None else max(out.width - used, 12)
    if headers:
        out.line((_joined(header, shown, widths, room), "bold"))
    for item, line in zip(found, cells, strict=True):
        at = shown.index(_OUTCOME)
        before, after = _joined(line, shown[:at], widths), _joined(line, shown[at + 1 :], widths, room)
        outcome = line[_OUTCOME].ljust(widths[_OUTCOME])
        out.line((before + "  " if before else "", ""), (outcome, _STYLES[_statuses(item)[0]]), ("  " + after, ""))


_HEADER: Final = ("TRACE", "START", "DURATION", "SPANS", "WARNINGS", "OUTCOME", "WHO", "WHAT", "CLUSTER")
_OUTCOME: Final = 5
_WHAT: Final = 7
_CLUSTER: Final = 8
"""The column of the cluster stands first, but only if there are several."""

_RIGHT: Final = frozenset({2, 3, 4})
_LEFT_OUT: Final = (3, 4, 6, 2)
"""The columns that a narrow terminal does without, the least important first."""

_ROOM_FOR_WHAT: Final = 34
_WIDEST_WHO: Final = 22
_WIDEST_CLUSTER: Final = 18
_YEAR: Final = len("2026-")


def _narrowed(line: tuple[str, ...], line_width: int) -> tuple[str, ...]:
    """Return cells for a terminal: a long name of a component is cut, and the year left out where little room is."""
    trace, start, *numbers, who, what, cluster = line
    shown = start[_YEAR:] if line_width < 100 else start
    return trace, shown, *numbers, cut(who, _WIDEST_WHO), what, cut_middle(cluster, _WIDEST_CLUSTER)


def _columns_that_fit(widths: Sequence[int], line_width: int | None, *, fleet: bool) -> list[int]:
    shown = [*([_CLUSTER] if fleet else []), *range(_CLUSTER)]
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


def _trace_cells(item: TraceItem) -> tuple[str, ...]:
    statuses = _statuses(item)
    words = verdicts(
        item.outcome,
        is_open=Status.OPEN in statuses,
        error=Status.ERROR in statuses,
        incomplete=Status.INCOMPLETE in statuses,
    )
    start, length = clock(parse_time(item.start_time), day=True)[:19], duration(round(item.duration_ms * MILLISECOND))
    head = item.trace_id[:_ID], start, length, str(item.spans), str(item.warnings or ""), ", ".join(words)
    if not item.kind:
        return *head, "", ""
    what = f"{harmless(item.reason)} {object_text(item.kind, item.namespace, _name(item))}"
    note = note_of_answer(item)
    return *head, harmless(item.service), f"{what}: {note}" if note else what


def _cluster_cell(item: TraceItem, clusters: Mapping[str, str]) -> str:
    return harmless(clusters.get(item.cluster, item.cluster)) if isinstance(item, FleetTrace) else ""


def _statuses(item: TraceItem) -> list[Status]:
    return [Status(word) for word in item.status.split(",")]


def _name(answer: TraceItem | LineAnswer) -> str:
    return f"{answer.name}/{answer.container}" if answer.container else answer.name


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

    def show(self, line: LineAnswer) -> None:
        """Print an occurrence: errors in red, changes in bold."""
        note = note_of_answer(line)
        place = f"{line.namespace}/" if line.namespace else ""
        what = harmless(f"{line.kind}.{line.reason} {place}{_name(line)}")
        cells = [harmless(line.service), what + repeats_of_answer(line.count, line.last_time)]
        for i, cell in enumerate(cells):
            self._widths[i] = max(self._widths[i], min(cell_len(cell), self._WIDEST[i]))
        padded = [cell + " " * (width - cell_len(cell)) for cell, width in zip(cells, self._widths, strict=True)]
        style = "red" if line.error else "bold" if line.change else ""
        start: list[tuple[str, str]] = [(clock(parse_time(line.time), day=True), "dim"), ("  " + padded[0], "")]
        self._out.line(*start, ("  " + padded[1], style), ("  " + note if note else "", style))
