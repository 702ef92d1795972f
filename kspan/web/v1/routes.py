"""The routes of ``/v1``."""

from typing import Any, Final

import msgspec
from sqlalchemy import Connection
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from kspan.query.visible import Visible
from kspan.web.history import History
from kspan.web.v1 import sql, stream
from kspan.web.v1.endpoints import ENDPOINTS, Endpoint
from kspan.web.v1.news import Newsrooms
from kspan.web.v1.openapi import document
from kspan.web.v1.parameters import Given
from kspan.web.v1.problems import with_problems
from kspan.web.v1.tags import tag_of, tags_known
from kspan.web.v1.wire import CLUSTER_HEADER

JSON: Final = "application/json"

_encode = msgspec.json.Encoder(decimal_format="number").encode


def routes(history: History, newsrooms: Newsrooms) -> list[Route]:
    """Return the routes of ``/v1``."""
    return [
        Route("/v1/openapi.json", _document),
        stream.route(history, newsrooms),
        sql.route(history),
        *(_route(history, endpoint) for endpoint in ENDPOINTS),
    ]


async def _document(request: Request) -> Response:
    body = document()
    return _response(request, body, tag_of(body))


def _route(history: History, endpoint: Endpoint) -> Route:
    async def answer(request: Request) -> Response:
        given, known = Given(request.path_params, request.query_params, endpoint.parameters), tags_known(request)

        def question(connection: Connection, cluster: str, visible: Visible) -> tuple[bytes, str, str]:
            if endpoint.whole and not visible.everything():
                raise HTTPException(403, "this is shown only to those who may list the Events of all namespaces")
            tag = endpoint.tag(connection, cluster, visible, given)
            if tag and tag in known:
                return b"", tag, cluster
            found: Any = endpoint.ask(connection, cluster, visible, given)
            body = _encode(found)
            if not tag and endpoint.is_final(found):
                tag = tag_of(body)
            return body, tag, cluster

        body, tag, cluster = await history.ask(question, default=endpoint.of_all)
        response = _response(request, body, tag)
        if not endpoint.of_all:
            response.headers[CLUSTER_HEADER] = cluster
        return response

    return Route(endpoint.path, with_problems(answer))


def _response(request: Request, body: bytes, tag: str) -> Response:
    """Return JSON. An answer with a tag can be kept; it is still asked for, because its reader may change."""
    if not tag:
        return Response(body, media_type=JSON)
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    return Response(None, 304, headers) if tag in tags_known(request) else Response(body, 200, headers, JSON)
