"""The application that answers questions about a history: pages, ``/v1``, and the APIs of Jaeger."""

from collections.abc import Callable, Collection

from starlette.types import ASGIApp

from kspan.web.guard import Access, Guard
from kspan.web.history import History
from kspan.web.jaeger import api as jaeger
from kspan.web.pages import routes as pages
from kspan.web.pages.asking import Frame
from kspan.web.status import Routes, application, status_routes
from kspan.web.v1 import routes as v1
from kspan.web.v1.news import Newsrooms


def make_app(
    routes: Routes,
    access: Access,
    history: History,
    watching: Callable[[], tuple[int, int]] | None = None,
) -> ASGIApp:
    """Return the application of a process that answers everything itself.

    Args:
        routes: paths that are answered without the history.
        access: who may ask.
        history: what is asked.
        watching: returns how many resources are watched and how many should be; None if nothing is watched.
    """
    app, close = answering_app(history, watching, routes)
    return Guard(app, access, close)


def answering_app(
    history: History,
    watching: Callable[[], tuple[int, int]] | None,
    routes: Routes,
    elsewhere: Collection[str] = (),
) -> tuple[ASGIApp, Callable[[], None]]:
    """Return an application that does not check who asks, and what ends its threads and streams.

    ``elsewhere``: paths that another application answers at the same address.
    """
    newsrooms, frame = Newsrooms(history), Frame(history, watching)
    found = [
        *status_routes(routes),
        *jaeger.routes(history),
        *v1.routes(history, newsrooms),
        *pages.routes(frame),
    ]
    not_found = "There is no page at this address."
    app = application(found, elsewhere, lambda _: frame.problem(404, "Not found", not_found))
    return app, newsrooms.close
