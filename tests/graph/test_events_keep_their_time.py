"""An Event is never attached to a change that was made after it, and its time is never moved."""

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kspan.times import SECOND
from kspan.vocabulary import EVENT_COUNT, is_repeat
from tests.causality.cluster import Cluster, Thing
from tests.causality.drawing import CLUSTER, fold_with_restarts
from tests.recordings import fold

KINDS = ("Pod", "Deployment", "ConfigMap")

actions = st.one_of(
    st.tuples(st.just("update"), st.sampled_from(KINDS)),
    st.tuples(st.just("label"), st.sampled_from(KINDS)),
    st.tuples(st.just("delete"), st.sampled_from(KINDS)),
    st.tuples(st.just("event"), st.sampled_from(KINDS), st.booleans(), st.booleans()),
    st.tuples(st.just("repeat"), st.integers(0, 5)),
    st.tuples(st.just("wait"), st.sampled_from([0.02, 0.9, 3, 12, 100, 1000])),
)


class History:
    """Writes of some objects, with the exact time of each change and of each occurrence of an Event."""

    def __init__(self) -> None:
        self.cluster = Cluster()
        self.things: dict[str, Thing] = {}
        self.written: dict[str, int] = {}
        """When each version of an object was written (ns)."""
        self.happened: dict[tuple[str, int], int] = {}
        """When an Event occurred (ns), by its uid and count."""
        self.counts: dict[str, int] = {}

    def thing(self, kind: str) -> Thing:
        if kind not in self.things:
            spec: dict[str, Any] = {"data": {"a": "1"}} if kind == "ConfigMap" else {"replicas": 1}
            self.note(self.cluster.create(kind, f"a-{kind.lower()}", by="kubectl-create", **spec))
        return self.things[kind]

    def note(self, thing: Thing) -> None:
        self.things[thing.kind] = thing
        self.written[thing.version] = self.cluster.now

    def update(self, kind: str) -> None:
        thing = self.thing(kind)
        if "deletionTimestamp" not in thing.meta:
            key = "data" if kind == "ConfigMap" else "paused"
            spec: dict[str, Any] = {key: {"a": str(self.cluster.version)}}
            self.note(self.cluster.update(thing, by="kubectl-edit", **spec))

    def label(self, kind: str) -> None:
        self.note(self.cluster.label(self.thing(kind), tier=str(self.cluster.version)))

    def delete(self, kind: str) -> None:
        self.note(self.cluster.gone(self.thing(kind)))
        del self.things[kind]

    def event(self, kind: str, states_version: bool, warning: bool) -> None:
        thing = self.thing(kind)
        seen = None if states_version else ""
        uid = self.cluster.event(thing, "Looked", "looked at it", by="somebody", seen=seen, warning=warning)
        self.counts[uid] = 1
        self.happened[uid, 1] = self.cluster.now

    def repeat(self, number: int) -> None:
        if self.counts:
            uid = list(self.counts)[number % len(self.counts)]
            self.cluster.repeat(uid)
            self.counts[uid] += 1
            self.happened[uid, self.counts[uid]] = self.cluster.now

    def wait(self, seconds: float) -> None:
        self.cluster.wait(seconds)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    before=st.lists(actions, max_size=12), after=st.lists(actions, max_size=12), pause=st.sampled_from([1, 40, 3000])
)
def test_an_event_is_never_below_a_later_change_and_its_time_is_never_moved(
    before: list[tuple[Any, ...]], after: list[tuple[Any, ...]], pause: int
) -> None:
    """``before`` is in a first list, ``after`` is watched."""
    history = History()
    for name, *about in before:
        getattr(history, name)(*about)
    history.cluster.first_list(after=pause)
    for name, *about in after:
        getattr(history, name)(*about)
    if not history.cluster.records:
        return
    spans = {row["span_id"]: row for row in fold(CLUSTER, history.cluster.records)["spans"]}
    for row in spans.values():
        if row["event_uid"]:
            happened = history.happened[row["event_uid"], row["event_count"]]
            assert abs(row["start_time"] - happened) < SECOND
            for repeat in row["events"]:
                if "k8s.event.count" in repeat.attributes:
                    again = history.happened[row["event_uid"], repeat.attributes["k8s.event.count"]]
                    assert abs(repeat.time - again) < SECOND
            for above in line(spans, row):
                version = above["attributes"].get("k8s.object.resource_version", "")
                if not above["event_uid"] and version in history.written and above["start_time"]:
                    # The time of an Event is a whole second: of two in one second either may be the first.
                    assert above["start_time"] < happened + SECOND
                    if above["reason"] != "Create" or above["attributes"].get("k8s.event.uid"):
                        assert history.written[version] < happened + SECOND


def line(spans: dict[str, dict[str, Any]], row: dict[str, Any]) -> list[dict[str, Any]]:
    """The spans above another."""
    found = []
    while row["parent_span_id"]:
        row = spans[row["parent_span_id"]]
        found.append(row)
    return found


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(before=st.lists(actions, max_size=12), after=st.lists(actions, max_size=8), pause=st.sampled_from([1, 40, 3000]))
def test_no_occurrence_of_an_event_comes_twice_and_restarts_change_nothing(
    before: list[tuple[Any, ...]], after: list[tuple[Any, ...]], pause: int
) -> None:
    history = History()
    for name, *about in before:
        getattr(history, name)(*about)
    history.cluster.first_list(after=pause)
    for name, *about in after:
        getattr(history, name)(*about)
    if not history.cluster.records:
        return
    found = fold(CLUSTER, history.cluster.records)
    events = [row for row in found["spans"] if row["event_uid"]]
    known = [(row["event_uid"], row["event_count"]) for row in events]
    known += [
        (r["event_uid"], e.attributes[EVENT_COUNT]) for r in events for e in r["events"] if is_repeat(e.attributes)
    ]
    assert len(known) == len(set(known))
    assert fold_with_restarts(history.cluster.records) == found
