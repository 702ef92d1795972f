"""Histories of one object that has very many versions and occurrences, written row by row."""

import json
from typing import Final

from sqlalchemy import Connection, insert

from kspan.model import RecordType, SpanState, TraceState
from kspan.store import Store
from kspan.store.schema import tables as schema
from kspan.times import SECOND, format_time, parse_time

CLUSTER: Final = "long-life"
NAMESPACE: Final = "shop"
NAME: Final = "web"
UID: Final = "11111111-0000-4000-8000-000000000000"
BORN: Final = parse_time("2026-11-01T00:00:00Z")
STEP: Final = 10 * SECOND
"""Time between two versions."""

SIBLINGS: Final = 30
"""Pods that the object owns."""

_RUN: Final = 5_000
_TRACE: Final = f"{1:032x}"


def when(number: int) -> int:
    """When a version was written and received (Unix ns)."""
    return BORN + number * STEP


def make_long_life(store: Store, versions: int) -> None:
    """Write a ReplicaSet with this number of versions and occurrences, and with dependents."""
    with store.writing("make a long life", CLUSTER) as connection:
        for first in range(1, versions + 1, _RUN):
            numbers = range(first, min(first + _RUN, versions + 1))
            connection.execute(insert(schema.journal), [_record(number) for number in numbers])
            connection.execute(insert(schema.spans), [_span(number) for number in numbers])
        connection.execute(insert(schema.traces), [_trace(versions)])
        connection.execute(insert(schema.objects), [_object(UID, "ReplicaSet", NAME, "", str(versions))])
        pods = [_object(f"pod-{n}", "Pod", f"{NAME}-{n:05}", UID, "1") for n in range(SIBLINGS)]
        connection.execute(insert(schema.objects), pods)
        _others(connection, versions)


def _others(connection: Connection, count: int) -> None:
    """As many other Pods in the namespace, whose owner is another one."""
    for first in range(0, count, _RUN):
        pods = [
            _object(f"other-{n}", "Pod", f"other-{n:06}", "other", "1") for n in range(first, min(first + _RUN, count))
        ]
        connection.execute(insert(schema.objects), pods)


def _record(number: int) -> dict[str, object]:
    meta: dict[str, object] = {"name": NAME, "namespace": NAMESPACE, "uid": UID, "resourceVersion": str(number)}
    meta |= {"creationTimestamp": format_time(BORN)[:19] + "Z"}
    meta["managedFields"] = [
        {"manager": "kubectl", "operation": "Update", "time": format_time(when(number))[:19] + "Z"}
    ]
    content = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": meta, "spec": {"replicas": number}}
    return {
        "cluster": CLUSTER,
        "seq": number,
        "type": RecordType.MODIFIED if number > 1 else RecordType.ADDED,
        "recorded_at": when(number),
        "resource": "apps/v1/replicasets",
        "uid": UID,
        "resource_version": str(number),
        "api_version": "apps/v1",
        "kind": "ReplicaSet",
        "namespace": NAMESPACE,
        "name": NAME,
        "payload": json.dumps(content).encode(),
        "reason": "",
        "gap_from": "",
        "gap_to": "",
        "epoch": 0,
    }


def _span(number: int) -> dict[str, object]:
    return {
        "cluster": CLUSTER,
        "trace_id": _TRACE,
        "span_id": f"{number:016x}",
        "parent_span_id": f"{1:016x}" if number > 1 else "",
        "remote_parent": False,
        "state": SpanState.CLOSED,
        "name": "ReplicaSet.Update",
        "rule": "root",
        "confidence": 0.95,
        "start_time": when(number),
        "end_time": when(number),
        "service": "kubectl",
        "instance": "",
        "object_uid": UID,
        "object_kind": "ReplicaSet",
        "object_namespace": NAMESPACE,
        "object_name": NAME,
        "reason": "Update" if number > 1 else "Create",
        "error": False,
        "message": "",
        "event_uid": "",
        "event_count": 0,
        "attributes": {"k8s.object.resource_version": str(number), "kspan.field_manager": "kubectl"},
        "events": [],
        "links": [],
        "fold": b"",
    }


def _trace(versions: int) -> dict[str, object]:
    return {
        "cluster": CLUSTER,
        "trace_id": _TRACE,
        "state": TraceState.CLOSED,
        "root_span_id": f"{1:016x}",
        "previous_trace_id": "",
        "opened_at": BORN,
        "closed_at": when(versions),
        "start_time": when(1),
        "end_time": when(versions),
        "span_count": versions,
        "incomplete": False,
        "error": False,
        "fold": b"",
        "outcome": "ok",
        "reason": "",
        "warnings": 0,
    }


def _object(uid: str, kind: str, name: str, owner: str, version: str) -> dict[str, object]:
    return {
        "cluster": CLUSTER,
        "uid": uid,
        "resource": "v1/pods" if kind == "Pod" else "apps/v1/replicasets",
        "api_version": "v1" if kind == "Pod" else "apps/v1",
        "kind": kind,
        "namespace": NAMESPACE,
        "name": name,
        "resource_version": version,
        "generation": 1,
        "owner_uid": owner,
        "node": "",
        "created_at": BORN,
        "seen_at": BORN,
        "deleted_at": 0,
        "remembered": True,
        "state": b"",
    }
