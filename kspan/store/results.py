"""What a store answers with, where the shared words have none."""

import msgspec

from kspan.model import OwnerRow, PendingRow, SpanRow, TraceRow


class KnownVersion(msgspec.Struct, frozen=True, gc=False):
    """The newest journalled version of an object, whether that was its deletion, and the epoch of its stream then."""

    resource_version: str
    deleted: bool
    epoch: int = 0


class Projection(msgspec.Struct, frozen=True):
    """What a fold needs to go on: everything that is live or unresolved, no history.

    ``objects`` are the states of those that are remembered (the column alone: a cluster has a hundred thousand),
    ``owners`` theirs, ``pending`` what waits, ``spans`` and ``traces`` the open ones, each in the order of its key.
    ``last_seq`` is the journal position that all this stands at; where it is less than the journal's last sequence
    number the projection was cleared, and has to be rebuilt. ``newest`` is the greatest resourceVersion that was
    journalled of each kind, as whoever committed told.
    """

    objects: list[bytes]
    owners: list[OwnerRow]
    pending: list[PendingRow]
    spans: list[SpanRow]
    traces: list[TraceRow]
    clock: bytes
    last_seq: int
    newest: dict[str, str]


class ClusterStats(msgspec.Struct, frozen=True):
    """Figures of one cluster. Times in Unix ns UTC (0: the journal is empty).

    ``rows`` counts rows by table, ``journal`` records by type, ``traces`` traces by state, ``emissions`` traces by
    target and status. ``size`` is that of the whole database in bytes, the write-ahead log included.
    """

    cluster: str
    rows: dict[str, int]
    journal: dict[str, int]
    first_recorded_at: int
    last_recorded_at: int
    traces: dict[str, int]
    emissions: dict[str, dict[str, int]]
    size: int
