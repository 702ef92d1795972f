"""Which resources are watched as kinds are referenced, added and removed."""

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from kspan.errors import SettingsError
from kspan.ingest.frames import Frame
from kspan.ingest.watch import Selection, Watcher
from kspan.k8s.resources import ADDITIONAL, DEFAULT
from kspan.model import Cursor
from tests.ingest.watch.scripted import Reply, Request, ScriptedServer, change, failure, listed, pod
from tests.ingest.watch.watching import QUICK, Collector, connection_to, until
from tests.limits import HANG_S

DEFAULT_SELECTION = Selection()
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


def served(name: str, kind: str, *, namespaced: bool = True) -> dict[str, Any]:
    verbs = ["get", "list", "watch"]
    return {"name": name, "singularName": kind.lower(), "kind": kind, "namespaced": namespaced, "verbs": verbs}


class Cluster:
    """Serves discovery, lists of ``items``, and watches that send only the lines given to ``send``."""

    def __init__(self) -> None:
        core = [served("pods", "Pod"), served("events", "Event"), served("services", "Service")]
        core += [served("secrets", "Secret"), served("configmaps", "ConfigMap"), served("pods/status", "Pod")]
        self.documents: dict[str, list[dict[str, Any]]] = {"": core, "apps": [served("deployments", "Deployment")]}
        self.preferred = {"apps": "v1"}
        self.items: dict[str, list[dict[str, Any]]] = {}
        self.refused: dict[str, int] = {}
        self.open: dict[str, list[Reply]] = {}
        self.lock = threading.Lock()
        self.additional = ADDITIONAL
        """The additional resources that it serves."""
        self.exact = False
        """True if lists are at the requested version; an API server may ignore it."""

    def install(self, group: str, name: str, kind: str) -> None:
        self.documents[group] = [served(name, kind)]
        self.preferred[group] = "v1"

    def remove(self, group: str) -> None:
        del self.documents[group]
        del self.preferred[group]

    def send(self, path: str, *changes: dict[str, Any]) -> None:
        """Send lines to all open watches of this path."""
        with self.lock:
            for reply in self.open.get(path, []):
                reply.lines(*changes)

    def __call__(self, request: Request, reply: Reply) -> None:
        path = request.path
        if path in self.refused:
            reply.json(failure(self.refused[path], "No"), self.refused[path])
        elif path == "/apis":
            names = [
                {"name": group, "preferredVersion": {"version": version}, "versions": [{"version": version}]}
                for group, version in self.preferred.items()
            ]
            reply.json({"kind": "APIGroupList", "groups": names})
        elif (group := self._document(path)) is not None:
            reply.json({"kind": "APIResourceList", "resources": self.documents[group]})
        elif not self._has(path):
            reply.json(failure(404, "NotFound"), 404)
        elif request.watch:
            reply.begin()
            with self.lock:
                self.open.setdefault(path, []).append(reply)
            reply.stay_silent()
        else:
            version = request.query.get("resourceVersion") if self.exact else None
            reply.json(listed(int(version or 10), *self.items.get(path, [])))

    def _document(self, path: str) -> str | None:
        if path == "/api/v1":
            return ""
        group = path.removeprefix("/apis/").removesuffix("/v1")
        return group if group in self.documents and path == f"/apis/{group}/v1" else None

    def _has(self, path: str) -> bool:
        if path == CRDS or any(target.path() == path for target in (*DEFAULT, *self.additional)):
            return True
        group = path.removeprefix("/apis/").partition("/")[0] if path.startswith("/apis/") else ""
        return any(path.endswith(f"/{item['name']}") for item in self.documents.get(group, []))


@contextmanager
def watching(
    cluster: Cluster,
    folder: Path,
    selection: Selection = DEFAULT_SELECTION,
    cursors: dict[str, Cursor] | None = None,
    referenced: Iterable[tuple[str, str]] = (),
) -> Iterator[tuple[Watcher, Collector, ScriptedServer]]:
    collector = Collector()
    with ScriptedServer(cluster) as server:
        connection = connection_to(server.url, folder)
        watcher = Watcher(connection, selection, collector.deliver, cursors or {}, collector, referenced=referenced)
        watcher.start()
        try:
            yield watcher, collector, server
        finally:
            watcher.stop()
            assert watcher.join(HANG_S)
            connection.close()
    assert watcher.failure is None


def owned_pod(name: str, version: int, api_version: str, kind: str) -> dict[str, Any]:
    return pod(name, version, ownerReferences=[{"apiVersion": api_version, "kind": kind, "name": "o", "uid": "u"}])


def test_the_watcher_is_synced_once_the_default_resources_are_listed(tmp_path: Path) -> None:
    with watching(Cluster(), tmp_path) as (watcher, got, _):
        until(watcher.synced, "in sync")
        assert watcher.resources() == sorted(target.resource for target in DEFAULT)
        for target in DEFAULT:
            got.wait("BOOKMARK @10", resource=target.resource)


def test_a_kind_is_watched_once_an_owner_reference_mentions_it(tmp_path: Path) -> None:
    cluster = Cluster()
    cluster.install("example.com", "widgets", "Widget")
    cluster.items["/apis/example.com/v1/widgets"] = [pod("w", 3)]
    cluster.items["/api/v1/pods"] = [owned_pod("a", 5, "example.com/v1alpha1", "Widget")]
    with watching(cluster, tmp_path) as (watcher, got, server):
        got.wait("LISTED w@3", "BOOKMARK @10", resource="example.com/v1/widgets")
        assert watcher.resources().count("example.com/v1/widgets") == 1
        accepted = [request.headers["accept"] for request in server.requests if request.path.endswith("/widgets")]
        assert set(accepted) == {"application/json"}


def reinstall(cluster: Cluster, watcher: Watcher, got: Collector) -> None:
    """Remove the kind Widget and add it again; wait until its objects are listed again."""
    cluster.remove("example.com")
    cluster.send(CRDS, change("DELETED", pod("widgets.example.com", 30)))
    until(lambda: "example.com/v1/widgets" not in watcher.resources(), "the end of the watch")
    cluster.install("example.com", "widgets", "Widget")
    cluster.send(CRDS, change("ADDED", pod("widgets.example.com", 40)))
    until(lambda: got.words("example.com/v1/widgets").count("BOOKMARK @10") == 2, "listed again")


def requested_versions(server: ScriptedServer, path: str) -> list[str]:
    lists = (request for request in server.requests if request.path == path and not request.watch)
    return [request.query.get("resourceVersion", "") for request in lists]


def test_a_referenced_kind_is_first_listed_at_the_oldest_position_of_the_streams(tmp_path: Path) -> None:
    cluster = Cluster()
    cluster.install("example.com", "widgets", "Widget")
    with watching(cluster, tmp_path) as (watcher, got, server):
        until(watcher.synced, "in sync")
        until(lambda: "/api/v1/pods" in cluster.open, "a watch of Pods")
        cluster.send("/api/v1/pods", change("ADDED", owned_pod("a", 12, "example.com/v1", "Widget")))
        got.wait("BOOKMARK @10", resource="example.com/v1/widgets")
        assert requested_versions(server, "/apis/example.com/v1/widgets") == ["10"]


def test_after_a_kill_unlisted_kinds_are_listed_at_the_oldest_cursor_and_the_others_resumed(
    tmp_path: Path,
) -> None:
    cluster = Cluster()
    cluster.install("example.com", "widgets", "Widget")
    cluster.exact = True
    now = time.time_ns()
    versions = {target.resource: str(40 + number) for number, target in enumerate(DEFAULT)}
    del versions["v1/pods"]
    cursors = {resource: Cursor(resource, version, now) for resource, version in versions.items()}
    referenced = [("example.com/v1", "Widget")]
    with watching(cluster, tmp_path, cursors=cursors, referenced=referenced) as (watcher, got, server):
        oldest = min(version for resource, version in versions.items() if resource != "v1/events")
        got.wait(f"BOOKMARK @{oldest}", resource="v1/pods")
        got.wait(f"BOOKMARK @{oldest}", resource="example.com/v1/widgets")
        assert requested_versions(server, "/api/v1/pods") == [oldest]
        assert watcher.resources().count("example.com/v1/widgets") == 1
        assert requested_versions(server, "/apis/example.com/v1/widgets") == [oldest]


def test_a_resource_with_a_cursor_of_other_namespaces_is_listed_at_the_newest_version(tmp_path: Path) -> None:
    now = time.time_ns()
    cursors = {target.resource: Cursor(target.resource, "42", now) for target in DEFAULT}
    with watching(Cluster(), tmp_path, Selection(namespaces=("a", "b")), cursors=cursors) as (_, _, server):
        wanted = {f"/api/v1/namespaces/{name}/pods" for name in "ab"}
        until(lambda: wanted <= {request.path for request in server.requests if not request.watch}, "two lists")
        lists = [request for request in server.requests if request.path.endswith("/pods") and not request.watch]
        assert {request.query.get("resourceVersion", "") for request in lists} == {""}


def test_a_kind_that_was_removed_and_added_again_is_listed_at_the_newest_version(tmp_path: Path) -> None:
    cluster = Cluster()
    cluster.install("example.com", "widgets", "Widget")
    cluster.items["/api/v1/pods"] = [owned_pod("a", 5, "example.com/v1", "Widget")]
    with watching(cluster, tmp_path) as (watcher, got, server):
        got.wait("BOOKMARK @10", resource="example.com/v1/widgets")
        until(lambda: CRDS in cluster.open, "a watch of the CRDs")
        reinstall(cluster, watcher, got)
        assert requested_versions(server, "/apis/example.com/v1/widgets")[-1] == ""


def test_without_cursors_all_first_lists_are_at_the_newest_version(tmp_path: Path) -> None:
    with watching(Cluster(), tmp_path) as (watcher, _, server):
        until(watcher.synced, "in sync")
        assert {version for target in DEFAULT for version in requested_versions(server, target.path())} == {""}


def test_a_kind_is_watched_as_metadata_once_an_event_mentions_it(tmp_path: Path) -> None:
    cluster = Cluster()
    event = pod("e", 12) | {"kind": "Event", "involvedObject": {"kind": "ConfigMap", "apiVersion": "v1"}}
    with watching(cluster, tmp_path) as (watcher, got, server):
        until(lambda: "/api/v1/events" in cluster.open, "a watch of Events")
        assert "v1/configmaps" not in watcher.resources()
        cluster.send("/api/v1/events", change("ADDED", event))
        got.wait("BOOKMARK @10", resource="v1/configmaps")
        accepted = {request.headers["accept"] for request in server.requests if request.path == "/api/v1/configmaps"}
        assert all("as=PartialObjectMetadata" in text for text in accepted)


def test_additional_kinds_are_watched_from_the_start_as_metadata_where_their_content_can_be_large(
    tmp_path: Path,
) -> None:
    with watching(Cluster(), tmp_path, Selection(additional_kinds=True)) as (watcher, got, server):
        for target in ADDITIONAL:
            got.wait("BOOKMARK @10", resource=target.resource)
            accepted = {request.headers["accept"] for request in server.requests if request.path == target.path()}
            assert all(("as=PartialObjectMetadata" in text) is target.metadata_only for text in accepted)
        assert set(watcher.resources()) == {target.resource for target in (*DEFAULT, *ADDITIONAL)}


def test_an_additional_kind_that_is_refused_or_missing_is_no_error_and_nothing_waits_for_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cluster = Cluster()
    cluster.additional = tuple(target for target in ADDITIONAL if target.group != "admissionregistration.k8s.io")
    cluster.refused = {"/api/v1/configmaps": 403, "/api/v1/services": 403}
    with watching(cluster, tmp_path, Selection(additional_kinds=True)) as (watcher, got, _):
        until(watcher.synced, "in sync")
        absent = {target.resource for target in ADDITIONAL} - {target.resource for target in cluster.additional}
        refused = {"v1/configmaps", "v1/services"} | absent
        until(lambda: {event[1] for event in got.events if event[0] == "refused"} == refused, "the refusals")
        assert (watcher.lost(), watcher.unwatched(), watcher.watches_nothing()) == ([], [], False)
    assert not [record for record in caplog.records if record.levelname == "WARNING"]


def test_an_additional_kind_is_awaited_until_it_is_listed_or_refused(tmp_path: Path) -> None:
    cluster = Cluster()
    cluster.refused = {"/api/v1/configmaps": 503}
    with watching(cluster, tmp_path, Selection(additional_kinds=True)) as (watcher, got, _):
        until(lambda: watcher.awaited() == ["v1/configmaps"], "all but one")
        cluster.refused = {"/api/v1/configmaps": 403}
        until(watcher.synced, "in sync")
        assert not got.of("v1/configmaps")


def test_an_additional_kind_that_was_watched_in_an_earlier_run_and_is_refused_now_is_not_missed(tmp_path: Path) -> None:
    cluster = Cluster()
    cluster.refused = {"/api/v1/configmaps": 403}
    cursors = {"v1/configmaps": Cursor("v1/configmaps", "42", 0)}
    with watching(cluster, tmp_path, Selection(additional_kinds=True), cursors=cursors) as (watcher, _, _server):
        until(watcher.synced, "in sync")
        assert watcher.lost() == []


def test_additional_kinds_that_were_turned_off_are_not_resumed(tmp_path: Path) -> None:
    cursors = {target.resource: Cursor(target.resource, "42", 0) for target in (*DEFAULT, *ADDITIONAL)}
    cursors["v1/secrets"] = Cursor("v1/secrets", "42", 0)
    with watching(Cluster(), tmp_path, cursors=cursors) as (watcher, _, _server):
        until(lambda: not watcher._cursors, "the plan")
        assert set(watcher.resources()) == {target.resource for target in DEFAULT}


def test_secrets_are_watched_as_metadata_only_if_that_is_allowed(tmp_path: Path) -> None:
    cluster = Cluster()
    event = pod("e", 12) | {"kind": "Event", "involvedObject": {"kind": "Secret", "apiVersion": "v1"}}
    cluster.items["/api/v1/events"] = [event]
    cluster.items["/api/v1/pods"] = [owned_pod("a", 5, "v1", "PodTemplate"), owned_pod("b", 6, "v1", "Secret")]
    cluster.documents[""].append(served("podtemplates", "PodTemplate"))
    with watching(cluster, tmp_path, Selection(additional_kinds=True)) as (watcher, got, _):
        got.wait("BOOKMARK @10", resource="v1/podtemplates")
        assert "v1/secrets" not in watcher.resources()
    with watching(cluster, tmp_path, Selection(secrets=True)) as (watcher, got, server):
        got.wait("BOOKMARK @10", resource="v1/secrets")
        accepted = {request.headers["accept"] for request in server.requests if request.path == "/api/v1/secrets"}
        assert all("as=PartialObjectMetadata" in text for text in accepted)


def test_a_kind_that_was_referenced_in_an_earlier_run_is_watched_from_the_start(tmp_path: Path) -> None:
    cluster = Cluster()
    cluster.install("example.com", "widgets", "Widget")
    referenced = [("example.com/v1", "Widget"), ("v1", "Pod"), ("example.com/v1", "Unknown")]
    with watching(cluster, tmp_path, referenced=referenced) as (watcher, got, _):
        got.wait("BOOKMARK @10", resource="example.com/v1/widgets")
        until(watcher.synced, "in sync")
        assert watcher.resources().count("v1/pods") == 1


def test_a_custom_kind_is_watched_from_its_installation_to_its_removal(tmp_path: Path) -> None:
    cluster = Cluster()
    cluster.items["/api/v1/pods"] = [owned_pod("a", 5, "example.com/v1", "Widget")]
    with watching(cluster, tmp_path) as (watcher, got, _):
        until(lambda: CRDS in cluster.open, "a watch of CRDs")
        until(watcher.synced, "in sync")
        cluster.install("example.com", "widgets", "Widget")
        cluster.send(CRDS, change("ADDED", pod("widgets.example.com", 20)))
        got.wait("BOOKMARK @10", resource="example.com/v1/widgets")
        reinstall(cluster, watcher, got)
        assert not got.of("apiextensions.k8s.io/v1/customresourcedefinitions")


def test_refused_resources_do_not_affect_others_and_count_as_synced(tmp_path: Path) -> None:
    cluster = Cluster()
    cluster.refused = {"/api/v1/nodes": 403, "/apis/policy/v1/poddisruptionbudgets": 404, CRDS: 403, "/apis": 403}
    with watching(cluster, tmp_path) as (watcher, got, _):
        until(watcher.synced, "in sync")
        got.wait("BOOKMARK @10")
        refused = sorted(event[1:] for event in got.events if event[0] == "refused")
        assert refused == [("policy/v1/poddisruptionbudgets", "404"), ("v1/nodes", "403")]


def test_cursors_are_resumed_including_those_of_referenced_kinds(tmp_path: Path) -> None:
    cluster = Cluster()
    cluster.install("example.com", "widgets", "Widget")
    versions = {target.resource: "42" for target in DEFAULT} | {
        "example.com/v1/widgets": "43",
        "gone.io/v1/things": "4",
    }
    cursors = {resource: Cursor(resource, version, 0) for resource, version in versions.items()}
    with watching(cluster, tmp_path, cursors=cursors) as (watcher, got, server):
        until(lambda: len(cluster.open) == len(DEFAULT) + 2, "all watches")
        until(watcher.synced, "in sync")
        asked = {request.path: request.query["resourceVersion"] for request in server.requests if request.watch}
        assert asked.pop("/apis/example.com/v1/widgets") == "43"
        assert asked.pop(CRDS) == "10"
        assert set(asked.values()) == {"42"}
        assert not got.frames


def test_selected_names_replace_the_default_resources(tmp_path: Path) -> None:
    cluster = Cluster()
    cluster.install("example.com", "widgets", "Widget")
    cluster.items["/apis/apps/v1/deployments"] = [owned_pod("d", 5, "v1", "Service")]
    selection = Selection(watch=("deployments.apps", "widget", "gadgets"))
    with watching(cluster, tmp_path, selection) as (watcher, got, _):
        assert not watcher.synced() or got.frames
        until(watcher.synced, "in sync")
        assert watcher.resources() == ["apps/v1/deployments", "example.com/v1/widgets"]
        assert [event for event in got.events if event[0] == "refused"] == [("refused", "gadgets", "404")]


def test_all_kinds_watches_every_watchable_resource(tmp_path: Path) -> None:
    cluster = Cluster()
    cluster.install("example.com", "widgets", "Widget")
    cluster.install("events.k8s.io", "events", "Event")
    with watching(cluster, tmp_path, Selection(all_kinds=True)) as (watcher, _, server):
        until(watcher.synced, "in sync")
        others = {"v1/configmaps", "v1/services", "v1/secrets", "example.com/v1/widgets"}
        assert set(watcher.resources()) == {target.resource for target in DEFAULT} | others
        secrets = {request.headers["accept"] for request in server.requests if request.path == "/api/v1/secrets"}
        assert all("as=PartialObjectMetadata" in text for text in secrets)


def test_other_groups_are_watched_while_one_does_not_answer(tmp_path: Path) -> None:
    cluster = Cluster()
    cluster.install("example.com", "widgets", "Widget")
    cluster.install("metrics.example.com", "measures", "Measure")
    cluster.refused["/apis/metrics.example.com/v1"] = 503
    with watching(cluster, tmp_path, Selection(all_kinds=True)) as (watcher, _, _server):
        until(watcher.synced, "in sync")
        assert "example.com/v1/widgets" in watcher.resources()


def test_an_invalid_name_is_an_error_before_any_request(tmp_path: Path) -> None:
    connection = connection_to("http://127.0.0.1:9", tmp_path)
    with pytest.raises(SettingsError, match="--watch"):
        Watcher(connection, Selection(watch=("no such",)), lambda _: None, {}, Collector())


def test_the_unexpected_error_of_a_thread_is_kept_as_failure(tmp_path: Path) -> None:
    def deliver(frame: Frame) -> None:
        raise ZeroDivisionError("a bug")

    with ScriptedServer(Cluster()) as server:
        connection = connection_to(server.url, tmp_path)
        watcher = Watcher(connection, Selection(), deliver, {}, Collector())
        watcher.start()
        until(lambda: isinstance(watcher.failure, ZeroDivisionError), "a failure")
        watcher.stop()
        assert watcher.join(HANG_S)
        connection.close()


def test_the_watcher_stops_at_once_while_the_server_is_silent_or_unreachable(tmp_path: Path) -> None:
    patient = msgspec.structs.replace(QUICK, first=2 * HANG_S, ceiling=2 * HANG_S)
    for url in ("http://127.0.0.1:9", ""):
        with ScriptedServer(Cluster()) as server:
            connection = connection_to(url or server.url, tmp_path, patient)
            collector = Collector()
            watcher = Watcher(connection, Selection(), collector.deliver, {}, collector)
            watcher.start()
            until(lambda: collector.events, "the first try")  # noqa: B023 -- called in this round
            watcher.stop()
            assert watcher.join(HANG_S)
            connection.close()
