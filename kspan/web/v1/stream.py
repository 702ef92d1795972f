"""``/v1/stream``: news as server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""

import logging
import re
from collections.abc import AsyncIterator, Collection
from typing import Any, Final

from sqlalchemy import Connection
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from kspan.errors import StoreError
from kspan.query.visible import EVERYTHING, Visible
from kspan.web.access.asker import asked_cluster, of_asker
from kspan.web.history import BusyError, History, NotThereError, TooSlowError
from kspan.web.v1.news import Item, Listener, Newsroom, Newsrooms
from kspan.web.v1.parameters import CLUSTER, Given, Parameter
from kspan.web.v1.problems import BadRequestError, with_problems
from kspan.web.v1.wire import BEAT_S, EVENTS, OCCURRENCE, RESET, STREAM, TRACE

_logger = logging.getLogger(__name__)

READY_S: Final = 5.0
"""Seconds that a stream waits for the first poll before it begins. What happens before that poll is not news."""

RETRY_MS: Final = 2_000

KINDS: Final = Parameter(
    "kinds", "Kinds of news, separated by commas.", {"type": "string", "maxLength": 64}, "trace,occurrence"
)
INSIDE: Final = Parameter(
    "namespace", "Only news about objects in this namespace.", {"type": "string", "maxLength": 253}, "rolling-update"
)
PARAMETERS: Final = (KINDS, INSIDE, CLUSTER)

_ID: Final = re.compile(r"([0-9a-f]{8})-(\d{1,15})", re.ASCII)
_HEADERS: Final = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


def route(history: History, newsrooms: Newsrooms) -> Route:
    """Return the route of the stream."""

    async def answer(request: Request) -> Response:
        given = Given({}, request.query_params, PARAMETERS)
        kinds = _kinds(given.text("kinds"))
        if request.method == "HEAD":
            return Response(None, headers=_HEADERS, media_type=EVENTS)
        newsroom = await newsrooms.of(asked_cluster())
        listener = Listener()
        last = newsroom.join(listener, _resumed(request, newsroom))
        events = _events(request, history, newsroom, listener, last, kinds, given.text("namespace"))
        return _Events(events, newsroom, listener)

    return Route(STREAM, with_problems(answer))


class _Events(StreamingResponse):
    """A stream of events. Its listener leaves when it ends, also if the client is gone before it begins."""

    def __init__(self, events: AsyncIterator[bytes], newsroom: Newsroom, listener: Listener) -> None:
        super().__init__(events, headers=_HEADERS, media_type=EVENTS)
        self._newsroom, self._listener = newsroom, listener

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._newsroom.leave(self._listener)


async def _events(
    request: Request,
    history: History,
    newsroom: Newsroom,
    listener: Listener,
    last: int,
    kinds: Collection[str],
    namespace: str,
) -> AsyncIterator[bytes]:
    visible = of_asker()
    check: Any = request.scope.get("kspan.check")
    await listener.wait_ready(READY_S)
    # The number also without an event: a client that has got none yet comes back with it.
    yield f"retry: {RETRY_MS}\n{_number(newsroom, last)}\n\n".encode()
    while True:
        items = await listener.next(BEAT_S)
        is_last = listener.is_late
        try:
            if check is not None:
                await check()
            wanted = [item for item in items if item.kind == RESET or _matches(item, kinds, namespace)]
            seen = await _visible(history, visible, wanted)
        except (HTTPException, StoreError, BusyError, NotThereError, TooSlowError) as error:
            _logger.debug("an event stream ends: %s", error)
            return
        last = items[-1].number if items else last
        beat = b"" if seen else f": still here\n{_number(newsroom, last)}\n\n".encode()
        yield b"".join(_event(newsroom, item) for item in seen) + beat
        if is_last:
            return


def _matches(item: Item, kinds: Collection[str], namespace: str) -> bool:
    return item.kind in kinds and namespace in ("", item.namespace)


async def _visible(history: History, visible: Visible, items: list[Item]) -> list[Item]:
    """Return the items that the asker may see: resets, and what is in traces that the asker may see."""
    ids = list(dict.fromkeys(item.trace_id for item in items if item.trace_id))
    whole = [item for item in items if not item.again]
    if visible is EVERYTHING or not items:
        return whole

    def question(connection: Connection, cluster: str, seen: Visible) -> set[str] | None:
        return None if seen.everything() else set(seen.traces(connection, cluster, ids))

    known = await history.ask(question)
    return whole if known is None else [item for item in items if item.kind == RESET or item.trace_id in known]


def _event(newsroom: Newsroom, item: Item) -> bytes:
    head = f"{_number(newsroom, item.number)}\nevent: {item.kind}\ndata: "
    return head.encode() + item.data + b"\n\n"


def _number(newsroom: Newsroom, last: int) -> str:
    return f"id: {newsroom.epoch}-{last}"


def _kinds(text: str) -> frozenset[str]:
    kinds = frozenset(text.split(",")) if text else frozenset({TRACE, OCCURRENCE})
    if unknown := kinds - {TRACE, OCCURRENCE}:
        raise BadRequestError(f"kinds: unknown kind {min(unknown)[:64]!r}: use {TRACE} or {OCCURRENCE}")
    return kinds


def _resumed(request: Request, newsroom: Newsroom) -> int | None:
    """Return the number of the last item that a client who comes back has; -1 if it is of another process."""
    last = request.headers.get("last-event-id", "")
    if not last:
        return None
    found = _ID.fullmatch(last)
    return int(found[2]) if found is not None and found[1] == newsroom.epoch else -1
