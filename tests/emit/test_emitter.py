"""What goes out when, and what is marked; what ``--export`` means."""

import logging
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from kspan.emit.emitter import EmitReport, Emitter
from kspan.emit.otel_spans import ClusterIdentity, readable_span
from kspan.emit.span_sink import SpanSink
from kspan.emit.targets import ExportTarget, TargetKind, open_exporter, open_sink, parse_target
from kspan.errors import ExportError, SettingsError
from kspan.model import TraceState
from tests.emit.memory_store import MemoryStore
from tests.emit.rows import START, make_span, make_trace

CLUSTER = ClusterIdentity("cluster-1")


class CountingExporter(InMemorySpanExporter):
    """The SDK's in-memory exporter, which also keeps how the spans came, and fails from a given call on."""

    def __init__(self, fail_from: int | None = None) -> None:
        super().__init__()
        self.calls: list[int] = []
        self.fail_from = fail_from

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        if self.fail_from is not None and len(self.calls) >= self.fail_from:
            return SpanExportResult.FAILURE
        self.calls.append(len(spans))
        return super().export(spans)


class RaisingExporter(SpanExporter):
    """An exporter with a bug."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        raise RuntimeError("what a mess")


def emitter(store: MemoryStore, exporter: SpanExporter, batch: int = 512) -> Emitter:
    return Emitter(store, store.cluster, "otlp", SpanSink(exporter, CLUSTER, batch), batch)


def add(store: MemoryStore, name: str, spans: int, closed_at: int = START) -> str:
    rows = [make_span("Pod.Step", trace=name, key=str(n), start=START + n) for n in range(spans)]
    store.add(make_trace(rows, closed_at=closed_at), rows)
    return rows[0].trace_id


def test_whole_traces_share_a_call_and_a_big_one_is_split(store: MemoryStore) -> None:
    for number, size in enumerate([4, 4, 4, 25, 1]):
        add(store, f"t{number}", size, START + number)
    exporter = CountingExporter()
    report = emitter(store, exporter, batch=10).emit_pending(START)
    assert exporter.calls == [8, 4, 10, 10, 5, 1]
    assert report == EmitReport(traces=5, spans=38)


def test_oldest_closed_traces_go_first_and_their_spans_by_start(store: MemoryStore) -> None:
    late, early = add(store, "late", 3, START + 2), add(store, "early", 3, START + 1)
    exporter = CountingExporter()
    emitter(store, exporter).emit_pending(START)
    sent = exporter.get_finished_spans()
    assert [f"{span.context.trace_id:032x}" for span in sent] == [early] * 3 + [late] * 3
    assert [span.start_time for span in sent] == [START, START + 1, START + 2] * 2


def test_open_traces_stay(store: MemoryStore) -> None:
    trace_id = add(store, "open", 2)
    store.traces[trace_id] = msgspec.structs.replace(store.traces[trace_id], state=TraceState.OPEN)
    assert emitter(store, CountingExporter()).emit_pending(START) == EmitReport()


def test_a_limit_is_kept_and_the_next_round_goes_on(store: MemoryStore) -> None:
    for number in range(5):
        add(store, f"t{number}", 2, START + number)
    one = emitter(store, CountingExporter())
    assert [one.emit_pending(START, limit=2).traces for _ in range(4)] == [2, 2, 1, 0]


def test_what_was_emitted_is_not_sent_again_but_another_target_gets_it(store: MemoryStore) -> None:
    add(store, "t", 2)
    first, second = CountingExporter(), CountingExporter()
    emitter(store, first).emit_pending(START)
    emitter(store, second).emit_pending(START)
    assert (first.calls, second.calls) == ([2], [])
    Emitter(store, store.cluster, "file:/elsewhere", SpanSink(second, CLUSTER)).emit_pending(START)
    assert second.calls == [2]


def test_a_failure_in_the_middle_of_a_big_trace_leaves_all_of_it(store: MemoryStore) -> None:
    before = add(store, "before", 2, START + 1)
    big = add(store, "big", 25, START + 2)
    after = add(store, "after", 2, START + 3)
    exporter = CountingExporter(fail_from=2)
    one = emitter(store, exporter, batch=10)
    report = one.emit_pending(START + 9)
    assert (report.traces, report.spans, report.failed, report.reason) == (1, 2, 1, "the exporter failed")
    assert store.emitted("otlp") == [before]
    assert store.emission("otlp", after) is None, "the round goes on after a failure"
    exporter.fail_from = None
    assert one.emit_pending(START + 10).traces == 2
    assert set(store.emitted("otlp")) == {before, big, after}
    emission = store.emission("otlp", big)
    assert emission is not None
    assert emission.at == START + 10


def test_an_exporter_that_raises_counts_as_a_failure_told_once(
    store: MemoryStore, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    trace_id = add(store, "t", 2)
    one = emitter(store, RaisingExporter())
    for _ in range(3):
        report = one.emit_pending(START)
        assert (report.failed, report.reason) == (1, "RuntimeError: what a mess")
    emission = store.emission("otlp", trace_id)
    assert emission is not None
    assert (emission.attempts, emission.reason) == (3, "RuntimeError: what a mess")
    assert [record.getMessage() for record in caplog.records] == [
        "otlp takes no traces (they wait): RuntimeError: what a mess"
    ]


def test_a_trace_that_no_span_can_be_made_of_holds_up_no_other(store: MemoryStore) -> None:
    bad, good = add(store, "bad", 2, START + 1), add(store, "good", 2, START + 2)
    store.spans[bad][1] = msgspec.structs.replace(store.spans[bad][1], parent_span_id="not hexadecimal")
    report = emitter(store, CountingExporter()).emit_pending(START)
    assert (report.traces, report.rejected, report.failed) == (1, 1, 0)
    assert store.emitted("otlp") == [good]


def test_big_changes_go_in_smaller_calls(store: MemoryStore) -> None:
    rows = [
        make_span("Deployment.Update", trace="big", key=str(n), attributes={"kspan.change": "x" * 900_000})
        for n in range(5)
    ]
    store.add(make_trace(rows), rows)
    exporter = CountingExporter()
    assert emitter(store, exporter).emit_pending(START).traces == 1
    assert exporter.calls == [2, 2, 1]


def test_times_before_1970_do_not_make_a_span_unsendable() -> None:
    span = readable_span(make_span("Pod.Odd", start=-5, end=-4), CLUSTER)
    assert (span.start_time, span.end_time) == (0, 0)


def test_spans_of_one_component_share_one_resource() -> None:
    one, other, third = (
        readable_span(make_span("Pod.Pulled", instance=instance), CLUSTER) for instance in ("a", "a", "b")
    )
    assert one.resource is other.resource
    assert dict(third.resource.attributes) == {
        "service.name": "kubelet",
        "service.instance.id": "b",
        "k8s.cluster.uid": "cluster-1",
    }


@pytest.mark.parametrize(
    "text,name", [("console", "console"), ("none", "none"), ("otlp", "otlp"), ("file:/a/b.jsonl", "file:/a/b.jsonl")]
)
def test_a_target_has_its_name_in_the_emissions_table(text: str, name: str) -> None:
    assert parse_target(text).name == name


def test_a_relative_path_is_told_from_the_same_path_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert parse_target("file:out.jsonl") == ExportTarget(TargetKind.FILE, tmp_path / "out.jsonl")


@pytest.mark.parametrize("text", ["", "file", "file:", "otlp:", "otlp://x", "Console", "jaeger", "none:"])
def test_another_target_is_a_settings_error_that_names_the_valid_ones(text: str) -> None:
    with pytest.raises(SettingsError, match="console, none, otlp or file:PATH"):
        parse_target(text)


def test_a_file_in_a_directory_that_does_not_exist_is_an_export_error(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="there is no directory"):
        open_exporter(parse_target(f"file:{tmp_path}/nowhere/out.jsonl"))
    with pytest.raises(ExportError, match="is a directory"):
        open_exporter(parse_target(f"file:{tmp_path}"))


@pytest.mark.parametrize("mode,words", [(0o555, "no permission to write to"), (0, "Permission denied")])
def test_a_directory_that_may_not_be_written_to_is_told_before_anything_is_read(mode: int, words: str) -> None:
    # Not tmp_path, which only its owner can enter.
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o711)
        closed = Path(folder) / "closed"
        closed.mkdir()
        closed.chmod(mode)
        with unprivileged(), pytest.raises(ExportError, match=words):
            open_exporter(parse_target(f"file:{closed}/out.jsonl"))


@contextmanager
def unprivileged() -> Iterator[None]:
    """Permissions mean nothing to root: be someone else for a while."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_nothing_is_made_before_the_first_export(tmp_path: Path) -> None:
    sink = open_sink(parse_target(f"file:{tmp_path}/out.jsonl"), CLUSTER)
    assert sink is not None
    sink.close()
    assert not list(tmp_path.iterdir())


def test_the_target_none_has_no_way_out() -> None:
    assert open_sink(parse_target("none"), CLUSTER) is None
    with pytest.raises(SettingsError):
        open_exporter(parse_target("none"))
