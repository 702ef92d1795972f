"""Real OTLP receivers for the tests: the rotel collector, and an HTTP server with configurable answers."""

import gzip
import re
import socket
import ssl
import subprocess
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from importlib.util import find_spec
from pathlib import Path

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.limits import HANG_S
from tests.quiet_server import QuietServer

_SPAN_ID = re.compile(r"^    ID             : ([0-9a-f]{16})$", re.MULTILINE)
_START_ATTEMPTS = 3


def rotel_binary() -> Path:
    """The collector inside the ``rotel`` wheel; the test fails where it is not installed."""
    spec = find_spec("rotel")
    assert spec is not None, "the rotel wheel is not installed (it is one of the dev dependencies)"
    assert spec.origin is not None
    binary = Path(spec.origin).parent / "rotel-agent"
    assert binary.is_file(), f"the rotel wheel has no {binary.name}"
    return binary


def free_ports(count: int) -> list[int]:
    """Free ports of 127.0.0.1."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


@contextmanager
def reserved_ports(count: int) -> Iterator[list[int]]:
    """Ports of 127.0.0.1 that refuse connections and stay reserved until the block ends."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        yield [each.getsockname()[1] for each in sockets]


def wait_until(holds: Callable[[], bool], what: str) -> None:
    """Poll until ``holds()``; fail after ``HANG_S`` seconds, saying ``what`` did not come."""
    deadline = time.monotonic() + HANG_S
    while not holds():
        assert time.monotonic() < deadline, f"{what} within {HANG_S} s"
        time.sleep(0.01)


@dataclass
class Rotel:
    """A running collector: where it listens, and what it prints of what it received."""

    grpc_port: int
    http_port: int
    output: Path
    process: subprocess.Popen[bytes]

    @property
    def http_endpoint(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def grpc_endpoint(self) -> str:
        return f"http://127.0.0.1:{self.grpc_port}"

    def text(self) -> str:
        return self.output.read_text("utf-8", "replace")

    def wait_for_spans(self, span_ids: set[str]) -> str:
        """The printed text, once it contains all of these spans."""

        def all_there() -> bool:
            assert self.process.poll() is None, self.text()
            return span_ids <= set(_SPAN_ID.findall(self.text()))

        wait_until(all_there, f"{len(span_ids)} spans at the receiver")
        return self.text()

    def block_of(self, span_id: str) -> str:
        """The printed text of one span."""
        blocks = re.split(r"^Span #\d+$|^ResourceSpans #\d+$", self.text(), flags=re.MULTILINE)
        return next(block for block in blocks if f"    ID             : {span_id}" in block)


@contextmanager
def run_rotel(folder: Path, ports: list[int] | None = None, *, detailed: bool = True) -> Iterator[Rotel]:
    """A collector that listens on ``ports`` (gRPC, HTTP; free ones otherwise) until the block ends.

    It prints all that it receives, unless not ``detailed``.
    """
    for attempt in range(_START_ATTEMPTS):
        rotel = _start_rotel(folder, ports or free_ports(2), attempt, detailed=detailed)
        try:
            # A port may have been taken since: then the process ends, and another one is tried.
            wait_until(lambda rotel=rotel: rotel.process.poll() is not None or _listens(rotel), "a listening rotel")  # type: ignore[misc]
            if rotel.process.poll() is None:
                yield rotel
                return
        finally:
            rotel.process.terminate()
            try:
                rotel.process.wait(HANG_S)
            except subprocess.TimeoutExpired:
                rotel.process.kill()
                rotel.process.wait()
    raise AssertionError(f"rotel did not start: {rotel.text()}")


def _start_rotel(folder: Path, ports: list[int], attempt: int, *, detailed: bool) -> Rotel:
    output = folder / f"rotel-{attempt}.log"
    with output.open("wb") as log:
        process = subprocess.Popen(
            [
                str(rotel_binary()),
                "start",
                f"--pid-file={folder / 'rotel.pid'}",
                f"--otlp-grpc-endpoint=127.0.0.1:{ports[0]}",
                f"--otlp-http-endpoint=127.0.0.1:{ports[1]}",
                "--exporter=blackhole",
                *(("--debug-log=traces", "--debug-log-verbosity=detailed") if detailed else ()),
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    return Rotel(ports[0], ports[1], output, process)


def _listens(rotel: Rotel) -> bool:
    for port in (rotel.grpc_port, rotel.http_port):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            return False
    return True


@dataclass
class Answer:
    """The server's answer to a request."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class AnsweringServer:
    """An HTTP server that keeps every request's spans and answers what ``answer`` makes of them."""

    endpoint: str
    requests: list[ExportTraceServiceRequest]
    headers: list[dict[str, str]]


def spans_in(request: ExportTraceServiceRequest) -> list[Span]:
    return [span for part in request.resource_spans for scope in part.scope_spans for span in scope.spans]


def span_names(request: ExportTraceServiceRequest) -> list[str]:
    return [span.name for span in spans_in(request)]


@contextmanager
def run_server(
    answer: Callable[[ExportTraceServiceRequest], Answer], tls: ssl.SSLContext | None = None
) -> Iterator[AnsweringServer]:
    seen: list[ExportTraceServiceRequest] = []
    headers: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers["Content-Encoding"] == "gzip":
                body = gzip.decompress(body)
            elif self.headers["Content-Encoding"] == "deflate":
                body = zlib.decompress(body)
            request = ExportTraceServiceRequest.FromString(body)
            headers.append({key.lower(): value for key, value in self.headers.items()})
            seen.append(request)
            reply = answer(request)
            self.send_response(reply.status)
            for key, value in reply.headers.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Keep the tests' output clean."""

    server = QuietServer(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        scheme = "http" if tls is None else "https"
        yield AnsweringServer(f"{scheme}://127.0.0.1:{server.server_address[1]}", seen, headers)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
