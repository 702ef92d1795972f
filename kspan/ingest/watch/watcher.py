"""All that is watched of a cluster: which resources, from when on, and until when."""

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterable, Mapping

import msgspec

from kspan.ingest.frames import Frame, FrameType
from kspan.ingest.watch.cancellation import Halt
from kspan.ingest.watch.client.connection import Connection
from kspan.ingest.watch.client.errors import Stopped
from kspan.ingest.watch.frame_sink import Deliver, Delivery
from kspan.ingest.watch.reflector import Reflector
from kspan.ingest.watch.resources.discovery import Discovery
from kspan.ingest.watch.resources.plan import Plan
from kspan.ingest.watch.resources.selection import Selection
from kspan.ingest.watch.start_versions import Position, past_versions
from kspan.ingest.watch.stream_status import Silent, WatchObserver
from kspan.k8s.resources import CRDS, WatchTarget
from kspan.model import Cursor, scope_of

log = logging.getLogger("kspan.watch")

_CHANGES = frozenset({FrameType.ADDED, FrameType.MODIFIED, FrameType.DELETED, FrameType.ERROR})


class _Running(msgspec.Struct, frozen=True):
    reflector: Reflector
    thread: threading.Thread


class _Discover:
    """Put into the queue of work: kinds came or went."""


class Watcher:
    """Delivers every watched resource of a cluster, each from a thread of its own, until it is stopped.

    ``deliver`` may block, which stops the reading of that resource's socket, and raises Stopped to end its thread.
    ``cursors`` tell by resource from where to resume; one that is not there is listed, one that was watched in other
    namespaces too, and one that is watched in several: their versions say nothing of one another. ``named`` are the
    apiVersion and kind of what was named before and perhaps not seen yet.

    What was never listed is listed as of a while ago (``history``): that tells what came before its being named.
    """

    def __init__(
        self,
        connection: Connection,
        selection: Selection,
        deliver: Deliver,
        cursors: Mapping[str, Cursor],
        observer: WatchObserver,
        clock: Callable[[], int] = time.time_ns,
        named: Iterable[tuple[str, str]] = (),
    ) -> None:
        self.failure: BaseException | None = None
        """What a thread died of that should not have died."""
        self._connection = connection
        self._selection = selection
        self._deliver = deliver
        self._cursors = dict(cursors)
        self._began = dict(cursors)
        self._listed = set(cursors)
        self._observer = observer
        self._clock = clock
        self._plan = Plan(selection, Discovery(connection), tuple(cursors))
        self._named = tuple(named)
        self._halt = Halt()
        self._lock = threading.Lock()
        self._running: dict[str, _Running] = {}
        self._threads: list[threading.Thread] = []
        self._work: queue.SimpleQueue[tuple[str, str] | _Discover] = queue.SimpleQueue()
        self._first = frozenset(target.resource for target in selection.defaults())
        self._planned = not self._plan.asks_first
        self._started = False
        self._absent: set[str] = set()
        self._crds: Reflector | None = None

    def start(self) -> None:
        """Begins. The default resources are listed at once, what needs discovery follows."""
        for target in self._selection.defaults():
            self._begin(target)
        self._started = True
        for pair in self._named:
            if self._plan.is_new(*pair):
                self._plan.add(*pair)
        if self._plan.follows_crds:
            self._begin_crds()
        self._spawn("kinds", self._manage)

    def stop(self) -> None:
        """Ends all threads soon; returns at once."""
        self._halt.set()
        self._work.put(_Discover())
        with self._lock:
            reflectors = [item.reflector for item in self._running.values()]
        for reflector in (*reflectors, self._crds):
            if reflector is not None:
                reflector.stop()

    def join(self, timeout: float) -> bool:
        """Waits up to ``timeout`` seconds for all threads to end; whether they have.

        One that waits for an answer to a request ends with it, or with the process.
        """
        deadline = time.monotonic() + timeout
        with self._lock:
            threads = list(self._threads)
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in threads)

    def synced(self) -> bool:
        """Whether all that was asked for was listed or is resumed, or is known to be refused or absent."""
        return self._planned and not self.awaited()

    def awaited(self) -> list[str]:
        """The resources that were asked for and are neither listed nor resumed yet, as far as they are known."""
        with self._lock:
            first = {name: item.reflector for name, item in self._running.items() if name in self._first}
        return sorted(name for name, reflector in first.items() if not reflector.synced)

    def resources(self) -> list[str]:
        """The names of all resources that are watched now."""
        with self._lock:
            return sorted(self._running)

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
                log.critical("the thread %s died: %s", name, error, exc_info=True, extra={"thread_name": name})
                self.failure = self.failure or error

        thread = threading.Thread(target=guarded, name=f"watch {name}", daemon=True)
        self._threads = [known for known in self._threads if known.is_alive() or known.ident is None]
        self._threads.append(thread)
        return thread

    def _begin(self, target: WatchTarget) -> None:
        resource = target.resource
        if self._halt.stopped or resource in self._running:
            return
        delivery = Delivery(target, self._deliver, self._notice, self._clock)
        scopes = self._selection.scopes(target)
        cursor = self._cursors.pop(resource, None)
        version = cursor.resource_version if cursor is not None and cursor.scope == scope_of(scopes) else ""
        since: tuple[str, ...] = ()
        # Listed before, it is compared with what is known of it, and that may be newer.
        if resource not in self._listed:
            since = past_versions(self._began, self._positions(), self._clock())
            self._listed.add(resource)
        reflector = Reflector(self._connection, delivery, scopes, version, self._observer, since)
        self._run(resource, reflector)

    def _positions(self) -> dict[str, Position]:
        # While the default resources begin, those that are quicker do not tell the others where to begin.
        if not self._started:
            return {}
        with self._lock:
            return {name: item.reflector.position() for name, item in self._running.items()}

    def _begin_crds(self) -> None:
        delivery = Delivery(CRDS, self._crd_frame, lambda *_: None, self._clock)
        self._crds = Reflector(self._connection, delivery, ("",), "", Silent())
        self._spawn(CRDS.resource, self._crds.run)

    def _run(self, resource: str, reflector: Reflector) -> None:
        with self._lock:
            thread = self._make_thread(resource, reflector.run)
            self._running[resource] = _Running(reflector, thread)
        thread.start()
        # Stopped meanwhile, it may have been missed.
        if self._halt.stopped:
            reflector.stop()

    def _crd_frame(self, frame: Frame) -> None:
        if frame.type in _CHANGES:
            self._work.put(_Discover())

    def _notice(self, api_version: str, kind: str) -> None:
        if self._plan.is_new(api_version, kind):
            self._work.put((api_version, kind))

    # which kinds -----------------------------------------------------------------------------------------------------

    def _manage(self) -> None:
        timing = self._connection.timing
        failures = 0
        while True:
            failures = 0 if self._apply() else failures + 1
            self._await_work(timing.backoff.delay(failures) if failures else timing.refused)

    def _await_work(self, seconds: float) -> None:
        """Waits until kinds were named, came or went, or time is up; then asks the API server anew."""
        try:
            items = [self._work.get(timeout=seconds)]
        except queue.Empty:
            items = []
        else:
            self._halt.sleep(self._connection.timing.settle)
        while not self._work.empty():
            items.append(self._work.get())
        self._halt.check()
        for item in items:
            if not isinstance(item, _Discover):
                self._plan.add(*item)
        self._plan.forget()
        if any(isinstance(item, _Discover) for item in items):
            with self._lock:
                running = list(self._running.values())
            for each in running:
                each.reflector.wake()

    def _apply(self) -> bool:
        """Starts what is wanted, stops what is gone; whether the API server told all that there is to know."""
        wanted = self._plan.wanted()
        self._halt.check()
        for target in wanted.targets:
            self._begin(target)
        if not wanted.complete:
            return False
        self._first |= wanted.asked
        self._report_absent(set(wanted.absent))
        self._planned = True
        keep = {target.resource for target in (*self._selection.defaults(), *wanted.targets)}
        with self._lock:
            gone = {resource: item for resource, item in self._running.items() if resource not in keep}
            for resource in gone:
                del self._running[resource]
        for resource, item in gone.items():
            log.info("%s is no longer served", resource, extra={"resource": resource})
            item.reflector.stop()
        self._cursors = {resource: cursor for resource, cursor in self._cursors.items() if resource in keep}
        return True

    def _report_absent(self, absent: set[str]) -> None:
        for name in sorted(absent - self._absent):
            log.warning("the API server has no resource %r", name, extra={"resource": name})
            self._observer.refused(name, 404)
        self._absent = absent
