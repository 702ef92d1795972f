"""Serves an ASGI application on a socket, in a thread or until a signal."""

import asyncio
import socket
import threading
from typing import Any, Final

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from kspan.errors import SettingsError
from kspan.web.guard import Guard
from kspan.web.tls import CertificateFiles

DEFAULT_LISTEN: Final = "127.0.0.1:8474"

_SLOW_S: Final = 10.0
"""Seconds that a client may take to send its request. A scraper takes milliseconds."""

_CONNECTIONS: Final = 256
"""Connections at once. More are answered with 503."""

_LARGEST_HEAD: Final = 64 * 1024
"""Bytes of a head that is not complete; more are not read."""

_STOP_S: Final = 2
"""Seconds that requests may still take when the server is stopped."""


def parse_listen(text: str) -> tuple[str, int]:
    """Parse ``host:port``, ``:port`` (all addresses) or ``[::1]:port``. Raises SettingsError."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise SettingsError(f"invalid listen address {text!r}: use HOST:PORT, such as {DEFAULT_LISTEN}")
    return host.removeprefix("[").removesuffix("]") or "0.0.0.0", int(port)  # noqa: S104 -- asked for


class Server:
    """Serves ``app`` on ``listen``, with ``tls`` over TLS.

    The constructor opens the socket and raises SettingsError if that fails; ``start`` starts answering in a thread.
    """

    def __init__(self, listen: str, app: ASGIApp, tls: CertificateFiles | None = None) -> None:
        self._app = app
        self._socket = open_socket(listen)
        self._server = _Uvicorn(
            uvicorn.Config(
                app,
                http=_Protocol,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                date_header=False,
                proxy_headers=False,
                limit_concurrency=_CONNECTIONS,
                h11_max_incomplete_event_size=_LARGEST_HEAD,
                timeout_graceful_shutdown=_STOP_S,
                ssl_context_factory=None if tls is None else lambda *_: tls.context,
            )
        )
        self._scheme = "http" if tls is None else "https"
        self.failure: Exception | None = None
        """The error that ended it; None if there was none."""
        self._thread = threading.Thread(target=self._run, name="http", daemon=True)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port. For port 0 the system has chosen one."""
        host, port = self._socket.getsockname()[:2]
        return str(host), int(port)

    @property
    def url(self) -> str:
        """The address as a URL."""
        return url_of(self._scheme, self._socket)

    def start(self) -> None:
        """Start answering."""
        self._thread.start()

    def is_alive(self) -> bool:
        """True while it answers."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Stop answering and listening. Calling it again does nothing."""
        if isinstance(self._app, Guard):
            self._app.close()
        self._server.stop()
        if self._thread.is_alive():
            self._thread.join()
        self._socket.close()

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=_Loop) as runner:
                runner.run(self._server.serve(sockets=[self._socket]))
        except Exception as error:
            self.failure = error


class _Loop(asyncio.SelectorEventLoop):
    """Limits handshakes: uvicorn leaves a client that is silent a minute, and does not count it as a connection."""

    async def create_server(self, *args: Any, **options: Any) -> asyncio.Server:
        if options.get("ssl") is not None:
            options |= {"ssl_handshake_timeout": _SLOW_S, "ssl_shutdown_timeout": _STOP_S}
        return await super().create_server(*args, **options)


class _Uvicorn(uvicorn.Server):
    """Sleeps until it is stopped. The original looks at a flag ten times a second."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopped = asyncio.Event()
        self._lock = threading.Lock()

    async def main_loop(self) -> None:
        """Wait for ``stop``."""
        with self._lock:
            self._loop = asyncio.get_running_loop()
        if not self.should_exit:
            await self._stopped.wait()

    def stop(self) -> None:
        """Stop serving; from any thread."""
        with self._lock:
            self.should_exit = True
            if self._loop is not None and not self._loop.is_closed():
                self._loop.call_soon_threadsafe(self._stopped.set)


class _Protocol(H11Protocol):
    """Closes a connection on which a request does not arrive in time."""

    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait_no_longer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if not self._is_busy():
            self._wait()
        super().data_received(data)

    def handle_events(self) -> None:
        super().handle_events()
        if self._is_busy():
            self._wait_no_longer()

    def _is_busy(self) -> bool:
        """True from the head of a request to the end of its answer."""
        cycle: RequestResponseCycle | None = self.cycle  # None before the first request, whatever uvicorn declares
        return cycle is not None and not cycle.response_complete

    def _wait(self) -> None:
        if self._late is None:
            self._late = self.loop.call_later(_SLOW_S, self.transport.abort)

    def _wait_no_longer(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None


def open_socket(listen: str) -> socket.socket:
    """Listen on an address (see ``parse_listen``). Raises SettingsError."""
    host, port = parse_listen(listen)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family, backlog=128)
    except OSError as error:
        reason = error.strerror or str(error)
        raise SettingsError(f"cannot listen on {listen}: {reason}; choose another address with --listen") from error
    # Accepted connections inherit it. asyncio sets it only on sockets that name their protocol, and without it the body
    # of an answer waits 40 ms for the acknowledgement of its head.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


def url_of(scheme: str, listening: socket.socket) -> str:
    """Return the address of a socket as a URL."""
    host, port = listening.getsockname()[:2]
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"
