"""The newest traces of all clusters: as a list of each, merged; no cluster is asked for more than can be shown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kspan.errors import QueryError
from kspan.query.answers.trace import TraceItem
from kspan.query.fleet.traces import traces_of_all
from kspan.query.traces import TraceFilter
from kspan.store.results import NamedCluster
from kspan.times import SECOND, format_time, parse_time

START = parse_time("2026-11-22T10:00:00Z")


def make_item(cluster: str, second: int) -> TraceItem:
    return TraceItem(
        trace_id=f"{cluster}-{second}",
        start_time=format_time(START + second * SECOND),
        duration_ms=1.0,
        spans=1,
        warnings=0,
        status="ok",
        outcome="ok",
    )


class Asked:
    """Clusters with a trace at each of some seconds, and how they were asked."""

    def __init__(self, seconds: dict[str, list[int]]) -> None:
        self._items = {uid: [make_item(uid, n) for n in sorted(at, reverse=True)] for uid, at in seconds.items()}
        self.clusters = [NamedCluster(uid, f"name of {uid}") for uid in seconds]
        self.limits: list[int | None] = []
        self.read = 0

    def ask(self, cluster: str, wanted: TraceFilter, limit: int | None) -> list[TraceItem]:
        found = [item for item in self._items[cluster] if parse_time(item.start_time) >= wanted.since][:limit]
        self.limits.append(limit)
        self.read += len(found)
        return found

    def everything(self) -> list[TraceItem]:
        return [item for items in self._items.values() for item in items]


def test_traces_are_merged_newest_first_with_their_cluster() -> None:
    fleet = Asked({"a": [1, 5], "b": [2, 9], "c": []})
    found = traces_of_all(fleet.clusters, fleet.ask, TraceFilter(), None)
    assert [(each.trace_id, each.cluster, each.cluster_name) for each in found] == [
        ("b-9", "b", "name of b"),
        ("a-5", "a", "name of a"),
        ("b-2", "b", "name of b"),
        ("a-1", "a", "name of a"),
    ]


@given(
    st.dictionaries(st.sampled_from("abcd"), st.lists(st.integers(0, 20), unique=True), min_size=1),
    st.one_of(st.none(), st.integers(1, 12)),
)
def test_the_newest_of_all_are_found_whatever_the_order_of_clusters(
    seconds: dict[str, list[int]], limit: int | None
) -> None:
    fleet = Asked(seconds)
    found = traces_of_all(fleet.clusters, fleet.ask, TraceFilter(), limit)
    expected = sorted((item.start_time for item in fleet.everything()), reverse=True)[:limit]
    assert [each.start_time for each in found] == expected


def test_no_cluster_is_asked_for_more_than_the_limit_nor_for_what_is_older_than_what_was_found() -> None:
    fleet = Asked({"new": list(range(100, 200)), **{f"old{n}": list(range(100)) for n in range(10)}})
    found = traces_of_all(fleet.clusters, fleet.ask, TraceFilter(), 5)
    assert {each.cluster for each in found} == {"new"}
    assert set(fleet.limits) == {5}
    assert fleet.read == 5, "the other ten have nothing newer"


def test_a_kind_that_only_one_cluster_has_is_found_there_and_one_that_none_has_is_an_error() -> None:
    fleet = Asked({"a": [1], "b": [2]})

    def only_b(cluster: str, wanted: TraceFilter, limit: int | None) -> list[TraceItem]:
        if cluster != "b":
            raise QueryError("unknown kind")
        return fleet.ask(cluster, wanted, limit)

    assert [each.cluster for each in traces_of_all(fleet.clusters, only_b, TraceFilter(), 5)] == ["b"]
    with pytest.raises(QueryError, match="unknown kind"):
        traces_of_all(fleet.clusters[:1], only_b, TraceFilter(), 5)
