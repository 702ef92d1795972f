"""Reads capture files of the Go kspan (``--capture-to``): YAML documents with the time in a comment at the top."""

from collections.abc import Callable, Iterable, Iterator

import msgspec

from kspan.errors import InputError
from kspan.ingest.files.json_documents import Document, Item, to_json
from kspan.ingest.files.kubectl_output import read_printed_object
from kspan.ingest.files.recording import read_time
from kspan.ingest.files.yaml_documents import YamlText, parse_document
from kspan.ingest.frames import Frame, FrameType
from kspan.k8s.events_api import EVENTS
from kspan.k8s.strict_json import DECODE_ERRORS, explain, quoted


class _Header(msgspec.Struct):
    time: str
    style: str


_decode_header = msgspec.json.Decoder(_Header).decode


def is_capture(document: YamlText) -> bool:
    """True if a document begins with the comment that the Go kspan writes."""
    return _header_line(document) is not None


def _header_line(document: YamlText) -> bytes | None:
    for line in document.text.split(b"\n", 3)[:3]:
        bare = line.strip()
        if bare.startswith(b'# {"time"'):
            return bare[2:]
        if bare and bare != b"---" and not bare.startswith(b"#"):
            return None
    return None


def read_capture(documents: Iterable[YamlText], source: str, report: Callable[[InputError], None]) -> Iterator[Frame]:
    """Yield the frames of a capture file.

    An Event (style ``event``) is ADDED, or MODIFIED if its uid was seen before. An object that was fetched because an
    Event referenced it (style ``initial``) is LISTED the first time and MODIFIED when its resourceVersion has changed;
    otherwise it has no frame, because the file states how the object was, not when it became so.
    """
    seen: dict[str, str] = {}
    for document in documents:
        try:
            frame = _read_document(document, source, seen)
        except InputError as error:
            report(error)
            continue
        except ValueError as error:
            report(InputError(source, document.line, str(error)))
            continue
        if frame is not None:
            yield frame


def _read_document(document: YamlText, source: str, seen: dict[str, str]) -> Frame | None:
    """Return the frame of a document; None if the object is known. ``seen``: resourceVersions by uid."""
    header = _read_header(document)
    received = read_time(header.time, "the time in the heading comment")
    if header.style not in ("event", "initial"):
        raise ValueError(f"unknown style {quoted(header.style)} in the heading comment: use event or initial")
    value = parse_document(document, source).value
    found = read_printed_object(Item(document.line, to_json(value)), Document(document.line, []))
    if header.style == "event" and found.resource != EVENTS:
        raise ValueError(f"the heading comment announces an event, but the object is of {found.resource}")
    version, before = found.head.resource_version, seen.get(found.head.uid)
    if before is not None and not _is_newer(before, version):
        return None
    seen[found.head.uid] = version
    first = FrameType.ADDED if header.style == "event" else FrameType.LISTED
    kind = first if before is None else FrameType.MODIFIED
    return Frame(received, found.resource, kind, found.raw, source, document.line, found.head)


def _read_header(document: YamlText) -> _Header:
    line = _header_line(document)
    if line is None:
        raise ValueError('the document has no heading comment (# {"time": …, "style": …}) like the others in this file')
    try:
        return _decode_header(line)
    except DECODE_ERRORS as error:
        raise ValueError(f"the heading comment {explain(error, line)}") from error


def _is_newer(before: str, version: str) -> bool:
    if before.isdecimal() and version.isdecimal() and max(len(before), len(version)) <= 20:
        # An object can come from a cache that lags behind.
        return int(version) > int(before)
    return version != before
