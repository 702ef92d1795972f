"""Why containers ended, and what followed."""

from typing import Any

import pytest

from kspan import vocabulary as words
from kspan.model import HELD, LogRecord, RecordType
from kspan.times import SECOND
from tests.causality.actors import new_pod
from tests.causality.cluster import Cluster, Thing, second
from tests.causality.drawing import CLUSTER, draw, shows
from tests.causality.test_nodes import node
from tests.recordings import fold

WEB = "spec.containers{web}"


class Container:
    """A container of a Pod, as its kubelet runs it."""

    def __init__(self, c: Cluster, pod: Thing, name: str = "web", where: str = "containerStatuses") -> None:
        self.c, self.pod, self.name, self.where = c, pod, name, where
        self.count, self.began, self.identity = 0, "", 0
        self.state: dict[str, Any] = {}
        self.last: dict[str, Any] = {}
        self.start()

    def start(self, *, ready: bool = True) -> None:
        self.began, self.identity = second(self.c.now), self.identity + 1
        self.state = {"running": {"startedAt": self.began}}
        self.write(ready=ready)

    def end(self, code: int, reason: str = "Error", *, ago: float = 0, **status: Any) -> None:
        """The container ends; the status that shows it is written ``ago`` seconds later."""
        finished = second(self.c.now)
        self.c.wait(ago)
        identity = f"containerd://{self.name}-{self.identity}"
        times = {"startedAt": self.began, "finishedAt": finished}
        self.state = {"terminated": {"exitCode": code, "reason": reason, "containerID": identity, **times}}
        self.write(ready=False, **status)

    def restart(self, *, ready: bool = True) -> None:
        self.last, self.count = self.state if "terminated" in self.state else self.last, self.count + 1
        self.start(ready=ready)

    def wait_for_restart(self) -> None:
        self.last, self.state = self.state, {"waiting": {"reason": "CrashLoopBackOff"}}
        self.write(ready=False)

    def write(self, *, ready: bool, **status: Any) -> None:
        own = {"name": self.name, "restartCount": self.count, "state": self.state, "lastState": self.last}
        conditions = [{"type": "Ready", "status": str(ready)}]
        shown = {"phase": "Running", "conditions": conditions, self.where: [own]}
        self.c.status(self.pod, by="kubelet", **shown | status)

    def event(self, reason: str, message: str, *, warning: bool = False, late: float = 0) -> str:
        host, path = "node-a", f"spec.containers{{{self.name}}}"
        return self.c.event(
            self.pod, reason, message, by="kubelet", host=host, warning=warning, field_path=path, late=late
        )


def running(c: Cluster) -> Container:
    """The container of a bare Pod."""
    pod = c.create("Pod", "lone", by="kubectl-run", containers=[{"name": "web"}])
    c.bind(pod, "node-a")
    c.wait(2)
    container = Container(c, pod)
    c.wait(10)
    return container


def attributes(c: Cluster) -> list[dict[str, Any]]:
    """Those of the spans of containers that ended, by time."""
    spans = [row for row in fold(CLUSTER, c.records)["spans"] if row["name"] == "Pod.ContainerTerminated"]
    return [span["attributes"] for span in sorted(spans, key=lambda span: span["start_time"])]


def test_a_container_that_runs_out_of_memory_is_restarted() -> None:
    c = Cluster()
    web = running(c)
    web.end(137, "OOMKilled")
    c.wait(1)
    web.restart()
    shows(
        c,
        """
        Pod.Create lone  by kubectl  [root]
          Pod.Ready lone  by kubelet  [own]
          Pod.ContainerTerminated lone  by kubelet  [own] error
            Pod.Ready=False lone  by kubelet  [own]
            Pod.ContainerRestarted lone  by kubelet  [own]
              Pod.Ready lone  by kubelet  [own]
        """,
    )
    (end,) = attributes(c)
    assert end[words.CONTAINER_NAME] == "web"
    assert end[words.CONTAINER_RESTART_COUNT] == 0
    assert end[words.CONTAINER_TERMINATED_REASON] == "OOMKilled"
    assert (end[words.EXIT_CODE], end[words.SIGNAL]) == (137, 9)
    assert end[words.CONTAINER_ID] == "web-1"


def test_the_span_of_an_end_begins_when_the_container_finished() -> None:
    c = Cluster()
    web = running(c)
    finished = c.now // SECOND * SECOND
    web.end(1, ago=3)
    (span,) = [row for row in fold(CLUSTER, c.records)["spans"] if row["name"] == "Pod.ContainerTerminated"]
    assert span["start_time"] == finished
    assert span["attributes"][words.FINISHED_AT] == second(finished)


def test_a_crash_loop_has_one_span_for_each_end_and_for_each_back_off() -> None:
    c = Cluster()
    web = running(c)
    web.end(1)
    web.restart()
    c.wait(2)
    web.end(1, ago=0.5)
    event = web.event("BackOff", "Back-off restarting failed container web in pod lone", warning=True)
    c.wait(9)
    web.wait_for_restart()
    c.wait(0.1)
    web.restart()
    c.wait(2)
    web.end(1, ago=0.5)
    c.repeat(event)
    c.wait(3)
    c.repeat(event)
    shows(
        c,
        """
        (failing)
        Pod.Create lone  by kubectl  [root] error
          Pod.Ready lone  by kubelet  [own]
          Pod.ContainerTerminated lone  by kubelet  [own] error
            Pod.ContainerRestarted lone  by kubelet  [own]
              Pod.Ready lone  by kubelet  [own]
            Pod.Ready=False lone  by kubelet  [own]
          Pod.ContainerTerminated lone  by kubelet  [own] error
            Pod.Ready=False lone  by kubelet  [own]
            Pod.BackOff lone  by kubelet  [own] error
            Pod.ContainerRestarted lone  by kubelet  [own]
              Pod.Ready lone  by kubelet  [own]
          Pod.ContainerTerminated lone  by kubelet  [own] error
            Pod.Ready=False lone  by kubelet  [own]
            Pod.BackOff lone  by kubelet  [own] +1 error
        """,
    )


PROBES = [
    (
        "Liveness probe failed: HTTP probe failed with statuscode: 500",
        "Container web failed liveness probe, will be restarted",
    ),
    ("Startup probe failed: no route", "Container web failed startup probe, will be restarted"),
    # Before Kubernetes 1.14.
    (
        "Liveness probe failed: ",
        "Killing container with id docker://web:Container failed liveness probe.. It will be killed and recreated.",
    ),
]


@pytest.mark.parametrize("failure, killing", PROBES, ids=["liveness", "startup", "old"])
@pytest.mark.parametrize("late", [0, 3])
def test_a_container_is_killed_because_of_the_probe_that_failed(failure: str, killing: str, late: float) -> None:
    c = Cluster()
    web = running(c)
    other = web.event("Unhealthy", "Readiness probe failed: timeout", warning=True)
    probe = web.event("Unhealthy", failure, warning=True)
    for _ in range(2):
        c.wait(3)
        c.repeat(other)
        c.repeat(probe)
    web.event("Killing", killing, late=late)
    c.wait(2)
    web.end(143)
    c.wait(1)
    web.restart()
    c.receive_all()
    shows(
        c,
        """
        Pod.Create lone  by kubectl  [root]
          Pod.Ready lone  by kubelet  [own]
          Pod.Unhealthy lone  by kubelet  [own] +2 error
          Pod.Unhealthy lone  by kubelet  [own] +2 error
            Pod.Killing lone  by kubelet  [own]
              Pod.ContainerTerminated lone  by kubelet  [own] error
                Pod.Ready=False lone  by kubelet  [own]
                Pod.ContainerRestarted lone  by kubelet  [own]
                  Pod.Ready lone  by kubelet  [own]
        """,
    )


def test_the_containers_of_a_deleted_pod_are_stopped_and_that_is_no_failure() -> None:
    c = Cluster()
    web = running(c)
    c.delete(web.pod, grace=30)
    web.event("Killing", "Stopping container web")
    c.wait(30)
    web.end(137, phase="Failed")
    c.gone(web.pod)
    shows(
        c,
        """
        Pod.Create lone  by kubectl  [root]
          Pod.Ready lone  by kubelet  [own]

        Pod.Delete lone  by unknown  [root]
          Pod.Killing lone  by kubelet  [own]
            Pod.ContainerTerminated lone  by kubelet  [own]
        """,
    )


def test_the_ends_of_the_containers_of_a_deleted_pod_do_not_delay_its_trace() -> None:
    c = Cluster()
    web = running(c)
    c.first_list()
    c.delete(web.pod, grace=30)
    c.wait(29)
    web.end(143)
    c.wait(1)
    c.gone(web.pod)
    (trace,) = fold(CLUSTER, c.records)["traces"]
    assert trace["span_count"] == 2
    assert trace["closed_at"] - c.now == 10 * SECOND, "settle after the Pod is gone"


def test_a_deletion_stops_containers_whether_the_kubelet_reports_it_or_not() -> None:
    c = Cluster()
    web = running(c)
    c.first_list()
    c.delete(web.pod, grace=5)
    web.end(0, "Completed")
    c.gone(web.pod)
    shows(
        c,
        """
        Pod.Delete lone  by unknown  [root]
          Pod.ContainerTerminated lone  by kubelet  [own]
        """,
    )


def test_a_container_that_completes_its_job_is_one_quiet_span() -> None:
    c = Cluster()
    job = c.apply("Job", "import", by="kubectl-create")
    pod = new_pod(c, job, "import-a", reported=False)
    c.bind(pod, "node-a")
    web = Container(c, pod)
    c.wait(10)
    web.end(0, "Completed", phase="Succeeded")
    c.condition(job, "Complete", "True", reason="CompletionsReached")
    shows(
        c,
        """
        Job.Create import  by kubectl  [root]
          Pod.Create import-a  by job-controller  [owner]
            Pod.Ready import-a  by kubelet  [own]
            Pod.ContainerTerminated import-a  by kubelet  [own]
              Pod.Succeeded import-a  by kubelet  [own]
                Job.Complete import  by job-controller  [owner]
        """,
    )


def test_a_pod_fails_because_its_container_did() -> None:
    c = Cluster()
    job = c.apply("Job", "import", by="kubectl-create")
    pod = new_pod(c, job, "import-a", reported=False)
    c.bind(pod, "node-a")
    web = Container(c, pod)
    c.wait(10)
    web.end(3, phase="Failed")
    drawn = draw(fold(CLUSTER, c.records))
    assert "Pod.ContainerTerminated import-a  by kubelet  [own] error\n      Pod.Failed" in drawn


def test_a_container_is_lost_with_its_node() -> None:
    c = Cluster()
    host = node(c, "node-a")
    c.wait(60)
    web = running(c)
    c.wait(60)
    c.condition(host, "Ready", "Unknown", reason="NodeStatusUnknown")
    c.wait(2)
    web.end(255, "Unknown")
    web.restart()
    drawn = draw(fold(CLUSTER, c.records))
    assert "Node.Ready=Unknown node-a  by node-controller  [root] error\n  Pod.ContainerTerminated lone" in drawn


def test_init_and_ephemeral_containers_end_as_well() -> None:
    c = Cluster()
    pod = c.create("Pod", "lone", by="kubectl-run", containers=[{"name": "web"}])
    c.bind(pod, "node-a")
    for name, where in [("set-up", "initContainerStatuses"), ("debug", "ephemeralContainerStatuses")]:
        container = Container(c, pod, name, where)
        c.wait(1)
        container.end(0, "Completed")
    assert [end[words.CONTAINER_NAME] for end in attributes(c)] == ["set-up", "debug"]


def test_an_end_that_is_seen_again_is_one_span_also_after_its_trace_was_closed() -> None:
    c = Cluster()
    web = running(c)
    web.end(1)
    c.wait(100)
    web.restart()
    c.wait(1000)
    c.label(web.pod, tier="front")
    c.records.append(again(c.records[-1], c.now + SECOND))
    assert len(attributes(c)) == 1


def again(record: LogRecord, at: int) -> LogRecord:
    """The same version, as a list after a gap shows it."""
    return LogRecord(**{name: getattr(record, name) for name in record.__struct_fields__} | {"recorded_at": at})


def test_ends_that_nobody_saw_are_counted_and_not_invented() -> None:
    c = Cluster()
    web = running(c)
    web.end(1)
    web.restart()
    web.count = 4
    web.end(1)
    first, second_ = attributes(c)
    assert words.MISSED_TERMINATIONS not in first
    assert second_[words.MISSED_TERMINATIONS] == 3
    assert second_[words.CONTAINER_RESTART_COUNT] == 4


def test_ends_before_the_first_list_start_no_trace_and_are_not_missed() -> None:
    c = Cluster()
    web = running(c)
    web.end(1)
    web.restart()
    c.first_list()
    web.end(2)
    (end,) = attributes(c)
    assert end[words.EXIT_CODE] == 2
    assert words.MISSED_TERMINATIONS not in end


def test_a_pod_that_is_not_ready_for_another_reason_does_not_go_back_to_an_older_end() -> None:
    c = Cluster()
    web = running(c)
    web.end(1)
    web.restart()
    c.wait(2)
    web.write(ready=False)
    drawn = draw(fold(CLUSTER, c.records))
    assert "\n  Pod.Ready=False lone  by kubelet  [own]" in drawn
    assert drawn.count("Pod.Ready=False") == 2


def test_many_ends_while_nothing_can_be_decided_have_the_same_causes_as_in_peace() -> None:
    c = Cluster()
    web = running(c)
    first = len(c.records)
    for _ in range(6):
        c.wait(1.5)
        web.end(1)
        c.wait(0.4)
        web.restart()
    last = c.records[-1].recorded_at
    held = LogRecord(RecordType.TICK, c.records[first].recorded_at, reason=HELD)
    released = LogRecord(RecordType.TICK, last + SECOND)
    peace = draw(fold(CLUSTER, c.records))
    assert peace.count("\n    Pod.ContainerRestarted lone") == 6, "each restart has the end before it as its cause"
    assert peace.count("\n      Pod.Ready lone") == 6, "and is the cause of the Pod's being ready"
    assert draw(fold(CLUSTER, [*c.records[:first], held, *c.records[first:], released])) == peace
