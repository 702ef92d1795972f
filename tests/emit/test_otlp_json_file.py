"""Export to a file of OTLP/JSON."""

import base64
import importlib.util
import json
import os
import random
import resource
import signal
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from google.protobuf import json_format  # type: ignore[import-untyped]
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from kspan import ids
from kspan.emit.export_queue import ExportQueue, ExportReport
from kspan.emit.otel_spans import ClusterIdentity, readable_span
from kspan.emit.otlp_json_file import JsonFileSender
from kspan.emit.span_sender import SendFailure
from kspan.emit.targets import open_exporter, parse_target
from kspan.model import SpanRow
from tests.emit.memory_store import MemoryStore
from tests.emit.rows import START, make_span, make_trace, rich_span, rolling_update

CLUSTER = ClusterIdentity("cluster-1", "staging")


def export_all(store: MemoryStore, path: Path, batch: int = 512) -> ExportReport:
    target = parse_target(f"file:{path}")
    exporter = open_exporter(target, CLUSTER)
    assert exporter is not None
    queue = ExportQueue(store, store.cluster, target.name, exporter, batch)
    try:
        return queue.export_pending(START)
    finally:
        queue.close()


def fill(store: MemoryStore, traces: int = 3) -> MemoryStore:
    for number in range(traces):
        trace, spans = rolling_update(f"rollout {number}", pods=1 + number)
        store.add(trace, spans)
    span = rich_span()
    store.add(make_trace([span]), [span])
    return store


def export(path: Path, *rows: SpanRow) -> SendFailure | None:
    sender = JsonFileSender(path)
    try:
        return sender.send([readable_span(row, CLUSTER) for row in rows])
    finally:
        sender.close()


def parsed(line: str) -> TracesData:
    """A line, read by protobuf's own JSON parser (which wants ids in base64, unlike OTLP/JSON)."""

    def convert(node: Any) -> None:
        for key, value in node.items() if isinstance(node, dict) else enumerate(node):
            if key in ("traceId", "spanId", "parentSpanId"):
                node[key] = base64.b64encode(bytes.fromhex(value)).decode()
            elif isinstance(value, dict | list):
                convert(value)

    document = json.loads(line)
    convert(document)
    data = TracesData()
    json_format.ParseDict(document, data)
    return data


@pytest.fixture
def score_reader() -> Any:
    """``read_spans`` as the scoring tool has it: what others read these files with."""

    def value(v: dict[str, Any]) -> Any:
        return next((v[key] for key in ("stringValue", "intValue", "doubleValue", "boolValue") if key in v), None)

    def attributes(pairs: list[dict[str, Any]] | None) -> dict[str, Any]:
        return {pair["key"]: value(pair["value"]) for pair in pairs or []}

    def read(path: Path) -> Iterator[dict[str, Any]]:
        for line in path.read_text().splitlines():
            for part in json.loads(line)["resourceSpans"]:
                common = attributes(part["resource"]["attributes"])
                for scope in part["scopeSpans"]:
                    for span in scope["spans"]:
                        yield {**span, "attrs": {**common, **attributes(span.get("attributes"))}}

    return read


def test_a_line_parses_into_the_same_spans_as_otlp(tmp_path: Path) -> None:
    rows = [rich_span(), make_span("Pod.Created", trace="rich", parent="Pod.BackOff web"), *rolling_update("rich")[1]]
    assert export(tmp_path / "out.jsonl", *rows) is None
    (line,) = (tmp_path / "out.jsonl").read_text("utf-8").splitlines()
    sent = encode_spans([readable_span(row, CLUSTER) for row in rows])
    assert parsed(line) == TracesData(resource_spans=sent.resource_spans)


def test_infinity_and_not_a_number_parse_back(tmp_path: Path) -> None:
    row = make_span("Pod.Odd", attributes={"a": float("inf"), "b": float("-inf"), "c": float("nan"), "d": [True, 1.5]})
    export(tmp_path / "out.jsonl", row)
    sent = encode_spans([readable_span(row, CLUSTER)])
    read = parsed((tmp_path / "out.jsonl").read_text())
    assert str(read) == str(TracesData(resource_spans=sent.resource_spans))


def test_another_tool_can_read_the_file(tmp_path: Path, store: MemoryStore, score_reader: Any) -> None:
    path = tmp_path / "out.jsonl"
    export_all(fill(store), path)
    spans = list(score_reader(path))
    assert len(spans) == sum(map(len, store.spans.values()))
    rich = next(span for span in spans if span["name"] == "Pod.BackOff")
    assert rich["attrs"]["service.name"] == "kubelet"
    assert rich["attrs"]["k8s.event.uid"] == "e-1"
    assert int(rich["attrs"]["k8s.event.count"]) == 2
    assert rich["startTimeUnixNano"] == str(START)
    assert rich["traceId"] == ids.trace_id("rich")
    assert "parentSpanId" not in rich


def test_the_same_rows_give_the_same_bytes_in_any_order_and_batch_size(tmp_path: Path) -> None:
    store = fill(MemoryStore())
    export_all(store, tmp_path / "one.jsonl")
    shuffled = MemoryStore()
    for trace_id in sorted(store.traces):
        spans = list(store.spans[trace_id])
        random.Random(7).shuffle(spans)
        shuffled.add(store.traces[trace_id], spans)
    export_all(shuffled, tmp_path / "two.jsonl", batch=40)
    one = (tmp_path / "one.jsonl").read_bytes()
    assert one == (tmp_path / "two.jsonl").read_bytes()
    assert one.count(b"\n") == len(store.traces)


def test_another_run_appends(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    export(path, make_span("Pod.One"))
    first = path.read_bytes()
    export(path, make_span("Pod.Two"))
    assert path.read_bytes().startswith(first)
    assert path.read_bytes().count(b"\n") == 2


@pytest.mark.parametrize("left", [1, 17, 100_000])
def test_an_incomplete_last_line_is_removed_before_the_first_append(tmp_path: Path, left: int) -> None:
    path = tmp_path / "out.jsonl"
    export(path, make_span("Pod.One"))
    whole = path.read_bytes()
    torn = b'{"resourceSpans":[{"resource":{"attributes":["' + b"x" * 200_000
    path.write_bytes(whole + torn[:left])
    export(path, make_span("Pod.Two"))
    lines = path.read_bytes().splitlines(keepends=True)
    assert lines[0] == whole
    assert parsed(lines[1].decode()).resource_spans[0].scope_spans[0].spans[0].name == "Pod.Two"


def test_a_file_with_only_an_incomplete_line_is_emptied(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_bytes(b'{"resourceS')
    export(path, make_span("Pod.One"))
    parsed(path.read_text())


def test_a_file_in_another_format_is_not_touched(tmp_path: Path, store: MemoryStore) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("first line\nsecond line without an end")
    report = export_all(fill(store), path)
    assert report.traces == 0
    assert "its last line is not OTLP/JSON" in report.reason
    assert path.read_text() == "first line\nsecond line without an end"


def test_traces_wait_while_the_directory_is_missing(tmp_path: Path, store: MemoryStore) -> None:
    fill(store)
    folder = tmp_path / "mount"
    folder.mkdir()
    target = parse_target(f"file:{folder / 'out.jsonl'}")
    exporter = open_exporter(target, CLUSTER)
    assert exporter is not None
    queue = ExportQueue(store, store.cluster, target.name, exporter)
    folder.rmdir()
    report = queue.export_pending(START)
    assert (report.traces, report.failed) == (0, 4)
    assert report.reason == f"{folder / 'out.jsonl'}: the directory {folder} does not exist"
    folder.mkdir()
    assert queue.export_pending(START).traces == 4
    queue.close()


def test_a_full_disk_leaves_no_incomplete_line(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    export(path, make_span("Pod.One"))
    before = path.read_bytes()
    # A limit on the size of files fails a write half-way, as a full disk does.
    old_limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    old_handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    sender = JsonFileSender(path)
    spans = [readable_span(make_span("Pod.Two", key=str(n)), CLUSTER) for n in range(100)]
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 1000, old_limit[1]))
        failure = sender.send(spans)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old_limit)
        signal.signal(signal.SIGXFSZ, old_handler)
    assert failure is not None
    assert "file too large" in failure.reason
    assert path.read_bytes() == before
    assert sender.send(spans) is None
    sender.close()
    assert path.read_bytes().count(b"\n") == 2


def test_a_pipe_can_be_written_to(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    assert stat.S_ISFIFO(path.stat().st_mode)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert export(path, make_span("Pod.One")) is None
        parsed(os.read(reader, 65536).decode())
    finally:
        os.close(reader)


def test_a_pipe_without_a_reader_is_broken_and_nothing_waits_for_it(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    sender = JsonFileSender(path)
    assert sender.send([readable_span(make_span("Pod.One"), CLUSTER)]) is None
    os.close(reader)
    failure = sender.send([readable_span(make_span("Pod.Two"), CLUSTER)])
    assert failure is not None
    assert str(path) in failure.reason


def test_text_that_utf8_cannot_encode_is_replaced(tmp_path: Path) -> None:
    hostile = "a\ud800b\x00\u202e"
    row = msgspec.structs.replace(
        rich_span(), name=hostile, message=hostile, service=hostile, attributes={"kspan.change": hostile, hostile: "x"}
    )
    assert export(tmp_path / "out.jsonl", row) is None
    sent = json.loads((tmp_path / "out.jsonl").read_text("utf-8"))
    assert sent["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["name"] == "a?b\x00\u202e"


def test_importing_the_exporters_does_not_import_the_sdk() -> None:
    # The CLI parses --export before it knows whether anything is to be exported.
    spec = importlib.util.find_spec("kspan.emit.targets")
    assert spec is not None
    assert spec.origin is not None
    top_level = [line for line in Path(spec.origin).read_text().splitlines() if line.startswith(("import", "from"))]
    assert not any("opentelemetry" in line or "rich" in line for line in top_level)
