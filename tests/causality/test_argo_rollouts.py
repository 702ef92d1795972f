"""Traces of Argo Rollouts: promotions and aborts are status patches of people, pauses, analysis.

The statuses and messages are those of argoproj/argo-rollouts (rollout/sync.go, pause.go, analysis.go;
utils/conditions/conditions.go; pkg/kubectl-argo-rollouts/cmd/promote, abort, retry).
"""

import json
from typing import Any

import msgspec

from kspan.model import LogRecord
from kspan.times import SECOND
from kspan.vocabulary import OUTCOME
from tests.causality.actors import done, run
from tests.causality.cluster import Cluster, Thing, second
from tests.causality.drawing import CLUSTER, shows
from tests.recordings import Rows, fold

CONTROLLER = "rollouts-controller"
PLUGIN = "kubectl-argo-rollouts"
STEPS = [{"setWeight": 50}, {"pause": {}}]


def outcomes(c: Cluster) -> dict[str, str]:
    """The outcome of each trace by the summary of its root."""
    rows: Rows = fold(CLUSTER, c.records)
    roots = (row for row in rows["spans"] if OUTCOME in row["attributes"])
    return {
        row["attributes"].get("kspan.change.summary", row["name"]): row["attributes"][OUTCOME]
        for row in sorted(roots, key=lambda row: row["start_time"])
    }


def state(c: Cluster, web: Thing, phase: str, replicas: int, updated: int, **more: Any) -> None:
    """The controller writes the status: it observes the generation as text."""
    numbers = {"replicas": replicas, "updatedReplicas": updated, "availableReplicas": replicas}
    c.patch_status(web, by=CONTROLLER, observedGeneration=str(web.meta["generation"]), phase=phase, **numbers, **more)


def condition(c: Cluster, web: Thing, kind: str, status: str, reason: str, message: str = "") -> list[dict[str, Any]]:
    entry = {"type": kind, "status": status, "reason": reason, "message": message}
    entry["lastTransitionTime"] = second(c.now)
    return [*(x for x in web.raw["status"].get("conditions", []) if x["type"] != kind), entry]


def pods(c: Cluster, web: Thing, rs: Thing, before: int, after: int) -> None:
    """The controller scales a ReplicaSet, and reports it."""
    c.update(rs, by=CONTROLLER, replicas=after)
    c.status(rs, by="kube-controller-manager", replicas=after, availableReplicas=after, observedGeneration=9)
    way = "up" if after > before else "down"
    message = f"Scaled {way} ReplicaSet {rs.name} (revision 2) from {before} to {after}"
    c.event(web, "ScalingReplicaSet", message, by=CONTROLLER)


def replica_set(c: Cluster, web: Thing, name: str, replicas: int) -> Thing:
    rs = c.create("ReplicaSet", name, owner=web, by=CONTROLLER, replicas=replicas)
    c.status(rs, by="kube-controller-manager", replicas=replicas, availableReplicas=replicas, observedGeneration=9)
    return rs


def deployed(c: Cluster, **strategy: Any) -> tuple[Thing, Thing]:
    """A Rollout that was there before, with its stable ReplicaSet."""
    web = c.create("Rollout", "web", by="kubectl-create", image="app:v1", replicas=2, strategy=strategy)
    rs = replica_set(c, web, "web-1", 2)
    conditions = condition(c, web, "Progressing", "True", "NewReplicaSetAvailable")
    state(c, web, "Healthy", 2, 2, conditions=conditions, currentStepIndex=2)
    c.first_list()
    return web, rs


def paused(c: Cluster, web: Thing, reason: str = "CanaryPauseStep") -> Thing:
    """Somebody changes the image; the controller makes a canary and waits."""
    c.update(web, by="kubectl-set", image="app:v2")
    state(c, web, "Progressing", 2, 0, currentStepIndex=0)
    canary = replica_set(c, web, "web-2", 1)
    c.event(web, "NewReplicaSetCreated", "Created ReplicaSet web-2 (revision 2)", by=CONTROLLER)
    pause = [{"reason": reason, "startTime": second(c.now)}]
    conditions = condition(c, web, "Paused", "True", "RolloutPaused")
    state(
        c, web, "Paused", 3, 1, currentStepIndex=1, pauseConditions=pause, controllerPause=True, conditions=conditions
    )
    c.event(web, "RolloutPaused", "Rollout is paused (CanaryPauseStep)", by=CONTROLLER)
    return canary


def finish(c: Cluster, web: Thing, stable: Thing, canary: Thing) -> None:
    pods(c, web, canary, 1, 2)
    pods(c, web, stable, 2, 0)
    conditions = condition(c, web, "Paused", "False", "RolloutResumed")
    state(c, web, "Healthy", 2, 2, currentStepIndex=2, controllerPause=None, conditions=conditions)
    c.event(
        web,
        "RolloutCompleted",
        "Rollout completed update to revision 2 (2): Completed all 2 canary steps",
        by=CONTROLLER,
    )


def abort(c: Cluster, web: Thing, stable: Thing, canary: Thing, message: str, **more: Any) -> None:
    """The controller goes back to the stable ReplicaSet, and scales the canary down after 30 s."""
    aborted = condition(c, web, "Progressing", "False", "RolloutAborted", message)
    c.event(web, "RolloutAborted", message, by=CONTROLLER, warning=True)
    more |= {"conditions": aborted, "abortedAt": second(c.now), "pauseConditions": None, "controllerPause": None}
    state(c, web, "Degraded", 3, 1, currentStepIndex=0, **more)
    c.wait(30)
    pods(c, web, canary, 1, 0)
    state(c, web, "Degraded", 2, 0)


def analysis(now: str, before: str) -> str:
    return f"Step Analysis Run 'web-2-2-1' Status New: '{now}' Previous: '{before}'"


def test_what_a_promotion_leads_to_is_below_it_although_it_only_removes_a_field_of_the_status() -> None:
    c = Cluster()
    web, stable = deployed(c, canary={"steps": STEPS})
    canary = paused(c, web)
    c.wait(60)
    c.patch_status(web, by=PLUGIN, pauseConditions=None)
    finish(c, web, stable, canary)
    shows(
        c,
        """
        Rollout.Update web  by kubectl  [root]
          Rollout.NewReplicaSetCreated web  by rollouts-controller  [owner]
            ReplicaSet.Create web-2  by rollouts-controller  [subject]
          Rollout.Paused web  by rollouts-controller  [own]
          Rollout.RolloutPaused web  by rollouts-controller  [own]

        Rollout.Update web  by unknown  [root]
          Rollout.ScalingReplicaSet web  by rollouts-controller  [owner]
            ReplicaSet.Update web-2  by rollouts-controller  [subject]
          Rollout.ScalingReplicaSet web  by rollouts-controller  [owner]
            ReplicaSet.Update web-1  by rollouts-controller  [subject]
          Rollout.Paused=False web  by rollouts-controller  [own]
          Rollout.RolloutCompleted web  by rollouts-controller  [own]
        """,
    )


def test_who_removed_the_pause_before_a_promotion_is_the_person_that_wrote_the_status_before() -> None:
    c = Cluster()
    web, stable = deployed(c, canary={"steps": STEPS})
    canary = paused(c, web)
    c.patch_status(web, by=PLUGIN, promoteFull=False)
    c.wait(60)
    c.patch_status(web, by=PLUGIN, pauseConditions=None)
    finish(c, web, stable, canary)
    roots = [row for row in fold(CLUSTER, c.records)["spans"] if row["rule"] == "root"]
    promoted = max(roots, key=lambda row: row["start_time"])
    assert (promoted["service"], promoted["attributes"]["kspan.change.summary"]) == (
        "kubectl",
        "status.pauseConditions removed",
    )


def test_an_aborted_rollout_failed_and_the_person_who_aborted_it_is_the_root() -> None:
    c = Cluster()
    web, stable = deployed(c, canary={"steps": STEPS})
    canary = paused(c, web)
    c.wait(60)
    c.patch_status(web, by=PLUGIN, abort=True)
    abort(c, web, stable, canary, "Rollout aborted update to revision 2")
    assert outcomes(c) == {"app.image: app:v1 → app:v2": "ok", "status.abort: true": "failed"}
    shows(
        c,
        """
        Rollout.Update web  by kubectl  [root]
          Rollout.NewReplicaSetCreated web  by rollouts-controller  [owner]
            ReplicaSet.Create web-2  by rollouts-controller  [subject]
          Rollout.Paused web  by rollouts-controller  [own]
          Rollout.RolloutPaused web  by rollouts-controller  [own]

        Rollout.Update web  by kubectl  [root] error
          Rollout.RolloutAborted web  by rollouts-controller  [own] error
          Rollout.Progressing=False web  by rollouts-controller  [own]
          Rollout.ScalingReplicaSet web  by rollouts-controller  [owner]
            ReplicaSet.Update web-2  by rollouts-controller  [subject]
        """,
    )


def test_a_rollout_that_is_aborted_at_once_is_superseded_by_the_abort() -> None:
    c = Cluster()
    web, stable = deployed(c, canary={"steps": STEPS})
    canary = paused(c, web)
    c.wait(2)
    c.patch_status(web, by=PLUGIN, abort=True)
    abort(c, web, stable, canary, "Rollout aborted update to revision 2")
    assert outcomes(c) == {"app.image: app:v1 → app:v2": "superseded", "status.abort: true": "failed"}


def test_a_retry_is_a_request_and_ends_the_failure() -> None:
    c = Cluster()
    web, stable = deployed(c, canary={"steps": STEPS})
    canary = paused(c, web)
    c.patch_status(web, by=PLUGIN, abort=True)
    abort(c, web, stable, canary, "Rollout aborted update to revision 2")
    c.wait(120)
    c.patch_status(web, by=PLUGIN, abort=False)
    retried = condition(c, web, "Progressing", "Unknown", "RolloutRetry")
    state(c, web, "Progressing", 2, 0, conditions=retried, abortedAt=None)
    pods(c, web, canary, 0, 1)
    finish(c, web, stable, canary)
    assert list(outcomes(c).items())[2:] == [("status.abort: true → false", "ok")]


def test_the_failure_of_an_analysis_aborts_the_rollout() -> None:
    """Then the controller writes ``abort`` into the status, together with much else."""
    c = Cluster()
    web, stable = deployed(c, canary={"steps": [{"setWeight": 50}, {"analysis": {}}]})
    c.update(web, by="kubectl-set", image="app:v2")
    state(c, web, "Progressing", 2, 0, currentStepIndex=0)
    canary = replica_set(c, web, "web-2", 1)
    run = c.create("AnalysisRun", "web-2-2-1", owner=web, by=CONTROLLER, metrics=[])
    c.status(run, by=CONTROLLER, phase="Running")
    state(c, web, "Progressing", 3, 1, currentStepIndex=1)
    c.event(web, "AnalysisRunRunning", analysis("Running", ""), by=CONTROLLER)
    c.wait(45)
    c.status(run, by=CONTROLLER, phase="Failed", message='Metric "ok" assessed Failed')
    c.event(run, "AnalysisRunFailed", "Analysis Completed. Result: Failed", by=CONTROLLER, warning=True)
    c.event(web, "AnalysisRunFailed", analysis("Failed", "Running"), by=CONTROLLER, warning=True)
    message = 'Rollout aborted update to revision 2: Metric "ok" assessed Failed'
    abort(c, web, stable, canary, message, abort=True)
    assert outcomes(c) == {"app.image: app:v1 → app:v2": "failed"}
    shows(
        c,
        """
        Rollout.Update web  by kubectl  [root] error
          ReplicaSet.Create web-2  by rollouts-controller  [owner]
          AnalysisRun.Create web-2-2-1  by rollouts-controller  [owner]
            Rollout.AnalysisRunRunning web  by rollouts-controller  [subject]
            AnalysisRun.Failed web-2-2-1  by rollouts-controller  [own] error
              Rollout.AnalysisRunFailed web  by rollouts-controller  [subject] error
              Rollout.RolloutAborted web  by rollouts-controller  [subject] error
              Rollout.Progressing=False web  by rollouts-controller  [owner]
            AnalysisRun.AnalysisRunFailed web-2-2-1  by rollouts-controller  [own] error
          Rollout.ScalingReplicaSet web  by rollouts-controller  [owner]
            ReplicaSet.Update web-2  by rollouts-controller  [subject]
        """,
    )


def test_the_trace_of_a_rollout_stays_open_while_a_pause_ends_by_itself() -> None:
    c = Cluster()
    web, stable = deployed(c, canary={"steps": [{"setWeight": 50}, {"pause": {"duration": "45s"}}]})
    canary = paused(c, web)
    c.wait(45)
    state(c, web, "Progressing", 3, 1, currentStepIndex=2, pauseConditions=None, controllerPause=None)
    finish(c, web, stable, canary)
    assert outcomes(c) == {"app.image: app:v1 → app:v2": "ok"}


def test_a_promotion_of_a_blue_green_rollout_ends_when_the_old_replicas_are_gone() -> None:
    c = Cluster()
    web, stable = deployed(c, blueGreen={"activeService": "web", "autoPromotionEnabled": False})
    service = c.create("Service", "web", by="kubectl-create", selector={"hash": "1"})
    c.first_list()
    green = paused(c, web, "BlueGreenPause")
    c.wait(60)
    c.patch_status(web, by=PLUGIN, promoteFull=True)
    c.update(service, by=CONTROLLER, selector={"hash": "2"})
    c.event(web, "SwitchService", "Switched selector for service 'web' from '1' to '2'", by=CONTROLLER)
    pods(c, web, green, 1, 2)
    state(c, web, "Healthy", 4, 2, promoteFull=None, pauseConditions=None, controllerPause=None)
    c.wait(30)
    pods(c, web, stable, 2, 0)
    state(c, web, "Healthy", 2, 2)
    shows(
        c,
        """
        Rollout.Update web  by kubectl  [root]
          Rollout.NewReplicaSetCreated web  by rollouts-controller  [owner]
            ReplicaSet.Create web-2  by rollouts-controller  [subject]
          Rollout.Paused web  by rollouts-controller  [own]
          Rollout.RolloutPaused web  by rollouts-controller  [own]

        Rollout.Update web  by kubectl  [root]
          Rollout.SwitchService web  by rollouts-controller  [owner]
            Service.Update web  by rollouts-controller  [subject]
          Rollout.ScalingReplicaSet web  by rollouts-controller  [owner]
            ReplicaSet.Update web-2  by rollouts-controller  [subject]
          Rollout.ScalingReplicaSet web  by rollouts-controller  [owner]
            ReplicaSet.Update web-1  by rollouts-controller  [subject]
        """,
    )


def test_what_the_controller_writes_for_itself_is_no_request() -> None:
    c = Cluster()
    web, _ = deployed(c, canary={"steps": STEPS})
    state(c, web, "Healthy", 2, 2, currentStepIndex=0)
    state(c, web, "Healthy", 2, 2, currentStepIndex=2)
    assert fold(CLUSTER, c.records)["spans"] == []


def test_without_managed_fields_only_a_patch_of_these_fields_alone_is_a_request() -> None:
    c = Cluster()
    web, _ = deployed(c, canary={"steps": STEPS})
    state(c, web, "Paused", 2, 2, currentStepIndex=1)
    c.patch_status(web, by=PLUGIN, currentStepIndex=2)
    found = fold(CLUSTER, [without_managed_fields(record) for record in c.records])["spans"]
    assert [row["attributes"]["kspan.change.summary"] for row in found] == ["status.currentStepIndex: 1 → 2"]


def without_managed_fields(record: LogRecord) -> LogRecord:
    raw = json.loads(record.payload)
    raw["metadata"].pop("managedFields", None)
    return msgspec.structs.replace(record, payload=json.dumps(raw).encode())


def test_the_pods_that_a_restart_evicts_one_after_the_other_are_below_it() -> None:
    """Without a new pod template (rollout/restart.go)."""
    c = Cluster()
    web, rs = deployed(c, canary={"steps": STEPS})
    old = [c.create("Pod", f"web-1-{letter}", owner=rs, containers=[{"name": "app"}]) for letter in "ab"]
    for pod in old:
        run(c, pod)
    c.first_list()
    c.update(web, by=PLUGIN, restartAt=second(c.now))
    state(c, web, "Healthy", 2, 2)
    for pod in old:
        c.condition(pod, "DisruptionTarget", "True", reason="EvictionByEvictionAPI", by="kube-apiserver")
        c.delete(pod, grace=5)
        run(c, c.create("Pod", f"{pod.name}-new", owner=rs, containers=[{"name": "app"}]))
        c.wait(30)
        c.gone(pod)
    state(c, web, "Healthy", 2, 2, restartedAt=web.raw["spec"]["restartAt"])
    shows(
        c,
        """
        Rollout.Update web  by kubectl  [root]
          Pod.Delete web-1-a  by rollouts-controller  [owner]
            Pod.Create web-1-a-new  by replicaset-controller  [owner]
              Pod.Scheduled web-1-a-new  by default-scheduler  [own]
              Pod.Started web-1-a-new  by kubelet  [own]
              Pod.Ready web-1-a-new  by kubelet  [own]
          Pod.Delete web-1-b  by rollouts-controller  [owner]
            Pod.Create web-1-b-new  by replicaset-controller  [owner]
              Pod.Scheduled web-1-b-new  by default-scheduler  [own]
              Pod.Started web-1-b-new  by kubelet  [own]
              Pod.Ready web-1-b-new  by kubelet  [own]
        """,
    )


def test_a_restart_that_is_ordered_for_later_does_not_keep_its_trace_open() -> None:
    c = Cluster()
    web, _ = deployed(c, canary={"steps": STEPS})
    c.update(web, by=PLUGIN, restartAt=second(c.now + 3600 * SECOND))
    state(c, web, "Healthy", 2, 2)
    shows(c, "Rollout.Update web  by kubectl  [root]")


def test_a_rollout_follows_from_the_update_of_the_deployment_whose_pod_template_it_uses() -> None:
    """Nothing in its own spec changes; its Events have a version that is older than the update."""
    c = Cluster()
    source = c.create("Deployment", "web", by="kubectl-create", image="app:v1", replicas=0)
    other = c.create("Deployment", "other", by="kubectl-create", image="app:v1", replicas=0)
    web = c.create("Rollout", "web", by="kubectl-create", replicas=2, strategy={"canary": {"steps": []}})
    del web.raw["spec"]["template"]
    web.raw["spec"]["workloadRef"] = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    stable = replica_set(c, web, "web-1", 2)
    state(c, web, "Healthy", 2, 2, workloadObservedGeneration="1")
    c.first_list()
    c.update(web, by="kubectl", replicas=3)
    state(c, web, "Healthy", 2, 2)
    c.wait(60)
    c.update(source, by="kubectl-set", image="app:v2")
    c.update(other, by="kubectl-set", image="app:v2")
    done(c, source, other)
    c.event(web, "RolloutNotCompleted", "Rollout not completed, started update to revision 2 (2)", by=CONTROLLER)
    canary = replica_set(c, web, "web-2", 0)
    c.event(web, "NewReplicaSetCreated", "Created ReplicaSet web-2 (revision 2)", by=CONTROLLER)
    state(c, web, "Progressing", 2, 0, workloadObservedGeneration="2")
    c.wait(20)
    pods(c, web, canary, 0, 2)
    pods(c, web, stable, 2, 0)
    state(c, web, "Healthy", 2, 2)
    shows(
        c,
        """
        Rollout.Update web  by kubectl  [root]

        Deployment.Update web  by kubectl  [root]
          Rollout.RolloutNotCompleted web  by rollouts-controller  [own]
          Rollout.NewReplicaSetCreated web  by rollouts-controller  [owner]
            ReplicaSet.Create web-2  by rollouts-controller  [subject]
          Rollout.ScalingReplicaSet web  by rollouts-controller  [owner]
            ReplicaSet.Update web-2  by rollouts-controller  [subject]
          Rollout.ScalingReplicaSet web  by rollouts-controller  [owner]
            ReplicaSet.Update web-1  by rollouts-controller  [subject]

        Deployment.Update other  by kubectl  [root]
        """,
    )
