"""Formats a list of rollouts as text."""

from collections.abc import Sequence
from typing import Final

from rich.cells import cell_len

from kspan.model import Outcome
from kspan.query.rollouts import Rollout
from kspan.query.span_text import object_text
from kspan.terminal.screen import Screen, clock
from kspan.terminal.text import cut, duration, harmless
from kspan.terminal.zone import zone_label
from kspan.times import SECOND

_ID: Final = 12
_LEAST_ROOM: Final = 12
_WIDEST_WHO: Final = 22
_STYLES: Final[dict[str, str]] = {Outcome.FAILED: "bold red", Outcome.FAILING: "bold red"}


def rollouts_table(found: Sequence[Rollout], out: Screen, *, headers: bool = True) -> None:
    """Print one line for each rollout. On a terminal, WHAT is cut to the width."""
    if not found:
        return
    header = ("TRACE", f"START ({zone_label(found[0].start_time)})", "READY", "OUTCOME", "WHO", "WHAT")
    rows = [_cells(each) for each in found]
    widths = [max(cell_len(row[i]) for row in (header, *rows)) for i in range(len(header) - 1)]
    room = None if out.width is None else max(out.width - sum(widths) - 2 * len(widths), _LEAST_ROOM)
    if headers:
        out.line((_joined(header, widths, room), "bold"))
    for each, row in zip(found, rows, strict=True):
        out.line((_joined(row, widths, room), _STYLES.get(each.outcome, "")))


def _cells(found: Rollout) -> tuple[str, ...]:
    ready = "" if found.all_ready_seconds is None else duration(round(found.all_ready_seconds * SECOND))
    what = f"{harmless(found.action)} {object_text(found.kind, found.namespace, found.name)}"
    note = harmless("; ".join(filter(None, [found.change, found.message])))
    start = clock(found.start_time, day=True)[:19]
    who = cut(harmless(found.who), _WIDEST_WHO)
    return found.trace_id[:_ID], start, ready, harmless(found.outcome), who, f"{what}: {note}" if note else what


def _joined(cells: Sequence[str], widths: Sequence[int], room: int | None) -> str:
    *first, what = cells
    padded = [text + " " * (width - cell_len(text)) for text, width in zip(first, widths, strict=True)]
    return "  ".join([*padded, what if room is None else cut(what, room)])
