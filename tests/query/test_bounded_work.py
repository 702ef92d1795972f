"""The work of a question does not grow with the history: on ten times as many records it looks at as many rows.

On SQLite the steps of its virtual machine are counted, on PostgreSQL the rows that scans return or reject.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec
import pytest
from msgspec.structs import replace
from sqlalchemy import Connection

from benchmarks.history import CLUSTER, make
from kspan.query import timeline, traces, view_rows
from kspan.query.answers.trace import item
from kspan.query.explain.reasons import flapping
from kspan.query.explain.serving import still_serving
from kspan.query.fleet.listing import list_clusters
from kspan.query.fleet.traces import traces_of_all
from kspan.query.home import HOUR, what_happens
from kspan.query.objects import family, listing
from kspan.query.objects.compare import compare
from kspan.query.objects.family import family_of
from kspan.query.objects.find import find
from kspan.query.objects.life import life_of
from kspan.query.objects.listing import ObjectFilter, list_objects
from kspan.query.objects.names import parse_kind, parse_object
from kspan.query.objects.status import state_of
from kspan.query.objects.versions import version_at
from kspan.query.rollouts import Rollout, RolloutFilter, list_rollouts
from kspan.query.spans import fetch, of_object
from kspan.query.timeline import TimelineFilter, newest_time, page_of_timeline
from kspan.query.traces import TraceFilter, find_trace, list_traces, page_of_traces
from kspan.query.view_rows import Failure, RowFilter, Termination, page_of_rows
from kspan.query.visible import EVERYTHING, Visible
from kspan.query.waterfall.head import read_head
from kspan.query.why import why
from kspan.store import Store, open_store
from kspan.store.schema import tables as schema
from kspan.store.tables.cluster_names import named_clusters
from kspan.times import LATEST, SECOND
from tests.emit.rows import START, make_span, make_trace
from tests.postgres import TEMPLATE, PostgresServer
from tests.query.conftest import STORES
from tests.query.made import CLUSTER as MADE
from tests.query.made import commit, commit_busy_hour
from tests.recordings import recording
from tests.store.engine import engine_of, statements_of

SCENARIO: Final = "02-rolling-update"
NAMESPACE: Final = "rolling-update"
SIZES: Final = (2_000, 20_000)
"""Records and about half as many spans, in copies of one recording."""
DAYS: Final = 3.0
"""Duration of the longer history. In the other as much happens in an hour."""

SLACK: Final = 1.25
"""By how much the work may grow: indexes get a level deeper."""
FEW: Final = 50
"""Rows, or hundreds of instructions, that are not counted."""

ONLY_MINE: Final = Visible(lambda namespace: namespace == NAMESPACE)
WEB, POD = ("deploy/web",), ("pod/web-854b7f4f-9xzlt",)

Question = Callable[[Connection], object]


def _newest(connection: Connection) -> str:
    return page_of_traces(connection, CLUSTER, TraceFilter(), 1).traces[0].trace.trace_id


def _flaps(connection: Connection) -> object:
    pod = find(connection, CLUSTER, parse_object(POD)).object
    query = of_object(CLUSTER, pod).where(schema.spans.c.reason == "Ready")
    (ready,) = fetch(connection, CLUSTER, query.limit(1))
    return flapping.reason(connection, CLUSTER, pod, ready, LATEST)


QUESTIONS: Final[dict[str, Question]] = {
    "home": lambda c: what_happens(c, CLUSTER, LATEST),
    "home of one namespace": lambda c: what_happens(c, CLUSTER, LATEST, ONLY_MINE),
    "why a Pod is gone": lambda c: why(c, CLUSTER, parse_object(POD)),
    "why a Deployment changed": lambda c: why(c, CLUSTER, parse_object(WEB)),
    "the newest traces": lambda c: page_of_traces(c, CLUSTER, TraceFilter(), 5),
    "the newest traces of all clusters": lambda c: traces_of_all(
        named_clusters(c),
        lambda uid, wanted, limit: [item(each) for each in list_traces(c, uid, wanted, limit)],
        TraceFilter(),
        5,
    ),
    "the list of clusters": lambda c: list_clusters(c, [CLUSTER]),
    "traces of a namespace": lambda c: page_of_traces(c, CLUSTER, TraceFilter(namespace=NAMESPACE), 5),
    "traces of an object": lambda c: page_of_traces(
        c, CLUSTER, TraceFilter(kind=parse_kind("deploy"), namespace=NAMESPACE, name="web"), 5
    ),
    "traces with a text that is nowhere": lambda c: page_of_traces(c, CLUSTER, TraceFilter(text="nowhere"), 5),
    "traces with an outcome that is nowhere": lambda c: page_of_traces(c, CLUSTER, TraceFilter(outcome="failed"), 5),
    "traces by an actor that is nowhere": lambda c: page_of_traces(c, CLUSTER, TraceFilter(actor="nobody"), 5),
    "a trace": lambda c: find_trace(c, CLUSTER, _newest(c)),
    "whether an asker may see a trace": lambda c: ONLY_MINE.traces(c, CLUSTER, [_newest(c)]),
    "the head of a trace": lambda c: read_head(c, CLUSTER, EVERYTHING, find_trace(c, CLUSTER, _newest(c))[0], 10),
    "the newest hour of the timeline": lambda c: page_of_timeline(
        c, CLUSTER, TimelineFilter(since=newest_time(c, CLUSTER) - 1), 25
    ),
    "the timeline from the first record on": lambda c: page_of_timeline(c, CLUSTER, TimelineFilter(since=1), 25),
    "the timeline of a namespace": lambda c: page_of_timeline(
        c, CLUSTER, TimelineFilter(since=1, namespace=NAMESPACE), 25
    ),
    "the timeline of an object": lambda c: page_of_timeline(
        c, CLUSTER, TimelineFilter(since=1, kind=parse_kind("pod"), namespace=NAMESPACE, name=POD[0][4:]), 25
    ),
    "the errors of the timeline": lambda c: page_of_timeline(c, CLUSTER, TimelineFilter(since=1, errors=True), 25),
    "the errors of a namespace": lambda c: page_of_timeline(
        c, CLUSTER, TimelineFilter(since=1, errors=True, namespace=NAMESPACE), 25
    ),
    "the timeline of a kind": lambda c: page_of_timeline(
        c, CLUSTER, TimelineFilter(since=1, kind=parse_kind("replicaset")), 25
    ),
    "the timeline of a Node": lambda c: page_of_timeline(c, CLUSTER, TimelineFilter(since=1, node="node-a"), 25),
    "objects whose name begins with a text": lambda c: list_objects(c, CLUSTER, ObjectFilter(prefix="web"), 5),
    "the life of a Deployment": lambda c: life_of(c, CLUSTER, find(c, CLUSTER, parse_object(WEB)).object),
    "the life of a Pod": lambda c: life_of(c, CLUSTER, find(c, CLUSTER, parse_object(POD)).object),
    "the owners and dependents of an object": lambda c: family_of(
        c, CLUSTER, find(c, CLUSTER, parse_object(WEB)).object, None
    ),
    "what of a Deployment still serves": lambda c: still_serving(
        c, CLUSTER, find(c, CLUSTER, parse_object(WEB)).object, (), 0
    ),
    "whether a Pod flaps": _flaps,
    "the state of an object": lambda c: state_of(c, CLUSTER, find(c, CLUSTER, parse_object(WEB)).object),
    "an object at a time": lambda c: version_at(c, CLUSTER, parse_object(WEB), at=LATEST),
    "the last change of an object": lambda c: compare(c, CLUSTER, parse_object(WEB)),
    "the newest rollouts": lambda c: list_rollouts(c, CLUSTER, RolloutFilter(since=newest_time(c, CLUSTER) - HOUR), 5),
    "rollouts of a workload": lambda c: list_rollouts(c, CLUSTER, RolloutFilter(name="web"), 5),
    "a page of rollouts": lambda c: page_of_rows(c, CLUSTER, Rollout, RowFilter(), 5),
    "a page of failures": lambda c: page_of_rows(c, CLUSTER, Failure, RowFilter(), 5),
    "a page of terminations": lambda c: page_of_rows(c, CLUSTER, Termination, RowFilter(), 5),
}

BUSY: Final = (300, 3_000)
"""Occurrences of an hour, besides its few rollouts and failures."""
ALL_OF_MADE: Final = RolloutFilter(since=START - SECOND)

RARE: Final[dict[str, Question]] = {
    "home": lambda c: what_happens(c, MADE, START + HOUR),
    "home of one namespace": lambda c: what_happens(c, MADE, START + HOUR, Visible(lambda name: name == "shop")),
    "rollouts": lambda c: list_rollouts(c, MADE, ALL_OF_MADE, 5),
    "rollouts of a kind": lambda c: list_rollouts(c, MADE, replace(ALL_OF_MADE, kind=parse_kind("deploy")), 5),
    "rollouts of a namespace": lambda c: list_rollouts(c, MADE, replace(ALL_OF_MADE, namespace="shop"), 5),
    "rollouts since ever": lambda c: list_rollouts(c, MADE, RolloutFilter(), 5),
    "rollouts of a namespace since ever": lambda c: list_rollouts(c, MADE, RolloutFilter(namespace="shop"), 5),
}
"""Answers with what is rare among many other occurrences."""


class Sizes(msgspec.Struct):
    """Two histories, the second ten times as long, and how their work is counted."""

    small: Store
    large: Store
    work: Callable[[Store, Question], int]


@pytest.fixture(scope="module", params=STORES)
def sizes(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sizes]:
    stores = []
    for size in SIZES:
        store = empty_store(request, tmp_path_factory, request.param)
        make(store, recording(SCENARIO), size, size, DAYS * size / SIZES[-1], lambda _: None, stem="web")
        if request.param == "postgresql":  # Autovacuum does it in time. kspan never does it for SQLite.
            with store.writing("collect statistics", CLUSTER) as connection:
                connection.exec_driver_sql("ANALYZE")
        stores.append(store)
    yield Sizes(stores[0], stores[1], steps if request.param == "sqlite" else rows_looked_at)
    for store in stores:
        store.close()


@pytest.fixture(scope="module", params=STORES)
def busy(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sizes]:
    small, large = (empty_store(request, tmp_path_factory, request.param) for _ in BUSY)
    for store, others in zip((small, large), BUSY, strict=True):
        commit_busy_hour(store, others)
    yield Sizes(small, large, steps if request.param == "sqlite" else rows_looked_at)
    small.close()
    large.close()


def empty_store(request: pytest.FixtureRequest, folders: pytest.TempPathFactory, kind: str) -> Store:
    if kind == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgres")
        return open_store(server.url(server.create(TEMPLATE)))
    return open_store(str(folders.mktemp("bounded") / "kspan.sqlite"))


def steps(store: Store, question: Question) -> int:
    """Instructions of SQLite's virtual machine, in hundreds."""
    found = 0

    def count() -> int:
        nonlocal found
        found += 1
        return 0

    with store.reading("ask") as connection:
        raw: Any = connection.connection.driver_connection
        raw.set_progress_handler(count, 100)
        try:
            question(connection)
        finally:
            raw.set_progress_handler(None, 0)
    return found


def rows_looked_at(store: Store, question: Question) -> int:
    """Rows that the scans of all statements return or reject."""
    with statements_of(engine_of(store)) as asked, store.reading("ask") as connection:
        question(connection)
    found = 0
    with store.reading("explain") as connection:
        connection.exec_driver_sql("SET LOCAL enable_seqscan = off")  # Some tables are small enough to be read whole.
        for statement, parameters in asked:
            if statement.startswith(("SELECT", "WITH")):
                explain = f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {statement}"
                (plan,) = connection.exec_driver_sql(explain, parameters).scalar_one()
                found += _scanned((json.loads(plan) if isinstance(plan, str) else plan)["Plan"])
    return found


def _scanned(node: dict[str, Any]) -> int:
    own = 0
    if "Scan" in node["Node Type"]:
        rejected = sum(value for name, value in node.items() if name.startswith("Rows Removed by"))
        own = (node["Actual Rows"] + rejected) * node["Actual Loops"]
    return int(own) + sum(_scanned(child) for child in node.get("Plans", ()))


@pytest.fixture(autouse=True)
def small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a page looks at a part of the history, that part is smaller than the small history."""
    monkeypatch.setattr(timeline, "_LOOKED_AT", 200)
    monkeypatch.setattr(view_rows, "LOOKED_AT", 200)
    monkeypatch.setattr(family, "_LOOKED_AT", 20)
    monkeypatch.setattr(listing, "_LOOKED_AT", 30)
    monkeypatch.setattr(traces, "_LOOKED_AT", 20)
    monkeypatch.setattr(traces, "_MOST", 20)


@pytest.mark.parametrize("question", QUESTIONS)
def test_the_work_of_a_question_does_not_grow_with_the_history(sizes: Sizes, question: str) -> None:
    small, large = (sizes.work(store, QUESTIONS[question]) for store in (sizes.small, sizes.large))
    assert large <= small * SLACK + FEW


@pytest.mark.parametrize("question", RARE)
def test_the_work_of_a_question_about_what_is_rare_does_not_grow_with_what_is_not(busy: Sizes, question: str) -> None:
    for store in (busy.small, busy.large):
        with store.reading("ask") as connection:
            assert RARE[question](connection), "an answer without anything would be cheap"
    small, large = (busy.work(store, RARE[question]) for store in (busy.small, busy.large))
    assert large <= small * SLACK + FEW


@pytest.mark.parametrize("parameter", STORES)
def test_the_spans_of_a_trace_are_read_once_for_all_rollouts_in_it(
    parameter: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> None:
    counts = []
    for rollouts in (20, 200):
        with empty_store(request, tmp_path_factory, parameter) as store:
            spans = [make_span("Deployment.Update", key=str(n), subject=f"web-{n}") for n in range(rollouts)]
            spans += [make_span("Pod.Pulled", key=f"pulled {n}", subject=f"web-{n // 5}") for n in range(5 * rollouts)]
            commit(store, spans=spans, traces=[make_trace(spans)], cluster=MADE)
            work = steps if parameter == "sqlite" else rows_looked_at
            counts.append(work(store, lambda c: list_rollouts(c, MADE, RolloutFilter(), 1_000)))
    small, large = counts
    assert large <= 10 * small * SLACK + FEW
