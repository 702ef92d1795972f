"""Renders a trace as a tree: actor, action and object of each span, with bars on the time axis of the trace."""

import zlib
from collections import defaultdict
from collections.abc import Iterator, Sequence

import msgspec
from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.text import Text

from kspan import vocabulary
from kspan.model import Outcome, SpanRow, TraceRow, TraceState
from kspan.terminal.counted import counted
from kspan.terminal.deletions import held_text
from kspan.terminal.text import cut, cut_middle, duration, harmless, pad
from kspan.terminal.zone import in_zone, zone_label

# The services of nearly every trace have fixed colors; others get one by the hash of their name.
_KNOWN_COLORS = {
    "kubectl": "yellow",
    "deployment-controller": "cyan",
    "replicaset-controller": "blue",
    "default-scheduler": "magenta",
    "kubelet": "green",
}
_OTHER_COLORS = ("bright_cyan", "bright_green", "bright_magenta", "bright_yellow", "bright_blue")
_STYLES: dict[str, str] = {
    Outcome.OK: "green",
    Outcome.RECOVERED: "green",
    Outcome.SUPERSEDED: "green",
    Outcome.FAILING: "bold red",
    Outcome.FAILED: "bold red",
    Outcome.INCOMPLETE: "yellow",
    Outcome.UNKNOWN: "yellow",
    TraceState.OPEN: "cyan",
}
_WENT_WELL = (Outcome.OK, Outcome.RECOVERED, Outcome.SUPERSEDED)
_DURATION_WIDTH = 6
_GAP = 2
_MIN_TITLE = 16  # minimum cells of the object in the header, so that its name stays recognizable
_MAX_RAILS = 48  # maximum cells of indentation; deeper spans are indented by this much


class _Glyphs(msgspec.Struct, frozen=True):
    """The characters of trees and bars."""

    branch: str
    last: str
    rail: str
    full: str
    left_half: str
    right_half: str
    instant: str
    ok: str
    failed: str
    unfinished: str
    dot: str
    times: str


_UNICODE = _Glyphs("├╴", "└╴", "│ ", "█", "▌", "▐", "▏", "✓", "✗", "◌", " · ", "\u00d7")
_ASCII = _Glyphs("|-", "`-", "| ", "#", "#", "#", "|", "+", "x", "~", " - ", "x")


class _Line(msgspec.Struct, frozen=True):
    """A span in the tree, with the lines before it (``rails``) and under it (``below``)."""

    span: SpanRow
    rails: str
    below: str
    service: str
    name: str
    subject: str
    same_subject: bool
    summary: str
    problem: str


class _Columns(msgspec.Struct, frozen=True):
    """Widths of the columns in cells (0: no column). A note that is wider than its column is printed below."""

    tree: int
    service: int
    bar: int
    note: int


def render_trace(trace: TraceRow, spans: Sequence[SpanRow], *, width: int, ascii_only: bool = False) -> RenderableType:
    """Render a trace as a header line and a tree of its spans.

    Args:
        trace: the trace.
        spans: its spans in any order. Spans whose parent is missing (such as a remote parent) are roots.
        width: maximum cells of a line.
        ascii_only: draw with ASCII characters, and replace all others by ``?``.
    """
    glyphs = _ASCII if ascii_only else _UNICODE
    lines = list(_lines(spans, glyphs))
    width = max(width, 20)
    columns = _columns(lines, width)
    start = min((span.start_time for span in spans), default=trace.start_time)
    end = max((time for span in spans for time in (span.end_time, *_repeats(span))), default=trace.end_time)
    rendered = list(_header(trace, lines, end - start, width, glyphs))
    for line in lines:
        rendered.extend(_span_lines(line, columns, start, end, width, glyphs))
    for text in rendered:
        text.rstrip()
        if ascii_only:
            _to_ascii(text)
    return Group(*rendered)


# The tree


def _lines(spans: Sequence[SpanRow], glyphs: _Glyphs) -> Iterator[_Line]:
    known = {span.span_id: span for span in spans}
    children: dict[str, list[SpanRow]] = defaultdict(list)
    for span in sorted(known.values(), key=_order):
        children[span.parent_span_id if span.parent_span_id in known else ""].append(span)
    seen: set[str] = set()
    # First from the roots, then from spans that no root reaches: a damaged database can contain a cycle of parents.
    for start in [children[""], *([span] for span in sorted(known.values(), key=_order))]:
        # A stack instead of recursion, because chains of causes can exceed the recursion limit of Python.
        stack = [(span, "", "", "") for span in reversed(start)]
        while stack:
            span, rails, below, parent_uid = stack.pop()
            if span.span_id in seen:
                continue
            seen.add(span.span_id)
            own = children[span.span_id] if span.span_id else []
            yield _line(span, rails, below, bool(own), parent_uid, glyphs)
            stem = below if len(below) < _MAX_RAILS else below[: _MAX_RAILS - 2]
            for index in range(len(own) - 1, -1, -1):
                last = index == len(own) - 1
                stack.append(
                    (
                        own[index],
                        stem + (glyphs.last if last else glyphs.branch),
                        stem + ("  " if last else glyphs.rail),
                        span.object_uid,
                    )
                )


def _repeats(span: SpanRow) -> list[int]:
    return [event.time for event in span.events if vocabulary.is_repeat(event.attributes)]


def _repeated(span: SpanRow, glyphs: _Glyphs) -> str:
    """Return how often the occurrence of a span happened, and from the first to the last time in how long."""
    count = vocabulary.count_occurrences(span.attributes, (event.attributes for event in span.events))
    repeats = _repeats(span)
    if count < 2:
        return ""
    over = f" over {duration(max(repeats) - span.start_time)}" if repeats and max(repeats) > span.start_time else ""
    return f" {glyphs.times}{count}{over}"


def _order(span: SpanRow) -> tuple[int, str, str, str]:
    return span.start_time, span.object_name, span.name, span.span_id


def _line(span: SpanRow, rails: str, below: str, has_children: bool, parent_uid: str, glyphs: _Glyphs) -> _Line:
    summary = span.attributes.get(vocabulary.CHANGE_SUMMARY, "")
    return _Line(
        span=span,
        rails=rails,
        below=below + (glyphs.rail if has_children else "  "),
        service=harmless(span.service),
        name=harmless(span.name) + _repeated(span, glyphs),
        subject=harmless(vocabulary.with_container(span.object_name, span.attributes)),
        same_subject=bool(parent_uid) and parent_uid == span.object_uid,
        summary=harmless(summary) if isinstance(summary, str) and summary else held_text(span),
        problem=harmless(span.message) if span.error else "",
    )


# The columns


def _columns(lines: Sequence[_Line], width: int) -> _Columns:
    """Distribute ``width``: tree and service as needed up to a limit, then the notes, then the bar."""
    service = max((cell_len(line.service) for line in lines), default=0)
    service = 0 if width < 70 else min(service, 14 if width < 100 else 26)
    bar = 0 if width < 56 else max(12, min(width // 6, 40))
    fixed = sum(column + _GAP for column in (service, bar) if column) + _DURATION_WIDTH + _GAP
    needed = max((len(line.rails) + cell_len(line.name) + 1 + cell_len(line.subject) for line in lines), default=0)
    tree = max(min(needed, width - fixed), 8)
    spare = max(width - fixed - tree, 0)
    notes = max((cell_len(note) for line in lines for note in (line.summary, line.problem)), default=0)
    if notes and spare >= 20:
        note = min(notes, spare - _GAP)
        spare -= note + _GAP
    else:
        note = 0
    return _Columns(tree, service, min(bar + spare, 60) if bar else 0, note)


# The lines


def _header(trace: TraceRow, lines: Sequence[_Line], length: int, width: int, glyphs: _Glyphs) -> Iterator[Text]:
    """Yield object, actor, start, duration, number of spans and outcome, on two lines if one is too narrow."""
    root = next((line for line in lines if line.span.span_id == trace.root_span_id), lines[0] if lines else None)
    mark, marks = _outcome(trace, glyphs)
    facts = [(_when(trace.start_time), ""), (duration(length), ""), (counted(len(lines), "span"), ""), marks[0]]
    more = [*marks[1:], (f"trace {harmless(trace.trace_id)[:12]}", "dim")]
    if trace.previous_trace_id:
        more.append((f"continues {harmless(trace.previous_trace_id)[:12]}", "cyan"))
    actor = f" by {cut(root.service, 30)}" if root and root.service else ""
    title = _title(root)
    dot = len(glyphs.dot)
    room = width - 2 - cell_len(actor) - sum(dot + len(fact) for fact, _ in facts)
    if cell_len(title) + sum(dot + len(word) for word, _ in more) <= room:
        first, second = [*facts, *more], []
    elif room >= min(cell_len(title), _MIN_TITLE):
        first, second = facts, more
    else:
        first, second = [], [*facts, *more]
        room = width - 2 - cell_len(actor)
    text = _text((mark + " ", marks[0][1]), (cut_middle(title, max(room, 12)), "bold"), (actor, ""))
    for fact in first:
        text.append(glyphs.dot, "dim").append(*fact)
    text.truncate(width, overflow="ellipsis")
    yield text
    if second:
        text = _text(("  ", ""))
        for fact in second:
            text.append(glyphs.dot if len(text) > 2 else "", "dim").append(*fact)
        text.truncate(width, overflow="ellipsis")
        yield text


def _title(root: _Line | None) -> str:
    if root is None:
        return "empty trace"
    span = root.span
    place = f"{harmless(span.object_namespace)}/" if span.object_namespace else ""
    return f"{harmless(span.object_kind)} {place}{root.subject}".strip() or root.name


def _outcome(trace: TraceRow, glyphs: _Glyphs) -> tuple[str, list[tuple[str, str]]]:
    """Return the mark before the header, and the words of the outcome with their styles."""
    words = [(word, _STYLES.get(word, "")) for word in trace.verdicts]
    if trace.error:
        return glyphs.failed, words
    return (glyphs.ok if words[0][0] in _WENT_WELL else glyphs.unfinished), words


def _when(time: int) -> str:
    label = zone_label(time)
    return in_zone(time).strftime("%Y-%m-%d %H:%M:%S") + ("Z" if label == "UTC" else f" {label}")


def _span_lines(line: _Line, columns: _Columns, start: int, end: int, width: int, glyphs: _Glyphs) -> Iterator[Text]:
    span = line.span
    text = _label(line, columns.tree)
    if columns.service:
        text.append(" " * _GAP).append(pad(line.service, columns.service), _color(span))
    if columns.bar:
        bar = _bar(span, start, end, columns.bar, glyphs)
        text.append(" " * _GAP).append(bar, "red" if span.error else _color(span))
    # A moment has no duration.
    length = duration(span.end_time - span.start_time) if span.end_time > span.start_time else ""
    text.append(" " * _GAP).append(length.rjust(_DURATION_WIDTH), "dim")
    notes = [(words, style) for words, style in ((line.summary, ""), (line.problem, "red")) if words]
    if notes and cell_len(notes[0][0]) <= columns.note:
        text.append(" " * _GAP).append(*notes.pop(0))
    yield text
    rails = cut(line.below, width // 2) + "  "
    for words, style in notes:
        yield _text((rails, "dim"), (cut(words, width - len(rails)), style))


def _label(line: _Line, width: int) -> Text:
    """Return rails, name and object in ``width`` cells. The object is cut first, then the name, then the rails."""
    rails = line.rails if len(line.rails) < width // 2 else cut(line.rails, width // 2)
    room = width - cell_len(rails)
    name = cut(line.name, room)
    subject = cut_middle(line.subject, max(room - cell_len(name) - 1, 0))
    text = _text((rails, "dim"), (name, "bold red" if line.span.error else "bold"))
    text.append(" ").append(subject, "dim" if line.same_subject else "")
    text.append(" " * (width - text.cell_len))
    text.truncate(width)
    return text


def _bar(span: SpanRow, start: int, end: int, width: int, glyphs: _Glyphs) -> str:
    """Return the bar of a span on the axis from ``start`` to ``end`` (ns): ``width`` cells, exact to half a cell."""
    halves = 2 * width
    length = max(end - start, 1)
    first = min(max(span.start_time - start, 0) * halves // length, halves - 1)
    if span.end_time <= span.start_time:
        cells = [" "] * width
        for time in (span.start_time, *_repeats(span)):
            cells[min(max(time - start, 0) * width // length, width - 1)] = glyphs.instant
        return "".join(cells)
    # Rounded up, so that consecutive spans touch and short spans stay visible.
    last = min(max(-(-(span.end_time - start) * halves // length), first), halves)
    if last - first < 2:
        # Shorter than a cell.
        return (" " * (first // 2) + (glyphs.right_half if first % 2 else glyphs.left_half)).ljust(width)
    head = glyphs.right_half if first % 2 else ""
    tail = glyphs.left_half if last % 2 else ""
    full = last // 2 - (first + 1) // 2
    return (" " * (first // 2) + head + glyphs.full * full + tail).ljust(width)


def _color(span: SpanRow) -> str:
    code = zlib.crc32(span.service.encode("utf-8", "replace"))
    return _KNOWN_COLORS.get(span.service) or _OTHER_COLORS[code % len(_OTHER_COLORS)]


def _text(*parts: tuple[str, str]) -> Text:
    return Text.assemble(*parts, no_wrap=True, overflow="crop", end="\n")


def _to_ascii(text: Text) -> None:
    # Character by character, so that widths and styles stay valid.
    text.plain = text.plain.replace("…", "~").encode("ascii", "replace").decode("ascii")
