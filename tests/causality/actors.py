"""Writes of the built-in controllers, the scheduler and the kubelet, in their order."""

from typing import Any

from tests.causality.cluster import MANAGER, Cluster, Thing, second

CONTROLLERS = {
    "CronJob": "cronjob-controller",
    "DaemonSet": "daemonset-controller",
    "Deployment": "deployment-controller",
    "Job": "job-controller",
    "ReplicaSet": "replicaset-controller",
    "StatefulSet": "statefulset-controller",
}

REVISION = "deployment.kubernetes.io/revision"

NUMBERS = (
    "replicas",
    "updatedReplicas",
    "readyReplicas",
    "availableReplicas",
    "desiredNumberScheduled",
    "updatedNumberScheduled",
    "numberAvailable",
)


def scaled(
    c: Cluster,
    web: Thing,
    rs: Thing,
    before: int,
    after: int,
    *,
    seen: str | None = None,
    late: float = 0,
    old: bool = False,
) -> str:
    """The deployment controller reports that it scaled a ReplicaSet; ``old``: with the message of Kubernetes 1.18."""
    direction = "up" if after > before else "down"
    numbers = f"to {after}" if old else f"from {before} to {after}"
    message = f"Scaled {direction} replica set {rs.name} {numbers}"
    return c.event(web, "ScalingReplicaSet", message, by="deployment-controller", seen=seen, late=late)


def new_replicas(
    c: Cluster,
    web: Thing,
    name: str,
    replicas: int,
    *,
    late: float = 0,
    old: bool = False,
    reported: bool = True,
    image: str = "",
) -> Thing:
    """The deployment controller creates a ReplicaSet; with an ``image``, for an earlier template than the newest."""
    seen, number = web.version, _next_revision(c, web)
    rs = c.create("ReplicaSet", name, owner=web, replicas=replicas, annotations={REVISION: number}, image=image)
    if reported:
        scaled(c, web, rs, 0, replicas, seen=seen, late=late, old=old)
    return rs


def take_up(c: Cluster, web: Thing, rs: Thing) -> None:
    """The deployment controller uses an old ReplicaSet with the new template again and gives it the next revision."""
    c.annotate(rs, REVISION, _next_revision(c, web), by=MANAGER)


def _next_revision(c: Cluster, web: Thing) -> str:
    uid = web.meta["uid"]
    owned = [t for t in c.things.values() if uid in (r["uid"] for r in t.meta.get("ownerReferences", ()))]
    return str(max((int(t.meta["annotations"].get(REVISION, 0)) for t in owned), default=0) + 1)


def scale(
    c: Cluster,
    web: Thing,
    rs: Thing,
    replicas: int,
    *,
    seen: str | None = None,
    late: float = 0,
    old: bool = False,
    reported: bool = True,
) -> None:
    """The deployment controller scales a ReplicaSet."""
    before, seen = rs.raw["spec"]["replicas"], seen or web.version
    c.update(rs, by=MANAGER, replicas=replicas)
    if reported:
        scaled(c, web, rs, before, replicas, seen=seen, late=late, old=old)


def new_pod(
    c: Cluster, owner: Thing, name: str, *, late: float = 0, reported: bool = True, message: str = "", **more: Any
) -> Thing:
    """The owner's controller creates a Pod."""
    seen = owner.version
    pod = c.create("Pod", name, owner=owner, **_containers(), **more)
    if reported:
        message = message or f"Created pod: {name}"
        c.event(owner, "SuccessfulCreate", message, by=CONTROLLERS[owner.kind], seen=seen, late=late)
    return pod


def run(c: Cluster, pod: Thing, node: str = "node-a", *, late: float = 0, started: bool = True) -> None:
    """The scheduler places a Pod, the kubelet starts it; it is ready."""
    message = f"Successfully assigned {pod.meta['namespace']}/{pod.name} to {node}"
    c.event(pod, "Scheduled", message, by="default-scheduler", new=True)
    c.bind(pod, node)
    if started:
        c.event(pod, "Started", "Started container app", by="kubelet", host=node, late=late)
        running(c, pod)


def running(c: Cluster, pod: Thing, phase: str = "Running") -> None:
    ready = "True" if phase == "Running" else "False"
    c.status(pod, by="kubelet", phase=phase, conditions=[{"type": "Ready", "status": ready}])


def stuck(c: Cluster, pod: Thing, reason: str) -> None:
    """The kubelet reports that the container of a Pod waits, and why."""
    container = {"name": "app", "state": {"waiting": {"reason": reason}}}
    ready = [{"type": "Ready", "status": "False", "reason": "ContainersNotReady"}]
    c.status(pod, by="kubelet", phase="Pending", conditions=ready, containerStatuses=[container])


def recovered(c: Cluster, pod: Thing, node: str = "node-a") -> None:
    """The container of a Pod that waited is started, and stays so."""
    c.event(pod, "Started", "Started container app", by="kubelet", host=node)
    container = {"name": "app", "state": {"running": {"startedAt": second(c.now)}}}
    ready = [{"type": "Ready", "status": "True"}]
    c.status(pod, by="kubelet", phase="Running", conditions=ready, containerStatuses=[container])


def kill(c: Cluster, pod: Thing, *, by: Thing | None = None, reported: bool = True, late: float = 0) -> None:
    """A Pod is deleted (``by`` the controller of this owner) and its kubelet stops it."""
    c.delete(pod, grace=5)
    seen = pod.version
    if by is not None and reported:
        c.event(by, "SuccessfulDelete", f"Deleted pod: {pod.name}", by=CONTROLLERS[by.kind], late=late)
    c.event(pod, "Killing", "Stopping container app", by="kubelet", host="node-a", seen=seen, late=late)


def done(c: Cluster, *things: Thing) -> None:
    """Controllers report that these objects have all their replicas."""
    for thing in things:
        count = thing.raw["spec"].get("replicas", 1)
        c.status(thing, observedGeneration=thing.meta["generation"], **dict.fromkeys(NUMBERS, count))


def rolled_out(c: Cluster, name: str, replicas: int = 1, **more: Any) -> tuple[Thing, Thing, list[Thing]]:
    """A Deployment that was rolled out: (Deployment, its ReplicaSet ``NAME-1``, its Pods ``NAME-1-a`` …)."""
    web = c.apply("Deployment", name, replicas=replicas, **more)
    rs = new_replicas(c, web, f"{name}-1", replicas)
    pods = [new_pod(c, rs, f"{name}-1-{letter}") for letter in "abcdef"[:replicas]]
    for pod in pods:
        run(c, pod)
    done(c, rs, web)
    return web, rs, pods


def settled(name: str, replicas: int = 1, **more: Any) -> tuple[Cluster, Thing, Thing, list[Thing]]:
    """A cluster that is watched from now on, with an old Deployment: (cluster, and what ``rolled_out`` returns)."""
    c = Cluster()
    web, rs, pods = rolled_out(c, name, replicas, **more)
    c.first_list()
    return c, web, rs, pods


def only(node: str) -> dict[str, Any]:
    """The affinity with which the DaemonSet controller binds a Pod to one node."""
    terms = [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}]
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}


def _containers() -> dict[str, Any]:
    return {"containers": [{"name": "app", "image": "app:v1"}]}
