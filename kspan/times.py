"""RFC 3339, durations and Unix nanoseconds. Pure."""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

SECOND = 1_000_000_000
MILLISECOND = 1_000_000

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


# Whole seconds recur (in the timestamps of one object, and in the objects of one burst), so most look-ups hit.
@lru_cache(maxsize=4096)
def _whole(text: str) -> int:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return ((moment - _EPOCH) // _MICROSECOND) * 1000


def parse_time(text: str) -> int:
    """Return the Unix nanoseconds of an RFC 3339 time. Fraction digits after the ninth are ignored.

    Raises ValueError for any other text.
    """
    if len(text) < 20 or text[10] not in "Tt " or not text.isascii():
        raise ValueError(f"{text!r} is not an RFC 3339 time")
    text = text.upper()
    if text[19] != ".":
        return _whole(text)
    end = 20
    while end < len(text) and text[end].isdigit():
        end += 1
    digits = text[20:end]
    if not digits:
        raise ValueError(f"{text!r} is not an RFC 3339 time")
    return _whole(text[:19] + text[end:]) + int(digits[:9].ljust(9, "0"))


LATEST = 2**62
"""Year 2116. Later times are mistakes, and nanoseconds must fit the 64-bit integers of the database."""


def parse_time_or_zero(text: str | None) -> int:
    """Like ``parse_time``, but returns 0 (unknown) for None, an invalid time, and a time outside of 1970 to 2116."""
    if not text:
        return 0
    return _cached(text) if len(text) < 40 else _or_zero(text)  # Longer texts would fill the cache.


def _or_zero(text: str) -> int:
    try:
        ns = parse_time(text)
    except ValueError:
        return 0
    return ns if 0 < ns < LATEST else 0


_cached = lru_cache(maxsize=4096)(_or_zero)


def format_time(ns: int) -> str:
    """Return a time as RFC 3339 in UTC with microseconds: ``2026-11-22T10:25:05.290000Z``."""
    return (_EPOCH + ns // 1000 * _MICROSECOND).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


_DURATION = re.compile(r"(\d+)(?:\.(\d{1,9})\d*)?(ms|s|m|h|d|w)", re.ASCII)
_GO_DURATION = re.compile(r"(\d+)(?:\.(\d{1,9})\d*)?(ns|us|µs|μs|ms|s|m|h)", re.ASCII)
_UNITS: Final = {
    "ns": 1,
    "us": 1_000,
    "\u00b5s": 1_000,  # the micro sign, as Go writes it
    "\u03bcs": 1_000,  # the Greek letter
    "ms": MILLISECOND,
    "s": SECOND,
    "m": 60 * SECOND,
    "h": 3_600 * SECOND,
    "d": 86_400 * SECOND,
    "w": 604_800 * SECOND,
}


def parse_duration(text: str) -> int:
    """Return the nanoseconds of ``90s``, ``1.5h``, ``1h30m``, ``7d`` or ``0``. Raises ValueError for any other text."""
    rest = text.strip().lower()
    return 0 if rest == "0" else _sum_up(rest, _DURATION, text)


def parse_go_duration(text: str) -> int:
    """Return the nanoseconds of a duration as Go prints it: ``1m2.5s``, ``834.1ms``, ``1.2µs``, ``0s``.

    Raises ValueError for any other text, also for a negative duration.
    """
    return _sum_up(text, _GO_DURATION, text)


def _sum_up(rest: str, parts: re.Pattern[str], text: str) -> int:
    found, end = 0, 0
    for part in parts.finditer(rest):
        if part.start() != end:
            break
        whole, fraction, unit = part.groups()
        found += int(whole) * _UNITS[unit] + int((fraction or "0").ljust(9, "0")) * _UNITS[unit] // SECOND
        end = part.end()
    if not end or end != len(rest):
        raise ValueError(f"invalid duration {text!r}")
    return found
