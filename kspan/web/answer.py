"""Answers of routes that do not need the history."""

from typing import Final

import msgspec

TEXT: Final = "text/plain; charset=utf-8"


class Answer(msgspec.Struct, frozen=True):
    """An HTTP response."""

    status: int
    body: bytes
    content_type: str = TEXT


def verdict(problems: list[str], fine: str = "ok") -> Answer:
    """200 if there are no problems, otherwise 503 with one problem per line."""
    if problems:
        return Answer(503, "".join(f"{problem}\n" for problem in problems).encode())
    return Answer(200, f"{fine}\n".encode())
