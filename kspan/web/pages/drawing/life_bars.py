"""Bars and marks over time, as numbers for SVG: how long an object existed, and in which states. Pure."""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from kspan.query.objects.life import Life, State
from kspan.times import SECOND, format_time

WIDTH: Final = 1_000
"""Width of the drawing in its own units."""


MakeBar = Callable[[int, int, str, str], "Bar"]
"""Makes a bar: start and end (Unix ns), tone, title."""


class Bar(msgspec.Struct, frozen=True):
    """A bar from ``x`` on, ``width`` wide. ``tone`` is its class, ``title`` what it stands for."""

    x: float
    width: float
    tone: str
    title: str


class Mark(msgspec.Struct, frozen=True):
    """A mark at ``x``: an occurrence with its trace and span."""

    x: float
    tone: str
    title: str
    trace_id: str
    span_id: str


class Track(msgspec.Struct, frozen=True):
    """A line of bars with a name."""

    name: str
    bars: list[Bar]


class Drawing(msgspec.Struct, frozen=True):
    """The life of an object from ``first`` to ``last`` (RFC 3339)."""

    first: str
    last: str
    tracks: list[Track]
    marks: list[Mark]


def draw(life: Life, newest: int) -> Drawing:
    """Return the drawing of a life that is known until ``newest`` (Unix ns)."""
    here = life.object
    times = [state.time for state in life.states] + [span.start_time for span in life.occurrences]
    first = min([*times, *([here.created_at] if here.created_at and not life.more_revisions else [])], default=newest)
    last = max([*times, here.deleted_at or newest, first + SECOND])
    scale = WIDTH / (last - first)

    def bar(start: int, end: int, tone: str, title: str) -> Bar:
        start, end = max(start, first), min(max(end, start), last)
        return Bar(round((start - first) * scale, 2), max(round((end - start) * scale, 2), 1.5), tone, title)

    end = here.deleted_at or last
    born = here.created_at or first
    tracks = [Track("exists", [bar(born, end, "gone" if here.deleted_at else "exists", "exists")])]
    if any(state.phase for state in life.states):
        tracks.append(Track("phase", _runs(life.states, end, bar, lambda state: state.phase)))
    names = dict.fromkeys(name for state in life.states for name in state.conditions)
    tracks += [Track(name, _runs(life.states, end, bar, _status_of(name))) for name in names]
    marks = [
        Mark(
            round((span.start_time - first) * scale, 2),
            "error" if span.error else "event" if span.event_uid else "change",
            f"{span.reason} {format_time(span.start_time)[11:23]}",
            span.trace_id,
            span.span_id,
        )
        for span in reversed(life.occurrences)
    ]
    return Drawing(format_time(first), format_time(last), tracks, marks)


def _status_of(name: str) -> Callable[[State], str]:
    return lambda state: state.conditions.get(name, "")


_TONES: Final = {
    "True": "yes",
    "Running": "yes",
    "Bound": "yes",
    "Active": "yes",
    "Succeeded": "done",
    "False": "no",
    "Failed": "bad",
    "Unknown": "unknown",
}


def _runs(states: Sequence[State], end: int, bar: MakeBar, value: Callable[[State], str]) -> list[Bar]:
    """Return a bar for each run of states with the same value."""
    found: list[Bar] = []
    run = ""
    since = 0
    for state in states:
        now = value(state)
        if now == run:
            continue
        if run:
            found.append(bar(since, state.time, _TONES.get(run, "other"), run))
        run, since = now, state.time
    if run:
        found.append(bar(since, end, _TONES.get(run, "other"), run))
    return found
