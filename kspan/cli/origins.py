"""Origins of the values of options: errors name the variable, or the file and the line."""

import os
import re
import sys
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, Final

ORIGINS: Final = "kspan.origins"
"""Key of a context's ``meta``: places (``FILE:LINE``) of the values of a settings file, by parameter name."""

_FLAG: Final = re.compile(r"--[a-z][a-z-]*")
_OF_A_SERVICE: Final = re.compile(r"_(?:SERVICE|PORT)(?:_|$)")
"""Kubernetes sets variables such as KSPAN_SERVICE_HOST in every Pod of a namespace with a Service named kspan."""


def choices(option: Any) -> list[str]:
    """Return the values that an option accepts, which its metavar lists (``table|json``); empty if it accepts any."""
    metavar = option.metavar or ""
    return metavar.split("|") if "|" in metavar and metavar.islower() else []


def variables(option: Any) -> list[str]:
    """Return the environment variables of an option, the most specific first."""
    given = option.envvar
    return [given] if isinstance(given, str) else list(given or ())


def origin(context: Any, option: Any) -> str:
    """Return the variable or the place in a file that set an option; empty if a flag or nothing did."""
    source = context.get_parameter_source(option.name)
    if source is None:
        return ""
    if source.name == "ENVIRONMENT":
        return next((name for name in variables(option) if os.environ.get(name)), "")
    if source.name == "DEFAULT_MAP":
        return str(context.meta.get(ORIGINS, {}).get(option.name, ""))
    return ""


def with_origin(message: str, context: Any) -> str:
    """Return an error that begins with a flag, with the origin of the flag's value in front."""
    found = _FLAG.match(message)
    if found is None:
        return message
    options = (param for param in context.command.params if found[0] in param.opts)
    place = next((place for option in options if (place := origin(context, option))), "")
    return f"{place} ({found[0]}){message[found.end() :]}" if place else message


def warn_of_misspelt(environment: Mapping[str, str], known: Iterable[str]) -> None:
    """Warn on standard error about variables that look like a misspelt one of ``known``."""
    names = sorted(known)
    for name in sorted(environment):
        if not name.startswith("KSPAN_") or name in names or _OF_A_SERVICE.search(name):
            continue
        if close := get_close_matches(name, names, 1, cutoff=0.85):
            print(f"kspan: unknown environment variable {name}; did you mean {close[0]}?", file=sys.stderr)
