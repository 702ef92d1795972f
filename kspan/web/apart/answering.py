"""The side of the process that answers: receives requests on a socket, and asks an ASGI application."""

import asyncio
import contextlib
import itertools
import logging
import socket
from collections.abc import Callable, MutableMapping
from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from kspan.query.visible import EVERYTHING, Visible
from kspan.web.access.asker import asking
from kspan.web.apart import messages
from kspan.web.apart.messages import Facts, Message
from kspan.web.guard import CHECK, VISIBLE, cluster_of

_logger = logging.getLogger(__name__)

STOP_S: Final = 2.0
"""Seconds that requests may still take when the daemon lets go of this process."""

_DECISION_S: Final = 60.0
"""Longest time that the daemon may take to decide, for which it asks the API server."""

_GONE: Final = HTTPException(503, "the daemon has ended")


def read_setup(control: socket.socket) -> bytes:
    """Return what the daemon says first. Raises EOFError if it is gone."""
    return _read_exactly(control, int.from_bytes(_read_exactly(control, 4)))


def answer_requests(
    control: socket.socket, app: ASGIApp, note: Callable[[Facts], None], close: Callable[[], None]
) -> None:
    """Answer requests until the daemon lets go of ``control`` or is gone.

    Args:
        control: brings the socket of each request.
        app: the application.
        note: called with what the daemon says, before each request.
        close: called at the end; ends what the application has begun.
    """
    asyncio.run(_Answering(control, app, note, close).run())


class _Answering:
    def __init__(
        self, control: socket.socket, app: ASGIApp, note: Callable[[Facts], None], close: Callable[[], None]
    ) -> None:
        self._control = control
        self._app = app
        self._note = note
        self._close = close
        self._requests: set[asyncio.Task[None]] = set()
        self._over = asyncio.Event()

    async def run(self) -> None:
        self._control.setblocking(False)
        loop = asyncio.get_running_loop()
        loop.add_reader(self._control, self._accept)
        await self._over.wait()
        loop.remove_reader(self._control)
        self._close()
        if self._requests:
            await asyncio.wait(self._requests, timeout=STOP_S)

    def _accept(self) -> None:
        try:
            received, descriptors, _, _ = socket.recv_fds(self._control, 1, 1)
        except BlockingIOError:
            return
        except OSError:
            received, descriptors = b"", []
        if not received:
            self._over.set()
        for descriptor in descriptors:
            task = asyncio.create_task(self._answer(socket.socket(fileno=descriptor)))
            self._requests.add(task)
            task.add_done_callback(self._requests.discard)

    async def _answer(self, stream: socket.socket) -> None:
        reader, writer = await asyncio.open_unix_connection(sock=stream)
        try:
            first = await messages.read(reader)
            if first is None:
                return
            scope, facts = messages.message_to_scope(first)
            self._note(facts)
            request = _Request(reader, writer)
            events = asyncio.create_task(request.read())
            visible = EVERYTHING if facts.whole else Visible(request.may_list)
            scope[VISIBLE], scope[CHECK] = visible, request.check
            try:
                with asking(visible, session=facts.session, cluster=cluster_of(scope)):
                    await self._app(scope, request.events.get, request.send)
            except ConnectionError:
                _logger.debug("a request ends: the client or the daemon is gone")
            except Exception:
                # It was answered. What is raised again is meant for the log.
                _logger.exception("cannot answer a request")
            with contextlib.suppress(OSError):
                await request.send({"type": messages.END})
            # The daemon closes first. What it has not read would be lost if this side did, with something unread.
            await asyncio.wait([events], timeout=STOP_S)
            events.cancel()
        finally:
            writer.close()


class _Request:
    """One request, as the application sees it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._loop = asyncio.get_running_loop()
        self._numbers = itertools.count()
        self._asked: dict[int, asyncio.Future[bool]] = {}
        self._is_gone = False
        self.events: asyncio.Queue[Message] = asyncio.Queue()

    async def read(self) -> None:
        """Read what the daemon sends."""
        while (message := await messages.read(self._reader)) is not None:
            if message["type"] == messages.ANSWER:
                self._decided(message)
            else:
                self.events.put_nowait(message)
        self._is_gone = True
        self.events.put_nowait({"type": "http.disconnect"})
        for waiting in self._asked.values():
            if not waiting.done():
                waiting.set_exception(_GONE)

    async def send(self, message: MutableMapping[str, Any]) -> None:
        """Send a part of the answer."""
        await messages.write(self._writer, message)

    def may_list(self, namespace: str) -> bool:
        """Return whether the asker may list Events in a namespace, or in the whole cluster. For threads."""
        return asyncio.run_coroutine_threadsafe(self._ask(namespace), self._loop).result(_DECISION_S)

    async def check(self) -> None:
        """Raise HTTPException if the asker may not ask any more."""
        await self._ask(None)

    async def _ask(self, namespace: str | None) -> bool:
        if self._is_gone:
            raise _GONE
        number = next(self._numbers)
        answer = self._asked[number] = self._loop.create_future()
        try:
            await messages.write(self._writer, {"type": messages.ASK, "number": number, "namespace": namespace})
            return bool(await answer)
        finally:
            del self._asked[number]

    def _decided(self, message: Message) -> None:
        waiting = self._asked.get(message["number"])
        if waiting is None or waiting.done():
            return
        if "status" in message:
            waiting.set_exception(HTTPException(message["status"], message["detail"]))
        else:
            waiting.set_result(message["allowed"])


def _read_exactly(control: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        part = control.recv(size - len(found))
        if not part:
            raise EOFError("the daemon has ended")
        found += part
    return found
