"""Delivers the frames of one stream, and reports the kinds that its objects reference."""

from collections.abc import Callable, Sequence

import msgspec

from kspan.ingest.frames import Frame, FrameType, marker_object, note_object
from kspan.k8s.resources import WatchTarget
from kspan.k8s.wire import ObjectHead

Deliver = Callable[[Frame], None]
"""Takes a frame. May block, and raises Stopped to end the thread that calls it."""

OnReference = Callable[[str, str], None]
"""Called with the apiVersion and kind of an owner, or of the object that an Event is about."""


class FrameSink:
    """Turns the objects and markers of one resource into frames, and delivers them.

    While ``deliver`` blocks, the thread does not read from its socket, so the API server waits too. Several namespaces
    deliver from several threads.
    """

    def __init__(
        self, target: WatchTarget, deliver: Deliver, on_reference: OnReference, clock: Callable[[], int]
    ) -> None:
        self.target = target
        self.newest = 0
        """When the newest version was delivered (Unix ns)."""
        self._deliver = deliver
        self._on_reference = on_reference
        self._clock = clock
        self._reported: set[tuple[str, str]] = set()

    def object(self, kind: FrameType, head: ObjectHead, text: bytes) -> None:
        """Deliver an object."""
        self.newest = self._send(kind, text, head)
        for reference in head.references:
            if reference not in self._reported:
                self._reported.add(reference)
                self._on_reference(*reference)

    def marker(self, kind: FrameType, version: str, namespaces: Sequence[str] = ()) -> None:
        """Deliver the LIST that begins a list, or a BOOKMARK: the end of a list, or no changes up to ``version``.

        ``namespaces`` are those that the list covers; empty for the whole cluster.
        """
        self.newest = self._send(kind, marker_object(version, namespaces))

    def error(self, status: bytes, message: str) -> None:
        """Deliver an ERROR with the API server's Status, or with one made from the message if it sent none."""
        if not status.lstrip().startswith(b"{"):
            made = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message}
            status = msgspec.json.encode(made | {"reason": "Expired", "code": 410})
        self._send(FrameType.ERROR, status.strip())

    def note(self, text: str) -> None:
        """Deliver a NOTE."""
        self._send(FrameType.NOTE, note_object(text))

    def _send(self, kind: FrameType, raw: bytes, head: ObjectHead | None = None) -> int:
        resource, now = self.target.resource, self._clock()
        self._deliver(Frame(now, resource, kind, raw, resource, 0, head))
        return now
