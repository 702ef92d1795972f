"""The state of a cluster: open traces, failures, rollouts and gaps of the last hour."""

from typing import Any, Final

import msgspec
from sqlalchemy import BigInteger, Boolean, Connection, Select, column, func, literal, select, table

from kspan.model import GapRow
from kspan.query import spans as reading
from kspan.query.rollouts import Rollout, RolloutFilter, list_rollouts
from kspan.query.timeline import newest_time
from kspan.query.traces import Status, TraceFilter, TraceSummary, list_traces
from kspan.query.view_rows import newest_gaps
from kspan.query.visible import EVERYTHING, Visible
from kspan.times import SECOND

HOUR: Final = 3_600 * SECOND

_SHOWN: Final = 12
_LOOKED_AT: Final = 500

_NAMES: Final = ("trace_id", "span_id", "at", "kind", "namespace", "object", "container", "reason", "message")
_CAUSES: Final = ("cause", "cause_object", "who", "change", "times")

failures: Final = table(
    "failures",
    *map(column, ("cluster", *_NAMES, *_CAUSES[:-1])),
    column("start_time", BigInteger),
    column("times", BigInteger),
    column("fatal", Boolean),
)


class FailureGroup(msgspec.Struct, frozen=True):
    """Failures of one kind: the same reason, kind of object and root cause.

    Args:
        trace_id, span_id, at, kind, namespace, object, container, reason, message, cause, cause_object, who, change:
            those of the newest one, as in the view ``failures``.
        times: how often it happened.
        objects: number of objects.
    """

    trace_id: str
    span_id: str
    at: str
    kind: str
    namespace: str
    object: str
    container: str
    reason: str
    message: str
    cause: str
    cause_object: str
    who: str
    change: str
    times: int
    objects: int


class Now(msgspec.Struct, frozen=True):
    """The state of a cluster.

    Args:
        newest: time of the newest occurrence (Unix ns; 0: nothing is recorded).
        since: what follows is not older (Unix ns). It is an hour before the question, or before the newest occurrence
            if nothing happened since.
        is_current: false if nothing happened in the last hour.
        open: open traces.
        failures: failures by reason and cause, the newest first.
        rollouts: rollouts, the newest first.
        gaps: intervals in which changes may have been missed, the newest first.
        more_failures: true if there are more than were looked at.
    """

    newest: int
    since: int
    is_current: bool
    open: list[TraceSummary]
    failures: list[FailureGroup]
    rollouts: list[Rollout]
    gaps: list[GapRow]
    more_failures: bool


def what_happens(connection: Connection, cluster: str, now: int, visible: Visible = EVERYTHING) -> Now:
    """Return what happens at ``now`` (Unix ns), as far as the asker may see it."""
    newest = newest_time(connection, cluster, visible)
    is_current = newest >= now - HOUR
    since = (now if is_current else newest) - HOUR
    groups, more = _failures(connection, cluster, since, visible)
    return Now(
        newest=newest,
        since=since,
        is_current=is_current,
        open=list_traces(connection, cluster, TraceFilter(status=Status.OPEN), _SHOWN, visible),
        failures=groups,
        rollouts=list_rollouts(connection, cluster, RolloutFilter(since=since), _SHOWN, visible),
        # A gap is about a resource in all namespaces.
        gaps=_gaps(connection, cluster, since) if visible.everything() else [],
        more_failures=more,
    )


def _failures(connection: Connection, cluster: str, since: int, visible: Visible) -> tuple[list[FailureGroup], bool]:
    here = failures.c
    query: Select[Any] = select(*(here[name] for name in (*_NAMES, *_CAUSES)), literal(1).label("objects"))
    query = query.where(here.cluster == cluster, here.start_time >= since).order_by(here.start_time.desc())
    if not visible.everything():
        # As an expression: the index of namespaces has all spans, that of failures has few.
        query = query.where(func.coalesce(here.namespace, "").in_(visible.namespaces(connection, cluster)))
    # By position, because making a mapping of each row takes longer than reading it.
    found = [FailureGroup(*row) for row in connection.execute(query.limit(_LOOKED_AT))]
    is_full = len(found) == _LOOKED_AT
    seen = set(visible.traces(connection, cluster, list(dict.fromkeys(each.trace_id for each in found))))
    found = [each for each in found if each.trace_id in seen]
    groups: dict[tuple[str, ...], FailureGroup] = {}
    objects: dict[tuple[str, ...], set[tuple[str, str]]] = {}
    for each in found:
        key = (each.kind, each.reason, each.cause, each.cause_object, each.change)
        objects.setdefault(key, set()).add((each.namespace, each.object))
        newest = groups.get(key, each)
        count = each.times if newest is each else newest.times + each.times
        groups[key] = msgspec.structs.replace(newest, times=count, objects=len(objects[key]))
    shown = [_with_cause(connection, cluster, group) for group in list(groups.values())[:_SHOWN]]
    return shown, is_full or len(groups) > _SHOWN


def _with_cause(connection: Connection, cluster: str, group: FailureGroup) -> FailureGroup:
    """Return a group with its root cause so far: the view leaves it open while the trace is."""
    if group.cause:
        return group
    line = reading.ancestors(connection, cluster, group.trace_id, group.span_id)
    if not line or (line[-1].span_id == group.span_id):
        return group
    root, change = line[-1], reading.summary_of(line[-1])
    return msgspec.structs.replace(
        group, cause=root.name, cause_object=root.object_name, who=root.service, change=change
    )


def _gaps(connection: Connection, cluster: str, since: int) -> list[GapRow]:
    return [gap for gap in newest_gaps(connection, cluster, _SHOWN) if gap.recorded_at >= since]
