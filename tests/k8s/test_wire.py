"""Decoding of watch lines, heads of objects and errors."""

import json
from typing import Any

import msgspec
import pytest

from kspan.k8s.resources import DEFAULT, WatchTarget
from kspan.k8s.wire import read_head, read_status, read_watch_line, read_watched_object

WIDGETS = WatchTarget("example.com/v1/widgets", "Widget", True, False)
SECRETS = WatchTarget("v1/secrets", "Secret", True, True)
EVENTS = next(target for target in DEFAULT if target.resource == "v1/events")
PODS = next(target for target in DEFAULT if target.resource == "v1/pods")

IDENTITY = {"uid": "u", "resourceVersion": "5", "namespace": "shop", "name": "n"}


def raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(json.dumps(value).encode())


def test_a_head_has_the_identity_and_the_version_of_its_object() -> None:
    head, _ = read_watched_object(PODS, raw({"kind": "Pod", "apiVersion": "v1", "metadata": IDENTITY}))
    assert (head.uid, head.resource_version, head.namespace, head.name) == ("u", "5", "shop", "n")
    assert (head.api_version, head.kind) == ("v1", "Pod")


def test_a_head_references_the_owners_or_the_object_that_an_event_is_about() -> None:
    owners = [{"apiVersion": "example.com/v1", "kind": "Widget", "name": "w", "uid": "u"}]
    head, _ = read_watched_object(PODS, raw({"metadata": IDENTITY | {"ownerReferences": owners}}))
    assert head.references == (("example.com/v1", "Widget"),)
    event = raw({"metadata": IDENTITY, "involvedObject": {"kind": "Node", "apiVersion": ""}})
    assert read_watched_object(EVENTS, event)[0].references == (("", "Node"),)
    assert read_watched_object(PODS, event)[0].references == ()


def test_an_object_of_a_file_needs_no_version_and_its_references_are_not_read() -> None:
    head = read_head("v1/pods", json.dumps({"metadata": {"uid": "u", "ownerReferences": "nonsense"}}).encode())
    assert (head.uid, head.resource_version, head.kind, head.references) == ("u", "", "Pod", ())


@pytest.mark.parametrize(
    "value, problem",
    [
        ([], "is a list, not an object"),
        (5, "is a number, not an object"),
        (None, "is null, not an object"),
        ({}, "has no metadata.uid"),
        ({"metadata": {}}, "has no metadata.uid"),
        ({"kind": "Thing", "metadata": {"uid": "", "name": "w"}}, r"has no metadata.uid \('(Thing|Secret) w'\)"),
        ({"metadata": {"uid": "u"}}, "has no metadata.resourceVersion"),
        ({"metadata": {"uid": 5}}, "has a number for its metadata.uid, not a string"),
    ],
)
def test_an_invalid_object_is_an_error_that_states_what_is_missing(value: Any, problem: str) -> None:
    for target in (WIDGETS, SECRETS, EVENTS):
        with pytest.raises(ValueError, match=f"^the object {problem}"):
            read_watched_object(target, raw(value))


def test_only_the_metadata_of_a_secret_is_kept_whatever_the_server_sent() -> None:
    annotations = {"kubectl.kubernetes.io/last-applied-configuration": '{"data":{"k":"aHVudGVyMg=="}}', "a": "b"}
    metadata = {"uid": "u", "resourceVersion": "5", "name": "s", "annotations": annotations}
    for kind in ("Secret", "PartialObjectMetadata"):
        sent = {"kind": kind, "apiVersion": "x", "metadata": metadata, "data": {"k": "aHVudGVyMg=="}}
        head, text = read_watched_object(SECRETS, raw(sent))
        expected = {**metadata, "annotations": {"a": "b"}}
        assert json.loads(text) == {"kind": "Secret", "apiVersion": "v1", "metadata": expected}
        assert (head.kind, head.api_version) == ("Secret", "v1")


def test_a_list_item_of_a_custom_resource_without_a_kind_gets_one() -> None:
    bare = {"metadata": {"uid": "u", "resourceVersion": "5"}, "spec": {"a": 1}}
    head, text = read_watched_object(WIDGETS, raw(bare))
    assert json.loads(text) == {"kind": "Widget", "apiVersion": "example.com/v1", **bare}
    assert (head.kind, head.api_version) == ("Widget", "example.com/v1")
    head, text = read_watched_object(PODS, raw(bare))
    assert text == bytes(raw(bare))
    assert (head.kind, head.api_version) == ("Pod", "v1")


# watch lines -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        b'{"type":"MODIFIED","object":OBJECT}',
        b'{"type":"MODIFIED","object":OBJECT} ',
        b'{ "type": "MODIFIED", "object": OBJECT }',
        b'{"object":OBJECT,"type":"MODIFIED"}',
        b'{"type":"MODIFIED","object":OBJECT,"more":{"a":1}}',
        b'{"type":"MODIFIED","object":{"metadata":{"uid":"another"}},"object":OBJECT}',
    ],
)
def test_a_watch_line_is_decoded_whatever_its_form(line: bytes) -> None:
    text = json.dumps({"kind": "Pod", "metadata": IDENTITY}).encode()
    event = read_watch_line(PODS, line.replace(b"OBJECT", text))
    assert (event.type, event.object, event.version) == ("MODIFIED", text, "5")
    assert event.head is not None
    assert event.head.name == "n"


def test_a_bookmark_has_a_version_and_an_error_has_a_status() -> None:
    bookmark = read_watch_line(PODS, b'{"type":"BOOKMARK","object":{"kind":"Pod","metadata":{"resourceVersion":"9"}}}')
    assert (bookmark.type, bookmark.version, bookmark.head) == ("BOOKMARK", "9", None)
    error = read_watch_line(PODS, b'{"type":"ERROR","object":{"kind":"Status","code":410}}')
    assert (error.type, error.object, error.version) == ("ERROR", b'{"kind":"Status","code":410}', "")


@pytest.mark.parametrize(
    "line, problem",
    [
        (b"{", "the line is not valid JSON"),
        (b"[]", "the line is a list, not an object"),
        (b'{"type":"ADDED"}', "the line has no object"),
        (b'{"type":5,"object":{}}', "the line has a number for its type, not a string"),
        (b'{"type":"A\xff"}', "the line is not UTF-8 text"),
        (b"x" * 99, "the line is not valid JSON"),
        (b'{"type":"ADDED","object":{"metadata":}}', "the line is not valid JSON"),
        (b'{"type":"ADDED","object":{"metadata":{"uid":"u"}}', "the line is not valid JSON: it ends in the middle"),
        (b'{"type":"ADDED","object":[]}', "the object is a list, not an object"),
        (b'{"type":"ADDED","object":{}}', "the object has no metadata.uid"),
        (b'{"type":"GREETING","object":{}}', "the line has an unknown type 'GREETING'"),
        (b'{"type":"BOOKMARK","object":{}}', "the bookmark has no metadata"),
    ],
)
def test_an_invalid_watch_line_is_an_error_that_states_why(line: bytes, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        read_watch_line(PODS, line)


@pytest.mark.parametrize(
    "value, gone",
    [
        ({"code": 410, "reason": "Expired"}, True),
        ({"code": 410, "reason": "Gone"}, True),
        ({"reason": "Expired"}, True),
        ({"code": 500, "reason": "InternalError"}, False),
        ([], False),
    ],
)
def test_a_status_is_gone_in_every_wording_of_410(value: Any, gone: bool) -> None:
    assert read_status(raw(value)).gone is gone
