"""The recordings of a real cluster that the tests run on, as journal records and as projections."""

from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from kspan.graph import Fold, built_in_rules
from kspan.ingest import read_frames
from kspan.ingest.journal_builder import JournalBatch, JournalBuilder
from kspan.model import ENDED, Delta, LogRecord, RecordType
from kspan.pipeline.projector import Projector
from kspan.pipeline.rebuild import KEYS, TABLES
from kspan.pipeline.replay import find_cluster
from kspan.settings import FoldSettings
from kspan.store import Store, open_store
from kspan.store.tables.bulk_write import not_indexed
from kspan.store.tables.rows import PROJECTION
from kspan.times import SECOND

RECORDINGS = Path(__file__).parent / "data" / "recordings"
SCENARIOS = sorted(path.name for path in RECORDINGS.iterdir())

RUN_OUT = 30_000 * SECOND
"""More than hold and the longest time that a trace is open: a failure that lasts is reported every six hours."""

Rows = dict[str, list[dict[str, Any]]]


def recording(scenario: str) -> Path:
    return RECORDINGS / scenario / "recording.jsonl.gz"


@cache
def journal(scenario: str) -> tuple[str, tuple[LogRecord, ...]]:
    """(cluster uid, journal records without the ticks) of a recording."""
    return journal_of(recording(scenario))


def journal_of(file: Path) -> tuple[str, tuple[LogRecord, ...]]:
    """(cluster uid, journal records without the ticks) of a file that kspan reads."""
    cluster, frames = find_cluster(read_frames([str(file)]))
    with open_store("sqlite://") as store:
        projector = Projector(store, cluster, built_in_rules())
        streams = JournalBuilder(projector, {})
        for frame in frames:
            projector.add(streams.feed(frame))
        projector.add(streams.finish())
        projector.flush()
        records = tuple(record for run in store.replay(cluster) for _, record in run)
    return cluster, records


def rows(store: Store, cluster: str) -> Rows:
    return {table: list(store.projection_rows(cluster, table)) for table in TABLES}


def project(cluster: str, records: Iterable[LogRecord], *, batch: int = 500, finish: bool = True) -> Rows:
    """The projection of these records, in batches; ``finish`` lets the clock run out."""
    with open_store("sqlite://") as store:
        projector = Projector(store, cluster, built_in_rules(), batch=batch)
        projector.add(JournalBatch([record]) for record in records)
        projector.flush()
        if finish:
            projector.run_out()
        return rows(store, cluster)


def fold(
    cluster: str, records: Iterable[LogRecord], cuts: Sequence[int] = (), settings: FoldSettings | None = None
) -> Rows:
    """The rows that a fold alone gives, asked for its delta after each of ``cuts`` and once the clock has run out."""
    tables: dict[str, dict[Any, Any]] = {table: {} for table in TABLES}
    folding = Fold(cluster, built_in_rules(), settings)

    number = 0
    for number, record in enumerate(records, 1):
        folding.apply(number, record)
        if number in cuts:
            apply_delta(tables, folding.take_delta())
    folding.apply(number + 1, LogRecord(RecordType.TICK, folding.now + RUN_OUT, reason=ENDED))
    apply_delta(tables, folding.take_delta())
    return {table: [msgspec.structs.asdict(row) for _, row in sorted(found.items())] for table, found in tables.items()}


def apply_delta(tables: dict[str, dict[Any, Any]], delta: Delta) -> None:
    """What a store does with a delta, with rows by table and key."""
    key: tuple[Any, ...]
    for key in delta.dropped_spans:
        del tables["spans"][key]
    for key in delta.dropped_pending:
        del tables["pending"][key]
    for key in delta.dropped_traces:
        del tables["traces"][key]
    for table, keys in KEYS.items():
        for row in getattr(delta, table):
            tables[table][tuple(getattr(row, key) for key in keys)] = row
        for row in getattr(delta, f"updated_{table}", ()):
            key = tuple(getattr(row, key) for key in keys)
            written = not_indexed(PROJECTION[table][0])
            changed = {
                name for name in row.__struct_fields__ if getattr(row, name) != getattr(tables[table][key], name)
            }
            assert changed <= set(written), f"an update of {table} does not write {changed.difference(written)}"
            tables[table][key] = row


def structure(found: Rows) -> dict[str, tuple[str, str, str, str, str]]:
    """What must not depend on the order of arrival: each span's trace, parent, name, rule and count of repeats."""
    return {
        row["span_id"]: (row["trace_id"], row["parent_span_id"], row["name"], row["rule"], str(len(row["events"])))
        for row in found["spans"]
    }


def all_files(scenarios: Sequence[str] = SCENARIOS) -> list[str]:
    return [str(recording(scenario)) for scenario in scenarios]
