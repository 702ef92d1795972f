"""Recordings: JSON Lines with and without gzip, valid and invalid."""

import gzip
import io
import json
import re
from collections import Counter
from pathlib import Path

import pytest

from kspan.errors import InputError
from kspan.ingest import FrameType, read_frames, total_size
from tests.ingest.files.reading import POD, RECORDING, read, read_skipping, read_until_error, record, write


def test_every_line_of_a_recording_becomes_a_frame() -> None:
    frames = read(RECORDING)
    assert Counter(frame.type.value for frame in frames) == {"LIST": 59, "LISTED": 359, "MODIFIED": 43, "ADDED": 30}
    assert [frame.line for frame in frames] == list(range(1, 492))
    assert {frame.source for frame in frames} == {str(RECORDING)}


def test_the_object_of_a_frame_is_the_bytes_of_the_line() -> None:
    lines = gzip.decompress(RECORDING.read_bytes()).splitlines()
    for frame, line in zip(read(RECORDING), lines, strict=True):
        assert line.endswith(b'"object":' + frame.object + b"}")


def test_times_of_receipt_are_exact() -> None:
    assert read(RECORDING)[0].received == 1795343044_623585_000


def test_a_recording_reads_the_same_without_gzip_and_from_standard_input(tmp_path: Path) -> None:
    packed = RECORDING.read_bytes()
    plain = tmp_path / "no-such.suffix"
    plain.write_bytes(gzip.decompress(packed))

    def facts(path: str, stdin: io.BytesIO | None = None) -> list[tuple[object, ...]]:
        return [(f.received, f.resource, f.type, f.object, f.line) for f in read_frames([path], stdin=stdin)]

    expected = facts(str(RECORDING))
    assert facts(str(plain)) == expected
    assert facts("-", io.BytesIO(packed)) == expected
    assert facts("-", io.BytesIO(plain.read_bytes())) == expected


def test_errors_name_standard_input() -> None:
    with pytest.raises(InputError, match=r"^<stdin>:1: "):
        list(read_frames(["-"], stdin=io.BytesIO(record(type="NEWS"))))


def test_several_gzip_members_are_one_recording(tmp_path: Path) -> None:
    path = tmp_path / "two"
    path.write_bytes(gzip.compress(record() + b"\n") + gzip.compress(record() + b"\n") + b"\0" * 512)
    assert [frame.line for frame in read(path)] == [1, 2]


def test_progress_adds_up_to_the_size_of_the_files(tmp_path: Path) -> None:
    paths = [str(RECORDING), write(tmp_path, record())]
    seen: list[int] = []
    list(read_frames(paths, on_progress=seen.append))
    assert sum(seen) == total_size(paths) == RECORDING.stat().st_size + len(record()) + 1


def test_the_size_of_standard_input_is_unknown() -> None:
    assert total_size([str(RECORDING), "-"]) is None


def test_a_missing_file_has_no_size() -> None:
    assert total_size([str(RECORDING), "/no/such/file"]) == RECORDING.stat().st_size


def test_windows_line_ends_blank_lines_and_a_byte_order_mark_are_accepted(tmp_path: Path) -> None:
    path = tmp_path / "from-windows"
    path.write_bytes(b"\xef\xbb\xbf" + record() + b"\r\n\r\n   \n" + record())
    assert [frame.line for frame in read(path)] == [1, 4]


def test_markers_errors_and_notes_need_no_uid(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        record(type="LIST", object={"metadata": {"resourceVersion": "5"}}),
        record(type="BOOKMARK", object={"kind": "Pod", "metadata": {"resourceVersion": "6"}}),
        record(type="ERROR", object={"kind": "Status", "code": 410}),
        record(type="NOTE", object={"error": "connection lost"}),
        record(type="NOTE", resource="", object={"note": "the recorder started"}),
    )
    assert [frame.type for frame in read(path)] == ["LIST", "BOOKMARK", "ERROR", "NOTE", "NOTE"]


def deep(levels: int) -> bytes:
    lists = b"[" * levels + b"]" * levels
    return record(object="HERE").replace(b'"HERE"', b'{"metadata":{"uid":"u"},"x":' + lists + b"}")


BAD_LINES = {
    "no-json": (b"{this is no json}", r"the line is not valid JSON"),
    "cut-off": (record()[:60], r"ends in the middle"),
    "text": (b"hello", r"the line is not valid JSON"),
    "a-list": (b"[]", r"the record is a list, not an object"),
    "two-values": (record() + record(), r"the line is not valid JSON"),
    "nul-bytes": (b"\0" * 40, r"NUL bytes"),
    "nul-in-text": (record().replace(b"web", b"w\0b"), r"NUL bytes"),
    "not-utf-8": (record().replace(b"web", b"w\xffb"), r"not UTF-8"),
    "lone-high-surrogate": (record().replace(b'"web"', rb'"\ud800"'), r"unpaired surrogate"),
    "lone-low-surrogate": (record().replace(b'"web"', rb'"\udc00"'), r"unpaired surrogate"),
    "nan": (record(object="N").replace(b'"N"', b'{"metadata":{"uid":"u"},"x":NaN}'), r"not valid JSON"),
    "no-received": (record(received=None), r"the record has no received"),
    "received-number": (record(received=5), r"a number for its received, not a string"),
    "received-garbage": (record(received="yesterday"), r"received is 'yesterday', not an RFC 3339 time"),
    "received-no-zone": (record(received="2026-11-22T10:00:00"), r"not an RFC 3339 time"),
    "received-too-late": (record(received="9999-01-01T00:00:00Z"), r"not between the years"),
    "received-too-early": (record(received="0001-01-01T00:00:00Z"), r"not between the years"),
    "no-resource": (record(resource=None), r"the record has no resource"),
    "resource-garbage": (record(resource="pods and such"), r"invalid resource 'pods and such'"),
    "no-type": (record(type=None), r"the record has no type"),
    "unknown-type": (record(type="UPDATED"), r"unknown record type 'UPDATED': use one of LIST, LISTED, ADDED"),
    "no-object": (record(object=None), r"the record has no object"),
    "object-text": (record(object="pod"), r"the object of the record is not a JSON object"),
    "object-list": (record(object=[POD]), r"the object of the record is not a JSON object"),
    "bookmark-text": (record(type="BOOKMARK", object="x"), r"the object of the record is not a JSON object"),
    "no-metadata": (record(object={"kind": "Pod"}), r"has no metadata.uid \('Pod'\)"),
    "no-uid": (record(object={"kind": "Pod", "metadata": {"name": "a"}}), r"has no metadata.uid \('Pod a'\)"),
    "empty-uid": (record(object={"metadata": {"uid": ""}}), r"has no metadata.uid"),
    "uid-number": (
        record(object={"metadata": {"uid": 5}}),
        r"has a number for its metadata.uid, not a string",
    ),
    "uid-with-nul": (record(object={"metadata": {"uid": "a\0b"}}), r"NUL character in its metadata"),
    "uid-too-long": (record(object={"metadata": {"uid": "u" * 600}}), r"more than 512 characters"),
    "int-beyond-64-bits": (record(object={"metadata": {"uid": "u"}, "x": 2**64}), r"number beyond 64 bits"),
    "int-below-64-bits": (record(object={"metadata": {"uid": "u"}, "x": [-(2**63) - 1]}), r"number beyond 64 bits"),
    "int-of-5000-digits": (record(object="X").replace(b'"X"', b'{"x":' + b"1" * 5000 + b"}"), r"beyond 64 bits"),
    "float-beyond": (record(object="X").replace(b'"X"', b'{"x":1e999}'), r"beyond 64 bits"),
    "deep": (deep(300), r"nested more than 256 levels"),
    "very-deep": (deep(200_000), r"nested more than 256 levels"),
    "unclosed": (b'{"received":' + b"[" * 200_000, r"nested more than 256 levels"),
}


@pytest.mark.parametrize("name", BAD_LINES)
def test_an_invalid_line_ends_the_reading_with_its_number(name: str, tmp_path: Path) -> None:
    line, words = BAD_LINES[name]
    frames, error = read_until_error(write(tmp_path, record(), record(), line, record(), name=name))
    assert len(frames) == 2
    assert error is not None
    assert (error.source, error.line) == (str(tmp_path / name), 3)
    assert re.search(words, error.problem), error.problem
    assert "\n" not in str(error)


@pytest.mark.parametrize("name", BAD_LINES)
def test_invalid_lines_can_be_skipped_even_at_the_start(name: str, tmp_path: Path) -> None:
    line, _ = BAD_LINES[name]
    frames, skipped = read_skipping([write(tmp_path, line, record(), line, record())])
    assert [frame.line for frame in frames] == [2, 4]
    assert [error.line for error in skipped] == [1, 3]


def test_numbers_within_64_bits_and_long_names_of_digits_are_valid(tmp_path: Path) -> None:
    pod = {**POD, "x": [2**64 - 1, -(2**63)], "name": "9" * 40, "y": "\U0001f600"}
    (frame,) = read(write(tmp_path, record(object=pod)))
    assert json.loads(frame.object) == pod


def test_250_levels_of_nesting_are_valid(tmp_path: Path) -> None:
    assert len(read(write(tmp_path, deep(250)))) == 1


def test_frame_types_are_spelled_as_in_the_format() -> None:
    assert [member.value for member in FrameType] == [
        "LIST", "LISTED", "ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR", "NOTE",
    ]  # fmt: skip
