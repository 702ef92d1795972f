"""The records that lists and watches add to the journal, with a real store."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from kspan.errors import InputError
from kspan.graph import built_in_rules
from kspan.ingest.frames import Frame, FrameType
from kspan.ingest.journal_builder import JournalBuilder
from kspan.ingest.list_policy import LIVE_LISTS
from kspan.model import VANISHED, LogRecord, RecordType
from kspan.pipeline.projector import Projector
from kspan.store import Store, open_store
from kspan.times import SECOND, parse_time

CLUSTER = "11111111-2222-3333-4444-555555555555"
PODS = "v1/pods"
NOON = 1_795_348_800 * SECOND


@pytest.fixture
def store() -> Iterator[Store]:
    with open_store("sqlite://") as opened:
        yield opened


def pod(name: str, version: int) -> dict[str, Any]:
    return {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {"name": name, "uid": f"uid-{name}", "resourceVersion": str(version)},
    }


def frame(kind: str, at: float, obj: dict[str, Any], resource: str = PODS) -> Frame:
    return Frame(NOON + int(at * SECOND), resource, FrameType(kind), json.dumps(obj).encode(), "test", 1)


def listing(at: float, version: int, *pods: dict[str, Any], resource: str = PODS) -> list[Frame]:
    head = {"metadata": {"resourceVersion": str(version)}}
    items = [frame("LISTED", at, item, resource) for item in pods]
    return [frame("LIST", at, head, resource), *items, frame("BOOKMARK", at, head, resource)]


def ingest(store: Store, frames: Iterable[Frame], *, batch: int = 500) -> None:
    """Ingest frames as after a start: the streams resume from the cursors."""
    projector = Projector(store, CLUSTER, built_in_rules(), batch=batch)
    streams = JournalBuilder(projector, store.cursors(CLUSTER))
    for each in frames:
        projector.add(streams.feed(each))
    projector.add(streams.finish())
    projector.flush()


def journal(store: Store) -> list[LogRecord]:
    return [record for run in store.replay(CLUSTER) for _, record in run]


def journalled(store: Store) -> list[tuple[str, str, str]]:
    return [(record.type.value, record.name, record.resource_version) for record in journal(store)]


def test_the_first_list_is_state_and_later_changes_are_news(store: Store) -> None:
    ingest(store, [*listing(0, 10, pod("a", 3), pod("b", 7)), frame("ADDED", 1, pod("c", 11))])
    assert journalled(store) == [("LISTED", "a", "3"), ("LISTED", "b", "7"), ("ADDED", "c", "11")]
    assert store.cursors(CLUSTER)[PODS].resource_version == "11"


def test_a_cursor_keeps_the_beginning_of_its_stream_over_restarts_and_relists(store: Store) -> None:
    ingest(store, [*listing(0, 10, pod("a", 3)), frame("ADDED", 1, pod("c", 11))])
    ingest(store, [frame("MODIFIED", 2, pod("c", 12)), *listing(3, 20, pod("c", 12))])
    cursor = store.cursors(CLUSTER)[PODS]
    assert (cursor.resource_version, cursor.since, cursor.since_at) == ("20", "10", NOON)


def test_a_list_after_a_gap_adds_only_the_differences(store: Store) -> None:
    ingest(store, listing(0, 10, pod("same", 3), pod("changed", 5), pod("gone", 7)))
    ingest(store, [frame("ERROR", 60, {"code": 410, "message": "too old resource version: 10 (90)"})])
    error = frame("ERROR", 61, {"code": 410, "message": "too old resource version: 10 (90)"})
    ingest(store, [error, *listing(62, 99, pod("same", 3), pod("changed", 50), pod("new", 70))])
    assert journalled(store)[3:] == [
        ("GAP", "", ""),
        ("MODIFIED", "changed", "50"),
        ("ADDED", "new", "70"),
        ("DELETED", "gone", "7"),
    ]
    gap = journal(store)[3]
    assert (gap.gap_from, gap.gap_to) == ("10", "99")
    assert gap.reason == "410 too old resource version: 10 (90)"
    assert parse_time(json.loads(gap.payload)["watchedUntil"]) == NOON, "nothing was received since the first list"
    assert parse_time(json.loads(gap.payload)["listedAt"]) == NOON + 62 * SECOND
    assert journal(store)[-1].reason == VANISHED
    assert [row["reason"] for row in store.projection_rows(CLUSTER, "gaps")] == [gap.reason]
    assert json.loads(journal(store)[-1].payload)["metadata"]["name"] == "gone"
    assert [row.name for row in store.live_objects(CLUSTER, PODS)] == ["changed", "new", "same"]


def test_a_list_without_a_version_may_be_incomplete_and_deletes_nothing(store: Store) -> None:
    ingest(store, listing(0, 10, pod("a", 3), pod("b", 7)))
    partial = [frame("LIST", 60, {"metadata": {"resourceVersion": ""}}), frame("LISTED", 60, pod("a", 30))]
    ingest(store, partial)
    assert journalled(store)[2:] == [("MODIFIED", "a", "30")]


def test_a_stream_cut_off_in_its_first_list_starts_again_without_duplicates(store: Store) -> None:
    frames = listing(0, 10, pod("a", 3), pod("b", 7))
    ingest(store, frames[:2])
    cut_off = store.cursors(CLUSTER)
    ingest(store, frames)
    assert journalled(store) == [("LISTED", "a", "3"), ("LISTED", "b", "7")]
    assert PODS in store.cursors(CLUSTER)
    # The end of the input also ended the list, so there is a cursor. The next list adds the objects that it missed.
    assert cut_off.keys() <= {PODS}


def test_objects_of_a_live_first_list_that_broke_off_are_deleted_together_with_the_first_cursor(store: Store) -> None:
    broken, complete = listing(0, 10, pod("gone", 3), pod("kept", 5))[:3], listing(60, 20, pod("kept", 5))
    projector = Projector(store, CLUSTER, built_in_rules())
    streams = JournalBuilder(projector, {}, LIVE_LISTS)
    for each in (*broken, *complete[:-1]):
        for batch in streams.feed(each):
            assert batch.cursor is None
            projector.add([batch])
    (last,) = streams.feed(complete[-1])
    projector.add([last])
    projector.flush()
    assert [(record.type.value, record.name) for record in last.records] == [("DELETED", "gone")]
    assert last.cursor is not None
    assert journalled(store) == [("LISTED", "gone", "3"), ("LISTED", "kept", "5"), ("DELETED", "gone", "3")]


def test_a_relist_is_journalled_whole_or_not_at_all(store: Store) -> None:
    ingest(store, listing(0, 10, pod("a", 3)))
    relist = listing(60, 99, *(pod(f"p{n}", 20 + n) for n in range(30)))
    projector = Projector(store, CLUSTER, built_in_rules(), batch=5)
    streams = JournalBuilder(projector, store.cursors(CLUSTER))
    for each in relist[:-1]:
        projector.add(streams.feed(each))
    projector.flush()
    assert journalled(store) == [("LISTED", "a", "3")]
    assert store.cursors(CLUSTER)[PODS].resource_version == "10"
    projector.add(streams.feed(relist[-1]))
    projector.flush()
    assert len(journalled(store)) == 1 + 1 + 30 + 1
    assert store.cursors(CLUSTER)[PODS].resource_version == "99"


def test_expired_events_are_not_deleted_and_known_events_are_not_added_again(store: Store) -> None:
    def event(name: str, version: int) -> dict[str, Any]:
        involved = {"kind": "Pod", "name": "a", "uid": "uid-a"}
        metadata = {"name": name, "uid": f"uid-{name}", "resourceVersion": str(version)}
        return {
            "kind": "Event",
            "apiVersion": "v1",
            "metadata": metadata,
            "involvedObject": involved,
            "reason": "Pulled",
        }

    first = [event(f"e{n}", n + 1) for n in range(1200)]
    ingest(store, listing(0, 2000, *first, resource="v1/events"))
    ingest(store, listing(60, 3000, *first[600:], event("new", 2500), resource="v1/events"))
    assert journalled(store)[1200:] == [("GAP", "", ""), ("ADDED", "new", "2500")]


def test_the_second_events_api_and_resources_without_causes_are_not_journalled(store: Store) -> None:
    lease = {"kind": "Lease", "metadata": {"name": "l", "uid": "u", "resourceVersion": "5"}}
    ingest(
        store,
        [
            frame("ADDED", 0, lease, "coordination.k8s.io/v1/leases"),
            frame("ADDED", 0, lease, "events.k8s.io/v1/events"),
        ],
    )
    assert journal(store) == []


def test_an_object_without_uid_is_an_input_error_with_its_line(store: Store) -> None:
    with pytest.raises(InputError, match="test:1: "):
        ingest(store, [frame("ADDED", 0, {"metadata": {"name": "x"}})])


def test_a_deletion_with_the_version_of_the_last_change_is_journalled_once(store: Store) -> None:
    deleted = frame("DELETED", 2, pod("a", 11))
    ingest(store, [frame("ADDED", 0, pod("a", 11)), deleted, deleted, frame("MODIFIED", 3, pod("a", 12))])
    assert journalled(store) == [("ADDED", "a", "11"), ("DELETED", "a", "11")]
    assert journal(store)[1].type is RecordType.DELETED


# Namespaces -----------------------------------------------------------------------------------------------------------


def pod_in(namespace: str, name: str, version: int) -> dict[str, Any]:
    found = pod(name, version)
    found["metadata"]["namespace"] = namespace
    return found


def listing_of(namespaces: list[str], at: float, version: int, *pods: dict[str, Any]) -> list[Frame]:
    head = {"metadata": {"resourceVersion": str(version)}, "namespaces": namespaces}
    items = [frame("LISTED", at, item) for item in pods]
    return [frame("LIST", at, head), *items, frame("BOOKMARK", at, head)]


def test_leaving_the_watched_namespaces_is_not_a_deletion(store: Store) -> None:
    ingest(store, listing(0, 10, pod_in("shop", "stays", 3), pod_in("other", "left", 5), pod_in("shop", "gone", 7)))
    ingest(store, listing_of(["shop"], 60, 20, pod_in("shop", "stays", 3)))
    assert journalled(store)[3:] == [("GAP", "", ""), ("DELETED", "gone", "7")]
    assert journal(store)[3].reason == "other namespaces are watched: shop after all"
    assert store.cursors(CLUSTER)[PODS].scope == "shop"


def test_objects_of_a_new_namespace_are_state_and_the_others_are_compared(store: Store) -> None:
    ingest(store, listing_of(["shop"], 0, 10, pod_in("shop", "same", 3), pod_in("shop", "changed", 4)))
    ingest(
        store,
        listing_of(
            ["bank", "shop"],
            60,
            20,
            pod_in("shop", "same", 3),
            pod_in("shop", "changed", 15),
            pod_in("shop", "new", 16),
            pod_in("bank", "there before", 2),
        ),
    )
    assert journalled(store)[2:] == [
        ("GAP", "", ""),
        ("MODIFIED", "changed", "15"),
        ("ADDED", "new", "16"),
        ("LISTED", "there before", "2"),
    ]
    assert store.cursors(CLUSTER)[PODS].scope == "bank,shop"


def test_objects_of_a_namespace_that_is_watched_again_are_compared(store: Store) -> None:
    ingest(store, listing(0, 10, pod_in("shop", "a", 3), pod_in("other", "b", 4), pod_in("other", "c", 5)))
    ingest(store, listing_of(["shop"], 60, 20, pod_in("shop", "a", 3)))
    ingest(store, listing(120, 30, pod_in("shop", "a", 3), pod_in("other", "b", 25)))
    assert journalled(store)[4:] == [("GAP", "", ""), ("MODIFIED", "b", "25"), ("DELETED", "c", "5")]


def test_other_namespaces_are_noticed_without_any_change_in_the_cluster(store: Store) -> None:
    ingest(store, listing(0, 10, pod_in("shop", "a", 3), pod_in("other", "b", 4)))
    ingest(store, listing_of(["shop"], 60, 10, pod_in("shop", "a", 3)))
    assert journalled(store)[2:] == [("GAP", "", "")]
    assert store.cursors(CLUSTER)[PODS].scope == "shop"


def test_the_order_of_namespaces_does_not_matter(store: Store) -> None:
    ingest(store, listing_of(["b", "a"], 0, 10, pod_in("a", "x", 3)))
    ingest(store, listing_of(["a", "b", "a"], 60, 10, pod_in("a", "x", 3)))
    assert journalled(store) == [("LISTED", "x", "3")]


def test_replaying_a_recording_again_adds_nothing(store: Store) -> None:
    frames = [*listing(0, 10, pod("a", 3)), frame("MODIFIED", 1, pod("a", 12)), frame("DELETED", 2, pod("a", 13))]
    ingest(store, frames)
    before = journalled(store)
    ingest(store, frames)
    assert journalled(store) == before
    assert store.cursors(CLUSTER)[PODS].epoch == 0
