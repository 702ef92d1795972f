"""Exports closed traces: to an OTLP receiver, into a file, or to a terminal.

A trace is exported as a whole, at least once, and marked only after the receiver has accepted all of its spans. Traces
that a receiver does not accept now are sent again later. Traces that it rejects are set aside and do not block others.

One name for each step of the way out:

    ExportQueue ──traces──▶ TraceExporter ──spans──▶ SpanSender
    (order and marks)       BatchExporter,           OtlpHttpSender, OtlpGrpcSender,
                            ConsoleExporter          JsonFileSender

``targets`` reads ``--export``; ``otel_spans`` turns rows into spans of the OpenTelemetry SDK.
"""
