"""Rows of the views ``failures``, ``terminations`` and ``rollouts``, and gaps: newest first, in pages."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final, TypeVar

import msgspec
from sqlalchemy import BigInteger, Boolean, ColumnElement, Connection, column, or_, select, table, tuple_
from sqlalchemy.sql.base import ReadOnlyColumnCollection

from kspan.model import GapRow, ObjectRow
from kspan.query.rollouts import Rollout, with_pods, without_pods
from kspan.query.spans import older_edge
from kspan.query.visible import EVERYTHING, Visible
from kspan.store.schema import tables
from kspan.store.schema.views import VIEWS
from kspan.store.tables import rows
from kspan.times import LATEST

LOOKED_AT: Final = 20_000
"""Spans among which a page looks for its rows. Few are ends of containers, or failures in a namespace: without a limit,
a page could read them all."""

_PAGE: Final = 1_000

Position = tuple[int, str, str]
"""Start (Unix ns), trace id and span id: the place of a row in the order of lists."""


class Failure(msgspec.Struct, frozen=True):
    """A row of the view ``failures``. Its columns are described there (``kspan sql --schema failures``)."""

    trace_id: str
    span_id: str
    at: str
    start_time: int
    kind: str
    namespace: str
    object: str
    node: str | None
    reason: str
    times: int
    actor: str
    message: str
    cause: str
    cause_object: str
    cause_span: str
    who: str
    change: str
    after_seconds: float | None
    fatal: bool
    container: str | None
    exit_code: int | None
    restart: int | None


class Termination(msgspec.Struct, frozen=True):
    """A row of the view ``terminations``. Its columns are described there (``kspan sql --schema terminations``)."""

    trace_id: str
    span_id: str
    at: str
    start_time: int
    namespace: str
    pod: str
    uid: str
    node: str
    container: str
    restart: int | None
    reason: str
    exit_code: int | None
    signal: int | None
    message: str
    ran_seconds: float | None
    missed: int | None
    error: bool
    cause: str
    cause_message: str


Row = TypeVar("Row", Failure, Termination, Rollout)

_TERMINATED: Final = "Pod.ContainerTerminated"
"""Name of the spans in the view ``terminations``."""

_OF_A_POD: Final = 5_000

_NAMES: Final[dict[type, str]] = {Failure: "failures", Termination: "terminations", Rollout: "rollouts"}
_TYPES: Final[dict[str, Any]] = {"BIGINT": BigInteger, "BOOLEAN": Boolean}

_Read = Callable[[ReadOnlyColumnCollection[str, Any]], list[ColumnElement[Any]]]
_Complete = Callable[[Connection, str, list[Any]], list[Any]]


def _whole(kind: type[msgspec.Struct]) -> tuple[_Read, _Complete]:
    return lambda here: [here[name] for name in kind.__struct_fields__], lambda _connection, _cluster, found: found


_READING: Final[dict[type, tuple[_Read, _Complete]]] = {
    Failure: _whole(Failure),
    Termination: _whole(Termination),
    Rollout: (without_pods, with_pods),
}
"""The columns that are read from the view, and what completes the rows."""


class RowFilter(msgspec.Struct, frozen=True):
    """Selects rows of a view that began at or after ``since`` and before ``until`` (Unix ns; 0: unbounded).

    ``before`` continues a list: only rows that are older than this position.
    """

    since: int = 0
    until: int = 0
    namespace: str = ""
    before: Position | None = None


def page_of_rows(
    connection: Connection,
    cluster: str,
    kind: type[Row],
    wanted: RowFilter,
    limit: int,
    visible: Visible = EVERYTHING,
) -> tuple[list[Row], Position | None]:
    """Return rows of the view of ``kind`` that the asker may see, newest first, and where the list goes on.

    There can be fewer rows than ``limit``, even none, although the list goes on: only the newest ``LOOKED_AT`` spans
    before the position are looked at.
    """
    view = next(each for each in VIEWS if each.name == _NAMES[kind])
    types = {name: _TYPES.get(sql_type) for name, sql_type, _ in view.columns}
    here = table(view.name, *(column(name, types[name]) for name in types)).c
    newest = wanted.before[0] if wanted.before is not None else wanted.until
    edge = older_edge(connection, cluster, newest, LOOKED_AT, wanted.namespace)
    edge = edge if edge > wanted.since else 0
    # One bound: of several, SQLite uses the first for the index, and filters by the others.
    conditions: list[ColumnElement[bool]] = [here.cluster == cluster, here.start_time >= max(edge, wanted.since, 1)]
    conditions += [here.namespace == wanted.namespace] if wanted.namespace else []
    if not visible.everything():
        conditions.append(here.namespace.in_(visible.namespaces(connection, cluster)))
    if wanted.before is None:
        conditions += [here.start_time < wanted.until] if wanted.until else []
    else:
        # Also the start alone, for which SQLite can use the index.
        start, trace_id, span_id = wanted.before
        earlier = tuple_(here.trace_id, here.span_id) < tuple_(trace_id, span_id)
        until = min(start, wanted.until - 1) if wanted.until else start
        conditions += [here.start_time <= until, or_(here.start_time < start, earlier)]
    read, complete = _READING[kind]
    query = select(*read(here)).where(*conditions)
    query = query.order_by(here.start_time.desc(), here.trace_id.desc(), here.span_id.desc())
    found = [kind(*map(_plain, row)) for row in connection.execute(query.limit(limit + 1))]
    last = found[limit - 1] if len(found) > limit else None
    found = found[:limit]
    seen = set(visible.traces(connection, cluster, list(dict.fromkeys(each.trace_id for each in found))))
    position = (last.start_time, last.trace_id, last.span_id) if last is not None else None
    if position is None and edge:
        position = (edge, "", "")
    return complete(connection, cluster, [each for each in found if each.trace_id in seen]), position


def list_rows(connection: Connection, cluster: str, kind: type[Row], wanted: RowFilter, limit: int | None) -> list[Row]:
    """Return rows of the view of ``kind``, newest first, at most ``limit`` (None: all)."""
    found: list[Row] = []
    while True:
        size = _PAGE if limit is None else min(limit - len(found), _PAGE)
        page, position = page_of_rows(connection, cluster, kind, wanted, size)
        found += page
        if position is None or (limit is not None and len(found) >= limit):
            return found
        wanted = msgspec.structs.replace(wanted, before=position)


def terminations_of(
    connection: Connection,
    cluster: str,
    pod: ObjectRow,
    visible: Visible = EVERYTHING,
    until: int = LATEST,
    limit: int = 50,
) -> list[Termination]:
    """Return the newest ends of the containers of a Pod until a time (Unix ns) that the asker may see, newest first.

    Only the newest ``_OF_A_POD`` spans of Pods with its name are looked at.
    """
    # Found by object first: the view alone would look at all spans of the namespace.
    mine = (
        tables.spans.c.cluster == cluster,
        tables.spans.c.object_kind == pod.kind,
        tables.spans.c.object_namespace == pod.namespace,
        tables.spans.c.object_name == pod.name,
        tables.spans.c.start_time <= until,
    )
    newest_first = tables.spans.c.start_time.desc()
    starts = select(tables.spans.c.start_time).where(*mine).order_by(newest_first)
    edge = connection.execute(starts.offset(_OF_A_POD).limit(1)).scalar() or 0
    ended = select(tables.spans.c.trace_id, tables.spans.c.span_id).where(
        *mine,
        tables.spans.c.start_time >= edge,
        tables.spans.c.object_uid == pod.uid,
        tables.spans.c.name == _TERMINATED,
    )
    keys = connection.execute(ended.order_by(newest_first).limit(limit)).all()
    names = ("cluster", *(name for name in Termination.__struct_fields__ if name not in ("start_time", "error")))
    here = table("terminations", *map(column, names), column("start_time", BigInteger), column("error", Boolean)).c
    query = select(*(here[name] for name in Termination.__struct_fields__)).where(
        here.cluster == cluster,
        here.trace_id.in_(sorted({key.trace_id for key in keys})),
        here.span_id.in_(sorted({key.span_id for key in keys})),
    )
    found = [Termination(*map(_plain, row)) for row in connection.execute(query)]
    found.sort(key=lambda row: row.start_time, reverse=True)
    seen = set(visible.traces(connection, cluster, list(dict.fromkeys(each.trace_id for each in found))))
    return [each for each in found if each.trace_id in seen]


def newest_gaps(
    connection: Connection, cluster: str, limit: int, before: int = 0, *, since: int = 0, until: int = 0
) -> list[GapRow]:
    """Return gaps that were recorded at or after ``since`` and before ``until`` (Unix ns; 0: unbounded), newest first.

    ``before`` continues a list: the ``seq`` of its last gap (0: from the newest).
    """
    query = rows.select_rows(tables.gaps, GapRow).where(tables.gaps.c.cluster == cluster)
    query = query.where(tables.gaps.c.seq < before) if before else query
    query = query.where(tables.gaps.c.recorded_at >= since) if since else query
    query = query.where(tables.gaps.c.recorded_at < until) if until else query
    return rows.fetch(connection, query.order_by(tables.gaps.c.seq.desc()).limit(limit), GapRow)


def _plain(value: Any) -> Any:
    return float(value) if isinstance(value, Decimal) else value
