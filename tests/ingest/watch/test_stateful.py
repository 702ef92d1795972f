"""Reflectors against a stateful API server with faults: the delivered frames always add up to its state."""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from kspan.ingest.frames import Frame, FrameType
from kspan.ingest.watch import Connection, Selection, Timing, Watcher, connect
from kspan.k8s.resources import CRDS, DEFAULT
from kspan.model import Cursor
from tests.apiserver import ApiServer
from tests.apiserver.faults import (
    BadLine,
    Break,
    EmptyWatch,
    ErrorFrame,
    Fault,
    Gone,
    OffSchema,
    Refuse,
    Slow,
    Stall,
)
from tests.ingest.watch.watching import QUICK, Collector, reflecting, until
from tests.limits import HANG_S

PODS = "v1/pods"
TIMING: Timing = msgspec.structs.replace(QUICK, page=4, watch_min=1, watch_max=1, short_min=1, short_max=1, stall=1.5)


def manifest(name: str, **labels: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "default", "labels": labels}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {}}


def mirror(frames: Iterable[Frame]) -> dict[str, str]:
    """The objects that exist according to these frames: resourceVersion by name."""
    state: dict[str, str] = {}
    listing: dict[str, str] | None = None
    for frame in frames:
        metadata = json.loads(frame.object).get("metadata", {})
        if frame.type is FrameType.LIST:
            listing = {}
        elif frame.type is FrameType.BOOKMARK and listing is not None:
            state, listing = listing, None
        elif frame.type is FrameType.DELETED:
            state.pop(metadata["name"], None)
        elif frame.type in (FrameType.ADDED, FrameType.MODIFIED):
            state[metadata["name"]] = metadata["resourceVersion"]
        elif frame.type is FrameType.LISTED:
            assert listing is not None
            listing[metadata["name"]] = metadata["resourceVersion"]
    return state


def truth(server: ApiServer, resource: str = PODS) -> dict[str, str]:
    _, stored = server.storage.snapshot(server.storage.collection(resource))
    return {item.name: str(item.version) for item in stored}


def to(server: ApiServer, folder: Path) -> Connection:
    return connect(str(server.kubeconfig(folder / "kubeconfig")), timing=TIMING)


def agree(server: ApiServer, got: Collector, resource: str = PODS) -> None:
    until(lambda: mirror(got.of(resource)) == truth(server, resource), "the same state on both sides")


FAULTS: list[tuple[Fault, str | None]] = [
    (ErrorFrame(), "watch"),
    (ErrorFrame(after=2), "watch"),
    (ErrorFrame(code=500, after=1), "watch"),
    (Gone(), "watch"),
    (Gone(), "continue"),
    (Gone(), "list"),
    (Break(after=1), "watch"),
    (Break(after=1, reset=False), "watch"),
    (EmptyWatch(), "watch"),
    (Stall(after=1), "watch"),
    (Refuse(401), None),
    (Refuse(403), None),
    (Refuse(404), "watch"),
    (Refuse(429, retry_after=1), None),
    (Refuse(500), None),
    (Refuse(503), None),
    (BadLine(after=1), "watch"),
]


@pytest.mark.parametrize("fault, verb", FAULTS, ids=lambda value: repr(value) if value else "any")
def test_the_delivered_frames_add_up_to_the_state_despite(tmp_path: Path, fault: Fault, verb: str | None) -> None:
    with ApiServer() as server:
        for number in range(10):
            server.storage.put(PODS, manifest(f"pod-{number}"))
        injection = server.faults.add(fault, PODS, verb, times=3)
        with reflecting(to(server, tmp_path)) as got:
            if verb in ("watch", None):
                until(lambda: injection.hits >= 1 or mirror(got.of(PODS)) == truth(server), "the first list")
            for number in range(5):
                server.storage.put(PODS, manifest(f"pod-{number}", changed="yes"))
                server.storage.put(PODS, manifest(f"new-{number}"))
                server.storage.delete(PODS, "default", f"pod-{9 - number}")
            until(lambda: injection.hits >= 1, "the fault")
            injection.lift()
            agree(server, got)


def test_after_a_compaction_the_resource_is_listed_again(tmp_path: Path) -> None:
    with ApiServer() as server:
        server.storage.put(PODS, manifest("old"))
        version = str(server.storage.version)
        server.storage.delete(PODS, "default", "old")
        server.storage.put(PODS, manifest("new"))
        server.storage.compact()
        with reflecting(to(server, tmp_path), version=version) as got:
            agree(server, got)
            assert got.words()[0] == "ERROR 410"


def test_a_valid_cursor_is_resumed_without_a_list(tmp_path: Path) -> None:
    with ApiServer() as server:
        server.storage.put(PODS, manifest("old"))
        version = str(server.storage.version)
        server.storage.put(PODS, manifest("new"))
        with reflecting(to(server, tmp_path), version=version) as got:
            until(lambda: any(line.startswith("ADDED new") for line in got.words()), "the change since then")
            assert not any(line.startswith("LIST") for line in got.words())


@pytest.mark.parametrize("status", [0, 401, 403, 404, 503])
def test_a_restored_etcd_is_noticed_with_the_first_answer_after_refusals(status: int, tmp_path: Path) -> None:
    """An API server answers 403 until it knows its roles. The versions are checked until that has succeeded once."""
    with ApiServer() as server:
        server.put(PODS, manifest("a"))
        backup = server.storage.backup()
        for name in ("b", "c", "d"):
            server.put(PODS, manifest(name))
        with reflecting(to(server, tmp_path)) as got:
            agree(server, got)
            server.stop()
            server.storage.restore(backup)
            until(lambda: got.reasons().count("disconnected") > 1, "a disconnection")
            if status:
                server.faults.add(Refuse(status), PODS, times=4)
            server.start()
            server.put(PODS, manifest("e"))
            agree(server, got)
            assert truth(server).keys() == {"a", "e"}
            assert any("was etcd restored?" in frame.object.decode() for frame in got.frames)


@contextmanager
def watching_defaults(server: ApiServer, folder: Path, timing: Timing = TIMING) -> Iterator[Watcher]:
    """Watch the default resources until the block ends."""
    connection = connect(str(server.kubeconfig(folder / "kubeconfig")), timing=timing)
    got = Collector()
    watcher = Watcher(connection, Selection(), got.deliver, {}, got)
    watcher.start()
    try:
        yield watcher
    finally:
        watcher.stop()
        assert watcher.join(HANG_S)
        connection.close()


def test_what_was_watched_is_lost_while_it_is_refused_and_found_again_soon(tmp_path: Path) -> None:
    timing = msgspec.structs.replace(TIMING, refused=600.0, refused_first=600.0)
    with ApiServer() as server:
        server.forbid("v1/nodes")
        with watching_defaults(server, tmp_path, timing) as watcher:
            until(lambda: watcher.synced() and server.open_watches(PODS), "in sync")
            assert (watcher.lost(), watcher.unwatched(), watcher.watches_nothing()) == ([], ["v1/nodes"], False)
            server.forbid(PODS)
            with server.faults.add(Break(), PODS):
                until(lambda: watcher.lost() == [PODS], "the Pods are lost")
            # Nodes were never watched and would be asked for again after ten minutes, but the Pods are back.
            server.allow("v1/nodes")
            server.allow(PODS)
            until(lambda: not watcher.lost() and not watcher.unwatched(), "everything is watched")


def test_definitions_that_were_refused_are_asked_for_again_as_soon_as_something_else_recovers(tmp_path: Path) -> None:
    timing = msgspec.structs.replace(TIMING, refused=600.0, refused_first=600.0)
    with ApiServer() as server:
        server.forbid(CRDS.resource)
        with watching_defaults(server, tmp_path, timing) as watcher:
            until(lambda: watcher.synced() and server.requests_seen(CRDS.resource, "list"), "in sync")
            server.forbid(PODS)
            server.stop()
            until(lambda: PODS in watcher.lost(), "the loss")
            server.start()
            server.allow(CRDS.resource)
            server.allow(PODS)
            until(lambda: server.open_watches(CRDS.resource), "a watch of the definitions")


def test_an_additional_kind_that_is_refused_is_asked_for_again_and_watched_once_it_is_allowed(tmp_path: Path) -> None:
    config = {"metadata": {"name": "settings", "namespace": "default"}, "data": {"mode": "confidential"}}
    with ApiServer() as server:
        server.put("v1/configmaps", config)
        server.forbid("v1/configmaps")
        connection, got = to(server, tmp_path), Collector()
        watcher = Watcher(connection, Selection(additional_kinds=True), got.deliver, {}, got)
        watcher.start()
        try:
            until(lambda: ("refused", "v1/configmaps", "403") in got.events, "the refusal")
            server.allow("v1/configmaps")
            agree(server, got, "v1/configmaps")
            until(lambda: ("connected", "v1/configmaps", "") in got.events, "a watch")
            server.forbid("v1/configmaps")
            with server.faults.add(Break(), "v1/configmaps"):
                until(lambda: got.events.count(("refused", "v1/configmaps", "403")) == 2, "the second refusal")
            assert (watcher.lost(), watcher.unwatched()) == ([], [])
            server.allow("v1/configmaps")
            server.put("v1/configmaps", config | {"data": {"mode": "secret"}})
            agree(server, got, "v1/configmaps")
        finally:
            watcher.stop()
            assert watcher.join(HANG_S)
            connection.close()
    assert not [frame for frame in got.of("v1/configmaps") if b'"data"' in frame.object]


def test_nothing_is_watched_if_everything_is_refused(tmp_path: Path) -> None:
    with ApiServer() as server:
        for target in DEFAULT:
            server.forbid(target.resource)
        with watching_defaults(server, tmp_path) as watcher:
            until(watcher.synced, "in sync")
            assert watcher.watches_nothing()
            assert set(watcher.unwatched()) == {target.resource for target in DEFAULT}


def test_a_cursor_of_other_namespaces_is_not_resumed(tmp_path: Path) -> None:
    with ApiServer() as server:
        version = server.put(PODS, manifest("a"))
        cursors = {
            resource: Cursor(resource, version, 0, scope)
            for resource, scope in {
                PODS: "shop",
                "v1/events": "",
                "apps/v1/deployments": "default",
                "v1/nodes": "",
            }.items()
        }
        got = Collector()
        watcher = Watcher(to(server, tmp_path), Selection(namespaces=("default",)), got.deliver, cursors, got)
        watcher.start()
        until(watcher.synced, "in sync")
        watcher.stop()
        assert watcher.join(HANG_S)
        assert {resource: server.requests_seen(resource, "list") for resource in cursors} == {
            PODS: 1,
            "v1/events": 1,
            "apps/v1/deployments": 0,
            "v1/nodes": 0,
        }


def test_after_a_restart_with_a_compaction_the_resource_is_listed_again(tmp_path: Path) -> None:
    with ApiServer() as server:
        server.put(PODS, manifest("a"))
        with reflecting(to(server, tmp_path)) as got:
            agree(server, got)
            server.stop()
            server.storage.delete(PODS, "default", "a")
            server.put(PODS, manifest("b"))
            server.storage.compact()
            until(lambda: "disconnected" in got.reasons(), "a disconnection")
            server.start()
            agree(server, got)
            assert "ERROR 410" in got.words()


def test_a_rotated_token_is_loaded_again_over_tls(tmp_path: Path) -> None:
    with ApiServer(token="first", https=True) as server:
        server.put(PODS, manifest("a"))
        connection = to(server, tmp_path)
        with reflecting(connection) as got:
            agree(server, got)
            server.kubeconfig(tmp_path / "kubeconfig", token="second")
            server.tokens.add("second")
            server.tokens.remove("first")
            server.put(PODS, manifest("b"))
            agree(server, got)
            until(lambda: server.requests[-1].status == 200, "a request with the new token")
            assert "unauthorized" not in got.reasons()


@pytest.mark.parametrize("fault", [OffSchema(), Slow(20_000)], ids=repr)
def test_unusual_objects_and_slow_streams_are_delivered_without_a_restart(tmp_path: Path, fault: Fault) -> None:
    with ApiServer() as server, server.faults.add(fault, PODS), reflecting(to(server, tmp_path)) as got:
        for number in range(5):
            server.storage.put(PODS, manifest(f"pod-{number}"))
        agree(server, got)
        assert set(got.reasons()) <= {"timeout"}


def test_a_whole_cluster_is_watched_including_new_kinds(tmp_path: Path) -> None:
    names = {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"}
    versions = [{"name": "v1", "served": True, "storage": True}]
    spec = {"group": "example.com", "scope": "Namespaced", "names": names, "versions": versions}
    crds = "apiextensions.k8s.io/v1/customresourcedefinitions"
    crd = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "spec": spec}
    crd["metadata"] = {"name": "widgets.example.com"}
    owner = {"apiVersion": "example.com/v1", "kind": "Widget", "name": "w", "uid": "u", "controller": True}
    with ApiServer() as server:
        connection, got = to(server, tmp_path), Collector()
        watcher = Watcher(connection, Selection(), got.deliver, {}, got)
        watcher.start()
        try:
            until(watcher.synced, "in sync")
            server.storage.put(crds, crd)
            widget = {
                "apiVersion": "example.com/v1",
                "kind": "Widget",
                "metadata": {"name": "w", "namespace": "default"},
            }
            server.storage.put("example.com/v1/widgets", widget)
            owned = manifest("owned")
            owned["metadata"]["ownerReferences"] = [owner]
            server.storage.put(PODS, owned)
            until(lambda: got.of("example.com/v1/widgets"), "a watch of widgets")
            agree(server, got, "example.com/v1/widgets")
            server.storage.delete(crds, "", "widgets.example.com")
            until(lambda: "example.com/v1/widgets" not in watcher.resources(), "the end of the watch")
        finally:
            watcher.stop()
            assert watcher.join(HANG_S)
            connection.close()
        assert watcher.failure is None
