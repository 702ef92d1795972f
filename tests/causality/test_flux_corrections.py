"""Traces of Flux: what it deletes, and what it corrects that somebody changed by hand.

A Kustomization reports all objects that it changed in one Event, and only if it changed some (apply, prune and finalize
of fluxcd/kustomize-controller internal/controller/kustomization_controller.go).
"""

import pytest

from tests.causality.actors import done
from tests.causality.cluster import Cluster, Thing
from tests.causality.drawing import shows
from tests.causality.flux import KUSTOMIZE, LABELS, ONE, TWO, begin, publish, succeed, watched


def with_settings() -> tuple[Cluster, Thing, Thing, Thing, Thing]:
    """As ``watched``, with a ConfigMap."""
    c, repo, apps, web = watched(listed=False)
    settings = c.create("ConfigMap", "settings", by=KUSTOMIZE, labels=dict(LABELS))
    c.first_list()
    return c, repo, apps, web, settings


@pytest.mark.parametrize("late", [0, 7])
def test_everything_that_is_pruned_is_below_the_event_that_lists_it(late: float) -> None:
    c, repo, apps, web, settings = with_settings()
    publish(c, repo, TWO)
    begin(c, apps, TWO)
    c.gone(settings)
    c.gone(web)
    message = "ConfigMap/shop/settings deleted\nDeployment/shop/web deleted"
    c.event(apps, "Progressing", message, by=KUSTOMIZE, revision=TWO, late=late)
    succeed(c, apps, TWO, drifted=False)
    shows(
        c,
        f"""
        GitRepository.Update repo  by kubectl  [root]
          Kustomization.Ready=Unknown apps  by kustomize-controller  [subject]
            Kustomization.Reconciling apps  by kustomize-controller  [own]
            Kustomization.Progressing apps  by kustomize-controller  [{"subject" if late else "own"}]
              ConfigMap.Delete settings  by kustomize-controller  [subject]
              Deployment.Delete web  by kustomize-controller  [subject]
            Kustomization.Ready apps  by kustomize-controller  [own]
            Kustomization.Reconciling=False apps  by kustomize-controller  [own]
            Kustomization.ReconciliationSucceeded apps  by kustomize-controller  [own]
        """,
    )


@pytest.mark.parametrize("workload", [True, False])
def test_what_is_deleted_with_a_kustomization_is_below_its_deletion(*, workload: bool) -> None:
    c, _, apps, web, settings = with_settings()
    c.delete(apps, finalizers=("finalizers.fluxcd.io",))
    c.gone(settings)
    message = "ConfigMap/shop/settings deleted"
    if workload:
        c.gone(web)
        message += "\nDeployment/shop/web deleted"
    c.event(apps, "ReconciliationSucceeded", message, by=KUSTOMIZE, revision=ONE)
    c.gone(apps)
    drawing = """
        Kustomization.Delete apps  by unknown  [root]
          Kustomization.ReconciliationSucceeded apps  by kustomize-controller  [own]
            ConfigMap.Delete settings  by kustomize-controller  [subject]
            Deployment.Delete web  by kustomize-controller  [subject]
    """
    shows(c, drawing if workload else "\n".join(line for line in drawing.split("\n") if "web" not in line))


def test_what_is_deleted_with_a_kustomization_probably_follows_from_its_deletion_without_an_event() -> None:
    c, _, apps, web, settings = with_settings()
    c.delete(apps, finalizers=("finalizers.fluxcd.io",))
    c.gone(settings)
    c.gone(web)
    c.gone(apps)
    shows(
        c,
        """
        Kustomization.Delete apps  by unknown  [root]
          ConfigMap.Delete settings  by unknown  [subject]
          Deployment.Delete web  by unknown  [subject]
        """,
    )


def corrected(c: Cluster, apps: Thing, *changed: str) -> None:
    c.event(apps, "Progressing", "\n".join(changed), by=KUSTOMIZE, revision=ONE)
    succeed(c, apps, ONE, drifted=False)


def test_what_is_deleted_by_hand_is_created_again_because_of_that() -> None:
    c, _, apps, _, settings = with_settings()
    c.gone(settings)
    c.wait(100)
    begin(c, apps, ONE)
    c.create("ConfigMap", "settings", by=KUSTOMIZE, labels=dict(LABELS))
    corrected(c, apps, "ConfigMap/shop/settings created")
    shows(
        c,
        """
        ConfigMap.Delete settings  by unknown  [root]

        Kustomization.Reconciling apps  by kustomize-controller  [root]
          Kustomization.Ready=Unknown apps  by kustomize-controller  [root]
          Kustomization.Ready apps  by kustomize-controller  [root]
          Kustomization.Reconciling=False apps  by kustomize-controller  [root]
          Kustomization.ReconciliationSucceeded apps  by kustomize-controller  [root]

        (continues ConfigMap.Delete settings trace)
        Kustomization.Progressing apps  by kustomize-controller  [own]
          ConfigMap.Create settings  by kustomize-controller  [subject]
        """,
    )


def test_what_is_scaled_by_hand_is_scaled_back_because_of_that() -> None:
    c, _, apps, web, _ = with_settings()
    c.update(web, by="kubectl", subresource="scale", replicas=3)
    done(c, web)
    c.wait(100)
    begin(c, apps, ONE)
    c.update(web, by=KUSTOMIZE, replicas=0)
    done(c, web)
    corrected(c, apps, "Deployment/shop/web configured")
    shows(
        c,
        """
        Deployment.Update web  by kubectl  [root]

        Kustomization.Ready=Unknown apps  by kustomize-controller  [root]
          Kustomization.Reconciling apps  by kustomize-controller  [root]
          Kustomization.Ready apps  by kustomize-controller  [root]
          Kustomization.Reconciling=False apps  by kustomize-controller  [root]
          Kustomization.ReconciliationSucceeded apps  by kustomize-controller  [root]

        (continues Deployment.Update web trace)
        Kustomization.Progressing apps  by kustomize-controller  [own]
          Deployment.Update web  by kustomize-controller  [subject]
        """,
    )


def test_a_correction_that_no_event_reports_follows_from_what_was_changed_by_hand() -> None:
    c, _, apps, web, _ = with_settings()
    c.update(web, by="kubectl-edit", image="app:v9")
    c.update(web, by=KUSTOMIZE, image="app:v1")
    done(c, web)
    assert apps.raw
    shows(
        c,
        """
        Deployment.Update web  by kubectl  [root]
          Deployment.Update web  by kustomize-controller  [own]
        """,
    )
