"""Signing in with a browser: real requests to a server with a token."""

import json
import socket
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlencode

import pytest

from kspan.web.access import sign_in
from kspan.web.access.doors import SharedToken
from kspan.web.access.sessions import ATTEMPTS, SESSION_S, SESSIONS, WINDOW_S, Attempts, Sessions
from kspan.web.access.sign_in import LARGEST_FORM, local_path
from kspan.web.answer import verdict
from kspan.web.app import make_app
from kspan.web.guard import Access
from kspan.web.history import History
from kspan.web.server import Server
from kspan.web.status import make_status_app
from tests.limits import HANG_S
from tests.query.conftest import Histories, histories  # noqa: F401
from tests.web.test_server import TOKEN, ask

PAGE = {"Accept": "text/html,application/xhtml+xml"}
FORM = {"Content-Type": "application/x-www-form-urlencoded", "Sec-Fetch-Site": "same-origin"}
PATHS = ("/healthz", "/", "/traces", "/v1/traces", "/api/services")

Address = tuple[str, int]


@pytest.fixture
def address() -> Iterator[Address]:
    routes = dict.fromkeys(PATHS, lambda _: verdict([]))
    access = Access(hosts=None, door=SharedToken(TOKEN), public=["/healthz"])
    server = Server("127.0.0.1:0", make_status_app(routes, access))
    server.start()
    yield server.address
    server.stop()


def enter(address: Address, token: str = TOKEN, **other: Any) -> tuple[int, str, Mapping[str, str]]:
    headers = FORM | other.pop("headers", {})
    return ask(address, "/login", "POST", headers, urlencode({"token": token, **other}))


def session(address: Address) -> dict[str, str]:
    """The cookie of a new session."""
    return {"Cookie": enter(address)[2]["set-cookie"].partition(";")[0]}


def test_a_browser_without_a_session_sees_the_form(address: Address) -> None:
    status, body, headers = ask(address, "/traces?namespace=shop&q=%22x", headers=PAGE)
    assert (status, headers["content-type"]) == (401, "text/html; charset=utf-8")
    assert headers["www-authenticate"] == 'Bearer realm="kspan"'
    assert 'value="/traces?namespace=shop&amp;q=%22x"' in body
    assert "<script" not in body
    assert "<style" not in body
    assert " style=" not in body
    assert "http-equiv" not in body
    assert ask(address, "/login.css")[2]["content-type"] == "text/css; charset=utf-8"


@pytest.mark.parametrize("path", ["/api/services", "/api", "/v1"])
def test_a_program_gets_text_and_no_form(address: Address, path: str) -> None:
    for headers in ({}, PAGE):
        assert ask(address, path, headers=headers)[:2] == (401, "a token is needed: Authorization: Bearer TOKEN\n")


def test_a_program_that_asks_v1_gets_a_problem_and_no_form(address: Address) -> None:
    for headers in ({}, PAGE):
        status, body, answered = ask(address, "/v1/traces", headers=headers)
        assert (status, answered["content-type"]) == (401, "application/problem+json")
        assert json.loads(body)["detail"] == "a token is needed: Authorization: Bearer TOKEN"
        assert answered["www-authenticate"] == 'Bearer realm="kspan"'


def test_the_form_opens_a_session_and_leads_back(address: Address) -> None:
    status, body, headers = enter(address, next="/traces?namespace=shop")
    assert (status, body, headers["location"]) == (303, "", "/traces?namespace=shop")
    cookie = headers["set-cookie"]
    assert TOKEN not in cookie
    attributes = {part.strip().lower() for part in cookie.split(";")[1:]}
    assert attributes == {"httponly", "max-age=43200", "path=/", "samesite=strict"}
    of_session = {"Cookie": cookie.partition(";")[0]}
    assert ask(address, "/traces", headers=of_session)[0] == 200
    assert ask(address, "/v1/traces", headers=of_session | {"Sec-Fetch-Site": "same-origin"})[0] == 200
    assert ask(address, "/api/services", headers=of_session)[0] == 401, "no page asks this API"


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_another_site_cannot_use_the_session(address: Address, site: str) -> None:
    headers = session(address) | {"Sec-Fetch-Site": site}
    assert ask(address, "/v1/traces", headers=headers)[0] == 401
    assert ask(address, "/traces", headers=headers)[0] == 401


def test_a_link_of_another_site_is_followed_once_more_from_our_page(address: Address) -> None:
    """The browser does not send the cookie with such a link, but it does with the second request."""
    body = ask(address, "/traces?a=%3C", headers=PAGE | {"Sec-Fetch-Site": "cross-site"})[1]
    assert '<meta http-equiv="refresh" content="0; url=/traces?a=%3C">' in body
    again = ask(address, "/traces", headers=PAGE | {"Sec-Fetch-Site": "same-origin"})[1]
    assert "refresh" not in again, "a browser without a session does not loop"


def test_signing_out_ends_the_session(address: Address) -> None:
    of_session = session(address)
    status, _, headers = ask(address, "/logout", headers=of_session)
    assert (status, headers["location"]) == (303, "/login")
    assert 'kspan-session=""; ' in headers["set-cookie"]
    assert "Max-Age=0" in headers["set-cookie"]
    assert ask(address, "/traces", headers=of_session)[0] == 401
    assert ask(address, "/login")[0] == 200


def test_another_site_cannot_sign_anybody_out(address: Address) -> None:
    of_session = session(address)
    headers = ask(address, "/logout", headers=of_session | {"Sec-Fetch-Site": "cross-site"})[2]
    assert "set-cookie" not in headers
    assert ask(address, "/traces", headers=of_session)[0] == 200


def test_a_page_has_a_link_to_sign_out_only_in_a_session(histories: Histories) -> None:  # noqa: F811
    known = histories("02-rolling-update")
    access = Access(hosts=None, door=SharedToken(TOKEN))
    server = Server("127.0.0.1:0", make_app({}, access, History(lambda _: (known.store, known.cluster))))
    server.start()
    try:
        assert 'href="/logout"' in ask(server.address, "/traces", headers=session(server.address))[1]
        status, body, _ = ask(server.address, "/traces", headers={"Authorization": f"Bearer {TOKEN}"})
        assert (status, "/logout" in body) == (200, False)
    finally:
        server.stop()


def test_a_token_that_is_sent_takes_the_place_of_the_session(address: Address) -> None:
    headers = session(address) | {"Authorization": "Bearer wrong-token"}
    assert ask(address, "/traces", headers=headers)[0] == 401


def test_a_wrong_token_opens_nothing_and_is_not_shown(address: Address) -> None:
    for token in ("", "wrong-token", TOKEN + "x", "\N{SNOWMAN}", "<script>"):
        status, body, headers = enter(address, token, next="/traces")
        assert status == 401
        assert "This token is not valid." in body
        assert 'value="/traces"' in body
        assert "set-cookie" not in headers
        assert token == "" or token not in body


@pytest.mark.parametrize(
    "sent",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://["},
    ],
    ids=str,
)
def test_another_site_cannot_send_the_form(address: Address, sent: dict[str, str]) -> None:
    status, _, headers = enter(address, headers=sent)
    assert status == 403
    assert "set-cookie" not in headers


def test_a_sender_that_names_no_site_is_refused(address: Address) -> None:
    headers = {"Content-Type": FORM["Content-Type"]}
    assert ask(address, "/login", "POST", headers, f"token={TOKEN}")[0] == 403


def test_the_cookie_is_secure_if_the_browser_used_https_to_a_proxy(address: Address) -> None:
    host = "{}:{}".format(*address)
    status, _, headers = enter(address, headers={"Origin": f"https://{host}"})
    assert (status, "Secure" in headers["set-cookie"]) == (303, True)
    assert "Secure" not in enter(address, headers={"Origin": f"http://{host}"})[2]["set-cookie"]


def test_a_large_form_and_another_type_are_refused(address: Address) -> None:
    assert enter(address, "x" * LARGEST_FORM)[0] == 413
    assert enter(address, headers={"Content-Type": "text/plain"})[0] == 415
    assert enter(address)[0] == 303


def test_a_form_that_does_not_arrive_is_refused(address: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sign_in, "FORM_S", 0.2)
    head = "".join(f"{name}: {value}\r\n" for name, value in FORM.items())
    with socket.create_connection(address, timeout=HANG_S) as connection:
        connection.sendall(f"POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n{head}\r\ntoken=".encode())
        assert connection.recv(4096).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize("method, path", [("POST", "/"), ("POST", "/login/"), ("PUT", "/login"), ("POST", "/logout")])
def test_nothing_else_is_posted(address: Address, method: str, path: str) -> None:
    assert ask(address, path, method, FORM, f"token={TOKEN}")[0] == 405


def test_without_a_token_there_is_nothing_to_sign_in_to() -> None:
    server = Server("127.0.0.1:0", make_status_app({"/healthz": lambda _: verdict([])}, Access(hosts=None)))
    server.start()
    try:
        assert ask(server.address, "/login", "POST", FORM, f"token={TOKEN}")[0] == 405
        assert ask(server.address, "/login")[0] == 404
    finally:
        server.stop()


def test_guessing_is_slowed_down_and_a_valid_token_is_no_guess(address: Address) -> None:
    for _ in range(ATTEMPTS + 1):
        assert enter(address)[0] == 303
    for _ in range(ATTEMPTS):
        assert enter(address, "wrong-token")[0] == 401
    status, body, headers = enter(address)
    assert status == 429
    assert 0 < int(headers["retry-after"]) <= WINDOW_S
    assert body.startswith("too many attempts: try again in ")


def test_attempts_are_counted_by_client_and_by_ipv6_network() -> None:
    now = [100.0]
    attempts = Attempts(lambda: now[0])
    for number in range(ATTEMPTS):
        assert attempts.wait(f"2001:db8::{number}") == 0
    assert attempts.wait("2001:db8::ffff") == WINDOW_S
    assert attempts.wait("2001:db8:0:1::1") == 0
    assert attempts.wait("192.0.2.1") == 0
    now[0] += WINDOW_S
    assert attempts.wait("2001:db8::ffff") == 0


def test_sessions_end_after_a_time_and_the_oldest_one_if_there_are_too_many() -> None:
    now = [100.0]
    sessions = Sessions(lambda: now[0])
    first = sessions.open("token 1")
    assert sessions.token(first) == "token 1"
    others = [sessions.open("token 2") for _ in range(SESSIONS)]
    assert len(set(others)) == SESSIONS
    assert sessions.token(first) is None
    assert sessions.token(others[0]) == "token 2"
    now[0] += SESSION_S
    assert sessions.token(others[0]) is None
    assert sessions.token("") is None


@pytest.mark.parametrize(
    "text",
    [
        *("", "traces", "//evil.example", "/\\evil.example", "\\/evil", "/\t/evil.example", "/a\r\nSet-Cookie: x=y"),
        *(
            "https://evil.example",
            "javascript:alert(1)",
            "/a\\b",
            " /a",
            "/a b",
            "/\x00",
            "/\N{SNOWMAN}",
            "/" + "a" * 3000,
        ),
        *("/login", "/login?next=/", "/logout", "/logout#x"),
    ],
)
def test_the_form_leads_nowhere_else(address: Address, text: str) -> None:
    assert local_path(text) == "/"
    assert enter(address, next=text)[2]["location"] == "/"


@pytest.mark.parametrize("text", ["/", "/traces", "/why/pod/shop/web-1?at=2026-11-22T10:25:05Z", "/a%0d%0ab", "/a//b"])
def test_a_path_on_this_server_stays(text: str) -> None:
    assert local_path(text) == text
