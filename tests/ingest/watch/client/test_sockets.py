"""TCP options and timeouts of real sockets, with and without TLS and proxies."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from kspan.ingest.watch import Connection
from kspan.ingest.watch.client.errors import StalledError
from tests.apiserver import ApiServer, Stall
from tests.ingest.watch.client.proxy import Proxy
from tests.ingest.watch.client.test_proxies import to
from tests.ingest.watch.scripted import Reply, Request, ScriptedServer
from tests.ingest.watch.watching import PODS, QUICK, connection_to

NAMESPACES = "/api/v1/namespaces"


@contextmanager
def watched(connection: Connection) -> Iterator[socket.socket]:
    """The socket of an open watch."""
    stream = connection.watch(PODS, "", "1", 60)
    try:
        with socket.socket(fileno=os.dup(stream._response.fileno())) as opened:
            yield opened
    finally:
        stream.close()
        connection.close()


def use(connection: Connection, count: int) -> None:
    """Send requests at the same time, each over a connection of its own, which is idle afterwards."""
    responses = [connection._send(NAMESPACES, {}, {}, 0.5) for _ in range(count)]
    for response in responses:
        assert response.data
        response.release_conn()


@pytest.mark.parametrize("proxied", [False, True])
@pytest.mark.parametrize("https", [False, True])
def test_a_watch_asks_the_kernel_to_find_a_peer_that_vanished(tmp_path: Path, https: bool, proxied: bool) -> None:
    with ApiServer(token="secret-token", https=https) as server, Proxy() as proxy:
        connection = to(server, tmp_path, proxy.url if proxied else None)
        with watched(connection) as opened:
            assert bool(proxy.asked) is proxied
            assert opened.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            assert opened.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            for name, expected in {
                "TCP_KEEPIDLE": 30,
                "TCP_KEEPINTVL": 5,
                "TCP_KEEPCNT": 3,
                "TCP_USER_TIMEOUT": 45_000,
            }.items():
                if hasattr(socket, name):
                    assert opened.getsockopt(socket.IPPROTO_TCP, getattr(socket, name)) == expected, name


def test_a_watch_that_is_accepted_and_never_answered_is_given_up(tmp_path: Path) -> None:
    def accept_only(request: Request, reply: Reply) -> None:
        reply.stay_silent()

    timing = msgspec.structs.replace(QUICK, open=0.2)
    with ScriptedServer(accept_only) as server:
        connection = connection_to(server.url, tmp_path, timing)
        with pytest.raises(StalledError):
            connection.watch(PODS, "", "1", 600)
        connection.close()


@pytest.mark.parametrize("https", [False, True])
def test_an_answered_watch_may_be_silent_for_longer_than_a_request(tmp_path: Path, https: bool) -> None:
    timing = msgspec.structs.replace(QUICK, open=0.2, stall=0.5)
    with ApiServer(token="secret-token", https=https) as server, server.faults.add(Stall(), "v1/pods"):
        connection = to(server, tmp_path, timing=timing)
        stream = connection.watch(PODS, "", "1", 2)
        assert stream._response._fp.fp.raw._sock.gettimeout() == 1.0
        with pytest.raises(StalledError):
            list(stream)
        stream.close()
        connection.close()


def test_the_silence_of_a_watch_is_limited_also_if_its_connection_ends_with_it(tmp_path: Path) -> None:
    def silent(request: Request, reply: Reply) -> None:
        reply.begin()
        reply.stay_silent()

    timing = msgspec.structs.replace(QUICK, stall=0.3)
    with ScriptedServer(silent) as server:
        connection = connection_to(server.url, tmp_path, timing)
        stream = connection.watch(PODS, "", "1", 1)
        with pytest.raises(StalledError):
            list(stream)
        stream.close()
        connection.close()


@pytest.mark.parametrize("https", [False, True])
def test_after_a_request_without_an_answer_no_idle_connection_is_used_again(tmp_path: Path, https: bool) -> None:
    timing = msgspec.structs.replace(QUICK, answer=0.5)
    with ApiServer(token="secret-token", https=https) as server, Proxy() as proxy:
        connection = to(server, tmp_path, proxy.url, timing)
        use(connection, 2)
        proxy.go_silent()
        with pytest.raises(StalledError):
            connection.get(NAMESPACES)
        use(connection, 2)
        connection.close()
