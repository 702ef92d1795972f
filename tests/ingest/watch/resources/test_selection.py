"""Names of resources, and what of an object is delivered."""

import json
from typing import Any

import msgspec
import pytest

from kspan.errors import SettingsError
from kspan.ingest.watch.client.line_splitter import LONGEST, LineSplitter
from kspan.ingest.watch.resources.selection import Selection, WatchName, find, parse_watch
from kspan.k8s.resources import DEFAULT, ServerResource, WatchTarget, accepts, is_followed
from kspan.k8s.wire import read_head, read_line, read_object, read_status


def resource(group: str, version: str, name: str, kind: str, *words: str, namespaced: bool = True) -> ServerResource:
    every = frozenset({name, kind.lower(), *words})
    return ServerResource(group, version, name, kind, namespaced, watchable=True, words=every)


SERVED = [
    resource("", "v1", "pods", "Pod", "po"),
    resource("", "v1", "events", "Event", "ev"),
    resource("", "v1", "secrets", "Secret"),
    resource("apps", "v1", "deployments", "Deployment", "deploy"),
    resource("events.k8s.io", "v1", "events", "Event", "ev"),
    resource("example.com", "v1", "widgets", "Widget", "wd"),
    resource("other.example.com", "v1", "widgets", "Widget"),
    resource("example.com", "v1", "deployments", "Deployment"),
]


@pytest.mark.parametrize(
    "text, wanted",
    [
        ("pods", WatchName("pods")),
        ("Deploy", WatchName("deploy")),
        ("deployments.apps", WatchName("deployments", "apps")),
        ("deployments.v1.apps", WatchName("deployments", "apps", "v1")),
        ("widgets.example.com", WatchName("widgets", "example.com")),
        ("widgets.v1beta1.example.com", WatchName("widgets", "example.com", "v1beta1")),
        ("v1/pods", WatchName("pods", "", "v1")),
        ("apps/v1/deployments", WatchName("deployments", "apps", "v1")),
    ],
)
def test_names_are_those_that_kubectl_takes(text: str, wanted: WatchName) -> None:
    assert parse_watch(text) == wanted


@pytest.mark.parametrize("text", ["", "po ds", "a/b", "a/b/c/d", "pods.", "/pods", "p*", "../pods"])
def test_a_name_that_is_none_is_said_to_be(text: str) -> None:
    with pytest.raises(SettingsError, match="--watch"):
        parse_watch(text)


@pytest.mark.parametrize(
    "text, found",
    [
        ("po", "v1/pods"),
        ("pod", "v1/pods"),
        ("deploy", "apps/v1/deployments"),
        ("deployments", "apps/v1/deployments"),
        ("deployments.example.com", "example.com/v1/deployments"),
        ("widgets", "example.com/v1/widgets"),
        ("widgets.other.example.com", "other.example.com/v1/widgets"),
        ("events", "v1/events"),
        ("events.events.k8s.io", "v1/events"),
    ],
)
def test_a_name_finds_what_kubectl_would_find(text: str, found: str) -> None:
    served = find(parse_watch(text), SERVED)
    assert served is not None
    assert served.target().resource == found


def test_what_the_server_does_not_have_is_not_found() -> None:
    assert find(parse_watch("gadgets"), SERVED) is None
    assert find(parse_watch("pods.apps"), SERVED) is None


def test_the_default_is_in_full_and_accepted_by_the_journal() -> None:
    assert all(accepts(target.resource) and target.kind and not target.metadata_only for target in DEFAULT)


def test_watch_replaces_the_default_and_all_kinds_brings_it_back() -> None:
    assert Selection().defaults() == DEFAULT
    assert Selection(watch=("pods",)).defaults() == ()
    assert Selection(watch=("pods",), all_kinds=True).defaults() == DEFAULT


def test_namespaces_limit_only_what_is_in_namespaces() -> None:
    selection = Selection(namespaces=("a", "b"))
    scopes = {target.resource: selection.scopes(target) for target in DEFAULT}
    assert scopes["v1/pods"] == ("a", "b")
    assert scopes["v1/nodes"] == ("",)


def test_custom_resources_are_taken_in_full_and_other_named_kinds_as_metadata() -> None:
    assert not resource("example.com", "v1", "widgets", "Widget").target().metadata_only
    assert resource("", "v1", "secrets", "Secret").target().metadata_only
    assert resource("", "v1", "configmaps", "ConfigMap").target().metadata_only
    assert resource("networking.k8s.io", "v1", "ingresses", "Ingress").target().metadata_only


def test_heartbeats_and_the_second_view_of_events_are_not_followed() -> None:
    assert not is_followed(resource("coordination.k8s.io", "v1", "leases", "Lease"))
    assert not is_followed(resource("events.k8s.io", "v1", "events", "Event"))
    assert is_followed(resource("", "v1", "services", "Service"))


def test_paths_are_those_of_the_api() -> None:
    assert WatchTarget("v1/pods", "Pod", True, False).path() == "/api/v1/pods"
    assert WatchTarget("v1/pods", "Pod", True, False).path("a") == "/api/v1/namespaces/a/pods"
    assert (
        WatchTarget("apps/v1/deployments", "Deployment", True, False).path("a")
        == "/apis/apps/v1/namespaces/a/deployments"
    )


# objects -------------------------------------------------------------------------------------------------------------

WIDGETS = WatchTarget("example.com/v1/widgets", "Widget", True, False)
SECRETS = WatchTarget("v1/secrets", "Secret", True, True)


def raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(json.dumps(value).encode())


def test_owners_are_named_and_what_an_event_is_about() -> None:
    owners = [{"apiVersion": "example.com/v1", "kind": "Widget", "name": "w", "uid": "u"}]
    owned = raw({"metadata": {"uid": "u", "resourceVersion": "5", "ownerReferences": owners}})
    assert read_head("v1/pods", owned).named == (("example.com/v1", "Widget"),)
    event = {"metadata": {"uid": "u", "resourceVersion": "5"}, "involvedObject": {"kind": "Node", "apiVersion": ""}}
    assert read_head("v1/events", raw(event)).named == (("", "Node"),)
    assert read_head("v1/pods", raw(event)).named == ()


@pytest.mark.parametrize(
    "value",
    [[], 5, {}, {"metadata": {}}, {"metadata": {"uid": "", "resourceVersion": "1"}}, {"metadata": {"uid": "u"}}, None],
)
def test_what_is_no_object_is_said_to_be_none(value: Any) -> None:
    with pytest.raises(ValueError, match="the object"):
        read_object(WIDGETS, raw(value))


@pytest.mark.parametrize(
    "line", [b"{", b"[]", b'{"type":"ADDED"}', b'{"type":5,"object":{}}', b'{"type":"A\xff"}', b"x" * 99]
)
def test_what_is_no_line_of_a_watch_is_said_to_be_none(line: bytes) -> None:
    with pytest.raises(ValueError, match="the line"):
        read_line(line)


def test_of_a_secret_nothing_but_metadata_is_left_whatever_was_sent() -> None:
    annotations = {"kubectl.kubernetes.io/last-applied-configuration": '{"data":{"k":"aHVudGVyMg=="}}', "a": "b"}
    metadata = {"uid": "u", "resourceVersion": "5", "name": "s", "annotations": annotations}
    for kind in ("Secret", "PartialObjectMetadata"):
        sent = {"kind": kind, "apiVersion": "x", "metadata": metadata, "data": {"k": "aHVudGVyMg=="}}
        _, text = read_object(SECRETS, raw(sent))
        expected = {**metadata, "annotations": {"a": "b"}}
        assert json.loads(text) == {"kind": "Secret", "apiVersion": "v1", "metadata": expected}


def test_an_item_of_a_list_that_does_not_say_its_kind_is_given_it() -> None:
    bare = {"metadata": {"uid": "u", "resourceVersion": "5"}, "spec": {"a": 1}}
    _, text = read_object(WIDGETS, raw(bare))
    assert json.loads(text) == {"kind": "Widget", "apiVersion": "example.com/v1", **bare}
    assert read_object(DEFAULT[0], raw(bare))[1] == bytes(raw(bare))


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
def test_every_wording_of_410_is_known(value: Any, gone: bool) -> None:
    assert read_status(raw(value)).gone is gone


# lines ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_lines_are_the_same_however_they_are_cut(size: int) -> None:
    text = b"one\n\ntwo three\n" + b"x" * 50 + b"\nlast\n"
    splitter = LineSplitter()
    lines = [line for at in range(0, len(text), size) for line in splitter.feed(text[at : at + size])]
    assert lines == text.split(b"\n")[:-1]
    assert not splitter.torn


def test_a_line_without_its_end_is_torn() -> None:
    splitter = LineSplitter()
    assert splitter.feed(b"one\ntw") == [b"one"]
    assert splitter.torn
    assert splitter.feed(b"o\n") == [b"two"]
    assert not splitter.torn


def test_a_line_without_any_end_is_given_up() -> None:
    splitter = LineSplitter()
    chunk = b"x" * LONGEST
    assert splitter.feed(chunk) == []
    with pytest.raises(ValueError, match="64 MiB"):
        splitter.feed(b"x")
