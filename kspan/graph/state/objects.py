"""The objects of a cluster: all changes of what the fold remembers of them. Pure data."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, TypeVar

import msgspec

from kspan.graph.observe.field_managers import FieldManagerEntry
from kspan.graph.state.delta_builder import DeltaBuilder
from kspan.graph.state.event_clock import EventClock
from kspan.graph.state.object_index import ObjectIndex, share_loaded
from kspan.graph.state.records import (
    Baseline,
    ContainerTurn,
    Continuation,
    Failure,
    KnownChange,
    LostDependent,
    News,
    Note,
    ObjectState,
    Occurrence,
    Refusal,
    Replacement,
    Transition,
)
from kspan.graph.state.schedule import Schedule
from kspan.model import OwnerRow
from kspan.settings import FoldSettings

PAUSED_KEPT: Final = 16
"""Changes of a paused Deployment that are older than the maximum age of a trace."""

DEPENDENTS_KEPT: Final = 256
"""Lost dependents and replacements of one owner: its controller is never further behind with replacing them."""

TRANSITIONS_KEPT: Final = 48
"""Transitions of one object that can be causes. As many may wait for their cause; more are skipped."""

TURNS_KEPT: Final = 3
"""Ends and restarts of one container: its status shows two, and an Event about one may be late."""

ANNOUNCEMENTS_KEPT: Final = 8
"""Announcements of a deletion, until it happens."""

CONTINUATIONS_KEPT: Final = 8
"""Traces closed while failing that one object continues: a Deployment whose rollouts fail one after the other."""

REFUSALS_KEPT: Final = 4
"""Different objects for which one object waited."""

NEWS_KEPT: Final = 8
"""Events of one object that can be causes of what other objects do."""

Dependent = TypeVar("Dependent", LostDependent, Replacement)


class Objects:
    """Objects by uid, name and owner. Every change marks the rows that it changes.

    ``occurrences`` are those that wait or are in an open trace: changes and dependents that refer to one are kept.
    """

    def __init__(
        self,
        settings: FoldSettings,
        clock: EventClock,
        schedule: Schedule,
        delta: DeltaBuilder,
        occurrences: Mapping[str, Occurrence],
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._schedule = schedule
        self._delta = delta
        self._occurrences = occurrences
        self._index = ObjectIndex()
        self._continued: dict[str, str] = {}  # Traces with a continuation, and their episodes -> uid of its holder.
        # Frequent questions skip a call.
        self.get: Final[Callable[[str], ObjectState | None]] = self._index.by_uid.get
        self.named: Final = self._index.named
        self.dependents: Final = self._index.dependents
        self.has_dependents: Final = self._index.has_dependents
        self.owner_row: Final = self._index.owner_row
        self.owner_kind: Final = self._index.owner_kind
        self.happenings: Final = self._index.happenings
        self.refused_by: Final = self._index.refused_by
        self.consumers: Final = self._index.consumers
        self.targeting: Final = self._index.targeting
        self.publishers: Final = self._index.publishers
        self.requesters: Final = self._index.requesters
        self.has_seen: Final = self._index.has_seen
        self.pods_on: Final = self._index.pods_on

    def all(self) -> Iterable[ObjectState]:
        """All objects. For rare questions: their number is the cluster's size."""
        return self._index.by_uid.values()

    def named_or_all(self, kind: str, namespace: str, name: str) -> list[ObjectState]:
        """Like ``named``; without a name all objects of the kind in the namespace."""
        return self.named(kind, namespace, name) if name else self._index.in_namespace(kind, namespace)

    def put(self, obj: ObjectState) -> None:
        """Add an object, or replace the one with the same uid."""
        if self._index.put(obj):
            self._delta.replace_object(obj.uid)
        else:
            self._delta.objects[obj.uid] = None

    def reference(self, uid: str, kind: str, namespace: str, name: str, api_version: str = "") -> ObjectState:
        """The object with this uid; one that was not seen yet is remembered for the maximum age of a trace."""
        obj = self.get(uid)
        if obj is None:
            now = self._clock.now
            obj = ObjectState(uid, kind, namespace, name, created=now, seen=now)
            self.put(obj)
            self._expire(obj, now + self._settings.max_trace_age)
        if api_version and not obj.api_version:
            obj.api_version = api_version
            self._delta.objects[uid] = None
        return obj

    def owner(self, obj: ObjectState) -> ObjectState | None:
        """The owner that controls an object, whether it was seen or not; None without one."""
        if not obj.owner:
            return None
        row = self.owner_row(obj.owner, obj.uid)
        assert row is not None, "owners are remembered as long as their dependents"
        return self.reference(row.owner_uid, row.owner_kind, obj.namespace, row.owner_name)

    def owners_above(self, obj: ObjectState) -> Iterator[OwnerRow]:
        """The references to the owner that controls an object, to the one that controls that, and so on."""
        here: ObjectState | None = obj
        seen = {obj.uid}
        while here is not None and here.owner not in ("", *seen):
            row = self.owner_row(here.owner, here.uid)
            if row is None:
                return
            yield row
            seen.add(row.owner_uid)
            here = self.get(row.owner_uid)

    def own(self, row: OwnerRow) -> None:
        """Add an edge owner -> dependent."""
        if self._index.own(row):
            self._delta.add_owner(row)

    def refuse(self, obj: ObjectState, refusal: Refusal) -> None:
        """Note what an object, or its controller, was refused, and because of which other object."""
        subject = (refusal.kind, refusal.namespace, refusal.name)
        others = [r for r in obj.refusals if (r.kind, r.namespace, r.name) != subject]
        self._index.set_refusals(obj, (*others[1 - REFUSALS_KEPT :], refusal))
        self._delta.objects[obj.uid] = None

    def add_news(self, obj: ObjectState, news: News) -> None:
        """Note that an object published something, or that another object was requested for it."""
        horizon, live = self._clock.now - self._settings.max_trace_age, self._occurrences.__contains__
        kept = [n for n in obj.news if n.time >= horizon or live(n.span)]
        self._index.set_news(obj, (*kept[1 - NEWS_KEPT :], news))
        self._delta.objects[obj.uid] = None

    def note_revision(self, obj: ObjectState, news: News) -> None:
        """Note what an object does for a revision of its source, if it is the first for that revision since another.

        Whatever the order of arrival: of what follows each other with the same revision, the oldest is kept.
        """
        before = max((n for n in obj.news if n.rv <= news.rv), key=lambda n: n.rv, default=None)
        if before is not None and before.revision == news.revision:
            return
        after = min((n for n in obj.news if n.rv > news.rv), key=lambda n: n.rv, default=None)
        kept = [n for n in obj.news if n is not after or n.revision != news.revision]
        self._index.set_news(obj, tuple(sorted([*kept, news], key=lambda n: n.rv)[-NEWS_KEPT:]))
        self._delta.objects[obj.uid] = None

    def note_applied(self, obj: ObjectState, run: News) -> None:
        """Note that an object is ready with the revision for which it began ``run``."""
        run.applied = obj.rv
        self._delta.objects[obj.uid] = None

    def merge_news(self, occ: Occurrence, earlier: Occurrence) -> None:
        """Note that an Event became a repeat of an earlier one."""
        obj = self.get(occ.reported_uid)
        if obj is None or not obj.news:
            return
        for news in obj.news:
            if news.span == occ.id:
                news.span, news.trace = earlier.id, earlier.place.trace
                self._delta.objects[occ.reported_uid] = None

    def set_quiet(self, obj: ObjectState, trace: str) -> None:
        """Set the trace of an object's routine Events."""
        obj.quiet = trace
        self._delta.objects[obj.uid] = None

    def await_use(self, obj: ObjectState, kind: str) -> None:
        """Note that an object is completed once another of this kind uses it."""
        if obj.awaits != kind:
            obj.awaits = kind
            self._delta.objects[obj.uid] = None

    def set_baseline(self, obj: ObjectState, field_managers: tuple[FieldManagerEntry, ...], *, deleting: bool) -> None:
        """Keep an object as the first list shows it: unseen changes are inferred from that."""
        obj.deleting = deleting
        obj.baseline = Baseline(obj.resource_version, obj.generation, obj.replicas, obj.template, field_managers)
        self._delta.objects[obj.uid] = None

    def mark_deleting(self, obj: ObjectState) -> None:
        """Note that somebody deleted an object; it may still be there for a while."""
        obj.deleting = True
        self._delta.objects[obj.uid] = None

    def delete(self, obj: ObjectState, reached: int) -> None:
        """Note that an object is gone from the cluster since ``reached`` (ns)."""
        now = self._clock.now
        obj.reached, obj.deleted, obj.settled, obj.progressing = reached, now, now, False
        self._delta.replace_object(obj.uid)
        self.end_changes(obj, reached)
        for transition in obj.transitions:
            self._end(transition.span, reached)
        self._expire(obj, now + self._settings.max_trace_age)
        owner = self.get(obj.owner) if obj.owner else None
        for lost in owner.lost_dependents if owner is not None else ():
            if lost.uid == obj.uid:
                lost.gone = now
                self._delta.objects[obj.owner] = None

    def postpone_forgetting(self, obj: ObjectState) -> None:
        """Remember an object for another maximum age of a trace."""
        self._expire(obj, self._clock.now + self._settings.max_trace_age)
        self._delta.objects[obj.uid] = None

    def _expire(self, obj: ObjectState, at: int) -> None:
        obj.forget = at
        self._schedule.forget_object(obj.uid, at)

    def forget(self, obj: ObjectState) -> None:
        """Remove an object that is deleted and can cause nothing any more. Its row stays, without the fold's state."""
        self._delta.forget_object(obj)
        self._index.remove(obj)
        self._forget_continuations(obj)

    def add_change(self, obj: ObjectState, change: KnownChange) -> None:
        """Add a change of an object, and drop changes and dependents that are too old to matter."""
        horizon, live = self._clock.now - self._settings.max_trace_age, self._occurrences.__contains__
        last = obj.changes[-1] if obj.changes else change
        # Changes of a paused Deployment are needed until the rollout that they are for is closed.
        is_paused = last.effect == "paused" or (last.effect == "resumed" and live(last.span))
        paused = [c.span for c in obj.changes if c.effect == "paused"][-PAUSED_KEPT:] if is_paused else ()
        # After an outage of kspan all changes arrive at once. Those without a cause, or in an open trace, are not old.
        obj.changes = [
            c for c in obj.changes if c.time >= horizon or live(c.span) or c is last or (paused and c.span in paused)
        ]
        if change.interrupts or change.verb == "Delete":
            self.end_changes(obj, change.time)
        obj.changes.append(change)
        self._index_happened(obj, change)
        if obj.lost_dependents:
            obj.lost_dependents, obj.replacements = self._recent(obj.lost_dependents), self._recent(obj.replacements)
        self._delta.objects[obj.uid] = None

    def end_changes(self, obj: ObjectState, at: int) -> None:
        """Note that the changes of an object which were under way are done, or given up, since ``at`` (ns)."""
        for change in obj.changes:
            if change.verb and change.span in self._occurrences:
                self._end(change.span, at)

    def _end(self, span: str, at: int) -> None:
        occ = self._occurrences.get(span)
        if occ is not None and not occ.until:
            occ.until = max(at, occ.time)
            self._delta.spans[span] = occ

    def add_inferred_changes(self, obj: ObjectState, changes: list[KnownChange], near: int) -> None:
        """Add unseen changes, oldest first, that were inferred from an object's baseline for an occurrence at ``near``
        (ns)."""
        self._set_inferred(obj, near)
        obj.changes[:0] = changes
        self._delta.objects[obj.uid] = None

    def _set_inferred(self, obj: ObjectState, near: int) -> None:
        if obj.baseline is not None:
            obj.baseline = msgspec.structs.replace(obj.baseline, near=near)

    def drop_inferred_change(self, occ: Occurrence) -> None:
        """Remove an unseen change to which nothing referred. It is inferred again if something does."""
        obj = self.get(occ.uid)
        if obj is not None:
            obj.changes = [change for change in obj.changes if change.span != occ.id]
            self._set_inferred(obj, 0)
            self._delta.objects[obj.uid] = None

    def keep_inferred_change(self, occ: Occurrence) -> None:
        """Note that an unseen change is in a closed trace: it must not be inferred again."""
        obj = self.get(occ.uid)
        if obj is not None and obj.baseline is not None:
            obj.baseline = None
            self._delta.objects[obj.uid] = None

    def add_assumed_change(self, obj: ObjectState, change: KnownChange) -> None:
        """Add a change that only an Event reports; it has no occurrence of its own."""
        obj.changes.append(change)
        self._index_happened(obj, change)
        self._delta.objects[obj.uid] = None

    def add_change_of_part(self, obj: ObjectState, change: KnownChange) -> None:
        """Add a change of another object for which the controller of this one acts."""
        part = KnownChange(change.span, "", change.rv, change.time, exact=change.exact, range=change.range)
        obj.changes = sorted([*obj.changes, part], key=lambda c: c.rv)
        self._delta.objects[obj.uid] = None

    def _index_happened(self, obj: ObjectState, what: KnownChange | Transition) -> None:
        for above in self._index.happenings_above(obj.uid):
            above.add(obj.uid, what)

    def keep_unpublished(self, obj: ObjectState, occ: Occurrence) -> None:
        """Keep a change of labels. It becomes an occurrence only if something is caused by it."""
        obj.unpublished = occ
        self._delta.objects[obj.uid] = None

    def take_unpublished(self, obj: ObjectState) -> Occurrence:
        """The change of labels that was kept; it is published now."""
        occ, obj.unpublished = obj.unpublished, None
        assert occ is not None, "only called for an object with an unpublished change"
        self._delta.objects[obj.uid] = None
        return occ

    def add_lost_dependent(self, obj: ObjectState, lost: LostDependent) -> None:
        """Note on its owner, whether seen or not, that a dependent was deleted, orphaned or finished."""
        owner = self.owner(obj)
        if owner is not None:
            owner.lost_dependents = (*self._recent(owner.lost_dependents), lost)
            self._delta.objects[owner.uid] = None

    def add_replacement(self, owner: ObjectState, replacement: Replacement) -> None:
        """Note a new dependent of an owner that lost some."""
        owner.replacements = (*self._recent(owner.replacements), replacement)
        self._delta.objects[owner.uid] = None

    def _recent(self, dependents: tuple[Dependent, ...]) -> tuple[Dependent, ...]:
        horizon, live = self._clock.now - self._settings.max_trace_age, self._occurrences.__contains__
        return tuple(x for x in dependents if x.last >= horizon or live(x.span))[1 - DEPENDENTS_KEPT :]

    def mark_lost_dependent(self, occ: Occurrence, *, ordered: bool) -> None:
        """Note on the owner of a deleted object whether the owner's controller deleted it."""
        obj = self.get(occ.uid)
        owner = self.get(obj.owner) if obj is not None and obj.owner else None
        if owner is None:
            return
        for lost in owner.lost_dependents:
            if lost.span == occ.id:
                lost.ordered = int(ordered)
        self._delta.objects[owner.uid] = None

    def make_room_for_transition(self, obj: ObjectState) -> bool:
        """Drop old transitions of an object. False if too many of the others still wait for their cause."""
        horizon, live = self._clock.now - self._settings.max_trace_age, self._occurrences.__contains__
        kept = [t for t in obj.transitions if t.time >= horizon or live(t.span)]
        waiting = sum(self._waits(t.span) for t in kept)
        obj.transitions = kept[-2 * TRANSITIONS_KEPT :]
        return waiting < TRANSITIONS_KEPT

    def _waits(self, span: str) -> bool:
        """Return whether an occurrence waits for its cause."""
        occ = self._occurrences.get(span)
        return occ is not None and not occ.decided

    def add_transition(self, obj: ObjectState, transition: Transition) -> None:
        """Add a condition transition of an object, which ends the state that the condition had before."""
        for earlier in obj.transitions:
            if earlier.type == transition.type:
                self._end(earlier.span, transition.time)
        obj.transitions.append(transition)
        self._index_happened(obj, transition)
        self._delta.objects[obj.uid] = None

    def add_container_turn(self, obj: ObjectState, turn: ContainerTurn) -> None:
        """Add the end or the restart of a container, and drop the oldest ones of that container.

        One that waits for its cause stays: what happened since waits, too, and it can be the cause of that. A container
        ends often while nothing can be decided, because a stream is not connected.
        """
        alike = [t for t in obj.containers if (t.field_path, t.ended) == (turn.field_path, turn.ended)]
        old, most = alike[: max(len(alike) + 1 - TURNS_KEPT, 0)], len(alike) + 1 - TRANSITIONS_KEPT
        dropped = {t.span for number, t in enumerate(old) if number < most or not self._waits(t.span)}
        obj.containers = (*(t for t in obj.containers if t.span not in dropped), turn)
        self._delta.objects[obj.uid] = None

    def announce_deletion(self, obj: ObjectState, note: Note) -> None:
        """Keep a transition that announces an object's deletion until that happens."""
        obj.announcements = (*obj.announcements, note)[-ANNOUNCEMENTS_KEPT:]
        self._delta.objects[obj.uid] = None

    def take_announcements(self, obj: ObjectState) -> tuple[Note, ...]:
        """The transitions that announced an object's deletion, which happens now."""
        notes, obj.announcements = obj.announcements, ()
        self._delta.objects[obj.uid] = None
        return notes

    def merge_transition(self, obj: ObjectState, transition: Transition, earlier: Occurrence) -> None:
        """Note that a transition became a repeat of an earlier one."""
        for news in obj.news:
            if news.span == transition.span:
                news.span, news.trace = earlier.id, earlier.place.trace
        transition.span, transition.trace = earlier.id, earlier.place.trace
        self._index_happened(obj, transition)
        self._delta.objects[obj.uid] = None

    def set_failures(self, obj: ObjectState, failures: tuple[Failure, ...]) -> None:
        """Set in which ways an object is failing."""
        if failures != obj.failures:
            obj.failures = failures
            self._delta.objects[obj.uid] = None

    def continuation(self, trace: str) -> tuple[ObjectState, Continuation] | None:
        """Return the continuation of a trace that was closed while failing, or the one whose episode it is, and the
        object that keeps it."""
        holder = self.get(self._continued.get(trace, ""))
        if holder is None:
            return None
        return next(((holder, c) for c in holder.continuations if trace == c.trace or trace in c.follows), None)

    def continue_trace(self, holder: ObjectState, old: Continuation | None, new: Continuation | None) -> None:
        """Keep what comes after a trace, in place of an older continuation if there is one."""
        others = [c for c in holder.continuations if c != old][-CONTINUATIONS_KEPT + 1 :]
        self._forget_continuations(holder)
        holder.continuations = (*others, new) if new is not None else tuple(others)
        self._index_continuations(holder)
        self._delta.objects[holder.uid] = None

    def open_continuation(self, holder: ObjectState, kept: Continuation, trace: str) -> None:
        """Set the id of the open episode of a continuation."""
        if kept.trace != trace:
            self.continue_trace(holder, kept, msgspec.structs.replace(kept, trace=trace))

    def _index_continuations(self, holder: ObjectState) -> None:
        for kept in holder.continuations:
            self._continued |= dict.fromkeys(_names(kept), holder.uid)

    def _forget_continuations(self, holder: ObjectState) -> None:
        for kept in holder.continuations:
            for name in _names(kept):
                self._continued.pop(name, None)

    def set_episodes(self, obj: ObjectState, traces: tuple[str, ...]) -> None:
        """Set the traces of what follows an object's closed traces."""
        obj.episodes = traces
        self._delta.objects[obj.uid] = None

    def note_trace(self, occ: Occurrence) -> None:
        """Note the trace of a change on its object: once the trace is closed, only the object has it.

        The changes that a top-level Event reports (``add_assumed_change``) have the trace of the Event.
        """
        if occ.top_level:
            for obj in self.named(occ.kind, occ.namespace, occ.name):
                self._set_trace(obj, obj.changes, occ)
        elif occ.event_uid:
            reporter = self.get(occ.reported_uid)
            if reporter is not None and reporter.news:
                self._set_trace(reporter, reporter.news, occ)
        elif (occ.verb or occ.condition) and (known := self.get(occ.uid)) is not None:
            self._set_trace(known, known.changes if occ.verb else known.transitions, occ)
            if occ.revision and known.news:
                self._set_trace(known, known.news, occ)
            for whole in self.named(*occ.whole) if occ.whole else ():
                self._set_trace(whole, whole.changes, occ)
        elif occ.run is not None and (known := self.get(occ.uid)) is not None:
            self._set_trace(known, known.containers, occ)

    def _set_trace(
        self, obj: ObjectState, causes: Iterable[KnownChange | Transition | ContainerTurn | News], occ: Occurrence
    ) -> None:
        for cause in causes:
            if cause.span == occ.id:
                cause.trace = occ.place.trace
        self._delta.objects[obj.uid] = None

    def load(self, raw: bytes) -> None:
        """Add an object from its row."""
        obj = msgspec.msgpack.decode(raw, type=ObjectState)
        share_loaded(obj)
        self.put(obj)
        self._index_continuations(obj)
        self._index.set_refusals(obj, obj.refusals)
        self._index.set_news(obj, obj.news)
        if obj.forget:
            self._schedule.forget_object(obj.uid, obj.forget)


def _names(kept: Continuation) -> tuple[str, ...]:
    return (kept.trace, *kept.follows) if kept.trace else kept.follows
