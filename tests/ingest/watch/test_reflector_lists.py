"""One resource: which namespaces, fields and versions its lists and watches request."""

import threading
from pathlib import Path

import pytest

from kspan.k8s.resources import WatchTarget
from tests.ingest.watch.scripted import (
    Reply,
    Request,
    Script,
    ScriptedServer,
    change,
    failure,
    listed,
    pod,
    sends,
    stay_silent,
    versions,
)
from tests.ingest.watch.watching import connection_to, reflecting, until


def test_several_namespaces_share_a_list_and_have_a_watch_each(tmp_path: Path) -> None:
    scripts = {
        "/api/v1/namespaces/a/pods": Script(
            listed(10, pod("a", 5)), sends(change("ADDED", pod("c", 13)), then=stay_silent)
        ),
        "/api/v1/namespaces/b/pods": Script(listed(11, pod("b", 6)), sends(change("ERROR", failure(410, "Expired")))),
    }

    def answer(request: Request, reply: Reply) -> None:
        scripts[request.path](request, reply)

    with ScriptedServer(answer) as server, reflecting(connection_to(server.url, tmp_path), scopes=("a", "b")) as got:
        until(lambda: got.words().count("BOOKMARK @10") == 2, "a second list")
        assert got.words()[:4] == ["LIST @10", "LISTED a@5", "LISTED b@6", "BOOKMARK @10"]
        assert got.words()[-4:] == ["LIST @10", "LISTED a@5", "LISTED b@6", "BOOKMARK @10"]
        assert "ERROR 410" in got.words()


def test_other_namespaces_are_watched_while_one_is_forbidden(tmp_path: Path) -> None:
    allowed = threading.Event()
    script = Script(listed(10, pod("a", 5)), sends(change("ADDED", pod("c", 13)), then=stay_silent))

    def answer(request: Request, reply: Reply) -> None:
        if "/b/" in request.path and not allowed.is_set():
            reply.json(failure(403, "Forbidden"), 403)
        elif "/b/" in request.path:
            Script(listed(20, pod("b", 6)))(request, reply)
        else:
            script(request, reply)

    with ScriptedServer(answer) as server, reflecting(connection_to(server.url, tmp_path), scopes=("a", "b")) as got:
        got.wait("ADDED c@13")
        assert ("refused", "v1/pods", "403") in got.events
        allowed.set()
        got.wait("LISTED b@6")


def test_only_metadata_is_requested_for_a_metadata_only_target(tmp_path: Path) -> None:
    secrets = WatchTarget("v1/secrets", "Secret", True, metadata_only=True)
    whole = pod("s", 5) | {"kind": "Secret", "data": {"password": "aHVudGVyMg=="}}
    script = Script(listed(10, whole), sends(change("MODIFIED", whole), then=stay_silent))
    with ScriptedServer(script) as server, reflecting(connection_to(server.url, tmp_path), secrets) as got:
        got.wait("MODIFIED s@5", resource="v1/secrets")
        assert not any(b"aHVudGVyMg" in frame.object for frame in got.frames)
        accepted = [request.headers["accept"] for request in server.requests]
        assert accepted[0] == "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
        assert accepted[1] == "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"


@pytest.mark.parametrize(
    "status, reason", [(410, "Expired"), (400, "BadRequest"), (500, "InternalError"), (504, "Timeout")]
)
def test_the_first_list_is_at_the_first_start_version_that_the_server_has(
    tmp_path: Path, status: int, reason: str
) -> None:
    asked: list[tuple[str, str]] = []

    def lists_then(request: Request, reply: Reply) -> None:
        version = request.query.get("resourceVersion", "")
        asked.append((version, request.query.get("resourceVersionMatch", "")))
        if version == "7":
            reply.json(failure(status, reason), status)
        elif request.query.get("continue"):
            reply.json(listed(8, pod("b", 6)))
        else:
            reply.json(listed(8, pod("a", 5), token="next"))

    script = Script(lists_then, sends(change("MODIFIED", pod("a", 9)), then=stay_silent))
    with (
        ScriptedServer(script) as server,
        reflecting(connection_to(server.url, tmp_path), start_versions=("7", "8", "9")) as got,
    ):
        got.wait("MODIFIED a@9")
        assert got.words() == ["LIST @8", "LISTED a@5", "LISTED b@6", "BOOKMARK @8", "MODIFIED a@9"]
        # A continue token contains its version and must not be sent with another (k8s.io/apimachinery, ListOptions).
        assert asked == [("7", "Exact"), ("8", "Exact"), ("", "")]
        assert versions(server) == ["8"]
        assert got.events == [("connected", "v1/pods", "")]


def test_without_a_known_start_version_every_list_is_at_the_newest_version(tmp_path: Path) -> None:
    asked: list[str] = []

    def answer(request: Request, reply: Reply) -> None:
        asked.append(request.query.get("resourceVersion", ""))
        if asked[-1]:
            reply.json(failure(410, "Expired"), 410)
        else:
            reply.json(listed(20, pod("a", 5)))

    def gone(reply: Reply) -> None:
        reply.json(failure(410, "Expired"), 410)

    script = Script(answer, gone, sends(change("MODIFIED", pod("a", 29)), then=stay_silent))
    with (
        ScriptedServer(script) as server,
        reflecting(connection_to(server.url, tmp_path), start_versions=("7", "8")) as got,
    ):
        got.wait("MODIFIED a@29")
        assert asked == ["7", "8", "", ""]


def test_an_unreachable_server_does_not_discard_the_start_versions(tmp_path: Path) -> None:
    asked: list[str] = []

    def answer(request: Request, reply: Reply) -> None:
        asked.append(request.query.get("resourceVersion", ""))
        if len(asked) < 4:
            reply.json(failure(503, "ServiceUnavailable"), 503)
        else:
            reply.json(listed(7, pod("a", 5)))

    with (
        ScriptedServer(Script(answer, sends(then=stay_silent))) as server,
        reflecting(connection_to(server.url, tmp_path), start_versions=("7",)) as got,
    ):
        got.wait("BOOKMARK @7")
        assert asked == ["7"] * 4


def test_owners_are_reported_once(tmp_path: Path) -> None:
    named: list[tuple[str, str]] = []
    owner = {"ownerReferences": [{"apiVersion": "example.com/v1", "kind": "Widget", "name": "w", "uid": "u"}]}
    script = Script(listed(10, pod("a", 5, **owner)), sends(change("ADDED", pod("b", 11, **owner)), then=stay_silent))

    def remember(*pair: str) -> None:
        named.append((pair[0], pair[1]))

    with (
        ScriptedServer(script) as server,
        reflecting(connection_to(server.url, tmp_path), on_reference=remember) as got,
    ):
        got.wait("ADDED b@11")
        assert named == [("example.com/v1", "Widget")]
