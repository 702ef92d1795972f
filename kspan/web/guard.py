"""Checks every request: method, size, host, token. Adds the headers that protect a reader's browser."""

import logging
from collections.abc import Callable, Collection
from typing import Final

from starlette.datastructures import Headers, MutableHeaders, QueryParams
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kspan import __version__
from kspan.query.visible import EVERYTHING, NOTHING, Visible
from kspan.web.access.asker import AskedCluster, asking
from kspan.web.access.doors import Door, unauthorized
from kspan.web.access.sign_in import LOGIN, SignIn, page
from kspan.web.problem import refusal
from kspan.web.v1.wire import STATEMENTS, TOKEN_HEADER, VERSION_HEADER

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


VISIBLE: Final = "kspan.visible"
"""Key of the ASGI scope with a Visible: what the asker may see."""

CHECK: Final = "kspan.check"
"""Key of the ASGI scope with an asynchronous function for answers that take long, such as streams of events. It raises
HTTPException once the asker may not ask any more."""

CLUSTER: Final = "cluster"
"""Parameter of every address that asks the history: name or uid of the cluster."""

_PROGRAMS: Final = ("/v1", "/api", "/healthz", "/readyz", "/metrics")
"""Paths that programs ask, with those below. The others are pages."""

_NO_SESSION: Final = "/api"
"""Path, with those below, that no page of ours asks, so sessions of browsers are not accepted."""


class Access:
    """Decides who may ask.

    Args:
        hosts: names by which the server may be addressed; None: any. On a loopback address, another name is a page of
            another site that had its name resolved to this machine (DNS rebinding).
        door: checks tokens; None: nothing is needed.
        closed: why nothing but ``public`` is answered; empty: all is.
        public: paths that need no token, because they show nothing of the history. With a slash at the end: all below.
    """

    def __init__(
        self,
        *,
        hosts: Collection[str] | None,
        door: Door | None = None,
        closed: str = "",
        public: Collection[str] = (),
    ) -> None:
        self._hosts = frozenset(hosts) if hosts is not None else None
        self._closed = closed
        self._public = frozenset(public)
        self.door = door

    def check_host(self, headers: Headers) -> None:
        """Raise HTTPException if the server is addressed by another name than its own."""
        if self._hosts is not None and _host(headers.get("host", "")) not in self._hosts:
            raise HTTPException(
                421, "unknown host name: use localhost or 127.0.0.1, or serve another address with --listen"
            )

    async def admit(self, path: str, token: str | None) -> Visible:
        """Return what the owner of the token may see of what a path shows. Raises HTTPException."""
        if path in self._public or any(path.startswith(each) for each in self._public if each.endswith("/")):
            return NOTHING
        if self._closed:
            raise HTTPException(403, self._closed)
        if self.door is None:
            return EVERYTHING
        if token is None:
            raise unauthorized()
        return await self.door.admit(token, path)


def local_hosts(host: str) -> frozenset[str] | None:
    """The names of a server that listens on ``host``; None if it is not a loopback address."""
    return _LOCAL | {host} if host in _LOCAL or host.startswith("127.") else None


def _host(header: str) -> str:
    """The host in a Host header, without its port."""
    if header.startswith("["):
        return header[1:].partition("]")[0].lower()
    return header.rpartition(":")[0].lower() if header.count(":") == 1 else header.lower()


class Guard:
    """An ASGI application in front of another one.

    Args:
        app: the other one.
        access: who may ask.
        close: ends what the other one has begun, when the server stops.
    """

    def __init__(self, app: ASGIApp, access: Access, close: Callable[[], None] | None = None) -> None:
        self._app = app
        self._close = close
        self._access = access
        self._sign_in = SignIn(access.door) if access.door is not None else None

    def close(self) -> None:
        """End threads and streams."""
        if self._close is not None:
            self._close()

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
                if _is_below(scope["path"], "/v1"):
                    headers[VERSION_HEADER] = __version__
            await send(message)

        headers = Headers(scope=scope)
        try:
            answer, visible = await self._check(scope, headers, receive)
        except HTTPException as error:
            answer, visible = self._refusal(scope, headers, error), NOTHING
        if answer is not None:
            await answer(scope, receive, send_guarded)
            return
        path = scope["path"]

        async def check() -> None:
            await self._access.admit(path, self._token(path, headers))

        scope[VISIBLE], scope[CHECK] = visible, check
        try:
            with asking(visible, session=self._has_session(path, headers), cluster=cluster_of(scope)):
                await self._app(scope, receive, send_guarded)
        except Exception:
            # It was answered. What is raised again is meant for the log of the server.
            _logger.exception("cannot answer %s", scope["path"])

    async def _check(self, scope: Scope, headers: Headers, receive: Receive) -> tuple[Response | None, Visible]:
        """Return the answer to a request for signing in, or what the asker of another one may see.

        Raises HTTPException if the request is refused.
        """
        signs_in = self._sign_in is not None and scope["method"] == "POST" and scope["path"] == LOGIN
        # Statements change nothing, and their endpoint limits the body itself.
        asks = (scope["method"], scope["path"]) == ("POST", STATEMENTS)
        if scope["method"] not in METHODS and not signs_in and not asks:
            allowed = {"Allow": ", ".join(METHODS)}
            raise HTTPException(405, f"{scope['method']} is not allowed: use {' or '.join(METHODS)}", allowed)
        _check_size(scope, headers, has_body=signs_in or asks)
        self._access.check_host(headers)
        if self._sign_in is not None:
            answer = await self._sign_in.answer(scope, receive)
            if answer is not None:
                return answer, NOTHING
        return None, await self._access.admit(scope["path"], self._token(scope["path"], headers))

    def _token(self, path: str, headers: Headers) -> str | None:
        sent = _sent_token(headers)
        return sent if sent is not None else self._session_token(path, headers)

    def _session_token(self, path: str, headers: Headers) -> str | None:
        if self._sign_in is None or _is_below(path, _NO_SESSION):
            return None
        return self._sign_in.token_of(headers)

    def _has_session(self, path: str, headers: Headers) -> bool:
        return _sent_token(headers) is None and self._session_token(path, headers) is not None

    def _refusal(self, scope: Scope, headers: Headers, error: HTTPException) -> Response:
        status, extra = error.status_code, dict(error.headers or {})
        if status != 401:
            return refusal(scope["path"], status, error.detail, extra)
        extra["WWW-Authenticate"] = 'Bearer realm="kspan"'
        for_programs = any(_is_below(scope["path"], each) for each in _PROGRAMS)
        if for_programs or "text/html" not in headers.get("accept", ""):
            return refusal(scope["path"], 401, error.detail, extra)
        query = scope["query_string"].decode("latin-1")
        target = scope["raw_path"].decode("latin-1") + (f"?{query}" if query else "")
        found = page(target, again=headers.get("sec-fetch-site") == "cross-site")
        found.headers.update(extra)
        return found


def cluster_of(scope: Scope) -> AskedCluster:
    """Return the cluster that a request asks about."""
    query = scope["query_string"].decode("latin-1")
    return AskedCluster(QueryParams(query).get(CLUSTER, ""), scope["path"], query)


def _sent_token(headers: Headers) -> str | None:
    """The token of a request; None if it has none. It takes the place of a session, also if it is wrong."""
    if (given := headers.get(TOKEN_HEADER)) is not None:
        return given.strip()
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def _check_size(scope: Scope, headers: Headers, *, has_body: bool) -> None:
    if len(scope["raw_path"]) + len(scope["query_string"]) > LONGEST_TARGET:
        raise HTTPException(414, f"the address is longer than {LONGEST_TARGET} bytes")
    if sum(len(name) + len(value) for name, value in scope["headers"]) > LARGEST_HEADERS:
        raise HTTPException(431, f"the headers are longer than {LARGEST_HEADERS} bytes")
    if not has_body and (headers.get("content-length", "0") != "0" or "transfer-encoding" in headers):
        raise HTTPException(413, "a request must not have a body")


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder}/")
