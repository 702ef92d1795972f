"""An HTTP server that whose answers a test writes byte by byte, for faults that a correct server does not have."""

import json
import socket
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

import msgspec

from tests.limits import HANG_S


class Request(msgspec.Struct, frozen=True):
    """``headers`` have lower-case names."""

    path: str
    query: dict[str, str]
    headers: dict[str, str]

    @property
    def watch(self) -> bool:
        return "watch" in self.query


class Reply:
    """One answer, sent as it is written; the connection is closed after it."""

    def __init__(self, connection: socket.socket, closing: threading.Event) -> None:
        self._connection = connection
        self._closing = closing

    def json(self, value: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        body = json.dumps(value).encode()
        extra = "".join(f"{name}: {text}\r\n" for name, text in (headers or {}).items())
        self.raw(
            f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\nConnection: close\r\n{extra}\r\n".encode() + body
        )

    def begin(self) -> None:
        """Begin a chunked answer."""
        self.raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n")

    def lines(self, *values: Any) -> None:
        for value in values:
            self.chunk(json.dumps(value, separators=(",", ":")).encode() + b"\n")

    def chunk(self, data: bytes) -> None:
        self.raw(b"%x\r\n%s\r\n" % (len(data), data))

    def end(self) -> None:
        self.raw(b"0\r\n\r\n")

    def raw(self, data: bytes) -> None:
        self._connection.sendall(data)

    def stay_silent(self) -> None:
        """Send nothing until the server closes."""
        self._closing.wait()

    @property
    def closing(self) -> bool:
        return self._closing.is_set()


Answer = Callable[[Request, Reply], None]


class ScriptedServer:
    """``requests`` contains the requests so far, in order."""

    def __init__(self, answer: Answer, port: int = 0) -> None:
        self.requests: list[Request] = []
        self.failures: list[BaseException] = []
        self._answer = answer
        self._closing = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, name="scripted server")]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(HANG_S)
        if error is None and self.failures:
            raise self.failures[0]

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connection,), name="scripted answer")
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                request = _read_request(connection)
                if request is not None:
                    self.requests.append(request)
                    self._answer(request, Reply(connection, self._closing))
            except OSError:
                return  # the client went away
            except BaseException as error:
                self.failures.append(error)


def _read_request(connection: socket.socket) -> Request | None:
    data = b""
    while b"\r\n\r\n" not in data:
        part = connection.recv(65536)
        if not part:
            return None
        data += part
    first, *headers = data.split(b"\r\n\r\n")[0].decode().split("\r\n")
    url = urlsplit(first.split(" ")[1])
    pairs = (line.split(": ", 1) for line in headers)
    return Request(url.path, dict(parse_qsl(url.query)), {name.lower(): text for name, text in pairs})


def pod(name: str, version: int, **more: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "default", "uid": f"uid-{name}", "resourceVersion": str(version)}
    return {"kind": "Pod", "apiVersion": "v1", "metadata": metadata | more}


def listed(version: int, *items: Any, token: str = "") -> dict[str, Any]:
    metadata = {"resourceVersion": str(version)} | ({"continue": token} if token else {})
    return {"kind": "PodList", "apiVersion": "v1", "metadata": metadata, "items": list(items)}


def change(kind: str, obj: dict[str, Any]) -> dict[str, Any]:
    return {"type": kind, "object": obj}


def bookmark(version: int) -> dict[str, Any]:
    return change("BOOKMARK", {"kind": "Pod", "apiVersion": "v1", "metadata": {"resourceVersion": str(version)}})


def failure(code: int, reason: str, message: str = "no") -> dict[str, Any]:
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "reason": reason,
        "message": message,
        "code": code,
    }


class Script:
    """Serves one collection: a list, then a watch for each of the given functions, then silence."""

    def __init__(self, first_list: Any, *watches: Callable[[Reply], None]) -> None:
        self.lists: list[Any] = [first_list]
        self.watches = list(watches)
        self.lock = threading.Lock()

    def __call__(self, request: Request, reply: Reply) -> None:
        if not request.watch:
            with self.lock:
                answer = self.lists.pop(0) if len(self.lists) > 1 else self.lists[0]
            if callable(answer):
                answer(request, reply)
            else:
                reply.json(answer)
            return
        with self.lock:
            step = self.watches.pop(0) if self.watches else _silence
        step(reply)


def _silence(reply: Reply) -> None:
    reply.begin()
    reply.stay_silent()


# watches of a script, and the requests that they got -----------------------------------------------------------------


def sends(*values: object, then: Callable[[Reply], None] = Reply.end) -> Callable[[Reply], None]:
    def watch(reply: Reply) -> None:
        reply.begin()
        reply.lines(*values)
        then(reply)

    return watch


def cut(_: Reply) -> None:
    """Close the connection in the middle of the transfer encoding."""


def torn(reply: Reply) -> None:
    reply.chunk(b'{"type":"ADDED","object":{"kind":"Po')


def stay_silent(reply: Reply) -> None:
    reply.stay_silent()


def versions(server: ScriptedServer) -> list[str]:
    """The resourceVersions from which watches were requested."""
    return [request.query["resourceVersion"] for request in server.requests if request.watch]


def lists(server: ScriptedServer) -> int:
    return sum(not request.watch for request in server.requests)
