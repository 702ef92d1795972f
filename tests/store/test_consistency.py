"""Traces are compared with their spans, on either database."""

import msgspec
import pytest

from kspan.model import Delta, SpanRow, SpanState, TraceRow, TraceState
from kspan.store import Store
from kspan.store.check import check_traces
from kspan.store.tables import consistency
from kspan.store.tables.finding import Finding
from tests.store.rowsource import CLUSTER, record, span_row, trace_row

TRACE = f"{1:032x}"
ROOT = f"{1:016x}"


def child(number: int, parent: str = ROOT) -> SpanRow:
    return msgspec.structs.replace(span_row(number, SpanState.CLOSED), parent_span_id=parent)


@pytest.fixture
def sound(store: Store) -> Store:
    """A store with a closed trace of three spans, and an open one."""
    closed = msgspec.structs.replace(trace_row(1, TraceState.CLOSED, closed_at=200), span_count=3)
    spans = [span_row(1, SpanState.CLOSED), child(2), child(3, f"{2:016x}"), span_row(4, trace=2)]
    commit(store, traces=[closed, trace_row(2)], spans=spans)
    return store


def commit(store: Store, traces: list[TraceRow], spans: list[SpanRow]) -> None:
    number = store.last_sequence(CLUSTER) + 1
    store.commit(CLUSTER, number, [record(number)], [], Delta(traces=traces, spans=spans))


def damage(store: Store, statement: str) -> list[Finding]:
    with store.writing("damage a row", CLUSTER) as connection:
        assert connection.exec_driver_sql(statement).rowcount > 0
    return list(check_traces(store, CLUSTER))


def test_traces_that_agree_with_their_spans_are_not_reported(sound: Store) -> None:
    assert list(check_traces(sound, CLUSTER)) == []


@pytest.mark.parametrize(
    "statement, trace, column",
    [
        ("UPDATE traces SET span_count = 4 WHERE state = 'closed'", 1, "span_count"),
        ("UPDATE traces SET span_count = 4 WHERE state = 'open'", 2, "span_count"),
        ("UPDATE traces SET start_time = 99 WHERE state = 'closed'", 1, "start_time"),
        ("UPDATE spans SET end_time = 1000 WHERE span_id = '0000000000000003'", 1, "end_time"),
        ("UPDATE traces SET root_span_id = '0000000000000002' WHERE state = 'closed'", 1, "root_span_id"),
        ("UPDATE traces SET root_span_id = '' WHERE state = 'closed'", 1, "root_span_id"),
        ("UPDATE spans SET state = 'open' WHERE span_id = '0000000000000003'", 1, "state"),
        ("UPDATE spans SET state = 'closed' WHERE span_id = '0000000000000004'", 2, "state"),
        ("DELETE FROM spans WHERE span_id = '0000000000000003'", 1, "span_count"),
    ],
)
def test_a_trace_that_does_not_agree_with_its_spans_is_reported(
    sound: Store, statement: str, trace: int, column: str
) -> None:
    expected = Finding("traces", f"{trace:032x}", "does not agree with its spans", (column,))
    assert damage(sound, statement) == [expected]


def test_a_trace_with_several_roots_is_reported(sound: Store) -> None:
    statement = "UPDATE spans SET parent_span_id = '' WHERE span_id = '0000000000000003'"
    assert damage(sound, statement) == [Finding("traces", TRACE, "has 2 roots")]


def test_a_span_whose_parent_is_missing_counts_as_a_root(sound: Store) -> None:
    statement = "UPDATE spans SET parent_span_id = 'ffffffffffffffff' WHERE span_id = '0000000000000003'"
    assert damage(sound, statement) == [Finding("traces", TRACE, "has 2 roots")]


def test_a_trace_without_a_root_is_reported(sound: Store) -> None:
    statement = "UPDATE spans SET parent_span_id = '0000000000000003' WHERE span_id = '0000000000000001'"
    assert damage(sound, statement) == [
        Finding("traces", TRACE, "has no roots"),
        Finding("traces", TRACE, "does not agree with its spans", ("root_span_id",)),
    ]


def test_several_roots_with_a_carried_context_are_one_trace(store: Store) -> None:
    """Two objects that are applied with the same traceparent have the same remote parent."""
    closed = msgspec.structs.replace(trace_row(1, TraceState.CLOSED, closed_at=200), span_count=2)
    roots = [msgspec.structs.replace(child(n, "f" * 16), remote_parent=True) for n in (1, 2)]
    commit(store, [closed], roots)
    assert list(check_traces(store, CLUSTER)) == []


def test_a_trace_without_spans_and_spans_without_a_trace_are_reported(sound: Store) -> None:
    commit(sound, [trace_row(9)], [span_row(5, trace=3)])
    assert list(check_traces(sound, CLUSTER)) == [
        Finding("spans", f"of trace {3:032x}", "have no row in traces"),
        Finding("traces", f"{9:032x}", "has no spans"),
    ]


def test_all_traces_are_compared_in_runs(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consistency, "RUN", 2)
    odd = [msgspec.structs.replace(trace_row(n), span_count=n) for n in range(1, 6)]
    commit(store, odd, [span_row(n, trace=n) for n in (1, 2, 3, 4, 5, 6)])
    assert [found.key[-1] for found in check_traces(store, CLUSTER)] == ["2", "3", "4", "5", "6"]


def test_another_cluster_is_not_compared(sound: Store) -> None:
    sound.commit("other", 1, [record(1)], [], Delta(traces=[trace_row(7)]))
    assert list(check_traces(sound, CLUSTER)) == []
