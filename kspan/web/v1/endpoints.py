"""The endpoints of ``/v1``: one table, from which the routes and the document are made."""

from collections.abc import Callable
from typing import Any, Final

import msgspec
from msgspec.structs import replace
from sqlalchemy import Connection

from kspan import __version__
from kspan.errors import QueryError
from kspan.model import TraceState
from kspan.query.answers import occurrence, trace
from kspan.query.answers import why as why_answers
from kspan.query.answers.objects import (
    ClusterAnswer,
    GapAnswer,
    ObjectAnswer,
    StatsAnswer,
    gap,
    object_answer,
    stats_answer,
)
from kspan.query.answers.occurrence import LineAnswer
from kspan.query.answers.trace import TraceAnswer, TraceItem
from kspan.query.answers.why import WhyAnswer
from kspan.query.fleet.listing import list_clusters
from kspan.query.objects import listing
from kspan.query.objects.compare import DiffAnswer, VersionAnswer, compare, diff_answer, version_answer
from kspan.query.objects.listing import ObjectFilter, list_objects, object_with_uid
from kspan.query.objects.manifest import decode, readable
from kspan.query.objects.names import ObjectName, parse_kind
from kspan.query.objects.status import state_of
from kspan.query.objects.versions import version_at
from kspan.query.rollouts import Rollout
from kspan.query.timeline import Position as TimelinePosition
from kspan.query.timeline import TimelineFilter, page_of_timeline
from kspan.query.traces import Position as TracePosition
from kspan.query.traces import Status, TraceFilter, page_of_traces, whole_trace
from kspan.query.view_rows import Failure, RowFilter, Termination, newest_gaps, page_of_rows
from kspan.query.view_rows import Position as RowPosition
from kspan.query.visible import Visible
from kspan.query.waterfall.head import visible_trace
from kspan.query.why import why
from kspan.store.tables import stats
from kspan.web.access.asker import asked_cluster
from kspan.web.v1 import parameters as p
from kspan.web.v1.cursors import from_cursor, to_cursor
from kspan.web.v1.parameters import Given, Parameter
from kspan.web.v1.problems import BadRequestError
from kspan.web.v1.tags import tag_of
from kspan.web.v1.wire import Page

Question = Callable[[Connection, str, Visible, Given], Any]


class Endpoint(msgspec.Struct, frozen=True):
    """An endpoint.

    Args:
        path: the path, with the names of its parts in braces.
        about: what it answers, in one sentence.
        parameters: its parameters.
        answer: the type of the answer.
        ask: returns the answer: connection, uid of the cluster, what the asker may see, parameters. It raises
            QueryError for what does not exist, and BadRequestError.
        is_final: returns True for an answer that will never change.
        tag: returns what stands for an answer that will never change, without making the answer; empty if that is not
            known before. Its arguments are those of ``ask``.
        whole: true if it is only for askers who may see everything.
        of_all: true if it is about all clusters.
    """

    path: str
    about: str
    parameters: tuple[Parameter, ...]
    answer: Any
    ask: Question
    is_final: Callable[[Any], bool] = lambda _: False
    tag: Callable[[Connection, str, Visible, Given], str] = lambda *_: ""
    whole: bool = False
    of_all: bool = False


def _traces(connection: Connection, cluster: str, visible: Visible, given: Given) -> Page[TraceItem]:
    status, cursor = given.text("status"), given.text("cursor")
    wanted = TraceFilter(
        since=given.moment("since"),
        until=given.moment("until"),
        kind=given.kind(),
        namespace=given.text("namespace"),
        name=given.text("name"),
        actor=given.text("actor"),
        status=Status(status) if status else None,
        min_duration=given.duration("min_duration"),
        outcome=given.text("outcome"),
        text=given.text("text"),
        before=from_cursor(cursor, TracePosition) if cursor else None,
    )
    found = page_of_traces(connection, cluster, wanted, given.limit(), visible)
    return Page([trace.item(each) for each in found.traces], to_cursor(found.next))


def _trace(connection: Connection, cluster: str, visible: Visible, given: Given) -> TraceAnswer:
    row = visible_trace(connection, cluster, visible, given.text("trace_id"))
    found, spans = whole_trace(connection, cluster, row)
    return trace.whole(found, visible.spans(connection, cluster, spans))


def _trace_tag(connection: Connection, cluster: str, visible: Visible, given: Given) -> str:
    if not visible.everything():
        # Links to other traces are in the answer only if the asker may see these.
        return ""
    row = visible_trace(connection, cluster, visible, given.text("trace_id"))
    # The whole row, because a rebuild by another version can make another trace of the same id.
    return tag_of(msgspec.msgpack.encode((__version__, row))) if row.state is TraceState.CLOSED else ""


def _why(connection: Connection, cluster: str, visible: Visible, given: Given) -> WhyAnswer:
    wanted = _object(given)
    found = why(connection, cluster, wanted, at=given.moment("at"), uid=given.text("uid"), visible=visible)
    return why_answers.why(found, rows=given.flag("rows"), show=lambda spans: visible.spans(connection, cluster, spans))


def _timeline(connection: Connection, cluster: str, visible: Visible, given: Given) -> Page[LineAnswer]:
    cursor = given.text("cursor")
    wanted = TimelineFilter(
        since=given.moment("since"),
        until=given.moment("until"),
        kind=given.kind(),
        namespace=given.text("namespace"),
        name=given.text("name"),
        errors=given.flag("errors"),
        node=given.text("node"),
    )
    after = from_cursor(cursor, TimelinePosition) if cursor else None
    found, position = page_of_timeline(connection, cluster, wanted, given.limit(), after, visible)
    return Page([occurrence.line(each) for each in found], to_cursor(position))


def _objects(connection: Connection, cluster: str, visible: Visible, given: Given) -> Page[ObjectAnswer]:
    cursor = given.text("cursor")
    wanted = ObjectFilter(
        kind=given.kind(),
        namespace=given.text("namespace"),
        prefix=given.text("name"),
        deleted=given.flag("deleted"),
        after=from_cursor(cursor, listing.Position) if cursor else None,
    )
    found, position = list_objects(connection, cluster, wanted, given.limit(), visible)
    return Page([object_answer(row) for row in found], to_cursor(position))


def _one_object(connection: Connection, cluster: str, visible: Visible, given: Given) -> ObjectAnswer:
    uid = given.text("uid")
    found = object_with_uid(connection, cluster, uid, visible)
    if found is None:
        raise QueryError(f"no object has uid {uid[:64]!r}")
    return object_answer(found, state_of(connection, cluster, found))


def _show(connection: Connection, cluster: str, visible: Visible, given: Given) -> dict[str, Any]:
    at, uid = given.moment("at"), given.text("uid")
    version = version_at(connection, cluster, _object(given), at=at, uid=uid, visible=visible)
    return readable(decode(version.record.payload), managed_fields=given.flag("managed_fields"))


def _diff(connection: Connection, cluster: str, visible: Visible, given: Given) -> DiffAnswer:
    first, last = given.moment("from"), given.moment("to")
    if first and last and first > last:
        raise BadRequestError("from is later than to: exchange them")
    return diff_answer(
        compare(
            connection,
            cluster,
            _object(given),
            first=first,
            last=last,
            uid=given.text("uid"),
            status=given.flag("status"),
            visible=visible,
        ),
        manifests=given.flag("manifests"),
    )


def _version(connection: Connection, cluster: str, visible: Visible, given: Given) -> VersionAnswer:
    at, uid = given.moment("at"), given.text("uid")
    version = version_at(connection, cluster, _object(given), at=at, uid=uid, visible=visible)
    return version_answer(version, managed_fields=given.flag("managed_fields"))


def _rows(kind: Any) -> Question:
    def ask(connection: Connection, cluster: str, visible: Visible, given: Given) -> Page[Any]:
        cursor = given.text("cursor")
        wanted = RowFilter(
            given.moment("since"),
            given.moment("until"),
            given.text("namespace"),
            from_cursor(cursor, RowPosition) if cursor else None,
        )
        found, position = page_of_rows(connection, cluster, kind, wanted, given.limit(), visible)
        return Page(found, to_cursor(position))

    return ask


def _gaps(connection: Connection, cluster: str, _visible: Visible, given: Given) -> Page[GapAnswer]:
    cursor = given.text("cursor")
    before = from_cursor(cursor, tuple[int])[0] if cursor else 0
    since, until = given.moment("since"), given.moment("until")
    found = newest_gaps(connection, cluster, given.limit() + 1, before, since=since, until=until)
    more = len(found) > given.limit()
    shown = found[: given.limit()]
    return Page([gap(row) for row in shown], to_cursor((shown[-1].seq,)) if more else None)


def _stats(connection: Connection, cluster: str, _visible: Visible, _given: Given) -> StatsAnswer:
    return stats_answer(stats.of_cluster(connection, cluster, stats.database_size(connection, None)))


def _clusters(connection: Connection, cluster: str, _visible: Visible, given: Given) -> Page[ClusterAnswer]:
    cursor = given.text("cursor")
    after = from_cursor(cursor, tuple[str])[0] if cursor else ""
    offered = [each.uid for each in asked_cluster().offered] or [cluster]
    uids = [uid for uid in sorted(offered) if uid > after]
    shown = uids[: given.limit()]
    return Page(list_clusters(connection, shown), to_cursor((shown[-1],)) if len(uids) > len(shown) else None)


def _object(given: Given) -> ObjectName:
    return ObjectName(parse_kind(given.text("kind")), given.text("namespace"), given.text("name"))


_RANGE: Final = (p.SINCE, p.UNTIL)
_LIST: Final = (p.limit(1_000), p.CURSOR)


def _of_object(path: str, about: str, more: tuple[Parameter, ...], answer: Any, ask: Question) -> list[Endpoint]:
    """Return an endpoint about an object with and without its namespace."""
    return [
        Endpoint(f"{path}/{{kind}}/{{name}}", f"{about} of the only object of this name.",
                 (p.KIND_OF, p.NAME_OF, *more), answer, ask),
        Endpoint(f"{path}/{{kind}}/{{namespace}}/{{name}}", f"{about} of an object.",
                 (p.KIND_OF, p.NAMESPACE_OF, p.NAME_OF, *more), answer, ask),
    ]  # fmt: skip


_ENDPOINTS: Final = (
    Endpoint(
        "/v1/clusters",
        "The clusters that can be asked about, by uid.",
        _LIST,
        Page[ClusterAnswer],
        _clusters,
        of_all=True,
    ),
    Endpoint(
        "/v1/traces",
        "Traces, newest first.",
        (*_RANGE, p.NAMESPACE, p.KIND, p.NAME, p.ACTOR, p.STATUS, p.OUTCOME, p.TEXT, p.MIN_DURATION, *_LIST),
        Page[TraceItem],
        _traces,
    ),
    Endpoint(
        "/v1/traces/{trace_id}",
        "A trace and its spans.",
        (p.TRACE_ID,),
        TraceAnswer,
        _trace,
        is_final=lambda answer: answer.trace.state is TraceState.CLOSED,
        tag=_trace_tag,
    ),
    *_of_object("/v1/why", "What caused the latest occurrence", (p.AT, p.UID, p.ROWS), WhyAnswer, _why),
    Endpoint(
        "/v1/timeline",
        "Occurrences, oldest first.",
        (*_RANGE, p.NAMESPACE, p.KIND, p.NAME, p.NODE, p.ERRORS, p.limit(10_000), p.CURSOR),
        Page[LineAnswer],
        _timeline,
    ),
    Endpoint(
        "/v1/objects",
        "Objects, by kind, namespace and name.",
        (p.NAMESPACE, p.KIND, p.PREFIX, p.DELETED, *_LIST),
        Page[ObjectAnswer],
        _objects,
    ),
    Endpoint("/v1/objects/{uid}", "An object, and its state in words.", (p.UID_OF,), ObjectAnswer, _one_object),
    *_of_object("/v1/show", "The manifest", (p.AT, p.UID, p.MANAGED_FIELDS), dict[str, Any], _show),
    *_of_object(
        "/v1/diff",
        "The difference of two versions",
        (p.FROM, p.TO, p.UID, p.SHOW_STATUS, p.MANIFESTS),
        DiffAnswer,
        _diff,
    ),
    *_of_object("/v1/versions", "A version", (p.AT, p.UID, p.MANAGED_FIELDS), VersionAnswer, _version),
    Endpoint("/v1/rollouts", "Rollouts, newest first.", (*_RANGE, p.NAMESPACE, *_LIST), Page[Rollout], _rows(Rollout)),
    Endpoint("/v1/failures", "Failures, newest first.", (*_RANGE, p.NAMESPACE, *_LIST), Page[Failure], _rows(Failure)),
    Endpoint(
        "/v1/terminations",
        "Ends of containers, newest first.",
        (*_RANGE, p.NAMESPACE, *_LIST),
        Page[Termination],
        _rows(Termination),
    ),
    Endpoint(
        "/v1/gaps",
        "Intervals in which changes may have been missed, newest first.",
        (*_RANGE, *_LIST),
        Page[GapAnswer],
        _gaps,
        whole=True,
    ),
    Endpoint("/v1/stats", "Numbers of records, rows and traces.", (), StatsAnswer, _stats, whole=True),
)

ENDPOINTS: Final = tuple(
    each if each.of_all else replace(each, parameters=(*each.parameters, p.CLUSTER)) for each in _ENDPOINTS
)
