"""Export to real OTLP receivers, over HTTP and gRPC."""

import logging
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc  # type: ignore[import-untyped]
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)

from kspan.emit.export_queue import ExportQueue, ExportReport
from kspan.emit.otel_spans import ClusterIdentity
from kspan.emit.otlp import open_otlp
from kspan.emit.targets import open_exporter, parse_target
from kspan.errors import SettingsError
from kspan.graph import built_in_rules
from kspan.ingest.journal_builder import JournalBatch
from kspan.model import RecordType
from kspan.pipeline.projector import Projector
from kspan.store import open_store
from kspan.vocabulary import INCOMPLETE
from tests.emit.memory_store import MemoryStore
from tests.emit.receivers import Answer, Rotel, free_ports, run_rotel, run_server, span_names, spans_in
from tests.emit.rows import START, make_span, make_trace, rich_span, rolling_update
from tests.limits import HANG_S
from tests.recordings import journal

CLUSTER = ClusterIdentity("cluster-1", "staging")
NOW = START + 100


def export_queue(store: MemoryStore, batch: int = 512) -> ExportQueue:
    exporter = open_exporter(parse_target("otlp"), CLUSTER)
    assert exporter is not None
    return ExportQueue(store, store.cluster, "otlp", exporter, batch)


def export_all(store: MemoryStore) -> ExportReport:
    queue = export_queue(store)
    try:
        return queue.export_pending(NOW)
    finally:
        queue.close()


def add_small_traces(store: MemoryStore, count: int) -> list[str]:
    """``count`` traces of one span each, named ``Pod.T0`` …; their ids, oldest closed first."""
    ids = []
    for number in range(count):
        spans = [make_span(f"Pod.T{number}", trace=f"small {number}")]
        store.add(make_trace(spans, closed_at=START + number), spans)
        ids.append(spans[0].trace_id)
    return ids


@pytest.fixture(params=["http/protobuf", "grpc"])
def protocol(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", request.param)
    return str(request.param)


def endpoint(rotel: Rotel, protocol: str) -> str:
    return rotel.grpc_endpoint if protocol == "grpc" else rotel.http_endpoint


def test_a_receiver_gets_every_span_with_all_values_of_its_row(
    rotel: Rotel, protocol: str, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint(rotel, protocol))
    span = rich_span(f"rich over {protocol}", remote_parent=True, parent_span_id="00f067aa0ba902b7")
    store.add(make_trace([span]), [span])
    trace, spans = rolling_update(f"rollout over {protocol}")
    store.add(trace, spans)
    report = export_all(store)
    assert report == ExportReport(traces=2, spans=len(spans) + 1)
    text = rotel.wait_for_spans({row.span_id for row in [span, *spans]})
    block = rotel.block_of(span.span_id)
    for line in (
        f"    Trace ID       : {span.trace_id}",
        "    Parent ID      : 00f067aa0ba902b7",
        "    Name           : Pod.BackOff",
        "    Kind           : SPAN_KIND_INTERNAL",
        f"Start time: {span.start_time}",
        f"End time: {span.end_time}",
        "    Status code    : STATUS_CODE_ERROR",
        "     -> k8s.event.count: Int(2)",
        "     -> kspan.confidence: Double(0.97)",
        "     -> kspan.trace.incomplete: Bool(true)",
        "     -> k8s.event.count: Int(3)",
        f"    -> Trace ID: {span.links[0].trace_id}",
    ):
        assert line in block
    for line in ("service.name: Str(kubelet)", "service.instance.id: Str(node-1)", "k8s.cluster.name: Str(staging)"):
        assert line in text
    assert "telemetry.sdk" not in text
    assert "InstrumentationScope kspan 0." in text


def test_only_the_root_of_an_incomplete_trace_is_marked_incomplete(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cluster, records = journal("01-deployment-create")
    first_pod = next(i for i, record in enumerate(records) if (record.kind, record.type) == ("Pod", RecordType.ADDED))
    with open_store("sqlite://") as journalled, run_server(lambda _: Answer()) as server:
        projector = Projector(journalled, cluster, built_in_rules())
        projector.add(JournalBatch([record]) for record in records[: first_pod + 1])
        projector.run_out()
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.endpoint)
        exporter = open_exporter(parse_target("otlp"), CLUSTER)
        assert exporter is not None
        queue = ExportQueue(journalled, cluster, "otlp", exporter)
        assert not queue.export_pending(NOW).failed
        queue.close()
        cut_short = {row["root_span_id"] for row in journalled.projection_rows(cluster, "traces") if row["incomplete"]}
    spans = [span for request in server.requests for span in spans_in(request)]
    marked = {
        span.span_id.hex(): attribute.value.bool_value
        for span in spans
        for attribute in span.attributes
        if attribute.key == INCOMPLETE
    }
    assert cut_short
    assert marked == dict.fromkeys(cut_short, True)


def test_traces_wait_while_the_receiver_is_away_and_are_sent_when_it_is_back(
    protocol: str, store: MemoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    ports = free_ports(2)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{ports[0 if protocol == 'grpc' else 1]}")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "120")
    trace, spans = rolling_update(f"late over {protocol}")
    store.add(trace, spans)
    queue = export_queue(store)
    began = time.monotonic()
    reports = [queue.export_pending(NOW), queue.export_pending(NOW + 1)]
    assert time.monotonic() - began < 60, "the SDK slept between retries, up to its timeout"
    assert [(report.traces, report.failed) for report in reports] == [(0, 1), (0, 1)]
    assert all("refused" in report.reason for report in reports)
    emission = store.emission("otlp", trace.trace_id)
    assert emission is not None
    assert (emission.emitted, emission.rejected, emission.attempts) == (False, False, 2)
    with run_rotel(tmp_path, ports) as rotel:
        # gRPC holds a broken channel back for a second before it connects again.
        rounds = 0
        while not (report := queue.export_pending(NOW + 2)).traces:
            rounds += 1
            assert time.monotonic() - began < HANG_S, report.reason
        assert report == ExportReport(traces=1, spans=len(spans))
        rotel.wait_for_spans({row.span_id for row in spans})
    queue.close()
    assert not caplog.records, "the caller reports the failure, from the report"


@pytest.mark.parametrize("status", [301, 401, 404, 429, 500, 503])
def test_a_failure_of_the_route_rejects_no_trace(
    status: int, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = add_small_traces(store, 3)
    with run_server(lambda _: Answer(status, headers={"Retry-After": str(2 * HANG_S), "Location": "/login"})) as server:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.endpoint)
        began = time.monotonic()
        report = export_all(store)
    assert time.monotonic() - began < HANG_S
    assert (report.traces, report.failed, report.rejected) == (0, 3, 0)
    assert report.reason.startswith(f"{server.endpoint}/v1/traces: {status} ")
    assert len(server.requests) <= 5
    assert [trace.trace_id for trace in store.unemitted_traces(store.cluster, "otlp", 9)] == ids


def test_a_rejected_trace_does_not_block_others(store: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = add_small_traces(store, 20)
    with run_server(lambda request: Answer(400 if "Pod.T7" in span_names(request) else 200)) as server:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.endpoint)
        report = export_all(store)
    assert (report.traces, report.failed, report.rejected, report.reason) == (19, 0, 1, "")
    emission = store.emission("otlp", ids[7])
    assert emission is not None
    assert emission.rejected
    assert "400" in emission.reason
    assert store.unemitted_traces(store.cluster, "otlp", 99) == []


def test_a_rejected_span_rejects_its_whole_trace(store: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    add_small_traces(store, 1)
    trace, spans = rolling_update()
    store.add(trace, spans)
    with run_server(lambda request: Answer(400 if "Pod.Scheduled" in span_names(request) else 200)) as server:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.endpoint)
        report = export_all(store)
    assert (report.traces, report.failed, report.rejected) == (1, 0, 1)
    assert trace.trace_id not in store.emitted("otlp")


def test_a_receiver_that_rejects_everything_is_not_believed(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_small_traces(store, 4)
    answer = Answer(400, b"this is\x1b[31m no OTLP", {"Content-Type": "text/plain"})
    with run_server(lambda _: answer) as server:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.endpoint)
        report = export_all(store)
    assert (report.traces, report.failed, report.rejected) == (0, 4, 0)
    assert report.reason == f"{server.endpoint}/v1/traces: 400 Bad Request (this is no OTLP)"


class _Refusing(TraceServiceServicer):
    """Takes no span that is named ``Pod.T2``."""

    def Export(self, request: ExportTraceServiceRequest, context: grpc.ServicerContext) -> ExportTraceServiceResponse:  # noqa: N802
        if "Pod.T2" in span_names(request):
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "not this one")
        return ExportTraceServiceResponse()


@pytest.fixture
def refusing_grpc_port() -> Iterator[int]:
    server = grpc.server(ThreadPoolExecutor(max_workers=2))
    add_TraceServiceServicer_to_server(_Refusing(), server)  # type: ignore[no-untyped-call]
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield port
    server.stop(None).wait()


def test_a_rejection_over_grpc_rejects_one_trace(
    refusing_grpc_port: int, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", f"http://127.0.0.1:{refusing_grpc_port}")
    ids = add_small_traces(store, 5)
    report = export_all(store)
    assert (report.traces, report.failed, report.rejected) == (4, 0, 1)
    emission = store.emission("otlp", ids[2])
    assert emission is not None
    assert "not this one" in emission.reason


def test_headers_compression_and_endpoint_come_from_the_environment(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_small_traces(store, 1)
    with run_server(lambda _: Answer()) as server:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", f"{server.endpoint}/custom")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=blue")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
        report = export_all(store)
    assert report.traces == 1
    assert server.headers[0]["x-tenant"] == "blue"
    assert server.headers[0]["content-encoding"] == "gzip"
    assert span_names(server.requests[0]) == ["Pod.T0"]


def test_spans_that_the_receiver_dropped_are_logged(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    add_small_traces(store, 2)
    partial = ExportTraceServiceResponse(
        partial_success=ExportTracePartialSuccess(rejected_spans=1, error_message="too old")
    )
    answer = Answer(body=partial.SerializeToString(), headers={"Content-Type": "application/x-protobuf"})
    with run_server(lambda _: answer) as server:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.endpoint)
        report = export_all(store)
    assert report.traces == 2
    assert "dropped 1 spans: too old" in caplog.text


def test_a_connection_that_the_receiver_closed_between_two_rounds_is_opened_again(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with run_server(lambda _: Answer(headers={"Connection": "close"})) as server:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.endpoint)
        queue = export_queue(store)
        for number in range(3):
            spans = [make_span("Pod.Created", trace=f"round {number}")]
            store.add(make_trace(spans), spans)
            assert queue.export_pending(NOW).traces == 1
        queue.close()


def test_an_unknown_protocol_is_a_settings_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")
    with pytest.raises(SettingsError, match="use 'http/protobuf' or 'grpc'"):
        open_otlp()


def test_an_invalid_timeout_is_a_settings_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "soon")
    with pytest.raises(SettingsError, match="soon"):
        open_otlp()


def test_grpc_that_is_not_installed_is_a_settings_error_that_names_the_extra() -> None:
    # In a process of its own, where grpc cannot be imported; this one has it loaded already.
    code = """
import os, sys
sys.modules["grpc"] = None
os.environ["OTEL_EXPORTER_OTLP_PROTOCOL"] = "grpc"
from kspan.emit.otlp import open_otlp
from kspan.errors import SettingsError
try:
    open_otlp()
except SettingsError as error:
    print(error)
"""
    dqueue = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=HANG_S, check=True)
    assert "the extra grpc" in dqueue.stdout
