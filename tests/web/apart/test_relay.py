"""Questions are answered by a process of their own, byte for byte as by the process that is asked."""

import http.client
import json
import os
import signal
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from starlette.exceptions import HTTPException

from kspan.graph import built_in_rules
from kspan.ingest import read_frames
from kspan.pipeline.replay import replay
from kspan.query.visible import Visible
from kspan.store import open_store
from kspan.web.apart import process as processes
from kspan.web.apart import relay as relays
from kspan.web.apart.process import Program
from kspan.web.app import make_app
from kspan.web.guard import Access
from kspan.web.history import History
from kspan.web.server import Server
from kspan.web.status import STATUS_PATHS
from kspan.web.v1 import news
from tests.daemon.small_cluster import wait_until
from tests.limits import HANG_S
from tests.query.conftest import Histories, histories  # noqa: F401
from tests.query.conftest import History as Known
from tests.recordings import recording
from tests.web.apart.relaying import OPEN, STATUS, Relayed, program, relaying
from tests.web.test_server import ask

CLUSTER = "c"
MINE = "rolling-update"
JSON = {"Content-Type": "application/json"}
HTML = {"Accept": "text/html"}
REQUESTS: list[tuple[str, str, Mapping[str, str], str]] = [
    ("GET", "/", HTML, ""),
    ("GET", "/traces", HTML, ""),
    ("GET", "/objects?kind=pod", HTML, ""),
    ("GET", "/objects/deployment/rolling-update/no-such-thing", HTML, ""),
    ("GET", "/nowhere", HTML, ""),
    ("GET", "/nowhere", {}, ""),
    ("GET", "/v1/nowhere", {}, ""),
    ("GET", "/static/app.css", {}, ""),
    ("GET", "/v1/openapi.json", {}, ""),
    ("HEAD", "/v1/openapi.json", {}, ""),
    ("GET", "/v1/traces?limit=3", {}, ""),
    ("GET", "/v1/traces?limit=3", {"Accept-Encoding": "gzip"}, ""),
    ("GET", "/v1/traces?limit=x", {}, ""),
    ("GET", "/v1/stats", {}, ""),
    ("GET", "/api/services", {}, ""),
    ("GET", "/api/traces?traceID=%ff%00", {}, ""),
    ("POST", "/v1/traces", {}, ""),
    ("POST", "/v1/sql", JSON, '{"statement": "SELECT count(*) AS n FROM traces"}'),
    ("POST", "/v1/sql", JSON, '{"statement": "DELETE FROM traces"}'),
    ("POST", "/v1/sql", JSON, " " * (64 << 10) + "{}"),
    ("POST", "/v1/sql", {}, "{}"),
]


class Mine:
    """Lets everybody see one namespace. ``broken``: nobody knows who may see what."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.broken = False

    async def admit(self, _token: str, _path: str | None) -> Visible:
        return Visible(self._may_list)

    def _may_list(self, namespace: str) -> bool:
        self.asked.append(namespace)
        if self.broken:
            raise HTTPException(503, "nobody can say")
        return namespace == MINE


def direct(known: Known, access: Access) -> Server:
    """A server that answers itself."""
    history = History(lambda _: (known.store, known.cluster), serves_sql=True, seconds=HANG_S)
    server = Server("127.0.0.1:0", make_app(STATUS, access, history, lambda: (3, 4)))
    server.start()
    return server


@pytest.fixture
def known(histories: Histories) -> Known:  # noqa: F811
    return histories("02-rolling-update")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A database with one cluster."""
    path = str(tmp_path_factory.mktemp("relayed") / "kspan.sqlite")
    with open_store(path) as store:
        replay(store, read_frames([str(recording("02-rolling-update"))]), built_in_rules(), cluster=CLUSTER)
    return path


@pytest.fixture
def relayed(url: str) -> Iterator[Relayed]:
    with relaying(program(url), CLUSTER) as found:
        yield found


def raw(
    address: tuple[str, int], method: str, path: str, headers: Mapping[str, str], body: str
) -> tuple[int, bytes, object]:
    connection = http.client.HTTPConnection(*address, timeout=HANG_S)
    try:
        connection.request(method, path, body=body or None, headers={"Authorization": "Bearer token", **headers})
        found = connection.getresponse()
        return found.status, found.read(), sorted((name.lower(), value) for name, value in found.getheaders())
    finally:
        connection.close()


@pytest.mark.parametrize("restricted", [False, True])
def test_answers_are_those_of_a_process_that_answers_itself(known: Known, restricted: bool) -> None:
    access = Access(hosts=None, door=Mine()) if restricted else OPEN
    server = direct(known, access)
    try:
        with relaying(program(known.url), known.cluster, access) as other:
            for request in REQUESTS:
                assert raw(other.address, *request) == raw(server.address, *request), request
            status, _, headers = ask(server.address, "/v1/traces?limit=1", headers={"Authorization": "Bearer token"})
            trace = json.loads(_)["items"][0]["trace_id"]
            status, _, headers = ask(other.address, f"/v1/traces/{trace}", headers={"Authorization": "Bearer token"})
            assert status == 200
            if not restricted:
                again = raw(other.address, "GET", f"/v1/traces/{trace}", {"If-None-Match": headers["etag"]}, "")
                assert (again[0], again[1]) == (304, b"")
    finally:
        server.stop()


def test_the_rights_of_an_asker_are_decided_by_the_daemon_each_time(url: str) -> None:
    door = Mine()
    with relaying(program(url), CLUSTER, Access(hosts=None, door=door)) as relayed:
        token = {"Authorization": "Bearer token"}
        assert ask(relayed.address, "/v1/traces", headers=token)[0] == 200
        assert {"", MINE} <= set(door.asked)
        door.broken = True
        status, body, _ = ask(relayed.address, "/v1/traces", headers=token)
        assert (status, json.loads(body)["detail"]) == (503, "nobody can say")


def test_the_process_starts_with_the_first_question_and_ends_when_nobody_asks(relayed: Relayed) -> None:
    for path in STATUS_PATHS:
        assert ask(relayed.address, path)[0] == 200
    assert relayed.process.pid is None
    assert ask(relayed.address, "/v1/traces")[0] == 200
    first = relayed.pid
    relayed.clock.now = 299.0
    relayed.process.end_if_idle()
    assert relayed.pid == first
    assert ask(relayed.address, "/v1/traces")[0] == 200
    relayed.clock.now = 599.0
    wait_until(lambda: not _is_open(relayed))
    relayed.process.end_if_idle()
    assert relayed.process.pid is None
    assert not Path(f"/proc/{first}").exists()
    assert ask(relayed.address, "/v1/traces")[0] == 200
    assert relayed.pid != first


def _is_open(relayed: Relayed) -> bool:
    return relayed.process._open > 0


def test_a_question_that_is_open_keeps_the_process(relayed: Relayed) -> None:
    stream = _Stream(relayed)
    relayed.clock.now = 10_000.0
    relayed.process.end_if_idle()
    assert relayed.pid
    stream.close()


def test_after_a_process_that_was_killed_another_answers(relayed: Relayed, caplog: pytest.LogCaptureFixture) -> None:
    assert ask(relayed.address, "/v1/traces")[0] == 200
    first = relayed.pid
    stream = _Stream(relayed)
    os.kill(first, signal.SIGKILL)
    with pytest.raises(http.client.IncompleteRead):
        stream.read()
    stream.close()
    status, body, headers = ask(relayed.address, "/v1/traces")
    assert (status, json.loads(body)["detail"]) == (503, relays.UNANSWERED)
    assert headers["retry-after"]
    assert "ended with exit code -9" in caplog.text
    assert ask(relayed.address, "/healthz")[0] == 200
    relayed.clock.now += processes.RESTART_S
    assert ask(relayed.address, "/v1/traces")[0] == 200
    assert relayed.pid != first


def test_a_program_that_does_not_run_is_an_error_of_the_question_only(caplog: pytest.LogCaptureFixture) -> None:
    with relaying(Program("kspan.no_such_module", b"")) as relayed:
        assert ask(relayed.address, "/v1/traces")[0] == 503
        assert ask(relayed.address, "/", headers=HTML)[0] == 503
        assert ask(relayed.address, "/healthz")[0] == 200


def test_the_end_of_a_question_waits_neither_for_the_start_nor_for_the_end_of_the_process(url: str) -> None:
    process = processes.Process(program(url))
    try:
        process.open().close()
        noted = threading.Thread(target=process.done, daemon=True)
        with process._lock:  # Held for seconds while the process is started, and when it has to be waited for.
            noted.start()
            noted.join(HANG_S / 10)
            assert not noted.is_alive()
        assert process._open == 0
    finally:
        process.close()


def test_clients_that_leave_take_no_place(relayed: Relayed) -> None:
    for _ in range(news.LISTENERS + 2):
        _Stream(relayed).close()
    wait_until(lambda: not _is_open(relayed))
    assert ask(relayed.address, "/v1/traces")[0] == 200


def test_the_process_ends_with_the_server(url: str) -> None:
    with relaying(program(url), CLUSTER) as relayed:
        stream = _Stream(relayed)
        pid = relayed.pid
        relayed.server.stop()
        assert not Path(f"/proc/{pid}").exists()
        assert ask_refused(relayed)
        stream.close()


def ask_refused(relayed: Relayed) -> bool:
    try:
        ask(relayed.address, "/v1/traces")
    except ConnectionRefusedError:
        return True
    return False


class _Stream:
    """A stream of events that has begun."""

    def __init__(self, relayed: Relayed) -> None:
        self._connection = http.client.HTTPConnection(*relayed.address, timeout=HANG_S)
        self._connection.request("GET", "/v1/stream")
        self.answer = self._connection.getresponse()
        assert self.answer.status == 200
        assert self.answer.readline().startswith(b"retry: ")

    def read(self) -> bytes:
        return self.answer.read()

    def close(self) -> None:
        self.answer.close()
        self._connection.close()
