"""A change of the journal is noticed, on either database; retention and appending are not changes."""

import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from kspan.model import Delta, LogRecord, RecordType
from kspan.store import Store, open_store
from kspan.store.check import check_journal
from kspan.store.postgresql.partitions import DAY
from kspan.store.tables import recorded_days
from kspan.store.tables.finding import Finding
from kspan.store.tables.recorded_days import checksum
from kspan.store.tables.retention import prune
from tests.store.rowsource import CLUSTER, object_row, record

FIRST = 20_000
"""First day of the tests (days since 1970): 2024-10-04."""


def on_day(day: int, number: int) -> LogRecord:
    return msgspec.structs.replace(record(number), recorded_at=(FIRST + day) * DAY + number)


def commit(store: Store, *records: LogRecord, delta: Delta | None = None) -> None:
    store.commit(CLUSTER, store.last_sequence(CLUSTER) + 1, records, [], delta or Delta())


def damage(store: Store, *statements: str) -> list[Finding]:
    with store.writing("damage the journal", CLUSTER) as connection:
        for statement in statements:
            assert connection.exec_driver_sql(statement).rowcount > 0
    return list(check_journal(store, CLUSTER))


def changed(day: str, first: int, *columns: str) -> Finding:
    return Finding("journal", f"of {day} from record {first}", "was changed", columns)


@pytest.fixture
def sound(store: Store) -> Store:
    """A store with six records of two days, in three commits, with late ones and ones without an object."""
    commit(store, on_day(0, 1), on_day(0, 2))
    commit(store, on_day(1, 3), on_day(0, 4))
    gap = LogRecord(RecordType.GAP, (FIRST + 1) * DAY, resource="v1/pods", reason="410 Gone", gap_from="1", gap_to="9")
    commit(store, gap, msgspec.structs.replace(on_day(1, 6), name="web\0\x1a", payload='{"a":"\\u0000é"}'.encode()))
    return store


def test_a_journal_as_it_was_written_is_not_reported(sound: Store) -> None:
    assert list(check_journal(sound, CLUSTER)) == []


def test_an_empty_journal_is_not_reported(store: Store) -> None:
    assert list(check_journal(store, CLUSTER)) == []


def test_a_deleted_record_is_reported(sound: Store) -> None:
    assert damage(sound, "DELETE FROM journal WHERE seq = 2") == [
        Finding("journal", "2", "missing"),
        changed("2024-10-04", 1, "records", "checksum"),
    ]


def test_the_deleted_end_of_the_journal_is_reported(sound: Store) -> None:
    assert damage(sound, "DELETE FROM journal WHERE seq > 4") == [
        Finding("journal", "5 to 6", "missing"),
        changed("2024-10-05", 3, "records", "checksum"),
    ]


def test_the_deleted_beginning_of_the_journal_is_reported(sound: Store) -> None:
    assert damage(sound, "DELETE FROM journal WHERE seq < 3")[0] == Finding("journal", "1 to 2", "missing")


def test_a_record_that_was_inserted_at_the_end_is_reported(sound: Store) -> None:
    columns = "cluster, recorded_at, type, resource, uid, resource_version, api_version, kind, namespace, name, payload"
    rest = "reason, gap_from, gap_to, epoch"
    copy = f"INSERT INTO journal (seq, {columns}, {rest}) SELECT 7, {columns}, {rest} FROM journal WHERE seq = 1"  # noqa: S608
    assert damage(sound, copy) == [changed("2024-10-04", 1, "records", "checksum")]


@pytest.mark.parametrize(
    "column, value",
    [("name", "'other'"), ("payload", "NULL"), ("resource_version", "'99'"), ("type", "'DELETED'"), ("epoch", "7")],
)
def test_a_changed_record_is_reported(sound: Store, column: str, value: str) -> None:
    found = damage(sound, f"UPDATE journal SET {column} = {value} WHERE seq = 3")  # noqa: S608
    assert found == [changed("2024-10-05", 3, "checksum")]


def test_records_that_changed_places_are_reported(sound: Store) -> None:
    steps = [f"UPDATE journal SET seq = {new} WHERE seq = {old}" for old, new in ((1, 99), (2, 1), (99, 2))]  # noqa: S608
    assert damage(sound, *steps) == [changed("2024-10-04", 1, "checksum")]


def test_a_changed_checksum_is_reported(sound: Store) -> None:
    assert damage(sound, f"UPDATE recorded_days SET checksum = 1 WHERE day = {FIRST}") == [  # noqa: S608
        changed("2024-10-04", 1, "checksum")
    ]


def test_a_deleted_checksum_is_reported(sound: Store) -> None:
    assert damage(sound, f"DELETE FROM recorded_days WHERE day = {FIRST + 1}") == [  # noqa: S608
        changed("2024-10-05", 1, "records", "checksum")
    ]


def test_a_checksum_is_the_same_on_both_databases_and_in_every_version() -> None:
    gap = LogRecord(RecordType.GAP, 5, resource="v1/pods", reason="410 Gone", gap_from="1", gap_to="9")
    assert checksum(1, record(1)) == 457902318926139023
    assert checksum(2, gap) == 1764470546082126683


def test_a_long_journal_is_read_in_runs(sound: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorded_days, "_RUN", 2)
    assert list(check_journal(sound, CLUSTER)) == []
    assert damage(sound, "DELETE FROM journal WHERE seq = 3")[0] == Finding("journal", "3", "missing")


def test_records_that_are_appended_while_the_journal_is_checked_are_not_reported(
    sound: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorded_days, "_RUN", 2)
    with sound.reading("read the checksums") as connection:
        check = recorded_days.JournalCheck(connection, CLUSTER)
    commit(sound, on_day(1, 7), on_day(5, 8))
    done, found = False, []
    while not done:
        with sound.reading("read the journal") as connection:
            some, done = check.step(connection)
        found += some
    assert found == []


def test_a_rebuild_does_not_change_the_checksums(sound: Store) -> None:
    sound.clear_projection(CLUSTER)
    assert list(check_journal(sound, CLUSTER)) == []
    assert damage(sound, "DELETE FROM journal WHERE seq = 2") != []


def test_retention_is_not_a_change_and_later_changes_are_reported(sound: Store) -> None:
    # Record 2 is the state of an object that exists, so it is kept; later it is deleted too.
    commit(sound, on_day(2, 7), delta=Delta(objects=[object_row(2)]))
    assert prune(sound, CLUSTER, (FIRST + 1) * DAY + 1).records > 0
    assert next(seq for run in sound.replay(CLUSTER) for seq, _ in run) == 2
    assert list(check_journal(sound, CLUSTER)) == []
    # Record 4 follows a younger one, and the journal is pruned in its order.
    assert rows(sound)[0] == (FIRST, 1, 2)
    commit(sound, on_day(2, 8), delta=Delta(objects=[object_row(2, state=b"", deleted_at=1)]))
    prune(sound, CLUSTER, (FIRST + 2) * DAY)
    assert list(check_journal(sound, CLUSTER)) == []
    assert [day for day, _, _ in rows(sound)] == [FIRST + 2]
    assert damage(sound, "UPDATE journal SET name = 'other' WHERE seq = 8") == [changed("2024-10-06", 7, "checksum")]


def test_a_kept_record_that_is_deleted_after_retention_is_reported(sound: Store) -> None:
    commit(sound, on_day(2, 7), delta=Delta(objects=[object_row(2)]))
    prune(sound, CLUSTER, (FIRST + 2) * DAY)
    assert damage(sound, "DELETE FROM journal WHERE seq = 2") == [changed("2024-10-04", 1, "records", "checksum")]


def rows(store: Store) -> list[tuple[int, ...]]:
    """(day, first counted record, number of records) of all days."""
    with store.reading("read the days") as connection:
        query = "SELECT day, from_seq, records FROM recorded_days ORDER BY day"
        return [tuple(row) for row in connection.exec_driver_sql(query)]


def test_records_from_before_the_migration_are_not_counted(tmp_path: Path) -> None:
    database = tmp_path / "kspan.sqlite"
    with open_store(str(database)) as store:
        commit(store, on_day(0, 1), on_day(1, 2), on_day(1, 3))
    with closing(sqlite3.connect(database)) as connection:
        # As the migration leaves it.
        connection.execute("DELETE FROM recorded_days")
        connection.commit()
    with open_store(str(database)) as store:
        assert list(check_journal(store, CLUSTER)) == []
        commit(store, on_day(1, 4), delta=Delta(objects=[object_row(2), object_row(4)]))
        commit(store, on_day(2, 5))
        assert rows(store) == [(FIRST + 1, 4, 1), (FIRST + 2, 5, 1)]
        prune(store, CLUSTER, (FIRST + 2) * DAY)
        assert [seq for run in store.replay(CLUSTER) for seq, _ in run] == [2, 4, 5]
        assert list(check_journal(store, CLUSTER)) == []
        assert damage(store, "UPDATE journal SET name = 'other' WHERE seq = 2") == []
        assert damage(store, "UPDATE journal SET name = 'other' WHERE seq = 4") == [
            changed("2024-10-05", 4, "checksum")
        ]


def test_a_record_that_cannot_be_read_is_reported(tmp_path: Path) -> None:
    with open_store(str(tmp_path / "kspan.sqlite")) as store:
        commit(store, on_day(0, 1), on_day(0, 2))
        found = damage(store, "UPDATE journal SET payload = x'00' WHERE seq = 2")
    assert found == [Finding("journal", "a record after 0", "unreadable")]


def test_every_sequence_number_and_field_changes_the_checksum() -> None:
    base = msgspec.structs.replace(record(1), reason="r", gap_from="a", gap_to="b", epoch=1)
    other = {"type": RecordType.GAP, "recorded_at": 1, "payload": b"x", "epoch": 2}
    found = {checksum(1, base), checksum(2, base)}
    for field in LogRecord.__struct_fields__:
        found.add(checksum(1, msgspec.structs.replace(base, **{field: other.get(field, "other")})))
    assert len(found) == 2 + len(LogRecord.__struct_fields__)
