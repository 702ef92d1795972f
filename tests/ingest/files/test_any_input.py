"""Arbitrary input becomes valid frames or an InputError, and nothing else."""

import gzip
import io
import json
import re
from typing import Any

from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from kspan.errors import InputError
from kspan.ingest import Frame, read_frames
from kspan.ingest.frames import to_record
from kspan.model import RecordType
from tests.ingest.files.reading import POD, record

# Pieces of the formats, so that random combinations are almost valid.
PIECES = st.sampled_from(
    [
        record(),
        record(type="LIST"),
        record(type="NEWS"),
        json.dumps(POD).encode(),
        json.dumps({"apiVersion": "v1", "kind": "List", "items": [POD, 1]}, indent=1).encode(),
        b'---\n# {"time":"2026-11-22T10:00:00Z","style":"event","kind":"Event"}\n',
        b'---\n# {"time":"2026-11-22T10:00:00Z","style":"initial"}\n',
        b"apiVersion: v1\nkind: Pod\nmetadata: {uid: u, creationTimestamp: 2026-11-22T10:00:00Z}\n",
        b"\n", b"---\n", b"...\n", b"{", b"}", b"[", b"]", b'"', b": ", b"- ", b"&a ", b"*a ", b"<<: ", b"!t ", b"|\n ",
        b"\0", b"\xff", b"\xef\xbb\xbf", b"\x1f\x8b", rb"\ud800", b"%YAML 1.1\n", b"? ", b"1e999", b"'", b"\t", b"\r",
    ]
)  # fmt: skip
MADE = st.lists(st.one_of(PIECES, st.binary(max_size=12)), max_size=12).map(b"".join)
PACKED = st.builds(
    lambda members, *damage: _damaged(b"".join(map(gzip.compress, members)), *damage),
    st.lists(MADE, min_size=1, max_size=3),
    st.integers(0, 40),
    st.integers(0),
    st.integers(0, 255),
)


def _damaged(packed: bytes, cut: int, at: int, byte: int) -> bytes:
    at %= len(packed)
    whole = packed[:at] + bytes([byte]) + packed[at + 1 :]
    return whole[: len(whole) - cut]


def read_all(data: bytes, skip_bad: bool) -> list[Frame]:
    frames: list[Frame] = []
    failure: InputError | None = None
    try:
        for frame in read_frames(["-"], stdin=io.BytesIO(data), skip_bad=skip_bad):
            frames.append(frame)  # noqa: PERF402 - the frames before the error count
    except InputError as error:
        failure = error
    assert failure is None or (failure.problem and "\n" not in failure.problem and not skip_bad)
    return frames


@settings(max_examples=400, deadline=None)
@example(b"", False)
@given(st.one_of(st.binary(), MADE, PACKED), st.booleans())
def test_arbitrary_bytes_give_frames_or_an_input_error(data: bytes, skip_bad: bool) -> None:
    for frame in read_all(data, skip_bad):
        assert isinstance(json.loads(frame.object), dict)
        assert 0 < frame.received < 2**63
        assert frame.line > 0
        if frame.type in RecordType.__members__:
            assert to_record(RecordType(frame.type), frame.received, frame.resource, frame.object).uid


@settings(max_examples=100, deadline=None)
@given(st.one_of(MADE, PACKED))
def test_skipping_yields_everything_before_the_first_error(data: bytes) -> None:
    strict = [frame for frame in read_all(data, False) if frame.type == "ADDED"]
    assert [frame for frame in read_all(data, True) if frame.type == "ADDED"][: len(strict)] == strict


VALUES: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**63), st.text()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(), inner, max_size=3)),
    max_leaves=10,
)


@settings(max_examples=100, deadline=None)
@given(VALUES)
def test_a_recording_keeps_any_object_unchanged(value: Any) -> None:
    pod = {**POD, "spec": value}
    (frame,) = read_frames(["-"], stdin=io.BytesIO(record(object=pod)))
    assert json.loads(frame.object) == pod


@settings(max_examples=100, deadline=None)
@given(VALUES)
def test_yaml_keeps_any_object_unchanged(value: Any) -> None:
    import yaml

    pod = {**POD, "spec": value}
    plain = json.loads(json.dumps(pod))  # no shared parts, for which the dumper would write aliases
    text = yaml.safe_dump(plain).encode()
    # The dumper does not quote such a string; kubectl and the reader take it for a number.
    assume(not re.search(rb"\d[eE][-+]\d", text))
    _, frame = read_frames(["-"], stdin=io.BytesIO(text))
    assert json.loads(frame.object) == pod
