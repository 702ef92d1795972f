"""The order of decisions, and Events that arrive after the change that they report was decided."""

from typing import Any

import pytest
from msgspec.structs import replace

from kspan.graph import built_in_rules
from kspan.graph.cause.decide import Decider
from kspan.graph.rules.rules import Subject
from kspan.graph.state.records import ObjectState, Occurrence, Place
from kspan.ids import unnamed
from kspan.settings import FoldSettings
from kspan.times import SECOND
from tests.graph.making import change, lost, occurrence, state_of, thing, transition

CREATES = Subject("creates", "Pod", "shop", "pod", rule="a rule")


class Deciding:
    """A Decider on some objects."""

    def __init__(self, *objects: ObjectState) -> None:
        self.state = state_of(*objects)
        self.decider = Decider(self.state, built_in_rules(), FoldSettings())
        self.arrived = 0

    def add(self, span: str, rv: int = 50, seconds: float = 100, **more: Any) -> Occurrence:
        self.arrived += 1
        fields: dict[str, Any] = {"arrival": self.arrived, "uid": "pod", "name": "pod"} | more
        self.state.add_occurrence(occ := occurrence(span, rv, seconds, **fields))
        return occ

    def made(self, span: str = "made", **more: Any) -> Occurrence:
        """The creation of the Pod by a controller."""
        fields: dict[str, Any] = {"verb": "Create", "by_controller": True, "rv": 50} | more
        return self.add(span, **fields)

    def told(self, span: str = "event", **more: Any) -> Occurrence:
        """The Event of the ReplicaSet about the Pod, which is written after it."""
        fields: dict[str, Any] = {"uid": "rs", "kind": "ReplicaSet", "name": "rs", "event_uid": "e", "subject": CREATES}
        fields |= {"rv": 55, "actor": "replicaset-controller", "event_count": 1} | more
        return self.add(span, **fields)

    def decide(self, *occurrences: Occurrence) -> None:
        for occ in occurrences:
            self.decider.decide(occ)


def pod(**more: Any) -> ObjectState:
    return thing("pod", owner="rs", **({"changes": [change("made", 50, 100, "Create")]} | more))


def rs(**more: Any) -> ObjectState:
    return thing("rs", "ReplicaSet", **({"changes": [change("scaled", 40, 90)]} | more))


def parents(*occurrences: Occurrence) -> list[str]:
    return [f"{occ.place.rule} {occ.place.parent}" for occ in occurrences]


@pytest.mark.parametrize("late", [False, True])
def test_an_event_is_placed_above_the_change_that_it_reports_early_or_late(late: bool) -> None:
    d = Deciding(rs(), pod())
    scaled = d.add("scaled", 40, 90, uid="rs", kind="ReplicaSet", verb="Update")
    made = d.made()
    if late:
        d.decide(made)
    event = d.told()
    d.decide(event, made)
    assert parents(scaled, event, made) == ["root ", "owner scaled", "subject event"]
    assert (made.actor, made.reported_by) == ("replicaset-controller", "event")


def test_an_event_is_noted_on_its_change_before_that_is_decided() -> None:
    d = Deciding(rs(), pod())
    made, event = d.made(), d.told()
    d.decide(event)
    assert (made.decided, made.reported_by) == (False, "event")


def test_a_cause_is_decided_before_its_effect() -> None:
    d = Deciding(rs(), pod())
    made, scaled = d.made(), d.add("scaled", 40, 90, uid="rs", kind="ReplicaSet", verb="Update")
    d.decide(made)
    assert scaled.decided
    assert parents(made) == ["owner scaled"]


def test_a_late_event_that_shows_another_cause_moves_its_change_there() -> None:
    d = Deciding(rs(changes=[change("first", 40, 90), change("second", 45, 95)]), pod())
    first, second = (
        d.add(name, rv, at, uid="rs", kind="ReplicaSet", verb="Update")
        for name, rv, at in (("first", 40, 90), ("second", 45, 95))
    )
    made = d.made()
    d.decide(first, second, made)
    assert parents(made) == ["owner second"]
    event = d.told(seen_rv=40)
    d.decide(event)
    assert parents(event, made) == ["owner first", "subject event"]


def test_a_second_event_about_a_reported_change_takes_nothing_away() -> None:
    d = Deciding(rs(), pod())
    made, event = d.made(), d.told()
    d.decide(event, made)
    other = d.told("other", event_uid="e2", uid="x", kind="Widget")
    d.decide(other)
    assert made.place.parent == "event"


@pytest.mark.parametrize("traceparent, expected", [("", "subject event"), (f"00-{'c' * 32}-{'d' * 16}-01", "carried ")])
def test_a_carried_context_comes_before_the_event(traceparent: str, expected: str) -> None:
    d = Deciding(rs(), pod())
    made, event = d.made(traceparent=traceparent), d.told()
    d.decide(made)
    assert event.decided
    assert parents(made) == [expected]


def test_an_event_about_a_change_in_a_closed_trace_is_an_episode_of_it() -> None:
    d = Deciding(rs(), pod(changes=[change("made", 50, 100, "Create", trace="closed")]))
    event = d.told()
    d.decide(event)
    assert (event.place.rule, event.place.link_trace, event.place.confidence) == ("subject", "closed", 0.9)


# deletions -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reporter, expected", [("rs", 1), ("x", 0)])
def test_a_deletion_that_the_owners_controller_reports_was_ordered_by_it(reporter: str, expected: int) -> None:
    owner = rs(lost_dependents=(lost("made", 50, 100, uid="pod"),))
    d = Deciding(owner, pod(changes=[change("made", 50, 100, "Delete")]), thing("x", "Widget"))
    made = d.made(verb="Delete")
    subject = Subject("deletes", "Pod", "shop", "pod")
    d.told(subject=subject, uid=reporter)
    d.decide(made)
    assert [one.ordered for one in owner.lost_dependents] == [expected]


@pytest.mark.parametrize(
    "scaled, expected", [({"replicas_before": 2, "replicas": 1}, 1), ({"replicas_before": 1, "replicas": 2}, 0)]
)
def test_a_deletion_without_an_event_was_ordered_if_its_owner_is_the_cause(
    scaled: dict[str, int], expected: int
) -> None:
    gone = (lost("made", 50, 100, uid="pod"),)
    owner = rs(lost_dependents=gone, changes=[change("scaled", 40, 90, "Update", **scaled)])
    d = Deciding(owner, pod(changes=[change("made", 50, 100, "Delete")]))
    d.decide(d.made(verb="Delete"))
    assert [one.ordered for one in owner.lost_dependents] == [expected]


# trace contexts ------------------------------------------------------------------------------------------------------

VALID = f"00-{'c' * 32}-{'d' * 16}-01"


@pytest.mark.parametrize(
    "own, owners, invalid, kept",
    [
        ({"traceparent": VALID}, "", 0, VALID),
        ({"traceparent": "odd"}, "", 1, ""),
        ({"related": "odd"}, "", 0, ""),
        ({"related": VALID}, "", 0, VALID),
        # The deployment controller copies annotations to its ReplicaSets.
        ({"traceparent": VALID}, VALID, 0, ""),
        ({"traceparent": "odd"}, "odd", 0, ""),
        ({"traceparent": VALID}, f"00-{'e' * 32}-{'d' * 16}-01", 0, VALID),
    ],
)
def test_a_context_that_is_invalid_or_inherited_is_ignored(
    own: dict[str, Any], owners: str, invalid: int, kept: str
) -> None:
    d = Deciding(rs(traceparent=owners), pod())
    made = d.made(**own)
    d.decide(made)
    assert (made.traceparent or made.related) == kept
    assert d.state.clock.invalid_contexts == invalid


# Events that have only a name ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "created, expected",
    [
        ([50], "pod0"),
        ([101], "pod0"),
        ([101.1], ""),
        ([50, 100], "pod1"),
        ([50, 100.5], "pod0"),
        ([50, 100.000000001], "pod0"),
        ([50, 102], "pod0"),
    ],
)
def test_an_event_with_only_a_name_is_about_the_newest_object_that_existed(created: list[float], expected: str) -> None:
    named = [thing(f"pod{n}", name="web", created=int(at * SECOND)) for n, at in enumerate(created)]
    d = Deciding(*named, thing("unseen", name="web", rv=0))
    placeholder = unnamed("Pod", "shop", "web")
    event = d.add("event", uid=placeholder, name="web", event_uid="e")
    d.decide(event)
    assert event.uid == (expected or placeholder)


def test_an_occurrence_is_decided_once() -> None:
    d = Deciding(rs(), pod())
    made = d.made()
    d.decide(made)
    place = made.place
    made.place = Place("elsewhere")
    d.decide(made)
    assert (made.place.trace, place.rule) == ("elsewhere", "owner")


@pytest.mark.parametrize("rv, assumed", [(0, True), (2, True), (3, False)])
def test_a_top_level_event_stands_for_a_change_that_is_not_known(rv: int, assumed: bool) -> None:
    known = [change("c", rv, 10)] if rv else []
    d = Deciding(thing("w", "Widget", changes=known))
    subject = Subject("applies", "Widget", "shop", "w", source="self", starts=True)
    event = d.add("event", uid="w", kind="Widget", name="w", event_uid="e", top_level=True, subject=subject)
    d.decide(event)
    obj = d.state.object("w")
    assert obj is not None
    found = [c for c in obj.changes if c.span == "event"]
    assert [(c.time, c.rv, c.exact, c.verb) for c in found] == ([(95 * SECOND, 2, False, "")] if assumed else [])


# routine Events and transitions --------------------------------------------------------------------------------------


@pytest.mark.parametrize("placed", [False, True])
def test_a_routine_event_joins_the_trace_of_its_cause_also_if_that_waits_itself(placed: bool) -> None:
    d = Deciding(rs(), pod())
    scaled = d.add("scaled", 40, 90, uid="rs", kind="ReplicaSet", name="rs", verb="Update")
    if placed:
        d.decide(scaled)
    event = d.told(subject=Subject("routine"))
    d.decide(event)
    assert parents(event) == ["own scaled"]


def test_a_routine_event_after_a_trace_was_closed_is_quiet() -> None:
    d = Deciding(rs(changes=[change("scaled", 40, 90, trace="closed")]), pod())
    event = d.told(subject=Subject("routine"))
    d.decide(event)
    trace = d.state.trace(event.place.trace)
    assert trace is not None
    assert (trace.quiet, event.place.link_trace) == (True, "")


@pytest.mark.parametrize("kind, bad, episodic", [("Node", True, False), ("Node", False, False), ("Widget", True, True)])
def test_a_transition_of_a_node_starts_a_trace_and_others_without_a_cause_share_one(
    kind: str, bad: bool, episodic: bool
) -> None:
    d = Deciding(thing("pod", kind, transitions=[transition("t", 50, 100, bad=bad)]))
    turned = d.add("t", kind=kind, condition="Ready", condition_status="False")
    d.decide(turned)
    assert turned.place.episodic is episodic


# deletions that are decided late -------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb, claims", [("Delete", True), ("Update", False)])
def test_only_a_deletion_that_is_decided_late_claims_those_of_its_dependents(verb: str, claims: bool) -> None:
    gone = change("gone", 60, 100, "Delete")
    owner = rs(changes=[], lost_dependents=(lost("gone", 60, 100, uid="pod"),))
    d = Deciding(owner, pod(changes=[gone], owners=("rs",), deleting=True))
    deletion = d.add("gone", 60, verb="Delete", by_controller=True)
    d.decide(deletion)
    assert parents(deletion) == ["root "]
    owner.changes = [change("late", 50, 95, verb, exact=False, replicas_before=1, replicas=0)]
    late = d.add("late", 50, 95, uid="rs", kind="ReplicaSet", name="rs", verb=verb, uncertainty=SECOND)
    d.decide(late)
    assert parents(deletion) == (["owner late"] if claims else ["root "])


@pytest.mark.parametrize(
    "fields, claimed",
    [
        ({}, True),
        ({"rule": "owner"}, True),
        ({"rule": "place"}, True),
        # An Event reports who deleted it, or it belongs to an episode.
        ({"rule": "subject"}, False),
        ({"rule": "own"}, False),
        ({"rule": "carried"}, False),
        ({"episodic": True}, False),
    ],
)
def test_only_a_deletion_whose_place_objects_determined_is_claimed(fields: dict[str, Any], claimed: bool) -> None:
    owner = rs(changes=[])
    d = Deciding(owner, pod(changes=[change("gone", 60, 100, "Delete")], owners=("rs",), deleting=True))
    deletion = d.add("gone", 60, verb="Delete", by_controller=True)
    d.decide(deletion)
    deletion.place = replace(deletion.place, **fields)
    owner.changes = [change("late", 50, 95, "Delete", exact=False)]
    d.decide(d.add("late", 50, 95, uid="rs", kind="ReplicaSet", name="rs", verb="Delete", uncertainty=SECOND))
    assert (parents(deletion) == ["owner late"]) is claimed


@pytest.mark.parametrize("exact, claimed", [(False, True), (True, False)])
def test_a_deletion_that_was_watched_was_received_before_those_that_follow_from_it(exact: bool, claimed: bool) -> None:
    owner = rs(changes=[])
    d = Deciding(owner, pod(changes=[change("gone", 60, 100, "Delete")], owners=("rs",), deleting=True))
    deletion = d.add("gone", 60, verb="Delete", by_controller=True)
    d.decide(deletion)
    owner.changes = [change("late", 50, 95, "Delete", exact=exact)]
    d.decide(d.add("late", 50, 95, uid="rs", kind="ReplicaSet", name="rs", verb="Delete"))
    assert (parents(deletion) == ["owner late"]) is claimed


@pytest.mark.parametrize(
    "seen_rv, expected", [(40, ["owner first", "subject event"]), (0, ["owner second", "subject event"])]
)
def test_a_late_event_without_a_version_shows_no_other_cause(seen_rv: int, expected: list[str]) -> None:
    d = Deciding(rs(changes=[change("first", 40, 90), change("second", 45, 95)]), pod())
    for name, rv, seconds in (("first", 40, 90), ("second", 45, 95)):
        d.decide(d.add(name, rv, seconds, uid="rs", kind="ReplicaSet", verb="Update"))
    made = d.made()
    d.decide(made)
    event = d.told(seen_rv=seen_rv)
    d.decide(event)
    assert parents(event, made) == expected


def test_a_deletion_that_its_object_does_not_remember_claims_nothing() -> None:
    d = Deciding(rs(changes=[]))
    deletion = d.add("unknown", 50, uid="rs", kind="ReplicaSet", name="rs", verb="Delete")
    d.decide(deletion)
    assert parents(deletion) == ["root "]
