"""Who changed an object, read from managedFields."""

from typing import Any

import msgspec
import pytest

from kspan.graph.observe.field_managers import (
    FieldManagerEntry,
    changed_entry,
    field_manager_entries,
    last_write,
    newest_entry,
    node_change,
    owning_manager,
    service_of,
    status_writer,
    writes_status,
)
from kspan.k8s.objects import ManagedFieldsEntry
from kspan.times import SECOND, parse_time

Fields = dict[str, Any]

SPEC: Fields = {"f:spec": {}}
STATUS: Fields = {"f:status": {}}
BOTH = SPEC | STATUS
OWNED: Fields = {"f:metadata": {"f:ownerReferences": {}}}
T = [f"2026-11-22T10:00:0{second}Z" for second in range(9)]


def managed(*entries: tuple[str, str, int | None, dict[str, Any]]) -> list[ManagedFieldsEntry]:
    """(manager, subresource, second, fields) each."""
    raw = [
        {"manager": name, "subresource": part, "time": None if at is None else T[at], "fieldsV1": fields}
        for name, part, at, fields in entries
    ]
    return msgspec.json.decode(msgspec.json.encode(raw), type=list[ManagedFieldsEntry])


def managers(*entries: tuple[str, str, int | None, dict[str, Any]]) -> list[str]:
    return [entry.manager for entry in field_manager_entries(managed(*entries))]


def test_entries_of_the_status_are_left_out() -> None:
    assert managers(("kubectl", "", 1, SPEC), ("kubelet", "status", 2, STATUS), ("hpa", "scale", None, SPEC)) == [
        "kubectl",
        "hpa",
    ]


def test_fields_from_before_the_first_apply_have_no_writer() -> None:
    assert managers(("before-first-apply", "", 1, SPEC), ("kubectl", "", 1, SPEC)) == ["kubectl"]


def test_without_subresources_the_fields_tell_which_entry_is_of_the_status() -> None:
    """Kubernetes before 1.22."""
    assert managers(("kubectl", "", 1, SPEC), ("manager", "", 2, STATUS), ("both", "", 2, BOTH)) == ["kubectl", "both"]
    assert managers(("manager", "", 2, STATUS)) == ["manager"], "the only entry is kept"
    assert managers(("kubelet", "status", 1, STATUS), ("a", "", 1, SPEC), ("odd", "", 2, STATUS)) == ["a", "odd"]


def test_an_entry_has_its_time_in_nanoseconds_or_0() -> None:
    with_time, without = field_manager_entries(managed(("a", "", 3, SPEC), ("b", "scale", None, SPEC)))
    assert (with_time.time, without.time) == (parse_time(T[3]), 0)
    assert field_manager_entries(None) == ()


def test_the_last_write_is_the_newest_time_of_all_entries() -> None:
    assert last_write(managed(("a", "", 1, SPEC), ("b", "status", 4, STATUS), ("c", "", 2, SPEC))) == parse_time(T[4])
    assert last_write(None) == last_write(managed(("a", "", None, SPEC))) == 0


def test_the_owning_manager_wrote_the_owner_references() -> None:
    assert owning_manager(managed(("a", "", 1, SPEC), ("b", "", 1, OWNED))) == "b"
    assert owning_manager(managed(("a", "", 1, SPEC))) == owning_manager(None) == ""


@pytest.mark.parametrize(
    "entry, expected",
    [
        (("a", "status", 1, STATUS), True),
        (("a", "", 1, STATUS), True),
        (("a", "", 1, BOTH), False),
        (("a", "", 1, SPEC), False),
        (("a", "scale", 1, STATUS), False),
        (("b", "status", 1, STATUS), False),
    ],
)
def test_a_manager_writes_the_status(entry: tuple[str, str, int, dict[str, Any]], expected: bool) -> None:
    assert writes_status("a", managed(entry)) is expected


def test_the_writer_of_a_field_of_the_status() -> None:
    ready: Fields = {"f:status": {"f:conditions": {'k:{"type":"Ready"}': {}}}}
    entries = managed(("old", "status", 1, ready), ("new", "status", 2, ready), ("other", "status", 5, STATUS))
    assert status_writer(entries, "f:phase") == ("other", parse_time(T[5])), "no entry has the field"
    assert status_writer(entries, "Ready") == ("new", parse_time(T[2]))
    assert status_writer(managed(("a", "", 1, SPEC)), "Ready") == status_writer(None, "Ready") == ("", 0)


def taint(key: str, effect: str) -> dict[str, str]:
    return {"key": key, "effect": effect}


EXECUTE, SCHEDULE = taint("broken", "NoExecute"), taint("dedicated", "NoSchedule")
MIRROR = taint("node.kubernetes.io/unschedulable", "NoSchedule")


@pytest.mark.parametrize(
    "before, after, expected",
    [
        ({}, {}, ""),
        ({}, {"taints": [EXECUTE]}, "evicts"),
        ({}, {"taints": [EXECUTE, SCHEDULE]}, "evicts"),
        ({"taints": [EXECUTE]}, {"taints": [EXECUTE]}, ""),
        ({"taints": [EXECUTE]}, {"taints": [EXECUTE, SCHEDULE]}, "closed"),
        ({}, {"taints": [SCHEDULE]}, "closed"),
        ({}, {"unschedulable": True}, "closed"),
        ({"unschedulable": True}, {"unschedulable": True}, ""),
        ({"taints": [SCHEDULE]}, {}, "opened"),
        ({"taints": [SCHEDULE]}, {"unschedulable": True}, "closed"),
        ({"unschedulable": True}, {}, "opened"),
        ({}, {"taints": [MIRROR]}, ""),
        ({"taints": [MIRROR]}, {}, ""),
        ({"podCIDR": "10.0.0.0/24"}, {}, ""),
    ],
)
def test_what_a_change_of_a_node_means_for_pods(before: dict[str, Any], after: dict[str, Any], expected: str) -> None:
    assert node_change(msgspec.json.encode(before), msgspec.json.encode(after)) == expected


def entry(manager: str, second: int = 0, fields: int = 1, subresource: str = "") -> FieldManagerEntry:
    return FieldManagerEntry(manager, subresource, second * SECOND, fields)


SCALE = entry("b", subresource="scale")


def test_the_newest_entry_is_the_last_in_time_then_by_name() -> None:
    assert newest_entry([entry("a", 2), entry("z", 1), entry("b", 2)]) == entry("b", 2)
    assert newest_entry([]) is None


@pytest.mark.parametrize(
    "before, now, expected",
    [
        # A new entry, or an entry with a new time.
        ([entry("a", 5)], [entry("a", 5), entry("b", 1)], entry("b", 1)),
        ([entry("a", 5), entry("b", 1)], [entry("a", 5), entry("b", 2)], entry("b", 2)),
        ([entry("a", 5)], [entry("a", 5), entry("a", 5, subresource="scale")], entry("a", 5, subresource="scale")),
        # Two new ones: the newer one.
        ([], [entry("a", 2), entry("b", 1)], entry("a", 2)),
        # Other fields within the same second.
        ([entry("a", 5), entry("b", 1)], [entry("a", 5), entry("b", 1, 2)], entry("b", 1, 2)),
        # A new time counts more than other fields.
        ([entry("a", 5), entry("b", 1)], [entry("a", 5, 2), entry("b", 2)], entry("b", 2)),
        # No difference.
        (
            [entry("a", 5), entry("b", 0, 1, "scale")],
            [entry("a", 5), entry("b", 0, 1, "scale")],
            entry("b", 0, 1, "scale"),
        ),
        ([entry("a", 5), entry("b", 1)], [entry("a", 5), entry("b", 1)], entry("a", 5)),
        ([], [], None),
    ],
)
def test_the_writer_of_a_change(
    before: list[FieldManagerEntry], now: list[FieldManagerEntry], expected: FieldManagerEntry | None
) -> None:
    assert changed_entry(before, now) == expected


def test_the_service_of_a_kubectl_command_is_kubectl() -> None:
    assert service_of("kubectl-client-side-apply") == "kubectl"
    assert service_of("helm") == "helm"
