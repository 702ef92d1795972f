"""What a client has already is neither sent nor made again."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection

from kspan.model import SpanRow, TraceRow, TraceState
from kspan.query.traces import TraceFilter, list_traces, whole_trace
from kspan.store import Store
from tests.emit.rows import make_span, make_trace
from tests.query.conftest import Histories, histories, store  # noqa: F401
from tests.query.made import CLUSTER, commit, make_open_trace
from tests.web.pages.site import Address, site
from tests.web.test_server import ask

SCENARIO = "02-rolling-update"


@pytest.fixture
def closed(histories: Histories) -> Iterator[tuple[Address, str]]:  # noqa: F811
    """An address, and the path of a closed trace."""
    known = histories(SCENARIO)
    with known.store.reading("test") as connection:
        found = list_traces(connection, known.cluster, TraceFilter(), 1)[0].trace
    assert found.state is TraceState.CLOSED
    with site(known.store, known.cluster) as address:
        yield address, f"/v1/traces/{found.trace_id}"


def test_a_closed_trace_that_a_client_has_is_not_read_again(
    closed: tuple[Address, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, path = closed
    status, body, headers = ask(address, path)
    assert status == 200
    assert body
    read: list[str] = []

    def count(connection: Connection, cluster: str, found: TraceRow) -> tuple[TraceRow, list[SpanRow]]:
        read.append("read")
        return whole_trace(connection, cluster, found)

    monkeypatch.setattr("kspan.web.v1.endpoints.whole_trace", count)
    for known in (headers["etag"], f"W/{headers['etag']}", f'"other", {headers["etag"]}'):
        status, body, again = ask(address, path, headers={"If-None-Match": known})
        assert (status, body, again["etag"], again["cache-control"]) == (304, "", headers["etag"], "private, no-cache")
    assert read == []
    assert ask(address, path, headers={"If-None-Match": '"other"'})[0] == 200
    assert ask(address, path, headers={"If-None-Match": ""})[0] == 200
    assert read == ["read"] * 2


def test_an_open_trace_has_a_tag_once_it_is_closed(store: Store) -> None:  # noqa: F811
    spans = [make_span("Pod.Failed")]
    commit(store, spans=spans, traces=[make_open_trace(spans)])
    with site(store, CLUSTER) as address:
        path = f"/v1/traces/{spans[0].trace_id}"
        assert "etag" not in ask(address, path)[2], "an open trace changes"
        commit(store, spans=spans, traces=[make_trace(spans)])
        tag = ask(address, path)[2]["etag"]
        assert ask(address, path, headers={"If-None-Match": tag})[0] == 304


def test_the_document_has_a_tag(closed: tuple[Address, str]) -> None:
    address, _ = closed
    tag = ask(address, "/v1/openapi.json")[2]["etag"]
    assert ask(address, "/v1/openapi.json", headers={"If-None-Match": tag})[:2] == (304, "")


def test_an_error_is_not_answered_from_what_a_client_has(closed: tuple[Address, str]) -> None:
    address, _ = closed
    assert ask(address, f"/v1/traces/{'0' * 32}", headers={"If-None-Match": "*"})[0] == 404
