"""Which versions of objects the journal has: in memory where it can be, looked up only where it must be.

A record is known already if the journal has its version of the object, or a newer one. Most records need no look: they
are newer than everything that was journalled of their kind and is not in memory. That leaves the items of a list, what
comes again after a restart, and versions that are no numbers or started over.
"""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from kspan.k8s.resource_version import version_order
from kspan.model import LogRecord, RecordType
from kspan.store import Store

REMEMBERED: Final = 200_000
"""uids whose newest version is kept in memory, at most; at least half of it."""

KINDS: Final = 1_000
"""Kinds that are told apart; a hostile cluster has any number."""

OTHERS: Final = ""
"""Stands for all further kinds."""


class _Version(msgspec.Struct, frozen=True, gc=False):
    kind: str
    resource_version: str
    deleted: bool
    epoch: int


class HighWaterMarks:
    """The greatest resourceVersion of each kind among some records; -1 where all that there are are no numbers."""

    def __init__(self, heights: Mapping[str, str]) -> None:
        self._heights = {kind: int(height) for kind, height in heights.items()}

    def raise_to(self, kind: str, resource_version: str) -> bool:
        """Takes in a record; whether it is greater than all of its kind so far."""
        key = kind if kind in self._heights or len(self._heights) < KINDS else OTHERS
        order = version_order(resource_version)
        if order <= self._heights.get(key, -2):
            return False
        self._heights[key] = order
        return True

    def covers(self, record: LogRecord) -> bool:
        """Whether the record may be one of those that were taken in, or older than one of its object."""
        height = max(self._heights.get(record.kind, -2), self._heights.get(OTHERS, -2))
        # A list shows objects as they are, however long ago they got so.
        return height > -2 and (record.type is RecordType.LISTED or version_order(record.resource_version) <= height)

    def as_text(self) -> dict[str, str]:
        """What ``__init__`` takes; resourceVersions may have more digits than msgpack's integers."""
        return {kind: str(height) for kind, height in self._heights.items()}


class KnownVersions:
    """The newest version of every object of a cluster's journal. ``newest`` is what ``newest`` told before."""

    def __init__(self, store: Store, cluster: str, newest: Mapping[str, str], remembered: int = REMEMBERED) -> None:
        self._store = store
        self._cluster = cluster
        self._journalled = HighWaterMarks(newest)
        self._not_in_memory = HighWaterMarks(newest)
        self._grown = False
        # Two generations: who was not met while the younger one filled up is forgotten.
        self._young: dict[str, _Version] = {}
        self._old: dict[str, _Version] = {}
        self._generation = remembered // 2

    def look_up(self, records: Iterable[LogRecord]) -> None:
        """Get from the journal what is to be known of these records' objects, and is not in memory."""
        unknown = [r for r in records if r.uid and self._not_in_memory.covers(r) and self._find(r.uid) is None]
        if not unknown:
            return
        kinds = {record.uid: record.kind for record in unknown}
        for uid, known in self._store.known_versions(self._cluster, unknown).items():
            self._young[uid] = _Version(kinds[uid], known.resource_version, known.deleted, known.epoch)

    def knows(self, record: LogRecord) -> bool:
        """Whether the journal has the object, and not its deletion, as far as was looked up."""
        known = self._find(record.uid)
        return known is not None and not known.deleted

    def is_news(self, record: LogRecord) -> bool:
        """Whether the journal does not have this version of the object, or a newer one, already."""
        known = self._find(record.uid)
        if known is None:
            return True
        if record.epoch != known.epoch:
            return record.epoch > known.epoch and _differs(record, known)
        if known.deleted:
            return False
        mine, theirs = version_order(record.resource_version), version_order(known.resource_version)
        if mine == theirs:
            return record.type is RecordType.DELETED or record.resource_version != known.resource_version
        return mine > theirs

    def note(self, record: LogRecord) -> None:
        """Take in a record that goes into the journal."""
        deleted = record.type is RecordType.DELETED
        self._young[record.uid] = _Version(record.kind, record.resource_version, deleted, record.epoch)
        self._grown |= self._journalled.raise_to(record.kind, record.resource_version)

    def newest(self) -> dict[str, str]:
        """The greatest version journalled of each kind, if that has changed since the last call; else nothing."""
        grown, self._grown = self._grown, False
        return self._journalled.as_text() if grown else {}

    def forget(self) -> None:
        """Let go of what was not met for long, once there is too much; what is committed can be looked up again."""
        if len(self._young) < self._generation:
            return
        for version in self._old.values():
            self._not_in_memory.raise_to(version.kind, version.resource_version)
        self._old, self._young = self._young, {}

    def _find(self, uid: str) -> _Version | None:
        return self._young.get(uid) or self._old.get(uid)


def _differs(record: LogRecord, known: _Version) -> bool:
    """Whether a version of a later epoch is another: versions started over, and what was deleted can be back."""
    if record.type is RecordType.DELETED:
        return not known.deleted
    return known.deleted or record.resource_version != known.resource_version
