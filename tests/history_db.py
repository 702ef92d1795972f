"""Databases with the history of all recordings, each recording as a cluster of its own."""

from kspan.graph import built_in_rules
from kspan.ingest import read_frames
from kspan.ingest.journal_builder import JournalBatch
from kspan.pipeline.projector import Projector
from kspan.pipeline.replay import replay
from kspan.store import Store, open_store
from tests.causality.actors import done, kill, new_pod, new_replicas, rolled_out, run, running
from tests.causality.cluster import MANAGER, Cluster, Thing
from tests.recordings import SCENARIOS, recording

DRAIN = "drain"
"""The cluster of a made-up history: no recording of the repository has an eviction."""

EVICTIONS = "evictions"
"""Another: a taint evicts five Pods, a lost Node two. The Events about two of the five were lost."""

JOBS = "jobs"
"""Another: two Jobs of one owner fail, the first at once, the second at its third try."""

CONFIGURED = "configured"
"""Another one: ConfigMaps and a Service are changed, and then a Pod fails."""


def fill(url: str) -> None:
    """Replays every recording; the cluster is named as the recording. Some traces are marked as emitted."""
    with open_store(url) as store:
        for scenario in SCENARIOS:
            replay(store, read_frames([str(recording(scenario))]), built_in_rules(), cluster=scenario)
        _drain(store)
        _evictions(store)
        _jobs(store)
        _configured(store)
        first, second, *_ = store.unemitted_traces("02-rolling-update", "otlp", 100)
        store.mark_emitted("02-rolling-update", "otlp", [first.trace_id], first.closed_at)
        store.mark_failed("02-rolling-update", "otlp", [second.trace_id], second.closed_at, "too large", rejected=True)


def _drain(store: Store) -> None:
    """Somebody drains node-a: two Pods are evicted and come up on node-b."""
    c = Cluster()
    node = c.condition(c.create("Node", "node-a", by="kubelet"), "Ready", "True", by="kubelet")
    _, rs, pods = rolled_out(c, "web", 2)
    c.first_list()
    c.update(node, by="kubectl", unschedulable=True)
    for number, pod in enumerate(pods):
        c.condition(pod, "DisruptionTarget", "True", reason="EvictionByEvictionAPI", message="", by=MANAGER)
        kill(c, pod)
        run(c, new_pod(c, rs, f"web-1-new-{number}"), "node-b")
    _store(store, DRAIN, c)


def _evictions(store: Store) -> None:
    c = Cluster()
    nodes = {
        name: c.condition(c.create("Node", name, by="kubelet"), "Ready", "True", by="kubelet")
        for name in ("node-a", "node-b", "node-c")
    }
    web = c.apply("Deployment", "web", replicas=7)
    rs = new_replicas(c, web, "web-1", 7)
    pods = [new_pod(c, rs, f"web-1-{letter}") for letter in "abcdefg"]
    for number, pod in enumerate(pods):
        run(c, pod, "node-a" if number < 5 else "node-b")
    done(c, rs, web)
    c.first_list()
    c.update(nodes["node-a"], by="kubectl-taint", taints=[{"key": "gone", "effect": "NoExecute"}])
    for number, pod in enumerate(pods[:5]):
        _evict(c, pod, reported=number < 3)
        run(c, new_pod(c, rs, f"web-1-new-{number}"), "node-c")
        c.gone(pod)
    c.wait(60)
    c.condition(nodes["node-b"], "Ready", "Unknown", reason="NodeStatusUnknown")
    lost = {"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"}
    c.event(nodes["node-b"], "NodeNotReady", "Node node-b status is now: NodeNotReady", by="node-controller")
    c.update(nodes["node-b"], by=MANAGER, taints=[lost])
    c.wait(300)
    for number, pod in enumerate(pods[5:], 5):
        _evict(c, pod)
        run(c, new_pod(c, rs, f"web-1-new-{number}"), "node-c")
    _store(store, EVICTIONS, c)


def _evict(c: Cluster, pod: Thing, *, reported: bool = True) -> None:
    if reported:
        message = f"Marking for deletion Pod shop/{pod.name}"
        c.event(pod, "TaintManagerEviction", message, by="taint-eviction-controller", uid="")
    c.condition(pod, "DisruptionTarget", "True", reason="DeletionByTaintManager")
    c.delete(pod, grace=30)


def _jobs(store: Store) -> None:
    c = Cluster()
    owner = c.apply("Widget", "nightly")
    for name, tries in (("one", 1), ("two", 3)):
        job = c.create("Job", name, owner=owner, by="widget-controller")
        for number in range(tries):
            pod = new_pod(c, job, f"{name}-{number}")
            run(c, pod)
            running(c, pod, "Failed")
        # Between two of its deltas, an Event happened 24 times.
        c.repeat(c.event(pod, "Unhealthy", "odd", by="kubelet", host="node-a", warning=True), count=25)
        c.condition(job, "Failed", "True", reason="BackoffLimitExceeded", message="reached its limit")
    _store(store, JOBS, c)


def _configured(store: Store) -> None:
    """A person changes a ConfigMap, Flux another, Helm a Service; two minutes later a Pod fails."""
    c = Cluster()
    apps = c.create("Kustomization", "apps", by="kustomize-controller", namespace="flux-system")
    flux = {"kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"}
    _, _, (pod,) = rolled_out(c, "web")
    old = c.create("ConfigMap", "old", by="kubectl-create", data={"mode": "a"})
    settings = c.create("ConfigMap", "settings", by="kubectl-create", data={"app.yaml": "a", "mode": "a"})
    routes = c.create("ConfigMap", "routes", by="kustomize-controller (apply)", labels=flux, data={"routes": "a"})
    service = c.create("Service", "web", by="helm", port=80)
    c.first_list()
    c.update(old, by="kubectl-edit", data={"mode": "b"})
    c.wait(600)
    c.update(settings, by="kubectl-edit", data={"mode": "b"})
    c.wait(30)
    c.event(apps, "Progressing", "ConfigMap/shop/routes configured", by="kustomize-controller")
    c.update(routes, by="kustomize-controller (apply)", data={"routes": "b"})
    c.wait(30)
    c.update(service, by="helm", port=8080)
    c.create("Namespace", "other", by="kubectl-create")
    c.create("ConfigMap", "kube-root-ca.crt", namespace="other", data={"ca.crt": "x"})
    c.wait(120)
    c.event(pod, "Unhealthy", "Readiness probe failed", by="kubelet", seen=pod.version, warning=True)
    _store(store, CONFIGURED, c)


def _store(store: Store, name: str, c: Cluster) -> None:
    c.receive_all()
    projector = Projector(store, name, built_in_rules())
    projector.add(JournalBatch([record]) for record in c.records)
    projector.flush()
    projector.run_out()
