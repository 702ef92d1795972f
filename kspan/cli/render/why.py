"""Formats the answer of ``kspan why`` as text and as JSON."""

from typing import Any

from rich.cells import cell_len

from kspan.cli.render.span_text import note_of, repeats_text
from kspan.cli.render.why_headline import headline, is_root
from kspan.model import ObjectRow, SpanRow, TraceRow, TraceState
from kspan.query import spans as reading
from kspan.query.why import Effect, Link, Why
from kspan.terminal.deletions import held_text
from kspan.terminal.screen import Piece, Screen, clock
from kspan.terminal.text import harmless
from kspan.times import format_time
from kspan.vocabulary import CONTAINER_NAME, with_container

_GAP = "  "
_TIMES = "\u00d7"


def as_text(answer: Why, out: Screen) -> None:
    """Print what happened with its root cause, the chain of causes, and other effects of the root cause."""
    for pieces in headline(answer):
        out.line(*pieces)
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
        out.line(("  whole trace: ", "dim"), (f"kspan trace {answer.trace.trace_id[:12]}", ""))


# Notes


def _notes(answer: Why) -> list[Piece]:
    here, others = answer.found.object, answer.found.others
    notes: list[Piece] = []
    if not answer.found.namespace_given:
        notes.append((f"(only namespace {harmless(here.namespace)} has an object of this name)", "dim"))
    if others:
        listed = ", ".join(harmless(other.uid) for other in others[:3]) + (" …" if len(others) > 3 else "")
        count = f"{len(others)} other object{'s' if len(others) > 1 else ''}"
        notes.append((f"uid {harmless(here.uid)}; {count} had this name, choose one with --uid: {listed}", "yellow"))
    for span in answer.undecided[:3]:
        when = f"{harmless(span.name)} at {clock(span.start_time)}"
        notes.append((f"{when} has no cause yet: ask again in 10s, when later records have arrived", "yellow"))
    if answer.trace is not None and answer.trace.state is TraceState.OPEN:
        notes.append(("this trace is still open: more can follow", "yellow"))
    return notes


# The chain


def _chain(answer: Why, out: Screen) -> None:
    spans = [link.span for link in answer.links]
    day = clock(spans[0].start_time, day=True)[:10] != clock(spans[-1].start_time, day=True)[:10]
    cells = [_cells(span, day=day) for span in spans]
    widths = [max(cell_len(row[i]) for row in cells) for i in range(len(cells[0]))]
    for number, (link, row) in enumerate(zip(answer.links, cells, strict=True)):
        last = number == len(cells) - 1
        _print_link(link.span, row, widths, out, last=last)
        if link.continues:
            earlier = f"caused by an earlier trace, which was already closed: {harmless(link.continues)[:12]}"
            out.line((f"  ⋮ {earlier}", "cyan"))
    _end(answer, out)


def _cells(span: SpanRow, *, day: bool) -> list[str]:
    rule = f"{harmless(span.rule)} {span.confidence:.2f}"
    what = f"{span.name} {with_container(span.object_name, span.attributes)}"
    return [
        clock(span.start_time, day=day),
        harmless(span.service),
        harmless(what) + repeats_text(span),
        rule,
    ]


def _print_link(span: SpanRow, row: list[str], widths: list[int], out: Screen, *, last: bool) -> None:
    padded = [text + " " * (width - cell_len(text)) for text, width in zip(row, widths, strict=True)]
    style = "red" if span.error else "bold" if last else ""
    pieces: list[Piece] = [("└╴" if last else "├╴", "dim"), (padded[0], "dim"), (_GAP + padded[1], "")]
    pieces += [(_GAP + padded[2], style), (_GAP + padded[3], "dim")]
    note = note_of(span)
    used = sum(widths) + 2 + 3 * len(_GAP)
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
    out.line(("Other effects of the same cause:", "bold"))
    rows = [(clock(e.first), f"{e.count}{_TIMES}", *_group(e)) for e in answer.effects]
    widths = [max(cell_len(row[i]) for row in rows) for i in range(4)]
    for effect, row in zip(answer.effects, rows, strict=True):
        style = "red" if effect.error else ""
        text = f"{row[1].rjust(widths[1])} {row[2].ljust(widths[2])}  {row[3]}"
        out.line(("  " + row[0] + _GAP, "dim"), (text, style))
        if effect.error and effect.message:
            out.line((" " * (widths[0] + 4) + " " * (widths[1] + 1) + harmless(effect.message)[:300], style))
    if answer.more_effects:
        out.line((f"  and {answer.more_effects} more kinds of occurrences", "dim"))


def _group(effect: Effect) -> tuple[str, str]:
    which = harmless(effect.example) if effect.objects == 1 else f"on {effect.objects} objects"
    probe = f" ({effect.probe.lower()})" if effect.probe else ""
    return harmless(f"{effect.kind}.{effect.reason}{probe}"), which


def _followed(answer: Why, out: Screen) -> None:
    out.line(("Traces that continue this one:", "bold"))
    shown = {link.span.trace_id for link in answer.links}
    for trace in answer.followed:
        above = "  (shown above)" if trace.trace_id in shown else ""
        count = f"{trace.span_count} span{'' if trace.span_count == 1 else 's'}"
        summary = f"{count}, {', '.join(trace.verdicts)}{above}"
        out.line(
            ("  " + clock(trace.start_time or trace.opened_at) + _GAP, "dim"),
            (f"trace {trace.trace_id[:12]}  {summary}", ""),
        )


# JSON


def as_json(answer: Why) -> dict[str, Any]:
    """Return the answer as JSON values, with times in RFC 3339."""
    trace = answer.trace
    return {
        "object": _object(answer.found.object),
        "state": answer.state,
        "others": [_object(other) for other in answer.found.others],
        "undecided": [span_json(span) for span in answer.undecided],
        "chain": [_link_json(link) for link in answer.links],
        "remote_parent": dict(zip(("trace_id", "span_id"), answer.remote, strict=True)) if answer.remote else None,
        "related": dict(zip(("trace_id", "span_id"), answer.related, strict=True)) if answer.related else None,
        "lost_trace_id": answer.lost or None,
        "trace": _trace(trace) if trace else None,
        "resumed": [span_json(span) for span in answer.resumed],
        "effects": [_effect(effect) for effect in answer.effects],
        "more_effects": answer.more_effects,
        "followed_by": [_trace(followed) for followed in answer.followed],
    }


def span_json(span: SpanRow) -> dict[str, Any]:
    """Return an occurrence as JSON values."""
    return {
        "time": format_time(span.start_time),
        "end_time": format_time(span.end_time),
        "who": span.service,
        "service": span.service,
        "manager": reading.manager_of(span),
        "instance": span.instance,
        "kind": span.object_kind,
        "namespace": span.object_namespace,
        "name": span.object_name,
        "container": span.attributes.get(CONTAINER_NAME, ""),
        "uid": span.object_uid,
        "reason": span.reason,
        "error": span.error,
        "message": span.message,
        "change": reading.summary_of(span),
        "held": held_text(span),
        "count": reading.times(span),
        "rule": span.rule,
        "confidence": span.confidence,
        "state": span.state.value,
        "trace_id": span.trace_id,
        "span_id": span.span_id,
        "parent_span_id": span.parent_span_id,
    }


def _link_json(link: Link) -> dict[str, Any]:
    return {**span_json(link.span), "continues_trace_id": link.continues or None}


def _object(row: ObjectRow) -> dict[str, Any]:
    return {
        "kind": row.kind,
        "namespace": row.namespace,
        "name": row.name,
        "uid": row.uid,
        "api_version": row.api_version,
        "created_at": format_time(row.created_at) if row.created_at else None,
        "deleted_at": format_time(row.deleted_at) if row.deleted_at else None,
    }


def _trace(trace: TraceRow) -> dict[str, Any]:
    return {
        "trace_id": trace.trace_id,
        "state": trace.state.value,
        "start_time": format_time(trace.start_time) if trace.start_time else None,
        "end_time": format_time(trace.end_time) if trace.end_time else None,
        "spans": trace.span_count,
        "outcome": trace.outcome,
        "reason": trace.reason,
        "warnings": trace.warnings,
        "error": trace.error,
        "incomplete": trace.incomplete,
        "previous_trace_id": trace.previous_trace_id or None,
    }


def _effect(effect: Effect) -> dict[str, Any]:
    return {
        "kind": effect.kind,
        "reason": effect.reason,
        "error": effect.error,
        "count": effect.count,
        "objects": effect.objects,
        "first": format_time(effect.first),
        "example": effect.example,
        "message": effect.message if effect.error else "",
        "probe": effect.probe,
    }
