"""From a record of an object to its state, its changes and its transitions."""

import zlib
from typing import Any

import msgspec
import pytest

from kspan.graph import built_in_rules
from kspan.graph.observe.object_state import REVISIONS_KEPT
from kspan.graph.observe.observer import Observer
from kspan.graph.observe.timing import PROMPT, estimate_time
from kspan.graph.observe.transitions import MESSAGE_LIMIT
from kspan.graph.state.records import Gap, ObjectState, Occurrence
from kspan.graph.state.state import State
from kspan.ids import span_id
from kspan.model import LogRecord, RecordType
from kspan.settings import FoldSettings
from kspan.times import SECOND, format_time, parse_time
from tests.graph.making import lost, thing

T = parse_time("2026-11-22T10:00:00Z")
RESOURCES = {"Pod": "v1/pods", "Node": "v1/nodes"}


def second(seconds: int) -> str:
    return f"{format_time(T + seconds * SECOND)[:19]}Z"


def managed(manager: str, seconds: int, part: str = "", **fields: Any) -> dict[str, Any]:
    """An entry of managedFields."""
    return {"manager": manager, "subresource": part, "time": second(seconds), "fieldsV1": fields or {"f:spec": {}}}


class Watched:
    """A watch of one object, ``uid``; each record is received at second 100 unless another time is given."""

    def __init__(self, kind: str = "Deployment") -> None:
        self.kind = kind
        self.state = State("cluster", FoldSettings())
        self.observer = Observer(self.state, built_in_rules(), FoldSettings())
        self.version = 40
        self.epoch = 0

    def see(
        self, kind: RecordType = RecordType.MODIFIED, at: float = 100, meta: dict[str, Any] | None = None, **more: Any
    ) -> list[Occurrence]:
        """Process a record; the occurrences that it adds, in the order of arrival."""
        self.version += 1
        metadata = {"uid": "uid", "name": "web", "namespace": "shop", "resourceVersion": str(self.version)}
        raw = {"kind": self.kind, "apiVersion": "v1", "metadata": metadata | (meta or {}), **more}
        now = T + int(at * SECOND)
        resource = RESOURCES.get(self.kind, "example.com/v1/xs")
        if not self.state.clock.is_held:
            self.state.clock.advance(now)
        before = set(self.state._occurrences)
        payload = msgspec.json.encode(raw)
        self.observer.observe(LogRecord(kind, now, resource, kind=self.kind, payload=payload, epoch=self.epoch))
        added = [occ for span, occ in self.state._occurrences.items() if span not in before]
        return sorted(added, key=lambda occ: occ.arrival)

    @property
    def obj(self) -> ObjectState:
        found = self.state.object("uid")
        assert found is not None
        return found


# the spec of a Pod -----------------------------------------------------------------------------------------------


def test_the_node_of_a_pod_is_read_again_after_a_restore_of_etcd_although_its_generation_is_the_same() -> None:
    w = Watched("Pod")
    w.see(RecordType.ADDED, meta={"generation": 1}, spec={"nodeName": "a"})
    assert w.obj.node == "a"
    w.epoch = 1
    w.see(RecordType.LISTED, meta={"generation": 1}, spec={"nodeName": "b"})
    assert w.obj.node == "b"


# times ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "floor, expected",
    [(0, 100), (100, 100), (99, 100), (98.5, 100), (98, 98), (97, 97), (101, 100), (100.5, 100)],
)
def test_the_time_of_receipt_is_better_than_a_whole_second_less_than_two_seconds_before(
    floor: float, expected: float
) -> None:
    record = LogRecord(RecordType.ADDED, 100 * SECOND, "v1/pods")
    assert estimate_time(record, int(floor * SECOND)) == expected * SECOND
    assert PROMPT == 2 * SECOND


# changes -------------------------------------------------------------------------------------------------------------


def told(found: list[Occurrence]) -> list[str]:
    return [f"{occ.reason} by {occ.actor}" for occ in found]


def test_a_creation_an_update_and_a_deletion_are_changes() -> None:
    w = Watched()
    fields = {"managedFields": [managed("kubectl-create", 100)], "creationTimestamp": second(100)}
    assert told(w.see(RecordType.ADDED, meta={"generation": 1, **fields})) == ["Create by kubectl"]
    assert told(w.see(meta={"generation": 1, **fields})) == []
    fields["managedFields"] = [managed("kubectl-create", 100), managed("helm", 100)]
    (update,) = w.see(meta={"generation": 2, **fields}, spec={"replicas": 3})
    assert (update.actor, update.generation, update.rv, update.resource_version) == ("helm", 2, 43, "43")
    (change,) = [c for c in w.obj.changes if c.span == update.id]
    assert (change.replicas_before, change.replicas, change.template_changed, change.manual) == (1, 3, False, True)
    assert told(w.see(RecordType.DELETED, meta={"generation": 2, **fields})) == ["Delete by unknown"]


def test_what_was_there_at_the_first_list_is_no_change() -> None:
    w = Watched()
    assert w.see(RecordType.LISTED, meta={"generation": 1}) == []
    assert w.obj.baseline is not None
    assert not w.obj.deleting


@pytest.mark.parametrize(
    "before, after, changed",
    [
        ({"generation": 1}, {"generation": 2}, True),
        ({"generation": 1}, {"generation": 1}, False),
        ({"generation": 2}, {"generation": 1}, False),
        ({"generation": 1}, {}, False),
    ],
)
def test_a_generation_tells_whether_the_spec_changed(
    before: dict[str, Any], after: dict[str, Any], changed: bool
) -> None:
    w = Watched("Widget")
    w.see(RecordType.ADDED, meta=before, spec={"a": 1})
    assert bool(w.see(meta=after, spec={"a": 2})) is changed


def test_without_a_generation_the_spec_or_the_content_is_compared() -> None:
    w = Watched("Widget")
    w.see(RecordType.ADDED, spec={"a": 1})
    assert w.see(spec={"a": 1}) == []
    assert told(w.see(spec={"a": 2})) == ["Update by unknown"]
    config = Watched("ConfigMap")
    config.see(RecordType.ADDED, data={"a": "1"})
    assert config.see(data={"a": "1"}) == []
    assert told(config.see(data={"a": "2"})) == ["Update by unknown"]


@pytest.mark.parametrize(
    "deletion, grace, kind, expected",
    [
        (130, 30, RecordType.MODIFIED, 100),
        (125, 30, RecordType.MODIFIED, 95),
        (90, 0, RecordType.MODIFIED, 90),
        (90, None, RecordType.MODIFIED, 90),
        (90, 0, RecordType.DELETED, 100),
    ],
)
def test_a_deletion_was_asked_for_its_grace_period_before_its_timestamp(
    deletion: int, grace: int | None, kind: RecordType, expected: float
) -> None:
    w = Watched()
    w.see(RecordType.ADDED, at=50)
    meta = {"deletionTimestamp": second(deletion), "deletionGracePeriodSeconds": grace}
    (occ,) = w.see(kind, meta=meta)
    assert (occ.reason, (occ.time - T) / SECOND) == ("Delete", expected)
    assert w.obj.deleting
    assert (occ.actor, occ.by_controller) == ("unknown", True)


@pytest.mark.parametrize(
    "manager, owner, expected",
    [
        ("kubectl-edit", False, (False, "kubectl")),
        ("kube-controller-manager", False, (True, "kube-controller-manager")),
        ("kube-controller-manager", True, (True, "replicaset-controller")),
        ("odd", True, (False, "odd")),
        ("owning", True, (True, "owning")),
        ("status-writer", False, (True, "status-writer")),
        ("", False, (False, "unknown")),
    ],
)
def test_who_made_a_change(manager: str, owner: bool, expected: tuple[bool, str]) -> None:
    w = Watched("Pod")
    entries = [managed(manager, 100)] if manager else []
    if manager == "owning":
        entries = [managed(manager, 100, "", **{"f:ownerReferences": {}})]
    if manager == "status-writer":
        entries.append(managed(manager, 100, "status", **{"f:status": {}}))
    reference = {"uid": "rs", "kind": "ReplicaSet", "name": "rs", "apiVersion": "apps/v1", "controller": True}
    meta = {"managedFields": entries, "ownerReferences": [reference] if owner else []}
    (occ,) = w.see(RecordType.ADDED, meta=meta)
    assert (occ.by_controller, occ.actor) == expected


@pytest.mark.parametrize(
    "gap, expected",
    [((30, 41), (False, 31)), ((30, 40), (True, 41)), ((30, 99), (False, 31))],
)
def test_a_creation_in_a_gap_has_the_earliest_version_that_it_can_have(
    gap: tuple[int, int], expected: tuple[bool, int]
) -> None:
    w = Watched("Pod")
    w.state.clock.add_gap("v1/pods", Gap(*gap))
    w.see(RecordType.ADDED, meta={"creationTimestamp": second(99)})
    (change,) = w.obj.changes
    assert (change.exact, change.rv) == expected


def test_the_id_of_a_change_is_that_of_its_generation_or_else_of_its_version() -> None:
    w = Watched()
    w.see(RecordType.ADDED, meta={"generation": 1})
    assert [occ.id for occ in w.see(meta={"generation": 2})] == [span_id("cluster", "uid", "Update", "2")]
    w = Watched("ConfigMap")
    assert [occ.id for occ in w.see(RecordType.ADDED)] == [span_id("cluster", "uid", "Create")]
    assert [occ.id for occ in w.see(data={"a": "b"})] == [span_id("cluster", "uid", "Update", "v42")]


def test_an_update_in_a_gap_is_not_earlier_than_the_change_before() -> None:
    w = Watched("Widget")
    w.see(RecordType.ADDED, at=50, meta={"generation": 1})
    w.see(at=70, meta={"generation": 2})
    w.state.clock.add_gap("example.com/v1/xs", Gap(30, 60))
    w.see(meta={"generation": 3})
    assert w.obj.changes[-1].time == T + 70 * SECOND


def test_an_object_that_exists_again_was_not_deleted() -> None:
    w = Watched()
    w.see(RecordType.ADDED, meta={"generation": 1})
    w.see(RecordType.DELETED, meta={"generation": 1})
    assert (bool(w.obj.deleted), bool(w.obj.forget), w.obj.deleting) == (True, True, True)
    w.see(RecordType.ADDED, meta={"generation": 1})
    assert (w.obj.deleted, w.obj.forget, w.obj.deleting, w.obj.rv) == (0, 0, False, 43)


def test_a_deleted_dependent_is_lost_and_nobody_knows_yet_who_ordered_it() -> None:
    w = Watched("Pod")
    owner = thing("rs", "ReplicaSet")
    w.state.objects.put(owner)
    meta = {"ownerReferences": [{"uid": "rs", "kind": "ReplicaSet", "name": "rs", "controller": True}]}
    w.see(RecordType.ADDED, meta=meta)
    w.see(RecordType.DELETED, meta=meta)
    assert [(one.uid, one.ordered, one.ended) for one in owner.lost_dependents] == [("uid", -1, False)]


def test_only_a_job_ends() -> None:
    done = {"conditions": [{"type": "Complete", "status": "True", "lastTransitionTime": second(90)}]}
    for kind, expected in (("Job", T + 90 * SECOND), ("Deployment", 0)):
        w = Watched(kind)
        w.see(RecordType.ADDED, status=done)
        assert w.obj.ended == expected


def test_an_object_missing_from_a_list_was_deleted_between_the_last_observation_and_the_list() -> None:
    w = Watched("Widget")
    w.see(RecordType.ADDED, at=50, meta={"generation": 1})
    w.state.clock.add_gap("example.com/v1/xs", Gap(60, 90, T + 80 * SECOND, T + 100 * SECOND))
    w.version = 40
    (occ,) = w.see(RecordType.DELETED, at=100, meta={"generation": 1})
    change = w.obj.changes[-1]
    assert (change.exact, change.rv, occ.rv) == (False, 61, 90)
    assert (change.time, change.latest) == (T + 80 * SECOND, T + 100 * SECOND)
    assert (occ.time, occ.uncertainty) == (T + 90 * SECOND, 10 * SECOND)
    assert w.obj.reached == T + 80 * SECOND


def test_a_gap_lasts_until_the_list_although_event_time_is_held_back() -> None:
    w = Watched("Widget")
    w.see(RecordType.ADDED, at=50)
    w.state.clock.add_gap("example.com/v1/xs", Gap(60, 90, T + 80 * SECOND, T + 1880 * SECOND))
    w.version = 40
    (occ,) = w.see(RecordType.DELETED, at=80)
    assert (occ.time, occ.uncertainty) == (T + 980 * SECOND, 900 * SECOND)
    assert w.obj.changes[-1].latest == T + 1880 * SECOND


def test_a_deletion_that_was_requested_before_the_gap_is_exact() -> None:
    w = Watched("Widget")
    w.see(RecordType.ADDED, at=50)
    (occ,) = w.see(at=70, meta={"deletionTimestamp": second(70)})
    w.state.clock.add_gap("example.com/v1/xs", Gap(60, 90, T + 80 * SECOND, T + 100 * SECOND))
    assert not w.see(RecordType.DELETED, at=100, meta={"deletionTimestamp": second(70)})
    assert (occ.uncertainty, w.obj.changes[-1].exact) == (0, True)
    assert w.obj.reached == T + 80 * SECOND, "it still existed when the stream was last watched"


def test_an_update_in_a_gap_lies_after_the_version_and_the_change_before() -> None:
    w = Watched("Widget")
    w.see(RecordType.ADDED, at=50, meta={"generation": 1})
    w.state.clock.add_gap("example.com/v1/xs", Gap(30, 60))
    w.version = 50
    w.see(meta={"generation": 2})
    change = w.obj.changes[-1]
    assert (change.exact, change.rv, change.time) == (False, 42, w.obj.changes[0].time)
    w.see(meta={"generation": 3, "managedFields": [managed("kubectl", 90)]})
    assert (w.obj.changes[-1].rv, w.obj.changes[-1].time) == (52, T + 90 * SECOND), "the time is stated"


@pytest.mark.parametrize(
    "before, after, expected",
    [("", "new", ("new", "")), ("old", "new", ("new", "")), ("old", "old", ("", "old")), ("old", "", ("", ""))],
)
def test_a_change_continues_a_new_context_and_links_to_an_old_one(
    before: str, after: str, expected: tuple[str, str]
) -> None:
    def annotated(value: str) -> dict[str, Any]:
        return {"annotations": {"tracing.k8s.io/traceparent": contexts[value]} if value else {}}

    contexts = {name: f"00-{digit * 32}-{digit * 16}-01" for name, digit in (("old", "a"), ("new", "b"))}
    w = Watched()
    w.see(RecordType.ADDED, meta={"generation": 1, **annotated(before)})
    (occ,) = w.see(meta={"generation": 2, **annotated(after)})
    assert (occ.traceparent, occ.related) == tuple(contexts.get(name, "") for name in expected)


def test_a_new_dependent_of_an_owner_that_lost_some_may_replace_one() -> None:
    for gone in ((), (lost("l", 5),)):
        w = Watched("Pod")
        owner = thing("rs", "ReplicaSet", lost_dependents=gone)
        w.state.objects.put(owner)
        reference = {"uid": "rs", "kind": "ReplicaSet", "name": "rs", "controller": True}
        (occ,) = w.see(RecordType.ADDED, meta={"ownerReferences": [reference]})
        assert [one.span for one in owner.replacements] == ([occ.id] if gone else [])


# the state -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind, spec, expected",
    [
        ("Deployment", {"replicas": 3}, 3),
        ("Deployment", {"replicas": 0}, 0),
        ("Deployment", {}, 1),
        ("ReplicaSet", {}, 1),
        ("StatefulSet", {}, 1),
        ("DaemonSet", {}, -1),
        ("Pod", {}, -1),
    ],
)
def test_replicas_have_a_default(kind: str, spec: dict[str, Any], expected: int) -> None:
    w = Watched(kind)
    w.see(RecordType.ADDED, spec=spec)
    assert w.obj.replicas == expected


def test_the_controlling_owner_is_one_of_several() -> None:
    w = Watched()
    owners = [{"uid": "a", "kind": "A"}, {"uid": "b", "kind": "B", "controller": True}, {"uid": "", "kind": "C"}]
    w.see(RecordType.ADDED, meta={"ownerReferences": owners})
    assert (w.obj.owner, w.obj.owners) == ("b", ("a", "b"))
    w.see(meta={"ownerReferences": owners[:1]})
    assert (w.obj.owner, w.obj.owners) == ("", ("a",))


def test_the_creation_time_is_that_of_the_object_or_else_of_its_first_record() -> None:
    w = Watched()
    w.see(RecordType.ADDED)
    w.see(at=120)
    assert (w.obj.created, w.obj.seen) == (T + 100 * SECOND, T + 100 * SECOND)
    w.see(at=120, meta={"creationTimestamp": second(90)})
    assert (w.obj.created, w.obj.seen) == (T + 90 * SECOND, T + 100 * SECOND)


def test_when_an_object_came_to_rest() -> None:
    w = Watched("Pod")
    w.see(RecordType.ADDED, at=100)
    assert (w.obj.progressing, w.obj.settled) == (True, T + 100 * SECOND)
    ready = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    written = {"managedFields": [managed("kubelet", 104, "status", **{"f:status": {}})]}
    w.see(at=110, status=ready, meta=written)
    w.see(at=120, status=ready, meta=written)
    assert (w.obj.progressing, w.obj.settled, w.obj.reached) == (False, T + 110 * SECOND, T + 104 * SECOND)


def test_labels_are_compared_by_a_checksum_where_they_make_controllers_act() -> None:
    for kind, expected in (("Pod", True), ("Node", True), ("Namespace", True), ("Deployment", False)):
        w = Watched(kind)
        w.see(RecordType.ADDED, meta={"labels": {"a": "b"}})
        assert w.obj.labels == (zlib.crc32(b'{"a":"b"}') if expected else 0)
        assert bool(w.obj.label_text) is (kind != "Pod")


def test_the_versions_at_which_a_replica_set_got_its_last_numbers() -> None:
    w = Watched("ReplicaSet")
    for number in range(1, REVISIONS_KEPT + 3):
        for _ in range(2):
            w.see(RecordType.ADDED, meta={"annotations": {"deployment.kubernetes.io/revision": str(number)}})
    assert w.obj.revision == str(REVISIONS_KEPT + 2)
    assert w.obj.revision_versions == tuple(41 + 2 * number for number in range(2, REVISIONS_KEPT + 2))
    assert REVISIONS_KEPT == 8
    w.see(meta={"annotations": {}})
    assert (w.obj.revision, len(w.obj.revision_versions)) == ("", REVISIONS_KEPT)


def test_a_pod_has_its_ordinal_revision_and_toleration() -> None:
    w = Watched("Pod")
    labels = {"apps.kubernetes.io/pod-index": "3", "controller-revision-hash": "web-5"}
    tolerations = [{"key": "broken", "effect": "NoExecute", "tolerationSeconds": 60}]
    w.see(RecordType.ADDED, meta={"labels": labels}, spec={"tolerations": tolerations})
    assert (w.obj.ordinal, w.obj.revision, w.obj.toleration_seconds) == (3, "web-5", 60)


# transitions ---------------------------------------------------------------------------------------------------------


def ready(value: str, **more: Any) -> dict[str, Any]:
    return {"status": {"conditions": [{"type": "Ready", "status": value, **more}]}}


def test_a_transition_has_its_time_reason_message_and_writer() -> None:
    w = Watched("Widget")
    w.see(RecordType.ADDED, at=50, **ready("True"))
    written = {"managedFields": [managed("operator", 97, "status", **{"f:status": {}})], "generation": 0}
    (occ,) = w.see(meta=written, **ready("False", reason="Error", message="said", lastTransitionTime=second(95)))
    assert (occ.reason, occ.condition, occ.condition_status, occ.condition_reason) == (
        "Ready=False",
        "Ready",
        "False",
        "Error",
    )
    assert (occ.message, occ.warning, occ.actor, occ.manager) == ("said", True, "operator", "operator")
    assert (occ.time, occ.latest, occ.rv) == (T + 95 * SECOND, T + 95 * SECOND, 42)


@pytest.mark.parametrize(
    "stated, expected",
    [(95, 95), (50, 50), (49, 97), (101, 100), (102, 97), (None, 97)],
)
def test_the_time_of_a_transition_must_be_plausible_or_that_of_the_write_counts(
    stated: int | None, expected: int
) -> None:
    w = Watched("Widget")
    created = {"creationTimestamp": second(50)}
    w.see(RecordType.ADDED, at=50, meta=created, **ready("True"))
    written = created | {"managedFields": [managed("operator", 97, "status", **{"f:status": {}})]}
    more = {} if stated is None else {"lastTransitionTime": second(stated)}
    (occ,) = w.see(meta=written, **ready("False", **more))
    assert (occ.time - T) / SECOND == expected


@pytest.mark.parametrize(
    "condition, of_status, generation, expected", [(0, 0, 5, 5), (3, 0, 5, 3), (0, 4, 5, 4), (3, 4, 5, 4), (4, 3, 5, 4)]
)
def test_a_transition_has_the_generation_that_its_controller_observed(
    condition: int, of_status: int, generation: int, expected: int
) -> None:
    w = Watched("Widget")
    w.see(RecordType.ADDED, at=50, meta={"generation": generation}, **ready("True"))
    status = ready("False", observedGeneration=condition)["status"] | {"observedGeneration": of_status}
    (occ,) = w.see(meta={"generation": generation}, status=status)
    assert occ.generation == expected


def test_a_long_message_is_cut() -> None:
    w = Watched("Widget")
    w.see(RecordType.ADDED, **ready("True"))
    (occ,) = w.see(**ready("False", message="x" * 2000, reason="y" * 2000))
    assert (len(occ.message), len(occ.condition_reason)) == (MESSAGE_LIMIT, MESSAGE_LIMIT)
    assert MESSAGE_LIMIT == 1024


@pytest.mark.parametrize(
    "kind, manager, by_other",
    [("Pod", "kube-controller-manager", True), ("Pod", "kubelet", False), ("Node", "kube-controller-manager", False)],
)
def test_a_condition_of_a_pod_that_its_kubelet_did_not_write(kind: str, manager: str, by_other: bool) -> None:
    w = Watched(kind)
    w.see(RecordType.ADDED, **ready("True"))
    w.see(meta={"managedFields": [managed(manager, 97, "status", **{"f:status": {}})]}, **ready("False"))
    assert w.obj.transitions[-1].by_other_component is by_other


def test_a_transition_that_repeats_another_is_a_note_on_the_newest_change_or_transition() -> None:
    w = Watched("Pod")
    w.see(RecordType.ADDED)
    (turned,) = w.see(**ready("True"))
    both = [{"type": "Ready", "status": "True"}, {"type": "Initialized", "status": "True"}]
    assert w.see(status={"conditions": both}) == []
    assert [note.name for note in turned.notes] == ["Initialized"]


def test_the_announcement_of_a_failure_is_a_note_on_it_and_on_no_other_transition() -> None:
    w = Watched("Pod")
    disrupted = [{"type": "DisruptionTarget", "status": "True", "reason": "Evicted"}]
    w.see(RecordType.ADDED, **ready("True"))
    w.state._occurrences.clear()
    assert w.see(status={"conditions": [{"type": "Ready", "status": "True"}, *disrupted]}) == []
    (unready,) = w.see(status={"conditions": [{"type": "Ready", "status": "False"}, *disrupted]})
    (failed,) = w.see(status={"phase": "Failed", "conditions": [{"type": "Ready", "status": "False"}, *disrupted]})
    assert unready.notes == ()
    assert [note.name for note in failed.notes] == ["DisruptionTarget"]


def test_transitions_of_an_object_that_is_being_deleted_are_notes_on_its_deletion() -> None:
    w = Watched("Pod")
    w.see(RecordType.ADDED, **ready("True"))
    (occ,) = w.see(meta={"deletionTimestamp": second(130), "deletionGracePeriodSeconds": 30}, **ready("True"))
    assert w.see(meta={"deletionTimestamp": second(130)}, **ready("False")) == []
    assert [note.name for note in occ.notes] == ["Ready=False"]
