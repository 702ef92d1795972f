"""Nothing is lost or sent twice: slow listeners, long absences, errors of the database, askers who may not see all."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import event
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message

from kspan.errors import StoreError
from kspan.model import Delta, SpanState
from kspan.query.news import NewsReader
from kspan.query.visible import EVERYTHING, Visible
from kspan.store import Store
from kspan.web.app import make_app
from kspan.web.guard import Access
from kspan.web.history import BusyError, History
from kspan.web.server import Server
from kspan.web.v1 import news
from kspan.web.v1.news import Item, Listener, Newsroom, Newsrooms
from kspan.web.v1.stream import route
from kspan.web.v1.wire import OCCURRENCE, RESET
from tests.emit.rows import make_span, make_trace
from tests.limits import HANG_S
from tests.query.conftest import store  # noqa: F401
from tests.query.made import CLUSTER, commit, make_open_trace, make_pending
from tests.store.engine import engine_of
from tests.web.pages.site import site
from tests.web.v1.test_stream import Stream, happen, quick, stream, update  # noqa: F401


def things(*numbers: int) -> list[Item]:
    return [Item(number, OCCURRENCE, b"{}") for number in numbers]


def test_a_listener_who_missed_more_than_may_wait_gets_it(
    store: Store,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    update(store)
    names = [f"thing-{number}" for number in range(8)]
    with site(store, "c") as address:
        with stream(address, "/v1/stream?kinds=occurrence") as first, stream(address) as other:
            assert first.line() == "retry: 2000"
            happen(store, "first")
            last = first.event()[0]
            for name in names:
                happen(store, name)
            assert {other.event()[2]["name"] for _ in range(9)} == {"first", *names}
        monkeypatch.setattr(news, "WAITING", 3)
        with stream(address, "/v1/stream?kinds=occurrence", last) as again:
            assert {again.event()[2]["name"] for _ in names} == set(names)


def test_after_something_is_left_out_a_listener_gets_nothing_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(news, "WAITING", 3)

    async def listen() -> tuple[list[Item], bool, list[Item]]:
        listener = Listener()
        for items in (things(1, 2), things(3, 4), things(5)):
            listener.push(items)
        await asyncio.sleep(0)
        return await listener.next(1), listener.is_late, await listener.next(0)

    assert asyncio.run(listen()) == (things(1, 2), True, [])


def test_a_listener_who_is_sent_away_does_not_wait_for_the_first_poll() -> None:
    async def wait() -> bool:
        listener = Listener()
        listener.dismiss()
        await listener.wait_ready(HANG_S)
        return listener.is_late

    assert asyncio.run(wait())


def test_a_listener_who_got_no_event_yet_comes_back_with_a_number(store: Store) -> None:  # noqa: F811
    update(store)
    with site(store, "c") as address:
        with stream(address, "/v1/stream?kinds=trace") as first, stream(address) as other:
            assert first.line() == "retry: 2000"
            last = first.line().removeprefix("id: ")
            happen(store, "meanwhile")
            assert other.event()[2]["name"] == "meanwhile"
        with stream(address, "/v1/stream?kinds=occurrence", last) as again:
            assert again.event()[2]["name"] == "meanwhile"


def test_a_comment_has_the_number_of_what_a_listener_does_not_want(store: Store) -> None:  # noqa: F811
    update(store)
    with site(store, "c") as address, stream(address, "/v1/stream?kinds=trace") as found:
        assert found.line() == "retry: 2000"
        assert [found.line().partition(":")[0] for _ in range(2)] == ["id", ""]
        happen(store, "not-wanted")
        assert found.line() == ": still here"
        last = found.line().removeprefix("id: ")
        with stream(address, "/v1/stream?kinds=occurrence", last) as again:
            happen(store, "wanted")
            assert again.event()[2]["name"] == "wanted"


def test_a_poll_that_fails_loses_nothing(store: Store) -> None:  # noqa: F811
    reader, engine = NewsReader(store, CLUSTER), engine_of(store)
    reader.poll()
    spans = [make_span("Pod.Failed", key="closed")]
    commit(store, spans=[*spans, make_pending("Pod.Odd", key="waits")], traces=[make_trace(spans)])
    for failing in range(1, 40):
        count = 0

        def fail(_: object, _cursor: object, statement: str, *_more: Any) -> None:
            nonlocal count
            count += statement.startswith(("SELECT", "WITH"))
            if count == failing:  # noqa: B023
                raise StoreError("the disk is gone")

        event.listen(engine, "before_cursor_execute", fail)
        try:
            found = reader.poll()
            break
        except StoreError:
            continue
        finally:
            event.remove(engine, "before_cursor_execute", fail)
    assert failing > 5, "each query of a poll has failed once"
    assert [summary.trace.trace_id for summary in found.traces] == [spans[0].trace_id]
    assert sorted(line.span.name for line in found.occurrences) == ["Pod.Failed", "Pod.Odd"]
    after = reader.poll()
    assert (after.traces, after.occurrences) == ([], [])


def test_traces_that_close_together_are_news_although_one_poll_cannot_read_them_all(
    store: Store,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("kspan.query.news.MOST", 2)
    reader = NewsReader(store, CLUSTER)
    reader.poll()
    for number in range(9):
        spans = [make_span("Pod.Failed", trace=f"trace {number}")]
        commit(store, spans=spans, traces=[make_trace(spans)])
    found: list[str] = []
    polls = 0
    while len(found) < 9:
        found += [summary.trace.trace_id for summary in reader.poll().traces]
        polls += 1
        assert polls < 20
    assert len(set(found)) == 9


def test_what_waited_for_its_cause_is_news_again_once_it_is_in_a_trace(store: Store) -> None:  # noqa: F811
    reader = NewsReader(store, CLUSTER)
    reader.poll()
    waiting = make_pending("Pod.Failed", key="one")
    commit(store, spans=[waiting])
    assert [line.span.state for line in reader.poll().occurrences] == [SpanState.PENDING]
    place(store, waiting.span_id)
    found = reader.poll()
    assert found.occurrences == []
    assert [(line.span.span_id, line.span.trace_id != "") for line in found.placed] == [(waiting.span_id, True)]
    assert reader.poll().placed == []


def place(into: Store, span_id: str) -> None:
    """The occurrence that waits gets its place in an open trace."""
    span = make_span("Pod.Failed", key="one", span_id=span_id, state=SpanState.OPEN)
    delta = Delta(dropped_pending=[(int(span_id, 16) % 2**62,)], spans=[span], traces=[make_open_trace([span])])
    into.commit(CLUSTER, into.last_sequence(CLUSTER) + 1, [], [], delta)


class Doors:
    """The token is the namespace that its owner may see."""

    async def admit(self, token: str, path: str | None) -> Visible:
        return EVERYTHING if token == "all" else Visible(lambda namespace: namespace == token)


def test_an_asker_who_may_see_one_namespace_gets_its_occurrences_once_and_no_others(store: Store) -> None:  # noqa: F811
    waiting = make_pending("Pod.Failed", key="one")
    commit(store, [], [make_pending("Pod.Old", key="old")])
    app = make_app({}, Access(hosts=None, door=Doors()), History(lambda _: (store, CLUSTER)))
    server = Server("127.0.0.1:0", app)
    server.start()
    listeners = {}
    try:
        for token in ("all", "shop", "other"):
            listeners[token] = Stream(server.address, "/v1/stream?kinds=occurrence", token=token)
            assert listeners[token].line() == "retry: 2000"
        commit(store, spans=[waiting])
        assert listeners["all"].event()[2]["state"] == "pending"
        place(store, waiting.span_id)
        found = listeners["shop"].event()[2]
        assert (found["span_id"], found["state"]) == (waiting.span_id, "open")
        commit(store, spans=[make_pending("Pod.Failed", key="two", subject="two")])
        assert listeners["all"].event()[2]["name"] == "two", "the first one is not sent to it again"
        lines = [listeners["other"].line() for _ in range(6)]
        assert not any(line.startswith(("event", "data")) for line in lines)
    finally:
        for each in listeners.values():
            each.close()
        server.stop()


def test_a_client_who_is_gone_before_the_stream_begins_leaves_its_place(store: Store) -> None:  # noqa: F811
    update(store)
    history = History(lambda _: (store, "c"))
    endpoint = route(history, Newsrooms(history)).endpoint
    scope = {"type": "http", "method": "GET", "path": "/v1/stream", "query_string": b"", "headers": []}

    async def gone(_: Message) -> None:
        raise OSError("the client is gone")

    async def receive() -> Message:
        await asyncio.sleep(0)
        return {"type": "http.disconnect"}

    async def ask_often() -> None:
        for _ in range(news.LISTENERS + 1):
            answer = await endpoint(Request(scope, receive))
            assert answer.status_code == 200
            with pytest.raises(ClientDisconnect):
                await answer({**scope, "asgi": {"spec_version": "2.4"}}, receive, gone)

    asyncio.run(ask_often())


def test_news_that_end_send_all_listeners_away(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    def fail(_: NewsReader) -> None:
        raise RuntimeError("a mistake")

    newsroom = Newsroom(History(lambda _: (store, CLUSTER)))

    async def listen() -> tuple[list[Item], bool]:
        listener = Listener()
        with monkeypatch.context() as patched:
            patched.setattr(NewsReader, "poll", fail)
            newsroom.join(listener, None)
            found = await listener.next(60), listener.is_late
        newsroom.leave(listener)
        return found

    assert asyncio.run(listen()) == ([], True)

    async def listen_again() -> list[str]:
        listener = Listener()
        newsroom.join(listener, 0)
        found = [item.kind for item in await listener.next(60)]
        newsroom.leave(listener)
        return found

    assert asyncio.run(listen_again()) == [RESET]


def test_too_many_listeners_are_refused() -> None:
    def nothing(_: str) -> tuple[Store, str]:
        raise HTTPException(503)

    newsroom = Newsroom(History(nothing))

    async def join() -> None:
        newsroom._listeners = {Listener() for _ in range(news.LISTENERS)}
        with pytest.raises(BusyError):
            newsroom.join(Listener(), None)

    asyncio.run(join())
