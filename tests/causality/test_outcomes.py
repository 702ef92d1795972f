"""How traces turn out, one class of ends after the other."""

from collections.abc import Callable

import pytest

from kspan.pipeline.replay import replayed_with
from kspan.settings import FoldSettings
from tests.causality.actors import (
    done,
    kill,
    new_pod,
    new_replicas,
    recovered,
    run,
    running,
    scale,
    settled,
    stuck,
)
from tests.causality.cluster import Cluster, Thing
from tests.causality.drawing import CLUSTER
from tests.causality.test_containers import Container
from tests.causality.test_nodes import node
from tests.recordings import fold


def outcomes(c: Cluster) -> dict[str, tuple[str, str]]:
    """Outcome and reason of each trace, by the name of its root."""
    c.receive_all()
    rows = fold(CLUSTER, c.records)
    roots = {row["span_id"]: row for row in rows["spans"]}
    for trace in rows["traces"]:
        attributes = roots[trace["root_span_id"]]["attributes"]
        assert attributes["kspan.trace.outcome"] == trace["outcome"]
        assert attributes.get("kspan.trace.outcome.reason", "") == trace["reason"]
        assert trace["error"] == (trace["outcome"] in ("failing", "failed"))
        assert trace["warnings"] <= trace["span_count"]
    return {
        f"{roots[trace['root_span_id']]['name']} {roots[trace['root_span_id']]['object_name']}": (
            trace["outcome"],
            trace["reason"],
        )
        for trace in sorted(rows["traces"], key=lambda row: (row["opened_at"], row["trace_id"]))
    }


def outcomes_of_all(c: Cluster, settings: FoldSettings | None = None) -> list[tuple[str, str]]:
    """Outcome and reason of each trace, in the order of time."""
    c.receive_all()
    found = sorted(
        fold(CLUSTER, c.records, settings=settings)["traces"], key=lambda row: (row["start_time"], row["trace_id"])
    )
    return [(row["outcome"], row["reason"]) for row in found]


def scheduled(c: Cluster, nightly: Thing, name: str) -> Thing:
    """A CronJob creates a Job, as scheduled."""
    seen = nightly.version
    job = c.create("Job", name, owner=nightly)
    c.event(nightly, "SuccessfulCreate", f"Created job {name}", by="cronjob-controller", seen=seen)
    return job


# interrupted ---------------------------------------------------------------------------------------------------------


def test_a_rollout_that_a_newer_one_interrupts_is_superseded_and_says_how_far_it_came() -> None:
    c, web, one, _ = settled("web", 2)
    c.update(web, by="kubectl-set", image="app:v2")
    two = new_replicas(c, web, "web-2", 2)
    ready, _ = new_pod(c, two, "web-2-a"), new_pod(c, two, "web-2-b")
    run(c, ready)
    c.wait(1)
    c.update(web, by="helm", image="app:v3")
    three = new_replicas(c, web, "web-3", 2)
    scale(c, web, one, 0)
    scale(c, web, two, 0)
    done(c, one, two, three, web)
    c.receive_all()
    rows = fold(CLUSTER, c.records)
    spans = {row["span_id"]: row for row in rows["spans"]}
    interrupted, newer = (spans[t["root_span_id"]] for t in sorted(rows["traces"], key=lambda t: t["start_time"]))
    reason = interrupted["attributes"]["kspan.trace.outcome.reason"]
    assert reason.startswith("superseded by Deployment.Update web by helm, ")
    assert reason.endswith(", when 1 of 2 new Pods were ready")
    assert interrupted["attributes"]["kspan.trace.superseded_by"] == newer["span_id"]
    assert (interrupted["error"], newer["attributes"]["kspan.trace.outcome"]) == (False, "ok")


@pytest.mark.parametrize("after, ready", [(5, "1 of 1"), (0, "0 of 1")])
def test_a_pod_that_became_ready_only_after_the_next_change_was_not_ready_when_that_came(
    after: float, ready: str
) -> None:
    """The old ReplicaSet is scaled down only later: its new Pod goes on starting."""
    c, web, one, _ = settled("web", 2)
    c.update(web, by="argocd-controller", image="app:v2")
    two = new_replicas(c, web, "web-2", 1)
    pod = new_pod(c, two, "web-2-a")
    if after:
        run(c, pod)
        c.wait(after)
    c.update(web, by="kubectl", image="app:v3")
    c.wait(0.1)
    if not after:
        run(c, pod)
    three = new_replicas(c, web, "web-3", 2)
    scale(c, web, two, 0)
    kill(c, pod, by=two)
    c.gone(pod)
    scale(c, web, one, 0)
    done(c, one, two, three, web)
    reasons = [reason for outcome, reason in outcomes_of_all(c) if outcome == "superseded"]
    assert reasons == [f"superseded by Deployment.Update web by kubectl, when {ready} new Pods were ready"]


def test_a_pod_that_was_ready_and_failed_again_does_not_count_as_ready() -> None:
    c, web, one, _ = settled("web", 2)
    c.update(web, by="argocd-controller", image="app:v2")
    two = new_replicas(c, web, "web-2", 1)
    pod = new_pod(c, two, "web-2-a")
    run(c, pod)
    c.wait(2)
    c.condition(pod, "Ready", "False", by="kubelet")
    c.wait(1)
    c.update(web, by="kubectl", image="app:v3")
    done(c, one, two, new_replicas(c, web, "web-3", 2), web)
    assert "0 of 1 new Pods" in next(reason for outcome, reason in outcomes_of_all(c) if outcome == "superseded")


def test_it_is_not_said_how_many_pods_were_ready_when_nobody_saw_the_change() -> None:
    """One Pod was ready after the last version that was seen, and perhaps after the deletion."""
    c = Cluster()
    web = c.apply("Deployment", "web", replicas=2)
    rs = new_replicas(c, web, "web-1", 2)
    for name in ("web-1-a", "web-1-b"):
        new_pod(c, rs, name)
    c.stop_watching("Deployment")
    run(c, next(t for t in c.things.values() if t.name == "web-1-a"))
    c.wait(3)
    c.gone(web)
    c.wait(1)
    c.list_again()
    reasons = [reason for outcome, reason in outcomes_of_all(c) if outcome == "superseded"]
    assert reasons == ["Deployment web was deleted"]


def test_a_scaling_whose_pod_was_deleted_for_a_new_template_before_it_was_ready_is_superseded() -> None:
    c, web, one, _ = settled("web", 2)
    c.update(web, by="helm", replicas=3)
    scale(c, web, one, 3)
    pod = new_pod(c, one, "web-1-c")
    c.wait(0.2)
    c.update(web, by="kubectl", image="app:v3")
    three = new_replicas(c, web, "web-3", 1)
    scale(c, web, one, 2)
    c.delete(pod)
    c.event(one, "SuccessfulDelete", f"Deleted pod: {pod.name}", by="replicaset-controller")
    c.gone(pod)
    done(c, one, three, web)
    assert outcomes_of_all(c) == [
        ("superseded", "superseded by Deployment.Update web by kubectl, when 0 of 1 new Pods were ready"),
        ("ok", ""),
    ]


def test_a_rollout_that_was_complete_is_not_superseded_by_the_next() -> None:
    c, web, _, _ = settled("web")
    c.update(web, by="kubectl-set", image="app:v2")
    two = new_replicas(c, web, "web-2", 1)
    run(c, new_pod(c, two, "web-2-a"))
    done(c, two, web)
    c.wait(3)
    c.update(web, by="kubectl-set", image="app:v3")
    done(c, web)
    c.receive_all()
    assert [trace["outcome"] for trace in fold(CLUSTER, c.records)["traces"]] == ["ok", "ok"]


def test_a_new_template_does_not_undo_a_scaling() -> None:
    c, web, one, _ = settled("web")
    c.update(web, by="kubectl", subresource="scale", replicas=2)
    scale(c, web, one, 2)
    c.update(web, by="kubectl-set", image="app:v2")
    done(c, one, web)
    c.receive_all()
    assert {trace["outcome"] for trace in fold(CLUSTER, c.records)["traces"]} == {"ok"}


def test_a_job_that_is_deleted_while_it_runs_is_superseded() -> None:
    c = Cluster()
    job = c.apply("Job", "report")
    c.wait(2)
    c.delete(job)
    c.gone(job)
    found = outcomes(c)
    assert found["Job.Create report"][0] == "superseded"
    assert found["Job.Create report"][1].startswith("Job report was deleted")
    assert found["Job.Delete report"] == ("ok", "")


def test_a_job_that_its_cron_job_replaces_while_it_runs_is_superseded() -> None:
    """concurrencyPolicy Replace: the controller deletes the Job, and creates the next (syncCronJob)."""
    c = Cluster()
    nightly = c.apply("CronJob", "nightly")
    c.first_list()
    first = scheduled(c, nightly, "nightly-1")
    c.wait(60)
    c.event(nightly, "SuccessfulDelete", "Deleted job nightly-1", by="cronjob-controller")
    c.gone(first)
    second = scheduled(c, nightly, "nightly-2")
    c.wait(20)
    c.condition(second, "Complete", "True")
    (first_end, reason), *others = outcomes_of_all(c)
    assert first_end == "superseded"
    assert reason.startswith("Job nightly-1 was deleted")
    assert {outcome for outcome, _ in others} == {"ok"}


def test_a_job_that_is_suspended_while_it_runs_is_superseded_and_goes_on_with_the_resume() -> None:
    """Its Pods are deleted, as with the Job (pkg/controller/job, manageJob)."""
    c = Cluster()
    job = c.apply("Job", "import")
    pod = new_pod(c, job, "import-a")
    run(c, pod)
    c.wait(60)
    c.update(job, by="kubectl-edit", suspend=True)
    kill(c, pod, by=job)
    c.condition(job, "Suspended", "True", reason="JobSuspended")
    c.gone(pod)
    c.wait(300)
    c.update(job, by="kubectl-edit", suspend=False)
    c.condition(job, "Suspended", "False", reason="JobResumed")
    new = new_pod(c, job, "import-b")
    run(c, new)
    c.wait(30)
    running(c, new, "Succeeded")
    c.condition(job, "Complete", "True")
    found = outcomes_of_all(c)
    reason = "superseded by Job.Update import by kubectl, when 1 of 1 new Pods were ready"
    assert found == [("superseded", reason), ("ok", ""), ("ok", "")]


def test_a_job_that_was_complete_before_it_was_suspended_is_ok() -> None:
    c = Cluster()
    job = c.apply("Job", "import")
    c.wait(3)
    c.condition(job, "Complete", "True")
    c.wait(1)
    c.update(job, by="kubectl-edit", suspend=True)
    assert {outcome for outcome, _ in outcomes_of_all(c)} == {"ok"}


def test_a_job_that_runs_when_somebody_deletes_its_cron_job_is_superseded() -> None:
    c = Cluster()
    nightly = c.apply("CronJob", "nightly")
    c.first_list()
    job = scheduled(c, nightly, "nightly-1")
    c.wait(50)
    c.gone(nightly)
    c.gone(job)
    found = outcomes_of_all(c)
    assert found[0] == ("superseded", "Job nightly-1 was deleted")


def test_a_job_that_was_complete_before_it_was_cleaned_up_is_ok() -> None:
    c = Cluster()
    nightly = c.apply("CronJob", "nightly")
    c.first_list()
    job = scheduled(c, nightly, "nightly-1")
    c.wait(3)
    c.condition(job, "Complete", "True")
    c.wait(1)
    c.event(nightly, "SuccessfulDelete", "Deleted job nightly-1", by="cronjob-controller")
    c.gone(job)
    assert {outcome for outcome, _ in outcomes_of_all(c)} == {"ok"}


# Warnings ------------------------------------------------------------------------------------------------------------


def test_a_warning_that_is_the_whole_trace_has_failed() -> None:
    c = Cluster()
    host = node(c)
    c.first_list()
    c.event(host, "ImageGCFailed", "no space", by="kubelet", host="node-a", warning=True)
    assert outcomes(c) == {"Node.ImageGCFailed node-a": ("failed", "Node node-a: ImageGCFailed: no space")}


def test_a_warning_of_a_kubelet_is_not_over_because_something_else_about_its_node_is_well() -> None:
    c = Cluster()
    host = node(c)
    c.first_list()
    c.event(host, "ImageGCFailed", "no space", by="kubelet", host="node-a", warning=True)
    c.wait(5)
    c.event(host, "NodeNotSchedulable", "Node node-a status is now: NodeNotSchedulable", by="kubelet", host="node-a")
    c.wait(10)
    c.event(host, "NodeSchedulable", "Node node-a status is now: NodeSchedulable", by="kubelet", host="node-a")
    assert outcomes(c)["Node.ImageGCFailed node-a"][0] == "failed"


def test_a_remark_of_a_kubelet_that_starts_does_not_count_when_its_node_is_cordoned_later() -> None:
    c = Cluster()
    host = node(c)
    c.first_list()
    c.event(host, "Starting", "Starting kubelet.", by="kubelet", host="node-a")
    c.event(host, "InvalidDiskCapacity", "invalid capacity 0", by="kubelet", host="node-a", warning=True)
    c.wait(9)
    c.update(host, by="kubectl", unschedulable=True)
    assert set(outcomes(c).values()) == {("ok", "")}


@pytest.mark.parametrize(
    "later, outcome", [("", "failed"), ("NodeSchedulable", "failed"), ("NodeReady", "recovered"), ("seen", "recovered")]
)
def test_a_node_that_is_not_ready_has_failed_until_it_is_ready(later: str, outcome: str) -> None:
    """Nobody saw the condition change: the Event is one of the last hour, in the first list."""
    c = Cluster()
    host = node(c)
    if later != "seen":
        c.things.clear()
    c.event(host, "NodeNotReady", "Node node-a status is now: NodeNotReady", by="node-controller")
    if later not in ("", "seen"):
        c.wait(40)
        c.event(host, later, f"Node node-a status is now: {later}", by="kubelet", host="node-a")
    c.first_list(after=100)
    assert outcomes(c)["Node.NodeNotReady node-a"][0] == outcome


def test_an_api_server_that_became_ready_has_not_failed_although_it_reports_a_warning() -> None:
    c = Cluster()
    space = c.create("Namespace", "openshift-kube-apiserver", by="cluster-bootstrap")
    c.first_list()
    c.event(space, "KubeAPIReadyz", "readyz=true", by="apiserver", warning=True)
    assert outcomes(c)["Namespace.KubeAPIReadyz openshift-kube-apiserver"] == ("ok", "")


def test_a_warning_about_an_object_that_nobody_assesses_has_failed_unless_something_good_follows() -> None:
    for follows, outcome in ((False, "failed"), (True, "ok")):
        c = Cluster()
        widget = c.apply("Widget", "a")
        c.event(widget, "SyncFailed", "refused", by="widget-controller", warning=True)
        if follows:
            c.wait(3)
            c.event(widget, "Synced", "done", by="widget-controller")
        assert outcomes(c)["Widget.Create a"][0] == outcome


def test_a_warning_about_a_pod_that_became_ready_does_not_count() -> None:
    c = Cluster()
    web = c.apply("Deployment", "web", replicas=1)
    rs = new_replicas(c, web, "web-1", 1)
    pod = new_pod(c, rs, "web-1-a")
    c.bind(pod, "node-a")
    c.event(pod, "Unhealthy", "Readiness probe failed", by="kubelet", host="node-a", warning=True)
    c.wait(2)
    recovered(c, pod)
    done(c, rs, web)
    assert outcomes(c) == {"Deployment.Create web": ("ok", "")}


def test_a_warning_about_a_pod_does_not_count_when_its_owner_has_replaced_it() -> None:
    c, web, rs, (pod,) = settled("web")
    c.update(web, by="kubectl-set", image="app:v2")
    two = new_replicas(c, web, "web-2", 1)
    run(c, new_pod(c, two, "web-2-a"))
    c.event(pod, "Unhealthy", "Readiness probe failed", by="kubelet", host="node-a", warning=True)
    scale(c, web, rs, 0)
    kill(c, pod, by=rs)
    c.gone(pod)
    done(c, rs, two, web)
    assert {outcome for outcome, _ in outcomes(c).values()} <= {"ok", "superseded"}


def test_an_image_that_could_never_be_pulled_is_not_ok_when_somebody_gives_up() -> None:
    c = Cluster()
    web = c.apply("Deployment", "web", replicas=1)
    rs = new_replicas(c, web, "web-1", 1)
    pod = new_pod(c, rs, "web-1-a")
    c.bind(pod, "node-a")
    c.event(pod, "Failed", 'Failed to pull image "app:v1"', by="kubelet", host="node-a", warning=True)
    stuck(c, pod, "ErrImagePull")
    c.wait(5)
    c.update(web, by="kubectl-set", image="app:v2")
    scale(c, web, rs, 0)
    kill(c, pod, by=rs)
    c.gone(pod)
    two = new_replicas(c, web, "web-2", 1)
    run(c, new_pod(c, two, "web-2-a"))
    done(c, rs, two, web)
    found = outcomes(c)
    assert found["Deployment.Create web"][0] == "superseded"
    assert found["Deployment.Create web"][1].endswith("when 0 of 1 new Pods were ready")
    assert found["Deployment.Update web"] == ("ok", "")


def test_a_job_that_somebody_made_from_a_cron_job_is_ok_although_its_controller_is_surprised() -> None:
    c = Cluster()
    backup = c.apply("CronJob", "backup")
    c.first_list()
    job = c.create("Job", "by-hand", owner=backup, by="kubectl-create")
    c.event(backup, "UnexpectedJob", "Saw a job that the controller did not create or forgot: by-hand",
            by="cronjob-controller", warning=True)  # fmt: skip
    c.condition(job, "Complete", "True")
    assert {outcome for outcome, _ in outcomes(c).values()} == {"ok"}


def crashing(c: Cluster, times: int) -> Container:
    """A new Pod whose container fails after two seconds, as often as that, and was started again just now."""
    pod = c.create("Pod", "lone", by="kubectl-run", containers=[{"name": "web"}])
    c.bind(pod, "node-a")
    web = Container(c, pod)
    for n in range(times):
        c.wait(2)
        web.end(1)
        c.wait(0.1)
        if n:
            message = "Back-off restarting failed container web in pod lone_shop(0)"
            web.event("BackOff", message, warning=True)
            c.wait(10)
            web.wait_for_restart()
        web.restart()
    return web


@pytest.mark.parametrize("times, outcome", [(1, "unknown"), (2, "failing"), (4, "failing")])
def test_a_container_that_was_started_again_when_the_input_ends_has_not_recovered(times: int, outcome: str) -> None:
    c = Cluster()
    crashing(c, times)
    ((found, reason),) = outcomes_of_all(c, replayed_with())
    assert found == outcome
    assert reason == (
        "Pod lone is failing: CrashLoopBackOff (crash-loop)"
        if outcome == "failing"
        else "Pod lone: ContainerTerminated: container web ended with Error (1); nobody saw how it went on"
    )


@pytest.mark.parametrize("seconds, outcome", [(3, "failing"), (6, "ok")])
def test_a_container_has_recovered_when_it_ran_for_longer_than_before(seconds: int, outcome: str) -> None:
    c = Cluster()
    crashing(c, 3)
    c.wait(seconds - 1)
    c.apply("ConfigMap", "other", data={})
    assert outcomes_of_all(c, replayed_with())[0][0] == outcome


def test_a_container_that_was_well_for_long_before_it_failed_has_recovered_when_it_runs_for_a_minute() -> None:
    c = Cluster()
    pod = c.create("Pod", "lone", by="kubectl-run", containers=[{"name": "web"}])
    c.bind(pod, "node-a")
    web = Container(c, pod)
    c.wait(300)
    for _ in range(2):
        web.end(137, "OOMKilled")
        c.wait(1)
        web.restart()
        c.wait(70)
    c.apply("ConfigMap", "other", data={})
    assert {outcome for outcome, _ in outcomes(c).values()} <= {"ok", "recovered"}


def test_what_failed_in_a_listed_pod_that_another_trace_evicts_is_superseded() -> None:
    c = Cluster()
    web = c.apply("Deployment", "web", replicas=1)
    rs = new_replicas(c, web, "web-1", 1)
    pod = new_pod(c, rs, "web-1-a")
    c.bind(pod, "node-a")
    container = Container(c, pod)
    c.wait(2)
    container.end(1)
    container.event("BackOff", "Back-off restarting failed container web in pod web-1-a_shop(0)", warning=True)
    c.first_list(after=5)
    c.event(pod, "RemovePodsHavingTooManyRestarts", "pod eviction from node-a node by sigs.k8s.io/descheduler",
            by="sigs.k8s.io/descheduler")  # fmt: skip
    c.delete(pod)
    new = new_pod(c, rs, "web-1-b")
    c.gone(pod)
    run(c, new)
    done(c, rs, web)
    found = outcomes(c)
    assert found["Deployment.Create web"] == ("superseded", "Pod web-1-a was deleted, when 0 of 1 new Pods were ready")


# a failing trace and the verdict -------------------------------------------------------------------------------------


def lost(c: Cluster) -> None:
    """The only node is lost, and stays so."""
    host = node(c)
    c.first_list()
    c.condition(host, "Ready", "Unknown", by="node-controller", reason="NodeStatusUnknown")


def returned(c: Cluster) -> None:
    """The only node is lost, and comes back."""
    lost(c)
    c.wait(40)
    c.condition(next(t for t in c.things.values() if t.kind == "Node"), "Ready", "True", by="kubelet")


@pytest.mark.parametrize("happens, outcome", [(lost, "failing"), (returned, "recovered")])
def test_a_node_that_came_back_has_recovered(happens: Callable[[Cluster], None], outcome: str) -> None:
    c = Cluster()
    happens(c)
    assert outcomes(c)["Node.Ready=Unknown node-a"][0] == outcome


def test_only_events_are_known_and_the_last_is_a_warning() -> None:
    c = Cluster()
    web = c.apply("Widget", "a")
    c.records.clear()
    c.event(web, "Started", "begins", by="widget-controller")
    c.wait(1)
    c.event(web, "GaveUp", "no answer", by="widget-controller", warning=True)
    assert list(outcomes(c).values()) == [("failed", "Widget a: GaveUp: no answer")]
