"""Histories made of rows, for what no recording has."""

from typing import Any

from kspan.graph.state.records import Occurrence
from kspan.graph.state.rows import pending_row
from kspan.model import Delta, ObjectRow, PendingRow, SpanRow, SpanState, TraceRow, TraceState
from kspan.store import Store
from kspan.times import SECOND
from tests.emit.rows import START, make_span, make_trace

CLUSTER = "made"


def make_object(kind: str, name: str, **columns: Any) -> ObjectRow:
    """An object in namespace shop, with the uid that ``make_span`` gives it."""
    row: dict[str, Any] = dict.fromkeys(ObjectRow.__struct_fields__, "")
    row |= {"uid": f"uid-of-{kind}-{name}", "kind": kind, "namespace": "shop", "name": name, "api_version": "v1"}
    row |= {"generation": 0, "created_at": START, "seen_at": START, "deleted_at": 0, "state": b""}
    row |= {"remembered": True} if "remembered" in row else {}
    return ObjectRow(**{**row, **columns})


def make_open_trace(spans: list[SpanRow], **columns: Any) -> TraceRow:
    """A trace as its row is while it is open: it tells no root and no times."""
    row = make_trace(spans, state=TraceState.OPEN, closed_at=0, start_time=0, end_time=0, root_span_id="")
    return TraceRow(**{**{name: getattr(row, name) for name in row.__struct_fields__}, **columns})


def make_pending(name: str, **columns: Any) -> SpanRow:
    """A span that waits for its cause."""
    return make_span(name, **{"trace_id": "", "rule": "", "confidence": 0.0, "state": SpanState.PENDING, **columns})


def commit(
    store: Store,
    objects: list[ObjectRow] | None = None,
    spans: list[SpanRow] | None = None,
    traces: list[TraceRow] | None = None,
    *,
    cluster: str = CLUSTER,
) -> None:
    """Writes rows as the daemon does."""
    placed = [span for span in spans or [] if span.state is not SpanState.PENDING]
    waiting = [_waiting(span) for span in spans or [] if span.state is SpanState.PENDING]
    delta = Delta(objects=objects or [], spans=placed, traces=traces or [], pending=waiting)
    store.commit(cluster, store.last_sequence(cluster) + 1, [], [], delta)


def commit_busy_hour(store: Store, others: int, rollouts: int = 3) -> None:
    """Writes an hour that begins with rollouts and a failure each, on which ``others`` occurrences follow.

    Autovacuum collects the statistics of PostgreSQL in time; here it is asked for.
    """
    changes = [make_span("Deployment.Update", trace=f"rollout {n}", start=START + n) for n in range(rollouts)]
    failures = [
        make_span("Pod.BackOff", trace=f"failure {n}", start=START + n, error=True, event_uid=f"event-{n}")
        for n in range(rollouts)
    ]
    names = ("Pod.Ready", "Deployment.Available")
    rest = [
        make_span(names[n % 2], trace=f"other {n // 20}", key=str(n), subject=f"web-{n}", start=START + SECOND + n)
        for n in range(others)
    ]
    for spans in (changes, failures, rest):
        traces = {span.trace_id: make_trace([span], root_span_id=span.span_id) for span in spans}
        commit(store, spans=spans, traces=list(traces.values()))
    with store.writing("collect statistics", CLUSTER) as connection:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("ANALYZE")


def _waiting(span: SpanRow) -> PendingRow:
    """The row of the occurrence that will become this span."""
    return pending_row(
        Occurrence(
            id=span.span_id,
            uid=span.object_uid,
            kind=span.object_kind,
            namespace=span.object_namespace,
            name=span.object_name,
            reason=span.reason,
            arrival=int(span.span_id, 16) % 2**62,
            received=span.start_time,
            time=span.start_time,
            latest=span.start_time,
            warning=span.error,
            message=span.message,
            actor=span.service,
        )
    )
