"""What is particular to the streams of a live cluster: lists are marked, may break off, and take their time."""

from collections.abc import Callable, Iterator, Mapping

from kspan.ingest.frames import Frame, FrameType
from kspan.ingest.list_watch import EVENTS, JournalBatch, Known, ListWatch, covers, head_of, version_order
from kspan.model import Cursor, ObjectRow


def watched(resource: str) -> bool:
    """Whether the journal takes what a watch of this resource delivers: all but the Events' second API."""
    group = resource.partition("/")[0]
    return not (group == "events.k8s.io" and resource.endswith("/events"))


class LiveListWatch(ListWatch):
    """The streams of a cluster that is watched.

    A list is over at its BOOKMARK and at nothing else: a slow one, while other streams go on, would otherwise be taken
    for complete, and what had not come yet for deleted. One that broke off is followed by the LIST of the next try and
    says nothing of what it did not show. What a first list showed before it broke off, and the next does not, is gone.
    The BOOKMARK has the namespaces that the list is of in the end: those that were refused are left out.

    An API server lists what is newest. A list from before the cursor tells that resourceVersions started over.
    """

    def __init__(self, known: Known, cursors: Mapping[str, Cursor], accept: Callable[[str], bool] = watched) -> None:
        super().__init__(known, cursors, accept)
        self._left_over: dict[str, dict[str, ObjectRow]] = {}

    def feed(self, frame: Frame) -> Iterator[JournalBatch]:
        """The steps that this frame completes. Raises InputError for an object that is none."""
        if frame.type is FrameType.LIST:
            self._lists.pop(frame.resource, None)
        return super().feed(frame)

    def _finish_lists(self, frame: Frame) -> Iterator[JournalBatch]:
        current = self._lists.get(frame.resource)
        if frame.type is FrameType.BOOKMARK and current is not None:
            current.scope = head_of(frame).scope
            current.missing = {uid: row for uid, row in current.missing.items() if covers(current.scope, row.namespace)}
            yield from self._finish(frame.resource)

    def _went_back(self, version: str, cursor: Cursor) -> bool:
        return 0 <= version_order(version) < version_order(cursor.resource_version)

    def _begin(self, frame: Frame) -> None:
        super()._begin(frame)
        if frame.resource != EVENTS and frame.resource not in self._cursors:
            left = {row.uid: row for row in self._known.live_objects(frame.resource)}
            if left:
                self._left_over[frame.resource] = left

    def _listed(self, frame: Frame) -> Iterator[JournalBatch]:
        left = self._left_over.get(frame.resource)
        for step in super()._listed(frame):
            if left:
                for record in step.records:
                    left.pop(record.uid, None)
            yield step

    def _finish(self, resource: str) -> Iterator[JournalBatch]:
        current = self._lists.get(resource)
        yield from super()._finish(resource)
        left = self._left_over.pop(resource, None)
        if left and current is not None:
            yield JournalBatch(
                [self._vanished(row, current) for row in left.values() if covers(current.scope, row.namespace)]
            )
