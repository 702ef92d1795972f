"""The live state of the fold: two directed graphs, and indexes derived from them. Pure data.

``ownership`` (owner -> dependent, nodes are uids) has an ObjectState on each node.
``causality`` (cause -> effect, nodes are span ids) has an Occurrence on each node, once its cause is decided: half of
all Events are repeats and never get there.
All indexes can be computed from the rows of what is live, so that a restart needs no other data.

State changes only through methods. Each marks the rows that it changes, so that the next delta writes them.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Set
from typing import Final, TypeVar

import msgspec

from kspan.graph.rules.rules import Subject
from kspan.graph.state.delta_builder import DeltaBuilder
from kspan.graph.state.event_clock import EventClock
from kspan.graph.state.event_index import EventIndex
from kspan.graph.state.object_index import ObjectIndex
from kspan.graph.state.records import (
    EventTrack,
    KnownChange,
    LostDependent,
    Note,
    ObjectState,
    Occurrence,
    Place,
    Refusal,
    Repeat,
    Replacement,
    Trace,
    Transition,
)
from kspan.graph.state.schedule import Schedule
from kspan.graph.state.trace_index import TraceIndex
from kspan.model import Delta, GapRow, OwnerRow, SpanRow, TraceRow
from kspan.settings import FoldSettings

DEPENDENTS_KEPT: Final = 256
"""Lost dependents and replacements of one owner: its controller is never further behind with replacing them."""

TRANSITIONS_KEPT: Final = 48
"""Transitions of one object that can be causes. As many may wait for their cause; more are skipped."""

ANNOUNCEMENTS_KEPT: Final = 8
"""Announcements of a deletion, until it happens."""

NOTES_KEPT: Final = 64
"""Transitions noted on one span: with its repeats hardly more events than a receiver accepts."""

REPEATS_KEPT: Final = 128
"""Span events of one span: SDKs and receivers accept no more by default (OTEL_SPAN_EVENT_COUNT_LIMIT)."""

Dependent = TypeVar("Dependent", LostDependent, Replacement)


class State:
    """Objects, occurrences and traces that are live, and their rows that changed since the last delta."""

    def __init__(self, cluster: str, settings: FoldSettings) -> None:
        self.cluster: Final = cluster
        self._settings = settings
        self.clock: Final = EventClock()
        self._objects = ObjectIndex()
        self._events = EventIndex()
        self._occurrences: dict[str, Occurrence] = {}
        self._traces = TraceIndex()
        self._pending: dict[str, set[str]] = defaultdict(set)
        self._changes = DeltaBuilder()
        self.schedule: Final = Schedule()
        # The most frequent questions skip a call.
        self.object: Final[Callable[[str], ObjectState | None]] = self._objects.by_uid.get
        """The object with this uid, if it is remembered."""
        self.occurrence: Final[Callable[[str], Occurrence | None]] = self._occurrences.get
        """The occurrence with this span id, if it waits or is in an open trace."""
        self.trace: Final[Callable[[str], Trace | None]] = self._traces.by_id.get
        """The open trace with this id."""
        self.named: Final = self._objects.named
        self.dependents: Final = self._objects.dependents
        self.has_dependents: Final = self._objects.has_dependents
        self.owner_row: Final = self._objects.owner_row
        self.refused_by: Final = self._objects.refused_by
        self.members: Final = self._traces.members
        self.effects_of: Final = self._traces.effects_of

    # objects -----------------------------------------------------------------------------------------------------

    def objects(self) -> Iterable[ObjectState]:
        """All objects. For rare questions: their number is the cluster's size."""
        return self._objects.by_uid.values()

    def named_or_all(self, kind: str, namespace: str, name: str) -> list[ObjectState]:
        """Like ``named``; without a name all objects of the kind in the namespace."""
        return self.named(kind, namespace, name) if name else self._objects.in_namespace(kind, namespace)

    def put_object(self, obj: ObjectState) -> None:
        """Add an object, or replace the one with the same uid."""
        if self._objects.put(obj):
            self._changes.replace_object(obj.uid)
        else:
            self._changes.objects[obj.uid] = None

    def reference_object(self, uid: str, kind: str, namespace: str, name: str, api_version: str = "") -> ObjectState:
        """The object with this uid; one that was not seen yet is remembered for the maximum age of a trace."""
        obj = self.object(uid)
        if obj is None:
            now = self.clock.now
            obj = ObjectState(uid, kind, namespace, name, created=now, seen=now)
            self.put_object(obj)
            self._expire(obj, now + self._settings.max_trace_age)
        if api_version and not obj.api_version:
            obj.api_version = api_version
            self._changes.objects[uid] = None
        return obj

    def own(self, row: OwnerRow) -> None:
        """Add an edge owner -> dependent."""
        if self._objects.own(row):
            self._changes.add_owner(row)

    def refuse(self, obj: ObjectState, refusal: Refusal) -> None:
        """Note what the controller of an object was refused, and because of which object."""
        self._objects.set_refusal(obj, refusal)
        self._changes.objects[obj.uid] = None

    def delete_object(self, obj: ObjectState, reached: int) -> None:
        """Note that an object is gone from the cluster since ``reached`` (ns)."""
        now = self.clock.now
        obj.reached, obj.deleted, obj.settled, obj.progressing = reached, now, now, False
        self._changes.replace_object(obj.uid)
        self._expire(obj, now + self._settings.max_trace_age)
        owner = self.object(obj.owner) if obj.owner else None
        for lost in owner.lost_dependents if owner is not None else ():
            if lost.uid == obj.uid:
                lost.gone = now
                self._changes.objects[obj.owner] = None

    def postpone_forgetting(self, obj: ObjectState) -> None:
        """Remember an object for another maximum age of a trace."""
        self._expire(obj, self.clock.now + self._settings.max_trace_age)
        self._changes.objects[obj.uid] = None

    def _expire(self, obj: ObjectState, at: int) -> None:
        obj.forget = at
        self.schedule.forget_object(obj.uid, at)

    def forget_object(self, obj: ObjectState) -> None:
        """Remove an object that is deleted and can cause nothing any more. Its row stays, without the fold's state."""
        self._changes.forget_object(obj)
        self._objects.remove(obj)

    # changes and transitions of objects --------------------------------------------------------------------------

    def add_change(self, obj: ObjectState, occ: Occurrence, change: KnownChange) -> None:
        """Add a change of an object as an occurrence that waits for its cause, unless it is known."""
        if self.holds(occ.id):
            return
        horizon, live = self.clock.now - self._settings.max_trace_age, self.holds
        # After an outage of ours all of it comes at once: what is still to be decided, or in an open trace, is not old.
        obj.changes = [c for c in obj.changes if c.time >= horizon or live(c.span) or c is obj.changes[-1]]
        obj.changes.append(change)
        if obj.lost_dependents:
            obj.lost_dependents, obj.replacements = self._recent(obj.lost_dependents), self._recent(obj.replacements)
        self.add_occurrence(occ)
        self._changes.objects[obj.uid] = None

    def add_inferred_changes(self, obj: ObjectState, inferred: list[tuple[Occurrence, KnownChange]]) -> None:
        """Add unseen changes that were inferred from an object's baseline, oldest first. This happens once."""
        obj.baseline = None
        self._changes.objects[obj.uid] = None
        obj.changes[:0] = [change for _, change in inferred]
        for occ, _ in inferred:
            occ.arrival = self.clock.next_arrival()
            self.add_occurrence(occ)

    def add_assumed_change(self, obj: ObjectState, change: KnownChange) -> None:
        """Add a change that an Event stands for; it has no occurrence of its own."""
        obj.changes.append(change)
        self._changes.objects[obj.uid] = None

    def keep_unpublished(self, obj: ObjectState, occ: Occurrence) -> None:
        """Keep a change of labels. It becomes an occurrence only if something is caused by it."""
        obj.unpublished = occ
        self._changes.objects[obj.uid] = None

    def publish_change(self, obj: ObjectState) -> Occurrence:
        """Promote the object's unpublished label change to an occurrence, because something was caused by it."""
        occ = obj.unpublished
        assert occ is not None, "only called for an object with an unpublished change"
        obj.unpublished = None
        occ.arrival, occ.received = self.clock.next_arrival(), self.clock.now
        effect = "labelled" if obj.kind == "Node" else "joined" if obj.owner else ""
        self.add_change(obj, occ, KnownChange(occ.id, occ.verb, occ.rv, occ.time, turned=effect, manual=True))
        return occ

    def add_lost_dependent(self, obj: ObjectState, lost: LostDependent) -> None:
        """Note on its owner, whether seen or not, that a dependent was deleted, orphaned or finished."""
        if obj.owner:
            row = self.owner_row(obj.owner, obj.uid)
            assert row is not None, "owners are remembered as long as their dependents"
            owner = self.reference_object(row.owner_uid, row.owner_kind, obj.namespace, row.owner_name)
            owner.lost_dependents = (*self._recent(owner.lost_dependents), lost)
            self._changes.objects[owner.uid] = None

    def add_replacement(self, owner: ObjectState, replacement: Replacement) -> None:
        """Note a new dependent of an owner that lost some."""
        owner.replacements = (*self._recent(owner.replacements), replacement)
        self._changes.objects[owner.uid] = None

    def _recent(self, dependents: tuple[Dependent, ...]) -> tuple[Dependent, ...]:
        horizon, live = self.clock.now - self._settings.max_trace_age, self.holds
        return tuple(x for x in dependents if x.last >= horizon or live(x.span))[1 - DEPENDENTS_KEPT :]

    def mark_lost_dependent(self, occ: Occurrence, *, ordered: bool) -> None:
        """Note on the owner of a deleted object whether the owner's controller deleted it."""
        obj = self.object(occ.uid)
        owner = self.object(obj.owner) if obj is not None and obj.owner else None
        if owner is None:
            return
        for lost in owner.lost_dependents:
            if lost.span == occ.id:
                lost.ordered = int(ordered)
        self._changes.objects[owner.uid] = None

    def make_room_for_transition(self, obj: ObjectState) -> bool:
        """Drop old transitions of an object. False if too many of the others still wait for their cause."""
        horizon, live = self.clock.now - self._settings.max_trace_age, self.holds
        kept = [t for t in obj.transitions if t.time >= horizon or live(t.span)]
        waiting = sum((occ := self.occurrence(t.span)) is not None and not occ.decided for t in kept)
        obj.transitions = kept[-2 * TRANSITIONS_KEPT :]
        return waiting < TRANSITIONS_KEPT

    def add_transition(self, obj: ObjectState, occ: Occurrence, transition: Transition) -> None:
        """Add a condition transition of an object as an occurrence that waits for its cause."""
        obj.transitions.append(transition)
        self.add_occurrence(occ)
        self._changes.objects[obj.uid] = None

    def announce_deletion(self, obj: ObjectState, note: Note) -> None:
        """Keep a transition that announces an object's deletion until that happens."""
        obj.notes = (*obj.notes, note)[-ANNOUNCEMENTS_KEPT:]
        self._changes.objects[obj.uid] = None

    def take_announcements(self, obj: ObjectState) -> tuple[Note, ...]:
        """The transitions that announced an object's deletion, which happens now."""
        notes, obj.notes = obj.notes, ()
        self._changes.objects[obj.uid] = None
        return notes

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

    def events_about(self, kind: str, namespace: str, name: str) -> list[Occurrence]:
        """The Events of other objects that are about the object with this name."""
        return self._found(self._events.about(kind, namespace, name))

    def decisions(self, uid: str) -> list[Occurrence]:
        """The Events in which an object's own controller reports what it decided."""
        return self._found(self._events.decisions(uid))

    def top_level_events(self, kind: str, namespace: str, name: str) -> list[Occurrence]:
        """The Events of the object with this name that start a trace."""
        return self._found(self._events.top_level(kind, namespace, name))

    def _found(self, spans: list[str]) -> list[Occurrence]:
        return [occ for span in spans if (occ := self.occurrence(span)) is not None]

    def event_track(self, obj: ObjectState, event_uid: str) -> EventTrack | None:
        """How far an Event about this object was followed, if it was."""
        return self._events.tracks.newest(obj, event_uid)

    def placed_before(self, occ: Occurrence) -> Occurrence | None:
        """The newest other occurrence of the same Event that is in a trace."""
        return self._events.tracks.placed_before(occ)

    def add_occurrence(self, occ: Occurrence) -> None:
        """Add an occurrence. It waits for its cause until its hold is over."""
        self._index(occ)
        self._pending[occ.uid].add(occ.id)
        self.schedule.hold(occ, self.clock.now + self._settings.hold)
        self._changes.spans[occ.id] = occ

    def _index(self, occ: Occurrence) -> None:
        self._occurrences[occ.id] = occ
        self._events.add(occ)

    def set_subject(self, occ: Occurrence, subject: Subject) -> None:
        """Set which object an Event is about that was indexed without one."""
        occ.subject = subject
        self._events.add_subject(occ)
        self._changes.spans[occ.id] = occ

    def start_deciding(self, occ: Occurrence) -> None:
        """Note that an occurrence waits no longer."""
        occ.decided = True
        waiting = self._pending.get(occ.uid)
        if waiting is not None:
            waiting.discard(occ.id)
            if not waiting:
                del self._pending[occ.uid]
        self._changes.spans[occ.id] = occ

    def identify(self, occ: Occurrence, obj: ObjectState) -> None:
        """Set the object of an Event that has only its name."""
        occ.uid = obj.uid
        self._changes.spans[occ.id] = occ

    def describe(self, occ: Occurrence, actor: str = "", message: str = "") -> None:
        """Set who acted, and why, if that is known."""
        if actor or message:
            occ.actor, occ.message = actor or occ.actor, message or occ.message
            self._changes.spans[occ.id] = occ

    def set_reporting_event(self, change: Occurrence, event: Occurrence) -> None:
        """Set the Event that reports a change."""
        change.reported_by = event.id
        self._changes.spans[change.id] = change

    def ignore_context(self, occ: Occurrence) -> None:
        """Ignore the trace context of a change's object."""
        occ.traceparent = occ.related = ""
        self._changes.spans[occ.id] = occ

    def relate(self, occ: Occurrence, context: str) -> None:
        """Link an occurrence to the trace of a context instead of joining it."""
        occ.related = context
        self._changes.spans[occ.id] = occ

    def add_notes(self, occ: Occurrence, notes: Iterable[Note]) -> None:
        """Note transitions on the span of an occurrence, if there is room."""
        if len(occ.notes) < NOTES_KEPT:
            occ.notes = [*occ.notes, *notes]
            self._changes.spans[occ.id] = occ

    def add_repeat(self, last: Occurrence, occ: Occurrence, count: int) -> None:
        """Make an occurrence a span event of an earlier one, and drop it."""
        repeat = Repeat(occ.time, count, occ.message, occ.arrival)
        if len(last.repeats) == REPEATS_KEPT:
            # The newest one has the last time and the total count.
            repeat = max(last.repeats.pop(), repeat, key=lambda r: r.arrival)
        last.repeats.append(repeat)
        last.warning = last.warning or occ.warning
        last.notes = [*last.notes, *occ.notes][:NOTES_KEPT]
        self._changes.spans[last.id] = last
        trace = self._traces.by_id[last.place.trace]
        trace.active = max(trace.active, self.clock.now)
        self._changes.traces[trace.id] = None
        self._changes.drop_occurrence(occ)
        self._remove_occurrence(occ)

    def merge_transition(self, obj: ObjectState, transition: Transition, earlier: Occurrence) -> None:
        """Note that a transition became a repeat of an earlier one."""
        transition.span, transition.trace = earlier.id, earlier.place.trace
        self._changes.objects[obj.uid] = None

    def _remove_occurrence(self, occ: Occurrence) -> None:
        self._traces.remove_occurrence(occ.id)
        del self._occurrences[occ.id]
        self._events.remove(occ)

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
        trace.active = max(trace.active, now)
        trace.warning = trace.warning or occ.warning
        occ.place = place
        self._traces.join(occ)
        if occ.event_uid:
            self._events.tracks.placed(occ)
        self._changes.traces[trace.id] = None
        self._changes.spans[occ.id] = occ
        self._note_trace(occ)

    def _open_trace(self, name: str, previous: str) -> Trace:
        now = self.clock.now
        trace = Trace(name, now, now, now + self._settings.settle, previous_trace=previous)
        self._traces.by_id[name] = trace
        self._changes.open_trace(name)
        self.schedule.check_trace(name, trace.check)
        return trace

    def leave_trace(self, occ: Occurrence) -> None:
        """Take an occurrence out of its trace; it joins another one next."""
        self._traces.leave(occ)
        self._changes.traces[occ.place.trace] = None

    def change_place(self, occ: Occurrence, place: Place) -> None:
        """Change the place of an occurrence within its trace."""
        occ.place = place
        self._traces.connect(occ)
        self._changes.spans[occ.id] = occ

    def _note_trace(self, occ: Occurrence) -> None:
        """Note the trace of a change on its object: once the trace is closed, only the object has it."""
        obj = self.object(occ.uid) if occ.verb or occ.condition else None
        if obj is None:
            return
        for cause in obj.changes if occ.verb else obj.transitions:
            if cause.span == occ.id:
                cause.trace = occ.place.trace
        self._changes.objects[obj.uid] = None

    def start_episode(self, obj: ObjectState, name: str) -> None:
        """Note the trace that gathers what happens to an object after its last trace was closed."""
        obj.episodes += 1
        obj.episode = name
        self._changes.objects[obj.uid] = None

    def check_again(self, trace: Trace, at: int) -> None:
        """Check a trace again at ``at`` (ns)."""
        trace.check = at
        self._changes.traces[trace.id] = None
        self.schedule.check_trace(trace.id, at)

    def close_trace(self, trace: Trace, row: TraceRow, spans: Iterable[tuple[Occurrence, SpanRow]]) -> None:
        """Write the final rows of a trace and its spans, and remove them."""
        for occ, span in spans:
            self._changes.close_span(occ, span)
            if occ.place.remote_parent:
                self.clock.note_closed(trace.id)
            self._keep_track(occ)
            self._remove_occurrence(occ)
        self._changes.close_trace(row)
        self._traces.remove(trace.id)

    def _keep_track(self, occ: Occurrence) -> None:
        obj = self.object(occ.reported_uid) if occ.event_uid else None
        if obj is not None and self._events.tracks.keep(occ, obj):
            self._changes.objects[obj.uid] = None

    # time --------------------------------------------------------------------------------------------------------

    def add_gap(self, row: GapRow, start: int, end: int) -> None:
        """Note that a stream was not watched between two resourceVersions."""
        self.clock.add_gap(row.resource, start, end)
        self._changes.add_gap(row)

    # rows --------------------------------------------------------------------------------------------------------

    def take_delta(self) -> Delta:
        """The rows that changed since the last call."""
        return self._changes.take(self.object, self._trace_and_size, self.clock.encoded())

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
            self._load_object(msgspec.msgpack.decode(raw, type=ObjectState))
        for row in owners:
            self._objects.own(row)
        loaded = [msgspec.msgpack.decode(raw, type=Occurrence) for raw in occurrences]
        self._load_occurrences(sorted(loaded, key=lambda occ: occ.arrival))
        for raw in traces:
            trace = msgspec.msgpack.decode(raw, type=Trace)
            self._traces.by_id[trace.id] = trace
            self.schedule.check_trace(trace.id, trace.check)
        self._changes.clear()

    def _load_object(self, obj: ObjectState) -> None:
        self.put_object(obj)
        if obj.refused is not None:
            self.refuse(obj, obj.refused)
        if obj.forget:
            self.schedule.forget_object(obj.uid, obj.forget)

    def _load_occurrences(self, occurrences: list[Occurrence]) -> None:
        for occ in occurrences:
            self._index(occ)
            self._changes.loaded(occ)
            if not occ.decided:
                self._pending[occ.uid].add(occ.id)
                self.schedule.hold(occ, occ.received + self._settings.hold)
        self._traces.load([occ for occ in occurrences if occ.decided])
