"""From the delta of an Event to an occurrence: its time, its count, and whether it is a new one."""

from typing import Any

import msgspec
import pytest

from kspan.graph import built_in_rules
from kspan.graph.observe.events import EventObserver, _with_reference, is_combined
from kspan.graph.observe.failures import FailureObserver
from kspan.graph.observe.timing import MAX_LAG
from kspan.graph.rules.rules import Subject
from kspan.graph.state.records import ObjectState, Occurrence, Refusal
from kspan.graph.state.state import State
from kspan.ids import unnamed
from kspan.k8s.objects import decode_event
from kspan.model import LogRecord, RecordType
from kspan.settings import FoldSettings
from kspan.times import MILLISECOND, SECOND, format_time, parse_time

T = parse_time("2026-11-22T10:00:00Z")


def at(seconds: float) -> str:
    return format_time(T + int(seconds * SECOND))


def second(seconds: int) -> str:
    return f"{at(seconds)[:19]}Z"


class Observed:
    """Observes Events of the Pod web, each received at second 100 unless another time is given."""

    def __init__(self) -> None:
        self.state = State("cluster", FoldSettings())
        rules = built_in_rules()
        self.observer = EventObserver(self.state, rules, FailureObserver(rules.failures, FoldSettings()))

    def event(
        self, received: float = 100, kind: RecordType = RecordType.ADDED, epoch: int = 0, **fields: Any
    ) -> Occurrence | None:
        """The occurrence that the Event adds, the newest if it adds two; None if it adds none."""
        meta = {"uid": "event", "name": "web.odd", "namespace": "shop", "resourceVersion": "50"}
        meta |= fields.pop("metadata", {})
        pod = {"kind": "Pod", "namespace": "shop", "name": "web", "uid": "pod", "resourceVersion": "40"}
        pod |= fields.pop("involvedObject", {})
        raw = {
            "kind": "Event",
            "apiVersion": "v1",
            "metadata": meta,
            "involvedObject": pod,
            "reason": "BackOff",
        } | fields
        now = T + int(received * SECOND)
        record = LogRecord(kind, now, "v1/events", kind="Event", payload=msgspec.json.encode(raw), epoch=epoch)
        before = set(self.state._occurrences)
        self.state.clock.advance(now)
        self.observer.observe(record)
        added = (occ for span, occ in self.state._occurrences.items() if span not in before)
        return max(added, key=lambda occ: occ.arrival, default=None)


def observed(**fields: Any) -> Occurrence:
    occ = Observed().event(**fields)
    assert occ is not None
    return occ


HEX = f"{T + 98 * SECOND + 250 * MILLISECOND:x}"


@pytest.mark.parametrize(
    "fields, time, latest",
    [
        # Exact: eventTime, the time in the name, the last time of a series.
        ({"eventTime": at(98.5)}, 98.5, 98.5),
        ({"metadata": {"name": f"web.{HEX}"}, "firstTimestamp": second(98), "lastTimestamp": second(98)}, 98.25, 98.25),
        ({"eventTime": at(90), "series": {"count": 3, "lastObservedTime": at(98.5)}}, 98.5, 98.5),
        # In whole seconds: somewhere in that second ...
        ({"firstTimestamp": second(90), "lastTimestamp": second(98)}, 98, 99),
        ({"firstTimestamp": second(98)}, 98, 99),
        ({"metadata": {"creationTimestamp": second(98)}}, 98, 99),
        # ... or at the time of receipt, if that is in the second that follows.
        ({"lastTimestamp": second(99), "received": 99.9}, 99.9, 99.9),
        ({"lastTimestamp": second(99), "received": 100}, 99, 100),
        ({"lastTimestamp": second(99), "received": 99}, 99, 99),
        # A clock that is ahead: nothing happened after it was received, unless it was only listed.
        ({"lastTimestamp": second(99), "received": 98.9}, 98.9, 98.9),
        ({"eventTime": at(99.5), "received": 99.25}, 99.25, 99.25),
        ({"eventTime": at(99.5), "received": 99.25, "kind": RecordType.LISTED}, 99.5, 99.5),
        ({"lastTimestamp": second(99), "received": 99.9, "kind": RecordType.LISTED}, 99, 100),
        # None at all.
        ({}, 100, 100),
        # eventTime and the name have the time of the first occurrence: a repeat has only whole seconds.
        ({"count": 2, "eventTime": at(90.5), "lastTimestamp": second(98)}, 98, 99),
        ({"count": 2, "metadata": {"name": f"web.{HEX}"}, "firstTimestamp": second(98)}, 98, 99),
        ({"count": 2, "eventTime": at(90.5)}, 90.5, 91.5),
    ],
)
def test_the_time_of_an_event_is_the_most_precise_one_that_it_has(
    fields: dict[str, Any], time: float, latest: float
) -> None:
    occ = observed(**fields)
    assert ((occ.time - T) / SECOND, (occ.latest - T) / SECOND) == (time, latest)


@pytest.mark.parametrize(
    "name, first, expected",
    [
        (f"web.{T + 98 * SECOND:x}", 98, 98),
        (f"web.{T + 99 * SECOND - 1:x}", 98, 98.999999999),
        # Not within the second of firstTimestamp, or no hexadecimal number of that length.
        (f"web.{T + 99 * SECOND:x}", 98, None),
        (f"web.{T + 98 * SECOND - 1:x}", 98, None),
        (f"web.0{T + 98 * SECOND:x}", 98, None),
        (f"web.00{T + 98 * SECOND:x}", 98, None),
        ("web.xyzxyzxyzxyzxyz", 98, None),
        (f"{T + 98 * SECOND:x}", 98, None),
    ],
)
def test_the_name_of_an_event_has_its_time_in_nanoseconds(name: str, first: int, expected: float | None) -> None:
    occ = observed(metadata={"name": name}, firstTimestamp=second(first), lastTimestamp=second(first))
    assert (occ.time, occ.latest) == (
        (T + round(expected * 10**9),) * 2 if expected is not None else (T + first * SECOND, T + (first + 1) * SECOND)
    )


@pytest.mark.parametrize(
    "first, again, expected",
    [
        ({"count": 1, "message": "a"}, {"count": 1, "message": "a"}, None),
        ({"count": 2, "message": "a"}, {"count": 1, "message": "a"}, None),
        ({"count": 1, "message": "a"}, {"count": 2, "message": "a"}, 2),
        # Some third parties change the message but not the count.
        ({"count": 1, "message": "a"}, {"count": 1, "message": "b"}, 1),
        ({"count": 2, "message": "a"}, {"count": 1, "message": "b"}, 1),
        ({"message": "a"}, {"message": "a"}, None),
        ({"series": {"count": 2}}, {"series": {"count": 3}}, 3),
        ({"series": {"count": 2}, "count": 9}, {"series": {"count": 2}, "count": 9}, None),
    ],
)
def test_an_event_occurs_again_if_its_count_grows_or_its_message_changes(
    first: dict[str, Any], again: dict[str, Any], expected: int | None
) -> None:
    seen = Observed()
    before, after = seen.event(**first), seen.event(**again)
    assert before is not None
    assert (after.event_count if after is not None else None) == expected
    if after is not None:
        assert after.id != before.id


def test_the_same_message_comes_back_as_an_occurrence_of_its_own() -> None:
    seen = Observed()
    found = [seen.event(count=1, message=message) for message in ("a", "b", "c")]
    assert len({occ.id for occ in found if occ is not None}) == 3


@pytest.mark.parametrize(
    "fields, expected",
    [
        ({}, 40),
        ({"count": 2}, 0),
        ({"count": 2, "series": {"count": 2}}, 40),
        ({"involvedObject": {"resourceVersion": ""}}, 0),
    ],
)
def test_a_repeat_keeps_the_version_of_its_first_occurrence_which_is_then_not_known(
    fields: dict[str, Any], expected: int
) -> None:
    assert observed(**fields).seen_rv == expected


def test_a_second_delta_with_count_1_is_no_first_occurrence() -> None:
    seen = Observed()
    seen.event(message="a", eventTime=at(98.5))
    again = seen.event(message="b", eventTime=at(98.5))
    assert again is not None
    assert (again.seen_rv, again.time, again.latest) == (0, T + 98.5 * SECOND, T + 99.5 * SECOND)


@pytest.mark.parametrize(
    "seconds, kind, expected",
    [
        (90, RecordType.ADDED, 10),
        (100, RecordType.ADDED, 0),
        (101, RecordType.ADDED, 0),
        (100 - 299.9, RecordType.ADDED, 299.9),
        (100 - 300, RecordType.ADDED, 0),
        (90, RecordType.LISTED, 0),
    ],
)
def test_how_late_an_event_arrives_is_measured_up_to_five_minutes(
    seconds: float, kind: RecordType, expected: float
) -> None:
    seen = Observed()
    seen.event(kind=kind, eventTime=at(seconds))
    assert seen.state.clock.event_lag() == expected * SECOND
    assert MAX_LAG == 300 * SECOND


def test_an_expired_event_did_not_occur() -> None:
    assert Observed().event(kind=RecordType.DELETED) is None


@pytest.mark.parametrize("uid", ["", "web"])
def test_an_object_that_has_only_its_name_gets_a_placeholder(uid: str) -> None:
    assert observed(involvedObject={"uid": uid}).uid == unnamed("Pod", "shop", "web")
    assert observed().uid == "pod"


@pytest.mark.parametrize(
    "fields, actor, instance",
    [
        ({"source": {"component": "kubelet", "host": "node-a"}}, "kubelet", "node-a"),
        ({"reportingComponent": "kubelet", "reportingInstance": "node-a"}, "kubelet", "node-a"),
        (
            {"source": {"component": "a", "host": "x"}, "reportingComponent": "b", "reportingInstance": "y"},
            "a",
            "x",
        ),
        ({}, "unknown", ""),
    ],
)
def test_who_reports_an_event(fields: dict[str, Any], actor: str, instance: str) -> None:
    occ = observed(**fields)
    assert (occ.actor, occ.instance) == (actor, instance)


def test_what_an_occurrence_has_of_its_event() -> None:
    occ = observed(
        type="Warning",
        message="Back-off",
        action="Pulling",
        firstTimestamp=second(90),
        lastTimestamp=second(98),
        count=3,
        involvedObject={"apiVersion": "v1", "fieldPath": "spec.containers{app}"},
        metadata={"annotations": {"topLevelSpan": "true"}},
    )
    assert (occ.warning, occ.message, occ.event_action, occ.event_count) == (True, "Back-off", "Pulling", 3)
    assert (occ.event_start, occ.rv, occ.resource_version) == (T + 90 * SECOND, 50, "40")
    assert (occ.api_version, occ.field_path, occ.event_uid, occ.event_name) == (
        "v1",
        "spec.containers{app}",
        "event",
        "web.odd",
    )
    assert occ.top_level
    assert occ.subject is not None
    assert (occ.subject.means, occ.subject.source, occ.subject.starts) == ("applies", "self", True)
    other = observed(reason="", metadata={"annotations": {"topLevelSpan": "yes"}})
    assert (other.reason, other.warning, other.top_level, other.subject) == ("Event", False, False, None)


def test_a_quota_that_refuses_a_controller_is_remembered_from_the_first_to_the_last_time() -> None:
    seen = Observed()
    refused: dict[str, Any] = {
        "reason": "FailedCreate",
        "source": {"component": "replicaset-controller"},
        "type": "Warning",
    }
    refused |= {"message": 'Error creating: pods "x" is forbidden: exceeded quota: small, requested: pods=1'}
    refused["involvedObject"] = {"kind": "ReplicaSet", "uid": "rs"}
    seen.event(firstTimestamp=second(90), lastTimestamp=second(90), **refused)
    seen.event(firstTimestamp=second(90), lastTimestamp=second(98), count=2, **refused)
    rs = seen.state.object("rs")
    assert rs is not None
    assert rs.refusals == (Refusal("ResourceQuota", "shop", "small", T + 90 * SECOND, T + 99 * SECOND),)
    refused["metadata"] = {"uid": "another"}
    seen.event(firstTimestamp=second(95), lastTimestamp=second(95), **refused)
    rs = seen.state.object("rs")
    assert rs is not None
    assert rs.refusals == (Refusal("ResourceQuota", "shop", "small", T + 90 * SECOND, T + 99 * SECOND),)


@pytest.mark.parametrize(
    "by, related, expected",
    [("related", "uid", "uid"), ("related", None, ""), ("shop/web", None, "shop/web"), ("", "uid", "")],
)
def test_a_rule_may_find_the_beneficiary_in_the_related_object(by: str, related: str | None, expected: str) -> None:
    raw: dict[str, Any] = {"metadata": {"uid": "e"}, "involvedObject": {"kind": "Pod"}}
    event = decode_event(msgspec.json.encode(raw | ({"related": {"uid": related}} if related else {})))
    assert event is not None
    assert _with_reference(Subject("creates", by=by), event, ObjectState("rs")).by == expected


def test_an_aggregated_event_has_a_prefix() -> None:
    assert is_combined("(combined from similar events): Back-off")
    assert not is_combined("Back-off")
