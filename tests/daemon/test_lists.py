"""Relists of a live cluster: resourceVersions that started over, namespaces that are forbidden."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from kspan.graph import built_in_rules
from kspan.ingest.frames import Frame, FrameType
from kspan.model import LogRecord, RecordType
from kspan.pipeline.known_versions import KnownVersions
from kspan.pipeline.projector import Projector
from kspan.pipeline.rebuild import verify
from kspan.store import Store, open_store
from kspan.times import SECOND
from tests.daemon.writing import CLUSTER, NOW, journal, journalled, make, running

DEPLOYMENTS = "apps/v1/deployments"


def deployment(name: str, version: int, generation: int = 1, namespace: str = "default") -> dict[str, Any]:
    metadata = {
        "uid": f"uid-{name}",
        "name": name,
        "namespace": namespace,
        "generation": generation,
        "resourceVersion": str(version),
        "creationTimestamp": "2026-11-22T10:00:00Z",
    }
    return {"metadata": metadata, "spec": {"replicas": generation}, "status": {"observedGeneration": generation}}


def frame(kind: FrameType, at: int, obj: dict[str, Any]) -> Frame:
    return Frame(NOW + at * SECOND, DEPLOYMENTS, kind, msgspec.json.encode(obj), "test", 1)


def listing(
    at: int, version: int, *objects: dict[str, Any], of: Iterable[str] = (), got: Iterable[str] = ()
) -> list[Frame]:
    def head(namespaces: Iterable[str]) -> dict[str, Any]:
        return {"metadata": {"resourceVersion": str(version)}, "namespaces": list(namespaces)}

    items = [frame(FrameType.LISTED, at, obj) for obj in objects]
    return [frame(FrameType.LIST, at, head(of)), *items, frame(FrameType.BOOKMARK, at, head(got or of))]


def write(store: Store, *frames: Frame) -> None:
    with running(make(store)) as writer:
        for one in frames:
            writer.deliver(one)


RESTORED = (
    *listing(0, 100, deployment("same", 10), deployment("reverted", 20)),
    frame(FrameType.MODIFIED, 1, deployment("reverted", 110, 2)),
    frame(FrameType.ADDED, 2, deployment("lost", 120)),
    frame(FrameType.MODIFIED, 3, deployment("deleted", 30)),
    frame(FrameType.DELETED, 4, deployment("deleted", 130)),
    # The backup was made at 105.
    *listing(60, 105, deployment("same", 10), deployment("reverted", 20), deployment("deleted", 30)),
    frame(FrameType.MODIFIED, 61, deployment("reverted", 110, 2)),
    frame(FrameType.MODIFIED, 62, deployment("same", 112, 2)),
    frame(FrameType.DELETED, 63, deployment("deleted", 115)),
)


def test_resource_versions_that_start_over_are_a_gap_and_later_changes_are_journalled(tmp_path: Path) -> None:
    with open_store(str(tmp_path / "db")) as store:
        write(store, *RESTORED)
        assert journalled(store)[6:] == [
            ("GAP", "", ""),
            ("MODIFIED", "reverted", "20"),
            ("LISTED", "deleted", "30"),
            ("DELETED", "lost", "120"),
            ("MODIFIED", "reverted", "110"),
            ("MODIFIED", "same", "112"),
            ("DELETED", "deleted", "115"),
        ]
        gap = journal(store)[6]
        assert gap.reason == "resourceVersions started over: 105 after 130 (was etcd restored?)"
        assert (gap.gap_from, gap.gap_to) == ("130", "105")
        cursor = store.cursors(CLUSTER)[DEPLOYMENTS]
        assert (cursor.resource_version, cursor.epoch) == ("115", 1)


def test_changes_after_a_restore_have_spans_of_their_own(tmp_path: Path) -> None:
    with open_store(str(tmp_path / "db")) as store:
        write(store, *RESTORED)
        Projector(store, CLUSTER, built_in_rules()).run_out()
        found = [(row["reason"], row["object_name"]) for row in store.projection_rows(CLUSTER, "spans")]
        assert sorted(found) == [
            ("Create", "deleted"),
            ("Create", "lost"),
            ("Delete", "deleted"),
            ("Delete", "deleted"),
            ("Delete", "lost"),
            ("Update", "reverted"),
            ("Update", "reverted"),
            ("Update", "same"),
        ]
        assert not list(verify(store, CLUSTER, built_in_rules()))


def test_a_restart_continues_in_the_new_epoch(tmp_path: Path) -> None:
    cut = next(n for n, one in enumerate(RESTORED) if one.received == NOW + 61 * SECOND)
    with open_store(str(tmp_path / "once")) as store:
        write(store, *RESTORED)
        expected = journal(store)
    with open_store(str(tmp_path / "twice")) as store:
        write(store, *RESTORED[:cut])
        write(store, *RESTORED[cut:])
        # Repeated events are known already, in this epoch and in the one before.
        write(store, *RESTORED[cut:])
        assert journal(store) == expected


def test_a_second_restore_is_one_more_epoch(tmp_path: Path) -> None:
    again = listing(120, 104, deployment("same", 10), deployment("reverted", 20))
    with open_store(str(tmp_path / "db")) as store:
        write(store, *RESTORED, *again, frame(FrameType.MODIFIED, 121, deployment("same", 112, 2)))
        assert journalled(store)[13:] == [
            ("GAP", "", ""),
            ("MODIFIED", "same", "10"),
            ("MODIFIED", "reverted", "20"),
            ("MODIFIED", "same", "112"),
        ]
        assert store.cursors(CLUSTER)[DEPLOYMENTS].epoch == 2


def test_objects_of_a_forbidden_namespace_are_not_deleted_and_are_listed_again_later(tmp_path: Path) -> None:
    shop, bank = deployment("a", 10, namespace="shop"), deployment("b", 11, namespace="bank")
    with open_store(str(tmp_path / "db")) as store:
        write(store, *listing(0, 20, shop, bank, of=("bank", "shop")))
        write(store, *listing(60, 30, shop, of=("bank", "shop"), got=("shop",)))
        late = deployment("c", 25, namespace="bank")
        write(store, *listing(120, 40, shop, bank, late, of=("bank", "shop")))
        kinds = [(record.type, record.name) for record in journal(store)[2:]]
    assert kinds == [(RecordType.GAP, ""), (RecordType.GAP, ""), (RecordType.LISTED, "c")]


CHANGED = LogRecord(RecordType.MODIFIED, NOW, uid="u", kind="Pod", resource_version="5", epoch=1)
GONE = msgspec.structs.replace(CHANGED, type=RecordType.DELETED)


@pytest.mark.parametrize(
    "record, version, deleted, epoch, news",
    [
        (CHANGED, "9", False, 0, True),
        (CHANGED, "5", True, 0, True),
        (CHANGED, "5", False, 0, False),  # It was not changed by the restoration.
        (GONE, "5", False, 0, True),
        (GONE, "5", True, 0, False),
        (CHANGED, "4", False, 2, False),  # Late, of an epoch that is over.
        (CHANGED, "5", False, 1, False),
        (CHANGED, "4", False, 1, True),
    ],
)
def test_a_version_of_a_later_epoch_is_new_if_it_differs(
    record: LogRecord, version: str, deleted: bool, epoch: int, news: bool
) -> None:
    kind = RecordType.DELETED if deleted else RecordType.ADDED
    with open_store("sqlite://") as store:
        versions = KnownVersions(store, CLUSTER, {})
        versions.note(msgspec.structs.replace(record, type=kind, resource_version=version, epoch=epoch))
        assert versions.is_news(record) is news
