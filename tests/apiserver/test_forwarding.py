"""The proxy of Services and port forwarding pass requests on as a real API server does."""

import http.client
import json
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from tests.apiserver import ApiServer, Break
from tests.apiserver.client import Client
from tests.apiserver.conftest import TOKEN
from tests.apiserver.forwarding import PROXY
from tests.limits import HANG_S
from tests.quiet_server import QuietServer

PATH = "/api/v1/namespaces/kspan/services/http:kspan:http/proxy/some/path"


@pytest.fixture
def echo() -> Iterator[tuple[str, int]]:
    """A server that answers with the request that it got."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps({"path": self.path, "headers": {k.lower(): v for k, v in self.headers.items()}}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("X-Answer", "yes")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with QuietServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield "127.0.0.1", server.server_port
        server.shutdown()
        thread.join()


def ask(server: ApiServer, path: str, **headers: str) -> tuple[int, Any, Any]:
    sent = {"Authorization": f"Bearer {TOKEN}"} | headers
    request = urllib.request.Request(server.url + path, headers=sent)
    try:
        answer = urllib.request.urlopen(request, timeout=HANG_S)
    except urllib.error.HTTPError as error:
        answer = error
    with answer:
        return answer.status, json.loads(answer.read()), answer.headers


def test_the_proxy_removes_authorization_and_passes_the_rest_on(server: ApiServer, echo: tuple[str, int]) -> None:
    server.run_behind("kspan", "kspan", echo)
    status, found, headers = ask(server, f"{PATH}?a=b%20c", **{"X-Kspan-Token": "mine"})
    assert (status, headers["X-Answer"]) == (200, "yes")
    assert found["path"] in ("/some/path?a=b+c", "/some/path?a=b%20c")
    assert found["headers"]["x-kspan-token"] == "mine"
    assert found["headers"]["host"] == f"127.0.0.1:{echo[1]}"
    assert "authorization" not in found["headers"]


def test_the_proxy_refuses_with_the_words_of_a_real_one(server: ApiServer, echo: tuple[str, int]) -> None:
    assert ask(server, PATH)[1]["message"] == 'services "kspan" not found'
    server.run_behind("kspan", "kspan", echo)
    server.backends.addresses.clear()
    status, found, _ = ask(server, PATH)
    assert (status, found["message"]) == (503, 'no endpoints available for service "http:kspan:http"')
    server.forbid(PROXY, "get")
    status, found, _ = ask(server, PATH)
    assert status == 403
    assert found["message"] == (
        'services "http:kspan:http" is forbidden: User "kspan" cannot get resource "services/proxy" in API group "" '
        'in the namespace "kspan"'
    )


def test_an_answer_can_break_in_the_middle(server: ApiServer, echo: tuple[str, int]) -> None:
    server.run_behind("kspan", "kspan", echo)
    with server.faults.add(Break(), PROXY, "get"), pytest.raises(http.client.IncompleteRead):
        ask(server, PATH)


def test_services_are_listed_by_label(server: ApiServer, client: Client, echo: tuple[str, int]) -> None:
    server.run_behind("kspan", "kspan", echo)
    server.run_behind("other", "else", echo, {"app": "x"})
    _, found, _ = ask(server, "/api/v1/services?labelSelector=app.kubernetes.io%2Fname%3Dkspan")
    assert [item["metadata"]["name"] for item in found["items"]] == ["kspan"]


def test_forwarding_a_port_needs_the_subprotocol(server: ApiServer, echo: tuple[str, int]) -> None:
    server.run_behind("kspan", "kspan", echo)
    head = (
        "GET /api/v1/namespaces/kspan/pods/kspan-0/portforward?ports=8474 HTTP/1.1\r\nHost: x\r\n"
        f"Authorization: Bearer {TOKEN}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    )
    for protocol, status in (("v4.channel.k8s.io", b"101"), ("portforward.k8s.io", b"400")):
        with socket.create_connection(("127.0.0.1", server.port), HANG_S) as connection:
            connection.sendall(f"{head}Sec-WebSocket-Protocol: {protocol}\r\n\r\n".encode())
            answer = connection.recv(4096)
            assert answer.split()[1] == status
            # The example of RFC 6455, section 1.3.
            assert (b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in answer) == (status == b"101")
