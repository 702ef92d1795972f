"""Where an occurrence is placed once its cause is chosen: under it, as a root, or in an episode. Pure."""

from msgspec.structs import replace

from kspan import vocabulary as words
from kspan.graph.cause.choice import CARRIED, ROOT, SUBJECT, UNKNOWN, Choice
from kspan.graph.observe.events import is_combined
from kspan.graph.state.records import KnownChange, Occurrence, Place, Trace
from kspan.graph.state.state import State
from kspan.graph.trace.trace_context import read_context
from kspan.ids import trace_id
from kspan.model import SpanLink
from kspan.times import SECOND
from kspan.vocabulary import LINK, RELATES

REPORTED = 0.98
"""Confidence that an Event caused the change which it reports."""

SURE = 0.75
"""Confidence in a cause in a closed trace from which its effects on several objects share an episode."""

APART = 60 * SECOND
"""Occurrences that are received at once but lie further apart are not one episode: ``settle`` cannot separate them."""


class Placer:
    """Places decided occurrences in traces."""

    def __init__(self, state: State) -> None:
        self.state = state

    # one occurrence --------------------------------------------------------------------------------------------------

    def carry(self, occ: Occurrence) -> bool:
        """Join the trace whose context the changed object carries. False if there is none.

        A closed trace is final: a change that carries its context is only linked to it.
        """
        context = read_context(occ.traceparent)
        if context is None:
            return False
        trace, span = context
        if self.state.clock.was_closed(trace):
            self.state.relate(occ, occ.traceparent)
            return False
        self.state.place(occ, Place(trace, CARRIED, 1.0, remote_parent=span))
        return True

    def place(self, occ: Occurrence, choice: Choice, cause: Occurrence | None, root_of: Occurrence | None) -> None:
        """Place an occurrence.

        Args:
            cause: the occurrence of the chosen cause, decided; None if its trace is closed or ``occ`` is a root.
            root_of: the change whose trace ``occ`` starts if it is a root; None for an occurrence that starts none.
        """
        if choice.cause is not None and cause is None:
            self._place_in_episode(occ, choice, choice.cause)
        elif cause is not None and cause.place.trace:
            self._place_under(occ, choice, cause)
        else:  # Also if the cause became a repeat of another, or waits for this very occurrence.
            self._place_as_root(occ, choice, root_of)

    def place_under_event(self, change: Occurrence, event: Occurrence) -> None:
        """Place a change under the Event that reports it."""
        self.state.set_reporting_event(change, event)
        self._name_actor(change, event)
        self._place_under(change, Choice(None, SUBJECT, REPORTED), event)

    def move_under_event(self, change: Occurrence, event: Occurrence) -> None:
        """Move a change below the Event that reports it, with all its effects."""
        self.move(change, Choice(None, SUBJECT, REPORTED), event)
        self.state.set_reporting_event(change, event)
        self._name_actor(change, event)

    def _name_actor(self, change: Occurrence, event: Occurrence) -> None:
        """Set the component that reports a change as its actor: all controllers of Kubernetes are one field manager.

        Who reports a condition may not be who changed the object for it: the kubelet reports that its Node is ready,
        and the node controller removes the taint.
        """
        reacts = event.subject is not None and event.subject.means == "turns" and event.actor == "kubelet"
        if not (reacts and change.manager not in ("", event.actor)):
            self.state.describe(change, event.actor)

    def _place_under(self, occ: Occurrence, choice: Choice, parent: Occurrence) -> None:
        place = Place(parent.place.trace, choice.rule, round(choice.confidence, 2), cause=parent.id, parent=parent.id)
        self.state.place(occ, place)

    def _place_as_root(self, occ: Occurrence, choice: Choice, root_of: Occurrence | None) -> None:
        """Start a trace. Occurrences without a known cause that start none share a trace of their object."""
        starts = occ.verb or root_of is not None or occ.top_level or (occ.subject is not None and occ.subject.starts)
        if not starts:
            self._place_in_episode(occ, choice, None)
            return
        self.state.place(occ, Place(self._id_from(root_of or occ), choice.rule, round(choice.confidence, 2)))

    def _place_in_episode(self, occ: Occurrence, choice: Choice, cause: KnownChange | None) -> None:
        """Place an occurrence that follows a closed trace, or no known cause, in an episode of its object. A trace that
        was closed while something in it was failing has one episode for all of its objects."""
        span, previous = (cause.span, cause.trace) if cause is not None else ("", "")
        obj = self.state.object(occ.uid)
        before = obj.episodes if obj is not None and not previous else (previous,)
        kept = next((kept for name in before if (kept := self.state.objects.continuation(name)) is not None), None)
        if kept is not None:
            holder, continuation = kept
            name = continuation.trace or self._id_from(occ)
            self.state.objects.open_continuation(holder, continuation, name)
            if not span:
                span, previous = continuation.root, continuation.follows[0]
            opened_after = continuation.follows[0]
        else:
            name, opened_after = self._episode(occ, choice, cause, previous), previous
        place = Place(
            trace=name,
            rule=choice.rule,
            confidence=round(choice.confidence, 2),
            cause=span,
            link_trace=previous,
            link_span=span,
            link="" if not previous else words.CONTINUES if cause is None else words.CAUSED_BY,
            episodic=True,
        )
        self.state.place(occ, place, previous=opened_after)

    def _episode(self, occ: Occurrence, choice: Choice, cause: KnownChange | None, previous: str) -> str:
        """The trace that follows ``previous``: the open one of the object or of the same cause, or a new one."""
        obj, now = self.state.object(occ.uid), self.state.clock.now
        own = (self.state.trace(name) for name in (obj.episodes if obj is not None else ()))
        for trace in own:
            if trace is not None and trace.previous_trace == previous and not _is_apart(occ, trace, now):
                return trace.id
        name = self._of_sibling(occ, choice, cause) or self._id_from(occ)
        if obj is not None:
            self.state.start_episode(obj, name)
        return name

    def _of_sibling(self, occ: Occurrence, choice: Choice, cause: KnownChange | None) -> str:
        """The open trace of another effect of a cause in a closed trace: a drain evicts Pods one after the other, long
        after the node was cordoned. Empty if there is none."""
        if cause is None or choice.confidence < SURE:
            return ""
        for trace in self.state.continuing(cause.trace):
            shares_cause = any(root.place.cause == cause.span for root in self.state.roots(trace.id))
            if shares_cause and not _is_apart(occ, trace, self.state.clock.now):
                return trace.id
        return ""

    def place_quietly(self, occ: Occurrence, choice: Choice) -> None:
        """Place a routine Event, which nothing in an open trace explains, in a quiet trace of its object. Those with
        the same reason share a span."""
        obj = self.state.object(occ.uid)
        members = self.state.members(obj.quiet) if obj is not None and self.state.is_open(obj.quiet) else []
        same = next((other for other in members if other.reason == occ.reason), None)
        if same is not None:
            this = next((t for t in obj.transitions if t.span == occ.id), None) if obj is not None else None
            if obj is not None and this is not None:
                self.state.objects.merge_transition(obj, this, same)
            self.state.add_routine(same, occ)
            return
        name = members[0].place.trace if members else self._id_from(occ)
        confidence = round(choice.confidence if choice.cause is None else UNKNOWN.confidence, 2)
        self.state.place(occ, Place(name, ROOT, confidence, episodic=True))
        if obj is not None:
            self.state.start_quiet(obj, occ)

    # trace ids -------------------------------------------------------------------------------------------------------

    def _id_from(self, first: Occurrence) -> str:
        """The id of the trace that starts with an occurrence.

        No other trace has it, because an occurrence is in one trace. The same occurrence can be observed again when it
        is forgotten (an Event that is annotated, an object that returns, a backup that is restored), but then in
        another version, and the journal has each version once.
        """
        return trace_id(self.state.cluster, first.id, first.inferred_from or str(first.rv))

    def name_trace(self, trace: Trace) -> None:
        """Give a trace that is being closed the id that its root implies, unless a remote context has set its id.

        Until now it has the id of the occurrence that was decided first, which need not be the earliest. If the root is
        an Event that reports a change, the change counts: the Event can be late.
        """
        name = self._implied_id(trace)
        if name != trace.id:
            self.state.rename_trace(trace, name)

    def final_id(self, name: str) -> str:
        """The id that a trace will have once it is closed; of a closed one, the id that it has."""
        trace = self.state.trace(name)
        if trace is None:
            return name
        return self._implied_id(trace)

    def _implied_id(self, trace: Trace) -> str:
        if trace.remote:
            return trace.id
        root = min(self.state.roots(trace.id), key=_by_time)
        effects = map(self.state.occurrence, self.state.direct_effects_of(root.id))
        reported = [occ for occ in effects if occ is not None and occ.reported_by == root.id]
        return self._id_from(min(reported, key=_by_time, default=root))

    def resumed(self, occ: Occurrence) -> list[SpanLink]:
        """Links from the resume of a rollout to the changes that were made while it was paused."""
        obj = self.state.object(occ.uid) if occ.resumes else None
        found = []
        for change in obj.changes if obj is not None else ():
            name = self.final_id(change.trace) if change.span in occ.resumes else ""
            if name not in ("", occ.place.trace):
                found.append(SpanLink(name, change.span, {LINK: RELATES}))
        return found

    # an Event that arrives after the change that it reports ----------------------------------------------------------

    def insert_above(self, event: Occurrence, change: Occurrence) -> None:
        """Give an Event the place of the change that it reports, and place the change under it."""
        self.state.place(event, replace(change.place, remote_parent=""))
        self.state.set_reporting_event(change, event)
        self._name_actor(change, event)
        place = Place(change.place.trace, SUBJECT, REPORTED, cause=event.id, parent=event.id)
        self.state.change_place(change, replace(place, remote_parent=change.place.remote_parent))

    def move_below(self, event: Occurrence, choice: Choice, cause: Occurrence, change: Occurrence) -> None:
        """Place an Event under its cause, and the change that it reports under the Event, with all its effects."""
        self._place_under(event, choice, cause)
        for effect in self.state.effects_of(change.id):
            self._move(effect, change.place.trace, event.place.trace)
        self.state.leave_trace(change)
        self.place_under_event(change, event)

    def move(self, change: Occurrence, choice: Choice, cause: Occurrence) -> None:
        """Place a change under a cause that became known after it was decided, with all its effects."""
        before = change.place.trace
        for effect in self.state.effects_of(change.id):
            self._move(effect, before, cause.place.trace)
        self.state.leave_trace(change)
        self._place_under(change, choice, cause)
        self.state.drop_if_empty(before)

    def _move(self, span: str, trace: str, to: str) -> None:
        occ = self.state.occurrence(span)
        if occ is not None and occ.place.trace == trace != to:
            self.state.leave_trace(occ)
            self.state.place(occ, replace(occ.place, trace=to))

    def gather_roots(self, members: list[Occurrence]) -> None:
        """Leave one root in a trace: the earliest, which has the link to the closed trace that an episode follows.

        The others did not happen because of it: they keep the link to what they go back to. Only changes that carry the
        same remote context have each its own remote parent.

        Args:
            members: the occurrences of the trace, sorted by time and id.
        """
        roots = [occ for occ in members if not occ.place.parent and not occ.place.remote_parent]
        for occ in roots[1:]:
            place = replace(occ.place, parent=roots[0].id)
            if place.link_span == roots[0].place.link_span and place.link != words.CAUSED_BY:
                place = replace(place, link_trace="", link_span="", link="")
            self.state.change_place(occ, place)

    # repeats ---------------------------------------------------------------------------------------------------------

    def merge_repeat(self, occ: Occurrence, cause: str) -> bool:
        """Make a repeat of an Event with the same cause a span event of the span before it. False if it is none."""
        last = self.state.placed_before(occ)
        if last is None or last.message != occ.message or is_combined(occ.message):
            return False
        if not cause and last.inferred_from and last.received == occ.received:
            same = self._went_on(last, occ)  # Both are known from one record.
        else:
            same = last.place.cause == cause
        if not same:
            return False
        self.state.add_repeat(last, occ, occ.event_count)
        return True

    def _went_on(self, first: Occurrence, last: Occurrence) -> bool:
        """True if an Event did not cease between two occurrences that one record shows. It was repeated all the
        time, or another Event of the object was: a container in a crash loop is started ever more seldom."""
        if _is_frequent(last.event_start, last.time, last.event_count):
            return True
        obj = self.state.object(last.uid)
        traces = filter(self.state.is_open, obj.episodes) if obj is not None else ()
        near = [other for name in traces for other in self.state.members(name)]
        waiting = (self.state.occurrence(span) for span in self.state.pending_of(last.uid))
        near += [other for other in waiting if other is not None]
        return any(_covers(other, first.time + APART, last.time - APART) for other in near if other.uid == last.uid)

    def merge_repeated_transition(self, occ: Occurrence, cause: str) -> bool:
        """Make a transition that happened before, with the same cause, a span event of the earlier span: flapping
        conditions must not flood traces."""
        obj = self.state.object(occ.uid)
        this = next((t for t in obj.transitions if t.span == occ.id), None) if obj is not None else None
        if obj is None or this is None:
            return False
        for earlier in reversed([t for t in obj.transitions if t.rv < this.rv and t.type == this.type]):
            last = self.state.occurrence(earlier.span)
            if last is not None and last.place.trace and (last.reason, last.place.cause) == (occ.reason, cause):
                self.state.objects.merge_transition(obj, this, last)
                self.state.add_repeat(last, occ, _count(last) + 1)
                return True
        return False


def _is_apart(occ: Occurrence, trace: Trace, now: int) -> bool:
    """True if an occurrence is received with those of a trace (in a first list, or after an outage), but is much older
    or newer than all of them."""
    return now - trace.active < APART and (occ.time > trace.last + APART or occ.time < trace.first - APART)


def _is_frequent(start: int, end: int, count: int) -> bool:
    """True if an Event with this count did not cease between two times."""
    return end - start <= APART * max(1, count - 1)


def _covers(event: Occurrence, start: int, end: int) -> bool:
    """True if an Event was repeated all the time between two times."""
    last = max(event.repeats, key=lambda repeat: repeat.time, default=None)
    until, count = (last.time, last.count) if last is not None else (event.time, event.event_count)
    since = event.event_start
    return bool(since) and since <= start and end <= until and _is_frequent(since, until, count)


def _count(occ: Occurrence) -> int:
    return occ.repeats[-1].count if occ.repeats else 1


def _by_time(occ: Occurrence) -> tuple[int, str]:
    return occ.time, occ.id
