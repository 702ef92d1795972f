"""The writer: delivery, group commits, bookmarks, event time, lists."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import event

from kspan.daemon.frame_queue import FrameQueue
from kspan.daemon.metrics import Metrics
from kspan.daemon.watermark import Watermark
from kspan.daemon.writer import BOOKMARK_DELAY, Writer
from kspan.ingest.frames import Frame, FrameType
from kspan.ingest.watch import Stopped
from kspan.model import HELD, RecordType
from kspan.store import Store, open_store
from kspan.times import SECOND
from tests.daemon.small_cluster import wait_until
from tests.daemon.writing import CLUSTER, NOW, frame, journal, journalled, make, running
from tests.limits import HANG_S
from tests.store.engine import engine_of


def test_a_frame_is_committed_without_another_one(tmp_path: Path) -> None:
    with open_store(str(tmp_path / "db")) as store, running(make(store)) as writer:
        writer.deliver(frame(FrameType.ADDED, name="a", version=7))
        wait_until(lambda: store.last_sequence(CLUSTER) == 1)
        assert store.cursors(CLUSTER)["v1/pods"].resource_version == "7"


def test_an_invalid_object_is_skipped_and_logged_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with open_store(str(tmp_path / "db")) as store:
        metrics = Metrics()
        with running(make(store, metrics=metrics)) as writer:
            for _ in range(3):
                writer.deliver(Frame(NOW, "v1/pods", FrameType.ADDED, b'{"metadata":{}}', "test", 1))
            writer.deliver(frame(FrameType.ADDED, name="a", version=7))
        assert journalled(store) == [("ADDED", "a", "7")]
    assert len([r for r in caplog.records if "invalid object skipped" in r.getMessage()]) == 1
    assert metrics.registry.get_sample_value("kspan_skipped_objects_total", {"resource": "v1/pods"}) == 3


def test_delivery_blocks_while_the_queue_is_full_and_fails_after_the_stop() -> None:
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
        thread.join(HANG_S)
        assert not ended
        assert writer.stop(HANG_S)
        assert [name for _, name, _ in journalled(store)] == ["a", "b", "c"]
        with pytest.raises(Stopped):
            writer.deliver(frame(FrameType.ADDED, name="d", version=4))


def test_the_queue_is_bounded_in_bytes_but_accepts_a_single_large_frame() -> None:
    queue = FrameQueue(max_bytes=100)
    big = Frame(NOW, "v1/pods", FrameType.ADDED, b"x" * 500, "test", 1)
    queue.put(big)
    assert queue.bytes == 500
    thread = threading.Thread(target=queue.put, args=(big,))
    thread.start()
    wait_until(lambda: queue.blocked == 1)
    assert queue.take(10, 0) == [big]
    thread.join(HANG_S)
    assert queue.take(10, 1) == [big]
    assert queue.bytes == 0


def test_a_tick_is_journalled_only_if_something_is_due() -> None:
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


def test_event_time_is_held_back_until_missed_changes_have_arrived() -> None:
    with open_store("sqlite://") as store:
        with running(make(store)) as writer:
            writer.deliver(frame(FrameType.ADDED, name="a", version=7))
        # A restart a minute later.
        watermark = Watermark(hold=5 * SECOND)
        clock = [NOW + 60 * SECOND]
        with running(make(store, watermark=watermark, clock=lambda: clock[0])) as writer:
            writer.deliver(frame(FrameType.MODIFIED, name="a", version=8, at=clock[0]))
            writer.tick(clock[0])
            wait_until(lambda: store.last_sequence(CLUSTER) == 3)
            watermark.synced(clock[0])
            clock[0] += SECOND
            writer.deliver(frame(FrameType.MODIFIED, name="a", version=9, at=clock[0]))
            wait_until(lambda: store.last_sequence(CLUSTER) == 4)
            clock[0] += 5 * SECOND
            writer.tick(clock[0])
            wait_until(lambda: store.last_sequence(CLUSTER) == 5)
        assert [(r.type.value, r.reason, r.recorded_at) for r in journal(store)] == [
            ("ADDED", "", NOW),
            ("TICK", HELD, NOW),
            ("MODIFIED", "", NOW + 60 * SECOND),
            ("MODIFIED", "", NOW + 61 * SECOND),
            ("TICK", "", clock[0]),
        ]


# bookmarks ------------------------------------------------------------------------------------------------------------

RESOURCES = tuple(f"apps/v1/kind{number}" for number in range(10))


@contextmanager
def counted_transactions(store: Store) -> Iterator[list[str]]:
    """Collects the transactions that write."""
    found: list[str] = []

    def count(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement == "BEGIN IMMEDIATE":
            found.append(statement)

    engine = engine_of(store)
    event.listen(engine, "before_cursor_execute", count)
    yield found
    event.remove(engine, "before_cursor_execute", count)


def bookmarks(store: Store) -> set[str]:
    return {cursor.resource_version for cursor in store.cursors(CLUSTER).values()}


def list_nothing(writer: Writer, store: Store) -> None:
    """The first lists of streams without objects; their versions are committed at once."""
    for resource in RESOURCES:
        writer.deliver(frame(FrameType.LIST, resource, version=5))
        writer.deliver(frame(FrameType.BOOKMARK, resource, version=5))
    wait_until(lambda: len(store.cursors(CLUSTER)) == len(RESOURCES))


def test_the_bookmarks_of_idle_streams_share_a_transaction_a_minute(tmp_path: Path) -> None:
    clock = [NOW]
    with open_store(str(tmp_path / "db")) as store:
        with running(make(store, clock=lambda: clock[0])) as writer:
            list_nothing(writer, store)
            with counted_transactions(store) as transactions:
                for minute in range(1, 6):
                    for resource in RESOURCES:
                        writer.deliver(frame(FrameType.BOOKMARK, resource, version=100 * minute, at=clock[0]))
                    for _ in range(6):
                        clock[0] += 10 * SECOND
                        writer.tick(clock[0])
                        wait_until(lambda: not len(writer.queue))
                wait_until(lambda: bookmarks(store) == {"500"})
        assert len(transactions) == 5


def test_no_bookmark_stays_uncommitted_until_etcd_is_compacted(tmp_path: Path) -> None:
    """The API server compacts etcd every five minutes by default."""
    clock = [NOW]
    with open_store(str(tmp_path / "db")) as store, running(make(store, clock=lambda: clock[0])) as writer:
        list_nothing(writer, store)
        writer.deliver(frame(FrameType.BOOKMARK, RESOURCES[0], version=100))
        wait_until(lambda: not len(writer.queue))
        clock[0] += BOOKMARK_DELAY
        writer.tick(clock[0])
        wait_until(lambda: "100" in bookmarks(store))
    assert BOOKMARK_DELAY <= 150 * SECOND


def test_bookmarks_are_committed_with_the_next_records(tmp_path: Path) -> None:
    with open_store(str(tmp_path / "db")) as store, running(make(store)) as writer:
        list_nothing(writer, store)
        with counted_transactions(store) as transactions:
            for resource in RESOURCES:
                writer.deliver(frame(FrameType.BOOKMARK, resource, version=100))
            writer.deliver(frame(FrameType.ADDED, RESOURCES[0], "a", version=101))
            wait_until(lambda: store.last_sequence(CLUSTER) == 1)
        assert len(transactions) == 1
        assert bookmarks(store) == {"100", "101"}


def test_bookmarks_are_committed_when_the_writer_stops(tmp_path: Path) -> None:
    with open_store(str(tmp_path / "db")) as store:
        with running(make(store)) as writer:
            list_nothing(writer, store)
            writer.deliver(frame(FrameType.BOOKMARK, RESOURCES[0], version=100))
        assert bookmarks(store) == {"5", "100"}


# time -----------------------------------------------------------------------------------------------------------------


def test_no_tick_overtakes_a_frame_that_waits_for_room_in_the_queue() -> None:
    queue = FrameQueue(frames=1)
    queue.put(frame(FrameType.ADDED, name="a", version=1))
    thread = threading.Thread(target=queue.put, args=(frame(FrameType.ADDED, name="b", version=2),))
    thread.start()
    wait_until(lambda: queue.blocked)
    queue.put_moment(NOW)
    assert len(queue.take(10, 0)) == 1
    thread.join(HANG_S)
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


def test_a_slow_list_is_not_considered_complete() -> None:
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
        assert [entry[0] for entry in journalled(store)] == ["LISTED", "LISTED", "ADDED", "GAP"]


def test_an_interrupted_list_deletes_nothing() -> None:
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
        assert journalled(store)[2:] == [("GAP", "", ""), ("DELETED", "a", "1")]


def test_an_object_that_vanished_after_an_interrupted_first_list_is_deleted() -> None:
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
        assert journalled(store) == [
            ("LISTED", "a", "1"),
            ("LISTED", "b", "2"),
            ("LISTED", "c", "8"),
            ("DELETED", "a", "1"),
        ]
        assert store.cursors(CLUSTER)["v1/pods"].resource_version == "9"
