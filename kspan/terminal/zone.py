"""The time zone in which a command prints times. JSON and CSV have times in UTC."""

import datetime
from contextvars import ContextVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from kspan.errors import SettingsError
from kspan.times import LATEST

_zone: ContextVar[datetime.tzinfo] = ContextVar("zone", default=datetime.UTC)


def set_zone(name: str) -> None:
    """Print times in a zone from now on: ``local`` (that of ``TZ`` or of the system), ``UTC`` or a name of the IANA.

    Raises SettingsError for an unknown zone.
    """
    _zone.set(_named(name))


def zone() -> datetime.tzinfo:
    """Return the zone in which times are printed."""
    return _zone.get()


def in_zone(ns: int) -> datetime.datetime:
    """Return a time (Unix ns) in the zone in which times are printed, to the millisecond."""
    return datetime.datetime.fromtimestamp(min(max(ns, 0), LATEST) // 1_000_000 / 1000, _zone.get())


def zone_label(ns: int) -> str:
    """Return the abbreviation of the zone at a time (Unix ns): ``UTC``, ``CEST``, ``+03``."""
    return in_zone(ns).tzname() or "UTC"


def _named(name: str) -> datetime.tzinfo:
    if name.lower() == "utc":
        return datetime.UTC
    if name.lower() == "local":
        return _Local()
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise SettingsError(
            f"--time-zone: unknown time zone {name!r}: use local, UTC or a name such as Europe/Berlin"
        ) from None


class _Local(datetime.tzinfo):
    """The zone of ``TZ`` or of the system, with its changes between summer and winter."""

    def utcoffset(self, when: datetime.datetime | None) -> datetime.timedelta | None:
        """Return the offset at a local time."""
        return self._at(when).utcoffset()

    def dst(self, when: datetime.datetime | None) -> datetime.timedelta | None:
        """Return nothing: the offset has it."""
        return None if when is None else datetime.timedelta(0)

    def tzname(self, when: datetime.datetime | None) -> str | None:
        """Return the abbreviation at a local time."""
        return self._at(when).tzname()

    def fromutc(self, when: datetime.datetime) -> datetime.datetime:
        """Return the local time of a time in UTC."""
        local = when.replace(tzinfo=datetime.UTC).astimezone()
        return local.replace(tzinfo=self)

    def _at(self, when: datetime.datetime | None) -> datetime.datetime:
        naive = (when or datetime.datetime(1970, 1, 1, tzinfo=self)).replace(tzinfo=None)
        return naive.astimezone()
