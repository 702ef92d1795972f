"""Paragraphs are folded between words."""

import pytest
from rich.cells import cell_len

from kspan.terminal.screen import Piece, Screen


def printed(capsys: pytest.CaptureFixture[str], *pieces: Piece) -> list[str]:
    Screen().paragraph(*pieces)
    return capsys.readouterr().out.splitlines()


def test_a_paragraph_is_folded_at_80_columns_in_a_pipe(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    first, *others = printed(capsys, ("word " * 40, ""))
    assert len(first) <= 80
    assert others
    assert all(line.startswith("  word") and len(line) <= 80 for line in others)


@pytest.mark.parametrize("columns", [20, 33, 80])
def test_no_word_is_lost_or_cut(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    text = f"Pod shop/{'x' * 50}, at 10:00: 界界界界 界界界界界 failed because of its limit"
    lines = printed(capsys, (text[:15], "bold"), (text[15:40], ""), (text[40:], "red"))
    assert " ".join(line.strip() for line in lines) == text
    assert all(cell_len(line) <= columns or len(line.split()) == 1 for line in lines)


def test_a_word_can_consist_of_several_pieces(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "9")
    assert printed(capsys, ("abc de", "bold"), ("fgh", ""), (": x", "")) == ["abc", "  defgh:", "  x"]


def test_an_empty_paragraph_is_an_empty_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys) == [""]
