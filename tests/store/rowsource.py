"""Rows for the tests of the store, distinguished by a number."""

from kspan.model import (
    Cursor,
    Delta,
    GapRow,
    LogRecord,
    ObjectRow,
    OwnerRow,
    PendingRow,
    RecordType,
    SpanEvent,
    SpanLink,
    SpanRow,
    SpanState,
    TraceRow,
    TraceState,
)
from kspan.settings import FoldInputs, FoldSettings

CLUSTER = "8d1f7a52-0000-4000-8000-000000000001"
INPUTS = FoldInputs(fold_version=3, rules="00ff", settings=FoldSettings(hold=1, context_annotations=("a", "b")))
TABLES = ("objects", "owners", "pending", "spans", "traces", "gaps")


def record(number: int, kind: RecordType = RecordType.MODIFIED, uid: str = "") -> LogRecord:
    return LogRecord(
        type=kind,
        recorded_at=1_700_000_000_000_000_000 + number,
        resource="v1/pods",
        uid=uid or f"uid-{number}",
        resource_version=str(number),
        api_version="v1",
        kind="Pod",
        namespace="default",
        name=f"web-{number}",
        payload=b'{"metadata":{"name":"web-%d"}}' % number,
    )


def object_row(number: int, state: bytes = b"\x80", deleted_at: int = 0) -> ObjectRow:
    return ObjectRow(
        uid=f"uid-{number}",
        resource="v1/pods",
        api_version="v1",
        kind="Pod",
        namespace="default",
        name=f"web-{number}",
        resource_version=str(number),
        generation=1,
        owner_uid="uid-owner",
        node="node-1",
        created_at=10,
        seen_at=20,
        deleted_at=deleted_at,
        remembered=bool(state),
        state=state,
    )


def owner_row(number: int) -> OwnerRow:
    return OwnerRow(f"uid-{number}", "uid-owner", "apps/v1", "ReplicaSet", "web", controller=True)


def pending_row(number: int) -> PendingRow:
    return PendingRow(number, "Pod", "default", f"web-{number}", 100, b"\x90")


def span_row(number: int, state: SpanState = SpanState.OPEN, trace: int = 1, start: int = 100) -> SpanRow:
    return SpanRow(
        span_id=f"{number:016x}",
        trace_id=f"{trace:032x}",
        parent_span_id="",
        remote_parent=False,
        state=state,
        name="Pod.Scheduled",
        rule="own",
        confidence=0.75,
        start_time=start,
        end_time=start + 5,
        service="kubelet",
        instance="node-1",
        object_uid=f"uid-{number}",
        object_kind="Pod",
        object_namespace="default",
        object_name=f"web-{number}",
        reason="Scheduled",
        error=True,
        message="no node",
        event_uid="event-1",
        event_count=3,
        attributes={"k8s.event.count": 3, "kspan.confidence": 0.75, "tags": ["a", "b"], "deep": {"x": None}},
        events=[SpanEvent(101, "Scheduled", {"count": 2})],
        links=[SpanLink("f" * 32, "e" * 16, {"why": "episode"})],
        fold=b"\x81\xa1a\x01",
    )


def trace_row(number: int, state: TraceState = TraceState.OPEN, closed_at: int = 0) -> TraceRow:
    return TraceRow(
        trace_id=f"{number:032x}",
        state=state,
        root_span_id=f"{number:016x}",
        previous_trace_id="",
        opened_at=100,
        closed_at=closed_at,
        start_time=100,
        end_time=105,
        span_count=1,
        incomplete=False,
        error=True,
        fold=b"\x80",
    )


def gap_row(seq: int) -> GapRow:
    return GapRow(seq, "v1/pods", "10", "20", "410 Gone", 100)


def full_delta(number: int) -> Delta:
    """A row in every table, with keys made from ``number``."""
    return Delta(
        objects=[object_row(number)],
        owners=[owner_row(number)],
        pending=[pending_row(number)],
        spans=[span_row(number, trace=number)],
        traces=[trace_row(number)],
        gaps=[gap_row(number)],
        clock=b"clock-%d" % number,
    )


def cursor(version: int) -> Cursor:
    began = 1_700_000_000_000_000_000
    return Cursor("v1/pods", str(version), began + version, "shop,web", 1, "1", began)
