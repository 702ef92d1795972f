"""The helper views, on both stores."""

import re
from pathlib import Path
from typing import Any

import psycopg
import pytest

from kspan.graph import built_in_rules
from kspan.ingest.journal_builder import JournalBatch
from kspan.pipeline.projector import Projector
from kspan.query.sql.lexer import read_statement
from kspan.query.sql.run import run_statement
from kspan.store import Store, open_store
from kspan.store.schema.views import VIEWS
from tests.history_db import DRAIN
from tests.limits import HANG_S
from tests.postgres import TEMPLATE, PostgresServer
from tests.recordings import SCENARIOS, journal

CLUSTERS = (*SCENARIOS, DRAIN)


def ask(store: Store, statement: str, **parameters: str | int) -> list[tuple[Any, ...]]:
    with run_statement(store, read_statement(statement, store.dialect), parameters, timeout=HANG_S) as result:
        return list(result.rows)


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_a_view_has_the_documented_columns_in_order(history: Store, view: Any) -> None:
    statement = read_statement(f"SELECT * FROM {view.name} LIMIT 1", history.dialect)
    with run_statement(history, statement, {}) as result:
        assert result.columns == [name for name, _, _ in view.columns]
        assert list(result.rows)


def test_occurrences_has_one_row_for_each_span(history: Store) -> None:
    ((occurrences,),) = ask(history, "SELECT count(*) FROM occurrences")
    ((spans,),) = ask(history, "SELECT count(*) FROM spans")
    assert occurrences == spans > 300


def test_condition_transitions_are_not_counted_as_repeats(history: Store) -> None:
    query = "SELECT name, max(times) FROM occurrences WHERE name IN ('Pod.Create', 'Pod.Delete') GROUP BY name"
    assert {name: int(times) for name, times in ask(history, query)} == {"Pod.Create": 1, "Pod.Delete": 1}
    ((noted,),) = ask(history, "SELECT count(*) FROM spans WHERE name = 'Pod.Create' AND events <> '[]'")
    assert noted > 10


def test_finalizers_that_were_removed_are_not_counted_as_repeats(history: Store) -> None:
    ((kinds, times),) = ask(
        history,
        "SELECT count(DISTINCT o.kind), max(times) FROM occurrences o JOIN spans s ON s.cluster = o.cluster "
        "AND s.trace_id = o.trace_id AND s.span_id = o.span_id "
        "WHERE o.reason = 'Delete' AND CAST(s.events AS TEXT) LIKE '%FinalizerRemoved%'",
    )
    assert (kinds, int(times)) == (2, 1), "a Deployment and a ReplicaSet, deleted in the foreground"


def test_times_have_milliseconds_and_functions_agree_with_views(history: Store) -> None:
    query = "SELECT at, utc(start_time), start_time FROM occurrences WHERE cluster = :c AND name = 'Deployment.Update'"
    rows = sorted(ask(history, query, c="02-rolling-update"))
    assert rows[0] == ("2026-11-22T10:25:05.290Z", "2026-11-22T10:25:05.290Z", 1795343105290021000)
    assert all(at == text for at, text, _ in rows)
    assert ask(history, "SELECT utc(0), utc(999999), utc(NULL)") == [(None, "1970-01-01T00:00:00.000Z", None)]


@pytest.mark.parametrize("cluster", CLUSTERS)
def test_ancestry_contains_the_chain_of_parents(history: Store, cluster: str) -> None:
    spans = ask(history, "SELECT trace_id, span_id, parent_span_id FROM spans WHERE cluster = :c", c=cluster)
    parents = {(trace, span): parent for trace, span, parent in spans}
    expected = set()
    for trace, span in parents:
        above, depth = span, 0
        while above:
            expected.add((trace, span, above, depth))
            above, depth = parents[trace, above], depth + 1
    found = ask(history, "SELECT trace_id, span, ancestor, depth FROM ancestry WHERE cluster = :c", c=cluster)
    assert len(found) == len(expected)
    assert {(*row[:3], int(row[3])) for row in found} == expected


def plan(store: Store, statement: str) -> str:
    if store.dialect == "sqlite":
        return "\n".join(row[3] for row in ask(store, f"EXPLAIN QUERY PLAN {statement}", c="c", x="x"))
    return "\n".join(row[0] for row in ask(store, f"EXPLAIN {statement}", c="c", x="x"))


def test_the_ancestry_of_a_span_or_a_trace_uses_the_key(history: Store) -> None:
    """The condition comes before the recursion, and each step of it is a look-up by the whole key."""
    for condition in ("trace_id = :x", "trace_id = :x AND span = :x", "trace_id = :x AND ancestor = :x"):
        found = plan(history, f"SELECT * FROM ancestry WHERE cluster = :c AND {condition}")
        if history.dialect == "sqlite":
            assert "SCAN s" not in found
            assert "SEARCH p USING INDEX sqlite_autoindex_spans_1 (cluster=? AND trace_id=? AND span_id=?)" in found
        else:
            assert "Seq Scan" not in found
            assert re.search(r"Index Cond: \(\(cluster = .*\(trace_id = .*\(span_id = up\w*\.value\)\)", found), found
    by_span = plan(history, "SELECT * FROM ancestry WHERE span = :x")
    if history.dialect == "sqlite":
        assert "SCAN s USING COVERING INDEX" in by_span


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
def test_a_cycle_of_parents_ends_the_ancestry(dialect: str, postgres: PostgresServer, tmp_path: Any) -> None:
    """No fold makes one: a hand that mends the database could."""
    url = f"sqlite:///{tmp_path / 'ring.sqlite'}" if dialect == "sqlite" else postgres.url(postgres.create(TEMPLATE))
    with open_store(url) as writer, writer.writing("make a ring", "c") as connection:
        for span, parent in (("a", "b"), ("b", "c"), ("c", "a"), ("d", "d"), ("e", "gone")):
            connection.exec_driver_sql(insert(writer, span, parent))
    with open_store(url, read_only=True) as store:
        rows = ask(store, "SELECT span, ancestor, depth FROM ancestry ORDER BY span, depth")
    assert [(span, ancestor, int(depth)) for span, ancestor, depth in rows] == [
        *(("a", "a", 0), ("a", "b", 1), ("a", "c", 2)),
        *(("b", "b", 0), ("b", "c", 1), ("b", "a", 2)),
        *(("c", "c", 0), ("c", "a", 1), ("c", "b", 2)),
        ("d", "d", 0),
        *(("e", "e", 0), ("e", "gone", 1)),
    ]


def insert(store: Store, span: str, parent: str) -> str:
    from kspan.store.schema.tables import spans

    values = {"cluster": "'c'", "trace_id": "'t'", "span_id": f"'{span}'", "parent_span_id": f"'{parent}'"}
    values |= {"attributes": "'{}'", "events": "'[]'", "links": "'[]'", "state": "'closed'"}
    defaults = {"BigInteger": "0", "Boolean": "false", "Double": "0", "LargeBinary": "''"}
    for column in spans.columns:
        values.setdefault(column.name, defaults.get(type(column.type).__name__, "''"))
    return f"INSERT INTO spans ({', '.join(values)}) VALUES ({', '.join(values.values())})"


def test_a_template_change_is_a_rollout_and_a_scaling_is_not(history: Store) -> None:
    query = "SELECT action, changed_from, changed_to, who, manager FROM rollouts WHERE cluster = :c ORDER BY start_time"
    v1, v2 = "registry.example.com/shop/web:v1", "registry.example.com/shop/web:v2"
    assert ask(history, query, c="02-rolling-update") == [
        ("Create", "", "", "kubectl", "kubectl-client-side-apply"),
        ("Update", v1, v2, "kubectl", "kubectl-set"),
        ("Update", v2, v1, "kubectl", "kubectl"),
    ]


def test_a_rollout_turned_out_as_its_trace_did(history: Store) -> None:
    query = "SELECT action, outcome, ready_seconds FROM rollouts WHERE cluster = :c ORDER BY start_time"
    assert ask(history, query, c="05-unschedulable")[0] == ("Create", "superseded", None)
    assert [row[1] for row in ask(history, query, c="02-rolling-update")] == ["ok", "ok", "ok"]


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
def test_the_restarts_of_a_rollout_are_those_that_its_pods_show(
    dialect: str, postgres: PostgresServer, tmp_path: Path
) -> None:
    """Events may be missing: the API server keeps them for an hour."""
    url = postgres.url(postgres.create(TEMPLATE)) if dialect == "postgresql" else str(tmp_path / "kspan.sqlite")
    cluster, records = journal("03-crashloop")
    with open_store(url) as store:
        projector = Projector(store, cluster, built_in_rules())
        projector.add(JournalBatch([record]) for record in records if record.kind != "Event")
        projector.run_out()
    with open_store(url, read_only=True) as store:
        assert ask(store, "SELECT restarts FROM rollouts WHERE cluster = :c", c=cluster) == [(4,)]


def test_a_rollout_names_the_root_cause_and_the_field_manager(history: Store) -> None:
    query = "SELECT DISTINCT who, manager FROM rollouts WHERE cluster = :c"
    assert ask(history, query, c="13-custom-controller") == [("kubectl", "widget-controller")]


def test_a_failure_names_its_cause_and_a_failed_trace_is_not_counted_again(history: Store) -> None:
    query = "SELECT reason, times, cause, cause_object, who, fatal FROM failures WHERE cluster = :c AND namespace = :n"
    rows = ask(history, query, c="03-crashloop", n="crashloop")
    assert rows.count(("BackOff", 1, "Deployment.Create", "crash", "kubectl", True)) == 4, (
        "after each end but the first"
    )
    assert "Create" not in {row[0] for row in rows}


def test_the_end_of_a_container_has_its_cause_and_is_a_failure_with_that_container(history: Store) -> None:
    query = (
        "SELECT container, restart, reason, exit_code, signal, ran_seconds, missed, error, cause, cause_message "
        "FROM terminations WHERE cluster = :c AND namespace = :n"
    )
    (row,) = ask(history, query, c="09-probe-failure", n="probe-failure")
    killing = "Container web failed liveness probe, will be restarted"
    assert row == ("web", 0, "Completed", 0, None, 57, 0, False, "Pod.Killing", killing)
    query = "SELECT reason, container, exit_code, restart FROM failures WHERE cluster = :c AND namespace = :n"
    rows = ask(history, query, c="03-crashloop", n="crashloop")
    assert ("ContainerTerminated", "crash", 1, 4) in rows
    assert ("BackOff", "crash", None, None) in rows


def test_other_programs_can_use_the_views(histories: dict[str, str]) -> None:
    """They need nothing that only ``kspan sql`` brings along."""
    import sqlite3

    file = sqlite3.connect(histories["sqlite"].removeprefix("sqlite:///"))
    server = psycopg.connect(histories["postgresql"].replace("+psycopg", ""))
    for connection in (file, server):
        for view in VIEWS:
            assert connection.execute(f"SELECT * FROM {view.name}").fetchone()
        connection.close()
