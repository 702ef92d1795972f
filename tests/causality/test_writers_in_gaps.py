"""Who changed or created an object while nobody watched, and when: the manager that owns the fields that changed."""

from typing import Any

import pytest

from kspan.times import SECOND
from kspan.vocabulary import FIELD_MANAGER, PROBABLE_MANAGER
from tests.causality.actors import done, settled
from tests.causality.cluster import MANAGER, Cluster, Thing
from tests.causality.drawing import CLUSTER
from tests.recordings import fold


def changes(c: Cluster, thing: Thing, verb: str = "Update") -> list[tuple[str, bool, str]]:
    """(field manager, whether that is only probable, summary) of each change of an object."""
    c.receive_all()
    rows = [r for r in fold(CLUSTER, c.records)["spans"] if (r["object_uid"], r["reason"]) == (thing.meta["uid"], verb)]
    found: list[dict[str, Any]] = sorted(rows, key=lambda r: r["start_time"])
    return [
        (
            r["attributes"].get(FIELD_MANAGER, ""),
            r["attributes"].get(PROBABLE_MANAGER, False),
            r["attributes"].get("kspan.change.summary", ""),
        )
        for r in found
    ]


def write(c: Cluster, thing: Thing, by: str, **more: Any) -> None:
    """A write that takes the fields from the other managers."""
    names = {"f:template" if name == "image" else f"f:{name}" for name in more if name != "subresource"}
    c._forget(thing, "f:spec", names, except_of=by)
    c.update(thing, by=by, **more)
    c.wait(60)


def test_a_change_in_a_gap_is_by_the_manager_of_its_field_not_by_the_newest() -> None:
    """The rollout is undone: its image is the same in both versions."""
    c, web, _, _ = settled("web", 3)
    with c:
        write(c, web, "argocd-controller", replicas=2)
        write(c, web, "kubectl-set", image="app:v2")
        write(c, web, "kubectl-rollout", image="app:v1")
    assert changes(c, web) == [("argocd-controller", False, "replicas: 3 → 2")]


def test_a_change_in_a_gap_has_the_time_of_the_entry_that_has_its_field() -> None:
    c, web, _, _ = settled("web", 3)
    with c:
        write(c, web, "helm", replicas=2)
        written = c.now - 60 * SECOND
        c.label(web, team="blue")
    (row,) = [r for r in fold(CLUSTER, c.records)["spans"] if r["reason"] == "Update"]
    assert row["service"] == "helm"
    assert abs(row["start_time"] - written) <= SECOND


def test_fields_of_two_writers_in_a_gap_are_probably_by_the_newest() -> None:
    c, web, _, _ = settled("web", 3)
    with c:
        write(c, web, "helm", image="app:v2")
        write(c, web, "kubectl-edit", replicas=2)
    assert changes(c, web) == [("kubectl-edit", True, "replicas: 3 → 2, app.image: app:v1 → app:v2")]


def test_fields_of_a_person_and_of_a_controller_in_a_gap_are_probably_by_the_person() -> None:
    c = Cluster()
    node = c.create("Node", "node-a", by="kubelet")
    c.first_list()
    with c:
        c.update(node, by="kubectl-cordon", unschedulable=True)
        c.wait(5)
        c.update(
            node, by="kube-controller-manager", taints=[{"key": "node.kubernetes.io/unschedulable", "effect": "x"}]
        )
    ((manager, probable, _),) = changes(c, node)
    assert (manager, probable) == ("kubectl-cordon", True)


def test_a_label_that_is_set_in_a_gap_does_not_make_its_writer_the_author_of_a_removal() -> None:
    """Who removed the field is probably who had it."""
    c, web, _, _ = settled("web")
    c.update(web, by="kubectl-rollout", paused=True)
    c.wait(60)
    with c:
        c.remove(web, "paused")
        c.wait(60)
        c.label(web, by="helm", team="blue")
    assert changes(c, web)[1:] == [("kubectl-rollout", True, "paused removed, labels.team: blue")]


@pytest.mark.parametrize("applied_by, expected", [("kubectl-client-side-apply", "kubectl"), ("argocd-controller", "")])
def test_an_object_scaled_to_zero_in_a_gap_was_not_scaled_by_who_labelled_it(applied_by: str, expected: str) -> None:
    c, web, _, _ = settled("web", 2, by=applied_by)
    with c:
        c.remove(web, replicas=0)
        c.wait(60)
        c.label(web, by="helm", team="blue")
        done(c, web)
    ((manager, probable, _),) = changes(c, web)
    assert (manager, probable) == (expected, bool(expected))


def test_an_object_created_in_a_gap_was_not_created_by_who_changed_it_later() -> None:
    c = Cluster()
    c.apply("Deployment", "other")
    c.first_list()
    with c:
        web = c.create("Deployment", "web", by="helm", replicas=2)
        c.wait(60)
        write(c, web, "helm", image="app:v2")
        write(c, web, "kubectl-edit", replicas=3)
    assert changes(c, web, "Create") == [("", False, "")]


def test_an_object_created_in_a_gap_was_created_by_the_manager_whose_entry_is_as_old() -> None:
    c = Cluster()
    c.apply("Deployment", "other")
    c.first_list()
    with c:
        web = c.create("Deployment", "web", by="helm", replicas=2)
        c.wait(60)
        write(c, web, "kubectl-edit", replicas=3)
    assert changes(c, web, "Create") == [("helm", False, "")]


@pytest.mark.parametrize("by_stateful_set", [True, False])
def test_a_claim_was_not_created_by_the_controller_that_bound_it_in_the_same_second(by_stateful_set: bool) -> None:
    """A StatefulSet's claim was: its controller has the access modes, which never change."""
    c = Cluster()
    c.apply("PersistentVolumeClaim", "other")
    c.first_list()
    with c:
        creator = MANAGER if by_stateful_set else "kubectl-client-side-apply"
        claim = c.create("PersistentVolumeClaim", "data", by=creator, accessModes=["ReadWriteOnce"])
        c.update(claim, by=MANAGER, volumeName="pv-1")
        c.wait(60)
        c.update(claim, by="kubectl-client-side-apply", resources={"requests": {"storage": "1Gi"}})
    assert changes(c, claim, "Create") == [(MANAGER if by_stateful_set else "", False, "")]
