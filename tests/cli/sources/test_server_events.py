"""Lines become events as the specification of server-sent events says."""

import pytest

from kspan.cli.sources import server_events
from kspan.cli.sources.server_events import EventReader, ServerEvent


def read(reader: EventReader, text: bytes) -> list[ServerEvent]:
    return [event for line in text.split(b"\n")[:-1] if (event := reader.feed(line)) is not None]


@pytest.mark.parametrize(
    "text, expected",
    [
        (b"event: a\ndata: 1\n\n", [ServerEvent("a", b"1")]),
        (b"data:1\ndata: 2\n\ndata:  3\n\n", [ServerEvent("message", b"1\n2"), ServerEvent("message", b" 3")]),
        (b": a comment\nretry: 2000\n\n", []),
        (b"event: nothing\n\ndata: x\n\n", [ServerEvent("message", b"x")]),
        (b"event: a\r\ndata: 1\r\n\r\n", [ServerEvent("a", b"1")]),
        (b"data: not complete\n", []),
        (b"<html>\nwelcome\n</html>\n\n", []),
    ],
)
def test_lines_become_events(text: bytes, expected: list[ServerEvent]) -> None:
    assert read(EventReader(), text) == expected


def test_an_id_counts_once_its_event_is_complete_also_without_data() -> None:
    reader = EventReader("before")
    assert (read(reader, b"id: 1\ndata: x\n"), reader.last_id) == ([], "before")
    assert (len(read(reader, b"\n")), reader.last_id) == (1, "1")
    assert (read(reader, b"data: y\n\nid: 2\n\n"), reader.last_id) == ([ServerEvent("message", b"y")], "2")


@pytest.mark.parametrize("name", [b"", b"a b", b"a\x00", b"a\x7f", "ä".encode(), b"x" * 129])
def test_an_id_that_cannot_be_sent_back_is_passed_over(name: bytes) -> None:
    reader = EventReader("1")
    assert (len(read(reader, b"id: " + name + b"\ndata: x\n\n")), reader.last_id) == (1, "1")


def test_an_event_without_an_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_events, "LARGEST", 10)
    reader = EventReader()
    assert len(read(reader, b"data: 12345\ndata: 67890\n\n" * 2)) == 2
    with pytest.raises(ValueError, match="an event of more than"):
        read(reader, b"data: 12345\ndata: 67890\ndata: 1\n")
