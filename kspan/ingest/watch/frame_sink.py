"""Frames of one stream, and the kinds that they name."""

from collections.abc import Callable, Sequence

import msgspec

from kspan.ingest.frames import Frame, FrameType
from kspan.k8s.resources import WatchTarget
from kspan.k8s.wire import Head

Deliver = Callable[[Frame], None]
Named = Callable[[str, str], None]
"""Is told the apiVersion and the kind of an owner, or of what an Event is about."""


class Delivery:
    """Makes frames of what one resource sends. ``deliver`` may block: whoever reads the socket then waits, too."""

    def __init__(self, target: WatchTarget, deliver: Deliver, named: Named, clock: Callable[[], int]) -> None:
        self.target = target
        self.newest = 0
        """When the newest version was delivered (Unix ns)."""
        self._deliver = deliver
        self._named = named
        self._clock = clock
        # Frames of several namespaces are delivered by several threads.
        self._seen: set[tuple[str, str]] = set()

    def object(self, kind: FrameType, head: Head, text: bytes) -> None:
        """Delivers an object, as ``read_object`` gives it."""
        self.newest = self._send(kind, text)
        for pair in head.named:
            if pair not in self._seen:
                self._seen.add(pair)
                self._named(*pair)

    def marker(self, kind: FrameType, version: str, namespaces: Sequence[str] = ()) -> None:
        """Delivers the LIST that begins a list, or the BOOKMARK that ends it or says that nothing is new.

        ``namespaces`` are those that the list is of; none where it is of the whole cluster.
        """
        scope = {"namespaces": list(namespaces)} if any(namespaces) else {}
        self.newest = self._send(kind, msgspec.json.encode({"metadata": {"resourceVersion": version}} | scope))

    def error(self, status: bytes, message: str) -> None:
        """Delivers an ERROR: the API server's Status, or one made of the message where it sent none."""
        if not status.lstrip().startswith(b"{"):
            made = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message}
            status = msgspec.json.encode(made | {"reason": "Expired", "code": 410})
        self._send(FrameType.ERROR, status.strip())

    def note(self, text: str) -> None:
        """Delivers a NOTE."""
        self._send(FrameType.NOTE, msgspec.json.encode({"error": text}))

    def _send(self, kind: FrameType, raw: bytes) -> int:
        resource, now = self.target.resource, self._clock()
        self._deliver(Frame(now, resource, kind, raw, resource, 0))
        return now
