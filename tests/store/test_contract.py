"""What every store guarantees, on either database."""

import shlex
import threading
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kspan.errors import InputError, StoreError
from kspan.model import Delta, LogRecord, RecordType, SpanState, TraceState
from kspan.store import FoldPeriod, KnownVersion, Store, is_about_data
from tests.store.rowsource import (
    CLUSTER,
    INPUTS,
    TABLES,
    cursor,
    full_delta,
    object_row,
    owner_row,
    pending_row,
    record,
    span_row,
    trace_row,
)

OTHER = "8d1f7a52-0000-4000-8000-000000000002"


def snapshot(store: Store, cluster: str = CLUSTER) -> dict[str, list[dict[str, Any]]]:
    return {table: list(store.projection_rows(cluster, table)) for table in TABLES}


def journal(store: Store, cluster: str = CLUSTER) -> list[tuple[int, LogRecord]]:
    return [entry for run in store.replay(cluster) for entry in run]


def test_a_new_store_is_empty(store: Store) -> None:
    assert store.clusters() == []
    assert store.last_sequence(CLUSTER) == 0
    assert store.cursors(CLUSTER) == {}
    assert journal(store) == []
    assert store.load_projection(CLUSTER).clock == b""
    assert store.stats() == []


def test_replay_returns_the_committed_records(store: Store) -> None:
    records = [
        record(1, RecordType.LISTED),
        LogRecord(RecordType.GAP, 5, resource="v1/pods", reason="410 Gone", gap_from="1", gap_to="9"),
        LogRecord(RecordType.TICK, 6),
        record(2),
    ]
    store.commit(CLUSTER, 1, records, [cursor(2)], Delta())
    assert journal(store) == list(enumerate(records, 1))
    assert store.last_sequence(CLUSTER) == 4
    assert store.cursors(CLUSTER) == {"v1/pods": cursor(2)}
    assert store.clusters() == [CLUSTER]


def test_replay_continues_after_any_record_in_batches(store: Store) -> None:
    store.commit(CLUSTER, 1, [record(n) for n in range(1, 11)], [], Delta())
    runs = list(store.replay(CLUSTER, after=3, batch=3))
    assert [[seq for seq, _ in run] for run in runs] == [[4, 5, 6], [7, 8, 9], [10]]


def test_record_types_are_read_as_members_of_the_enumeration(store: Store) -> None:
    store.commit(CLUSTER, 1, [record(1)], [], Delta(spans=[span_row(1)], traces=[trace_row(1)]))
    loaded = store.load_projection(CLUSTER)
    assert type(journal(store)[0][1].type) is RecordType
    assert type(loaded.spans[0].state) is SpanState
    assert type(loaded.traces[0].state) is TraceState


def test_a_deletion_may_have_the_version_of_the_last_change(store: Store) -> None:
    store.commit(CLUSTER, 1, [record(1), record(1, RecordType.DELETED)], [], Delta())
    assert store.known_versions(CLUSTER, [record(1)]) == {
        "uid-1": KnownVersion("1", deleted=True, recorded_at=record(1).recorded_at)
    }


def test_records_without_an_object_may_repeat(store: Store) -> None:
    tick = LogRecord(RecordType.TICK, 6)
    gap = LogRecord(RecordType.GAP, 7, resource="v1/pods")
    store.commit(CLUSTER, 1, [tick, tick, gap, gap], [], Delta())
    assert store.last_sequence(CLUSTER) == 4


@pytest.mark.parametrize("first_seq", [0, 1, 3])
def test_a_sequence_number_that_does_not_follow_is_refused(store: Store, first_seq: int) -> None:
    store.commit(CLUSTER, 1, [record(1)], [], Delta())
    with pytest.raises(StoreError, match="ends at 1"):
        store.commit(CLUSTER, first_seq, [record(2)], [], Delta())


def test_an_error_in_a_commit_leaves_nothing_of_it(store: Store) -> None:
    store.commit(CLUSTER, 1, [record(1)], [cursor(1)], full_delta(1))
    before = snapshot(store), journal(store), store.cursors(CLUSTER), store.load_projection(CLUSTER)
    bad_span = msgspec.structs.replace(span_row(2), end_time=2**63)
    with pytest.raises(StoreError, match="cannot commit") as caught:
        store.commit(CLUSTER, 2, [record(2)], [cursor(2)], msgspec.structs.replace(full_delta(2), spans=[bad_span]))
    assert is_about_data(caught.value)
    assert (snapshot(store), journal(store), store.cursors(CLUSTER), store.load_projection(CLUSTER)) == before
    store.commit(CLUSTER, 2, [record(2)], [cursor(2)], full_delta(2))
    assert store.last_sequence(CLUSTER) == 2


def test_values_that_cannot_be_stored_raise_store_error(store: Store) -> None:
    lone_surrogate = msgspec.structs.replace(record(1), name="\ud800")
    with pytest.raises(StoreError):
        store.commit(CLUSTER, 1, [lone_surrogate], [], Delta())
    assert store.last_sequence(CLUSTER) == 0


def test_the_newest_version_is_the_one_journalled_last(store: Store) -> None:
    versions = [msgspec.structs.replace(record(1), resource_version=v) for v in ("9", "10", "8")]
    tick = LogRecord(RecordType.TICK, 1)
    namesake = msgspec.structs.replace(record(2), uid="uid-4")
    store.commit(CLUSTER, 1, [*versions, record(2), tick], [], Delta())
    assert store.known_versions(CLUSTER, [record(1), record(2), record(3), namesake, tick]) == {
        "uid-1": KnownVersion("8", deleted=False, recorded_at=record(1).recorded_at),
        "uid-2": KnownVersion("2", deleted=False, recorded_at=record(2).recorded_at),
    }


def test_known_versions_takes_any_number_of_uids(store: Store) -> None:
    store.commit(CLUSTER, 1, [record(n) for n in range(1, 252)], [], Delta())
    known = store.known_versions(CLUSTER, [record(n) for n in range(1, 300)])
    assert known == {
        f"uid-{n}": KnownVersion(str(n), deleted=False, recorded_at=record(n).recorded_at) for n in range(1, 252)
    }


def test_the_last_payload_is_the_newest_nonempty_one(store: Store) -> None:
    deletion = msgspec.structs.replace(record(1), type=RecordType.DELETED, payload=b"")
    store.commit(CLUSTER, 1, [record(1), deletion], [], Delta(objects=[object_row(1)]))
    assert store.last_payload(CLUSTER, "uid-1") == record(1).payload
    assert store.last_payload(CLUSTER, "uid-2") == b""
    assert store.last_payload(CLUSTER, "") == b""


def test_a_delta_inserts_and_replaces_rows(store: Store) -> None:
    store.commit(CLUSTER, 1, [record(1)], [], full_delta(1))
    later = Delta(objects=[object_row(1, state=b"", deleted_at=99)], spans=[span_row(1, start=500)])
    store.commit(CLUSTER, 2, [record(2)], [], later)
    rows = snapshot(store)
    assert rows["objects"] == [msgspec.structs.asdict(object_row(1, state=b"", deleted_at=99))]
    assert rows["spans"] == [msgspec.structs.asdict(span_row(1, start=500))]
    assert [len(rows[table]) for table in TABLES] == [1, 1, 1, 1, 1, 1]


def test_an_update_changes_unindexed_columns_only(store: Store) -> None:
    store.commit(CLUSTER, 1, [record(1)], [], full_delta(1))
    thing = msgspec.structs.replace(
        object_row(1), api_version="v2", resource_version="7", generation=8, owner_uid="", node="n", state=b"new"
    )
    span = msgspec.structs.replace(
        span_row(1, SpanState.CLOSED), parent_span_id="2" * 16, attributes={"a": 1}, events=[], fold=b"", end_time=999
    )
    trace = msgspec.structs.replace(trace_row(1), span_count=7, fold=b"new")
    store.commit(
        CLUSTER, 2, [], [], Delta(updated_objects=[thing], updated_spans=[span], updated_traces=[trace], clock=b"2")
    )
    rows = snapshot(store)
    assert rows["objects"] == [msgspec.structs.asdict(thing)]
    assert rows["spans"] == [msgspec.structs.asdict(span)]
    assert rows["traces"] == [msgspec.structs.asdict(trace)]


def test_a_span_can_move_to_another_trace(store: Store) -> None:
    key = (f"{1:032x}", f"{1:016x}")
    store.commit(CLUSTER, 1, [record(1)], [], Delta(spans=[span_row(n) for n in (1, 2, 3)]))
    store.commit(CLUSTER, 2, [record(2)], [], Delta(dropped_spans=[key, ("", "4")], spans=[span_row(1, trace=7)]))
    found = [(row["trace_id"], row["span_id"]) for row in store.projection_rows(CLUSTER, "spans")]
    assert found == [(f"{t:032x}", f"{s:016x}") for t, s in ((1, 2), (1, 3), (7, 1))]


@pytest.mark.parametrize("others", [0, 60], ids=["few rows", "many rows"])
def test_a_trace_that_was_closed_and_gets_more_spans_is_exported_again(
    store: Store, others: int, caplog: pytest.LogCaptureFixture
) -> None:
    """The trace of a remote context can be used again long after it was closed. Nothing of it may be left unsent."""
    more = [trace_row(number) for number in range(100, 100 + others)]
    first = trace_row(1, TraceState.CLOSED, closed_at=200)
    store.commit(CLUSTER, 1, [record(1)], [], Delta(traces=[first, trace_row(2, TraceState.CLOSED, closed_at=200)]))
    ids = [trace.trace_id for trace in store.unemitted_traces(CLUSTER, "otlp", 9)]
    store.mark_emitted(CLUSTER, "otlp", ids, at=300)
    store.commit(CLUSTER, 2, [record(2)], [], Delta(traces=[first, *more]))
    assert not caplog.records, "the same row again is nothing new"
    opened = msgspec.structs.replace(trace_row(1), root_span_id="")
    store.commit(CLUSTER, 3, [record(3)], [], Delta(traces=[opened, *more]))
    assert first.trace_id in caplog.text
    assert opened in store.load_projection(CLUSTER).traces
    assert store.unemitted_traces(CLUSTER, "otlp", 9) == []
    again = msgspec.structs.replace(first, closed_at=400)
    store.commit(CLUSTER, 4, [record(4)], [], Delta(traces=[again, *more]))
    assert store.unemitted_traces(CLUSTER, "otlp", 9) == [again]


def test_the_row_of_a_trace_can_be_dropped(store: Store) -> None:
    store.commit(CLUSTER, 1, [record(1)], [], Delta(traces=[trace_row(1), trace_row(2)]))
    store.commit(CLUSTER, 2, [record(2)], [], Delta(dropped_traces=[(trace_row(1).trace_id,)]))
    assert [row["trace_id"] for row in store.projection_rows(CLUSTER, "traces")] == [trace_row(2).trace_id]


def test_large_traces_are_found_and_read_in_parts(store: Store) -> None:
    spans = [span_row(n, SpanState.CLOSED) for n in range(1, 4)]
    large = msgspec.structs.replace(trace_row(1, TraceState.CLOSED, closed_at=200), span_count=4)
    opened = msgspec.structs.replace(trace_row(2), span_count=9)
    store.commit(CLUSTER, 1, [], [], Delta(spans=[*spans, span_row(4)], traces=[large, opened]))
    name = large.trace_id
    assert [store.larger_traces(CLUSTER, [name, opened.trace_id, "none"], than) for than in (3, 4)] == [[name], []]
    outlines = sorted(store.outlines_of(CLUSTER, name), key=lambda span: span.span_id)
    assert [span.span_id for span in outlines] == [span.span_id for span in spans]
    fields = {field: getattr(spans[0], field) for field in outlines[0].__struct_fields__}
    assert msgspec.structs.asdict(outlines[0]) == fields
    assert store.spans_among(CLUSTER, name, [spans[1].span_id, f"{4:016x}", "none"]) == [spans[1]]


def test_named_kinds_include_objects_known_only_from_events(store: Store) -> None:
    mentioned = msgspec.structs.replace(object_row(1), resource="", kind="Widget", api_version="example.com/v1")
    others = [
        msgspec.structs.replace(mentioned, uid="uid-2"),
        msgspec.structs.replace(mentioned, uid="uid-3", api_version="", kind="Thing"),
        msgspec.structs.replace(mentioned, uid="uid-4", kind="Gone", remembered=False, state=b""),
        object_row(5),
    ]
    store.commit(CLUSTER, 1, [record(1)], [], Delta(objects=[mentioned, *others]))
    assert store.named_kinds(CLUSTER) == [("example.com/v1", "Widget")]


def test_named_kinds_include_owners_of_remembered_objects(store: Store) -> None:
    objects = [object_row(1), msgspec.structs.replace(object_row(2), remembered=False, state=b"")]
    owned = [
        msgspec.structs.replace(owner_row(n), owner_uid=uid, owner_api_version=version, owner_kind=kind)
        for n, uid, version, kind in (
            (1, "w", "example.com/v1", "Widget"),
            (1, "x", "example.com/v1", "Widget"),
            (1, "y", "", "Thing"),
            (2, "z", "example.com/v1", "Gone"),
            (3, "z", "example.com/v1", "NeverThere"),
        )
    ]
    store.commit(CLUSTER, 1, [record(1)], [], Delta(objects=objects, owners=owned))
    assert store.named_kinds(CLUSTER) == [("example.com/v1", "Widget")]


def test_pending_occurrences_are_deleted_by_arrival_number(store: Store) -> None:
    store.commit(CLUSTER, 1, [record(1)], [], Delta(pending=[pending_row(n) for n in (1, 2, 3)]))
    again = msgspec.structs.replace(pending_row(3), fold=b"again")
    store.commit(CLUSTER, 2, [record(2)], [], Delta(dropped_pending=[(2,), (9,)], pending=[again]))
    assert store.load_projection(CLUSTER).pending == [pending_row(1), again]


def test_the_newest_versions_are_kept_until_they_are_replaced(store: Store) -> None:
    store.commit(CLUSTER, 1, [record(1)], [], Delta(), {"Pod": "9" * 30})
    store.commit(CLUSTER, 2, [record(2)], [], Delta(), {})
    store.clear_projection(CLUSTER)
    assert store.load_projection(CLUSTER).newest == {"Pod": "9" * 30}


def test_the_clock_is_kept_until_a_delta_replaces_it(store: Store) -> None:
    store.commit(CLUSTER, 1, [record(1)], [], Delta(clock=b"one"))
    store.commit(CLUSTER, 2, [record(2)], [], Delta())
    loaded = store.load_projection(CLUSTER)
    assert (loaded.clock, loaded.last_seq) == (b"one", 2)


def test_only_live_and_unresolved_rows_are_loaded(store: Store) -> None:
    delta = Delta(
        objects=[object_row(2, b"two"), object_row(1, b"one"), object_row(3, state=b"", deleted_at=9)],
        owners=[owner_row(1), owner_row(3)],
        pending=[pending_row(12), pending_row(7)],
        spans=[span_row(2), span_row(3, SpanState.CLOSED, trace=2)],
        traces=[trace_row(1), trace_row(2, TraceState.CLOSED, closed_at=9)],
        clock=b"clock",
    )
    store.commit(CLUSTER, 1, [record(1)], [], delta)
    loaded = store.load_projection(CLUSTER)
    assert loaded.objects == [b"one", b"two"]
    assert loaded.owners == [owner_row(1)]
    assert loaded.pending == [pending_row(7), pending_row(12)]
    assert loaded.spans == [span_row(2)]
    assert loaded.traces == [trace_row(1)]
    assert (loaded.clock, loaded.last_seq) == (b"clock", 1)


def test_live_objects_are_those_that_are_not_deleted(store: Store) -> None:
    delta = Delta(objects=[object_row(2), object_row(1), object_row(3, deleted_at=9), object_row(4, state=b"")])
    store.commit(CLUSTER, 1, [record(1)], [], delta)
    assert store.live_objects(CLUSTER, "v1/pods") == [object_row(1), object_row(2)]
    assert store.live_objects(CLUSTER, "v1/nodes") == []


def test_clusters_do_not_see_each_other(store: Store) -> None:
    store.commit(CLUSTER, 1, [record(1)], [cursor(1)], full_delta(1))
    store.commit(OTHER, 1, [record(1)], [cursor(5)], Delta())
    store.clear_projection(OTHER)
    assert store.clusters() == [CLUSTER, OTHER]
    assert store.cursors(CLUSTER) == {"v1/pods": cursor(1)}
    assert [len(rows) for rows in snapshot(store).values()] == [1, 1, 1, 1, 1, 1]
    assert store.load_projection(OTHER).objects == []


def test_clearing_the_projection_keeps_journal_cursors_and_emissions(store: Store) -> None:
    closed = Delta(traces=[trace_row(1, TraceState.CLOSED, closed_at=9)])
    store.commit(CLUSTER, 1, [record(1)], [cursor(1)], closed)
    store.mark_emitted(CLUSTER, "otlp", [f"{1:032x}"], 50)
    store.clear_projection(CLUSTER)
    assert all(not rows for rows in snapshot(store).values())
    assert store.load_projection(CLUSTER).last_seq == 0
    assert store.last_sequence(CLUSTER) == 1
    assert store.cursors(CLUSTER) == {"v1/pods": cursor(1)}
    store.rebuild(CLUSTER, [closed], INPUTS, dict)
    assert store.unemitted_traces(CLUSTER, "otlp", 10) == []


def test_a_rebuild_may_replay_the_journal_while_it_writes(store: Store) -> None:
    store.commit(CLUSTER, 1, [record(n) for n in range(1, 6)], [], full_delta(99))

    def deltas() -> Iterator[Delta]:
        for run in store.replay(CLUSTER, batch=2):
            for seq, _ in run:
                yield full_delta(seq)

    store.rebuild(CLUSTER, deltas(), INPUTS, dict)
    assert [row["uid"] for row in store.projection_rows(CLUSTER, "objects")] == [f"uid-{n}" for n in range(1, 6)]
    loaded = store.load_projection(CLUSTER)
    assert (loaded.clock, loaded.last_seq) == (b"clock-5", 5)


def test_a_rebuild_that_fails_leaves_the_old_projection(store: Store) -> None:
    store.commit(CLUSTER, 1, [record(1)], [], full_delta(1))
    before = snapshot(store), store.load_projection(CLUSTER)

    def deltas() -> Iterator[Delta]:
        yield full_delta(2)
        raise InputError("journal", 2, "makes no sense")

    with pytest.raises(InputError):
        store.rebuild(CLUSTER, deltas(), INPUTS, dict)
    assert (snapshot(store), store.load_projection(CLUSTER)) == before


def test_a_fold_period_holds_until_the_next_one(store: Store) -> None:
    other = msgspec.structs.replace(INPUTS, rules="00fe")
    assert (store.fold_version(CLUSTER), store.fold_periods(CLUSTER)) == (None, [])
    store.start_fold_period(CLUSTER, 1, INPUTS)
    store.start_fold_period(CLUSTER, 501, other)
    store.start_fold_period(OTHER, 7, msgspec.structs.replace(INPUTS, fold_version=9))
    assert store.fold_version(CLUSTER) == 3
    assert store.fold_periods(CLUSTER) == [FoldPeriod(1, INPUTS), FoldPeriod(501, other)]


def test_a_fold_period_replaces_later_ones_and_merges_with_an_equal_one(store: Store) -> None:
    other = msgspec.structs.replace(INPUTS, rules="00fe")
    store.start_fold_period(CLUSTER, 1, INPUTS)
    store.start_fold_period(CLUSTER, 501, other)
    store.start_fold_period(CLUSTER, 501, INPUTS)
    assert store.fold_periods(CLUSTER) == [FoldPeriod(1, INPUTS)]


def test_a_rebuild_leaves_one_fold_period(store: Store) -> None:
    store.start_fold_period(CLUSTER, 1, msgspec.structs.replace(INPUTS, rules="00fe"))
    store.start_fold_period(CLUSTER, 501, msgspec.structs.replace(INPUTS, fold_version=9))
    store.rebuild(CLUSTER, [], INPUTS, dict)
    assert store.fold_periods(CLUSTER) == [FoldPeriod(1, INPUTS)]


def test_records_are_counted_up_to_a_limit(store: Store) -> None:
    store.commit(CLUSTER, 1, [record(n) for n in range(1, 6)], [], Delta())
    assert [store.record_count(CLUSTER, at_most) for at_most in (3, 5, 9)] == [3, 5, 5]
    assert store.record_count(OTHER, 9) == 0


def test_projection_rows_are_in_key_order(store: Store) -> None:
    numbers = list(range(2500, 0, -1))
    owners = [msgspec.structs.replace(owner_row(n % 7), owner_uid=f"owner-{n:04}") for n in numbers]
    store.commit(CLUSTER, 1, [record(1)], [], Delta(spans=[span_row(n) for n in numbers], owners=owners))
    assert [row["span_id"] for row in store.projection_rows(CLUSTER, "spans")] == [f"{n:016x}" for n in range(1, 2501)]
    keys = [(row["uid"], row["owner_uid"]) for row in store.projection_rows(CLUSTER, "owners")]
    assert keys == sorted(keys)
    assert len(keys) == 2500


def closed_traces(store: Store, *closed_at: int) -> None:
    traces = [trace_row(n, TraceState.CLOSED, closed_at=at) for n, at in enumerate(closed_at, 1)]
    store.commit(CLUSTER, 1, [record(1)], [], Delta(traces=[*traces, trace_row(99)]))


def test_a_rebuild_of_a_pruned_journal_sends_no_trace_at_its_edge_a_second_time(store: Store) -> None:
    closed_traces(store, 30, 10, 20)
    store.mark_emitted(CLUSTER, "otlp", [f"{1:032x}", f"{2:032x}"], 40)
    with store.writing("pretend that records were deleted", CLUSTER) as connection:
        connection.exec_driver_sql("UPDATE fold_state SET pruned_to = 1")
    store.commit(CLUSTER, 2, [msgspec.structs.replace(record(2), recorded_at=100)], [], Delta())
    edge = 100 + INPUTS.settings.max_trace_age
    # The second was cut, so that it has another id now; the third was not sent before; the fifth is behind the edge.
    rebuilt = [trace_row(n, TraceState.CLOSED, closed_at=at) for n, at in ((1, 30), (4, 10), (3, 20), (5, edge))]
    store.rebuild(CLUSTER, [Delta(traces=rebuilt)], INPUTS, dict)
    waiting = [trace.trace_id for trace in store.unemitted_traces(CLUSTER, "otlp", 10)]
    assert waiting == [f"{n:032x}" for n in (3, 5)]


def test_a_rebuild_writes_the_newest_versions_again(store: Store) -> None:
    store.commit(CLUSTER, 1, [record(1)], [], Delta(), {"Pod": "1"})
    store.rebuild(CLUSTER, [Delta(clock=b"clock")], INPUTS, lambda: {"Pod": "7"})
    position = store.position(CLUSTER)
    assert (position.clock, position.last_seq) == (b"clock", 1)
    assert msgspec.msgpack.decode(position.newest) == {"Pod": "7"}


def test_the_command_for_a_rebuild_names_the_database_and_the_cluster_if_there_are_several(store: Store) -> None:
    store.commit(CLUSTER, 1, [record(1)], [], Delta())
    assert store.rebuild_command(CLUSTER) == f"kspan db rebuild --db {shlex.quote(store.name)}"
    store.commit("other", 1, [record(1)], [], Delta())
    assert store.rebuild_command(CLUSTER) == f"kspan db rebuild --db {shlex.quote(store.name)} --cluster {CLUSTER}"


def test_unemitted_traces_are_in_order_of_closing(store: Store) -> None:
    closed_traces(store, 30, 10, 20, 10)
    ids = [trace.trace_id for trace in store.unemitted_traces(CLUSTER, "otlp", 10)]
    assert ids == [f"{n:032x}" for n in (2, 4, 3, 1)]
    assert len(store.unemitted_traces(CLUSTER, "otlp", 2)) == 2


def test_a_trace_is_unemitted_until_the_target_accepts_or_rejects_it(store: Store) -> None:
    closed_traces(store, 1, 2, 3)
    one, two, three = (f"{n:032x}" for n in (1, 2, 3))
    store.mark_failed(CLUSTER, "otlp", [one, two], 50, "connection refused", rejected=False)
    assert len(store.unemitted_traces(CLUSTER, "otlp", 10)) == 3
    store.mark_emitted(CLUSTER, "otlp", [one], 60)
    store.mark_failed(CLUSTER, "otlp", [two], 60, "too large", rejected=True)
    assert [trace.trace_id for trace in store.unemitted_traces(CLUSTER, "otlp", 10)] == [three]
    assert len(store.unemitted_traces(CLUSTER, "file", 10)) == 3
    (stats,) = store.stats(CLUSTER)
    assert stats.emissions == {"otlp": {"emitted": 1, "rejected": 1}}


def test_a_trace_that_closes_at_the_time_of_the_last_sent_one_is_unemitted(store: Store) -> None:
    closed_traces(store, 10, 20)
    store.mark_emitted(CLUSTER, "otlp", [f"{n:032x}" for n in (1, 2)], 60)
    late = [trace_row(0, TraceState.CLOSED, closed_at=20), trace_row(3, TraceState.CLOSED, closed_at=30)]
    store.commit(CLUSTER, 2, [record(2)], [], Delta(traces=late))
    assert [trace.trace_id for trace in store.unemitted_traces(CLUSTER, "otlp", 10)] == [f"{n:032x}" for n in (0, 3)]


def test_a_trace_that_closes_at_another_time_after_a_rebuild_is_unemitted(store: Store) -> None:
    closed_traces(store, 10, 20, 30)
    store.mark_emitted(CLUSTER, "otlp", [f"{n:032x}" for n in (1, 2, 3)], 60)
    rebuilt = [trace_row(n, TraceState.CLOSED, closed_at=n) for n in (1, 2, 3, 4)]
    store.rebuild(CLUSTER, [Delta(traces=rebuilt)], INPUTS, dict)
    assert [trace.trace_id for trace in store.unemitted_traces(CLUSTER, "otlp", 10)] == [f"{4:032x}"]


def test_spans_of_traces_are_the_closed_ones_by_trace_and_start(store: Store) -> None:
    spans = [
        span_row(1, SpanState.CLOSED, trace=2, start=50),
        span_row(2, SpanState.CLOSED, trace=1, start=70),
        span_row(3, SpanState.CLOSED, trace=1, start=60),
        span_row(4, SpanState.CLOSED, trace=3),
        span_row(5, SpanState.OPEN, trace=1),
    ]
    store.commit(CLUSTER, 1, [record(1)], [], Delta(spans=spans))
    found = store.spans_of(CLUSTER, [f"{2:032x}", f"{1:032x}", *(f"{n:032x}" for n in range(100, 1500))])
    assert found == [spans[2], spans[1], spans[0]]


def test_statistics_count_rows_records_and_traces(store: Store) -> None:
    store.commit(CLUSTER, 1, [record(1), record(2), record(2, RecordType.DELETED)], [cursor(1)], full_delta(1))
    (stats,) = store.stats()
    assert stats.cluster == CLUSTER
    assert stats.rows == {
        "journal": 3, "cursors": 1, "gaps": 1, "objects": 1, "owners": 1, "spans": 1, "traces": 1, "emissions": 0,
        "fold_history": 0,
    }  # fmt: skip
    assert stats.journal == {"DELETED": 1, "MODIFIED": 2}
    assert (stats.first_recorded_at, stats.last_recorded_at) == (record(1).recorded_at, record(2).recorded_at)
    assert stats.traces == {"open": 1}
    assert stats.size > 0


def test_concurrent_threads_lose_nothing(store: Store) -> None:
    closed_traces(store, *range(1, 41))
    errors: list[Exception] = []

    def emit() -> None:
        try:
            for number in range(1, 41):
                store.mark_emitted(CLUSTER, "otlp", [f"{number:032x}"], number)
                store.unemitted_traces(CLUSTER, "otlp", 5)
        except Exception as error:  # reported by the assertion below
            errors.append(error)

    emitter = threading.Thread(target=emit)
    emitter.start()
    for number in range(2, 42):
        store.commit(CLUSTER, number, [record(number)], [], full_delta(number))
    emitter.join()
    assert errors == []
    assert store.last_sequence(CLUSTER) == 41
    assert store.unemitted_traces(CLUSTER, "otlp", 100) == []


# No database stores lone surrogates. NUL and U+001A are escaped on PostgreSQL.
hostile = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("\0\x1a01"), max_size=30)
# JSONB stores the decimal digits of a number: a float above 2**53 would be read as an integer close to it.
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(-(2**53), 2**53) | hostile,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(hostile, inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.lists(hostile, min_size=4, max_size=4), attributes=st.dictionaries(hostile, values), state=st.binary())
def test_any_string_is_read_as_it_was_written(
    store: Store, text: list[str], attributes: dict[str, Any], state: bytes
) -> None:
    name, message, reason, key = text
    seq = store.last_sequence(CLUSTER) + 1
    entry = msgspec.structs.replace(record(seq), name=name, reason=reason, payload=msgspec.json.encode(attributes))
    span = msgspec.structs.replace(span_row(1), message=message, attributes=attributes, service=key, fold=state)
    thing = msgspec.structs.replace(object_row(1, state=b"x" + state), name=name, namespace=key)
    delta = Delta(spans=[span], traces=[trace_row(1)], objects=[thing], clock=b"c" + state)
    store.commit(CLUSTER, seq, [entry], [], delta)
    loaded = store.load_projection(CLUSTER)
    assert list(store.replay(CLUSTER, after=seq - 1)) == [[(seq, entry)]]
    assert (loaded.spans, loaded.objects, loaded.clock) == ([span], [thing.state], b"c" + state)
