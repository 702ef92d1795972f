"""Databases with the history of all recordings, each recording as a cluster of its own."""

from kspan.graph import built_in_rules
from kspan.ingest import read_frames
from kspan.ingest.journal_builder import JournalBatch
from kspan.pipeline.projector import Projector
from kspan.pipeline.replay import replay
from kspan.store import Store, open_store
from tests.causality.actors import kill, new_pod, rolled_out, run
from tests.causality.cluster import MANAGER, Cluster
from tests.recordings import SCENARIOS, recording

DRAIN = "drain"
"""The cluster of a made-up history: no recording of the repository has an eviction."""

CONFIGURED = "configured"
"""Another one: ConfigMaps and a Service are changed, and then a Pod fails."""


def fill(url: str) -> None:
    """Replays every recording; the cluster is named as the recording. Some traces are marked as emitted."""
    with open_store(url) as store:
        for scenario in SCENARIOS:
            replay(store, read_frames([str(recording(scenario))]), built_in_rules(), cluster=scenario)
        _drain(store)
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
