"""From the live state to rows: every column and every attribute."""

from typing import Any

import pytest

from kspan.graph.rules.rules import Subject
from kspan.graph.state.records import Note, ObjectState, Occurrence, Place, Repeat, Trace
from kspan.graph.state.rows import (
    closed_root_row,
    closed_span_row,
    object_row,
    open_span_row,
    open_trace_row,
    pending_row,
    pending_span_so_far,
    span_so_far,
)
from kspan.model import Outcome, SpanEvent, SpanLink, SpanRow, SpanState, TraceState, Verdict
from kspan.times import SECOND, parse_time
from tests.graph.making import occurrence

A, B, C = "a" * 32, "b" * 32, "c" * 32
CONTEXT = f"00-{C}-{'d' * 16}-01"


def placed(place: dict[str, Any] | None = None, **more: Any) -> Occurrence:
    fields: dict[str, Any] = {"trace": A, "rule": "own", "confidence": 0.9} | (place or {})
    return occurrence("span", place=Place(**fields), **more)


def closed(occ: Occurrence) -> SpanRow:
    return closed_span_row(occ, 1, 2, {})


def test_the_row_of_an_object() -> None:
    obj = ObjectState("uid", "Pod", "shop", "web", "v1/pods", "v1", 5, "5", 3, owner="rs", node="node-a")
    obj.created, obj.seen, obj.deleted = 1, 2, 3
    row = object_row(obj, live=True)
    assert (row.uid, row.kind, row.namespace, row.name, row.resource, row.api_version) == (
        "uid",
        "Pod",
        "shop",
        "web",
        "v1/pods",
        "v1",
    )
    assert (row.resource_version, row.generation, row.owner_uid, row.node) == ("5", 3, "rs", "node-a")
    assert (row.created_at, row.seen_at, row.deleted_at, row.remembered) == (1, 2, 3, True)
    assert row.state
    gone = object_row(obj, live=False)
    assert (gone.remembered, gone.state) == (False, b"")


def test_the_rows_of_an_occurrence_that_waits_and_of_one_in_an_open_trace() -> None:
    waiting = pending_row(occurrence("span", seconds=5, arrival=7))
    assert (waiting.arrival, waiting.object_kind, waiting.object_name) == (7, "Pod", "web-0")
    assert (waiting.object_namespace, waiting.start_time, bool(waiting.fold)) == ("shop", 5 * SECOND, True)
    row = open_span_row(placed(seconds=5, repeats=[Repeat(1, 2, "", 3)]))
    assert (row.state, row.start_time, row.end_time) == (SpanState.OPEN, 5 * SECOND, 5 * SECOND)
    assert (row.attributes, row.events, bool(row.fold)) == ({}, [], True)


def test_what_is_known_so_far_of_an_open_span() -> None:
    row = open_span_row(placed(event_uid="e", event_count=3))
    assert span_so_far(row).attributes["k8s.event.count"] == 3
    final = closed(placed())
    assert span_so_far(final) is final


def test_what_is_known_so_far_of_an_occurrence_that_waits() -> None:
    row = pending_span_so_far(pending_row(occurrence("span", seconds=5, event_uid="e", event_count=3)))
    assert (row.span_id, row.state, row.trace_id, row.start_time) == ("span", SpanState.PENDING, "", 5 * SECOND)
    assert row.attributes["k8s.event.count"] == 3


@pytest.mark.parametrize(
    "fields, expected",
    [
        ({}, 5),
        ({"verb": "Update", "until": 7 * SECOND}, 7),
        ({"repeats": [Repeat(7 * SECOND, 2, "", 3), Repeat(6 * SECOND, 3, "", 4)]}, 5),
        ({"notes": [Note(8 * SECOND, "Ready", "Ready", "True", "", "")]}, 5),
    ],
)
def test_so_far_a_span_lasts_until_its_known_end_and_no_repeat_or_note_makes_it_longer(
    fields: dict[str, Any], expected: float
) -> None:
    row = span_so_far(open_span_row(placed(seconds=5, **fields)))
    assert (row.start_time, row.end_time) == (5 * SECOND, expected * SECOND)


def test_the_row_of_an_open_trace() -> None:
    row = open_trace_row(Trace(A, 5, 6, 7, previous_trace=B), 3)
    assert (row.trace_id, row.state, row.previous_trace_id, row.span_count) == (A, TraceState.OPEN, B, 3)
    assert (row.opened_at, row.closed_at, row.start_time, row.end_time) == (5, 0, 0, 0)
    assert (row.incomplete, row.error, row.root_span_id) == (False, False, "")


def test_the_attributes_of_a_change() -> None:
    occ = placed(
        verb="Update", api_version="v1", resource_version="40", manager="kubectl", patch="[]", summary="x", until=2
    )
    assert closed_span_row(occ, 1, 2, {"k8s.node.name": "node-a"}).attributes == {
        "k8s.object.kind": "Pod",
        "k8s.object.name": "web-0",
        "k8s.object.uid": "pod",
        "k8s.object.api_version": "v1",
        "k8s.object.resource_version": "40",
        "k8s.namespace.name": "shop",
        "k8s.node.name": "node-a",
        "k8s.pod.name": "web-0",
        "k8s.pod.uid": "pod",
        "kspan.change": "[]",
        "kspan.change.summary": "x",
        "kspan.field_manager": "kubectl",
        "kspan.rule": "own",
        "kspan.confidence": 0.9,
    }


def test_the_attributes_of_an_event() -> None:
    occ = placed(
        event_uid="event",
        event_name="web.1",
        event_action="Pulling",
        event_count=0,
        event_start=parse_time("2026-11-22T10:00:00Z"),
        message="said",
        field_path="spec.containers{app}",
        subject=Subject("creates", rule="a rule"),
    )
    found = closed(occ).attributes
    assert {
        key: value for key, value in found.items() if not key.startswith(("k8s.object", "k8s.pod", "k8s.name"))
    } == {
        "k8s.container.name": "app",
        "k8s.event.uid": "event",
        "k8s.event.name": "web.1",
        "k8s.event.reason": "Killing",
        "k8s.event.action": "Pulling",
        "k8s.event.start_time": "2026-11-22T10:00:00.000000Z",
        "k8s.event.message": "said",
        "k8s.event.count": 0,
        "kspan.event.rule": "a rule",
        "kspan.rule": "own",
        "kspan.confidence": 0.9,
    }
    assert found["k8s.object.fieldpath"] == "spec.containers{app}"
    assert "k8s.event.start_time" not in closed(placed(event_uid="event")).attributes


@pytest.mark.parametrize(
    "path, expected",
    [
        ("spec.containers{app}", "app"),
        ("spec.initContainers{app}", "app"),
        ("spec.ephemeralContainers{app}", "app"),
        ("spec.containers{app}.image", None),
        ("", None),
    ],
)
def test_the_container_is_read_from_the_field_path(path: str, expected: str | None) -> None:
    assert closed(placed(field_path=path)).attributes.get("k8s.container.name") == expected


def test_the_attributes_of_a_transition() -> None:
    occ = placed(condition="Ready", condition_status="False", condition_reason="Odd", message="said")
    found = {key: value for key, value in closed(occ).attributes.items() if "condition" in key}
    assert found == {
        "kspan.condition.type": "Ready",
        "kspan.condition.status": "False",
        "kspan.condition.reason": "Odd",
        "kspan.condition.message": "said",
    }


EPISODE = {"link_trace": B, "link_span": "b", "link": "continues"}


@pytest.mark.parametrize(
    "place, related, links",
    [
        ({}, "", []),
        (EPISODE, "", [SpanLink(B, "b", {"kspan.link": "continues"})]),
        ({}, CONTEXT, [SpanLink(C, "d" * 16, {"kspan.link": "relates"})]),
        (
            EPISODE,
            CONTEXT,
            [SpanLink(B, "b", {"kspan.link": "continues"}), SpanLink(C, "d" * 16, {"kspan.link": "relates"})],
        ),
        # Not to its own trace, and not twice.
        ({"trace": C}, CONTEXT, []),
        (EPISODE | {"link_trace": C}, CONTEXT, [SpanLink(C, "b", {"kspan.link": "continues"})]),
        ({}, "no context", []),
    ],
)
def test_links_lead_to_the_trace_before_and_to_a_related_context(
    place: dict[str, Any], related: str, links: list[SpanLink]
) -> None:
    assert closed(placed(place, related=related)).links == links


@pytest.mark.parametrize(
    "place, parent, remote",
    [
        ({"parent": "p"}, "p", False),
        ({"remote_parent": "r"}, "r", True),
        ({"parent": "p", "remote_parent": "r"}, "r", True),
    ],
)
def test_a_remote_parent_comes_before_one_in_the_trace(place: dict[str, Any], parent: str, remote: bool) -> None:
    row = closed(placed(place))
    assert (row.parent_span_id, row.remote_parent) == (parent, remote)


def test_a_repeat_has_its_number_and_last_time_as_attributes_of_the_span() -> None:
    found = closed(
        placed(event_uid="event", event_count=3, repeats=[Repeat(7 * SECOND, 9, "", 9), Repeat(5, 4, "", 8)])
    )
    assert found.attributes["kspan.repeat.count"] == 7
    assert found.attributes["kspan.repeat.last_time"] == "1970-01-01T00:00:07.000000Z"
    assert "kspan.repeat.count" not in closed(placed()).attributes


@pytest.mark.parametrize(
    "message, expected",
    [
        (
            'Successfully pulled image "shop/web:v1@sha256:0a" in 1.5s (2.5s including waiting). Image size: 12 bytes.',
            {
                "container.image.name": "shop/web",
                "container.image.tags": ["v1"],
                "container.image.repo_digests": ["shop/web@sha256:0a"],
                "kspan.image.size": 12,
                "kspan.image.pull.duration": 1.5,
                "kspan.image.pull.duration_with_waiting": 2.5,
            },
        ),
        (
            'Container image "web" already present on machine',
            {"container.image.name": "web", "kspan.image.present": True},
        ),
        ("Started container web", {}),
    ],
)
def test_an_event_about_a_container_has_what_its_message_states_about_the_image(
    message: str, expected: dict[str, Any]
) -> None:
    found = closed(placed(event_uid="event", field_path="spec.containers{web}", message=message)).attributes
    assert {key: value for key, value in found.items() if "image" in key} == expected
    assert found["k8s.container.name"] == "web"


@pytest.mark.parametrize(
    "more, expected",
    [
        ({"verb": "Update"}, True),
        ({"condition": "Ready", "condition_status": "False"}, True),
        ({"condition": "Ready", "condition_status": "True"}, None),
        ({}, None),
    ],
)
def test_a_change_or_condition_that_is_not_over_says_so(more: dict[str, Any], expected: bool | None) -> None:
    assert closed(placed(**more)).attributes.get("kspan.unfinished") is expected
    assert "kspan.unfinished" not in closed(placed(until=1, **more)).attributes


def test_repeats_and_notes_are_events_of_the_span_in_the_order_of_their_times() -> None:
    repeats = [Repeat(7, 3, "again", 9), Repeat(5, 2, "", 8)]
    notes = [Note(6, "Ready=False", "Ready", "False", "Odd", ""), Note(6, "Other", "Other", "True", "", "said")]
    assert closed(placed(event_uid="event", repeats=repeats, notes=notes)).events == [
        SpanEvent(5, "Killing", {"k8s.event.count": 2, "k8s.event.message": ""}),
        SpanEvent(
            6,
            "Other",
            {"kspan.condition.type": "Other", "kspan.condition.status": "True", "kspan.condition.message": "said"},
        ),
        SpanEvent(
            6,
            "Ready=False",
            {"kspan.condition.type": "Ready", "kspan.condition.status": "False", "kspan.condition.reason": "Odd"},
        ),
        SpanEvent(7, "Killing", {"k8s.event.count": 3, "k8s.event.message": "again"}),
    ]
    assert closed(placed(condition="Ready", repeats=repeats)).events == [
        SpanEvent(7, "Killing", {"kspan.condition.count": 3, "kspan.condition.message": "again"}),
        SpanEvent(5, "Killing", {"kspan.condition.count": 2}),
    ]


@pytest.mark.parametrize(
    "warning, error, incomplete, expected",
    [
        (False, "", False, (False, "said", False)),
        (True, "", False, (True, "said", False)),
        (False, "Pod web-0 failed", False, (True, "Pod web-0 failed", False)),
        (False, "", True, (False, "said", True)),
    ],
)
def test_the_root_has_the_outcome_of_its_trace(
    warning: bool, error: str, incomplete: bool, expected: tuple[bool, str, bool]
) -> None:
    occ = placed(warning=warning, message="said")
    verdict = Verdict(Outcome.FAILED if error else Outcome.RECOVERED, error)
    row = closed_root_row(occ, 1, 2, {}, verdict, incomplete=incomplete)
    assert row.attributes["kspan.trace.outcome"] == ("failed" if error else "recovered")
    assert row.attributes.get("kspan.trace.outcome.reason", "") == error
    assert (row.error, row.message, row.attributes.get("kspan.trace.incomplete", False)) == expected
    assert (row.start_time, row.end_time, row.state, row.fold) == (1, 2, SpanState.CLOSED, b"")


def test_the_root_of_a_superseded_trace_has_a_link_to_the_change_that_superseded_it() -> None:
    verdict = Verdict(Outcome.SUPERSEDED, "superseded by …", "b", B)
    row = closed_root_row(placed(EPISODE, related=CONTEXT), 1, 2, {}, verdict, incomplete=False)
    assert [link.attributes["kspan.link"] for link in row.links] == ["continues", "relates", "superseded by"]
    assert row.links[-1] == SpanLink(B, "b", {"kspan.link": "superseded by"})
    caused = placed(EPISODE | {"link": "caused by"})
    for continues, kind in (((B,), "continues"), ((), "caused by")):
        row = closed_root_row(caused, 1, 2, {}, verdict, incomplete=False, continues=continues)
        assert row.links[0] == SpanLink(B, "b", {"kspan.link": kind})
    undecided = closed_root_row(placed(), 1, 2, {}, verdict._replace(superseding_trace=""), incomplete=False)
    assert undecided.links == []


def test_a_time_that_is_not_exact_says_by_how_many_seconds_it_may_be_wrong() -> None:
    assert closed(placed(uncertainty=2_500_000_000)).attributes["kspan.time.uncertainty"] == 2.5
    assert "kspan.time.uncertainty" not in closed(placed()).attributes
