"""The routes of all pages."""

from collections.abc import Callable

from starlette.routing import Route

from kspan.web.history import History
from kspan.web.pages import home, objects, rollouts, static_files, timeline, trace, traces, why
from kspan.web.pages.asking import Frame


def routes(history: History, watching: Callable[[], tuple[int, int]] | None = None) -> list[Route]:
    """Return the routes of all pages. ``watching`` returns how many resources are watched, and how many should be."""
    frame = Frame(history, watching)
    return [
        *static_files.routes(),
        *home.routes(frame),
        *objects.routes(frame),
        *rollouts.routes(frame),
        *timeline.routes(frame),
        *traces.routes(frame),
        *trace.routes(frame),
        *why.routes(frame),
    ]
