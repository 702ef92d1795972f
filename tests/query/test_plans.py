"""How the databases go about the questions: none walks through all spans of a cluster for those of one object or trace.

Most plans are those of SQLite, which has no statistics.
"""

import re
from collections.abc import Callable

import pytest
from sqlalchemy import Connection

from kspan.model import ObjectRow
from kspan.query.home import HOUR, what_happens
from kspan.query.objects.compare import compare
from kspan.query.objects.find import find
from kspan.query.objects.life import life_of
from kspan.query.objects.listing import ObjectFilter, list_objects
from kspan.query.objects.names import parse_kind, parse_object
from kspan.query.objects.occurrences import page_of_occurrences
from kspan.query.objects.status import state_of
from kspan.query.objects.versions import version_at
from kspan.query.rollouts import Rollout, RolloutFilter, list_rollouts
from kspan.query.timeline import TimelineFilter, page_of_timeline, timeline
from kspan.query.traces import TraceFilter, find_trace, list_traces, page_of_traces, trace_starting_with
from kspan.query.view_rows import Failure, RowFilter, Termination, page_of_rows
from kspan.query.visible import EVERYTHING, Visible
from kspan.query.waterfall.detail import changes_of
from kspan.query.waterfall.head import count_spans, read_head
from kspan.query.why import why
from kspan.store import Store
from kspan.times import LATEST, parse_time
from tests.emit.rows import START
from tests.query.conftest import Histories, History
from tests.query.made import CLUSTER as MADE
from tests.query.made import commit_busy_hour
from tests.store.engine import engine_of, statements_of

WALK = re.compile(
    r"SCAN (spans|s|p|journal)|SEARCH (spans|s|p|journal) USING .*\(cluster=\?\)"
    r"|SEARCH p USING .* spans_start .*|SEARCH s USING .* spans_namespace \(cluster=\? AND object_namespace=\?\)"
)
"""Spans are ``s`` in views. ``p`` are the spans of the trace of one row, so they are never read by time."""
OBJECTS_WALK = re.compile(r"SCAN objects|SEARCH objects USING .*\(cluster=\?(?: AND kind=\?)?\)")
PAST = parse_time("2026-11-22T10:25:51Z")
JOURNAL_WALK = re.compile(r"SCAN journal|SEARCH journal USING .*\(cluster=\?(?: AND seq[<>]\?)?\)")


def the_deployment(history: History, connection: Connection) -> ObjectRow:
    return find(connection, history.cluster, parse_object(("deploy/web",))).object


Question = Callable[[History, Connection], object]


def _newest(history: History, connection: Connection) -> str:
    return list_traces(connection, history.cluster, TraceFilter(), 1)[0].trace.trace_id


QUESTIONS: dict[str, Question] = {
    "why a Pod is gone": lambda h, c: why(c, h.cluster, parse_object(("pod/web-854b7f4f-9xzlt",))),
    "why a Deployment changed": lambda h, c: why(c, h.cluster, parse_object(("deploy/web",))),
    "a trace": lambda h, c: find_trace(c, h.cluster, list_traces(c, h.cluster, TraceFilter(), 1)[0].trace.trace_id),
    "the head of a trace": lambda h, c: read_head(
        c, h.cluster, EVERYTHING, trace_starting_with(c, h.cluster, _newest(h, c)), 10
    ),
    "whether an asker may see a trace": lambda h, c: Visible(lambda name: name == "rolling-update").traces(
        c, h.cluster, [_newest(h, c)]
    ),
    "how many spans a trace has": lambda h, c: count_spans(c, h.cluster, _newest(h, c)),
    "a change and the version before": lambda h, c: changes_of(
        c, h.cluster, find_trace(c, h.cluster, _newest(h, c))[1][0]
    ),
    "the traces of an object": lambda h, c: list_traces(
        c, h.cluster, TraceFilter(namespace="rolling-update", kind=parse_kind("deploy"), name="web"), 20
    ),
    "the traces of a namespace": lambda h, c: list_traces(c, h.cluster, TraceFilter(namespace="rolling-update"), 20),
    "the timeline of an object": lambda h, _: list(
        timeline(h.store, h.cluster, TimelineFilter(namespace="rolling-update", name="web"))
    ),
    "the timeline of a namespace": lambda h, _: list(
        timeline(h.store, h.cluster, TimelineFilter(namespace="rolling-update", since=1))
    ),
    "the life of an object": lambda h, c: life_of(c, h.cluster, the_deployment(h, c)),
    "the life of a Pod": lambda h, c: life_of(
        c, h.cluster, find(c, h.cluster, parse_object(("pod/web-854b7f4f-9xzlt",))).object
    ),
    "the life of a Pod at a time": lambda h, c: life_of(
        c, h.cluster, find(c, h.cluster, parse_object(("pod/web-854b7f4f-9xzlt",))).object, at=PAST
    ),
    "the life of an object without a namespace": lambda h, c: life_of(
        c, h.cluster, find(c, h.cluster, parse_object(("node/node-a",))).object
    ),
    "an older page of occurrences": lambda h, c: page_of_occurrences(
        c, h.cluster, the_deployment(h, c), 5, before=(PAST, "~", "~")
    ),
    "the state of an object": lambda h, c: state_of(c, h.cluster, the_deployment(h, c)),
    "an object at a time": lambda h, c: version_at(c, h.cluster, parse_object(("deploy/web",)), at=LATEST),
    "the difference of two versions": lambda h, c: compare(c, h.cluster, parse_object(("deploy/web",))),
    "what happens now": lambda h, c: what_happens(c, h.cluster, LATEST),
    "the rollouts of a day": lambda h, c: list_rollouts(c, h.cluster, RolloutFilter(since=1), 10),
    "a page of rollouts": lambda h, c: page_of_rows(c, h.cluster, Rollout, RowFilter(), 10),
    "a page of failures": lambda h, c: page_of_rows(c, h.cluster, Failure, RowFilter(namespace="rolling-update"), 10),
    "a page of terminations": lambda h, c: page_of_rows(c, h.cluster, Termination, RowFilter(), 10),
    "a page of the timeline of a node": lambda h, c: page_of_timeline(c, h.cluster, TimelineFilter(node="node-a"), 10),
    "a page of objects": lambda h, c: list_objects(c, h.cluster, ObjectFilter(prefix="web"), 10),
    "traces with a text": lambda h, c: page_of_traces(c, h.cluster, TraceFilter(text="web", outcome="ok"), 10).traces,
    "the rollouts of a workload": lambda h, c: list_rollouts(c, h.cluster, RolloutFilter(name="web"), 10),
}


@pytest.mark.parametrize("histories", ["sqlite"], indirect=True)
@pytest.mark.parametrize("question", QUESTIONS)
def test_no_query_scans_all_spans(histories: Histories, question: str) -> None:
    for statement, plan in plans(histories("02-rolling-update"), question):
        assert not any(WALK.fullmatch(step) for step in plan), (statement, plan)


@pytest.mark.parametrize("histories", ["sqlite"], indirect=True)
@pytest.mark.parametrize("question", [name for name in QUESTIONS if name.startswith(("the life of", "an older page"))])
def test_the_page_of_an_object_walks_through_no_table(histories: Histories, question: str) -> None:
    for statement, plan in plans(histories("02-rolling-update"), question):
        walks = [step for step in plan if JOURNAL_WALK.fullmatch(step) or OBJECTS_WALK.fullmatch(step)]
        # The bisection by time, and the kinds: a step each.
        assert not walks or "LIMIT" in statement or "min(" in statement, (statement, plan)


@pytest.mark.parametrize("histories", ["sqlite"], indirect=True)
def test_the_version_before_a_change_is_found_by_its_object(histories: Histories) -> None:
    for statement, plan in plans(histories("02-rolling-update"), "a change and the version before"):
        assert not any(JOURNAL_WALK.fullmatch(step) for step in plan), (statement, plan)


@pytest.mark.parametrize(
    "question, index",
    [
        (lambda c: list_rollouts(c, MADE, RolloutFilter(since=START + 180), 10), "spans_workload"),
        (lambda c: list_rollouts(c, MADE, RolloutFilter(), 10), "spans_workload(_namespace)?"),
        (lambda c: list_rollouts(c, MADE, RolloutFilter(namespace="other"), 10), "spans_workload_namespace"),
        (lambda c: page_of_rows(c, MADE, Rollout, RowFilter(namespace="other"), 10), "spans_workload_namespace"),
        (lambda c: page_of_rows(c, MADE, Failure, RowFilter(), 10), "spans_failed"),
        (lambda c: what_happens(c, MADE, START + HOUR), "spans_failed"),
    ],
    ids=["rollouts", "all rollouts", "rollouts of a namespace", "a page of them", "failures", "home"],
)
def test_what_is_rare_is_found_by_the_index_that_has_only_that(
    store: Store, question: Callable[[Connection], object], index: str
) -> None:
    commit_busy_hour(store, 2_000, rollouts=200)
    with statements_of(engine_of(store)) as asked, store.reading("ask") as connection:
        question(connection)
    view = "failures" if index == "spans_failed" else "rollouts"
    (of_view,) = [each for each in asked if f"FROM {view}" in each[0]]
    explain = "EXPLAIN QUERY PLAN" if engine_of(store).dialect.name == "sqlite" else "EXPLAIN"
    with store.reading("look") as connection:
        plan = [str(row) for row in connection.exec_driver_sql(f"{explain} {of_view[0]}", of_view[1])]
    assert any(re.search(rf"\b{index}\b", step) for step in plan), "\n".join(plan)


def plans(history: History, question: str) -> list[tuple[str, list[str]]]:
    """The statements of a question, and the steps of their plans."""
    with statements_of(engine_of(history.store)) as asked, history.store.reading("ask") as connection:
        assert QUESTIONS[question](history, connection)
    selects = [each for each in asked if each[0].startswith(("SELECT", "WITH"))]
    assert selects
    with history.store.reading("look") as connection:
        return [
            (statement, [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)])
            for statement, parameters in selects
        ]
