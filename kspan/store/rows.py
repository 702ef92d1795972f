"""Between the shared words (``kspan.model``) and rows of the tables: selects and writes.

A table's columns are ``cluster`` (and ``seq`` in the journal), then the fields of its struct, in the struct's order.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, Final, TypeVar

import msgspec
from sqlalchemy import Connection, Delete, Select, Table, bindparam, delete, select

from kspan.model import Cursor, Delta, GapRow, ObjectRow, OwnerRow, SpanRow, TraceRow
from kspan.store import schema
from kspan.store.bulk import upsert_rows

Row = TypeVar("Row", bound=msgspec.Struct)

PROJECTION: Final[dict[str, tuple[Table, type[msgspec.Struct]]]] = {
    "objects": (schema.objects, ObjectRow),
    "owners": (schema.owners, OwnerRow),
    "spans": (schema.spans, SpanRow),
    "traces": (schema.traces, TraceRow),
    "gaps": (schema.gaps, GapRow),
}

CHUNK: Final = 500
"""Values in one IN list: within the limits of both databases, and long enough that round trips don't count."""


def select_rows(table: Table, struct: type[msgspec.Struct]) -> Select[Any]:
    """A SELECT of the struct's fields, in the struct's order: ``struct(*row)``."""
    return select(*(table.c[field] for field in struct.__struct_fields__))


def fetch(connection: Connection, query: Select[Any], struct: type[Row]) -> list[Row]:
    """The rows of a ``select_rows``."""
    return [struct(*row) for row in connection.execute(query)]


def chunks(values: Sequence[str]) -> Iterator[Sequence[str]]:
    """``values`` in runs of at most ``CHUNK``."""
    for start in range(0, len(values), CHUNK):
        yield values[start : start + CHUNK]


def write_delta(connection: Connection, cluster: str, delta: Delta) -> None:
    """Write a delta's rows; spans that are both written and dropped are dropped. Its clock is not looked at."""
    upsert_rows(connection, schema.objects, cluster, delta.objects)
    upsert_rows(connection, schema.owners, cluster, delta.owners)
    upsert_rows(connection, schema.spans, cluster, delta.spans)
    upsert_rows(connection, schema.traces, cluster, delta.traces)
    upsert_rows(connection, schema.gaps, cluster, delta.gaps)
    if delta.dropped_spans:
        dropped = [{"at_cluster": cluster, "at_span": span} for span in delta.dropped_spans]
        connection.execute(_drop_span(), dropped)


def write_cursors(connection: Connection, cluster: str, cursors: Sequence[Cursor]) -> None:
    """Upsert stream cursors."""
    upsert_rows(connection, schema.cursors, cluster, cursors)


def clear(connection: Connection, cluster: str) -> None:
    """Delete a cluster's rows from every table of the projection."""
    for table, _ in PROJECTION.values():
        connection.execute(delete(table).where(table.c.cluster == cluster))


@cache
def _drop_span() -> Delete:
    spans = schema.spans
    return delete(spans).where(spans.c.cluster == bindparam("at_cluster"), spans.c.span_id == bindparam("at_span"))
