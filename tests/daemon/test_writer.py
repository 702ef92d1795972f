"""The single writer: whatever happens to the database or to the feed, what is journalled is what was delivered."""

import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

from kspan.daemon.frame_queue import FrameQueue
from kspan.daemon.metrics import Metrics
from kspan.daemon.watermark import Watermark
from kspan.daemon.writer import Writer
from kspan.graph import built_in_rules
from kspan.ingest import read_frames
from kspan.ingest.frames import Frame, FrameType
from kspan.ingest.watch import Stopped
from kspan.k8s.resources import accepts
from kspan.model import LogRecord, RecordType
from kspan.pipeline.replay import find_cluster
from kspan.store import Store, open_store
from kspan.times import SECOND
from tests.daemon.small_cluster import wait_until
from tests.recordings import Rows, recording, rows

NOW = 1_800_000_000 * SECOND
CLUSTER = "c1"


def frames_of(scenario: str) -> tuple[str, list[Frame]]:
    cluster, frames = find_cluster(read_frames([str(recording(scenario))]))
    return cluster, [frame for frame in with_marks(frames) if accepts(frame.resource)]


def with_marks(frames: Iterator[Frame]) -> Iterator[Frame]:
    """As a watcher delivers them: a BOOKMARK ends each list, in a recording nothing does."""
    version: dict[str, bytes] = {}
    for frame in frames:
        if frame.type is FrameType.LIST:
            version[frame.resource] = frame.object
        elif frame.type is not FrameType.LISTED and frame.resource in version:
            yield msgspec.structs.replace(frame, type=FrameType.BOOKMARK, object=version.pop(frame.resource))
        yield frame


def frame(kind: FrameType, resource: str = "v1/pods", name: str = "", version: int = 0, at: int = NOW) -> Frame:
    metadata = {"resourceVersion": str(version)}
    if name:
        metadata |= {"uid": f"uid-{name}", "name": name, "namespace": "default"}
    return Frame(at, resource, kind, msgspec.json.encode({"metadata": metadata}), "test", 1)


@contextmanager
def running(writer: Writer) -> Iterator[Writer]:
    writer.start()
    try:
        yield writer
    finally:
        stopped = writer.stop(30)
    assert writer.failure is None, writer.failure
    assert stopped


def deliver_all(writer: Writer, frames: Sequence[Frame]) -> None:
    for one in frames:
        writer.deliver(one)


def make(store: Store, cluster: str = CLUSTER, **options: object) -> Writer:
    return Writer(store, cluster, built_in_rules(), **options)  # type: ignore[arg-type]


def journal(store: Store, cluster: str = CLUSTER) -> list[LogRecord]:
    return [record for run in store.replay(cluster) for _, record in run]


def told(store: Store, cluster: str = CLUSTER) -> list[tuple[str, str, str]]:
    return [(record.type.value, record.name, record.resource_version) for record in journal(store, cluster)]


def undisturbed(cluster: str, frames: list[Frame]) -> tuple[list[LogRecord], Rows]:
    with open_store("sqlite://") as store:
        with running(make(store, cluster)) as writer:
            for one in frames:
                writer.deliver(one)
        return journal(store, cluster), rows(store, cluster)


def test_what_is_delivered_is_committed_soon_and_without_another_frame(tmp_path: Path) -> None:
    with open_store(str(tmp_path / "db")) as store, running(make(store)) as writer:
        began = time.monotonic()
        writer.deliver(frame(FrameType.ADDED, name="a", version=7))
        wait_until(lambda: store.last_sequence(CLUSTER) == 1)
        assert time.monotonic() - began < 2
        assert store.cursors(CLUSTER)["v1/pods"].resource_version == "7"


def test_a_database_that_is_locked_loses_nothing_and_doubles_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kspan.store.engine._BUSY_TIMEOUT_S", 0.05)
    cluster, frames = frames_of("02-rolling-update")
    expected, expected_rows = undisturbed(cluster, frames)
    path = tmp_path / "db"
    with open_store(str(path)) as store:
        with running(make(store, cluster, queue=FrameQueue(20))) as writer:
            third = len(frames) // 3
            feeder = threading.Thread(target=deliver_all, args=(writer, frames[third + 1 :]))
            deliver_all(writer, frames[:third])
            other = sqlite3.connect(path, isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            writer.deliver(frames[third])
            wait_until(lambda: writer.trouble)
            feeder.start()  # Not before: on a busy machine the writer would take all of it into one batch.
            wait_until(lambda: writer.queue.blocked)
            assert "locked" in writer.trouble
            assert len(writer.queue) == 20
            other.execute("ROLLBACK")
            other.close()
            feeder.join()
            wait_until(lambda: not writer.trouble)
        assert journal(store, cluster) == expected
        assert rows(store, cluster) == expected_rows


def test_a_commit_whose_answer_was_lost_is_not_made_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from kspan.errors import StoreError

    with open_store(str(tmp_path / "db")) as store:
        settle = store.settle
        broken: list[int] = []

        def settle_and_break() -> None:
            settle()
            journalled = store.last_sequence(CLUSTER)
            if journalled and len(broken) < 3:
                broken.append(journalled)
                raise StoreError("the connection broke")

        monkeypatch.setattr(store, "settle", settle_and_break)
        with running(make(store)) as writer:
            writer.deliver(frame(FrameType.LIST, version=5))
            writer.deliver(frame(FrameType.BOOKMARK, version=5))
            writer.deliver(frame(FrameType.LIST, version=9))
            writer.deliver(frame(FrameType.LISTED, name="a", version=8))
            writer.deliver(frame(FrameType.BOOKMARK, version=9))
        assert len(broken) == 3
        assert told(store) == [("GAP", "", ""), ("ADDED", "a", "8")]


def test_a_commit_that_failed_after_all_was_written_is_made_again_before_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster, frames = frames_of("02-rolling-update")
    expected, expected_rows = undisturbed(cluster, frames)
    with open_store(str(tmp_path / "db")) as store:
        commit, tries = SQLiteDialect_pysqlite.do_commit, list[int]()

        def fail_now_and_then(dialect: SQLiteDialect_pysqlite, connection: Any) -> None:
            if threading.current_thread().name == "commit":
                tries.append(len(tries))
                if tries[-1] in (1, 4, 5, 9):
                    raise sqlite3.OperationalError("disk I/O error")
            commit(dialect, connection)  # type: ignore[no-untyped-call]

        monkeypatch.setattr(SQLiteDialect_pysqlite, "do_commit", fail_now_and_then)
        with running(make(store, cluster)) as writer:
            for number, one in enumerate(frames):
                writer.deliver(one)
                if number % 20 == 0:
                    wait_until(lambda: not len(writer.queue))
        assert len(tries) > 10
        assert journal(store, cluster) == expected
        assert rows(store, cluster) == expected_rows


def test_a_full_disk_is_waited_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite's own page limit stands in for the disk: the error is the same SQLITE_FULL."""
    cluster, frames = frames_of("01-deployment-create")
    expected, expected_rows = undisturbed(cluster, frames)
    with open_store(str(tmp_path / "db")) as store:
        from sqlalchemy import event

        full = threading.Event()
        full.set()

        @event.listens_for(store._engine, "begin")
        def limit(connection: object) -> None:
            pages = 1 if full.is_set() else 2**30
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")  # type: ignore[attr-defined]

        with running(make(store, cluster)) as writer:
            for one in frames:
                writer.deliver(one)
            wait_until(lambda: "full" in writer.trouble)
            full.clear()
            wait_until(lambda: not writer.trouble)
        assert journal(store, cluster) == expected
        assert rows(store, cluster) == expected_rows


def test_what_is_stopped_while_the_database_is_away_gives_up_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kspan.store.engine._BUSY_TIMEOUT_S", 0.05)
    with open_store(str(tmp_path / "db")) as store:
        writer = make(store)
        writer.start()
        other = sqlite3.connect(tmp_path / "db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        writer.deliver(frame(FrameType.ADDED, name="a", version=7))
        wait_until(lambda: writer.trouble)
        began = time.monotonic()
        assert not writer.stop(1)
        assert time.monotonic() - began < 3
        wait_until(lambda: not writer.is_alive())
        assert writer.failure is None
        other.close()
        assert store.cursors(CLUSTER) == {}


def test_a_record_that_the_database_cannot_hold_is_left_out_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_store(str(tmp_path / "db")) as store:
        with store._write("prepare", CLUSTER) as connection:
            connection.exec_driver_sql(
                "CREATE TRIGGER odd BEFORE INSERT ON journal WHEN NEW.name = 'odd' "
                "BEGIN SELECT RAISE(ABORT, 'no such thing'); END"
            )
        metrics = Metrics()
        with running(make(store, metrics=metrics)) as writer:
            for number, name in enumerate(("a", "odd", "b"), 1):
                writer.deliver(frame(FrameType.ADDED, name=name, version=number))
        assert told(store) == [("ADDED", "a", "1"), ("ADDED", "b", "3")]
        assert store.cursors(CLUSTER)["v1/pods"].resource_version == "3"
        assert metrics.registry.get_sample_value("kspan_skipped_objects_total", {"resource": "v1/pods"}) == 1


def test_an_object_that_makes_no_sense_is_skipped_and_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with open_store(str(tmp_path / "db")) as store:
        metrics = Metrics()
        with running(make(store, metrics=metrics)) as writer:
            for _ in range(3):
                writer.deliver(Frame(NOW, "v1/pods", FrameType.ADDED, b'{"metadata":{}}', "test", 1))
            writer.deliver(frame(FrameType.ADDED, name="a", version=7))
        assert told(store) == [("ADDED", "a", "7")]
    assert len([r for r in caplog.records if "cannot be journalled" in r.getMessage()]) == 1
    assert metrics.registry.get_sample_value("kspan_skipped_objects_total", {"resource": "v1/pods"}) == 3


def test_delivery_blocks_while_the_queue_is_full_and_is_turned_away_at_the_stop() -> None:
    queue = FrameQueue(frames=2)
    with open_store("sqlite://") as store:
        writer = make(store, queue=queue)
        writer.deliver(frame(FrameType.ADDED, name="a", version=1))
        writer.deliver(frame(FrameType.ADDED, name="b", version=2))
        ended: list[type[BaseException]] = []

        def deliver() -> None:
            try:
                writer.deliver(frame(FrameType.ADDED, name="c", version=3))
            except Stopped:
                ended.append(Stopped)

        thread = threading.Thread(target=deliver)
        thread.start()
        wait_until(lambda: queue.blocked == 1)
        writer.start()
        thread.join(10)
        assert not ended
        assert writer.stop(10)
        assert [name for _, name, _ in told(store)] == ["a", "b", "c"]
        with pytest.raises(Stopped):
            writer.deliver(frame(FrameType.ADDED, name="d", version=4))


def test_the_queue_is_bounded_in_bytes_but_lets_a_single_big_frame_pass() -> None:
    queue = FrameQueue(max_bytes=100)
    big = Frame(NOW, "v1/pods", FrameType.ADDED, b"x" * 500, "test", 1)
    queue.put(big)
    assert queue.bytes == 500
    thread = threading.Thread(target=queue.put, args=(big,))
    thread.start()
    wait_until(lambda: queue.blocked == 1)
    assert queue.take(10, 0) == [big]
    thread.join(10)
    assert queue.take(10, 1) == [big]
    assert queue.bytes == 0


def test_time_passes_only_when_something_is_due() -> None:
    with open_store("sqlite://") as store:
        with running(make(store)) as writer:
            writer.tick(NOW)
            writer.deliver(frame(FrameType.ADDED, name="a", version=7))
            wait_until(lambda: store.last_sequence(CLUSTER) == 1)
            writer.tick(NOW + 2 * SECOND)
            wait_until(lambda: not len(writer.queue))
            writer.tick(NOW + 6 * SECOND)
            wait_until(lambda: store.last_sequence(CLUSTER) == 2)
        assert [record.type for record in journal(store)] == [RecordType.ADDED, RecordType.TICK]


def test_time_stands_still_until_what_was_missed_has_come() -> None:
    with open_store("sqlite://") as store:
        with running(make(store)) as writer:
            writer.deliver(frame(FrameType.ADDED, name="a", version=7))
        # A restart a minute later.
        watermark = Watermark(hold=5 * SECOND)
        clock = [NOW + 60 * SECOND]
        with running(make(store, watermark=watermark, clock=lambda: clock[0])) as writer:
            writer.deliver(frame(FrameType.MODIFIED, name="a", version=8, at=clock[0]))
            writer.tick(clock[0])
            wait_until(lambda: store.last_sequence(CLUSTER) == 2)
            watermark.synced(clock[0])
            clock[0] += SECOND
            writer.deliver(frame(FrameType.MODIFIED, name="a", version=9, at=clock[0]))
            wait_until(lambda: store.last_sequence(CLUSTER) == 3)
            clock[0] += 5 * SECOND
            writer.tick(clock[0])
            wait_until(lambda: store.last_sequence(CLUSTER) == 4)
        assert [(r.type.value, r.recorded_at) for r in journal(store)] == [
            ("ADDED", NOW),
            ("MODIFIED", NOW),
            ("MODIFIED", NOW),
            ("TICK", clock[0]),
        ]


def test_no_tick_overtakes_a_frame_that_waits_for_room() -> None:
    queue = FrameQueue(frames=1)
    queue.put(frame(FrameType.ADDED, name="a", version=1))
    thread = threading.Thread(target=queue.put, args=(frame(FrameType.ADDED, name="b", version=2),))
    thread.start()
    wait_until(lambda: queue.blocked)
    queue.put_moment(NOW)
    assert len(queue.take(10, 0)) == 1
    thread.join(10)
    assert [isinstance(item, Frame) for item in queue.take(10, 0)] == [True]


def test_secrets_never_reach_the_journal() -> None:
    secret = {"metadata": {"uid": "u", "name": "s", "resourceVersion": "1"}, "data": {"password": "aHVudGVyMg=="}}
    pod = {
        "metadata": {"uid": "p", "name": "p", "resourceVersion": "2"},
        "spec": {"containers": [{"env": [{"name": "PASSWORD", "value": "hunter2"}]}]},
    }
    with open_store("sqlite://") as store:
        with running(make(store)) as writer:
            writer.deliver(Frame(NOW, "v1/secrets", FrameType.ADDED, msgspec.json.encode(secret), "test", 1))
            writer.deliver(Frame(NOW, "v1/pods", FrameType.ADDED, msgspec.json.encode(pod), "test", 1))
        payloads = b"".join(record.payload for record in journal(store))
    assert b"PASSWORD" in payloads
    assert b"hunter2" not in payloads
    assert b"aHVudGVyMg" not in payloads


# lists on a live cluster ----------------------------------------------------------------------------------------------


def test_a_slow_list_is_not_taken_for_complete() -> None:
    with open_store("sqlite://") as store:
        with running(make(store)) as writer:
            writer.deliver(frame(FrameType.LIST, version=5))
            writer.deliver(frame(FrameType.LISTED, name="a", version=1))
            writer.deliver(frame(FrameType.LISTED, name="b", version=2))
            writer.deliver(frame(FrameType.BOOKMARK, version=5))
            writer.deliver(frame(FrameType.LIST, version=9))
            writer.deliver(frame(FrameType.LISTED, name="a", version=1))
            later = NOW + 30 * SECOND
            writer.deliver(frame(FrameType.ADDED, "v1/nodes", "n", 8, at=later))
            writer.deliver(frame(FrameType.NOTE, at=later))
            writer.deliver(frame(FrameType.LISTED, name="b", version=2, at=later))
            writer.deliver(frame(FrameType.BOOKMARK, version=9, at=later))
        assert [entry[0] for entry in told(store)] == ["LISTED", "LISTED", "ADDED", "GAP"]


def test_a_list_that_broke_off_deletes_nothing() -> None:
    with open_store("sqlite://") as store:
        with running(make(store)) as writer:
            writer.deliver(frame(FrameType.LIST, version=5))
            writer.deliver(frame(FrameType.LISTED, name="a", version=1))
            writer.deliver(frame(FrameType.LISTED, name="b", version=2))
            writer.deliver(frame(FrameType.BOOKMARK, version=5))
            writer.deliver(frame(FrameType.LIST, version=9))
            writer.deliver(frame(FrameType.LISTED, name="a", version=1))
            writer.deliver(frame(FrameType.ERROR))
            writer.deliver(frame(FrameType.LIST, version=10))
            writer.deliver(frame(FrameType.LISTED, name="b", version=2))
            writer.deliver(frame(FrameType.BOOKMARK, version=10))
        assert told(store)[2:] == [("GAP", "", ""), ("DELETED", "a", "1")]


def test_what_vanished_while_a_first_list_was_cut_off_is_deleted() -> None:
    with open_store("sqlite://") as store:
        with running(make(store)) as writer:
            writer.deliver(frame(FrameType.LIST, version=5))
            writer.deliver(frame(FrameType.LISTED, name="a", version=1))
            writer.deliver(frame(FrameType.LISTED, name="b", version=2))
        with running(make(store)) as writer:
            writer.deliver(frame(FrameType.LIST, version=9))
            writer.deliver(frame(FrameType.LISTED, name="b", version=2))
            writer.deliver(frame(FrameType.LISTED, name="c", version=8))
            writer.deliver(frame(FrameType.BOOKMARK, version=9))
        assert told(store) == [
            ("LISTED", "a", "1"),
            ("LISTED", "b", "2"),
            ("LISTED", "c", "8"),
            ("DELETED", "a", "1"),
        ]
        assert store.cursors(CLUSTER)["v1/pods"].resource_version == "9"
