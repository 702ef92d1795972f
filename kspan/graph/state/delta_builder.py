"""The rows that changed since the last delta, to be inserted or updated. Pure data."""

from collections.abc import Callable

from kspan.graph.state.records import ObjectState, Occurrence, Trace
from kspan.graph.state.rows import object_row, open_span_row, open_trace_row, pending_row
from kspan.model import Delta, GapRow, OwnerRow, SpanRow, TraceRow


class DeltaBuilder:
    """Collects changes. ``objects``, ``spans`` and ``traces`` are those whose rows the next delta writes."""

    def __init__(self) -> None:
        self.objects: dict[str, None] = {}
        self.spans: dict[str, Occurrence] = {}
        self.traces: dict[str, None] = {}
        self.replaced_objects: set[str] = set()
        self._opened: set[str] = set()
        self._delta = Delta()
        # The key and the indexed columns of open spans, and the keys of waiting occurrences, as the database has them.
        self._stored_spans: dict[str, tuple[str, int, bool]] = {}
        self._stored_pending: set[int] = set()

    def replace_object(self, uid: str) -> None:
        """Write an object's row whole: it is new, or a column changed by which it is looked up."""
        self.objects[uid] = None
        self.replaced_objects.add(uid)

    def add_owner(self, row: OwnerRow) -> None:
        """Write an edge of ``ownership``."""
        self._delta.owners.append(row)

    def add_gap(self, row: GapRow) -> None:
        """Write a gap."""
        self._delta.gaps.append(row)

    def open_trace(self, trace: str) -> None:
        """Write the row of a new trace."""
        self.traces[trace] = None
        self._opened.add(trace)

    def drop_trace(self, trace: str) -> None:
        """Remove the row of an open trace."""
        self.traces.pop(trace, None)
        if trace in self._opened:
            self._opened.remove(trace)
        else:
            self._delta.dropped_traces.append((trace,))

    def forget_object(self, obj: ObjectState) -> None:
        """Write an object's last row, without the fold's state."""
        self.objects.pop(obj.uid, None)
        self._delta.objects.append(object_row(obj, live=False))

    def drop_occurrence(self, occ: Occurrence) -> None:
        """Remove the rows of an occurrence that became a repeat of another."""
        self.spans.pop(occ.id, None)
        stored = self._stored_spans.pop(occ.id, None)
        if stored is not None:
            self._delta.dropped_spans.append((stored[0], occ.id))
        self._drop_pending(occ)

    def close_span(self, occ: Occurrence, row: SpanRow) -> None:
        """Write the final row of a span."""
        self.spans.pop(occ.id, None)
        self._write_span(occ, row)

    def close_trace(self, row: TraceRow) -> None:
        """Write the final row of a trace."""
        self.traces.pop(row.trace_id, None)
        self._delta.traces.append(row)

    def loaded(self, occ: Occurrence) -> None:
        """Note which row the database has of an occurrence."""
        if occ.decided:
            self._stored_spans[occ.id] = (occ.place.trace, occ.time, occ.warning)
        else:
            self._stored_pending.add(occ.arrival)

    def take(
        self,
        find_object: Callable[[str], ObjectState | None],
        find_trace: Callable[[str], tuple[Trace, int] | None],
        clock: bytes,
    ) -> Delta:
        """The changes since the last call. ``find_trace`` returns an open trace and its number of spans."""
        delta = self._delta
        for uid in self.objects:
            obj = find_object(uid)
            if obj is not None:
                rows = delta.objects if uid in self.replaced_objects else delta.updated_objects
                rows.append(object_row(obj, live=True))
        for occ in self.spans.values():
            if occ.decided:
                self._write_open_span(occ)
            else:
                delta.pending.append(pending_row(occ))
                self._stored_pending.add(occ.arrival)
        for name in self.traces:
            found = find_trace(name)
            if found is not None:
                (delta.traces if name in self._opened else delta.updated_traces).append(open_trace_row(*found))
        delta.clock = clock
        self.clear()
        return delta

    def clear(self) -> None:
        """Start an empty delta."""
        self.objects.clear()
        self.spans.clear()
        self.traces.clear()
        self.replaced_objects.clear()
        self._opened.clear()
        self._delta = Delta()

    def _write_open_span(self, occ: Occurrence) -> None:
        self._stored_spans[occ.id] = self._write_span(occ, open_span_row(occ))

    def _write_span(self, occ: Occurrence, row: SpanRow) -> tuple[str, int, bool]:
        """Replace the row of an occurrence: updated if no key or indexed column changes. The key contains the trace, so
        a row in another trace is dropped first.

        Returns:
            The key and the indexed columns of the row.
        """
        if occ.arrival in self._stored_pending:
            self._drop_pending(occ)
        columns = row.trace_id, row.start_time, row.error
        stored = self._stored_spans.pop(row.span_id, None)
        (self._delta.updated_spans if stored == columns else self._delta.spans).append(row)
        if stored is not None and stored[0] != row.trace_id:
            self._delta.dropped_spans.append((stored[0], row.span_id))
        return columns

    def _drop_pending(self, occ: Occurrence) -> None:
        if occ.arrival in self._stored_pending:
            self._stored_pending.remove(occ.arrival)
            self._delta.dropped_pending.append((occ.arrival,))
