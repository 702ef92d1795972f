"""Messages of the two processes about one request: those of ASGI, and questions about the asker.

Each request has a socket of its own. A message is its length (4 bytes, big-endian), and a MessagePack map. First comes
the scope of the request (https://asgi.readthedocs.io/en/latest/specs/www.html), then in both directions the events of
ASGI, and:

* ``kspan.ask`` to the daemon: may the asker list the Events of ``namespace`` (empty: of all), or, if it is null, still
  ask at all?
* ``kspan.end`` to the daemon: nothing more comes, also if the answer is not complete.
* ``kspan.answer`` from the daemon, with the same ``number``: ``allowed``, or ``status`` and ``detail`` of a refusal.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from starlette.types import Scope

Message = dict[str, Any]

ASK: Final = "kspan.ask"
ANSWER: Final = "kspan.answer"
END: Final = "kspan.end"
FACTS: Final = "kspan.facts"
"""Key of the scope with Facts as a map."""

_KEPT: Final = ("type", "http_version", "method", "scheme", "path", "raw_path", "query_string", "root_path")
_HEAD: Final = 4

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(dict[str, Any]).decode


class Facts(msgspec.Struct, frozen=True):
    """Facts about a request that only the daemon knows.

    Args:
        cluster: uid of the cluster; empty while it is not known.
        watched: how many resources are watched, and how many should be.
        whole: the asker may see everything, whatever the API server says later.
        session: the request belongs to a session of a browser.
    """

    cluster: str
    watched: tuple[int, int]
    whole: bool
    session: bool


def scope_to_message(scope: Scope, facts: Facts) -> Message:
    """Return what the other process needs of a scope."""
    kept = {name: scope[name] for name in _KEPT if name in scope}
    return kept | {"headers": [list(pair) for pair in scope["headers"]], FACTS: msgspec.to_builtins(facts)}


def message_to_scope(message: Message) -> tuple[Scope, Facts]:
    """Return the scope and what the daemon says about the request. Raises msgspec.ValidationError."""
    facts = msgspec.convert(message.pop(FACTS), Facts)
    headers = [(bytes(name), bytes(value)) for name, value in message["headers"]]
    return message | {"asgi": {"version": "3.0", "spec_version": "2.3"}, "headers": headers}, facts


async def read(reader: asyncio.StreamReader) -> Message | None:
    """Return the next message; None if the other side is gone."""
    try:
        size = int.from_bytes(await reader.readexactly(_HEAD))
        return _decode(await reader.readexactly(size))
    except (asyncio.IncompleteReadError, OSError):
        return None


async def write(writer: asyncio.StreamWriter, message: Mapping[str, Any]) -> None:
    """Send a message, and wait while the other side does not read. Raises OSError if it is gone."""
    body = _encode(message)
    writer.write(len(body).to_bytes(_HEAD) + body)
    await writer.drain()
