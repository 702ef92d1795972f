"""OTLP over gRPC: one unary call for each request. Needs the optional package grpcio."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import grpc  # type: ignore[import-untyped]
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub
from opentelemetry.sdk.trace import ReadableSpan

from kspan import __version__
from kspan.emit.otlp import log_partial_success
from kspan.emit.otlp_settings import OtlpSettings, load_credentials
from kspan.emit.span_sender import FailureKind, SendFailure
from kspan.terminal.text import cut, harmless

_REJECTED: Final = frozenset({grpc.StatusCode.INVALID_ARGUMENT})
_AMBIGUOUS: Final = frozenset(
    {
        grpc.StatusCode.ALREADY_EXISTS,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.UNIMPLEMENTED,
    }
)
_COMPRESSIONS: Final = {
    "none": grpc.Compression.NoCompression,
    "gzip": grpc.Compression.Gzip,
    "deflate": grpc.Compression.Deflate,
}


class OtlpGrpcSender:
    """Sends spans to ``settings.endpoint``."""

    def __init__(self, settings: OtlpSettings) -> None:
        self._settings = settings
        url = urlsplit(settings.endpoint) if "://" in settings.endpoint else None
        self._address = url.netloc.rpartition("@")[2] if url is not None else settings.endpoint
        self._credentials = None if _is_insecure(url.scheme if url else "", settings) else _credentials(settings)
        self._connect()

    def send(self, spans: Sequence[ReadableSpan]) -> SendFailure | None:
        """Send the spans in one call. Returns within the timeout (OTEL_EXPORTER_OTLP_TIMEOUT)."""
        metadata = tuple(self._settings.headers.items())
        try:
            response = self._stub.Export(encode_spans(spans), metadata=metadata, timeout=self._settings.timeout_s)
        except grpc.RpcError as error:
            return self._failure(error.code(), error.details() or "")
        log_partial_success(response)
        return None

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()

    def _connect(self) -> None:
        options = (("grpc.primary_user_agent", f"kspan/{__version__}"),)
        compression = _COMPRESSIONS[self._settings.compression]
        if self._credentials is None:
            self._channel: Any = grpc.insecure_channel(self._address, options, compression)
        else:
            self._channel = grpc.secure_channel(self._address, self._credentials, options, compression)
        self._stub: Any = TraceServiceStub(self._channel)  # type: ignore[no-untyped-call]

    def _failure(self, code: Any, details: str) -> SendFailure:
        if code is grpc.StatusCode.UNAVAILABLE:
            # A broken channel waits longer and longer before it connects again; when to try again is not its decision.
            self._channel.close()
            self._connect()
        kind = FailureKind.TEMPORARY
        if code in _REJECTED:
            kind = FailureKind.REJECTED
        elif code in _AMBIGUOUS:
            kind = FailureKind.AMBIGUOUS
        return SendFailure(f"{self._address}: {code.name} ({cut(harmless(details), 200)})", kind)


def _is_insecure(scheme: str, settings: OtlpSettings) -> bool:
    if scheme == "https":
        return False
    return settings.insecure if settings.insecure is not None else scheme == "http"


def _credentials(settings: OtlpSettings) -> Any:
    if settings.credential_provider:
        return load_credentials(settings.credential_provider, grpc.ChannelCredentials)
    return grpc.ssl_channel_credentials(
        root_certificates=_read(settings.certificate),
        private_key=_read(settings.client_key),
        certificate_chain=_read(settings.client_certificate),
    )


def _read(path: str) -> bytes | None:
    return Path(path).read_bytes() if path else None
