"""Port forwarding over a WebSocket with the subprotocol v4.channel.k8s.io, for one port.

As a kubelet does (pkg/kubelet/server/portforward/websocket.go): channel 0 has data, channel 1 errors, and the first
message of each is the number of the port.
"""

import asyncio
import base64
import contextlib
import hashlib
import re
import struct
from dataclasses import dataclass

from tests.apiserver import statuses
from tests.apiserver.http import Connection, Request

PORT_FORWARD = "v1/pods/portforward"
PROTOCOL = "v4.channel.k8s.io"
_PATH = re.compile(r"/api/v1/namespaces/([^/]+)/pods/([^/]+)/portforward")
_MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_BINARY, _CLOSE, _PING, _PONG = 2, 8, 9, 10


@dataclass(frozen=True)
class Forwarded:
    """The target of a request to forward a port."""

    namespace: str
    pod: str
    port: int


def find_forwarded(request: Request) -> Forwarded | None:
    """Return the target of a request to forward a port; None if it is none."""
    found = _PATH.fullmatch(request.path)
    return Forwarded(found[1], found[2], int(request.params.get("ports", "0"))) if found else None


def forbidden(target: Forwarded, user: str) -> statuses.StatusError:
    message = (
        f'pods "{target.pod}" is forbidden: User "{user}" cannot create resource "pods/portforward" in API group "" '
        f'in the namespace "{target.namespace}"'
    )
    return statuses.StatusError(statuses.status(403, "Forbidden", message, {"name": target.pod, "kind": "pods"}))


async def forward(connection: Connection, request: Request, target: Forwarded, address: tuple[str, int] | None) -> None:
    """Upgrade to a WebSocket and pass data on, until one side ends. Raises StatusError."""
    wanted = [each.strip() for each in request.headers.get("sec-websocket-protocol", "").split(",")]
    if request.headers.get("upgrade", "").lower() != "websocket" or PROTOCOL not in wanted:
        raise statuses.bad_request("unable to upgrade: unsupported protocol")
    connection.usable = False
    key = request.headers["sec-websocket-key"].encode()
    accept = base64.b64encode(hashlib.sha1(key + _MAGIC).digest()).decode()
    head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    head += f"Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: {PROTOCOL}\r\n\r\n"
    request.status = 101
    connection.writer.write(head.encode())
    number = struct.pack("<H", target.port)
    for channel in (b"\0", b"\1"):
        _send(connection.writer, _BINARY, channel + number)
    try:
        if address is None:
            raise OSError
        reader, writer = await asyncio.open_connection(*address)
    except OSError:
        text = f"error forwarding port {target.port} to pod {target.pod}: connection refused"
        _send(connection.writer, _BINARY, b"\1" + text.encode())
        _send(connection.writer, _CLOSE, struct.pack(">H", 1000))
        await connection.writer.drain()
        return
    back = asyncio.ensure_future(_back(reader, connection.writer))
    there = asyncio.ensure_future(_there(connection, writer))
    try:
        await asyncio.wait([back, there], return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (back, there):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, OSError, asyncio.IncompleteReadError):
                await task
        writer.close()


async def _back(reader: asyncio.StreamReader, out: asyncio.StreamWriter) -> None:
    while data := await reader.read(32 * 1024):
        _send(out, _BINARY, b"\0" + data)
        await out.drain()
    _send(out, _CLOSE, struct.pack(">H", 1000))
    await out.drain()


async def _there(connection: Connection, writer: asyncio.StreamWriter) -> None:
    while True:
        opcode, data = await _receive(connection.reader)
        if opcode == _CLOSE:
            _send(connection.writer, _CLOSE, data[:2])
            await connection.writer.drain()
            return
        if opcode == _PING:
            _send(connection.writer, _PONG, data)
        elif opcode == _BINARY:
            assert data[:1] == b"\0", "only data comes from the client"
            writer.write(data[1:])
            await writer.drain()


def _send(out: asyncio.StreamWriter, opcode: int, data: bytes) -> None:
    length = len(data)
    size = bytes([length]) if length < 126 else b"\x7e" + struct.pack(">H", length)
    assert length < 1 << 16
    out.write(bytes([0x80 | opcode]) + size + data)


async def _receive(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    first, second = await reader.readexactly(2)
    length = second & 0x7F
    if length == 126:
        (length,) = struct.unpack(">H", await reader.readexactly(2))
    elif length == 127:
        (length,) = struct.unpack(">Q", await reader.readexactly(8))
    assert first & 0x80, "fragments are not used"
    assert second & 0x80, "a client masks its frames (RFC 6455, section 5.1)"
    mask = await reader.readexactly(4)
    data = await reader.readexactly(length)
    return first & 0x0F, bytes(byte ^ mask[i % 4] for i, byte in enumerate(data))
