"""Follows the timeline of a daemon: its stream of news, and the timeline itself where the stream has a gap."""

import random
import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Final

import msgspec

from kspan.backoff import Backoff
from kspan.cli.sources.proxied import ProxiedDaemon
from kspan.cli.sources.server_events import EventReader
from kspan.cli.sources.services import UnansweredError
from kspan.query.answers.occurrence import LineAnswer
from kspan.query.timeline import TimelineFilter, is_about
from kspan.times import SECOND, parse_time
from kspan.web.v1.wire import OCCURRENCE, RESET, STREAM

RETRY: Final = Backoff(1.0, 30.0)
"""Between two attempts to continue a stream."""

LATE_NS: Final = 1_200 * SECOND
"""How long after its start an occurrence can still be news: traces stay open for max_trace_age (15 min)."""

REMEMBERED: Final = 50_000
"""Occurrences that are remembered, even if they started earlier than that."""

Timeline = Callable[[TimelineFilter], Iterator[LineAnswer]]


class Following:
    """Follows the timeline of a daemon. Each occurrence comes once, also if connections are lost.

    Args:
        daemon: whose stream is read.
        timeline: reads the timeline.
        wanted: the filter.
        sleep: waits for seconds.
    """

    def __init__(
        self,
        daemon: ProxiedDaemon,
        timeline: Timeline,
        wanted: TimelineFilter,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._daemon = daemon
        self._timeline = timeline
        self._wanted = wanted
        self._sleep = sleep
        self._shown = Shown()
        self._last_id = ""
        self._is_read = False
        """True if all that happened before ``_last_id`` was shown."""
        self._began = False
        self._failures = 0

    def batches(self) -> Generator[Iterable[LineAnswer], None, None]:
        """Yield the timeline, then new occurrences, without end. Each batch has to be read before the next.

        A connection that is lost is opened again. Raises KspanError if that is hopeless, and while nothing was shown.
        """
        while True:
            try:
                yield from self._once()
                if not self._began:
                    raise self._daemon.unreadable(STREAM, "it has no events")
                reason = "the stream has ended"
            except UnansweredError as error:
                if not self._began:
                    raise
                reason = str(error)
            self._failures += 1
            if self._failures == 2:
                # A connection that is opened again at once has lost nothing, so there is nothing to say.
                print(f"kspan: no news from {self._daemon.name}: {reason}; trying again", file=sys.stderr)
            self._sleep(RETRY.delay(self._failures, random.random()))

    def _once(self) -> Iterator[Iterable[LineAnswer]]:
        """Yield what one connection brings."""
        reader = EventReader(self._last_id)
        with self._daemon.stream(STREAM, {"kinds": OCCURRENCE}, self._last_id) as stream:
            for lines in stream:
                news = list(self._news(reader, lines))
                # The stream is ready once it has an id, so nothing is missing between the timeline and it.
                if not self._is_read and reader.last_id:
                    yield self._read()
                    self._is_read = True
                if fresh := list(self._select(news)):
                    yield fresh
                if self._is_read:
                    self._last_id = reader.last_id
                    self._note_success()

    def _news(self, reader: EventReader, lines: Iterable[bytes]) -> Iterator[LineAnswer]:
        try:
            for line in lines:
                event = reader.feed(line)
                if event is not None and event.kind == RESET:
                    self._is_read = False
                elif event is not None and event.kind == OCCURRENCE:
                    yield self._daemon.decode(STREAM, event.data, LineAnswer)
        except ValueError as error:
            raise self._daemon.unreadable(STREAM, str(error)) from error

    def _note_success(self) -> None:
        self._began = True
        if self._failures > 1:
            print(f"kspan: there are news from {self._daemon.name} again", file=sys.stderr)
        self._failures = 0

    def _read(self) -> Iterator[LineAnswer]:
        """Read the timeline from where occurrences can be missing."""
        if not self._began:
            for line in self._timeline(self._wanted):
                self._shown.add(line.span_id, self._start_of(line))
                yield line
            return
        since = max(self._wanted.since, self._shown.edge())
        again = msgspec.structs.replace(self._wanted, since=since)
        yield from self._select(line for line in self._timeline(again) if self._start_of(line) >= since)

    def _select(self, lines: Iterable[LineAnswer]) -> Iterator[LineAnswer]:
        """Yield those that pass the filter and were not shown."""
        for line in lines:
            start = self._start_of(line)
            about = is_about(self._wanted, line.kind, line.namespace, line.name)
            wanted = about and start >= self._wanted.since and (line.error or not self._wanted.errors)
            if wanted and self._shown.add(line.span_id, start):
                yield line

    def _start_of(self, line: LineAnswer) -> int:
        try:
            return parse_time(line.start_time)
        except ValueError as error:
            raise self._daemon.unreadable(STREAM, str(error)) from error


class Shown:
    """The occurrences that were shown. Those that started before ``edge`` are forgotten once there are many.

    Args:
        most: number that is always remembered.
        clock: returns the time (Unix ns).
    """

    def __init__(self, most: int = REMEMBERED, clock: Callable[[], int] = time.time_ns) -> None:
        self._starts: dict[str, int] = {}
        self._newest = 0
        self._most = most
        self._limit = most
        self._clock = clock

    def edge(self) -> int:
        """The start (Unix ns) before which nothing can be news any more."""
        # The clock of a node can be ahead of the others.
        return min(self._newest, self._clock()) - LATE_NS

    def add(self, span_id: str, start: int) -> bool:
        """Return whether an occurrence is new, and remember it."""
        if span_id in self._starts:
            return False
        self._starts[span_id] = start
        self._newest = max(self._newest, start)
        if len(self._starts) > self._limit:
            edge = self.edge()
            self._starts = {span_id: start for span_id, start in self._starts.items() if start >= edge}
            self._limit = max(self._most, 2 * len(self._starts))
        return True
