"""Times as people write them on the command line and in the settings file."""

import re
from typing import Final

from kspan.errors import SettingsError

_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)")
_UNITS: Final = {"ms": 0.001, "s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


def parse_duration(text: str, option: str) -> float:
    """Seconds of ``90s``, ``1h30m``, ``7d``, or ``0``. Raises SettingsError that names the option."""
    rest = text.strip().lower()
    parts = _PART.findall(rest)
    if rest == "0":
        return 0.0
    if not parts or "".join(number + unit for number, unit in parts) != rest:
        raise SettingsError(f"{option} {text!r} is no duration: write 90s, 30m, 12h, 7d or 1h30m")
    return sum(float(number) * _UNITS[unit] for number, unit in parts)
