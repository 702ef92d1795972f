"""``/why``: what caused the latest occurrence of an object."""

from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from kspan.errors import QueryError
from kspan.query.answers import why as answers
from kspan.query.explain.wording import row_of_chain, with_names
from kspan.query.objects.names import ObjectName, parse_object
from kspan.query.why import Why, why
from kspan.query.why_headline import headline, is_root
from kspan.times import format_time
from kspan.web.pages.asking import Frame, moment
from kspan.web.pages.html import in_cluster


def routes(frame: Frame) -> list[Route]:
    """Return the routes."""

    async def box(request: Request) -> Response:
        asked = request.query_params.get("q", "").strip()
        if not asked:
            return frame.render("why_empty.html", here="Why")
        try:
            wanted = parse_object(tuple(asked.split()))
        except QueryError as error:
            return frame.problem(400, "Not an object", str(error))
        path = "/".join(quote(part, safe="") for part in (wanted.kind.written, wanted.namespace, wanted.name) if part)
        return RedirectResponse(in_cluster(f"/why/{path}"), 303)

    async def page(request: Request) -> Response:
        given, query = request.path_params, request.query_params
        wanted = parse_object((given["kind"], given["name"]), given.get("namespace", ""))
        at, uid = moment(query.get("at", ""), "at"), query.get("uid", "")
        answer = await frame.ask(lambda c, cluster, seen: why(c, cluster, wanted, at=at, uid=uid, visible=seen))
        return frame.render("why.html", here="Why", asked=_asked(wanted), **_values(answer))

    return [
        frame.route("/why", box),
        frame.route("/why/{kind}/{name}", page),
        frame.route("/why/{kind}/{namespace}/{name}", page),
    ]


def _asked(wanted: ObjectName) -> str:
    return "/".join(part for part in (wanted.kind.written, wanted.namespace, wanted.name) if part)


def _values(answer: Why) -> dict[str, Any]:
    chain = [link.span for link in answer.links]
    notes = {span.span_id: with_names(row_of_chain(span), chain) for span in chain}
    return {
        "answer": answers.why(answer),
        "lines": headline(answer),
        "notes": notes,
        "is_root": is_root(answer),
        "at": format_time(answer.at) if answer.at else "",
    }
