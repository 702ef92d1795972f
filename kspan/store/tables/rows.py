"""Selects and writes rows as structs of ``kspan.model``.

The columns of a table are ``cluster`` (and ``seq`` in the journal), then the fields of its struct in the same order.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final, TypeVar

import msgspec
from sqlalchemy import Connection, Select, Table, select

from kspan.model import Cursor, Delta, GapRow, ObjectRow, OwnerRow, PendingRow, SpanRow, TraceRow
from kspan.store.schema import tables as schema
from kspan.store.tables.bulk_write import delete_keys, update_rows, upsert_rows

Row = TypeVar("Row", bound=msgspec.Struct)

PROJECTION: Final[dict[str, tuple[Table, type[msgspec.Struct]]]] = {
    "objects": (schema.objects, ObjectRow),
    "owners": (schema.owners, OwnerRow),
    "pending": (schema.pending, PendingRow),
    "spans": (schema.spans, SpanRow),
    "traces": (schema.traces, TraceRow),
    "gaps": (schema.gaps, GapRow),
}

CHUNK: Final = 500
"""Values in one IN list: within the limits of both databases, and enough to make round trips negligible."""


def select_rows(table: Table, struct: type[msgspec.Struct]) -> Select[Any]:
    """A SELECT of the fields of a struct in their order, for ``struct(*row)``."""
    return select(*(table.c[field] for field in struct.__struct_fields__))


def fetch(connection: Connection, query: Select[Any], struct: type[Row]) -> list[Row]:
    """The rows of a ``select_rows`` query as structs."""
    return [struct(*row) for row in connection.execute(query)]


def chunks(values: Sequence[str]) -> Iterator[Sequence[str]]:
    """``values`` in runs of at most ``CHUNK``."""
    for start in range(0, len(values), CHUNK):
        yield values[start : start + CHUNK]


def write_delta(connection: Connection, cluster: str, delta: Delta) -> list[str]:
    """Apply a change of the projection, except its clock.

    Returns:
        The ids of the traces that had been closed before: they have more spans now.
    """
    delete_keys(connection, schema.spans, cluster, delta.dropped_spans)
    delete_keys(connection, schema.pending, cluster, delta.dropped_pending)
    delete_keys(connection, schema.traces, cluster, delta.dropped_traces)
    upsert_rows(connection, schema.pending, cluster, delta.pending)
    upsert_rows(connection, schema.objects, cluster, delta.objects)
    upsert_rows(connection, schema.owners, cluster, delta.owners)
    upsert_rows(connection, schema.spans, cluster, delta.spans)
    reopened = _write_traces(connection, cluster, delta.traces)
    upsert_rows(connection, schema.gaps, cluster, delta.gaps)
    update_rows(connection, schema.objects, cluster, delta.updated_objects)
    update_rows(connection, schema.spans, cluster, delta.updated_spans)
    update_rows(connection, schema.traces, cluster, delta.updated_traces)
    return reopened


def _write_traces(connection: Connection, cluster: str, traces: Sequence[TraceRow]) -> list[str]:
    """Write rows of traces. Returns the ids of those that replace a closed trace.

    The database refuses to replace a closed row, so fewer rows are written if there is one.
    """
    if upsert_rows(connection, schema.traces, cluster, traces) == len(traces):
        return []
    news = {row.trace_id: row for row in traces}
    table, closed = schema.traces, list[TraceRow]()
    for chunk in chunks(list(news)):
        query = select_rows(table, TraceRow).where(table.c.cluster == cluster, table.c.trace_id.in_(chunk))
        closed += fetch(connection, query.where(schema.CLOSED), TraceRow)
    reopened = [row.trace_id for row in closed if row != news[row.trace_id]]
    delete_keys(connection, table, cluster, [(trace,) for trace in reopened])
    upsert_rows(connection, table, cluster, [news[trace] for trace in reopened])
    return reopened


def write_cursors(connection: Connection, cluster: str, cursors: Sequence[Cursor]) -> None:
    """Insert or replace stream cursors."""
    upsert_rows(connection, schema.cursors, cluster, cursors)
