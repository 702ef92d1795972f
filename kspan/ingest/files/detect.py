"""Detects the format of an input from its first bytes. Pure."""

import codecs
import re
from enum import Enum

import msgspec

from kspan.ingest.files.foreign import refusal


class Format(Enum):
    """The format of an input."""

    RECORDING = "a recording: JSON Lines"
    JSON = "JSON documents"
    WATCH = "events of a watch, which are JSON documents"
    YAML = "YAML documents"


_FOREIGN = (
    (b"\x89PNG", "a PNG image"),
    (b"SQLite format 3", "an SQLite database (give it as --db)"),
    (b"PK\x03\x04", "a zip archive: unpack it first"),
    (b"BZh", "packed with bzip2: unpack it first"),
    (b"\xfd7zXZ", "packed with xz: unpack it first"),
    (b"\x28\xb5\x2f\xfd", "packed with zstd: unpack it first"),
    (b"\x1f\x8b", "gzip'd twice: unpack it once"),
    (b"\xff\xfe", "UTF-16 text: save it as UTF-8"),
    (b"\xfe\xff", "UTF-16 text: save it as UTF-8"),
)

_TAR_AT, _TAR = 257, b"ustar"
"""Where the header of a tar archive names its format (POSIX pax, "ustar Interchange Format")."""

_RECORD_KEYS = {"received", "resource"}
_DOCUMENT_KEYS = {"apiVersion", "kind", "items"}
_WATCH_KEYS = {"type", "object"}
# A long line may be cut off at the end of the head; then its first key decides.
_RECORD_START = re.compile(rb'\s*\{\s*"(?:received|resource|type|object)"\s*:')
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_LINES = 1000

_decode_keys = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def detect(head: bytes) -> Format:
    """Return the format of an input that begins with ``head``.

    Any line that is clearly a record identifies a recording, so an invalid first line does not matter. Raises
    ValueError, whose text is a predicate about the file, for any other format.
    """
    for magic, name in _FOREIGN:
        if head.startswith(magic):
            raise ValueError(f"is {name}")
    if head.startswith(_TAR, _TAR_AT):
        raise ValueError("is a tar archive: unpack it and give the folder")
    lines = head.split(b"\n", _LINES)[:_LINES]
    watch = False
    for number, line in enumerate(lines):
        form = _format_of_line(line.lstrip() if number == 0 else line)
        if form is not None and form is not Format.WATCH:
            return form
        watch = watch or form is Format.WATCH
    if watch:
        return Format.JSON
    if not _is_text(head):
        raise ValueError("is not a text file: expected a recording, a Go kspan capture or kubectl output")
    start = head.lstrip()
    if start.startswith((b"{", b"[")):
        return Format.JSON
    if not start:
        raise ValueError("contains only white space")
    return Format.YAML


def _format_of_line(line: bytes) -> Format | None:
    # Only in the first column: YAML and indented JSON contain such lines further in.
    if not line.startswith(b"{"):
        return None
    try:
        fields = _decode_keys(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        if not _RECORD_START.match(line):
            return None
        return Format.RECORDING if b'"received"' in line else Format.WATCH
    keys = fields.keys()
    if keys & _RECORD_KEYS:
        return Format.RECORDING
    if keys >= _WATCH_KEYS:
        return Format.WATCH
    if problem := refusal({key: _text(raw) if key == "apiVersion" else raw for key, raw in fields.items()}):
        raise ValueError(problem)
    return Format.JSON if keys & _DOCUMENT_KEYS else None


def _text(raw: msgspec.Raw) -> str:
    return bytes(raw).strip(b'"').decode("ascii", "replace")


def _is_text(head: bytes) -> bool:
    try:
        # Not final: the head may end inside a character.
        text = codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return _CONTROL.search(text) is None
