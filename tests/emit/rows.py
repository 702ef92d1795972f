"""Rows for the tests of kspan.emit: a builder for one span, and a rolling update."""

from typing import Any

from kspan import ids, vocabulary
from kspan.model import SpanEvent, SpanLink, SpanRow, SpanState, TraceRow, TraceState

SECOND = 1_000_000_000
MS = 1_000_000
START = 1_764_856_987 * SECOND  # 2025-12-04 14:03:07 UTC


def make_span(
    name: str,
    *,
    trace: str = "rollout",
    key: str = "",
    parent: str = "",
    start: int = START,
    end: int | None = None,
    service: str = "kubelet",
    instance: str = "",
    subject: str = "web",
    **columns: Any,
) -> SpanRow:
    """A span whose ids are hashed from ``trace`` and ``key`` (its name and subject otherwise); ``parent`` is a key."""
    kind = name.partition(".")[0]
    row: dict[str, Any] = {
        "span_id": ids.span_id(trace, key or f"{name} {subject}"),
        "trace_id": ids.trace_id(trace),
        "parent_span_id": ids.span_id(trace, parent) if parent else "",
        "remote_parent": False,
        "state": SpanState.CLOSED,
        "name": name,
        "rule": "owner",
        "confidence": 1.0,
        "start_time": start,
        "end_time": start if end is None else end,
        "service": service,
        "instance": instance,
        "object_uid": f"uid-of-{kind}-{subject}",
        "object_kind": kind,
        "object_namespace": "shop",
        "object_name": subject,
        "reason": name.partition(".")[2],
        "error": False,
        "message": "",
        "event_uid": "",
        "event_count": 1,
        "attributes": {vocabulary.OBJECT_KIND: kind, vocabulary.OBJECT_NAME: subject},
        "events": [],
        "links": [],
        "fold": b"",
    }
    unknown = columns.keys() - row.keys()
    assert not unknown, unknown
    return SpanRow(**{**row, **columns})


def make_trace(spans: list[SpanRow], *, closed_at: int = START + 60 * SECOND, **columns: Any) -> TraceRow:
    """The trace row of ``spans``, of which the first is the root."""
    row: dict[str, Any] = {
        "trace_id": spans[0].trace_id,
        "state": TraceState.CLOSED,
        "root_span_id": spans[0].span_id,
        "previous_trace_id": "",
        "opened_at": spans[0].start_time,
        "closed_at": closed_at,
        "start_time": min(span.start_time for span in spans),
        "end_time": max(span.end_time for span in spans),
        "span_count": len(spans),
        "incomplete": False,
        "error": False,
        "fold": b"",
    }
    return TraceRow(**{**row, **columns})


def rolling_update(trace: str = "rollout", pods: int = 3, failing: bool = False) -> tuple[TraceRow, list[SpanRow]]:
    """``kubectl set image``: new ReplicaSet, ``pods`` new pods one after another, old ones scaled down."""
    length = pods * 6 * SECOND
    spans: list[SpanRow] = []

    def add(name: str, parent: str, at: int, lasts: int, **columns: Any) -> str:
        subject = columns.get("subject", "web")
        spans.append(make_span(name, trace=trace, parent=parent, start=START + at, end=START + at + lasts, **columns))
        return f"{name} {subject}"

    change = {vocabulary.CHANGE_SUMMARY: "image of web: nginx:1.26 → nginx:1.27"}
    root = add("Deployment.Update", "", 0, length, service="kubectl", attributes=change)
    controller = {"service": "deployment-controller"}
    scaled = add("Deployment.ScalingReplicaSet", root, 30 * MS, length - SECOND, **controller)
    new, old = {"subject": "web-854b7f4f"}, {"subject": "web-6c9d8b77dc"}
    made = add("ReplicaSet.Create", scaled, 31 * MS, length - SECOND, **controller, **new)
    for number in range(pods):
        at, pod = 40 * MS + number * 6 * SECOND, {"subject": f"web-854b7f4f-{'x7k2p'[number % 5 :]}q{number}"}
        rs = {"service": "replicaset-controller"}
        created = f"created {number}"
        add("ReplicaSet.SuccessfulCreate", made, at, 4 * SECOND, key=created, **rs, **new)
        born = add("Pod.Create", created, at + 2 * MS, 4 * SECOND, **rs, **pod)
        add("Pod.Scheduled", born, at + 9 * MS, 0, service="default-scheduler", **pod)
        kubelet = {"service": "kubelet", "instance": f"node-{number % 2 + 1}", **pod}
        if failing:
            text = 'Failed to pull image "nginx:1.27x": rpc error: code = NotFound desc = failed to pull and unpack'
            counts = {2: {vocabulary.EVENT_COUNT: 2}, 4: {vocabulary.EVENT_COUNT: 5}}
            repeats = [SpanEvent(START + at + step * SECOND, "Pod.Failed", count) for step, count in counts.items()]
            add("Pod.Pulling", born, at + 300 * MS, 2 * SECOND, **kubelet)
            add("Pod.Failed", born, at + 2 * SECOND, 3 * SECOND, error=True, message=text, events=repeats, **kubelet)
            continue
        add("Pod.Pulling", born, at + 300 * MS, 2 * SECOND, **kubelet)
        add("Pod.Pulled", born, at + 2300 * MS, 40 * MS, **kubelet)
        add("Pod.Created", born, at + 2400 * MS, 80 * MS, **kubelet)
        add("Pod.Started", born, at + 2500 * MS, 1500 * MS, **kubelet)
        down = f"down {number}"
        add("Deployment.ScalingReplicaSet", root, at + 4100 * MS, 900 * MS, key=down, **controller)
        deleted = f"deleted {number}"
        add("ReplicaSet.SuccessfulDelete", down, at + 4150 * MS, 800 * MS, key=deleted, **rs, **old)
        add("Pod.Killing", deleted, at + 4200 * MS, 700 * MS, **{**kubelet, "subject": f"web-6c9d8b77dc-ab{number}cd"})
    return make_trace(spans, error=failing), spans


def rich_span(trace: str = "rich", **columns: Any) -> SpanRow:
    """A span that uses everything that a row can hold."""
    everything: dict[str, Any] = {
        "start": START,
        "end": START + 3 * SECOND,
        "instance": "node-1",
        "error": True,
        "message": 'Back-off restarting failed container "web" — ünïcode, \n newline',
        "attributes": {
            vocabulary.EVENT_REASON: "BackOff",
            vocabulary.EVENT_UID: "e-1",
            vocabulary.EVENT_COUNT: 2,
            vocabulary.CONFIDENCE: 0.97,
            vocabulary.INCOMPLETE: True,
            "kspan.list": ["a", "b"],
            "kspan.numbers": [1, 2, 9_007_199_254_740_993],
        },
        "events": [SpanEvent(START + SECOND, "Pod.BackOff", {vocabulary.EVENT_COUNT: 3})],
        "links": [SpanLink(ids.trace_id("before"), ids.span_id("before"), {"kspan.link": "episode of"})],
    }
    return make_span("Pod.BackOff", trace=trace, **{**everything, **columns})
