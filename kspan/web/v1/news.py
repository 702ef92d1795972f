"""Tells listeners what is new. One thread polls the database for all of them, and only while somebody listens."""

import asyncio
import contextlib
import itertools
import logging
import secrets
import threading
from collections import deque
from collections.abc import Iterator
from typing import Final

import anyio.to_thread
import msgspec

from kspan.errors import KspanError
from kspan.model import SpanState
from kspan.query.answers import occurrence, trace
from kspan.query.news import News, NewsReader
from kspan.web.access.asker import AskedCluster
from kspan.web.history import BusyError, History, NotThereError
from kspan.web.v1.wire import OCCURRENCE, RESET, TRACE

_logger = logging.getLogger(__name__)

POLL_S: Final = 1.0
LINGER_S: Final = 60.0
"""Seconds that the thread goes on after the last listener has left, so that one that comes back misses nothing."""

KEPT: Final = 5_000
"""Items that a listener who comes back can still get."""

WAITING: Final = 2_000
"""Items that wait for a slow listener. One with more is sent away and can come back."""

LISTENERS: Final = 32

_encode = msgspec.json.Encoder().encode


class Item(msgspec.Struct, frozen=True):
    """A piece of news.

    Args:
        number: its place in the order of news.
        kind: trace, occurrence or reset.
        data: its content as JSON.
        namespace: the namespace of its object.
        trace_id: its trace; empty for a reset, and for an occurrence that is in no trace yet.
        again: an occurrence that was in no trace when it was news, and is now. It is for listeners who may not see
            everything: what belongs to it was not known before.
    """

    number: int
    kind: str
    data: bytes
    namespace: str = ""
    trace_id: str = ""
    again: bool = False


class Listener:
    """Receives news in the event loop in which it was made."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._items: deque[Item] = deque()
        self._wake = asyncio.Event()
        self._ready = asyncio.Event()
        self.is_late = False
        """True if too much waits, or the news end: what waits is the last, and the listener has to come back."""

    def begin(self, items: list[Item]) -> None:
        """Let it first get ``items``, however many these are; in its event loop."""
        if items:
            self._items.extend(items)
            self._wake.set()

    def make_ready(self) -> None:
        """Say that from now on it gets all news; from any thread."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._ready.set)

    async def wait_ready(self, seconds: float) -> None:
        """Wait until it gets all news, but not longer than ``seconds``."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ready.wait(), seconds)

    def dismiss(self) -> None:
        """Send it away; from any thread."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._dismiss)

    def push(self, items: list[Item]) -> None:
        """Add items; from any thread."""
        with contextlib.suppress(RuntimeError):  # The server has ended.
            self._loop.call_soon_threadsafe(self._push, items)

    def _push(self, items: list[Item]) -> None:
        # After something is left out, nothing may follow: its number would stand for what was left out, too.
        if self.is_late or len(self._items) + len(items) > WAITING:
            self._dismiss()
        else:
            self._items.extend(items)
            self._wake.set()

    def _dismiss(self) -> None:
        self.is_late = True
        self._ready.set()
        self._wake.set()

    async def next(self, seconds: float) -> list[Item]:
        """Return what has come; empty after ``seconds`` in which nothing has."""
        try:
            await asyncio.wait_for(self._wake.wait(), seconds)
        except TimeoutError:
            return []
        self._wake.clear()
        found, self._items = list(self._items), deque()
        return found


class Newsrooms:
    """A newsroom for each cluster that somebody listens to. For the event loop of the server."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._rooms: dict[str, Newsroom] = {}
        self._closed = False

    async def of(self, asked: AskedCluster) -> "Newsroom":
        """Return the newsroom of the cluster that a request asks about. Raises what ``History.resolve`` raises."""
        cluster = await anyio.to_thread.run_sync(self._cluster, asked)
        if self._closed:
            raise BusyError
        return self._rooms.setdefault(cluster, Newsroom(self._history, cluster))

    def _cluster(self, asked: AskedCluster) -> str:
        """Return the uid of the cluster; empty for that of the server, whose news begin as soon as it has a history."""
        try:
            own = self._history.store()[1]
        except NotThereError:
            if not asked.given:
                return ""
            raise
        if own and not asked.given:
            return ""
        found = self._history.resolve(asked)[1]
        return "" if found == own else found

    def close(self) -> None:
        """End all news. Calling it again does nothing."""
        self._closed = True
        for room in list(self._rooms.values()):
            room.close()


class Newsroom:
    """Polls for news while there are listeners.

    Args:
        history: what is polled.
        cluster: uid of the cluster; empty: the one that is asked about if a request names none.
    """

    def __init__(self, history: History, cluster: str = "") -> None:
        self._cluster = cluster
        self.epoch = secrets.token_hex(4)
        """Numbers of items are those of this process only."""
        self._history = history
        self._lock = threading.Lock()
        self._listeners: set[Listener] = set()
        self._kept: deque[Item] = deque(maxlen=KEPT)
        self._numbers = itertools.count(1)
        self._last = 0
        self._thread: threading.Thread | None = None
        self._began = False
        """True once a poll has found out what is not news."""
        self._closed = threading.Event()

    def close(self) -> None:
        """End: send all listeners away, and poll no more. Calling it again does nothing."""
        self._closed.set()
        with self._lock:
            thread = self._thread
            for listener in self._listeners:
                listener.dismiss()
        if thread is not None:
            thread.join()

    def join(self, listener: Listener, after: int | None) -> int:
        """Add a listener, and return the number of the last item that it has or does not want.

        It first gets the items after number ``after`` (None: only what comes from now on). Raises BusyError if there
        are too many.
        """
        with self._lock:
            if len(self._listeners) >= LISTENERS or self._closed.is_set():
                raise BusyError
            missed = [] if after is None else self._since(after)
            listener.begin(missed)
            self._listeners.add(listener)
            if self._began:
                listener.make_ready()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="news", daemon=True)
                self._thread.start()
            return missed[0].number - 1 if missed and missed[0].kind != RESET else self._last

    def leave(self, listener: Listener) -> None:
        """Remove a listener."""
        with self._lock:
            self._listeners.discard(listener)

    def _since(self, after: int) -> list[Item]:
        oldest = self._kept[0].number if self._kept else self._last + 1
        if after > self._last or after < oldest - 1:
            return [self._reset()]
        return [item for item in self._kept if item.number > after]

    def _reset(self) -> Item:
        return Item(self._last, RESET, b"{}")

    def _run(self) -> None:
        try:
            self._poll()
        except Exception:
            _logger.exception("the news end")
            with self._lock:
                self._forget()
                for listener in self._listeners:
                    listener.dismiss()

    def _forget(self) -> None:
        """End the news. What happens while nobody polls is not kept."""
        self._kept.clear()
        self._last = next(self._numbers)
        self._thread = None
        self._began = False

    def _poll(self) -> None:
        reader: NewsReader | None = None
        alone = 0.0
        while not self._closed.is_set():
            try:
                if reader is None:
                    store, own = self._history.store()
                    reader = NewsReader(store, self._cluster or own)
                self.publish(reader.poll())
                self._begin()
            except (KspanError, NotThereError) as error:
                _logger.debug("cannot look for news: %s", error)
            with self._lock:
                alone = 0.0 if self._listeners else alone + POLL_S
                if alone > LINGER_S:
                    self._forget()
                    return
            self._closed.wait(POLL_S)

    def _begin(self) -> None:
        if not self._began:
            with self._lock:
                self._began = True
                for listener in self._listeners:
                    listener.make_ready()

    def publish(self, news: News) -> None:
        """Tell all listeners."""
        with self._lock:
            items = list(self._items(news))
            if not items:
                return
            self._kept.extend(items)
            for listener in self._listeners:
                listener.push(items)

    def _items(self, news: News) -> Iterator[Item]:
        for summary in news.traces:
            item = trace.item(summary)
            yield self._item(TRACE, _encode(item), item.namespace, item.trace_id)
        for again, lines in ((False, news.occurrences), (True, news.placed)):
            for line in lines:
                span = line.span
                trace_id = "" if span.state is SpanState.PENDING else span.trace_id
                yield self._item(OCCURRENCE, _encode(occurrence.line(line)), span.object_namespace, trace_id, again)
        if not news.complete:
            self._kept.clear()
            yield self._item(RESET, b"{}", "", "")

    def _item(self, kind: str, data: bytes, namespace: str, trace_id: str, again: bool = False) -> Item:
        self._last = next(self._numbers)
        return Item(self._last, kind, data, namespace, trace_id, again)
