"""The HTTP server."""

import socket

import pytest

from kspan.errors import SettingsError
from kspan.web.server import Answer, Server, parse_listen, verdict
from tests.daemon.small_cluster import get

EVERYWHERE = "0.0.0.0"  # noqa: S104


def test_each_reason_for_not_being_ready_is_a_line() -> None:
    assert verdict([]) == Answer(200, b"ok\n")
    assert verdict(["database: locked", "queue: full"]) == Answer(503, b"database: locked\nqueue: full\n")


def test_a_route_that_raises_is_a_500_and_the_server_continues() -> None:
    def broken() -> Answer:
        raise RuntimeError("no")

    server = Server("127.0.0.1:0", {"/broken": broken, "/fine": lambda: verdict([])})
    server.start()
    try:
        url = "http://{}:{}".format(*server.address)
        assert get(url + "/broken")[0] == 500
        assert get(url + "/fine?x=1") == (200, "ok\n")
        assert get(url + "/other") == (404, "/broken\n/fine\n")
    finally:
        server.stop()
        server.stop()


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
        Server("no-such-host.invalid:0", {})


def test_a_port_in_use_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(SettingsError, match="in use"):
        Server(f"127.0.0.1:{taken.getsockname()[1]}", {})
