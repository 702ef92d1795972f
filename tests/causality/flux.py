"""Writes of the Flux controllers, in their order.

The statuses, messages and annotations are those of fluxcd/kustomize-controller
(internal/controller/kustomization_controller.go) and fluxcd/helm-controller (internal/reconcile).
"""

from typing import Any

from kspan.vocabulary import OUTCOME
from tests.causality.actors import done
from tests.causality.cluster import Cluster, Thing, second
from tests.causality.drawing import CLUSTER
from tests.recordings import fold

SOURCES, KUSTOMIZE, HELM = "source-controller", "kustomize-controller", "helm-controller"
ONE, TWO, THREE = (f"main@sha1:{digit * 8}" for digit in "123")
LABELS = {"kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"}
FAILED = "health check failed after 20s: timeout waiting for: [Deployment/shop/web status: 'InProgress']"


def outcomes(c: Cluster) -> list[tuple[str, str]]:
    """The name of the root, and the outcome, of each trace."""
    roots = [row for row in fold(CLUSTER, c.records)["spans"] if OUTCOME in row["attributes"]]
    roots.sort(key=lambda row: row["start_time"])
    return [(f"{row['name']} {row['object_name']}", row["attributes"][OUTCOME]) for row in roots]


def publish(c: Cluster, repo: Thing, revision: str, *, by: str = "kubectl-patch") -> None:
    """Somebody, or the source-controller, stores an artifact."""
    c.patch_status(repo, by=by, artifact={"revision": revision, "url": f"http://source/{revision}.tar.gz"})


def conditions(c: Cluster, apps: Thing, *changed: tuple[str, str, str, str]) -> list[dict[str, Any]]:
    old = {x["type"]: x for x in apps.raw["status"].get("conditions", [])}
    for kind, status, reason, message in changed:
        before = old.pop(kind, None)
        if not status:
            continue
        at = before["lastTransitionTime"] if before is not None and before["status"] == status else second(c.now)
        old[kind] = {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": at}
    return list(old.values())


def begin(c: Cluster, apps: Thing, revision: str) -> None:
    doing = f"manifests for revision {revision} with a timeout of 30s"
    ready = ("Ready", "Unknown", "Progressing", "Reconciliation in progress")
    found = conditions(c, apps, ready, ("Reconciling", "True", "Progressing", f"Fetching {doing}"))
    c.patch_status(apps, by=KUSTOMIZE, conditions=found)
    found = conditions(c, apps, ("Reconciling", "True", "Progressing", f"Building {doing}"))
    c.patch_status(apps, by=KUSTOMIZE, conditions=found, lastAttemptedRevision=revision)


def check(c: Cluster, apps: Thing, revision: str) -> None:
    doing = f"Running health checks for revision {revision} with a timeout of 20s"
    changed = (("Reconciling", "True", "Progressing", doing), ("Healthy", "Unknown", "Progressing", doing))
    c.patch_status(apps, by=KUSTOMIZE, conditions=conditions(c, apps, *changed))


def succeed(c: Cluster, apps: Thing, revision: str, *, drifted: bool = True) -> None:
    if drifted:
        c.event(apps, "Progressing", "Health check passed in 20.01s", by=KUSTOMIZE, revision=revision)
    healthy = ("Healthy", "True", "Succeeded", "Health check passed in 20.01s")
    c.patch_status(apps, by=KUSTOMIZE, conditions=conditions(c, apps, healthy))
    ready = ("Ready", "True", "ReconciliationSucceeded", f"Applied revision: {revision}")
    found = conditions(c, apps, ready, ("Reconciling", "", "", ""))
    c.patch_status(apps, by=KUSTOMIZE, conditions=found, lastAppliedRevision=revision)
    message = "Reconciliation finished in 20.2s, next run in 5m0s"
    c.event(apps, "ReconciliationSucceeded", message, by=KUSTOMIZE, revision=revision)


def fail(c: Cluster, apps: Thing, revision: str, reason: str = "HealthCheckFailed", message: str = FAILED) -> None:
    c.event(apps, reason, message, by=KUSTOMIZE, warning=True, revision=revision)
    changed = [("Ready", "False", reason, message), ("Reconciling", "True", "ProgressingWithRetry", message)]
    changed += [("Healthy", "False", reason, message)] if reason == "HealthCheckFailed" else []
    c.patch_status(apps, by=KUSTOMIZE, conditions=conditions(c, apps, *changed))


def apply(c: Cluster, apps: Thing, web: Thing, revision: str, image: str) -> None:
    c.update(web, by=KUSTOMIZE, image=image)
    c.event(apps, "Progressing", "Deployment/shop/web configured", by=KUSTOMIZE, revision=revision)
    done(c, web)


def watched(
    *, applied: str = ONE, source: str = "GitRepository", listed: bool = True
) -> tuple[Cluster, Thing, Thing, Thing]:
    """A source, a Kustomization that applied the first revision of it, and what it applied. ``listed``: the watch
    begins now."""
    c = Cluster()
    repo = c.create(source, "repo", by="kubectl-create", namespace="flux-system")
    reference = {"kind": source, "name": "repo"}
    apps = c.create("Kustomization", "apps", by="kubectl-create", namespace="flux-system", sourceRef=reference)
    web = c.create("Deployment", "web", by=KUSTOMIZE, labels=dict(LABELS), replicas=0)
    done(c, web)
    publish(c, repo, applied)
    begin(c, apps, applied)
    succeed(c, apps, applied)
    if listed:
        c.first_list()
    return c, repo, apps, web


def waits(c: Cluster, apps: Thing, revision: str, *, for_: str = "infra") -> None:
    """A Kustomization cannot apply a revision before the one on which it depends has (checkDependencies)."""
    message = "Dependencies do not meet ready condition, retrying in 30s"
    c.event(apps, "DependencyNotReady", message, by=KUSTOMIZE, revision=revision)
    problem = f"dependency 'flux-system/{for_}' revision is not up to date"
    found = conditions(c, apps, ("Ready", "False", "DependencyNotReady", problem))
    c.patch_status(apps, by=KUSTOMIZE, conditions=found)
