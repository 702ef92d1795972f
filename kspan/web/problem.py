"""Errors in the form of RFC 9457, for programs."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

import msgspec
from starlette.responses import PlainTextResponse, Response

from kspan.web.v1.wire import Problem

MEDIA_TYPE: Final = "application/problem+json"
RETRY_S: Final = 2
"""Seconds after which a client may try again what is not possible at the moment."""

_encode = msgspec.json.Encoder().encode


def problem(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """Return an error as a response."""
    more = {"Retry-After": str(RETRY_S)} if status == 503 else {}
    body = _encode(Problem(HTTPStatus(status).phrase, status, detail))
    return Response(body, status, {**more, **(headers or {})}, MEDIA_TYPE)


def refusal(path: str, status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """Return an error below ``/v1`` as a problem, and elsewhere as text."""
    if path.startswith("/v1/"):
        return problem(status, detail, headers)
    return PlainTextResponse(f"{detail}\n", status, dict(headers or {}))
