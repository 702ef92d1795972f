"""Changes of objects of which only the metadata are known: a ConfigMap, a Secret. managedFields show what changed."""

from typing import Any

from kspan.vocabulary import CHANGE_SUMMARY, FIELD_MANAGER
from tests.causality.cluster import Cluster, Thing
from tests.causality.drawing import CLUSTER, shows
from tests.recordings import fold

LEADER = "control-plane.alpha.kubernetes.io/leader"


def changes(c: Cluster) -> list[tuple[str, str, str]]:
    """Name, manager and summary of each change, in order."""
    rows = sorted(fold(CLUSTER, c.records)["spans"], key=lambda row: row["start_time"])
    return [(row["name"], _text(row, FIELD_MANAGER), _text(row, CHANGE_SUMMARY)) for row in rows]


def _text(row: dict[str, Any], key: str) -> str:
    return str(row["attributes"].get(key, ""))


def settings(c: Cluster, **data: str) -> Thing:
    thing = c.create("ConfigMap", "settings", by="kubectl-create", data=data)
    c.first_list()
    return thing


def test_a_key_that_somebody_else_had_is_named_when_it_changes() -> None:
    c = Cluster()
    thing = settings(c, mode="a", level="1")
    c.update(thing, by="kubectl-edit", data={"mode": "b"})
    assert changes(c) == [("ConfigMap.Update", "kubectl-edit", "data.mode changed")]
    shows(c, "ConfigMap.Update settings  by kubectl  [root]")


def test_keys_that_are_added_and_removed_are_named() -> None:
    c = Cluster()
    thing = settings(c, mode="a", level="1")
    c.update(thing, by="kubectl-patch", data={"app.yaml": "x"})
    c.wait(30)
    thing.raw["data"] = {"mode": "a", "level": "1", "app.yaml": "x"}
    c.remove_data(thing, "level")
    assert changes(c) == [
        ("ConfigMap.Update", "kubectl-patch", "data.app.yaml added"),
        ("ConfigMap.Update", "kubectl-create", "data.level removed"),
    ]


def test_of_the_keys_of_a_writer_who_had_them_before_one_changed_and_it_is_known_if_there_is_only_one() -> None:
    c = Cluster()
    thing = settings(c, mode="a", level="1")
    c.update(thing, by="kubectl-create", data={"level": "2"})
    c.wait(30)
    c.update(thing, by="kubectl-edit", data={"level": "3"})
    c.wait(30)
    c.update(thing, by="kubectl-edit", data={"level": "4"})
    assert [summary for *_, summary in changes(c)] == [
        "data changed (level or mode)",
        "data.level changed",
        "data.level changed",
    ]


def test_a_change_within_the_second_of_the_one_before_is_seen_because_nothing_else_can_have_changed() -> None:
    c = Cluster()
    thing = settings(c, mode="a")
    c.update(thing, by="kubectl-edit", data={"mode": "b"})
    c.touch(thing)
    assert changes(c) == [
        ("ConfigMap.Update", "kubectl-edit", "data.mode changed"),
        ("ConfigMap.Update", "kubectl-edit", "data.mode changed"),
    ]


def test_a_label_is_no_change_of_the_content_and_nobody_knows_what_a_writer_of_both_changed() -> None:
    c = Cluster()
    thing = settings(c, mode="a")
    c.label(thing, by="kubectl-label", tier="front")
    c.wait(30)
    c.label(thing, by="kubectl-create", tier="back")
    assert changes(c) == [
        ("ConfigMap.Update", "kubectl-create", "perhaps data.mode changed, labels.tier: front → back"),
    ]


def test_a_field_that_another_manager_has_as_well_did_not_change() -> None:
    c = Cluster()
    thing = settings(c, mode="a")
    own = thing.meta["managedFields"][0]
    thing.meta["managedFields"] = [own, own | {"manager": "argocd-controller", "operation": "Apply"}]
    c.touch(thing)
    assert changes(c) == []


def test_a_lock_of_a_leader_election_is_a_heartbeat_and_so_is_a_status_that_a_program_writes_again_and_again() -> None:
    c = Cluster()
    lock = c.create("ConfigMap", "lock", by="nginx", namespace="kube-system", data={"owner": "nginx"})
    status = c.create("ConfigMap", "cluster-autoscaler-status", by="cluster-autoscaler", data={"status": "a"})
    c.first_list()
    for number in range(6):
        c.annotate(lock, LEADER, f'{{"renewTime":"{number}"}}', by="nginx")
        c.update(status, by="cluster-autoscaler", data={"status": str(number)})
        c.wait(10)
    assert changes(c) == [("ConfigMap.Update", "cluster-autoscaler", "data.status changed")]


def test_a_person_who_writes_again_and_again_is_no_heartbeat() -> None:
    c = Cluster()
    thing = settings(c, mode="a")
    for number in range(3):
        c.update(thing, by="kubectl-edit", data={"mode": str(number)})
        c.wait(10)
    assert len(changes(c)) == 3


def test_the_certificate_authority_in_a_new_namespace_goes_back_to_the_namespace() -> None:
    c = Cluster()
    c.create("Namespace", "shop", by="kubectl-create")
    c.create("ConfigMap", "kube-root-ca.crt", data={"ca.crt": "x"})
    c.create("ServiceAccount", "default")
    shows(
        c,
        """
        Namespace.Create shop  by kubectl  [root]
          ConfigMap.Create kube-root-ca.crt  by kube-controller-manager  [place]
          ServiceAccount.Create default  by serviceaccount-controller  [place]
        """,
    )


def test_what_changed_while_nobody_watched_is_named_as_well() -> None:
    c = Cluster()
    thing = settings(c, mode="a", level="1")
    with c:
        c.update(thing, by="kubectl-edit", data={"mode": "b"})
        c.wait(300)
        c.update(thing, by="kubectl-patch", data={"app.yaml": "x"})
        c.wait(300)
    assert changes(c) == [("ConfigMap.Update", "kubectl-patch", "data.app.yaml added, data.mode changed")]


def test_the_first_change_by_the_program_that_created_an_object_is_no_heartbeat() -> None:
    c = Cluster()
    thing = c.create("Secret", "web-tls", by="cert-manager-certificates-issuing (apply)", data={"tls.crt": "a"})
    c.wait(20)
    c.update(thing, by="cert-manager-certificates-issuing (apply)", data={"tls.crt": "b"})
    assert [summary for *_, summary in changes(c)] == ["", "data.tls.crt changed"]


def test_an_object_with_a_generation_changed_only_if_that_grew() -> None:
    c = Cluster()
    hook = c.create("ValidatingWebhookConfiguration", "check", by="kubectl-create", size=1)
    c.first_list()
    c.label(hook, by="kubectl-create", tier="back")
    c.wait(30)
    c.update(hook, by="kubectl-create", size=2)
    assert changes(c) == [("ValidatingWebhookConfiguration.Update", "kubectl-create", "spec.size changed")]


def test_before_kubernetes_1_22_an_entry_with_the_status_says_nothing() -> None:
    c = Cluster()
    thing = c.create("Secret", "odd", by="kube-controller-manager", data={"a": "1"})
    thing.meta["managedFields"][0]["fieldsV1"]["f:status"] = {}
    c.first_list()
    c.update(thing, by="kube-controller-manager", data={"a": "2"})
    assert changes(c) == []
