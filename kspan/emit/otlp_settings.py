"""The ``OTEL_EXPORTER_OTLP_*`` variables, read and checked.

Variables for traces (``OTEL_EXPORTER_OTLP_TRACES_*``) take precedence over those for all signals. Specification:
https://opentelemetry.io/docs/specs/otel/protocol/exporter/
"""

from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Any, Final

import msgspec
from opentelemetry.util.re import parse_env_headers

from kspan.errors import SettingsError

HTTP: Final = "http/protobuf"
GRPC: Final = "grpc"

_COMPRESSIONS: Final = ("none", "gzip", "deflate")
_DEFAULT_ENDPOINTS: Final = {HTTP: "http://localhost:4318", GRPC: "http://localhost:4317"}
_DEFAULT_TIMEOUT_S: Final = "10"
_PROVIDER_GROUP: Final = "opentelemetry_otlp_credential_provider"


class OtlpSettings(msgspec.Struct, frozen=True):
    """How to reach an OTLP receiver. Empty strings: not set."""

    protocol: str
    endpoint: str
    """URL; over HTTP with the path."""
    headers: dict[str, str]
    timeout_s: float
    compression: str
    """``none``, ``gzip`` or ``deflate``."""
    certificate: str
    """File with the CA certificates that the receiver's certificate is verified with."""
    client_certificate: str
    client_key: str
    insecure: bool | None
    """gRPC without TLS, for an endpoint without ``https://`` or ``http://``."""
    credential_provider: str
    """Name of a plug-in (``load_credentials``)."""


def read_settings(environment: Mapping[str, str]) -> OtlpSettings:
    """The settings in environment variables. Raises SettingsError for a value that cannot be used."""

    def value(name: str, default: str = "") -> str:
        found = environment.get(f"OTEL_EXPORTER_OTLP_TRACES_{name}") or environment.get(f"OTEL_EXPORTER_OTLP_{name}")
        return (found or default).strip()

    protocol = value("PROTOCOL", HTTP)
    if protocol not in _DEFAULT_ENDPOINTS:
        raise SettingsError(f"invalid OTEL_EXPORTER_OTLP_PROTOCOL {protocol!r}: use {HTTP!r} or {GRPC!r}")
    compression = value("COMPRESSION", "none").lower()
    if compression not in _COMPRESSIONS:
        raise SettingsError(f"invalid OTEL_EXPORTER_OTLP_COMPRESSION {compression!r}: use {', '.join(_COMPRESSIONS)}")
    insecure = value("INSECURE")
    return OtlpSettings(
        protocol=protocol,
        endpoint=_endpoint(environment, protocol),
        headers=dict(parse_env_headers(value("HEADERS"), liberal=True)),
        timeout_s=_seconds(value("TIMEOUT", _DEFAULT_TIMEOUT_S)),
        compression=compression,
        certificate=value("CERTIFICATE"),
        client_certificate=value("CLIENT_CERTIFICATE"),
        client_key=value("CLIENT_KEY"),
        insecure=insecure.lower() == "true" if insecure else None,
        credential_provider=_credential_provider(environment, protocol),
    )


def load_credentials(name: str, expected: type[Any]) -> Any:
    """The credentials of the plug-in ``name`` (entry point of a Python package), which must be of a type.

    OpenTelemetry's Python SDK defines these plug-ins. Raises SettingsError.
    """
    for entry in entry_points(group=_PROVIDER_GROUP, name=name):
        credentials = entry.load()()
        if isinstance(credentials, expected):
            return credentials
        raise SettingsError(
            f"the credential provider {name!r} returns a {type(credentials).__name__}, not a {expected.__name__}"
        )
    raise SettingsError(f"the credential provider {name!r} is not installed (entry point group {_PROVIDER_GROUP})")


def _endpoint(environment: Mapping[str, str], protocol: str) -> str:
    """Over HTTP the general endpoint is a base URL, to which the path of the signal is added."""
    for_traces = environment.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "").strip()
    variable = f"OTEL_EXPORTER_OTLP_{'TRACES_' if for_traces else ''}ENDPOINT"
    base = for_traces or environment.get(variable, "").strip() or _DEFAULT_ENDPOINTS[protocol]
    # Over gRPC an endpoint can have any form that gRPC accepts, such as host:port or dns:///host.
    if protocol == HTTP and not base.lower().startswith(("http://", "https://")):
        raise SettingsError(f"invalid {variable} {base!r}: use a URL that starts with http:// or https://")
    if for_traces:
        return for_traces
    return f"{base.removesuffix('/')}/v1/traces" if protocol == HTTP else base


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise SettingsError(f"invalid OTEL_EXPORTER_OTLP_TIMEOUT {text!r}: use a number of seconds, such as 10")
    return seconds


def _credential_provider(environment: Mapping[str, str], protocol: str) -> str:
    kind = "GRPC" if protocol == GRPC else "HTTP"
    for scope in ("", "TRACES_"):
        if name := environment.get(f"OTEL_PYTHON_EXPORTER_OTLP_{kind}_{scope}CREDENTIAL_PROVIDER", "").strip():
            return name
    return ""
