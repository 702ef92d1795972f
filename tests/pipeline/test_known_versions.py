"""Which records are in the journal already, and when the database must be asked."""

from collections.abc import Iterator, Sequence

import pytest

from kspan.graph import built_in_rules
from kspan.ingest.journal_builder import JournalBatch
from kspan.model import Delta, LogRecord, RecordType
from kspan.pipeline.known_versions import KINDS, OTHERS, HighWaterMarks, KnownVersions
from kspan.pipeline.projector import Projector
from kspan.store import KnownVersion, Store, open_store

CLUSTER = "8d1f7a52-0000-4000-8000-000000000001"


def pod(version: str, name: str = "web", kind: RecordType = RecordType.MODIFIED, of: str = "Pod") -> LogRecord:
    payload = b'{"metadata":{"uid":"uid-%s","name":"%s","resourceVersion":"%s"}}' % (
        name.encode(),
        name.encode(),
        version.encode(),
    )
    return LogRecord(kind, 1, "v1/pods", f"uid-{name}", version, "v1", of, "default", name, payload)


@pytest.fixture
def store() -> Iterator[Store]:
    with open_store("sqlite://") as opened:
        yield opened


def asked(store: Store, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The uids that are looked up in the journal from now on."""
    uids: list[str] = []
    ask = store.known_versions

    def known_versions(cluster: str, records: Sequence[LogRecord]) -> dict[str, KnownVersion]:
        uids.extend(record.uid for record in records)
        return ask(cluster, records)

    monkeypatch.setattr(store, "known_versions", known_versions)
    return uids


def append(store: Store, *records: LogRecord) -> int:
    """Number of these records that a newly started daemon appends."""
    projector = Projector(store, CLUSTER, built_in_rules())
    projector.add([JournalBatch(list(records))])
    projector.flush()
    return projector.appended


def test_a_version_above_the_high_water_mark_is_not_looked_up(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    append(store, pod("10"), pod("12", "db"))
    uids = asked(store, monkeypatch)
    assert append(store, pod("13"), pod("14", "new"), pod("5", "worker", of="Node")) == 3
    assert uids == []


@pytest.mark.parametrize(
    "again",
    [pod("10"), pod("9"), pod("12", "db"), pod("x", "odd"), pod("10", kind=RecordType.LISTED)],
    ids=lambda record: f"{record.type}-{record.resource_version}",
)
def test_versions_journalled_before_the_start_are_known(
    store: Store, monkeypatch: pytest.MonkeyPatch, again: LogRecord
) -> None:
    append(store, pod("10"), pod("12", "db"), pod("x", "odd"))
    uids = asked(store, monkeypatch)
    assert append(store, again, again) == 0
    assert set(uids) == {again.uid}


def test_a_listed_object_is_news_if_the_journal_has_an_older_version(store: Store) -> None:
    append(store, pod("10"))
    append(store, pod("20", kind=RecordType.LISTED))
    types = [record.type for run in store.replay(CLUSTER) for _, record in run]
    assert types == [RecordType.MODIFIED, RecordType.MODIFIED]


def test_a_deletion_with_the_version_of_the_last_change_is_news_once(store: Store) -> None:
    append(store, pod("10"))
    assert append(store, pod("10", kind=RecordType.DELETED)) == 1
    assert append(store, pod("10", kind=RecordType.DELETED)) == 0


def test_versions_dropped_from_memory_are_looked_up_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    versions = KnownVersions(store, CLUSTER, {}, remembered=4)
    records = [pod(str(number), f"pod-{number}") for number in range(1, 9)]
    for number, record in enumerate(records, 1):
        versions.look_up([record])
        assert versions.is_news(record)
        versions.note(record)
        store.commit(CLUSTER, number, [record], [], Delta())
        versions.forget()
    uids = asked(store, monkeypatch)
    versions.look_up(records)
    assert uids
    assert len(uids) < len(records)
    assert not any(map(versions.is_news, records))


def test_memory_is_bounded_for_any_number_of_kinds() -> None:
    marks = HighWaterMarks({})
    for number in range(2 * KINDS):
        marks.raise_to(f"kind-{number}", str(number))
    marks_as_text = marks.as_text()
    assert len(marks_as_text) <= KINDS + 1
    assert marks_as_text[OTHERS] == str(2 * KINDS - 1)
    assert all(HighWaterMarks(marks_as_text).covers(pod(str(n), of=f"kind-{n}")) for n in range(2 * KINDS))


def test_high_water_marks_of_any_length_survive_a_restart(store: Store) -> None:
    append(store, pod("9" * 500))
    assert append(store, pod("9" * 500)) == 0
