"""How the lists of an input are to be read: lists in a recording, and lists of a live cluster, side by side. Pure."""

from typing import Protocol

import msgspec

from kspan.ingest.frames import Frame, FrameType, read_marker
from kspan.k8s.resource_version import version_order
from kspan.model import Cursor, LogRecord, ObjectRow
from kspan.times import SECOND

LIST_QUIET = SECOND
"""A list in a recording is complete when this much time (ns) has passed without a further item."""


class OpenList(msgspec.Struct):
    """A list that is being received.

    ``missing`` and ``records`` are bounded by the number of live objects and of changes, not by the size of the list.
    """

    resource: str
    version: str
    received: int
    """When its newest item was received (Unix ns)."""
    scope: str
    """The namespaces that it covers, as the cursor will have them."""
    epoch: int
    """The resourceVersion epoch that the cursor will have."""
    relist: bool
    """The stream was listed or watched before."""
    missing: dict[str, ObjectRow]
    """Known objects not yet seen in this list, by uid."""
    records: list[LogRecord] = []
    """Listed objects that are new or changed (of a relist only)."""
    checked: int = 0
    """How many of ``records`` were looked up in the journal."""


class ListPolicy(Protocol):
    """The differences between the lists of a recording and those of a live cluster."""

    repeats_first_list: bool
    """A first list that broke off is followed by another, and objects that only the former contained are deleted."""

    def completed_scope(self, current: OpenList, frame: Frame) -> str | None:
        """Return the namespaces that a list covers if ``frame`` shows that it is complete, else None."""

    def started_over(self, version: str, cursor: Cursor) -> bool:
        """True if a list at ``version`` shows that resourceVersions started over (etcd was restored from a backup)."""


class RecordedLists:
    """Lists in a recording or in another file.

    The end of a list need not be marked. Any other frame of the stream ends it, and so does time without an item.
    ResourceVersions never start over: a list from before the cursor shows that the file is replayed a second time.
    """

    repeats_first_list = False

    def completed_scope(self, current: OpenList, frame: Frame) -> str | None:
        """A list covers the namespaces that its beginning states."""
        ended = frame.resource == current.resource and frame.type is not FrameType.LISTED
        return current.scope if ended or frame.received > current.received + LIST_QUIET else None

    def started_over(self, version: str, cursor: Cursor) -> bool:  # noqa: ARG002
        """Never."""
        return False


class LiveLists:
    """Lists of a cluster that is being watched.

    Only a BOOKMARK ends a list: a slow list would otherwise be taken for complete while other streams continue, and
    objects that it has not shown yet for deleted. A list that broke off is followed by the LIST of the next attempt.
    An API server lists the newest state, so a list from before the cursor shows that resourceVersions started over.
    """

    repeats_first_list = True

    def completed_scope(self, current: OpenList, frame: Frame) -> str | None:
        """A list covers the namespaces that the BOOKMARK states; those that were refused are not among them."""
        if frame.type is FrameType.BOOKMARK and frame.resource == current.resource:
            return read_marker(frame).scope
        return None

    def started_over(self, version: str, cursor: Cursor) -> bool:
        """A version that is older than the cursor's."""
        return 0 <= version_order(version) < version_order(cursor.resource_version)


RECORDED_LISTS: ListPolicy = RecordedLists()
LIVE_LISTS: ListPolicy = LiveLists()
