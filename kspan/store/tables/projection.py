"""Loads, clears and reads the projection of a cluster."""

from collections.abc import Iterator, Mapping
from functools import cache
from operator import attrgetter
from sys import intern
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Insert, Select, delete, select, tuple_, union

from kspan.model import ObjectRow, OwnerRow, PendingRow, SpanRow, SpanState, TraceRow
from kspan.store.results import Position, Projection
from kspan.store.schema import tables as schema
from kspan.store.tables import rows
from kspan.store.tables.bulk_write import dialect_insert

_RUN: Final = 1000


def write_position(
    connection: Connection, cluster: str, last_seq: int, clock: bytes, newest: Mapping[str, str] | None = None
) -> None:
    """Record the last journal record in the projection; the fold's clock, unless empty; and ``newest``, if given."""
    changed = ("last_seq", *(["clock"] if clock else []), *(["newest"] if newest is not None else []))
    values = {"clock": clock, "last_seq": last_seq, "newest": msgspec.msgpack.encode(newest or {}), "pruned_to": 0}
    connection.execute(_set_position(connection.dialect.name, changed), {"cluster": cluster} | values)


@cache  # Each commit runs it, and making the statement takes longer than running it.
def _set_position(dialect: str, changed: tuple[str, ...]) -> Insert:
    statement = dialect_insert(schema.fold_state, dialect)
    set_ = {name: statement.excluded[name] for name in changed}
    return statement.on_conflict_do_update(index_elements=["cluster"], set_=set_)


def clear(connection: Connection, cluster: str) -> None:
    """Delete the projection of a cluster. What is recorded about its journal stays."""
    for table, _ in rows.PROJECTION.values():
        connection.execute(delete(table).where(table.c.cluster == cluster))
    state, exports = schema.fold_state, schema.export_state
    connection.execute(state.update().where(state.c.cluster == cluster).values(clock=b"", last_seq=0))
    connection.execute(exports.update().where(exports.c.cluster == cluster).values(done_before=0))


def live_objects(connection: Connection, cluster: str, resource: str) -> list[ObjectRow]:
    """The objects of a stream that are not deleted, by uid."""
    table = schema.objects
    query = rows.select_rows(table, ObjectRow).where(
        table.c.cluster == cluster, table.c.resource == resource, table.c.deleted_at == 0, schema.REMEMBERED
    )
    # Sorted here for the reason given in ``load``.
    return sorted(rows.fetch(connection, query, ObjectRow), key=attrgetter("uid"))


def named_kinds(connection: Connection, cluster: str) -> list[tuple[str, str]]:
    """apiVersion and kind of all owners, and of all objects known only from Events, in order.

    Reads all remembered objects, which takes about 0.3 s for 100,000.
    """
    objects, owners = schema.objects, schema.owners
    remembered = (objects.c.cluster == cluster, schema.REMEMBERED)
    mentioned = select(objects.c.api_version, objects.c.kind).where(*remembered, objects.c.resource == "")
    dependents = select(objects.c.uid).where(*remembered)
    owning = select(owners.c.owner_api_version, owners.c.owner_kind)
    owning = owning.where(owners.c.cluster == cluster, owners.c.uid.in_(dependents))
    # UNION removes duplicates.
    found = connection.execute(union(mentioned, owning))
    return sorted((version, kind) for version, kind in found if version and kind)


def load(connection: Connection, cluster: str) -> Projection:
    """Load live and unresolved rows. Every query uses an index on exactly these, however long the history is."""
    objects, owners, spans, traces = schema.objects, schema.owners, schema.spans, schema.traces
    living = select(objects.c.uid, objects.c.state).where(objects.c.cluster == cluster, schema.REMEMBERED)
    remembered = select(objects.c.uid).where(objects.c.cluster == cluster, schema.REMEMBERED)
    owned = rows.select_rows(owners, OwnerRow).where(owners.c.cluster == cluster, owners.c.uid.in_(remembered))
    still_open = rows.select_rows(traces, TraceRow).where(traces.c.cluster == cluster, schema.OPEN)
    pending = schema.pending
    waiting = rows.select_rows(pending, PendingRow).where(pending.c.cluster == cluster).order_by(pending.c.arrival)
    open_ids = select(traces.c.trace_id).where(traces.c.cluster == cluster, schema.OPEN)
    placed = rows.select_rows(spans, SpanRow).where(
        spans.c.cluster == cluster, spans.c.trace_id.in_(open_ids), spans.c.state == SpanState.OPEN
    )
    at = position(connection, cluster)
    return Projection(
        # Sorted here: with ORDER BY, SQLite would walk through the whole key, including the history.
        objects=[state for _, state in sorted(tuple(row) for row in connection.execute(living))],
        owners=sorted(_owners(connection, owned), key=lambda row: (row.uid, row.owner_uid)),
        pending=rows.fetch(connection, waiting, PendingRow),
        spans=sorted(rows.fetch(connection, placed, SpanRow), key=lambda row: (row.trace_id, row.span_id)),
        traces=sorted(rows.fetch(connection, still_open, TraceRow), key=lambda row: row.trace_id),
        clock=at.clock,
        last_seq=at.last_seq,
        newest=msgspec.msgpack.decode(at.newest, type=dict[str, str]),
    )


def position(connection: Connection, cluster: str) -> Position:
    """How far the projection follows the journal."""
    state = schema.fold_state
    query = select(state.c.clock, state.c.last_seq, state.c.newest).where(state.c.cluster == cluster)
    found = connection.execute(query).one_or_none()
    return Position(*found) if found is not None else Position()


def _owners(connection: Connection, query: Select[Any]) -> Iterator[OwnerRow]:
    """The rows, with equal strings shared: 100,000 of them live as long as their objects."""
    for uid, owner, version, kind, name, controller in connection.execute(query):
        yield OwnerRow(intern(uid), intern(owner), intern(version), intern(kind), intern(name), controller)


def read_table(
    connection: Connection, cluster: str, name: str, after: tuple[Any, ...] | None
) -> tuple[list[dict[str, Any]], tuple[Any, ...] | None]:
    """The next rows of a table after the key ``after``, and the key to continue from (None: no more rows)."""
    table, struct = rows.PROJECTION[name]
    key = [column for column in table.primary_key if column.name != "cluster"]
    query = rows.select_rows(table, struct).where(table.c.cluster == cluster).order_by(*key).limit(_RUN)
    if after is not None:
        query = query.where(tuple_(*key) > after)
    run = [dict(row) for row in connection.execute(query).mappings()]
    last = tuple(run[-1][column.name] for column in key) if len(run) == _RUN else None
    return run, last
