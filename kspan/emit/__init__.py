"""Closed traces go out: to an OTLP receiver, into a file, onto a terminal.

The promise: a trace goes out whole, at least once, and is marked as emitted only after the receiver took every span of
it. What a receiver could not take now is tried again; what it refuses for good is set aside and holds up nothing else.

``emitter`` decides what goes out when; ``sinks`` and ``console`` are the ways out; ``otel`` turns rows into spans of
the OpenTelemetry SDK; ``otlp`` and ``jsonfile`` export these; ``tree`` draws a trace; ``exporters`` reads ``--export``.
"""
