"""The writer while the database is locked, full, away or wrong: nothing is lost, doubled, loaded or folded again."""

import signal
import sqlite3
import threading
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

from kspan.daemon.frame_queue import FrameQueue
from kspan.daemon.metrics import Metrics
from kspan.daemon.retrying_committer import JournalChangedError
from kspan.graph import Fold
from kspan.ingest.frames import FrameType
from kspan.model import LogRecord
from kspan.store import Store, open_store
from tests.daemon.small_cluster import wait_until
from tests.daemon.writing import CLUSTER, deliver_all, frame, frames_of, journal, journalled, make, running, undisturbed
from tests.postgres import TEMPLATE, PostgresServer
from tests.recordings import rows
from tests.store.engine import engine_of

BUSY_TIMEOUT_S = 0.05


@pytest.fixture
def short_busy_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite reports a lock soon, so that a short lock is many failed attempts."""
    monkeypatch.setattr("kspan.store.engine._BUSY_TIMEOUT_S", BUSY_TIMEOUT_S)


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Counts how often a projection is loaded ("load") and a record is folded ("fold")."""
    counts: Counter[str] = Counter()
    load, apply = Store.load_projection, Fold.apply

    def counted_load(store: Store, cluster: str) -> Any:
        counts["load"] += 1
        return load(store, cluster)

    def counted_apply(fold: Fold, sequence: int, record: LogRecord) -> None:
        counts["fold"] += 1
        apply(fold, sequence, record)

    monkeypatch.setattr(Store, "load_projection", counted_load)
    monkeypatch.setattr(Fold, "apply", counted_apply)
    return counts


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another connection holds SQLite's write lock."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.execute("ROLLBACK")
        other.close()


def reject_odd_names(store: Store) -> None:
    """The database rejects records of objects that are named "odd"."""
    with store.writing("prepare", CLUSTER) as connection:
        connection.exec_driver_sql(
            "CREATE TRIGGER odd BEFORE INSERT ON journal WHEN NEW.name = 'odd' "
            "BEGIN SELECT RAISE(ABORT, 'no such thing'); END"
        )


def failed_commits(metrics: Metrics) -> float:
    return metrics.registry.get_sample_value("kspan_failed_commits_total") or 0


def test_a_locked_database_loses_nothing_and_doubles_nothing(tmp_path: Path, short_busy_timeout: None) -> None:
    cluster, frames = frames_of("02-rolling-update")
    expected, expected_rows = undisturbed(cluster, frames)
    with open_store(str(tmp_path / "db")) as store:
        with running(make(store, cluster, queue=FrameQueue(20))) as writer:
            third = len(frames) // 3
            feeder = threading.Thread(target=deliver_all, args=(writer, frames[third + 1 :]))
            deliver_all(writer, frames[:third])
            with locked(tmp_path / "db"):
                writer.deliver(frames[third])
                wait_until(lambda: writer.error)
                feeder.start()  # Not before: on a busy machine the writer would take all of it into one batch.
                wait_until(lambda: writer.queue.blocked)
                assert "locked" in writer.error
                assert len(writer.queue) == 20
            feeder.join()
            wait_until(lambda: not writer.error)
        assert journal(store, cluster) == expected
        assert rows(store, cluster) == expected_rows


def test_nothing_is_loaded_or_folded_again_while_the_database_is_locked(
    tmp_path: Path, short_busy_timeout: None, work: Counter[str]
) -> None:
    cluster, frames = frames_of("02-rolling-update")
    half = len(frames) // 2
    metrics = Metrics()
    with open_store(str(tmp_path / "db")) as store:
        with running(make(store, cluster, metrics=metrics)) as writer:
            deliver_all(writer, frames[:half])
            wait_until(lambda: store.last_sequence(cluster))
            with locked(tmp_path / "db"):
                deliver_all(writer, frames[half:])
                wait_until(lambda: failed_commits(metrics) >= 2)
                before = dict(work)
                tracemalloc.start()
                kept = tracemalloc.get_traced_memory()[0]
                wait_until(lambda: failed_commits(metrics) >= 6)
                grown = tracemalloc.get_traced_memory()[0] - kept
                tracemalloc.stop()
                assert dict(work) == before
            wait_until(lambda: not writer.error)
        assert work == {"load": 1, "fold": len(journal(store, cluster))}
    assert grown < 100_000, f"{grown:,} bytes after four more attempts"


def test_a_failed_commit_is_written_again_unchanged(
    tmp_path: Path, short_busy_timeout: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts: list[tuple[Any, ...]] = []
    commit = Store.commit

    def recorded(store: Store, *arguments: Any) -> None:
        attempts.append(arguments[:-1])  # The last one is called when the commit is durable.
        commit(store, *arguments)

    monkeypatch.setattr(Store, "commit", recorded)
    with open_store(str(tmp_path / "db")) as store:
        with running(make(store)) as writer, locked(tmp_path / "db"):
            writer.deliver(frame(FrameType.ADDED, name="a", version=7))
            wait_until(lambda: len(attempts) > 3)
        assert journalled(store) == [("ADDED", "a", "7")]
    for attempt in attempts:
        assert all(value is first for value, first in zip(attempt, attempts[0], strict=True))


def test_a_commit_whose_answer_was_lost_is_not_made_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, work: Counter[str]
) -> None:
    cluster, frames = frames_of("02-rolling-update")
    expected, expected_rows = undisturbed(cluster, frames)
    work.clear()
    metrics = Metrics()
    with open_store(str(tmp_path / "db")) as store:
        commit, commits = SQLiteDialect_pysqlite.do_commit, list[int]()

        def lose_some_answers(dialect: SQLiteDialect_pysqlite, connection: Any) -> None:
            commit(dialect, connection)  # type: ignore[no-untyped-call]
            if threading.current_thread().name == "commit":
                commits.append(len(commits))
                if commits[-1] in (0, 2, 3, 5):
                    raise sqlite3.OperationalError("the connection broke")

        monkeypatch.setattr(SQLiteDialect_pysqlite, "do_commit", lose_some_answers)
        with running(make(store, cluster, metrics=metrics)) as writer:
            for number, one in enumerate(frames):
                writer.deliver(one)
                if number % 20 == 0:
                    wait_until(lambda: not len(writer.queue))
        assert len(commits) > 6
        assert journal(store, cluster) == expected
        assert rows(store, cluster) == expected_rows
    assert work == {"load": 1, "fold": len(expected)}
    appended = [
        sample.value
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name == "kspan_records_total"
    ]
    assert sum(appended) == len(expected), "each record is counted once"


def test_a_commit_that_failed_at_its_end_is_written_again_before_the_next(
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


def test_a_full_disk_is_waited_out(tmp_path: Path) -> None:
    """SQLite's own page limit stands in for the disk: the error is the same SQLITE_FULL."""
    cluster, frames = frames_of("01-deployment-create")
    expected, expected_rows = undisturbed(cluster, frames)
    with open_store(str(tmp_path / "db")) as store:
        full = threading.Event()
        full.set()

        @event.listens_for(engine_of(store), "begin")
        def limit(connection: object) -> None:
            pages = 1 if full.is_set() else 2**30
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")  # type: ignore[attr-defined]

        with running(make(store, cluster)) as writer:
            for one in frames:
                writer.deliver(one)
            wait_until(lambda: "full" in writer.error)
            full.clear()
            wait_until(lambda: not writer.error)
        assert journal(store, cluster) == expected
        assert rows(store, cluster) == expected_rows


def test_a_writer_that_is_stopped_while_the_database_is_locked_gives_up_in_time(
    tmp_path: Path, short_busy_timeout: None
) -> None:
    with open_store(str(tmp_path / "db")) as store:
        writer = make(store)
        writer.start()
        with locked(tmp_path / "db"):
            writer.deliver(frame(FrameType.ADDED, name="a", version=7))
            wait_until(lambda: writer.error)
            assert not writer.stop(1)
            wait_until(lambda: not writer.is_alive())
        assert writer.failure is None
        assert store.cursors(CLUSTER) == {}


def test_a_record_that_the_database_rejects_is_left_out_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_store(str(tmp_path / "db")) as store:
        reject_odd_names(store)
        metrics = Metrics()
        with running(make(store, metrics=metrics)) as writer:
            for number, name in enumerate(("a", "odd", "b"), 1):
                writer.deliver(frame(FrameType.ADDED, name=name, version=number))
        assert journalled(store) == [("ADDED", "a", "1"), ("ADDED", "b", "3")]
        assert store.cursors(CLUSTER)["v1/pods"].resource_version == "3"
        assert metrics.registry.get_sample_value("kspan_skipped_objects_total", {"resource": "v1/pods"}) == 1


def test_a_record_that_is_rejected_after_an_outage_is_left_out_alone(tmp_path: Path, short_busy_timeout: None) -> None:
    with open_store(str(tmp_path / "db")) as store:
        reject_odd_names(store)
        with running(make(store)) as writer:
            with locked(tmp_path / "db"):
                for number, name in enumerate(("a", "odd", "b"), 1):
                    writer.deliver(frame(FrameType.ADDED, name=name, version=number))
                wait_until(lambda: writer.error)
                writer.deliver(frame(FrameType.ADDED, name="c", version=4))
            wait_until(lambda: not writer.error)
        assert [name for _, name, _ in journalled(store)] == ["a", "b", "c"]


def test_a_commit_that_is_rejected_after_the_next_was_folded_takes_nothing_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster, frames = frames_of("02-rolling-update")
    expected, expected_rows = undisturbed(cluster, frames)
    with open_store(str(tmp_path / "db")) as store:
        commit, commits = SQLiteDialect_pysqlite.do_commit, list[int]()

        def reject_one(dialect: SQLiteDialect_pysqlite, connection: Any) -> None:
            if threading.current_thread().name == "commit":
                commits.append(len(commits))
                if commits[-1] == 3:
                    raise sqlite3.IntegrityError("a deferred constraint")
            commit(dialect, connection)  # type: ignore[no-untyped-call]

        monkeypatch.setattr(SQLiteDialect_pysqlite, "do_commit", reject_one)
        with running(make(store, cluster)) as writer:
            for number, one in enumerate(frames):
                writer.deliver(one)
                if number % 20 == 0:
                    wait_until(lambda: not len(writer.queue))
        assert len(commits) > 4
        assert journal(store, cluster) == expected
        assert rows(store, cluster) == expected_rows


def test_a_journal_that_lost_records_ends_the_writer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after a failover to an older copy: a restart continues from the cursors in it."""
    with open_store(str(tmp_path / "db")) as store:
        writer = make(store)
        writer.start()
        writer.deliver(frame(FrameType.ADDED, name="a", version=7))
        wait_until(lambda: store.last_sequence(CLUSTER) == 1)
        with store.writing("lose it", CLUSTER) as connection:
            connection.exec_driver_sql("DELETE FROM journal")
        writer.deliver(frame(FrameType.ADDED, name="b", version=8))
        wait_until(lambda: not writer.is_alive())
        assert isinstance(writer.failure, JournalChangedError)
        assert "the journal ends at record 0, but record 2 is next" in str(writer.failure)


def test_a_restart_of_postgresql_loads_and_folds_nothing_again(postgres: PostgresServer, work: Counter[str]) -> None:
    cluster, frames = frames_of("02-rolling-update")
    expected, expected_rows = undisturbed(cluster, frames)
    work.clear()
    name = postgres.create(TEMPLATE)
    thirds = len(frames) // 3, 2 * len(frames) // 3
    with open_store(postgres.url(name)) as store:
        with running(make(store, cluster)) as writer:
            deliver_all(writer, frames[: thirds[0]])
            for part in (frames[thirds[0] : thirds[1]], frames[thirds[1] :]):
                postgres.stop(signal.SIGQUIT)
                deliver_all(writer, part)
                wait_until(lambda: writer.error)
                postgres.start()
                wait_until(lambda: not writer.error)
        assert work == {"load": 1, "fold": len(expected)}
        assert journal(store, cluster) == expected
        assert rows(store, cluster) == expected_rows
    postgres.drop(name)
