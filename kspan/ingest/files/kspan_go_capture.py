"""Capture files of the Go kspan (``--capture-to``): YAML documents, each headed by a comment with its time."""

from collections.abc import Callable, Iterable, Iterator

import msgspec

from kspan.errors import InputError
from kspan.ingest.files.json_documents import Document, Item, to_json
from kspan.ingest.files.kubectl_output import to_listed
from kspan.ingest.files.recording import read_moment
from kspan.ingest.files.yaml_documents import YamlText, parse_document
from kspan.ingest.frames import Frame, FrameType
from kspan.k8s.strict_json import explain, shown


class _Header(msgspec.Struct):
    time: str
    style: str


_decode_header = msgspec.json.Decoder(_Header).decode


class _Identity(msgspec.Struct, rename="camel"):
    uid: str
    resource_version: str | None = None


class _Object(msgspec.Struct):
    metadata: _Identity


_decode_object = msgspec.json.Decoder(_Object).decode


def is_capture(document: YamlText) -> bool:
    """Whether a document is headed as the Go kspan heads them."""
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
    """The frames of a capture file.

    An Event (style ``event``) is ADDED, or MODIFIED once its uid was seen. An object that was fetched because an Event
    named it (style ``initial``) is LISTED the first time, MODIFIED when its resourceVersion moved on, and no frame
    when it did not: the file says what it was then, not when it became so.
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
    header = _read_header(document)
    received = read_moment(header.time, "the time in the heading comment")
    if header.style not in ("event", "initial"):
        raise ValueError(f"unknown style {shown(header.style)} in the heading comment (there are event, initial)")
    value = parse_document(document, source).value
    listed = to_listed(Item(document.line, to_json(value)), Document(document.line, []))
    if header.style == "event" and listed.resource != "v1/events":
        raise ValueError(f"the heading comment speaks of an event, but the object is of {listed.resource}")
    identity = _decode_object(listed.raw).metadata
    version = identity.resource_version or ""
    before = seen.get(identity.uid)
    if before is not None and not _moved_on(before, version):
        return None
    seen[identity.uid] = version
    first = FrameType.ADDED if header.style == "event" else FrameType.LISTED
    kind = first if before is None else FrameType.MODIFIED
    return Frame(received, listed.resource, kind, listed.raw, source, document.line)


def _read_header(document: YamlText) -> _Header:
    line = _header_line(document)
    if line is None:
        raise ValueError('the document has no heading comment (# {"time": …, "style": …}), as the others here do')
    try:
        return _decode_header(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"the heading comment {explain(error, line)}") from error


def _moved_on(before: str, version: str) -> bool:
    if before.isdecimal() and version.isdecimal() and max(len(before), len(version)) <= 20:
        # An object can come from a cache that lags behind.
        return int(version) > int(before)
    return version != before
