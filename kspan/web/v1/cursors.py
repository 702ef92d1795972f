"""Cursors: positions in lists, as texts that clients pass on without looking into them. Pure."""

import base64
from typing import Any

import msgspec

from kspan.web.v1.problems import BadRequestError

_VERSION = "1"


def to_cursor(position: tuple[Any, ...] | None) -> str | None:
    """Return the cursor of a position; None if there is none."""
    if position is None:
        return None
    return _VERSION + base64.urlsafe_b64encode(msgspec.msgpack.encode(position)).rstrip(b"=").decode()


def from_cursor(text: str, kind: Any) -> Any:
    """Return the position (of the type ``kind``) of a cursor that a list has returned. Raises BadRequestError."""
    try:
        if not text.isascii() or not text.startswith(_VERSION) or len(text) > 2_000:
            raise ValueError(text)
        raw = text[len(_VERSION) :]
        return msgspec.msgpack.decode(base64.urlsafe_b64decode(raw + "=" * (-len(raw) % 4)), type=kind)
    except (ValueError, msgspec.MsgspecError):
        raise BadRequestError("cursor: not one that this list has returned: begin again without it") from None
