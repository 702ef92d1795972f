"""Formats the answer of ``kspan why`` as text."""

from rich.cells import cell_len

from kspan.cli.render.why_rows import EffectRow, chain_rows, effect_rows
from kspan.model import SpanRow, TraceState
from kspan.query.span_text import repeats_text
from kspan.query.why import Why
from kspan.query.why_headline import headline, is_root
from kspan.terminal.counted import counted
from kspan.terminal.screen import Piece, Screen, clock
from kspan.terminal.text import harmless
from kspan.vocabulary import with_container

_GAP = "  "
_TIMES = "\u00d7"

SURE = 0.9
"""Confidence from which a row does not say that its cause is inferred."""

_MARKS = {("Pod", "Created"): " (container)"}
"""Marks of Events with a name similar to that of a change, such as ``Pod.Create``."""


def as_text(answer: Why, out: Screen) -> None:
    """Print what happened with its root cause, the chain of causes, and other effects of the root cause."""
    for pieces in headline(answer):
        out.paragraph(*pieces)
    for note in _notes(answer):
        out.line(note)
    if answer.links:
        out.line()
        _chain(answer, out)
    if answer.effects:
        out.line()
        _effects(answer, out)
    if answer.followed:
        out.line()
        _followed(answer, out)
    if answer.trace is not None:
        out.line()
        newest = answer.links[0].span.trace_id if answer.links else answer.trace.trace_id
        before = f", kspan trace {answer.trace.trace_id[:12]}" if newest != answer.trace.trace_id else ""
        out.line(("  whole trace: ", "dim"), (f"kspan trace {newest[:12]}{before}", ""))


# Notes


def _notes(answer: Why) -> list[Piece]:
    here, others = answer.found.object, answer.found.others
    notes: list[Piece] = []
    if not answer.found.namespace_given:
        notes.append((f"(only namespace {harmless(here.namespace)} has an object of this name)", "dim"))
    if others:
        listed = ", ".join(harmless(other.uid) for other in others[:3]) + (" …" if len(others) > 3 else "")
        count = counted(len(others), "other object")
        notes.append((f"uid {harmless(here.uid)}; {count} had this name, choose one with --uid: {listed}", "yellow"))
    for span in answer.undecided[:3]:
        when = f"{harmless(span.name)} at {clock(span.start_time)}"
        notes.append((f"{when} has no cause yet: ask again in 10s, when later records have arrived", "yellow"))
    if answer.trace is not None and answer.trace.state is TraceState.OPEN:
        notes.append(("this trace is still open: more can follow", "yellow"))
    return notes


# The chain


def _chain(answer: Why, out: Screen) -> None:
    rows = chain_rows(answer.links)
    spans = [row.link.span for row in rows]
    day = clock(spans[0].start_time, day=True)[:10] != clock(spans[-1].start_time, day=True)[:10]
    cells = [_cells(span, day=day) for span in spans]
    widths = [max(cell_len(row[i]) for row in cells) for i in range(len(cells[0]))]
    for number, (row, texts) in enumerate(zip(rows, cells, strict=True)):
        last = number == len(cells) - 1
        # Of the last one, the confidence is that nothing else caused it.
        inferred = f"(cause inferred, {row.confidence:.0%})" if row.confidence < SURE and not last else ""
        note = "  ".join(filter(None, [row.note, inferred]))
        _print_link(row.link.span, note, texts, widths, out, last=last)
        if row.continues:
            out.line((f"  ⋮ continues in trace {harmless(row.continues)[:12]}", "cyan"))
    _end(answer, out)


def _cells(span: SpanRow, *, day: bool) -> list[str]:
    what = f"{span.name}{_event_mark(span)} {with_container(span.object_name, span.attributes)}"
    return [
        clock(span.start_time, day=day),
        harmless(span.service),
        harmless(what) + repeats_text(span),
    ]


def _event_mark(span: SpanRow) -> str:
    """Mark an Event whose reason reads like a change or a phase of its object."""
    return " (Event)" if span.event_uid and span.reason in ("Created", "Deleted", "Failed", "Updated") else ""


def _print_link(span: SpanRow, note: str, row: list[str], widths: list[int], out: Screen, *, last: bool) -> None:
    padded = [text + " " * (width - cell_len(text)) for text, width in zip(row, widths, strict=True)]
    style = "red" if span.error else "bold" if last else ""
    pieces: list[Piece] = [("└╴" if last else "├╴", "dim"), (padded[0], "dim"), (_GAP + padded[1], "")]
    pieces.append((_GAP + padded[2], style))
    used = sum(widths) + 2 + 2 * len(_GAP)
    if note and (out.width is None or used + len(_GAP) + cell_len(note) <= out.width):
        out.line(*pieces, (_GAP + note, style if last or span.error else ""))
        return
    out.line(*pieces)
    if note:
        out.line(("  " if last else "│ ", "dim"), (" " * (widths[0] + 2) + note, style if last or span.error else ""))


def _end(answer: Why, out: Screen) -> None:
    """Print why the chain ends, unless it ends at a root cause."""
    if answer.remote:
        trace, span = answer.remote
        out.line((f"  ⋮ caused by span {span} of trace {trace}, which an annotation of the object names", "cyan"))
    elif answer.lost:
        out.line(
            (f"  ⋮ caused by trace {harmless(answer.lost)}, which is older than the retention and was deleted", "cyan")
        )
    elif answer.related:
        trace, span = answer.related
        out.line(
            (f"  ⋮ related to span {span} of trace {trace}, which an older annotation of the object names", "cyan")
        )
    elif not is_root(answer):
        out.line(("  ⋮ cause unknown (it may be older than what kspan has seen)", "cyan"))


# Other effects


def _effects(answer: Why, out: Screen) -> None:
    shown = effect_rows(answer.effects)
    rows = [(clock(each.effect.first), f"{each.effect.count}{_TIMES}", *_group(each)) for each in shown]
    widths = [max(cell_len(row[i]) for row in rows) for i in range(4)]
    headings = {True: "Failures of the same cause:", False: "Other effects of the same cause:"}
    for (effect, _), row in zip(shown, rows, strict=True):
        if (heading := headings.pop(effect.error, None)) is not None:
            out.line((heading, "bold"))
        style = "red" if effect.error else ""
        text = f"{row[1].rjust(widths[1])} {row[2].ljust(widths[2])}  {row[3]}"
        out.line(("  " + row[0] + _GAP, "dim"), (text, style))
        if effect.error and effect.message:
            message = harmless(effect.message)[:300].removesuffix(":")
            out.line((" " * (widths[0] + 4 + widths[1] + 1) + message, style))
    if answer.more_effects:
        more = counted(answer.more_effects, "more kind of occurrence", "more kinds of occurrences")
        out.line((f"  and {more}", "dim"))


def _group(row: EffectRow) -> tuple[str, str]:
    effect = row.effect
    which = harmless(effect.example) if effect.objects == 1 else f"on {effect.objects} objects"
    if row.started:
        return "Pod started", f"{which} ({row.started})"
    probe = f" ({effect.probe.lower()})" if effect.probe else ""
    # The kubelet's Event, and not the phase of a Pod that failed.
    reported = effect.reason == "Failed" and effect.message.startswith(("Error: ", "Failed to "))
    mark = probe or (" (Event)" if reported else _MARKS.get((effect.kind, effect.reason), ""))
    return harmless(f"{effect.kind}.{effect.reason}{mark}"), which


def _followed(answer: Why, out: Screen) -> None:
    """Print the traces that continue the one of the root cause. It is not known how they were at an earlier time."""
    out.line(("Traces that continue this one:", "bold"))
    shown = {link.span.trace_id for link in answer.links}
    for trace in answer.followed:
        above = "  (shown above)" if trace.trace_id in shown else ""
        verdict = f"{counted(trace.span_count, 'span')}, {', '.join(trace.verdicts)}"
        summary = f"{verdict} (as of now){above}" if answer.at else f"{verdict}{above}"
        out.line(
            ("  " + clock(trace.start_time or trace.opened_at) + _GAP, "dim"),
            (f"trace {trace.trace_id[:12]}  {summary}", ""),
        )
