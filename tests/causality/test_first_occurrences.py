"""An Event that is seen for the first time when it has been repeated already: its first occurrence and its last."""

import json
from typing import Any

import pytest
from msgspec import structs

from kspan.model import LogRecord, RecordType
from kspan.times import SECOND
from tests.causality.actors import rolled_out, run, running
from tests.causality.cluster import Cluster, Thing
from tests.causality.drawing import CLUSTER, fold_with_restarts, shows
from tests.recordings import fold

PROBE = "Liveness probe failed: HTTP probe failed with statuscode: 500"


def lone(c: Cluster) -> Thing:
    return c.create("Pod", "web", by="kubectl-run", containers=[{"name": "app", "image": "app:v1"}])


def unhealthy(c: Cluster, pod: Thing) -> str:
    return c.event(
        pod, "Unhealthy", PROBE, by="kubelet", host="node-a", warning=True, field_path="spec.containers{app}"
    )


def told(c: Cluster, reason: str) -> list[tuple[int, list[tuple[int, int]]]]:
    """Start of each span with this reason, and time and count of its repeats; each in ns after the first of them."""
    spans = sorted(
        (r for r in fold(CLUSTER, c.records)["spans"] if r["reason"] == reason), key=lambda r: r["start_time"]
    )
    since = spans[0]["start_time"]
    return [
        (row["start_time"] - since, [(e.time - since, e.attributes["k8s.event.count"]) for e in row["events"]])
        for row in spans
    ]


def test_an_event_in_a_first_list_has_its_first_occurrence_and_its_last() -> None:
    c = Cluster()
    pod = lone(c)
    began = c.now
    uid = unhealthy(c, pod)
    for _ in range(3):
        c.wait(10)
        c.repeat(uid)
    c.event(
        pod,
        "Killing",
        "Container app failed liveness probe, will be restarted",
        by="kubelet",
        host="node-a",
        field_path="spec.containers{app}",
    )
    running(c, pod)
    c.first_list(after=100)
    shows(
        c,
        """
        Pod.Create web  by kubectl  [root]
          Pod.Unhealthy web  by kubelet  [own] +1 error
            Pod.Killing web  by kubelet  [own]
        """,
    )
    (row,) = [r for r in fold(CLUSTER, c.records)["spans"] if r["reason"] == "Unhealthy"]
    assert 0 <= row["start_time"] - began < SECOND
    assert row["event_count"] == 1
    (last,) = row["events"]
    assert last.attributes["k8s.event.count"] == 4
    assert 29 * SECOND <= last.time - row["start_time"] <= 31 * SECOND


def test_occurrences_that_are_hours_apart_are_traces_of_their_own() -> None:
    c = Cluster()
    pod = lone(c)
    c.wait(1000)
    uid = unhealthy(c, pod)
    c.wait(3000)
    c.repeat(uid, count=4)
    c.first_list(after=30)
    (first, last) = told(c, "Unhealthy")
    assert first == (0, [])
    assert last[0] == pytest.approx(3000 * SECOND, abs=SECOND)
    traces = {row["trace_id"] for row in fold(CLUSTER, c.records)["spans"] if row["reason"] == "Unhealthy"}
    assert len(traces) == 2


def test_an_event_that_is_repeated_all_the_time_is_one_span_also_after_hours() -> None:
    c = Cluster()
    pod = lone(c)
    c.wait(1000)
    uid = unhealthy(c, pod)
    c.wait(3000)
    c.repeat(uid, count=300)
    c.first_list(after=5)
    ((_, repeats),) = told(c, "Unhealthy")
    ((time, count),) = repeats
    assert time == pytest.approx(3000 * SECOND, abs=SECOND)
    assert count == 300


def test_a_repeat_that_follows_a_first_list_is_a_repeat() -> None:
    c = Cluster()
    pod = lone(c)
    uid = unhealthy(c, pod)
    c.wait(10)
    c.repeat(uid)
    c.first_list(after=8)
    c.repeat(uid)
    ((_, repeats),) = told(c, "Unhealthy")
    assert [count for _, count in repeats] == [2, 3]


def test_the_first_occurrence_goes_back_to_what_its_reporter_had_seen() -> None:
    """The old Event is not reported on a change that was made later, although it was written again after that."""
    c = Cluster()
    web, rs, _ = rolled_out(c, "web", 1)
    c.wait(600)
    seen = web.version
    message = f"Scaled up replica set {rs.name} to 2"
    uid = c.event(web, "ScalingReplicaSet", message, by="deployment-controller", seen=seen)
    c.wait(1500)
    c.repeat(uid)
    c.first_list(after=20)
    c.update(web, by="kubectl-scale", replicas=3)
    c.update(rs, replicas=3, by="kube-controller-manager")
    spans = {row["span_id"]: row for row in fold(CLUSTER, c.records)["spans"]}
    first = min((r for r in spans.values() if r["reason"] == "ScalingReplicaSet"), key=lambda r: r["start_time"])
    above = first
    while above["parent_span_id"]:
        above = spans[above["parent_span_id"]]
        assert above["start_time"] <= first["start_time"]
    assert first["trace_id"] not in {r["trace_id"] for r in spans.values() if r["reason"] == "Update"}


def test_an_event_that_began_in_a_gap_has_its_first_occurrence() -> None:
    c = Cluster()
    pod = lone(c)
    run(c, pod)
    c.first_list()
    c.stop_watching()
    c.wait(100)
    uid = unhealthy(c, pod)
    c.wait(10)
    c.repeat(uid)
    c.repeat(uid)
    c.wait(1)
    c.list_again()
    ((_, repeats),) = told(c, "Unhealthy")
    assert [count for _, count in repeats] == [3]


def test_an_event_that_began_before_a_gap_does_not_begin_again() -> None:
    c = Cluster()
    pod = lone(c)
    c.first_list()
    uid = unhealthy(c, pod)
    c.wait(2000)
    with c:
        c.wait(10)
        c.repeat(uid)
        c.wait(1)
        c.records.append(listed_again(c, uid))
    assert len(told(c, "Unhealthy")) == 2


def listed_again(c: Cluster, uid: str) -> LogRecord:
    """The record of an Event that was known before a gap, as the list after it shows it."""
    raw = c.events[uid]
    meta = raw["metadata"]
    return LogRecord(
        RecordType.ADDED,
        c.now,
        "v1/events",
        uid,
        meta["resourceVersion"],
        "v1",
        "Event",
        meta["namespace"],
        meta["name"],
        json.dumps(raw).encode(),
    )


def test_an_event_that_expired_and_is_written_again_does_not_begin_again() -> None:
    c = Cluster()
    pod = lone(c)
    uid = unhealthy(c, pod)
    c.wait(200)
    again: dict[str, Any] = json.loads(json.dumps(c.events[uid]))
    again["metadata"] |= {"uid": "00000000-0000-4000-8000-00000000eeee", "resourceVersion": "900"}
    again |= {"count": 2, "lastTimestamp": "2026-11-22T10:03:20Z"}
    c.records.append(
        structs.replace(
            listed_again(c, uid),
            uid=again["metadata"]["uid"],
            resource_version="900",
            payload=json.dumps(again).encode(),
        )
    )
    assert [count for _, repeats in told(c, "Unhealthy") for _, count in repeats] == []
    assert len(told(c, "Unhealthy")) == 2


def test_the_first_occurrence_of_a_combined_event_is_not_known() -> None:
    c = Cluster()
    _, rs, _ = rolled_out(c, "web", 1)
    uid = c.event(
        rs, "SuccessfulCreate", "(combined from similar events): Created pod: web-1-x", by="replicaset-controller"
    )
    c.wait(10)
    c.repeat(uid, message="(combined from similar events): Created pod: web-1-y")
    c.first_list(after=5)
    found = [r for r in fold(CLUSTER, c.records)["spans"] if r["message"].startswith("(combined")]
    assert [row["event_count"] for row in found] == [2]


def test_a_series_has_its_first_occurrence_and_its_last() -> None:
    c = Cluster()
    pod = lone(c)
    began = c.now
    uid = c.event(pod, "FailedScheduling", "0/3 nodes are available", by="default-scheduler", new=True, warning=True)
    c.wait(40)
    c.repeat(uid, count=7)
    c.first_list(after=5)
    (row,) = [r for r in fold(CLUSTER, c.records)["spans"] if r["reason"] == "FailedScheduling"]
    assert 0 <= row["start_time"] - began < SECOND
    assert [e.attributes["k8s.event.count"] for e in row["events"]] == [7]
    assert fold_with_restarts(c.records) == fold(CLUSTER, c.records)
