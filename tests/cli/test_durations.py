"""Durations on the command line."""

import pytest

from kspan.cli.options import parse_duration
from kspan.errors import SettingsError


@pytest.mark.parametrize(
    "text, seconds", [("90s", 90), ("1h30m", 5_400), ("7d", 604_800), ("0", 0), ("500ms", 0.5), ("1.5m", 90)]
)
def test_durations_are_read(text: str, seconds: float) -> None:
    assert parse_duration(text, "--for") == seconds


@pytest.mark.parametrize("text", ["", "7", "d7", "7 days", "-1s", "1h?"])
def test_an_invalid_duration_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="--for"):
        parse_duration(text, "--for")
