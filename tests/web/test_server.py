"""The HTTP server, over real sockets."""

import asyncio
import http.client
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pytest

from kspan.errors import SettingsError
from kspan.web import server as server_module
from kspan.web.access.doors import SharedToken
from kspan.web.answer import Answer, verdict
from kspan.web.guard import LONGEST_TARGET, Access, local_hosts
from kspan.web.server import Server, parse_listen
from kspan.web.status import make_status_app
from tests.daemon.small_cluster import get
from tests.limits import HANG_S

EVERYWHERE = "0.0.0.0"  # noqa: S104
TOKEN = "a-token-of-some-length"
LOCAL = Access(hosts=local_hosts("127.0.0.1"))


def broken(_: str) -> Answer:
    raise RuntimeError("secret details")


ROUTES = {"/broken": broken, "/fine": lambda _: verdict([]), "/accept": lambda accept: Answer(200, accept.encode())}


@contextmanager
def serving(access: Access = LOCAL) -> Iterator[tuple[str, int]]:
    server = Server("127.0.0.1:0", make_status_app(ROUTES, access))
    server.start()
    try:
        yield server.address
    finally:
        server.stop()
        server.stop()


def ask(
    address: tuple[str, int], path: str, method: str = "GET", headers: Mapping[str, str] | None = None, body: str = ""
) -> tuple[int, str, Mapping[str, str]]:
    connection = http.client.HTTPConnection(*address, timeout=HANG_S)
    try:
        connection.request(method, path, body=body or None, headers=dict(headers or {}))
        answer = connection.getresponse()
        return answer.status, answer.read().decode(), {k.lower(): v for k, v in answer.getheaders()}
    finally:
        connection.close()


def test_each_reason_for_not_being_ready_is_a_line() -> None:
    assert verdict([]) == Answer(200, b"ok\n")
    assert verdict(["database: locked", "queue: full"]) == Answer(503, b"database: locked\nqueue: full\n")


def test_a_route_that_raises_is_a_500_without_internals_and_the_server_continues() -> None:
    with serving() as address:
        url = "http://{}:{}".format(*address)
        assert get(url + "/broken") == (500, "internal error\n")
        assert get(url + "/fine?x=1") == (200, "ok\n")
        assert get(url + "/other") == (404, "/broken\n/fine\n/accept\n")


def test_head_has_the_headers_of_get_and_no_body() -> None:
    with serving() as address:
        status, body, headers = ask(address, "/fine", "HEAD")
        assert (status, body, headers["content-length"]) == (200, "", "3")


def test_the_body_of_an_answer_does_not_wait_for_the_acknowledgement_of_its_head(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = server_module._Protocol.connection_made
    options = []

    def connection_made(self: server_module._Protocol, transport: asyncio.Transport) -> None:
        connection = transport.get_extra_info("socket")
        options.append(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        made(self, transport)

    monkeypatch.setattr(server_module._Protocol, "connection_made", connection_made)
    with serving() as address:
        assert ask(address, "/fine")[0] == 200
    assert options == [1]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE"])
def test_what_could_change_something_is_405_and_says_what_is_allowed(method: str) -> None:
    with serving() as address:
        status, body, headers = ask(address, "/fine", method)
        assert (status, headers["allow"]) == (405, "GET, HEAD")
        assert body == f"{method} is not allowed: use GET or HEAD\n"


def test_a_body_and_a_long_address_are_refused() -> None:
    with serving() as address:
        assert ask(address, "/fine", body="x")[0] == 413
        assert ask(address, "/fine?" + "x" * LONGEST_TARGET)[0] == 414
        assert ask(address, "/fine", headers={"x": "y" * 100_000})[0] == 431


def test_every_answer_protects_the_browser_of_its_reader() -> None:
    with serving() as address:
        for path in ("/fine", "/other", "/broken"):
            headers = ask(address, path)[2]
            assert headers["content-security-policy"].startswith("default-src 'self'; ")
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["cache-control"] == "no-store"
            assert "server" not in headers


@pytest.mark.parametrize("host", ["localhost", "localhost:8474", "127.0.0.1:8474", "[::1]:8474", "LOCALHOST"])
def test_a_local_name_of_this_machine_is_answered(host: str) -> None:
    with serving() as address:
        assert ask(address, "/fine", headers={"Host": host})[0] == 200


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example:8474", "", "[::2]"])
def test_another_host_name_is_refused_on_a_loopback_address(host: str) -> None:
    with serving() as address:
        assert ask(address, "/fine", headers={"Host": host})[0] == 421


def test_with_a_token_only_public_paths_are_answered_without_it() -> None:
    with serving(Access(hosts=None, door=SharedToken(TOKEN), public=["/fine"])) as address:
        assert ask(address, "/fine")[0] == 200
        for header in ({}, {"Authorization": f"Bearer {TOKEN}x"}, {"Authorization": f"Basic {TOKEN}"}):
            status, _, headers = ask(address, "/accept", headers=header)
            assert (status, headers["www-authenticate"]) == (401, 'Bearer realm="kspan"')
        assert ask(address, "/accept", headers={"Authorization": f"bearer {TOKEN}"})[0] == 200


def test_a_closed_server_says_what_opens_it() -> None:
    with serving(Access(hosts=None, closed="give a token", public=["/fine"])) as address:
        assert ask(address, "/fine")[0] == 200
        assert ask(address, "/accept")[:2] == (403, "give a token\n")


def test_a_route_sees_which_format_is_wanted() -> None:
    with serving() as address:
        assert ask(address, "/accept", headers={"Accept": "text/plain"})[1] == "text/plain"


@pytest.mark.parametrize("sent", [b"", b"GET /fine HT", b"GET /fine HTTP/1.1\r\nHost: localhost\r\nX: "])
def test_a_request_that_does_not_end_loses_its_connection(sent: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "_SLOW_S", 0.2)
    with serving() as address, socket.create_connection(address, timeout=HANG_S) as connection:
        connection.sendall(sent)
        assert _end(connection)
        assert ask(address, "/fine")[0] == 200


def test_a_second_request_on_a_connection_has_to_end_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "_SLOW_S", 0.2)
    with serving() as address, socket.create_connection(address, timeout=HANG_S) as connection:
        connection.sendall(b"GET /fine HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert connection.recv(4096).startswith(b"HTTP/1.1 200")
        connection.sendall(b"GET /fi")
        assert _end(connection)


def _end(connection: socket.socket) -> bool:
    """True once the other side has closed the connection."""
    try:
        while connection.recv(4096):
            pass
        return True
    except ConnectionResetError:
        return True


@pytest.mark.parametrize("text", ["8474", "host:port", "127.0.0.1:70000", ""])
def test_an_invalid_address_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="HOST:PORT"):
        parse_listen(text)


def test_an_address_may_omit_the_host_and_may_be_ipv6() -> None:
    assert parse_listen("127.0.0.1:8474") == ("127.0.0.1", 8474)
    assert parse_listen(":80") == (EVERYWHERE, 80)
    assert parse_listen("[::1]:80") == ("::1", 80)


def test_an_unknown_host_is_refused_in_one_line() -> None:
    with pytest.raises(SettingsError, match="cannot listen on no-such-host"):
        Server("no-such-host.invalid:0", make_status_app({}, LOCAL))


def test_a_port_in_use_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(SettingsError, match="in use"):
        Server(f"127.0.0.1:{taken.getsockname()[1]}", make_status_app({}, LOCAL))
