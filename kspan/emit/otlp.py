"""Opens the OTLP sender that the ``OTEL_EXPORTER_OTLP_*`` variables describe.

The SDK's own exporters are not used: they sleep and retry while the caller waits, take a redirect for a success, and
report the reason of a failure to the log only. Here a request is one attempt, and its failure is a value; the daemon
decides when to try again. The encoding of the spans is the SDK's.
"""

import logging
import os
from typing import TYPE_CHECKING

from kspan.emit.otlp_settings import GRPC, read_settings
from kspan.emit.span_sender import SpanSender
from kspan.errors import SettingsError

if TYPE_CHECKING:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

_logger = logging.getLogger(__name__)


def open_otlp() -> SpanSender:
    """The sender for the environment's settings: HTTP by default, or gRPC. Connects when it first sends.

    Raises SettingsError for an unknown protocol, for gRPC that is not installed, and for values that cannot be used.
    """
    settings = read_settings(os.environ)
    try:
        if settings.protocol == GRPC:
            from kspan.emit.otlp_grpc import OtlpGrpcSender

            return OtlpGrpcSender(settings)
        from kspan.emit.otlp_http import OtlpHttpSender

        return OtlpHttpSender(settings)
    except SettingsError:
        raise
    except ImportError as error:
        raise SettingsError("OTLP over gRPC needs grpcio, from the extra grpc: pip install '.[grpc]'") from error
    except Exception as error:
        # Certificates are read and plug-ins run here, which can fail in any way.
        raise SettingsError(f"cannot set up the OTLP exporter: {error}") from error


def log_partial_success(response: "ExportTraceServiceResponse") -> None:
    """Log how many spans of an accepted request the receiver dropped. The protocol forbids to send them again."""
    partial = response.partial_success
    if partial.rejected_spans:
        _logger.warning("the receiver dropped %d spans: %s", partial.rejected_spans, partial.error_message)
