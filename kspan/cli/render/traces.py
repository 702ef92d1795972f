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
from kspan.vocabulary import with_container

_ID = 12
"""Digits of a trace id in tables. ``kspan trace`` accepts them."""

_STYLES: Final = {Status.ERROR: "bold red", Status.INCOMPLETE: "yellow", Status.OPEN: "cyan", Status.OK: "green"}


def traces_table(found: Sequence[TraceSummary], out: Screen) -> None:
    """Print one line for each trace."""
    header = ("TRACE", "START (UTC)", "DURATION", "SPANS", "WARNINGS", "OUTCOME", "WHO", "WHAT")
    lines = [_trace_cells(summary) for summary in found]
    if not lines:
        return
    widths = [max(cell_len(line[i]) for line in (header, *lines)) for i in range(len(header) - 1)]
    out.line(("  ".join([h.ljust(w) for h, w in zip(header, [*widths, 0], strict=True)]), "bold"))
    for summary, line in zip(found, lines, strict=True):
        padded = [text + " " * (width - cell_len(text)) for text, width in zip(line, [*widths, 0], strict=False)]
        padded[2:5] = [cell.rjust(width) for cell, width in zip(line[2:5], widths[2:5], strict=True)]
        what = line[-1] if out.width is None else cut(line[-1], max(out.width - sum(widths) - 2 * len(widths), 20))
        style = _STYLES[summary.statuses[0]]
        before, after = "  ".join(padded[:5]) + "  ", "  " + padded[6] + "  "
        out.line((before, ""), (padded[5], style), (after, ""), (what, ""))


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


def otlp(spans: Sequence[SpanRow], cluster: str) -> bytes:
    """Return the line of OTLP/JSON that the file exporter would write."""
    from kspan.emit.otel_spans import ClusterIdentity, readable_span
    from kspan.emit.otlp_json_file import encode_lines

    identity = ClusterIdentity(cluster)
    return b"".join(encode_lines([readable_span(span, identity) for span in spans]))


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
