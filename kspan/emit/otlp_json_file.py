"""Writes spans to a file as OTLP/JSON, one ``{"resourceSpans": […]}`` a line.

The format is that of the OpenTelemetry file exporter (https://opentelemetry.io/docs/specs/otel/protocol/file-exporter/).
"""

import contextlib
import math
import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext, StatusCode

from kspan.emit.otel_spans import SCOPE, ClusterIdentity, readable_span, valid_text
from kspan.emit.span_sender import SendFailure
from kspan.model import SpanRow
from kspan.paths import STDOUT, why_unwritable

_HAS_REMOTE, _IS_REMOTE = 0x100, 0x200  # opentelemetry.proto.trace.v1.SpanFlags
_LINE_START = b'{"resourceSpans":'
_BLOCK = 64 * 1024

_Json = dict[str, Any]


class JsonFileSender:
    """Appends spans to the file ``path``, which is opened (and created) by the first ``send``.

    The spans of one trace in one call become one line, so that the same traces give the same bytes however they are
    batched. A last line without its end, left by a process that was killed, is removed before the first append. A file
    whose last line is not OTLP/JSON is not touched.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._regular = False

    def send(self, spans: Sequence[ReadableSpan]) -> SendFailure | None:
        """Implements ``SpanSender``: the lines are on the disk on return, unless writing failed."""
        data = b"".join(encode_lines(spans))
        try:
            self._append(data)
        except OSError as error:
            self.close()
            if isinstance(error, BrokenPipeError) and self._path == STDOUT:
                # The reader (head, less) has exited, which ends the command quietly, as on the console.
                raise SystemExit(0) from error
            return SendFailure(f"{self._path}: {why_unwritable(self._path, error)}")
        return None

    def close(self) -> None:
        """Close the file."""
        file, self._file = self._file, None
        if file is not None:
            # Nothing is lost: writes are unbuffered, and those that failed were reported.
            with contextlib.suppress(OSError):
                file.close()

    def _append(self, data: bytes) -> None:
        file = self._file or self._open()
        end = file.seek(0, os.SEEK_END) if self._regular else 0
        try:
            view = memoryview(data)
            while view:
                view = view[file.write(view) :]
            if self._regular:
                os.fsync(file.fileno())
        except OSError:
            if self._regular:
                # The next attempt appends all of it again: a part of it must not stay.
                with contextlib.suppress(OSError):
                    file.truncate(end)
            raise

    def _open(self) -> BinaryIO:
        # Unbuffered, so that a failed write leaves nothing behind that a later close would write after all.
        file: BinaryIO = open(self._path, "a+b", buffering=0, opener=_open_appending)  # noqa: SIM115
        try:
            self._regular = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
            if self._regular:
                _cut_torn_line(file)
                _sync_directory(self._path)
        except BaseException:
            file.close()
            raise
        self._file = file
        return file


def _open_appending(path: str, flags: int) -> int:
    if not Path(path).exists() or Path(path).is_file():
        return os.open(path, flags, 0o666)
    # A terminal may allow writing only. A pipe that is opened for reading too is never broken: when its reader has
    # exited, this process would wait for itself.
    return os.open(path, os.O_WRONLY | os.O_APPEND)


def _sync_directory(path: Path) -> None:
    """Make the file's own entry durable (where directories can be opened: not on Windows)."""
    with contextlib.suppress(OSError):
        directory = os.open(path.absolute().parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def _cut_torn_line(file: BinaryIO) -> None:
    """Remove the bytes after the last newline. Raises OSError if they are not the beginning of a line of OTLP/JSON."""
    end = file.seek(0, os.SEEK_END)
    start = end
    while start > 0:
        block_start = max(0, start - _BLOCK)
        file.seek(block_start)
        newline = file.read(start - block_start).rfind(b"\n")
        if newline >= 0:
            start = block_start + newline + 1
            break
        start = block_start
    if start == end:
        return
    file.seek(start)
    head = file.read(len(_LINE_START))
    if not _LINE_START.startswith(head):
        raise OSError("its last line is not OTLP/JSON, so nothing is appended")
    file.truncate(start)


def encode_trace(spans: Iterable[SpanRow], cluster: str) -> bytes:
    """Return the spans of a trace as the line that the file exporter writes. ``cluster`` is the uid of the cluster."""
    identity = ClusterIdentity(cluster)
    return b"".join(encode_lines([readable_span(span, identity) for span in spans]))


def encode_lines(spans: Iterable[ReadableSpan]) -> Iterator[bytes]:
    """One line of OTLP/JSON for each run of spans of one trace, newline included."""
    for _, run in groupby(spans, key=lambda span: span.context.trace_id):
        by_resource: dict[Resource, list[_Json]] = {}
        for span in run:
            by_resource.setdefault(span.resource, []).append(_span(span))
        scope = {"name": SCOPE.name, "version": SCOPE.version}
        yield (
            msgspec.json.encode(
                {
                    "resourceSpans": [
                        {
                            "resource": {"attributes": _attributes(resource.attributes)},
                            "scopeSpans": [{"scope": scope, "spans": encoded}],
                        }
                        for resource, encoded in by_resource.items()
                    ]
                }
            )
            + b"\n"
        )


def _span(span: ReadableSpan) -> _Json:
    context = span.context
    encoded: _Json = {"traceId": f"{context.trace_id:032x}", "spanId": f"{context.span_id:016x}"}
    if span.parent is not None:
        encoded["parentSpanId"] = f"{span.parent.span_id:016x}"
    encoded["flags"] = _flags(span.parent)
    encoded["name"] = valid_text(span.name)
    encoded["kind"] = span.kind.value + 1  # OTLP counts from UNSPECIFIED, the SDK from INTERNAL
    encoded["startTimeUnixNano"] = str(span.start_time)
    encoded["endTimeUnixNano"] = str(span.end_time)
    if span.attributes:
        encoded["attributes"] = _attributes(span.attributes)
    if span.events:
        encoded["events"] = [
            {"timeUnixNano": str(event.timestamp), "name": event.name, "attributes": _attributes(event.attributes)}
            for event in span.events
        ]
    if span.links:
        encoded["links"] = [
            {
                "traceId": f"{link.context.trace_id:032x}",
                "spanId": f"{link.context.span_id:016x}",
                "attributes": _attributes(link.attributes),
                "flags": _flags(link.context),
            }
            for link in span.links
        ]
    encoded["status"] = _status(span)
    return encoded


def _status(span: ReadableSpan) -> _Json:
    if span.status.status_code is StatusCode.UNSET:
        return {}
    status: _Json = {"code": span.status.status_code.value}
    if span.status.description:
        status["message"] = span.status.description
    return status


def _flags(remote: SpanContext | None) -> int:
    return _HAS_REMOTE | _IS_REMOTE if remote is not None and remote.is_remote else _HAS_REMOTE


def _attributes(attributes: Mapping[str, Any] | None) -> list[_Json]:
    return [{"key": valid_text(key), "value": _value(value)} for key, value in (attributes or {}).items()]


def _value(value: object) -> _Json:
    # bool before int: a bool is an int to isinstance.
    if isinstance(value, str):
        return {"stringValue": valid_text(value)}
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": _double(value)}
    if isinstance(value, Mapping):
        return {"kvlistValue": {"values": _attributes(value)}}
    if isinstance(value, Sequence):
        return {"arrayValue": {"values": [_value(item) for item in value]}}
    return {} if value is None else {"stringValue": valid_text(str(value))}


def _double(value: float) -> float | str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return value
