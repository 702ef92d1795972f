"""Errors of ``/v1`` in the form of RFC 9457."""

import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Final

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from kspan.errors import QueryError, StoreError
from kspan.web.history import BusyError, NotThereError, TooSlowError

_logger = logging.getLogger(__name__)

MEDIA_TYPE: Final = "application/problem+json"
RETRY_S: Final = 2

_encode = msgspec.json.Encoder().encode


class Problem(msgspec.Struct, frozen=True):
    """An error (RFC 9457). ``detail`` says what is wrong with this request."""

    title: str
    status: int
    detail: str


class BadRequestError(Exception):
    """A request that cannot be understood; the text says why."""


def problem(status: int, detail: str) -> Response:
    """Return an error as a response."""
    headers = {"Retry-After": str(RETRY_S)} if status == 503 else {}
    body = _encode(Problem(HTTPStatus(status).phrase, status, detail))
    return Response(body, status, headers, MEDIA_TYPE)


Endpoint = Callable[[Request], Awaitable[Response]]


def with_problems(answer: Endpoint) -> Endpoint:
    """Return an endpoint whose errors are problems that reveal no internals."""

    async def respond(request: Request) -> Response:
        try:
            return await answer(request)
        except BadRequestError as error:
            return problem(400, str(error))
        except QueryError as error:
            return problem(404, str(error))
        except HTTPException as error:
            return problem(error.status_code, error.detail)
        except TooSlowError as error:
            return problem(504, str(error))
        except BusyError:
            return problem(503, "too many questions at once: try again")
        except NotThereError as error:
            return problem(503, str(error))
        except StoreError as error:
            _logger.warning("cannot answer a request of /v1: %s", error)
            return problem(503, "the history cannot be read at the moment")

    return respond
