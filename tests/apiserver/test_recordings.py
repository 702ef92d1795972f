"""Recordings served: a watcher sees what the recorder saw; and the server as a process of its own."""

import gzip
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.apiserver import ApiServer
from tests.apiserver.client import Client
from tests.apiserver.polling import wait_until
from tests.apiserver.resources import api_path
from tests.limits import HANG_S

RECORDINGS = Path(__file__).parent.parent / "data" / "recordings"
RESTART = "19-apiserver-restart-event-ttl"
DELTAS = ("ADDED", "MODIFIED", "DELETED")


def recording(scenario: str) -> Path:
    return RECORDINGS / scenario / "recording.jsonl.gz"


def lines(scenario: str, resource: str) -> list[dict[str, Any]]:
    with gzip.open(recording(scenario), "rt", encoding="utf-8") as file:
        return [line for line in map(json.loads, file) if line["resource"] == resource]


def path_of(server: ApiServer, resource: str) -> str:
    found = server.storage.collection(resource).resource
    return f"{api_path(found)}/{found.plural}"


@pytest.mark.parametrize("scenario", sorted(path.name for path in RECORDINGS.iterdir()))
@pytest.mark.parametrize("resource", ["v1/pods", "v1/events", "apps/v1/deployments", "v1/nodes"])
def test_a_watch_delivers_the_recorded_changes(server: ApiServer, client: Client, scenario: str, resource: str) -> None:
    recorded = lines(scenario, resource)
    replay = server.serve_recording(recording(scenario), stepwise=True)
    listed = client.call(path_of(server, resource))
    assert listed.version == recorded[0]["object"]["metadata"]["resourceVersion"]
    second = [at for at, line in enumerate(recorded) if line["type"] == "LIST"][1:]
    first = recorded[: second[0]] if second else recorded
    items = [line["object"] for line in first if line["type"] == "LISTED"]
    assert listed.body["items"] == [
        {key: value for key, value in item.items() if key not in ("kind", "apiVersion")} for item in items
    ]
    replay.advance()
    expected = [(line["type"], line["object"]) for line in recorded if line["type"] in DELTAS]
    params = {"resourceVersion": listed.version, "allowWatchBookmarks": "true"}
    server.put(resource, {"metadata": {"name": "the-end"}})
    with client.watch(path_of(server, resource), **params) as stream:
        seen = [event for event in stream.until("the-end") if event[0] in DELTAS]
    if second:
        assert [event for event in seen if event in expected] == expected
    else:
        assert seen == expected


def test_the_differences_in_a_second_list_are_delivered_as_changes(server: ApiServer, client: Client) -> None:
    recorded = lines(RESTART, "v1/namespaces")
    replay = server.serve_recording(recording(RESTART), stepwise=True)
    replay.advance()
    state: dict[str, str] = {}
    for line in recorded:
        if line["type"] == "LIST":
            state = {}
        elif line["type"] in ("LISTED", "ADDED", "MODIFIED"):
            state[line["object"]["metadata"]["name"]] = line["object"]["metadata"]["resourceVersion"]
        elif line["type"] == "DELETED":
            del state[line["object"]["metadata"]["name"]]
    items = client.call("/api/v1/namespaces").body["items"]
    assert {item["metadata"]["name"]: item["metadata"]["resourceVersion"] for item in items} == state


def test_a_watch_from_a_list_in_the_middle_misses_nothing(server: ApiServer, client: Client) -> None:
    replay = server.serve_recording(recording("02-rolling-update"), stepwise=True)
    path = "/api/v1/pods"
    recorded = [line for line in lines("02-rolling-update", "v1/pods") if line["type"] in DELTAS]
    while not replay.finished:
        replay.advance(37)
        listed = client.call(path)
        state = {item["metadata"]["uid"]: item["metadata"]["resourceVersion"] for item in listed.body["items"]}
        with server.storage.lock:
            collection = server.storage.collection("v1/pods")
            delivered = len(collection.entries)
            assert collection.index_after(int(listed.version)) == collection.first + delivered
        assert all(int(version) <= int(listed.version) for version in state.values())
    with server.storage.lock:
        changes = [entry for entry in collection.entries if entry.type in DELTAS]
    assert len(changes) == len(recorded)


def test_the_history_of_a_recording_can_be_compacted(server: ApiServer, client: Client) -> None:
    replay = server.serve_recording(recording("02-rolling-update"), stepwise=True)
    old = client.call("/api/v1/pods").version
    replay.advance(300)
    server.compact()
    with client.watch("/api/v1/pods", resourceVersion=old) as stream:
        assert stream.rest()[0][1]["code"] == 410
    now = client.call("/api/v1/pods").version
    with client.watch("/api/v1/pods", resourceVersion=now, timeoutSeconds=1) as stream:
        assert all(kind != "ERROR" for kind, _ in stream.rest())


def test_the_history_of_every_resource_begins_with_the_earliest_first_list(server: ApiServer, client: Client) -> None:
    server.serve_recording(recording("05-unschedulable"), stepwise=True)
    since = int(client.call("/api/v1/events").version)
    assert since < int(client.call("/api/v1/namespaces").version)
    exact = {"resourceVersionMatch": "Exact"}
    there = client.call("/api/v1/namespaces", resourceVersion=since, **exact)
    assert there.version == str(since)
    assert there.body["items"] == client.call("/api/v1/namespaces").body["items"]
    assert client.call("/api/v1/namespaces", resourceVersion=since - 1, **exact).status == 410


def test_a_crd_of_a_recording_appears_when_it_is_created(server: ApiServer, client: Client) -> None:
    replay = server.serve_recording(recording("13-custom-controller"), stepwise=True)
    path = "/apis/example.com/v1/widgets"
    assert client.call(path).status == 404
    while client.call(path).status == 404:
        assert replay.advance(1)
    version = client.call(path).version
    replay.advance()
    expected = [line for line in lines("13-custom-controller", "example.com/v1/widgets") if line["type"] in DELTAS]
    server.put("example.com/v1/widgets", {"metadata": {"name": "the-end"}})
    with client.watch(path, resourceVersion=version) as stream:
        assert stream.until("the-end") == [(line["type"], line["object"]) for line in expected]


def test_objects_can_be_written_only_after_a_recording_has_ended(server: ApiServer) -> None:
    replay = server.serve_recording(recording("01-deployment-create"), stepwise=True)
    pod = {"metadata": {"name": "x", "namespace": "y"}}
    with pytest.raises(RuntimeError, match="still to come"):
        server.put("v1/pods", pod)
    replay.advance()
    highest = max(delta.stored.version for delta in replay.deltas)
    assert int(server.put("v1/pods", pod)) > highest


def test_only_the_selected_resources_are_served(server: ApiServer) -> None:
    replay = server.serve_recording(recording("01-deployment-create"), stepwise=True, resources=["v1/pods"])
    assert {delta.resource for delta in replay.deltas} == {"v1/pods"}


def test_a_recording_is_served_at_its_own_pace_times_the_speed(server: ApiServer) -> None:
    replay = server.serve_recording(recording("01-deployment-create"), speed=60)
    seconds = (replay.deltas[-1].received - replay.deltas[0].received) / 1e9
    began = time.monotonic()
    assert replay.join(HANG_S)
    assert seconds / 60 * 0.8 < time.monotonic() - began < seconds


def test_the_first_change_waits_for_its_watches(server: ApiServer, client: Client) -> None:
    replay = server.serve_recording(recording("01-deployment-create"), speed=0, wait_for=["v1/pods"])
    version = client.call("/api/v1/pods").version
    assert not replay.done
    with client.watch("/api/v1/pods", resourceVersion=version) as stream:
        assert stream.next()[0] == "ADDED"
        assert replay.join(HANG_S)


# the process ---------------------------------------------------------------------------------------------------------


@contextmanager
def process(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """(the process, its URL)."""
    command = [sys.executable, "-m", "tests.apiserver", *arguments]
    root = Path(__file__).parent.parent.parent
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as started:
        try:
            assert started.stdout is not None
            word, url = started.stdout.readline().split()
            assert word == "ready"
            yield started, url
        finally:
            started.kill()


def test_the_process_is_controlled_over_http_and_ends_on_a_signal(tmp_path: Path) -> None:
    config = tmp_path / "kubeconfig"
    source = str(recording("01-deployment-create"))
    arguments = ["--recording", source, "--stepwise", "--token", "t", "--kubeconfig", str(config)]
    with process(*arguments) as (started, _), Client(config) as client:
        version = client.call("/api/v1/pods").version
        done = client.call("/_test/advance", "POST", {"count": 10_000}).body["delivered"]
        with client.watch("/api/v1/pods", resourceVersion=version) as stream:
            assert stream.next()[0] == "ADDED"
            stats = client.call("/_test/stats").body
        assert stats["replays"] == [{"done": done, "total": done}]
        assert stats["requests"]["v1/pods"] == {"list": 1, "watch": 1}
        assert stats["watched"] == ["v1/pods"]
        fault = {"kind": "Refuse", "code": 503, "resource": "v1/nodes", "times": 1}
        assert client.call("/_test/fault", "POST", fault).status == 200
        assert client.call("/api/v1/nodes").status == 503
        assert client.call("/_test/nope").status == 404
        started.send_signal(signal.SIGTERM)
        assert started.wait(HANG_S) == 0


def test_the_process_keeps_its_port_after_a_kill(tmp_path: Path) -> None:
    config = tmp_path / "kubeconfig"
    with process("--kubeconfig", str(config)) as (first, url), Client(config) as client:
        assert client.call("/api/v1/pods").status == 200
        first.kill()
        first.wait()
        with process("--port", url.rpartition(":")[2]) as (_, again):
            assert again == url
            wait_until(lambda: client.call("/api/v1/pods").status == 200)
