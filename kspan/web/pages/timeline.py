"""``/timeline``: what happened to which object when, as lanes over time and as a table."""

import time
from typing import Any, Final
from urllib.parse import urlencode

import msgspec
from sqlalchemy import Connection
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from kspan.errors import QueryError
from kspan.query import spans as reading
from kspan.query.answers import occurrence
from kspan.query.objects.names import parse_kind
from kspan.query.timeline import Position, TimelineFilter, TimelineLine, newest_time, page_of_timeline
from kspan.query.visible import Visible
from kspan.times import SECOND, format_time
from kspan.vocabulary import CONTAINER_NAME
from kspan.web.pages.asking import Frame, moment, position_of
from kspan.web.v1.cursors import to_cursor
from kspan.web.v1.problems import with_problems

HOUR: Final = 3_600 * SECOND
SHOWN: Final = 200
"""Occurrences of the table without a script."""

A_TIME: Final = 10_000
"""Occurrences that a script gets at a time."""

_FIELDS: Final = ("namespace", "node", "kind", "name", "errors", "since", "until")

_encode = msgspec.json.Encoder().encode


class Columns(msgspec.Struct):
    """Occurrences, column by column. Texts are numbers of ``texts``.

    Args:
        texts: each text once.
        object: kind, namespace and name of an object, as numbers of texts.
        lane: number of the object in ``object``.
        start, end: milliseconds since 1970.
        reason, who, what: texts. ``what`` is the change or message.
        flag: 1: an error, 2: a change, 0: anything else.
        times: number of times it happened.
        trace, span: ids.
        parent: number of the cause among these occurrences, or its span id if it is not one of them; -1: none.
        next: cursor of the next columns; null if these are the last ones.
    """

    texts: list[str]
    object: list[tuple[int, int, int, str]]
    lane: list[int]
    start: list[float]
    end: list[float]
    reason: list[int]
    who: list[int]
    what: list[int]
    flag: list[int]
    times: list[int]
    trace: list[str]
    span: list[str]
    parent: list[int | str]
    next: str | None = None


def routes(frame: Frame) -> list[Route]:
    """Return the routes."""

    async def page(request: Request) -> Response:
        given = request.query_params

        def question(connection: Connection, cluster: str, seen: Visible) -> tuple[Any, ...]:
            wanted, note = _range(given, newest_time(connection, cluster, seen))
            after = position_of(given.get("cursor", ""), Position, "cursor")
            found, position = page_of_timeline(connection, cluster, wanted, SHOWN, after, seen)
            return wanted, note, found, position

        wanted, note, found, position = await frame.ask(question)
        kept = {name: given.get(name, "") for name in _FIELDS if given.get(name)}
        begun = {name: text for name, text in kept.items() if name != "until"}
        is_followed = given.get("follow") == "1"
        kept |= {"since": format_time(wanted.since), "until": format_time(wanted.until)}
        return frame.render(
            "timeline.html",
            here="Timeline",
            items=[occurrence.line(each) for each in found],
            more="?" + urlencode(kept | {"cursor": to_cursor(position) or ""}) if position else "",
            given={name: given.get(name, "") for name in _FIELDS},
            since=format_time(wanted.since),
            until=format_time(wanted.until),
            earlier="?" + urlencode(kept | _shifted(wanted, -1)),
            later="?" + urlencode(kept | _shifted(wanted, 1)),
            note=note,
            data="/timeline/rows.json?" + urlencode(kept),
            is_followed=is_followed,
            follow="?" + urlencode(begun | ({} if is_followed else {"follow": "1"})),
        )

    async def rows(request: Request) -> Response:
        given = request.query_params

        def question(connection: Connection, cluster: str, seen: Visible) -> bytes:
            wanted, _ = _range(given, 0)
            after = position_of(given.get("cursor", ""), Position, "cursor")
            found, position = page_of_timeline(connection, cluster, wanted, A_TIME, after, seen)
            return _encode(_columns(found, to_cursor(position)))

        return Response(await frame.ask(question), media_type="application/json")

    return [frame.route("/timeline", page), Route("/timeline/rows.json", with_problems(rows))]


def _range(given: QueryParams, newest: int) -> tuple[TimelineFilter, str]:
    """Return the filter that the query string asks for, and which hour it is if it names none."""
    kind = given.get("kind", "").strip()
    since, until = moment(given.get("since", ""), "since"), moment(given.get("until", ""), "until")
    note = ""
    if not since:
        now = time.time_ns()
        end = until or now + SECOND
        if not until and newest and newest < now - HOUR:
            end, note = newest + SECOND, "the newest hour in which something happened"
        since, until = max(end - HOUR, 1), end
    until = until or time.time_ns() + SECOND
    if until <= since:
        raise QueryError("until: not later than since")
    wanted = TimelineFilter(
        since=since,
        until=until,
        kind=parse_kind(kind) if kind else None,
        namespace=given.get("namespace", "").strip(),
        name=given.get("name", "").strip(),
        errors=bool(given.get("errors")),
        node=given.get("node", "").strip(),
    )
    return wanted, note


def _shifted(wanted: TimelineFilter, direction: int) -> dict[str, str]:
    length = wanted.until - wanted.since
    since = max(wanted.since + direction * length, 1)
    return {"since": format_time(since), "until": format_time(since + length)}


def _columns(found: list[TimelineLine], cursor: str | None) -> Columns:
    columns = Columns([], [], [], [], [], [], [], [], [], [], [], [], [], cursor)
    texts: dict[str, int] = {}
    lanes: dict[tuple[str, str, str, str], int] = {}

    def text(value: str) -> int:
        number = texts.setdefault(value, len(texts))
        if number == len(columns.texts):
            columns.texts.append(value)
        return number

    numbers = {(line.span.trace_id, line.span.span_id): number for number, line in enumerate(found)}
    for line in found:
        span = line.span
        key = (span.object_kind, span.object_namespace, span.object_name, span.object_uid)
        lane = lanes.setdefault(key, len(lanes))
        if lane == len(columns.object):
            columns.object.append((text(key[0]), text(key[1]), text(key[2]), key[3]))
        change, container = reading.summary_of(span), span.attributes.get(CONTAINER_NAME, "")
        columns.lane.append(lane)
        columns.start.append(line.time / 1_000_000)
        columns.end.append(max(span.end_time, line.time) / 1_000_000)
        columns.reason.append(text(f"{span.reason} {container}".strip()))
        columns.who.append(text(span.service))
        columns.what.append(text((change or span.message)[:300]))
        columns.flag.append(1 if span.error else 2 if change or span.reason in ("Create", "Update", "Delete") else 0)
        columns.times.append(reading.times(span))
        columns.trace.append(span.trace_id)
        columns.span.append(span.span_id)
        cause = (span.trace_id, span.parent_span_id)
        columns.parent.append(numbers.get(cause, span.parent_span_id) if span.parent_span_id else -1)
    return columns
