"""What a record of an object changes, and records that change nothing."""

import pytest

from kspan.k8s.resource_version import EPOCH_STEP
from kspan.model import VANISHED, LogRecord, RecordType
from kspan.times import SECOND
from tests.graph.observe.test_object_state import T, Watched


@pytest.mark.parametrize(
    "payload",
    [b"", b"[]", b'{"metadata": 1}', b'{"metadata": {"name": "web"}}', b'{"metadata": {"uid": "", "name": "web"}}'],
)
def test_an_object_that_does_not_match_the_schema_or_has_no_uid_is_ignored(payload: bytes) -> None:
    w = Watched()
    w.observer.observe(LogRecord(RecordType.ADDED, T + 100 * SECOND, "v1/pods", kind="Pod", payload=payload))
    assert list(w.state.objects.all()) == []


def test_the_kind_is_that_of_the_object_or_else_of_the_record() -> None:
    w = Watched()
    payload = b'{"metadata": {"uid": "uid", "name": "web", "namespace": "shop", "resourceVersion": "41"}}'
    record = LogRecord(RecordType.ADDED, T + 100 * SECOND, "v1/pods", kind="Pod", api_version="v1", payload=payload)
    w.observer.observe(record)
    assert (w.obj.kind, w.obj.api_version, w.obj.name, w.obj.rv) == ("Pod", "v1", "web", 41)


def test_each_change_of_labels_is_another_one_although_the_generation_stays() -> None:
    w = Watched("Node")
    w.see(RecordType.ADDED, meta={"labels": {"a": "1"}, "generation": 1})
    spans = []
    for value in ("2", "3"):
        w.see(meta={"labels": {"a": value}, "generation": 1})
        assert w.obj.unpublished is not None
        spans.append(w.obj.unpublished.id)
    assert len(set(spans)) == 2


def test_an_object_of_a_kind_that_nobody_assesses_neither_progresses_nor_ends() -> None:
    w = Watched("Widget")
    w.see(RecordType.ADDED, status={"succeeded": 1, "completionTime": "2026-11-22T10:00:00Z"})
    assert (w.obj.progressing, w.obj.failed, w.obj.ended) == (False, False, 0)


@pytest.mark.parametrize("epoch", [0, 2])
def test_an_object_that_is_missing_from_a_list_without_a_gap_was_deleted_at_the_latest_version_of_its_epoch(
    epoch: int,
) -> None:
    w = Watched()
    w.see(RecordType.ADDED)
    payload = b'{"metadata": {"uid": "uid", "name": "web", "namespace": "shop", "resourceVersion": "41"}}'
    gone = LogRecord(
        RecordType.DELETED,
        T + 110 * SECOND,
        "x/v1/xs",
        kind="Deployment",
        payload=payload,
        reason=VANISHED,
        epoch=epoch,
    )
    w.observer.observe(gone)
    (deletion,) = [occ for occ in map(w.state.occurrence, w.state.pending_of("uid")) if occ and occ.verb == "Delete"]
    assert deletion.rv == (epoch + 1) * EPOCH_STEP - 1
