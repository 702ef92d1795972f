"""Shared by all pages: questions to the history, the frame around a page, and pages about errors."""

import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

from sqlalchemy import Connection
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from kspan.errors import QueryError, StoreError
from kspan.query.time_args import parse_moment
from kspan.query.visible import Visible
from kspan.web.access.asker import asked_cluster
from kspan.web.history import BusyError, History, NotThereError, TooSlowError
from kspan.web.pages.cluster_switch import switch_of
from kspan.web.pages.html import render
from kspan.web.v1.cursors import from_cursor
from kspan.web.v1.problems import BadRequestError

_logger = logging.getLogger(__name__)
_Found = TypeVar("_Found")

Page = Callable[[Request], Awaitable[Response]]

_BUSY: Final = "Too many questions at once. Try again in a moment."


class Frame:
    """The frame around each page.

    Args:
        history: what the pages ask.
        watching: returns how many resources are watched and how many should be; None if nothing is watched, as in
            ``kspan serve``.
    """

    def __init__(self, history: History, watching: Callable[[], tuple[int, int]] | None = None) -> None:
        self.history = history
        self._watching = watching

    async def ask(self, question: Callable[[Connection, str, Visible], _Found]) -> _Found:
        """Return the answer of ``question``, which is also called with what the asker may see."""
        return await self.history.ask(question, default=True)

    def route(self, path: str, page: Page) -> Route:
        """Return the route of a page. Its errors become pages that say what is wrong."""

        async def answer(request: Request) -> Response:
            try:
                return await page(request)
            except HTTPException as error:
                return self.problem(
                    error.status_code, "Not now" if error.status_code >= 500 else "Not allowed", error.detail
                )
            except QueryError as error:
                return self.problem(404, "Not found", str(error))
            except TooSlowError as error:
                return self.problem(504, "That took too long", str(error))
            except BusyError:
                return self.problem(503, "Busy", _BUSY)
            except NotThereError as error:
                return self.problem(503, "Nothing recorded yet", str(error))
            except StoreError as error:
                _logger.warning("cannot answer %s: %s", path, error)
                return self.problem(503, "The history cannot be read", "The database does not answer at the moment.")

        return Route(path, answer)

    def render(self, template: str, status: int = 200, *, here: str = "", **values: Any) -> Response:
        """Return a page. ``here`` is its entry in the navigation."""
        watching = self._watching() if self._watching is not None else None
        return render(template, status, here=here, watching=watching, switch=switch_of(asked_cluster()), **values)

    def problem(self, status: int, title: str, text: str) -> Response:
        """Return a page about an error."""
        return self.render("problem.html", status, title=title, text=text)


def position_of(text: str, kind: Any, parameter: str) -> Any:
    """Return the position (of the type ``kind``) of a cursor in a link to more of a list; None if it is empty.

    Raises QueryError.
    """
    try:
        return from_cursor(text, kind) if text else None
    except BadRequestError as error:
        raise QueryError(str(error).replace("cursor", parameter, 1)) from None


def moment(text: str, option: str) -> int:
    """Return the Unix nanoseconds of a time as the commands accept it; 0 if it is empty. Raises QueryError."""
    return parse_moment(text, time.time_ns(), option) if text else 0
