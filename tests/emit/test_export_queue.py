"""Which traces are exported when and how they are marked; the values of ``--export``."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
from opentelemetry.sdk.trace import ReadableSpan

from kspan.emit.batch_exporter import BatchExporter
from kspan.emit.export_queue import ExportQueue, ExportReport
from kspan.emit.otel_spans import ClusterIdentity, readable_span
from kspan.emit.span_sender import SendFailure, SpanSender
from kspan.emit.targets import ExportTarget, TargetKind, open_exporter, parse_target
from kspan.errors import ExportError, SettingsError
from kspan.model import TraceState
from tests.emit.memory_store import MemoryStore
from tests.emit.rows import START, make_span, make_trace
from tests.permissions import unprivileged

CLUSTER = ClusterIdentity("cluster-1")


class MemorySender:
    """Keeps the spans of each request; fails from request number ``fail_from`` on."""

    def __init__(self, fail_from: int | None = None) -> None:
        self.requests: list[list[ReadableSpan]] = []
        self.fail_from = fail_from

    def send(self, spans: Sequence[ReadableSpan]) -> SendFailure | None:
        if self.fail_from is not None and len(self.requests) >= self.fail_from:
            return SendFailure("the receiver is away")
        self.requests.append(list(spans))
        return None

    def close(self) -> None:
        """Nothing to close."""

    @property
    def sizes(self) -> list[int]:
        return [len(request) for request in self.requests]


class BrokenSender(MemorySender):
    """A sender with a bug."""

    def send(self, spans: Sequence[ReadableSpan]) -> SendFailure | None:
        raise RuntimeError("what a mess")


def export_queue(store: MemoryStore, sender: SpanSender, batch: int = 512) -> ExportQueue:
    return ExportQueue(store, store.cluster, "otlp", BatchExporter(sender, CLUSTER, batch), batch)


def add(store: MemoryStore, name: str, spans: int, closed_at: int = START) -> str:
    rows = [make_span("Pod.Step", trace=name, key=str(n), start=START + n) for n in range(spans)]
    store.add(make_trace(rows, closed_at=closed_at), rows)
    return rows[0].trace_id


def test_whole_traces_share_a_request_and_a_large_one_is_split(store: MemoryStore) -> None:
    for number, size in enumerate([4, 4, 4, 25, 1]):
        add(store, f"t{number}", size, START + number)
    sender = MemorySender()
    report = export_queue(store, sender, batch=10).export_pending(START)
    assert sender.sizes == [8, 4, 10, 10, 5, 1]
    assert report == ExportReport(traces=5, spans=38)


def test_traces_are_sent_oldest_first_and_their_spans_by_start(store: MemoryStore) -> None:
    late, early = add(store, "late", 3, START + 2), add(store, "early", 3, START + 1)
    sender = MemorySender()
    export_queue(store, sender).export_pending(START)
    sent = [span for request in sender.requests for span in request]
    assert [f"{span.context.trace_id:032x}" for span in sent] == [early] * 3 + [late] * 3
    assert [span.start_time for span in sent] == [START, START + 1, START + 2] * 2


def test_open_traces_are_not_exported(store: MemoryStore) -> None:
    trace_id = add(store, "open", 2)
    store.traces[trace_id] = msgspec.structs.replace(store.traces[trace_id], state=TraceState.OPEN)
    assert export_queue(store, MemorySender()).export_pending(START) == ExportReport()


def test_a_limit_is_kept_and_the_next_round_continues(store: MemoryStore) -> None:
    for number in range(5):
        add(store, f"t{number}", 2, START + number)
    queue = export_queue(store, MemorySender())
    assert [queue.export_pending(START, limit=2).traces for _ in range(4)] == [2, 2, 1, 0]


def test_an_exported_trace_is_not_sent_again_but_another_target_gets_it(store: MemoryStore) -> None:
    add(store, "t", 2)
    first, second = MemorySender(), MemorySender()
    export_queue(store, first).export_pending(START)
    export_queue(store, second).export_pending(START)
    assert (first.sizes, second.sizes) == ([2], [])
    ExportQueue(store, store.cluster, "file:/elsewhere", BatchExporter(second, CLUSTER)).export_pending(START)
    assert second.sizes == [2]


def test_a_failure_in_the_middle_of_a_large_trace_leaves_all_of_it_waiting(store: MemoryStore) -> None:
    before = add(store, "before", 2, START + 1)
    big = add(store, "big", 25, START + 2)
    after = add(store, "after", 2, START + 3)
    sender = MemorySender(fail_from=2)
    queue = export_queue(store, sender, batch=10)
    report = queue.export_pending(START + 9)
    assert (report.traces, report.spans, report.failed, report.reason) == (1, 2, 1, "the receiver is away")
    assert store.emitted("otlp") == [before]
    assert store.emission("otlp", after) is None, "the round continues after a failure"
    sender.fail_from = None
    assert queue.export_pending(START + 10).traces == 2
    assert set(store.emitted("otlp")) == {before, big, after}
    emission = store.emission("otlp", big)
    assert emission is not None
    assert emission.at == START + 10


def test_an_exporter_that_raises_is_a_failure_with_a_reason(store: MemoryStore) -> None:
    trace_id = add(store, "t", 2)
    queue = export_queue(store, BrokenSender())
    for _ in range(3):
        report = queue.export_pending(START)
        assert (report.failed, report.reason) == (1, "RuntimeError: what a mess")
    emission = store.emission("otlp", trace_id)
    assert emission is not None
    assert (emission.attempts, emission.reason) == (3, "RuntimeError: what a mess")


def test_a_trace_that_cannot_be_encoded_does_not_block_others(store: MemoryStore) -> None:
    bad, good = add(store, "bad", 2, START + 1), add(store, "good", 2, START + 2)
    store.spans[bad][1] = msgspec.structs.replace(store.spans[bad][1], parent_span_id="not hexadecimal")
    report = export_queue(store, MemorySender()).export_pending(START)
    assert (report.traces, report.rejected, report.failed) == (1, 1, 0)
    assert store.emitted("otlp") == [good]


def test_large_changes_are_sent_in_smaller_requests(store: MemoryStore) -> None:
    rows = [
        make_span("Deployment.Update", trace="big", key=str(n), attributes={"kspan.change": "x" * 900_000})
        for n in range(5)
    ]
    store.add(make_trace(rows), rows)
    sender = MemorySender()
    assert export_queue(store, sender).export_pending(START).traces == 1
    assert sender.sizes == [2, 2, 1]


def test_a_time_before_1970_is_sent_as_1970() -> None:
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


def test_a_relative_path_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert parse_target("file:out.jsonl") == ExportTarget(TargetKind.FILE, tmp_path / "out.jsonl")


@pytest.mark.parametrize("text", ["", "file", "file:", "otlp:", "otlp://x", "Console", "jaeger", "none:"])
def test_an_invalid_target_is_a_settings_error_that_names_the_valid_ones(text: str) -> None:
    with pytest.raises(SettingsError, match="use console, none, otlp or file:PATH"):
        parse_target(text)


def test_a_file_that_cannot_be_created_is_an_export_error(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"the directory .* does not exist"):
        open_exporter(parse_target(f"file:{tmp_path}/nowhere/out.jsonl"), CLUSTER)
    with pytest.raises(ExportError, match="is a directory"):
        open_exporter(parse_target(f"file:{tmp_path}"), CLUSTER)


@pytest.mark.parametrize("mode,words", [(0o555, "no permission to write to"), (0, "permission denied")])
def test_a_directory_without_write_permission_is_reported_before_anything_is_read(mode: int, words: str) -> None:
    # Not tmp_path, which only its owner can enter.
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o711)
        closed = Path(folder) / "closed"
        closed.mkdir()
        closed.chmod(mode)
        with unprivileged(), pytest.raises(ExportError, match=words):
            open_exporter(parse_target(f"file:{closed}/out.jsonl"), CLUSTER)


def test_no_file_is_created_before_the_first_export(tmp_path: Path) -> None:
    exporter = open_exporter(parse_target(f"file:{tmp_path}/out.jsonl"), CLUSTER)
    assert exporter is not None
    exporter.close()
    assert not list(tmp_path.iterdir())


def test_the_target_none_has_no_exporter() -> None:
    assert open_exporter(parse_target("none"), CLUSTER) is None
