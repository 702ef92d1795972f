"""Reads recordings: JSON Lines of ``{"received", "resource", "type", "object"}``."""

from collections.abc import Callable, Iterable, Iterator

import msgspec

from kspan.errors import InputError
from kspan.ingest.frames import OBJECT_TYPES, Frame, FrameType
from kspan.k8s.kinds import is_resource
from kspan.k8s.strict_json import decode_json, explain, quoted
from kspan.k8s.wire import read_head
from kspan.times import parse_time

_TYPES = {member.value: member for member in FrameType}
_MAX_TIME = 2**63 - 1


class _RecordingLine(msgspec.Struct, gc=False):
    received: str
    resource: str
    type: str
    object: msgspec.Raw


_decode_line = msgspec.json.Decoder(_RecordingLine).decode


def read_recording(
    lines: Iterable[tuple[int, bytes]], source: str, report: Callable[[InputError], None]
) -> Iterator[Frame]:
    """Yield the frame of each numbered line; blank lines are skipped.

    The error of an invalid line is passed to ``report``, which raises it to stop, or returns to continue.
    """
    for number, line in lines:
        if not line or line.isspace():
            continue
        try:
            frame = _read_line(line, source, number)
        except ValueError as error:
            report(InputError(source, number, str(error)))
            continue
        yield frame


def _read_line(line: bytes, source: str, number: int) -> Frame:
    try:
        value = decode_json(line)
        record = _decode_line(line)
    except msgspec.DecodeError as error:
        raise ValueError(f"the record {explain(error, line)}") from error
    except ValueError as error:
        raise ValueError(f"the line {error}") from error
    kind = _TYPES.get(record.type)
    if kind is None:
        raise ValueError(f"unknown record type {quoted(record.type)}: use one of {', '.join(_TYPES)}")
    received = read_time(record.received, "received")
    if not is_resource(record.resource) and (record.resource or kind is not FrameType.NOTE):
        raise ValueError(f"invalid resource {quoted(record.resource)}: use v1/pods or apps/v1/deployments")
    if not isinstance(value["object"], dict):
        raise ValueError("the object of the record is not a JSON object")
    raw = bytes(record.object)
    head = read_head(record.resource, raw) if kind in OBJECT_TYPES else None
    return Frame(received, record.resource, kind, raw, source, number, head)


def read_time(text: str, field: str) -> int:
    """Parse a time of receipt to Unix ns; ``field`` names it in errors. Raises ValueError if it is before 1970."""
    try:
        received = parse_time(text)
    except ValueError as error:
        raise ValueError(f"{field} is {quoted(text)}, not an RFC 3339 time") from error
    if not 0 < received <= _MAX_TIME:
        raise ValueError(f"{field} is {quoted(text)}, not between the years 1970 and 2262")
    return received
