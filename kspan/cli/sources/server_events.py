"""Reads server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html). Pure."""

import re
from typing import Final

import msgspec

LARGEST: Final = 8 << 20
"""Bytes of the data of an event."""

_ID: Final = re.compile(rb"[!-~]{1,128}")
"""An id is sent back in a header."""


class ServerEvent(msgspec.Struct, frozen=True):
    """An event."""

    kind: str
    data: bytes


class EventReader:
    """Joins the lines of a stream to events. ``last_id`` is the id from which the stream can be continued."""

    def __init__(self, last_id: str = "") -> None:
        self.last_id = last_id
        self._id = last_id
        self._kind = ""
        self._data: list[bytes] = []
        self._size = 0

    def feed(self, line: bytes) -> ServerEvent | None:
        """Return the event that this line, without its end, completes. Raises ValueError for one that is too large."""
        line = line.removesuffix(b"\r")
        if not line:
            return self._complete()
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._size += len(value)
            if self._size > LARGEST:
                raise ValueError(f"an event of more than {LARGEST >> 20} MiB")
            self._data.append(value)
        elif name == b"event":
            self._kind = value.decode("utf-8", "replace")
        elif name == b"id" and _ID.fullmatch(value):
            self._id = value.decode("ascii")
        return None

    def _complete(self) -> ServerEvent | None:
        # An id counts also without data: the client has got everything before it.
        self.last_id = self._id
        kind, data = self._kind, b"\n".join(self._data)
        self._kind, self._size = "", 0
        self._data.clear()
        return ServerEvent(kind or "message", data) if data else None
