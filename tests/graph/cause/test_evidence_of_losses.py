"""Which dependents an owner lost, and what had become of them."""

from typing import Any

import pytest

from kspan.graph.cause import evidence
from kspan.graph.state.records import LostDependent, Replacement
from kspan.times import SECOND
from tests.graph.making import change, lost, occurrence, replacement, state_of, thing


@pytest.mark.parametrize(
    "kind, gone, made, since, expected",
    [
        ("ReplicaSet", [lost("a", 10, 95)], [], -1, ["a"]),
        ("ReplicaSet", [lost("a", 10, 95), lost("b", 12, 96)], [], -1, ["a", "b"]),
        ("ReplicaSet", [lost("b", 12, 96), lost("a", 10, 95)], [], -1, ["a", "b"]),
        # The controller deleted it.
        ("ReplicaSet", [lost("a", 10, 95, ordered=1)], [], -1, []),
        ("ReplicaSet", [lost("a", 10, 95, ordered=0)], [], -1, ["a"]),
        # Before the Event.
        ("ReplicaSet", [lost("a", 50, 95)], [], -1, []),
        ("ReplicaSet", [lost("a", 49, 101)], [], -1, ["a"]),
        ("ReplicaSet", [lost("a", 49, 101.1)], [], -1, []),
        # After the owner's newest change.
        ("ReplicaSet", [lost("a", 10, 95)], [], 9, ["a"]),
        ("ReplicaSet", [lost("a", 10, 95)], [], 10, []),
        # Replaced already.
        ("ReplicaSet", [lost("a", 10, 95), lost("b", 12, 96)], [replacement("r", 20, 97)], -1, ["b"]),
        ("ReplicaSet", [lost("a", 10, 95)], [replacement("r", 9, 97)], -1, ["a"]),
        ("ReplicaSet", [lost("a", 10, 95)], [replacement("r", 20, 100)], -1, []),
        ("ReplicaSet", [lost("a", 10, 95)], [replacement("r", 20, 100.1)], -1, ["a"]),
        ("ReplicaSet", [lost("a", 10, 95)], [replacement("r", 49, 97)], -1, []),
        ("ReplicaSet", [lost("a", 10, 95)], [replacement("r", 50, 97)], -1, ["a"]),
        ("ReplicaSet", [lost("a", 10, 95)], [replacement("r", 20, 97), replacement("s", 21, 98)], -1, []),
        ("StatefulSet", [lost("a", 10, 95)], [replacement("r", 20, 97)], -1, []),
        ("StatefulSet", [lost("a", 10, 95)], [replacement("r", 20, 97, name="web-1")], -1, ["a"]),
    ],
)
def test_which_lost_dependents_had_no_replacement_when_an_event_was_reported(
    kind: str, gone: list[LostDependent], made: list[Replacement], since: int, expected: list[str]
) -> None:
    owner = thing("owner", kind, lost_dependents=tuple(gone), replacements=tuple(made))
    event = occurrence("this", 50, 100, uid="owner", event_uid="event")
    assert [one.span for one in evidence.unreplaced(owner, event, (since, 0))] == expected


@pytest.mark.parametrize(
    "dependent, found",
    [(lost("a", 10, 200), True), (lost("a", 10, 199.9), False), (lost("a", 10, 90, gone=200 * SECOND), True)],
)
def test_a_loss_explains_a_refusal_for_five_minutes(dependent: LostDependent, found: bool) -> None:
    owner = thing("owner", "ReplicaSet", lost_dependents=(dependent,))
    event = occurrence("this", 50, 500, uid="owner", event_uid="event")
    assert bool(evidence.unreplaced(owner, event, (-1, 0))) is found


@pytest.mark.parametrize(
    "gone, exact, expected",
    [
        ([lost("a", 20)], True, 1),
        ([lost("a", 20), lost("b", 30)], True, 2),
        # Since the owner's change, which may itself be inexact.
        ([lost("a", 10)], True, 0),
        ([lost("a", 10)], False, 1),
        ([lost("a", 9)], False, 0),
        # Before this deletion; in one gap by uid.
        ([lost("a", 40)], True, 0),
        ([lost("a", 39)], True, 1),
        ([lost("a", 40, uid="aaa"), lost("this", 40, uid="bbb")], True, 1),
        ([lost("a", 40, uid="ccc"), lost("this", 40, uid="bbb")], True, 0),
        ([lost("a", 20, ended=True)], True, 0),
    ],
)
def test_how_many_dependents_an_owner_had_lost_before(gone: list[LostDependent], exact: bool, expected: int) -> None:
    owner = thing("rs", "ReplicaSet", lost_dependents=tuple(gone))
    since = change("scaled", 10, exact=exact)
    assert evidence.lost_earlier(owner, occurrence("this", 40, 100, verb="Delete"), since) == expected


def test_what_is_deleted_with_an_owner_or_a_namespace() -> None:
    shop = thing("ns", "Namespace", "shop", namespace="")
    objects = [
        thing("rs", "ReplicaSet"),
        thing("b", owner="rs", deleting=True),
        thing("a", owner="rs", deleting=True),
        thing("stays", owner="rs"),
        thing("c", "ConfigMap", deleting=True),
        thing("elsewhere", "ConfigMap", namespace="lab", deleting=True),
    ]
    state = state_of(shop, *objects)
    assert [obj.uid for obj in evidence.deleted_with(state, objects[0])] == ["a", "b"]
    assert [obj.uid for obj in evidence.deleted_with(state, shop)] == ["a", "b", "c"]
    assert evidence.deleted_with(state, thing("w", "Widget", "shop")) == []


@pytest.mark.parametrize(
    "fields, expected",
    [({"effect": "ended"}, True), ({"effect": ""}, False), ({"effect": "ended", "span": "other"}, False)],
)
def test_a_pod_had_ended_when_it_was_deleted(fields: dict[str, Any], expected: bool) -> None:
    made = change(fields.pop("span", "this"), 50, 100, "Delete", **fields)
    assert evidence.had_ended(thing("pod", changes=[made]), occurrence("this", 50, 100, verb="Delete")) is expected


@pytest.mark.parametrize(
    "rv, stated, fields, expected",
    [
        # Of the Event's own object, in one etcd: versions decide.
        (51, "40", {}, True),
        (50, "40", {}, False),
        (51, "40", {"exact": False}, False),
        # An Event with a smaller version than its object is in another etcd.
        (51, "50", {}, False),
        (51, "49", {}, True),
        (51, "1", {}, True),
        (51, "", {}, False),
        (51, "60", {}, False),
    ],
)
def test_a_change_that_was_written_after_an_event_is_not_what_it_reports(
    rv: int, stated: str, fields: dict[str, Any], expected: bool
) -> None:
    event = occurrence("this", 50, 100, event_uid="event", resource_version=stated)
    assert evidence.is_later(change("c", rv, 90, **fields), event) is expected


@pytest.mark.parametrize("rv, expected", [(2, False), (3, True)])
def test_an_inferred_version_shows_no_order(rv: int, expected: bool) -> None:
    event = occurrence("this", 2, 100, event_uid="event", resource_version="1")
    assert evidence.is_later(change("c", rv, 90), event) is expected
