"""Retention: old history is deleted, needed history is kept, and the daemon continues from the rest."""

import msgspec
import pytest

from kspan.graph import built_in_rules
from kspan.ingest.journal_builder import JournalBatch
from kspan.model import LogRecord, RecordType
from kspan.pipeline.projector import Projector
from kspan.pipeline.rebuild import rebuild
from kspan.store import Store, open_store
from kspan.store.tables import retention as pruning
from kspan.store.tables.retention import Pruned, prune
from kspan.times import SECOND
from tests.recordings import journal, rows

DAY = 86_400 * SECOND
TARGET = "otlp"


def fill(store: Store, *, finish: bool = True) -> tuple[str, Projector]:
    cluster, records = journal("02-rolling-update")
    projector = Projector(store, cluster, built_in_rules())
    projector.add(JournalBatch([record]) for record in records)
    projector.flush()
    if finish:
        projector.run_out()
    return cluster, projector


def emit_all(store: Store, cluster: str, target: str = TARGET) -> None:
    ids = [trace.trace_id for trace in store.unemitted_traces(cluster, target, 1_000)]
    store.mark_emitted(cluster, target, ids, 1)


def kept(store: Store, cluster: str) -> list[tuple[int, LogRecord]]:
    return [entry for run in store.replay(cluster) for entry in run]


def end_of(store: Store, cluster: str) -> int:
    return max(record.recorded_at for _, record in kept(store, cluster))


def living(store: Store, cluster: str) -> set[str]:
    return {row["uid"] for row in rows(store, cluster)["objects"] if row["deleted_at"] == 0 and row["resource"]}


def test_nothing_is_deleted_before_the_retention_ends() -> None:
    with open_store("sqlite://") as store:
        cluster, _ = fill(store)
        emit_all(store, cluster)
        before = rows(store, cluster), kept(store, cluster)
        first = before[1][0][1].recorded_at
        assert prune(store, cluster, first, [TARGET]) == Pruned()
        assert (rows(store, cluster), kept(store, cluster)) == before


def test_the_newest_record_of_each_live_object_is_kept_as_state() -> None:
    with open_store("sqlite://") as store:
        cluster, _ = fill(store)
        emit_all(store, cluster)
        newest = {record.uid: record for _, record in kept(store, cluster) if record.uid in living(store, cluster)}
        last = store.last_sequence(cluster)
        gone = prune(store, cluster, end_of(store, cluster) + DAY, [TARGET])
        assert gone.records > 0
        assert gone.traces > 0
        left = kept(store, cluster)
        assert left[-1][0] == store.last_sequence(cluster) == last
        states = {record.uid: record for _, record in left if record.uid}
        assert set(states) == living(store, cluster)
        for uid, record in states.items():
            assert record == msgspec.structs.replace(newest[uid], type=RecordType.LISTED)
        assert rows(store, cluster)["traces"] == rows(store, cluster)["spans"] == []
        assert store.stats(cluster)[0].rows["emissions"] == 0
        assert prune(store, cluster, end_of(store, cluster) + DAY, [TARGET]) == Pruned()


def test_traces_that_wait_for_a_target_are_kept_with_their_journal() -> None:
    with open_store("sqlite://") as store:
        cluster, _ = fill(store)
        emit_all(store, cluster, "another")
        before = rows(store, cluster)
        opened = min(row["opened_at"] for row in before["traces"])
        needed = [entry for entry in kept(store, cluster) if entry[1].recorded_at >= opened]
        assert prune(store, cluster, end_of(store, cluster) + DAY, ["another", TARGET]).traces == 0
        assert [entry for entry in kept(store, cluster) if entry[1].recorded_at >= opened] == needed
        assert rows(store, cluster)["spans"] == before["spans"]


def test_traces_that_wait_for_a_target_are_reported() -> None:
    with open_store("sqlite://") as store:
        cluster, _ = fill(store)
        emit_all(store, cluster, "another")
        count = len(rows(store, cluster)["traces"])
        assert prune(store, cluster, end_of(store, cluster) + DAY, ["another", TARGET]).waiting == {TARGET: count}
        first = min(row["closed_at"] for row in rows(store, cluster)["traces"])
        assert prune(store, cluster, first, [TARGET]).waiting == {}


def test_no_record_is_rewritten_and_kept_records_are_read_as_a_first_list() -> None:
    with open_store("sqlite://") as store:
        cluster, projector = fill(store)
        emit_all(store, cluster)
        prune(store, cluster, end_of(store, cluster) + DAY, [TARGET])
        with store.reading("look") as connection:
            stored = set(connection.exec_driver_sql("SELECT type FROM journal").scalars())
        assert RecordType.MODIFIED in stored
        left = kept(store, cluster)
        assert {record.type for _, record in left if record.uid} == {RecordType.LISTED}
        again = msgspec.structs.replace(left[0][1], type=RecordType.MODIFIED, resource_version="999999999")
        projector.add([JournalBatch([again])])
        projector.flush()
        assert kept(store, cluster)[-1][1].type is RecordType.MODIFIED


def test_a_record_kept_as_state_is_deleted_after_its_object() -> None:
    with open_store("sqlite://") as store:
        cluster, projector = fill(store)
        emit_all(store, cluster)
        prune(store, cluster, end_of(store, cluster) + DAY, [TARGET])
        victim = next(record for _, record in kept(store, cluster) if record.kind == "Pod")
        gone = msgspec.structs.replace(
            victim, type=RecordType.DELETED, resource_version="999999999", recorded_at=end_of(store, cluster) + DAY
        )
        projector.add([JournalBatch([gone])])
        projector.run_out()
        emit_all(store, cluster)
        prune(store, cluster, end_of(store, cluster) + DAY, [TARGET])
        assert victim.uid not in {record.uid for _, record in kept(store, cluster)}


def test_the_writer_can_commit_between_the_transactions_of_pruning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pruning, "WINDOW", 50)
    pauses: list[float] = []
    with open_store("sqlite://") as store:
        cluster, _ = fill(store)
        emit_all(store, cluster)
        records = len(kept(store, cluster))
        prune(store, cluster, end_of(store, cluster) + DAY, [TARGET], pauses.append)
        assert len(pauses) >= records // 50
        assert all(seconds > 0 for seconds in pauses)


def test_traces_that_a_target_rejected_are_not_kept_for_it() -> None:
    with open_store("sqlite://") as store:
        cluster, _ = fill(store)
        ids = [trace.trace_id for trace in store.unemitted_traces(cluster, TARGET, 1_000)]
        store.mark_failed(cluster, TARGET, ids, 1, "refused", True)
        assert prune(store, cluster, end_of(store, cluster) + DAY, [TARGET]).traces == len(ids)


def test_pending_occurrences_and_open_traces_are_kept() -> None:
    with open_store("sqlite://") as store:
        cluster, _ = fill(store, finish=False)
        emit_all(store, cluster)
        unfinished = [row for row in rows(store, cluster)["spans"] if row["state"] != "closed"]
        pending = rows(store, cluster)["pending"]
        assert unfinished
        since = min(row["start_time"] for row in pending)
        needed = [entry for entry in kept(store, cluster) if entry[1].recorded_at >= since]
        prune(store, cluster, end_of(store, cluster) + DAY, [TARGET])
        assert [row for row in rows(store, cluster)["spans"] if row["state"] != "closed"] == unfinished
        assert rows(store, cluster)["pending"] == pending
        assert [entry for entry in kept(store, cluster) if entry[1].recorded_at >= since] == needed


@pytest.mark.parametrize("cut", [0.75, 0.85, 0.95])
def test_pruning_does_not_change_later_traces(cut: float) -> None:
    cluster, records = journal("02-rolling-update")
    middle = int(len(records) * cut)

    def project(*, pruned: bool) -> dict[str, dict[str, object]]:
        with open_store("sqlite://") as store:
            projector = Projector(store, cluster, built_in_rules())
            projector.add(JournalBatch([record]) for record in records[:middle])
            projector.flush()
            if pruned:
                emit_all(store, cluster)
                assert prune(store, cluster, records[middle].recorded_at + DAY, [TARGET]).records
                # And a restart.
                projector = Projector(store, cluster, built_in_rules())
            projector.add(JournalBatch([record]) for record in records[middle:])
            projector.run_out()
            return {row["span_id"]: row for row in rows(store, cluster)["spans"]}

    expected, found = project(pruned=False), project(pruned=True)
    assert found
    assert all(expected[span] == row for span, row in found.items())
    assert {row["trace_id"] for row in expected.values()} >= {row["trace_id"] for row in found.values()}


def test_a_relist_after_pruning_finds_no_changes() -> None:
    with open_store("sqlite://") as store:
        cluster, _ = fill(store)
        emit_all(store, cluster)
        prune(store, cluster, end_of(store, cluster) + DAY, [TARGET])
        left = kept(store, cluster)
        projector = Projector(store, cluster, built_in_rules())
        again = [msgspec.structs.replace(record, type=RecordType.MODIFIED) for _, record in left if record.uid]
        projector.add([JournalBatch(again)])
        projector.flush()
        assert projector.appended == 0


def test_a_rebuild_of_a_pruned_journal_has_all_live_objects_and_no_traces_of_them() -> None:
    with open_store("sqlite://") as store:
        cluster, _ = fill(store)
        emit_all(store, cluster)
        prune(store, cluster, end_of(store, cluster) + DAY, [TARGET])
        alive = living(store, cluster)
        rebuild(store, cluster, built_in_rules())
        assert living(store, cluster) == alive
        assert store.unemitted_traces(cluster, TARGET, 10) == []
        Projector(store, cluster, built_in_rules())
