"""A trace has one verdict: every command, the view of rollouts and its root span say the same, also while open."""

import io
from pathlib import Path

import msgspec
import pytest
from rich.console import Console
from sqlalchemy import text

from kspan.graph import built_in_rules
from kspan.ingest.journal_builder import JournalBatch
from kspan.model import Outcome, SpanRow, TraceRow, TraceState
from kspan.pipeline.projector import Projector
from kspan.query.answers import why as answers
from kspan.query.answers.trace import item
from kspan.query.explain.as_of import as_of
from kspan.query.objects.names import ObjectName, parse_kind
from kspan.query.span_text import note_of
from kspan.query.timeline import TimelineFilter, timeline
from kspan.query.traces import Status, TraceFilter, TraceSummary, find_trace, list_traces
from kspan.query.why import why
from kspan.store import Store, open_store
from kspan.terminal.trace_tree import render_trace
from kspan.vocabulary import INCOMPLETE, OUTCOME, OUTCOME_REASON
from tests.causality.actors import running
from tests.causality.test_failing import crash, rollout
from tests.history_db import DRAIN
from tests.query.conftest import Histories
from tests.recordings import SCENARIOS


class Seen(msgspec.Struct):
    """What the commands say about the traces of a history."""

    traces: list[TraceSummary]
    roots: dict[str, SpanRow]
    """Root spans by trace id, as ``kspan timeline`` shows them."""
    rollouts: dict[str, set[str]]
    """Outcomes in the view, by trace id."""


def look(store: Store, cluster: str) -> Seen:
    spans = [line.span for line in timeline(store, cluster, TimelineFilter())]
    with store.reading("compare") as connection:
        listed = list_traces(connection, cluster, TraceFilter(), None)
        rows = connection.execute(text("SELECT trace_id, outcome FROM rollouts WHERE cluster = :c"), {"c": cluster})
        outcomes: dict[str, set[str]] = {}
        for trace_id, outcome in rows:
            outcomes.setdefault(trace_id, set()).add(outcome)
    roots = {summary.trace.trace_id: summary.trace.root_span_id for summary in listed}
    found = {span.trace_id: span for span in spans if roots.get(span.trace_id) == span.span_id}
    return Seen(listed, found, outcomes)


def check(store: Store, cluster: str) -> list[str]:
    """Assert that all say the same; return the outcomes of the traces."""
    seen = look(store, cluster)
    for summary in seen.traces:
        trace = summary.trace
        with store.reading("compare") as connection:
            shown, spans = find_trace(connection, cluster, trace.trace_id)
        (root,) = [span for span in spans if span.span_id == trace.root_span_id]
        assert shown == trace
        assert_is_in_the_root(root, trace)
        assert_is_in_the_list(summary)
        assert note_of(seen.roots[trace.trace_id]) == note_of(root)
        assert_is_drawn(shown, spans)
        assert_why_says_it(store, cluster, root, trace)
        below = sum(span.error for span in spans if span is not root)
        # Whether the root itself is a Warning cannot be told from its status if its trace failed.
        assert trace.warnings in ((below, below + 1) if trace.error else (below + root.error,))
        running = "running" if trace.state is TraceState.OPEN else ""
        assert seen.rollouts.get(trace.trace_id, {trace.outcome or running}) == {trace.outcome or running}
    return [summary.trace.outcome for summary in seen.traces]


def assert_is_in_the_root(root: SpanRow, trace: TraceRow) -> None:
    assert root.attributes.get(OUTCOME, "") == trace.outcome
    assert root.attributes.get(OUTCOME_REASON, "") == trace.reason
    assert root.attributes.get(INCOMPLETE, False) == trace.incomplete
    assert trace.error == (trace.outcome in (Outcome.FAILED, Outcome.FAILING))
    if trace.error:
        assert (root.error, root.message) == (True, trace.reason)


def assert_is_in_the_list(summary: TraceSummary) -> None:
    row = item(summary)
    assert (row.outcome, row.warnings) == (summary.trace.outcome, summary.trace.warnings)
    assert (Status.ERROR in summary.statuses) == summary.trace.error
    assert ("open" in row.status) == (summary.trace.state is TraceState.OPEN)


def assert_is_drawn(trace: TraceRow, spans: list[SpanRow]) -> None:
    out = Console(file=io.StringIO(), width=200)
    out.print(render_trace(trace, spans, width=200))
    assert isinstance(out.file, io.StringIO)
    header = out.file.getvalue().splitlines()[0]
    assert " · ".join(trace.verdicts) in header


def assert_why_says_it(store: Store, cluster: str, root: SpanRow, trace: TraceRow) -> None:
    name = ObjectName(parse_kind(root.object_kind), root.object_namespace, root.object_name)
    with store.reading("ask") as connection:
        answer = why(connection, cluster, name, uid=root.object_uid, at=root.start_time)
    if answer.links[-1].span.span_id != root.span_id:
        return  # An earlier trace caused it.
    # With --at, only the trace has the verdict, which is of now.
    assert answer.links[-1].span == as_of(root, root.start_time) or trace.state is TraceState.OPEN
    found = answers.why(answer).trace
    assert found is not None
    assert (found.outcome, found.reason, found.warnings) == (trace.outcome, trace.reason, trace.warnings)


@pytest.mark.parametrize("scenario", [*SCENARIOS, DRAIN])
def test_every_command_says_the_same_about_a_closed_trace(histories: Histories, scenario: str) -> None:
    history = histories(scenario)
    assert set(check(history.store, history.cluster)) <= set(Outcome)


def test_every_command_says_the_same_about_an_open_crash_loop(tmp_path: Path) -> None:
    c, _, _, (pod,) = rollout()
    running(c, pod)
    event = crash(c, pod)
    c.wait(8)
    c.repeat(event)
    c.wait(8)
    c.repeat(event)
    c.receive_all()
    with open_store(str(tmp_path / "kspan.sqlite")) as store:
        projector = Projector(store, "made", built_in_rules())
        projector.add(JournalBatch([record]) for record in c.records)
        projector.flush()
        assert check(store, "made") == [Outcome.FAILING]
        (summary,) = look(store, "made").traces
        with store.reading("compare") as connection:
            _, spans = find_trace(connection, "made", summary.trace.trace_id)
    assert summary.trace.verdicts == ["failing", "open"]
    root = next(span for span in spans if not span.parent_span_id)
    assert root.end_time - root.start_time == summary.duration > 0, "it is not over"
