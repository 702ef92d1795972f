"""The live state of the fold: two directed graphs, and indexes derived from them. Pure data.

``ownership`` (owner -> dependent) has the uids of objects as nodes.
``causality`` (cause -> effect) has the span ids of occurrences as nodes, once their cause is decided: half of all
Events are repeats and never get there.
All indexes can be computed from the rows of what is live, so that a restart needs no other data.

State changes only through methods. Each marks the rows that it changes, so that the next delta writes them.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Set
from typing import Final

import msgspec
from msgspec.structs import replace

from kspan.graph.rules.rules import Subject
from kspan.graph.state.delta_builder import DeltaBuilder
from kspan.graph.state.event_clock import EventClock
from kspan.graph.state.event_index import EventIndex
from kspan.graph.state.objects import Objects
from kspan.graph.state.records import (
    ContainerTurn,
    EventTrack,
    Finalizer,
    Gap,
    KnownChange,
    News,
    Note,
    ObjectState,
    Occurrence,
    Place,
    Repeat,
    Trace,
    Transition,
)
from kspan.graph.state.schedule import Schedule
from kspan.graph.state.trace_index import TraceIndex
from kspan.model import Delta, GapRow, OwnerRow, SpanRow, TraceRow, Verdict
from kspan.settings import FoldSettings

NOTES_KEPT: Final = 64
"""Transitions noted on one span: with its repeats hardly more events than a receiver accepts."""

REPEATS_KEPT: Final = 128
"""Span events of one span: SDKs and receivers accept no more by default (OTEL_SPAN_EVENT_COUNT_LIMIT)."""


class State:
    """Objects, occurrences and traces that are live, and their rows that changed since the last delta."""

    def __init__(self, cluster: str, settings: FoldSettings) -> None:
        self.cluster: Final = cluster
        self._settings = settings
        self.clock: Final = EventClock()
        self._events = EventIndex()
        self._traces = TraceIndex()
        self._occurrences: dict[str, Occurrence] = {}
        self._pending: dict[str, set[str]] = defaultdict(set)
        self._delta = DeltaBuilder()
        self.schedule: Final = Schedule()
        self.objects: Final = Objects(settings, self.clock, self.schedule, self._delta, self._occurrences)
        # Frequent questions skip a call.
        self.object: Final[Callable[[str], ObjectState | None]] = self.objects.get
        self.occurrence: Final[Callable[[str], Occurrence | None]] = self._occurrences.get
        """The occurrence with this span id, if it waits or is in an open trace."""
        self.trace: Final[Callable[[str], Trace | None]] = self._traces.by_id.get
        """The open trace with this id."""
        self.events_about: Final = self._events.about
        self.decisions: Final = self._events.decisions
        self.of_containers: Final = self._events.of_containers
        self.top_level_events: Final = self._events.top_level
        self.members: Final = self._traces.members
        self.roots: Final = self._traces.roots
        self.continuing: Final = self._traces.continuing
        self.direct_effects_of: Final = self._traces.direct_effects_of
        self.effects_of: Final = self._traces.effects_of

    @property
    def memory(self) -> int:
        """For how long an object is remembered that was only mentioned (ns)."""
        return self._settings.max_trace_age

    # changes and transitions of objects --------------------------------------------------------------------------

    def add_change(self, obj: ObjectState, occ: Occurrence, change: KnownChange) -> None:
        """Add a change of an object as an occurrence that waits for its cause, unless it is known."""
        if not self.holds(occ.id):
            if not obj.progressing and occ.verb != "Delete":
                occ.until = occ.time
            self.objects.add_change(obj, change)
            self.add_occurrence(occ)

    def add_inferred_changes(self, obj: ObjectState, inferred: list[tuple[Occurrence, KnownChange]], near: int) -> None:
        """Add unseen changes of an object, oldest first, as occurrences; inferred for one at ``near`` (ns)."""
        self.objects.add_inferred_changes(obj, [change for _, change in inferred], near)
        for occ, _ in inferred:
            occ.arrival = self.clock.next_arrival()
            # Nobody saw how long they took. Only a Job states when it ended.
            occ.until = max(occ.time, obj.ended)
            self.add_occurrence(occ)

    def publish_change(self, obj: ObjectState) -> Occurrence:
        """Promote the object's unpublished label change to an occurrence, because something was caused by it."""
        occ = self.objects.take_unpublished(obj)
        occ.arrival, occ.received = self.clock.next_arrival(), self.clock.now
        effect = "labelled" if obj.kind == "Node" else "joined" if obj.owner else ""
        self.add_change(obj, occ, KnownChange(occ.id, occ.verb, occ.rv, occ.time, effect=effect, manual=True))
        return occ

    def add_transition(self, obj: ObjectState, occ: Occurrence, transition: Transition) -> None:
        """Add a condition transition of an object as an occurrence that waits for its cause."""
        self.objects.add_transition(obj, transition)
        self.add_occurrence(occ)

    def add_container_turn(self, obj: ObjectState, occ: Occurrence, turn: ContainerTurn) -> None:
        """Add the end or the restart of a container as an occurrence that waits for its cause."""
        self.objects.add_container_turn(obj, turn)
        self.add_occurrence(occ)

    # occurrences -------------------------------------------------------------------------------------------------

    def holds(self, span: str) -> bool:
        """True if there is such an occurrence, and it waits or is in an open trace."""
        return span in self._occurrences

    def is_pending(self, uid: str) -> bool:
        """True if an occurrence of this object waits for its cause."""
        return uid in self._pending

    def pending_of(self, uid: str) -> Set[str]:
        """Span ids of an object's occurrences that wait for their cause."""
        return self._pending.get(uid, frozenset())

    @property
    def pending_count(self) -> int:
        """Occurrences that wait for their cause."""
        return sum(map(len, self._pending.values()))

    def event_track(self, obj: ObjectState, event_uid: str) -> EventTrack | None:
        """How far an Event about this object was followed, if it was."""
        return self._events.tracks.newest(obj, event_uid)

    def messages_about(self, obj: ObjectState) -> set[str]:
        """The messages of Events about an object that are remembered, as far as the object leads to them."""
        traces = {*obj.episodes, obj.quiet, *(c.trace for c in obj.changes), *(t.trace for t in obj.transitions)}
        waiting = [self._occurrences[span] for span in self.pending_of(obj.uid)]
        placed = (occ for name in sorted(traces) if self.is_open(name) for occ in self.members(name))
        events = [occ for occ in (*waiting, *placed) if occ.event_uid and occ.reported_uid == obj.uid]
        return {*(occ.message for occ in events), *(track.message for track in obj.events.values())}

    def placed_before(self, occ: Occurrence) -> Occurrence | None:
        """The newest other occurrence of the same Event that is in a trace."""
        return self._events.tracks.placed_before(occ)

    def add_occurrence(self, occ: Occurrence) -> None:
        """Add an occurrence, unless it is known. It waits for its cause until its hold is over."""
        if occ.id in self._occurrences:
            return  # An Event that returned to an earlier message without counting.
        self._occurrences[occ.id] = occ
        if occ.event_uid:
            self._events.add(occ)
        self._pending[occ.uid].add(occ.id)
        self.schedule.hold(occ, self.clock.now + self._settings.hold)
        self._delta.spans[occ.id] = occ

    def set_subject(self, occ: Occurrence, subject: Subject) -> None:
        """Set which object an Event is about that was indexed without one."""
        occ.subject = subject
        self._events.add_subject(occ)
        self._delta.spans[occ.id] = occ

    def start_deciding(self, occ: Occurrence) -> None:
        """Note that an occurrence waits no longer."""
        occ.decided = True
        waiting = self._pending.get(occ.uid)
        if waiting is not None:
            waiting.discard(occ.id)
            if not waiting:
                del self._pending[occ.uid]
        self._delta.spans[occ.id] = occ

    def identify(self, occ: Occurrence, obj: ObjectState) -> None:
        """Set the object of an Event that has only its name."""
        occ.uid = obj.uid
        self._delta.spans[occ.id] = occ

    def set_revision(self, occ: Occurrence, revision: str) -> None:
        """Set for which revision of its source an object waits, according to one of its transitions."""
        occ.revision = revision
        self._delta.spans[occ.id] = occ
        obj = self.object(occ.uid)
        if obj is not None and revision:
            self.objects.note_revision(obj, News(occ.id, occ.rv, occ.time, revision))

    def describe(self, occ: Occurrence, actor: str = "", message: str = "") -> None:
        """Set who acted, and why, if that is known."""
        if actor or message:
            occ.actor, occ.message = actor or occ.actor, message or occ.message
            self._delta.spans[occ.id] = occ

    def set_reporting_event(self, change: Occurrence, event: Occurrence) -> None:
        """Set the Event that reports a change."""
        change.reported_by = event.id
        self._delta.spans[change.id] = change

    def ignore_context(self, occ: Occurrence) -> None:
        """Ignore the trace context of a change's object."""
        occ.traceparent = occ.related = ""
        self._delta.spans[occ.id] = occ

    def relate(self, occ: Occurrence, context: str) -> None:
        """Link an occurrence to the trace of a context instead of joining it."""
        occ.related = context
        self._delta.spans[occ.id] = occ

    def add_notes(self, occ: Occurrence, notes: Iterable[Note]) -> None:
        """Note transitions on the span of an occurrence, if there is room."""
        if len(occ.notes) < NOTES_KEPT:
            occ.notes = (*occ.notes, *notes)
            self._delta.spans[occ.id] = occ

    def replace_note(self, occ: Occurrence, old: Note, new: Note) -> None:
        """Replace a noted transition by one to the same status, with a newer message."""
        occ.notes = tuple(new if note is old else note for note in occ.notes)
        self._delta.spans[occ.id] = occ

    def set_finalizers(self, occ: Occurrence, finalizers: tuple[Finalizer, ...]) -> None:
        """Set the finalizers that have held a deletion so far."""
        if finalizers != occ.finalizers:
            occ.finalizers = finalizers
            self._delta.spans[occ.id] = occ

    def add_repeat(self, last: Occurrence, occ: Occurrence, count: int) -> None:
        """Make an occurrence a span event of an earlier one, and drop it."""
        repeat = Repeat(occ.time, count, occ.message, occ.arrival)
        kept = last.repeats
        if len(kept) == REPEATS_KEPT:
            # The newest one has the last time and the total count.
            repeat, kept = max(kept[-1], repeat, key=lambda r: r.arrival), kept[:-1]
        last.repeats = (*kept, repeat)
        last.warning = last.warning or occ.warning
        if occ.notes:
            last.notes = (*last.notes, *occ.notes)[:NOTES_KEPT]
        self._delta.spans[last.id] = last
        trace = self._traces.by_id[last.place.trace]
        trace.active, trace.last = max(trace.active, self.clock.now), max(trace.last, occ.time)
        trace.warning = trace.warning or occ.warning
        self._delta.traces[trace.id] = None
        if occ.event_uid:
            self.objects.merge_news(occ, last)
        self._delta.drop_occurrence(occ)
        self._remove_occurrence(occ, is_repeat=True)

    def add_routine(self, last: Occurrence, occ: Occurrence) -> None:
        """Make a routine Event a span event of another Event with this reason, and drop it."""
        count = (last.repeats[-1].count if last.repeats else 1) + 1
        # It says nothing about the repeats of the other Event, hence no arrival.
        last.repeats = (*last.repeats[: REPEATS_KEPT - 1], Repeat(occ.time, count, occ.message, 0))
        last.warning = last.warning or occ.warning
        self._delta.spans[last.id] = last
        trace = self._traces.by_id[last.place.trace]
        trace.active, trace.last = max(trace.active, self.clock.now), max(trace.last, occ.time)
        trace.warning = trace.warning or occ.warning
        self._delta.traces[trace.id] = None
        self._keep_track(occ)
        self._delta.drop_occurrence(occ)
        self._remove_occurrence(occ)

    def start_quiet(self, obj: ObjectState, occ: Occurrence) -> None:
        """Make the trace of a placed occurrence the one of the object's routine Events."""
        trace = self._traces.by_id[occ.place.trace]
        trace.quiet = True
        self._delta.traces[trace.id] = None
        self.objects.set_quiet(obj, trace.id)

    def _remove_occurrence(self, occ: Occurrence, *, is_repeat: bool = False) -> None:
        if occ.place.trace:
            self._traces.remove_occurrence(occ.id)
        del self._occurrences[occ.id]
        if occ.event_uid:
            self._events.remove(occ, is_repeat=is_repeat)

    # traces ------------------------------------------------------------------------------------------------------

    @property
    def open_traces(self) -> int:
        """Number of open traces."""
        return len(self._traces.by_id)

    def is_open(self, trace: str) -> bool:
        """True if there is an open trace with this id."""
        return trace in self._traces.by_id

    def place(self, occ: Occurrence, place: Place, *, previous: str = "") -> None:
        """Place an occurrence in a trace, which is opened if necessary, to follow the trace ``previous``."""
        now = self.clock.now
        trace = self.trace(place.trace)
        if trace is None:
            trace = self._open_trace(place.trace, previous)
        active, time = occ.received if occ.run is not None and self._is_last(occ) else now, occ.time
        if active > trace.active:
            trace.active = active
        if time < trace.first or not trace.first:
            trace.first = time
        if time > trace.last:
            trace.last = time
        trace.warning = trace.warning or occ.warning
        trace.remote = trace.remote or bool(place.remote_parent)
        occ.place = place
        self._traces.join(occ)
        if occ.event_uid:
            self._events.tracks.placed(occ)
        self._delta.traces[trace.id] = None
        self._delta.spans[occ.id] = occ
        self.objects.note_trace(occ)

    def _is_last(self, occ: Occurrence) -> bool:
        """True for the end of a container (``occ``) of a Pod that is being deleted: nothing follows from it."""
        pod = self.object(occ.uid)
        return pod is not None and pod.deleting

    def _open_trace(self, name: str, previous: str) -> Trace:
        now = self.clock.now
        trace = Trace(name, now, now, now + self._settings.settle, previous_trace=previous)
        self._traces.add(trace)
        self._delta.open_trace(name)
        self.schedule.check_trace(name, trace.check)
        return trace

    def start_episode(self, obj: ObjectState, name: str) -> None:
        """Set a trace of what follows a closed trace of an object, or no known cause."""
        self.objects.set_episodes(obj, (*filter(self.is_open, obj.episodes), name))

    def rename_trace(self, trace: Trace, name: str) -> None:
        """Give an open trace another id."""
        kept = self.objects.continuation(trace.id)
        self._delta.drop_trace(trace.id)
        self._traces.rename(trace.id, name)
        if kept is not None:
            self.objects.open_continuation(*kept, name)
        for occ in self.members(name):
            occ.place = replace(occ.place, trace=name)
            self._delta.spans[occ.id] = occ
            self.objects.note_trace(occ)

    def leave_trace(self, occ: Occurrence) -> None:
        """Take an occurrence out of its trace; it joins another one next."""
        self._traces.leave(occ)
        self._delta.traces[occ.place.trace] = None

    def drop_if_empty(self, name: str) -> None:
        """Remove an open trace whose occurrences have all moved to another one."""
        if self.is_open(name) and not self._traces.size(name):
            self._delta.drop_trace(name)
            self._traces.remove(name)

    def change_place(self, occ: Occurrence, place: Place) -> None:
        """Change the place of an occurrence within its trace."""
        occ.place = place
        self._traces.connect(occ)
        self._delta.spans[occ.id] = occ

    def check_again(self, trace: Trace, at: int) -> None:
        """Check a trace again at ``at`` (ns)."""
        trace.check = at
        self._delta.traces[trace.id] = None
        self.schedule.check_trace(trace.id, at)

    def check_soon(self, name: str) -> None:
        """Check a trace when it may be resolved at the earliest, if it is open."""
        trace, soon = self.trace(name), self.clock.now + self._settings.settle
        if trace is not None and soon < trace.check:
            self.check_again(trace, soon)

    def check_traces_of(self, obj: ObjectState) -> None:
        """Check the open traces of an object soon: it began or ceased to fail."""
        acts = {change.trace for change in obj.changes} | {news.trace for news in obj.news}
        continued = (kept[1].trace for name in acts if (kept := self.objects.continuation(name)) is not None)
        for found in sorted({*acts, *obj.episodes, *continued}):
            self.check_soon(found)

    def note_failing(self, trace: Trace, uids: Iterable[str]) -> None:
        """Note that objects are failing in a trace now."""
        trace.failing = tuple(sorted({*trace.failing, *uids}))
        trace.failing_until = self.clock.now
        self._delta.traces[trace.id] = None

    def note_verdict(self, trace: Trace, verdict: Verdict) -> None:
        """Note how an open trace stands."""
        found = str(verdict.outcome or ""), verdict.reason
        if (trace.outcome, trace.reason) != found:
            trace.outcome, trace.reason = found
            self._delta.traces[trace.id] = None

    def close_trace(self, trace: Trace, row: TraceRow, spans: Iterable[tuple[Occurrence, SpanRow]]) -> None:
        """Write the final rows of a trace and its spans, and remove them."""
        for occ, span in spans:
            self._delta.close_span(occ, span)
            self._keep_track(occ)
            self._remove_occurrence(occ)
            if occ.inferred_from and occ.verb:
                self.objects.keep_inferred_change(occ)
        if trace.remote:
            self.clock.note_closed(trace.id)
        self._delta.close_trace(row)
        self._traces.remove(trace.id)

    def discard_trace(self, trace: Trace) -> None:
        """Remove a trace that only has unseen changes to which nothing refers, as if they had not been inferred."""
        for occ in self.members(trace.id):
            self._delta.drop_occurrence(occ)
            self._remove_occurrence(occ)
            self.objects.drop_inferred_change(occ)
        self._delta.drop_trace(trace.id)
        self._traces.remove(trace.id)

    def _keep_track(self, occ: Occurrence) -> None:
        obj = self.object(occ.reported_uid) if occ.event_uid else None
        if obj is not None and self._events.tracks.keep(occ, obj):
            self._delta.objects[obj.uid] = None

    # time --------------------------------------------------------------------------------------------------------

    def add_gap(self, row: GapRow, gap: Gap) -> None:
        """Note that a stream was not watched for some time."""
        self.clock.add_gap(row.resource, gap)
        self._delta.add_gap(row)

    # rows --------------------------------------------------------------------------------------------------------

    def take_delta(self) -> Delta:
        """The rows that changed since the last call."""
        return self._delta.take(self.object, self._trace_and_size, self.clock.encoded())

    def _trace_and_size(self, name: str) -> tuple[Trace, int] | None:
        trace = self.trace(name)
        return (trace, self._traces.size(name)) if trace is not None else None

    def load(
        self,
        objects: Iterable[bytes],
        owners: Iterable[OwnerRow],
        occurrences: Iterable[bytes],
        traces: Iterable[bytes],
        clock: bytes,
    ) -> None:
        """Continue from the rows of what is live in a projection."""
        if clock:
            self.clock.load(clock)
        for raw in objects:
            self.objects.load(raw)
        for row in owners:
            self.objects.own(row)
        loaded = [msgspec.msgpack.decode(raw, type=Occurrence) for raw in occurrences]
        self._load_occurrences(sorted(loaded, key=lambda occ: occ.arrival))
        opened = (msgspec.msgpack.decode(raw, type=Trace) for raw in traces)
        for trace in sorted(opened, key=lambda trace: (trace.opened, trace.id)):
            self._traces.add(trace)
            self.schedule.check_trace(trace.id, trace.check)
        self._delta.clear()

    def _load_occurrences(self, occurrences: list[Occurrence]) -> None:
        for occ in occurrences:
            self._occurrences[occ.id] = occ
            if occ.event_uid:
                self._events.add(occ)
            self._delta.loaded(occ)
            if not occ.decided:
                self._pending[occ.uid].add(occ.id)
                self.schedule.hold(occ, occ.received + self._settings.hold)
        self._traces.load([occ for occ in occurrences if occ.decided])
