"""Parses times as users write them: full times, times of day, ages. Pure: the caller passes the current time."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from kspan.errors import QueryError
from kspan.times import LATEST, SECOND, parse_duration

FORMS: Final = "2026-11-22T10:25:05Z, '2026-11-22 10:25' (UTC), 10:25, 15m or '2h ago'"
"""The formats that ``parse_moment`` accepts, for messages."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DAY: Final = 86_400 * SECOND
_CLOCK: Final = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2})(?:\.(\d{1,9})\d*)?)?", re.ASCII)
_DATE: Final = re.compile(
    r"(\d{4})-(\d{2})-(\d{2})(?:(?:[Tt]|\s+)(?P<clock>[\d:.]+)\s*(?P<zone>[Zz]|UTC|[+-]\d{2}:?\d{2})?)?", re.ASCII
)


def parse_moment(text: str, now: int, option: str) -> int:
    """Return the Unix nanoseconds of a time.

    A time without a zone is UTC. A time of day is its most recent occurrence. A duration is an age.

    Args:
        text: the time as the user wrote it.
        now: the current time (Unix ns).
        option: the name of the option, for messages.

    Raises QueryError for an invalid time and for one before 1970 or after 2116.
    """
    found = _moment(" ".join(text.split()), now)
    if found is None:
        raise QueryError(f"{option}: invalid time {text!r}: use {FORMS}")
    if not 0 < found < LATEST:
        raise QueryError(f"{option}: time {text!r} is out of range: use one between 1970 and 2116")
    return found


def _moment(text: str, now: int) -> int | None:
    if text.lower() == "now":
        return now
    if clock := _CLOCK.fullmatch(text):
        since_midnight = _since_midnight(clock)
        if since_midnight is None:
            return None
        today = now - now % _DAY + since_midnight
        return today if today <= now else today - _DAY
    if date := _DATE.fullmatch(text):
        return _full(date)
    try:
        return now - parse_duration(text.lower().removesuffix("ago").strip().removeprefix("-"))
    except ValueError:
        return None


def _since_midnight(clock: re.Match[str]) -> int | None:
    hours, minutes, seconds, fraction = clock.groups()
    if int(hours) > 23 or int(minutes) > 59 or int(seconds or 0) > 59:
        return None
    whole = int(hours) * 3600 + int(minutes) * 60 + int(seconds or 0)
    return whole * SECOND + int((fraction or "").ljust(9, "0"))


def _full(date: re.Match[str]) -> int | None:
    clock = _CLOCK.fullmatch(date["clock"]) if date["clock"] else None
    since_midnight = _since_midnight(clock) if clock else 0
    if since_midnight is None or (date["clock"] and not clock):
        return None
    try:
        day = datetime(int(date[1]), int(date[2]), int(date[3]), tzinfo=UTC)
        offset = _offset(date["zone"] or "Z")
    except ValueError:
        return None
    return (day - _EPOCH) // timedelta(seconds=1) * SECOND + since_midnight - offset


def _offset(zone: str) -> int:
    """Return the nanoseconds that a zone is ahead of UTC."""
    if zone in ("Z", "z", "UTC"):
        return 0
    hours, minutes = int(zone[1:3]), int(zone[-2:])
    if hours > 23 or minutes > 59:
        raise ValueError(zone)
    return (-1 if zone[0] == "-" else 1) * (hours * 3600 + minutes * 60) * SECOND
