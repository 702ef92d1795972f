"""Traces that are open, as lists show them: the same as when each is read whole, with few statements."""

from typing import Any

import pytest

from kspan.graph import built_in_rules
from kspan.graph.state import rows
from kspan.ingest.journal_builder import JournalBatch
from kspan.model import PendingRow, SpanRow, SpanState, TraceState
from kspan.pipeline.projector import Projector
from kspan.query.timeline import Position, TimelineFilter, TimelineLine, page_of_timeline
from kspan.query.traces import TraceFilter, TraceSummary, find_trace, list_traces
from kspan.store import Store
from kspan.times import SECOND
from tests.emit.rows import START, make_span
from tests.query.made import CLUSTER, commit, make_open_trace, make_pending
from tests.recordings import journal
from tests.store.engine import engine_of, statements_of

SCENARIOS = ("02-rolling-update", "03-crashloop", "07-job-cronjob", "11-delete-cascade")


def listed(store: Store, cluster: str, limit: int | None = None, **wanted: Any) -> list[TraceSummary]:
    with store.reading("list traces") as connection:
        return list_traces(connection, cluster, TraceFilter(**wanted), limit)


@pytest.mark.parametrize("share", [0.7, 1])
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_list_shows_open_traces_as_they_are_when_each_is_read_whole(
    store: Store, scenario: str, share: float
) -> None:
    cluster, records = journal(scenario)
    projector = Projector(store, cluster, built_in_rules())
    projector.add(JournalBatch([record]) for record in records[: int(len(records) * share)])
    projector.flush()
    found = [each for each in listed(store, cluster) if each.trace.state is TraceState.OPEN]
    assert found or share < 1
    for summary in found:
        with store.reading("read a trace") as connection:
            trace, spans = find_trace(connection, cluster, summary.trace.trace_id)
        assert summary.trace == trace
        assert summary.root in spans


def test_the_number_of_statements_of_a_list_does_not_depend_on_the_number_of_traces(store: Store) -> None:
    spans = [
        make_span(
            f"Pod.{reason}", trace=f"t{n}", key=f"{reason} {n}", parent=parent, start=START + n, state=SpanState.OPEN
        )
        for n in range(100)
        for reason, parent in (("Create", ""), ("Scheduled", f"Create {n}"))
    ]
    commit(store, [], spans, [make_open_trace(spans[n * 2 : n * 2 + 2]) for n in range(100)])
    counts = []
    for limit in (1, 99):
        with statements_of(engine_of(store)) as statements:
            assert len(listed(store, CLUSTER, limit)) == limit
        counts.append(len(statements))
    assert counts[0] == counts[1]


def timeline_pages(store: Store, wanted: TimelineFilter, limit: int) -> list[list[TimelineLine]]:
    pages: list[list[TimelineLine]] = []
    position: Position | None = None
    while position is not None or not pages:
        with store.reading("read the timeline") as connection:
            page, position = page_of_timeline(connection, CLUSTER, wanted, limit, position)
        pages.append(page)
    return pages


@pytest.mark.parametrize(
    "wanted",
    [
        TimelineFilter(since=START),
        TimelineFilter(since=START + 3 * SECOND, until=START + 9 * SECOND),
        TimelineFilter(since=START, name="web-7"),
        TimelineFilter(since=START, errors=True),
    ],
)
@pytest.mark.parametrize("limit", [1, 7, 1_000])
def test_pages_of_a_timeline_have_each_waiting_occurrence_once_in_order(
    store: Store, wanted: TimelineFilter, limit: int
) -> None:
    # Several at each time: the order of the others must not depend on where a page ends.
    waiting = [
        make_pending(
            "Pod.Scheduled", subject=f"web-{n % 10}", key=f"{n}", start=START + n // 5 * SECOND, error=n % 3 == 0
        )
        for n in reversed(range(60))
    ]
    commit(store, [], waiting)
    until = wanted.until or START + 60 * SECOND
    expected = [
        (span.start_time, span.span_id)
        for span in waiting
        if wanted.since <= span.start_time < until
        and wanted.name in ("", span.object_name)
        and (span.error or not wanted.errors)
    ]
    pages = timeline_pages(store, wanted, limit)
    assert [(line.time, line.span.span_id) for page in pages for line in page] == sorted(expected)
    assert expected
    assert all(len(page) <= limit for page in pages)


def test_a_page_of_a_timeline_reads_no_more_waiting_occurrences_than_it_shows(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit(store, [], [make_pending("Pod.Scheduled", key=f"{n}", start=START + n) for n in range(400)])
    decoded: list[PendingRow] = []
    real = rows.pending_span_so_far

    def counted(row: PendingRow) -> SpanRow:
        decoded.append(row)
        return real(row)

    monkeypatch.setattr(rows, "pending_span_so_far", counted)
    with store.reading("read the timeline") as connection:
        page, _ = page_of_timeline(connection, CLUSTER, TimelineFilter(since=START), 10)
    assert len(page) == 10
    assert len(decoded) <= 22
