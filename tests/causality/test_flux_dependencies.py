"""Traces of Flux: a Kustomization that waits for another one is in the trace of the commit for which it waits."""

from tests.causality.cluster import Cluster, Thing
from tests.causality.drawing import shows
from tests.causality.flux import ONE, TWO, apply, begin, check, fail, outcomes, publish, succeed, waits, watched


def with_infra() -> tuple[Cluster, Thing, Thing, Thing, Thing]:
    """As ``watched``, with a Kustomization on which that of the application depends."""
    c, repo, apps, web = watched(listed=False)
    reference = {"kind": "GitRepository", "name": "repo"}
    infra = c.create("Kustomization", "infra", by="kubectl-create", namespace="flux-system", sourceRef=reference)
    begin(c, infra, ONE)
    succeed(c, infra, ONE)
    c.first_list()
    return c, repo, apps, infra, web


def applied(c: Cluster, infra: Thing) -> None:
    begin(c, infra, TWO)
    check(c, infra, TWO)
    c.wait(2)
    succeed(c, infra, TWO)


def test_what_waits_for_another_kustomization_is_in_the_trace_of_the_commit() -> None:
    c, repo, apps, infra, web = with_infra()
    publish(c, repo, TWO)
    waits(c, apps, TWO)
    applied(c, infra)
    c.wait(28)
    begin(c, apps, TWO)
    apply(c, apps, web, TWO, "app:v2")
    check(c, apps, TWO)
    c.wait(20)
    succeed(c, apps, TWO)
    shows(
        c,
        """
        GitRepository.Update repo  by kubectl  [root]
          Kustomization.DependencyNotReady apps  by kustomize-controller  [subject]
            Kustomization.Ready=False apps  by kustomize-controller  [own]
            Kustomization.Ready=Unknown apps  by kustomize-controller  [own]
            Kustomization.Reconciling apps  by kustomize-controller  [own]
            Kustomization.Progressing apps  by kustomize-controller  [own]
              Deployment.Update web  by kustomize-controller  [subject]
            Kustomization.Healthy=Unknown apps  by kustomize-controller  [own]
            Kustomization.Progressing apps  by kustomize-controller  [own]
            Kustomization.Healthy apps  by kustomize-controller  [own]
            Kustomization.Ready apps  by kustomize-controller  [own]
            Kustomization.Reconciling=False apps  by kustomize-controller  [own]
            Kustomization.ReconciliationSucceeded apps  by kustomize-controller  [own]
          Kustomization.Ready=Unknown infra  by kustomize-controller  [subject]
            Kustomization.Reconciling infra  by kustomize-controller  [own]
            Kustomization.Healthy=Unknown infra  by kustomize-controller  [own]
            Kustomization.Progressing infra  by kustomize-controller  [own]
            Kustomization.Healthy infra  by kustomize-controller  [own]
            Kustomization.Ready infra  by kustomize-controller  [own]
            Kustomization.Reconciling=False infra  by kustomize-controller  [own]
            Kustomization.ReconciliationSucceeded infra  by kustomize-controller  [own]
        """,
    )


def test_a_commit_fails_that_a_waiting_kustomization_cannot_build() -> None:
    c, repo, apps, infra, _ = with_infra()
    publish(c, repo, TWO)
    waits(c, apps, TWO)
    applied(c, infra)
    c.wait(28)
    begin(c, apps, TWO)
    fail(c, apps, TWO, "BuildFailed", "kustomize build failed: accumulating resources")
    assert outcomes(c) == [("GitRepository.Update repo", "failing")]


def test_what_is_applied_after_a_trace_has_waited_too_long_is_one_continuation() -> None:
    c, repo, apps, infra, web = with_infra()
    publish(c, repo, TWO)
    waits(c, apps, TWO)
    c.wait(1000)
    applied(c, infra)
    begin(c, apps, TWO)
    apply(c, apps, web, TWO, "app:v2")
    succeed(c, apps, TWO)
    assert outcomes(c) == [
        ("GitRepository.Update repo", "incomplete"),
        ("Kustomization.Ready=Unknown infra", "ok"),
        ("Kustomization.Ready=Unknown apps", "ok"),
    ]


def test_a_suspended_kustomization_does_not_wait() -> None:
    c, repo, apps, _, _ = with_infra()
    publish(c, repo, TWO)
    waits(c, apps, TWO)
    c.update(apps, by="flux", suspend=True)
    assert [outcome for _, outcome in outcomes(c)] == ["ok", "ok"]


def test_waiting_again_for_a_revision_that_was_applied_before_is_routine() -> None:
    c, repo, apps, infra, _ = with_infra()
    publish(c, repo, TWO)
    applied(c, infra)
    applied(c, apps)
    c.wait(300)
    for _ in range(3):
        waits(c, apps, TWO)
        c.wait(30)
        applied(c, apps)
        c.wait(300)
    commit, quiet = "GitRepository.Update repo", "Kustomization.DependencyNotReady apps"
    assert outcomes(c) == [(commit, "ok"), (quiet, "ok")]
