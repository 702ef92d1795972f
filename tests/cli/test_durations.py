"""Durations and sizes on the command line."""

import pytest

from kspan.cli.options import parse_duration, parse_size
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


@pytest.mark.parametrize(
    "text, size",
    [
        *[("64MB", 64 << 20), ("64mb", 64 << 20), ("64 MiB", 64 << 20), ("64M", 64 << 20), ("1.5GB", 3 << 29)],
        *[("16384kB", 16 << 20), ("8388608", 8 << 20), ("8388608B", 8 << 20), ("0", 0), ("0MB", 0)],
    ],
)
def test_sizes_are_read(text: str, size: int) -> None:
    assert parse_size(text, "--max-bytes") == size


@pytest.mark.parametrize("text", ["", "MB", "-1MB", "1TB", "64 M B", "8388607", "1e9"])
def test_an_invalid_size_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="--max-bytes"):
        parse_size(text, "--max-bytes")
