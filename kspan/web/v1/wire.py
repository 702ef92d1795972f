"""The contract of ``/v1`` with those who ask it: addresses, headers, pages, errors."""

from typing import Final, Generic, TypeVar

import msgspec

STATEMENTS: Final = "/v1/sql"
"""Runs statements that can only read. The only address with POST besides that to sign in."""

STREAM: Final = "/v1/stream"
"""Sends news as server-sent events of these kinds."""

EVENTS: Final = "text/event-stream"
"""Media type of a stream."""

TRACE, OCCURRENCE, RESET = "trace", "occurrence", "reset"

BEAT_S: Final = 15.0
"""Seconds without news after which a stream sends a comment, by which both sides notice a connection that is gone."""

NO_ADDRESS: Final = "no such address"
"""How the error for an address that does not exist begins. Another version may have it."""

CLUSTER_HEADER: Final = "X-Kspan-Cluster"
"""uid of the cluster that an answer is about."""

TOKEN_HEADER: Final = "X-Kspan-Token"  # noqa: S105
"""Carries a token where a proxy (the API server's for Services) removes ``Authorization``."""

VERSION_HEADER: Final = "X-Kspan-Version"
"""In every answer of ``/v1``, because its clients can be of another version."""

Item = TypeVar("Item")


class Page(msgspec.Struct, Generic[Item], frozen=True):
    """A page of a list. ``next`` is the cursor of the next page; null if this is the last one.

    A page can have fewer items than asked for, even none, and a ``next``: the work for a page is limited.
    """

    items: list[Item]
    next: str | None


class Problem(msgspec.Struct, frozen=True):
    """An error (RFC 9457). ``detail`` says what is wrong with this request."""

    title: str
    status: int
    detail: str
