"""Pages of sparse rows look at a part of the history each, and miss nothing together. On both databases."""

from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import select

from kspan.query import timeline as timelines
from kspan.query import traces as searching
from kspan.query import view_rows
from kspan.query.objects import listing
from kspan.query.objects.listing import ObjectFilter, list_objects
from kspan.query.objects.names import parse_kind
from kspan.query.rollouts import Rollout
from kspan.query.spans import newer_edge, older_edge
from kspan.query.timeline import TimelineFilter, TimelineLine, page_of_timeline, timeline
from kspan.query.traces import Status, TraceFilter, TraceSummary, list_traces, page_of_traces
from kspan.query.view_rows import Failure, RowFilter, Termination, page_of_rows
from kspan.store import Store
from kspan.store.schema import tables as schema
from tests.emit.rows import START, make_span, make_trace
from tests.query.conftest import Histories, History
from tests.query.made import CLUSTER, commit, make_object, make_pending
from tests.store.engine import engine_of, statements_of

SCENARIO = "02-rolling-update"
KINDS = [Rollout, Failure, Termination]


def rows_in_pages(history: History, kind: Any, limit: int, **wanted: Any) -> tuple[list[Any], int]:
    """All rows of a view, and the number of pages."""
    found: list[Any] = []
    pages, before = 0, None
    with history.store.reading("ask") as connection:
        while True:
            rows, before = page_of_rows(connection, history.cluster, kind, RowFilter(**wanted, before=before), limit)
            found, pages = found + rows, pages + 1
            if before is None:
                return found, pages
            assert pages < 1_000, "the list does not end"


def lines_in_pages(history: History, limit: int, **wanted: Any) -> tuple[list[TimelineLine], int]:
    """All lines of a timeline, and the number of pages."""
    found: list[TimelineLine] = []
    pages, after = 0, None
    with history.store.reading("ask") as connection:
        while True:
            lines, after = page_of_timeline(connection, history.cluster, TimelineFilter(**wanted), limit, after)
            found, pages = found + lines, pages + 1
            if after is None:
                return found, pages
            assert pages < 1_000, "the timeline does not end"


def starts(history: History) -> list[int]:
    spans = schema.spans
    query = select(spans.c.start_time).where(spans.c.cluster == history.cluster).order_by(spans.c.start_time)
    with history.store.reading("ask") as connection:
        return list(connection.execute(query).scalars())


def test_an_edge_leaves_as_many_spans_on_its_side_as_asked_for(histories: Histories) -> None:
    history = histories(SCENARIO)
    times = starts(history)
    with history.store.reading("ask") as connection:
        assert older_edge(connection, history.cluster, 0, 10) == times[-10]
        assert older_edge(connection, history.cluster, times[50], 10) == [t for t in times if t < times[50]][-10]
        assert newer_edge(connection, history.cluster, 0, 10) == times[9]
        assert newer_edge(connection, history.cluster, times[50], 10) == [t for t in times if t > times[50]][9]
        assert older_edge(connection, history.cluster, 0, len(times) + 1) == 0
        assert newer_edge(connection, history.cluster, times[-1], 1) == 0
        assert older_edge(connection, history.cluster, 0, 1, "nowhere") == 0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scenario", [SCENARIO, "03-crashloop"])
def test_pages_that_look_at_few_spans_have_the_rows_of_pages_that_look_at_all(
    histories: Histories, kind: Any, scenario: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = histories(scenario)
    whole, pages = rows_in_pages(history, kind, 1_000)
    assert pages == 1
    monkeypatch.setattr(view_rows, "LOOKED_AT", 7)
    found, pages = rows_in_pages(history, kind, 2)
    assert found == whole
    assert pages > len(starts(history)) // 40
    namespace = history.cluster.partition("-")[2]
    within = {"since": starts(history)[10], "until": starts(history)[-10], "namespace": namespace}
    expected = [
        row for row in whole if within["since"] <= row.start_time < within["until"] and row.namespace == namespace
    ]
    assert rows_in_pages(history, kind, 2, **within)[0] == expected


def test_a_page_ends_before_spans_that_began_at_the_same_moment(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(view_rows, "LOOKED_AT", 3)
    together = [
        make_span(f"Pod.{n}", span_id=f"{n:016x}", start_time=START, error=True, parent_span_id="f" * 16)
        for n in range(1, 21)
    ]
    root = make_span("Pod.First", span_id="f" * 16, start_time=START - 1)
    spans = [root, *together]
    commit(store, spans=spans, traces=[make_trace(spans)])
    found, _ = rows_in_pages(History(store, CLUSTER, ""), Failure, 2)
    assert sorted(row.span_id for row in found) == [span.span_id for span in together]


@pytest.mark.parametrize("limit", [3, 1_000])
def test_the_timeline_of_a_node_has_the_node_and_its_pods(
    histories: Histories, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = histories("drain")
    objects = schema.objects
    with history.store.reading("ask") as connection:
        query = select(objects.c.uid).where(objects.c.cluster == history.cluster, objects.c.node == "node-a")
        uids = set(connection.execute(query).scalars())
    everything, _ = lines_in_pages(history, 10_000)
    expected = [
        line.span.span_id
        for line in everything
        if line.span.object_uid in uids or (line.span.object_kind, line.span.object_name) == ("Node", "node-a")
    ]
    assert {"Node", "Pod"} == {line.span.object_kind for line in everything if line.span.span_id in expected}
    assert 0 < len(expected) < len(everything)
    monkeypatch.setattr(timelines, "_LOOKED_AT", 4)
    found, pages = lines_in_pages(history, limit, node="node-a")
    assert [line.span.span_id for line in found] == expected
    assert pages > len(everything) // 8
    listed = timeline(history.store, history.cluster, TimelineFilter(node="node-a"))
    assert [line.span.span_id for line in listed] == expected
    pods, _ = lines_in_pages(history, limit, node="node-a", namespace="shop")
    assert {line.span.object_kind for line in pods} == {"Pod"}


def test_what_waits_for_its_cause_is_on_its_node(store: Store) -> None:
    pods = [make_object("Pod", "here", node="node-a"), make_object("Pod", "there", node="node-b")]
    waiting = [
        make_pending("Pod.Odd", span_id=f"{number:016x}", object_uid=pod.uid, object_kind="Pod", object_name=pod.name)
        for number, pod in enumerate(pods, 1)
    ]
    commit(store, objects=pods, spans=waiting)
    found, _ = lines_in_pages(History(store, CLUSTER, ""), 10, node="node-a")
    assert [line.span.object_name for line in found] == ["here"]


def test_an_edge_is_found_in_an_index_on_both_databases(histories: Histories) -> None:
    history = histories(SCENARIO)
    engine = engine_of(history.store)
    with statements_of(engine) as asked, history.store.reading("ask") as connection:
        older_edge(connection, history.cluster, 1, 10)
        older_edge(connection, history.cluster, 1, 10, "rolling-update")
        newer_edge(connection, history.cluster, 1, 10)
    edges = [each for each in asked if "start_time" in each[0]]
    assert len(edges) == 3
    postgresql = engine.dialect.name == "postgresql"
    with history.store.reading("look") as connection:
        if postgresql:
            # The tables are small enough to be read as a whole.
            connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
            connection.exec_driver_sql("SET LOCAL enable_sort = off")
        for statement, parameters in edges:
            explain = "EXPLAIN" if postgresql else "EXPLAIN QUERY PLAN"
            rows = connection.exec_driver_sql(f"{explain} {statement}", parameters).all()
            plan = "\n".join(str(row[-1] if not postgresql else row[0]) for row in rows)
            assert "spans_start" in plan or "spans_namespace" in plan, plan
            assert "Sort" not in plan
            assert "B-TREE" not in plan


FILTERS = {
    "status": TraceFilter(status=Status.ERROR),
    "outcome": TraceFilter(outcome="ok"),
    "text": TraceFilter(text="WEB"),
    "duration": TraceFilter(min_duration=2_000_000_000),
    "name": TraceFilter(name="web"),
    "kind": TraceFilter(kind=parse_kind("pod"), outcome="ok"),
    "actor": TraceFilter(actor="kubectl"),
    "nothing": TraceFilter(outcome="superseded", name="web"),
}


@pytest.mark.parametrize("scenario", [SCENARIO, "03-crashloop", "drain"])
@pytest.mark.parametrize("wanted", FILTERS.values(), ids=list(FILTERS))
def test_pages_that_look_at_few_traces_have_the_traces_of_pages_that_look_at_all(
    histories: Histories, scenario: str, wanted: TraceFilter, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = histories(scenario)
    with history.store.reading("ask") as connection:
        whole = page_of_traces(connection, history.cluster, wanted, 1_000)
        assert whole.next is None
        monkeypatch.setattr(searching, "_MOST", 2)
        # As if an object had more spans than are looked at first.
        monkeypatch.setattr(searching, "_LOOKED_AT", 1)
        found: list[TraceSummary] = []
        before, pages = None, 0
        while pages == 0 or before is not None:
            page = page_of_traces(connection, history.cluster, replace(wanted, before=before), 1)
            found, before, pages = found + page.traces, page.next, pages + 1
            assert pages < 100, "the list does not end"
        assert found == whole.traces
        assert list_traces(connection, history.cluster, wanted, 1_000) == whole.traces


def test_a_rare_trace_is_looked_for_in_a_part_of_the_history(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searching, "_MOST", 5)
    made = []
    for number in range(20):
        spans = [make_span("Pod.Failed", trace=f"trace {number}", start=START + number)]
        made.append(make_trace(spans, error=number == 0))
        commit(store, spans=spans, traces=[made[-1]])
    pages, before = 0, None
    with store.reading("ask") as connection:
        while True:
            page = page_of_traces(connection, CLUSTER, TraceFilter(status=Status.ERROR, before=before), 10)
            pages, before = pages + 1, page.next
            if page.traces:
                break
            assert before is not None
            assert before[0] == made[-5 * pages].start_time
    assert [summary.trace.trace_id for summary in page.traces] == [made[0].trace_id]
    assert pages == 4


def test_the_traces_of_the_newest_spans_of_an_object_are_on_its_first_page(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searching, "_MOST", 5)
    monkeypatch.setattr(searching, "_LOOKED_AT", 3)
    made = []
    for number in range(30):
        subject = "web" if number < 6 else "other"
        spans = [make_span("Pod.Failed", trace=f"trace {number}", start=START + number, subject=subject)]
        made.append(make_trace(spans))
        pod = make_object("Pod", subject)
        commit(store, objects=[pod], spans=spans, traces=[made[-1]])
    wanted = TraceFilter(kind=parse_kind("pod"), namespace="shop", name="web")
    with store.reading("ask") as connection:
        page = page_of_traces(connection, CLUSTER, wanted, 10)
        assert [s.trace.trace_id for s in page.traces] == [trace.trace_id for trace in made[5:3:-1]]
        assert page.next is not None
        everything = list_traces(connection, CLUSTER, wanted, 10)
    assert [s.trace.trace_id for s in everything] == [trace.trace_id for trace in made[5::-1]]


@pytest.mark.parametrize("wanted", [ObjectFilter(), ObjectFilter(deleted=True), ObjectFilter(prefix="web-8")])
@pytest.mark.parametrize("looked_at", [1, 3, 20_000])
def test_pages_of_objects_together_have_each_object_once_however_few_a_page_looks_at(
    histories: Histories, monkeypatch: pytest.MonkeyPatch, wanted: ObjectFilter, looked_at: int
) -> None:
    history = histories(SCENARIO)
    with history.store.reading("ask") as connection:
        everything, end = list_objects(connection, history.cluster, wanted, 1_000)
        assert end is None
        assert everything
        monkeypatch.setattr(listing, "_LOOKED_AT", looked_at)
        found, after = list_objects(connection, history.cluster, wanted, 2)
        while after is not None:
            more, after = list_objects(connection, history.cluster, replace(wanted, after=after), 2)
            found += more
    assert found == everything
