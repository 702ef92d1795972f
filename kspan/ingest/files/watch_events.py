"""Turns printed watch events into frames: ``kubectl get --raw '…?watch=1'`` and ``--output-watch-events``. Pure.

They have no time of receipt, so each counts as received at the newest time that it or one before it in its stream
states.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import msgspec

from kspan.ingest.frames import Frame, FrameType
from kspan.k8s.events_api import EVENTS
from kspan.k8s.resource_version import version_number
from kspan.k8s.wire import ObjectHead
from kspan.times import SECOND

FRESH = 2 * SECOND
"""An object that states no time later than this (ns) after its creation was just created."""


class PrintedObject(msgspec.Struct, frozen=True):
    """An object of a printed list or watch event."""

    resource: str
    head: ObjectHead
    raw: bytes
    line: int
    time: int
    """The newest time in it (Unix ns, 0: none)."""
    created: int = 0
    """creationTimestamp (Unix ns, 0: none)."""
    change: str = ""
    """The type of the watch event that carries it; empty for an object of a list."""


def initial_state(changes: Sequence[PrintedObject]) -> int:
    """Return how many of the first watch events are a list: objects that existed when the watch began.

    A watch without a resourceVersion begins with all objects as ADDED, in any order (the API conventions, "Get State
    and Start at Any"). Objects that were created while it lasted come in the order of their versions, and are new.
    """
    first = next((at for at, each in enumerate(changes) if each.change != "ADDED"), len(changes))
    versions = [version_number(each.head.resource_version) for each in changes[:first]]
    in_order = all(before < after for before, after in pairwise(versions))
    fresh = all(each.time - each.created <= FRESH for each in changes[:first] if each.resource != EVENTS)
    events = all(each.resource == EVENTS for each in changes[:first])
    return 0 if in_order and fresh and not events else first


def frames_of_changes(changes: Sequence[PrintedObject], since: int, source: str) -> Iterator[Frame]:
    """Yield the frames of watch events, none of which was received before ``since`` (Unix ns).

    Without ``since``, those before the first one that states a time count as received at that time.
    """
    first = since or next((each.time for each in changes if each.time), 0)
    newest: dict[str, int] = {}
    for each in changes:
        received = max(newest.get(each.resource, since), each.time) or first
        newest[each.resource] = received
        kind = FrameType(each.change)
        head = each.head if kind is not FrameType.ERROR else None
        yield Frame(received, each.resource, kind, each.raw, source, each.line, head)
