"""Open spans are decoded only if this version of the fold wrote them; closed spans can always be read."""

import msgspec
import pytest

from kspan.errors import QueryError
from kspan.graph import built_in_rules
from kspan.graph.state.version import FOLD_VERSION
from kspan.ingest.journal_builder import JournalBatch
from kspan.model import SpanRow, SpanState
from kspan.pipeline.projector import Projector
from kspan.query import spans
from kspan.store import Store, open_store
from kspan.store.tables.rows import select_rows
from tests.recordings import journal

CLUSTER, RECORDS = journal("02-rolling-update")


def fill(store: Store, *, finish: bool) -> None:
    projector = Projector(store, CLUSTER, built_in_rules())
    projector.add(JournalBatch([record]) for record in RECORDS[: len(RECORDS) * 3 // 4])
    projector.flush()
    if finish:
        projector.run_out()
    (period,) = store.fold_periods(CLUSTER)
    store.start_fold_period(CLUSTER, 1, msgspec.structs.replace(period.inputs, fold_version=FOLD_VERSION + 1))


def read(store: Store, state: SpanState) -> list[SpanRow]:
    query = select_rows(spans.spans, SpanRow).where(spans.spans.c.cluster == CLUSTER, spans.spans.c.state == state)
    with store.reading("read spans") as connection:
        return list(spans.fetch(connection, CLUSTER, query))


def test_closed_spans_of_another_version_can_be_read() -> None:
    with open_store("sqlite://") as store:
        fill(store, finish=True)
        assert read(store, SpanState.CLOSED)


def test_open_spans_of_another_version_are_refused() -> None:
    with open_store("sqlite://") as store:
        fill(store, finish=False)
        with pytest.raises(QueryError, match=f"fold version {FOLD_VERSION + 1}, this one reads {FOLD_VERSION}"):
            read(store, SpanState.OPEN)


def test_waiting_occurrences_of_another_version_are_refused() -> None:
    with open_store("sqlite://") as store:
        fill(store, finish=False)
        with store.reading("read spans") as connection, pytest.raises(QueryError, match="another version of kspan"):
            list(spans.waiting(connection, CLUSTER))
