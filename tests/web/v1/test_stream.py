"""Server-sent events: news of a database that another connection writes, without loss or doubling."""

import http.client
import itertools
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from kspan.graph import built_in_rules
from kspan.ingest import read_frames
from kspan.model import TraceState
from kspan.pipeline.replay import replay
from kspan.query.news import NewsReader
from kspan.store import Store
from kspan.web.v1 import news
from tests.emit.rows import START
from tests.limits import HANG_S
from tests.query.conftest import store  # noqa: F401
from tests.query.made import CLUSTER, commit, make_object, make_pending
from tests.recordings import recording
from tests.web.pages.site import Address, site
from tests.web.test_server import ask

NUMBERS = itertools.count()


def update(into: Store) -> str:
    """Replays a rolling update; returns the cluster."""
    replay(into, read_frames([str(recording("02-rolling-update"))]), built_in_rules(), cluster="c")
    return "c"


class Stream:
    """An open event stream."""

    def __init__(self, address: Address, path: str, last: str = "", token: str = "") -> None:
        self._connection = http.client.HTTPConnection(*address, timeout=HANG_S)
        headers = {"Last-Event-ID": last} if last else {}
        headers |= {"Authorization": f"Bearer {token}"} if token else {}
        self._connection.request("GET", path, headers=headers)
        self.answer = self._connection.getresponse()

    def line(self) -> str:
        return self.answer.readline().decode().rstrip("\n")

    def event(self) -> tuple[str, str, Any]:
        """The next event: id, kind, data. Comments are skipped."""
        fields: dict[str, str] = {}
        while True:
            found = self.answer.readline()
            assert found, "the stream has ended"
            line = found.decode().rstrip("\n")
            if not line and "event" in fields:
                return fields["id"], fields["event"], json.loads(fields["data"])
            name, _, value = line.partition(": ")
            if name:
                fields[name] = value

    def close(self) -> None:
        self.answer.close()
        self._connection.close()


@contextmanager
def stream(address: Address, path: str = "/v1/stream", last: str = "") -> Iterator[Stream]:
    found = Stream(address, path, last)
    try:
        yield found
    finally:
        found.close()


def test_news_are_traces_that_open_and_close_and_their_occurrences(store: Store) -> None:  # noqa: F811
    commit(store, [make_object("Pod", "old")], [])
    reader = NewsReader(store, CLUSTER)
    assert (reader.poll().traces, reader.poll().occurrences) == ([], [])
    commit(store, [make_object("Pod", "web")], [make_pending("Pod.Failed", error=True)])
    found = reader.poll()
    assert [line.span.name for line in found.occurrences] == ["Pod.Failed"]
    assert reader.poll().occurrences == [], "each comes once"


def test_a_closed_trace_is_news_once(store: Store) -> None:  # noqa: F811
    reader = NewsReader(store, "c")
    reader.poll()
    update(store)
    told = [(summary.trace.trace_id, summary.trace.state) for summary in reader.poll().traces]
    assert len(told) == len(set(told)) > 3
    assert (TraceState.CLOSED) in {state for _, state in told}
    assert reader.poll().traces == []


@pytest.fixture(autouse=True)
def quick(store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:  # noqa: F811
    """Polls follow each other quickly. The last one is over before the store is closed."""
    monkeypatch.setattr(news, "POLL_S", 0.02)
    yield
    monkeypatch.setattr(news, "LINGER_S", 0.0)
    for thread in threading.enumerate():
        if thread.name == "news":
            thread.join(HANG_S)


def test_a_listener_gets_what_happens_and_what_it_missed_while_it_was_away(store: Store) -> None:  # noqa: F811
    update(store)
    with site(store, "c") as address:
        with stream(address, "/v1/stream?kinds=occurrence") as first:
            assert first.answer.getheader("Content-Type", "").startswith("text/event-stream")
            assert first.answer.getheader("Content-Encoding") is None
            assert first.line() == "retry: 2000"
            happen(store, "one")
            last, kind, data = first.event()
            assert (kind, data["name"]) == ("occurrence", "one")
        happen(store, "two")
        happen(store, "three")
        with stream(address, "/v1/stream?kinds=occurrence", last) as second:
            # They began at the same moment, and one poll can find both.
            assert {second.event()[2]["name"] for _ in range(2)} == {"two", "three"}


def test_a_listener_of_another_process_is_told_to_read_anew(store: Store) -> None:  # noqa: F811
    update(store)
    with site(store, "c") as address, stream(address, last="00000000-17") as found:
        assert found.event()[1:] == ("reset", {})


def test_only_the_kinds_and_the_namespace_that_were_asked_for_are_told(store: Store) -> None:  # noqa: F811
    update(store)
    with site(store, "c") as address, stream(address, "/v1/stream?kinds=occurrence&namespace=shop") as found:
        assert found.line() == "retry: 2000"
        happen(store, "elsewhere", namespace="other")
        happen(store, "here")
        assert found.event()[2]["name"] == "here"


def test_a_head_request_ends_and_a_wrong_kind_is_refused(store: Store) -> None:  # noqa: F811
    update(store)
    with site(store, "c") as address:
        assert ask(address, "/v1/stream", "HEAD")[:2] == (200, "")
        status, body, _ = ask(address, "/v1/stream?kinds=nothing")
        assert (status, json.loads(body)["detail"]) == (400, "kinds: unknown kind 'nothing': use trace or occurrence")


def test_too_many_listeners_are_refused_and_a_place_becomes_free(
    store: Store,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    update(store)
    monkeypatch.setattr(news, "LISTENERS", 1)
    monkeypatch.setattr("kspan.web.v1.stream.BEAT_S", 0.02)
    with site(store, "c") as address:
        with stream(address) as first:
            assert first.line() == "retry: 2000"
            assert ask(address, "/v1/stream")[0] == 503
        deadline = time.monotonic() + HANG_S
        while True:
            with stream(address) as again:
                if again.answer.status == 200:
                    break
            assert time.monotonic() < deadline


def test_the_server_stops_although_somebody_listens(store: Store) -> None:  # noqa: F811
    update(store)
    with site(store, "c") as address:
        found = Stream(address, "/v1/stream")
        assert found.line() == "retry: 2000"
    found.close()


def happen(into: Store, name: str, namespace: str = "shop") -> None:
    """Something happens to an object."""
    start = START + next(NUMBERS)
    span = make_pending("Pod.Failed", key=name, subject=name, object_namespace=namespace, start=start)
    commit(into, spans=[span], cluster="c")
