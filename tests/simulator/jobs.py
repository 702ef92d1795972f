"""The Job controller: pkg/controller/job/job_controller.go, with back-off of 10 s, 20 s, … after failures."""

from tests.simulator.manager import Manager
from tests.simulator.objects import Cause, Obj, active, name_of, ready, set_condition, uid_of
from tests.simulator.truth import Note

COMPONENT = "job-controller"
End = tuple[str, str, str, bool]
"""Condition, reason, message, whether it is a warning."""


class Jobs:
    def __init__(self, manager: Manager) -> None:
        self.manager, self.cluster = manager, manager.cluster
        manager.workers["job"] = self.sync

    def sync(self, uid: str) -> None:
        job = self.cluster.cache.get(uid)
        if job is None or self.manager.waiting(uid) or job["status"].get("conditions"):
            return
        pods = self.manager.pods(uid)
        succeeded, failed = (sum(p["status"].get("phase") == x for p in pods) for x in ("Succeeded", "Failed"))
        running = list(filter(active, pods))
        end = self._end(job["spec"], succeeded, failed)
        if end:
            self._finish(job, running, end)
        else:
            self._create_missing(job, succeeded, failed, len(running))

        def change(o: Obj) -> None:
            still = sum(map(active, self.manager.pods(uid)))
            counts = {"active": still, "failed": failed, "succeeded": succeeded, "ready": sum(map(ready, running))}
            o["status"].update(counts)
            if end:
                set_condition(o, end[0], "True", end[1], end[2], now=self.cluster.now)

        self.cluster.update(job, change, subresource="status")

    def _end(self, spec: Obj, succeeded: int, failed: int) -> End | None:
        if failed > spec.get("backoffLimit", 6):
            return "Failed", "BackoffLimitExceeded", "Job has reached the specified backoff limit", True
        return ("Complete", "Completed", "Job completed", False) if succeeded >= spec.get("completions", 1) else None

    def _finish(self, job: Obj, running: list[Obj], end: End) -> None:
        cause, above = self.cluster.cause_at(job)
        for pod in running:
            self.manager.delete_pod(COMPONENT, job, pod, f"Deleted pod: {name_of(pod)}", cause)
        _, reason, message, warning = end
        self.manager.reporters.event(COMPONENT, job, reason, message, warning=warning, cause=cause, above=above)

    def _create_missing(self, job: Obj, succeeded: int, failed: int, running: int) -> None:
        uid, spec, now = uid_of(job), job["spec"], self.cluster.now
        allowed = self.manager.failed_at.setdefault((uid, failed), now)
        allowed += 10 * 2 ** (failed - 1) if failed else 0
        if failed and now < allowed - 0.01:
            self.manager.enqueue("job", uid, allowed - now)
            return
        cause = self.cluster.cause_at(job)[0]
        for _ in range(min(spec.get("parallelism", 1), spec.get("completions", 1) - succeeded) - running):
            self._create(job, cause)

    def _create(self, job: Obj, cause: Cause) -> None:
        prefix, note = f"{name_of(job)}-", Note()
        pod = prefix + self.manager.suffix()
        self.manager.create_pod(job, job["spec"]["template"], pod, note, cause, generate_name=prefix)
        self.manager.expected.setdefault(uid_of(job), set()).add(pod)
        self.manager.report(note, COMPONENT, job, "SuccessfulCreate", f"Created pod: {pod}", cause=cause)
