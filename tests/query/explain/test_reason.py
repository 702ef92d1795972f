"""The reason of what ``why`` shows: what the journal knows, and nothing when it does not know."""

from typing import Any

import pytest

from kspan.graph import built_in_rules
from kspan.ingest.journal_builder import JournalBatch
from kspan.pipeline.projector import Projector
from kspan.query.answers import why as answers
from kspan.query.explain.reason import Reason
from kspan.query.objects.names import parse_object
from kspan.query.why import Why, why
from kspan.query.why_headline import headline
from kspan.store import Store, open_store
from kspan.times import SECOND
from tests.causality.actors import rolled_out, running
from tests.causality.cluster import MANAGER, Cluster, Thing, second

CLUSTER = "made"


def asked(c: Cluster, name: str, namespace: str = "shop", at: int = 0) -> Why:
    """The answer when everything that happened in the cluster was received, and the cause of everything was chosen."""
    c.wait(60)
    c.create("Namespace", f"later-{len(c.records)}")
    c.receive_all()
    with open_store("sqlite://") as store:
        commit(store, c)
        with store.reading("ask") as connection:
            return why(connection, CLUSTER, parse_object((name,), namespace), at=at)


def commit(store: Store, c: Cluster) -> None:
    projector = Projector(store, CLUSTER, built_in_rules())
    projector.add(JournalBatch([record]) for record in c.records)
    projector.flush()


def lines(answer: Why) -> list[str]:
    return ["".join(text for text, _ in pieces) for pieces in headline(answer)]


def reason(answer: Why) -> Reason:
    assert answer.reason is not None, lines(answer)
    return answer.reason


def pod_with(c: Cluster, *, memory: str = "") -> Thing:
    limits: dict[str, Any] = {"resources": {"limits": {"memory": memory}}} if memory else {}
    pod = c.create("Pod", "cache", by="kubectl-run", containers=[{"name": "app", "image": "app:v1", **limits}])
    c.bind(pod, "node-a")
    running(c, pod)
    return pod


def end(c: Cluster, pod: Thing, run: int, code: int, why_ended: str = "Error", *, ran: int = 3, said: str = "") -> None:
    """The run of the container of a Pod with a number (0: the first) ends after some seconds."""
    c.wait(ran)
    ended = {
        "exitCode": code,
        "reason": why_ended,
        "startedAt": second(c.now - ran * SECOND),
        "finishedAt": second(c.now),
    }
    state = {"waiting": {"reason": "CrashLoopBackOff"}}
    status = {
        "name": "app",
        "restartCount": run,
        "state": state,
        "lastState": {"terminated": {**ended, "message": said}},
    }
    ready = [{"type": "Ready", "status": "False", "reason": "ContainersNotReady"}]
    c.status(pod, by="kubelet", phase="Running", conditions=ready, containerStatuses=[status])
    c.wait(8)


# Containers


def test_a_container_that_ran_out_of_memory_has_its_limit() -> None:
    c = Cluster()
    end(c, pod_with(c, memory="64Mi"), 0, 137, "OOMKilled")
    answer = asked(c, "pod/cache")
    assert (reason(answer).kind, reason(answer).text) == ("memory", "it ran out of memory (its limit is 64Mi)")
    assert lines(answer)[1] == "because it ran out of memory (its limit is 64Mi) after 3s"
    assert [line for line in lines(answer) if line.startswith("history: kubectl run created it ")]


def test_a_container_without_a_limit_that_ran_out_of_memory_has_none() -> None:
    c = Cluster()
    end(c, pod_with(c), 0, 137, "OOMKilled")
    assert reason(asked(c, "pod/cache")).text == "it ran out of memory (it has no memory limit)"


def test_the_limit_is_that_of_the_run_that_ended() -> None:
    c = Cluster()
    pod = pod_with(c, memory="64Mi")
    end(c, pod, 0, 137, "OOMKilled")
    more = {"name": "app", "image": "app:v1", "resources": {"limits": {"memory": "128Mi"}}}
    before = c.now
    c.update(pod, by="vpa", subresource="resize", containers=[more])
    end(c, pod, 1, 137, "OOMKilled")
    assert reason(asked(c, "pod/cache")).text == "it ran out of memory (its limit is 128Mi)"
    assert reason(asked(c, "pod/cache", at=before)).text == "it ran out of memory (its limit is 64Mi)"


def test_runs_that_ended_in_another_way_are_not_counted_as_alike() -> None:
    c = Cluster()
    pod = pod_with(c)
    for run, code in enumerate((1, 2, 1)):
        end(c, pod, run, code)
    answer = asked(c, "pod/cache")
    assert (reason(answer).runs, reason(answer).alike, reason(answer).unseen) == (3, 2, 0)
    assert "because its program exited with 1 in 2 of 3 runs since " in lines(answer)[1]


def test_runs_that_nobody_saw_may_have_ended_in_the_same_way() -> None:
    c = Cluster()
    pod = pod_with(c)
    end(c, pod, 0, 1)
    end(c, pod, 4, 1)
    answer = asked(c, "pod/cache")
    assert (reason(answer).runs, reason(answer).alike, reason(answer).unseen) == (5, 2, 3)
    assert "in at least 2 of 5 runs" in lines(answer)[1]


def test_a_program_that_a_signal_ended_is_said_to_have_exited_as_after_it() -> None:
    c = Cluster()
    end(c, pod_with(c), 0, 139)
    assert reason(asked(c, "pod/cache")).text == "its program exited with 139 (as after SIGSEGV)"


def test_an_end_that_nobody_saw_has_no_reason() -> None:
    c = Cluster()
    end(c, pod_with(c), 0, 137, "ContainerStatusUnknown")
    assert asked(c, "pod/cache").reason is None


def test_the_last_words_of_a_program_are_in_the_first_line() -> None:
    c = Cluster()
    end(c, pod_with(c), 0, 1, said="cannot reach db:5432")
    assert lines(asked(c, "pod/cache"))[0].endswith("ended with Error (exit 1): cannot reach db:5432")


# Limits of the spec


def failed_job(c: Cluster, reason_: str, **spec: Any) -> None:
    job = c.create("Job", "report", by="kubectl-create", **spec)
    c.status(job, startTime=second(c.now), failed=3)
    c.wait(60)
    c.condition(job, "Failed", "True", reason=reason_, message="Job failed")
    c.wait(20)


def test_a_job_that_ran_too_long_has_its_deadline() -> None:
    c = Cluster()
    failed_job(c, "DeadlineExceeded", activeDeadlineSeconds=60)
    answer = asked(c, "job/report")
    assert (reason(answer).kind, reason(answer).text) == ("deadline", "activeDeadlineSeconds is 60")
    assert "(it started at 10:00:0" in lines(answer)[1]


def test_a_job_that_failed_too_often_has_its_limit_and_how_many_pods_failed() -> None:
    c = Cluster()
    failed_job(c, "BackoffLimitExceeded", backoffLimit=2)
    assert reason(asked(c, "job/report")).text == "3 of its Pods failed, and backoffLimit is 2"


def test_a_limit_that_is_not_recorded_is_no_reason() -> None:
    c = Cluster()
    failed_job(c, "DeadlineExceeded")
    answer = asked(c, "job/report")
    assert answer.reason is None
    assert "created it" in lines(answer)[1]


def test_a_deployment_that_made_no_progress_has_its_deadline() -> None:
    c = Cluster()
    web, _, _ = rolled_out(c, "web", progressDeadlineSeconds=600)
    message = 'ReplicaSet "web-1" has timed out progressing.'
    c.condition(web, "Progressing", "False", reason="ProgressDeadlineExceeded", message=message)
    c.wait(20)
    assert reason(asked(c, "deploy/web")).text == "it made no progress for 600s (progressDeadlineSeconds)"


# What is missing


MISSING = 'MountVolume.SetUp failed for volume "config" : configmap "app" not found'


def waits_for_configmap(c: Cluster) -> Thing:
    pod = pod_with(c)
    c.event(pod, "FailedMount", MISSING, by="kubelet", host="node-a", warning=True)
    c.wait(20)
    return pod


def test_a_missing_object_does_not_exist_if_its_kind_is_watched() -> None:
    c = Cluster()
    c.apply("ConfigMap", "other", data={})
    waits_for_configmap(c)
    assert reason(asked(c, "pod/cache")).text == "ConfigMap shop/app does not exist"


def test_a_missing_object_was_not_found_if_its_kind_is_not_watched() -> None:
    c = Cluster()
    waits_for_configmap(c)
    assert reason(asked(c, "pod/cache")).text == "ConfigMap shop/app was not found"


def test_a_missing_object_that_was_created_later_did_not_exist() -> None:
    c = Cluster()
    c.apply("ConfigMap", "other", data={})
    waits_for_configmap(c)
    before = c.now
    c.wait(10)
    c.apply("ConfigMap", "app", data={})
    c.wait(20)
    answer = asked(c, "pod/cache")
    assert reason(answer).text == "ConfigMap shop/app did not exist"
    assert "(it was created " in lines(answer)[1]
    assert reason(asked(c, "pod/cache", at=before)).text == "ConfigMap shop/app does not exist", "nobody knew then"


def test_a_missing_object_that_was_deleted_is_said_to_be_deleted() -> None:
    c = Cluster()
    config = c.apply("ConfigMap", "app", data={})
    c.wait(60)
    c.gone(config)
    c.wait(5)
    waits_for_configmap(c)
    answer = asked(c, "pod/cache")
    assert reason(answer).text == "ConfigMap shop/app was deleted"
    assert " earlier" in lines(answer)[1]


def test_what_a_pod_waited_for_is_its_reason_when_it_goes_on() -> None:
    c = Cluster()
    c.apply("ConfigMap", "other", data={})
    pod = c.create("Pod", "cache", by="kubectl-run", containers=[{"name": "app", "image": "app:v1"}])
    c.bind(pod, "node-a")
    c.event(pod, "FailedMount", MISSING, by="kubelet", host="node-a", warning=True)
    c.wait(30)
    c.apply("ConfigMap", "app", data={})
    c.wait(2)
    running(c, pod)
    c.wait(20)
    answer = asked(c, "pod/cache")
    assert (reason(answer).kind, reason(answer).text) == ("came", "ConfigMap app was created")
    assert reason(answer).waited // SECOND == 30
    assert "of waiting" in lines(answer)[1]


# Two reports of one failure


@pytest.mark.parametrize("same", [True, False])
def test_a_condition_goes_back_to_the_cause_of_the_event_about_the_same_failure(*, same: bool) -> None:
    c = Cluster()
    source = c.create("GitRepository", "fleet", by="flux")
    apps = c.create("Kustomization", "apps", by="flux", sourceRef={"kind": "GitRepository", "name": "fleet"})
    c.wait(600)
    stored = "stored artifact for commit 'new image'"
    c.event(source, "NewArtifact", stored, by="source-controller", revision="main@sha1:2")
    c.event(apps, "Progressing", "Deployment/shop/web configured", by="kustomize-controller", revision="main@sha1:2")
    c.wait(6)
    message = "health check failed after 39s"
    c.event(apps, "HealthCheckFailed", message, by="kustomize-controller", warning=True, revision="main@sha1:2")
    told = message if same else "something else failed"
    c.condition(apps, "Ready", "False", reason="HealthCheckFailed", message=told, by="kustomize-controller")
    c.wait(60)
    answer = asked(c, "kustomization/apps")
    reported = [link.span.reason for link in answer.links]
    assert reported[0] == "Ready=False"
    assert ("NewArtifact" in reported) == same


# In the answer for programs


def test_programs_get_the_reason_in_fields() -> None:
    c = Cluster()
    pod = pod_with(c)
    for run in range(3):
        end(c, pod, run, 1, ran=5)
    found = answers.why(asked(c, "pod/cache")).reason
    assert found is not None
    assert (found.kind, found.runs, found.alike, found.unseen, found.typical_seconds) == ("exit", 3, 3, 0, 5.0)
    assert found.first is not None
    assert found.first.startswith("2026-")
    assert (found.happened, found.started, found.waited_seconds, found.again) == (None, None, None, None)


def test_a_pod_that_became_ready_has_no_reason_but_the_chain() -> None:
    c = Cluster()
    pod_with(c)
    c.wait(20)
    assert asked(c, "pod/cache").reason is None


def test_an_object_below_a_deployment_is_created_by_the_manager() -> None:
    c = Cluster()
    _, _, (pod,) = rolled_out(c, "web")
    end(c, pod, 0, 1)
    answer = asked(c, f"pod/{pod.name}")
    assert MANAGER not in lines(answer)[-1]
    assert [line for line in lines(answer) if line.startswith("history: ") and "Deployment shop/web" in line]
