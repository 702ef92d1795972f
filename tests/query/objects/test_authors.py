"""The authors of versions: true where one is named, compared with the audit log; nobody where it is not certain."""

import json
from collections.abc import Iterable, Iterator
from typing import Any, Final

import pytest
from sqlalchemy import Connection, select

from kspan.graph import built_in_rules
from kspan.ingest.journal_builder import JournalBatch
from kspan.pipeline.projector import Projector
from kspan.query.objects.authors import author_of_change
from kspan.query.objects.life import Life, Revision, life_of
from kspan.query.objects.listing import object_with_uid
from kspan.query.objects.manifest import decode
from kspan.store import open_store
from kspan.store.schema import tables as schema
from kspan.times import SECOND
from tests.causality.actors import new_pod, rolled_out, run, settled
from tests.causality.cluster import Cluster, Thing
from tests.emit.rows import make_span
from tests.query.conftest import Histories
from tests.recordings import RECORDINGS, SCENARIOS

LATE: Final = 3.0
"""Seconds after an action within which its effect is received."""


SOME: Final = 6
"""Objects of a kind whose lives are read."""


def lives(connection: Connection, cluster: str, kind: str, uids: Iterable[str] = ()) -> Iterator[Life]:
    """The lives of these objects, and of some others of a kind."""
    watched = (schema.objects.c.cluster == cluster, schema.objects.c.kind == kind, schema.objects.c.resource != "")
    query = select(schema.objects.c.uid).where(*watched).order_by(schema.objects.c.uid).limit(SOME)
    for uid in dict.fromkeys([*uids, *connection.execute(query).scalars().all()]):
        here = object_with_uid(connection, cluster, uid)
        assert here is not None
        yield life_of(connection, cluster, here)


def actions(scenario: str, *verbs: str) -> list[dict[str, Any]]:
    """Return the actions on objects that the audit log has. The agent is the program, without its version."""
    truth = json.loads((RECORDINGS / scenario / "truth.json").read_text())
    return [action | {"agent": action["agent"].split("/")[0]} for action in truth["actions"] if action["verb"] in verbs]


def received_after(revision: Revision, action: dict[str, Any]) -> float:
    """Seconds from an action to the receipt of a version."""
    return revision.version.record.recorded_at / SECOND - float(action["time"])


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_no_author_is_contradicted_by_the_audit_log(histories: Histories, scenario: str) -> None:
    known = histories(scenario)
    acted_on = dict.fromkeys(action["uid"] for action in actions(scenario, "create", "delete", "patch", "update"))
    with known.store.reading("ask") as connection:
        found = {
            life.object.uid: life for life in lives(connection, known.cluster, "Deployment", list(acted_on)[:SOME])
        }
    created = {action["uid"]: action["agent"] for action in actions(scenario, "create")}
    deleted = {action["uid"]: action["agent"] for action in actions(scenario, "delete")}
    changes = actions(scenario, "patch", "update")
    for uid, life in found.items():
        if uid in created and life.created_by:
            assert life.created_by.startswith(created[uid]), life.object.name
        if uid in deleted and life.deleted_by:
            assert life.deleted_by.startswith(deleted[uid]), life.object.name
        for revision in life.revisions:
            if revision.author.startswith("kubectl") and revision.change and revision.change.reason == "Update":
                mine = [a for a in changes if a["uid"] == uid and 0 <= received_after(revision, a) < LATE]
                assert {a["agent"] for a in mine} == {"kubectl"}, (life.object.name, revision.author)


def test_who_changed_scaled_and_created_is_named(histories: Histories) -> None:
    known = histories("02-rolling-update")
    with known.store.reading("ask") as connection:
        found = {life.object.uid: life for life in lives(connection, known.cluster, "Deployment")}
        pods = list(lives(connection, known.cluster, "Pod"))
    done = actions("02-rolling-update", "patch")
    assert len(done) == 3
    for action in done:
        revisions = [r for r in found[action["uid"]].revisions if r.author.startswith("kubectl")]
        assert any(0 <= received_after(revision, action) < LATE for revision in revisions)
    assert {life.created_by for life in pods} == {"kube-controller-manager"}


@pytest.mark.parametrize("scenario", ["02-rolling-update", "01-deployment-create"])
def test_the_version_that_a_binding_wrote_has_the_scheduler_as_author(histories: Histories, scenario: str) -> None:
    known = histories(scenario)
    bound = 0
    with known.store.reading("ask") as connection:
        for life in lives(connection, known.cluster, "Pod"):
            for revision in life.revisions:
                if any(line.startswith("+") and "nodeName:" in line for line in revision.lines):
                    assert revision.author == "default-scheduler", (life.object.name, revision.lines)
                    bound += 1
    assert bound


# What no recording has


def life_after(c: Cluster, thing: Thing) -> Life:
    """The life of an object of a made-up cluster."""
    c.receive_all()
    with open_store("sqlite://") as store:
        projector = Projector(store, "made", built_in_rules())
        projector.add(JournalBatch([record]) for record in c.records)
        projector.flush()
        projector.let_time_pass(projector.fold.now + 60 * SECOND)
        projector.flush()
        with store.reading("ask") as connection:
            here = object_with_uid(connection, "made", thing.meta["uid"])
            assert here is not None
            return life_of(connection, "made", here)


def the_bound(life: Life) -> Revision:
    return next(each for each in life.revisions if any("nodeName" in line and line[0] == "+" for line in each.lines))


def test_a_binding_that_nobody_reports_has_no_author() -> None:
    c, _, rs, _ = settled("web", 1)
    pod = new_pod(c, rs, "web-1-new")
    c.bind(pod, "node-a")
    assert the_bound(life_after(c, pod)).author == ""


def test_a_binding_to_another_node_than_reported_has_no_author() -> None:
    c, _, rs, _ = settled("web", 1)
    pod = new_pod(c, rs, "web-1-new")
    c.event(pod, "Scheduled", f"Successfully assigned shop/{pod.name} to node-b", by="default-scheduler", new=True)
    c.bind(pod, "node-a")
    assert the_bound(life_after(c, pod)).author == ""


def test_a_change_just_before_a_binding_is_not_the_binding_s_author() -> None:
    c, _, rs, _ = settled("web", 1)
    pod = new_pod(c, rs, "web-1-new")
    c.label(pod, by="kubectl-label", hot="yes")
    run(c, pod)
    life = life_after(c, pod)
    assert the_bound(life).author == "default-scheduler"
    assert [each.author for each in life.revisions if each.version.record.type.name == "ADDED"] == [
        "kube-controller-manager"
    ]


def test_a_removal_that_leaves_no_entry_has_no_author() -> None:
    c, web, _, _ = settled("web", 1, paused=True)
    c.remove(web, "paused")
    newest = life_after(c, web).revisions[0]
    assert newest.change is not None
    assert newest.author == ""


def test_of_two_writers_between_two_versions_neither_is_the_author() -> None:
    c, web, _, _ = settled("web", 1)
    c.stop_watching("Deployment")
    c.update(web, by="kubectl-edit", replicas=2)
    c.update(web, by="helm", replicas=3)
    c.list_again("Deployment")
    life = life_after(c, web)
    replicas = [decode(each.version.record.payload)["spec"]["replicas"] for each in life.revisions]
    assert replicas[:2] == [3, 1], "the version between was not seen"
    assert life.revisions[0].change is not None
    assert life.revisions[0].author == ""


def test_an_object_that_two_wrote_in_its_first_second_has_no_known_creator() -> None:
    c = Cluster()
    node = c.create("Node", "node-a", by="kubelet")
    c.label(node, by="helm", pool="a")
    assert {entry["time"] for entry in node.meta["managedFields"]} == {node.meta["creationTimestamp"]}
    c.first_list()
    assert life_after(c, node).created_by == ""
    owned, _, pods = rolled_out(c, "web", 1)
    assert life_after(c, pods[0]).created_by == "kube-controller-manager"
    assert life_after(c, owned).created_by.startswith("kubectl")


def test_who_deleted_is_named_only_if_the_cause_is_certain() -> None:
    certain: dict[str, Any] = {"reason": "Delete", "service": "replicaset-controller"}
    certain |= {"confidence": 0.98, "attributes": {}}
    assert author_of_change(make_span("Delete", **certain)) == "replicaset-controller"
    doubts: list[dict[str, Any]] = [
        {"confidence": 0.7},
        {"service": "unknown"},
        {"attributes": {"kspan.field_manager.probable": True}},
    ]
    for doubt in doubts:
        assert author_of_change(make_span("Delete", **(certain | doubt))) == ""
