"""Errors of ``/v1`` in the form of RFC 9457."""

import logging
from collections.abc import Awaitable, Callable

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from kspan.errors import QueryError, StoreError
from kspan.query.fleet.choose import AmbiguousClusterError
from kspan.web.history import BusyError, NotThereError, TooSlowError
from kspan.web.problem import problem

_logger = logging.getLogger(__name__)


class BadRequestError(Exception):
    """A request that cannot be understood; the text says why."""


Endpoint = Callable[[Request], Awaitable[Response]]


def with_problems(answer: Endpoint) -> Endpoint:
    """Return an endpoint whose errors are problems that reveal no internals."""

    async def respond(request: Request) -> Response:
        try:
            return await answer(request)
        except BadRequestError as error:
            return problem(400, str(error))
        except AmbiguousClusterError as error:
            return problem(400, str(error))
        except QueryError as error:
            return problem(404, str(error))
        except HTTPException as error:
            return problem(error.status_code, error.detail, error.headers)
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
