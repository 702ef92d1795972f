"""Recordings: JSON Lines of ``{"received", "resource", "type", "object"}`` (DESIGN: "Contracts")."""

from collections.abc import Callable, Iterable, Iterator

import msgspec

from kspan.errors import InputError
from kspan.ingest.frames import Frame, FrameType, check_object, parse_time
from kspan.k8s.kinds import is_resource
from kspan.k8s.strict_json import decode_json, explain, shown

OBJECT_TYPES = frozenset({FrameType.LISTED, FrameType.ADDED, FrameType.MODIFIED, FrameType.DELETED})
"""The frames whose object is one with a uid."""

_TYPES = {member.value: member for member in FrameType}
_MAX_TIME = 2**63 - 1


class _Line(msgspec.Struct, gc=False):
    received: str
    resource: str
    type: str
    object: msgspec.Raw


_decode_line = msgspec.json.Decoder(_Line).decode


def read_recording(
    lines: Iterable[tuple[int, bytes]], source: str, report: Callable[[InputError], None]
) -> Iterator[Frame]:
    """The frames of numbered lines, one a line; blank lines are passed over.

    What is wrong with a line is given to ``report``, which raises it or lets the reading go on.
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
        head = _decode_line(line)
    except msgspec.DecodeError as error:
        raise ValueError(f"the record {explain(error, line)}") from error
    except ValueError as error:
        raise ValueError(f"the line {error}") from error
    kind = _TYPES.get(head.type)
    if kind is None:
        raise ValueError(f"unknown record type {shown(head.type)} (there are {', '.join(_TYPES)})")
    received = read_moment(head.received, "received")
    if not is_resource(head.resource) and (head.resource or kind is not FrameType.NOTE):
        raise ValueError(f"{shown(head.resource)} is no resource (such as v1/pods or apps/v1/deployments)")
    if not isinstance(value["object"], dict):
        raise ValueError("the object of the record is no JSON object")
    raw = bytes(head.object)
    if kind in OBJECT_TYPES:
        check_object(raw)
    return Frame(received, head.resource, kind, raw, source, number)


def read_moment(text: str, field: str) -> int:
    """Unix ns of a time of receipt; ValueError, with ``field`` for its name, where it is no time after 1970."""
    try:
        received = parse_time(text)
    except ValueError as error:
        raise ValueError(f"{field} is {shown(text)}, not an RFC 3339 time") from error
    if not 0 < received <= _MAX_TIME:
        raise ValueError(f"{field} is {shown(text)}, not between the years 1970 and 2262")
    return received
