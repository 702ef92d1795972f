"""Checks every request: method, size, host, token. Adds the headers that protect a reader's browser."""

import hmac
import logging
from collections.abc import Collection
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_logger = logging.getLogger(__name__)

METHODS: Final = ("GET", "HEAD")
LONGEST_TARGET: Final = 8 * 1024
"""Bytes of path and query."""

LARGEST_HEADERS: Final = 32 * 1024
"""Bytes of all headers of a request."""

_LOCAL: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Access:
    """Decides who may ask.

    Args:
        hosts: names by which the server may be addressed; None: any. On a loopback address, another name is a page of
            another site that had its name resolved to this machine (DNS rebinding).
        token: what has to be in ``Authorization: Bearer …``; None: nothing is needed.
        closed: why nothing but ``public`` is answered; empty: all is.
        public: paths that need no token, because they show nothing of the history.
    """

    def __init__(
        self,
        *,
        hosts: Collection[str] | None,
        token: str | None = None,
        closed: str = "",
        public: Collection[str] = (),
    ) -> None:
        self._hosts = frozenset(hosts) if hosts is not None else None
        self._token = token.encode() if token is not None else None
        self._closed = closed
        self._public = frozenset(public)

    def problem(self, path: str, headers: Headers) -> tuple[int, str] | None:
        """The status and the text with which a request is refused; None if it may pass."""
        if self._hosts is not None and _host(headers.get("host", "")) not in self._hosts:
            return 421, "unknown host name: use localhost or 127.0.0.1, or serve another address with --listen\n"
        if path in self._public:
            return None
        if self._closed:
            return 403, f"{self._closed}\n"
        if self._token is not None and not self._has_token(headers.get("authorization", "")):
            return 401, "a token is needed: Authorization: Bearer TOKEN\n"
        return None

    def _has_token(self, given: str) -> bool:
        scheme, _, token = given.partition(" ")
        return scheme.lower() == "bearer" and hmac.compare_digest(token.strip().encode(), self._token or b"")


def local_hosts(host: str) -> frozenset[str] | None:
    """The names of a server that listens on ``host``; None if it is not a loopback address."""
    return _LOCAL | {host} if host in _LOCAL or host.startswith("127.") else None


def _host(header: str) -> str:
    """The host in a Host header, without its port."""
    if header.startswith("["):
        return header[1:].partition("]")[0].lower()
    return header.rpartition(":")[0].lower() if header.count(":") == 1 else header.lower()


class Guard:
    """An ASGI application in front of another one."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            raise RuntimeError(f"no {scope['type']} connections are served")

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        refusal = self._refusal(scope)
        if refusal is None:
            try:
                await self._app(scope, receive, send_guarded)
            except Exception:
                # It was answered. What is raised again is meant for the log of the server.
                _logger.exception("cannot answer %s", scope["path"])
            return
        status, text = refusal
        extra = {"Allow": ", ".join(METHODS)} if status == 405 else {}
        extra |= {"WWW-Authenticate": 'Bearer realm="kspan"'} if status == 401 else {}
        await PlainTextResponse(text, status, extra)(scope, receive, send_guarded)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        headers = Headers(scope=scope)
        if scope["method"] not in METHODS:
            return 405, f"{scope['method']} is not allowed: use {' or '.join(METHODS)}\n"
        if len(scope["raw_path"]) + len(scope["query_string"]) > LONGEST_TARGET:
            return 414, f"the address is longer than {LONGEST_TARGET} bytes\n"
        if sum(len(name) + len(value) for name, value in scope["headers"]) > LARGEST_HEADERS:
            return 431, f"the headers are longer than {LARGEST_HEADERS} bytes\n"
        if headers.get("content-length", "0") != "0" or "transfer-encoding" in headers:
            return 413, "a request must not have a body\n"
        return self._access.problem(scope["path"], headers)
