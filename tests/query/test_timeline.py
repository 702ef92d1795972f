"""What happened between two moments, and what goes on happening."""

from itertools import islice
from typing import Any

import pytest

from kspan.errors import QueryError
from kspan.graph import built_in_rules
from kspan.ingest.journal_builder import JournalBatch
from kspan.model import SpanEvent
from kspan.pipeline.projector import Projector
from kspan.query.objects.names import parse_kind
from kspan.query.spans import times
from kspan.query.timeline import PAGE, Follower, TimelineFilter, TimelineLine, timeline
from kspan.store import Store
from kspan.times import SECOND, parse_time
from kspan.vocabulary import CONDITION_TYPE
from tests.causality.actors import rolled_out
from tests.causality.cluster import Cluster
from tests.emit.rows import START, make_span, make_trace
from tests.query.conftest import Histories, History
from tests.query.made import CLUSTER, commit, make_object, make_pending


def lines(history: History, **wanted: Any) -> list[TimelineLine]:
    return list(timeline(history.store, history.cluster, TimelineFilter(**wanted)))


def names(found: list[TimelineLine]) -> list[str]:
    return [f"{line.span.name} {line.span.object_name}" for line in found]


def test_every_occurrence_is_listed_once_oldest_first(histories: Histories) -> None:
    history = histories("02-rolling-update")
    found = lines(history)
    spans = list(history.store.projection_rows(history.cluster, "spans"))
    assert sorted((line.span.trace_id, line.span.span_id) for line in found) == sorted(
        (row["trace_id"], row["span_id"]) for row in spans
    )
    assert [line.time for line in found] == sorted(line.time for line in found)


@pytest.mark.parametrize(
    "wanted",
    [
        {"kind": parse_kind("po")},
        {"namespace": "rolling-update"},
        {"kind": parse_kind("deploy"), "name": "web"},
        {"name": "web-854b7f4f", "namespace": "rolling-update"},
        {"name": "nothing"},
        {"kind": parse_kind("cronjob")},
        {"errors": True},
        {"since": parse_time("2026-11-22T10:25:20Z"), "until": parse_time("2026-11-22T10:25:40Z")},
    ],
)
def test_filters_give_the_same_lines_as_a_full_scan(histories: Histories, wanted: dict[str, Any]) -> None:
    history = histories("02-rolling-update")

    def fits(line: TimelineLine) -> bool:
        span, kind = line.span, wanted.get("kind")
        return (
            (kind is None or kind.means(span.object_kind) or span.object_kind == kind.built_in)
            and wanted.get("namespace", span.object_namespace) == span.object_namespace
            and wanted.get("name", span.object_name) == span.object_name
            and (span.error or not wanted.get("errors"))
            and wanted.get("since", 0) <= line.time < wanted.get("until", line.time + 1)
        )

    assert lines(history, **wanted) == list(filter(fits, lines(history)))


def test_an_unknown_kind_is_an_error_before_the_first_line(histories: Histories) -> None:
    history = histories("02-rolling-update")
    with pytest.raises(QueryError, match="did you mean replicaset"):
        timeline(history.store, history.cluster, TimelineFilter(kind=parse_kind("replicset")))


def test_the_timeline_of_a_namespace_includes_its_deletion(histories: Histories) -> None:
    assert "Namespace.Delete delete-cascade" in names(lines(histories("11-delete-cascade"), namespace="delete-cascade"))


def test_pages_neither_lose_nor_repeat_occurrences_of_one_instant(store: Store) -> None:
    spans = [
        make_span("Pod.Create", trace=f"t{n % 3}", key=str(n), subject=f"p{n}", start=START + n // (PAGE + 7))
        for n in range(2 * PAGE + 50)
    ]
    traces = [make_trace([span for span in spans if span.trace_id == one.trace_id]) for one in spans[:3]]
    commit(store, [], spans, traces)
    found = lines(History(store, CLUSTER))
    assert len(found) == len(spans)
    assert {line.span.span_id for line in found} == {span.span_id for span in spans}


def test_the_timeline_is_read_while_it_is_printed(store: Store) -> None:
    spans = [make_span("Pod.Create", key=str(n), start=START + n) for n in range(PAGE + 1)]
    commit(store, [], spans, [make_trace(spans)])
    reading = timeline(store, CLUSTER, TimelineFilter())
    assert len(list(islice(reading, PAGE))) == PAGE
    # Nothing is held open between two pages: a commit gets through, and what it brings later is read.
    commit(store, [], [make_span("Pod.Delete", trace="late", start=START + 2 * PAGE)])
    assert names(list(reading)) == ["Pod.Create web", "Pod.Delete web"]


def test_an_earlier_occurrence_is_listed_at_its_first_repeat_in_the_interval(store: Store) -> None:
    repeats = [SpanEvent(START + n * SECOND, "BackOff", {}) for n in (60, 120, 180)]
    span = make_span("Pod.BackOff", events=repeats, end=START + 180 * SECOND, error=True)
    commit(store, [make_object("Pod", "web")], [span], [make_trace([span])])
    history = History(store, CLUSTER)
    assert [line.time for line in lines(history)] == [START]
    for more in ({}, {"name": "web"}, {"namespace": "shop", "errors": True}):
        (line,) = lines(history, since=START + 90 * SECOND, **more)
        assert line.time == START + 120 * SECOND
    assert lines(history, since=START + 130 * SECOND, until=START + 170 * SECOND) == []


def test_a_condition_transition_is_not_a_repeat_of_its_span(store: Store) -> None:
    noted = SpanEvent(START + 60 * SECOND, "ContainersReady", {CONDITION_TYPE: "ContainersReady"})
    span = make_span("Pod.Ready", events=[noted], end=START + 60 * SECOND)
    commit(store, [make_object("Pod", "web")], [span], [make_trace([span])])
    history = History(store, CLUSTER)
    assert lines(history, since=START + 30 * SECOND) == []
    assert [times(line.span) for line in lines(history)] == [1]


def test_undecided_occurrences_are_listed(store: Store) -> None:
    commit(store, [], [make_pending("Pod.Failed", error=True), make_pending("Pod.Pulled", start=START + 5)])
    history = History(store, CLUSTER)
    assert names(lines(history)) == ["Pod.Failed web", "Pod.Pulled web"]
    assert names(lines(history, errors=True)) == ["Pod.Failed web"]
    assert names(lines(history, since=START + 1)) == ["Pod.Pulled web"]


def test_following_lists_every_new_occurrence_once(store: Store) -> None:
    cluster = Cluster()
    rolled_out(cluster, "web")
    cluster.wait(120)
    rolled_out(cluster, "api")
    cluster.receive_all()
    projector = Projector(store, CLUSTER, built_in_rules())
    follower = Follower(store, CLUSTER, TimelineFilter(), set())
    seen: list[str] = []
    for record in cluster.records:
        projector.add([JournalBatch([record])])
        projector.flush()
        seen += [line.span.span_id for line in follower.poll()]
    projector.run_out()
    seen += [line.span.span_id for line in follower.poll()]
    assert len(seen) == len(set(seen))
    assert set(seen) == {line.span.span_id for line in lines(History(store, CLUSTER))}
    assert follower.poll() == []


def test_following_finds_traces_that_open_and_close_between_two_polls(store: Store) -> None:
    before = make_span("Pod.Create", trace="before")
    commit(store, [], [before], [make_trace([before])])
    follower = Follower(store, CLUSTER, TimelineFilter(), {before.span_id})
    assert follower.poll() == []
    later = make_span("Pod.Delete", trace="later", start=START + SECOND)
    commit(store, [], [later], [make_trace([later], closed_at=START + 90 * SECOND)])
    assert names(follower.poll()) == ["Pod.Delete web"]
    assert follower.poll() == []


def test_following_applies_the_filter(store: Store) -> None:
    wanted = TimelineFilter(since=START, namespace="shop", kind=parse_kind("po"), errors=True)
    follower = Follower(store, CLUSTER, wanted, set())
    spans = [
        make_pending("Pod.Failed", key="1", error=True),
        make_pending("Pod.Failed", key="2", error=True, object_namespace="test"),
        make_pending("Pod.Pulled", key="3"),
        make_pending("Node.Failed", key="4", error=True),
        make_pending("Pod.Failed", key="5", error=True, start=START - 1),
    ]
    commit(store, [], spans)
    assert [line.span.span_id for line in follower.poll()] == [spans[0].span_id]
