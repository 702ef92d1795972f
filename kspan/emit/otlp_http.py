"""OTLP over HTTP (protobuf): one POST for each call."""

import gzip
import zlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

import requests
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.sdk.trace import ReadableSpan

from kspan import __version__
from kspan.emit.otlp import log_partial_success
from kspan.emit.otlp_settings import OtlpSettings, load_credentials
from kspan.emit.span_sender import FailureKind, SendFailure
from kspan.terminal.text import cut, harmless

_REJECTED: Final = frozenset({400, 413, 422})
"""Malformed, too large, unprocessable: the same bytes cannot be accepted later."""

_RETRYABLE: Final = frozenset({408, 429})
"""OTLP specification, "Retryable Response Codes", and 408 (the server was slow).

For the specification any other 4xx is final. But 401, 403 and 404 are mostly about the route, and dropping all traces
because a token expired helps nobody: they are ambiguous.
"""

_MAX_RETRY_AFTER_S: Final = 600.0
"""A longer Retry-After is cut off: the receiver may be back long before."""

_COMPRESS: Final[dict[str, Callable[[bytes], bytes]]] = {"gzip": gzip.compress, "deflate": zlib.compress}


class OtlpHttpSender:
    """Sends spans to ``settings.endpoint``."""

    def __init__(self, settings: OtlpSettings) -> None:
        self._settings = settings
        self._session: requests.Session = (
            load_credentials(settings.credential_provider, requests.Session)
            if settings.credential_provider
            else requests.Session()
        )
        self._headers = {"content-type": "application/x-protobuf", "user-agent": f"kspan/{__version__}"}
        if settings.compression in _COMPRESS:
            self._headers["content-encoding"] = settings.compression
        self._headers |= settings.headers

    def send(self, spans: Sequence[ReadableSpan]) -> SendFailure | None:
        """Send the spans in one request. Returns within the timeout (OTEL_EXPORTER_OTLP_TIMEOUT)."""
        body = encode_spans(spans).SerializeToString()
        if compress := _COMPRESS.get(self._settings.compression):
            body = compress(body)
        try:
            response = self._post(body)
        except OSError as error:  # RequestException is one, and so is a certificate file that is missing.
            return SendFailure(f"{self._place}: {harmless(str(_innermost(error)))}")
        if not 200 <= response.status_code < 300:
            reason = f"{self._place}: {response.status_code} {response.reason}{_explanation(response)}"
            return SendFailure(reason, _kind(response.status_code), _retry_after(response))
        _read_answer(response)
        return None

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def _post(self, body: bytes) -> requests.Response:
        try:
            return self._post_once(body)
        except requests.Timeout:
            raise
        except requests.ConnectionError:
            # Receivers close connections that were idle between two rounds: connect again at once.
            return self._post_once(body)

    def _post_once(self, body: bytes) -> requests.Response:
        settings = self._settings
        client = (
            (settings.client_certificate, settings.client_key) if settings.client_key else settings.client_certificate
        )
        return self._session.post(
            settings.endpoint,
            data=body,
            headers=self._headers,
            timeout=settings.timeout_s,
            # Named here and not on the session, where REQUESTS_CA_BUNDLE would take precedence.
            verify=settings.certificate or None,
            cert=client or None,
            # A redirected POST becomes a GET, and its success would not mean that the spans arrived.
            allow_redirects=False,
        )

    @property
    def _place(self) -> str:
        """The endpoint without user name and password: reasons are logged and stored."""
        scheme, slashes, rest = self._settings.endpoint.partition("://")
        host, slash, path = rest.partition("/")
        return f"{scheme}{slashes}{host.rpartition('@')[2]}{slash}{path}"


def _kind(status: int) -> FailureKind:
    if status in _REJECTED:
        return FailureKind.REJECTED
    if 400 <= status < 500 and status not in _RETRYABLE:
        return FailureKind.AMBIGUOUS
    return FailureKind.TEMPORARY


def _read_answer(response: requests.Response) -> None:
    if not response.content or "protobuf" not in response.headers.get("content-type", ""):
        return
    try:
        answer = ExportTraceServiceResponse.FromString(response.content)
    except Exception:
        # The receiver accepted the spans; an answer that is not OTLP changes nothing about it.
        return
    log_partial_success(answer)


def _retry_after(response: requests.Response) -> float:
    """Seconds that the receiver asks to wait. Retry-After is a number of seconds or a date (RFC 9110, 10.2.3)."""
    text = response.headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text), _MAX_RETRY_AFTER_S)
    try:
        until = parsedate_to_datetime(text)
    except ValueError:
        return 0.0
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    return min(max(0.0, (until - datetime.now(UTC)).total_seconds()), _MAX_RETRY_AFTER_S)


def _explanation(response: requests.Response) -> str:
    """The receiver's explanation of a failure, if it is plain text."""
    if not response.headers.get("content-type", "").startswith("text/plain"):
        return ""
    words = harmless(response.content[:1000].decode("utf-8", "replace"))
    return f" ({cut(words, 200)})" if words else ""


def _innermost(error: BaseException) -> BaseException:
    """The operating system's error below the layers of requests and urllib3."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return error
