"""Who changed an object, from managedFields."""

import pytest
from msgspec import Raw, json

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

T0, T1, T2 = (f"2026-11-22T10:00:0{second}Z" for second in range(3))
N0, N1, N2 = map(parse_time, (T0, T1, T2))


def entry(manager: str, fields: str = "{}", time: str | None = T0, subresource: str = "") -> ManagedFieldsEntry:
    return ManagedFieldsEntry(manager, "Update", subresource, time, Raw(fields.encode()))


def managers(*entries: ManagedFieldsEntry) -> list[str]:
    return [found.manager for found in field_manager_entries(entries)]


def test_entries_of_the_status_are_left_out() -> None:
    assert managers(entry("kubectl"), entry("kubelet", subresource="status"), entry("hpa", subresource="scale")) == [
        "kubectl",
        "hpa",
    ]
    assert managers() == []
    assert field_manager_entries(None) == ()


def test_before_kubernetes_1_22_entries_that_write_only_the_status_are_left_out() -> None:
    status, spec, both = '{"f:status":{}}', '{"f:spec":{}}', '{"f:spec":{},"f:status":{}}'
    assert managers(entry("a", spec), entry("b", status), entry("c", both)) == ["a", "c"]
    assert managers(entry("b", status)) == ["b"], "the only entry is kept"
    assert managers(entry("a", spec), entry("b", status), entry("d", spec, subresource="scale")) == ["a", "b", "d"]


def test_what_was_written_before_the_first_apply_has_no_manager() -> None:
    assert managers(entry("before-first-apply"), entry("kubectl")) == ["kubectl"]


def test_an_entry_has_its_time_and_a_checksum_of_its_fields() -> None:
    one, same, other, timeless = field_manager_entries(
        [entry("a", '{"f:spec":{}}'), entry("b", '{"f:spec":{}}'), entry("c", "{}", T1), entry("d", time=None)]
    )
    assert (one.time, other.time, timeless.time) == (N0, N1, 0)
    assert one.fields == same.fields != other.fields


def test_the_last_write_includes_the_status() -> None:
    assert last_write([entry("a", time=T0), entry("b", time=T2, subresource="status"), entry("c", time=None)]) == N2
    assert last_write([]) == last_write(None) == 0


def test_the_owning_manager_wrote_the_owner_references() -> None:
    owning = '{"f:metadata":{"f:ownerReferences":{}}}'
    assert owning_manager([entry("a"), entry("b", owning), entry("c", owning)]) == "b"
    assert owning_manager([entry("a")]) == owning_manager(None) == ""


def test_a_manager_that_writes_the_status_is_found() -> None:
    entries = [entry("kubectl"), entry("operator", subresource="status")]
    assert writes_status("operator", entries)
    assert not writes_status("kubectl", entries)
    assert not writes_status("operator", None)


@pytest.mark.parametrize(
    "field, expected",
    [
        ('"f:phase"', ("old", N1)),  # the newest entry with the field, although others are newer
        ('"f:missing"', ("new", N2)),  # no entry has the field: the newest entry
    ],
)
def test_the_writer_of_a_field_of_the_status(field: str, expected: tuple[str, int]) -> None:
    phase = '{"f:status":{"f:phase":{}}}'
    entries = [
        entry("oldest", phase, T0, "status"),
        entry("old", phase, T1, "status"),
        entry("new", '{"f:status":{}}', T2, "status"),
        entry("kubectl", phase, T2, "scale"),
    ]
    assert status_writer(entries, field) == expected
    assert status_writer([entry("kubectl", subresource="scale")], field) == ("", 0)


def of(manager: str, time: int = 0, fields: int = 0, subresource: str = "") -> FieldManagerEntry:
    return FieldManagerEntry(manager, subresource, time, fields)


@pytest.mark.parametrize(
    "before, now, expected",
    [
        ([of("a", 1)], [of("a", 1), of("b", 2)], of("b", 2)),  # a new entry
        ([of("a", 1), of("b", 2)], [of("a", 3), of("b", 2)], of("a", 3)),  # a new time
        ([of("a", 1, 7), of("b", 2)], [of("a", 1, 8), of("b", 2)], of("a", 1, 8)),  # other fields only
        ([of("a", 1, 7)], [of("a", 1, 8), of("b", 2)], of("b", 2)),  # a lost its fields to b
        ([of("a", 2), of("s", 0, 0, "scale")], [of("a", 2), of("s", 0, 0, "scale")], of("s", 0, 0, "scale")),
        ([of("a", 2), of("b", 1)], [of("a", 2), of("b", 1)], of("a", 2)),  # nothing differs: the newest
        ([], [], None),
    ],
)
def test_the_entry_of_the_writer(
    before: list[FieldManagerEntry], now: list[FieldManagerEntry], expected: FieldManagerEntry | None
) -> None:
    assert changed_entry(before, now) == expected


def test_the_newest_entry_is_the_same_in_any_order() -> None:
    entries = [of("b", SECOND), of("a", SECOND), of("z")]
    assert newest_entry(entries) == newest_entry(entries[::-1]) == of("b", SECOND)
    assert newest_entry([]) is None


def taint(key: str, effect: str) -> dict[str, str]:
    return {"key": key, "effect": effect}


EVICTS, CLOSES = taint("down", "NoExecute"), taint("full", "NoSchedule")
MIRROR = taint("node.kubernetes.io/unschedulable", "NoSchedule")


@pytest.mark.parametrize(
    "before, after, expected",
    [
        ({}, {}, ""),
        ({}, {"taints": [EVICTS]}, "evicts"),
        ({"taints": [CLOSES]}, {"taints": [CLOSES, EVICTS]}, "evicts"),
        ({"taints": [EVICTS]}, {"taints": [EVICTS]}, ""),
        ({"taints": [EVICTS]}, {"taints": [EVICTS, CLOSES]}, "closed"),
        ({}, {"unschedulable": True, "taints": [MIRROR]}, "closed"),
        ({}, {"taints": [MIRROR]}, ""),
        ({"unschedulable": True}, {"unschedulable": True}, ""),
        ({"unschedulable": True, "taints": [MIRROR]}, {}, "opened"),
        ({"taints": [EVICTS]}, {}, "opened"),
        ({"taints": [CLOSES]}, {"unschedulable": True}, "closed"),
    ],
)
def test_what_a_change_of_a_node_means_for_pods(
    before: dict[str, object], after: dict[str, object], expected: str
) -> None:
    assert node_change(json.encode(before), json.encode(after)) == expected


def test_all_parts_of_kubectl_are_kubectl() -> None:
    assert [service_of(m) for m in ("kubectl", "kubectl-set", "kubectlx", "helm")] == [
        "kubectl",
        "kubectl",
        "kubectlx",
        "helm",
    ]
