"""The spans of a trace that is open. Pure."""

from collections.abc import Iterable
from typing import NamedTuple

from kspan.graph.state.records import Occurrence
from kspan.graph.state.rows import decode_occurrence, last_event, occurrence_of, open_span_so_far, span_so_far
from kspan.graph.trace.durations import end_times
from kspan.model import SpanRow


class OpenSpan(NamedTuple):
    """An open span without its attributes.

    Args:
        occurrence: what it becomes a span of.
        end_time: its end so far (Unix ns).
        last_time: when it ended or its occurrence happened last (Unix ns).
    """

    occurrence: Occurrence
    end_time: int
    last_time: int

    def row(self) -> SpanRow:
        """Return the row of the span, as ``so_far`` does."""
        return open_span_so_far(self.occurrence, self.end_time)


def so_far(rows: list[SpanRow]) -> list[SpanRow]:
    """Return the spans of an open trace as they are so far."""
    members = [occurrence_of(row) for row in rows if row.fold]
    ends = end_times(members, {occ.id: occ.time for occ in members})
    return [span_so_far(row, ends.get(row.span_id, 0)) for row in rows]


def open_spans(folds: Iterable[bytes]) -> dict[str, OpenSpan]:
    """Return the open spans of a trace by id. ``folds`` has the column ``fold`` of each.

    For lists of traces: the attributes of a span take longer than everything else, and a list needs those of the root.
    """
    members = [decode_occurrence(fold) for fold in folds]
    ends = end_times(members, {occ.id: occ.time for occ in members})
    return {occ.id: OpenSpan(occ, ends[occ.id], max(ends[occ.id], last_event(occ))) for occ in members}
