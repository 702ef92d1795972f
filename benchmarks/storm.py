"""Repeats a recording, each time for another part of the cluster and later.

Each copy has its own uids, names, resourceVersions and times; references stay consistent. So every copy produces the
same traces, and a recording of 100,000 lines becomes as long as a benchmark needs.
"""

import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final

from kspan.ingest import read_frames
from kspan.ingest.frames import Frame, FrameType
from kspan.times import SECOND, format_time, parse_time

VERSIONS: Final = 1_000_000
"""resourceVersions between two copies. A recording has some 10,000."""

DELTAS: Final = frozenset({FrameType.ADDED, FrameType.MODIFIED, FrameType.DELETED})

# Each starts with a literal, which makes searching fast. Group 1 differs between copies.
_VARIABLE: Final = {
    "uid": re.compile(rb"-([0-9a-f]{4})-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-"),
    "version": re.compile(rb'"resourceVersion":"(\d+)"'),
    "name": re.compile(rb"app-()\d{3}\b"),
    "time": re.compile(rb"(20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z)"),
    "nanos": re.compile(rb"\.(18[0-9a-f]{14})\b"),
}


class Shift:
    """Maps values to those of copy ``number``, which is ``later`` nanoseconds later."""

    def __init__(self, number: int, later: int) -> None:
        self._number = number
        self._later = later
        self._seen: dict[tuple[str, bytes], bytes] = {}

    def __call__(self, kind: str, value: bytes) -> bytes:
        known = self._seen.get((kind, value))
        if known is None:
            known = self._seen[kind, value] = self._shifted(kind, value)
        return known

    def _shifted(self, kind: str, value: bytes) -> bytes:
        if kind == "uid":
            return b"%04x" % ((int(value, 16) + self._number) & 0xFFFF)
        if kind == "name":
            return b"%d-" % self._number if self._number else b""
        if kind == "version":
            return b"%d" % (int(value) + self._number * VERSIONS)
        if kind == "nanos":
            return b"%x" % (int(value, 16) + self._later)
        moved = format_time(parse_time(value.decode()) + self._later)
        # Kubernetes writes whole seconds in most places, and microseconds in some.
        return moved.encode() if b"." in value else (moved[:19] + "Z").encode()


class Template:
    """An object's JSON, split at the values that differ between copies."""

    def __init__(self, raw: bytes) -> None:
        found = [(m.start(1), m.end(1), kind) for kind, pattern in _VARIABLE.items() for m in pattern.finditer(raw)]
        self._parts: list[bytes] = []
        self._gaps: list[tuple[str, bytes]] = []
        end = 0
        for start, stop, kind in sorted(found):
            self._parts.append(raw[end:start])
            self._gaps.append((kind, raw[start:stop]))
            end = stop
        self._rest = raw[end:]

    def filled(self, shift: Shift) -> bytes:
        """The bytes of a copy."""
        return b"".join([*(part + shift(*gap) for part, gap in zip(self._parts, self._gaps, strict=True)), self._rest])


def deltas(recording: Path, resources: Collection[str] = ()) -> list[Frame]:
    """The changes of these resources (default: all) in a recording, without its first lists."""
    frames = read_frames([str(recording)])
    return [f for f in frames if f.type in DELTAS and (f.resource in resources or not resources)]


def copies(frames: list[Frame], period: int = 0) -> Iterator[Frame]:
    """Endless copies of the frames, each ``period`` ns after the one before."""
    templates = [Template(frame.object) for frame in frames]
    number = 0
    while True:
        shift = Shift(number, number * period)
        for frame, template in zip(frames, templates, strict=True):
            raw = template.filled(shift)
            received = frame.received + number * period
            yield Frame(received, frame.resource, frame.type, raw, frame.source, frame.line)
        number += 1


def span_of(frames: list[Frame]) -> int:
    """The time (ns) from the first frame to the last, rounded up to whole seconds."""
    return (max(f.received for f in frames) - min(f.received for f in frames)) // SECOND * SECOND + SECOND
