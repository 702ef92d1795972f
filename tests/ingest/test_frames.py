"""The pure part: times, records, which resources count, the cluster's uid."""

import contextlib
import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kspan.ingest.frames import Frame, FrameType, format_time, parse_time, read_cluster_uid, to_record
from kspan.k8s.resources import accepts
from kspan.model import RecordType
from tests.ingest.files.reading import POD, RECORDING, read

NS = st.integers(0, 2**63 - 1)


@given(NS)
def test_a_time_comes_back_from_its_text_to_the_microsecond(ns: int) -> None:
    assert parse_time(format_time(ns)) == ns // 1000 * 1000


@given(NS)
def test_a_time_of_nine_digits_is_exact(ns: int) -> None:
    seconds, rest = divmod(ns, 10**9)
    text = f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09}"
    assert parse_time(text + "Z") == ns
    assert parse_time(text + "+00:00") == ns
    assert parse_time(text + "-05:30") == ns + 19_800 * 10**9


@given(st.one_of(st.text(), st.from_regex(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d*)?(Z|[+-]\d\d:\d\d)?")))
def test_a_text_is_a_time_or_a_value_error(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert isinstance(parse_time(text), int)


@pytest.mark.parametrize(
    "text, ns",
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T00:00:00.1Z", 10**8),
        ("1970-01-01T00:00:00.000000001Z", 1),
        ("1970-01-01T00:00:00.0000000019Z", 1),
        ("1970-01-01T01:00:00+01:00", 0),
        ("2021-05-19T09:42:59.20271856Z", 1621417379_202718560),
    ],
)
def test_times_have_any_number_of_digits_and_any_zone(text: str, ns: int) -> None:
    assert parse_time(text) == ns


@pytest.mark.parametrize("text", ["", "2026-11-22", "2026-11-22T10:00:00", "2026-13-22T10:00:00Z", "now", "1234567890"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"time|month|isoformat"):
        parse_time(text)


def test_times_are_written_with_microseconds() -> None:
    assert format_time(1795343044_623585_999) == "2026-11-22T10:24:04.623585Z"


def test_a_record_holds_the_head_of_the_object_and_all_of_it_as_payload() -> None:
    raw = json.dumps(POD).encode()
    record = to_record(RecordType.MODIFIED, 5, "v1/pods", raw)
    assert (record.type, record.recorded_at, record.resource) == (RecordType.MODIFIED, 5, "v1/pods")
    assert (record.uid, record.resource_version) == (POD["metadata"]["uid"], "7")
    assert (record.api_version, record.kind, record.namespace, record.name) == ("v1", "Pod", "shop", "web")
    assert record.payload is raw


def test_items_of_a_typed_list_take_their_kind_from_the_resource() -> None:
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
        (b"{", "the object is no JSON"),
        (b"[]", "the object is a list, not an object"),
        (b"{}", "the object has no metadata.uid"),
        (b'{"metadata":{"uid":null}}', "the object has no metadata.uid"),
        (b'{"metadata":{"uid":"\\u0000"}}', "NUL character"),
        (b'{"metadata":{"uid":"\xff"}}', "not UTF-8"),
        (b'{"x":' + b"[" * 100_000, "nested"),
    ],
)
def test_what_is_no_object_is_refused_in_words(raw: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        to_record(RecordType.ADDED, 5, "v1/pods", raw)


def test_every_object_of_a_recording_becomes_a_record() -> None:
    for frame in read(RECORDING):
        if frame.type is not FrameType.LIST:
            record = to_record(RecordType(frame.type), frame.received, frame.resource, frame.object)
            head = json.loads(frame.object)
            assert (record.kind, record.api_version) == (head["kind"], head["apiVersion"])
            assert record.uid == head["metadata"]["uid"]


@pytest.mark.parametrize(
    "resource",
    [
        "v1/events", "v1/pods", "v1/nodes", "v1/namespaces", "v1/resourcequotas", "v1/persistentvolumeclaims",
        "v1/replicationcontrollers", "apps/v1/deployments", "apps/v1/replicasets", "apps/v1/statefulsets",
        "apps/v1/controllerrevisions", "apps/v1/daemonsets", "batch/v1/jobs", "batch/v1/cronjobs",
        "autoscaling/v1/horizontalpodautoscalers",
        "autoscaling/v2/horizontalpodautoscalers", "policy/v1/poddisruptionbudgets", "example.com/v1/widgets",
        "cluster.x-k8s.io/v1beta1/machines",
    ],
)  # fmt: skip
def test_what_makes_causes_is_watched(resource: str) -> None:
    assert accepts(resource)


@pytest.mark.parametrize(
    "resource",
    [
        "events.k8s.io/v1/events", "v1/secrets", "v1/configmaps", "coordination.k8s.io/v1/leases", "k8s.io/v1/things",
        "v1/deployments", "extensions/v1beta1/deployments", "", "pods", "/v1/pods",
        "example.com/v1/widgets/status",
    ],
)  # fmt: skip
def test_what_does_not_is_not(resource: str) -> None:
    assert not accepts(resource)


def test_the_cluster_is_known_by_the_uid_of_kube_system() -> None:
    uids = [uid for frame in read(RECORDING) if (uid := read_cluster_uid(frame))]
    assert uids == ["37c2b928-f8f2-4cd6-bde3-9bbdb8a5d7a8"]


def test_other_namespaces_that_mention_kube_system_are_not_the_cluster() -> None:
    raw = b'{"metadata":{"uid":"u","name":"a","labels":{"x":"kube-system"}}}'
    assert read_cluster_uid(Frame(1, "v1/namespaces", FrameType.ADDED, raw, "f", 1)) is None
    assert read_cluster_uid(Frame(1, "v1/namespaces", FrameType.ADDED, b"kube-system", "f", 1)) is None
