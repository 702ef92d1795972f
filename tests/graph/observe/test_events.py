"""Events become occurrences: when they occurred, which deltas count, what they are about."""

import json
from typing import Any

import pytest

from kspan.graph import built_in_rules
from kspan.graph.observe.events import MAX_LAG, EventObserver, is_combined
from kspan.graph.state.records import Occurrence
from kspan.graph.state.state import State
from kspan.ids import unnamed
from kspan.model import LogRecord, RecordType
from kspan.settings import FoldSettings
from kspan.times import MILLISECOND, SECOND, parse_time

T0, T5 = "2026-11-22T10:00:00Z", "2026-11-22T10:00:05Z"
N0, N5 = parse_time(T0), parse_time(T5)
LATER = N5 + 10 * SECOND
EXACT = N0 + 123_456_789
NAME = f"web.{EXACT:x}"


class Observed:
    """A state that observes Events."""

    def __init__(self) -> None:
        self.state = State("c1", FoldSettings())
        self.observer = EventObserver(self.state, built_in_rules())

    def add(self, received: int = LATER, kind: RecordType = RecordType.ADDED, **fields: Any) -> list[Occurrence]:
        """Observe an Event about the Pod ``web``; return the occurrences of the Pod, in order."""
        meta = {"uid": "event-1", "name": fields.pop("name", "web.1"), "resourceVersion": "7"}
        meta |= fields.pop("metadata", {})
        about = {"kind": "Pod", "namespace": "shop", "name": "web", "uid": "pod-1"} | fields.pop("about", {})
        event = {"metadata": meta, "involvedObject": about, "reason": "Pulled", "message": "m", **fields}
        self.observer.observe(LogRecord(kind, received, "v1/events", payload=json.dumps(event).encode()))
        uid = about["uid"] or unnamed("Pod", "shop", "web")
        found = [self.state.occurrence(span) for span in self.state.pending_of(uid)]
        return sorted((occ for occ in found if occ is not None), key=lambda occ: occ.arrival)


def only(**fields: Any) -> Occurrence:
    (occ,) = Observed().add(**fields)
    return occ


@pytest.mark.parametrize(
    "fields, time, latest",
    [
        ({"eventTime": "2026-11-22T10:00:00.5Z"}, N0 + 500 * MILLISECOND, N0 + 500 * MILLISECOND),
        ({"name": NAME, "firstTimestamp": T0, "lastTimestamp": T0}, EXACT, EXACT),
        ({"series": {"count": 2, "lastObservedTime": T5}, "eventTime": T0}, N5, N5),
        ({"lastTimestamp": T5, "firstTimestamp": T0, "name": NAME, "count": 2}, N5, N5 + SECOND),
        ({"firstTimestamp": T5}, N5, N5 + SECOND),
        ({"metadata": {"creationTimestamp": T5}}, N5, N5 + SECOND),
        ({}, LATER, LATER),
        ({"lastTimestamp": T5, "received": N5 + SECOND - 1}, N5 + SECOND - 1, N5 + SECOND - 1),
        ({"lastTimestamp": T5, "received": N5 + SECOND}, N5, N5 + SECOND),
        ({"lastTimestamp": T5, "received": N5 - 1}, N5, N5 + SECOND),
        ({"lastTimestamp": T5, "received": N5, "kind": RecordType.LISTED}, N5, N5 + SECOND),
    ],
)
def test_the_most_precise_time_of_an_event_counts(fields: dict[str, Any], time: int, latest: int) -> None:
    occ = only(**fields)
    assert (occ.time, occ.latest) == (time, latest)


@pytest.mark.parametrize(
    "name",
    [
        "web",  # no number
        f"web.{N0 - 1:x}",  # before the second of firstTimestamp
        f"web.{N0 + SECOND:x}",  # after it
        "web.zzzzzzzzzzzzzzzz",
        f"web.000{EXACT:x}",  # too long
        "web.1234",  # too short
    ],
)
def test_a_number_in_the_name_of_an_event_that_is_not_its_time_is_ignored(name: str) -> None:
    occ = only(name=name, firstTimestamp=T0, lastTimestamp=T0)
    assert (occ.time, occ.event_start) == (N0, N0)


@pytest.mark.parametrize("at", [N0, N0 + SECOND - 1])
def test_the_time_in_the_name_is_valid_within_the_second_of_first_timestamp(at: int) -> None:
    assert only(name=f"web.{at:x}", firstTimestamp=T0).event_start == at


def test_each_new_count_or_message_is_an_occurrence_and_anything_else_is_not() -> None:
    observed = Observed()
    counts = [len(observed.add(count=count, message=text)) for count, text in [
        (1, "a"), (1, "a"), (2, "a"), (1, "a"), (2, "b"), (2, "b"), (5, "b"),
    ]]  # fmt: skip
    assert counts == [1, 1, 2, 2, 3, 3, 4]
    assert len(observed.add(kind=RecordType.DELETED, count=6)) == 4, "an Event that expires did not occur again"
    assert len({occ.id for occ in observed.add(count=5, message="b")}) == 4


def test_only_the_first_occurrence_and_a_series_have_the_version_that_the_reporter_looked_at() -> None:
    observed = Observed()
    about = {"resourceVersion": "5"}
    observed.add(about=about)
    first, second = observed.add(about=about, count=2)
    assert (first.seen_rv, second.seen_rv) == (5, 0)
    assert only(about=about, series={"count": 3, "lastObservedTime": T5}).seen_rv == 5


def test_an_event_whose_reporter_omits_the_uid_gets_a_placeholder() -> None:
    assert only(about={"uid": ""}).uid == unnamed("Pod", "shop", "web")


def test_a_node_name_in_the_place_of_the_uid_is_no_uid() -> None:
    observed = Observed()
    observed.add(about={"kind": "Node", "namespace": "", "name": "node-a", "uid": "node-a"})
    assert observed.state.is_pending(unnamed("Node", "", "node-a"))


def test_the_kinds_of_flux_1_are_corrected() -> None:
    assert only(about={"kind": "helmrelease"}).kind == "HelmRelease"


def test_defaults_of_what_an_event_omits() -> None:
    occ = only(reason="")
    assert (occ.reason, occ.actor, occ.event_count) == ("Event", "unknown", 1)
    assert only(source={"component": "a"}, reportingComponent="b").actor == "a"
    assert only(reportingComponent="b", reportingInstance="host").instance == "host"
    assert only(type="Warning").warning


@pytest.mark.parametrize(
    "lag, measured",
    [(0, 0), (40 * SECOND, 40 * SECOND), (MAX_LAG - 1, MAX_LAG - 1), (MAX_LAG, 0), (-1, 0)],
)
def test_the_lateness_of_events_is_measured_within_limits(lag: int, measured: int) -> None:
    observed = Observed()
    observed.add(received=N0 + lag, eventTime=T0)
    assert observed.state.clock.event_lag() == measured


def test_a_listed_event_is_not_late() -> None:
    observed = Observed()
    observed.add(kind=RecordType.LISTED, received=N0 + 40 * SECOND, eventTime=T0)
    assert observed.state.clock.event_lag() == 0


def refused(observed: Observed, message: str, **fields: Any) -> tuple[str, int, int]:
    about = {"kind": "ReplicaSet", "uid": "rs-1"}
    observed.add(
        reason="FailedCreate", message=message, source={"component": "replicaset-controller"}, about=about, **fields
    )
    obj = observed.state.object("rs-1")
    assert obj is not None
    assert obj.refused is not None
    return obj.refused.name, obj.refused.first, obj.refused.last


def test_refusals_because_of_the_same_object_are_one_period() -> None:
    observed = Observed()
    small, large = (f"pods is forbidden: exceeded quota: {name}, requested" for name in ("small", "large"))
    assert refused(observed, small, firstTimestamp=T0, lastTimestamp=T0) == ("small", N0, N0 + SECOND)
    assert refused(observed, small, firstTimestamp=T5, lastTimestamp=T5, count=2) == ("small", N0, N5 + SECOND)
    assert refused(observed, large, firstTimestamp=T5, lastTimestamp=T5, count=3) == ("large", N5, N5 + SECOND)


def test_a_top_level_event_is_about_its_own_object() -> None:
    occ = only(metadata={"annotations": {"topLevelSpan": "true"}})
    assert occ.subject is not None
    assert (occ.subject.means, occ.subject.kind, occ.subject.name, occ.subject.starts) == (
        "applies",
        "Pod",
        "web",
        True,
    )
    assert only(metadata={"annotations": {"topLevelSpan": "false"}}).subject is None


def test_aggregated_events_are_recognized() -> None:
    assert is_combined("(combined from similar events): x")
    assert not is_combined("x (combined from similar events): ")
