"""``/objects``: finds objects, and shows the life of one."""

import time
from typing import Any, Final
from urllib.parse import urlencode

from msgspec.structs import replace
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from kspan.errors import QueryError
from kspan.model import ObjectRow
from kspan.query import spans as reading
from kspan.query.answers import occurrence
from kspan.query.answers.objects import object_answer
from kspan.query.answers.trace import item
from kspan.query.objects.family import SHOWN as IN_THE_CHART
from kspan.query.objects.family import Relative
from kspan.query.objects.find import find
from kspan.query.objects.life import Revision, life_of
from kspan.query.objects.listing import ObjectFilter, list_objects, object_with_uid
from kspan.query.objects.manifest import comparable, decode, readable, side_by_side, to_yaml
from kspan.query.objects.names import ObjectName, parse_kind
from kspan.query.objects.occurrences import Position
from kspan.query.objects.status import Tone, describe, tone_of
from kspan.query.objects.versions import version_numbered
from kspan.query.timeline import newest_time
from kspan.query.traces import TraceFilter, page_of_traces
from kspan.query.visible import Visible
from kspan.times import format_time
from kspan.web.pages.asking import Frame, moment, position_of
from kspan.web.pages.drawing.family_chart import narrow_chart, wide_chart
from kspan.web.pages.drawing.life_bars import draw
from kspan.web.pages.html import object_url
from kspan.web.v1.cursors import to_cursor

SHOWN: Final = 100
TRACES: Final = 10


def routes(frame: Frame) -> list[Route]:
    """Return the routes."""

    async def listing(request: Request) -> Response:
        given = request.query_params
        wanted = _filter(dict(given))
        found, position = await frame.ask(lambda c, cluster, seen: list_objects(c, cluster, wanted, SHOWN, seen))
        kept = {name: text for name, text in given.items() if text and name != "cursor"}
        return frame.render(
            "objects.html",
            here="Objects",
            items=[object_answer(row) for row in found],
            more="?" + urlencode(kept | {"cursor": to_cursor(position) or ""}) if position else "",
            given={name: given.get(name, "") for name in ("kind", "namespace", "name", "deleted")},
        )

    async def named(request: Request) -> Response:
        given = request.path_params
        wanted = ObjectName(parse_kind(given["kind"]), given.get("namespace", ""), given["name"])
        found = await frame.ask(lambda c, cluster, seen: find(c, cluster, wanted, visible=seen))
        return RedirectResponse(object_url(found.object.uid), 303)

    async def page(request: Request) -> Response:
        given = request.query_params
        uid, at = request.path_params["uid"], moment(given.get("at", ""), "at")
        before = position_of(given.get("before", ""), Position, "before")
        values = await frame.ask(lambda c, cluster, seen: _values(c, cluster, uid, at, before, seen))
        then = {"at": format_time(at)} if at else {}
        older = "?" + urlencode(then | {"before": to_cursor(values["older"]) or ""}) if values["older"] else ""
        newest = "?" + urlencode(then) if before is not None else ""
        values |= {"at": format_time(at) if at else "", "older": older, "newest": newest}
        return frame.render("object.html", here="Objects", **values)

    async def compare(request: Request) -> Response:
        uid, chosen = request.path_params["uid"], request.query_params.getlist("version")
        if len(chosen) != 2:
            said = f"{len(chosen)} are chosen: mark two versions of one object."
            return frame.problem(400, "Choose two versions", said)
        values = await frame.ask(lambda c, cluster, seen: _compared(c, cluster, uid, chosen, seen))
        return frame.render("object_compare.html", here="Objects", **values)

    return [
        frame.route("/objects", listing),
        frame.route("/versions/{uid}", compare),
        frame.route("/objects/{uid}", page),
        frame.route("/objects/{kind}/{name}", named),
        frame.route("/objects/{kind}/{namespace}/{name}", named),
    ]


def _filter(given: dict[str, str]) -> ObjectFilter:
    """Return the filter that the query string asks for. ``name`` may be KIND/NAME."""
    kind, name, cursor = given.get("kind", "").strip(), given.get("name", "").strip(), given.get("cursor", "")
    if "/" in name and not kind:
        kind, _, name = name.rpartition("/")
    return ObjectFilter(
        kind=parse_kind(kind) if kind else None,
        namespace=given.get("namespace", "").strip(),
        prefix=name,
        deleted=bool(given.get("deleted")),
        after=position_of(cursor, tuple[str, str, str, str], "cursor"),
    )


def _values(
    connection: Connection, cluster: str, uid: str, at: int, before: Position | None, visible: Visible
) -> dict[str, Any]:
    here = object_with_uid(connection, cluster, uid, visible)
    if here is None:
        raise QueryError(f"no object has uid {uid[:64]!r}")
    if at and here.deleted_at > at:
        here = replace(here, deleted_at=0)
    life = life_of(connection, cluster, here, at=at, before=before, visible=visible)
    wanted = TraceFilter(kind=parse_kind(here.kind), namespace=here.namespace, name=here.name, until=at)
    traces = page_of_traces(connection, cluster, wanted, TRACES, visible).traces
    now = min(at or time.time_ns(), max(newest_time(connection, cluster, visible), here.seen_at))
    payload = life.revisions[0].version.record.payload if life.revisions else None
    state = describe(here.kind, payload) if payload is not None else ""
    tone = tone_of(here.kind, payload) if payload is not None else Tone.NONE
    itself = Relative(here.uid, here.kind, here.namespace, here.name, True, here.deleted_at, state, tone)
    return {
        "object": object_answer(here, state),
        "life": life,
        "drawing": draw(life, now),
        "charts": [("wide", wide_chart(life.family, itself)), ("narrow", narrow_chart(life.family, itself))],
        "has_family": bool(life.family.owners or life.family.dependents or not life.family.complete),
        "in_the_chart": IN_THE_CHART,
        "revisions": [_revision(each) for each in life.revisions],
        "occurrences": [occurrence.occurrence(span) for span in life.listed],
        "older": life.older,
        "namesakes": [object_answer(row) for row in life.namesakes],
        "traces": [item(each) for each in traces],
        "manifest": to_yaml(readable(decode(payload))).splitlines() if payload is not None else [],
        "mentioned": _only_mentioned(here),
    }


def _compared(connection: Connection, cluster: str, uid: str, chosen: list[str], visible: Visible) -> dict[str, Any]:
    here = object_with_uid(connection, cluster, uid, visible)
    if here is None:
        raise QueryError(f"no object has uid {uid[:64]!r}")
    name = ObjectName(parse_kind(here.kind), here.namespace, here.name)
    versions = []
    for number in chosen:
        version = version_numbered(connection, cluster, name, number, uid=here.uid, visible=visible)
        if version is None:
            raise QueryError(f"the journal has no version {number[:64]!r} of this object")
        versions.append(version)
    versions.sort(key=lambda version: version.sequence)
    before, after = (comparable(decode(version.record.payload), status=True) for version in versions)
    return {
        "object": object_answer(here),
        "versions": [(format_time(each.record.recorded_at), each.record.resource_version) for each in versions],
        "lines": side_by_side(before, after),
    }


def _revision(found: Revision) -> dict[str, Any]:
    record, change = found.version.record, found.change
    return {
        "at": format_time(record.recorded_at),
        "version": record.resource_version,
        "verb": str(record.type).lower(),
        "lines": found.lines,
        "who": found.author,
        "summary": reading.summary_of(change) if change is not None else "",
        "trace_id": change.trace_id if change is not None else "",
        "span_id": change.span_id if change is not None else "",
    }


def _only_mentioned(here: ObjectRow) -> bool:
    """True for an object that kspan knows only because others name it."""
    return not here.resource_version
