"""What the kubelet does after an update of a running Pod."""

import pytest

from tests.causality.cluster import Cluster, Thing
from tests.causality.drawing import CLUSTER, draw, shows
from tests.recordings import fold

APP = "spec.containers{app}"


def running(c: Cluster) -> tuple[Thing, str]:
    """A bare Pod, and its version when its kubelet first synchronized it."""
    pod = c.create("Pod", "lone", by="kubectl-run", containers=[{"name": "app"}])
    c.bind(pod, "node-a")
    first = pod.version
    tell(c, pod, "Started", "Started container app", seen=first)
    c.status(pod, by="kubelet", phase="Running", conditions=[{"type": "Ready", "status": "True"}])
    c.wait(5)
    return pod, first


def tell(c: Cluster, pod: Thing, reason: str, message: str, *, seen: str, path: str = APP) -> None:
    c.event(pod, reason, message, by="kubelet", host="node-a", seen=seen, field_path=path)


def test_a_resize_is_completed_because_of_its_generation() -> None:
    c = Cluster()
    pod, first = running(c)
    for cpu in ("200m", "300m"):
        c.update(pod, by="kubectl-patch", subresource="resize", containers=[{"name": "app", "cpu": cpu}])
        c.wait(1.5)
    tell(c, pod, "ResizeCompleted", 'Pod resize completed: {"containers":[{"name":"app"}],"generation":2}', seen=first)
    c.wait(1)
    tell(c, pod, "ResizeCompleted", 'Pod resize completed: {"containers":[{"name":"app"}],"generation":3}', seen=first)
    shows(
        c,
        """
        Pod.Create lone  by kubectl  [root]
          Pod.Started lone  by kubelet  [own]
          Pod.Ready lone  by kubelet  [own]

        Pod.Update lone  by kubectl  [root]
          Pod.ResizeCompleted lone  by kubelet  [own]

        Pod.Update lone  by kubectl  [root]
          Pod.ResizeCompleted lone  by kubelet  [own]
        """,
    )


@pytest.mark.parametrize("reason", ["ResizeStarted", "ResizeDeferred", "ResizeInfeasible", "ResizeError"])
def test_whatever_the_kubelet_reports_of_a_resize_is_about_the_generation_that_it_states(reason: str) -> None:
    c = Cluster()
    pod, first = running(c)
    for cpu in ("200m", "300m"):
        c.update(pod, by="kubectl-patch", subresource="resize", containers=[{"name": "app", "cpu": cpu}])
        c.wait(1)
    message = 'Pod resize: {"containers":[{"name":"app","resources":{}}],"generation":2,"error":"no room"}'
    tell(c, pod, reason, message, seen=first, path="")
    drawn = draw(fold(CLUSTER, c.records))
    assert drawn.count(f"\n  Pod.{reason} lone") == 1
    before, _, after = drawn.partition(f"  Pod.{reason} lone")
    assert before.endswith("Pod.Update lone  by kubectl  [root]\n")
    assert "Pod.Update" in after, "it is about the first of the two resizes"


def test_an_ephemeral_container_is_started_because_it_was_added() -> None:
    c = Cluster()
    pod, first = running(c)
    c.update(pod, by="kubectl-debug", subresource="ephemeralcontainers", ephemeralContainers=[{"name": "look"}])
    c.wait(1)
    tell(c, pod, "Started", "Started container look", seen=first, path="spec.ephemeralContainers{look}")
    tell(c, pod, "Unhealthy", "Readiness probe failed: ", seen=first)
    shows(
        c,
        """
        Pod.Create lone  by kubectl  [root]
          Pod.Started lone  by kubelet  [own]
          Pod.Ready lone  by kubelet  [own]
          Pod.Unhealthy lone  by kubelet  [own]

        Pod.Update lone  by kubectl  [root]
          Pod.Started lone  by kubelet  [own]
        """,
    )


def test_a_container_with_a_new_image_is_killed_because_of_it() -> None:
    c = Cluster()
    pod, first = running(c)
    c.update(pod, by="kubectl-set", containers=[{"name": "app", "image": "app:v2"}])
    c.wait(1)
    tell(c, pod, "Killing", "Container app definition changed, will be restarted", seen=first)
    shows(
        c,
        """
        Pod.Create lone  by kubectl  [root]
          Pod.Started lone  by kubelet  [own]
          Pod.Ready lone  by kubelet  [own]

        Pod.Update lone  by kubectl  [root]
          Pod.Killing lone  by kubelet  [own]
        """,
    )
