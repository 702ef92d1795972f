"""The server against the official client: what it serves, in the words of a real one."""

import contextlib
import gc
import json
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client as official
from kubernetes import watch as official_watch

from tests.apiserver import ApiServer
from tests.apiserver.client import METADATA, METADATA_LIST, Client
from tests.apiserver.polling import wait_until
from tests.apiserver.resources import CRDS

Pod = Callable[..., dict[str, Any]]

PODS = "/api/v1/pods"
CRD: dict[str, Any] = {
    "metadata": {"name": "widgets.example.com"},
    "spec": {
        "group": "example.com",
        "names": {"plural": "widgets", "kind": "Widget"},
        "scope": "Namespaced",
        "versions": [{"name": "v1", "served": True, "storage": True}],
    },
}


def test_a_written_object_gets_server_fields_and_is_listed(server: ApiServer, client: Client, pod: Pod) -> None:
    version = server.put("v1/pods", pod("web"))
    listed = client.call(PODS)
    assert (listed.status, listed.version, listed.body["kind"]) == (200, version, "PodList")
    # Items of a typed list have no kind.
    assert list(listed.body["items"][0]) == ["metadata", "spec"]
    metadata = client.call("/api/v1/namespaces/shop/pods/web").body["metadata"]
    assert metadata["resourceVersion"] == version
    assert metadata["uid"]
    assert metadata["creationTimestamp"].endswith("Z")
    assert metadata["generation"] == 1


def test_all_resources_share_one_version(server: ApiServer, pod: Pod) -> None:
    first = int(server.put("v1/pods", pod("web")))
    assert int(server.put("apps/v1/deployments", pod("web"))) == first + 1
    assert int(server.patch("v1/pods", "shop", "web", {"spec": {"nodeName": "n"}})) == first + 2
    found = server.get("v1/pods", "shop", "web")
    assert found is not None
    assert found["metadata"]["generation"] == 2
    assert int(server.delete("v1/pods", "shop", "web")) == first + 3


def test_terminating_sets_the_time_and_keeps_the_object(pod: Pod) -> None:
    with ApiServer(clock=lambda: 1_800_000_000 * 10**9) as server:
        server.put("v1/pods", pod("web"))
        server.terminate("v1/pods", "shop", "web")
        found = server.get("v1/pods", "shop", "web")
    assert found is not None
    assert found["metadata"]["deletionTimestamp"] == "2027-01-15T08:00:00Z"


def test_a_list_of_a_namespace_contains_only_its_objects(server: ApiServer, client: Client, pod: Pod) -> None:
    server.put("v1/pods", pod("a", "one"))
    server.put("v1/pods", pod("b", "two"))
    assert client.call("/api/v1/namespaces/two/pods").names == ["b"]
    assert client.call(PODS, fieldSelector="metadata.namespace!=two").names == ["a"]


@pytest.mark.parametrize("path, size", [(PODS, 10), ("/api/v1/namespaces/shop/pods", 8), ("/api/v1/nodes", 5)])
def test_all_pages_show_the_state_at_the_first_page(
    server: ApiServer, client: Client, pod: Pod, path: str, size: int
) -> None:
    names = [f"item-{number}" for number in range(8)]
    for name in names:
        server.put("v1/pods", pod(name))
    for name in names[:5]:
        server.put("v1/nodes", {"metadata": {"name": name}})
    for name in ("x", "y"):
        server.put("v1/pods", pod(name, "zone"))
    page = client.call(path, limit=3)
    assert page.body["metadata"]["remainingItemCount"] == size - 3
    server.delete("v1/pods", "shop", "item-4")
    server.delete("v1/nodes", "", "item-4")
    server.put("v1/pods", pod("item-31"))
    seen, version = list(page.names), page.version
    while token := page.body["metadata"].get("continue"):
        page = client.call(path, **{"limit": 3, "continue": token})
        assert page.version == version
        seen += page.names
    assert len(seen) == len(set(seen)) == size
    assert "item-4" in seen
    assert server.requests_seen(verb="list") == 1
    assert server.requests_seen(verb="continue") > 0


def test_a_compacted_continue_token_is_a_410_with_an_inconsistent_continuation(
    server: ApiServer, client: Client, pod: Pod
) -> None:
    for name in "abcd":
        server.put("v1/pods", pod(name))
    token = client.call(PODS, limit=2).body["metadata"]["continue"]
    server.put("v1/pods", pod("e"))
    server.compact()
    expired = client.call(PODS, **{"limit": 2, "continue": token})
    assert (expired.status, expired.body["reason"]) == (410, "Expired")
    assert expired.body["message"].startswith("The provided continue parameter is too old")
    rest = client.call(PODS, **{"limit": 9, "continue": expired.body["metadata"]["continue"]})
    assert rest.names == ["c", "d", "e"]


def test_a_list_at_an_exact_version_shows_that_version_until_it_is_compacted(
    server: ApiServer, client: Client, pod: Pod
) -> None:
    then = server.put("v1/pods", pod("old"))
    server.put("v1/pods", pod("new"))
    server.delete("v1/pods", "shop", "old")
    exact = {"resourceVersion": then, "resourceVersionMatch": "Exact"}
    assert client.call(PODS, **exact).names == ["old"]
    assert client.call(PODS, resourceVersion=then, resourceVersionMatch="NotOlderThan").names == ["new"]
    server.compact()
    gone = client.call(PODS, **exact)
    assert (gone.status, gone.body["message"]) == (410, "The resourceVersion for the provided list is too old.")


def test_a_list_at_a_future_version_is_a_504(server: ApiServer, client: Client) -> None:
    answer = client.call(PODS, resourceVersion=10_066_204)
    assert (answer.status, answer.headers["retry-after"]) == (504, "1")
    assert answer.body["message"].startswith("Timeout: Too large resource version: 10066204, current: ")


def test_missing_objects_and_resources_are_reported_in_the_wording_of_a_real_server(client: Client) -> None:
    missing = client.call("/api/v1/namespaces/nope/pods/nope")
    assert missing.text == (
        '{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"pods \\"nope\\" not found",'
        '"reason":"NotFound","details":{"name":"nope","kind":"pods"},"code":404}\n'
    )
    unknown = client.call("/apis/nope.example.com/v1/things")
    assert (unknown.status, unknown.text) == (404, "404 page not found\n")
    assert unknown.headers["content-type"] == "text/plain; charset=utf-8"


def test_metadata_only_lists_and_watches_contain_no_spec(server: ApiServer, client: Client) -> None:
    assert client.call("/api/v1/secrets", accept=METADATA_LIST).body["items"] is None
    server.put("v1/secrets", {"metadata": {"name": "s", "namespace": "shop"}, "data": {"password": "eA=="}})
    listed = client.call("/api/v1/secrets", accept=METADATA_LIST)
    assert listed.body["kind"] == "PartialObjectMetadataList"
    assert listed.body["items"][0]["kind"] == "PartialObjectMetadata"
    with client.watch("/api/v1/secrets", accept=METADATA, resourceVersion="0") as stream:
        kind, obj = stream.next()
    assert (kind, obj["kind"], obj["metadata"]["name"]) == ("ADDED", "PartialObjectMetadata", "s")
    assert "password" not in listed.text + json.dumps(obj)


# watches -------------------------------------------------------------------------------------------------------------


def test_a_watch_from_a_version_delivers_past_and_future_changes(server: ApiServer, client: Client, pod: Pod) -> None:
    server.put("v1/pods", pod("before"))
    version = client.call(PODS).version
    server.put("v1/pods", pod("a"))
    with client.watch(PODS, resourceVersion=version) as stream:
        assert stream.summary(1) == [("ADDED", "a")]
        server.patch("v1/pods", "shop", "a", {"spec": {"x": 1}})
        last = server.delete("v1/pods", "shop", "a")
        assert stream.summary(1) == [("MODIFIED", "a")]
        kind, obj = stream.next()
        assert (kind, obj["metadata"]["resourceVersion"], obj["spec"]) == ("DELETED", last, {"x": 1})
        assert server.open_watches("v1/pods") == 1
    wait_until(lambda: server.open_watches() == 0)


def test_a_watch_without_a_version_starts_with_the_state(server: ApiServer, client: Client, pod: Pod) -> None:
    for name in "ba":
        server.put("v1/pods", pod(name))
    with client.watch(PODS) as unset, client.watch(PODS, resourceVersion="0") as zero:
        assert unset.summary(2) == zero.summary(2) == [("ADDED", "a"), ("ADDED", "b")]
        server.put("v1/pods", pod("c"))
        assert unset.summary(1) == zero.summary(1) == [("ADDED", "c")]


def test_initial_events_end_with_an_annotated_bookmark(server: ApiServer, client: Client, pod: Pod) -> None:
    version = server.put("v1/pods", pod("a"))
    asked = {"sendInitialEvents": "true", "allowWatchBookmarks": "true"}
    with client.watch(PODS, resourceVersionMatch="NotOlderThan", **asked) as stream:
        assert stream.summary(1) == [("ADDED", "a")]
        assert stream.next()[1]["metadata"] == {
            "resourceVersion": version,
            "annotations": {"k8s.io/initial-events-end": "true"},
        }
    assert client.call(PODS, watch="true", **asked).status == 422


def test_a_watch_ends_cleanly_at_its_timeout_after_a_bookmark(server: ApiServer, client: Client, pod: Pod) -> None:
    version = client.call(PODS).version
    server.put("v1/nodes", {"metadata": {"name": "n"}})
    with client.watch(PODS, resourceVersion=version, timeoutSeconds=1, allowWatchBookmarks="true") as stream:
        events = stream.rest()
    # The bookmark is past what happened elsewhere.
    assert events == [
        ("BOOKMARK", {"kind": "Pod", "apiVersion": "v1", "metadata": {"resourceVersion": str(int(version) + 1)}})
    ]
    with client.watch(PODS, resourceVersion=version, timeoutSeconds=1) as stream:
        assert stream.rest() == []


def test_bookmarks_come_every_interval_but_not_for_events(client: Client, server: ApiServer) -> None:
    server.bookmark_interval = 0.05
    with client.watch(PODS, resourceVersion="1", allowWatchBookmarks="true") as stream:
        assert {kind for kind, _ in stream.summary(3)} == {"BOOKMARK"}
    with client.watch("/api/v1/events", resourceVersion="1", allowWatchBookmarks="true", timeoutSeconds=1) as stream:
        assert stream.rest() == []


@pytest.mark.parametrize(
    "path, message",
    [
        (PODS, "too old resource version: 2 ({now})"),
        ("/api/v1/events", "The resourceVersion for the provided watch is too old."),
    ],
)
def test_a_watch_from_a_compacted_version_is_an_error_frame_in_a_200(
    server: ApiServer, client: Client, pod: Pod, path: str, message: str
) -> None:
    now = server.put("v1/pods", pod("a"))
    server.compact()
    with client.watch(path, resourceVersion=2) as stream:
        events = stream.rest()
    assert stream.status == 200
    assert events[0][0] == "ERROR"
    assert events[0][1] | {"metadata": {}} == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message.format(now=now),
        "reason": "Expired",
        "code": 410,
    }
    with client.watch(path, resourceVersion=now, timeoutSeconds=1) as stream:
        assert stream.rest() == []


def test_a_chunk_may_end_in_the_middle_of_a_line(server: ApiServer, client: Client, pod: Pod) -> None:
    server.put("v1/pods", pod("a", filler="x" * 5000))
    response = client.send(PODS, watch="1", resourceVersion="0")
    chunks = response.read_chunked(decode_content=False)
    assert len(next(chunks)) == 2048
    assert next(chunks).endswith(b"}\n")
    response.close()


def test_a_connection_serves_requests_after_a_watch_has_ended(server: ApiServer, client: Client) -> None:
    for _ in range(3):
        with client.watch(PODS, resourceVersion="1", timeoutSeconds=1) as stream:
            assert stream.rest() == []
        assert client.call(PODS).status == 200
    assert server.connections_accepted <= 4


def test_the_official_client_can_watch(server: ApiServer, client: Client, pod: Pod) -> None:
    server.put(CRDS, CRD)
    server.put("example.com/v1/widgets", pod("one"))
    widgets: Any = official.CustomObjectsApi(client.api)
    listed = widgets.list_namespaced_custom_object("example.com", "v1", "shop", "widgets")
    assert listed["items"][0]["kind"] == "Widget"
    server.put("example.com/v1/widgets", pod("two"))
    watch: Any = official_watch.Watch
    stream = watch().stream(
        widgets.list_cluster_custom_object,
        "example.com",
        "v1",
        "widgets",
        resource_version=listed["metadata"]["resourceVersion"],
        timeout_seconds=1,
    )
    assert [(event["type"], event["object"]["metadata"]["name"]) for event in stream] == [("ADDED", "two")]


# discovery -----------------------------------------------------------------------------------------------------------


def test_discovery_lists_groups_resources_and_verbs(client: Client) -> None:
    assert client.call("/version").body["gitVersion"] == "v1.36.2"
    assert client.call("/api").body["versions"] == ["v1"]
    groups = {group["name"] for group in client.call("/apis").body["groups"]}
    assert {"apps", "batch", "autoscaling", "policy", "apiextensions.k8s.io"} <= groups
    found = {entry["name"]: entry for entry in client.call("/api/v1").body["resources"]}
    assert found["pods"]["kind"] == "Pod"
    assert found["pods"]["namespaced"]
    assert not found["nodes"]["namespaced"]
    assert "watch" in found["pods"]["verbs"]
    assert "watch" not in found["pods/log"]["verbs"]
    assert client.call("/apis/apps/v1").body["groupVersion"] == "apps/v1"
    assert client.call("/apis/nope/v1").status == 404


def test_a_crd_adds_and_removes_its_resource(server: ApiServer, client: Client, pod: Pod) -> None:
    path = "/apis/example.com/v1/widgets"
    assert client.call(path).status == 404
    server.put(CRDS, CRD)
    assert client.call("/apis/example.com/v1").body["resources"][0]["kind"] == "Widget"
    server.put("example.com/v1/widgets", pod("one"))
    with client.watch(path, resourceVersion="0") as stream:
        assert stream.summary(1) == [("ADDED", "one")]
        server.delete(CRDS, "", "widgets.example.com")
        assert [kind for kind, _ in stream.rest()] == ["DELETED"]
    assert client.call(path).status == client.call("/apis/example.com/v1").status == 404


def test_a_resource_can_be_served_without_a_crd(server: ApiServer, client: Client) -> None:
    server.add_resource("metrics.k8s.io/v1beta1/nodes", "NodeMetrics", namespaced=False, verbs=("get", "list"))
    assert client.call("/apis/metrics.k8s.io/v1beta1").body["resources"][0]["verbs"] == ["get", "list"]


# writes, auth --------------------------------------------------------------------------------------------------------


def test_objects_are_written_over_http(server: ApiServer, client: Client) -> None:
    path = "/apis/apps/v1/namespaces/shop/deployments"
    created = client.call(path, "POST", {"metadata": {"name": "web"}, "spec": {"replicas": 1}})
    assert (created.status, created.body["kind"]) == (201, "Deployment")
    assert client.call(path, "POST", {"metadata": {"name": "web"}}).body["reason"] == "AlreadyExists"
    patched = client.call(f"{path}/web", "PATCH", {"spec": {"replicas": 2}})
    assert patched.body["metadata"]["generation"] == 2
    stale = client.call(f"{path}/web", "PUT", created.body)
    assert (stale.status, stale.body["reason"]) == (409, "Conflict")
    assert client.call(f"{path}/web", "PUT", patched.body | {"status": {"replicas": 2}}).status == 200
    deleted = client.call(f"{path}/web", "DELETE")
    assert (deleted.status, deleted.body["status"]) == (200, "Success")
    assert client.call(f"{path}/web").status == 404


def test_only_a_current_token_is_accepted(server: ApiServer, client: Client, tmp_path: Path) -> None:
    assert client.call(PODS).status == 200
    server.tokens = {"another"}
    refused = client.call(PODS)
    assert (refused.status, refused.body["reason"]) == (401, "Unauthorized")
    with Client(server.kubeconfig(tmp_path / "new")) as fresh:
        assert fresh.call(PODS).status == 200


def test_only_a_forbidden_resource_is_a_403(server: ApiServer, client: Client) -> None:
    server.forbid("v1/secrets")
    refused = client.call("/api/v1/secrets")
    assert refused.status == 403
    assert refused.body["message"].endswith('cannot list resource "secrets" in API group "" at the cluster scope')
    assert client.call(PODS).status == 200
    server.allow("v1/secrets")
    assert client.call("/api/v1/secrets").status == 200


def test_https_uses_its_own_certificate(tmp_path: Path, pod: Pod) -> None:
    with ApiServer(token="t", https=True) as server, Client(server.kubeconfig(tmp_path / "k")) as client:
        version = server.put("v1/pods", pod("a"))
        assert client.call(PODS).names == ["a"]
        with client.watch(PODS, resourceVersion=version) as stream:
            server.put("v1/pods", pod("b"))
            assert stream.summary(1) == [("ADDED", "b")]
        wait_until(lambda: server.open_watches() == 0)
        assert server.certificate_path is not None
    assert not server.certificate_path.exists()


@pytest.mark.parametrize("https", [False, True])
def test_it_can_be_stopped_and_started_while_clients_connect(*, https: bool) -> None:
    """An open connection would cause a ResourceWarning in a later test."""
    over = threading.Event()

    def connect(port: int) -> None:
        while not over.is_set():
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port), 1).close()

    with ApiServer(https=https) as server:
        client = threading.Thread(target=connect, args=(server.port,))
        client.start()
        for _ in range(20):
            server.stop()
            server.start()
        over.set()
        client.join()
    gc.collect()


def test_a_long_list_is_compressed_for_clients_that_accept_gzip(server: ApiServer, client: Client, pod: Pod) -> None:
    server.put("v1/pods", pod("a", filler="x" * 200_000))
    client.api.set_default_header("Accept-Encoding", "gzip")
    answer = client.call(PODS)
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.names == ["a"]


def test_one_watch_receives_many_lines(server: ApiServer, client: Client, pod: Pod) -> None:
    count, version = 10_000, client.call(PODS).version
    for number in range(count):
        server.put("v1/pods", pod(f"p{number}", filler="x" * 1500))
    with client.watch(PODS, resourceVersion=version) as stream:
        assert sum(stream.line() is not None for _ in range(count)) == count
