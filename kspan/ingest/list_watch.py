"""From frames to journal steps: what a stream's list and watch mean, given what the journal knows.

The first list of a stream is state (LISTED). A later one closes a gap: what is in it and not known as it is was added
or modified meanwhile, what is known and not in it was deleted, and a GAP record says between which resourceVersions
nobody was looking. A list tells of which namespaces it is: what was not watched before is state again, and what is not
watched any more is not gone. Versions that start over (etcd was restored from a backup) begin a new epoch, in which
what came back is state, too. A watcher (live, or a recording's) delivers each stream in its order; that is all that is
relied on.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

import msgspec

from kspan.errors import InputError
from kspan.ingest.frames import Frame, FrameType, to_record
from kspan.k8s.resources import accepts
from kspan.model import Cursor, LogRecord, ObjectRow, RecordType, scope_of
from kspan.times import SECOND

LIST_QUIET = SECOND
"""A list of a recording is over when this much time has passed without an item of it: its end is not marked."""

EVENTS = "v1/events"

PAGE = 500
"""Records of a list that are looked up in the journal at a time."""


class JournalBatch(msgspec.Struct, frozen=True):
    """What goes into the journal together or not at all, with the cursors that it moves."""

    records: list[LogRecord]
    cursor: Cursor | None = None


class Known(Protocol):
    """What is known of a cluster's objects, everything that was stepped included."""

    def live_objects(self, resource: str) -> Sequence[ObjectRow]:
        """The objects of a stream that are not deleted."""

    def last_payload(self, uid: str) -> bytes:
        """The newest payload of an object, as JSON."""

    def news_among(self, records: Sequence[LogRecord]) -> list[LogRecord]:
        """Those whose version of their object the journal does not have."""


class _List(msgspec.Struct):
    """A list that is being received.

    ``relist`` where the stream was listed or watched before: then ``missing`` holds what is known and was not met in
    the list yet, and ``records`` what was met and is not known as it is. Both are bounded by what is live and what
    changed, not by the size of the list. ``scope`` and ``epoch`` are those that the cursor will have.
    """

    version: str
    received: int
    relist: bool
    scope: str = ""
    epoch: int = 0
    missing: dict[str, ObjectRow] = {}
    records: list[LogRecord] = []
    checked: int = 0


def version_order(resource_version: str) -> int:
    """A resourceVersion as a number to compare within its resource, -1 where it is none."""
    return int(resource_version) if resource_version.isascii() and resource_version.isdigit() else -1


def covers(scope: str, namespace: str) -> bool:
    """Whether a scope (``Cursor``) has this namespace; what is in no namespace is only ever watched as a whole."""
    return not scope or namespace in scope.split(",")


class ListWatch:
    """The streams of one cluster. ``cursors`` are those of the journal at the start."""

    def __init__(
        self,
        known: Known,
        cursors: Mapping[str, Cursor],
        accept: Callable[[str], bool] = accepts,
    ) -> None:
        self._known = known
        self._cursors = dict(cursors)
        self._accept = accept
        self._lists: dict[str, _List] = {}
        self._trouble: dict[str, str] = {}

    def feed(self, frame: Frame) -> Iterator[JournalBatch]:
        """The steps that this frame completes. Raises InputError for an object that is none."""
        if self._lists:
            yield from self._finish_lists(frame)
        if not self._accept(frame.resource):
            return
        if frame.type is FrameType.LIST:
            yield from self._finish(frame.resource)
            self._begin(frame)
        elif frame.type is FrameType.LISTED:
            yield from self._listed(frame)
        elif frame.type is FrameType.BOOKMARK:
            version = head_of(frame).metadata.resourceVersion
            if version:
                yield JournalBatch([], self._advance(frame.resource, version, frame.received))
        elif frame.type in (FrameType.ERROR, FrameType.NOTE):
            self._trouble[frame.resource] = _trouble(frame)
        else:
            record = _record(RecordType(frame.type.value), frame, self._era(frame.resource))
            yield JournalBatch([record], self._advance(frame.resource, record.resource_version, frame.received))

    def finish(self) -> Iterator[JournalBatch]:
        """The steps of the lists that were open when the input ended."""
        for resource in sorted(self._lists):
            yield from self._finish(resource)

    # lists -----------------------------------------------------------------------------------------------------------

    def _begin(self, frame: Frame) -> None:
        head = head_of(frame)
        version, scope = head.metadata.resourceVersion, head.scope
        cursor = self._cursors.get(frame.resource)
        back = cursor is not None and self._went_back(version, cursor)
        relist = cursor is not None and (back or _is_later(version, scope, cursor))
        known = self._known.live_objects(frame.resource) if relist and frame.resource != EVENTS else ()
        missing = {row.uid: row for row in known if covers(scope, row.namespace)}
        epoch = self._era(frame.resource) + back
        self._lists[frame.resource] = _List(version, frame.received, relist, scope, epoch, missing)
        if back and cursor is not None:
            self._trouble[frame.resource] = (
                f"resourceVersions started over: {version} after {cursor.resource_version} (was etcd restored?)"
            )

    def _went_back(self, version: str, cursor: Cursor) -> bool:  # noqa: ARG002 -- of those that a cluster delivers
        """Whether a list from before the cursor means that versions started over.

        Not in a recording: one whose replay was killed and is run again has nothing new to say.
        """
        return False

    def _era(self, resource: str) -> int:
        cursor = self._cursors.get(resource)
        return cursor.epoch if cursor is not None else 0

    def _listed(self, frame: Frame) -> Iterator[JournalBatch]:
        current = self._lists.get(frame.resource)
        record = _record(RecordType.LISTED, frame, current.epoch if current is not None else self._era(frame.resource))
        if current is None:
            yield JournalBatch([record])
            return
        current.received = max(current.received, frame.received)
        if current.relist:
            self._compare(current, record, self._cursors[frame.resource])
        else:
            yield JournalBatch([record])

    def _compare(self, current: _List, record: LogRecord, before: Cursor) -> None:
        row = current.missing.pop(record.uid, None)
        if row is not None and row.resource_version == record.resource_version:
            return
        kind = RecordType.ADDED if row is None else RecordType.MODIFIED
        if row is None and (current.epoch > before.epoch or not covers(before.scope, record.namespace)):
            kind = RecordType.LISTED  # It came back, or into view: nobody made it now.
        current.records.append(msgspec.structs.replace(record, type=kind))
        # Events are in no table of objects: what is known of an hour of them is looked up a page at a time.
        if len(current.records) - current.checked >= PAGE:
            current.records[current.checked :] = self._known.news_among(current.records[current.checked :])
            current.checked = len(current.records)

    def _finish_lists(self, frame: Frame) -> Iterator[JournalBatch]:
        for resource, current in list(self._lists.items()):
            ended = resource == frame.resource and frame.type is not FrameType.LISTED
            if ended or frame.received > current.received + LIST_QUIET:
                yield from self._finish(resource)

    def _finish(self, resource: str) -> Iterator[JournalBatch]:
        current = self._lists.pop(resource, None)
        if current is None or not current.version:
            return  # A list without a version (kubectl's output) may be a part; nothing is gone for not being in it.
        records = self._relisted(resource, current) if current.relist else []
        yield JournalBatch(records, self._advance(resource, current.version, current.received, current))

    def _relisted(self, resource: str, current: _List) -> list[LogRecord]:
        """The gap, and what happened in it."""
        cursor = self._cursors[resource]
        gap = LogRecord(
            RecordType.GAP,
            current.received,
            resource,
            reason=self._trouble.pop(resource, "") or _why(cursor.scope, current.scope),
            gap_from=cursor.resource_version,
            gap_to=current.version,
            epoch=current.epoch,
        )
        vanished = [self._vanished(row, current) for row in current.missing.values()]
        return [gap, *current.records, *vanished]

    def _vanished(self, row: ObjectRow, current: _List) -> LogRecord:
        return LogRecord(
            RecordType.DELETED,
            current.received,
            row.resource,
            row.uid,
            row.resource_version,
            row.api_version,
            row.kind,
            row.namespace,
            row.name,
            self._known.last_payload(row.uid),
            reason="not in the list after a gap",
            epoch=current.epoch,
        )

    def _advance(self, resource: str, version: str, received: int, listed: _List | None = None) -> Cursor | None:
        cursor = self._cursors.get(resource)
        scope, epoch = (cursor.scope, cursor.epoch) if cursor is not None else ("", 0)
        since, since_at = (cursor.since, cursor.since_at) if cursor is not None else (version, received)
        if listed is not None:
            scope, epoch = listed.scope, listed.epoch
        moved = Cursor(resource, version, received, scope, epoch, since, since_at)
        if cursor is not None and not (epoch > cursor.epoch or _is_later(version, scope, cursor)):
            return None
        # While its first list is being received a stream has no cursor: cut off there, it starts over.
        if not version or resource in self._lists:
            return None
        self._cursors[resource] = moved
        return moved


def _is_later(version: str, scope: str, cursor: Cursor) -> bool:
    mine, theirs = version_order(version), version_order(cursor.resource_version)
    return mine > theirs or (mine == theirs and scope != cursor.scope)


def _why(before: str, now: str) -> str:
    if before == now:
        return "listed again"
    return f"other namespaces are watched: {now or 'all'} after {before or 'all'}"


def _record(kind: RecordType, frame: Frame, epoch: int) -> LogRecord:
    try:
        record = to_record(kind, frame.received, frame.resource, frame.object)
    except ValueError as error:
        raise InputError(frame.source, frame.line, str(error)) from error
    return msgspec.structs.replace(record, epoch=epoch) if epoch else record


class _Metadata(msgspec.Struct):
    resourceVersion: str = ""


class _Head(msgspec.Struct):
    """What a LIST or a BOOKMARK tells; no ``namespaces``: it is of the whole cluster."""

    metadata: _Metadata = msgspec.field(default_factory=_Metadata)
    namespaces: list[str] = []

    @property
    def scope(self) -> str:
        return scope_of(self.namespaces)


class _Status(msgspec.Struct):
    code: int = 0
    message: str = ""
    error: str = ""


def head_of(frame: Frame) -> _Head:
    """The version and the scope that a LIST or a BOOKMARK tells."""
    try:
        return msgspec.json.decode(frame.object, type=_Head)
    except msgspec.MsgspecError:
        return _Head()


def _trouble(frame: Frame) -> str:
    try:
        status = msgspec.json.decode(frame.object, type=_Status)
    except msgspec.MsgspecError:
        return "the stream broke"
    text = status.message or status.error or "the stream broke"
    return f"{status.code} {text}" if status.code else text
