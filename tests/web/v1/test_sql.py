"""/v1/sql runs statements that can only read, if it is turned on, for those who may see everything."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from kspan.query.visible import Visible
from kspan.web.app import make_app
from kspan.web.guard import Access
from kspan.web.history import History
from kspan.web.server import Server
from kspan.web.v1 import sql
from tests.query.conftest import Histories, histories  # noqa: F401
from tests.web.pages.site import Address, site
from tests.web.test_server import ask

SCENARIO = "02-rolling-update"
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def address(histories: Histories) -> Iterator[Address]:  # noqa: F811
    known = histories(SCENARIO)
    with site(known.store, known.cluster, serves_sql=True) as found:
        yield found


def post(address: Address, document: Any, headers: dict[str, str] = JSON) -> tuple[int, Any]:
    body = document if isinstance(document, str) else json.dumps(document)
    status, text, found = ask(address, "/v1/sql", "POST", headers, body)
    assert found["content-type"] == ("application/json" if status == 200 else "application/problem+json")
    return status, json.loads(text)


def test_a_statement_is_answered_with_columns_and_rows(address: Address) -> None:
    text = "SELECT name, outcome FROM rollouts WHERE cluster = :cluster AND name = :name ORDER BY start_time LIMIT 2"
    status, answer = post(address, {"statement": text, "parameters": {"name": "web"}})
    assert status == 200
    assert (answer["columns"], answer["rows"]) == (["name", "outcome"], [["web", "ok"], ["web", "ok"]])
    assert answer["more"] is False


def test_it_is_off_unless_it_was_turned_on(histories: Histories) -> None:  # noqa: F811
    known = histories(SCENARIO)
    with site(known.store, known.cluster) as off:
        status, answer = post(off, {"statement": "SELECT 1"})
    assert status == 403
    assert answer["detail"] == "SQL is not served here: start kspan run or kspan serve with --serve-sql"


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
def test_only_post_is_answered_and_nowhere_else(address: Address, method: str) -> None:
    assert ask(address, "/v1/sql", method)[0] == 405
    for path in ("/v1/traces", "/v1/sql/", "/v1/stats", "/"):
        assert ask(address, path, "POST", JSON, "{}")[0] == 405


@pytest.mark.parametrize(
    "text",
    [
        "DELETE FROM spans",
        "UPDATE spans SET name = 'x'",
        "DROP TABLE spans",
        "INSERT INTO traces SELECT * FROM traces",
        "SELECT 1; DELETE FROM spans",
        "WITH x AS (SELECT 1) DELETE FROM spans",
        "ATTACH 'x.sqlite' AS x",
        "VACUUM INTO 'x.sqlite'",
        "PRAGMA journal_mode = DELETE",
        "COPY spans TO '/tmp/x'",
        "SELECT load_extension('x')",
    ],
)
def test_what_would_write_is_refused(address: Address, text: str) -> None:
    status, answer = post(address, {"statement": text})
    assert (status, answer["title"]) == (400, "Bad Request")


@pytest.mark.parametrize(
    "document, detail",
    [
        ("", "the body is not a statement: Input data was truncated"),
        ({"statement": 5}, "the body is not a statement: Expected `str`, got `int` - at `$.statement`"),
        ({"statement": "SELECT 1", "x": 1}, "the body is not a statement: Object contains unknown field `x`"),
        ({"statement": "SELECT 1", "limit": -1}, "limit and timeout must not be negative"),
        ({"statement": "SELECT :name"}, "the parameter :name has no value: set it with -p name=VALUE"),
    ],
)
def test_a_mistake_is_a_problem_that_says_what_is_wrong(address: Address, document: Any, detail: str) -> None:
    assert post(address, document) == (400, {"title": "Bad Request", "status": 400, "detail": detail})


def test_a_page_of_another_site_cannot_send_a_statement(address: Address) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", ""):
        assert post(address, {"statement": "SELECT 1"}, {"Content-Type": kind})[0] == 415


def test_a_large_question_is_refused(address: Address) -> None:
    status, answer = post(address, {"statement": f"SELECT '{'x' * sql.LARGEST}'"})
    assert (status, answer["detail"]) == (413, "a statement has at most 65536 bytes")


COUNTED = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {}) SELECT {} FROM n"


def test_rows_are_limited(address: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sql, "ROWS", 10)
    for limit, rows, more in ((0, 10, True), (3, 3, True), (99, 10, True)):
        _, answer = post(address, {"statement": COUNTED.format(20, "i"), "limit": limit})
        assert (len(answer["rows"]), answer["more"]) == (rows, more)
    _, answer = post(address, {"statement": COUNTED.format(10, "i")})
    assert (len(answer["rows"]), answer["more"]) == (10, False)


def test_bytes_are_limited(address: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sql, "BYTES", 1000)
    statement = COUNTED.format(100, "'" + "x" * 300 + "'")
    _, answer = post(address, {"statement": statement})
    assert (len(answer["rows"]), answer["more"]) == (4, True)
    monkeypatch.setattr(sql, "ROW_BYTES", 100)
    assert post(address, {"statement": statement})[0] == 400


def test_time_is_limited(address: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sql, "SECONDS", 0.05)
    for timeout in (0.0, 99.0):
        status, answer = post(address, {"statement": COUNTED.format(10**9, "count(*)"), "timeout": timeout})
        assert (status, answer["detail"][:38]) == (400, "the statement was stopped after 0.05 s")


class _Door:
    """Lets everybody in, who sees one namespace."""

    async def admit(self, token: str, path: str | None) -> Visible:
        return Visible(lambda namespace: namespace == "rolling-update")


def test_an_asker_who_may_not_see_everything_is_refused(histories: Histories) -> None:  # noqa: F811
    known = histories(SCENARIO)
    history = History(lambda _: (known.store, known.cluster), serves_sql=True)
    server = Server("127.0.0.1:0", make_app({}, Access(hosts=None, door=_Door()), history))
    server.start()
    try:
        status, answer = post(server.address, {"statement": "SELECT 1"}, JSON | {"X-Kspan-Token": "any"})
        assert post(server.address, {"statement": "SELECT 1"})[0] == 401
    finally:
        server.stop()
    assert status == 403
    assert answer["detail"] == "statements are only for those who may list the Events of all namespaces"
