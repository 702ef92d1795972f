"""Reads the parameters of requests to Jaeger's query APIs. Pure.

Sources: the requests of Jaeger UI 2.19 and of Grafana's data source 13.0; for names and units of others
jaegertracing/jaeger cmd/jaeger/internal/extension/jaegerquery (query_parser.go, apiv3/http_gateway.go).
"""

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from kspan.times import LATEST, MILLISECOND, SECOND, parse_time
from kspan.web.jaeger.search import MOST, Wanted

MICROSECOND: Final = 1_000
_UNITS: Final = {
    "ns": 1,
    "us": 1_000,
    "\u00b5s": 1_000,
    "\u03bcs": 1_000,
    "ms": 1_000_000,
    "s": SECOND,
    "m": 60 * SECOND,
    "h": 3_600 * SECOND,
}
_DURATION: Final = re.compile(r"(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|\u00b5s|\u03bcs|ms|s|m|h)", re.ASCII)
_PART: Final = re.compile(r"([\d.]+)(\D+)")
_TRACE_ID: Final = re.compile(r"[0-9a-fA-F]{1,32}", re.ASCII)
_SNAKE: Final = {
    "service_name": "serviceName",
    "operation_name": "operationName",
    "start_time_min": "startTimeMin",
    "start_time_max": "startTimeMax",
    "duration_min": "durationMin",
    "duration_max": "durationMax",
    "search_depth": "searchDepth",
    "num_traces": "searchDepth",
}

Parameters = Mapping[str, str]


class BadRequestError(Exception):
    """A request that cannot be understood; the text says why."""


def trace_id(text: str) -> str:
    """Return a trace id with all its digits. Raises BadRequestError."""
    if not _TRACE_ID.fullmatch(text):
        raise BadRequestError(f"invalid trace id {text[:64]!r}: use up to 32 hexadecimal digits")
    return text.lower().zfill(32)


def legacy_search(given: Parameters) -> Wanted:
    """Return what ``/api/traces`` is asked: times in microseconds, ``tags`` a JSON object. Raises BadRequestError."""
    return Wanted(
        service=given.get("service", ""),
        operation=given.get("operation", ""),
        since=min(_number(given, "start", 0) * MICROSECOND, LATEST),
        until=min(_number(given, "end", LATEST) * MICROSECOND, LATEST),
        shortest=_duration(given, "minDuration"),
        longest=_duration(given, "maxDuration"),
        tags=_tags(given, "tags"),
        limit=_number(given, "limit", 100),
    )


def dependency_window(given: Parameters) -> tuple[int, int]:
    """Return the time range (Unix ns) of ``/api/dependencies``: ``endTs`` and ``lookback`` in ms."""
    if "endTs" not in given:
        raise BadRequestError("endTs is required: milliseconds since 1970")
    end = _number(given, "endTs", 0)
    lookback = _number(given, "lookback", 24 * 3_600_000)
    return min(max(end - lookback, 0) * MILLISECOND, LATEST), min(end * MILLISECOND, LATEST)


def v3_search(given: Parameters) -> Wanted:
    """Return what ``/api/v3/traces`` and ``/api/v3/trace-summaries`` are asked: ``query.serviceName``, times in RFC
    3339. Raises BadRequestError."""
    found = {}
    for key, text in given.items():
        name = key.removeprefix("query.")
        if name != key:
            found[_SNAKE.get(name, name)] = text
    for name in ("startTimeMin", "startTimeMax"):
        if not found.get(name):
            raise BadRequestError(f"query.{name} is required: a time such as 2026-11-22T10:00:00Z")
    return Wanted(
        service=found.get("serviceName", ""),
        operation=found.get("operationName", ""),
        since=_time(found, "startTimeMin"),
        until=_time(found, "startTimeMax"),
        shortest=_duration(found, "durationMin"),
        longest=_duration(found, "durationMax"),
        tags=_tags(found, "attributes"),
        limit=_number(found, "searchDepth", 100),
    )


def _number(given: Parameters, name: str, default: int) -> int:
    text = given.get(name, "")
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise BadRequestError(f"invalid {name} {text[:64]!r}: use a whole number")
    number = int(text)
    if name in ("limit", "searchDepth") and not 0 < number <= MOST:
        raise BadRequestError(f"invalid {name} {number}: use 1 to {MOST}")
    return min(number, LATEST)


def _time(given: Parameters, name: str) -> int:
    """Return the nearest time that the database can hold. Not 0: that stands for any time."""
    text = given[name]
    try:
        return min(max(parse_time(text), 1), LATEST)
    except (ValueError, OverflowError):
        raise BadRequestError(f"invalid query.{name} {text[:64]!r}: use a time such as 2026-11-22T10:00:00Z") from None


def _duration(given: Parameters, name: str) -> int:
    """Return the nanoseconds of a Go duration: ``1.2s``, ``1m30s``."""
    text = given.get(name, "")
    if not text:
        return 0
    parts = _DURATION.findall(text)
    if "".join(parts) != text or len(text) > 32:
        raise BadRequestError(f"invalid {name} {text[:64]!r}: use a duration such as 1.2s, 100ms or 1m30s")
    total = 0.0
    for part in parts:
        match = _PART.fullmatch(part)
        assert match is not None, "the pattern of a duration has a number and a unit"
        total += float(match[1]) * _UNITS[match[2]]
    return min(int(total), LATEST)


def _tags(given: Parameters, name: str) -> dict[str, str]:
    text = given.get(name, "")
    if not text:
        return {}
    try:
        return msgspec.json.decode(text, type=dict[str, str])
    except msgspec.MsgspecError:
        raise BadRequestError(
            f'invalid {name}: use a JSON object of texts such as {{"k8s.pod.name":"web-0"}}'
        ) from None
