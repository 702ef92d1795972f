"""The application of the daemon: health and metrics. Another process answers questions about the history, and has their
code in its memory instead of the daemon."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Final

import anyio.to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from kspan.web.answer import Answer
from kspan.web.apart.relay import Relay
from kspan.web.guard import Access, Guard
from kspan.web.problem import problem, refusal
from kspan.web.v1.wire import NO_ADDRESS

Routes = Mapping[str, Callable[[str], Answer]]
"""Path -> what answers it. The argument is the Accept header."""

STATUS_PATHS: Final = ("/healthz", "/readyz", "/metrics")
"""Paths that the daemon answers itself."""


def make_status_app(routes: Routes, access: Access) -> ASGIApp:
    """Return the application of a process that answers nothing but ``routes``."""
    return Guard(application(status_routes(routes)), access, lambda: None)


def make_relaying_app(routes: Routes, access: Access, relay: Relay) -> ASGIApp:
    """Return the application of a process that answers only ``routes`` itself, and lets another answer the rest."""
    own = application(status_routes(routes))

    async def choose(scope: Scope, receive: Receive, send: Send) -> None:
        await (own if scope["path"] in routes else relay)(scope, receive, send)

    return Guard(choose, access, relay.close)


def status_routes(routes: Routes) -> list[BaseRoute]:
    """Return what Starlette needs to answer ``routes``."""
    return [Route(path, _endpoint(answer), methods=["GET"]) for path, answer in routes.items()]


def application(
    routes: Sequence[BaseRoute],
    elsewhere: Collection[str] = (),
    page_not_found: Callable[[Request], Response] | None = None,
) -> ASGIApp:
    """Return an application that does not check who asks.

    Args:
        routes: what it answers.
        elsewhere: paths that another application answers at the same address.
        page_not_found: what a browser gets for an unknown path; None: the list of paths, like a program.
    """
    paths = [*elsewhere, *(route.path for route in routes if isinstance(route, Route))]

    async def not_found(request: Request, _error: Exception) -> Response:
        if request.url.path.startswith("/v1/"):
            return problem(404, f"{NO_ADDRESS}: /v1/openapi.json lists them")
        if page_not_found is not None and "text/html" in request.headers.get("accept", ""):
            return page_not_found(request)
        return PlainTextResponse("".join(f"{path}\n" for path in paths), 404)

    async def failed(request: Request, _error: Exception) -> Response:
        return refusal(request.url.path, 500, "internal error")

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return refusal(request.url.path, error.status_code, error.detail, error.headers)

    handlers = {404: not_found, HTTPException: refused, Exception: failed}
    app: ASGIApp = Starlette(routes=routes, exception_handlers=handlers)
    # Starlette leaves event streams alone. No answer mixes a secret with what a request says (BREACH).
    return GZipMiddleware(app, minimum_size=1_000, compresslevel=6)


def _endpoint(answer: Callable[[str], Answer]) -> Callable[[Request], Awaitable[Response]]:
    async def respond(request: Request) -> Response:
        found = await anyio.to_thread.run_sync(answer, request.headers.get("accept", ""))
        return Response(found.body, found.status, media_type=found.content_type)

    return respond
