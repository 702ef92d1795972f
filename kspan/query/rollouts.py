"""Rollouts of workloads, newest first: the view ``rollouts`` within a range of time."""

from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec
from sqlalchemy import BigInteger, ColumnElement, Connection, Select, and_, column, literal, null, or_, select, table
from sqlalchemy.sql.base import ReadOnlyColumnCollection

from kspan.errors import QueryError
from kspan.model import Outcome
from kspan.query.objects.find import check_kind, kinds_meant
from kspan.query.objects.names import KindName
from kspan.query.visible import EVERYTHING, Visible
from kspan.store.schema import tables as schema
from kspan.store.tables.rows import chunks

WORKLOADS: Final = ("DaemonSet", "Deployment", "StatefulSet")

MOST: Final = 5_000
"""Rollouts that are looked at for an asker who may not see everything."""


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

    @property
    def all_ready_seconds(self) -> float | None:
        """The time until all replicas were ready (s); None for a rollout that did not come so far, or not yet.

        ``ready_seconds`` is the time until the last Pod was ready of those that became it.
        """
        return self.ready_seconds if self.outcome in (Outcome.OK, Outcome.RECOVERED) else None


_MILLISECOND: Final = 1_000_000

_READY: Final = "Pod.Ready"
_RESTARTED: Final = "Pod.ContainerRestarted"

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


def list_rollouts(
    connection: Connection, cluster: str, wanted: RolloutFilter, limit: int, visible: Visible = EVERYTHING
) -> list[Rollout]:
    """Return rollouts in traces that the asker may see, newest first. Raises QueryError for an unknown kind.

    All changes of workloads since ``wanted.since`` are looked at, or all occurrences of the workloads of a name.
    """
    kinds, limited = list(WORKLOADS), not visible.everything()
    if wanted.kind:
        if not limited:
            # The error names other kinds.
            check_kind(connection, cluster, wanted.kind)
        kinds = [kind for kind in kinds_meant(connection, cluster, wanted.kind) if kind in WORKLOADS]
    conditions: list[ColumnElement[bool]] = [view.c.cluster == cluster, view.c.kind.in_(kinds)]
    conditions += [view.c.start_time >= wanted.since] if wanted.since else []
    conditions += [view.c.start_time < wanted.until] if wanted.until else []
    conditions += [view.c.namespace == wanted.namespace] if wanted.namespace else []
    order: ColumnElement[int] = view.c.start_time
    if wanted.name:
        # By object: the index has the namespace before the name. In order of time, all spans would be looked at.
        objects = schema.objects
        named = (objects.c.cluster == cluster, objects.c.kind.in_(kinds), objects.c.name == wanted.name)
        conditions += [view.c.name == wanted.name, view.c.namespace.in_(select(objects.c.namespace).where(*named))]
        order = view.c.start_time + 0
    query = _columns().where(*conditions).order_by(order.desc())
    if not limited:
        return with_pods(connection, cluster, _read(connection, query.limit(limit)))
    inside = visible.namespaces(connection, cluster)
    found = _read(connection, query.where(view.c.namespace.in_(inside)).limit(MOST))
    seen = set(visible.traces(connection, cluster, list(dict.fromkeys(each.trace_id for each in found))))
    return with_pods(connection, cluster, [each for each in found if each.trace_id in seen][:limit])


def one_rollout(
    connection: Connection, cluster: str, trace_id: str, span_id: str, visible: Visible = EVERYTHING
) -> Rollout:
    """Return a rollout by the ids of the span of its change. Raises QueryError if the asker may see none."""
    here = (view.c.cluster == cluster, view.c.trace_id == trace_id, view.c.span_id == span_id)
    found = _read(connection, _columns().where(*here))
    if not found or not visible.traces(connection, cluster, [trace_id]):
        raise QueryError(f"no rollout is span {span_id} of trace {trace_id}")
    return with_pods(connection, cluster, found)[0]


def without_pods(here: ReadOnlyColumnCollection[str, Any]) -> list[ColumnElement[Any]]:
    """Return the columns of ``Rollout`` from those of the view, except those that ``with_pods`` fills in.

    For these two the view looks at all spans of the trace, for each rollout in it.
    """
    empty: dict[str, ColumnElement[Any]] = {"ready_seconds": null(), "restarts": literal(0)}
    return [empty[name] if name in empty else here[name] for name in Rollout.__struct_fields__]


def with_pods(connection: Connection, cluster: str, found: Sequence[Rollout]) -> list[Rollout]:
    """Return rollouts with the times and restarts of their Pods, as the view has them. Looks at each trace once."""
    pods = _occurrences_of_pods(connection, cluster, found)
    return [_with_pods(each, pods.get((each.trace_id, each.uid), [])) for each in found]


def _with_pods(rollout: Rollout, pods: list[tuple[str, str, int]]) -> Rollout:
    ready: dict[str, int] = {}
    restarts = 0
    for name, pod, start in pods:
        if start < rollout.start_time:
            continue
        if name == _READY:
            ready[pod] = min(ready.get(pod, start), start)
        else:
            restarts += 1
    if not ready:
        return msgspec.structs.replace(rollout, restarts=restarts)
    length = (max(ready.values()) - rollout.start_time + _MILLISECOND // 2) // _MILLISECOND
    return msgspec.structs.replace(rollout, ready_seconds=length / 1_000, restarts=restarts)


def _occurrences_of_pods(
    connection: Connection, cluster: str, found: Sequence[Rollout]
) -> dict[tuple[str, str], list[tuple[str, str, int]]]:
    """Return (name, uid of the Pod, start) of what became Ready or restarted, by trace and uid of the workload.

    The Pods of a workload are those that it owns, or that one of its ReplicaSets owns.
    """
    pods: defaultdict[tuple[str, str], list[tuple[str, str, int]]] = defaultdict(list)
    spans, objects, owners = schema.spans, schema.objects, schema.objects.alias("owners_of_pods")
    for ids in chunks(list(dict.fromkeys(each.trace_id for each in found))):
        query = (
            select(
                spans.c.trace_id,
                spans.c.name,
                spans.c.object_uid,
                spans.c.start_time,
                objects.c.owner_uid,
                owners.c.owner_uid,
            )
            .join(objects, and_(objects.c.cluster == spans.c.cluster, objects.c.uid == spans.c.object_uid))
            .outerjoin(owners, and_(owners.c.cluster == objects.c.cluster, owners.c.uid == objects.c.owner_uid))
            .where(
                spans.c.cluster == cluster,
                spans.c.trace_id.in_(ids),
                or_(spans.c.name == _READY, and_(spans.c.name == _RESTARTED, spans.c.event_uid == "")),
            )
        )
        for trace_id, name, pod, start, owner, above in connection.execute(query):
            for uid in {owner, above}:
                pods[trace_id, uid].append((name, pod, start))
    return pods


def _columns() -> Select[Any]:
    return select(*without_pods(view.c))


def _read(connection: Connection, query: Select[Any]) -> list[Rollout]:
    return [Rollout(*map(_plain, row)) for row in connection.execute(query)]


def _plain(value: Any) -> Any:
    return float(value) if isinstance(value, Decimal) else value
