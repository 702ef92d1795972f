"""The ``OTEL_EXPORTER_OTLP_*`` variables against receivers that check them, and the meaning of each answer."""

import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from email.utils import formatdate
from pathlib import Path

import grpc  # type: ignore[import-untyped]
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)

from kspan.emit.otlp import open_otlp
from kspan.errors import SettingsError
from tests.apiserver.certificate import Certificate
from tests.emit.memory_store import MemoryStore
from tests.emit.receivers import Answer, Rotel, run_server, span_names
from tests.emit.test_otlp import NOW, add_small_traces, export_all, export_queue
from tests.limits import HANG_S

PREFIX = "OTEL_EXPORTER_OTLP_"
Set = Callable[..., None]


@pytest.fixture
def variables(monkeypatch: pytest.MonkeyPatch) -> Set:
    """Sets variables: ``ENDPOINT="…"``."""

    def put(**values: str | Path) -> None:
        for name, value in values.items():
            monkeypatch.setenv(PREFIX + name, str(value))

    return put


@pytest.fixture(scope="module")
def ours() -> Iterator[Certificate]:
    """The receiver's certificate."""
    certificate = Certificate()
    yield certificate
    certificate.remove()


@pytest.fixture(scope="module")
def clients() -> Iterator[Certificate]:
    """A client's certificate."""
    certificate = Certificate()
    yield certificate
    certificate.remove()


class _Keeping(TraceServiceServicer):
    def __init__(self) -> None:
        self.seen: list[str] = []
        self.metadata: dict[str, str] = {}

    def Export(self, request: ExportTraceServiceRequest, context: grpc.ServicerContext) -> ExportTraceServiceResponse:  # noqa: N802
        self.metadata = dict(context.invocation_metadata())
        self.seen += span_names(request)
        return ExportTraceServiceResponse()


@contextmanager
def secure_receiver(protocol: str, own: Certificate, client: Certificate | None) -> Iterator[tuple[str, list[str]]]:
    """(endpoint, names of received spans) of a receiver that may require a client certificate."""
    if protocol == "grpc":
        key, certificate = own.key_path.read_bytes(), own.path.read_bytes()
        asked = client.path.read_bytes() if client else None
        credentials = grpc.ssl_server_credentials([(key, certificate)], asked, client is not None)
        server, keeping = grpc.server(ThreadPoolExecutor(max_workers=2)), _Keeping()
        add_TraceServiceServicer_to_server(keeping, server)  # type: ignore[no-untyped-call]
        port = server.add_secure_port("127.0.0.1:0", credentials)
        server.start()
        yield f"https://127.0.0.1:{port}", keeping.seen
        server.stop(None).wait()
        return
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own.path, own.key_path)
    if client:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(client.path)
    seen: list[str] = []

    def answer(request: ExportTraceServiceRequest) -> Answer:
        seen.extend(span_names(request))
        return Answer()

    with run_server(answer, context) as receiver:
        yield receiver.endpoint, seen


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
@pytest.mark.parametrize("specific", ["", "TRACES_"])
def test_a_receivers_certificate_is_verified_with_the_configured_ca(
    store: MemoryStore, variables: Set, ours: Certificate, protocol: str, specific: str
) -> None:
    add_small_traces(store, 1)
    with secure_receiver(protocol, ours, None) as (endpoint, seen):
        path = "/v1/traces" if specific and protocol != "grpc" else ""
        variables(**{f"{specific}ENDPOINT": endpoint + path, f"{specific}PROTOCOL": protocol, "TIMEOUT": "3"})
        report = export_all(store)
        assert (report.traces, report.failed, seen) == (0, 1, [])
        variables(**{f"{specific}CERTIFICATE": ours.path})
        assert export_all(store).traces == 1
        assert seen == ["Pod.T0"]


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_a_client_certificate_is_presented_to_a_receiver_that_requires_one(
    store: MemoryStore, variables: Set, ours: Certificate, clients: Certificate, protocol: str
) -> None:
    add_small_traces(store, 1)
    with secure_receiver(protocol, ours, clients) as (endpoint, seen):
        variables(ENDPOINT=endpoint, PROTOCOL=protocol, CERTIFICATE=ours.path, TIMEOUT="3")
        assert export_all(store).failed == 1
        variables(CLIENT_CERTIFICATE=clients.path, CLIENT_KEY=clients.key_path)
        assert export_all(store).traces == 1
        assert seen == ["Pod.T0"]


def test_variables_for_traces_take_precedence(store: MemoryStore, variables: Set) -> None:
    add_small_traces(store, 1)
    with run_server(lambda _: Answer()) as server:
        variables(ENDPOINT="http://127.0.0.1:1", TRACES_ENDPOINT=f"{server.endpoint}/mine")
        variables(HEADERS="x-a=all,x-b=all", TRACES_HEADERS="x-a=traces,authorization=Bearer%20abc")
        variables(COMPRESSION="none", TRACES_COMPRESSION="gzip")
        assert export_all(store).traces == 1
    (headers,) = server.headers
    assert headers["x-a"] == "traces"
    assert headers["authorization"] == "Bearer abc"
    assert headers["content-encoding"] == "gzip"


def test_headers_and_compression_are_used_over_grpc(store: MemoryStore, variables: Set) -> None:
    add_small_traces(store, 1)
    server, keeping = grpc.server(ThreadPoolExecutor(max_workers=2)), _Keeping()
    add_TraceServiceServicer_to_server(keeping, server)  # type: ignore[no-untyped-call]
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    variables(ENDPOINT=f"http://127.0.0.1:{port}", PROTOCOL="grpc", HEADERS="x-tenant=blue", COMPRESSION="gzip")
    assert export_all(store).traces == 1
    server.stop(None).wait()
    assert keeping.metadata["x-tenant"] == "blue"


@pytest.mark.parametrize("name", ["TIMEOUT", "TRACES_TIMEOUT"])
def test_a_request_without_an_answer_fails_after_the_timeout(store: MemoryStore, variables: Set, name: str) -> None:
    add_small_traces(store, 1)

    given_up = threading.Event()

    def silent(_: ExportTraceServiceRequest) -> Answer:
        assert given_up.wait(HANG_S)
        return Answer()

    with run_server(silent) as server:
        variables(ENDPOINT=server.endpoint, **{name: "1"})
        began = time.monotonic()
        report = export_all(store)
        given_up.set()
        assert report.failed == 1
        assert time.monotonic() - began > 0.9
        assert "timed out" in report.reason


# The meaning of an answer --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_temporary_failures_are_retried_after_the_time_that_the_receiver_asks_for(
    store: MemoryStore, variables: Set, status: int
) -> None:
    add_small_traces(store, 3)
    with run_server(lambda _: Answer(status, headers={"Retry-After": "37"})) as server:
        variables(ENDPOINT=server.endpoint)
        report = export_all(store)
    assert (report.failed, report.rejected, report.retry_after) == (3, 0, 37)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "text, seconds", [("", 0), ("soon", 0), ("-5", 0), ("99999999", 600), (formatdate(0, usegmt=True), 0)]
)
def test_a_retry_after_is_limited(store: MemoryStore, variables: Set, text: str, seconds: float) -> None:
    add_small_traces(store, 1)
    with run_server(lambda _: Answer(503, headers={"Retry-After": text})) as server:
        variables(ENDPOINT=server.endpoint)
        assert export_all(store).retry_after == seconds


def test_a_retry_after_may_be_a_date(store: MemoryStore, variables: Set) -> None:
    add_small_traces(store, 1)
    with run_server(
        lambda _: Answer(429, headers={"Retry-After": formatdate(time.time() + 60, usegmt=True)})
    ) as server:
        variables(ENDPOINT=server.endpoint)
        assert 50 < export_all(store).retry_after <= 60


@pytest.mark.parametrize("status", [401, 403, 404, 405])
def test_a_route_that_fails_for_all_traces_is_detected_with_few_requests(
    store: MemoryStore, variables: Set, status: int
) -> None:
    add_small_traces(store, 400)
    answers = [200]
    with run_server(lambda _: Answer(answers[-1])) as server:
        variables(ENDPOINT=server.endpoint)
        queue = export_queue(store, batch=100)
        assert queue.export_pending(NOW, limit=100).traces == 100
        answers.append(status)
        report = queue.export_pending(NOW)
        assert (report.traces, report.rejected) == (0, 0)
        assert str(status) in report.reason
        assert len(server.requests) < 20
        answers.append(200)
        assert queue.export_pending(NOW).traces == 300
        queue.close()


@pytest.mark.parametrize("bad", [0, 7, 19])
@pytest.mark.parametrize("status", [403, 404, 413])
def test_a_trace_that_is_rejected_while_others_are_accepted_is_set_aside(
    store: MemoryStore, variables: Set, status: int, bad: int
) -> None:
    ids = add_small_traces(store, 20)
    with run_server(lambda request: Answer(status if f"Pod.T{bad}" in span_names(request) else 200)) as server:
        variables(ENDPOINT=server.endpoint)
        report = export_all(store)
    assert (report.traces, report.failed, report.rejected, report.reason) == (19, 0, 1, "")
    emission = store.emission("otlp", ids[bad])
    assert emission is not None
    assert emission.rejected
    assert str(status) in emission.reason


# Invalid values and plug-ins ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
@pytest.mark.parametrize(
    "name, value, hint",
    [("TIMEOUT", "soon", "number of seconds"), ("TIMEOUT", "-1", "number of seconds"), ("COMPRESSION", "zip", "gzip")],
)
def test_an_invalid_value_is_a_settings_error_with_the_valid_ones(
    variables: Set, protocol: str, name: str, value: str, hint: str
) -> None:
    variables(PROTOCOL=protocol, **{name: value})
    with pytest.raises(SettingsError, match=f"{PREFIX}{name} '{value}': use .*{hint}"):
        open_otlp()


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
@pytest.mark.parametrize("compression", ["gzip", "none"])
def test_a_collector_reads_compressed_requests(
    rotel: Rotel, store: MemoryStore, variables: Set, protocol: str, compression: str
) -> None:
    add_small_traces(store, 1)
    endpoint = rotel.grpc_endpoint if protocol == "grpc" else rotel.http_endpoint
    variables(ENDPOINT=endpoint, PROTOCOL=protocol, COMPRESSION=compression)
    assert export_all(store).traces == 1


def test_deflate_is_the_zlib_format(store: MemoryStore, variables: Set) -> None:
    """RFC 9110, 8.4.1.2."""
    add_small_traces(store, 1)
    with run_server(lambda _: Answer()) as server:
        variables(ENDPOINT=server.endpoint, COMPRESSION="deflate")
        assert export_all(store).traces == 1
    assert span_names(server.requests[0]) == ["Pod.T0"]
    assert server.headers[0]["content-encoding"] == "deflate"


PLUGIN = """
import requests

def session():
    session = requests.Session()
    session.headers["authorization"] = "Bearer from-plugin"
    return session
"""


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed package with a credential provider that is named ``company``."""
    (tmp_path / "company_credentials.py").write_text(PLUGIN)
    metadata = tmp_path / "company_credentials-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: company-credentials\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        "[opentelemetry_otlp_credential_provider]\ncompany = company_credentials:session\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))


@pytest.mark.parametrize("scope", ["", "TRACES_"])
def test_a_credential_provider_supplies_the_http_session(
    store: MemoryStore, variables: Set, plugin: None, scope: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"OTEL_PYTHON_EXPORTER_OTLP_HTTP_{scope}CREDENTIAL_PROVIDER", "company")
    add_small_traces(store, 1)
    with run_server(lambda _: Answer()) as server:
        variables(ENDPOINT=server.endpoint)
        assert export_all(store).traces == 1
    assert server.headers[0]["authorization"] == "Bearer from-plugin"


def test_a_credential_provider_of_the_wrong_type_is_a_settings_error(
    variables: Set, plugin: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    variables(PROTOCOL="grpc", ENDPOINT="https://127.0.0.1:1")
    monkeypatch.setenv("OTEL_PYTHON_EXPORTER_OTLP_GRPC_CREDENTIAL_PROVIDER", "company")
    with pytest.raises(SettingsError, match="'company' returns a Session, not a ChannelCredentials"):
        open_otlp()


def test_a_credential_provider_that_is_not_installed_is_a_settings_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_PYTHON_EXPORTER_OTLP_HTTP_CREDENTIAL_PROVIDER", "nowhere")
    with pytest.raises(SettingsError, match="'nowhere' is not installed"):
        open_otlp()


class _Failing(TraceServiceServicer):
    """Answers every call with a code."""

    def __init__(self, code: grpc.StatusCode) -> None:
        self.code = code

    def Export(self, request: ExportTraceServiceRequest, context: grpc.ServicerContext) -> ExportTraceServiceResponse:  # noqa: N802
        context.abort(self.code, "no reason given")
        raise AssertionError


@pytest.mark.parametrize(
    "code", ["INVALID_ARGUMENT", "UNAUTHENTICATED", "PERMISSION_DENIED", "UNAVAILABLE", "INTERNAL"]
)
def test_a_grpc_receiver_that_fails_all_calls_rejects_no_trace(store: MemoryStore, variables: Set, code: str) -> None:
    add_small_traces(store, 3)
    server = grpc.server(ThreadPoolExecutor(max_workers=2))
    add_TraceServiceServicer_to_server(_Failing(grpc.StatusCode[code]), server)  # type: ignore[no-untyped-call]
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    variables(ENDPOINT=f"http://127.0.0.1:{port}", PROTOCOL="grpc")
    report = export_all(store)
    server.stop(None).wait()
    assert (report.traces, report.failed, report.rejected) == (0, 3, 0)
    assert report.reason == f"127.0.0.1:{port}: {code} (no reason given)"


@pytest.mark.parametrize("name", ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"])
def test_an_http_endpoint_with_another_scheme_is_a_settings_error(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "ftp://x")
    with pytest.raises(SettingsError, match=f"invalid {name} 'ftp://x': use a URL that starts with http://"):
        open_otlp()
