"""The six causality rules: which occurrence is the cause of another (DESIGN: "Causality"). Pure.

Whatever is chosen depends on which occurrences are known, never on the order in which they came.
"""

from collections.abc import Callable

from kspan.graph.cause import evidence
from kspan.graph.cause.choose_transition import TransitionChooser
from kspan.graph.cause.controller_deletes import ordered_by_owner
from kspan.graph.cause.infer import infer_changes
from kspan.graph.observe.condition_diff import ended_phase
from kspan.graph.rules.rules import Disruption, Rules
from kspan.graph.state.records import KnownChange, LostDependent, ObjectState, Occurrence
from kspan.graph.state.state import State
from kspan.graph.trace.placement import CARRIED, OWN, OWNER, PLACE, ROOT, SUBJECT, UNKNOWN, Choice
from kspan.k8s.objects import decode_spec
from kspan.settings import FoldSettings
from kspan.times import SECOND

LETS_IN, SENDS_AWAY = ("opened", "labelled"), ("evicts", "labelled")
"""Turns of a Node for which the DaemonSet controller puts a Pod onto it, or deletes the one that is there."""

__all__ = ["CARRIED", "OWN", "OWNER", "PLACE", "ROOT", "SUBJECT", "UNKNOWN", "Choice", "Chooser"]


class Chooser:
    """Chooses causes. ``decide`` decides another occurrence on which the choice depends."""

    def __init__(
        self,
        state: State,
        rules: Rules,
        settings: FoldSettings,
        decide: Callable[[Occurrence], None],
    ) -> None:
        self.state = state
        self.rules = rules
        self.settings = settings
        self.decide = decide
        self.transitions = TransitionChooser(state, decide, self.infer, self._disrupted)
        self.of_turn = self.transitions.of_turn

    # changes ---------------------------------------------------------------------------------------------------------

    def of_change(self, occ: Occurrence) -> Choice:
        """The cause of a change, from objects alone."""
        obj = self.state.object(occ.uid)
        if obj is None:
            return UNKNOWN
        if occ.verb == "Delete":
            return self._of_deletion(occ, obj)
        if not occ.by_controller and not (occ.verb == "Create" and obj.owner):
            return Choice(None, ROOT, 0.95 if occ.manager else 0.5)
        by_owner = self._triggered(self._owner(obj), occ) if obj.owner or obj.claim else UNKNOWN
        return self._or_answered(occ, obj, by_owner)

    def _owner(self, obj: ObjectState) -> ObjectState | None:
        """Whose controller made it what it is: its owner's, or of a volume that of its claim."""
        return self.state.object(obj.owner or obj.claim) if obj.owner or obj.claim else None

    def _or_answered(self, occ: Occurrence, obj: ObjectState, choice: Choice) -> Choice:
        """A controller's change may answer a newer change of the very object: what somebody did to an object that has
        an owner gets undone, what was done to one without is carried on."""
        if occ.verb != "Update" or occ.subresource == "scale":  # An autoscaler's, which has its own reasons.
            return choice
        answered = evidence.newest(
            c
            for c in obj.changes
            if c.verb != "Delete"
            and (c.manual or not obj.owner)
            and evidence.before(c, occ)
            and occ.time - c.time <= self.settings.max_trace_age
        )
        turn = evidence.newest_turn(obj.transitions, occ) if obj.kind == "Node" else None
        if turn is not None and occ.time - turn.time <= self.settings.max_trace_age:
            # The node lifecycle controller taints what turned.
            answered = turn.as_cause() if answered is None or answered.rv < turn.rv else answered
        if answered is None or (choice.cause is not None and choice.cause.order > answered.order):
            return choice
        return Choice(answered, OWN, 0.8)

    def _triggered(self, owner: ObjectState | None, occ: Occurrence, seen_rv: int = 0) -> Choice:
        """What the controller of the nearest ancestor for which there is something acted for."""
        confidence = 0.95 if seen_rv else 0.9
        if owner is not None and owner.kind == "CronJob" and occ.verb == "Create":
            return Choice(None, ROOT, 0.8)  # A tick is caused by the clock.
        if owner is not None and owner.kind == "Node":
            return Choice(None, ROOT, 0.8)  # The kubelet mirrors a Pod that stands in a file.
        obj, visited = self.state.object(occ.uid), set[str]()
        while owner is not None and owner.uid not in visited:
            self.infer(owner, occ)
            cause = evidence.trigger(self.state, owner, obj, occ, seen_rv)
            if not visited and occ.verb == "Create" and obj is not None:
                occasion = self._occasion(owner, obj, occ, cause)
                if occasion is not None:
                    return occasion
            if cause is not None:
                return Choice(cause, OWNER, confidence)
            told = evidence.told_of(self.state, owner, occ) if not owner.changes else None
            if told is not None and occ.time - told.time <= evidence.MATCH:
                return Choice(KnownChange(told.id, "", told.rv, told.time, trace=told.trace), SUBJECT, 0.8)
            visited.add(owner.uid)
            owner, seen_rv, confidence = self._owner(owner), 0, confidence - 0.1
        return UNKNOWN

    def _occasion(
        self, owner: ObjectState, obj: ObjectState, occ: Occurrence, since: KnownChange | None
    ) -> Choice | None:
        """What made a controller create a dependent, if it was newer than the owner's newest change: the loss of one
        before, a Node that was opened to it, or a quota that no longer refuses it."""
        floor = since.order if since is not None else (-1, 0)
        found: list[Choice] = []
        loss = evidence.replaced(owner, occ, floor, self._ordered) if owner.lost_dependents else None
        if loss is not None:
            found.append(
                Choice(KnownChange(loss.span, "Delete", loss.rv, loss.time, trace=self._trace_of(loss)), OWNER, 0.9)
            )
        if owner.kind == "DaemonSet" and obj.node and (opened := self._turned(occ, LETS_IN)) is not None:
            found.append(Choice(opened, PLACE, 0.8))
        if owner.refused is not None and (raised := self._allowed(owner, occ, since)) is not None:
            found.append(Choice(raised, SUBJECT, 0.8))
        newer = [choice for choice in found if choice.cause is not None and choice.cause.order > floor]
        return max(newer, key=lambda choice: choice.cause.order if choice.cause else floor, default=None)

    def _ordered(self, loss: LostDependent) -> bool:
        lost = self.state.occurrence(loss.span)
        if lost is not None:
            self.decide(lost)
        return loss.ordered == 1

    def _trace_of(self, loss: LostDependent) -> str:
        lost = self.state.object(loss.uid)
        if lost is None:
            return ""
        traces = {t.span: t.trace for t in lost.transitions} | {c.span: c.trace for c in lost.changes}
        return traces.get(loss.span, "")

    def _turned(self, occ: Occurrence, transitions: tuple[str, ...]) -> KnownChange | None:
        """What last turned the Node of a Pod in one of these ways."""
        pod = self.state.object(occ.uid)
        for node in self.state.named("Node", "", pod.node) if pod is not None and pod.node else ():
            if "labelled" in transitions and node.unpublished is not None and node.unpublished.rv < occ.rv:
                self.state.publish_change(node)
            turned = evidence.newest(c for c in node.changes if c.turned in transitions and evidence.before(c, occ))
            if turned is not None:
                return turned
        return None

    def _allowed(self, owner: ObjectState, occ: Occurrence, since: KnownChange | None) -> KnownChange | None:
        """The change of what refused the controller, after it had refused."""
        refused = owner.refused
        if refused is None or (since is not None and refused.last < since.time):
            return None
        return evidence.newest(
            c
            for obj in self.state.named_or_all(refused.kind, refused.namespace, refused.name)
            for c in self._brought_out(obj, occ)
            if evidence.before(c, occ) and refused.first <= c.time + evidence.SLACK
        )

    def _brought_out(self, obj: ObjectState, occ: Occurrence) -> list[KnownChange]:
        if obj.kind == "Namespace" and obj.unpublished is not None and obj.unpublished.rv < occ.rv:
            self.state.publish_change(obj)
        return obj.changes

    # deletions -------------------------------------------------------------------------------------------------------

    def _of_deletion(self, occ: Occurrence, obj: ObjectState) -> Choice:
        cascade = self._cascade(occ, obj)
        if cascade is not None:
            return cascade
        if obj.disruption:
            occ.message = obj.disruption
            return self._disrupted(occ, obj)
        owner = self._owner(obj)
        by_owner = self._of_owners_controller(occ, obj, owner) if owner is not None else None
        if owner is not None and by_owner is not None:
            occ.actor = self.rules.actors.get(owner.kind, owner.kind)
            return by_owner
        expired = self._expired(occ, obj)
        if expired is not None:
            occ.actor = "ttl-after-finished-controller"
            return Choice(expired, OWN, 0.8)
        freed = self.transitions.freed(occ, obj) if obj.claim else None
        if freed is not None and decode_spec(obj.spec).persistentVolumeReclaimPolicy == "Delete":
            occ.actor = "persistentvolume-controller"
            return Choice(freed, OWNER, 0.85)
        occ.by_controller = False
        return Choice(None, ROOT, 0.7)

    def _of_owners_controller(self, occ: Occurrence, obj: ObjectState, owner: ObjectState) -> Choice | None:
        """Why the owner's controller deleted a dependent; None where it was not that controller."""
        order = ordered_by_owner(self.state, occ, obj, owner, occ.time - self.settings.max_trace_age)
        if order is not None:
            return Choice(order, OWNER, 0.85)
        evicts = self._turned(occ, ("evicts", "opened")) if owner.kind == "DaemonSet" else None
        if evicts is not None and evicts.turned == "evicts" and occ.time - evicts.time <= evidence.MATCH:
            return Choice(evicts, PLACE, 0.8)
        done_for = self._cleared_away(occ, obj, owner)
        return Choice(done_for, OWN, 0.8) if done_for is not None else None

    def _cascade(self, occ: Occurrence, obj: ObjectState) -> Choice | None:
        """The deletion of an owner, or of the namespace."""
        for uid in sorted(obj.owners):
            above = self.state.object(uid)
            gone = above.changes[-1] if above is not None and above.changes else None
            if gone is not None and gone.verb == "Delete" and evidence.before(gone, occ):
                occ.actor = "garbage-collector"
                return Choice(gone, OWNER, 0.95)
        for namespace in self.state.named("Namespace", "", obj.namespace):
            gone = evidence.newest(c for c in namespace.changes if c.verb == "Delete" and evidence.before(c, occ))
            if gone is not None:
                occ.actor = "namespace-controller"
                return Choice(gone, PLACE, 0.9)
        return None

    def _disrupted(self, occ: Occurrence, obj: ObjectState) -> Choice:
        """Rule 5: what happened to the node causes the evictions on it."""
        disruption = self.rules.disruptions.get(obj.disruption, Disruption())
        occ.actor = disruption.actor or occ.actor
        for node in reversed(self.state.named("Node", "", obj.node)) if obj.node else ():
            self.infer(node, occ)
            turn = evidence.node_turn(node, occ, disruption.node)
            if turn is not None:
                return Choice(turn, PLACE, 0.8)
            bad = evidence.newest_turn(node.transitions, occ) if occ.actor == "kubelet" else None
            if bad is not None and bad.bad:
                return Choice(self.transitions.as_cause(bad), PLACE, 0.8)
        return Choice(None, ROOT, 0.5)

    def _cleared_away(self, occ: Occurrence, pod: ObjectState, owner: ObjectState) -> KnownChange | None:
        """The end of a Pod that its controller deletes for that, to make it anew (stateful_set_control.go,
        daemon_controller.go)."""
        if owner.kind not in ("StatefulSet", "DaemonSet") or not ended_phase(pod.conditions):
            return None
        turn = evidence.newest_turn(pod.transitions, occ)
        return self.transitions.as_cause(turn) if turn is not None and occ.time - turn.time <= evidence.MATCH else None

    def _expired(self, occ: Occurrence, obj: ObjectState) -> KnownChange | None:
        """The newest change of a Job whose ttlSecondsAfterFinished has run out."""
        if not obj.ended:
            return None
        ttl = decode_spec(obj.spec).ttlSecondsAfterFinished
        if ttl is None or occ.time < obj.ended + ttl * SECOND:
            return None
        return evidence.newest(c for c in obj.changes if c.verb != "Delete")

    # Events ----------------------------------------------------------------------------------------------------------

    def of_actor(self, event: Occurrence, delta: Occurrence | None) -> Choice:
        """The cause of what a controller says it did to a subject."""
        told, actor = event.subject, self.state.object(event.uid)
        if event.top_level:
            return Choice(None, ROOT, 1.0)
        if actor is not None and told is not None and told.means == "turns":
            turn = evidence.near_turn(actor, event)
            if turn is not None:
                return Choice(self.transitions.as_cause(turn), OWN, 0.95)
            if not told.starts:
                return self.of_event(event)
        if told is not None and told.starts:
            return Choice(None, ROOT, 0.9)
        if actor is None:
            return UNKNOWN
        if told is not None and told.by and (needed := self._for_the_sake_of(told.by, event)) is not None:
            return needed
        if told is not None and told.after and (led := evidence.reported_before(self.state, event, told.after)):
            return Choice(KnownChange(led.id, "", led.rv, led.time, trace=led.trace), OWN, 0.8)
        if delta is not None and delta.verb == "Delete":
            gone = self._of_deletion(delta, self.state.object(delta.uid) or actor)
            if gone.cause is not None or delta.uid == event.uid:
                return gone
            delta.by_controller = True
        choice = self._triggered(actor, delta or event, event.seen_rv)
        if choice.cause is None and event.seen_rv:
            choice = self._triggered(actor, delta or event)
        if delta is not None and delta.verb == "Delete" and actor.kind == "DaemonSet":
            choice = self._newer(choice, self._turned(delta, SENDS_AWAY))
        if delta is not None and (subject := self.state.object(delta.uid)) is not None:
            choice = self._or_answered(delta, subject, choice)
        return choice if choice.cause is not None else self.of_event(event)

    def _newer(self, choice: Choice, other: KnownChange | None) -> Choice:
        if other is None or (choice.cause is not None and choice.cause.order > other.order):
            return choice
        return Choice(other, PLACE, 0.85)

    def _for_the_sake_of(self, by: str, event: Occurrence) -> Choice | None:
        namespace, slash, name = by.partition("/")
        bearers = self.state.named(event.kind, namespace, name) if slash else ()
        beneficiary = next(reversed(bearers), None) if slash else self.state.object(by)
        if beneficiary is None:
            return None
        self.infer(beneficiary, event)
        cause = evidence.newest(c for c in beneficiary.changes if c.verb != "Delete" and c.time <= event.latest)
        return Choice(cause, SUBJECT, 0.95) if cause is not None else None

    def of_event(self, occ: Occurrence) -> Choice:
        """Rules 3 and 4 for an Event about its own object."""
        obj = self.state.object(occ.uid)
        if obj is None:
            return UNKNOWN
        told = occ.subject
        if told is not None and told.means == "observes" and (observed := self._observed(occ, obj)) is not None:
            return observed
        self.infer(obj, occ)
        if told is not None and told.means == "explains":
            cause = evidence.newest(c for c in obj.changes if c.verb == told.after)
            if cause is not None and cause.time <= occ.latest + evidence.SLACK:
                return Choice(cause, OWN, 0.95)
        cause = evidence.newest(c for c in obj.changes if evidence.seen_by(c, occ)) if obj.changes else None
        if cause is not None:
            return Choice(cause, OWN, 0.95 if occ.seen_rv else 0.8)
        if obj.changes and obj.changes[0].time - occ.latest <= self.settings.hold:
            return Choice(obj.changes[0], OWN, 0.6)  # The delta was received after the fact that it caused.
        event = evidence.told_of(self.state, occ, occ)
        if event is not None:
            return Choice(KnownChange(event.id, "", event.rv, event.time, trace=event.trace), SUBJECT, 0.8)
        return self._triggered_by_time(self._owner(obj), occ)

    def _observed(self, occ: Occurrence, obj: ObjectState) -> Choice | None:
        """The change, or the turn, of the subject that a controller saw."""
        told = occ.subject
        assert told is not None, "asked only of Events that observe"
        place = told.source == "nodeName"
        kind, namespace, name = ("Node", "", obj.node) if place else (told.kind, told.namespace, told.name)
        there = self.state.named(kind, namespace, name)
        changes = [c for o in there for c in o.changes if (c.verb == told.after if told.after else c.verb != "Delete")]
        cause = evidence.newest(c for c in changes if evidence.before_event(c, occ))
        if told.after:
            return Choice(cause, SUBJECT, 0.9) if cause is not None else None
        turned = [t for o in there for t in o.transitions if evidence.before_event(t, occ)]
        last = max(turned, key=lambda t: (t.rv, t.span), default=None)
        if last is not None and (cause is None or cause.rv < last.rv):
            cause = self.transitions.as_cause(last)
        turn = evidence.reported_transition(self.state, kind, namespace, name, occ)
        if turn is not None and (cause is None or not cause.manual):
            cause = KnownChange(turn.id, "", turn.rv, turn.time, trace=turn.trace)
        return Choice(cause, PLACE if place else SUBJECT, 0.9) if cause is not None else None

    def _triggered_by_time(self, owner: ObjectState | None, occ: Occurrence) -> Choice:
        visited = set[str]()
        while owner is not None and owner.uid not in visited:
            visited.add(owner.uid)
            self.infer(owner, occ)
            cause = evidence.newest(c for c in owner.changes if c.verb != "Delete" and c.time <= occ.latest)
            if cause is not None:
                return Choice(cause, OWNER, 0.6)
            owner = self._owner(owner)
        return UNKNOWN

    def infer(self, obj: ObjectState, occ: Occurrence) -> None:
        """Makes up the changes of a listed object that nobody saw and ``occ`` may go back to; a top-level Event of it
        may stand in for one."""
        for event in self.state.top_level_events(obj.kind, obj.namespace, obj.name):
            if event.id != occ.id:
                self.decide(event)
        if obj.baseline is None:
            return
        for inferred in infer_changes(self.state, self.rules, self.settings, obj, occ.time):
            self.decide(inferred)
