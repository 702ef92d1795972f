"""An HTTP proxy on 127.0.0.1: tunnels (CONNECT), and requests with a whole URL."""

import base64
import select
import socket
import threading
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from tests.limits import HANG_S

HEAD = 64 * 1024


class Proxy:
    """A context manager. ``credentials`` (``user:password``) are required if given.

    ``asked`` contains the first line of each request; ``cut`` drops all connections through it, and ``go_silent``
    keeps them open without forwarding anything, as a load balancer that has forgotten them.
    """

    def __init__(self, credentials: str = "") -> None:
        self.asked: list[str] = []
        self.credentials = credentials
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._open: set[socket.socket] = set()
        self._silent: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []

    @property
    def url(self) -> str:
        return f"http://{self.credentials + '@' if self.credentials else ''}127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._begin(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self.cut()
        for thread in self._threads:
            thread.join(HANG_S)
        self._listening.close()

    def cut(self) -> None:
        with self._lock:
            for each in self._open:
                each.shutdown(socket.SHUT_RDWR)

    def go_silent(self) -> None:
        """Forward nothing on the connections that are open now. New connections work."""
        with self._lock:
            self._silent |= self._open

    def _begin(self, run: object, *arguments: object) -> None:
        assert callable(run)
        thread = threading.Thread(target=run, args=arguments, name="proxy")
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            self._begin(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        with client:
            head = b""
            while b"\r\n\r\n" not in head:
                data = client.recv(HEAD)
                if not data:
                    return
                head += data
            first, *lines = head.decode("latin-1").split("\r\n")
            self.asked.append(first)
            if self.credentials and f"Basic {self._encoded()}" not in "\n".join(lines):
                client.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
                return
            method, target, _ = first.split(" ")
            url = urlsplit(f"//{target}" if method == "CONNECT" else target)
            try:
                upstream = socket.create_connection((url.hostname, url.port), 5)
            except OSError:
                client.sendall(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
                return
            with upstream:
                if method == "CONNECT":
                    client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                else:
                    upstream.sendall(head.replace(f"{url.scheme}://{url.netloc}".encode(), b"", 1))
                self._pass_on(client, upstream)

    def _encoded(self) -> str:
        return base64.b64encode(self.credentials.encode()).decode()

    def _pass_on(self, *ends: socket.socket) -> None:
        other = dict(zip(ends, reversed(ends), strict=True))
        with self._lock:
            self._open.update(ends)
        try:
            while True:
                for ready in select.select(ends, [], [])[0]:
                    data = ready.recv(HEAD)
                    if not data:
                        return
                    with self._lock:
                        silent = ready in self._silent
                    if not silent:
                        other[ready].sendall(data)
        except OSError:
            return
        finally:
            with self._lock:
                self._open.difference_update(ends)
                self._silent.difference_update(ends)
