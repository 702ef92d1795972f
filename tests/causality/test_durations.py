"""How long things took: as long as they themselves did, and not as long as what followed."""

from typing import Any

from kspan import vocabulary as words
from kspan.times import SECOND, format_time
from tests.causality.actors import done, new_pod, new_replicas, rolled_out, run, running, stuck
from tests.causality.cluster import MANAGER, Cluster
from tests.causality.drawing import CLUSTER
from tests.recordings import fold

APP = "spec.containers{app}"
PULLED = 'Successfully pulled image "shop/web:v1" in 1.2s (3.4s including waiting). Image size: 123 bytes.'


def spans(c: Cluster) -> dict[str, dict[str, Any]]:
    """The spans by name: of several with one name the first."""
    c.receive_all()
    found = sorted(fold(CLUSTER, c.records)["spans"], key=lambda row: row["start_time"], reverse=True)
    return {row["name"]: row for row in found}


def seconds(row: dict[str, Any]) -> float:
    return float((row["end_time"] - row["start_time"]) / SECOND)


def test_steps_of_the_kubelet_are_moments_and_what_it_begins_lasts() -> None:
    c = Cluster()
    pod = c.create("Pod", "lone", by="kubectl-run", containers=[{"name": "app"}])
    run(c, pod, started=False)
    c.event(pod, "Pulling", 'Pulling image "shop/web:v1"', by="kubelet", field_path=APP)
    c.wait(3.4)
    c.event(pod, "Pulled", PULLED, by="kubelet", field_path=APP)
    c.event(pod, "Created", "Container created", by="kubelet", field_path=APP)
    c.wait(2)
    c.event(pod, "Started", "Container started", by="kubelet", field_path=APP)
    c.wait(4)
    running(c, pod)
    found = spans(c)
    moments = ("Pod.Scheduled", "Pod.Pulled", "Pod.Created", "Pod.Ready")
    assert {name: seconds(found[name]) for name in moments} == dict.fromkeys(moments, 0)
    assert seconds(found["Pod.Pulling"]) == 3.4
    assert 4 < seconds(found["Pod.Started"]) < 4.1
    assert 9.4 < seconds(found["Pod.Create"]) < 9.6, "until the Pod was ready"
    pulled = found["Pod.Pulled"]["attributes"]
    assert pulled[words.CONTAINER_NAME] == "app"
    assert pulled[words.IMAGE_NAME] == "shop/web"
    assert pulled[words.IMAGE_TAGS] == ["v1"]
    assert pulled[words.IMAGE_SIZE] == 123
    assert pulled[words.IMAGE_PULL_DURATION] == 1.2
    assert pulled[words.IMAGE_PULL_DURATION_WITH_WAITING] == 3.4


def test_every_event_about_a_container_has_its_image() -> None:
    c = Cluster()
    containers = [{"name": "app", "image": "shop/web:v1"}, {"name": "log", "image": "shop/log@sha256:0a"}]
    pod = c.create("Pod", "lone", by="kubectl-run", containers=containers)
    c.bind(pod, "node-a")
    c.event(pod, "Started", "Container started", by="kubelet", field_path=APP)
    c.event(pod, "Unhealthy", "Readiness probe failed: ", by="kubelet", field_path="spec.containers{log}", warning=True)
    c.event(pod, "Pulled", 'Container image "shop/web:v2" already present on machine', by="kubelet", field_path=APP)
    found = {name: row["attributes"] for name, row in spans(c).items()}
    assert found["Pod.Started"][words.IMAGE_NAME] == "shop/web"
    assert found["Pod.Started"][words.IMAGE_TAGS] == ["v1"]
    assert found["Pod.Unhealthy"][words.IMAGE_DIGESTS] == ["shop/log@sha256:0a"]
    assert found["Pod.Unhealthy"][words.CONTAINER_NAME] == "log"
    assert found["Pod.Pulled"][words.IMAGE_TAGS] == ["v2"], "as its message states"
    assert words.IMAGE_NAME not in found["Pod.Create"]


def test_an_event_that_repeats_is_no_long_piece_of_work() -> None:
    c = Cluster()
    pod = c.create("Pod", "lone", by="kubectl-run", containers=[{"name": "app"}])
    message = 'Container image "shop/web:v1" already present on machine'
    event = c.event(pod, "Pulled", message, by="kubelet", field_path=APP)
    for _ in range(4):
        c.wait(20.5)
        c.repeat(event)
    last = c.now
    row = spans(c)["Pod.Pulled"]
    assert seconds(row) == 0
    assert row["attributes"][words.REPEAT_COUNT] == 5
    assert row["attributes"][words.REPEAT_LAST_TIME][:19] == format_time(last)[:19]
    assert row["attributes"][words.IMAGE_PRESENT] is True


def test_a_rollout_lasts_until_it_is_complete_although_an_old_pod_takes_longer_to_stop() -> None:
    c = Cluster()
    web, old, (pod,) = rolled_out(c, "web")
    c.wait(60)
    c.update(web, by="kubectl-set", image="app:v2")
    new = new_replicas(c, web, "web-2", 1)
    run(c, new_pod(c, new, "web-2-a"))
    c.wait(5)
    c.delete(pod, grace=30)
    c.update(old, by=MANAGER, replicas=0)
    done(c, new, old, web)
    c.wait(30)
    c.gone(pod)
    found = spans(c)
    assert 5 < seconds(found["Deployment.Update"]) < 6
    assert 30 < seconds(found["Pod.Delete"]) < 31
    assert words.UNFINISHED not in found["Deployment.Update"]["attributes"]


def test_a_rollout_that_another_replaces_lasts_until_then() -> None:
    c = Cluster()
    web = c.apply("Deployment", "web", replicas=1)
    new_replicas(c, web, "web-1", 1)
    c.wait(7)
    c.update(web, by="kubectl-set", image="app:v2")
    found = spans(c)
    assert 7 < seconds(found["Deployment.Create"]) < 8


def test_a_scale_down_lasts_until_no_replica_is_left_that_it_removes() -> None:
    c = Cluster()
    web, rs, pods = rolled_out(c, "web", 2)
    c.wait(60)
    c.update(web, by="kubectl", subresource="scale", replicas=0)
    c.update(rs, by=MANAGER, replicas=0)
    c.status(web, observedGeneration=web.meta["generation"], replicas=2, updatedReplicas=2, availableReplicas=2)
    for pod in pods:
        c.delete(pod)
    c.wait(2)
    done(c, rs, web)
    found = spans(c)
    assert 2 < seconds(found["Deployment.Update"]) < 3
    assert words.UNFINISHED not in found["Deployment.Update"]["attributes"]


def test_a_change_that_asks_for_nothing_is_a_moment() -> None:
    c = Cluster()
    c.apply("ServiceAccount", "web")
    quota = c.apply("ResourceQuota", "small", hard={"pods": "1"})
    c.wait(3)
    c.update(quota, hard={"pods": "2"})
    found = spans(c)
    assert {name: seconds(row) for name, row in found.items()} == dict.fromkeys(found, 0)
    assert not any(words.UNFINISHED in row["attributes"] for row in found.values())


def test_what_has_not_ended_says_so_and_lasts_until_the_last_thing_in_its_trace() -> None:
    c = Cluster()
    pod = c.create("Pod", "lone", by="kubectl-run", containers=[{"name": "app"}])
    run(c, pod, started=False)
    c.wait(2)
    event = c.event(pod, "Failed", "Error: ErrImagePull", by="kubelet", warning=True, field_path=APP)
    stuck(c, pod, "ErrImagePull")
    c.wait(10)
    c.repeat(event)
    found = spans(c)
    assert found["Pod.Create"]["attributes"][words.UNFINISHED] is True
    assert 11 < seconds(found["Pod.Create"]) < 13
    assert seconds(found["Pod.Failed"]) == 0


def test_being_unready_lasts_and_becoming_ready_is_a_moment() -> None:
    c = Cluster()
    _, _, (pod,) = rolled_out(c, "web")
    c.wait(300)
    c.condition(pod, "Ready", "False", by="kubelet")
    c.wait(20)
    c.condition(pod, "Ready", "True", by="kubelet")
    c.wait(3)
    c.condition(pod, "Ready", "False", by="kubelet")
    c.wait(5)
    c.condition(pod, "Ready", "True", by="kubelet")
    found = spans(c)
    assert 20 <= seconds(found["Pod.Ready=False"]) < 21
    assert seconds(found["Pod.Ready"]) == 0


def test_a_job_lasts_until_it_is_complete() -> None:
    c = Cluster()
    job = c.apply("Job", "report")
    c.wait(40)
    c.condition(job, "Complete", "True")
    c.wait(5)
    c.event(job, "Completed", "Job completed", by="job-controller")
    found = spans(c)
    assert 40 <= seconds(found["Job.Create"]) < 41
    assert seconds(found["Job.Complete"]) == seconds(found["Job.Completed"]) == 0
