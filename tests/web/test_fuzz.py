"""Requests that nobody should send are answered, and never with an error of the server.

``KSPAN_FUZZ=20000`` sends more of them, ``KSPAN_FUZZ_SEED`` others.
"""

import http.client
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import pytest
from starlette.applications import Starlette
from starlette.requests import Request as HttpRequest
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from kspan.graph import built_in_rules
from kspan.ingest import read_frames
from kspan.pipeline.replay import replay
from kspan.store import Store, open_store
from kspan.web.answer import verdict
from kspan.web.app import make_app
from kspan.web.guard import Access, Guard
from kspan.web.history import History
from kspan.web.server import Server
from tests.limits import HANG_S
from tests.recordings import recording
from tests.web.fuzzing import INJECTED, MARK, Mutator, Request, routes_of, values_in

REQUESTS: Final = int(os.environ.get("KSPAN_FUZZ", "2000"))
USUAL_SEED: Final = 13
SEED: Final = int(os.environ.get("KSPAN_FUZZ_SEED", USUAL_SEED))

SHARES: Final = 4
"""Parts of the requests, so that workers can share them."""

STREAM: Final = "text/event-stream"
"""An answer of this type has no end."""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    path = str(tmp_path_factory.mktemp("fuzz") / "db.sqlite")
    with open_store(path) as writing:
        replay(writing, read_frames([str(recording("02-rolling-update"))]), built_in_rules())
    with open_store(path, read_only=True) as reading:
        yield reading


class Client:
    """Sends requests over one connection after another."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self._connection = http.client.HTTPConnection(*address, timeout=HANG_S)

    def send(self, request: Request) -> tuple[int, http.client.HTTPMessage, bytes]:
        """Return the status, the headers and the body. The body of a stream is not read."""
        self._connection.request(request.method, request.target, headers=dict(request.headers))
        answer = self._connection.getresponse()
        if answer.headers.get_content_type() == STREAM:
            self.close()
            return answer.status, answer.headers, b""
        return answer.status, answer.headers, answer.read()

    def close(self) -> None:
        """Close the connection; the next request opens another one."""
        self._connection.close()


def send_all(
    app: ASGIApp, known: Sequence[str], numbers: Iterable[int], seed: int = SEED
) -> tuple[Counter[int], list[str]]:
    """Send the requests of these numbers to each route of an application; return the statuses, and what is wrong."""
    mutator = Mutator(routes_of(app), known, seed)
    server = Server("127.0.0.1:0", app)
    server.start()
    client = Client(server.address)
    statuses: Counter[int] = Counter()
    found: list[str] = []
    try:
        for number in numbers:
            request = mutator.request(number)
            status, headers, body = client.send(request)
            statuses[status] += 1
            found += [f"{number}: {text}: {request}" for text in faults(status, headers, body)]
    finally:
        client.close()
        server.stop()
    return statuses, found


@pytest.mark.parametrize("share", range(SHARES))
def test_no_request_makes_the_server_fail(store: Store, share: int) -> None:
    (cluster,) = store.clusters()
    health = {path: lambda _: verdict([]) for path in ("/healthz", "/readyz")}
    app = make_app(health, Access(hosts=None), History(lambda _: (store, cluster)))
    statuses, found = send_all(
        app, values_in(store), range(share * REQUESTS // SHARES, (share + 1) * REQUESTS // SHARES)
    )
    assert found[:10] == []
    assert statuses[200] >= REQUESTS / SHARES / 10, f"few requests ask for something that exists: {statuses}"


async def _careless(request: HttpRequest) -> Response:
    """Believes that a limit is a number, and that a name has no mark-up."""
    limit = int(request.query_params.get("limit", "10"))
    return HTMLResponse(f"{limit} of {request.path_params['name']}", headers={"X-Content-Type-Options": "nosniff"})


def test_a_careless_route_is_found() -> None:
    # Not every seed puts the mark into the path of one of so few requests.
    app = Guard(Starlette(routes=[Route("/of/{name}", _careless)]), Access(hosts=None))
    statuses, found = send_all(app, ["web"], range(400), USUAL_SEED)
    kinds = Counter(text.split(": ")[1].split(",")[0] for text in found)
    assert kinds["status 500"] == statuses[500] > 0
    assert kinds["a text became an element"] > 0


def faults(status: int, headers: http.client.HTTPMessage, body: bytes) -> list[str]:
    """Return what is wrong with an answer. A small database is never busy (503) or slow (504)."""
    found = []
    if status >= 500:
        found.append(f"status {status}, {body[:200]!r}")
    if b"Traceback" in body or b"sqlalchemy" in body.lower():
        found.append(f"internals: {body[:200]!r}")
    if headers.get_content_type() == "text/html" and MARK.encode() in body:
        found.append("a text became an element")
    if INJECTED in headers:
        found.append("a text became a header")
    missing = [name for name in ("Content-Security-Policy", "X-Content-Type-Options") if name not in headers]
    return found + [f"no {name} (status {status})" for name in missing]
