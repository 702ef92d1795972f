"""One resource: listed, watched, and listed anew when its versions are lost. A thread of its own."""

import threading
import time
from collections.abc import Sequence

from msgspec import Raw

from kspan.ingest.frames import FrameType
from kspan.ingest.watch.cancellation import Halt
from kspan.ingest.watch.client.connection import Connection
from kspan.ingest.watch.client.errors import ApiError, GoneError, RefusedError, Stopped
from kspan.ingest.watch.frame_sink import Delivery
from kspan.ingest.watch.start_versions import Position
from kspan.ingest.watch.stream_status import StreamStatus, WatchObserver
from kspan.ingest.watch.watch_stream import Stream
from kspan.k8s.wire import Page, read_object

_UNKNOWN_VERSION = frozenset({400, 410, 500, 504})
"""How an API server says that it does not know a version: any more, or yet. 500 is what it makes of etcd's "required
revision is a future revision" (k8s.io/apiserver/pkg/storage/etcd3/store.go does not map it)."""


class Reflector:
    """Delivers a resource for as long as it is not stopped.

    ``scopes`` are namespaces, or one empty name for all of the cluster. ``version`` resumes a single scope from there
    without a list; several scopes have no common version and always begin with one. The first list is as of the first
    version of ``since`` that the API server knows, and of now if there is none: what happened since, the watch tells.
    """

    def __init__(
        self,
        connection: Connection,
        delivery: Delivery,
        scopes: tuple[str, ...],
        version: str,
        observer: WatchObserver,
        since: Sequence[str] = (),
    ) -> None:
        self.target = delivery.target
        self.synced = False
        """Whether the resource was listed, is resumed, or is known to be refused."""
        self._connection = connection
        self._delivery = delivery
        self._halt = Halt()
        self._streams = [
            Stream(connection, delivery, scope, StreamStatus(self.target.resource, scope, observer), self._be_synced)
            for scope in scopes
        ]
        if len(self._streams) == 1:
            self._streams[0].version = version
        self._since = list(since)
        self._expired = 0
        self._bad: list[str] = []

    def run(self) -> None:
        """Lists and watches. Raises Stopped when it is stopped, and never returns."""
        if not self._streams[0].version:
            self._list()
        while True:
            if len(self._streams) == 1:
                self._follow(self._streams[0], self._halt)
            else:
                self._follow_all()
            self._list()

    def stop(self) -> None:
        """Let ``run`` end, from any thread."""
        self._halt.set()

    def wake(self) -> None:
        """Try at once what was refused: something has changed."""
        self._halt.wake()

    def position(self) -> Position:
        """The version up to which all was delivered, and when that was (Unix ns); empty where there is none."""
        versions = [stream.version for stream in self._streams if stream.version.isdecimal()]
        return min(versions, key=int, default=""), self._delivery.newest

    def _be_synced(self) -> None:
        self.synced = True

    # lists -----------------------------------------------------------------------------------------------------------

    def _list(self) -> None:
        """Delivers one list of all scopes; those that are refused have no version afterwards."""
        while True:
            try:
                self._list_once()
            except GoneError as error:
                # Nothing that this list has shown counts; whoever reads the frames is told so before the next one.
                self._expired += 1
                self._delivery.error(error.body, str(error))
                self._since.clear()
                continue
            break
        self._expired = 0
        self._since.clear()
        self._be_synced()

    def _list_once(self) -> None:
        first = ""
        self._bad = []
        for stream in self._streams:
            stream.version = ""
            try:
                version = self._list_scope(stream, begun=bool(first))
            except RefusedError:
                continue
            first = first or version
            stream.version = version
        if first:
            self._delivery.marker(FrameType.BOOKMARK, first, [s.namespace for s in self._streams if s.version])
        # Not earlier: inside the list a NOTE would seem to end it.
        for reason in self._bad:
            self._delivery.note(reason)

    def _list_scope(self, stream: Stream, *, begun: bool) -> str:
        """Delivers the items of one scope; the list's version. Raises GoneError, RefusedError."""
        limit = self._connection.timing.page if self._expired < self._connection.timing.expired else 0
        page = self._page(stream, limit, "")
        version = page.version
        if not begun:
            self._delivery.marker(FrameType.LIST, version, [each.namespace for each in self._streams])
        while True:
            for raw in page.items:
                self._halt.check()
                self._item(raw)
            if not page.token:
                return version
            page = self._page(stream, limit, page.token)

    def _page(self, stream: Stream, limit: int, token: str) -> Page:
        """A page, however long it takes. Raises GoneError, RefusedError."""
        while True:
            started = time.monotonic()
            version = self._since[0] if self._since else ""
            try:
                page = self._connection.list_page(
                    self.target, stream.namespace, limit=limit, token=token, version=version
                )
            except ApiError as error:
                if version and not token and error.status in _UNKNOWN_VERSION:
                    del self._since[0]
                    continue
                stream.recover(error, time.monotonic() - started, self._halt)
                if isinstance(error, GoneError | RefusedError):
                    raise
            else:
                stream.listed()
                return page

    def _item(self, raw: Raw) -> None:
        try:
            head, text = read_object(self.target, raw)
        except ValueError as error:
            self._bad.append(f"skipped in a list: {error}")
            return
        self._delivery.object(FrameType.LISTED, head, text)

    # watches ---------------------------------------------------------------------------------------------------------

    def _follow(self, stream: Stream, halt: Halt) -> None:
        """Watches one scope until a new list is due."""
        if stream.version:
            stream.follow(halt)
            return
        while True:
            halt.doze(self._connection.timing.refused)
            try:
                self._connection.list_page(self.target, stream.namespace, limit=1)
            except RefusedError:
                continue
            except ApiError:
                return  # The list knows what to do about it.
            return

    def _follow_all(self) -> None:
        """Watches every scope, in threads of their own; the first that needs a new list ends the others."""
        halt = Halt()
        failures: list[BaseException] = []

        def follow(stream: Stream) -> None:
            try:
                self._follow(stream, halt)
            except Stopped:
                pass
            except BaseException as error:
                failures.append(error)
            finally:
                halt.set()

        with self._halt.hold(halt):
            threads = [
                threading.Thread(
                    target=follow, args=(stream,), name=f"{self.target.resource} {stream.namespace}", daemon=True
                )
                for stream in self._streams
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        if failures:
            raise failures[0]
        self._halt.check()
