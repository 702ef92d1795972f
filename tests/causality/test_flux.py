"""Traces of Flux: everything that is done for a revision, until it is healthy or not, is in the trace of the commit."""

from typing import Any

import pytest

from tests.causality.actors import done
from tests.causality.cluster import Cluster
from tests.causality.drawing import shows
from tests.causality.flux import (
    HELM,
    KUSTOMIZE,
    LABELS,
    ONE,
    SOURCES,
    THREE,
    TWO,
    apply,
    begin,
    check,
    conditions,
    fail,
    outcomes,
    publish,
    succeed,
    watched,
)


def test_a_commit_is_the_root_of_all_that_is_done_for_it_until_it_is_healthy() -> None:
    c, repo, apps, web = watched()
    publish(c, repo, TWO)
    begin(c, apps, TWO)
    c.create("ConfigMap", "settings", by=KUSTOMIZE, labels=dict(LABELS))
    apply(c, apps, web, TWO, "app:v2")
    check(c, apps, TWO)
    c.wait(20)
    succeed(c, apps, TWO)
    shows(
        c,
        """
        GitRepository.Update repo  by kubectl  [root]
          Kustomization.Ready=Unknown apps  by kustomize-controller  [subject]
            Kustomization.Reconciling apps  by kustomize-controller  [own]
            ConfigMap.Create settings  by kustomize-controller  [subject]
            Kustomization.Progressing apps  by kustomize-controller  [own]
              Deployment.Update web  by kustomize-controller  [subject]
            Kustomization.Healthy=Unknown apps  by kustomize-controller  [own]
            Kustomization.Progressing apps  by kustomize-controller  [own]
            Kustomization.Healthy apps  by kustomize-controller  [own]
            Kustomization.Ready apps  by kustomize-controller  [own]
            Kustomization.Reconciling=False apps  by kustomize-controller  [own]
            Kustomization.ReconciliationSucceeded apps  by kustomize-controller  [own]
        """,
    )


def test_a_bad_commit_is_failing_and_its_health_check_is_in_its_trace() -> None:
    c, repo, apps, web = watched()
    publish(c, repo, TWO)
    begin(c, apps, TWO)
    apply(c, apps, web, TWO, "app:broken")
    check(c, apps, TWO)
    c.wait(20)
    fail(c, apps, TWO)
    assert outcomes(c) == [("GitRepository.Update repo", "failing")]
    shows(
        c,
        """
        (failing)
        GitRepository.Update repo  by kubectl  [root] error
          Kustomization.Ready=Unknown apps  by kustomize-controller  [subject]
            Kustomization.Reconciling apps  by kustomize-controller  [own]
            Kustomization.Progressing apps  by kustomize-controller  [own]
              Deployment.Update web  by kustomize-controller  [subject]
            Kustomization.Healthy=Unknown apps  by kustomize-controller  [own]
            Kustomization.HealthCheckFailed apps  by kustomize-controller  [own] error
            Kustomization.Healthy=False apps  by kustomize-controller  [own] error
            Kustomization.Ready=False apps  by kustomize-controller  [own] error
        """,
    )


def test_a_commit_that_cannot_be_built_is_failing_until_the_next_one() -> None:
    c, repo, apps, web = watched()
    publish(c, repo, TWO)
    begin(c, apps, TWO)
    fail(c, apps, TWO, "BuildFailed", "kustomize build failed: accumulating resources")
    c.wait(100)
    publish(c, repo, THREE)
    begin(c, apps, THREE)
    apply(c, apps, web, THREE, "app:v3")
    check(c, apps, THREE)
    c.wait(20)
    succeed(c, apps, THREE)
    assert outcomes(c) == [("GitRepository.Update repo", "failing"), ("GitRepository.Update repo", "ok")]


def test_the_next_commit_supersedes_the_retries_of_a_bad_one() -> None:
    c, repo, apps, web = watched()
    publish(c, repo, TWO)
    for _ in range(3):
        begin(c, apps, TWO)
        check(c, apps, TWO)
        c.wait(20)
        fail(c, apps, TWO)
        c.wait(70)
    publish(c, repo, THREE)
    begin(c, apps, THREE)
    apply(c, apps, web, THREE, "app:v3")
    succeed(c, apps, THREE)
    retry = "Kustomization.Ready=Unknown apps"
    commit = "GitRepository.Update repo"
    assert outcomes(c) == [(commit, "failing"), (retry, "failing"), (retry, "superseded"), (commit, "ok")]


def test_a_retry_that_succeeds_recovers() -> None:
    c, repo, apps, _ = watched()
    publish(c, repo, TWO)
    begin(c, apps, TWO)
    check(c, apps, TWO)
    c.wait(20)
    fail(c, apps, TWO)
    c.wait(120)
    begin(c, apps, TWO)
    check(c, apps, TWO)
    c.wait(5)
    succeed(c, apps, TWO)
    assert [outcome for _, outcome in outcomes(c)][:2] == ["failing", "recovered"]


def test_commits_that_overlap_are_told_apart_by_their_revisions() -> None:
    c, repo, apps, web = watched()
    publish(c, repo, TWO)
    begin(c, apps, TWO)
    apply(c, apps, web, TWO, "app:v2")
    check(c, apps, TWO)
    c.wait(5)
    publish(c, repo, THREE)
    c.wait(5)
    succeed(c, apps, TWO)
    begin(c, apps, THREE)
    apply(c, apps, web, THREE, "app:v3")
    check(c, apps, THREE)
    c.wait(5)
    succeed(c, apps, THREE)
    shows(
        c,
        """
        GitRepository.Update repo  by kubectl  [root]
          Kustomization.Ready=Unknown apps  by kustomize-controller  [subject]
            Kustomization.Reconciling apps  by kustomize-controller  [own]
            Kustomization.Progressing apps  by kustomize-controller  [own]
              Deployment.Update web  by kustomize-controller  [subject]
            Kustomization.Healthy=Unknown apps  by kustomize-controller  [own]
            Kustomization.Progressing apps  by kustomize-controller  [own]
            Kustomization.Healthy apps  by kustomize-controller  [own]
            Kustomization.Ready apps  by kustomize-controller  [own]
            Kustomization.Reconciling=False apps  by kustomize-controller  [own]
            Kustomization.ReconciliationSucceeded apps  by kustomize-controller  [own]

        GitRepository.Update repo  by kubectl  [root]
          Kustomization.Ready=Unknown apps  by kustomize-controller  [subject]
            Kustomization.Reconciling apps  by kustomize-controller  [own]
            Kustomization.Progressing apps  by kustomize-controller  [own]
              Deployment.Update web  by kustomize-controller  [subject]
            Kustomization.Healthy=Unknown apps  by kustomize-controller  [own]
            Kustomization.Progressing apps  by kustomize-controller  [own]
            Kustomization.Healthy apps  by kustomize-controller  [own]
            Kustomization.Ready apps  by kustomize-controller  [own]
            Kustomization.Reconciling=False apps  by kustomize-controller  [own]
            Kustomization.ReconciliationSucceeded apps  by kustomize-controller  [own]
        """,
    )


def test_a_commit_whose_source_is_not_watched_begins_with_the_first_that_is_done_for_it() -> None:
    c, _, apps, web = watched()
    begin(c, apps, TWO)
    apply(c, apps, web, TWO, "app:v2")
    check(c, apps, TWO)
    c.wait(20)
    fail(c, apps, TWO)
    c.wait(300)
    begin(c, apps, THREE)
    apply(c, apps, web, THREE, "app:v3")
    check(c, apps, THREE)
    c.wait(20)
    succeed(c, apps, THREE)
    shows(
        c,
        """
        (failing)
        Kustomization.Ready=Unknown apps  by kustomize-controller  [root] error
          Kustomization.Reconciling apps  by kustomize-controller  [own]
          Kustomization.Progressing apps  by kustomize-controller  [own]
            Deployment.Update web  by kustomize-controller  [subject]
          Kustomization.Healthy=Unknown apps  by kustomize-controller  [own]
          Kustomization.HealthCheckFailed apps  by kustomize-controller  [own] error
          Kustomization.Healthy=False apps  by kustomize-controller  [own] error
          Kustomization.Ready=False apps  by kustomize-controller  [own] error

        Kustomization.Ready=Unknown apps  by kustomize-controller  [root]
          Kustomization.Progressing apps  by kustomize-controller  [own]
            Deployment.Update web  by kustomize-controller  [subject]
          Kustomization.Healthy=Unknown apps  by kustomize-controller  [own]
          Kustomization.Progressing apps  by kustomize-controller  [own]
          Kustomization.Healthy apps  by kustomize-controller  [own]
          Kustomization.Ready apps  by kustomize-controller  [own]
          Kustomization.Reconciling=False apps  by kustomize-controller  [own]
          Kustomization.ReconciliationSucceeded apps  by kustomize-controller  [own]
        """,
    )


def test_reconciliations_that_apply_nothing_new_are_one_quiet_trace() -> None:
    c, _, apps, _ = watched()
    for _ in range(12):
        begin(c, apps, ONE)
        check(c, apps, ONE)
        c.wait(1)
        succeed(c, apps, ONE, drifted=False)
        c.wait(300)
    shows(
        c,
        """
        Kustomization.Reconciling apps  by kustomize-controller  [root] +11
          Kustomization.Ready=Unknown apps  by kustomize-controller  [root] +11
          Kustomization.Healthy=Unknown apps  by kustomize-controller  [root] +11
          Kustomization.Healthy apps  by kustomize-controller  [root] +11
          Kustomization.Ready apps  by kustomize-controller  [root] +11
          Kustomization.Reconciling=False apps  by kustomize-controller  [root] +11
          Kustomization.ReconciliationSucceeded apps  by kustomize-controller  [root] +11
        """,
    )


def test_what_a_new_kustomization_does_goes_back_to_its_creation() -> None:
    c, *_ = watched()
    reference = {"kind": "GitRepository", "name": "repo"}
    more = c.create("Kustomization", "more", by="kubectl-create", namespace="flux-system", sourceRef=reference)
    begin(c, more, ONE)
    check(c, more, ONE)
    c.wait(20)
    fail(c, more, ONE)
    assert outcomes(c) == [("Kustomization.Create more", "failing")]


def test_a_change_of_the_kustomization_is_the_cause_of_what_is_done_for_the_same_revision() -> None:
    c, _, apps, web = watched()
    c.wait(60)
    c.update(apps, by="kubectl-edit", path="./other")
    begin(c, apps, ONE)
    apply(c, apps, web, ONE, "app:v2")
    succeed(c, apps, ONE)
    assert outcomes(c) == [("Kustomization.Update apps", "ok")]


def test_what_is_changed_by_hand_is_the_cause_of_its_correction() -> None:
    c, repo, apps, web = watched()
    publish(c, repo, TWO)
    begin(c, apps, TWO)
    apply(c, apps, web, TWO, "app:v2")
    succeed(c, apps, TWO)
    c.wait(120)
    c.update(web, by="kubectl-edit", image="app:v9")
    done(c, web)
    c.wait(100)
    begin(c, apps, TWO)
    apply(c, apps, web, TWO, "app:v2")
    succeed(c, apps, TWO)
    shows(
        c,
        """
        GitRepository.Update repo  by kubectl  [root]
          Kustomization.Ready=Unknown apps  by kustomize-controller  [subject]
            Kustomization.Reconciling apps  by kustomize-controller  [own]
            Kustomization.Progressing apps  by kustomize-controller  [own]
              Deployment.Update web  by kustomize-controller  [subject]
            Kustomization.Progressing apps  by kustomize-controller  [own]
            Kustomization.Ready apps  by kustomize-controller  [own]
            Kustomization.Reconciling=False apps  by kustomize-controller  [own]
            Kustomization.ReconciliationSucceeded apps  by kustomize-controller  [own]

        Deployment.Update web  by kubectl  [root]

        Kustomization.Reconciling apps  by kustomize-controller  [root]
          Kustomization.Ready=Unknown apps  by kustomize-controller  [root]
          Kustomization.Progressing apps  by kustomize-controller  [root]
          Kustomization.Ready apps  by kustomize-controller  [root]
          Kustomization.Reconciling=False apps  by kustomize-controller  [root]
          Kustomization.ReconciliationSucceeded apps  by kustomize-controller  [root]

        (continues Deployment.Update web trace)
        Kustomization.Progressing apps  by kustomize-controller  [own]
          Deployment.Update web  by kustomize-controller  [subject]
        """,
    )


@pytest.mark.parametrize("source", ["OCIRepository", "Bucket"])
def test_an_artifact_of_any_source_is_a_commit(source: str) -> None:
    c, repo, apps, web = watched(applied="latest@sha256:1111", source=source)
    publish(c, repo, "latest@sha256:2222", by=SOURCES)
    c.condition(repo, "Ready", "True", reason="Succeeded", by=SOURCES)
    begin(c, apps, "latest@sha256:2222")
    apply(c, apps, web, "latest@sha256:2222", "app:v2")
    check(c, apps, "latest@sha256:2222")
    c.wait(20)
    fail(c, apps, "latest@sha256:2222")
    assert outcomes(c) == [(f"{source}.Update repo", "failing")]


@pytest.mark.parametrize("order, revision", [("before", TWO), ("before", ""), ("after", "")])
def test_the_status_of_a_source_is_below_the_event_that_reports_it(order: str, revision: str) -> None:
    c, repo, apps, web = watched()
    if order == "after":
        publish(c, repo, TWO, by=SOURCES)
    c.event(repo, "NewArtifact", "stored artifact for commit 'change image'", by=SOURCES, revision=revision)
    if order == "before":
        publish(c, repo, TWO, by=SOURCES)
    begin(c, apps, TWO)
    apply(c, apps, web, TWO, "app:v2")
    succeed(c, apps, TWO)
    shows(
        c,
        """
        GitRepository.NewArtifact repo  by source-controller  [root]
          GitRepository.Update repo  by source-controller  [own]
            Kustomization.Ready=Unknown apps  by kustomize-controller  [subject]
              Kustomization.Reconciling apps  by kustomize-controller  [own]
              Kustomization.Progressing apps  by kustomize-controller  [own]
                Deployment.Update web  by kustomize-controller  [subject]
              Kustomization.Progressing apps  by kustomize-controller  [own]
              Kustomization.Ready apps  by kustomize-controller  [own]
              Kustomization.Reconciling=False apps  by kustomize-controller  [own]
              Kustomization.ReconciliationSucceeded apps  by kustomize-controller  [own]
        """,
    )


def test_an_event_about_an_artifact_that_was_stored_before_is_the_root_as_well() -> None:
    c, repo, apps, web = watched()
    publish(c, repo, TWO, by=SOURCES)
    c.event(repo, "NewArtifact", "stored artifact for commit 'change image'", by=SOURCES, revision=TWO)
    begin(c, apps, TWO)
    apply(c, apps, web, TWO, "app:v2")
    succeed(c, apps, TWO)
    assert outcomes(c) == [("GitRepository.NewArtifact repo", "ok")]


@pytest.mark.parametrize(
    "kind, name, published, applied",
    [
        ("HelmChart", "store", "6.5.{}", "6.5.{}"),
        ("HelmChart", "shop-store", "6.5.{}", "6.5.{}"),
        ("OCIRepository", "store", "6.5.{}@sha256:0a1b2c3d4e5f", "6.5.{}+0a1b2c3d4e5f"),
    ],
    ids=["chart", "chart of a template", "OCI"],
)
def test_a_release_belongs_to_the_version_of_its_chart(kind: str, name: str, published: str, applied: str) -> None:
    c = Cluster()
    chart = c.create(kind, name, by="helm-controller", namespace="flux-system", chart="podinfo")
    reference = {"kind": kind, "name": name, "namespace": "flux-system"}
    spec: dict[str, Any] = {"chartRef": reference} if name == "store" else {"chart": {"spec": {"chart": "podinfo"}}}
    store = c.create("HelmRelease", "store", by="kubectl-create", **spec)
    c.patch_status(chart, by=SOURCES, artifact={"revision": published.format(3)})
    c.patch_status(store, by=HELM, lastAttemptedRevision=applied.format(3), conditions=[])
    c.first_list()
    c.patch_status(chart, by=SOURCES, artifact={"revision": published.format(4)})
    c.patch_status(
        store,
        by=HELM,
        lastAttemptedRevision=applied.format(4),
        conditions=conditions(
            c,
            store,
            ("Ready", "Unknown", "Progressing", "Running 'upgrade' action with timeout of 5m0s"),
            ("Reconciling", "True", "Progressing", "Running 'upgrade' action with timeout of 5m0s"),
        ),
    )
    c.wait(30)
    message = "Helm upgrade failed for release shop/store with chart podinfo@6.5.4: context deadline exceeded"
    c.event(store, "UpgradeFailed", message, by=HELM, warning=True, revision=applied.format(4))
    stalled = (("Ready", "False", "UpgradeFailed", message), ("Reconciling", "", "", ""))
    c.patch_status(store, by=HELM, conditions=conditions(c, store, *stalled))
    assert outcomes(c) == [(f"{kind}.Update {name}", "failing")]
