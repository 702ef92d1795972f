"""While nobody watches, event time stands still: an outage closes no trace and moves no time."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from kspan.graph import Fold, built_in_rules
from kspan.ingest.frames import received_since
from kspan.model import HELD, LogRecord, RecordType
from kspan.settings import FoldSettings
from kspan.times import SECOND, format_time
from tests.recordings import Rows, fold, journal, journal_of

T = 1_800_000_000 * SECOND
HOLD = FoldSettings().hold
SETTLE = FoldSettings().settle

CASES = Path(__file__).parents[1] / "data" / "cases"


def tick(seconds: float, reason: str = "") -> LogRecord:
    return LogRecord(RecordType.TICK, T + int(seconds * SECOND), reason=reason)


def seen(kind: RecordType, version: int, seconds: float, *, wrote: int = -1, **spec: Any) -> LogRecord:
    """The Deployment web, which has all its replicas, received at ``seconds``; written at ``wrote`` (-1: unknown)."""
    managed = {"manager": "kubectl", "operation": "Update", "apiVersion": "apps/v1", "fieldsV1": {"f:spec": {}}}
    metadata: dict[str, Any] = {
        "uid": "u",
        "name": "web",
        "namespace": "shop",
        "resourceVersion": str(version),
        "generation": version,
        "creationTimestamp": format_time(T - 3600 * SECOND),
    }
    if wrote >= 0:
        metadata["managedFields"] = [managed | {"time": format_time(T + wrote * SECOND)}]
    names = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
    status = {"observedGeneration": version} | dict.fromkeys(names, spec["replicas"])
    raw = {"kind": "Deployment", "apiVersion": "apps/v1", "metadata": metadata, "spec": spec, "status": status}
    return LogRecord(
        kind,
        T + int(seconds * SECOND),
        "apps/v1/deployments",
        "u",
        str(version),
        "apps/v1",
        "Deployment",
        "shop",
        "web",
        msgspec.json.encode(raw),
    )


def folded(*records: LogRecord) -> Fold:
    result = Fold("cluster", built_in_rules())
    for number, record in enumerate(records, 1):
        result.apply(number, record)
    return result


FIRST = seen(RecordType.LISTED, 1, 0, replicas=1)
CHANGE = seen(RecordType.MODIFIED, 2, 1, wrote=1, replicas=2)
"""A change that opens a trace, decided after the hold."""


def test_event_time_stands_still_from_a_hold_to_the_next_tick() -> None:
    held = folded(FIRST, tick(3, HELD), seen(RecordType.MODIFIED, 2, 60, wrote=50, replicas=2))
    assert (held.now, held.is_held, held.pending_occurrences) == (T + 3 * SECOND, True, 1)
    held.apply(4, tick(70))
    assert (held.now, held.is_held, held.pending_occurrences, held.open_traces) == (T + 70 * SECOND, False, 0, 1)


def test_a_second_hold_changes_nothing() -> None:
    assert folded(FIRST, tick(3, HELD), tick(9, HELD)).now == T + 3 * SECOND


def test_a_trace_is_quiet_only_from_the_end_of_a_hold() -> None:
    """Without the hold it is closed ten seconds after its only occurrence was placed."""
    assert folded(FIRST, CHANGE, tick(6.5), tick(15.9)).open_traces == 1
    assert folded(FIRST, CHANGE, tick(6.5), tick(16)).open_traces == 0
    held = folded(FIRST, CHANGE, tick(6.5), tick(8, HELD), tick(100))
    assert held.open_traces == 1
    held.apply(6, LogRecord(RecordType.TICK, T + 100 * SECOND + SETTLE - 1))
    assert held.open_traces == 1
    held.apply(7, LogRecord(RecordType.TICK, T + 100 * SECOND + SETTLE))
    assert held.open_traces == 0


def test_a_trace_that_became_too_old_during_a_hold_waits_for_what_was_missed() -> None:
    age = FoldSettings().max_trace_age // SECOND
    held = folded(FIRST, CHANGE, tick(6.5), tick(8, HELD), tick(age + 100))
    assert held.open_traces == 1
    held.apply(6, tick(age + 100 + SETTLE // SECOND))
    assert held.open_traces == 0


@pytest.mark.parametrize("records", [[tick(3, HELD)], []])
def test_a_fold_that_is_stopped_during_a_hold_continues_it(records: list[LogRecord]) -> None:
    before = folded(FIRST, CHANGE, *records)
    delta = before.take_delta()
    after = Fold("cluster", built_in_rules())
    after.load((row.state for row in delta.objects), (), (row.fold for row in delta.pending), (), delta.clock)
    assert (after.is_held, after.now) == (before.is_held, before.now) == (bool(records), before.now)


def span(*records: LogRecord) -> dict[str, Any]:
    """The last update of the Deployment, once all traces are closed."""
    rows = fold("cluster", records)
    return max((row for row in rows["spans"] if row["name"] == "Deployment.Update"), key=lambda row: row["start_time"])


def test_a_change_that_was_received_late_has_the_time_that_it_states() -> None:
    late = span(FIRST, tick(3, HELD), seen(RecordType.MODIFIED, 2, 60, wrote=50, replicas=2), tick(70))
    assert late["start_time"] == T + 50 * SECOND
    assert "kspan.time.uncertainty" not in late["attributes"]


def received_between(since: float, record: LogRecord) -> LogRecord:
    return received_since(record, T + int(since * SECOND))


def test_a_change_whose_receipt_is_an_estimate_lies_between_two_times_unless_it_states_one() -> None:
    changes = [seen(RecordType.MODIFIED, 2, 60, wrote=wrote, replicas=2) for wrote in (-1, 50)]
    unknown, stated = (span(FIRST, received_between(20, change)) for change in changes)
    assert (unknown["start_time"], unknown["attributes"]["kspan.time.uncertainty"]) == (T + 40 * SECOND, 20)
    assert stated["start_time"] == T + 50 * SECOND
    assert "kspan.time.uncertainty" not in stated["attributes"]


def test_event_time_goes_on_while_receipts_are_estimates() -> None:
    update = received_between(20, seen(RecordType.MODIFIED, 2, 60, replicas=2))
    assert folded(FIRST, update).now == T + 60 * SECOND


@pytest.mark.parametrize("records, expected", [([], 7.7), ([tick(3, HELD)], 6)])
def test_a_receipt_within_two_seconds_is_prompt_only_if_everything_is_watched(
    records: list[LogRecord], expected: float
) -> None:
    change = span(FIRST, *records, seen(RecordType.MODIFIED, 2, 7.7, wrote=6, replicas=2), tick(70))
    assert change["start_time"] == T + int(expected * SECOND)


def test_a_change_that_was_received_late_and_states_no_time_lies_between_the_disconnect_and_its_receipt() -> None:
    late = span(FIRST, tick(3, HELD), seen(RecordType.MODIFIED, 2, 63, replicas=2), tick(70))
    assert late["start_time"] == T + 33 * SECOND
    assert late["attributes"]["kspan.time.uncertainty"] == 30


@pytest.mark.parametrize("grace, start", [(0, 33), (30, 62)])
def test_a_deletion_that_was_received_late_does_not_last_until_its_receipt(grace: int, start: int) -> None:
    """It states the time of the request if it has a grace period."""
    gone = seen(RecordType.DELETED, 2, 63, replicas=1)
    if grace:
        obj = msgspec.json.decode(gone.payload)
        until = format_time(T + (62 + grace) * SECOND)
        obj["metadata"] |= {"deletionTimestamp": until, "deletionGracePeriodSeconds": grace}
        asked = replace(gone, type=RecordType.MODIFIED, payload=msgspec.json.encode(obj), recorded_at=T + 63 * SECOND)
        records = [asked, replace(gone, payload=asked.payload)]
    else:
        records = [gone]
    rows = fold("cluster", [FIRST, tick(3, HELD), *records, tick(70)])
    (late,) = (row for row in rows["spans"] if row["name"] == "Deployment.Delete")
    assert late["start_time"] == late["end_time"] == T + start * SECOND


def test_a_deletion_that_ended_unseen_lasted_at_least_until_the_last_change_of_the_object() -> None:
    """A finalizer held it; it was requested before the outage, from second 33 to 70."""
    asked = seen(RecordType.MODIFIED, 2, 20, wrote=20, replicas=1)
    obj = msgspec.json.decode(asked.payload)
    obj["metadata"] |= {"deletionTimestamp": format_time(T + 20 * SECOND), "finalizers": ["example.com/hold"]}
    asked = replace(asked, payload=msgspec.json.encode(obj))
    gone = replace(asked, type=RecordType.DELETED, recorded_at=T + 63 * SECOND, resource_version="3")
    for wrote, end in ((20, 33), (50, 50), (90, 63)):
        obj["metadata"]["managedFields"][0]["time"] = format_time(T + wrote * SECOND)
        gone = replace(gone, payload=msgspec.json.encode(obj))
        rows = fold("cluster", [FIRST, asked, tick(33), tick(33, HELD), gone, tick(70)])
        (late,) = (row for row in rows["spans"] if row["name"] == "Deployment.Delete")
        assert (late["start_time"], late["end_time"]) == (T + 20 * SECOND, T + end * SECOND)


def test_a_change_that_was_received_at_once_happened_then() -> None:
    live = span(FIRST, seen(RecordType.MODIFIED, 2, 63, replicas=2))
    assert live["start_time"] == T + 63 * SECOND
    assert "kspan.time.uncertainty" not in live["attributes"]


def test_nothing_happened_after_it_was_received() -> None:
    live = span(FIRST, seen(RecordType.MODIFIED, 2, 63, wrote=100, replicas=2))
    assert live["start_time"] == T + 63 * SECOND
    assert live["attributes"]["kspan.time.uncertainty"] == 37


def test_the_clock_of_a_node_that_is_ahead_stretches_no_span() -> None:
    cluster, records = journal_of(CASES / "node-clock-ahead.jsonl")
    last = max(record.recorded_at for record in records)
    spans = fold(cluster, records)["spans"]
    assert max(row["end_time"] for row in spans) <= last
    ahead = {row["name"] for row in spans if "kspan.time.uncertainty" in row["attributes"]}
    assert ahead == {"Pod.Pulled", "Pod.Created", "Pod.Started"}


# recordings ----------------------------------------------------------------------------------------------------------


def with_hold(records: tuple[LogRecord, ...], at: int, seconds: int) -> list[LogRecord]:
    """The records, of which those of ``seconds`` after the ``at``-th are received while nobody is known to watch."""
    since = records[at - 1].recorded_at
    end = next((n for n in range(at, len(records)) if records[n].recorded_at > since + seconds * SECOND), len(records))
    until = max(since + seconds * SECOND, records[end - 1].recorded_at) + HOLD
    return [
        *records[:at],
        LogRecord(RecordType.TICK, since, reason=HELD),
        *records[at:end],
        LogRecord(RecordType.TICK, until),
        *records[end:],
    ]


def tree(rows: Rows) -> dict[str, tuple[str, str, str]]:
    return {row["span_id"]: (row["name"], row["trace_id"], row["parent_span_id"]) for row in rows["spans"]}


@pytest.mark.parametrize("scenario", ["01-deployment-create", "02-rolling-update", "11-delete-cascade"])
@settings(deadline=None, max_examples=10)
@given(data=st.data())
def test_a_hold_anywhere_changes_no_trace_no_span_and_no_parent(scenario: str, data: st.DataObject) -> None:
    cluster, records = journal(scenario)
    at = data.draw(st.integers(1, len(records) - 1))
    seconds = data.draw(st.integers(1, 20))
    assert tree(fold(cluster, with_hold(records, at, seconds))) == tree(fold(cluster, records))


def with_outage(records: tuple[LogRecord, ...], at: int, seconds: int, delays: dict[str, int]) -> list[LogRecord]:
    """The records, of which those of ``seconds`` after the ``at``-th are received late: when their stream is opened
    again, which takes each stream its own delay (ns)."""
    since = records[at - 1].recorded_at
    opened = {resource: since + seconds * SECOND + delay for resource, delay in delays.items()}
    received = (replace(r, recorded_at=max(r.recorded_at, opened[r.resource])) for r in records[at:])
    later = sorted(received, key=lambda record: record.recorded_at)
    until = max(opened.values()) + HOLD
    return [
        *records[:at],
        LogRecord(RecordType.TICK, since, reason=HELD),
        *(record for record in later if record.recorded_at <= until),
        LogRecord(RecordType.TICK, until),
        *(record for record in later if record.recorded_at > until),
    ]


@pytest.mark.parametrize("scenario", ["01-deployment-create", "02-rolling-update", "11-delete-cascade"])
@settings(deadline=None, max_examples=10)
@given(data=st.data())
def test_an_outage_anywhere_changes_no_trace_no_span_and_no_parent(scenario: str, data: st.DataObject) -> None:
    cluster, records = journal(scenario)
    at = data.draw(st.integers(1, len(records) - 1))
    seconds = data.draw(st.integers(1, 14))
    resources = sorted({record.resource for record in records})
    delays = {resource: data.draw(st.integers(0, 8 * SECOND)) for resource in resources}
    assert tree(fold(cluster, with_outage(records, at, seconds, delays))) == tree(fold(cluster, records))
