"""Which Event stopped which run of a container, and what is no failure of its Pod."""

from typing import Any

from kspan import vocabulary as words
from tests.causality.actors import new_pod, rolled_out, run
from tests.causality.cluster import Cluster, second
from tests.causality.drawing import CLUSTER, shows
from tests.causality.test_containers import Container, attributes, running
from tests.causality.test_nodes import node
from tests.recordings import fold

LOW = "The node was low on resource: memory."
LIVENESS = "Liveness probe failed: HTTP probe failed with statuscode: 500"
STOPPED = "Container web failed liveness probe, will be restarted"


def outcomes(c: Cluster) -> list[str]:
    """Those of the traces, by time."""
    traces = sorted(fold(CLUSTER, c.records)["traces"], key=lambda row: row["start_time"])
    return [row["outcome"] for row in traces]


def test_an_event_that_a_run_is_stopped_does_not_explain_the_end_of_the_next_one() -> None:
    c = Cluster()
    web = running(c)
    c.wait(60)
    web.event("Unhealthy", LIVENESS, warning=True)
    web.event("Killing", STOPPED)
    web.end(143)
    c.wait(0.5)
    web.restart()
    c.wait(25)
    web.end(137, "OOMKilled")
    shows(
        c,
        """
        Pod.Create lone  by kubectl  [root]
          Pod.Ready lone  by kubelet  [own]

        (continues Pod.Create lone trace)
        (incomplete)
        (failing)
        Pod.Unhealthy lone  by kubelet  [own] error
          Pod.Killing lone  by kubelet  [own]
            Pod.ContainerTerminated lone  by kubelet  [own] error
              Pod.ContainerRestarted lone  by kubelet  [own]
                Pod.Ready lone  by kubelet  [own]
              Pod.Ready=False lone  by kubelet  [own]
          Pod.ContainerTerminated lone  by kubelet  [own] error
            Pod.Ready=False lone  by kubelet  [own]
        """,
    )
    # It is below the first occurrence of its episode, which it does not go back to.
    spans = sorted(fold(CLUSTER, c.records)["spans"], key=lambda row: row["start_time"])
    created, last = spans[0], [row for row in spans if row["name"] == "Pod.ContainerTerminated"][-1]
    assert [(link.span_id, link.attributes) for link in last["links"]] == [
        (created["span_id"], {words.LINK: words.CAUSED_BY})
    ]


def test_a_container_that_takes_long_to_stop_ends_in_the_trace_of_what_stopped_it() -> None:
    c = Cluster()
    web = running(c)
    c.wait(60)
    web.event("Unhealthy", LIVENESS, warning=True)
    web.event("Killing", STOPPED)
    c.wait(120)
    web.end(137)
    c.wait(1)
    web.restart()
    shows(
        c,
        """
        Pod.Create lone  by kubectl  [root]
          Pod.Ready lone  by kubelet  [own]

        (continues Pod.Create lone trace)
        (recovered)
        Pod.Unhealthy lone  by kubelet  [own] error
          Pod.Killing lone  by kubelet  [own]
            Pod.ContainerTerminated lone  by kubelet  [own] error
              Pod.Ready=False lone  by kubelet  [own]
              Pod.ContainerRestarted lone  by kubelet  [own]
                Pod.Ready lone  by kubelet  [own]
        """,
    )


def test_a_pod_past_its_deadline_is_stopped_for_that_which_takes_half_a_minute() -> None:
    c = Cluster()
    pod = c.create("Pod", "lone", by="kubectl-run", containers=[{"name": "web"}], activeDeadlineSeconds=60)
    c.bind(pod, "node-a")
    web = Container(c, pod)
    c.wait(60)
    late = "Pod was active on the node longer than the specified deadline"
    c.event(pod, "DeadlineExceeded", late, by="kubelet", host="node-a")
    web.event("Killing", "Stopping container web")
    c.wait(30)
    web.end(137, phase="Failed", reason="DeadlineExceeded", message=late)
    shows(
        c,
        """
        Pod.Create lone  by kubectl  [root]
          Pod.Ready lone  by kubelet  [own]

        (continues Pod.Create lone trace)
        Pod.DeadlineExceeded lone  by kubelet  [own] error
          Pod.Killing lone  by kubelet  [own]
            Pod.ContainerTerminated lone  by kubelet  [own] error
              Pod.Failed lone  by kubelet  [own] error
        """,
    )


def test_a_pod_is_stopped_because_it_is_evicted_because_of_its_node() -> None:
    c = Cluster()
    host = node(c)
    _, rs, (pod,) = rolled_out(c, "web")
    app = Container(c, pod, "app")
    c.first_list()
    c.condition(host, "MemoryPressure", "True", reason="KubeletHasInsufficientMemory", by="kubelet")
    c.event(pod, "Evicted", LOW, by="kubelet", host="node-a", warning=True)
    app.event("Killing", "Stopping container app")
    c.wait(1.5)
    disrupted = {"type": "DisruptionTarget", "status": "True", "reason": "TerminationByKubelet", "message": LOW}
    unready = {"type": "Ready", "status": "False", "reason": "PodFailed"}
    app.end(137, phase="Failed", reason="Evicted", message=LOW, conditions=[unready, disrupted])
    run(c, new_pod(c, rs, "web-1-b"), "node-b")
    shows(
        c,
        """
        Node.MemoryPressure node-a  by kubelet  [root] error
          Pod.Evicted web-1-a  by kubelet  [place] error
            Pod.Killing web-1-a  by kubelet  [own]
              Pod.ContainerTerminated web-1-a  by kubelet  [own] error
                Pod.Failed web-1-a  by kubelet  [own] error
                  ReplicaSet.SuccessfulCreate web-1  by replicaset-controller  [owner]
                    Pod.Create web-1-b  by replicaset-controller  [subject]
                      Pod.Scheduled web-1-b  by default-scheduler  [own]
                      Pod.Started web-1-b  by kubelet  [own]
                      Pod.Ready web-1-b  by kubelet  [own]
        """,
    )


def test_a_liveness_failure_in_a_combined_event_stops_the_container() -> None:
    c = Cluster()
    web = running(c)
    c.wait(60)
    combined = "(combined from similar events): "
    event = web.event("Unhealthy", f"{combined}Readiness probe failed: check 881 timed out", warning=True)
    c.wait(1)
    c.repeat(event, message=f"{combined}Liveness probe failed: check 882 timed out")
    web.event("Killing", STOPPED)
    c.wait(3)
    web.end(137)
    web.restart()
    spans = {row["span_id"]: row for row in fold(CLUSTER, c.records)["spans"]}
    (killing,) = (row for row in spans.values() if row["name"] == "Pod.Killing")
    assert spans[killing["parent_span_id"]]["message"] == f"{combined}Liveness probe failed: check 882 timed out"


def test_a_container_that_was_lost_in_a_reboot_ends_because_of_that() -> None:
    c = Cluster()
    host = node(c)
    c.first_list()
    web = running(c)
    c.wait(300)
    lost = second(c.now)
    c.wait(5)
    c.event(
        host, "Rebooted", "Node node-a has been rebooted, boot id: 5a7c-11", by="kubelet", host="node-a", warning=True
    )
    c.wait(5)
    end = {"exitCode": 255, "reason": "Unknown", "containerID": "containerd://web-1"}
    web.last = {"terminated": end | {"startedAt": web.began, "finishedAt": lost}}
    web.count = 1
    web.start()
    shows(
        c,
        """
        Pod.Create lone  by kubectl  [root]
          Pod.Ready lone  by kubelet  [own]

        Node.Rebooted node-a  by kubelet  [root] error
          Pod.ContainerTerminated lone  by kubelet  [place] error
            Pod.ContainerRestarted lone  by kubelet  [own]
        """,
    )


def test_a_container_that_its_runtime_has_lost_ended_once() -> None:
    c = Cluster()
    web = running(c)
    c.wait(300)
    gone = {"exitCode": 137, "reason": "ContainerStatusUnknown", "message": "The container could not be located"}
    web.last, web.state, web.count = {"terminated": gone}, {"waiting": {"reason": "ContainerCreating"}}, 1
    web.write(ready=False)
    c.wait(3)
    web.start()
    (end,) = attributes(c)
    assert end[words.CONTAINER_RESTART_COUNT] == 0
    assert words.MISSED_TERMINATIONS not in end


def test_a_restart_is_seen_although_the_count_started_again_at_0() -> None:
    c = Cluster()
    web = running(c)
    for _ in range(2):
        c.wait(100)
        web.end(1)
        c.wait(1)
        web.restart()
    c.wait(100)
    web.count, web.last = 0, {}
    web.start()
    c.wait(100)
    web.end(137, "OOMKilled")
    c.wait(1)
    web.restart()
    spans = {row["span_id"]: row for row in fold(CLUSTER, c.records)["spans"]}
    restarts = [row for row in spans.values() if row["name"] == "Pod.ContainerRestarted"]
    last = max(restarts, key=lambda row: row["start_time"])
    assert len(restarts) == 3
    assert spans[last["parent_span_id"]]["attributes"][words.CONTAINER_TERMINATED_REASON] == "OOMKilled"


def test_a_container_that_could_not_be_started_was_not_started() -> None:
    c = Cluster()
    web = running(c)
    web.end(1)
    web.last, web.count = web.state, 1
    never: dict[str, Any] = {"exitCode": 128, "reason": "StartError", "containerID": "containerd://web-2"}
    finished = {"startedAt": "1970-01-01T00:00:00Z", "finishedAt": second(c.now)}
    web.state = {"terminated": never | finished}
    web.write(ready=False)
    names = [row["name"] for row in fold(CLUSTER, c.records)["spans"]]
    assert names.count("Pod.ContainerTerminated") == 2
    assert "Pod.ContainerRestarted" not in names


def test_a_container_without_memory_has_failed_also_if_it_exits_with_0() -> None:
    c = Cluster()
    web = running(c)
    c.wait(60)
    web.end(0, "OOMKilled")
    web.restart()
    (end,) = (row for row in fold(CLUSTER, c.records)["spans"] if row["name"] == "Pod.ContainerTerminated")
    assert end["error"] or end["attributes"][words.OUTCOME] == "recovered"
    assert outcomes(c)[-1] == "recovered"


def test_the_end_of_an_ephemeral_container_is_no_failure() -> None:
    c = Cluster()
    web = running(c)
    c.wait(60)
    debugger = Container(c, web.pod, "debugger", "ephemeralContainerStatuses")
    c.wait(30)
    ended = {"exitCode": 130, "reason": "Error", "startedAt": debugger.began, "finishedAt": second(c.now)}
    shown = {"name": "debugger", "restartCount": 0, "state": {"terminated": ended}, "lastState": {}}
    c.status(web.pod, by="kubelet", ephemeralContainerStatuses=[shown])
    (end,) = attributes(c)
    assert end[words.EXIT_CODE] == 130
    assert set(outcomes(c)) == {"ok"}
