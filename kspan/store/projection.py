"""The projection as a whole: loading what is live, clearing, reading it through."""

from typing import Any, Final

from sqlalchemy import Connection, select, tuple_

from kspan.model import ObjectRow, OwnerRow, SpanRow, TraceRow, TraceState
from kspan.store import rows, schema
from kspan.store.bulk import dialect_insert
from kspan.store.views import Projection

_RUN: Final = 1000


def write_position(connection: Connection, cluster: str, last_seq: int, clock: bytes) -> None:
    """Note where in the journal the projection stands, and the fold's clock unless it is empty."""
    table = schema.fold_state
    statement = dialect_insert(table, connection.dialect.name)
    changed = {"last_seq": statement.excluded.last_seq}
    if clock:
        changed["clock"] = statement.excluded.clock
    upsert = statement.on_conflict_do_update(index_elements=["cluster"], set_=changed)
    connection.execute(upsert, {"cluster": cluster, "clock": clock, "last_seq": last_seq})


def clear(connection: Connection, cluster: str) -> None:
    """Delete a cluster's projection; ``fold_state`` keeps its row, by which the cluster is known."""
    rows.clear(connection, cluster)
    table = schema.fold_state
    connection.execute(table.update().where(table.c.cluster == cluster).values(clock=b"", last_seq=0))


def live_objects(connection: Connection, cluster: str, resource: str) -> list[ObjectRow]:
    """The objects of a stream that were not deleted, by uid."""
    table = schema.objects
    query = (
        rows.select_rows(table, ObjectRow)
        .where(table.c.cluster == cluster, table.c.resource == resource, schema.ALIVE)
        .order_by(table.c.uid)
    )
    return rows.fetch(connection, query, ObjectRow)


def load(connection: Connection, cluster: str) -> Projection:
    """What is live or unresolved; every query goes through a partial index, however long the history is."""
    objects, owners, spans, traces = schema.objects, schema.owners, schema.spans, schema.traces
    living = rows.select_rows(objects, ObjectRow).where(objects.c.cluster == cluster, schema.HAS_STATE)
    owned = (
        rows.select_rows(owners, OwnerRow)
        .join(objects, (objects.c.cluster == owners.c.cluster) & (objects.c.uid == owners.c.uid))
        .where(objects.c.cluster == cluster, schema.HAS_STATE)
    )
    unfinished = rows.select_rows(spans, SpanRow).where(spans.c.cluster == cluster, schema.UNFINISHED)
    still_open = rows.select_rows(traces, TraceRow).where(
        traces.c.cluster == cluster, traces.c.state == TraceState.OPEN
    )
    state = schema.fold_state
    position = select(state.c.clock, state.c.last_seq).where(state.c.cluster == cluster)
    clock, last_seq = connection.execute(position).one_or_none() or (b"", 0)
    return Projection(
        objects=rows.fetch(connection, living.order_by(objects.c.uid), ObjectRow),
        owners=rows.fetch(connection, owned.order_by(owners.c.uid, owners.c.owner_uid), OwnerRow),
        spans=rows.fetch(connection, unfinished.order_by(spans.c.span_id), SpanRow),
        traces=rows.fetch(connection, still_open.order_by(traces.c.trace_id), TraceRow),
        clock=clock,
        last_seq=last_seq,
    )


def read_table(
    connection: Connection, cluster: str, name: str, after: tuple[Any, ...] | None
) -> tuple[list[dict[str, Any]], tuple[Any, ...] | None]:
    """The next run of rows of a table after the key ``after``, and the key to go on from (None: that was all)."""
    table, struct = rows.PROJECTION[name]
    key = [column for column in table.primary_key if column.name != "cluster"]
    query = rows.select_rows(table, struct).where(table.c.cluster == cluster).order_by(*key).limit(_RUN)
    if after is not None:
        query = query.where(tuple_(*key) > after)
    run = [dict(row) for row in connection.execute(query).mappings()]
    last = tuple(run[-1][column.name] for column in key) if len(run) == _RUN else None
    return run, last
