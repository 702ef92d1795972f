"""The owners and dependents of an object at a time, on both databases."""

from typing import Any, Final

import pytest

from kspan.graph import built_in_rules
from kspan.ingest.journal_builder import JournalBatch
from kspan.model import ObjectRow
from kspan.pipeline.projector import Projector
from kspan.query.objects import family as module
from kspan.query.objects.family import LISTED, SHOWN, Family, family_of
from kspan.query.objects.find import find
from kspan.query.objects.names import parse_object
from kspan.query.objects.status import Tone
from kspan.query.objects.versions import first_after, newest_versions
from kspan.query.visible import EVERYTHING, Visible
from kspan.store import Store
from kspan.times import LATEST, SECOND, parse_time
from tests.causality.cluster import Cluster, Thing
from tests.emit.rows import START
from tests.query.conftest import Histories, History
from tests.query.made import CLUSTER, commit, make_object
from tests.query.objects.test_authors import lives

WEB: Final = make_object("ReplicaSet", "web")


def made(store: Store, *others: ObjectRow, here: ObjectRow = WEB, at: int = 0, visible: Visible = EVERYTHING) -> Family:
    """The family of an object among others."""
    commit(store, objects=[here, *others])
    with store.reading("ask") as connection:
        return family_of(connection, CLUSTER, here, None, at=at, visible=visible)


def pod(name: str, **columns: Any) -> ObjectRow:
    return make_object("Pod", name, **{"owner_uid": WEB.uid, **columns})


def names(found: Family) -> list[str]:
    return [each.name for each in found.dependents]


def test_dependents_that_exist_come_first_and_of_the_others_the_latest(store: Store) -> None:
    found = made(
        store,
        pod("b"),
        pod("a"),
        pod("early", deleted_at=START + 1),
        pod("late", deleted_at=START + 2),
        make_object("ConfigMap", "z", owner_uid=WEB.uid),
        make_object("Pod", "other", owner_uid="another"),
        make_object("Pod", "elsewhere", owner_uid=WEB.uid, namespace="other"),
    )
    assert names(found) == ["z", "a", "b", "late", "early"]
    assert [bool(each.deleted_at) for each in found.dependents] == [False, False, False, True, True]
    assert (found.more, found.complete) == (0, True)


def test_at_a_time_what_came_later_is_missing_and_what_was_deleted_later_exists(store: Store) -> None:
    found = made(
        store,
        pod("old"),
        pod("later", created_at=START + 5 * SECOND),
        pod("deleted-later", deleted_at=START + 9 * SECOND),
        pod("deleted", deleted_at=START + SECOND),
        pod("mentioned", created_at=0, seen_at=START + 5 * SECOND),
        at=START + 2 * SECOND,
    )
    assert names(found) == ["deleted-later", "old", "deleted"]
    assert [each.deleted_at for each in found.dependents] == [0, 0, START + SECOND]


def test_an_object_without_a_namespace_has_dependents_in_all_of_them(store: Store) -> None:
    node = make_object("Node", "node-a", namespace="")
    found = made(
        store,
        make_object("Pod", "kube-proxy", namespace="kube-system", owner_uid=node.uid),
        make_object("Lease", "node-a", namespace="kube-node-lease", owner_uid=node.uid),
        make_object("Volume", "disk", namespace="", owner_uid=node.uid),
        here=node,
    )
    assert [(each.namespace, each.name) for each in found.dependents] == [
        ("kube-node-lease", "node-a"),
        ("kube-system", "kube-proxy"),
        ("", "disk"),
    ]
    assert found.complete


def test_more_than_are_listed_are_counted(store: Store) -> None:
    found = made(store, *(pod(f"web-{number:04}") for number in range(LISTED + 7)))
    assert (len(found.dependents), found.more, found.complete) == (LISTED, 7, True)


def test_among_too_many_objects_those_named_like_the_owner_are_found(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LOOKED_AT", 5)
    others = [make_object("Pod", f"x-{number}", owner_uid="another") for number in range(9)]
    found = made(store, pod("web-1"), pod("a-far-away"), *others)
    assert names(found) == ["web-1"]
    assert not found.complete, "there can be others"


def test_of_too_many_namespaces_only_some_are_looked_at(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PLACES", 3)
    node = make_object("Node", "node-a", namespace="")
    found = made(store, *(make_object("Pod", "p", uid=f"p{n}", namespace=f"ns-{n}") for n in range(5)), here=node)
    assert not found.complete


# Owners that are not the controller


def refers(cluster: Cluster, thing: Thing, *owners: Thing) -> None:
    """An operator writes ownerReferences without ``controller``."""
    references = [
        {"apiVersion": each.raw["apiVersion"], "kind": each.kind, "name": each.name, "uid": each.meta["uid"]}
        for each in owners
    ]
    kept = [each for each in thing.meta.get("ownerReferences", []) if each.get("controller")]
    thing.meta["ownerReferences"] = kept + references
    cluster.touch(thing)


def of(store: Store, cluster: Cluster, name: str, *, at: int = 0) -> Family:
    cluster.wait(60)
    projector = Projector(store, CLUSTER, built_in_rules())
    projector.add(JournalBatch([record]) for record in cluster.records)
    projector.flush()
    with store.reading("ask") as connection:
        here = find(connection, CLUSTER, parse_object((name,))).object
        return family_of(connection, CLUSTER, here, None, at=at)


def test_an_object_with_an_owner_that_is_not_its_controller_is_its_dependent(store: Store) -> None:
    cluster = Cluster()
    web, other = cluster.apply("Deployment", "web"), cluster.apply("Deployment", "other")
    rs = cluster.create("ReplicaSet", "other-1", owner=other)
    settings = cluster.create("ConfigMap", "settings", data={})
    cluster.create("ConfigMap", "unrelated", data={})
    for thing in (rs, settings):
        refers(cluster, thing, web)
    found = of(store, cluster, "deploy/web")
    assert [(each.kind, each.name, each.controlled) for each in found.dependents] == [
        ("ConfigMap", "settings", False),
        ("ReplicaSet", "other-1", False),
    ]
    assert found.complete


def test_what_has_no_reference_any_more_is_no_dependent_but_was_one(store: Store) -> None:
    cluster = Cluster()
    web = cluster.apply("Deployment", "web")
    settings = cluster.create("ConfigMap", "settings", data={})
    refers(cluster, settings, web)
    then = cluster.now
    cluster.wait(5)
    refers(cluster, settings)
    found = of(store, cluster, "deploy/web")
    assert names(found) == []
    with store.reading("ask") as connection:
        here = find(connection, CLUSTER, parse_object(("deploy/web",))).object
        assert names(family_of(connection, CLUSTER, here, None, at=then + SECOND)) == ["settings"]


# From a recording


def of_pod(history: History, at: str = "", visible: Visible = EVERYTHING) -> Family:
    """The family of a Pod of the rolling update."""
    time = parse_time(at) if at else 0
    with history.store.reading("ask") as connection:
        here = find(connection, history.cluster, parse_object(("pod/web-854b7f4f-9xzlt",))).object
        below = first_after(connection, history.cluster, time) if time else 0
        newest = newest_versions(connection, history.cluster, here, 1, until=time or LATEST, below=below)
        return family_of(connection, history.cluster, here, newest[0], at=time, below=below, visible=visible)


def test_owners_are_found_up_to_the_topmost_with_their_state_then(histories: Histories) -> None:
    known = histories("02-rolling-update")
    owners = of_pod(known).owners
    assert [[(each.kind, each.name) for each in level] for level in owners] == [
        [("ReplicaSet", "web-854b7f4f")],
        [("Deployment", "web")],
    ]
    assert owners[1][0].state == "4 of 4 replicas available"
    then = of_pod(known, "2026-11-22T10:25:06.8Z").owners
    assert (then[1][0].state, then[1][0].tone) != (owners[1][0].state, owners[1][0].tone)
    assert then[1][0].tone is not Tone.NONE


def test_who_may_not_see_the_namespace_sees_no_owner(histories: Histories) -> None:
    known = histories("02-rolling-update")
    assert of_pod(known, visible=Visible(lambda namespace: namespace == "rolling-update")).owners
    assert of_pod(known, visible=Visible(lambda _: False)).owners == []


def test_the_state_of_what_is_shown_is_read(histories: Histories) -> None:
    known = histories("02-rolling-update")
    with known.store.reading("ask") as connection:
        found = [life.family for life in lives(connection, known.cluster, "ReplicaSet")]
    shown = [each for family in found for each in family.dependents[:SHOWN]]
    assert shown
    assert all(each.state for each in shown)
