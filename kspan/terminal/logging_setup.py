"""Log formats: text on a terminal, one JSON object per line elsewhere. Secrets are masked in both."""

import json
import logging
import re
import sys
import threading
from typing import Any, Final, TextIO

from kspan.times import format_time

_logger = logging.getLogger(__name__)

_BEARER = re.compile(r"\b(Bearer|Basic|Token)\s+[\w.~+/=-]{4,}", re.IGNORECASE)
_FIELD = re.compile(
    r"""(?P<name>\b(?:authorization|proxy-authorization|cookie|set-cookie|x-api-key|api[-_]?key|access[-_]?token
        |refresh[-_]?token|id[-_]?token|client[-_]?secret|client-key-data|token|password|passwd|secret)\b["']?\s*[=:]\s*["']?)
        (?!\s)(?P<value>[^\s"',;&}]{2,})""",
    re.IGNORECASE | re.VERBOSE,
)
_JWT = re.compile(r"\beyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?")
_USERINFO = re.compile(r"(?P<scheme>\b[a-z][a-z0-9+.-]*://[^\s:/@]*):[^\s/@]+@", re.IGNORECASE)

MASK: Final = "<redacted>"

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_COLOURS: Final = {logging.WARNING: "\x1b[33m", logging.ERROR: "\x1b[31m", logging.CRITICAL: "\x1b[31m"}

_NOISY: Final = {
    "alembic": logging.WARNING,
    "apscheduler": logging.ERROR,  # it warns whenever max_instances does its work
    "urllib3": logging.ERROR,  # we log its retries ourselves
    "kubernetes": logging.WARNING,
    "opentelemetry": logging.WARNING,
}


def masked(text: str) -> str:
    """The text with tokens, passwords in URLs and similar values masked."""
    text = _BEARER.sub(rf"\1 {MASK}", text)
    text = _JWT.sub(MASK, text)
    text = _USERINFO.sub(rf"\g<scheme>:{MASK}@", text)
    return _FIELD.sub(lambda found: found["name"] + (found["value"] if _harmless(found["value"]) else MASK), text)


def _harmless(value: str) -> bool:
    # "token: Bearer <redacted>" is masked already.
    return value.lower() in ("bearer", "basic", "token") or value.startswith(MASK[:5])


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    """The fields given as ``extra``, usually the identity of an object."""
    return {key: value for key, value in vars(record).items() if key not in _STANDARD and not key.startswith("_")}


class JsonFormatter(logging.Formatter):
    """One JSON object per line: ``time`` (RFC 3339), ``level``, ``logger``, ``message``, extra fields, ``error``."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without the newline."""
        line: dict[str, Any] = {
            "time": format_time(int(record.created * 1e6) * 1000),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": masked(record.getMessage()),
        }
        for key, value in _fields(record).items():
            line.setdefault(
                key, value if isinstance(value, int | float | bool) or value is None else masked(str(value))
            )
        if record.exc_info:
            line["error"] = masked(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False)


class HumanFormatter(logging.Formatter):
    """``10:25:05 WARNING message (resource=v1/pods)``."""

    def __init__(self, *, colours: bool) -> None:
        super().__init__(datefmt="%H:%M:%S")
        self._colours = colours

    def format(self, record: logging.LogRecord) -> str:
        """The line of one record; an error adds further lines."""
        fields = " ".join(f"{key}={value}" for key, value in _fields(record).items())
        level = f"{record.levelname:<7}"
        if self._colours and record.levelno in _COLOURS:
            level = f"{_COLOURS[record.levelno]}{level}\x1b[0m"
        text = f"{self.formatTime(record, self.datefmt)} {level} {record.getMessage()}"
        if fields:
            text += f" ({fields})"
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        return masked(text)


def set_up(level: str = "info", stream: TextIO | None = None) -> None:
    """Log to ``stream`` (default: standard error) in the format for it. Raises ValueError for an unknown level."""
    stream = stream or sys.stderr
    handler = logging.StreamHandler(stream)
    terminal = stream.isatty()
    handler.setFormatter(HumanFormatter(colours=True) if terminal else JsonFormatter())
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    for name, least in _NOISY.items():
        logging.getLogger(name).setLevel(max(least, root.level))
    logging.captureWarnings(True)
    threading.excepthook = _log_death


def _log_death(death: threading.ExceptHookArgs) -> None:
    """Log the error that ended a thread. Python would print it without masking secrets."""
    if death.exc_value is not None:
        name = death.thread.name if death.thread is not None else "a thread"
        _logger.critical("thread %s died: %s", name, death.exc_value, exc_info=death.exc_value)
