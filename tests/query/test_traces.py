"""Which traces there are, and one of them whole."""

from typing import Any

import pytest

from kspan.errors import QueryError
from kspan.model import SpanState
from kspan.query.objects.names import parse_kind
from kspan.query.traces import Status, TraceFilter, TraceSummary, find_trace, list_traces
from kspan.store import Store
from kspan.times import MILLISECOND, SECOND, parse_time
from tests.emit.rows import START, make_span, make_trace
from tests.query.conftest import Histories, History
from tests.query.made import CLUSTER, commit, make_object, make_open_trace


def listed(history: History, limit: int | None = 20, **wanted: Any) -> list[TraceSummary]:
    with history.store.reading("ask") as connection:
        return list_traces(connection, history.cluster, TraceFilter(**wanted), limit)


def roots(found: list[TraceSummary]) -> list[str]:
    return [f"{summary.root.name} {summary.root.object_name}" if summary.root else "none" for summary in found]


def test_traces_are_listed_newest_first_up_to_the_limit(histories: Histories) -> None:
    history = histories("11-delete-cascade")
    everything = listed(history, None)
    starts = [summary.trace.start_time for summary in everything]
    assert starts == sorted(starts, reverse=True)
    assert roots(everything)[0] == "Namespace.Delete delete-cascade"
    assert listed(history, 3) == everything[:3]


@pytest.mark.parametrize(
    "wanted, expected",
    [
        ({"kind": parse_kind("deploy"), "name": "fg"}, ["Deployment.Delete fg", "Deployment.Create fg"]),
        ({"name": "fg"}, ["Deployment.Delete fg", "Deployment.Create fg"]),
        ({"name": "bg", "namespace": "delete-cascade"}, ["Deployment.Delete bg", "Deployment.Create bg"]),
        ({"name": "bg", "namespace": "default"}, []),
        ({"kind": parse_kind("pod"), "name": "bg"}, []),
        ({"kind": parse_kind("ns"), "name": "delete-cascade"}, ["Namespace.Delete delete-cascade"]),
        ({"actor": "deployment-controller"}, ["Deployment.ScalingReplicaSet smoke"]),
        ({"actor": "nobody"}, []),
        ({"namespace": "nowhere"}, []),
        ({"min_duration": 300 * SECOND, "kind": parse_kind("node")}, ["Node.Create node-b", "Node.Create node-a"]),
        (
            {"since": parse_time("2026-11-22T10:40:00Z"), "until": parse_time("2026-11-22T10:40:46Z")},
            ["Deployment.Delete bg", "Deployment.Delete fg"],
        ),
    ],
)
def test_filters_apply_to_any_span_or_to_the_root(
    histories: Histories, wanted: dict[str, Any], expected: list[str]
) -> None:
    assert roots(listed(histories("11-delete-cascade"), **wanted)) == expected


def test_the_traces_of_a_namespace_include_its_deletion(histories: Histories) -> None:
    found = roots(listed(histories("11-delete-cascade"), namespace="delete-cascade"))
    assert found[0] == "Namespace.Delete delete-cascade"
    assert len(found) == 7


def test_failed_traces_are_found_by_status(histories: Histories) -> None:
    history = histories("03-crashloop")
    crash, readyz = "Deployment.Create crash", "Namespace.KubeAPIReadyz openshift-kube-apiserver"
    (summary,) = listed(history, status=Status.ERROR)
    assert roots([summary]) == [crash]
    assert (summary.statuses, summary.trace.verdicts) == ([Status.ERROR], ["failing"])
    warned = listed(history, status=Status.WARNING)
    assert [found.trace.warnings > 0 for found in listed(history)].count(True) == len(warned)
    assert {crash, readyz} < set(roots(warned))
    assert listed(history, status=Status.INCOMPLETE) == []
    assert "Deployment.Create crash" not in roots(listed(history, status=Status.OK))
    assert listed(history, status=Status.OPEN) == []


def test_traces_are_found_if_many_spans_match(store: Store) -> None:
    """Above a number of spans the traces are gone through instead."""
    spans = [
        make_span("Pod.Create", trace=f"t{n}", subject=f"p{k}", key=str(k), start=START + n * SECOND + k)
        for n in range(30)
        for k in range(100)
    ]
    groups = [spans[n * 100 : n * 100 + 100] for n in range(30)]
    commit(store, [make_object("Pod", f"p{k}") for k in range(100)], spans, [make_trace(group) for group in groups])
    found = listed(History(store, CLUSTER), 3, kind=parse_kind("pod"))
    assert [summary.trace.trace_id for summary in found] == [group[0].trace_id for group in groups[:-4:-1]]


def test_a_rare_actor_is_found_far_back_and_without_a_limit(store: Store) -> None:
    spans = [
        make_span("Pod.Create", trace=f"t{n}", start=START + n // 2, service="helm" if n % 700 == 5 else "kubelet")
        for n in range(1500)
    ]
    commit(store, [], spans, [make_trace([span]) for span in spans])
    history = History(store, CLUSTER)
    found = [summary.trace.trace_id for summary in listed(history, actor="helm")]
    assert found == [spans[n].trace_id for n in (1405, 705, 5)]
    assert [summary.trace.trace_id for summary in listed(history, 1, actor="helm")] == found[:1]
    everything = listed(history, None)
    assert len({summary.trace.trace_id for summary in everything}) == len(everything) == 1500


def test_an_open_trace_is_listed_with_its_values_so_far(store: Store) -> None:
    spans = [
        make_span("Deployment.Update", service="kubectl", state=SpanState.OPEN),
        make_span(
            "Deployment.ScalingReplicaSet", parent="Deployment.Update web", start=START + SECOND, state=SpanState.OPEN
        ),
    ]
    commit(store, [make_object("Deployment", "web")], spans, [make_open_trace(spans)])
    history = History(store, CLUSTER)
    (found,) = listed(history, status=Status.OPEN)
    assert found.root is not None
    assert (found.root.name, found.trace.start_time, found.duration) == ("Deployment.Update", START, SECOND)
    assert found.trace.span_count == 2
    for matching in ({"actor": "kubectl"}, {"name": "web"}, {"since": START}, {"min_duration": 900 * MILLISECOND}):
        assert len(listed(history, **matching)) == 1
    for other in (
        {"actor": "helm"},
        {"name": "x"},
        {"since": START + 1},
        {"until": START},
        {"min_duration": 2 * SECOND},
    ):
        assert listed(history, **other) == []


@pytest.fixture
def three(store: Store) -> History:
    ids = ("a" * 32, "ab" + "c" * 30, "d" * 32)
    spans = [make_span("Pod.Create", trace_id=trace_id) for trace_id in ids]
    commit(store, [], spans, [make_trace([span]) for span in spans])
    return History(store, CLUSTER)


def one(history: History, prefix: str) -> str:
    with history.store.reading("ask") as connection:
        return find_trace(connection, history.cluster, prefix)[0].trace_id


def test_a_trace_is_found_by_the_first_digits_of_its_id(three: History) -> None:
    assert one(three, "d") == "d" * 32
    assert one(three, "AA") == "a" * 32
    assert one(three, "ab" + "c" * 30) == "ab" + "c" * 30


@pytest.mark.parametrize(
    "prefix, expected",
    [
        ("a", "several trace ids start with 'a': use more digits of aaaa.*, abcc"),
        ("e", "no trace id starts with 'e': 'kspan traces' lists the traces"),
        ("g", "invalid trace id 'g'"),
        ("", "invalid trace id ''"),
        ("%", "invalid trace id '%'"),
        ("d" * 33, "no trace id starts with"),
    ],
)
def test_an_unknown_or_ambiguous_id_is_refused(three: History, prefix: str, expected: str) -> None:
    with pytest.raises(QueryError, match=expected):
        one(three, prefix)
