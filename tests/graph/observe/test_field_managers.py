"""Who changed an object, read from managedFields."""

from typing import Any

import msgspec
import pytest

from kspan.graph.observe.field_managers import (
    NO_WRITER,
    ContentChange,
    FieldManagerEntry,
    Writer,
    command_that_scales,
    content_change,
    creator,
    field_manager_entries,
    find_scaler,
    find_writer,
    is_scaled_without_trace,
    last_write,
    new_entries,
    newest_entry,
    node_change,
    owner_of,
    owning_manager,
    service_of,
    status_writer,
    writer_of_fields,
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


RECEIVED = 100 * SECOND
NOW = 99
"""Seconds."""


@pytest.mark.parametrize(
    "before, now, expected",
    [
        # A new entry, or an entry with a new time.
        ([entry("a", 5)], [entry("a", 5), entry("b", NOW)], Writer("b", time=NOW * SECOND)),
        ([entry("a", 5), entry("b", 1)], [entry("a", 5), entry("b", NOW)], Writer("b", time=NOW * SECOND)),
        # The entry of the subresource has no time.
        ([entry("a", 5)], [entry("a", 5), entry("b", subresource="scale")], Writer("b", "scale")),
        # Two new ones: the newer one.
        ([], [entry("a", 2), entry("b", 1)], Writer("a", time=2 * SECOND)),
        # Other fields within the same second.
        ([entry("a", 5), entry("b", NOW)], [entry("a", 5), entry("b", NOW, 2)], Writer("b", time=NOW * SECOND)),
        # A new time counts more than other fields.
        ([entry("a", 5), entry("b", 1)], [entry("a", 5, 2), entry("b", NOW)], Writer("b", time=NOW * SECOND)),
        # Fields were removed: their manager probably did it, and nothing tells when.
        ([entry("a", 5), entry("b", 1)], [entry("a", 5), entry("b", 1, 2)], Writer("b", probable=True)),
        ([entry("a", 5), entry("b", 1)], [entry("a", 5)], Writer("b", probable=True)),
        # A person rather than a controller.
        ([entry("a", 5), entry("robot", 7)], [entry("a", 5, 2), entry("robot", 7, 2)], Writer("a", probable=True)),
        ([entry("robot", 7)], [entry("robot", 7, 2)], Writer("robot", probable=True)),
        # The oldest entries of many were merged into one.
        ([entry("a", 5), entry("b", 6)], [entry("ancient-changes", 5), entry("b", 6)], Writer("a", probable=True)),
        # No difference.
        ([entry("a", 5), SCALE], [entry("a", 5), SCALE], NO_WRITER),
        ([], [], NO_WRITER),
    ],
)
def test_the_writer_of_a_change(
    before: list[FieldManagerEntry], now: list[FieldManagerEntry], expected: Writer
) -> None:
    assert find_writer(before, now, RECEIVED, lambda manager: manager == "robot") == expected


@pytest.mark.parametrize("age, same", [(0, True), (1.999, True), (2, False), (-1, False)])
def test_an_entry_that_changed_within_two_seconds_of_its_time_was_written_again(age: float, same: bool) -> None:
    before, now = [entry("a", 50)], [entry("a", 50, 2)]
    writer = find_writer(before, now, 50 * SECOND + int(age * SECOND), lambda _: False)
    assert writer == (Writer("a", time=50 * SECOND) if same else Writer("a", probable=True))


@pytest.mark.parametrize(
    "now, last, expected",
    [
        ([entry("a", 5), SCALE], "a", Writer("b", "scale")),
        ([entry("a", 5)], "a", Writer("a", "scale", probable=True)),
        ([entry("a", 5)], "", NO_WRITER),
    ],
)
def test_whoever_scaled_without_a_new_entry_probably_scaled_before(
    now: list[FieldManagerEntry], last: str, expected: Writer
) -> None:
    assert find_scaler(now, last) == expected


REPLICAS: Fields = {"f:spec": {"f:replicas": {}}}
PAUSED: Fields = {"f:spec": {"f:paused": {}}}


@pytest.mark.parametrize(
    "fields, part, before, after, expected",
    [
        (PAUSED, "", 2, 0, True),
        (PAUSED, "", 0, 2, True),
        (PAUSED, "", 2, 3, False),
        (REPLICAS, "", 2, 0, False),
        (REPLICAS, "scale", 2, 0, False),
        ({"f:status": {"f:replicas": {}}}, "status", 2, 0, True),
    ],
)
def test_only_the_subresource_scale_sets_zero_replicas_that_nobody_owns(
    fields: Fields, part: str, before: int, after: int, expected: bool
) -> None:
    assert is_scaled_without_trace(managed(("a", part, 1, fields)), before, after) is expected


def test_kubectl_scales_whatever_command_of_it_wrote_before() -> None:
    assert command_that_scales("kubectl-client-side-apply") == "kubectl"
    assert command_that_scales("oc") == "oc"
    assert [command_that_scales(name) for name in ("argocd-controller", "helm", "")] == ["", "", ""]


@pytest.mark.parametrize(
    "written, expected",
    [
        # One owns the fields, or one of them.
        ([("a", 1, REPLICAS), ("b", 2, {"f:metadata": {}})], Writer("a", time=parse_time(T[1]))),
        (
            [("a", 1, REPLICAS | {"f:metadata": {}}), ("b", 2, PAUSED)],
            Writer("b", time=parse_time(T[2]), probable=True),
        ),
        ([("robot", 2, REPLICAS), ("b", 1, PAUSED)], Writer("b", time=parse_time(T[1]), probable=True)),
        # Nobody owns the second field: a default that was added, unlike a value that was replaced.
        ([("b", 2, PAUSED)], Writer("b", time=parse_time(T[2]), probable=True)),
        # None of them owns any.
        ([("c", 2, {"f:spec": {"f:x": {}}})], None),
    ],
)
def test_who_wrote_in_a_gap_is_who_owns_the_fields_that_changed(
    written: list[tuple[str, int, Fields]], expected: Writer | None
) -> None:
    entries = managed(*((name, "", at, fields) for name, at, fields in written))
    patch = [{"op": "replace", "path": "/spec/replicas", "value": 2}, {"op": "add", "path": "/spec/paused", "value": 1}]
    patch += [{"op": "remove", "path": "/spec/y"}, {"op": "add", "path": "/metadata/labels", "value": 2}]
    new = new_entries([], field_manager_entries(entries))
    found = writer_of_fields(entries, new, msgspec.json.encode(patch).decode(), b"{}", lambda name: name == "robot")
    assert found == expected


@pytest.mark.parametrize(
    "kind, fields, expected",
    [
        ("PersistentVolumeClaim", {"f:spec": {"f:volumeName": {}}}, ""),
        ("PersistentVolumeClaim", {"f:spec": {"f:accessModes": {}}}, "kube-controller-manager"),
        ("Node", {"f:spec": {"f:podCIDR": {}}}, ""),
        ("Node", {"f:metadata": {"f:annotations": {}}}, "kube-controller-manager"),
        ("ConfigMap", {"f:data": {}}, "kube-controller-manager"),
    ],
)
def test_a_controller_that_only_completes_an_object_did_not_create_it(kind: str, fields: Fields, expected: str) -> None:
    """If nothing shows what an entry owns, it is believed."""
    entries = field_manager_entries(managed(("kube-controller-manager", "", 0, fields)), content=True)
    found = creator(entries, parse_time(T[0]), "", kind)
    assert (found.manager if found is not None else "") == expected


def test_a_field_that_changed_without_a_trace_was_probably_changed_by_its_manager() -> None:
    image: Fields = {"f:spec": {"f:template": {"f:spec": {"f:containers": {'k:{"name":"web"}': {"f:image": {}}}}}}}
    entries = managed(("kubectl", "", 1, image), ("hpa", "scale", None, {"f:spec": {"f:replicas": {}}}))
    pointer = ("spec", "template", "spec", "containers", 0, "image")
    assert owner_of(entries, pointer) == Writer("kubectl", probable=True)
    assert owner_of(entries, ("spec", "replicas")) == Writer("hpa", "scale", probable=True)
    assert owner_of(entries, (*pointer[:5], "image", "atomic")) == Writer("kubectl", probable=True)
    assert owner_of(entries, ("spec", "paused")) == NO_WRITER
    assert owner_of(entries, ()) == NO_WRITER
    assert owner_of(None, ("spec",)) == NO_WRITER
    assert owner_of(managed(("kubelet", "status", 1, image)), pointer) == NO_WRITER


def test_the_service_of_a_kubectl_command_is_kubectl() -> None:
    assert service_of("kubectl-client-side-apply") == "kubectl"
    assert service_of("helm") == "helm"


@pytest.mark.parametrize(
    "written, owner_manager, expected",
    [
        ([("kubectl-create", 0), ("kubectl-edit", 1)], "", "kubectl-create"),
        ([("kubectl-edit", 3), ("kubectl-create", 1)], "", "kubectl-create"),
        # In the same second the node controller completes what the kubelet created.
        ([("kube-controller-manager", 0), ("kubelet", 0)], "", "kubelet"),
        ([("kube-controller-manager", 0), ("kubectl-create", 0)], "", "kubectl-create"),
        ([("kube-controller-manager", 0)], "", "kube-controller-manager"),
        ([("injector", 0), ("kube-controller-manager", 0)], "kube-controller-manager", "kube-controller-manager"),
        # Its creator wrote it again since, or the entry of a subresource has no time.
        ([("kubectl-edit", 2)], "", ""),
        ([("kubectl", None), ("kubectl-create", 0)], "", "kubectl-create"),
        ([], "", ""),
    ],
)
def test_who_created_an_object_wrote_first(
    written: list[tuple[str, int | None]], owner_manager: str, expected: str
) -> None:
    entries = field_manager_entries(managed(*((name, "", at, SPEC) for name, at in written)))
    found = creator(entries, parse_time(T[0]), owner_manager)
    assert (found.manager if found is not None else "") == expected


# Objects of which only the metadata are known ------------------------------------------------------------------------

HOOK: Fields = {"f:name": {}, "f:rules": {}}
WEBHOOKS: Fields = {"f:webhooks": {".": {}, 'k:{"name":"a.example.com"}': HOOK, 'k:{"name":"b.example.com"}': HOOK}}


def data(*keys: str, **others: Any) -> Fields:
    return {"f:data": {".": {}} | {f"f:{key}": {} for key in keys}} | others


def contents(*entries: tuple[str, str, int | None, dict[str, Any]]) -> tuple[FieldManagerEntry, ...]:
    return field_manager_entries(managed(*entries), content=True)


@pytest.mark.parametrize(
    "fields, content",
    [
        (data("app.yaml", "mode"), ("data.app.yaml", "data.mode")),
        (data("a") | {"f:immutable": {}, "f:metadata": {"f:labels": {"f:x": {}}}}, ("data.a", "immutable")),
        ({"f:data": {}, "f:type": {}}, ("data", "type")),
        (WEBHOOKS, ("webhooks.a.example.com", "webhooks.b.example.com")),
        ({"f:imagePullSecrets": {'k:{"name":"registry"}': {}}}, ("imagePullSecrets.registry",)),
        ({"f:metadata": {"f:annotations": {".": {}, "f:x": {}}}}, ()),
        ({"f:data": {f"f:{n:05}": {} for n in range(10_001)}}, ("data",)),
        ({"f:spec": {"f:paramKind": {"f:kind": {}}}, "f:status": {"f:x": {}}}, ("spec.paramKind",)),
    ],
)
def test_the_content_of_an_entry_is_its_fields_outside_of_the_metadata(fields: Fields, content: tuple[str]) -> None:
    (entry,) = contents(("kubectl", "", 1, fields))
    assert entry.content == content


Entries = tuple[FieldManagerEntry, ...]


def change(before: Entries, now: Entries, *, same: bool = True, status: bool = False) -> ContentChange | None:
    return content_change(before, now, same_metadata=same, has_status=status)


def test_fields_that_go_over_to_another_manager_changed() -> None:
    before = contents(("kubectl", "", 1, data("a", "b", "c")))
    now = contents(("kubectl", "", 1, data("a")), ("kubectl-edit", "", 5, data("b", "d")))
    assert change(before, now) == ContentChange("data.d added, data.b changed, data.c removed")


def test_a_field_that_a_second_manager_has_as_well_or_no_longer_has_did_not_change() -> None:
    before = contents(("kubectl", "", 1, data("a", "b")))
    now = contents(("kubectl", "", 1, data("a", "b")), ("flux", "", 5, data("a")))
    assert change(before, now) is None
    assert change(now, before) is None


def test_without_managed_fields_nothing_is_known() -> None:
    entries = contents(("kubectl", "", 1, data("a")))
    assert change((), entries) is None
    assert change(entries, ()) is None


def test_the_first_key_is_added_to_what_was_empty_and_the_last_one_is_removed_from_it() -> None:
    empty, full = contents(("kubectl", "", 1, data())), contents(("kubectl", "", 5, data("a")))
    assert change(empty, full) == ContentChange("data.a added")
    assert change(full, empty) == ContentChange("data.a removed")


@pytest.mark.parametrize(
    "fields", ['{"f:data":{"k:{":{},"":{},"f:a.b":[]}}', '{"f:data":null}', "[]", '"x"', "7", "{}"]
)
def test_fields_of_any_form_are_read(fields: str) -> None:
    (entry,) = field_manager_entries(
        [ManagedFieldsEntry(manager="x", fieldsV1=msgspec.Raw(fields.encode()))], content=True
    )
    assert all(entry.content)


def test_entries_that_are_merged_say_nothing() -> None:
    before = contents(("kubectl-edit", "", 1, data("a")), ("kubectl", "", 2, data("b")))
    now = contents(("ancient-changes", "", 1, data("a")), ("kubectl", "", 2, data("b")))
    assert change(before, now) is None


def test_an_entry_with_a_new_time_says_that_one_of_its_fields_changed() -> None:
    before, now = contents(("kubectl", "", 1, data("a", "b", "c"))), contents(("kubectl", "", 5, data("a", "b", "c")))
    assert change(before, now) == ContentChange("data changed (a, b or c)", named=False)
    assert change(before, now, same=False) == ContentChange("data changed (a, b or c)", named=False, certain=False)
    before, now = contents(("kubectl", "", 1, data("a"))), contents(("kubectl", "", 5, data("a")))
    assert change(before, now) == ContentChange("data.a changed", named=False)
    before, now = contents(("kubectl", "", 1, WEBHOOKS)), contents(("kubectl", "", 5, WEBHOOKS))
    assert change(before, now) == ContentChange("webhooks changed (a.example.com or b.example.com)", named=False)
    many = data(*"abcdefg")
    before, now = contents(("kubectl", "", 1, many)), contents(("kubectl", "", 5, many))
    assert change(before, now) == ContentChange("data changed (one or more of 7 fields)", named=False)


def test_an_entry_with_a_new_time_that_has_only_metadata_says_nothing() -> None:
    lock: Fields = {"f:metadata": {"f:annotations": {"f:control-plane.alpha.kubernetes.io/leader": {}}}}
    before = contents(("kubectl", "", 1, data("a")), ("nginx", "", 1, lock))
    now = contents(("kubectl", "", 1, data("a")), ("nginx", "", 5, lock))
    assert change(before, now, same=False) is None


def test_if_nothing_is_new_the_content_was_written_again_unless_it_was_the_status_or_the_metadata() -> None:
    entries = contents(("kubectl", "", 1, data("a")))
    assert change(entries, entries) == ContentChange("data.a changed", named=False, manager="kubectl")
    assert change(entries, entries, same=False) is None
    assert change(entries, entries, status=True) is None
    assert change((), ()) is None
    entries = contents(("kubectl", "", 1, data("a")), ("helm", "", 1, data("b")))
    assert change(entries, entries) == ContentChange("data changed (a or b)", named=False)


def test_a_key_with_the_name_status_is_not_the_status_of_an_object() -> None:
    entries = managed(("autoscaler", "", 1, data("status")), ("kubectl-edit", "", 2, data("mode")))
    assert [entry.manager for entry in field_manager_entries(entries)] == ["autoscaler", "kubectl-edit"]
    assert not writes_status("autoscaler", entries)
