"""The daemon's side: an ASGI application that lets the other process answer."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final

import anyio.to_thread
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from kspan.query.visible import EVERYTHING, Visible
from kspan.web.access.asker import of_asker, signed_in
from kspan.web.apart import messages
from kspan.web.apart.messages import Facts, Message
from kspan.web.apart.process import NoProcessError, Process
from kspan.web.guard import CHECK
from kspan.web.problem import refusal

_logger = logging.getLogger(__name__)

UNANSWERED: Final = "questions cannot be answered at the moment: try again"

CHECK_IDLE_S: Final = 15.0
"""Seconds between two looks whether the process is still needed."""

_RESPONSE: Final = "http.response."


class Relay:
    """Answers requests with what the other process answers.

    Args:
        process: the other process.
        facts: returns the uid of the cluster, and how many resources are watched and should be.
    """

    def __init__(self, process: Process, facts: Callable[[], tuple[str, tuple[int, int]]]) -> None:
        self._process = process
        self._facts = facts
        self._idle: asyncio.Task[None] | None = None

    def close(self) -> None:
        """End the other process."""
        self._process.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        visible = of_asker()
        cluster, watched = self._facts()
        try:
            stream = await anyio.to_thread.run_sync(self._process.open)
        except NoProcessError as error:
            _logger.warning("cannot answer %s: %s", scope["path"], error)
            await refusal(scope["path"], 503, UNANSWERED)(scope, receive, send)
            return
        try:
            reader, writer = await asyncio.open_unix_connection(sock=stream)
            try:
                facts = Facts(cluster, watched, whole=visible is EVERYTHING, session=signed_in())
                await _Request(scope, receive, send, visible, reader, writer).answer(facts)
            finally:
                writer.close()
        finally:
            self._process.done()
            if self._idle is None or self._idle.done():
                self._idle = asyncio.create_task(self._end_when_idle())

    async def _end_when_idle(self) -> None:
        while self._process.pid is not None:
            await asyncio.sleep(CHECK_IDLE_S)
            await anyio.to_thread.run_sync(self._process.end_if_idle)


class _Request:
    """One request, and its answer."""

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        visible: Visible,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._visible = visible
        self._reader = reader
        self._writer = writer
        self._client_left = False

    async def answer(self, facts: Facts) -> None:
        """Relay the request and its answer. An answer that the process does not end is not ended for the client."""
        started = False
        with _running() as run:
            try:
                await messages.write(self._writer, messages.scope_to_message(self._scope, facts))
                run(self._relay_events())
                while (message := await messages.read(self._reader)) is not None:
                    if message["type"] == messages.END:
                        break
                    if message["type"] == messages.ASK:
                        run(self._answer_question(message))
                    elif message["type"].startswith(_RESPONSE):
                        started = True
                        if "headers" in message:
                            message["headers"] = [(name, value) for name, value in message["headers"]]
                        await self._send(message)
                        if message["type"] == "http.response.body" and not message.get("more_body"):
                            return
            except OSError as error:
                _logger.debug("the process that answers is gone: %s", error)
        if not started:
            await refusal(self._scope["path"], 503, UNANSWERED)(self._scope, self._receive, self._send)
        elif not self._client_left:
            _logger.warning("the answer to %s is cut off: the process that answers has ended", self._scope["path"])

    async def _relay_events(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                event = await self._receive()
                self._client_left = event["type"] == "http.disconnect"
                await messages.write(self._writer, dict(event))
                if self._client_left:
                    return

    async def _answer_question(self, message: Message) -> None:
        answer: Message = {"type": messages.ANSWER, "number": message["number"]}
        try:
            answer["allowed"] = await self._decide(message["namespace"])
        except HTTPException as error:
            answer |= {"status": error.status_code, "detail": error.detail}
        with contextlib.suppress(OSError):
            await messages.write(self._writer, answer)

    async def _decide(self, namespace: str | None) -> bool:
        if namespace is None:
            await self._scope[CHECK]()
            return True
        return await anyio.to_thread.run_sync(self._visible.namespace, namespace)


@contextlib.contextmanager
def _running() -> Iterator[Callable[[Any], None]]:
    """Yield a function that runs a coroutine beside this one. All end with the block."""
    tasks: set[asyncio.Task[None]] = set()

    def run(coroutine: Awaitable[None]) -> None:
        task = asyncio.ensure_future(coroutine)
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    try:
        yield run
    finally:
        for task in list(tasks):
            task.cancel()
