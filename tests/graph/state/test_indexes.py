"""Indexes of objects, Events and traces: what is found, and nothing that was removed."""

from collections.abc import Iterable
from typing import Any

import msgspec
import pytest

from kspan.graph.rules.rules import Subject
from kspan.graph.state.event_index import EventIndex
from kspan.graph.state.event_tracks import TRACKED_EVENTS, EventTracks
from kspan.graph.state.object_index import ObjectIndex
from kspan.graph.state.records import EventTrack, ObjectState, Occurrence, Place, Refusal, Repeat, Trace
from kspan.graph.state.trace_index import MOST_CONTINUING, TraceIndex
from kspan.model import OwnerRow
from tests.graph.making import occurrence, thing


def uids(found: Iterable[ObjectState]) -> list[str]:
    return [obj.uid for obj in found]


def owner_row(uid: str, owner: str) -> OwnerRow:
    return OwnerRow(uid, owner, "v1", "Owner", "name", controller=True)


# objects -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "field, value, changed",
    [
        ("resource_version", "9", False),
        ("name", "other", True),
        ("namespace", "other", True),
        ("kind", "Other", True),
        ("resource", "other", True),
        ("deleted", 9, True),
        ("owner", "other", False),
        ("node", "other", False),
        ("generation", 9, False),
    ],
)
def test_an_object_is_written_whole_if_a_column_changed_by_which_it_is_looked_up(
    field: str, value: Any, changed: bool
) -> None:
    index, obj = ObjectIndex(), thing("uid")
    assert index.put(obj)
    assert index.put(msgspec.structs.replace(obj, **{field: value})) is changed


def test_objects_are_found_by_name_in_the_order_of_arrival_until_they_are_removed() -> None:
    index = ObjectIndex()
    first, second, other = thing("a", name="web"), thing("b", name="web"), thing("c", name="db")
    for obj in (first, second, other, msgspec.structs.replace(first, rv=5), thing("unnamed", name="x")):
        index.put(obj)
    assert uids(index.named("Pod", "shop", "web")) == ["a", "b"]
    assert uids(index.named("Pod", "elsewhere", "web")) == []
    assert uids(index.in_namespace("Pod", "shop")) == ["a", "b", "c", "unnamed"]
    assert uids(index.in_namespace("Node", "shop")) == []
    index.remove(first)
    assert uids(index.named("Pod", "shop", "web")) == ["b"]
    index.remove(second)
    assert uids(index.named("Pod", "shop", "web")) == []
    assert "a" not in index.by_uid
    assert ("Pod", "shop", "web") not in index._by_name


def test_dependents_are_found_by_owner() -> None:
    index = ObjectIndex()
    owner, child = thing("owner"), thing("child")
    index.put(owner)
    index.put(child)
    assert not index.has_dependents("owner")
    assert index.own(owner_row("child", "owner"))
    assert not index.own(owner_row("child", "owner")), "it is known"
    assert index.own(owner_row("unseen", "owner"))
    assert uids(index.dependents("owner")) == ["child"]
    assert index.has_dependents("owner")
    assert uids(index.dependents("nobody")) == []
    assert index.owner_row("owner", "child") == owner_row("child", "owner")
    assert index.owner_row("owner", "nobody") is None


def test_an_owner_that_was_never_seen_is_forgotten_with_its_last_dependent() -> None:
    index = ObjectIndex()
    for uid in ("a", "b"):
        index.put(thing(uid))
        index.own(owner_row(uid, "unseen"))
    index.remove(thing("a"))
    assert "unseen" in index.ownership
    index.remove(thing("b"))
    assert "unseen" not in index.ownership
    index.put(thing("seen"))
    index.put(thing("c"))
    index.own(owner_row("c", "seen"))
    index.remove(thing("c"))
    assert "seen" in index.ownership


def test_refused_controllers_are_found_by_what_refused_them() -> None:
    index, rs = ObjectIndex(), thing("rs")
    index.put(rs)
    index.set_refusals(rs, (Refusal("ResourceQuota", "shop", "small", 1, 2),))
    assert uids(index.refused_by("ResourceQuota", "shop", "small")) == ["rs"]
    index.set_refusals(rs, (Refusal("ResourceQuota", "shop", "other", 1, 2),))
    assert uids(index.refused_by("ResourceQuota", "shop", "small")) == []
    assert uids(index.refused_by("ResourceQuota", "shop", "other")) == ["rs"]
    index.set_refusals(rs, ())
    assert uids(index.refused_by("ResourceQuota", "shop", "other")) == []
    assert not index._refused, "nothing is left behind"


# Events --------------------------------------------------------------------------------------------------------------

ABOUT = Subject("creates", "Pod", "shop", "web")


def test_events_are_found_by_what_they_are_about_until_they_are_removed() -> None:
    index = EventIndex()
    first = occurrence("a", event_uid="e1", subject=ABOUT)
    second = occurrence("b", event_uid="e2", subject=ABOUT, arrival=2)
    starting = msgspec.structs.replace(ABOUT, starts=True, name="db")
    decision = occurrence("c", event_uid="e3", subject=starting, reported_uid="hpa", arrival=3)
    top = occurrence("d", event_uid="e4", top_level=True, name="top", arrival=4)
    unnamed = occurrence("f", event_uid="e5", subject=Subject("scales"), arrival=5)
    for occ in (first, second, decision, top, unnamed):
        index.add(occ)
    assert index.about("Pod", "shop", "web") == [first, second]
    assert (index.decisions("hpa"), index.decisions("other")) == ([decision], [])
    assert (index.top_level("Pod", "shop", "top"), index.top_level("Pod", "shop", "web")) == ([top], [])
    for occ in (first, decision, top):
        index.remove(occ)
    assert index.about("Pod", "shop", "web") == [second]
    assert (index.decisions("hpa"), index.top_level("Pod", "shop", "top")) == ([], [])
    index.remove(second)
    index.remove(unnamed)
    assert len(index) == 0


def test_how_far_an_event_was_followed() -> None:
    tracks, obj = EventTracks(), thing("pod")
    assert tracks.newest(obj, "e") is None
    obj.events["e"] = EventTrack(3, "kept", 5)
    assert tracks.newest(obj, "e") == EventTrack(3, "kept", 5)
    tracks.add(occurrence("a", event_uid="e", arrival=4, event_count=2, message="older"))
    assert tracks.newest(obj, "e") == EventTrack(3, "kept", 5), "the one that arrived later counts"
    tracks.add(occurrence("b", event_uid="e", arrival=6, event_count=4, message="newer"))
    assert tracks.newest(obj, "e") == EventTrack(4, "newer", 6)


@pytest.mark.parametrize(
    "repeats, expected",
    [
        ([], EventTrack(1, "first", 5)),
        ([Repeat(0, 3, "third", 9), Repeat(0, 2, "second", 7)], EventTrack(3, "third", 9)),
        ([Repeat(0, 9, "earlier", 4)], EventTrack(1, "first", 5)),
    ],
)
def test_an_event_was_followed_to_the_newest_of_its_repeats(repeats: list[Repeat], expected: EventTrack) -> None:
    tracks, obj = EventTracks(), thing("pod")
    occ = occurrence("a", event_uid="e", arrival=5, event_count=1, message="first", repeats=repeats)
    assert tracks.keep(occ, obj)
    assert obj.events == {"e": expected}


def test_an_object_keeps_the_newest_track_of_so_many_events() -> None:
    tracks, obj = EventTracks(), thing("pod")
    assert tracks.keep(occurrence("a", event_uid="e0", arrival=9, event_count=2), obj)
    assert not tracks.keep(occurrence("b", event_uid="e0", arrival=8, event_count=1), obj)
    assert tracks.keep(occurrence("c", event_uid="e0", arrival=9, event_count=3), obj)
    assert obj.events["e0"].count == 3
    for number in range(1, TRACKED_EVENTS + 1):
        tracks.keep(occurrence("x", event_uid=f"e{number}", arrival=number), obj)
    assert list(obj.events) == [f"e{number}" for number in range(1, TRACKED_EVENTS + 1)]
    assert TRACKED_EVENTS == 64


def test_the_newest_placed_occurrence_of_an_event() -> None:
    tracks = EventTracks()
    found: list[Occurrence] = [occurrence(name, event_uid="e", arrival=n) for n, name in enumerate("abc")]
    for occ in found:
        tracks.add(occ)
    a, b, c = found
    assert tracks.placed_before(c) is None
    a.place = Place("trace")
    tracks.placed(a)
    assert tracks.placed_before(c) is a
    c.place = Place("trace")
    tracks.placed(c)
    assert tracks.placed_before(b) is c
    b.place = Place("trace")
    tracks.placed(b)
    assert tracks.placed_before(a) is c, "it arrived last"
    tracks.forget(c)
    assert tracks.placed_before(a) is b
    assert tracks.placed_before(occurrence("z", event_uid="other")) is None


# traces --------------------------------------------------------------------------------------------------------------


def member(span: str, parent: str = "", trace: str = "t") -> Occurrence:
    return occurrence(span, place=Place(trace, "own", 0.9, parent=parent))


def test_effects_are_found_along_the_graph() -> None:
    index = TraceIndex()
    for occ in (member("a"), member("b", "a"), member("c", "b"), member("d", "a"), member("e", "unknown")):
        index.join(occ)
    assert index.effects_of("a") == ["b", "c", "d"]
    assert index.effects_of("e") == []
    assert "unknown" not in index.causality
    assert index.causality.edges["a", "b"] == {"rule": "own", "confidence": 0.9}
    moved = member("c", "d")
    index.connect(moved)
    assert (index.effects_of("b"), index.effects_of("d")) == ([], ["c"])
    index.remove_occurrence("d")
    index.remove_occurrence("unknown")
    assert index.effects_of("a") == ["b"]


def test_the_roots_of_a_trace_are_its_members_without_a_parent() -> None:
    index = TraceIndex()
    index.by_id["t"] = Trace("t", 1, 1, 1)
    a, b = member("a"), member("b")
    index.join(a)
    index.join(b)
    assert index.roots("t") == [a, b]
    b.place = Place("t", "own", 0.9, parent="a")
    index.connect(b)
    assert (index.roots("t"), index.direct_effects_of("a")) == ([a], ["b"])
    index.rename("t", "u")
    index.leave(member("a", trace="u"))
    assert index.roots("u") == []


def test_dependents_that_name_their_owner_differently_keep_their_own_row() -> None:
    index = ObjectIndex()
    rows = [OwnerRow(uid, "owner", "v1", "Kind", name, True) for uid, name in (("a", "x"), ("b", "x"), ("c", "y"))]
    for row in rows:
        assert index.own(row)
    assert [index.owner_row("owner", row.uid) for row in rows] == rows


def test_members_join_and_leave() -> None:
    index = TraceIndex()
    index.by_id["t"] = Trace("t", 1, 1, 1)
    a, b = member("a"), member("b", "a")
    index.join(a)
    index.join(b)
    index.leave(b)
    index.leave(b)
    assert (index.members("t"), index.size("t")) == ([a], 1)
    assert "b" in index.causality
    index.remove("t")
    assert (index.members("t"), index.by_id) == ([], {})


def test_loaded_members_are_connected_in_any_order() -> None:
    index = TraceIndex()
    index.load([member("b", "a"), member("a")])
    assert index.effects_of("a") == ["b"]
    assert index.size("t") == 2


def test_pods_are_found_by_node_until_they_leave_it_or_are_removed() -> None:
    index = ObjectIndex()
    one, two = thing("one", node="node-a"), thing("two", node="node-a")
    for obj in (one, two, msgspec.structs.replace(one, rv=5), thing("waiting"), thing("job", "Job", node="node-a")):
        index.put(obj)
    assert sorted(uids(index.pods_on("node-a"))) == ["one", "two"]
    index.put(msgspec.structs.replace(two, node="node-b"))
    assert uids(index.pods_on("node-a")) == ["one"]
    assert uids(index.pods_on("node-b")) == ["two"]
    index.put(msgspec.structs.replace(two, node=""))
    assert uids(index.pods_on("node-b")) == []
    index.remove(index.by_uid["one"])
    assert uids(index.pods_on("node-a")) == []
    assert not index._on_node


def test_a_kind_was_seen_while_an_object_of_it_that_was_seen_is_remembered() -> None:
    index = ObjectIndex()
    index.put(thing("pod", rv=0))
    assert not index.has_seen("Pod"), "only an Event names it"
    for rv in (3, 4):
        index.put(thing("pod", rv=rv))
        assert index.has_seen("Pod")
    assert not index.has_seen("Node")
    index.remove(index.by_uid["pod"])
    assert not index.has_seen("Pod")


def test_the_newest_open_traces_that_continue_a_closed_one_are_found_newest_first_until_they_are_closed() -> None:
    index = TraceIndex()
    for number in range(MOST_CONTINUING + 2):
        index.add(Trace(f"t{number}", number, number, number, previous_trace="closed"))
    index.add(Trace("other", 1, 1, 1))
    found = index.continuing("closed")
    assert (len(found), found[0].id, found[-1].id) == (MOST_CONTINUING, f"t{MOST_CONTINUING + 1}", "t2")
    index.join(member("a", trace=f"t{MOST_CONTINUING + 1}"))
    index.rename(f"t{MOST_CONTINUING + 1}", "renamed")
    assert index.continuing("closed")[0].id == "renamed"
    for name in list(index.by_id):
        index.join(member("a", trace=name))
        index.remove(name)
    assert index.continuing("closed") == index.continuing("unknown") == []
