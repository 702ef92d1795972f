"""OTLP through the SDK's exporters, with one try an export: the emitter decides when the next one comes.

Left to themselves, the SDK's exporters sleep and retry until their timeout (10 s) with the caller waiting, take a
redirect for a success, and tell why an export failed to the log alone. What is done about it here needs only what
they offer in public: a ``requests.Session`` of ours for HTTP, the list of retryable codes for gRPC, and a filter on
their loggers.
"""

import logging
import os
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, Self

import requests
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from kspan.emit.otel_spans import ReasonedExporter
from kspan.errors import SettingsError
from kspan.terminal.text import cut, harmless

_logger = logging.getLogger(__name__)

_HTTP_LOGGER = "opentelemetry.exporter.otlp.proto.http.trace_exporter"
_GRPC_LOGGER = "opentelemetry.exporter.otlp.proto.grpc.exporter"
_CREDENTIAL_PROVIDERS = (
    "OTEL_PYTHON_EXPORTER_OTLP_HTTP_TRACES_CREDENTIAL_PROVIDER",
    "OTEL_PYTHON_EXPORTER_OTLP_HTTP_CREDENTIAL_PROVIDER",
)
# Malformed, too large, unprocessable: sending the very same bytes again cannot end otherwise.
_REFUSALS = frozenset({400, 413, 422})
# Try again (OTLP specification, "Retryable Response Codes"; 408 is a server that was slow). For the specification any
# other 4xx is final; but 401, 403, 404 are mostly about the way: to drop all for an expired token helps nobody.
_RETRYABLE = frozenset({408, 429})
_DOUBTED_CODES = frozenset(
    {"ALREADY_EXISTS", "FAILED_PRECONDITION", "NOT_FOUND", "PERMISSION_DENIED", "UNAUTHENTICATED", "UNIMPLEMENTED"}
)
_LONGEST_WAIT_S = 600.0
"""A Retry-After beyond this is not believed: the receiver may be back long before."""


def open_otlp() -> ReasonedExporter:
    """The exporter that the ``OTEL_EXPORTER_OTLP_*`` variables ask for: HTTP/protobuf unless they say ``grpc``.

    ``SettingsError`` for another protocol, for gRPC that is not installed, and for values that the SDK cannot use.
    """
    protocol = (
        os.environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL") or ""
    ).strip()
    if protocol not in ("", "http/protobuf", "grpc"):
        raise SettingsError(f"OTEL_EXPORTER_OTLP_PROTOCOL is {protocol!r}; kspan speaks 'http/protobuf' and 'grpc'")
    try:
        return _open_grpc() if protocol == "grpc" else _open_http()
    except SettingsError:
        raise
    except Exception as error:
        # The SDK reads files, numbers and plug-ins named by the environment, and lets every kind of error through.
        raise SettingsError(f"the OTLP exporter cannot be set up: {error}") from error


def _open_http() -> ReasonedExporter:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    if any(os.environ.get(name) for name in _CREDENTIAL_PROVIDERS):
        # The session is the credential provider's then, and the SDK's retries stay.
        return OtlpExporter(OTLPSpanExporter(), _HTTP_LOGGER)
    return OtlpExporter(OTLPSpanExporter(session=_OneTrySession()), _HTTP_LOGGER)


def _open_grpc() -> ReasonedExporter:
    try:
        from grpc import StatusCode  # type: ignore[import-untyped]
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
    except ImportError as error:
        raise SettingsError("OTLP over gRPC is not installed: pip install 'kspan[grpc]'") from error
    # OK is no error's code: with it as the only retryable one, nothing is retried.
    return OtlpExporter(OTLPSpanExporter(retryable_error_codes=[StatusCode.OK]), _GRPC_LOGGER)


class OtlpExporter(ReasonedExporter):
    """An exporter of the SDK, with what it says to ``logger_name`` during an export kept as the reason."""

    def __init__(self, exporter: SpanExporter, logger_name: str) -> None:
        self._exporter = exporter
        self._logger = logging.getLogger(logger_name)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """One request; returns within the SDK's timeout (OTEL_EXPORTER_OTLP_TIMEOUT, 10 s)."""
        with _Overheard(self._logger) as overheard:
            result = self._exporter.export(spans)
        self.reason = overheard.message
        self.refused, self.doubted, self.retry_after = overheard.refused, overheard.doubted, overheard.retry_after
        return result

    def shutdown(self) -> None:
        """Close the connection."""
        self._exporter.shutdown()


class _Overheard(logging.Filter):
    """Keeps, and keeps off the log, what a logger says in this thread: the emitter tells it once, in its own words."""

    def __init__(self, logger: logging.Logger) -> None:
        super().__init__()
        self._heard = logger
        self._thread = threading.get_ident()
        self.message = ""
        self.refused = self.doubted = False
        self.retry_after = 0.0

    def __enter__(self) -> Self:
        # First in the row: the SDK has a filter there that holds back what it has said before.
        self._heard.filters.insert(0, self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._heard.removeFilter(self)

    def filter(self, record: logging.LogRecord) -> bool:
        if record.thread != self._thread:
            return True
        if record.levelno >= logging.WARNING:
            arguments = record.args if isinstance(record.args, tuple) else ()
            ours = [argument for argument in arguments if isinstance(argument, _GaveUpError)]
            self.message = harmless(str(ours[0]) if ours else record.getMessage())
            self.refused = any(map(_refuses, arguments))
            self.doubted = not self.refused and any(map(_is_doubted, arguments))
            self.retry_after = max((error.retry_after for error in ours), default=0.0)
        return False


def _refuses(argument: object) -> bool:
    """Is this argument of the SDK's log line the code of an answer that is final? (An HTTP status, a gRPC code.)"""
    if isinstance(argument, _GaveUpError):
        return argument.status in _REFUSALS
    return argument in _REFUSALS if type(argument) is int else getattr(argument, "name", "") == "INVALID_ARGUMENT"


def _is_doubted(argument: object) -> bool:
    """Is it the code of an answer that may be final, or about the way?"""
    status = argument.status if isinstance(argument, _GaveUpError) else argument
    if type(status) is int:
        return 400 <= status < 500 and status not in _RETRYABLE
    return getattr(argument, "name", "") in _DOUBTED_CODES


class _GaveUpError(Exception):
    """Not a connection error in the SDK's eyes: it returns at once. ``status`` is HTTP's, 0 without an answer."""

    def __init__(self, problem: str, status: int = 0, retry_after: float = 0.0) -> None:
        super().__init__(problem)
        self.status = status
        self.retry_after = retry_after


class _OneTrySession(requests.Session):
    """A session that raises whatever is no success, so that the SDK neither sleeps over it nor takes it for one."""

    def request(self, method: str, url: str | bytes, *args: Any, **kwargs: Any) -> requests.Response:
        try:
            response = self._request(method, url, *args, **kwargs)
        except requests.RequestException as error:
            raise _GaveUpError(f"{_text(url)}: {_innermost(error)}") from error
        if not 200 <= response.status_code < 300:
            problem = f"{_text(url)}: {response.status_code} {response.reason}{_explanation(response)}"
            raise _GaveUpError(problem, response.status_code, _retry_after(response))
        _tell_partial_success(response)
        return response

    def merge_environment_settings(self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any) -> Any:
        # requests lets REQUESTS_CA_BUNDLE win over the CA of a session, which is the one that was named for OTLP.
        own = self.verify if isinstance(self.verify, str) else verify
        return super().merge_environment_settings(url, proxies, stream, own, cert)

    def _request(self, method: str, url: str | bytes, *args: Any, **kwargs: Any) -> requests.Response:
        try:
            return super().request(method, url, *args, **kwargs)
        except requests.Timeout:
            raise
        except requests.ConnectionError:
            # Receivers close connections that were idle between two rounds; a new one is made at once.
            return super().request(method, url, *args, **kwargs)


def _tell_partial_success(response: requests.Response) -> None:
    """Log how many spans the receiver left out of a request that it took (the protocol forbids to send it again)."""
    if not response.content or "protobuf" not in response.headers.get("content-type", ""):
        return
    try:
        partial = ExportTraceServiceResponse.FromString(response.content).partial_success
    except Exception:
        # The receiver took the spans; that its answer is not OTLP changes nothing about it.
        return
    if partial.rejected_spans:
        _logger.warning("the receiver left out %d spans: %s", partial.rejected_spans, partial.error_message)


def _retry_after(response: requests.Response) -> float:
    """Seconds that the receiver asks to wait: Retry-After is a number of them, or a date."""
    text = response.headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text), _LONGEST_WAIT_S)
    try:
        until = parsedate_to_datetime(text)
    except ValueError:
        return 0.0
    now = datetime.now(UTC)
    return min(
        max(0.0, (until if until.tzinfo else until.replace(tzinfo=UTC)).timestamp() - now.timestamp()), _LONGEST_WAIT_S
    )


def _explanation(response: requests.Response) -> str:
    """What the receiver says about its refusal, where it says it in words."""
    if not response.headers.get("content-type", "").startswith("text/plain"):
        return ""
    words = harmless(response.content[:1000].decode("utf-8", "replace"))
    return f" ({cut(words, 200)})" if words else ""


def _innermost(error: BaseException) -> BaseException:
    """The system's own words at the bottom of the layers of requests and urllib3."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return error


def _text(url: str | bytes) -> str:
    """The URL without what it may have of a password: reasons are logged, and kept in the database."""
    text = url.decode() if isinstance(url, bytes) else url
    scheme, slashes, rest = text.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{slashes}{host.rpartition('@')[2]}{slash}{path}"
