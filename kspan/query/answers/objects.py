"""Objects, gaps and statistics."""

import msgspec

from kspan.model import GapRow, ObjectRow
from kspan.store import ClusterStats
from kspan.times import format_time


class ObjectAnswer(msgspec.Struct, frozen=True):
    """An object.

    Args:
        kind, namespace, name, uid, api_version: its identity.
        resource: the stream that watches it, such as ``apps/v1/deployments``.
        resource_version, generation: those of its newest version.
        owner_uid: uid of its controller; empty if it has none.
        node: Node of a Pod; empty if it has none.
        created_at, seen_at, deleted_at: times of its creation, its first observation and its end; null if unknown.
        state: its state in words; empty if its kind has none, and in lists.
    """

    kind: str
    namespace: str
    name: str
    uid: str
    api_version: str
    resource: str
    resource_version: str
    generation: int
    owner_uid: str
    node: str
    created_at: str | None
    seen_at: str | None
    deleted_at: str | None
    state: str = ""


class GapAnswer(msgspec.Struct, frozen=True):
    """An interval in which changes of a stream may have been missed: between two resourceVersions."""

    seq: int
    resource: str
    from_version: str
    to_version: str
    reason: str
    recorded_at: str


class ClusterAnswer(msgspec.Struct, frozen=True):
    """A cluster in the database, as in the view ``clusters``.

    Args:
        cluster: its uid.
        name: its name; empty if it has none.
        first_at, last_at: times of its oldest and newest record in the journal; null if it has no records.
    """

    cluster: str
    name: str
    first_at: str | None
    last_at: str | None


class StatsAnswer(msgspec.Struct, frozen=True):
    """Numbers of a cluster. The fields are those of ``kspan.store.ClusterStats``, times in RFC 3339."""

    cluster: str
    rows: dict[str, int]
    journal: dict[str, int]
    first_recorded_at: str | None
    last_recorded_at: str | None
    traces: dict[str, int]
    emissions: dict[str, dict[str, int]]
    size: int


def cluster_answer(uid: str, name: str, first: int, last: int) -> ClusterAnswer:
    """Return a cluster; times are Unix ns."""
    return ClusterAnswer(uid, name, _time(first), _time(last))


def object_answer(row: ObjectRow, state: str = "") -> ObjectAnswer:
    """Return an object."""
    return ObjectAnswer(
        row.kind,
        row.namespace,
        row.name,
        row.uid,
        row.api_version,
        row.resource,
        row.resource_version,
        row.generation,
        row.owner_uid,
        row.node,
        _time(row.created_at),
        _time(row.seen_at),
        _time(row.deleted_at),
        state,
    )


def gap(row: GapRow) -> GapAnswer:
    """Return a gap."""
    return GapAnswer(row.seq, row.resource, row.from_version, row.to_version, row.reason, format_time(row.recorded_at))


def stats_answer(found: ClusterStats) -> StatsAnswer:
    """Return the numbers of a cluster."""
    return StatsAnswer(
        found.cluster,
        found.rows,
        found.journal,
        _time(found.first_recorded_at),
        _time(found.last_recorded_at),
        found.traces,
        found.emissions,
        found.size,
    )


def _time(ns: int) -> str | None:
    return format_time(ns) if ns else None
