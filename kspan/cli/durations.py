"""Times as people write them on the command line and in the settings file."""

from kspan import times
from kspan.errors import SettingsError


def parse_duration(text: str, option: str) -> float:
    """Seconds of ``90s``, ``1h30m``, ``7d``, or ``0``. Raises SettingsError that names the option."""
    try:
        return times.parse_duration(text) / times.SECOND
    except ValueError as error:
        raise SettingsError(f"{option} {text!r} is no duration: write 90s, 30m, 12h, 7d or 1h30m") from error
