"""Lines from chunks of bytes."""

import pytest

from kspan.ingest.watch.client.line_splitter import LONGEST, LineSplitter


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_lines_do_not_depend_on_how_they_are_cut_into_chunks(size: int) -> None:
    text = b"one\n\ntwo three\n" + b"x" * 50 + b"\nlast\n"
    splitter = LineSplitter()
    lines = [line for at in range(0, len(text), size) for line in splitter.feed(text[at : at + size])]
    assert lines == text.split(b"\n")[:-1]
    assert not splitter.torn


def test_a_line_without_its_end_is_torn() -> None:
    splitter = LineSplitter()
    assert splitter.feed(b"one\ntw") == [b"one"]
    assert splitter.torn
    assert splitter.feed(b"o\n") == [b"two"]
    assert not splitter.torn


def test_a_line_that_never_ends_is_an_error() -> None:
    splitter = LineSplitter()
    chunk = b"x" * LONGEST
    assert splitter.feed(chunk) == []
    with pytest.raises(ValueError, match="64 MiB"):
        splitter.feed(b"x")
