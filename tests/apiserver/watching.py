"""One watch: every change after a resourceVersion as a line, until its timeout or a fault."""

import asyncio
import contextlib
import json
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from tests.apiserver import faults as f
from tests.apiserver import statuses, views
from tests.apiserver.http import Connection
from tests.apiserver.resources import EVENTS
from tests.apiserver.storage import Collection, Entry, ExpiredError, Storage, Stored

BATCH = 500
"""Lines that are written at once."""
CLOSING_BOOKMARK = 2.0
"""Seconds before the end of a watch at which a last bookmark is sent."""


class Host(Protocol):
    """The part of the server that a watch uses."""

    storage: Storage
    faults: f.Faults
    bookmark_interval: float
    paused: bool


@dataclass(frozen=True)
class WatchOptions:
    """The options of a request. ``version`` None starts with the current state; ``timeout`` is in seconds."""

    version: int | None
    timeout: float
    bookmarks: bool
    initial_bookmark: bool
    metadata: bool
    select: views.Select | None


class Watch:
    """One open watch. ``wake`` is set when there may be changes."""

    def __init__(self, host: Host, connection: Connection, collection: Collection, options: WatchOptions) -> None:
        self._host, self._connection, self._collection, self._options = host, connection, collection, options
        self.wake = asyncio.Event()
        self._left = False
        self._sent = 0
        self._known = 0
        self._deadline = time.monotonic() + options.timeout
        # A bookmark is sent per interval, and before the end.
        self._closing = self._deadline - min(CLOSING_BOOKMARK, options.timeout / 2)
        self._bookmark_at = min(self._closing, time.monotonic() + host.bookmark_interval)
        self._slow: f.Injection | None = None

    @property
    def resource(self) -> str:
        return self._collection.resource.name

    async def run(self) -> None:
        """Serve the watch to its end. Afterwards the connection can be used again only if it is ``usable``."""
        monitor = asyncio.create_task(self._notice_leaving())
        try:
            index = await self._begin()
            if index is not None:
                await self._follow(index)
        finally:
            monitor.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await monitor
        if self._left:
            self._connection.usable = False

    async def _notice_leaving(self) -> None:
        with contextlib.suppress(OSError):
            self._connection.early = await self._connection.reader.read(1)
        if not self._connection.early:
            self._left = True
            self.wake.set()

    async def _begin(self) -> int | None:
        """Return the index in the log from which to start; None if the watch has ended already."""
        storage, collection, options = self._host.storage, self._collection, self._options
        with storage.lock:
            if options.version is not None:
                try:
                    self._known = options.version
                    return collection.index_after(options.version)
                except ExpiredError as error:
                    expired = error
            else:
                version, objects = storage.snapshot(collection)
                index = collection.first + len(collection.entries)
                self._known, expired = version, None
        if expired is not None:
            await self._error(statuses.watch_too_old(collection.resource, expired.version, expired.oldest))
            return None
        await self._send(Entry(stored.version, "ADDED", stored, None) for stored in objects)
        if options.initial_bookmark:
            await self._write(views.bookmark(collection.resource, version, metadata=options.metadata, initial=True))
        return index

    async def _follow(self, index: int) -> None:
        while not self._left:
            self.wake.clear()
            if await self._apply_fault():
                return
            if time.monotonic() >= self._deadline:
                await self._connection.end()
                return
            ahead = self._host.faults.next_after(self.resource, self._sent)
            limit = BATCH if ahead is None else min(BATCH, ahead)
            try:
                entries, version = self._read(index, limit)
            except ExpiredError as error:
                body = statuses.watch_too_old(self._collection.resource, self._known, error.oldest)
                await self._error(body)
                return
            if entries:
                index += len(entries)
                # A watch from a future version sends nothing until then.
                await self._send(entry for entry in entries if entry.version > (self._options.version or 0))
            elif self._collection.gone:
                await self._connection.end()
                return
            else:
                self._known = max(self._known, version) if not self._host.paused else self._known
                await self._bookmark()
                await self._wait()

    def _read(self, index: int, limit: int) -> tuple[list[Entry], int]:
        if self._host.paused:
            return [], 0
        return self._host.storage.read(self._collection, index, limit)

    async def _wait(self, until: float | None = None) -> None:
        ends = min(self._deadline, self._bookmark_at if self._options.bookmarks else self._deadline)
        timeout = (ends if until is None else until) - time.monotonic()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.wake.wait(), max(timeout, 0))

    async def _bookmark(self) -> None:
        now = time.monotonic()
        if now < self._bookmark_at:
            return
        later = min(self._closing, now + self._host.bookmark_interval)
        self._bookmark_at = later if now < self._closing else self._deadline + 1
        if self._options.bookmarks and self.resource not in EVENTS and not self._host.paused:
            await self._write(views.bookmark(self._collection.resource, self._known, metadata=self._options.metadata))

    # lines -----------------------------------------------------------------------------------------------------------

    async def _send(self, entries: Iterable[Entry]) -> None:
        lines: list[bytes] = []
        for entry in entries:
            self._known = max(self._known, entry.version)
            if entry.type == "BOOKMARK":
                if self._options.bookmarks and self.resource not in EVENTS:
                    resource, metadata = self._collection.resource, self._options.metadata
                    lines.append(views.bookmark(resource, entry.version, metadata=metadata))
            elif self._options.select is None or self._options.select(entry.stored):
                lines.append(views.line(entry.type, self._render(entry.stored)))
                self._sent += 1
        if lines:
            await self._write(b"".join(lines))

    def _render(self, stored: Stored) -> bytes:
        raw = spoil(self._host.faults, self.resource, "watch", stored.raw)
        return views.metadata_only(raw) if self._options.metadata else raw

    async def _write(self, data: bytes) -> None:
        slow = self._host.faults.take(self.resource, "watch", f.Slow, spare=self._slow)
        self._slow = slow or self._slow
        if self._slow is None or self._slow.lifted:
            self._connection.chunk(data)
            await self._connection.writer.drain()
            return
        await trickle(self._connection, data, self._slow)

    async def _error(self, status: dict[str, object]) -> None:
        self._connection.chunk(views.line("ERROR", json.dumps(status, separators=(",", ":")).encode()))
        await self._connection.end()

    # faults ----------------------------------------------------------------------------------------------------------

    async def _apply_fault(self) -> bool:
        """Apply the next fault; True if it ends the watch."""
        injection = self._host.faults.take(
            self.resource, "watch", f.ErrorFrame, f.Break, f.EmptyWatch, f.Stall, f.BadLine, sent=self._sent
        )
        match injection and injection.fault:
            case None:
                return False
            case f.ErrorFrame(code):
                await self._error(error_frame(code, self._collection, self._known))
            case f.Break(reset=reset):
                torn = views.bookmark(self._collection.resource, self._known, metadata=False).replace(
                    b"BOOKMARK", b"MODIFIED"
                )
                self._connection.chunk(torn[: len(torn) // 2])
                await self._connection.cut(reset=reset)
            case f.EmptyWatch():
                await self._connection.end()
            case f.BadLine(line=line):
                self._sent += 1
                await self._write(line)
                return False
            case f.Stall():
                assert injection is not None
                await self._stall(injection)
                return self._left
        return True

    async def _stall(self, injection: f.Injection) -> None:
        while not injection.lifted and not self._left:
            await self._wait(time.monotonic() + 3600)
            self.wake.clear()


def error_frame(code: int, collection: Collection, version: int) -> dict[str, object]:
    if code == 410:
        return statuses.watch_too_old(collection.resource, version, version + 1)
    reasons = {
        403: "Forbidden",
        429: "TooManyRequests",
        500: "InternalError",
        503: "ServiceUnavailable",
        504: "Timeout",
    }
    messages = {500: "unable to decode an event from the watch stream: context canceled"}
    return statuses.status(code, reasons.get(code, "Unknown"), messages.get(code, "an error on the server"))


def spoil(faults: f.Faults, resource: str, verb: str, raw: bytes) -> bytes:
    """Return the object, changed by a fault if one applies to it."""
    injection = faults.take(resource, verb, f.HugeLine, f.OffSchema)
    if injection is None:
        return raw
    fault = injection.fault
    return views.padded(raw, fault.size) if isinstance(fault, f.HugeLine) else views.off_schema(raw)


async def trickle(connection: Connection, data: bytes, slow: f.Injection) -> None:
    """Send data in twenty pieces per second until the fault is cleared."""
    fault = slow.fault
    assert isinstance(fault, f.Slow)
    size = max(1, fault.bytes_per_second // 20)
    for start in range(0, len(data), size):
        if slow.lifted:
            connection.chunk(data[start:])
            break
        connection.chunk(data[start : start + size])
        await connection.writer.drain()
        await asyncio.sleep(0.05)
    await connection.writer.drain()
