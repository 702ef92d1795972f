"""Files that are cut off, damaged, or of another kind."""

import gzip
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kspan.ingest.files.bytes import PIECE
from tests.ingest.files.reading import (
    CAPTURE,
    KUBECTL_JSON,
    KUBECTL_YAML,
    RECORDING,
    read,
    read_skipping,
    read_until_error,
    record,
    write,
)


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.99])
def test_a_truncated_gzip_yields_everything_before_its_end(keep: float, tmp_path: Path) -> None:
    packed = RECORDING.read_bytes()
    path = tmp_path / "cut.gz"
    path.write_bytes(packed[: int(len(packed) * keep)])
    frames, error = read_until_error(str(path))
    assert [frame.object for frame in frames] == [frame.object for frame in read(RECORDING)[: len(frames)]]
    assert len(frames) > 491 * keep * 0.5
    assert error is not None
    assert error.line == len(frames) + 1
    assert "cut off" in error.problem


def test_a_gzip_without_its_last_bytes_is_truncated(tmp_path: Path) -> None:
    path = tmp_path / "cut.gz"
    path.write_bytes(RECORDING.read_bytes()[:-4])
    frames, error = read_until_error(str(path))
    assert len(frames) == 491
    assert error is not None


def test_after_a_truncated_gzip_the_next_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "cut.gz"
    path.write_bytes(RECORDING.read_bytes()[:20_000])
    frames, skipped = read_skipping([str(path), str(RECORDING)])
    assert sum(frame.source == str(RECORDING) for frame in frames) == 491
    assert sum(frame.source == str(path) for frame in frames) > 50
    assert len(skipped) == 1


def test_a_damaged_gzip_yields_everything_before_the_damage(tmp_path: Path) -> None:
    lines = [record(object={"metadata": {"uid": os.urandom(200).hex()}}) for _ in range(300)]
    packed = bytearray(gzip.compress(b"\n".join(lines)))
    packed[len(packed) // 2 : len(packed) // 2 + 400] = b"\xff" * 400
    path = tmp_path / "damaged"
    path.write_bytes(packed)
    frames, error = read_until_error(str(path))
    assert len(frames) > 130
    assert error is not None


def test_a_wrong_checksum_is_damage(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(record()))
    packed[-8] ^= 1
    path = tmp_path / "damaged"
    path.write_bytes(packed)
    _, error = read_until_error(str(path))
    assert error is not None
    assert error.problem == "the gzip data is damaged (incorrect data check)"


BIG = b"\n".join([record(), b" " * 3 * PIECE, record()])
"""Two records. Decompressing them takes several pieces: zlib then ends a member with data of the next one at hand."""


@pytest.mark.parametrize(
    "tail", [b"and so on", b"\n", b"\x1fx", b"\0\0\x8b", b"\0" * 9 + BIG], ids=lambda t: repr(t[:9])
)
@pytest.mark.parametrize("content", [record(), BIG], ids=["small", "big"])
def test_other_data_after_the_gzip_data_is_an_error_after_all_of_it(
    content: bytes, tail: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "tail"
    path.write_bytes(gzip.compress(content) + tail)
    frames, error = read_until_error(str(path))
    # Also the last record, although its line has no end.
    assert len(frames) == content.count(b"ADDED")
    assert error is not None
    assert "followed by other data; all of it was read, use --skip-bad" in error.problem
    assert len(read_skipping([str(path), str(RECORDING)])[0]) == len(frames) + 491


@pytest.mark.parametrize("source", [CAPTURE, KUBECTL_JSON, KUBECTL_YAML], ids=lambda path: path.name)
def test_other_data_after_the_gzip_data_loses_no_document(source: Path, tmp_path: Path) -> None:
    path = tmp_path / "tail"
    path.write_bytes(gzip.compress(source.read_bytes()) + b"\n")
    frames, error = read_until_error(str(path))
    assert [frame.object for frame in frames] == [frame.object for frame in read(source)]
    assert error is not None


@pytest.mark.parametrize(
    "members",
    [
        pytest.param([BIG + b"\n", BIG], id="two"),
        pytest.param([BIG + b"\n", b"", record() + b"\n", b"", BIG], id="empty ones"),
        pytest.param([b"", BIG + b"\n", BIG], id="an empty one first"),
        pytest.param([BIG[:20], BIG[20:-50], BIG[-50:] + b"\n" + BIG], id="a boundary in a line"),
        pytest.param([b"\xef", b"\xbb", b"\xbf" + BIG], id="a boundary in the byte order mark"),
        pytest.param([bytes([byte]) for byte in record() + b"\n" + record()], id="one for each byte"),
    ],
)
@pytest.mark.parametrize("padding", [0, 1, 2_000])
def test_gzip_members_are_read_one_after_the_other(members: list[bytes], padding: int, tmp_path: Path) -> None:
    path = tmp_path / "members"
    path.write_bytes(b"".join(gzip.compress(member) + b"\0" * padding for member in members))
    plain = tmp_path / "plain"
    plain.write_bytes(b"".join(members))
    assert [(frame.line, frame.object) for frame in read(path)] == [(frame.line, frame.object) for frame in read(plain)]
    assert len(read(path)) >= 2


@pytest.mark.parametrize("keep", [1, 5, 30, 2_000])
def test_a_truncated_member_after_another_one_is_an_error(keep: int, tmp_path: Path) -> None:
    path = tmp_path / "cut"
    path.write_bytes(gzip.compress(BIG + b"\n") + gzip.compress(BIG)[:keep])
    frames, error = read_until_error(str(path))
    assert len(frames) >= 2
    assert error is not None
    assert error.problem == "the gzip data is cut off: the file is incomplete"


@pytest.mark.parametrize("source", [CAPTURE, KUBECTL_JSON])
def test_truncated_gzip_of_another_format_is_an_error(source: Path, tmp_path: Path) -> None:
    packed = gzip.compress(source.read_bytes())
    path = tmp_path / "cut.gz"
    path.write_bytes(packed[: len(packed) // 2])
    _, error = read_until_error(str(path))
    assert error is not None
    assert "cut off" in error.problem


def test_a_small_file_that_unpacks_to_gigabytes_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "bomb"
    path.write_bytes(gzip.compress(record() + b"\n" + b" " * 80_000_000))
    frames, error = read_until_error(str(path))
    assert len(frames) == 1
    assert error is not None
    assert "a line of more than 64 MiB" in error.problem


@pytest.mark.parametrize(
    "start, filler, words",
    [
        pytest.param(record() + b"\n", b" ", "a line of more than 64 MiB", id="a recording"),
        pytest.param(b'{"kind": "List", "items": [', b" \n", "has more than 512 MiB", id="JSON"),
        pytest.param(b"kind: List\nitems:\n", b"#\n", "a YAML document above 128 MiB", id="YAML"),
    ],
)
def test_memory_is_bounded_for_a_small_file_that_unpacks_to_gigabytes(
    start: bytes, filler: bytes, words: str, tmp_path: Path
) -> None:
    path = tmp_path / "bomb"
    path.write_bytes(gzip.compress(start) + gzip.compress(filler * (PIECE // len(filler))) * 8_000)
    assert path.stat().st_size < 20_000_000
    script = (
        "import sys; from kspan.ingest import read_frames; from tests.memory import peak\n"
        "try: list(read_frames(sys.argv[1:]))\n"
        "except Exception as error: print(error)\n"
        "print(peak())"
    )
    done = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True, check=True)
    message, peak = done.stdout.splitlines()
    assert words in message
    assert int(peak) < 1_500 << 20


@pytest.mark.parametrize(
    "content, words",
    [
        pytest.param(b"", "is empty", id="nothing"),
        pytest.param(gzip.compress(b""), "is empty", id="gzip of nothing"),
        pytest.param(b" \n\n", "contains only white space", id="blank"),
        pytest.param(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "is a PNG image", id="PNG"),
        pytest.param(b"SQLite format 3\0", "is an SQLite database", id="SQLite"),
        pytest.param(b"PK\x03\x04", "unpack it first", id="zip"),
        pytest.param(b"\x7fELF\x02\x01\x01\0\0", "is not a text file", id="ELF"),
        pytest.param("{}".encode("utf-16"), "UTF-16", id="UTF-16"),
        pytest.param(gzip.compress(gzip.compress(record())), "gzip'd twice", id="gzip of gzip"),
        pytest.param(b"\x1f\x8b", "cut off", id="two bytes of gzip"),
        pytest.param(b"\x1f\x8bnonsense", "damaged", id="not gzip after all"),
    ],
)
def test_a_file_of_another_kind_is_named_in_the_error(content: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "thing"
    path.write_bytes(content)
    frames, error = read_until_error(str(path))
    assert frames == []
    assert error is not None
    assert re.search(words, error.problem), error.problem
    assert read_skipping([str(path), str(RECORDING)])[0] == read(RECORDING)


@pytest.mark.parametrize(
    "name, words",
    [("missing", "no such file"), (".", "has no file with Kubernetes objects"), ("a\0b", "null byte")],
)
def test_a_path_that_cannot_be_opened_is_an_error(name: str, words: str, tmp_path: Path) -> None:
    path = str(tmp_path) if name == "." else f"{tmp_path}/{name}"
    _, error = read_until_error(path)
    assert error is not None
    assert (error.source, error.line) == (path, 0)
    assert words in error.problem
    assert len(read_skipping([path, str(RECORDING)])[0]) == 491


@pytest.fixture
def nobody() -> Iterator[None]:
    """Run as a user who is subject to file permissions."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    yield
    os.seteuid(0)


def test_a_file_without_read_permission_is_an_error(tmp_path: Path, nobody: None) -> None:
    path = tmp_path / "secret"
    if os.access(tmp_path, os.W_OK, effective_ids=True):
        path.write_bytes(b"")
        path.chmod(0)
    _, error = read_until_error(str(path))
    assert error is not None
    assert "permission denied" in error.problem


def test_reading_can_stop_at_any_frame(tmp_path: Path) -> None:
    from kspan.ingest import read_frames

    frames = read_frames([write(tmp_path, record(), record())])
    assert next(frames).line == 1
    del frames
