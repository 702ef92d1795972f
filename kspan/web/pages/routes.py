"""The routes of all pages."""

from starlette.routing import Route

from kspan.web.pages import home, objects, rollouts, static_files, timeline, trace, traces, why
from kspan.web.pages.asking import Frame


def routes(frame: Frame) -> list[Route]:
    """Return the routes of all pages."""
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
