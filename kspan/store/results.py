"""Return types of ``Store`` that are not shared with other layers."""

import msgspec

from kspan.model import OwnerRow, PendingRow, SpanRow, TraceRow
from kspan.settings import FoldInputs


class NamedCluster(msgspec.Struct, frozen=True):
    """A cluster in the database. ``name`` is what ``--cluster-name`` said last (empty: nothing); not unique."""

    uid: str
    name: str = ""


class KnownVersion(msgspec.Struct, frozen=True, gc=False):
    """The newest version of an object in the journal.

    Args:
        resource_version: its resourceVersion.
        deleted: true if that record is the object's deletion.
        epoch: resourceVersion epoch of the record (``LogRecord.epoch``).
        recorded_at: when it was received (Unix ns).
    """

    resource_version: str
    deleted: bool
    epoch: int = 0
    recorded_at: int = 0


class Projection(msgspec.Struct, frozen=True):
    """Everything that a fold needs to continue: live and unresolved rows, without history, each in key order.

    Args:
        objects: column ``state`` of the remembered objects. Not the whole rows: a cluster has a hundred thousand.
        owners: owners of those objects.
        pending: occurrences whose cause has not been chosen.
        spans: spans of open traces.
        traces: open traces.
        clock: the fold's scalar state (msgpack).
        last_seq: last journal record in the projection. If the journal is longer, the projection must be rebuilt.
        newest: greatest resourceVersion in the journal by kind, as passed to ``Store.commit``.
    """

    objects: list[bytes]
    owners: list[OwnerRow]
    pending: list[PendingRow]
    spans: list[SpanRow]
    traces: list[TraceRow]
    clock: bytes
    last_seq: int
    newest: dict[str, str]


class Position(msgspec.Struct, frozen=True):
    """How far the projection follows the journal, as stored.

    Args:
        clock: as in ``Projection``.
        last_seq: as in ``Projection``.
        newest: as in ``Projection``, but msgpack: it may be damaged.
    """

    clock: bytes = b""
    last_seq: int = 0
    newest: bytes = b"\x80"


class FoldPeriod(msgspec.Struct, frozen=True):
    """The part of a journal from ``from_seq`` to the next period, and what it was folded with."""

    from_seq: int
    inputs: FoldInputs


class ClusterStats(msgspec.Struct, frozen=True):
    """Statistics of one cluster.

    Args:
        cluster: uid of the cluster.
        rows: number of rows by table.
        journal: number of journal records by type.
        first_recorded_at: time of the first journal record (Unix ns UTC; 0: the journal is empty).
        last_recorded_at: time of the last one.
        traces: number of traces by state.
        emissions: number of traces by target and status.
        size: bytes of the whole database, including the write-ahead log.
    """

    cluster: str
    rows: dict[str, int]
    journal: dict[str, int]
    first_recorded_at: int
    last_recorded_at: int
    traces: dict[str, int]
    emissions: dict[str, dict[str, int]]
    size: int
