"""Lists one resource, watches it, and lists it again when the watch can no longer be resumed.

This is what client-go's Reflector does (k8s.io/client-go tools/cache/reflector.go), except that frames are delivered
instead of a cache being filled. The frames of a resource are, in this order:

    LIST, LISTED (one per object), BOOKMARK      a complete list
    ADDED, MODIFIED, DELETED, BOOKMARK           the watch that continues it
    ERROR                                        the reason for a new list, which begins with LIST
    NOTE                                         a remark, after a list

A watch that ends or breaks is resumed from the newest version seen (``WatchStream``). A new list is needed only if the
API server no longer has that version. A list that breaks off is continued page by page; if its continue token
expires, an ERROR is delivered and the list begins again.

If namespaces are selected, each has its own watch, but all are covered by one list, which begins and ends once. A
namespace that is refused (403, 404) is left out of the list and tried again: within 30 s if it was watched before, else
after 5 s and then after growing times up to ten minutes (``retry.py``).
"""

import threading
import time
from collections.abc import Callable, Collection, Sequence

from msgspec import Raw

from kspan.ingest.frames import FrameType
from kspan.ingest.watch.cancellation import Cancellation
from kspan.ingest.watch.client.connection import Connection
from kspan.ingest.watch.client.errors import ApiError, GoneError, RefusedError, Stopped
from kspan.ingest.watch.frame_sink import FrameSink
from kspan.ingest.watch.silence import SilenceMonitor
from kspan.ingest.watch.start_versions import StreamPosition
from kspan.ingest.watch.stream_status import StreamStatus, WatchObserver
from kspan.ingest.watch.watch_stream import WatchStream
from kspan.k8s.wire import Page, read_watched_object

_UNKNOWN_VERSION = frozenset({400, 410, 500, 504})
"""HTTP statuses by which an API server says that it no longer has a version, or does not have it yet.

410: compacted. 504: its cache has not reached the version ("Too large resource version"). 400: it cannot read it. 500:
etcd's "required revision is a future revision", which k8s.io/apiserver/pkg/storage/etcd3/store.go passes on.
"""


class Reflector:
    """Delivers one resource until it is stopped.

    Args:
        connection: the API server.
        sink: where frames are delivered.
        namespaces: the namespaces to watch; one empty name stands for the whole cluster.
        version: resume from this resourceVersion without a list. Only with a single namespace or the whole cluster,
            because the versions of several watches differ. Empty: list first.
        observer: receives changes of the state.
        start_versions: resourceVersions to try in this order for the first list, so that the watch replays the changes
            since then. If the API server has none of them, the newest version is listed.
        monitor: finds silent watches. Without one, only the read timeout ends them.
        watched: those of ``namespaces`` that were watched before.
        on_recovery: called when a watch is open after it failed or was refused.
        optional: a refusal is expected: it is not a warning, and the delays before the next attempts grow long.
    """

    def __init__(
        self,
        connection: Connection,
        sink: FrameSink,
        namespaces: tuple[str, ...],
        version: str,
        observer: WatchObserver,
        start_versions: Sequence[str] = (),
        monitor: SilenceMonitor | None = None,
        *,
        watched: Collection[str] = (),
        on_recovery: Callable[[], None] = lambda: None,
        optional: bool = False,
    ) -> None:
        self.target = sink.target
        self.synced = False
        """True once the resource was watched with nothing lost that was watched before, or is known to be refused."""
        self._connection = connection
        self._sink = sink
        self._cancellation = Cancellation()
        monitor = monitor or SilenceMonitor(connection.timing)
        self._streams = [
            WatchStream(
                connection,
                sink,
                name,
                StreamStatus(self.target.resource, name, observer, on_recovery, optional=optional),
                monitor.add_stream(),
                self._mark_synced,
                optional=optional,
            )
            for name in namespaces
        ]
        if len(self._streams) == 1:
            self._streams[0].version = version
        for stream in self._streams:
            stream.was_watched = stream.namespace in watched
        self._start_versions = list(start_versions)
        self._expired_lists = 0
        self._skipped: list[str] = []

    def run(self) -> None:
        """List and watch in turn. Ends only by raising Stopped."""
        if not self._streams[0].version:
            self._list()
        while True:
            self._watch()
            self._list()

    def stop(self) -> None:
        """End ``run``, from any thread."""
        self._cancellation.cancel()

    def wake(self) -> None:
        """Retry refused requests now, because something has changed."""
        self._cancellation.wake()

    def position(self) -> StreamPosition:
        """The smallest version of all namespaces (empty: none), and when the newest object, LIST or BOOKMARK was
        delivered (Unix ns)."""
        versions = [stream.version for stream in self._streams if stream.version.isdecimal()]
        return min(versions, key=int, default=""), self._sink.newest

    @property
    def is_watched(self) -> bool:
        """True if at least one namespace was listed or is watched from a version."""
        return any(stream.version for stream in self._streams)

    @property
    def is_lost(self) -> bool:
        """True if something was watched before, and is not at the moment."""
        return any(stream.is_lost for stream in self._streams)

    def _mark_synced(self) -> None:
        self.synced = True

    # lists -----------------------------------------------------------------------------------------------------------

    def _list(self) -> None:
        """Deliver one complete list of all namespaces, in as many attempts as it takes."""
        while True:
            try:
                self._list_once()
                break
            except GoneError as error:
                # The ERROR shows the reader of the frames that this list is incomplete.
                self._sink.error(error.body, str(error))
                self._expired_lists += 1
                self._start_versions.clear()
        self._expired_lists = 0
        self._start_versions.clear()
        if not self.is_lost:
            self._mark_synced()

    def _list_once(self) -> None:
        """Deliver a list of all namespaces. Those that are refused have no version afterwards. Raises GoneError."""
        list_version = ""
        self._skipped = []
        for stream in self._streams:
            stream.version = ""
            try:
                version = self._list_namespace(stream, first=not list_version)
            except RefusedError:
                continue
            stream.version = version
            list_version = list_version or version
        if list_version:
            listed = [stream.namespace for stream in self._streams if stream.version]
            self._sink.marker(FrameType.BOOKMARK, list_version, listed)
        # Notes are sent after the list: a NOTE inside it would end the list for a reader of the recording.
        for reason in self._skipped:
            self._sink.note(reason)

    def _list_namespace(self, stream: WatchStream, *, first: bool) -> str:
        """Deliver the objects of one namespace; return the list's version. Raises GoneError, RefusedError."""
        timing = self._connection.timing
        limit = timing.page if self._expired_lists < timing.expired else 0  # 0: all objects in one page
        page = self._page(stream, limit, "")
        version = page.version
        if first:
            self._sink.marker(FrameType.LIST, version, [each.namespace for each in self._streams])
        while True:
            for item in page.items:
                self._cancellation.check()
                self._deliver_item(item)
            if not page.token:
                return version
            page = self._page(stream, limit, page.token)

    def _page(self, stream: WatchStream, limit: int, token: str) -> Page:
        """Return a page, in as many attempts as it takes. Raises GoneError, RefusedError."""
        while True:
            started = time.monotonic()
            start_version = self._start_versions[0] if self._start_versions else ""
            try:
                page = self._connection.list_page(
                    self.target, stream.namespace, limit=limit, token=token, version=start_version
                )
            except ApiError as error:
                if start_version and not token and error.status in _UNKNOWN_VERSION:
                    del self._start_versions[0]
                    continue
                stream.report_failure_and_wait(error, time.monotonic() - started, self._cancellation)
                if isinstance(error, GoneError | RefusedError):
                    raise
            else:
                stream.page_received()
                return page

    def _deliver_item(self, item: Raw) -> None:
        try:
            head, text = read_watched_object(self.target, item)
        except ValueError as error:
            self._skipped.append(f"skipped in a list: {error}")
            return
        self._sink.object(FrameType.LISTED, head, text)

    # watches ---------------------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        """Watch all namespaces until one of them needs a new list."""
        if len(self._streams) == 1:
            self._watch_namespace(self._streams[0], self._cancellation)
        else:
            self._watch_in_threads()

    def _watch_namespace(self, stream: WatchStream, cancellation: Cancellation) -> None:
        """Watch one namespace until it needs a new list; wait for access if it was refused."""
        if stream.version:
            stream.follow(cancellation)
            return
        while True:
            cancellation.sleep_until_woken(stream.retry_in)
            started = time.monotonic()
            try:
                # One object is enough to see whether access is allowed now.
                self._connection.list_page(self.target, stream.namespace, limit=1)
            except RefusedError as error:
                stream.report_failure_and_wait(error, time.monotonic() - started, cancellation)
                continue
            except ApiError:
                return  # The list that follows repeats the request, reports the error and retries.
            return

    def _watch_in_threads(self) -> None:
        """Watch each namespace in a thread; the first that needs a new list ends the others."""
        round_over = Cancellation()
        failures: list[BaseException] = []

        def watch(stream: WatchStream) -> None:
            try:
                self._watch_namespace(stream, round_over)
            except Stopped:
                pass
            except BaseException as error:
                failures.append(error)
            finally:
                round_over.cancel()

        with self._cancellation.attached(round_over):
            threads = [
                threading.Thread(
                    target=watch, args=(stream,), name=f"{self.target.resource} {stream.namespace}", daemon=True
                )
                for stream in self._streams
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        if failures:
            raise failures[0]
        self._cancellation.check()
