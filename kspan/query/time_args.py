"""Parses times as users write them: full times, times of day, ages. Pure: the caller passes the current time."""

import re
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Final

from kspan.errors import QueryError
from kspan.times import LATEST, SECOND, parse_duration

FORMS: Final = "2026-11-22T10:25:05Z, '2026-11-22 10:25', 10:25, 15m or '2h ago'"
"""The formats that ``parse_moment`` accepts, for messages."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DAY: Final = 86_400 * SECOND
_CLOCK: Final = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2})(?:\.(\d{1,9})\d*)?)?", re.ASCII)
_DATE: Final = re.compile(
    r"(\d{4})-(\d{2})-(\d{2})(?:(?:[Tt]|\s+)(?P<clock>[\d:.]+)\s*(?P<zone>[Zz]|UTC|[+-]\d{2}:?\d{2})?)?", re.ASCII
)


def parse_moment(text: str, now: int, option: str, zone: tzinfo = UTC) -> int:
    """Return the Unix nanoseconds of a time.

    A time without a zone is in ``zone``. A time of day is its most recent occurrence. A duration is an age.

    Args:
        text: the time as the user wrote it.
        now: the current time (Unix ns).
        option: the name of the option, for messages.
        zone: the zone of times that name none.

    Raises QueryError for an invalid time and for one before 1970 or after 2116.
    """
    found = _moment(" ".join(text.split()), now, zone)
    if found is None:
        raise QueryError(f"{option}: invalid time {text!r}: use {FORMS}")
    if not 0 < found < LATEST:
        raise QueryError(f"{option}: time {text!r} is out of range: use one between 1970 and 2116")
    return found


def _moment(text: str, now: int, zone: tzinfo) -> int | None:
    if text.lower() == "now":
        return now
    if clock := _CLOCK.fullmatch(text):
        since_midnight = _since_midnight(clock)
        if since_midnight is None:
            return None
        today = datetime.fromtimestamp(now // SECOND, zone).date()
        moment = _on(today, since_midnight, zone)
        return moment if moment <= now else _on(today - timedelta(days=1), since_midnight, zone)
    if found := _DATE.fullmatch(text):
        return _full(found, zone)
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


def _full(found: re.Match[str], zone: tzinfo) -> int | None:
    clock = _CLOCK.fullmatch(found["clock"]) if found["clock"] else None
    since_midnight = _since_midnight(clock) if clock else 0
    if since_midnight is None or (found["clock"] and not clock):
        return None
    try:
        day = datetime(int(found[1]), int(found[2]), int(found[3]), tzinfo=UTC).date()
        if not found["zone"]:
            return _on(day, since_midnight, zone)
        return _on(day, since_midnight, UTC) - _offset(found["zone"])
    except (ValueError, OverflowError):
        return None


def _on(day: date, since_midnight: int, zone: tzinfo) -> int:
    """Return the time (Unix ns) at which clocks in a zone show a time of day."""
    seconds, fraction = divmod(since_midnight, SECOND)
    wall = datetime(day.year, day.month, day.day, tzinfo=zone) + timedelta(seconds=seconds)
    return (wall - _EPOCH) // timedelta(seconds=1) * SECOND + fraction


def _offset(zone: str) -> int:
    """Return the nanoseconds that a zone is ahead of UTC."""
    if zone in ("Z", "z", "UTC"):
        return 0
    hours, minutes = int(zone[1:3]), int(zone[-2:])
    if hours > 23 or minutes > 59:
        raise ValueError(zone)
    return (-1 if zone[0] == "-" else 1) * (hours * 3600 + minutes * 60) * SECOND
