"""The fold: ``state', delta = apply(state, record)``. Pure: time comes in with the records.

Same journal, same state, same ids, whatever was killed in between: the logical clock is the greatest ``recorded_at`` so
far, and whatever was to happen up to then (decisions, closings) happens at its own time before a record is looked at.
"""

from collections.abc import Iterable

from kspan.graph.cause.decide import Decider
from kspan.graph.observe.observer import Observer
from kspan.graph.rules.rules import Rules
from kspan.graph.state.schedule import NEVER
from kspan.graph.state.state import State
from kspan.graph.trace.closing import Resolver
from kspan.k8s.resource_version import EPOCH_STEP, version_number
from kspan.model import Delta, GapRow, LogRecord, OwnerRow, RecordType
from kspan.settings import FoldSettings


class Fold:
    """The projection of one cluster's journal, as far as it is live."""

    def __init__(self, cluster: str, rules: Rules, settings: FoldSettings | None = None) -> None:
        self.settings = settings or FoldSettings()
        self.state = State(cluster, self.settings)
        self._observer = Observer(self.state, rules, self.settings)
        self._decider = Decider(self.state, rules, self.settings)
        self._resolver = Resolver(self.state, self.settings)

    def load(
        self,
        objects: Iterable[bytes],
        owners: Iterable[OwnerRow],
        occurrences: Iterable[bytes],
        traces: Iterable[bytes],
        clock: bytes,
    ) -> None:
        """Goes on from the rows of what was live; on a new Fold, before the first record.

        ``objects``, ``occurrences`` (those that wait and those in open traces) and ``traces`` are the fold's own
        records (msgpack) of them.
        """
        self.state.load(objects, owners, occurrences, traces, clock)

    def apply(self, sequence: int, record: LogRecord) -> None:
        """Takes in the next record of the journal; ``sequence`` is its number there."""
        clock = self.state.clock
        until = max(clock.now, record.recorded_at)
        if self.state.schedule.next_time <= until:
            self._wake(until)
        clock.advance(until)
        if record.type is RecordType.GAP:
            start, end = version_number(record.gap_from, record.epoch), version_number(record.gap_to, record.epoch)
            # Versions that started over did so in this gap.
            row = GapRow(sequence, record.resource, record.gap_from, record.gap_to, record.reason, record.recorded_at)
            self.state.add_gap(row, start - EPOCH_STEP if start > end else start, end)
        elif record.type is not RecordType.TICK:
            self._observer.observe(record)

    def take_delta(self) -> Delta:
        """What the records since the last call changed."""
        return self.state.take_delta()

    def next_deadline(self) -> int:
        """When something that waits wants time to have passed (ns), 0 where nothing waits."""
        deadline = self.state.schedule.deadline
        return deadline if deadline < NEVER else 0

    @property
    def invalid_contexts(self) -> int:
        """Changes whose object carried a trace context that is none, and that were ignored for that, so far."""
        return self.state.clock.invalid_contexts

    @property
    def pending_occurrences(self) -> int:
        """Number of occurrences whose cause is not decided."""
        return self.state.pending_count

    @property
    def open_traces(self) -> int:
        """Number of traces that are not closed."""
        return self.state.open_traces

    @property
    def now(self) -> int:
        """Logical time, in ns."""
        return self.state.clock.now

    def _wake(self, until: int) -> None:
        """Do everything that is due up to ``until``, each at its own time."""
        schedule, clock = self.state.schedule, self.state.clock
        while (at := schedule.next_time) <= until:
            clock.advance(at)
            if (occ := schedule.pop_occurrence()) is not None:
                self._decider.decide(occ)
            elif (name := schedule.pop_check()) is not None:
                self._resolver.check(name)
            else:
                self._resolver.forget_object(schedule.pop_expiry())
