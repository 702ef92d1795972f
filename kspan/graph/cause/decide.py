"""Deciding: every occurrence gets its cause, when its hold is over or earlier when an effect of it does. Pure.

What is decided depends on which occurrences are known, never on the order in which they came; and an Event that comes
after the delta it speaks of was decided takes its place above it, as it would have in time.
"""

from kspan.graph.cause import evidence
from kspan.graph.cause.choose import OWNER, SUBJECT, UNKNOWN, Choice, Chooser
from kspan.graph.observe.trace_context import read_context
from kspan.graph.rules.rules import Rules
from kspan.graph.state.records import SYNTHETIC_UPDATE, KnownChange, Occurrence
from kspan.graph.state.state import State
from kspan.graph.trace.placement import Placer
from kspan.ids import unnamed
from kspan.settings import FoldSettings


class Causes:
    """Decides occurrences: identifies them, has their cause chosen, and has them placed."""

    def __init__(self, state: State, rules: Rules, settings: FoldSettings) -> None:
        self.state = state
        self.choose = Chooser(state, rules, settings, self.decide)
        self.place = Placer(state, settings)

    def decide(self, occ: Occurrence) -> None:
        """Chooses the cause of an occurrence and places it. Does nothing for one that is decided."""
        if occ.decided:
            return
        self.state.start_deciding(occ)
        if occ.uid == unnamed(occ.kind, occ.namespace, occ.name):
            self._identify(occ)
        if occ.verb:
            self._decide_change(occ)
        elif occ.condition:
            self._decide_turn(occ)
        elif occ.subject is not None and occ.subject.means in evidence.VERBS:
            self._decide_subject_event(occ)
        else:
            choice = self.choose.of_event(occ)
            if not self.place.repeats(occ, choice.cause.span if choice.cause else ""):
                self._put(occ, choice)

    def _identify(self, occ: Occurrence) -> None:
        """Finds out whose Event this is that tells a name only: whose change it tells, or who bore the name by then."""
        told = evidence.reported_change(self.state, occ)
        if told is not None and told[1].kind == occ.kind and told[1].name == occ.name:
            occ.uid = told[1].uid
            return
        bearers = [o for o in self.state.named(occ.kind, occ.namespace, occ.name) if o.rv]
        for slack in (0, evidence.SLACK):
            there = [o for o in bearers if evidence.born(o) <= occ.latest + slack]
            if there:
                occ.uid = there[-1].uid
                return

    # changes ---------------------------------------------------------------------------------------------------------

    def _decide_change(self, occ: Occurrence) -> None:
        self._look_at_context(occ)
        event = evidence.reporting_event(self.state, occ)
        if event is not None and not event.decided:
            self.decide(event)
        if event is not None and event.trace and not occ.traceparent and not self._below(event, occ):
            occ.rule, occ.confidence = SUBJECT, 0.98
            occ.reported_by, occ.actor = event.id, event.actor
            self.place.hang(occ, event)
            obj = self.state.object(occ.uid)
            self._mark_lost(occ, ordered=obj is not None and event.uid == obj.owner)
            return
        choice = self.choose.of_change(occ)
        self._put(occ, choice)
        self._mark_lost(occ, ordered=choice.rule == OWNER)

    def _mark_lost(self, occ: Occurrence, *, ordered: bool) -> None:
        if occ.verb == "Delete":
            self.state.mark_lost_dependent(occ, ordered=ordered)

    def _look_at_context(self, occ: Occurrence) -> None:
        """Only a context of the object's own counts: the deployment controller copies its owner's to ReplicaSets."""
        text = occ.traceparent or occ.related
        if not text:
            return
        obj = self.state.object(occ.uid)
        owner = self.state.object(obj.owner) if obj is not None and obj.owner else None
        inherited = owner is not None and owner.traceparent == text
        valid = read_context(text) is not None
        if occ.traceparent and not valid and not inherited:
            self.state.clock.count_invalid_context()
        if inherited or not valid:
            occ.traceparent = occ.related = ""

    def _below(self, event: Occurrence, occ: Occurrence) -> bool:
        """Whether the Event already goes back to the change, so that the reverse would close a circle."""
        seen = event
        while seen.parent:
            if seen.parent == occ.id:
                return True
            parent = self.state.occurrence(seen.parent)
            if parent is None:
                return False
            seen = parent
        return False

    def _decide_turn(self, occ: Occurrence) -> None:
        choice = self.choose.of_turn(occ)
        if not self.place.turns_again(occ, choice.cause.span if choice.cause else ""):
            # A node's failure is a start of its own; of what is unknown, one trace gathers all of an object.
            self._put(occ, choice, root_of=occ if choice.confidence > UNKNOWN.confidence else None)

    # Events about another object -------------------------------------------------------------------------------------

    def _decide_subject_event(self, event: Occurrence) -> None:
        told = evidence.reported_change(self.state, event)
        if told is None:
            for obj in self.state.named(event.subject.kind, event.subject.namespace, event.subject.name):  # type: ignore[union-attr]
                self.choose.infer(obj, event)
            told = evidence.reported_change(self.state, event)
        delta = self.state.occurrence(told[0].span) if told is not None else None
        if delta is not None and delta.decided and delta.trace and not delta.reported_by:
            self._tell_afterwards(event, delta)
            return
        if told is not None and delta is None and told[0].trace:
            # The delta is in a closed trace: an episode of it.
            self._put(event, Choice(told[0], SUBJECT, 0.9))
            return
        choice = self.choose.of_actor(event, delta)
        if not self.place.repeats(event, choice.cause.span if choice.cause else ""):
            self._put(event, choice, root_of=delta)
            if event.top_level and told is None:
                self._stand_in(event)
            if delta is not None and not delta.decided:
                delta.reported_by = event.id

    def _stand_in(self, event: Occurrence) -> None:
        """What a top-level Event tells of was done shortly before it: where no change of its object is known, it is
        what others go back to (Flux 1, before objects had managedFields)."""
        for obj in self.state.named(event.kind, event.namespace, event.name):
            if all(cause.rv <= SYNTHETIC_UPDATE for cause in obj.changes):
                since = event.time - self.choose.settings.hold
                change = KnownChange(event.id, "", SYNTHETIC_UPDATE, since, exact=False, trace=event.trace)
                self.state.add_assumed_change(obj, change)

    def _tell_afterwards(self, event: Occurrence, delta: Occurrence) -> None:
        """The Event of a delta that was decided without it goes above it; where it names another cause than the one
        that was found, both go there."""
        if self.place.repeats(event, delta.cause):
            return
        choice = self.choose.of_actor(event, delta) if event.seen_rv and delta.parent else None
        cause = self.state.occurrence(choice.cause.span) if choice is not None and choice.cause is not None else None
        if choice is None or cause is None or cause.id == delta.parent or not cause.trace or self._below(cause, delta):
            self.place.insert_above(event, delta)
            return
        event.rule, event.confidence = choice.rule, round(choice.confidence, 2)
        self.place.hang(event, cause)
        delta.rule, delta.confidence = SUBJECT, 0.98
        delta.reported_by, delta.actor = event.id, event.actor
        self.place.move(delta, event)

    # placing ---------------------------------------------------------------------------------------------------------

    def _put(self, occ: Occurrence, choice: Choice, root_of: Occurrence | None = None) -> None:
        """Places an occurrence under its chosen cause, which is decided first."""
        occ.rule, occ.confidence = choice.rule, round(choice.confidence, 2)
        if occ.traceparent and self.place.carry(occ):
            return
        if choice.cause is None:
            self.place.start(occ, root_of)
            return
        cause = self.state.occurrence(choice.cause.span)
        if cause is None:
            self.place.episode(occ, choice.cause)
            return
        self.decide(cause)
        if not cause.trace:  # It became a repeat of another, or waits for this very one.
            self.place.start(occ, root_of)
            return
        self.place.hang(occ, cause)
