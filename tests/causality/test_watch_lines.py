"""Printed watch events: a change that states its time is exact, others lie between two times that are stated."""

import json
from pathlib import Path
from typing import Any

from kspan.graph import built_in_rules
from kspan.ingest import read_frames
from kspan.pipeline.replay import replay
from kspan.store import open_store
from kspan.times import SECOND, parse_time
from kspan.vocabulary import CHANGE_SUMMARY, TIME_UNCERTAINTY
from tests.recordings import rows

START = parse_time("2026-11-22T10:00:00Z")


def at(second: int) -> str:
    return f"2026-11-22T10:{second // 60:02}:{second % 60:02}Z"


def node(version: int, **spec: Any) -> dict[str, Any]:
    """A Node with this spec; ``wrote``: second, manager and fields of each entry of its managedFields."""
    entries = [
        {"manager": by, "operation": "Update", "time": at(second), "fieldsV1": {"f:spec": {f"f:{field}": {}}}}
        for second, by, field in spec.pop("wrote")
    ]
    metadata = {"name": "n", "uid": "n", "resourceVersion": str(version), "creationTimestamp": at(0)}
    return {"apiVersion": "v1", "kind": "Node", "metadata": {**metadata, "managedFields": entries}, "spec": spec}


def changes(folder: Path, *events: tuple[str, dict[str, Any]]) -> list[tuple[str, float, float]]:
    """The changes in these watch events: summary, second after 10:00, and by how many seconds that may be wrong."""
    path = folder / "watch.json"
    path.write_text("".join(json.dumps({"type": kind, "object": value}) + "\n" for kind, value in events))
    with open_store("sqlite://") as store:
        done = replay(store, read_frames([str(path)]), built_in_rules())
        spans = rows(store, done.cluster)["spans"]
    return [
        (
            row["attributes"].get(CHANGE_SUMMARY, row["reason"]),
            (row["start_time"] - START) / SECOND,
            row["attributes"].get(TIME_UNCERTAINTY, 0),
        )
        for row in sorted(spans, key=lambda row: int(row["attributes"]["k8s.object.resource_version"]))
    ]


KUBELET = (0, "kubelet", "podCIDR")


def test_what_was_removed_from_an_object_was_removed_before_the_next_change_of_the_watch(tmp_path: Path) -> None:
    taint = [{"key": "maintenance", "effect": "NoSchedule"}]
    events = (
        ("ADDED", node(5, wrote=[KUBELET])),
        ("MODIFIED", node(6, unschedulable=True, wrote=[KUBELET, (20, "kubectl-cordon", "unschedulable")])),
        ("MODIFIED", node(7, wrote=[KUBELET])),
        ("MODIFIED", node(8, taints=taint, wrote=[KUBELET, (40, "kubectl-taint", "taints")])),
    )
    assert changes(tmp_path, *events) == [
        ("Create", 0, 0),
        ("unschedulable: true", 20, 0),
        ("unschedulable removed", 30, 10),
        ("taints.maintenance: NoSchedule", 40, 0),
    ]


def test_an_object_that_was_deleted_without_a_request_was_deleted_before_the_next_change_of_the_watch(
    tmp_path: Path,
) -> None:
    other = node(8, wrote=[(60, "kubelet", "podCIDR")])
    other["metadata"] |= {"name": "other", "uid": "other", "creationTimestamp": at(60)}
    events = (("ADDED", node(5, wrote=[KUBELET])), ("DELETED", node(7, wrote=[KUBELET])), ("ADDED", other))
    assert changes(tmp_path, *events) == [("Create", 0, 0), ("Delete", 30, 30), ("Create", 60, 0)]
