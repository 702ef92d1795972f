"""``/traces``: the newest traces, as points over time and duration and as a table."""

from typing import Any, Final
from urllib.parse import urlencode

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from kspan.errors import QueryError
from kspan.model import Outcome
from kspan.query.answers.trace import TraceItem, item
from kspan.query.objects.names import parse_kind
from kspan.query.traces import Position, Status, TraceFilter, page_of_traces
from kspan.times import parse_duration
from kspan.web.pages.asking import Frame, moment, position_of
from kspan.web.v1.cursors import to_cursor

SHOWN: Final = 100
"""Traces of a page."""

RANGES: Final = (("15m", "15 minutes"), ("1h", "hour"), ("6h", "6 hours"), ("24h", "day"), ("7d", "week"))

_FIELDS: Final = ("namespace", "kind", "name", "actor", "min_duration", "text")


def routes(frame: Frame) -> list[Route]:
    """Return the route."""

    async def page(request: Request) -> Response:
        given = request.query_params
        wanted = trace_filter(given)
        found = await frame.ask(lambda c, cluster, seen: page_of_traces(c, cluster, wanted, SHOWN, seen))
        items = [item(each) for each in found.traces]
        older = ""
        if found.next is not None:
            older = "?" + urlencode(_kept(given) | {"before": to_cursor(found.next)})
        return frame.render(
            "traces.html",
            here="Traces",
            items=items,
            older=older,
            given={name: given.get(name, "") for name in ("since", "until", "status", "outcome", *_FIELDS)},
            ranges=RANGES,
            statuses=list(Status),
            outcomes=list(Outcome),
            points=[_point(each) for each in items],
        )

    return [frame.route("/traces", page)]


def trace_filter(given: QueryParams) -> TraceFilter:
    """Return the filter that the query string asks for. Raises QueryError."""
    status = given.get("status", "")
    if status and status not in list(Status):
        raise QueryError(f"status: unknown status {status!r}: use {', '.join(Status)}")
    outcome = given.get("outcome", "")
    if outcome and outcome not in list(Outcome):
        raise QueryError(f"outcome: unknown outcome {outcome!r}: use {', '.join(Outcome)}")
    kind = given.get("kind", "").strip()
    return TraceFilter(
        since=moment(given.get("since", ""), "since"),
        until=moment(given.get("until", ""), "until"),
        kind=parse_kind(kind) if kind else None,
        namespace=given.get("namespace", "").strip(),
        name=given.get("name", "").strip(),
        actor=given.get("actor", "").strip(),
        status=Status(status) if status else None,
        min_duration=_duration(given.get("min_duration", "").strip()),
        outcome=outcome,
        text=given.get("text", "").strip(),
        before=position_of(given.get("before", ""), Position, "before"),
    )


def _duration(text: str) -> int:
    try:
        return parse_duration(text) if text else 0
    except ValueError:
        raise QueryError(f"min_duration: invalid duration {text!r}: use 500ms, 90s or 1h30m") from None


def _kept(given: QueryParams) -> dict[str, str]:
    return {name: text for name, text in given.items() if text and name != "before"}


def _point(found: TraceItem) -> dict[str, Any]:
    """A trace as the scatter plot needs it."""
    what = f"{found.reason} {found.kind} {found.name}".strip()
    return {
        "id": found.trace_id,
        "start": found.start_time,
        "ms": found.duration_ms,
        "outcome": found.outcome or ("open" if "open" in found.status else "ok"),
        "spans": found.spans,
        "what": what,
    }
