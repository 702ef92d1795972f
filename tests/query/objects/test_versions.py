"""Versions of an object in the journal, on both databases."""

import msgspec
import pytest

from kspan.errors import QueryError
from kspan.model import Delta, LogRecord, ObjectRow, RecordType
from kspan.query.objects.names import parse_object
from kspan.query.objects.versions import version_at, version_before, version_numbered
from kspan.store import Store
from kspan.times import SECOND
from tests.emit.rows import START
from tests.query.made import CLUSTER, make_object

WEB = parse_object(("deploy/web",), "shop")
FIRST, SECOND_ONE = "uid-1", "uid-2"


def record(
    seconds: int, replicas: int, ready: int, *, kind: RecordType = RecordType.MODIFIED, uid: str = FIRST
) -> LogRecord:
    payload = {"kind": "Deployment", "spec": {"replicas": replicas}, "status": {"ready": ready}}
    return LogRecord(
        type=kind,
        recorded_at=START + seconds * SECOND,
        resource="apps/v1/deployments",
        uid=uid,
        resource_version=str(seconds),
        api_version="apps/v1",
        kind="Deployment",
        namespace="shop",
        name="web",
        payload=msgspec.json.encode(payload),
        reason="",
        gap_from="",
        gap_to="",
        epoch=0,
    )


RECORDS = [
    record(10, 1, 0, kind=RecordType.ADDED),
    record(20, 1, 1),
    record(30, 3, 1),
    record(40, 3, 3),
    record(50, 3, 3, kind=RecordType.DELETED),
    record(60, 5, 0, kind=RecordType.ADDED, uid=SECOND_ONE),
]


def deployment(uid: str, created: int, **columns: object) -> ObjectRow:
    row = {
        "uid": uid,
        "api_version": "apps/v1",
        "resource": "apps/v1/deployments",
        "created_at": START + created * SECOND,
    }
    return make_object("Deployment", "web", **(row | columns))


@pytest.fixture
def history(store: Store) -> Store:
    objects = [deployment(FIRST, 10), deployment(SECOND_ONE, 60)]
    store.commit(CLUSTER, 1, RECORDS, [], Delta(objects=objects))
    return store


@pytest.mark.parametrize(
    "at, version",
    [(0, "60"), (10, "10"), (29, "20"), (30, "30"), (55, "50"), (65, "60")],
    ids=["now", "at its creation", "before a change", "at a change", "after its deletion", "the next of this name"],
)
def test_the_version_at_a_time_is_the_newest_that_was_received_by_then(history: Store, at: int, version: str) -> None:
    with history.reading("look") as connection:
        found = version_at(connection, CLUSTER, WEB, at=START + at * SECOND if at else 0)
    assert found.record.resource_version == version
    assert found.deleted == (version == "50")


def test_an_earlier_object_of_the_name_is_found_by_its_uid(history: Store) -> None:
    with history.reading("look") as connection:
        assert version_at(connection, CLUSTER, WEB, uid=FIRST).record.resource_version == "50"


def test_the_version_before_differs_in_what_is_compared(history: Store) -> None:
    with history.reading("look") as connection:
        last = version_at(connection, CLUSTER, WEB, uid=FIRST)
        changed = version_before(connection, CLUSTER, last)
        with_status = version_before(connection, CLUSTER, last, status=True)
        first = version_at(connection, CLUSTER, WEB, at=START + 20 * SECOND)
        none = version_before(connection, CLUSTER, first)
    assert [each.record.resource_version for each in (changed, with_status) if each] == ["20", "30"]
    assert none is None


@pytest.mark.parametrize(
    "epochs, place",
    [
        ([[*range(1, 200)]], 3),
        ([[*range(1, 100)], [*range(1, 150)]], 99 + 3),
        ([[150, *range(1, 100), *range(101, 150)]], 1 + 3),
    ],
    ids=["increasing", "started over", "out of order"],
)
def test_a_version_is_the_newest_with_its_number(store: Store, epochs: list[list[int]], place: int) -> None:
    """Many records follow on it, and other objects are between them."""
    versions = [(number, epoch) for epoch, numbers in enumerate(epochs) for number in numbers]
    made = [msgspec.structs.replace(record(number, 1, 0), epoch=epoch) for number, epoch in versions]
    records = [each for mine in made for each in (mine, msgspec.structs.replace(mine, uid=SECOND_ONE))]
    store.commit(CLUSTER, 1, records, [], Delta(objects=[deployment(FIRST, 10), deployment(SECOND_ONE, 60)]))
    with store.reading("look") as connection:
        found = version_numbered(connection, CLUSTER, WEB, "3", uid=FIRST)
        missing = [version_numbered(connection, CLUSTER, WEB, text, uid=FIRST) for text in ("0", "999", "no number")]
    assert found is not None
    assert found.sequence == 2 * place - 1
    assert missing == [None] * 3


def test_before_the_first_version_the_error_says_when_that_was(history: Store) -> None:
    with history.reading("look") as connection, pytest.raises(QueryError, match="its first is from 2"):
        version_at(connection, CLUSTER, WEB, at=START + 9 * SECOND)


def test_an_object_that_others_only_mention_has_no_manifest(store: Store) -> None:
    store.commit(CLUSTER, 1, [], [], Delta(objects=[deployment(FIRST, 10, resource="")]))
    with store.reading("look") as connection, pytest.raises(QueryError, match="was only mentioned by others"):
        version_at(connection, CLUSTER, WEB)
