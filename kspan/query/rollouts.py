"""Rollouts of workloads, newest first: the view ``rollouts`` within a range of time."""

from decimal import Decimal
from typing import Any, Final

import msgspec
from sqlalchemy import BigInteger, ColumnElement, Connection, Select, column, select, table

from kspan.errors import QueryError
from kspan.query.objects.find import check_kind, kinds_meant
from kspan.query.objects.names import KindName
from kspan.store.schema import tables as schema

WORKLOADS: Final = ("DaemonSet", "Deployment", "StatefulSet")


class Rollout(msgspec.Struct, frozen=True):
    """A row of the view ``rollouts``. Its columns are described there (``kspan sql --schema rollouts``)."""

    trace_id: str
    span_id: str
    at: str
    start_time: int
    kind: str
    namespace: str
    name: str
    uid: str
    action: str
    changed_from: str
    changed_to: str
    change: str
    who: str
    manager: str
    ready_seconds: float | None
    seconds: float | None
    outcome: str
    message: str
    restarts: int


view: Final = table(
    "rollouts",
    *(column(name) for name in ("cluster", *Rollout.__struct_fields__) if name != "start_time"),
    column("start_time", BigInteger),
)


class RolloutFilter(msgspec.Struct, frozen=True):
    """Selects rollouts that began at or after ``since`` and before ``until`` (Unix ns; 0: unbounded)."""

    since: int = 0
    until: int = 0
    kind: KindName | None = None
    namespace: str = ""
    name: str = ""


def list_rollouts(connection: Connection, cluster: str, wanted: RolloutFilter, limit: int) -> list[Rollout]:
    """Return rollouts, newest first. Raises QueryError for an unknown kind.

    All occurrences since ``wanted.since`` are looked at, or all of the workloads of a name.
    """
    kinds = list(WORKLOADS)
    if wanted.kind:
        check_kind(connection, cluster, wanted.kind)
        kinds = [kind for kind in kinds_meant(connection, cluster, wanted.kind) if kind in WORKLOADS]
    conditions: list[ColumnElement[bool]] = [view.c.cluster == cluster, view.c.kind.in_(kinds)]
    conditions += [view.c.start_time >= wanted.since] if wanted.since else []
    conditions += [view.c.start_time < wanted.until] if wanted.until else []
    conditions += [view.c.namespace == wanted.namespace] if wanted.namespace else []
    conditions += [view.c.name == wanted.name] if wanted.name else []
    return _read(connection, _columns().where(*conditions).order_by(view.c.start_time.desc()).limit(limit))


def one_rollout(connection: Connection, cluster: str, trace_id: str, span_id: str) -> Rollout:
    """Return a rollout by the ids of the span of its change. Raises QueryError if there is none."""
    here = (view.c.cluster == cluster, view.c.trace_id == trace_id, view.c.span_id == span_id)
    found = _read(connection, _columns().where(*here))
    if not found:
        raise QueryError(f"no rollout is span {span_id} of trace {trace_id}")
    return found[0]


def newest_time(connection: Connection, cluster: str) -> int:
    """Return the start of the newest occurrence (Unix ns; 0: there is none)."""
    spans = schema.spans
    query = select(spans.c.start_time).where(spans.c.cluster == cluster, spans.c.start_time > 0)
    return connection.execute(query.order_by(spans.c.start_time.desc()).limit(1)).scalar() or 0


def _columns() -> Select[Any]:
    return select(*(view.c[name] for name in Rollout.__struct_fields__))


def _read(connection: Connection, query: Select[Any]) -> list[Rollout]:
    return [Rollout(*map(_plain, row)) for row in connection.execute(query)]


def _plain(value: Any) -> Any:
    return float(value) if isinstance(value, Decimal) else value
