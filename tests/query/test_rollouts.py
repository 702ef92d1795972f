"""Rollouts: what is counted for them outside of the view is what the view has."""

from typing import Any

import pytest
from sqlalchemy import text

from kspan.model import Outcome, SpanRow
from kspan.query.rollouts import Rollout, RolloutFilter, list_rollouts, one_rollout
from kspan.query.view_rows import RowFilter, list_rows
from kspan.store import Store
from kspan.times import SECOND
from tests.emit.rows import START, make_span, make_trace
from tests.query.conftest import Histories, History
from tests.query.made import CLUSTER, commit, make_object
from tests.recordings import SCENARIOS

MS = SECOND // 1_000
VIEW = text("SELECT trace_id, span_id, ready_seconds, restarts FROM rollouts WHERE cluster = :cluster")

Counted = dict[tuple[str, str], tuple[float | None, int]]


def counted(found: list[Rollout]) -> Counted:
    return {(each.trace_id, each.span_id): (each.ready_seconds, each.restarts) for each in found}


def of_the_view(history: History) -> Counted:
    with history.store.reading("ask") as connection:
        rows: Any = connection.execute(VIEW, {"cluster": history.cluster}).all()
    return {(trace, span): (None if ready is None else float(ready), restarts) for trace, span, ready, restarts in rows}


def assert_as_in_the_view(history: History) -> Counted:
    expected = of_the_view(history)
    with history.store.reading("ask") as connection:
        assert counted(list_rollouts(connection, history.cluster, RolloutFilter(), 1_000)) == expected
        assert counted(list_rows(connection, history.cluster, Rollout, RowFilter(), None)) == expected
        assert counted([one_rollout(connection, history.cluster, *key) for key in expected]) == expected
    return expected


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_pods_of_recorded_rollouts_are_counted_as_in_the_view(histories: Histories, scenario: str) -> None:
    assert_as_in_the_view(histories(scenario))


def of_pod(pod: str, at: int, name: str = "Pod.Ready", **columns: Any) -> SpanRow:
    return make_span(name, trace="both", key=f"{name} of {pod} at {at}", subject=pod, start=START + at, **columns)


def test_pods_count_for_the_rollouts_of_their_workload_that_began_before(store: Store) -> None:
    owned = {"owner_uid": "uid-of-ReplicaSet-web-1"}
    objects = [
        make_object("Deployment", "web"),
        make_object("ReplicaSet", "web-1", owner_uid="uid-of-Deployment-web"),
        *(make_object("Pod", name, **owned) for name in ("web-1-a", "web-1-b")),
        make_object("StatefulSet", "db"),
        make_object("Pod", "db-0", owner_uid="uid-of-StatefulSet-db"),
        make_object("Pod", "alone"),
    ]
    spans = [
        make_span("Deployment.Update", trace="both", key="first", start=START),
        make_span("Deployment.Update", trace="both", key="second", start=START + 20 * SECOND),
        make_span("StatefulSet.Update", trace="both", key="third", subject="db", start=START + 5 * SECOND),
        of_pod("web-1-a", 3 * SECOND),
        of_pod("web-1-a", 30 * SECOND),
        of_pod("web-1-b", 7 * SECOND + 400 * MS + 499_999),
        of_pod("web-1-b", 40 * SECOND, "Pod.ContainerRestarted"),
        of_pod("web-1-b", 10 * SECOND, "Pod.ContainerRestarted"),
        of_pod("web-1-b", 11 * SECOND, "Pod.ContainerRestarted", event_uid="reported by an Event"),
        of_pod("db-0", 4 * SECOND),
        of_pod("alone", 50 * SECOND),
        make_span("Pod.Ready", trace="elsewhere", subject="web-1-a", start=START + 60 * SECOND),
    ]
    commit(store, objects, spans, [make_trace(spans[:-1]), make_trace(spans[-1:])])
    found = assert_as_in_the_view(History(store, CLUSTER))
    # Ready again after the second change is not ready for the first time after the first one.
    first, second, third = (found[span.trace_id, span.span_id] for span in spans[:3])
    assert (first, second, third) == ((7.4, 2), (10.0, 1), (None, 0))


@pytest.mark.parametrize("outcome", [str(outcome) for outcome in Outcome] + ["running"])
def test_only_a_rollout_that_came_to_its_end_says_when_all_replicas_were_ready(outcome: str) -> None:
    columns: Any = dict.fromkeys(Rollout.__struct_fields__, "") | {"ready_seconds": 1.5, "outcome": outcome}
    complete = outcome in ("ok", "recovered")
    assert Rollout(**columns).all_ready_seconds == (1.5 if complete else None)
