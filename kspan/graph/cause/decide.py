"""Decides each occurrence when its hold is over, or earlier when the choice of another depends on it. Pure.

Choosers return a value and change nothing. If a choice depends on something else, that is done here, and the chooser is
called again. An Event that arrives after the change that it reports was decided is placed above it, as if it had been
in time.
"""

from collections.abc import Callable
from typing import TypeVar, TypeVarTuple

from kspan.graph.cause import evidence
from kspan.graph.cause.choice import OWNER, PLACE, ROOT, SUBJECT, UNKNOWN, Choice
from kspan.graph.cause.choose import Chooser
from kspan.graph.cause.prerequisites import AddInferred, Decide, Prerequisite, PrerequisiteError, Prerequisites
from kspan.graph.rules.rules import Rules
from kspan.graph.state.records import NOT_PLACED, SYNTHETIC_UPDATE, KnownChange, ObjectState, Occurrence
from kspan.graph.state.state import State
from kspan.graph.trace.failing import FailingTraces
from kspan.graph.trace.placement import Placer
from kspan.graph.trace.trace_context import read_context
from kspan.ids import unnamed
from kspan.settings import FoldSettings

About = TypeVarTuple("About")
Answer = TypeVar("Answer")


class Decider:
    """Decides occurrences: identifies their object, has their cause chosen, and has them placed."""

    def __init__(self, state: State, rules: Rules, settings: FoldSettings) -> None:
        self.state = state
        self.rules = rules
        self.settings = settings
        self.prerequisites = Prerequisites(state, rules, settings)
        self.chooser = Chooser(state, rules, settings, self.prerequisites)
        self.news = self.chooser.news
        self.placer = Placer(state)
        self.failing = FailingTraces(state, settings)

    def decide(self, occ: Occurrence) -> None:
        """Choose the cause of an occurrence and place it, unless that was done or has begun."""
        if occ.decided:
            return
        self._decide(occ)
        self.failing.watch(occ)

    def _decide(self, occ: Occurrence) -> None:
        self.state.start_deciding(occ)
        if occ.event_uid and self._is_unidentified(occ):
            self._identify(occ)
        if occ.verb:
            self._decide_change(occ)
        elif occ.condition:
            self._decide_transition(occ)
        elif occ.run is not None:
            self._place(occ, self._choose(self.chooser.of_container_turn, occ))
        elif occ.subject is not None and occ.subject.means in evidence.VERBS:
            self._decide_event_about(occ)
        else:
            choice = self._choose(self.chooser.of_event, occ)
            if self._is_routine(occ, choice):
                self.placer.place_quietly(occ, choice)
            elif not self.placer.merge_repeat(occ, _span(choice)):
                self._place(
                    occ, choice, root_of=occ if occ.revision and choice.confidence > UNKNOWN.confidence else None
                )

    def _is_live(self, choice: Choice, obj: ObjectState | None) -> bool:
        """True if the cause is known, and its trace is open, or one in which ``obj`` goes on with what it began."""
        cause = self.state.occurrence(_span(choice))
        if cause is not None and (not cause.place.trace or self.state.is_open(cause.place.trace)):
            return True
        if obj is None or choice.cause is None or not choice.cause.trace:
            return False
        traces = (self.state.trace(name) for name in obj.episodes)
        return any(trace is not None and trace.previous_trace == choice.cause.trace for trace in traces)

    def _choose(self, question: Callable[[Occurrence, *About], Choice], occ: Occurrence, *about: *About) -> Choice:
        """Return the choice of a chooser; UNKNOWN if its cause is an inferred change that does not explain ``occ``.

        That is one which is more than ``max_trace_age`` older than both the occurrence and the record from which it was
        inferred (an old Event can be the reason why it was inferred). Or it created the object, while the Event reports
        that the object scaled again: changes between the two were not seen.
        """
        choice = self._ask(question, occ, *about)
        if choice.cause is None:
            return choice
        cause = self.state.occurrence(choice.cause.span)
        if cause is None or not cause.inferred_from:
            return choice
        is_old = min(occ.time, cause.received) - cause.latest > self.settings.max_trace_age
        if is_old or (cause.verb == "Create" and _scales_again(occ)):
            return UNKNOWN._replace(actor=choice.actor, message=choice.message)
        return choice

    def _is_routine(self, occ: Occurrence, choice: Choice) -> bool:
        """True for a heartbeat that nothing in an open trace explains: an Event whose rule says ``routine``, or a
        healthy object that applies the same revision again."""
        stated = occ.subject is not None and occ.subject.means == "routine"
        if not stated and not occ.revision:
            return False
        obj, cause = self.state.object(occ.uid), choice.cause
        if self._is_live(choice, obj if occ.revision else None):
            return False
        if stated:
            return True
        if occ.warning or obj is None or obj.failures or not self.news.applies_again(obj, occ):
            return False
        return choice == UNKNOWN if cause is None else self.state.objects.continuation(cause.trace) is None

    # prerequisites ---------------------------------------------------------------------------------------------------

    def _ask(self, question: Callable[[*About], Answer], *about: *About) -> Answer:
        """Call a chooser until nothing is left to be done before."""
        while True:
            try:
                return question(*about)
            except PrerequisiteError as missing:
                self._fulfil(missing.prerequisite)

    def _fulfil(self, prerequisite: Prerequisite) -> None:
        if isinstance(prerequisite, Decide):
            for occ in prerequisite.occurrences:
                self.decide(occ)
        elif isinstance(prerequisite, AddInferred):
            self.state.add_inferred_changes(*prerequisite)
            for occ, _ in prerequisite.changes:
                self.decide(occ)
        else:
            self.state.publish_change(prerequisite.obj)

    def _is_unidentified(self, occ: Occurrence) -> bool:
        """True if an Event has only the name of its object, or the uid of a Node that is gone or was never seen.

        A kubelet keeps the uid that its Node had first, also if the Node is created again
        (pkg/kubelet/kubelet_node_status.go, nodeRefWithUID).
        """
        if "/" in occ.uid and occ.uid == unnamed(occ.kind, occ.namespace, occ.name):
            return True
        node = self.state.object(occ.uid) if occ.kind == "Node" else None
        return node is not None and (bool(node.deleted) or not node.rv)

    def _identify(self, occ: Occurrence) -> None:
        """Find the object of an Event that has only its name: that of the change that it reports, or else the one that
        had the name at that time."""
        reported = evidence.reported_change(self.state, occ)
        if reported is not None and reported[1].kind == occ.kind and reported[1].name == occ.name:
            self.state.identify(occ, reported[1])
            return
        named = [obj for obj in self.state.objects.named(occ.kind, occ.namespace, occ.name) if obj.rv]
        for slack in (0, evidence.SLACK):
            existing = [obj for obj in named if evidence.created_at(obj) <= occ.latest + slack]
            if existing:
                self.state.identify(occ, existing[-1])
                return

    # changes ---------------------------------------------------------------------------------------------------------

    def _decide_change(self, occ: Occurrence) -> None:
        self._check_context(occ)
        event = evidence.reporting_event(self.state, occ)
        if event is not None:
            self.decide(event)
        if event is not None and event.place.trace and not occ.traceparent and not self._is_above(occ, event):
            self.placer.place_under_event(occ, event)
            obj = self.state.object(occ.uid)
            self._mark_lost(occ, ordered=obj is not None and event.uid == obj.owner)
            return
        choice = self._choose(self.chooser.of_change, occ)
        self.state.describe(occ, choice.actor, choice.message)
        self._place(occ, choice)
        self._mark_lost(occ, ordered=choice.rule == OWNER and not self._is_disrupted(occ))
        if occ.verb == "Delete" and occ.place.trace:
            self._claim_dependents(occ)

    def _claim_dependents(self, deletion: Occurrence) -> None:
        """Place deletions below that of their owner or namespace, if they were decided without it.

        After a gap, the list that shows the owner's deletion may arrive after those deletions.
        """
        obj = self.state.object(deletion.uid)
        made = evidence.made_by(obj, deletion) if obj is not None else None
        if obj is None or made is None or made.exact:
            return
        for dependent in evidence.deleted_with(self.state, obj):
            occ = self._placed_deletion(dependent)
            if occ is None:
                continue
            choice = self._ask(self.chooser.of_change, occ)
            if _span(choice) == deletion.id != occ.place.parent and not self._is_above(occ, deletion):
                self.state.describe(occ, choice.actor, choice.message)
                self.placer.move(occ, choice, deletion)
                self._mark_lost(occ, ordered=choice.rule == OWNER)

    def _placed_deletion(self, obj: ObjectState) -> Occurrence | None:
        """The deletion of an object, if it is in an open trace, at a place that only objects determined."""
        spans = [change.span for change in obj.changes if change.verb == "Delete"]
        occ = self.state.occurrence(spans[-1]) if spans else None
        place = occ.place if occ is not None else NOT_PLACED
        return occ if place.trace and place.rule in (ROOT, OWNER, PLACE) and not place.episodic else None

    def _is_disrupted(self, occ: Occurrence) -> bool:
        """True for a Pod that is evicted: the controller that owns it replaces it, also if that of a Rollout did it."""
        obj = self.state.object(occ.uid) if occ.verb == "Delete" else None
        return obj is not None and bool(obj.disruption)

    def _mark_lost(self, occ: Occurrence, *, ordered: bool) -> None:
        if occ.verb == "Delete":
            self.state.objects.mark_lost_dependent(occ, ordered=ordered)

    def _check_context(self, occ: Occurrence) -> None:
        """Ignore a trace context that is invalid, or inherited: the deployment controller copies annotations to
        ReplicaSets."""
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
            self.state.ignore_context(occ)

    def _is_above(self, occ: Occurrence, other: Occurrence) -> bool:
        """True if ``other`` already follows from ``occ``, so that the reverse would create a cycle."""
        parent = self.state.occurrence(other.place.parent)
        while parent is not None and parent is not occ:
            parent = self.state.occurrence(parent.place.parent)
        return parent is occ

    def _decide_transition(self, occ: Occurrence) -> None:
        if self.rules.awaits_revision(occ.kind, occ.condition_reason):
            self.state.set_revision(occ, self._ask(self.news.awaited_revision, occ))
        choice = self._choose(self.chooser.of_transition, occ)
        self.state.describe(occ, choice.actor, choice.message)
        if self._is_routine(occ, choice):
            self.placer.place_quietly(occ, choice)
        elif not self.placer.merge_repeated_transition(occ, _span(choice)):
            # A node's failure is a root of its own; transitions without a known cause share a trace of their object.
            self._place(occ, choice, root_of=occ if choice.confidence > UNKNOWN.confidence else None)

    # Events about another object -------------------------------------------------------------------------------------

    def _decide_event_about(self, event: Occurrence) -> None:
        subject = event.subject
        assert subject is not None, "only called for Events about another object"
        reported = evidence.reported_change(self.state, event)
        if reported is None:
            for each in event.subjects:
                for obj in self.state.objects.named(each.kind, each.namespace, each.name):
                    self._ask(self.prerequisites.require_inferred, obj, event)
            reported = evidence.reported_change(self.state, event)
        change = self.state.occurrence(reported[0].span) if reported is not None else None
        if change is not None and change.decided and change.place.trace and not change.reported_by:
            self._insert_above(event, change)
        elif reported is not None and change is None and reported[0].trace:
            # The change is in a closed trace: an episode of it.
            self._place(event, Choice(reported[0], SUBJECT, 0.9))
        else:
            self._place_event_about(event, change, assumed=reported is None)
        if event.others and event.place.trace:
            self._gather_reported(event)

    def _gather_reported(self, event: Occurrence) -> None:
        """Place the other changes that an Event lists below it, if they were decided without it."""
        for reported, _ in evidence.reported_changes(self.state, event):
            change = self.state.occurrence(reported.span)
            if change is None or not change.place.trace or change.reported_by or change.place.remote_parent:
                continue
            if not self._is_above(change, event) and evidence.reporting_event(self.state, change) is event:
                self.placer.move_under_event(change, event)

    def _place_event_about(self, event: Occurrence, change: Occurrence | None, *, assumed: bool) -> None:
        choice = self._choose(self.chooser.of_event_about, event, change)
        if change is not None:
            self.state.describe(change, choice.actor, choice.message)
        if self.placer.merge_repeat(event, _span(choice)):
            return
        self._place(event, choice, root_of=change)
        if event.top_level and assumed:
            self._assume_change(event)
        if change is not None and not change.decided:
            self.state.set_reporting_event(change, event)

    def _assume_change(self, event: Occurrence) -> None:
        """A top-level Event reports a change of shortly before. It can be a cause itself if no change of its object is
        known (Flux 1, when objects had no managedFields)."""
        for obj in self.state.objects.named(event.kind, event.namespace, event.name):
            if all(change.rv <= SYNTHETIC_UPDATE for change in obj.changes):
                since = event.time - self.settings.hold
                change = KnownChange(event.id, "", SYNTHETIC_UPDATE, since, exact=False, trace=event.place.trace)
                self.state.objects.add_assumed_change(obj, change)

    def _insert_above(self, event: Occurrence, change: Occurrence) -> None:
        """Place an Event above the change that it reports, which was decided without it. If the Event shows another
        cause than the one that was chosen, both move there."""
        if self.placer.merge_repeat(event, change.place.cause):
            return
        choice = UNKNOWN
        if event.seen_rv and change.place.parent:
            choice = self._ask(self.chooser.of_event_about, event, change)
            self.state.describe(change, choice.actor, choice.message)
        cause = self.state.occurrence(_span(choice))
        is_other = cause is not None and cause.place.trace and cause.id != change.place.parent
        if cause is not None and is_other and not self._is_above(change, cause):
            self.placer.move_below(event, choice, cause, change)
        else:
            self.placer.insert_above(event, change)

    # placing ---------------------------------------------------------------------------------------------------------

    def _place(self, occ: Occurrence, choice: Choice, root_of: Occurrence | None = None) -> None:
        """Place an occurrence under its chosen cause, which is decided first."""
        if occ.traceparent and self.placer.carry(occ):
            return
        cause = self.state.occurrence(choice.cause.span) if choice.cause is not None else None
        if cause is not None:
            self.decide(cause)
        self.placer.place(occ, choice, cause, root_of)


def _scales_again(event: Occurrence) -> bool:
    """True for an Event about a change of replicas that a new owner does not lead to: it creates, and scales up."""
    subject = event.subject
    return subject is not None and subject.means == "scales" and (subject.replicas_from > 0 or subject.replicas_to == 0)


def _span(choice: Choice) -> str:
    return choice.cause.span if choice.cause is not None else ""
