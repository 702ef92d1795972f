"""The ASGI application: health and metrics, and the query APIs over a history."""

from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Final

import anyio.to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from kspan.web.answer import Answer
from kspan.web.apart.relay import Relay
from kspan.web.guard import Access, Guard
from kspan.web.history import History
from kspan.web.jaeger import api as jaeger
from kspan.web.pages import routes as pages
from kspan.web.pages.asking import Frame
from kspan.web.problem import problem, refusal
from kspan.web.v1 import routes as v1
from kspan.web.v1.news import Newsrooms
from kspan.web.v1.wire import NO_ADDRESS

Routes = Mapping[str, Callable[[str], Answer]]
"""Path -> what answers it. The argument is the Accept header."""

STATUS_PATHS: Final = ("/healthz", "/readyz", "/metrics")
"""Paths that the daemon answers itself."""


def make_app(
    routes: Routes,
    access: Access,
    history: History | None = None,
    watching: Callable[[], tuple[int, int]] | None = None,
) -> ASGIApp:
    """Return the application of a process that answers everything itself.

    Args:
        routes: paths that are answered without the history.
        access: who may ask.
        history: what is asked; None: nothing but ``routes`` is served.
        watching: returns how many resources are watched and how many should be; None if nothing is watched.
    """
    app, close = answering_app(history, watching, routes)
    return Guard(app, access, close)


def make_relaying_app(routes: Routes, access: Access, relay: Relay) -> ASGIApp:
    """Return the application of a process that answers only ``routes`` itself, and lets another answer the rest."""
    own, _ = answering_app(None, None, routes)

    async def choose(scope: Scope, receive: Receive, send: Send) -> None:
        await (own if scope["path"] in routes else relay)(scope, receive, send)

    return Guard(choose, access, relay.close)


def answering_app(
    history: History | None,
    watching: Callable[[], tuple[int, int]] | None,
    routes: Routes,
    elsewhere: Collection[str] = (),
) -> tuple[ASGIApp, Callable[[], None]]:
    """Return an application that does not check who asks, and what ends its threads and streams.

    ``elsewhere``: paths that another application answers at the same address.
    """
    found = [Route(path, _endpoint(answer), methods=["GET"]) for path, answer in routes.items()]
    newsrooms: Newsrooms | None = None
    frame: Frame | None = None
    if history is not None:
        newsrooms, frame = Newsrooms(history), Frame(history, watching)
        found += [*jaeger.routes(history), *v1.routes(history, newsrooms), *pages.routes(frame)]
    paths = [*elsewhere, *(route.path for route in found)]

    async def not_found(request: Request, _error: Exception) -> Response:
        if request.url.path.startswith("/v1/"):
            return problem(404, f"{NO_ADDRESS}: /v1/openapi.json lists them")
        if frame is not None and "text/html" in request.headers.get("accept", ""):
            return frame.problem(404, "Not found", "There is no page at this address.")
        return PlainTextResponse("".join(f"{path}\n" for path in paths), 404)

    async def failed(request: Request, _error: Exception) -> Response:
        return refusal(request.url.path, 500, "internal error")

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return refusal(request.url.path, error.status_code, error.detail, error.headers)

    handlers = {404: not_found, HTTPException: refused, Exception: failed}
    app: ASGIApp = Starlette(routes=found, exception_handlers=handlers)
    # Starlette leaves event streams alone. No answer mixes a secret with what a request says (BREACH).
    packed = GZipMiddleware(app, minimum_size=1_000, compresslevel=6)
    return packed, newsrooms.close if newsrooms is not None else lambda: None


def _endpoint(answer: Callable[[str], Answer]) -> Callable[[Request], Awaitable[Response]]:
    async def respond(request: Request) -> Response:
        found = await anyio.to_thread.run_sync(answer, request.headers.get("accept", ""))
        return Response(found.body, found.status, media_type=found.content_type)

    return respond
