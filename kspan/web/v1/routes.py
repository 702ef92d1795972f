"""The routes of ``/v1``."""

import hashlib
from typing import Any, Final

import msgspec
from sqlalchemy import Connection
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from kspan.query.visible import Visible
from kspan.web.history import History
from kspan.web.v1 import stream
from kspan.web.v1.endpoints import ENDPOINTS, Endpoint
from kspan.web.v1.news import Newsroom
from kspan.web.v1.openapi import document
from kspan.web.v1.parameters import Given
from kspan.web.v1.problems import with_problems

JSON: Final = "application/json"

_encode = msgspec.json.Encoder(decimal_format="number").encode


def routes(history: History, newsroom: Newsroom) -> list[Route]:
    """Return the routes of ``/v1``."""
    return [
        Route("/v1/openapi.json", _document),
        stream.route(history, newsroom),
        *(_route(history, endpoint) for endpoint in ENDPOINTS),
    ]


async def _document(request: Request) -> Response:
    return _response(request, document(), final=True)


def _route(history: History, endpoint: Endpoint) -> Route:
    async def answer(request: Request) -> Response:
        given = Given(request.path_params, request.query_params, endpoint.parameters)

        def question(connection: Connection, cluster: str, visible: Visible) -> tuple[bytes, bool]:
            if endpoint.whole and not visible.everything():
                raise HTTPException(403, "this is shown only to those who may list the Events of all namespaces")
            found: Any = endpoint.ask(connection, cluster, visible, given)
            return _encode(found), endpoint.is_final(found)

        body, final = await history.ask_visible(question)
        return _response(request, body, final=final)

    return Route(endpoint.path, with_problems(answer))


def _response(request: Request, body: bytes, *, final: bool) -> Response:
    """Return JSON. An answer that is final can be kept; it is still asked for, because its reader may change."""
    if not final:
        return Response(body, media_type=JSON)
    tag = f'"{hashlib.sha256(body).hexdigest()[:24]}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    given = [each.strip().removeprefix("W/") for each in request.headers.get("if-none-match", "").split(",")]
    return Response(None, 304, headers) if tag in given else Response(body, 200, headers, JSON)
