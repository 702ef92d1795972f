"""Who may ask is decided by an API server: real requests to both."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

import pytest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from kspan.ingest.watch import connect
from kspan.ingest.watch.client.reviews import Reviews
from kspan.web.access.doors import BROKEN_S, CACHED_S, LONGEST_TOKEN, Delegated
from kspan.web.answer import verdict
from kspan.web.guard import CHECK, Access, Guard
from kspan.web.server import Server
from kspan.web.status import make_status_app
from kspan.web.v1.wire import TOKEN_HEADER
from tests.apiserver import ApiServer, Refuse
from tests.web.access.test_sign_in import FORM
from tests.web.test_server import ask

OWN = "token-of-kspan"
ALICE = "token-of-alice"
TOKENS = "authentication.k8s.io/v1/tokenreviews"
RIGHTS = "authorization.k8s.io/v1/subjectaccessreviews"


class Setup:
    """An API server, and a web server that asks it. ``now`` is the time in seconds by which decisions expire."""

    def __init__(self, api: ApiServer, kubeconfig: Path) -> None:
        self.api = api
        self.now = 1_000.0
        self.connection = connect(str(kubeconfig))
        door = Delegated(Reviews(self.connection), by_namespace=False, clock=lambda: self.now)
        routes = dict.fromkeys(["/healthz", "/traces", "/v1/traces", "/api/services"], lambda _: verdict([]))
        self.access = Access(hosts=None, door=door, public=["/healthz"])
        self.server = Server("127.0.0.1:0", make_status_app(routes, self.access))

    def ask(self, path: str = "/v1/traces", token: str = ALICE) -> tuple[int, str]:
        return ask(self.server.address, path, headers={"Authorization": f"Bearer {token}"})[:2]

    def reviews(self) -> tuple[int, int]:
        """Numbers of TokenReviews and SubjectAccessReviews so far."""
        return self.api.requests_seen(TOKENS), self.api.requests_seen(RIGHTS)


@contextmanager
def setup(folder: Path) -> Iterator[Setup]:
    with ApiServer(token=OWN) as api:
        made = Setup(api, api.kubeconfig(folder / "kubeconfig", token=OWN))
        api.reviewed.add(ALICE, "alice", "team-a")
        made.server.start()
        try:
            yield made
        finally:
            made.server.stop()
            made.connection.close()


@pytest.fixture
def both(tmp_path: Path) -> Iterator[Setup]:
    with setup(tmp_path) as made:
        yield made


def test_a_user_with_a_role_for_the_path_may_ask(both: Setup) -> None:
    both.api.reviewed.paths.add(("alice", "/kspan/v1/*"))
    assert both.ask() == (200, "ok\n")
    assert both.ask("/traces") == (403, "alice may not read this: the right to get /kspan/traces is missing\n")


def test_the_role_can_be_that_of_a_group(both: Setup) -> None:
    both.api.reviewed.paths.add(("team-a", "/kspan/*"))
    assert both.ask() == (200, "ok\n")
    assert both.ask("/traces") == (200, "ok\n")


def test_a_user_with_nothing_but_discovery_may_not_ask(both: Setup) -> None:
    """Every service account may get /api/* of the API server. That must not open /api/* of kspan."""
    assert both.ask("/api/services")[0] == 403
    both.api.reviewed.paths.add(("system:authenticated", "/kspan/api/*"))
    both.now += CACHED_S
    assert both.ask("/api/services")[0] == 200


def test_an_unknown_token_is_refused_and_health_is_public(both: Setup) -> None:
    both.api.reviewed.paths.add(("system:authenticated", "/kspan/*"))
    assert both.ask(token="another")[0] == 401
    assert ask(both.server.address, "/v1/traces")[0] == 401
    assert ask(both.server.address, "/healthz")[0] == 200


@pytest.mark.parametrize("token", ["", " ", "a b", "\xe9", "x" * (LONGEST_TOKEN + 1)], ids=len)
def test_what_cannot_be_a_token_is_not_reviewed(both: Setup, token: str) -> None:
    assert both.ask(token=token)[0] == 401
    assert both.reviews() == (0, 0)


def test_the_own_header_carries_a_token_where_a_proxy_removes_authorization(both: Setup) -> None:
    both.api.reviewed.paths.add(("alice", "/kspan/*"))
    both.api.reviewed.add("token-of-the-proxy", "proxy")
    address = both.server.address
    assert ask(address, "/v1/traces", headers={TOKEN_HEADER: ALICE})[0] == 200
    others = {"Authorization": "Bearer token-of-the-proxy", TOKEN_HEADER: ALICE}
    assert ask(address, "/v1/traces", headers=others)[0] == 200
    assert ask(address, "/v1/traces", headers={TOKEN_HEADER: "another"})[0] == 401


def test_a_decision_is_used_for_ten_seconds_whatever_it_was(both: Setup) -> None:
    both.api.reviewed.paths.add(("alice", "/kspan/v1/*"))
    for _ in range(3):
        assert both.ask()[0] == 200
        assert both.ask("/traces")[0] == 403
        assert both.ask(token="another")[0] == 401
    assert both.reviews() == (2, 2)
    del both.api.reviewed.tokens[ALICE]
    both.api.reviewed.add("another", "bob", "team-b")
    both.api.reviewed.paths.add(("bob", "/kspan/*"))
    both.now += CACHED_S - 0.001
    assert both.ask()[0] == 200
    assert both.ask(token="another")[0] == 401
    both.now += 0.001
    assert both.ask()[0] == 401
    assert both.ask(token="another")[0] == 200


def test_a_right_that_is_taken_away_ends_after_ten_seconds(both: Setup) -> None:
    both.api.reviewed.paths.add(("alice", "/kspan/*"))
    assert both.ask()[0] == 200
    both.api.reviewed.paths.clear()
    both.now += CACHED_S
    assert both.ask()[0] == 403


def test_without_an_api_server_nobody_is_let_in_and_the_log_says_it_once(
    both: Setup, caplog: pytest.LogCaptureFixture
) -> None:
    both.api.reviewed.paths.add(("alice", "/kspan/*"))
    assert both.ask()[0] == 200
    both.api.stop()
    assert both.ask()[0] == 200, "the decision is still in use"
    both.now += CACHED_S
    with caplog.at_level(logging.WARNING, "kspan.web.access.doors"):
        for _ in range(3):
            status, text = both.ask()
            assert status == 503
            assert "the API server, which decides who may ask, does not answer kspan at the moment" in text
            assert "127.0.0.1" not in text
            both.now += BROKEN_S
    (message,) = (record.getMessage() for record in caplog.records if record.name == "kspan.web.access.doors")
    assert message.startswith(
        "the API server does not say who may ask: POST /apis/authentication.k8s.io/v1/tokenreviews"
    )
    assert ALICE not in message
    both.api.start()
    assert both.ask()[0] == 200


def test_while_the_api_server_fails_it_is_asked_once_a_second(both: Setup) -> None:
    both.api.faults.add(Refuse(500), resource=TOKENS)
    for _ in range(5):
        assert both.ask()[0] == 503
    assert both.reviews() == (1, 0)
    both.now += BROKEN_S
    assert both.ask()[0] == 503
    assert both.reviews() == (2, 0)


@pytest.mark.parametrize("resource", [TOKENS, RIGHTS])
def test_a_daemon_that_may_not_create_reviews_lets_nobody_in(both: Setup, resource: str) -> None:
    both.api.reviewed.paths.add(("alice", "/kspan/*"))
    both.api.forbid(resource, "create")
    assert both.ask()[0] == 503


def test_a_browser_signs_in_with_a_token_of_the_cluster_and_its_rights_are_checked_again(both: Setup) -> None:
    both.api.reviewed.paths.add(("alice", "/kspan/*"))
    address = both.server.address
    status, _, headers = ask(address, "/login", "POST", FORM, urlencode({"token": ALICE, "next": "/traces"}))
    assert (status, headers["location"]) == (303, "/traces")
    cookie = {"Cookie": headers["set-cookie"].partition(";")[0]}
    assert ask(address, "/traces", headers=cookie)[0] == 200
    del both.api.reviewed.tokens[ALICE]
    both.now += CACHED_S
    assert ask(address, "/traces", headers=cookie)[0] == 401
    assert ask(address, "/login", "POST", FORM, urlencode({"token": ALICE}))[0] == 401
    both.api.stop()
    both.now += CACHED_S
    status, body, _ = ask(address, "/login", "POST", FORM, urlencode({"token": ALICE}))
    assert status == 503
    assert "does not answer kspan at the moment" in body


def test_a_long_answer_can_ask_whether_its_reader_may_still_read(both: Setup) -> None:
    """As a stream of events does, which lasts longer than a decision."""
    both.api.reviewed.paths.add(("alice", "/kspan/*"))

    async def endpoint(request: Request) -> Response:
        await request.scope[CHECK]()
        del both.api.reviewed.tokens[ALICE]
        await request.scope[CHECK]()
        both.now += CACHED_S
        with pytest.raises(HTTPException) as refused:
            await request.scope[CHECK]()
        return PlainTextResponse(str(refused.value.status_code))

    server = Server("127.0.0.1:0", Guard(Starlette(routes=[Route("/long", endpoint)]), both.access))
    server.start()
    try:
        assert ask(server.address, "/long", headers={"Authorization": f"Bearer {ALICE}"})[:2] == (200, "401")
    finally:
        server.stop()
