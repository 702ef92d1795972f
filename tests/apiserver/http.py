"""HTTP/1.1 over asyncio streams, as far as the API server's clients use it."""

import asyncio
import contextlib
import gzip
import json
import socket
import struct
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

BUFFERED = 2048
"""Bytes that Go's server buffers: shorter bodies get a Content-Length, longer ones and watches are split here."""
GZIP_FROM = 128 * 1024
TORN_WAIT = 0.05
"""Seconds before a reset, so that sent data arrives first."""

_PRIORITY = (
    "X-Kubernetes-Pf-Flowschema-Uid: e0502e8e-6193-4543-830d-ea50b1d59285\r\n"
    "X-Kubernetes-Pf-Prioritylevel-Uid: d4e10046-fecf-4a59-91eb-fb67e7ce61e5\r\n"
)


class BadRequestError(Exception):
    """The data is not an HTTP request."""


@dataclass
class Request:
    """One request. ``params`` is the query; header names are in lower case; ``time`` is monotonic seconds."""

    method: str
    path: str
    params: dict[str, str]
    headers: dict[str, str]
    body: bytes = b""
    time: float = field(default_factory=time.monotonic)
    resource: str = ""
    verb: str = ""
    user: str = ""
    """The common name of the client's certificate."""
    status: int = 0
    """The HTTP status of the answer; 0 before it."""

    @property
    def closes(self) -> bool:
        return self.headers.get("connection", "").lower() == "close"

    def json(self) -> Any:
        return json.loads(self.body)


async def read_request(reader: asyncio.StreamReader, early: bytes = b"") -> Request | None:
    """Return the next request of a connection, None at its end. ``early``: bytes of it that were read before."""
    try:
        head = (early + await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError):
        return None
    first, *lines = head.rstrip("\r\n").split("\r\n")
    try:
        method, target, _ = first.split(" ")
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = int(headers.get("content-length", "0"))
    except ValueError as error:
        raise BadRequestError(first) from error
    try:
        body = await reader.readexactly(length) if length else b""
    except (asyncio.IncompleteReadError, OSError):
        return None
    url = urlsplit(target)
    return Request(method, unquote(url.path), dict(parse_qsl(url.query, keep_blank_values=True)), headers, body)


class Connection:
    """The writing side of a connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.usable = True
        """Whether another request may follow."""
        self.early = b""
        """Bytes that the client sent before the answer to its last request was complete."""
        self._first_chunk = True
        names = (writer.get_extra_info("peercert") or {}).get("subject", ())
        self.user = next((value for pairs in names for key, value in pairs if key == "commonName"), "")
        """The common name of the client's certificate."""

    async def next_request(self) -> Request | None:
        early, self.early = self.early, b""
        return await read_request(self.reader, early)

    async def respond(
        self,
        request: Request,
        status: int,
        body: bytes,
        content_type: str = "application/json",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Send a whole answer: chunked above 2 KiB, compressed from 128 KiB on if the client accepts gzip."""
        extra = dict(headers or {})
        if len(body) >= GZIP_FROM and "gzip" in request.headers.get("accept-encoding", ""):
            body = gzip.compress(body, 1)
            extra["Content-Encoding"] = "gzip"
        short = len(body) <= BUFFERED
        if short:
            extra["Content-Length"] = str(len(body))
        self.begin(request, status, content_type, extra, chunked=not short)
        if short:
            self.writer.write(body)
        else:
            self.chunk(body)
            self.writer.write(b"0\r\n\r\n")
        await self.writer.drain()

    def begin(
        self,
        request: Request,
        status: int,
        content_type: str = "application/json",
        headers: Mapping[str, str] | None = None,
        *,
        chunked: bool = True,
    ) -> None:
        """Send the head of an answer."""
        request.status = status
        self.usable = not request.closes
        self._first_chunk = True
        lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", f"Audit-Id: {uuid.uuid4()}"]
        lines += ["Cache-Control: no-cache, private", f"Content-Type: {content_type}"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        tail = f"Date: {formatdate(usegmt=True)}\r\n"
        tail += "Connection: close\r\n" if request.closes else ""
        tail += "Transfer-Encoding: chunked\r\n" if chunked else ""
        self.writer.write(("\r\n".join(lines) + "\r\n" + _PRIORITY + tail + "\r\n").encode("latin-1"))

    def chunk(self, data: bytes) -> None:
        """Send a chunk; the first one is split after 2 KiB, as a real API server does."""
        if self._first_chunk and len(data) > BUFFERED:
            self._write_chunk(data[:BUFFERED])
            data = data[BUFFERED:]
        self._first_chunk = False
        if data:
            self._write_chunk(data)

    def _write_chunk(self, data: bytes) -> None:
        self.writer.write(b"%x\r\n" % len(data))
        self.writer.write(data)
        self.writer.write(b"\r\n")

    async def end(self) -> None:
        """Send the end of a chunked body."""
        self.writer.write(b"0\r\n\r\n")
        await self.writer.drain()

    async def cut(self, *, reset: bool) -> None:
        """End the connection before the end of the body, with RST or with FIN."""
        self.usable = False
        await self.writer.drain()
        if reset:
            await asyncio.sleep(TORN_WAIT)
            raw = self.writer.get_extra_info("socket")
            if raw is not None:
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.writer.transport.abort()
        else:
            self.writer.close()

    async def close(self) -> None:
        self.usable = False
        self.writer.close()
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await self.writer.wait_closed()
