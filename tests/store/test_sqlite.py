"""SQLite files: settings, locks, error messages, and a process that is killed."""

import os
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from kspan.errors import StoreError
from kspan.model import Delta, TraceState
from kspan.store import Store, open_store
from kspan.store.engine import PAGE_SIZE
from kspan.store.schema import tables as schema
from kspan.store.tables.retention import prune
from tests.permissions import unprivileged
from tests.store.engine import engine_of
from tests.store.rowsource import CLUSTER, cursor, full_delta, object_row, record, trace_row

ROOT = Path(__file__).parents[2]


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "kspan.sqlite"


@contextmanager
def sqlite(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path)) as connection:
        yield connection
        connection.commit()


def pragma(store: Store, name: str) -> object:
    # Most pragmas belong to a connection, so ask the store's own.
    with store.reading("look") as connection:
        return connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()


def test_every_connection_has_the_pragmas(database: Path) -> None:
    with open_store(str(database)) as store:
        assert pragma(store, "journal_mode") == "wal"
        assert pragma(store, "synchronous") == 2
        assert pragma(store, "foreign_keys") == 1
        assert pragma(store, "page_size") == PAGE_SIZE
    with sqlite(database) as connection:
        assert connection.execute("PRAGMA page_size").fetchone() == (16384,)


def test_an_empty_file_becomes_a_database(database: Path) -> None:
    database.touch()
    with open_store(f"sqlite:///{database}") as store:
        assert pragma(store, "page_size") == PAGE_SIZE


@pytest.mark.parametrize("name", ["a file?mode=memory#x", "ü & 100%", "with space"])
def test_a_path_may_contain_any_character(tmp_path: Path, name: str) -> None:
    with open_store(str(tmp_path / name)) as store:
        store.commit(CLUSTER, 1, [record(1)], [], Delta())
    assert (tmp_path / name).read_bytes().startswith(b"SQLite format 3")


def test_committed_rows_are_there_after_reopening(database: Path) -> None:
    with open_store(str(database)) as store:
        store.commit(CLUSTER, 1, [record(1)], [cursor(1)], full_delta(1))
        expected = store.load_projection(CLUSTER)
    with open_store(str(database)) as store:
        assert store.load_projection(CLUSTER) == expected
        assert store.last_sequence(CLUSTER) == 1


def test_payloads_are_compressed(database: Path) -> None:
    with open_store(str(database)) as store:
        store.commit(CLUSTER, 1, [record(1)], [], Delta())
    with sqlite(database) as connection:
        (payload,) = connection.execute("SELECT payload FROM journal").fetchone()
    assert payload.startswith(b"\x28\xb5\x2f\xfd")


def test_attributes_events_and_links_can_be_queried_as_json(database: Path) -> None:
    with open_store(str(database)) as store:
        store.commit(CLUSTER, 1, [record(1)], [], full_delta(1))
    query = "SELECT attributes ->> '$.\"k8s.event.count\"', events ->> '$[0].name', links ->> '$[0].span_id' FROM spans"
    with sqlite(database) as connection:
        assert connection.execute(query).fetchone() == (3, "Scheduled", "e" * 16)


# Locks


def test_a_second_writer_is_refused_with_the_name_of_the_file(database: Path) -> None:
    with (
        open_store(str(database)),
        pytest.raises(StoreError, match=rf"{database}: another kspan .*pid {os.getpid()}"),
    ):
        open_store(str(database))
    open_store(str(database)).close()


def test_readers_can_open_the_database_while_it_is_written_to(database: Path) -> None:
    with open_store(str(database)) as writer, open_store(str(database), read_only=True) as reader:
        writer.commit(CLUSTER, 1, [record(1)], [], Delta())
        assert reader.last_sequence(CLUSTER) == 1


def test_a_reader_cannot_write(database: Path) -> None:
    with open_store(str(database)) as store:
        store.commit(CLUSTER, 1, [record(1)], [], full_delta(1))
    with open_store(str(database), read_only=True) as reader:
        with pytest.raises(StoreError, match="readonly"):
            reader.commit(CLUSTER, 2, [record(2)], [], Delta())
        with pytest.raises(StoreError, match="readonly"):
            reader.clear_projection(CLUSTER)
        assert reader.last_sequence(CLUSTER) == 1


def test_a_refused_database_is_not_left_locked(database: Path) -> None:
    with sqlite(database) as connection:
        connection.execute("CREATE TABLE invoices (id)")
    for _ in range(2):
        with pytest.raises(StoreError, match="another program"):
            open_store(str(database))


# Refusals


def test_a_database_of_another_program_is_refused_and_left_as_it_was(database: Path) -> None:
    with sqlite(database) as connection:
        connection.execute("CREATE TABLE invoices (id)")
    before = database.read_bytes()
    with pytest.raises(StoreError, match=r"database of another program \(tables: invoices\)"):
        open_store(str(database))
    assert database.read_bytes() == before


def test_a_database_of_another_program_that_uses_alembic_is_refused(database: Path) -> None:
    with sqlite(database) as connection:
        connection.execute("CREATE TABLE alembic_version (version_num)")
        connection.execute("INSERT INTO alembic_version VALUES ('1975ea83b712')")
    with pytest.raises(StoreError, match="another program"):
        open_store(str(database))


@pytest.mark.parametrize("read_only", [False, True])
def test_a_database_from_a_newer_kspan_is_refused(database: Path, read_only: bool) -> None:
    open_store(str(database)).close()
    with sqlite(database) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'kspan9999'")
    with pytest.raises(StoreError, match=rf"newer kspan .*kspan9999.*{schema.REVISION}.*update kspan"):
        open_store(str(database), read_only=read_only)


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize("revision", ["kspan0001", "kspan0002"])
def test_a_database_from_before_the_first_release_is_refused_with_what_to_do(
    database: Path, revision: str, read_only: bool
) -> None:
    open_store(str(database)).close()
    with sqlite(database) as connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", (revision,))
    with pytest.raises(StoreError) as caught:
        open_store(str(database), read_only=read_only)
    assert str(caught.value) == (
        f"{database}: was written by a kspan before 0.2.0 and cannot be upgraded: move it away (mv) or use another "
        "--db, and record or replay again; only the old kspan can read it"
    )


def test_a_damaged_database_is_reported_as_damaged(database: Path) -> None:
    open_store(str(database)).close()
    content = bytearray(database.read_bytes())
    found = content.index(b"CREATE TABLE journal")
    content[found : found + 12] = b"\xff" * 12
    database.write_bytes(content)
    with pytest.raises(StoreError, match=r"cannot open the database: .*(damaged|malformed)"):
        open_store(str(database))


@pytest.mark.parametrize("content", [b"{}", b"SQLite format 3\0" + b"\xff" * 200, b"\x1f\x8b\x08" + b"\0" * 50])
def test_a_file_that_is_not_a_database_is_refused_and_left_as_it_was(database: Path, content: bytes) -> None:
    database.write_bytes(content)
    for read_only in (False, True):
        with pytest.raises(StoreError, match=r"not an SQLite database|cannot open the database"):
            open_store(str(database), read_only=read_only)
    assert database.read_bytes() == content


def test_a_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is a directory"):
        open_store(str(tmp_path))


def test_a_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(StoreError, match="not a regular file"):
        open_store(str(tmp_path / "pipe"))


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"directory .*nowhere does not exist"):
        open_store(str(tmp_path / "nowhere" / "kspan.sqlite"))


def test_an_unreadable_file_is_refused() -> None:
    # Not tmp_path, which only its owner can enter.
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o711)
        database = Path(folder) / "kspan.sqlite"
        database.touch(mode=0)
        with unprivileged(), pytest.raises(StoreError, match="permission denied"):
            open_store(str(database))


def test_a_database_in_a_read_only_folder_can_be_read_while_it_is_written_to() -> None:
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "kspan.sqlite"
        with open_store(str(database)) as writer:
            writer.commit(CLUSTER, 1, [record(1)], [], Delta())
            Path(folder).chmod(0o555)
            with unprivileged():
                with open_store(str(database), read_only=True) as reader:
                    assert reader.last_sequence(CLUSTER) == 1
                with pytest.raises(StoreError, match="cannot be locked for writing"):
                    open_store(str(database))
            Path(folder).chmod(0o755)


def test_reading_a_missing_database_creates_no_file(database: Path) -> None:
    with pytest.raises(StoreError, match="no such database"):
        open_store(str(database), read_only=True)
    assert list(database.parent.iterdir()) == []


def test_reading_an_empty_file_is_refused(database: Path) -> None:
    database.touch()
    with pytest.raises(StoreError, match="no kspan tables yet"):
        open_store(str(database), read_only=True)


@pytest.mark.parametrize(
    "url, problem",
    [
        ("mysql://localhost/kspan", "mysql databases are not supported"),
        ("://", "invalid database URL"),
        ("sqlite:///kspan.sqlite?mode=ro", "no options"),
        ("sqlite://host/kspan.sqlite", "no options"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused(url: str, problem: str) -> None:
    with pytest.raises(StoreError, match=problem):
        open_store(url)


def test_a_database_in_memory_cannot_be_opened_for_reading_only() -> None:
    with pytest.raises(StoreError, match="memory"):
        open_store("sqlite://", read_only=True)


# Failures


def test_a_full_disk_raises_store_error_and_the_store_stays_usable(database: Path) -> None:
    with open_store(str(database)) as store:
        store.commit(CLUSTER, 1, [record(1)], [], full_delta(1))
        with store.reading("look") as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 2}")
        with pytest.raises(StoreError, match=r"cannot commit: database or disk is full"):
            store.commit(CLUSTER, 2, [record(n) for n in range(2, 3000)], [cursor(2)], Delta())
        assert store.last_sequence(CLUSTER) == 1
        assert store.cursors(CLUSTER) == {}
        store.commit(CLUSTER, 2, [record(2)], [cursor(2)], Delta())


def test_a_rejected_statement_rolls_back_the_whole_commit(database: Path) -> None:
    open_store(str(database)).close()
    with sqlite(database) as connection:
        connection.execute(
            "CREATE TRIGGER no_more BEFORE INSERT ON traces BEGIN SELECT RAISE(ROLLBACK, 'no more traces'); END"
        )
    with open_store(str(database)) as store:
        # RAISE(ROLLBACK) ends the transaction itself: our own rollback must not hide its error.
        with pytest.raises(StoreError, match="cannot commit: no more traces") as caught:
            store.commit(CLUSTER, 1, [record(1)], [cursor(1)], full_delta(1))
        assert caught.value.__cause__ is not None
        assert store.last_sequence(CLUSTER) == 0
        assert list(store.projection_rows(CLUSTER, "objects")) == []


COMMIT_WITHOUT_END = """
import sys
from kspan.model import Delta, TraceState
from kspan.store import open_store
from tests.store.rowsource import CLUSTER, cursor, full_delta, record

store = open_store(sys.argv[1])
seq = store.last_sequence(CLUSTER)
while True:
    records = [record(seq + n) for n in range(1, 21)]
    delta = Delta()
    for n in range(1, 21):
        one = full_delta(seq + n)
        delta.objects += one.objects
        delta.spans += one.spans
        delta.traces += one.traces
        delta.clock = one.clock
    store.commit(CLUSTER, seq + 1, records, [cursor(seq + 20)], delta)
    seq += 20
    print(seq, flush=True)
"""


def test_a_process_killed_during_a_commit_leaves_whole_commits_only(database: Path) -> None:
    for commits_before_the_kill in (1, 2, 3, 5, 8):
        reported = kill_after(database, commits_before_the_kill)
        with open_store(str(database), read_only=True) as store:
            check_whole(store, reported)
        with open_store(str(database)) as store:
            check_whole(store, reported)


def kill_after(database: Path, commits: int) -> int:
    """Kill a process after it reported ``commits`` commits. Returns the last one it reported."""
    command = [sys.executable, "-c", COMMIT_WITHOUT_END, str(database)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        reported = [process.stdout.readline() for _ in range(commits)]
        process.send_signal(signal.SIGKILL)
        reported += process.stdout.readlines()
    assert process.returncode == -signal.SIGKILL
    return int(reported[-1])


def check_whole(store: Store, reported: int) -> None:
    last = store.last_sequence(CLUSTER)
    loaded = store.load_projection(CLUSTER)
    assert last >= reported
    assert last % 20 == 0
    assert [seq for run in store.replay(CLUSTER) for seq, _ in run] == list(range(1, last + 1))
    assert store.cursors(CLUSTER) == {"v1/pods": cursor(last)}
    assert (loaded.clock, loaded.last_seq) == (b"clock-%d" % last, last)
    assert {span.span_id for span in loaded.spans} == {f"{n:016x}" for n in range(1, last + 1)}
    assert len(loaded.objects) == last


def test_a_reader_sees_a_commit_completely_or_not_at_all(database: Path) -> None:
    with open_store(str(database)) as writer, open_store(str(database), read_only=True) as reader:
        for seq in range(1, 6):
            closed = trace_row(seq, TraceState.CLOSED, closed_at=seq)
            writer.commit(CLUSTER, seq, [record(seq)], [cursor(seq)], Delta(traces=[closed], clock=b"%d" % seq))
            loaded = reader.load_projection(CLUSTER)
            assert (loaded.last_seq, loaded.clock) == (seq, b"%d" % seq)


def test_the_search_for_unsent_traces_starts_at_the_first_one(database: Path) -> None:
    traces = [trace_row(n, TraceState.CLOSED, closed_at=n) for n in range(1, 1001)]
    with open_store(str(database)) as store:
        store.commit(CLUSTER, 1, [record(1)], [], Delta(traces=traces))
        store.mark_emitted(CLUSTER, "otlp", [trace.trace_id for trace in traces[:990]], 60)
        assert [trace.closed_at for trace in store.unemitted_traces(CLUSTER, "otlp", 3)] == [991, 992, 993]
        with store.reading("look") as connection:
            assert connection.exec_driver_sql("SELECT done_before FROM export_state").scalar_one() == 991


def listen(store: Store) -> list[tuple[str, Any]]:
    """The statements and parameters that the store executes from now on."""
    statements: list[tuple[str, Any]] = []
    event.listen(
        engine_of(store),
        "before_cursor_execute",
        lambda _connection, _cursor, statement, parameters, *_: statements.append((statement, parameters)),
    )
    return statements


# A query that reads all rows of a cluster, in key order or by an index on the cluster alone.
WALK = re.compile(r"SEARCH (objects|owners|spans|traces|emissions) USING .*(autoindex\w*|PRIMARY KEY) \(cluster=\?\)")


def test_no_query_reads_the_whole_history(database: Path) -> None:
    with open_store(str(database)) as store:
        statements = listen(store)
        store.load_projection(CLUSTER)
        store.clusters()
        store.last_sequence(CLUSTER)
        store.known_versions(CLUSTER, [record(1)])
        store.last_payload(CLUSTER, "uid-1")
        store.live_objects(CLUSTER, "v1/pods")
        store.named_kinds(CLUSTER)
        store.unemitted_traces(CLUSTER, "otlp", 10)
        store.spans_of(CLUSTER, ["1" * 32])
        list(store.replay(CLUSTER))
    queries = [(statement, parameters) for statement, parameters in statements if "SELECT" in statement]
    assert len(queries) == 17
    with sqlite(database) as connection:
        for statement, parameters in queries:
            plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)]
            scanned = [
                step for step in plan if step.startswith("SCAN") and step not in ("SCAN wanted", "SCAN fold_state")
            ]
            assert not any("CONSTANT ROW" not in step for step in scanned), (statement, plan)
            if "uid-1" in map(str, parameters):
                assert any("INDEX journal_object" in step or "INDEX sqlite_autoindex_objects" in step for step in plan)
                assert not any(step.endswith("PRIMARY KEY (cluster=?)") for step in plan), (statement, plan)
            assert not any("AUTOMATIC" in step or WALK.match(step) for step in plan), (statement, plan)


def test_pruning_reads_old_rows_only(database: Path) -> None:
    gone = object_row(2, state=b"", deleted_at=2)
    closed = trace_row(1, TraceState.CLOSED, closed_at=1)
    with open_store(str(database)) as store:
        store.commit(CLUSTER, 1, [record(1), record(2)], [], Delta(objects=[gone], traces=[closed]))
        store.mark_emitted(CLUSTER, "otlp", [closed.trace_id], 1)
        statements = listen(store)
        pruned = prune(store, CLUSTER, record(3).recorded_at, ["otlp"])
    assert (pruned.records, pruned.traces, pruned.objects) == (1, 1, 1)
    planned = [each for each in statements if each[0].startswith(("SELECT", "DELETE", "UPDATE"))]
    assert len(planned) > 15
    with sqlite(database) as connection:
        for statement, parameters in planned:
            plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)]
            assert not any(step.startswith("SCAN") or WALK.match(step) for step in plan), (statement, plan)
