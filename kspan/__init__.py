"""kspan: Kubernetes Events and objects become OpenTelemetry traces that show what caused what.

The way through the house is one way: ingest -> store -> graph -> emit (see docs/architecture.md).
"""

__version__ = "0.2.0"
