"""Traces in which something fails that waiting does not fix: closed early, and continued by one episode."""

import pytest

from kspan.times import SECOND
from tests.causality.actors import done, new_pod, new_replicas, recovered, run, running, settled, stuck
from tests.causality.cluster import HOUR, Cluster, Thing
from tests.causality.drawing import CLUSTER, shows
from tests.recordings import Rows, fold


def rollout(pods: int = 1) -> tuple[Cluster, Thing, Thing, list[Thing]]:
    """A Deployment whose new Pods are on a node, but do not run."""
    c = Cluster()
    web = c.apply("Deployment", "web", replicas=pods)
    rs = new_replicas(c, web, "web-1", pods, reported=False)
    made = [new_pod(c, rs, f"web-1-{letter}", reported=False) for letter in "abcdefghij"[:pods]]
    for pod in made:
        c.bind(pod, "node-a")
    return c, web, rs, made


def crash(c: Cluster, pod: Thing) -> str:
    """The container of a Pod ends with an error, and its kubelet waits before it starts it again."""
    message = "Back-off restarting failed container app in pod"
    path = "spec.containers{app}"
    event = c.event(pod, "BackOff", message, by="kubelet", host="node-a", warning=True, field_path=path)
    ended = {"name": "app", "state": {"terminated": {"exitCode": 1}}}
    ready = [{"type": "Ready", "status": "False", "reason": "ContainersNotReady"}]
    c.status(pod, by="kubelet", phase="Running", conditions=ready, containerStatuses=[ended])
    return event


def traces(c: Cluster) -> list[tuple[str, float]]:
    """Outcome of each trace, and how many seconds it was open, in the order of opening."""
    c.receive_all()
    return _traces(fold(CLUSTER, c.records))


def _traces(rows: Rows) -> list[tuple[str, float]]:
    roots = {row["span_id"]: row for row in rows["spans"]}
    found = sorted(rows["traces"], key=lambda row: (row["opened_at"], row["trace_id"]))
    return [
        (
            roots[row["root_span_id"]]["attributes"]["kspan.trace.outcome"],
            (row["closed_at"] - row["opened_at"]) / SECOND,
        )
        for row in found
    ]


def test_a_pull_that_fails_is_reported_after_its_patience_and_its_end_in_one_episode() -> None:
    c, web, rs, (pod,) = rollout()
    failed = c.event(pod, "Failed", 'Failed to pull image "app:v1"', by="kubelet", host="node-a", warning=True)
    stuck(c, pod, "ErrImagePull")
    c.wait(30)
    c.repeat(failed)
    stuck(c, pod, "ImagePullBackOff")
    c.wait(12)
    recovered(c, pod)
    done(c, rs, web)
    c.condition(web, "Available", "True", reason="MinimumReplicasAvailable")
    shows(
        c,
        """
        (failing)
        Deployment.Create web  by kubectl  [root] error
          ReplicaSet.Create web-1  by deployment-controller  [owner]
            Pod.Create web-1-a  by replicaset-controller  [owner]
              Pod.Failed web-1-a  by kubelet  [own] error

        (continues Deployment.Create web trace)
        (recovered)
        Pod.Failed web-1-a  by kubelet  [own] error
          Pod.Started web-1-a  by kubelet  [own]
          Pod.Ready web-1-a  by kubelet  [own]
            Deployment.Available web  by deployment-controller  [owner]
        """,
    )


def test_a_failure_that_ends_before_the_patience_does_is_not_reported() -> None:
    c, web, rs, (pod,) = rollout()
    c.event(pod, "Failed", 'Failed to pull image "app:v1"', by="kubelet", host="node-a", warning=True)
    stuck(c, pod, "ErrImagePull")
    c.wait(12)
    recovered(c, pod)
    done(c, rs, web)
    c.wait(60)
    assert [outcome for outcome, _ in traces(c)] == ["ok"]


@pytest.mark.parametrize(
    "reason, seconds",
    [
        ("ErrImagePull", 20),
        ("ImagePullBackOff", 20),
        ("CrashLoopBackOff", 20),
        ("CreateContainerConfigError", 20),
        ("RunContainerError", 20),
    ],
)
def test_a_failure_is_seen_in_the_status_alone(reason: str, seconds: int) -> None:
    c, _, _, (pod,) = rollout()
    stuck(c, pod, reason)
    c.wait(100)
    (first, *_) = traces(c)
    assert first[0] == "failing"
    assert first[1] == pytest.approx(seconds - 5, abs=0.1), (
        "the trace was opened when the hold of five seconds was over"
    )


def test_a_container_that_is_being_created_or_not_ready_is_not_failing() -> None:
    c, web, rs, (pod,) = rollout()
    stuck(c, pod, "ContainerCreating")
    c.wait(40)
    c.event(pod, "Unhealthy", "Readiness probe failed: connection refused", by="kubelet", host="node-a", warning=True)
    c.wait(50)
    recovered(c, pod)
    done(c, rs, web)
    ((outcome, length),) = traces(c)
    assert (outcome, length > 90) == ("ok", True)


def test_a_crash_loop_is_one_failure_although_the_container_runs_in_between() -> None:
    c, _, _, (pod,) = rollout()
    running(c, pod)
    event = crash(c, pod)
    c.wait(10)
    recovered(c, pod)
    c.wait(2)
    c.repeat(event)
    crash(c, pod)
    c.wait(100)
    outcome, length = traces(c)[0]
    assert (outcome, round(length)) == ("failing", 15)


@pytest.mark.parametrize("lasts, outcomes", [(30, ["ok"]), (100, ["failing", "recovered"])])
def test_a_pod_that_cannot_be_scheduled(lasts: float, outcomes: list[str]) -> None:
    c = Cluster()
    web = c.apply("Deployment", "web", replicas=1)
    rs = new_replicas(c, web, "web-1", 1, reported=False)
    pod = new_pod(c, rs, "web-1-a", reported=False)
    c.event(pod, "FailedScheduling", "0/2 nodes are available", by="default-scheduler", new=True, warning=True)
    c.condition(pod, "PodScheduled", "False", reason="Unschedulable", by="kube-scheduler")
    c.wait(lasts)
    c.condition(pod, "PodScheduled", "True", by="kube-scheduler")
    run(c, pod)
    done(c, rs, web)
    c.wait(100)
    found = traces(c)
    assert [outcome for outcome, _ in found] == outcomes
    if len(found) > 1:
        assert found[0][1] == pytest.approx(55, abs=0.1)


@pytest.mark.parametrize("lasts, outcomes", [(30, ["ok"]), (100, ["failing", "recovered"])])
def test_a_quota_that_refuses_a_pod(lasts: float, outcomes: list[str]) -> None:
    c, web, rs, _ = settled("db", 1)
    scaled = c.update(web, by="kubectl", subresource="scale", replicas=2)
    c.update(rs, by="kube-controller-manager", replicas=2)
    message = 'Error creating: pods "db-1-b" is forbidden: exceeded quota: small'
    c.event(rs, "FailedCreate", message, by="replicaset-controller", warning=True)
    c.condition(rs, "ReplicaFailure", "True", reason="FailedCreate", message=message)
    c.wait(lasts)
    rs.raw["status"]["conditions"] = []
    run(c, new_pod(c, rs, "db-1-b"))
    done(c, rs, scaled)
    c.wait(100)
    assert [outcome for outcome, _ in traces(c)] == outcomes


def test_a_volume_that_is_mounted_after_a_minute_and_a_half() -> None:
    c, web, rs, (pod,) = rollout()
    message = 'MountVolume.SetUp failed for volume "conf" : configmap "conf" not found'
    event = c.event(pod, "FailedMount", message, by="kubelet", host="node-a", warning=True)
    for _ in range(3):
        c.wait(30)
        c.repeat(event)
    recovered(c, pod)
    done(c, rs, web)
    shows(
        c,
        """
        (failing)
        Deployment.Create web  by kubectl  [root] error
          ReplicaSet.Create web-1  by deployment-controller  [owner]
            Pod.Create web-1-a  by replicaset-controller  [owner]
              Pod.FailedMount web-1-a  by kubelet  [own] +1 error

        (continues Deployment.Create web trace)
        (recovered)
        Pod.FailedMount web-1-a  by kubelet  [own] +1 error
          Pod.Started web-1-a  by kubelet  [own]
          Pod.Ready web-1-a  by kubelet  [own]
        """,
    )


def test_several_failing_pods_of_a_rollout_continue_in_one_episode() -> None:
    c, _, _, pods = rollout(3)
    events = [crash(c, pod) for pod in pods]
    c.wait(40)
    for event in events:
        c.repeat(event)
    c.wait(40)
    shows(
        c,
        """
        (failing)
        Deployment.Create web  by kubectl  [root] error
          ReplicaSet.Create web-1  by deployment-controller  [owner]
            Pod.Create web-1-a  by replicaset-controller  [owner]
              Pod.ContainerTerminated web-1-a  by kubelet  [own] error
                Pod.BackOff web-1-a  by kubelet  [own] error
            Pod.Create web-1-b  by replicaset-controller  [owner]
              Pod.ContainerTerminated web-1-b  by kubelet  [own] error
                Pod.BackOff web-1-b  by kubelet  [own] error
            Pod.Create web-1-c  by replicaset-controller  [owner]
              Pod.ContainerTerminated web-1-c  by kubelet  [own] error
                Pod.BackOff web-1-c  by kubelet  [own] error

        (continues Deployment.Create web trace)
        (failing)
        Pod.BackOff web-1-a  by kubelet  [own] error
          Pod.BackOff web-1-b  by kubelet  [own] error
          Pod.BackOff web-1-c  by kubelet  [own] error
        """,
    )


def test_one_failing_pod_of_ten_closes_the_trace_and_the_others_follow_in_its_episode() -> None:
    c, web, rs, pods = rollout(10)
    for pod in pods[:5]:
        recovered(c, pod)
    crash(c, pods[9])
    c.wait(40)
    for pod in pods[5:9]:
        recovered(c, pod)
    c.wait(20)
    recovered(c, pods[9])
    done(c, rs, web)
    c.wait(100)
    assert [outcome for outcome, _ in traces(c)] == ["failing", "recovered"]


def test_what_fails_for_days_is_reported_at_growing_intervals() -> None:
    c, _, _, (pod,) = rollout()
    event = crash(c, pod)
    for _ in range(12 * 24):
        c.wait(300)
        c.repeat(event)
    lengths = [length for outcome, length in traces(c) if outcome == "failing"]
    assert lengths[:5] == [pytest.approx(15, abs=1), 60, 900, 3_600, 21_600]
    assert len(lengths) <= 8, "one trace in six hours"


def test_the_repeats_of_a_day_are_not_all_kept() -> None:
    c, _, _, (pod,) = rollout()
    event = crash(c, pod)
    for _ in range(1500):
        c.wait(60)
        c.repeat(event)
    c.receive_all()
    rows = fold(CLUSTER, c.records)
    assert max(len(row["events"]) for row in rows["spans"]) <= 128


def test_a_failure_that_is_only_known_from_events_is_followed_for_days() -> None:
    c, _, _, (pod,) = rollout()
    c.records.clear()
    event = crash(c, pod)
    c.records[:] = [record for record in c.records if record.kind == "Event"]
    for _ in range(100):
        c.wait(300)
        c.repeat(event)
    lengths = [length for outcome, length in traces(c) if outcome == "failing"]
    assert lengths[:4] == [pytest.approx(15, abs=1), 60, 900, 3_600]


def test_another_failure_in_an_episode_is_reported_as_soon_as_the_first() -> None:
    c, _, _, (pod,) = rollout()
    stuck(c, pod, "ErrImagePull")
    failed = c.event(pod, "Failed", 'Failed to pull image "app:v1"', by="kubelet", host="node-a", warning=True)
    c.wait(40)
    c.repeat(failed)
    c.wait(200)
    c.repeat(failed)
    c.wait(20)
    c.event(pod, "Pulled", "Successfully pulled image", by="kubelet", host="node-a")
    crash(c, pod)
    c.wait(200)
    assert [round(length) for _, length in traces(c)][:3] == [15, 60, 35]


def test_a_failing_pod_of_long_ago_that_is_listed_is_reported_once_something_about_it_happens() -> None:
    c, _, _, (pod,) = rollout()
    stuck(c, pod, "CrashLoopBackOff")
    c.first_list(after=3 * HOUR)
    assert traces(c) == []
    crash(c, pod)
    c.wait(60)
    assert traces(c)[0][0] == "failing"
