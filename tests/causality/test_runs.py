"""Runs of Tekton, and Jobs that Kueue admits: objects that are progressing until a condition says that they ended.

The conditions and Events are those of tektoncd/pipeline (pkg/reconciler, pkg/apis/pipeline/v1) and of
kubernetes-sigs/kueue (pkg/controller/jobframework/reconciler.go).
"""

import pytest

from tests.causality.actors import new_pod, run, running
from tests.causality.cluster import Cluster, Thing
from tests.causality.drawing import CLUSTER, shows
from tests.recordings import fold

TEKTON = "tekton-pipelines-controller"


def outcomes(c: Cluster) -> list[str]:
    return [trace["outcome"] for trace in fold(CLUSTER, c.records)["traces"]]


def task(c: Cluster, pipeline: Thing, name: str, *, fails: bool) -> None:
    """A task runs for 20 s, in one Pod."""
    made = c.create("TaskRun", name, owner=pipeline, by=TEKTON)
    pod = c.create("Pod", f"{name}-pod", owner=made, by=TEKTON, containers=[{"name": "step-a"}], restartPolicy="Never")
    c.condition(made, "Succeeded", "Unknown", reason="Pending", by=TEKTON)
    run(c, pod)
    c.condition(made, "Succeeded", "Unknown", reason="Running", by=TEKTON)
    c.wait(20)
    running(c, pod, "Failed" if fails else "Succeeded")
    end(c, made, fails=fails)


def end(c: Cluster, made: Thing, *, fails: bool) -> None:
    status, reason = ("False", "Failed") if fails else ("True", "Succeeded")
    c.condition(made, "Succeeded", status, reason=reason, by=TEKTON)
    c.event(made, reason, f"it {reason.lower()}", by=made.kind, warning=fails)


@pytest.mark.parametrize("fails, outcome", [(False, "ok"), (True, "failed")])
def test_a_run_of_a_pipeline_is_one_trace_with_the_outcome_of_the_run(fails: bool, outcome: str) -> None:
    c = Cluster()
    pipeline = c.create("PipelineRun", "build", by="kubectl-create")
    c.condition(pipeline, "Succeeded", "Unknown", reason="Running", by=TEKTON)
    task(c, pipeline, "build-1", fails=False)
    task(c, pipeline, "build-2", fails=fails)
    end(c, pipeline, fails=fails)
    assert outcomes(c) == [outcome]


def test_a_task_that_fails_although_the_pipeline_succeeds_is_no_failure() -> None:
    """Its onError is "continue"."""
    c = Cluster()
    pipeline = c.create("PipelineRun", "build", by="kubectl-create")
    task(c, pipeline, "build-1", fails=True)
    end(c, pipeline, fails=False)
    assert outcomes(c) == ["ok"]


def test_a_pipeline_that_is_pending_by_its_spec_is_not_waited_for() -> None:
    c = Cluster()
    pipeline = c.create("PipelineRun", "build", by="kubectl-create", status="PipelineRunPending")
    c.condition(pipeline, "Succeeded", "Unknown", reason="PipelineRunPending", by=TEKTON)
    assert outcomes(c) == ["ok"]


def test_a_job_that_waits_for_its_quota_is_one_trace() -> None:
    c = Cluster()
    job = c.create("Job", "train", by="kubectl-create", suspend=True)
    workload = c.create("Workload", "job-train-1", owner=job, by="kueue")
    reporter = "batch/job-kueue-controller"
    c.event(job, "CreatedWorkload", "Created Workload: shop/job-train-1", by=reporter)
    c.condition(workload, "QuotaReserved", "False", reason="Pending", by="kueue-admission")
    c.wait(40)
    c.condition(workload, "QuotaReserved", "True", reason="QuotaReserved", by="kueue-admission")
    c.condition(workload, "Admitted", "True", reason="Admitted", by="kueue-admission")
    c.update(job, by="kueue", suspend=False)
    pod = new_pod(c, job, "train-1")
    run(c, pod)
    c.wait(30)
    running(c, pod, "Succeeded")
    c.condition(job, "Complete", "True", reason="CompletionsReached")
    c.condition(workload, "Finished", "True", reason="Succeeded", by="kueue-job-controller-Finished")
    shows(
        c,
        """
        Job.Create train  by kubectl  [root]
          Job.CreatedWorkload train  by batch/job-kueue-controller  [owner]
            Workload.Create job-train-1  by batch/job-kueue-controller  [subject]
              Workload.QuotaReserved job-train-1  by kueue-admission  [own]
              Workload.Admitted job-train-1  by kueue-admission  [own]
              Workload.Finished job-train-1  by kueue-job-controller-Finished  [own]
          Job.Update train  by kueue  [own]
            Job.SuccessfulCreate train  by job-controller  [owner]
              Pod.Create train-1  by job-controller  [subject]
                Pod.Scheduled train-1  by default-scheduler  [own]
                Pod.Started train-1  by kubelet  [own]
                Pod.Ready train-1  by kubelet  [own]
                Pod.Succeeded train-1  by kubelet  [own]
                  Job.Complete train  by job-controller  [owner]
        """,
    )
