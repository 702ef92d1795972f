"""Names the output of other programs that a file may hold, so that the error says what it is. Pure."""

from collections.abc import Mapping
from typing import Any

_BY_KEYS: tuple[tuple[frozenset[str], str], ...] = tuple(
    (frozenset(keys.split()), name)
    for keys, name in (
        ("resourceSpans", "OTLP JSON (traces), which kspan writes but does not read"),
        ("resourceLogs", "OTLP JSON (logs of an OpenTelemetry Collector)"),
        ("resourceMetrics", "OTLP JSON (metrics of an OpenTelemetry Collector)"),
        ("auditID stage", "an audit log of the API server"),
        ("traceID spans processes", "traces of Jaeger"),
        ("traceId id localEndpoint", "spans of Zipkin"),
        ("verb event", "the output of eventrouter"),
        ("event_metadata reporter", "the output of events-to-log"),
        ("eventmeta text time", "the output of kubewatch"),
        ("body severity attributes", "the log of an OpenTelemetry or Stanza collector"),
    )
)
_EVENT = frozenset({"involvedObject", "reason", "message"})


def foreign_format(value: Mapping[str, Any]) -> str:
    """Return what a JSON object is if another program wrote it; empty if that is not known.

    The values may be undecoded: only the keys and, for API objects, the apiVersion count.
    """
    keys = value.keys()
    version = value.get("apiVersion")
    if isinstance(version, str) and version.startswith("audit.k8s.io/"):
        return "an audit log of the API server"
    if "kind" not in keys and keys >= _EVENT and "clusterName" in keys:
        return "the output of kubernetes-event-exporter, which leaves out the kind"
    if "kind" in keys and "auditID" not in keys:
        return ""
    if {"data", "total"} <= keys:
        return "traces of Jaeger"
    return next((name for needed, name in _BY_KEYS if keys >= needed), "")


def refusal(value: Mapping[str, Any]) -> str:
    """Return a predicate that says what an object is and what kspan reads instead; empty if it is not known."""
    name = foreign_format(value)
    return f"is {name}: give 'kubectl get events,… -o json' or a recording of 'kspan record'" if name else ""
