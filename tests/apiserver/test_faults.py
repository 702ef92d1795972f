"""Everything that can be made to go wrong, as the official client sees it."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import urllib3

from tests.apiserver import (
    ApiServer,
    BadLine,
    Break,
    EmptyWatch,
    ErrorFrame,
    Gone,
    HugeLine,
    OffSchema,
    Refuse,
    Slow,
    Stall,
)
from tests.apiserver.client import Client
from tests.apiserver.polling import wait_until

Pod = Callable[..., dict[str, Any]]

PODS = "/api/v1/pods"
NODES = "/api/v1/nodes"


def test_a_fault_applies_to_its_resource_and_verb_and_as_often_as_requested(server: ApiServer, client: Client) -> None:
    injection = server.faults.add(Refuse(503), resource="v1/pods", verb="list", times=2)
    assert client.call(NODES).status == 200
    assert client.call("/api/v1/namespaces/a/pods/b").status == 404
    assert [client.call(PODS).status for _ in range(3)] == [503, 503, 200]
    assert injection.hits == 2


def test_a_fault_lasts_until_it_is_cleared(server: ApiServer, client: Client) -> None:
    with server.faults.add(Refuse(500)):
        assert [client.call(path).status for path in (PODS, NODES, "/apis")] == [500, 500, 500]
    assert client.call(PODS).status == 200


def test_the_wording_of_a_410_depends_on_the_request(server: ApiServer, client: Client, pod: Pod) -> None:
    for name in "abc":
        server.put("v1/pods", pod(name))
    token = client.call(PODS, limit=1).body["metadata"]["continue"]
    with server.faults.add(Gone(), resource="v1/pods"):
        listed = client.call(PODS)
        page = client.call(PODS, **{"limit": 1, "continue": token})
        watched = client.call(PODS, watch="true", resourceVersion=7)
    assert {answer.status for answer in (listed, page, watched)} == {410}
    assert listed.body["message"] == "The resourceVersion for the provided list is too old."
    assert page.body["metadata"]["continue"]
    assert watched.body["message"] == "too old resource version: 7 (8)"


def test_429_has_a_retry_after(server: ApiServer, client: Client) -> None:
    server.faults.add(Refuse(429, retry_after=3), times=1)
    answer = client.call(PODS)
    assert (answer.status, answer.headers["retry-after"]) == (429, "3")
    assert answer.text == "Too many requests, please try again later.\n"


def test_expired_credentials_are_a_401_until_the_fault_is_cleared(server: ApiServer, client: Client) -> None:
    with server.faults.add(Refuse(401)):
        assert client.call(PODS).body["message"] == "Unauthorized"
    assert client.call(PODS).status == 200


@pytest.mark.parametrize("code", [410, 500])
def test_an_error_frame_ends_an_open_watch(server: ApiServer, client: Client, pod: Pod, code: int) -> None:
    version = client.call(PODS).version
    with client.watch(PODS, resourceVersion=version) as stream:
        wait_until(lambda: server.open_watches("v1/pods") == 1)
        server.faults.add(ErrorFrame(code), resource="v1/pods", times=1)
        (event,) = stream.rest()
    assert event[0] == "ERROR"
    assert event[1]["code"] == code
    with client.watch(PODS, resourceVersion=version, timeoutSeconds=1) as stream:
        assert stream.rest() == []


def test_an_error_frame_can_come_after_some_lines(server: ApiServer, client: Client, pod: Pod) -> None:
    version = client.call(PODS).version
    server.faults.add(ErrorFrame(410, after=2), resource="v1/pods", times=1)
    for name in "abc":
        server.put("v1/pods", pod(name))
    with client.watch(PODS, resourceVersion=version) as stream:
        assert [kind for kind, _ in stream.rest()] == ["ADDED", "ADDED", "ERROR"]


@pytest.mark.parametrize("reset", [True, False])
def test_a_broken_connection_leaves_half_a_line(server: ApiServer, client: Client, pod: Pod, reset: bool) -> None:
    server.faults.add(Break(after=1, reset=reset), resource="v1/pods", times=1)
    server.put("v1/pods", pod("a"))
    with client.watch(PODS, resourceVersion="0") as stream:
        assert stream.summary(1) == [("ADDED", "a")]
        with pytest.raises(urllib3.exceptions.ProtocolError):
            stream.line()
        assert stream.torn.startswith(b'{"type":"MODIFIED"')
        with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
            json.loads(stream.torn)


def test_a_list_can_break_in_the_middle(server: ApiServer, client: Client, pod: Pod) -> None:
    server.put("v1/pods", pod("a", filler="x" * 9000))
    server.faults.add(Break(), resource="v1/pods", verb="list", times=1)
    with pytest.raises(urllib3.exceptions.ProtocolError):
        client.call(PODS)
    assert client.call(PODS).names == ["a"]


def test_an_empty_watch_ends_at_once_and_cleanly(server: ApiServer, client: Client) -> None:
    server.faults.add(EmptyWatch(), resource="v1/pods", times=2)
    for _ in range(2):
        with client.watch(PODS, resourceVersion="2") as stream:
            assert stream.rest() == []
    assert server.requests_seen("v1/pods", "watch") == 2


def test_a_stalled_watch_sends_nothing_until_the_fault_is_cleared(server: ApiServer, client: Client, pod: Pod) -> None:
    stall = server.faults.add(Stall(after=1), resource="v1/pods", times=1)
    for name in "ab":
        server.put("v1/pods", pod(name))
    with client.watch(PODS, resourceVersion="1") as stream:
        assert stream.summary(1) == [("ADDED", "a")]
        wait_until(lambda: stall.hits == 1)
        assert server.open_watches("v1/pods") == 1
        stall.lift()
        assert stream.summary(1) == [("ADDED", "b")]


def test_a_slow_watch_sends_a_few_bytes_at_a_time(server: ApiServer, client: Client, pod: Pod) -> None:
    server.faults.add(Slow(bytes_per_second=4000), resource="v1/pods", times=1)
    server.put("v1/pods", pod("a", filler="x" * 2000))
    began = time.monotonic()
    with client.watch(PODS, resourceVersion="1") as stream:
        assert stream.summary(1) == [("ADDED", "a")]
    assert time.monotonic() - began > 0.3


def test_an_invalid_line_is_sent_between_valid_ones(server: ApiServer, client: Client, pod: Pod) -> None:
    server.faults.add(BadLine(after=1), resource="v1/pods", times=1)
    for name in "ab":
        server.put("v1/pods", pod(name))
    with client.watch(PODS, resourceVersion="1") as stream:
        assert stream.summary(1) == [("ADDED", "a")]
        line = stream.line() or b""
        with pytest.raises(ValueError, match="Expecting"):
            json.loads(line)
        assert stream.summary(1) == [("ADDED", "b")]


@pytest.mark.parametrize("verb", ["watch", "list"])
def test_a_huge_line_is_ten_megabytes_of_valid_json(server: ApiServer, client: Client, pod: Pod, verb: str) -> None:
    server.faults.add(HugeLine(), resource="v1/pods", verb=verb, times=1)
    server.put("v1/pods", pod("a"))
    if verb == "watch":
        with client.watch(PODS, resourceVersion="1") as stream:
            _, obj = stream.next()
    else:
        (obj,) = client.call(PODS).body["items"]
    assert len(obj["metadata"]["annotations"]["padding"]) == 10_000_000


@pytest.mark.parametrize("verb", ["watch", "list"])
def test_an_object_off_the_schema_has_strings_for_numbers(
    server: ApiServer, client: Client, pod: Pod, verb: str
) -> None:
    server.faults.add(OffSchema(), resource="v1/pods", verb=verb, times=1)
    version = server.put("v1/pods", pod("a", priority=3, flag=True))
    if verb == "watch":
        with client.watch(PODS, resourceVersion="1") as stream:
            _, obj = stream.next()
    else:
        (obj,) = client.call(PODS).body["items"]
    assert obj["spec"] == {"priority": "no 3", "flag": True}
    assert obj["metadata"]["generation"] == "three"
    assert obj["metadata"]["resourceVersion"] == version


def test_while_paused_nothing_is_delivered(server: ApiServer, client: Client, pod: Pod) -> None:
    server.bookmark_interval = 0.01
    with client.watch(PODS, resourceVersion="1", allowWatchBookmarks="true") as stream:
        stream.next()
        server.pause()
        server.put("v1/pods", pod("a"))
        assert client.call(PODS).names == ["a"]
        server.resume()
        events = iter(stream.next, None)
        assert next(kind for kind, _ in events if kind != "BOOKMARK") == "ADDED"


def test_a_stopped_server_refuses_connections_and_resumes_with_its_state(
    server: ApiServer, client: Client, pod: Pod, tmp_path: Path
) -> None:
    version, url = server.put("v1/pods", pod("a")), server.url
    with client.watch(PODS, resourceVersion=version) as stream:
        wait_until(lambda: server.open_watches() == 1)
        server.stop()
        with pytest.raises(urllib3.exceptions.ProtocolError):
            stream.line()
    with pytest.raises(urllib3.exceptions.HTTPError):
        client.call(PODS)
    server.put("v1/pods", pod("b"))
    server.start()
    assert server.url == url
    with client.watch(PODS, resourceVersion=version) as stream:
        assert stream.summary(1) == [("ADDED", "b")]
        server.put("v1/pods", pod("c"))
        assert stream.summary(1) == [("ADDED", "c")]
