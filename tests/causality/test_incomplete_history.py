"""Recordings of clusters of which only a part is known: Events without objects, objects without managedFields."""

from pathlib import Path
from typing import Any

import pytest

from kspan.times import SECOND, parse_time
from tests.recordings import fold, journal_of

CASES = Path(__file__).parents[1] / "data" / "cases"


def spans_of(name: str) -> list[dict[str, Any]]:
    return sorted(fold(*journal_of(CASES / name))["spans"], key=lambda row: (row["start_time"], row["name"]))


@pytest.mark.parametrize(
    "name, event, change",
    [
        ("event-under-later-change.jsonl", "Pod.Unhealthy", "Pod.Delete"),
        ("event-of-older-version.jsonl", "Deployment.Looked", "Deployment.Update"),
    ],
)
def test_an_event_is_not_caused_by_a_change_that_was_written_after_it(name: str, event: str, change: str) -> None:
    found = {row["name"]: row for row in spans_of(name)}
    assert found[event]["trace_id"] != found[change]["trace_id"]
    assert 0 <= found[event]["start_time"] - parse_time("2026-05-01T10:00:05Z") < SECOND


def test_rollouts_in_a_list_of_events_are_traces_of_their_own() -> None:
    spans = spans_of("three-rollouts-events-only.json")
    traces: dict[str, list[dict[str, Any]]] = {}
    for row in spans:
        traces.setdefault(row["trace_id"], []).append(row)
    assert [len(rows) for rows in traces.values()] == [6, 6, 6]
    lengths = [
        max(row["end_time"] for row in rows) - min(row["start_time"] for row in rows) for rows in traces.values()
    ]
    assert max(lengths) < 10 * SECOND


def test_without_managed_fields_a_rollout_goes_back_to_the_change_of_its_revision() -> None:
    rollout = next(row for row in spans_of("no-managed-fields.json") if row["name"] == "Deployment.ScalingReplicaSet")
    by_id = {row["span_id"]: row for row in spans_of("no-managed-fields.json")}
    root = by_id[rollout["parent_span_id"]]
    assert (root["name"], root["start_time"]) == ("Deployment.Update", parse_time("2026-05-01T09:59:55Z"))
