"""Watches a cluster: which resources, each in a thread with a reflector, from which version on."""

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterable, Mapping

import msgspec

from kspan.ingest.frames import Frame, FrameType
from kspan.ingest.watch.cancellation import Cancellation
from kspan.ingest.watch.client.connection import Connection
from kspan.ingest.watch.client.errors import Stopped
from kspan.ingest.watch.frame_sink import Deliver, FrameSink
from kspan.ingest.watch.reflector import Reflector
from kspan.ingest.watch.resources.discovery import Discovery
from kspan.ingest.watch.resources.plan import Plan
from kspan.ingest.watch.resources.selection import Selection
from kspan.ingest.watch.silence import SilenceMonitor
from kspan.ingest.watch.start_versions import StreamPosition, past_versions
from kspan.ingest.watch.stream_status import NullObserver, WatchObserver
from kspan.k8s.resources import CRDS, WatchTarget
from kspan.model import Cursor, covers, scope_of

log = logging.getLogger("kspan.watch")

_CHANGES = frozenset({FrameType.ADDED, FrameType.MODIFIED, FrameType.DELETED, FrameType.ERROR})


class _RunningReflector(msgspec.Struct, frozen=True):
    reflector: Reflector
    thread: threading.Thread


class _Rediscover:
    """A queue item: kinds were added to or removed from the cluster."""


class Watcher:
    """Delivers every selected resource of a cluster, each from its own thread, until it is stopped.

    A resource is resumed from its cursor if the cursor covers the selected namespaces and there is only one of them
    (or the whole cluster); otherwise it is listed. A resource without a cursor is first listed at an older version, so
    that changes from before its kind was referenced are not lost (``start_versions``).

    Args:
        connection: the API server.
        selection: which resources and namespaces to watch.
        deliver: takes each frame. May block, which stops reading from that resource's socket, and raises Stopped to
            end the thread that calls it.
        cursors: the journal's cursors, by resource.
        observer: receives changes of the state of streams.
        clock: the current time (Unix ns).
        referenced: (apiVersion, kind) of kinds that were referenced earlier and perhaps not watched yet.
    """

    def __init__(
        self,
        connection: Connection,
        selection: Selection,
        deliver: Deliver,
        cursors: Mapping[str, Cursor],
        observer: WatchObserver,
        clock: Callable[[], int] = time.time_ns,
        referenced: Iterable[tuple[str, str]] = (),
    ) -> None:
        self.failure: BaseException | None = None
        """The unexpected error that ended a thread."""
        self._connection = connection
        self._selection = selection
        self._deliver = deliver
        self._cursors = dict(cursors)
        self._start_cursors = dict(cursors)
        self._listed = set(cursors)
        self._observer = observer
        self._clock = clock
        self._discovery = Discovery(connection)
        self._plan = Plan(selection, self._discovery, tuple(cursors))
        self._referenced = tuple(referenced)
        self._cancellation = Cancellation()
        self._monitor = SilenceMonitor(connection.timing)
        self._lock = threading.Lock()
        self._running: dict[str, _RunningReflector] = {}
        self._threads: list[threading.Thread] = []
        self._work: queue.SimpleQueue[tuple[str, str] | _Rediscover] = queue.SimpleQueue()
        self._optional = frozenset(target.resource for target in selection.additional())
        self._first = self._optional | {target.resource for target in selection.defaults()}
        self._planned = not self._plan.needs_discovery
        self._started = False
        self._absent: set[str] = set()
        self._crds: Reflector | None = None

    def start(self) -> None:
        """Start watching. Default and additional resources begin at once; those that need discovery follow."""
        for target in (*self._selection.defaults(), *self._selection.additional()):
            self._begin(target)
        self._started = True
        for reference in self._referenced:
            if self._plan.is_new(*reference):
                self._plan.add(*reference)
        if self._plan.follows_crds:
            self._begin_crds()
        self._spawn("kinds", self._manage)
        self._spawn("silence", self._find_silent)

    def stop(self) -> None:
        """Ask all threads to end; returns at once."""
        self._cancellation.cancel()
        self._work.put(_Rediscover())
        with self._lock:
            reflectors = [item.reflector for item in self._running.values()]
        for reflector in (*reflectors, self._crds):
            if reflector is not None:
                reflector.stop()

    def join(self, timeout: float) -> bool:
        """Wait up to ``timeout`` seconds for all threads to end; True if they have.

        A thread that waits for the answer to a request ends with the answer, or with the process.
        """
        deadline = time.monotonic() + timeout
        with self._lock:
            threads = list(self._threads)
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in threads)

    def synced(self) -> bool:
        """True if every selected resource is listed, resumed, or known to be refused or absent."""
        return self._planned and not self.awaited()

    def awaited(self) -> list[str]:
        """The selected resources that are known and neither listed nor resumed yet."""
        with self._lock:
            first = {name: item.reflector for name, item in self._running.items() if name in self._first}
        return sorted(name for name, reflector in first.items() if not reflector.synced)

    def resources(self) -> list[str]:
        """The names of all resources that have a reflector, whether they are watched or refused."""
        with self._lock:
            return sorted(self._running)

    def lost(self) -> list[str]:
        """The resources that were watched before, and are not at the moment, except additional ones."""
        return sorted(name for name, reflector in self._required() if reflector.is_lost)

    def unwatched(self) -> list[str]:
        """The resources that the API server refuses or does not have, except additional ones."""
        refused = [name for name, reflector in self._required() if not reflector.is_watched]
        return sorted({*refused, *self._absent})

    def watches_nothing(self) -> bool:
        """True if no resource is watched, except additional ones."""
        return not any(reflector.is_watched for _, reflector in self._required())

    def watched(self) -> tuple[int, int]:
        """How many resources are watched, and how many should be, except additional ones."""
        required = self._required()
        names = {name for name, _ in required}
        return sum(reflector.is_watched for _, reflector in required), len(names | self._absent)

    def _required(self) -> list[tuple[str, Reflector]]:
        with self._lock:
            return [(name, item.reflector) for name, item in self._running.items() if name not in self._optional]

    def _wake_all(self) -> None:
        """Retry what was refused: the API server may have been started just now."""
        with self._lock:
            reflectors = [item.reflector for item in self._running.values()]
        for reflector in (*reflectors, self._crds):
            if reflector is not None:
                reflector.wake()

    # threads ---------------------------------------------------------------------------------------------------------

    def _spawn(self, name: str, run: Callable[[], None]) -> None:
        with self._lock:
            thread = self._make_thread(name, run)
        thread.start()

    def _make_thread(self, name: str, run: Callable[[], None]) -> threading.Thread:
        def guarded() -> None:
            try:
                run()
            except Stopped:
                return
            except BaseException as error:
                log.critical("the thread %s failed: %s", name, error, exc_info=True, extra={"thread_name": name})
                self.failure = self.failure or error

        thread = threading.Thread(target=guarded, name=f"watch {name}", daemon=True)
        self._threads = [known for known in self._threads if known.is_alive() or known.ident is None]
        self._threads.append(thread)
        return thread

    def _begin(self, target: WatchTarget) -> None:
        """Start the reflector of a resource, unless it is running."""
        resource = target.resource
        if self._cancellation.cancelled or resource in self._running:
            return
        sink = FrameSink(target, self._deliver, self._on_reference, self._clock)
        namespaces = self._selection.namespaces_of(target)
        cursor = self._cursors.pop(resource, None)
        version = cursor.resource_version if cursor is not None and cursor.scope == scope_of(namespaces) else ""
        start_versions: tuple[str, ...] = ()
        watched = namespaces if resource in self._listed else ()
        if cursor is not None:
            watched = tuple(name for name in namespaces if covers(cursor.scope, name))
        # A resource that was listed before is compared with its known objects, which may be newer than these versions.
        if resource not in self._listed:
            defined = self._discovery.definition_version(target)
            start_versions = past_versions(self._start_cursors, self._positions(), self._clock(), defined)
            self._listed.add(resource)
        reflector = Reflector(
            self._connection,
            sink,
            namespaces,
            version,
            self._observer,
            start_versions,
            self._monitor,
            watched=watched,
            on_recovery=self._wake_all,
            optional=resource in self._optional,
        )
        self._run(resource, reflector)

    def _positions(self) -> dict[str, StreamPosition]:
        # While the default resources are being started, the quick ones must not determine where the others begin.
        if not self._started:
            return {}
        with self._lock:
            return {name: item.reflector.position() for name, item in self._running.items()}

    def _begin_crds(self) -> None:
        sink = FrameSink(CRDS, self._on_crd_frame, lambda *_: None, self._clock)
        self._crds = Reflector(
            self._connection, sink, ("",), "", NullObserver(), monitor=self._monitor, on_recovery=self._wake_all
        )
        self._spawn(CRDS.resource, self._crds.run)

    def _run(self, resource: str, reflector: Reflector) -> None:
        with self._lock:
            thread = self._make_thread(resource, reflector.run)
            self._running[resource] = _RunningReflector(reflector, thread)
        thread.start()
        # ``stop`` may have been called after the check in ``_begin``, and missed this reflector.
        if self._cancellation.cancelled:
            reflector.stop()

    def _on_crd_frame(self, frame: Frame) -> None:
        if frame.type in _CHANGES:
            self._work.put(_Rediscover())

    def _on_reference(self, api_version: str, kind: str) -> None:
        if self._plan.is_new(api_version, kind):
            self._work.put((api_version, kind))

    def _find_silent(self) -> None:
        """Check for silent watches again and again. Raises Stopped."""
        while True:
            self._cancellation.sleep(self._connection.timing.check)
            self._monitor.check(time.monotonic())

    # which kinds -----------------------------------------------------------------------------------------------------

    def _manage(self) -> None:
        """Start and stop reflectors as kinds are referenced, added and removed. Raises Stopped."""
        timing = self._connection.timing
        failures = 0
        while True:
            failures = 0 if self._apply() else failures + 1
            self._await_work(timing.backoff.delay(failures) if failures else timing.refused)

    def _await_work(self, seconds: float) -> None:
        """Wait until kinds are referenced, added or removed, at most ``seconds``; then forget earlier discovery."""
        try:
            items = [self._work.get(timeout=seconds)]
        except queue.Empty:
            items = []
        else:
            self._cancellation.sleep(self._connection.timing.settle)
        while not self._work.empty():
            items.append(self._work.get())
        self._cancellation.check()
        for item in items:
            if not isinstance(item, _Rediscover):
                self._plan.add(*item)
        self._plan.forget()
        if any(isinstance(item, _Rediscover) for item in items):
            self._wake_all()

    def _apply(self) -> bool:
        """Start planned and stop removed resources; True if discovery was complete."""
        wanted = self._plan.wanted()
        self._cancellation.check()
        for target in wanted.targets:
            self._begin(target)
        if not wanted.complete:
            return False
        self._first |= wanted.selected
        self._report_absent(set(wanted.absent))
        self._planned = True
        keep = {target.resource for target in wanted.targets} | self._optional
        keep |= {target.resource for target in self._selection.defaults()}
        with self._lock:
            removed = {resource: item for resource, item in self._running.items() if resource not in keep}
            for resource in removed:
                del self._running[resource]
        for resource, item in removed.items():
            log.info("%s is no longer served", resource, extra={"resource": resource})
            item.reflector.stop()
        self._cursors = {resource: cursor for resource, cursor in self._cursors.items() if resource in keep}
        return True

    def _report_absent(self, absent: set[str]) -> None:
        for name in sorted(absent - self._absent):
            log.warning("the API server has no resource %r; waiting for it", name, extra={"resource": name})
            self._observer.refused(name, 404)
        self._absent = absent
