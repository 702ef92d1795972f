"""Capture files of the Go kspan, and the output of kubectl."""

import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from kspan.ingest import Frame
from kspan.times import parse_time
from tests.ingest.files.reading import (
    CAPTURE,
    INPUTS,
    KUBECTL_JSON,
    KUBECTL_YAML,
    POD,
    read,
    read_skipping,
    read_until_error,
    write,
)


def objects(frames: list[Frame]) -> list[Any]:
    return [json.loads(frame.object) for frame in frames]


def test_a_capture_file_contains_events_and_the_objects_they_reference() -> None:
    frames = read(CAPTURE)
    assert [frame.type.value for frame in frames[:3]] == ["ADDED", "LISTED", "LISTED"]
    assert [frame.resource for frame in frames[:3]] == ["v1/events", "apps/v1/replicasets", "apps/v1/deployments"]
    assert [frame.line for frame in frames[:3]] == [1, 52, 163]
    assert len(frames) == CAPTURE.read_text().count('"style"')


def test_the_times_of_a_capture_file_are_exact_to_the_nanosecond() -> None:
    assert read(CAPTURE)[0].received == parse_time("2021-05-19T09:42:58.640117041Z") == 1621417378_640117041


def test_a_capture_file_reads_the_same_with_gzip(tmp_path: Path) -> None:
    path = tmp_path / "capture"
    path.write_bytes(gzip.compress(CAPTURE.read_bytes()))
    assert [(f.received, f.object) for f in read(path)] == [(f.received, f.object) for f in read(CAPTURE)]


def test_strings_that_look_like_other_types_stay_strings() -> None:
    deployment = objects(read(CAPTURE))[2]
    assert deployment["metadata"]["resourceVersion"] == "5361645"
    assert deployment["metadata"]["creationTimestamp"] == "2021-05-05T16:22:15Z"
    assert deployment["spec"]["replicas"] == 2
    assert deployment["spec"]["template"]["metadata"]["creationTimestamp"] is None
    assert deployment["status"]["conditions"][0]["status"] == "True"
    assert deployment["spec"]["template"]["spec"]["securityContext"] == {}


def captured(style: str, version: str, second: int) -> bytes:
    pod = {**POD, "metadata": {**POD["metadata"], "resourceVersion": version}}
    if style == "event":
        pod = {**pod, "kind": "Event"}
    header = json.dumps({"time": f"2026-11-22T10:00:{second:02}Z", "style": style, "kind": "Pod"})
    header = header.replace(", ", ",").replace(": ", ":")
    return f"---\n# {header}\n{yaml.safe_dump(pod)}".encode()


def test_an_object_that_was_fetched_again_is_modified_only_if_its_version_is_newer(tmp_path: Path) -> None:
    versions = ["9", "9", "10", "9"]
    path = write(tmp_path, *(captured("initial", version, at) for at, version in enumerate(versions)))
    assert [(f.type.value, f.received // 10**9 % 60) for f in read(path)] == [("LISTED", 0), ("MODIFIED", 2)]


def test_a_captured_event_with_a_known_uid_is_modified(tmp_path: Path) -> None:
    path = write(tmp_path, captured("event", "7", 1), captured("event", "8", 2))
    assert [frame.type.value for frame in read(path)] == ["ADDED", "MODIFIED"]


@pytest.mark.parametrize(
    "broken, words",
    [
        (b"---\nkind: Pod\n", "no heading comment"),
        (captured("initial", "9", 4).replace(b'"initial"', b'"final"'), "unknown style 'final'"),
        (captured("initial", "9", 4).replace(b"2026", b"20x6"), "the time in the heading comment is"),
        (captured("initial", "9", 4).replace(b'"style":"initial",', b""), "the heading comment has no style"),
        (captured("initial", "9", 4).replace(b"uid:", b"did:"), "has no metadata.uid"),
        (captured("initial", "9", 4).replace(b"kind: Pod", b"{kind: Pod"), "is not valid YAML"),
        (captured("initial", "9", 4).replace(b'"initial"', b'"event"'), "announces an event"),
    ],
)
def test_an_invalid_document_of_a_capture_file_can_be_skipped(broken: bytes, words: str, tmp_path: Path) -> None:
    path = write(tmp_path, captured("initial", "7", 1), broken, captured("initial", "8", 3))
    frames, error = read_until_error(path)
    assert len(frames) == 1
    assert error is not None
    assert re.search(words, error.problem), error.problem
    assert 10 < error.line < 25
    frames, skipped = read_skipping([path])
    assert [frame.type.value for frame in frames] == ["LISTED", "MODIFIED"]
    assert len(skipped) == 1


@pytest.mark.parametrize("path", [KUBECTL_JSON, KUBECTL_YAML])
def test_a_mixed_list_becomes_one_list_per_resource(path: Path) -> None:
    frames = read(path)
    assert [(frame.type.value, frame.resource) for frame in frames] == [
        ("LIST", "example.com/v1/widgets"),
        ("LISTED", "example.com/v1/widgets"),
        ("LIST", "apps/v1/deployments"),
        ("LISTED", "apps/v1/deployments"),
        ("LIST", "v1/pods"),
        ("LISTED", "v1/pods"),
        ("LISTED", "v1/pods"),
        ("LIST", "v1/events"),
        *[("LISTED", "v1/events")] * 4,
    ]
    # A List of kubectl has no version, because it may be incomplete.
    assert json.loads(frames[0].object) == {"metadata": {"resourceVersion": ""}}


def test_json_and_yaml_of_the_same_list_give_the_same_objects() -> None:
    assert objects(read(KUBECTL_JSON)) == objects(read(KUBECTL_YAML))


def test_a_list_is_received_at_the_newest_time_in_it() -> None:
    assert {frame.received for frame in read(KUBECTL_JSON)} == {parse_time("2026-11-22T10:43:29.863235Z")}


def test_the_line_of_an_item_is_its_first_line() -> None:
    for path in (KUBECTL_JSON, KUBECTL_YAML):
        lines = path.read_text().splitlines()
        for frame in read(path):
            assert re.match(r"        \{|- (apiVersion|action|count)", lines[frame.line - 1])


def test_events_of_the_second_api_are_converted_to_the_core_api() -> None:
    new, core = read(INPUTS / "events-k8s-io-list.json"), read(INPUTS / "events-core-list.json")
    assert [frame.resource for frame in new] == ["v1/events"] * 7
    assert objects(new) == objects(core)
    assert json.loads(new[1].object)["kind"] == "Event"


def test_a_single_object_is_a_list_of_one(tmp_path: Path) -> None:
    for text in (json.dumps(POD), json.dumps(POD, indent=4), yaml.safe_dump(POD)):
        frames = read(write(tmp_path, text.encode()))
        assert [frame.type.value for frame in frames] == ["LIST", "LISTED"]
        assert objects(frames)[1] == POD
        assert {frame.received for frame in frames} == {parse_time("2026-11-22T10:00:00Z")}


def test_several_documents_in_one_file_are_one_snapshot(tmp_path: Path) -> None:
    other = {**POD, "metadata": {**POD["metadata"], "uid": "other", "creationTimestamp": "2026-11-22T11:00:00Z"}}
    for parts in (
        [json.dumps(POD, indent=4).encode(), json.dumps(other, indent=4).encode()],
        [json.dumps(POD).encode(), json.dumps(other).encode()],
        [yaml.safe_dump(POD).encode(), b"---\n" + yaml.safe_dump(other).encode()],
    ):
        frames = read(write(tmp_path, *parts))
        assert [frame.type.value for frame in frames] == ["LIST", "LISTED", "LISTED"]
        assert {frame.received for frame in frames} == {parse_time("2026-11-22T11:00:00Z")}


def test_items_without_a_kind_take_it_from_their_list(tmp_path: Path) -> None:
    bare, elsewhere = {"metadata": POD["metadata"]}, {"metadata": {**POD["metadata"], "namespace": "other"}}
    pods = {"kind": "PodList", "apiVersion": "v1", "metadata": {"resourceVersion": "99"}, "items": [bare, elsewhere]}
    for text in (json.dumps(pods), yaml.safe_dump(json.loads(json.dumps(pods)))):
        frames = read(write(tmp_path, text.encode()))
        assert [frame.resource for frame in frames] == ["v1/pods"] * 3
        assert objects(frames) == [{"metadata": {"resourceVersion": "99"}}, POD, {**POD, **elsewhere}]


def test_an_empty_list_has_no_frames(tmp_path: Path) -> None:
    for text in (b'{"apiVersion":"v1","items":[],"kind":"List"}', b"apiVersion: v1\nitems: []\nkind: List\n"):
        assert read(write(tmp_path, text)) == []


@pytest.mark.parametrize(
    "kind, api_version, resource",
    [
        ("Ingress", "networking.k8s.io/v1", "networking.k8s.io/v1/ingresses"),
        ("NetworkPolicy", "networking.k8s.io/v1", "networking.k8s.io/v1/networkpolicies"),
        ("Endpoints", "v1", "v1/endpoints"),
        ("Gateway", "gateway.networking.k8s.io/v1", "gateway.networking.k8s.io/v1/gateways"),
        ("StorageClass", "storage.k8s.io/v1", "storage.k8s.io/v1/storageclasses"),
        ("Switch", "example.com/v1", "example.com/v1/switches"),
        ("Box", "example.com/v1", "example.com/v1/boxes"),
        ("Deployment", None, "apps/v1/deployments"),
    ],
)
def test_the_resource_follows_from_the_kind(kind: str, api_version: str | None, resource: str, tmp_path: Path) -> None:
    thing = {**POD, "kind": kind, "apiVersion": api_version}
    assert read(write(tmp_path, json.dumps(thing).encode()))[0].resource == resource


def listed(*items: Any) -> bytes:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": items}, indent=2).encode()


@pytest.mark.parametrize(
    "item, words",
    [
        ({**POD, "metadata": {"name": "a"}}, r"has no metadata.uid"),
        ("text", r"is a value, not a Kubernetes object"),
        ({"metadata": POD["metadata"]}, r"it has no kind"),
        ({**POD, "kind": "Widget", "apiVersion": None}, r"has no apiVersion"),
        ({**POD, "kind": "A b"}, r"invalid kind or apiVersion"),
        ({**POD, "kind": 5}, r"it has no kind"),
        ({**POD, "x": 2**70}, r"beyond 64 bits"),
        ({"kind": "Status", "apiVersion": "v1", "message": "forbidden"}, r"error from the API server: 'forbidden'"),
    ],
)
@pytest.mark.parametrize("form", ["json", "yaml"])
def test_an_invalid_item_is_an_error_with_its_line_and_can_be_skipped(
    item: Any, words: str, form: str, tmp_path: Path
) -> None:
    text = listed(POD, item, POD)
    if form == "yaml":
        text = yaml.safe_dump(json.loads(text)).encode()
    path = write(tmp_path, text)
    frames, error = read_until_error(path)
    assert error is not None
    if (form, words) != ("yaml", r"beyond 64 bits"):  # the parser finds it before there are any items
        assert len(frames) == 2
        assert len(read_skipping([path])[0]) == 3
    assert re.search(words, error.problem), error.problem
    assert error.line > 5


@pytest.mark.parametrize(
    "text, words, line",
    [
        (b'{\n  "kind": "Pod",\n  "apiVersion": v1\n}', r"is not valid JSON: Expecting value at column 17", 3),
        (b'{\n  "kind": "List",\n  "items": [', r"is not valid JSON: it ends in the middle", 4),
        (b'{\n"kind": "List", "items": {}\n}', r"not a list", 1),
        (b"[1, 2]", r"is a value, not a Kubernetes object|is a list, not an object", 1),
        (b'{\n"a": ' + b"[" * 100_000, r"nested", 1),
        (b'{\n"a": NaN}', r"NaN is not a number", 1),
        (b'{"apiVersion":"v1","kind":"Pod","metadata":{"uid":"u"}}', r"no object contains a time", 1),
        (b"hello world", r"unknown format: expected a recording", 1),
        (b"- a\n- b", r"unknown format: expected a recording", 1),
        (b"a: b: c", r"is not valid YAML", 1),
        (b"a: 1\nb: [1, 2\n", r"is not valid YAML", 3),
        (b"a: &x [1]\nb: [*x, *x]", r"anchors are not supported", 1),
        (b"a: 1\nb: *x", r"aliases are not supported", 2),
        (b"a: !!python/object/apply:os.system [ls]", r"tags such as 'tag:yaml.org,2002:python", 1),
        (b"a: 1\nb: 18446744073709551616", r"beyond 64 bits", 2),
        (b"a: 1e+999", r"beyond 64 bits", 1),
        (b"a: " + b"1" * 6000, r"beyond 64 bits", 1),
        (b"a: " + b"[" * 100_000, r"nested more than 256 levels", 1),
        (b"- " * 5_000 + b"a", r"nested more than 256 levels", 1),
        (b"? [a, b]\n: c", r"a key of a mapping is not a string", 1),
        (b'a: "\\uD800"', r"is not valid YAML|surrogate", 1),
        (b"a: 1\n...\nb: 2", r"another document begins without|is not valid YAML", 3),
        (b"# nothing\n---\n# here\n", r"contains only blank lines", 0),
    ],
)
def test_an_invalid_document_is_an_error_that_states_why(text: bytes, words: str, line: int, tmp_path: Path) -> None:
    frames, error = read_until_error(write(tmp_path, text))
    assert frames == []
    assert error is not None
    assert re.search(words, error.problem), error.problem
    assert error.line == line


def test_the_billion_laughs_attack_is_rejected(tmp_path: Path) -> None:
    laughs = [b"a0: &a0 [ha]"]
    laughs += [b"a%d: &a%d {<<: [%s]}" % (n, n, b", ".join([b"*a%d" % (n - 1)] * 9)) for n in range(1, 30)]
    _, error = read_until_error(write(tmp_path, *laughs))
    assert error is not None
    assert "anchors are not supported" in error.problem


def test_the_yaml_document_after_an_invalid_one_is_read(tmp_path: Path) -> None:
    pod = yaml.safe_dump(POD).encode()
    frames, skipped = read_skipping([write(tmp_path, pod, b"---\na: b: c\n---", pod)])
    assert [frame.type.value for frame in frames] == ["LIST", "LISTED", "LISTED"]
    assert len(skipped) == 1


def test_yaml_reads_the_same_without_the_c_library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bad = [
        write(tmp_path, text, name=str(n))
        for n, text in enumerate([b"\xc2\x80", b'a: "\\uD800"', b"a: *x", b"a: b: c"])
    ]
    fast = objects(read(KUBECTL_YAML)), objects(read(CAPTURE))
    monkeypatch.setattr("kspan.ingest.files.yaml_documents._LOADER", yaml.SafeLoader)
    assert (objects(read(KUBECTL_YAML)), objects(read(CAPTURE))) == fast
    assert all(read_until_error(path)[1] for path in bad)
