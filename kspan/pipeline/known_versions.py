"""The newest version of each object in the journal, from memory if possible and otherwise from the database.

A record is known if the journal has the same version of its object or a newer one. Most records need no look-up: they
are newer than every version of their kind that is in the journal but not in memory. The others are items of a list,
records that are received again after a restart, and resourceVersions that are not numbers or have started over.
"""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from kspan.k8s.resource_version import version_order
from kspan.model import LogRecord, RecordType
from kspan.store import Store

REMEMBERED: Final = 200_000
"""Most objects whose newest version is kept in memory; at least half of this number are."""

KINDS: Final = 1_000
"""Most kinds with a high-water mark of their own: a cluster may have any number of kinds."""

OTHERS: Final = ""
"""Key for all further kinds."""


class _Version(msgspec.Struct, frozen=True, gc=False):
    kind: str
    resource_version: str
    deleted: bool
    epoch: int
    recorded_at: int


class HighWaterMarks:
    """High-water mark of resourceVersion per kind; -1 if none was numeric."""

    def __init__(self, marks: Mapping[str, str]) -> None:
        self._marks = {kind: int(mark) for kind, mark in marks.items()}

    def raise_to(self, kind: str, resource_version: str) -> bool:
        """Raise the mark of a kind. Returns true if the resourceVersion is above it."""
        key = kind if kind in self._marks or len(self._marks) < KINDS else OTHERS
        order = version_order(resource_version)
        if order <= self._marks.get(key, -2):
            return False
        self._marks[key] = order
        return True

    def note(self, record: LogRecord) -> bool:
        """Raise the mark of a record's kind. Returns true if the record has an object that is above it."""
        return bool(record.uid) and self.raise_to(record.kind, record.resource_version)

    def covers(self, record: LogRecord) -> bool:
        """True if the record may be one of those that raised the marks, or an older version of the same object."""
        mark = max(self._marks.get(record.kind, -2), self._marks.get(OTHERS, -2))
        # A list contains objects that changed at any time in the past.
        return mark > -2 and (record.type is RecordType.LISTED or version_order(record.resource_version) <= mark)

    def as_text(self) -> dict[str, str]:
        """The marks as text, for ``__init__``: resourceVersions may be larger than msgpack's integers."""
        return {kind: str(mark) for kind, mark in self._marks.items()}


class KnownVersions:
    """The newest version of every object in the journal of a cluster.

    Args:
        store: the database.
        cluster: uid of the cluster.
        newest: the value returned by ``newest()`` in the previous run.
        remembered: most objects that are kept in memory.
    """

    def __init__(self, store: Store, cluster: str, newest: Mapping[str, str], remembered: int = REMEMBERED) -> None:
        self._store = store
        self._cluster = cluster
        self._journalled = HighWaterMarks(newest)
        self._not_in_memory = HighWaterMarks(newest)
        self._grown = False
        # Two generations: an object without a record while the younger one filled up is dropped.
        self._young: dict[str, _Version] = {}
        self._old: dict[str, _Version] = {}
        self._generation = remembered // 2

    def look_up(self, records: Iterable[LogRecord]) -> None:
        """Read the newest versions of these records' objects from the journal, unless they are in memory."""
        unknown = [r for r in records if r.uid and self._not_in_memory.covers(r) and self._find(r.uid) is None]
        if not unknown:
            return
        kinds = {record.uid: record.kind for record in unknown}
        for uid, known in self._store.known_versions(self._cluster, unknown).items():
            self._young[uid] = _Version(
                kinds[uid], known.resource_version, known.deleted, known.epoch, known.recorded_at
            )

    def knows(self, record: LogRecord) -> bool:
        """True if the journal has the object and not its deletion. Call ``look_up`` first."""
        known = self._find(record.uid)
        return known is not None and not known.deleted

    def received(self, record: LogRecord) -> int:
        """When the newest version of the object in the journal was received (Unix ns; 0: there is none)."""
        known = self._find(record.uid)
        return known.recorded_at if known is not None else 0

    def is_news(self, record: LogRecord) -> bool:
        """True if the journal has neither this version of the object nor a newer one. Call ``look_up`` first."""
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
        """Note a record that will be appended to the journal."""
        deleted = record.type is RecordType.DELETED
        self._young[record.uid] = _Version(
            record.kind, record.resource_version, deleted, record.epoch, record.recorded_at
        )
        self._grown |= self._journalled.note(record)

    def newest(self) -> dict[str, str]:
        """The high-water marks of the journal if they have changed since the last call, else an empty dict."""
        grown, self._grown = self._grown, False
        return self._journalled.as_text() if grown else {}

    def forget(self) -> None:
        """Drop objects without recent records if there are too many. Committed ones can be looked up again."""
        if len(self._young) < self._generation:
            return
        for version in self._old.values():
            self._not_in_memory.raise_to(version.kind, version.resource_version)
        self._old, self._young = self._young, {}

    def _find(self, uid: str) -> _Version | None:
        return self._young.get(uid) or self._old.get(uid)


def _differs(record: LogRecord, known: _Version) -> bool:
    """True if a record of a later epoch has another state of the object. A restored backup can undo a deletion."""
    if record.type is RecordType.DELETED:
        return not known.deleted
    return known.deleted or record.resource_version != known.resource_version
