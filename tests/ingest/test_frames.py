"""The journal record of a frame, and the cluster's uid."""

import json

import pytest

from kspan.ingest.frames import Frame, FrameType, read_cluster_uid, to_record
from kspan.model import RecordType
from tests.ingest.files.reading import POD, RECORDING, read


def test_a_record_has_the_head_of_the_object_and_the_whole_object_as_payload() -> None:
    raw = json.dumps(POD).encode()
    record = to_record(RecordType.MODIFIED, 5, "v1/pods", raw)
    assert (record.type, record.recorded_at, record.resource) == (RecordType.MODIFIED, 5, "v1/pods")
    assert (record.uid, record.resource_version) == (POD["metadata"]["uid"], "7")
    assert (record.api_version, record.kind, record.namespace, record.name) == ("v1", "Pod", "shop", "web")
    assert record.payload is raw


def test_an_item_without_a_kind_takes_it_from_the_resource() -> None:
    record = to_record(RecordType.LISTED, 5, "apps/v1/deployments", b'{"metadata":{"uid":"u"}}')
    assert (record.kind, record.api_version, record.namespace) == ("Deployment", "apps/v1", "")


def test_the_expiry_of_an_event_keeps_no_payload() -> None:
    raw = b'{"metadata":{"uid":"u"}}'
    assert to_record(RecordType.DELETED, 5, "v1/events", raw).payload == b""
    assert to_record(RecordType.DELETED, 5, "v1/pods", raw).payload == raw


@pytest.mark.parametrize(
    "raw, words",
    [
        (b"", "the object is empty"),
        (b"{", "the object is not valid JSON"),
        (b"[]", "the object is a list, not an object"),
        (b"{}", "the object has no metadata.uid"),
        (b'{"metadata":{"uid":null}}', "the object has no metadata.uid"),
        (b'{"metadata":{"uid":"\\u0000"}}', "NUL character"),
        (b'{"metadata":{"uid":"\xff"}}', "not UTF-8"),
        (b'{"x":' + b"[" * 100_000, "nested"),
    ],
)
def test_an_invalid_object_is_an_error_that_states_why(raw: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        to_record(RecordType.ADDED, 5, "v1/pods", raw)


def test_every_object_of_a_recording_becomes_a_record() -> None:
    for frame in read(RECORDING):
        if frame.type is not FrameType.LIST:
            record = to_record(RecordType(frame.type), frame.received, frame.resource, frame.object)
            head = json.loads(frame.object)
            assert (record.kind, record.api_version) == (head["kind"], head["apiVersion"])
            assert record.uid == head["metadata"]["uid"]


def test_the_uid_of_the_cluster_is_that_of_kube_system() -> None:
    uids = [uid for frame in read(RECORDING) if (uid := read_cluster_uid(frame))]
    assert uids == ["37c2b928-f8f2-4cd6-bde3-9bbdb8a5d7a8"]


def test_other_namespaces_that_mention_kube_system_are_not_the_cluster() -> None:
    raw = b'{"metadata":{"uid":"u","name":"a","labels":{"x":"kube-system"}}}'
    assert read_cluster_uid(Frame(1, "v1/namespaces", FrameType.ADDED, raw, "f", 1)) is None
    assert read_cluster_uid(Frame(1, "v1/namespaces", FrameType.ADDED, b"kube-system", "f", 1)) is None
