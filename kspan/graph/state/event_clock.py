"""Event time and the other scalar state of the fold. Pure data."""

from typing import Final

import msgspec

from kspan.graph.state.records import Clock, Gap
from kspan.model import RECEIVED_SINCE, LogRecord
from kspan.times import SECOND, parse_time_or_zero

REMOTE_TRACES_KEPT: Final = 1024
"""Closed traces of a remote context: the context of a pipeline is used for minutes, not for days."""

LAG_HALF_LIFE: Final = 60 * SECOND
"""Time after which the measured lateness of Events counts half."""


ONE_LIST: Final = 60 * SECOND
"""Time between two items of lists within which they are items of one list, or of lists that were made together."""

NO_GAP: Final = Gap()


class EventClock:
    """Event time (ns), numbers of arrival, the lateness of Events, and gaps of streams.

    ``now`` is event time: the greatest time so far. It is read very often, and set by ``advance`` alone.
    """

    def __init__(self) -> None:
        self._clock = Clock()
        self.now = 0
        self._watched = 0

    def load(self, stored: bytes) -> None:
        """Continue from what ``encoded`` returned."""
        self._clock = msgspec.msgpack.decode(stored, type=Clock)
        self.now = self._clock.now

    def encoded(self) -> bytes:
        """All of it as msgpack."""
        self._clock.now = self.now
        return msgspec.msgpack.encode(self._clock)

    def advance(self, to: int) -> None:
        """Advance event time; it does not go back."""
        if to > self.now:
            if not self.now:
                self._clock.began = to
            self._clock.before, self.now = self.now, to

    def hold(self) -> None:
        """Let event time stand still: from now on, changes may be missing."""
        self._clock.held = True

    def resume(self, at: int) -> None:
        """Let event time go on at ``at`` (ns): what happened meanwhile has been received."""
        self.now = max(self.now, at)
        self._clock.held, self._clock.resumed = False, self.now

    @property
    def is_held(self) -> bool:
        """True if event time stands still."""
        return self._clock.held

    @property
    def resumed(self) -> int:
        """When event time last went on (ns); 0 if it never stood still."""
        return self._clock.resumed

    def unwatched_before(self, record: LogRecord) -> int:
        """For how long before its receipt (ns) a change may have happened unseen; 0 if everything was watched."""
        unwatched = max(0, record.recorded_at - self.now) if self._clock.held else 0
        if not record.reason or not record.reason.startswith(RECEIVED_SINCE):  # Nearly all have none.
            return unwatched
        since = parse_time_or_zero(record.reason.removeprefix(RECEIVED_SINCE))
        return max(unwatched, record.recorded_at - since) if since else unwatched

    def watch_until(self, at: int) -> None:
        """Note that nobody watches after ``at`` (ns), although event time goes on: the input is over."""
        self._watched = at

    @property
    def watched(self) -> int:
        """Until when somebody watched (ns)."""
        return min(self._watched, self.now)

    @property
    def before(self) -> int:
        """Event time before it last advanced."""
        return self._clock.before

    @property
    def began(self) -> int:
        """Event time of the first record (ns)."""
        return self._clock.began

    def note_listed_event(self, received: int) -> None:
        """Note that an Event was received in a list (ns)."""
        clock = self._clock
        if received - clock.events_listed > ONE_LIST:
            clock.events_listed_before = clock.events_listed
        clock.events_listed = max(clock.events_listed, received)

    @property
    def events_listed_before(self) -> int:
        """When the list before the newest list of Events was made (ns): what occurred until then was in it. 0: never"""
        return self._clock.events_listed_before

    def next_arrival(self) -> int:
        """The number of the next occurrence, in the order of arrival."""
        self._clock.arrivals += 1
        return self._clock.arrivals

    def add_gap(self, resource: str, gap: Gap) -> None:
        """Note that a stream was not watched for some time."""
        self._clock.gaps[resource] = gap

    def gap(self, resource: str) -> Gap:
        """When a stream was last not watched; an empty interval if it always was."""
        return self._clock.gaps.get(resource, NO_GAP)

    def event_lag(self) -> int:
        """How late Events arrive (ns): a peak that halves every ``LAG_HALF_LIFE``."""
        clock = self._clock
        return clock.lag >> min(60, max(0, self.now - clock.lag_at) // LAG_HALF_LIFE)

    def note_event_lag(self, lag: int) -> None:
        """Note how late an Event arrived (ns), unless that was because nobody watched."""
        if lag >= self.event_lag() and not self._clock.held:
            self._clock.lag, self._clock.lag_at = lag, self.now

    def note_closed(self, trace: str) -> None:
        """Note that a trace of a remote context was closed: it must not be opened a second time."""
        if trace not in self._clock.closed_remote_traces:
            self._clock.closed_remote_traces = [*self._clock.closed_remote_traces[-REMOTE_TRACES_KEPT:], trace]

    def was_closed(self, trace: str) -> bool:
        """True if this trace of a remote context was closed."""
        return trace in self._clock.closed_remote_traces

    @property
    def invalid_contexts(self) -> int:
        """Changes whose object carried an invalid trace context."""
        return self._clock.invalid_contexts

    def count_invalid_context(self) -> None:
        """Count a change whose object carried an invalid trace context."""
        self._clock.invalid_contexts += 1
