"""Transitions that are notes or repeats on the span of something else."""

import json
from typing import Any

import pytest

from kspan.times import SECOND
from tests.causality.actors import new_pod
from tests.causality.cluster import MANAGER, Cluster, Thing
from tests.causality.drawing import CLUSTER, shows
from tests.causality.test_nodes import node
from tests.recordings import fold


def lives(c: Cluster, pod: Thing, *, ready: bool = True) -> None:
    """The conditions that the scheduler and the kubelet write into the status of a new Pod."""
    c.condition(pod, "PodScheduled", "True", by="kube-scheduler")
    c.event(pod, "Scheduled", f"Successfully assigned shop/{pod.name} to node-a", by="default-scheduler", new=True)
    c.status(pod, by="kubelet", phase="Pending", conditions=stands(pod, Initialized=True, Ready=False))
    c.wait(2)
    c.status(pod, by="kubelet", conditions=stands(pod, PodReadyToStartContainers=True))
    c.event(pod, "Started", "Started container app", by="kubelet", host="node-a")
    c.wait(1)
    if ready:
        c.status(pod, by="kubelet", phase="Running", conditions=stands(pod, Ready=True, ContainersReady=True))


def stands(pod: Thing, **turned: bool) -> list[dict[str, str]]:
    """The conditions of a Pod with some of them changed."""
    order = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")
    before = {c["type"]: c["status"] for c in pod.raw["status"].get("conditions", [])}
    now = {**dict.fromkeys(order, "False"), **before, **{kind: str(value) for kind, value in turned.items()}}
    return [{"type": kind, "status": status} for kind, status in now.items()]


def test_a_transition_that_repeats_an_event_is_a_note_on_that_events_span() -> None:
    """Only Ready is a span. Transitions with it are notes on it, earlier ones on the Create span."""
    c = Cluster()
    pod = c.create("Pod", "lone", by="kubectl-run", containers=[{"name": "app"}])
    lives(c, pod)
    c.wait(300)
    c.status(pod, by="kubelet", conditions=stands(pod, Ready=False, ContainersReady=False))
    shows(
        c,
        """
        Pod.Create lone  by kubectl  [root]
          * PodScheduled
          * Initialized
          * Ready=False
          * PodReadyToStartContainers
          Pod.Scheduled lone  by default-scheduler  [own]
          Pod.Started lone  by kubelet  [own]
          Pod.Ready lone  by kubelet  [own]
            * ContainersReady

        (continues Pod.Create lone trace)
        (incomplete)
        Pod.Ready=False lone  by kubelet  [own]
          * ContainersReady=False
        """,
        notes=True,
    )


def test_transitions_during_a_deletion_are_notes_on_the_delete_span() -> None:
    c = Cluster()
    pod = c.create("Pod", "lone", by="kubectl-run", containers=[{"name": "app"}])
    lives(c, pod)
    c.first_list()
    c.condition(pod, "DisruptionTarget", "True", reason="EvictionByEvictionAPI")
    c.delete(pod, grace=5)
    c.status(pod, by="kubelet", conditions=stands(pod, Ready=False, ContainersReady=False))
    c.status(pod, by="kubelet", phase="Succeeded", conditions=stands(pod, PodReadyToStartContainers=False))
    c.gone(pod)
    shows(
        c,
        """
        Pod.Delete lone  by unknown  [root]
          * DisruptionTarget
          * ContainersReady=False
          * Ready=False
          * PodReadyToStartContainers=False
          * Succeeded
        """,
        notes=True,
    )


def test_a_pod_that_ended_has_one_transition() -> None:
    c = Cluster()
    job = c.apply("Job", "import", by="kubectl-create")
    pod = new_pod(c, job, "import-a", reported=False)
    lives(c, pod)
    c.status(pod, by="kubelet", phase="Succeeded", conditions=stands(pod, Ready=False, ContainersReady=False))
    c.condition(job, "SuccessCriteriaMet", "True", reason="CompletionsReached")
    c.condition(job, "Complete", "True", reason="CompletionsReached")
    shows(
        c,
        """
        Job.Create import  by kubectl  [root]
          * SuccessCriteriaMet
          Pod.Create import-a  by job-controller  [owner]
            * PodScheduled
            * Initialized
            * Ready=False
            * PodReadyToStartContainers
            Pod.Scheduled import-a  by default-scheduler  [own]
            Pod.Started import-a  by kubelet  [own]
            Pod.Ready import-a  by kubelet  [own]
              * ContainersReady
            Pod.Succeeded import-a  by kubelet  [own]
              * ContainersReady=False
              * Ready=False
              Job.Complete import  by job-controller  [owner]
        """,
        notes=True,
    )


def test_a_quiet_transition_without_an_open_span_is_a_span() -> None:
    """The sandbox of a Pod long after its start; the condition of a readiness gate is never a repeat."""
    c = Cluster()
    pod = c.create("Pod", "lone", by="kubectl-run", containers=[{"name": "app"}])
    lives(c, pod)
    c.wait(300)
    c.status(pod, by="kubelet", conditions=stands(pod, PodReadyToStartContainers=False))
    c.wait(300)
    c.condition(pod, "example.com/in-load-balancer", "True", by="load-balancer")
    shows(
        c,
        """
        Pod.Create lone  by kubectl  [root]
          * PodScheduled
          * Initialized
          * Ready=False
          * PodReadyToStartContainers
          Pod.Scheduled lone  by default-scheduler  [own]
          Pod.Started lone  by kubelet  [own]
          Pod.Ready lone  by kubelet  [own]
            * ContainersReady

        (continues Pod.Create lone trace)
        Pod.PodReadyToStartContainers=False lone  by kubelet  [own]

        (continues Pod.Create lone trace)
        Pod.example.com/in-load-balancer lone  by load-balancer  [own]
        """,
        notes=True,
    )


def test_initial_conditions_are_notes_on_the_create_span() -> None:
    """A condition that appears later is no transition, unless it is true."""
    c = Cluster()
    host = c.create("Node", "node-a", by="kubelet")
    for kind in ("MemoryPressure", "DiskPressure"):
        c.condition(host, kind, "False", by="kubelet")
    c.condition(host, "Ready", "True", by="kubelet")
    widget = c.apply("Widget", "a", size=1)
    c.condition(widget, "Ready", "Unknown", reason="Reconciling", by="widget-controller")
    c.condition(widget, "Ready", "True", by="widget-controller")
    c.wait(300)
    c.condition(widget, "Paused", "False", by="widget-controller")
    c.condition(widget, "Synced", "True", by="widget-controller")
    shows(
        c,
        """
        Node.Create node-a  by kubelet  [root]
          * MemoryPressure=False
          * DiskPressure=False
          Node.Ready node-a  by kubelet  [own]

        Widget.Create a  by kubectl  [root]
          * Ready=Unknown
          Widget.Ready a  by widget-controller  [own]

        (continues Widget.Create a trace)
        Widget.Synced a  by widget-controller  [own]
        """,
        notes=True,
    )


def test_pressure_that_becomes_unknown_on_a_lost_node_is_a_note() -> None:
    c = Cluster()
    host = node(c)
    c.condition(host, "MemoryPressure", "False", by="kubelet")
    c.first_list()
    for status, pressure, by in (("Unknown", "Unknown", MANAGER), ("True", "False", "kubelet")):
        kinds = {"Ready": status, "MemoryPressure": pressure}
        conditions = [{"type": kind, "status": value, "reason": "Told"} for kind, value in kinds.items()]
        c.status(host, by=by, conditions=conditions)
        c.wait(20)
    shows(
        c,
        """
        (recovered)
        Node.Ready=Unknown node-a  by node-controller  [root] error
          * MemoryPressure=Unknown
          Node.Ready node-a  by kubelet  [own]
            * MemoryPressure=False
        """,
        notes=True,
    )


def test_the_condition_of_a_disruption_budget_is_a_span() -> None:
    c = Cluster()
    budget = c.apply("PodDisruptionBudget", "web", minAvailable=1)
    c.condition(budget, "DisruptionAllowed", "True", reason="SufficientPods")
    c.wait(300)
    c.condition(budget, "DisruptionAllowed", "False", reason="InsufficientPods")
    shows(
        c,
        """
        PodDisruptionBudget.Create web  by kubectl  [root]
          PodDisruptionBudget.DisruptionAllowed web  by kube-controller-manager  [own]

        (continues PodDisruptionBudget.Create web trace)
        PodDisruptionBudget.DisruptionAllowed=False web  by kube-controller-manager  [own]
        """,
        notes=True,
    )


def test_a_note_has_a_time_and_the_condition() -> None:
    c = Cluster()
    pod = c.create("Pod", "lone", by="kubectl-run", containers=[{"name": "app"}])
    c.condition(pod, "PodScheduled", "True", reason="Bound", message="to node-a", by="kube-scheduler")
    (row,) = fold(CLUSTER, c.records)["spans"]
    (event,) = row["events"]
    assert (event.time, event.name) == (c.now, "PodScheduled")
    kept = {key.rpartition(".")[2]: value for key, value in event.attributes.items()}
    assert kept == {"type": "PodScheduled", "status": "True", "reason": "Bound", "message": "to node-a"}


def test_a_flapping_condition_is_one_span_with_repeats() -> None:
    c = Cluster()
    widget = c.apply("Widget", "a", size=1)
    for n in range(40):
        c.condition(widget, "Ready", "False" if n % 2 else "True", by="widget-controller")
    shows(
        c,
        """
        Widget.Create a  by kubectl  [root]
          Widget.Ready a  by widget-controller  [own] +19
          Widget.Ready=False a  by widget-controller  [own] +19
        """,
    )


@pytest.mark.parametrize(
    "status",
    [
        {"conditions": "yes"},
        {"conditions": {"Ready": True}},
        {"conditions": [None, 7, {"type": None}, {"status": "True"}, {"type": "Ready", "status": "perhaps"}]},
        {"conditions": [{"type": "x" * 400}]},
        [],
        "fine",
        None,
    ],
)
def test_a_status_that_does_not_match_the_schema_has_no_transitions(status: Any) -> None:
    c = Cluster()
    widget = c.apply("Widget", "a", size=1)
    widget.raw["status"] = status
    c.label(widget)
    shows(c, "Widget.Create a  by kubectl  [root]")


def test_only_some_of_thousands_of_conditions_are_followed() -> None:
    c = Cluster()
    widget = c.apply("Widget", "a", size=1)
    c.status(widget, by="widget-controller", conditions=[{"type": f"T{n}", "status": "True"} for n in range(5_000)])
    assert 1 < len(fold(CLUSTER, c.records)["spans"]) < 50


def test_a_transition_has_a_time_and_the_condition() -> None:
    c = Cluster()
    widget = c.apply("Widget", "a", size=1)
    c.wait(100)
    reported = c.records[0].recorded_at // SECOND + 10
    entry = {
        "type": "Ready",
        "status": "True",
        "reason": "Done",
        "message": "all \u001b[31mred",
        "observedGeneration": 1,
    }
    entry["lastTransitionTime"] = "2026-11-22T10:00:10Z"
    c.status(widget, by="widget-controller", conditions=[entry])
    (row,) = [r for r in fold(CLUSTER, c.records)["spans"] if r["name"] == "Widget.Ready"]
    assert row["start_time"] == reported * SECOND
    kept = {key.rpartition(".")[2]: value for key, value in row["attributes"].items() if "condition" in key}
    assert json.dumps(kept) == json.dumps(
        {"type": "Ready", "status": "True", "reason": "Done", "message": "all \u001b[31mred"}
    )
