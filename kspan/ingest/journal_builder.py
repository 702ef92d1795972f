"""From frames to journal batches: the records that the lists and watches of a stream add to the journal.

* The first list of a stream is state (LISTED records).
* A later list closes a gap. An object that is new or changed was added or modified in the gap, a known object that is
  missing was deleted, and a GAP record states between which resourceVersions changes may have been missed.
* A list covers some namespaces or the whole cluster (its scope). An object in a namespace that was not watched before
  is state again; an object in a namespace that is not watched any more is not deleted.
* If resourceVersions start over (etcd was restored from a backup), a new epoch begins. Objects that
  reappear are state, too.

The order of the frames of one stream matters; the order across streams does not.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

import msgspec

from kspan.errors import InputError
from kspan.ingest.frames import Frame, FrameType, Marker, failure_reason, read_marker, received_since, to_record
from kspan.ingest.list_policy import RECORDED_LISTS, ListPolicy, OpenList
from kspan.k8s.events_api import EVENTS
from kspan.k8s.resource_version import version_order
from kspan.k8s.resources import is_replayed, is_watched_whole
from kspan.k8s.wire import metadata_only
from kspan.model import VANISHED, Cursor, GapDetails, LogRecord, ObjectRow, RecordType, covers
from kspan.times import format_time

PAGE = 500
"""Records of a list that are looked up in the journal at a time."""


class JournalBatch(msgspec.Struct, frozen=True):
    """Records that enter the journal together or not at all, with the cursor that they move.

    A batch without records only moves a cursor: nothing is lost if it is committed later, with the next records.
    """

    records: list[LogRecord]
    cursor: Cursor | None = None


_RECORD_TYPES = {FrameType(kind.value): kind for kind in RecordType if kind.value in FrameType.__members__}
"""The record type of each frame that carries an object; a look-up is quicker than making a member of an Enum."""


class Known(Protocol):
    """Read access to the known objects of a cluster, including batches that are not committed yet."""

    def live_objects(self, resource: str) -> Sequence[ObjectRow]:
        """The objects of a stream that are not deleted."""

    def last_payload(self, uid: str) -> bytes:
        """The newest payload of an object, as JSON."""

    def news_among(self, records: Sequence[LogRecord]) -> list[LogRecord]:
        """The records whose version of their object is not in the journal."""


class JournalBuilder:
    """Turns the frames of all streams of one cluster into journal batches.

    Args:
        known: the objects that the journal knows.
        cursors: the cursors in the journal at the start, by resource.
        lists: how lists are read: ``RECORDED_LISTS`` or ``LIVE_LISTS``.
        accept: whether the journal takes a resource.
    """

    def __init__(
        self,
        known: Known,
        cursors: Mapping[str, Cursor],
        lists: ListPolicy = RECORDED_LISTS,
        accept: Callable[[str], bool] = is_replayed,
    ) -> None:
        self._known = known
        self._cursors = dict(cursors)
        self._policy = lists
        self._accept = accept
        self._open: dict[str, OpenList] = {}
        self._gap_reasons: dict[str, str] = {}

    def feed(self, frame: Frame) -> Iterator[JournalBatch]:
        """Yield the batches that this frame completes. Raises InputError if the frame's object is not valid."""
        if self._open:
            yield from self._complete_lists(frame)
        if not self._accept(frame.resource):
            return
        if frame.type is FrameType.LIST:
            self._begin(frame)
        elif frame.type is FrameType.LISTED:
            yield from self._listed(frame)
        elif frame.type is FrameType.BOOKMARK:
            cursor = self._advance(frame.resource, read_marker(frame).version, frame.received)
            if cursor is not None:
                yield JournalBatch([], cursor)
        elif frame.type in (FrameType.ERROR, FrameType.NOTE):
            self._gap_reasons[frame.resource] = failure_reason(frame)
        else:
            record = _record(_RECORD_TYPES[frame.type], frame, self._epoch(frame.resource))
            yield JournalBatch([record], self._advance(frame.resource, record.resource_version, frame.received))

    def finish(self) -> Iterator[JournalBatch]:
        """Yield the batches of the lists that are open when the input ends."""
        for resource in sorted(self._open):
            yield from self._complete(self._open.pop(resource))

    # lists -----------------------------------------------------------------------------------------------------------

    def _begin(self, frame: Frame) -> None:
        """Open a list. One of this stream that is still open broke off, and is dropped."""
        marker, resource = read_marker(frame), frame.resource
        cursor = self._cursors.get(resource)
        started_over = cursor is not None and self._policy.started_over(marker.version, cursor)
        relist = cursor is not None and (started_over or _is_later(marker.version, marker.scope, cursor))
        compared = relist or (cursor is None and self._policy.repeats_first_list)
        self._open[resource] = OpenList(
            resource=resource,
            version=marker.version,
            received=frame.received,
            scope=marker.scope,
            epoch=self._epoch(resource) + started_over,
            relist=relist,
            missing=self._live_objects(resource, marker) if compared else {},
        )
        if started_over and cursor is not None:
            self._gap_reasons[resource] = (
                f"resourceVersions started over: {marker.version} after {cursor.resource_version} (was etcd restored?)"
            )

    def _live_objects(self, resource: str, marker: Marker) -> dict[str, ObjectRow]:
        if resource == EVENTS:
            return {}  # An Event that is missing from a list has expired, which is not activity.
        return {row.uid: row for row in self._known.live_objects(resource) if covers(marker.scope, row.namespace)}

    def _epoch(self, resource: str) -> int:
        cursor = self._cursors.get(resource)
        return cursor.epoch if cursor is not None else 0

    def _listed(self, frame: Frame) -> Iterator[JournalBatch]:
        current = self._open.get(frame.resource)
        if current is None:
            yield JournalBatch([_record(RecordType.LISTED, frame, self._epoch(frame.resource))])
            return
        record = _record(RecordType.LISTED, frame, current.epoch)
        current.received = max(current.received, frame.received)
        known = current.missing.pop(record.uid, None)
        if not current.relist:
            yield JournalBatch([record])
        elif known is None or known.resource_version != record.resource_version:
            self._compare(current, record, known)

    def _compare(self, current: OpenList, record: LogRecord, known: ObjectRow | None) -> None:
        """Add an object of a relist that is new or changed."""
        before = self._cursors[current.resource]
        kind = RecordType.ADDED if known is None else RecordType.MODIFIED
        into_scope = current.scope != before.scope and not covers(before.scope, record.namespace)
        if known is None and (current.epoch > before.epoch or into_scope):
            kind = RecordType.LISTED  # It came back or into scope: it was not created now.
        current.records.append(msgspec.structs.replace(record, type=kind))
        # Events have no object rows. Those of the last hour are looked up in the journal, a page at a time.
        if len(current.records) - current.checked >= PAGE:
            current.records[current.checked :] = self._known.news_among(current.records[current.checked :])
            current.checked = len(current.records)

    def _complete_lists(self, frame: Frame) -> Iterator[JournalBatch]:
        for current in list(self._open.values()):
            scope = self._policy.completed_scope(current, frame)
            if scope is not None:
                del self._open[current.resource]
                current.scope = scope
                yield from self._complete(current)

    def _complete(self, current: OpenList) -> Iterator[JournalBatch]:
        if not current.version:
            return  # A list without a version (kubectl's output) may be incomplete: a missing object is not deleted.
        gap = [self._gap(current)] if current.relist else []
        missing = [row for row in current.missing.values() if covers(current.scope, row.namespace)]
        records = [*gap, *current.records, *(self._vanished(row, current) for row in missing)]
        yield JournalBatch(records, self._advance(current.resource, current.version, current.received, current))

    def _gap(self, current: OpenList) -> LogRecord:
        cursor = self._cursors[current.resource]
        return LogRecord(
            RecordType.GAP,
            current.received,
            current.resource,
            payload=msgspec.json.encode(GapDetails(format_time(cursor.updated_at), format_time(current.received))),
            reason=self._gap_reasons.pop(current.resource, "") or _relist_reason(cursor.scope, current.scope),
            gap_from=cursor.resource_version,
            gap_to=current.version,
            epoch=current.epoch,
        )

    def _vanished(self, row: ObjectRow, current: OpenList) -> LogRecord:
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
            reason=VANISHED,
            epoch=current.epoch,
        )

    # cursors ---------------------------------------------------------------------------------------------------------

    def _advance(self, resource: str, version: str, received: int, listed: OpenList | None = None) -> Cursor | None:
        """Move the stream's cursor; None if ``version`` is not later than it.

        While its first list is open a stream has no cursor: if the input ends there, the stream starts over.
        """
        if not version or resource in self._open:
            return None
        cursor = self._cursors.get(resource)
        scope, epoch, since, since_at = "", 0, version, received
        if cursor is not None:
            scope, epoch, since, since_at = cursor.scope, cursor.epoch, cursor.since, cursor.since_at
        if listed is not None:
            scope, epoch = listed.scope, listed.epoch
        if cursor is not None and not (epoch > cursor.epoch or _is_later(version, scope, cursor)):
            return None
        moved = Cursor(resource, version, received, scope, epoch, since, since_at)
        self._cursors[resource] = moved
        return moved


def _is_later(version: str, scope: str, cursor: Cursor) -> bool:
    mine, theirs = version_order(version), version_order(cursor.resource_version)
    return mine > theirs or (mine == theirs and scope != cursor.scope)


def _relist_reason(before: str, now: str) -> str:
    if before == now:
        return "listed again"
    return f"other namespaces are watched: {now or 'all'} after {before or 'all'}"


def _record(kind: RecordType, frame: Frame, epoch: int) -> LogRecord:
    try:
        record = to_record(kind, frame.received, frame.resource, frame.object, frame.head, epoch)
        if frame.since:
            record = received_since(record, frame.since)
        if is_watched_whole(frame.resource):
            return record
        # A watch requests no more of these; a file may have more.
        payload = metadata_only(frame.object, record.kind, record.api_version)
        return msgspec.structs.replace(record, payload=payload)
    except ValueError as error:
        raise InputError(frame.source, frame.line, str(error)) from error
