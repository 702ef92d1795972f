"""Jobs and CronJobs."""

from msgspec.structs import replace

from kspan.model import HELD, LogRecord, RecordType
from kspan.times import SECOND
from tests.causality.actors import new_pod, run, running
from tests.causality.cluster import Cluster, Thing
from tests.causality.drawing import CLUSTER, draw, shows
from tests.recordings import fold

CRON = "cronjob-controller"


def tick(c: Cluster, cron: Thing, name: str, *, reported: bool = True) -> tuple[Thing, Thing]:
    """The CronJob controller creates a Job, whose controller creates its Pod."""
    job = c.create("Job", name, owner=cron)
    if reported:
        c.event(cron, "SuccessfulCreate", f"Created job {name}", by=CRON)
    pod = new_pod(c, job, f"{name}-x")
    return job, pod


def finish(c: Cluster, job: Thing, pod: Thing, cron: Thing | None = None) -> None:
    running(c, pod, "Succeeded")
    c.condition(job, "Complete", "True")
    c.event(job, "Completed", "Job completed", by="job-controller")
    if cron is not None:
        c.event(cron, "SawCompletedJob", f"Saw completed job: {job.name}, condition: Complete", by=CRON)


def test_a_job_retries_after_a_failed_pod() -> None:
    c = Cluster()
    job = c.apply("Job", "import", by="kubectl-create")
    one = new_pod(c, job, "import-a")
    run(c, one)
    running(c, one, "Failed")
    c.wait(10)
    two = new_pod(c, job, "import-b")
    run(c, two)
    running(c, two, "Failed")
    message = "Job has reached the specified backoff limit"
    c.event(job, "BackoffLimitExceeded", message, by="job-controller", warning=True)
    c.condition(job, "Failed", "True", reason="BackoffLimitExceeded")
    shows(
        c,
        """
        Job.Create import  by kubectl  [root] error
          Job.SuccessfulCreate import  by job-controller  [owner]
            Pod.Create import-a  by job-controller  [subject]
              Pod.Scheduled import-a  by default-scheduler  [own]
              Pod.Started import-a  by kubelet  [own]
              Pod.Ready import-a  by kubelet  [own]
              Pod.Failed import-a  by kubelet  [own] error
                Job.SuccessfulCreate import  by job-controller  [owner]
                  Pod.Create import-b  by job-controller  [subject]
                    Pod.Scheduled import-b  by default-scheduler  [own]
                    Pod.Started import-b  by kubelet  [own]
                    Pod.Ready import-b  by kubelet  [own]
                    Pod.Failed import-b  by kubelet  [own] error
                      Job.Failed import  by job-controller  [owner] error
          Job.BackoffLimitExceeded import  by job-controller  [own] error
        """,
    )


def test_a_pod_that_a_list_shows_after_its_end_is_not_the_cause_of_its_own_creation() -> None:
    c = Cluster()
    c.first_list()
    job = c.apply("Job", "import", by="kubectl-create")
    c.stop_watching("Pod")
    one = new_pod(c, job, "import-a")
    running(c, one, "Failed")
    c.wait(2)
    two = new_pod(c, job, "import-b")
    c.list_again()
    finish(c, job, two)
    shows(
        c,
        """
        Job.Create import  by kubectl  [root]
          Job.SuccessfulCreate import  by job-controller  [owner]
            Pod.Create import-a  by job-controller  [subject]
              Pod.Failed import-a  by kubelet  [own] error
                Job.SuccessfulCreate import  by job-controller  [owner]
                  Pod.Create import-b  by job-controller  [subject]
                    Pod.Succeeded import-b  by kubelet  [own]
                      Job.Complete import  by job-controller  [owner]
          Job.Completed import  by job-controller  [own]
        """,
    )


def test_every_tick_of_a_cron_job_is_a_trace_of_its_own() -> None:
    c = Cluster()
    cron = c.apply("CronJob", "backup", schedule="* * * * *")
    for n in (1, 2):
        c.wait(60)
        job, pod = tick(c, cron, f"backup-{n}", reported=n == 1)
        finish(c, job, pod, cron)
    shows(
        c,
        """
        CronJob.Create backup  by kubectl  [root]

        CronJob.SuccessfulCreate backup  by cronjob-controller  [root]
          Job.Create backup-1  by cronjob-controller  [subject]
            Job.SuccessfulCreate backup-1  by job-controller  [owner]
              Pod.Create backup-1-x  by job-controller  [subject]
                Pod.Succeeded backup-1-x  by kubelet  [own]
                  Job.Complete backup-1  by job-controller  [owner]
                    CronJob.SawCompletedJob backup  by cronjob-controller  [subject]
            Job.Completed backup-1  by job-controller  [own]

        Job.Create backup-2  by cronjob-controller  [root]
          Job.SuccessfulCreate backup-2  by job-controller  [owner]
            Pod.Create backup-2-x  by job-controller  [subject]
              Pod.Succeeded backup-2-x  by kubelet  [own]
                Job.Complete backup-2  by job-controller  [owner]
                  CronJob.SawCompletedJob backup  by cronjob-controller  [subject]
          Job.Completed backup-2  by job-controller  [own]
        """,
    )


def test_a_completion_that_is_received_a_moment_late_is_still_what_the_controller_saw() -> None:
    """The stream of Jobs is opened again 1.6 s after the completion, that of Events before it."""
    c = Cluster()
    cron = c.apply("CronJob", "backup", schedule="* * * * *")
    c.wait(60)
    finish(c, *tick(c, cron, "backup-1"), cron)
    in_time = draw(fold(CLUSTER, c.records))
    at = max(n for n, record in enumerate(c.records) if record.kind == "Job")
    completed = c.records[at]
    late = replace(completed, recorded_at=completed.recorded_at + 16 * SECOND // 10)
    hold = LogRecord(RecordType.TICK, c.records[at - 1].recorded_at, reason=HELD)
    resume = LogRecord(RecordType.TICK, late.recorded_at + 5 * SECOND)
    assert draw(fold(CLUSTER, [*c.records[:at], hold, *c.records[at + 1 :], late, resume])) == in_time


def test_a_job_beyond_the_history_limit_is_deleted_because_the_newest_finished() -> None:
    c = Cluster()
    cron = c.apply("CronJob", "backup", schedule="* * * * *")
    old, old_pod = tick(c, cron, "backup-1")
    finish(c, old, old_pod, cron)
    c.first_list()
    new, new_one = tick(c, cron, "backup-2")
    finish(c, new, new_one, cron)
    c.gone(old)
    c.event(cron, "SuccessfulDelete", "Deleted job backup-1", by=CRON)
    c.gone(old_pod)
    shows(
        c,
        """
        CronJob.SuccessfulCreate backup  by cronjob-controller  [root]
          Job.Create backup-2  by cronjob-controller  [subject]
            Job.SuccessfulCreate backup-2  by job-controller  [owner]
              Pod.Create backup-2-x  by job-controller  [subject]
                Pod.Succeeded backup-2-x  by kubelet  [own]
                  Job.Complete backup-2  by job-controller  [owner]
                    CronJob.SawCompletedJob backup  by cronjob-controller  [subject]
                      CronJob.SuccessfulDelete backup  by cronjob-controller  [own]
                        Job.Delete backup-1  by cronjob-controller  [subject]
                          Pod.Delete backup-1-x  by garbage-collector  [owner]
            Job.Completed backup-2  by job-controller  [own]
        """,
    )


def test_the_deletion_of_an_expired_job_is_caused_by_the_job() -> None:
    c = Cluster()
    job = c.apply("Job", "import", by="kubectl-create", ttlSecondsAfterFinished=5)
    pod = new_pod(c, job, "import-a")
    finish(c, job, pod)
    c.wait(6)
    c.delete(job, finalizers=("foregroundDeletion",))
    c.gone(pod)
    c.gone(job)
    shows(
        c,
        """
        Job.Create import  by kubectl  [root]
          Job.SuccessfulCreate import  by job-controller  [owner]
            Pod.Create import-a  by job-controller  [subject]
              Pod.Succeeded import-a  by kubelet  [own]
                Job.Complete import  by job-controller  [owner]
          Job.Completed import  by job-controller  [own]
          Job.Delete import  by ttl-after-finished-controller  [own]
            Pod.Delete import-a  by garbage-collector  [owner]
        """,
    )


def test_the_jobs_of_a_cron_job_are_deleted_with_it() -> None:
    c = Cluster()
    cron = c.apply("CronJob", "backup", schedule="* * * * *")
    job, pod = tick(c, cron, "backup-1")
    c.first_list()
    c.gone(cron)
    c.gone(job)
    c.gone(pod)
    shows(
        c,
        """
        CronJob.Delete backup  by unknown  [root]
          Job.Delete backup-1  by garbage-collector  [owner]
            Pod.Delete backup-1-x  by garbage-collector  [owner]
        """,
    )


def test_a_tick_that_replaces_the_job_that_still_runs_is_one_trace() -> None:
    """The controller deletes the running Job and creates the next one in one pass."""
    c = Cluster()
    cron = c.apply("CronJob", "backup", schedule="* * * * *", concurrencyPolicy="Replace")
    job, pod = tick(c, cron, "backup-1")
    c.first_list()
    for n in (2, 3):
        c.wait(60)
        c.delete(job)
        c.event(cron, "SuccessfulDelete", f"Deleted job {job.name}", by=CRON)
        c.gone(job)
        following, next_pod = tick(c, cron, f"backup-{n}")
        c.delete(pod)
        c.gone(pod)
        job, pod = following, next_pod
    shows(
        c,
        """
        (superseded)
        CronJob.SuccessfulDelete backup  by cronjob-controller  [root]
          Job.Delete backup-1  by cronjob-controller  [subject]
            CronJob.SuccessfulCreate backup  by cronjob-controller  [owner]
              Job.Create backup-2  by cronjob-controller  [subject]
                Job.SuccessfulCreate backup-2  by job-controller  [owner]
                  Pod.Create backup-2-x  by job-controller  [subject]
            Pod.Delete backup-1-x  by garbage-collector  [owner]

        (incomplete)
        CronJob.SuccessfulDelete backup  by cronjob-controller  [root]
          Job.Delete backup-2  by cronjob-controller  [subject]
            CronJob.SuccessfulCreate backup  by cronjob-controller  [owner]
              Job.Create backup-3  by cronjob-controller  [subject]
                Job.SuccessfulCreate backup-3  by job-controller  [owner]
                  Pod.Create backup-3-x  by job-controller  [subject]
            Pod.Delete backup-2-x  by garbage-collector  [owner]
        """,
    )


def test_ticks_that_are_skipped_because_a_job_still_runs_are_one_quiet_trace() -> None:
    c = Cluster()
    cron = c.apply("CronJob", "backup", schedule="* * * * *", concurrencyPolicy="Forbid")
    c.first_list()
    message = "Not starting job because prior execution is running and concurrency policy is Forbid"
    event = c.event(cron, "JobAlreadyActive", message, by=CRON)
    for _ in range(29):
        c.wait(60)
        c.repeat(event)
    shows(c, "CronJob.JobAlreadyActive backup  by cronjob-controller  [root] +29")


def test_ticks_that_are_missed_are_a_failure_that_is_reported_at_growing_intervals() -> None:
    c = Cluster()
    cron = c.apply("CronJob", "backup", schedule="* * * * *")
    c.first_list()
    for minute in range(30):
        c.wait(60)
        message = f"Missed scheduled time to start a job: Sun, 22 Nov 2026 10:{minute:02}:00 +0000"
        c.event(cron, "MissSchedule", message, by=CRON, warning=True)
    traces = sorted(fold(CLUSTER, c.records)["traces"], key=lambda trace: int(trace["opened_at"]))
    assert [trace["span_count"] for trace in traces] == [1, 1, 15, 13]
    assert {trace["outcome"] for trace in traces} == {"failing"}
