"""No two traces of a journal share an id, and each has one root: by construction, whatever is forgotten meanwhile."""

import gzip
import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from kspan.graph import Fold, built_in_rules
from kspan.ingest import read_frames
from kspan.model import LogRecord, RecordType, SpanRow, TraceRow, TraceState
from kspan.pipeline.replay import replay
from kspan.settings import FoldSettings
from kspan.store import open_store
from kspan.times import MILLISECOND, SECOND, format_time
from tests.recordings import RUN_OUT, SCENARIOS, apply_delta, fold, recording, structure

CASE = Path(__file__).parents[1] / "data" / "cases" / "trace-id-reused.jsonl"

CONTEXTS = [f"00-{digit * 32}-{digit * 16}-01" for digit in "ab"]
OBJECTS, EVENTS, MESSAGES = range(3), range(4), ("said", "other", "(combined from similar events): said")

actions = st.one_of(
    st.tuples(st.just("event"), st.sampled_from(OBJECTS), st.sampled_from(EVENTS), st.booleans(), st.booleans()),
    st.tuples(st.just("change"), st.sampled_from(OBJECTS), st.sampled_from(["", *CONTEXTS])),
    st.tuples(st.just("delete"), st.sampled_from(OBJECTS)),
    st.tuples(st.just("restore")),
)
histories = st.lists(st.tuples(st.sampled_from([0, 1, 3, 6, 20, 61, 1000]), actions), min_size=1, max_size=25)

PATIENT = FoldSettings()
HASTY = FoldSettings(hold=5 * SECOND, settle=1 * SECOND, settle_after_warning=1 * SECOND, max_trace_age=5 * SECOND)


class History:
    """Makes the records of a journal, each with a version of its own."""

    def __init__(self) -> None:
        self.now, self.version, self.epoch = 1_800_000_000 * SECOND, 100, 0
        self.records: list[LogRecord] = []
        self.counts: Counter[int] = Counter()
        self.generations: Counter[int] = Counter()
        self.about: dict[int, tuple[int, bool]] = {}

    def event(self, number: int, event: int, again: bool, named: bool) -> None:
        """An Event about a Lease that nobody watches, or about a ConfigMap: counted up, or only written again."""
        number, named = self.about.setdefault(event, (number, named))  # An Event is about one object.
        self.counts[event] += again or not self.counts[event]
        about = {"kind": "Lease", "name": f"lease-{number}", "namespace": "shop", "uid": "" if named else f"l{number}"}
        if event % 2:
            about = {"kind": "ConfigMap", "name": f"map-{number}", "namespace": "shop", "uid": f"m{number}"}
        self._add(
            RecordType.MODIFIED,
            "v1/events",
            "Event",
            {"name": f"event-{event}", "uid": f"e{event}"},
            {"involvedObject": about, "reason": "LeaderElection", "count": self.counts[event]}
            | {"message": MESSAGES[self.counts[event] % 3], "type": "Warning" if event == 3 else "Normal"}
            | {"source": {"component": "operator"}, "lastTimestamp": format_time(self.now)},
        )

    def change(self, number: int, context: str) -> None:
        self.generations[number] += 1
        annotations = {"annotations": {"tracing.k8s.io/traceparent": context}} if context else {}
        meta = {"name": f"map-{number}", "uid": f"m{number}", **annotations}
        meta["creationTimestamp"] = format_time(self.now)
        data = {"data": {"a": str(self.generations[number])}}
        self._add(RecordType.MODIFIED, "v1/configmaps", "ConfigMap", meta, data)

    def delete(self, number: int) -> None:
        meta = {"name": f"map-{number}", "uid": f"m{number}"}
        self._add(RecordType.DELETED, "v1/configmaps", "ConfigMap", meta, {})

    def restore(self) -> None:
        """A backup is restored: versions start over."""
        self.epoch, self.version = self.epoch + 1, 100

    def _add(self, kind: RecordType, resource: str, name: str, meta: dict[str, Any], more: dict[str, Any]) -> None:
        self.version += 1
        meta = {"namespace": "shop", "resourceVersion": str(self.version), **meta}
        payload = json.dumps({"apiVersion": "v1", "kind": name, "metadata": meta, **more}).encode()
        self.records.append(
            LogRecord(
                kind,
                self.now,
                resource,
                meta["uid"],
                str(self.version),
                "v1",
                name,
                "shop",
                meta["name"],
                payload,
                epoch=self.epoch,
            )
        )


def made_of(history: list[tuple[int, tuple[Any, ...]]]) -> History:
    made = History()
    for wait, (action, *about) in history:
        made.now += wait * SECOND
        getattr(made, action)(*about)
    return made


def closed(records: Iterable[LogRecord], settings: FoldSettings) -> tuple[list[TraceRow], list[SpanRow]]:
    """All rows of closed traces that a fold ever writes, and the spans that are left."""
    folding, traces, tables = Fold("cluster", built_in_rules(), settings), list[TraceRow](), _tables()
    number = 0
    for number, record in enumerate([*records, LogRecord(RecordType.TICK, 2_000_000_000 * SECOND)], 1):
        folding.apply(number, record)
        delta = folding.take_delta()
        traces += [row for row in delta.traces if row.state is TraceState.CLOSED]
        apply_delta(tables, delta)
    folding.apply(number + 1, LogRecord(RecordType.TICK, folding.now + RUN_OUT))
    assert not folding.open_traces
    assert {row.state for row in tables["traces"].values()} <= {TraceState.CLOSED}
    return traces, list(tables["spans"].values())


def _tables() -> dict[str, dict[Any, Any]]:
    return {table: {} for table in ("objects", "owners", "pending", "spans", "traces", "gaps")}


def are_unique_with_one_root(traces: list[TraceRow], spans: list[SpanRow]) -> None:
    assert [name for name, count in Counter(row.trace_id for row in traces).items() if count > 1] == []
    assert Counter(row.trace_id for row in spans) == {row.trace_id: row.span_count for row in traces}
    roots = {row.trace_id: [s for s in spans if s.trace_id == row.trace_id and not s.parent_span_id] for row in traces}
    for trace in traces:
        remote = any(span.remote_parent for span in spans if span.trace_id == trace.trace_id)
        assert [root.span_id for root in roots[trace.trace_id]] == [trace.root_span_id] or remote


@pytest.mark.parametrize("patience", [PATIENT, HASTY], ids=["patient", "hasty"])
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(history=histories)
@example(history=[(1000, ("event", 0, 0, True, False))] * 3)
@example(history=[(0, ("change", 0, "")), (1000, ("delete", 0)), (1000, ("change", 0, "")), (1000, ("delete", 0))])
@example(history=[(0, ("change", 0, CONTEXTS[0])), (1000, ("change", 1, CONTEXTS[0]))])
@example(history=[(0, ("event", 0, 0, True, True)), (1000, ("event", 0, 0, False, True))])
@example(history=[(0, ("event", 0, 0, True, True)), (1000, ("restore",)), (0, ("event", 0, 0, False, True))])
def test_no_two_traces_of_a_journal_share_an_id_and_each_has_one_root(
    patience: FoldSettings, history: list[tuple[int, tuple[Any, ...]]]
) -> None:
    are_unique_with_one_root(*closed(made_of(history).records, patience))


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(history=histories, random=st.randoms(use_true_random=False))
def test_ids_do_not_depend_on_the_order_in_which_two_streams_arrive_within_hold(
    history: list[tuple[int, tuple[Any, ...]]], random: Random
) -> None:
    records = made_of(history).records
    arrivals, latest = [], Counter[str]()
    for number, record in enumerate(records):
        at = max(latest[record.resource], record.recorded_at + random.randint(0, 4_950) * MILLISECOND)
        latest[record.resource] = at
        arrivals.append((at, number, record))
    shuffled = [record for _, _, record in sorted(arrivals, key=lambda arrival: arrival[:2])]
    assert structure(fold("cluster", shuffled)) == structure(fold("cluster", records))


@pytest.mark.parametrize("scenario", SCENARIOS)
@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_recording_that_is_replayed_in_parts_gives_each_trace_its_own_id(
    scenario: str, tmp_path: Path, data: st.DataObject
) -> None:
    """Event time runs out between the parts, so that what had been open is closed and forgotten."""
    lines = gzip.decompress(recording(scenario).read_bytes()).splitlines(keepends=True)
    part = tmp_path / "part.jsonl"
    cuts = sorted(data.draw(st.sets(st.integers(1, len(lines) - 1), min_size=1, max_size=5)))
    with open_store("sqlite://") as store:
        for start, end in zip([0, *cuts], [*cuts, len(lines)], strict=True):
            part.write_bytes(b"".join(lines[start:end]))
            replay(store, read_frames([str(part)]), built_in_rules(), cluster="cluster")
        spans = list(store.projection_rows("cluster", "spans"))
        for trace in store.projection_rows("cluster", "traces"):
            own = [span for span in spans if span["trace_id"] == trace["trace_id"]]
            assert len(own) == trace["span_count"]
            assert [span["span_id"] for span in own if not span["parent_span_id"]] == [trace["root_span_id"]]


def test_events_of_an_object_that_was_forgotten_meanwhile_are_traces_of_their_own() -> None:
    with open_store("sqlite://") as store:
        replayed = replay(store, read_frames([str(CASE)]), built_in_rules())
        traces = list(store.projection_rows(replayed.cluster, "traces"))
        spans = list(store.projection_rows(replayed.cluster, "spans"))
    assert [trace["span_count"] for trace in traces] == [1, 1, 1, 1]
    assert len({span["trace_id"] for span in spans}) == len({span["span_id"] for span in spans}) == 4
