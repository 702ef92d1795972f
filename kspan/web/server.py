"""A small HTTP server: GET and HEAD, from a table of routes."""

import logging
import socket
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar, Final

import msgspec

from kspan.errors import SettingsError

_logger = logging.getLogger(__name__)

DEFAULT_LISTEN: Final = "127.0.0.1:8474"
_TEXT: Final = "text/plain; charset=utf-8"
_SLOW_S: Final = 10.0
"""Seconds that a client may take to send its request. A scraper takes milliseconds."""


class Answer(msgspec.Struct, frozen=True):
    """An HTTP response."""

    status: int
    body: bytes
    content_type: str = _TEXT


Routes = dict[str, Callable[[], Answer]]


def verdict(problems: list[str], fine: str = "ok") -> Answer:
    """200 if there are no problems, otherwise 503 with one problem per line."""
    if problems:
        return Answer(503, "".join(f"{problem}\n" for problem in problems).encode())
    return Answer(200, f"{fine}\n".encode())


def parse_listen(text: str) -> tuple[str, int]:
    """Parse ``host:port``, ``:port`` (all addresses) or ``[::1]:port``. Raises SettingsError."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise SettingsError(f"invalid listen address {text!r}: use HOST:PORT, such as {DEFAULT_LISTEN}")
    return host.removeprefix("[").removesuffix("]") or "0.0.0.0", int(port)  # noqa: S104 -- asked for


class Server:
    """Answers GET and HEAD requests for ``routes`` (path → answer) on ``listen``, each in a thread of its own.

    The constructor opens the socket and raises SettingsError if that fails; ``start`` starts answering.
    """

    def __init__(self, listen: str, routes: Routes) -> None:
        host, port = parse_listen(listen)
        handler = type("Handler", (_Handler,), {"routes": routes})
        kind = _Server6 if ":" in host else _Server
        try:
            self._server = kind((host, port), handler)
        except OSError as error:
            reason = error.strerror or str(error)
            raise SettingsError(f"cannot listen on {listen}: {reason}; choose another address with --listen") from error
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.2,), name="http", daemon=True)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port. For port 0 the system has chosen one."""
        host, port = self._server.server_address[:2]
        return str(host), int(port)

    def start(self) -> None:
        """Start answering."""
        self._thread.start()

    def is_alive(self) -> bool:
        """True while it answers."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Stop answering and listening. Calling it again does nothing."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # Closing would wait for clients that keep their connection open.
    block_on_close = False

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002 -- socketserver's
        # A client that closed its connection is not an error.
        _logger.debug("request from %s failed: %s", client_address, sys.exc_info()[1])


class _Server6(_Server):
    address_family = socket.AF_INET6


class _Handler(BaseHTTPRequestHandler):
    routes: ClassVar[Routes] = {}
    server_version = "kspan"
    sys_version = ""
    timeout = _SLOW_S

    def do_GET(self) -> None:
        answer = self._answer()
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    do_HEAD = do_GET

    def _answer(self) -> Answer:
        route = self.routes.get(self.path.partition("?")[0])
        if route is None:
            return Answer(404, "".join(f"{path}\n" for path in sorted(self.routes)).encode())
        try:
            return route()
        except Exception:
            _logger.exception("cannot answer %s", self.path)
            return Answer(500, b"internal error\n")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- http.server's name
        _logger.debug(format, *args)
