"""When printed watch events were received: at the time that they state, or between two such times."""

import json
from pathlib import Path
from typing import Any

import pytest

from kspan.times import parse_time
from tests.ingest.files.reading import POD, read, write

START = parse_time("2026-11-22T10:00:00Z")


def node(version: int, written: int, managed: bool = True, **more: Any) -> dict[str, Any]:
    """A Node whose newest entry in managedFields is of this second after 10:00."""
    metadata = {**POD["metadata"], "resourceVersion": str(version)}
    del metadata["namespace"]
    if managed:
        time = f"2026-11-22T10:{written // 60:02}:{written % 60:02}Z"
        metadata["managedFields"] = [{"manager": "kubectl", "time": time, "fieldsV1": {"f:spec": {}}}]
    return {"apiVersion": "v1", "kind": "Node", "metadata": metadata, **more}


def other(version: int, written: int) -> dict[str, Any]:
    """Another Node."""
    value = node(version, written)
    value["metadata"] |= {"uid": "other", "name": "other"}
    return value


def receipts(folder: Path, *events: tuple[str, dict[str, Any]]) -> list[int | tuple[int, int]]:
    """When each event was received: a second after 10:00, or the seconds between which it was."""
    lines = [json.dumps({"type": kind, "object": value}).encode() for kind, value in events]
    frames = [f for f in read(write(folder, *lines)) if f.head is not None]
    seconds = [((f.since - START) // 10**9, (f.received - START) // 10**9) for f in frames]
    return [(since, at) if f.since else at for f, (since, at) in zip(frames, seconds, strict=True)]


CREATED = ("ADDED", node(5, 0, spec={}))
CORDONED = ("MODIFIED", node(6, 20, spec={"unschedulable": True, "taints": [{"key": "a"}]}))


def test_a_removal_was_received_before_the_next_change_that_states_its_time(tmp_path: Path) -> None:
    uncordoned, tainted = node(7, 20, spec={}), node(8, 45, spec={"taints": [{"key": "b"}]})
    events = (CREATED, CORDONED, ("MODIFIED", uncordoned), ("MODIFIED", tainted))
    assert receipts(tmp_path, *events) == [0, 20, (20, 45), 45]


def test_a_change_of_another_object_in_the_same_watch_bounds_it_too(tmp_path: Path) -> None:
    events = (CREATED, ("ADDED", other(6, 0)), ("MODIFIED", node(7, 20)), ("MODIFIED", other(8, 30)))
    removal = ("MODIFIED", node(9, 20))
    assert receipts(tmp_path, *events, removal, ("MODIFIED", other(10, 50))) == [0, 0, 20, 30, (30, 50), 50]


def test_what_follows_the_last_stated_time_counts_as_received_then(tmp_path: Path) -> None:
    assert receipts(tmp_path, CREATED, CORDONED, ("MODIFIED", node(7, 20, spec={}))) == [0, 20, 20]


def test_several_changes_without_a_time_have_the_same_bounds(tmp_path: Path) -> None:
    two = [("MODIFIED", node(version, 20, spec={"taints": []})) for version in (7, 8)]
    events = (CREATED, CORDONED, *two, ("MODIFIED", node(9, 45, spec={"unschedulable": True})))
    assert receipts(tmp_path, *events) == [0, 20, (20, 45), (20, 45), 45]


def test_nothing_states_when_an_object_was_removed(tmp_path: Path) -> None:
    events = (CREATED, ("ADDED", other(6, 0)), ("MODIFIED", other(7, 20)), ("DELETED", node(8, 0)))
    assert receipts(tmp_path, *events, ("MODIFIED", other(9, 30))) == [0, 0, 20, (20, 30), 30]


def test_a_deletion_without_a_grace_period_states_its_time(tmp_path: Path) -> None:
    deleted = node(7, 0)
    deleted["metadata"] |= {"deletionTimestamp": "2026-11-22T10:00:25Z", "deletionGracePeriodSeconds": 0}
    assert receipts(tmp_path, CREATED, ("DELETED", deleted), ("ADDED", other(8, 30))) == [0, 25, 30]


@pytest.mark.parametrize(
    "spec",
    [
        {"unschedulable": True, "taints": [{"key": "a"}, {"key": "b"}]},
        {"unschedulable": True, "taints": [{"key": "b"}]},
        {"unschedulable": False, "taints": [{"key": "a"}]},
        {"unschedulable": True, "taints": [{"key": "a"}], "podCIDR": "10.0.0.0/24"},
    ],
    ids=["added to a list", "replaced in a list", "changed", "added"],
)
def test_a_write_in_the_second_of_the_write_before_states_its_time(spec: dict[str, Any], tmp_path: Path) -> None:
    events = (CREATED, CORDONED, ("MODIFIED", node(7, 20, spec=spec)), ("MODIFIED", node(8, 45, spec={"x": 1})))
    assert receipts(tmp_path, *events) == [0, 20, 20, 45]


@pytest.mark.parametrize(
    "spec",
    [
        {"unschedulable": True},
        {"unschedulable": True, "taints": []},
        {"taints": [{"key": "a"}]},
        {"unschedulable": True, "taints": [{}]},
    ],
    ids=["a list", "an item", "a field", "a field of an item"],
)
def test_a_write_that_only_removes_something_does_not(spec: dict[str, Any], tmp_path: Path) -> None:
    events = (CREATED, CORDONED, ("MODIFIED", node(7, 20, spec=spec)), ("MODIFIED", node(8, 45, spec={"x": 1})))
    assert receipts(tmp_path, *events) == [0, 20, (20, 45), 45]


def test_without_managed_fields_a_change_of_the_spec_states_no_time(tmp_path: Path) -> None:
    ready = [{"type": "Ready", "lastTransitionTime": "2026-11-22T10:00:45Z"}]
    plain = node(5, 0, managed=False, spec={"a": 1})
    events = [plain, node(6, 0, managed=False, spec={"a": 2}), node(7, 0, managed=False, status={"conditions": ready})]
    found = receipts(tmp_path, ("ADDED", events[0]), *[("MODIFIED", each) for each in events[1:]])
    assert found == [0, (0, 45), 45]


def test_a_value_that_changed_long_after_its_entry_states_no_time(tmp_path: Path) -> None:
    """Kubernetes before 1.25 leaves managedFields as they were if only a value changes."""
    stale = ("MODIFIED", node(8, 20, spec={"unschedulable": False}))
    events = (CREATED, CORDONED, ("ADDED", other(7, 40)), stale, ("MODIFIED", other(9, 60)))
    assert receipts(tmp_path, *events) == [0, 20, 40, (40, 60), 60]


def test_an_error_of_a_watch_states_no_time(tmp_path: Path) -> None:
    status = ("ERROR", {"kind": "Status", "apiVersion": "v1", "code": 410})
    events = (CREATED, CORDONED, ("MODIFIED", node(7, 20, spec={})), status, ("MODIFIED", node(8, 45, spec={"a": 1})))
    assert receipts(tmp_path, *events) == [0, 20, (20, 45), 45]
