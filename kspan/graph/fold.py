"""The fold: ``state', delta = apply(state, record)``. Pure: time is part of the records.

The same journal gives the same state and ids, whatever was killed in between. Event time is the greatest
``recorded_at`` so far. Everything that is due by the time of a record (causes, traces) is done before the record, at
its own time. While changes may be missing, event time stands still (``kspan.model.HELD``).
"""

from collections.abc import Iterable

import msgspec

from kspan.graph.cause.decide import Decider
from kspan.graph.observe.observer import Observer
from kspan.graph.rules.rules import Rules
from kspan.graph.state.records import Gap
from kspan.graph.state.schedule import NEVER
from kspan.graph.state.state import State
from kspan.graph.trace.closing import TraceCloser
from kspan.k8s.resource_version import EPOCH_STEP, version_number
from kspan.model import ENDED, HELD, Delta, GapDetails, GapRow, LogRecord, OwnerRow, RecordType
from kspan.settings import FoldSettings
from kspan.times import parse_time_or_zero

_details = msgspec.json.Decoder(GapDetails).decode


class Fold:
    """The live part of the projection of one cluster's journal."""

    def __init__(self, cluster: str, rules: Rules, settings: FoldSettings | None = None) -> None:
        self.settings = settings or FoldSettings()
        self.state = State(cluster, self.settings)
        self._observer = Observer(self.state, rules, self.settings)
        self._decider = Decider(self.state, rules, self.settings)
        self._closer = TraceCloser(self.state, self.settings, self._decider.chooser)

    def load(
        self,
        objects: Iterable[bytes],
        owners: Iterable[OwnerRow],
        occurrences: Iterable[bytes],
        traces: Iterable[bytes],
        clock: bytes,
    ) -> None:
        """Continue from the rows of a projection; on a new Fold, before the first record.

        Args:
            objects: states of the objects that are remembered (msgpack).
            owners: the owners of these objects.
            occurrences: those that wait for their cause and those in open traces (msgpack).
            traces: open traces (msgpack).
            clock: the scalar state (msgpack); empty for an empty projection.
        """
        self.state.load(objects, owners, occurrences, traces, clock)

    def apply(self, sequence: int, record: LogRecord) -> None:
        """Apply the next record of the journal; ``sequence`` is its number there."""
        clock = self.state.clock
        if not clock.is_held:
            now, until = clock.now, record.recorded_at
            if until < now:
                until = now
            if self.state.schedule.next_time <= until:
                clock.watch_until(now if record.reason == ENDED else until)
                self._wake(until)
            if until != now:
                clock.advance(until)
        if record.type is RecordType.TICK:
            self._tick(record)
        elif record.type is RecordType.GAP:
            row = GapRow(sequence, record.resource, record.gap_from, record.gap_to, record.reason, record.recorded_at)
            self.state.add_gap(row, _gap(record, clock.before))
        else:
            self._observer.observe(record)

    def _tick(self, record: LogRecord) -> None:
        clock = self.state.clock
        if record.reason == HELD:
            clock.hold()
        elif clock.is_held:
            # What became due in the meantime is done now: a trace was not quiet only because nobody watched.
            stood = clock.now
            clock.resume(record.recorded_at)
            clock.watch_until(stood if record.reason == ENDED else clock.now)
            self._wake(clock.now)

    def take_delta(self) -> Delta:
        """The rows that changed since the last call."""
        return self.state.take_delta()

    def next_deadline(self) -> int:
        """The next time at which a cause is chosen or a trace is checked (ns); 0 if nothing waits."""
        deadline = self.state.schedule.deadline
        return deadline if deadline < NEVER else 0

    @property
    def invalid_contexts(self) -> int:
        """Number of changes whose object carried an invalid trace context, which was ignored."""
        return self.state.clock.invalid_contexts

    @property
    def pending_occurrences(self) -> int:
        """Number of occurrences that wait for their cause."""
        return self.state.pending_count

    @property
    def open_traces(self) -> int:
        """Number of open traces."""
        return self.state.open_traces

    @property
    def is_held(self) -> bool:
        """True if event time stands still until the next TICK, because changes may be missing."""
        return self.state.clock.is_held

    @property
    def now(self) -> int:
        """Event time (ns)."""
        return self.state.clock.now

    def _wake(self, until: int) -> None:
        """Do everything that is due up to ``until``, each at its own time."""
        schedule, clock = self.state.schedule, self.state.clock
        while (at := schedule.next_time) <= until:
            clock.advance(at)
            if (occ := schedule.pop_occurrence()) is not None:
                self._decider.decide(occ)
            elif (name := schedule.pop_check()) is not None:
                self._closer.check(name)
            else:
                self._closer.forget_object(schedule.pop_expiry())


def _gap(record: LogRecord, before: int) -> Gap:
    """The interval of a GAP record. Those of kspan 0.2.0 do not state when the stream was last watched: then it is the
    event time ``before`` the record, which kspan 0.2.0 gave the time of the disconnect."""
    start, end = version_number(record.gap_from, record.epoch), version_number(record.gap_to, record.epoch)
    details = _details(record.payload) if record.payload else GapDetails()
    since = parse_time_or_zero(details.watched_until) or before
    until = max(record.recorded_at, parse_time_or_zero(details.listed_at))
    # If resourceVersions started over, they did so in this gap.
    return Gap(start - EPOCH_STEP if start > end else start, end, min(since, until), until)
