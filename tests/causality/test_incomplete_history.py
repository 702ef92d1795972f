"""Recordings of clusters of which only a part is known: Events without objects, objects without managedFields."""

from pathlib import Path
from typing import Any

import pytest

from kspan.times import SECOND, parse_time
from tests.causality.actors import done, kill, new_pod, new_replicas, rolled_out, run, scale
from tests.causality.cluster import Cluster, Thing
from tests.causality.drawing import CLUSTER, shows
from tests.recordings import fold, journal_of

CASES = Path(__file__).parents[1] / "data" / "cases"


def spans_of(name: str) -> list[dict[str, Any]]:
    return sorted(fold(*journal_of(CASES / name))["spans"], key=lambda row: (row["start_time"], row["name"]))


@pytest.mark.parametrize(
    "name, event, change",
    [
        ("event-under-later-change.jsonl", "Pod.Unhealthy", "Pod.Delete"),
        ("event-of-older-version.jsonl", "Deployment.Looked", "Deployment.Update"),
    ],
)
def test_an_event_is_not_caused_by_a_change_that_was_written_after_it(name: str, event: str, change: str) -> None:
    found = {row["name"]: row for row in spans_of(name)}
    assert found[event]["trace_id"] != found[change]["trace_id"]
    assert 0 <= found[event]["start_time"] - parse_time("2026-05-01T10:00:05Z") < SECOND


def test_rollouts_in_a_list_of_events_are_traces_of_their_own() -> None:
    spans = spans_of("three-rollouts-events-only.json")
    traces: dict[str, list[dict[str, Any]]] = {}
    for row in spans:
        traces.setdefault(row["trace_id"], []).append(row)
    assert [len(rows) for rows in traces.values()] == [6, 6, 6]
    lengths = [
        max(row["end_time"] for row in rows) - min(row["start_time"] for row in rows) for rows in traces.values()
    ]
    assert max(lengths) < 10 * SECOND


def test_without_managed_fields_a_rollout_goes_back_to_the_change_of_its_revision() -> None:
    rollout = next(row for row in spans_of("no-managed-fields.json") if row["name"] == "Deployment.ScalingReplicaSet")
    by_id = {row["span_id"]: row for row in spans_of("no-managed-fields.json")}
    root = by_id[rollout["parent_span_id"]]
    assert (root["name"], root["start_time"]) == ("Deployment.Update", parse_time("2026-05-01T09:59:55Z"))


def rollout(c: Cluster, web: Thing, old: Thing, name: str, image: str) -> Thing:
    """Somebody sets a new image, and the Deployment is rolled out."""
    c.update(web, by="kubectl-set", image=image)
    c.wait(0.4)
    rs = new_replicas(c, web, name, 1)
    pod = new_pod(c, rs, f"{name}-a")
    run(c, pod)
    c.wait(4)
    scale(c, web, old, 0)
    (before,) = [t for t in c.things.values() if t.kind == "Pod" and t.name != pod.name]
    kill(c, before, by=old)
    c.gone(before)
    done(c, old, rs, web)
    return rs


def traces_of(c: Cluster) -> list[list[dict[str, Any]]]:
    """The spans of each trace, by time."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in sorted(fold(CLUSTER, c.records)["spans"], key=lambda row: row["start_time"]):
        found.setdefault(row["trace_id"], []).append(row)
    return list(found.values())


@pytest.mark.parametrize("minutes", [2, 14, 19])
def test_three_rollouts_in_a_first_list_are_three_traces(minutes: int) -> None:
    """Each goes back to the change of the Deployment, and its Events join the ReplicaSet that it created."""
    c = Cluster()
    web, rs, _ = rolled_out(c, "web")
    c.wait(3600)
    c.events.clear()
    names = ["web-2", "web-3", "web-4"]
    for number, name in enumerate(names, 2):
        rs = rollout(c, web, rs, name, f"app:v{number}")
        c.wait(60 * minutes)
    c.first_list(after=30)
    traces = traces_of(c)
    assert len(traces) == 3
    for trace, name in zip(traces, names, strict=True):
        by_id = {row["span_id"]: row for row in trace}
        (root,) = [row for row in trace if not row["parent_span_id"]]
        assert root["name"] == "Deployment.Update"
        (created,) = [row for row in trace if row["name"] == "ReplicaSet.Create"]
        assert created["object_name"] == name
        event = by_id[created["parent_span_id"]]
        assert event["message"] == f"Scaled up replica set {name} from 0 to 1"
        assert event["parent_span_id"] == root["span_id"]
        assert max(row["end_time"] for row in trace) - root["start_time"] < 20 * SECOND
        assert {row["object_name"] for row in trace if row["object_kind"] == "Pod"} >= {f"{name}-a"}


def test_a_rollout_just_after_the_creation_goes_back_to_its_own_change() -> None:
    """The ReplicaSet of the creation is the first one; that of the next change is created seconds later."""
    c = Cluster()
    web, rs, _ = rolled_out(c, "web")
    c.wait(20)
    rs = rollout(c, web, rs, "web-2", "app:v2")
    c.wait(25)
    rollout(c, web, rs, "web-3", "app:v3")
    c.first_list(after=30)
    roots = [(row["name"], row["actor"]) for row in roots_of(c)]
    assert roots == [
        ("Deployment.Create", "kubectl"),
        ("Deployment.Update", "unknown"),
        ("Deployment.Update", "kubectl"),
    ]


def roots_of(c: Cluster) -> list[dict[str, Any]]:
    roots = [row for trace in traces_of(c) for row in trace if not row["parent_span_id"]]
    return [row | {"actor": row["service"]} for row in roots]


def test_a_change_of_a_listed_object_that_only_an_event_reports_is_the_cause_of_what_follows() -> None:
    """Of a ReplicaSet that was scaled several times, managedFields show the last time only."""
    c = Cluster()
    web, rs, _ = rolled_out(c, "web")
    c.wait(600)
    c.update(web, by="kubectl-scale", replicas=2)
    scale(c, web, rs, 2)
    second = new_pod(c, rs, "web-1-b")
    c.wait(300)
    c.update(web, by="kubectl-scale", replicas=1)
    scale(c, web, rs, 1)
    kill(c, second, by=rs)
    c.gone(second)
    done(c, rs, web)
    c.first_list(after=30)
    found = {row["span_id"]: row for row in fold(CLUSTER, c.records)["spans"]}
    (created,) = [row for row in found.values() if row["message"] == "Created pod: web-1-b"]
    assert found[created["parent_span_id"]]["message"] == "Scaled up replica set web-1 from 1 to 2"


def test_what_is_scaled_down_does_not_go_back_to_the_creation() -> None:
    c = Cluster()
    web, rs, (pod,) = rolled_out(c, "web")
    c.wait(100)
    c.remove(web, replicas=0)
    scale(c, web, rs, 0)
    kill(c, pod, by=rs)
    c.gone(pod)
    done(c, rs, web)
    c.first_list(after=30)
    found = {row["span_id"]: row for row in fold(CLUSTER, c.records)["spans"]}
    (down,) = [row for row in found.values() if row["message"].startswith("Scaled down")]
    assert (down["parent_span_id"], down["rule"]) == ("", "root")


def without_events(c: Cluster) -> None:
    """No Event is left in the first list."""
    c.events.clear()
    c.records[:] = [record for record in c.records if record.kind != "Event"]


def test_an_inferred_creation_to_which_nothing_refers_is_no_trace() -> None:
    """What happens to the ReplicaSet asks for its changes, but goes back to one that was seen."""
    c = Cluster()
    web, rs, _ = rolled_out(c, "web")
    c.first_list(after=60)
    without_events(c)
    c.wait(20)
    c.update(web, by="kubectl-scale", replicas=2)
    scale(c, web, rs, 2)
    done(c, rs, web)
    shows(
        c,
        """
        Deployment.Update web  by kubectl  [root]
          Deployment.ScalingReplicaSet web  by deployment-controller  [owner]
            ReplicaSet.Update web-1  by deployment-controller  [subject]
        """,
    )


def test_an_inferred_creation_that_was_dropped_is_the_cause_of_what_refers_to_it_later() -> None:
    c = Cluster()
    web, rs, (pod,) = rolled_out(c, "web")
    c.first_list(after=60)
    without_events(c)
    c.wait(20)
    c.update(web, by="kubectl-scale", replicas=2)
    scale(c, web, rs, 2)
    done(c, rs, web)
    c.wait(100)
    c.event(pod, "Unhealthy", "Readiness probe failed", by="kubelet", host="node-a", warning=True)
    c.wait(100)
    c.event(pod, "Unhealthy", "Readiness probe failed again", by="kubelet", host="node-a", warning=True)
    found = traces_of(c)
    assert len({row["span_id"] for trace in found for row in trace}) == sum(map(len, found))
    (pod_trace,) = [trace for trace in found if any(row["message"] == "Readiness probe failed" for row in trace)]
    assert {"Deployment.Create", "ReplicaSet.Create", "Pod.Create"} <= {row["name"] for row in pod_trace}


def test_what_is_only_mentioned_has_no_time_of_creation() -> None:
    c = Cluster()
    pod = c.create("Pod", "web", by="kubectl-run", containers=[])
    c.event(pod, "Started", "Started container app", by="kubelet")
    c.records[:] = [record for record in c.records if record.kind == "Event"]
    (row,) = fold(CLUSTER, c.records)["objects"]
    assert (row["name"], row["created_at"]) == ("web", 0)
    assert row["seen_at"]


def test_events_of_a_node_that_was_created_again_belong_to_the_new_one() -> None:
    """Its kubelet was not restarted and keeps the uid of the Node that it found first."""
    c = Cluster()
    old = c.create("Node", "node-a", by="kubelet")
    c.first_list()
    c.gone(old)
    c.wait(10)
    new = c.create("Node", "node-a", by="kubelet")
    for wait in (1, 3600):
        c.wait(wait)
        c.event(old, "NodeHasDiskPressure", f"after {wait}", by="kubelet", host="node-a", seen="")
    spans = [row for row in fold(CLUSTER, c.records)["spans"] if row["event_uid"]]
    assert {row["object_uid"] for row in spans} == {new.meta["uid"]}
    (gone,) = [row for row in fold(CLUSTER, c.records)["objects"] if row["uid"] == old.meta["uid"]]
    assert gone["deleted_at"], "the history keeps what is known of the old Node"


def test_a_late_event_of_a_node_belongs_to_the_one_that_there_was() -> None:
    c = Cluster()
    old = c.create("Node", "node-a", by="kubelet")
    c.first_list()
    c.event(old, "NodeHasDiskPressure", "late", by="kubelet", host="node-a", seen="", late=15)
    c.wait(1)
    c.gone(old)
    c.wait(10)
    c.create("Node", "node-a", by="kubelet")
    c.receive_all()
    (row,) = [row for row in fold(CLUSTER, c.records)["spans"] if row["event_uid"]]
    assert row["object_uid"] == old.meta["uid"]


def test_labelling_is_not_why_a_deployment_in_a_first_list_is_rolled_out() -> None:
    """A label changes neither the generation nor the pod template: the manager that owns the template changed it."""
    c = Cluster()
    web, rs, _ = rolled_out(c, "web", by="helm")
    c.wait(3600)
    c.events.clear()
    c.update(web, by="helm", image="app:v2")
    two = new_replicas(c, web, "web-2", 1)
    c.wait(60)
    c.label(web, tier="front")
    c.first_list(after=30)
    scale(c, web, rs, 0)
    done(c, rs, two, web)
    shows(
        c,
        """
        Deployment.Update web  by helm  [root]
          Deployment.ScalingReplicaSet web  by deployment-controller  [owner]
            ReplicaSet.Create web-2  by deployment-controller  [subject]
          Deployment.ScalingReplicaSet web  by deployment-controller  [owner]
            ReplicaSet.Update web-1  by deployment-controller  [subject]
        """,
    )


def test_an_earlier_rollout_in_a_first_list_is_by_the_manager_that_owns_the_template() -> None:
    c = Cluster()
    web, _, _ = rolled_out(c, "web", by="kubectl-client-side-apply")
    c.wait(3600)
    c.events.clear()
    c.update(web, by="helm", image="app:v2")
    two = new_replicas(c, web, "web-2", 1)
    c.wait(300)
    c.update(web, by="kubectl-edit", minReadySeconds=5)
    done(c, two, web)
    c.first_list(after=30)
    assert [(row["name"], row["actor"]) for row in roots_of(c)] == [("Deployment.Update", "helm")]


def test_labelling_a_node_is_not_cordoning_it() -> None:
    c = Cluster()
    node = c.create("Node", "node-a", by="kubelet")
    c.wait(3600)
    c.update(node, by="kubectl-cordon", unschedulable=True)
    c.wait(60)
    c.label(node, disk="ssd")
    c.first_list(after=30)
    c.event(node, "NodeNotSchedulable", "Node node-a status is now: NodeNotSchedulable", by="kubelet", seen="")
    (root,) = roots_of(c)
    assert (root["name"], root["attributes"]["kspan.field_manager"]) == ("Node.Update", "kubectl-cordon")
