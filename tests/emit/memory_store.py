"""A store of closed traces in memory, with the contract of ``kspan.emit.export_queue.TraceStore``."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from kspan.model import SpanOutline, SpanRow, TraceRow, TraceState


@dataclass
class Emission:
    """A row of ``emissions``: what became of one trace at one target."""

    at: int
    emitted: bool
    rejected: bool = False
    reason: str = ""
    attempts: int = 1


@dataclass
class MemoryStore:
    """Traces and spans by id, emissions by (cluster, target, trace id)."""

    cluster: str = "cluster-1"
    traces: dict[str, TraceRow] = field(default_factory=dict)
    spans: dict[str, list[SpanRow]] = field(default_factory=dict)
    emissions: dict[tuple[str, str, str], Emission] = field(default_factory=dict)

    def add(self, trace: TraceRow, spans: Sequence[SpanRow]) -> None:
        self.traces[trace.trace_id] = trace
        self.spans[trace.trace_id] = list(spans)

    def emission(self, target: str, trace_id: str) -> Emission | None:
        return self.emissions.get((self.cluster, target, trace_id))

    def emitted(self, target: str) -> list[str]:
        return [
            trace_id
            for (cluster, name, trace_id), emission in self.emissions.items()
            if cluster == self.cluster and name == target and emission.emitted
        ]

    def unemitted_traces(self, cluster: str, target: str, limit: int) -> list[TraceRow]:
        def waits(trace: TraceRow) -> bool:
            emission = self.emissions.get((cluster, target, trace.trace_id))
            return trace.state is TraceState.CLOSED and not (emission and (emission.emitted or emission.rejected))

        waiting = [trace for trace in self.traces.values() if cluster == self.cluster and waits(trace)]
        return sorted(waiting, key=lambda trace: (trace.closed_at, trace.trace_id))[:limit]

    def spans_of(self, cluster: str, trace_ids: Sequence[str]) -> list[SpanRow]:
        if cluster != self.cluster:
            return []
        # Backwards, because the contract promises no order.
        return [span for trace_id in reversed(trace_ids) for span in reversed(self.spans[trace_id])]

    def outlines_of(self, cluster: str, trace_id: str) -> list[SpanOutline]:
        fields = SpanOutline.__struct_fields__
        return [SpanOutline(*(getattr(row, field) for field in fields)) for row in self.spans_of(cluster, [trace_id])]

    def spans_among(self, cluster: str, trace_id: str, span_ids: Sequence[str]) -> list[SpanRow]:
        wanted = set(span_ids)
        return [row for row in self.spans_of(cluster, [trace_id]) if row.span_id in wanted]

    def larger_traces(self, cluster: str, trace_ids: Collection[str], than: int) -> list[str]:
        return [name for name in trace_ids if name in self.traces and self.traces[name].span_count > than]

    def mark_emitted(self, cluster: str, target: str, trace_ids: Sequence[str], at: int) -> None:
        for trace_id in trace_ids:
            self.emissions[cluster, target, trace_id] = Emission(at, emitted=True)

    def mark_failed(
        self, cluster: str, target: str, trace_ids: Sequence[str], at: int, reason: str, rejected: bool
    ) -> None:
        for trace_id in trace_ids:
            before = self.emissions.get((cluster, target, trace_id))
            attempts = before.attempts + 1 if before else 1
            self.emissions[cluster, target, trace_id] = Emission(at, False, rejected, reason, attempts)
