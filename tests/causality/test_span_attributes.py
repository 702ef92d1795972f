"""What spans carry of the objects around theirs (owners, node, labels), and the kinds of their links."""

from typing import Any

import pytest

from kspan.settings import FoldSettings
from kspan.times import SECOND
from tests.causality.actors import done, new_pod, new_replicas, rolled_out, run, scale, settled, stuck
from tests.causality.cluster import Cluster, Thing
from tests.causality.drawing import CLUSTER, fold_with_restarts, jittered
from tests.recordings import Rows, fold

NAME = "app.kubernetes.io/name"
LABELLED = FoldSettings(span_labels=(NAME, "tier"))


def attributes(rows: Rows, thing: Thing, prefix: str = "k8s.") -> list[dict[str, Any]]:
    """The attributes of the spans about an object that begin with ``prefix``, apart from those of the occurrence."""
    skipped = ("k8s.object.", "k8s.event.", "k8s.namespace.", "k8s.container.")
    return [
        {
            key: value
            for key, value in row["attributes"].items()
            if key.startswith(prefix) and not key.startswith(skipped)
        }
        for row in sorted(rows["spans"], key=lambda row: row["start_time"])
        if row["object_uid"] == thing.meta["uid"]
    ]


def identity(thing: Thing) -> dict[str, str]:
    word = thing.kind.lower()
    return {f"k8s.{word}.name": thing.name, f"k8s.{word}.uid": thing.meta["uid"]}


def same_after_every_kill(c: Cluster, settings: FoldSettings | None = None) -> Rows:
    """The rows, which are the same with a restart after every record, and whatever arrives first."""
    c.receive_all()
    rows = fold(CLUSTER, c.records, settings=settings)
    restarted = fold_with_restarts(c.records, settings)
    assert restarted["spans"] == rows["spans"]
    assert restarted["traces"] == rows["traces"]
    return rows


# owners and node -----------------------------------------------------------------------------------------------------


def test_spans_about_a_pod_of_a_deployment_name_replicaset_deployment_and_node() -> None:
    c = Cluster()
    web, rs, (pod,) = rolled_out(c, "web")
    rows = same_after_every_kill(c)
    owned = {"k8s.deployment.name": "web", "k8s.replicaset.name": "web-1"}
    of_pod = attributes(rows, pod)
    assert len(of_pod) >= 4
    assert all(found == identity(pod) | owned | {"k8s.node.name": "node-a"} for found in of_pod)
    assert all(found == identity(rs) | {"k8s.deployment.name": "web"} for found in attributes(rows, rs))
    assert all(found == identity(web) for found in attributes(rows, web))


@pytest.mark.parametrize("kind, key", [("StatefulSet", "statefulset"), ("DaemonSet", "daemonset"), ("Job", "job")])
def test_spans_about_a_pod_name_the_owner_of_each_kind(kind: str, key: str) -> None:
    c = Cluster()
    owner = c.apply(kind, "web")
    pod = new_pod(c, owner, "web-0")
    run(c, pod)
    done(c, owner)
    rows = same_after_every_kill(c)
    assert {found[f"k8s.{key}.name"] for found in attributes(rows, pod)} == {"web"}


def test_spans_about_a_pod_of_a_job_of_a_cronjob_name_both() -> None:
    c = Cluster()
    tick = c.create("Job", "report-1", owner=c.apply("CronJob", "report"))
    pod = new_pod(c, tick, "report-1-x")
    run(c, pod)
    rows = same_after_every_kill(c)
    for found in attributes(rows, pod):
        assert (found["k8s.job.name"], found["k8s.cronjob.name"]) == ("report-1", "report")


def test_an_owner_of_another_kind_has_no_attribute_but_those_above_it_have() -> None:
    c = Cluster()
    pod = new_pod(c, c.create("ReplicaSet", "canary-1", owner=c.apply("Widget", "canary")), "canary-1-x")
    rows = same_after_every_kill(c)
    expected = {"k8s.pod.name", "k8s.pod.uid", "k8s.replicaset.name"}
    assert all(set(found) == expected for found in attributes(rows, pod))


def test_the_order_of_arrival_does_not_change_the_owners_of_a_pod() -> None:
    c = Cluster()
    _, _, (pod,) = rolled_out(c, "web")
    c.receive_all()
    expected = {str(sorted(found.items())) for found in attributes(fold(CLUSTER, c.records), pod)}
    for seed in range(5):
        other = fold(CLUSTER, jittered(c.records, seed))
        assert {str(sorted(found.items())) for found in attributes(other, pod)} == expected


def test_a_late_event_of_a_pod_names_the_owner_that_it_names_in_the_database_after_the_owner_is_forgotten() -> None:
    c, web, rs, (pod,) = settled("web")
    deployments = c.things
    assert web.meta["uid"] in deployments
    c.gone(web)
    c.gone(rs)
    c.wait(30)
    c.delete(pod)
    c.gone(pod)
    c.wait(FoldSettings().max_trace_age / SECOND - 35)
    for number in range(4):
        c.event(pod, "Killing", f"Stopping container app ({number})", by="kubelet", host="node-a", seen=pod.version)
        c.wait(20)
    rows = same_after_every_kill(c)
    assert {found.get("k8s.replicaset.name") for found in attributes(rows, pod)} == {"web-1"}


# labels --------------------------------------------------------------------------------------------------------------


def test_spans_about_a_pod_carry_the_configured_labels_and_no_others() -> None:
    c = Cluster()
    pod = new_pod(c, c.apply("ReplicaSet", "web"), "web-x", labels={NAME: "shop", "tier": "", "secret": "x"})
    run(c, pod)
    rows = same_after_every_kill(c, LABELLED)
    assert attributes(rows, pod, "k8s.pod.label.")
    for found in attributes(rows, pod, "k8s.pod.label."):
        assert found == {f"k8s.pod.label.{NAME}": "shop", "k8s.pod.label.tier": ""}
    assert not any(attributes(fold(CLUSTER, c.records), pod, "k8s.pod.label."))


def test_a_label_has_the_value_that_the_pod_has_when_its_trace_is_closed() -> None:
    c = Cluster()
    pod = new_pod(c, c.apply("ReplicaSet", "web"), "web-x", labels={"tier": "blue"})
    run(c, pod)
    c.wait(1)
    c.label(pod, tier="green")
    rows = same_after_every_kill(c, LABELLED)
    assert {found["k8s.pod.label.tier"] for found in attributes(rows, pod, "k8s.pod.label.")} == {"green"}


# links ---------------------------------------------------------------------------------------------------------------


def kinds(rows: Rows) -> dict[str, list[str]]:
    """The kinds of links, by the name of their span; each of them leads to a span of the trace that it names."""
    there = {(row["trace_id"], row["span_id"]) for row in rows["spans"]}
    found: dict[str, list[str]] = {}
    for row in rows["spans"]:
        for link in row["links"]:
            assert (link.trace_id, link.span_id) in there
            assert link.trace_id != row["trace_id"]
            found.setdefault(f"{row['name']} {row['object_name']}", []).append(link.attributes["kspan.link"])
    return found


def test_the_root_of_an_episode_continues_the_closed_trace() -> None:
    c = Cluster()
    _, _, (pod,) = rolled_out(c, "web")
    c.wait(60)
    c.event(pod, "Unhealthy", "Readiness probe failed", by="kubelet", host="node-a", warning=True)
    assert kinds(same_after_every_kill(c)) == {"Pod.Unhealthy web-1-a": ["continues"]}


def test_the_root_of_a_superseded_trace_has_a_link_to_the_change_whose_trace_is_still_open() -> None:
    c, web, one, _ = settled("web", 2)
    c.update(web, by="kubectl-set", image="app:v2")
    two = new_replicas(c, web, "web-2", 2)
    run(c, new_pod(c, two, "web-2-a"))
    stuck(c, new_pod(c, two, "web-2-b"), "ContainerCreating")
    c.wait(1)
    c.update(web, by="helm", image="app:v3")
    three = new_replicas(c, web, "web-3", 2)
    scale(c, web, one, 0)
    scale(c, web, two, 0)
    for letter in "ab":
        run(c, new_pod(c, three, f"web-3-{letter}"))
    done(c, one, two, three, web)
    rows = same_after_every_kill(c)
    assert kinds(rows) == {"Deployment.Update web": ["superseded by"]}
    spans = {row["span_id"]: row for row in rows["spans"]}
    (old,) = (row for row in spans.values() if row["links"])
    assert old["attributes"]["kspan.trace.superseded_by"] == old["links"][0].span_id
    assert spans[old["links"][0].span_id]["attributes"]["kspan.field_manager"] == "helm"
