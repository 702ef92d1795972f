"""The fold: same journal, same projection, whatever was stopped, doubled or delivered in another order in between."""

from functools import cache

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kspan.graph import built_in_rules
from kspan.ingest.journal_builder import JournalBatch
from kspan.pipeline.projector import Projector
from kspan.settings import FoldSettings
from kspan.store import open_store
from kspan.times import MILLISECOND
from tests.recordings import SCENARIOS, Rows, fold, journal, project, rows, structure

MOST_JITTER = 4_950
"""Milliseconds by which a record is delayed at the most: ``hold`` promises that no order within it matters."""

WHOLE = FoldSettings(report_failure_after=0)
"""The trace of a failure is closed while more arrives: what comes just then may be in this trace or in the next."""


@cache
def at_once(scenario: str) -> bytes:
    """The rows of a recording without any cut."""
    return msgspec.msgpack.encode(fold(*journal(scenario)))


@cache
def in_order(scenario: str) -> dict[str, tuple[str, str, str, str, str]]:
    """What a recording gives in the order in which it was received, with ``WHOLE``."""
    return structure(fold(*journal(scenario), settings=WHOLE))


@cache
def projected(scenario: str) -> Rows:
    """The projection of a recording."""
    return project(*journal(scenario))


quick = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.mark.parametrize("scenario", SCENARIOS)
@quick
@given(data=st.data())
def test_the_same_journal_gives_byte_identical_projections_however_it_is_batched(
    scenario: str, data: st.DataObject
) -> None:
    cluster, records = journal(scenario)
    cuts = data.draw(st.lists(st.integers(1, len(records)), max_size=20))
    assert msgspec.msgpack.encode(fold(cluster, records, cuts)) == at_once(scenario)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_restarting_after_every_record_gives_the_same_rows(scenario: str) -> None:
    cluster, records = journal(scenario)
    with open_store("sqlite://") as store:
        for record in records:
            projector = Projector(store, cluster, built_in_rules())
            projector.add([JournalBatch([record])])
            projector.flush()
        Projector(store, cluster, built_in_rules()).run_out()
        stopped = rows(store, cluster)
    assert stopped == projected(scenario)


@pytest.mark.parametrize("scenario", SCENARIOS)
@quick
@given(data=st.data())
def test_the_order_of_arrival_within_hold_changes_no_span_id_or_parent(scenario: str, data: st.DataObject) -> None:
    cluster, records = journal(scenario)
    resources = sorted({record.resource for record in records})
    random = data.draw(st.randoms(use_true_random=False))
    spread = data.draw(st.integers(0, MOST_JITTER))
    latest = dict.fromkeys(resources, 0)
    arrivals = []
    for number, record in enumerate(records):
        # Each stream keeps its own order, as the API server guarantees.
        at = max(latest[record.resource], record.recorded_at + random.randint(0, spread) * MILLISECOND)
        latest[record.resource] = at
        arrivals.append((at, number, record))
    shuffled = [record for _, _, record in sorted(arrivals, key=lambda a: a[:2])]
    assert structure(fold(cluster, shuffled, settings=WHOLE)) == in_order(scenario)


@pytest.mark.parametrize("scenario", ["02-rolling-update", "13-custom-controller", "19-apiserver-restart-event-ttl"])
@settings(quick, max_examples=6)
@given(data=st.data())
def test_duplicated_records_change_nothing(scenario: str, data: st.DataObject) -> None:
    cluster, records = journal(scenario)
    doubled = list(records)
    for _ in range(data.draw(st.integers(1, 30))):
        again = records[data.draw(st.integers(0, len(records) - 1))]
        # A GAP has no identity; a stream writes it together with its cursor, so that it cannot come twice.
        if again.uid:
            doubled.insert(data.draw(st.integers(doubled.index(again) + 1, len(doubled))), again)
    assert project(cluster, doubled, batch=50) == projected(scenario)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_trace_is_a_tree_in_which_no_effect_starts_before_its_cause(scenario: str) -> None:
    found = fold(*journal(scenario))
    spans = {row["span_id"]: row for row in found["spans"]}
    assert {row["state"] for row in found["spans"]} == {"closed"}
    assert {row["state"] for row in found["traces"]} == {"closed"}
    for row in spans.values():
        assert row["end_time"] >= row["start_time"]
        if row["parent_span_id"]:
            parent = spans[row["parent_span_id"]]
            assert parent["trace_id"] == row["trace_id"]
            assert parent["start_time"] <= row["start_time"]
    for trace in found["traces"]:
        roots = [r for r in spans.values() if r["trace_id"] == trace["trace_id"] and not r["parent_span_id"]]
        assert [root["span_id"] for root in roots] == [trace["root_span_id"]]


MOMENTS = ("Pod.Pulled", "Pod.Created", "Pod.Scheduled", "Pod.Ready", "Pod.Unhealthy", "Pod.ContainerTerminated")


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_moments_have_no_duration_and_every_trace_contains_its_spans(scenario: str) -> None:
    found = fold(*journal(scenario))
    lengths = {row["name"]: row["end_time"] - row["start_time"] for row in found["spans"] if row["name"] in MOMENTS}
    assert not any(lengths.values()), lengths
    traces = {row["trace_id"]: row for row in found["traces"]}
    for row in found["spans"]:
        trace = traces[row["trace_id"]]
        times = [row["start_time"], row["end_time"], *(event.time for event in row["events"])]
        assert trace["start_time"] <= min(times)
        assert max(times) <= trace["end_time"]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_only_live_objects_stay_in_memory_after_all_traces_are_closed(scenario: str) -> None:
    cluster, records = journal(scenario)
    with open_store("sqlite://") as store:
        projector = Projector(store, cluster, built_in_rules())
        projector.add(JournalBatch([record]) for record in records)
        projector.run_out()
        state = projector.fold.state
        assert not state.open_traces
        assert not state.pending_count
        assert not state._traces.causality
        assert not state._traces._members
        assert not state._occurrences
        assert not len(state._events)
        owned, restarted = (
            state.objects._index.ownership,
            Projector(store, cluster, built_in_rules()).fold.state.objects._index,
        )
        assert sorted(restarted.ownership.nodes) == sorted(owned.nodes)
        assert sorted(restarted.ownership.edges) == sorted(owned.edges)
