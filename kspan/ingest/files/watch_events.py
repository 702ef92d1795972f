"""Turns printed watch events into frames: ``kubectl get --raw '…?watch=1'`` and ``--output-watch-events``. Pure.

They have no time of receipt, so each counts as received at the newest time that it or one before it in its stream
states. If it does not state when its change was made, it was received between that and the next time that is stated.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import msgspec

from kspan.ingest.frames import Frame, FrameType
from kspan.k8s.events_api import EVENTS
from kspan.k8s.resource_version import version_number
from kspan.k8s.strict_json import decode_json
from kspan.k8s.wire import ObjectHead
from kspan.times import SECOND

FRESH = 2 * SECOND
"""An object that states no time later than this (ns) after its creation was just created. Times are in whole seconds,
and those of two clocks."""


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
    for each, receipt in zip(changes, _receipts(changes, since), strict=True):
        kind = FrameType(each.change)
        head = each.head if kind is not FrameType.ERROR else None
        yield Frame(receipt.latest, each.resource, kind, each.raw, source, each.line, head, receipt.since)


class _Receipt(NamedTuple):
    """When a watch event was received (Unix ns)."""

    latest: int
    since: int = 0
    """0: it was received at ``latest``; else at an unknown time between these two."""


def _receipts(changes: Sequence[PrintedObject], since: int) -> list[_Receipt]:
    """Return when each watch event was received.

    One that states the time of its change was received at that time, or at the newest time before it in its stream.
    Others were received between that and the next one that does. After the last one that does, the earliest possible
    time is all that is known, and counts.
    """
    first = since or next((each.time for each in changes if each.time), 0)
    newest: dict[str, int] = {}
    known: dict[str, PrintedObject] = {}
    earliest: list[tuple[int, bool]] = []
    for each in changes:
        before = newest.get(each.resource, since)
        time = newest[each.resource] = max(before, each.time) or first
        earliest.append((time, _states_its_time(each, known.get(each.head.uid), before)))
        if each.change != FrameType.ERROR:
            known[each.head.uid] = each
    following: dict[str, int] = {}
    found = list[_Receipt]()
    for each, (time, stated) in zip(reversed(changes), reversed(earliest), strict=True):
        if stated:
            following[each.resource] = time
        latest = following.get(each.resource, time)
        found.append(_Receipt(latest, time if time < latest else 0))
    return found[::-1]


def _states_its_time(now: PrintedObject, before: PrintedObject | None, newest: int) -> bool:
    """True if a watch event states when its change was made.

    A write that only removes fields leaves no time in managedFields (apimachinery
    pkg/util/managedfields/internal/managedfieldsupdater.go), and nothing states when an object was removed.

    Args:
        now: the watch event.
        before: the one before of the same object.
        newest: the newest time in its stream before it (Unix ns).
    """
    if now.change == FrameType.ERROR:
        return False
    if now.resource == EVENTS:
        return True
    if before is None:
        return now.change == FrameType.ADDED or now.time > newest
    if now.time > before.time:
        return True
    if now.change == FrameType.DELETED or newest >= before.time + FRESH:
        return False
    # In the second of the write before, another write leaves the same time.
    return _adds_something(decode_json(before.raw), decode_json(now.raw))


def _adds_something(before: Any, now: Any) -> bool:
    """True if a version has a value that the version before did not have. False as well if nobody knows who wrote it
    and when: it has no managedFields."""
    if not now["metadata"].get("managedFields"):
        return False
    return not _only_removed(_content(before), _content(now))


def _content(value: dict[str, Any]) -> dict[str, Any]:
    """The fields of an object that a writer sets."""
    metadata = {key: field for key, field in value["metadata"].items() if key not in _OF_API_SERVER}
    return {**value, "metadata": metadata}


_OF_API_SERVER = frozenset({"resourceVersion", "generation", "managedFields"})


def _only_removed(before: Any, now: Any) -> bool:
    """True if all that a value has was there before."""
    if isinstance(before, dict) and isinstance(now, dict):
        return all(key in before and _only_removed(before[key], field) for key, field in now.items())
    if isinstance(before, list) and isinstance(now, list):
        if len(before) == len(now):
            return all(map(_only_removed, before, now))
        left = iter(before)
        return all(any(old == item for old in left) for item in now)
    return bool(before == now)
