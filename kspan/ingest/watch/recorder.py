"""``kspan record``: writes the frames of a watched cluster to a recording."""

import gzip
import io
import threading
import time
from collections import Counter
from pathlib import Path

import msgspec

from kspan.errors import SettingsError
from kspan.ingest.frames import Frame, FrameType, note_object
from kspan.ingest.watch.client.connection import Connection
from kspan.ingest.watch.client.errors import Stopped
from kspan.ingest.watch.resources.selection import Selection
from kspan.ingest.watch.stream_status import NullObserver, WatchObserver
from kspan.ingest.watch.watcher import Watcher
from kspan.k8s.redact import redact
from kspan.paths import why_unwritable
from kspan.times import format_time

FLUSH = 0.5
"""Seconds between two flushes: a kill loses at most this much."""

JOIN = 10.0
"""Seconds to wait for the threads to end."""


class Recorded(msgspec.Struct, frozen=True):
    """The size and content of a finished recording."""

    frames: int
    types: dict[str, int]
    """Number of frames by type."""
    resources: dict[str, int]
    """Number of frames by resource."""
    seconds: float
    """How long the recording took."""


class RecordingFile:
    """A recording that is being written, compressed with gzip if its name ends in ``.gz``. For all threads.

    Everything up to the last flush can be read, whatever happens next. Objects are redacted as in the journal;
    ``redact_env`` also masks the values of environment variables. Raises SettingsError if the file cannot be written.
    """

    def __init__(self, path: str, *, redact_env: bool = True) -> None:
        self._path = path
        self._redact_env = redact_env
        self._lock = threading.Lock()
        self._file: gzip.GzipFile | io.BufferedWriter | None = None
        self.types: Counter[str] = Counter()
        self.resources: Counter[str] = Counter()
        try:
            self._file = _open(path)
        except OSError as error:
            raise self._error(error) from error

    def write(self, frame: Frame) -> None:
        """Append a frame. Raises Stopped once the file is closed."""
        line = self._line(frame)
        with self._lock:
            if self._file is None:
                raise Stopped
            try:
                self._file.write(line)
            except OSError as error:
                raise self._error(error) from error
            self.types[frame.type.value] += 1
            self.resources[frame.resource] += 1

    def flush(self) -> None:
        """Hand everything written so far to the operating system."""
        with self._lock:
            if self._file is None:
                return
            try:
                self._file.flush()
            except OSError as error:
                raise self._error(error) from error

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            file, self._file = self._file, None
            if file is None:
                return
            try:
                file.close()
            except OSError as error:
                raise self._error(error) from error

    def _line(self, frame: Frame) -> bytes:
        kind, body = frame.type, frame.object
        try:
            # An API server indents its JSON for clients that it takes for a person at a terminal.
            body = msgspec.json.format(body, indent=-1) if b"\n" in body else body
            body = redact(frame.resource, body, env=self._redact_env)
        except (ValueError, msgspec.MsgspecError) as error:
            kind, body = FrameType.NOTE, note_object(f"left out: {error}")
        head = f'{{"received":"{format_time(frame.received)}","resource":"{frame.resource}","type":"{kind.value}",'
        return b'%s"object":%s}\n' % (head.encode(), body)

    def _error(self, error: OSError) -> SettingsError:
        return SettingsError(f"{self._path}: {why_unwritable(self._path, error)}")


def record(
    connection: Connection,
    selection: Selection,
    path: str,
    seconds: float,
    stop: threading.Event,
    observer: WatchObserver | None = None,
    *,
    redact_env: bool = True,
) -> Recorded:
    """Record into a new file at ``path`` for ``seconds`` (0: until ``stop`` is set). Blocks.

    Raises:
        SettingsError: the file cannot be written.
        BaseException: the unexpected error that ended a thread of the watcher.
    """
    file = RecordingFile(path, redact_env=redact_env)
    started = time.monotonic()
    watcher = Watcher(connection, selection, file.write, {}, observer or NullObserver())
    try:
        watcher.start()
        _wait(watcher, file, seconds, stop)
    finally:
        watcher.stop()
        try:
            file.close()
        finally:
            watcher.join(JOIN)
    lasted = time.monotonic() - started
    return Recorded(file.types.total(), dict(file.types), dict(file.resources), lasted)


def _wait(watcher: Watcher, file: RecordingFile, seconds: float, stop: threading.Event) -> None:
    end = time.monotonic() + seconds if seconds > 0 else float("inf")
    while (left := end - time.monotonic()) > 0:
        if stop.wait(min(FLUSH, left)):
            return
        file.flush()
        if watcher.failure is not None:
            raise watcher.failure


def _open(path: str) -> gzip.GzipFile | io.BufferedWriter:
    return gzip.open(path, "wb", compresslevel=6) if path.endswith(".gz") else Path(path).open("wb")
