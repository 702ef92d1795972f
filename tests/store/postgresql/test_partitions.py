"""Partitions of the journal on PostgreSQL: created when needed, dropped when old."""

import threading
import time
from collections.abc import Iterator

import msgspec
import psycopg
import pytest

from kspan.model import Delta, LogRecord, RecordType
from kspan.store import Store, open_store
from kspan.store.postgresql import drop_partitions as dropping
from kspan.store.postgresql.partitions import DAY
from kspan.store.tables.retention import prune
from tests.postgres import PostgresServer
from tests.store.rowsource import CLUSTER, object_row, record

OTHER = "8d1f7a52-0000-4000-8000-000000000002"
FIRST = 20_000
"""First day of the tests (days since 1970): 2024-10-04."""


class Days:
    """A store and direct access to its database."""

    def __init__(self, store: Store, server: PostgresServer, database: str) -> None:
        self.store = store
        self._server = server
        self._database = database

    def ask(self, statement: str) -> list[tuple[object, ...]]:
        return self._server.execute(statement, self._database)

    def counts(self) -> dict[str, int]:
        """Number of records by partition, without empty ones."""
        query = "SELECT tableoid::regclass::text, count(*) FROM journal GROUP BY 1"
        return {str(name): int(str(count)) for name, count in self.ask(query)}

    def partitions(self) -> set[str]:
        query = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'journal'::regclass"
        return {str(name) for (name,) in self.ask(query)}

    def connect(self) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(host=str(self._server._folder), port=self._server.port, user="kspan",
                               dbname=self._database)  # fmt: skip


@pytest.fixture
def days(postgres: PostgresServer) -> Iterator[Days]:
    database = postgres.create("kspan_template")
    with open_store(postgres.url(database)) as store:
        yield Days(store, postgres, database)
    postgres.drop(database)


def on_day(day: int, number: int, kind: RecordType = RecordType.MODIFIED) -> LogRecord:
    return msgspec.structs.replace(record(number, kind), recorded_at=(FIRST + day) * DAY + number)


def commit(store: Store, *records: LogRecord, delta: Delta | None = None, cluster: str = CLUSTER) -> None:
    store.commit(cluster, store.last_sequence(cluster) + 1, records, [], delta or Delta())


def test_the_first_record_of_a_day_creates_the_partitions_of_that_day_and_the_next(days: Days) -> None:
    commit(days.store, on_day(0, 1), on_day(0, 2), on_day(2, 3))
    assert days.counts() == {"journal_20241004": 2, "journal_20241006": 1}
    assert days.partitions() == {"journal_default", "journal_20241004", "journal_20241006", "journal_20241007"}
    assert [seq for run in days.store.replay(CLUSTER) for seq, _ in run] == [1, 2, 3]


def test_a_commit_does_not_wait_for_a_partition_that_cannot_be_created(days: Days) -> None:
    with days.connect() as reader:
        reader.execute("SELECT count(*) FROM journal")
        commit(days.store, on_day(0, 1))
    assert days.counts() == {"journal_default": 1}
    # The day is in the default partition now, and stays there.
    commit(days.store, on_day(0, 2), on_day(5, 3))
    assert days.counts() == {"journal_default": 2, "journal_20241009": 1}


def test_a_record_with_an_impossible_time_is_in_the_default_partition(days: Days) -> None:
    odd = [msgspec.structs.replace(record(n), recorded_at=at) for n, at in enumerate((-5, 0, 2**63 - 1), 1)]
    commit(days.store, *odd)
    assert sum(days.counts().values()) == 3
    assert days.counts()["journal_default"] == 2


def test_two_stores_can_create_the_same_partition(days: Days, postgres: PostgresServer) -> None:
    with open_store(postgres.url(days._database)) as other:
        commit(days.store, on_day(0, 1))
        commit(other, on_day(0, 1), cluster=OTHER)
    assert days.counts() == {"journal_20241004": 2}


def test_old_partitions_are_dropped_and_needed_records_kept(days: Days) -> None:
    living = Delta(objects=[object_row(1), object_row(2, deleted_at=9)])
    commit(days.store, on_day(0, 1, RecordType.ADDED), on_day(0, 2), on_day(0, 3), delta=living)
    commit(days.store, on_day(1, 4), on_day(9, 5))
    assert prune(days.store, CLUSTER, (FIRST + 2) * DAY).records == 3
    assert not {"journal_20241004", "journal_20241005"} & days.partitions()
    assert days.counts() == {"journal_default": 1, "journal_20241013": 1}
    left = [(seq, entry) for run in days.store.replay(CLUSTER) for seq, entry in run]
    assert [(seq, entry.type) for seq, entry in left] == [(1, RecordType.LISTED), (5, RecordType.MODIFIED)]
    assert left[0][1].payload == record(1).payload


def test_the_last_record_is_kept_when_its_partition_is_dropped(days: Days) -> None:
    commit(days.store, on_day(0, 1), on_day(0, 2))
    prune(days.store, CLUSTER, (FIRST + 9) * DAY)
    assert days.store.last_sequence(CLUSTER) == 2
    assert days.partitions() == {"journal_default"}


def test_a_partition_with_records_of_another_cluster_is_emptied_but_not_dropped(days: Days) -> None:
    commit(days.store, on_day(0, 1), on_day(0, 2), on_day(9, 3))
    commit(days.store, on_day(0, 1), on_day(9, 2), cluster=OTHER)
    assert prune(days.store, CLUSTER, (FIRST + 2) * DAY).records == 2
    assert days.counts() == {"journal_20241004": 1, "journal_20241013": 2}
    assert prune(days.store, OTHER, (FIRST + 2) * DAY).records == 1
    assert "journal_20241004" not in days.partitions()


def test_a_partition_with_many_needed_records_is_not_dropped(days: Days, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dropping, "KEPT", 1)
    commit(days.store, *(on_day(0, n) for n in (1, 2, 3)), delta=Delta(objects=[object_row(1), object_row(2)]))
    commit(days.store, on_day(9, 4))
    assert prune(days.store, CLUSTER, (FIRST + 2) * DAY).records == 1
    assert days.counts() == {"journal_20241004": 2, "journal_20241013": 1}


def test_a_detached_partition_is_deleted_by_the_next_run(days: Days) -> None:
    tables = "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname LIKE '%journal_2024%'"
    commit(days.store, on_day(0, 1), on_day(9, 2))
    with days.connect() as reader:
        days.ask("CREATE TABLE gone_journal_20240101 (LIKE journal)")
        reader.execute("SELECT count(*) FROM gone_journal_20240101")
        assert prune(days.store, CLUSTER, (FIRST + 2) * DAY).records == 1
        assert {name for (name,) in days.ask(tables)} == {
            "gone_journal_20240101",
            "journal_20241013",
            "journal_20241014",
        }
    assert prune(days.store, CLUSTER, (FIRST + 2) * DAY).records == 0
    assert not any(str(name).startswith("gone") for (name,) in days.ask(tables))
    assert days.counts() == {"journal_20241013": 1}


def test_a_late_record_after_midnight_keeps_the_partition_until_all_earlier_records_are_old(days: Days) -> None:
    commit(days.store, on_day(1, 1), on_day(0, 2), on_day(9, 3))
    assert prune(days.store, CLUSTER, (FIRST + 1) * DAY).records == 0
    assert [seq for run in days.store.replay(CLUSTER) for seq, _ in run] == [1, 2, 3]


def test_pruning_delays_no_commit_while_the_journal_is_read(days: Days) -> None:
    commit(days.store, *(on_day(0, n) for n in range(1, 1_001)))
    commit(days.store, on_day(9, 2_000))
    longest = 0.0
    with days.connect() as reader:
        reader.execute("SELECT count(*) FROM journal")
        pruning = threading.Thread(target=prune, args=(days.store, CLUSTER, (FIRST + 2) * DAY))
        pruning.start()
        while pruning.is_alive():
            began = time.monotonic()
            commit(days.store, on_day(9, 3_000))
            longest = max(longest, time.monotonic() - began)
        pruning.join()
    assert longest < 8  # A blocked commit would wait for the lock_timeout of 10 s.
    assert "journal_20241004" in days.partitions()
    prune(days.store, CLUSTER, (FIRST + 2) * DAY)
    assert "journal_20241004" not in days.partitions()
