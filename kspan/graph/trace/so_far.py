"""The spans of a trace that is open. Pure."""

from kspan.graph.state.rows import occurrence_of, span_so_far
from kspan.graph.trace.durations import end_times
from kspan.model import SpanRow


def so_far(rows: list[SpanRow]) -> list[SpanRow]:
    """Return the spans of an open trace as they are so far."""
    members = [occurrence_of(row) for row in rows if row.fold]
    ends = end_times(members, {occ.id: occ.time for occ in members})
    return [span_so_far(row, ends.get(row.span_id, 0)) for row in rows]
