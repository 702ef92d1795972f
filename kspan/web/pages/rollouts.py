"""``/rollouts``: rollouts by workload, and two of them side by side."""

from itertools import groupby
from typing import Any, Final

import msgspec
from sqlalchemy import Connection
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from kspan import vocabulary
from kspan.query import spans as reading
from kspan.query.explain.effects import Effect, effects_in
from kspan.query.objects.manifest import comparable, decode, unified_diff
from kspan.query.objects.names import ObjectName, parse_kind
from kspan.query.objects.versions import version_numbered
from kspan.query.rollouts import Rollout, RolloutFilter, list_rollouts, one_rollout
from kspan.query.timeline import newest_time
from kspan.query.visible import Visible
from kspan.times import SECOND, format_time
from kspan.web.pages.asking import Frame, moment

SHOWN: Final = 200
DAY: Final = 86_400 * SECOND

_FIELDS: Final = ("namespace", "kind", "name")


class Side(msgspec.Struct, frozen=True):
    """One of two rollouts that are compared."""

    rollout: Rollout
    effects: list[Effect]
    manifest: dict[str, Any] | None


def routes(frame: Frame) -> list[Route]:
    """Return the routes."""

    async def page(request: Request) -> Response:
        given = request.query_params

        def question(connection: Connection, cluster: str, visible: Visible) -> tuple[list[Rollout], int]:
            wanted = _filter(given, newest_time(connection, cluster, visible))
            return list_rollouts(connection, cluster, wanted, SHOWN + 1, visible), wanted.since

        found, since = await frame.ask(question)
        return frame.render(
            "rollouts.html",
            here="Rollouts",
            workloads=_by_workload(found[:SHOWN]),
            since=format_time(since) if since else "",
            more=len(found) > SHOWN,
            given={name: given.get(name, "") for name in ("since", *_FIELDS)},
        )

    async def compare(request: Request) -> Response:
        chosen = request.query_params.getlist("rollout")
        if len(chosen) != 2:
            return frame.problem(400, "Choose two rollouts", f"{len(chosen)} are chosen: mark two of one workload.")
        sides, lines = await frame.ask(lambda c, cluster, seen: _compared(c, cluster, seen, chosen))
        return frame.render("rollouts_compare.html", here="Rollouts", sides=sides, lines=lines)

    return [frame.route("/rollouts", page), frame.route("/rollouts/compare", compare)]


def _filter(given: QueryParams, newest: int) -> RolloutFilter:
    """Without a time: the day before the newest occurrence, or everything if one workload is asked for."""
    kind, name, since = (given.get(field, "").strip() for field in ("kind", "name", "since"))
    default = 0 if name else max(newest - DAY, 0)
    return RolloutFilter(
        since=moment(since, "since") if since else default,
        kind=parse_kind(kind) if kind else None,
        namespace=given.get("namespace", "").strip(),
        name=name,
    )


def _by_workload(found: list[Rollout]) -> list[tuple[Rollout, list[Rollout]]]:
    """Group rollouts by workload: that with the newest rollout first. Each group comes with its newest one."""
    order: dict[str, int] = {}
    for each in found:
        order.setdefault(each.uid, len(order))
    grouped = groupby(sorted(found, key=lambda each: order[each.uid]), key=lambda each: each.uid)
    return [(group[0], group) for _, members in grouped if (group := list(members))]


def _compared(
    connection: Connection, cluster: str, visible: Visible, chosen: list[str]
) -> tuple[list[Side], list[str] | None]:
    """Return two rollouts, the earlier one first, and how their manifests differ (None: unknown)."""
    sides = sorted(
        (_side(connection, cluster, visible, each) for each in chosen), key=lambda side: side.rollout.start_time
    )
    before, after = (side.manifest for side in sides)
    if before is None or after is None:
        return sides, None
    first, last = (f"{side.rollout.kind}/{side.rollout.name} {side.rollout.at[:19]}Z" for side in sides)
    return sides, unified_diff(before, after, (first, last))


def _side(connection: Connection, cluster: str, visible: Visible, chosen: str) -> Side:
    trace_id, _, span_id = chosen.partition(".")
    rollout = one_rollout(connection, cluster, trace_id, span_id, visible)
    span = reading.one(connection, cluster, trace_id, span_id)
    number = span.attributes.get(vocabulary.OBJECT_RESOURCE_VERSION, "") if span is not None else ""
    name = ObjectName(parse_kind(rollout.kind), rollout.namespace, rollout.name)
    version = (
        version_numbered(connection, cluster, name, str(number), uid=rollout.uid, visible=visible) if number else None
    )
    manifest = comparable(decode(version.record.payload)) if version is not None else None
    return Side(rollout, effects_in(connection, cluster, trace_id, []), manifest)
