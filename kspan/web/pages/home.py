"""``/``: what is happening now."""

import time

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from kspan.query.answers.trace import item
from kspan.query.home import what_happens
from kspan.times import format_time
from kspan.web.pages.asking import Frame


def routes(frame: Frame) -> list[Route]:
    """Return the route."""

    async def page(_request: Request) -> Response:
        now = await frame.ask(lambda c, cluster, seen: what_happens(c, cluster, time.time_ns(), seen))
        return frame.render(
            "home.html",
            here="Home",
            now=now,
            newest=format_time(now.newest) if now.newest else "",
            since=format_time(max(now.since, 0)),
            open=[item(each) for each in now.open],
            gaps=[(gap, format_time(gap.recorded_at)) for gap in now.gaps],
        )

    return [frame.route("/", page)]
