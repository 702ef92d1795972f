"""The reason of what ``why`` shows: what the journal knows, and nothing when it does not know."""

from typing import Any

import pytest

from kspan.graph import built_in_rules
from kspan.ingest.journal_builder import JournalBatch
from kspan.pipeline.projector import Projector
from kspan.query.answers import why as answers
from kspan.query.explain.reasons.reason import Reason
from kspan.query.objects.names import parse_object
from kspan.query.why import Why, why
from kspan.query.why_headline import headline
from kspan.store import Store, open_store
from kspan.times import SECOND
from tests.causality.actors import new_pod, new_replicas, rolled_out, run, running, stuck
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
    for number, code in enumerate((1, 2, 1)):
        end(c, pod, number, code)
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


def test_the_reason_of_an_end_that_nobody_saw_is_that_nobody_saw_it() -> None:
    c = Cluster()
    end(c, pod_with(c), 0, 137, "ContainerStatusUnknown")
    assert lines(asked(c, "pod/cache"))[1].startswith("because its runtime lost it: nobody saw how it ended")


def test_a_program_that_could_not_be_started_did_not_exit() -> None:
    c = Cluster()
    end(c, pod_with(c), 0, 128, "StartError")
    assert lines(asked(c, "pod/cache"))[1].startswith("because its program could not be started")


def test_an_end_with_a_reason_of_another_runtime_has_no_reason_but_its_own() -> None:
    c = Cluster()
    end(c, pod_with(c), 0, 3, "SomethingElse")
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
    for number in range(3):
        end(c, pod, number, 1, ran=5)
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


# A Pod that flaps


def flapping(times: int, *, probe: str = "Readiness", said: str = "HTTP 503") -> Cluster:
    """A Pod of a Deployment that is not ready for 20 s now and then."""
    c = Cluster()
    web = c.apply("Deployment", "web", replicas=1)
    pod = new_pod(c, new_replicas(c, web, "web-1", 1), "web-1-a")
    run(c, pod)
    for _ in range(times):
        c.wait(30)
        c.event(pod, "Unhealthy", f"{probe} probe failed: {said}", by="kubelet", host="node-a", warning=True)
        unready = {"type": "Ready", "status": "False", "reason": "ContainersNotReady", "message": "unready: [app]"}
        c.status(pod, by="kubelet", phase="Running", conditions=[unready])
        c.wait(20)
        running(c, pod)
    return c


def test_a_pod_that_is_not_ready_again_and_again_flaps() -> None:
    answer = asked(flapping(5), "pod/web-1-a")
    first, because, now, history = lines(answer)[:4]
    assert "Readiness probe failed: HTTP 503" in first
    assert because == "because it flaps: its readiness probe failed 5 times and it was not ready 5 times since 10:00:30"
    assert now.startswith("now: Running, ready")
    assert history.startswith("history: kubectl apply created Deployment shop/web")
    assert (reason(answer).kind, reason(answer).alike) == ("flapping", 5)


def test_a_pod_that_was_not_ready_once_or_twice_does_not_flap() -> None:
    assert asked(flapping(2), "pod/web-1-a").reason is None


def test_only_what_happened_until_then_is_counted() -> None:
    c = flapping(5)
    seen = [record.recorded_at for record in c.records]
    answer = asked(c, "pod/web-1-a", at=seen[0] + 150 * SECOND)
    assert reason(answer).alike == 3
    assert asked(c, "pod/web-1-a", at=seen[0] + 100 * SECOND).reason is None


def test_a_pod_that_flaps_without_a_known_probe_flaps() -> None:
    assert asked(flapping(4, probe="Startup"), "pod/web-1-a").reason is None, "the newest error is about another probe"
    c = flapping(4)
    c.records[:] = [record for record in c.records if b"Unhealthy" not in record.payload]
    assert reason(asked(c, "pod/web-1-a")).text == "it flaps: it was not ready 4 times"


# A stuck rollout


def stuck_rollout(*, available: int = 2, pods: int = 3) -> Cluster:
    """The image of the new revision cannot be pulled."""
    c = Cluster()
    web, old, _ = rolled_out(c, "web", 3, image="app:v1")
    c.wait(60)
    c.update(web, by="kubectl-set", image="app:v2")
    pod = new_pod(c, new_replicas(c, web, "web-2", 1), "web-2-a")
    c.bind(pod, "node-a")
    c.event(pod, "Failed", 'Failed to pull image "app:v2": not found', by="kubelet", host="node-a", warning=True)
    stuck(c, pod, "ImagePullBackOff")
    c.status(old, replicas=pods, readyReplicas=available, availableReplicas=available)
    c.status(web, observedGeneration=2, replicas=4, updatedReplicas=1, availableReplicas=available)
    return c


@pytest.mark.parametrize(
    "pods, available, said",
    [
        (3, 2, "2 of 3 old Pods of revision 1 still serve"),
        (3, 3, "3 old Pods of revision 1 still serve"),
        (3, 1, "1 of 3 old Pods of revision 1 still serves"),
        (1, 1, "1 old Pod of revision 1 still serves"),
        (3, 0, ""),
    ],
)
def test_a_stuck_rollout_says_what_still_serves(pods: int, available: int, said: str) -> None:
    c = stuck_rollout(pods=pods, available=available)
    for name in ("deploy/web", "pod/web-2-a"):
        answer = asked(c, name)
        assert answer.serving == said
        assert (said in lines(answer)[2]) or not said


def test_what_still_serves_is_said_only_of_older_revisions_and_as_of_the_time() -> None:
    c = stuck_rollout()
    old = next(thing for thing in c.things.values() if thing.name == "web-1")
    at = c.records[-1].recorded_at
    c.wait(60)
    c.status(old, replicas=3, readyReplicas=1, availableReplicas=1)
    assert asked(c, "deploy/web", at=at).serving == "2 of 3 old Pods of revision 1 still serve"
    assert asked(c, "pod/web-1-a").serving == ""


def test_the_chain_of_a_deployment_that_fails_begins_with_the_pod_that_fails() -> None:
    answer = asked(stuck_rollout(), "deploy/web")
    assert lines(answer)[0].endswith('failing: Pod web-2-a: Failed to pull image "app:v2": not found')
    names = [f"{link.span.name} {link.span.object_name}" for link in answer.links]
    assert names[0] == "Pod.Failed web-2-a"
    assert names[-1] == "Deployment.Update web"
    assert answer.links[0].span.span_id not in {effect.span_id for effect in answer.effects}


def test_a_deployment_whose_pod_misses_something_has_that_as_its_reason() -> None:
    c = Cluster()
    c.create("ConfigMap", "other")
    web = c.apply("Deployment", "web", replicas=1)
    pod = new_pod(c, new_replicas(c, web, "web-1", 1), "web-1-a")
    c.bind(pod, "node-a")
    c.event(pod, "Failed", 'Error: configmap "settings" not found', by="kubelet", host="node-a", warning=True)
    stuck(c, pod, "CreateContainerConfigError")
    answer = asked(c, "deploy/web")
    assert lines(answer)[1] == "because ConfigMap shop/settings does not exist"
