"""With ``--namespace``: Events about cluster-scoped objects are watched too, and each namespace may be refused."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kspan.ingest.frames import FrameType, read_marker
from kspan.ingest.watch import Selection, Watcher, connect
from kspan.k8s.events_api import EVENTS, OF_CLUSTER_SCOPED
from kspan.model import Cursor
from tests.apiserver import ApiServer
from tests.ingest.watch.watching import QUICK, Collector, until
from tests.limits import HANG_S


def event(name: str, namespace: str, about: dict[str, str]) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Event", "metadata": metadata, "involvedObject": about, "reason": "Seen"}


def node_event(name: str) -> dict[str, Any]:
    return event(name, "default", {"kind": "Node", "name": "node-a", "uid": "node-a"})


def pod_event(name: str, namespace: str) -> dict[str, Any]:
    return event(name, namespace, {"kind": "Pod", "namespace": namespace, "name": "web", "uid": "web"})


@contextmanager
def watching(
    server: ApiServer, folder: Path, *namespaces: str, cursors: dict[str, Cursor] | None = None
) -> Iterator[tuple[Watcher, Collector]]:
    got = Collector()
    connection = connect(str(server.kubeconfig(folder / "kubeconfig")), timing=QUICK)
    watcher = Watcher(connection, Selection(namespaces=namespaces), got.deliver, cursors or {}, got)
    watcher.start()
    try:
        yield watcher, got
    finally:
        watcher.stop()
        assert watcher.join(HANG_S)
        connection.close()


def names(got: Collector) -> set[str]:
    """The Events that were delivered."""
    objects = (FrameType.LISTED, FrameType.ADDED, FrameType.MODIFIED)
    return {frame.head.name for frame in got.of(EVENTS) if frame.type in objects and frame.head is not None}


def test_events_about_nodes_are_watched_with_another_namespace_and_other_events_of_default_are_not(
    tmp_path: Path,
) -> None:
    with ApiServer() as server:
        server.put(EVENTS, node_event("node-old"))
        server.put(EVENTS, pod_event("pod-old", "default"))
        server.put(EVENTS, pod_event("shop-old", "shop"))
        with watching(server, tmp_path, "shop") as (watcher, got):
            until(watcher.synced, "in sync")
            until(lambda: server.open_watches(EVENTS) == 2, "both watches")
            server.put(EVENTS, pod_event("pod-new", "default"))
            server.put(EVENTS, node_event("node-new"))
            server.put(EVENTS, pod_event("shop-new", "shop"))
            until(lambda: {"node-new", "shop-new"} <= names(got), "both new Events")
            assert names(got) == {"node-old", "shop-old", "node-new", "shop-new"}
            scopes = {read_marker(frame).scope for frame in got.of(EVENTS) if frame.type is FrameType.LIST}
            assert scopes == {f"{OF_CLUSTER_SCOPED},shop"}


def test_the_namespace_default_is_watched_once(tmp_path: Path) -> None:
    with ApiServer() as server:
        with watching(server, tmp_path, "default") as (watcher, got):
            until(watcher.synced, "in sync")
            until(lambda: server.open_watches(EVENTS) == 1, "one watch")
            server.put(EVENTS, pod_event("pod", "default"))
            server.put(EVENTS, node_event("node"))
            until(lambda: names(got) == {"pod", "node"}, "both Events")
        assert server.requests_seen(EVENTS, "list") == 1


def test_a_namespace_that_was_always_refused_does_not_count_as_lost_after_a_restart(tmp_path: Path) -> None:
    """Few Roles allow Events of the namespace default. What was never watched is not missed."""
    with ApiServer() as server:
        server.put(EVENTS, pod_event("shop", "shop"))
        server.forbid(EVENTS, namespace="default")
        cursors = {EVENTS: Cursor(EVENTS, "1", 0, "shop")}
        with watching(server, tmp_path, "shop", cursors=cursors) as (watcher, got):
            until(watcher.synced, "in sync")
            until(lambda: names(got) == {"shop"}, "the Event")
            assert not watcher.lost()
            assert EVENTS not in watcher.unwatched()
