"""One resource, with every fault of an API server and a network."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from tests.ingest.watch.scripted import (
    Reply,
    Request,
    Script,
    ScriptedServer,
    bookmark,
    change,
    cut,
    failure,
    listed,
    lists,
    pod,
    sends,
    stay_silent,
    torn,
    versions,
)
from tests.ingest.watch.watching import QUICK, connection_to, reflecting, until


def test_a_list_is_paged_and_marked_and_then_watched_with_bookmarks(tmp_path: Path) -> None:
    def page(request: Request, reply: Reply) -> None:
        assert request.query["limit"] == "500"
        token = request.query.get("continue", "")
        reply.json(listed(10, pod("b", 7)) if token else listed(10, pod("a", 5), token="next"))

    script = Script(page, sends(change("MODIFIED", pod("a", 11)), bookmark(15), then=stay_silent))
    with ScriptedServer(script) as server, reflecting(connection_to(server.url, tmp_path)) as got:
        got.wait("BOOKMARK @15")
        assert got.words() == ["LIST @10", "LISTED a@5", "LISTED b@7", "BOOKMARK @10", "MODIFIED a@11", "BOOKMARK @15"]
        asked = server.requests[-1]
        assert asked.query["allowWatchBookmarks"] == "true"
        assert asked.query["timeoutSeconds"] == "2"
        assert asked.headers["authorization"] == "Bearer secret-token"
        assert asked.headers["user-agent"].startswith("kspan/")


def test_a_cursor_is_resumed_without_a_list(tmp_path: Path) -> None:
    script = Script(listed(99), sends(change("ADDED", pod("a", 43)), then=stay_silent))
    with ScriptedServer(script) as server, reflecting(connection_to(server.url, tmp_path), version="42") as got:
        got.wait("ADDED a@43")
        assert versions(server) == ["42"]
        assert lists(server) == 0


def test_a_watch_that_ended_resumes_from_the_newest_version(tmp_path: Path) -> None:
    script = Script(
        listed(10), sends(change("ADDED", pod("a", 12))), sends(bookmark(20), change("DELETED", pod("a", 21)))
    )
    with ScriptedServer(script) as server, reflecting(connection_to(server.url, tmp_path)) as got:
        until(lambda: len(versions(server)) == 3, "a third watch")
        assert versions(server) == ["10", "12", "21"]
        assert lists(server) == 1
        assert got.reasons() == ["timeout", "timeout"]


def test_a_line_is_delivered_on_arrival_before_a_buffer_is_full(tmp_path: Path) -> None:
    def unchunked(reply: Reply) -> None:
        reply.raw(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        reply.raw(msgspec.json.encode(change("ADDED", pod("b", 12))) + b"\n")
        reply.stay_silent()

    script = Script(listed(10), sends(change("ADDED", pod("a", 11)), then=stay_silent))
    for watch, expected in ((script.watches[0], "ADDED a@11"), (unchunked, "ADDED b@12")):
        script.watches = [watch]
        with ScriptedServer(script) as server, reflecting(connection_to(server.url, tmp_path)) as got:
            got.wait(expected)


def test_a_line_may_arrive_in_many_pieces(tmp_path: Path) -> None:
    def pieces(reply: Reply) -> None:
        reply.begin()
        text = msgspec.json.encode(change("ADDED", pod("a", 11, labels={"x": "y" * 5000}))) + b"\n"
        for at in range(0, len(text), 700):
            reply.chunk(text[at : at + 700])
        reply.stay_silent()

    with ScriptedServer(Script(listed(10), pieces)) as server, reflecting(connection_to(server.url, tmp_path)) as got:
        got.wait("ADDED a@11")


@pytest.mark.parametrize(
    "watch, reason, checks",
    [
        (sends(change("ADDED", pod("a", 11)), then=torn), "torn", 1),
        (sends(change("ADDED", pod("a", 11)), then=cut), "disconnected", 1),
        (sends(change("ADDED", pod("a", 11)), change("ERROR", failure(500, "InternalError"))), "error", 0),
    ],
)
def test_a_broken_watch_resumes_from_the_last_whole_line(
    tmp_path: Path, watch: Callable[[Reply], None], reason: str, checks: int
) -> None:
    """Another API server may answer after an outage: the versions are checked before."""
    script = Script(listed(10), watch, sends(change("ADDED", pod("b", 12)), then=stay_silent))
    script.lists.append(listed(11))
    with ScriptedServer(script) as server, reflecting(connection_to(server.url, tmp_path)) as got:
        got.wait("ADDED a@11", "ADDED b@12")
        assert versions(server) == ["10", "11"]
        assert lists(server) == 1 + checks
        assert got.reasons() == [reason]
        assert sum(line.startswith(("NOTE", "ERROR")) for line in got.words()) == 1


def test_a_torn_line_without_chunks_is_dropped(tmp_path: Path) -> None:
    def unchunked(reply: Reply) -> None:
        whole = msgspec.json.encode(change("ADDED", pod("a", 11)))
        reply.raw(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + whole + b"\n" + whole[:-20])

    script = Script(listed(10), unchunked)
    script.lists.append(listed(11))
    with ScriptedServer(script) as server, reflecting(connection_to(server.url, tmp_path)) as got:
        until(lambda: versions(server) == ["10", "11"], "a second watch")
        assert got.reasons() == ["torn"]


def test_a_stalled_watch_is_abandoned_and_resumed(tmp_path: Path) -> None:
    timing = msgspec.structs.replace(QUICK, watch_min=1, watch_max=1, short_min=1, short_max=1, stall=0.3)
    script = Script(listed(10), sends(change("ADDED", pod("a", 11)), then=stay_silent))
    script.lists.append(listed(11))
    with ScriptedServer(script) as server, reflecting(connection_to(server.url, tmp_path, timing)) as got:
        until(lambda: len(versions(server)) >= 2, "a second watch")
        assert versions(server)[:2] == ["10", "11"]
        assert got.reasons()[0] == "stalled"
        assert not any(line.startswith("LIST @11") for line in got.words())


@pytest.mark.parametrize(
    "message", ["too old resource version: 10 (50)", "The resourceVersion for the provided watch is too old."]
)
def test_a_410_in_an_error_frame_is_delivered_and_followed_by_a_list(tmp_path: Path, message: str) -> None:
    script = Script(listed(10, pod("a", 5)), sends(change("ERROR", failure(410, "Expired", message))))
    script.lists.append(listed(60, pod("b", 55)))
    with ScriptedServer(script) as server, reflecting(connection_to(server.url, tmp_path)) as got:
        until(lambda: versions(server) == ["10", "60"], "a second watch")
        assert got.words() == [
            "LIST @10", "LISTED a@5", "BOOKMARK @10", "ERROR 410", "LIST @60", "LISTED b@55", "BOOKMARK @60",
        ]  # fmt: skip
        assert got.reasons() == ["gone"]


def test_a_410_as_http_status_is_delivered_and_followed_by_a_list(tmp_path: Path) -> None:
    script = Script(listed(60), lambda reply: reply.json(failure(410, "Expired"), 410))
    with ScriptedServer(script) as server, reflecting(connection_to(server.url, tmp_path), version="3") as got:
        until(lambda: versions(server) == ["3", "60"], "a second watch")
        assert got.words() == ["ERROR 410", "LIST @60", "BOOKMARK @60"]


def test_a_410_on_a_continue_token_restarts_the_list(tmp_path: Path) -> None:
    state = {"expired": 0}

    def page(request: Request, reply: Reply) -> None:
        if "continue" in request.query:
            state["expired"] += 1
            reply.json(failure(410, "Expired"), 410)
        elif "limit" in request.query:
            reply.json(listed(10, pod("a", 5), token="next"))
        else:
            reply.json(listed(12, pod("a", 5), pod("b", 6)))

    with ScriptedServer(Script(page)) as server, reflecting(connection_to(server.url, tmp_path)) as got:
        got.wait("BOOKMARK @12")
        # The third list is not paged: for a slow consumer the tokens of the pages would expire again and again.
        broken = ["LIST @10", "LISTED a@5", "ERROR 410"]
        assert got.words() == [*broken, *broken, "LIST @12", "LISTED a@5", "LISTED b@6", "BOOKMARK @12"]


def test_a_failed_page_is_requested_again_and_nothing_is_delivered_twice(tmp_path: Path) -> None:
    failed: list[int] = []

    def page(request: Request, reply: Reply) -> None:
        if "continue" not in request.query:
            reply.json(listed(10, pod("a", 5), token="next"))
        elif len(failed) < 2:
            failed.append(1)
            reply.json(failure(503, "ServiceUnavailable"), 503)
        else:
            reply.json(listed(10, pod("b", 6)))

    with ScriptedServer(Script(page)) as server, reflecting(connection_to(server.url, tmp_path)) as got:
        got.wait("BOOKMARK @10")
        assert got.words() == ["LIST @10", "LISTED a@5", "LISTED b@6", "BOOKMARK @10"]
        assert got.reasons() == ["server-error", "server-error"]


def test_retry_after_is_respected(tmp_path: Path) -> None:
    times: list[float] = []

    def throttled(reply: Reply) -> None:
        times.append(time.monotonic())
        reply.json(failure(429, "TooManyRequests"), 429, {"Retry-After": "1"})

    def second(reply: Reply) -> None:
        times.append(time.monotonic())
        reply.begin()
        reply.stay_silent()

    script = Script(listed(10), throttled, second)
    with ScriptedServer(script) as server, reflecting(connection_to(server.url, tmp_path)) as got:
        until(lambda: len(times) == 2, "a second watch")
        assert times[1] - times[0] >= 1.0
        assert got.reasons() == ["throttled"]


def test_a_server_that_ends_every_watch_at_once_gets_few_requests(tmp_path: Path) -> None:
    script = Script(listed(10), *[sends()] * 1000)
    timing = msgspec.structs.replace(QUICK, first=0.1, ceiling=0.4, shortest=1.0)
    with ScriptedServer(script) as server, reflecting(connection_to(server.url, tmp_path, timing)):
        until(lambda: len(versions(server)) >= 2, "two watches")
        end = time.monotonic() + 1
        until(lambda: time.monotonic() > end, "a second")
        assert len(versions(server)) <= 10


@pytest.mark.parametrize("code", [403, 404])
def test_a_refused_resource_is_reported_once_and_retried(tmp_path: Path, code: int) -> None:
    tries: list[int] = []

    def refusing(request: Request, reply: Reply) -> None:
        tries.append(1)
        if len(tries) <= 4:
            reply.json(failure(code, "No"), code)
        else:
            reply.json(listed(10))

    with ScriptedServer(Script(refusing)) as server, reflecting(connection_to(server.url, tmp_path)) as got:
        got.wait("BOOKMARK @10")
        assert [event for event in got.events if event[0] == "refused"] == [("refused", "v1/pods", str(code))]
        assert got.words() == ["LIST @10", "BOOKMARK @10"]


def test_credentials_are_reloaded_after_a_401(tmp_path: Path) -> None:
    config = tmp_path / "kubeconfig"

    def authorized(request: Request, reply: Reply) -> None:
        if request.headers["authorization"] != "Bearer rotated":
            config.write_text(config.read_text().replace("secret-token", "rotated"))
            reply.json(failure(401, "Unauthorized"), 401)
        else:
            Script(listed(10))(request, reply)

    with ScriptedServer(authorized) as server, reflecting(connection_to(server.url, tmp_path)) as got:
        got.wait("BOOKMARK @10")
        until(lambda: versions(server) == ["10"], "a watch")
        assert got.reasons() == []


def test_a_lasting_401_is_retried_with_backoff(tmp_path: Path) -> None:
    tries: list[int] = []

    def unknown(request: Request, reply: Reply) -> None:
        tries.append(1)
        if len(tries) <= 6:
            reply.json(failure(401, "Unauthorized"), 401)
        else:
            Script(listed(10))(request, reply)

    with ScriptedServer(unknown) as server, reflecting(connection_to(server.url, tmp_path)) as got:
        got.wait("BOOKMARK @10")
        assert got.reasons() == ["unauthorized"] * 3


def test_invalid_lines_and_objects_are_skipped_with_a_note(tmp_path: Path) -> None:
    def nonsense(reply: Reply) -> None:
        reply.begin()
        reply.chunk(b'{"type":"ADDED","object":\n{not json}\n\n[1,2]\n\xff\xfe\n')
        reply.lines(change("ADDED", {"metadata": {"uid": 5}}), change("GREETING", {}), change("BOOKMARK", {}))
        reply.lines(change("ADDED", pod("a", 11)))
        reply.stay_silent()

    script = Script(listed(10, {"metadata": None}, pod("z", 4)), nonsense)
    with ScriptedServer(script) as server, reflecting(connection_to(server.url, tmp_path)) as got:
        got.wait("ADDED a@11")
        words = got.words()
        assert words[:3] == ["LIST @10", "LISTED z@4", "BOOKMARK @10"]
        assert words[3].startswith("NOTE skipped in a list: the object")
        assert [line[:13] for line in words[4:-1]] == ["NOTE skipped:"] * 7
        assert lists(server) == 1


def test_an_unreachable_server_is_found_when_it_is_back(tmp_path: Path) -> None:
    with ScriptedServer(Script(listed(10))) as server:
        port = server.port
    with reflecting(connection_to(f"http://127.0.0.1:{port}", tmp_path)) as got:
        until(lambda: len(got.reasons()) >= 3, "three tries")
        assert set(got.reasons()) == {"disconnected"}
        with ScriptedServer(Script(listed(10)), port):
            got.wait("BOOKMARK @10")
            until(lambda: got.events and got.events[-1][0] == "connected", "connected")


def test_changes_of_state_are_logged_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "kspan.watch")
    script = Script(listed(10), *[lambda reply: reply.json(failure(503, "Away"), 503)] * 5)
    with ScriptedServer(script) as server, reflecting(connection_to(server.url, tmp_path)) as got:
        until(lambda: got.events and got.events[-1][0] == "connected", "connected")
    records = [record for record in caplog.records if record.name == "kspan.watch"]
    assert [record.levelname for record in records] == ["WARNING", "INFO"]
    assert all(record.__dict__["resource"] == "v1/pods" for record in records)
    assert "secret-token" not in caplog.text


def test_a_cursor_from_the_future_is_noticed(tmp_path: Path) -> None:
    def silent(reply: Reply) -> None:
        reply.begin()
        time.sleep(1.0)
        reply.end()

    timing = msgspec.structs.replace(QUICK, watch_min=1, watch_max=1, short_min=1, short_max=1)
    script = Script(listed(10), silent)
    with (
        ScriptedServer(script) as server,
        reflecting(connection_to(server.url, tmp_path, timing), version="9000") as got,
    ):
        got.wait("BOOKMARK @10")
        assert got.words() == ["ERROR 410", "LIST @10", "BOOKMARK @10"]


def test_while_the_consumer_blocks_the_socket_is_not_read(tmp_path: Path) -> None:
    sent: list[int] = []

    def flood(reply: Reply) -> None:
        reply.begin()
        filler = {"x": "y" * 20_000}
        for number in range(2000):
            reply.lines(change("ADDED", pod("a", 11 + number, labels=filler)))
            sent.append(1)
        reply.stay_silent()

    with ScriptedServer(Script(listed(10), flood)) as server, reflecting(connection_to(server.url, tmp_path)) as got:
        got.wait("ADDED a@11")
        got.gate.clear()
        before, steady = -1, 0
        while steady < 10:
            steady = steady + 1 if len(sent) == before else 0
            before = len(sent)
            threading.Event().wait(0.02)
        assert len(sent) < 2000
        got.gate.set()
        got.wait("ADDED a@2010")
