"""Fills a store with a long history: one recording is projected, then its rows are copied within the database.

Each copy has its own uids, names, ids, versions and times, so that random keys stay random and neighbouring rows stay
neighbours. Payloads are not changed: no measurement reads them.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec
from sqlalchemy import Connection, Table, text

from benchmarks.storm import VERSIONS, deltas, span_of
from kspan.graph import built_in_rules
from kspan.graph.state.records import Clock
from kspan.ingest.frames import Frame
from kspan.ingest.journal_builder import JournalBuilder
from kspan.pipeline.projector import Projector
from kspan.store import Store
from kspan.store.postgresql.partitions import DAY
from kspan.store.schema import tables as schema
from kspan.times import SECOND

CLUSTER: Final = "8d1f7a52-0000-4000-8000-00000000be7c"
TARGET: Final = "otlp"

# The value of a column in copy :k. {c} is the column.
_HEX: Final = {"sqlite": "printf('%04x', :k)", "postgresql": "lpad(to_hex(CAST(:k AS integer)), 4, '0')"}
_TIMES: Final = frozenset(
    {
        "recorded_at",
        "created_at",
        "seen_at",
        "deleted_at",
        "start_time",
        "end_time",
        "opened_at",
        "closed_at",
        "updated_at",
    }
)
_UIDS: Final = frozenset({"uid", "owner_uid", "object_uid", "event_uid"})
_NAMES: Final = frozenset({"name", "object_name", "owner_name"})
_IDS: Final = frozenset({"trace_id", "previous_trace_id", "span_id", "parent_span_id", "root_span_id"})


class History(msgspec.Struct, frozen=True):
    """The result: total records and spans, number of copies, time between two copies (ns), and total days."""

    records: int
    spans: int
    copies: int
    period: int
    days: float
    frames: list[Frame]


def make(
    store: Store,
    recording: Path,
    records: int,
    spans: int,
    days: float,
    progress: Callable[[str], None],
    stem: str = "app-",
) -> History:
    """Fill an empty store with about this many records and spans, over ``days`` days (0: as few as possible).

    ``stem`` is a part of the names of the workloads: each copy adds its number there.
    """
    frames = deltas(recording)
    progress(f"projecting {recording}")
    projector = Projector(store, CLUSTER, built_in_rules())
    streams = JournalBuilder(projector, {})
    for frame in frames:
        projector.add(streams.feed(frame))
    projector.add(streams.finish())
    projector.run_out()
    _mark_emitted(store)
    with store.reading("count") as connection:
        each = store.last_sequence(CLUSTER)
        found = connection.execute(text("SELECT count(*) FROM spans")).scalar_one()
    copies = max(1, records // each) - 1
    # Event time ended after the end of the recording.
    period = max(span_of(frames) + 1_000 * SECOND, int(days * DAY) // (copies + 1))
    every = max(1, round(copies * found / max(1, spans - found)))
    _prepare(store, frames[0].received, frames[0].received + (copies + 2) * period)
    for number in range(1, copies + 1):
        with store.writing("copy", CLUSTER) as connection:
            tables = [schema.journal, schema.objects, schema.owners]
            tables += [schema.spans, schema.traces, schema.emissions] if number % every == 0 else []
            for table in tables:
                _copy(connection, table, number, each, period, stem)
        if number % 10 == 0:
            progress(f"{number} of {copies} copies, {number * each:,} records")
    _move_on(store, copies, each, period)
    with store.reading("count") as connection:
        found = connection.execute(text("SELECT count(*) FROM spans")).scalar_one()
    return History(store.last_sequence(CLUSTER), found, copies, period, (copies + 1) * period / DAY, frames)


def _prepare(store: Store, first: int, last: int) -> None:
    """Create the partitions that commits would create, and collect the statistics that autovacuum would collect."""
    if store._partitions is None:  # noqa: SLF001
        return
    store._partitions.prepare_days(range(first // DAY, last // DAY + 1))  # noqa: SLF001
    with store.writing("look at what is there", CLUSTER) as connection:
        connection.exec_driver_sql("ANALYZE")


def _mark_emitted(store: Store) -> None:
    while traces := store.unemitted_traces(CLUSTER, TARGET, 500):
        store.mark_emitted(CLUSTER, TARGET, [trace.trace_id for trace in traces], traces[-1].closed_at)


def _copy(connection: Connection, table: Table, number: int, each: int, period: int, stem: str) -> None:
    dialect = connection.dialect.name
    values = {column.name: _value(table.name, column.name, _HEX[dialect]) for column in table.columns}
    # Conditions that use an index: a copy must not take longer as the store grows.
    past = "cluster = :cluster AND NOT remembered AND deleted_at < :until AND seen_at < :until"
    closed = "cluster = :cluster AND state = 'closed' AND closed_at < :until"
    of_trace = f"cluster = :cluster AND trace_id IN (SELECT trace_id FROM traces WHERE {closed})"  # noqa: S608
    which = {
        "journal": "cluster = :cluster AND seq <= :each AND recorded_at < :until",
        "objects": past,
        "owners": f"cluster = :cluster AND uid IN (SELECT uid FROM objects WHERE {past})",  # noqa: S608
        "spans": of_trace,
        "traces": closed,
        "emissions": of_trace,
    }[table.name]
    statement = (
        f"INSERT INTO {table.name} ({', '.join(values)}) SELECT {', '.join(values.values())} "  # noqa: S608
        f"FROM {table.name} WHERE {which} ON CONFLICT DO NOTHING"
    )
    first = text("SELECT min(recorded_at) FROM journal WHERE cluster = :cluster AND seq = 1")
    until = connection.execute(first, {"cluster": CLUSTER}).scalar_one() + period - 1
    given: dict[str, object] = {"k": number, "each": each, "period": number * period, "versions": number * VERSIONS}
    given |= {"cluster": CLUSTER, "until": until, "turn": number % 16, "stem": stem}
    connection.execute(text(statement), given)


def _value(table: str, column: str, digits: str) -> str:
    if column == "seq":
        return "seq + :k * :each"
    if column in _TIMES:
        return f"CASE WHEN {column} > 0 THEN {column} + :period ELSE 0 END"
    if column in _UIDS:
        other = f"substr({column}, 1, 9) || {digits} || substr({column}, 14)"
        return f"CASE WHEN length({column}) = 36 THEN {other} ELSE {column} END"
    if (column in _NAMES and table != "spans") or column == "object_name":
        return f"replace({column}, CAST(:stem AS TEXT), CAST(:stem AS TEXT) || CAST(:k AS TEXT) || '-')"
    if column == "resource_version":
        later = "CAST(CAST(resource_version AS BIGINT) + :versions AS TEXT)"
        return f"CASE WHEN resource_version = '' THEN '' ELSE {later} END"
    if column in _IDS:
        # Rotated, so that the ids of a copy are as random as those of the first.
        turned = f"substr({column}, 1 + :turn) || substr({column}, 1, :turn)"
        return f"CASE WHEN {column} = '' THEN '' ELSE substr({turned}, 1, 8) || {digits} || substr({turned}, 13) END"
    return column


def _move_on(store: Store, copies: int, each: int, period: int) -> None:
    """Set the position of the projection to the end of the last copy."""
    live = store.load_projection(CLUSTER)
    clock = msgspec.msgpack.decode(live.clock, type=Clock)
    clock.now += copies * period
    newest = {kind: str(int(version) + copies * VERSIONS) for kind, version in live.newest.items()}
    with store.writing("move on", CLUSTER) as connection:
        table = schema.fold_state
        connection.execute(
            table.update()
            .where(table.c.cluster == CLUSTER)
            .values(
                clock=msgspec.msgpack.encode(clock), newest=msgspec.msgpack.encode(newest), last_seq=each * (copies + 1)
            )
        )
