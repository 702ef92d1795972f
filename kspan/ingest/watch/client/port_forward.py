"""Forwards connections to a port of a Pod, through the API server over a WebSocket.

The protocol is v4.channel.k8s.io (kubelet pkg/kubelet/server/portforward/websocket.go): the first byte of a message is
its channel, 0 for data and 1 for errors; the first message of each channel is the number of the port. Each connection
has a WebSocket of its own. The API server asks for ``create`` or, before Kubernetes 1.35, ``get`` on pods/portforward.
"""

import contextlib
import select
import socket
import ssl
import threading
from typing import Any, Final

from kspan.ingest.watch.client.connection import Connection
from kspan.ingest.watch.client.errors import ApiError, DisconnectedError, error_of
from kspan.ingest.watch.client.text import one_line
from kspan.k8s.wire import read_status

PROTOCOL: Final = "v4.channel.k8s.io"

_DATA, _ERROR = 0, 1
_CHUNK: Final = 64 * 1024
_WAITING: Final = 1 << 20
"""Bytes that wait for a slow reader; the WebSocket is not read meanwhile."""


class PodPort:
    """A port of a Pod."""

    def __init__(self, connection: Connection, namespace: str, pod: str, port: int) -> None:
        self._connection = connection
        self._path = f"/api/v1/namespaces/{namespace}/pods/{pod}/portforward"
        self._port = port

    def connect(self, local: socket.socket) -> "Tunnel":
        """Return a tunnel between a socket, which it closes, and a new connection to the port. Raises ApiError."""
        from kubernetes.client.exceptions import ApiException
        from kubernetes.stream import ws_client

        library: Any = ws_client  # It has no types.
        configuration, url, headers = self._connection.signed(self._path)
        wanted = {"sec-websocket-protocol": PROTOCOL} | {
            name.lower(): value for name, value in headers.items() if name.lower() == "authorization"
        }
        try:
            target = library.get_websocket_url(url, [("ports", str(self._port))])
            found = library.create_websocket(configuration, target, wanted)
        except (ApiException, OSError, ValueError) as error:
            raise DisconnectedError(f"GET {self._path}: {one_line(error)}") from error
        except Exception as error:
            raise _refusal(error, self._path) from error
        return Tunnel(found, local)


class Tunnel:
    """Passes data on in a thread, until one side ends. ``error`` is what the Pod's node said was wrong."""

    def __init__(self, websocket: Any, local: socket.socket) -> None:
        self.error = ""
        self._websocket = websocket
        self._local = local
        self._seen: set[int] = set()
        self._waiting = b""
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="port forward", daemon=True)
        self._thread.start()

    def join(self) -> None:
        """Wait for the end. The socket's other side has to be closed."""
        self._thread.join()

    def _run(self) -> None:
        from websocket import WebSocketException

        local = self._local
        try:
            while not self._ended or self._waiting:
                reading = [] if self._ended else [local] if len(self._waiting) > _WAITING else [local, self._websocket]
                ready, writable, _ = select.select(reading, [local] if self._waiting else [], [])
                if writable:
                    self._waiting = self._waiting[local.send(self._waiting) :]
                if self._websocket in ready:
                    self._receive()
                if local in ready:
                    data = local.recv(_CHUNK)
                    if not data:
                        return
                    self._websocket.send_binary(bytes([_DATA]) + data)
        except (WebSocketException, OSError, ValueError):
            return  # One side is gone. The other one sees that its connection ends.
        finally:
            local.close()
            with contextlib.suppress(WebSocketException, OSError):
                self._websocket.close(timeout=1)
            self._websocket.shutdown()  # After the other side's end, ``close`` leaves the socket open.

    def _receive(self) -> None:
        """Take the messages that have arrived. A TLS connection can have more than the socket shows."""
        from websocket import ABNF

        while True:
            opcode, data = self._websocket.recv_data()
            if opcode == ABNF.OPCODE_CLOSE:
                self._ended = True
                return
            if opcode == ABNF.OPCODE_BINARY and data:
                self._take(data[0], data[1:])
            raw = self._websocket.sock
            if not (isinstance(raw, ssl.SSLSocket) and raw.pending()):
                return

    def _take(self, channel: int, data: bytes) -> None:
        if channel not in self._seen:
            self._seen.add(channel)
        elif channel == _DATA:
            self._waiting += data
        elif channel == _ERROR:
            self.error += one_line(data.decode("utf-8", "replace"))
            self._ended = True


def _refusal(error: Exception, path: str) -> ApiError:
    """Return the error for a handshake that the API server refused."""
    status = getattr(error, "status_code", 0)
    if not status:
        return DisconnectedError(f"GET {path}: {one_line(error)}")
    body = getattr(error, "resp_body", None) or b""
    text = read_status(body).message if body.lstrip().startswith(b"{") else ""
    return error_of(status, f"{status} {one_line(text or 'no reason given')}", body)
