"""What people have of a cluster: dumps, bundles, watch output, arrays; and files that other programs wrote."""

import gzip
import json
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest

from kspan.errors import InputError
from kspan.ingest import read_frames
from kspan.ingest.files import folder as folder_module
from kspan.times import parse_time
from tests.ingest.files.reading import DATA, POD, read, read_skipping, read_until_error, record, write
from tests.permissions import shared_folder, unprivileged

CASES = DATA / "cases"
START = b"==== START logs for container app of pod shop/web ===="
END = b"==== END logs for container app of pod shop/web ===="


def pod(name: str, version: int = 7, kind: str = "Pod", second: int = 0, **more: Any) -> dict[str, Any]:
    metadata = {
        **POD["metadata"],
        "name": name,
        "uid": f"uid-{name}",
        "resourceVersion": str(version),
        "creationTimestamp": f"2026-11-22T10:00:{second:02}Z",
    }
    return {"apiVersion": "v1", "kind": kind, "metadata": metadata, **more}


def change(kind: str, value: dict[str, Any]) -> bytes:
    return json.dumps({"type": kind, "object": value}).encode()


def names(path: str | Path) -> list[tuple[str, str]]:
    """Type and name of the objects in an input."""
    return [(f.type.value, f.head.name) for f in read(path) if f.head is not None]


# logs between the lists ----------------------------------------------------------------------------------------------


def test_the_lists_of_a_cluster_info_dump_are_read_and_its_logs_passed_over() -> None:
    frames = read(CASES / "cluster-info-dump-stdout.txt")
    assert [(f.type.value, f.resource, f.line) for f in frames if f.head is not None] == [
        ("LISTED", "v1/pods", 8),
        ("LISTED", "v1/events", 34),
    ]


@pytest.mark.parametrize(
    "logs",
    [
        pytest.param([], id="none"),
        pytest.param([b'{"kind":"Pod"}', b"[1", b"\xff\0"], id="anything"),
        pytest.param([END, b"forged", END, b"{not json"], id="a line that ends them"),
        pytest.param([START, b"again"], id="a line that begins them"),
    ],
)
def test_a_container_can_print_anything(logs: list[bytes], tmp_path: Path) -> None:
    documents = [json.dumps(pod("a"), indent=1).encode(), START, *logs, END, json.dumps(pod("b"), indent=1).encode()]
    assert names(write(tmp_path, *documents)) == [("LISTED", "a"), ("LISTED", "b")]


def test_logs_without_a_line_feed_at_their_end_end_too(tmp_path: Path) -> None:
    path = write(tmp_path, json.dumps(pod("a"), indent=1).encode(), START, b"no line feed" + END, b"")
    assert names(path) == [("LISTED", "a")]


def test_logs_that_are_cut_off_are_an_error_after_the_objects_before_them(tmp_path: Path) -> None:
    frames, error = read_until_error(write(tmp_path, json.dumps(pod("a"), indent=1).encode(), START, b"text"))
    assert [f.head.name for f in frames if f.head] == ["a"]
    assert error is not None
    assert "logs without an end" in error.problem


# arrays --------------------------------------------------------------------------------------------------------------


def test_an_array_of_objects_is_read() -> None:
    assert {f.head.kind for f in read(CASES / "array.json") if f.head is not None} == {"Event"}


def test_an_array_can_contain_lists_and_watch_events(tmp_path: Path) -> None:
    pods = {"apiVersion": "v1", "kind": "PodList", "items": [pod("b", kind="Pod")]}
    value = [pod("a"), pods, {"type": "DELETED", "object": pod("a", 9)}]
    assert names(write(tmp_path, json.dumps(value).encode())) == [("LISTED", "a"), ("LISTED", "b"), ("DELETED", "a")]


def test_what_is_no_object_in_an_array_can_be_skipped(tmp_path: Path) -> None:
    frames, skipped = read_skipping([write(tmp_path, json.dumps([1, pod("a"), [pod("b")]]).encode())])
    assert [f.head.name for f in frames if f.head] == ["a"]
    assert [error.problem for error in skipped] == ["is a value, not a Kubernetes object"] * 2


# watch events --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["watch-lines.jsonl", "watch-pretty.json"])
def test_watch_events_have_the_time_that_their_objects_state(name: str) -> None:
    frames = [f for f in read(CASES / name) if f.head is not None]
    assert [f.resource for f in frames] == ["v1/events"] * 2
    assert frames[-1].received == parse_time("2026-05-01T10:20:00Z")


def test_what_a_watch_shows_first_is_state_if_it_is_not_in_the_order_of_versions(tmp_path: Path) -> None:
    lines = [change("ADDED", pod("a", 9)), change("ADDED", pod("b", 5)), change("MODIFIED", pod("b", 12, second=30))]
    assert names(write(tmp_path, *lines, change("DELETED", pod("a", 13)))) == [
        ("LISTED", "a"),
        ("LISTED", "b"),
        ("MODIFIED", "b"),
        ("DELETED", "a"),
    ]


def test_an_object_that_was_just_created_when_the_watch_shows_it_is_new(tmp_path: Path) -> None:
    lines = [change("ADDED", pod("a", 5)), change("ADDED", pod("b", 9, second=1)), change("DELETED", pod("a", 12))]
    assert names(write(tmp_path, *lines)) == [("ADDED", "a"), ("ADDED", "b"), ("DELETED", "a")]


def test_time_never_goes_back_in_a_watch(tmp_path: Path) -> None:
    lines = [change("ADDED", pod("a", 5, second=40)), change("DELETED", pod("b", 9, second=1))]
    assert [f.received for f in read(write(tmp_path, *lines))] == [parse_time("2026-11-22T10:00:40Z")] * 2


def seconds(path: str) -> list[int]:
    """When the changes in an input were received: seconds after 10:00."""
    return [(f.received - parse_time("2026-11-22T10:00:00Z")) // 10**9 for f in read(path)]


def written(second: int, **status: Any) -> dict[str, Any]:
    """A volume that was created at 10:00:00 and last written at this second."""
    value = pod("a", second + 5, kind="PersistentVolume", status=status)
    value["metadata"]["managedFields"] = [{"manager": "m", "time": f"2026-11-22T10:00:{second:02}Z"}]
    return value


def test_each_change_of_a_watch_that_begins_with_a_new_object_has_the_time_that_it_states(tmp_path: Path) -> None:
    changes = [change("ADDED", written(0)), change("MODIFIED", written(25)), change("MODIFIED", written(50))]
    assert seconds(write(tmp_path, *changes)) == [0, 25, 50]


def test_a_watch_event_without_a_time_before_all_others_has_the_first_time_that_is_stated(tmp_path: Path) -> None:
    bare = pod("b")
    del bare["metadata"]["creationTimestamp"]
    path = write(tmp_path, change("MODIFIED", bare), change("MODIFIED", written(25)), change("DELETED", written(50)))
    assert seconds(path) == [25, 25, 50]


def test_the_streams_in_a_file_of_watch_events_have_times_of_their_own(tmp_path: Path) -> None:
    claim = pod("c", kind="PersistentVolumeClaim", second=10)
    assert seconds(write(tmp_path, change("ADDED", written(0)), change("MODIFIED", written(50)))) == [0, 50]
    path = write(tmp_path, change("ADDED", written(0)), change("MODIFIED", written(50)), change("ADDED", claim))
    assert seconds(path) == [0, 50, 10]


def test_an_object_that_is_being_deleted_states_when_that_was_requested(tmp_path: Path) -> None:
    deleting = written(25)
    deleting["metadata"] |= {"deletionTimestamp": "2026-11-22T10:01:10Z", "deletionGracePeriodSeconds": 30}
    assert seconds(write(tmp_path, change("ADDED", written(0)), change("MODIFIED", deleting))) == [0, 40]
    del deleting["metadata"]["deletionGracePeriodSeconds"]
    assert seconds(write(tmp_path, change("ADDED", written(0)), change("MODIFIED", deleting))) == [0, 25]


def test_a_volume_states_when_its_phase_changed_also_without_managed_fields(tmp_path: Path) -> None:
    bound = pod("a", 9, kind="PersistentVolume", status={"lastPhaseTransitionTime": "2026-11-22T10:00:25Z"})
    assert seconds(write(tmp_path, change("ADDED", written(0)), change("MODIFIED", bound))) == [0, 25]


def test_bookmarks_of_a_watch_are_passed_over_and_its_errors_read(tmp_path: Path) -> None:
    bookmark = {"kind": "Pod", "apiVersion": "v1", "metadata": {"resourceVersion": "50", "creationTimestamp": None}}
    status = {"kind": "Status", "apiVersion": "v1", "code": 410, "message": "too old"}
    lines = [change("ADDED", pod("a")), change("BOOKMARK", bookmark), change("ERROR", status)]
    assert [(f.type.value, f.resource) for f in read(write(tmp_path, *lines))] == [
        ("ADDED", "v1/pods"),
        ("ERROR", "v1/pods"),
    ]


def test_a_watch_whose_first_line_is_longer_than_the_head_of_a_file_is_read(tmp_path: Path) -> None:
    long = pod("a", spec={"x": "y" * 200_000})
    assert names(write(tmp_path, change("ADDED", long), change("DELETED", pod("a", 9)))) == [
        ("ADDED", "a"),
        ("DELETED", "a"),
    ]


def test_watch_events_in_yaml_are_read(tmp_path: Path) -> None:
    text = b"type: DELETED\nobject:\n  apiVersion: v1\n  kind: Pod\n  metadata:\n    name: a\n    uid: u\n"
    text += b"    resourceVersion: '5'\n    creationTimestamp: '2026-11-22T10:00:00Z'\n"
    assert names(write(tmp_path, text)) == [("DELETED", "a")]


# lists of one namespace ----------------------------------------------------------------------------------------------


def test_a_list_whose_items_are_all_in_one_namespace_may_not_be_of_the_whole_cluster() -> None:
    frames = read(CASES / "dump-shop-deployments.json", CASES / "dump-kube-system-deployments.json")
    lists = [json.loads(f.object) for f in frames if f.type == "LIST"]
    assert lists == [{"metadata": {"resourceVersion": ""}}] * 2


# folders -------------------------------------------------------------------------------------------------------------


def dump(folder: Path) -> None:
    """A folder with objects among other things, as dumps and bundles have them."""
    files = {
        "nodes.json": json.dumps(pod("node-1", kind="Node")),
        "shop/pods.json": json.dumps({"apiVersion": "v1", "kind": "PodList", "items": [pod("a", second=30)]}),
        "shop/web/logs.txt": '{"kind":"Pod"}\n',
        "shop/core/events.yaml": "apiVersion: v1\nkind: List\nitems: []\n",
        "cluster-resources/pods/other.json": json.dumps([{"metadata": pod("b")["metadata"]}]),
        "version.json": '{"gitVersion": "v1.33.0"}',
        "analysis.yaml": "- name: x\n  severity: debug\n",
        "audit.json": '{"kind":"Event","apiVersion":"audit.k8s.io/v1","auditID":"x","stage":"Panic"}\n',
        "empty.json": "",
        "page.html": "<html>",
    }
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (folder / "image.json").write_bytes(b"\x89PNG\r\n\x1a\n\0\0")
    (folder / "more.json.gz").write_bytes(gzip.compress(json.dumps(pod("c")).encode()))


def test_a_folder_gives_all_objects_in_it_at_the_same_moment(tmp_path: Path) -> None:
    dump(tmp_path)
    frames = read(tmp_path)
    found = sorted((f.resource, f.head.name) for f in frames if f.head is not None)
    assert found == [("v1/nodes", "node-1"), ("v1/pods", "a"), ("v1/pods", "b"), ("v1/pods", "c")]
    assert {f.received for f in frames} == {parse_time("2026-11-22T10:00:30Z")}


def test_no_list_in_a_folder_is_of_the_whole_cluster(tmp_path: Path) -> None:
    pods = [pod("a"), {**pod("b"), "metadata": {**pod("b")["metadata"], "namespace": "other"}}]
    value = {"apiVersion": "v1", "kind": "PodList", "metadata": {"resourceVersion": "99"}, "items": pods}
    write(tmp_path, json.dumps(value).encode(), name="pods.json")
    assert [json.loads(f.object) for f in read(tmp_path) if f.type == "LIST"] == [{"metadata": {"resourceVersion": ""}}]


def test_a_recording_in_a_folder_keeps_its_times(tmp_path: Path) -> None:
    write(tmp_path, record(), name="a.jsonl")
    assert [f.received for f in read(tmp_path)] == [parse_time("2026-11-22T10:00:00.000001Z")]


def test_links_and_pipes_in_a_folder_are_not_followed(tmp_path: Path) -> None:
    write(tmp_path, json.dumps(pod("a")).encode(), name="a.json")
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "loop").symlink_to(tmp_path)
    (tmp_path / "zero.json").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "pipe.json")
    assert names(tmp_path) == [("LISTED", "a")]


def test_a_damaged_file_in_a_folder_is_an_error_and_the_others_can_be_read(tmp_path: Path) -> None:
    write(tmp_path, json.dumps(pod("a")).encode()[:-5], name="a.json")
    write(tmp_path, json.dumps(pod("b")).encode(), name="b.json")
    _, error = read_until_error(str(tmp_path))
    assert error is not None
    assert error.source == str(tmp_path / "a.json")
    frames, skipped = read_skipping([str(tmp_path)])
    assert [f.head.name for f in frames if f.head] == ["b"]
    assert len(skipped) == 1


def test_objects_in_a_folder_that_no_api_server_sent_are_passed_over(tmp_path: Path) -> None:
    """What troubleshoot and its legacy discovery write beside the objects, and a manifest."""
    (tmp_path / "version.yaml").write_text(
        "apiVersion: troubleshoot.sh/v1beta2\nkind: SupportBundle\nspec:\n  versionNumber: 0.121.3\n"
    )
    discovered = [{"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "apps/v1", "resources": []}]
    (tmp_path / "resources.json").write_text(json.dumps(discovered, indent=2))
    metrics = {"metadata": {"name": "node-1"}, "usage": {"cpu": "5m"}}
    metrics_list = {"kind": "NodeMetricsList", "apiVersion": "metrics.k8s.io/v1beta1", "items": [metrics]}
    (tmp_path / "top.json").write_text(json.dumps(metrics_list))
    (tmp_path / "manifest.yaml").write_text("apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n")
    (tmp_path / "pods.json").write_text(json.dumps([pod("a")]))
    assert names(tmp_path) == [("LISTED", "a")]
    _, error = read_until_error(str(tmp_path / "version.yaml"))
    assert error is not None
    assert error.problem == "the object has no metadata.uid ('SupportBundle')"


ODD = {
    "broken.json": '{"kind": "Pod", ',
    "templates/values.yaml": "a: {{ .Values.a }}\n",
    "anchors.yaml": "a: &x [1]\nb: *x\n",
    "log.jsonl": '{"resource": "x", "level": "info"}\n' * 3,
    "forbidden.json": '{"kind": "Status", "apiVersion": "v1", "message": "pods is forbidden"}',
}


def test_an_odd_file_in_a_folder_is_reported_once_by_its_name_and_the_others_are_read(tmp_path: Path) -> None:
    dump(tmp_path)
    expected = sorted(names(tmp_path))
    for name, text in ODD.items():
        path = tmp_path / "shop" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    reported: list[InputError] = []
    frames = list(read_frames([str(tmp_path)], on_skip=reported.append))
    assert sorted((f.type.value, f.head.name) for f in frames if f.head is not None) == expected
    assert sorted(error.source for error in reported) == sorted(str(tmp_path / "shop" / name) for name in ODD)


def test_a_recording_that_is_given_by_name_still_ends_at_an_invalid_line(tmp_path: Path) -> None:
    path = write(tmp_path, record(), b"{oops", record())
    with pytest.raises(InputError, match=":2: "):
        list(read_frames([path], on_skip=lambda _: None))


def test_a_folder_below_that_cannot_be_read_is_reported_and_its_siblings_are_read() -> None:
    with shared_folder() as folder:
        write(folder, json.dumps(pod("a")).encode(), name="a.json")
        closed = folder / "closed"
        closed.mkdir(mode=0)
        reported: list[InputError] = []
        with unprivileged():
            frames = list(read_frames([str(folder)], on_skip=reported.append))
        closed.chmod(0o700)
    assert [f.head.name for f in frames if f.head] == ["a"]
    assert [error.source for error in reported] == [str(closed)]


def test_a_packed_bundle_is_named_as_what_it_is(tmp_path: Path) -> None:
    write(tmp_path, json.dumps(pod("a")).encode(), name="a.json")
    bundle = tmp_path / "bundle.tar.gz"
    with tarfile.open(bundle, "w:gz") as archive:
        archive.add(tmp_path / "a.json", "a.json")
    _, error = read_until_error(str(bundle))
    assert error is not None
    assert error.problem == "is a tar archive: unpack it and give the folder"
    assert names(tmp_path) == [("LISTED", "a")]


def test_a_folder_without_objects_is_an_error(tmp_path: Path) -> None:
    write(tmp_path, b"{}", name="version.json")
    _, error = read_until_error(str(tmp_path))
    assert error is not None
    assert "has no file with Kubernetes objects" in error.problem


def test_a_folder_with_too_many_files_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_module, "MAX_FILES", 3)
    for number in range(4):
        write(tmp_path, b"", name=str(number))
    _, error = read_until_error(str(tmp_path))
    assert error is not None
    assert "more than 3 files" in error.problem


def test_folders_can_be_nested_deeply(tmp_path: Path) -> None:
    place = tmp_path
    for _ in range(400):
        place = place / "d"
        place.mkdir()
    write(place, json.dumps(pod("a")).encode(), name="a.json")
    assert names(tmp_path) == [("LISTED", "a")]


# other programs ------------------------------------------------------------------------------------------------------

EXPORTED = {"metadata": {"name": "e"}, "reason": "Started", "message": "m", "involvedObject": {}, "clusterName": "c"}


@pytest.mark.parametrize(
    "value, words",
    [
        ({"kind": "Event", "apiVersion": "audit.k8s.io/v1", "auditID": "x", "stage": "ResponseComplete"}, "audit log"),
        ({"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "items": []}, "audit log"),
        ({"resourceSpans": []}, "OTLP JSON"),
        ({"resourceLogs": []}, "OTLP JSON"),
        (EXPORTED, "kubernetes-event-exporter"),
        ({"verb": "ADDED", "event": {"kind": "Event"}, "old_event": None}, "eventrouter"),
        ({"data": [{"traceID": "t", "spans": [], "processes": {}}], "total": 0}, "Jaeger"),
        ([{"traceId": "t", "id": "s", "localEndpoint": {}}], "Zipkin"),
    ],
    ids=str,
)
def test_the_output_of_another_program_is_named_and_the_next_file_is_read(
    value: Any, words: str, tmp_path: Path
) -> None:
    objects = write(tmp_path, json.dumps(pod("a")).encode(), name="pod")
    for number, text in enumerate((json.dumps(value), json.dumps(value, indent=2))):
        path = write(tmp_path, text.encode(), name=f"other-{number}")
        frames, error = read_until_error(path)
        assert frames == []
        assert error is not None
        assert words in error.problem
        assert "\n" not in str(error)
        assert [f.head.name for f in read_skipping([path, objects])[0] if f.head] == ["a"]
