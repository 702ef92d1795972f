"""The cause of a deletion: who deleted the object, and for which change. Pure: nothing is changed by choosing."""

from kspan.graph.cause import evidence
from kspan.graph.cause.choice import OWN, OWNER, PLACE, ROOT, Choice
from kspan.graph.cause.controller_deletes import ordered_by_owner
from kspan.graph.cause.prerequisites import Prerequisites
from kspan.graph.observe.condition_diff import ENDED
from kspan.graph.observe.rollout_status import ENDED_BY_KUBELET
from kspan.graph.rules.rules import Disruption, Rules
from kspan.graph.state.records import KnownChange, ObjectState, Occurrence
from kspan.graph.state.state import State
from kspan.k8s.objects import decode_spec
from kspan.k8s.workloads import restart_time
from kspan.settings import FoldSettings
from kspan.times import SECOND

FOREGROUND = "foregroundDeletion"
"""Finalizer of an object whose dependents the garbage collector deletes first (FinalizerDeleteDependents)."""

NOT_WATCHED = 0.1
"""By how much the confidence is lower if the deletion or its cause was not watched but found by comparing lists."""


class DeletionChooser:
    """Chooses causes of deletions. ``prerequisites`` raises PrerequisiteError if something has to be decided first."""

    def __init__(self, state: State, rules: Rules, settings: FoldSettings, prerequisites: Prerequisites) -> None:
        self.state = state
        self.rules = rules
        self.settings = settings
        self.prerequisites = prerequisites

    def of_deletion(self, occ: Occurrence, obj: ObjectState) -> Choice:
        """The cause of the deletion of an object, and who deleted it. It is less certain if either was not watched."""
        choice = self._chosen(occ, obj)
        made = evidence.made_by(obj, occ)
        watched = (made is None or made.exact) and (choice.cause is None or choice.cause.exact)
        return choice if watched else choice._replace(confidence=choice.confidence - NOT_WATCHED)

    def _chosen(self, occ: Occurrence, obj: ObjectState) -> Choice:
        cascade = self._cascade(occ, obj)
        if cascade is not None:
            return cascade
        if obj.disruption:
            begun = self._failed_before(occ, obj) or self._restarted(occ, obj)
            return (begun or self.of_disruption(occ, obj))._replace(message=obj.disruption)
        removed = self._node_in_gap(occ, obj, ("deleted",), "pod-garbage-collector")
        if removed is not None:
            return removed
        owner = evidence.controlling(self.state, obj)
        by_owner = self._by_owners_controller(occ, obj, owner) if owner is not None else None
        if owner is not None and by_owner is not None:
            return by_owner._replace(actor=self.rules.actors.get(owner.kind, owner.kind))
        expired = _expired(occ, obj)
        if expired is not None:
            return Choice(expired, OWN, 0.8, actor="ttl-after-finished-controller")
        released = evidence.deletion_of_claim(self.state, occ, obj)
        if released is not None and decode_spec(obj.spec).persistentVolumeReclaimPolicy == "Delete":
            return Choice(released, OWNER, 0.85, actor="persistentvolume-controller")
        if owner is None or owner.kind != "DaemonSet":  # Evictions spare its Pods.
            evicted = self._node_in_gap(occ, obj, ("evicts", "closed"), "")
            if evicted is not None:
                return evicted
        return self._while_owner_works(occ, obj) or Choice(None, ROOT, 0.7)

    def _while_owner_works(self, occ: Occurrence, obj: ObjectState) -> Choice | None:
        """The transition of the owner just before, if the owner has a controller that kspan knows nothing about: it
        probably deleted what it needs no longer. Somebody else's deletion is undone by it: it creates another one."""
        owner = self.state.object(obj.owner) if obj.owner else None
        if owner is None or owner.kind in self.rules.actors or owner.kind in ("Node", "Pod"):
            return None
        last = evidence.newest_transition(owner.transitions, occ)
        if last is None or not 0 <= occ.time - last.time <= evidence.SLACK or self._is_made_again(occ, owner):
            return None
        cause = self.prerequisites.require_cause(last)
        return Choice(cause, OWNER, 0.6, actor=obj.owner_manager or owner.kind)

    def _is_made_again(self, occ: Occurrence, owner: ObjectState) -> bool:
        """True if an owner has a newer dependent of the kind of a deleted one."""
        others = (other for other in self.state.objects.dependents(owner.uid) if other.kind == occ.kind)
        return any(c.verb == "Create" and c.rv > occ.rv for other in others for c in other.changes)

    def _cascade(self, occ: Occurrence, obj: ObjectState) -> Choice | None:
        """The deletion of an owner, or of the namespace."""
        for uid in sorted(obj.owners):
            owner = self.state.object(uid)
            last = owner.changes[-1] if owner is not None and owner.changes else None
            if last is not None and last.verb == "Delete" and evidence.before(last, occ):
                actor = "unknown" if self._is_held(last, occ) else "garbage-collector"
                return Choice(last, OWNER, 0.95, actor=actor)
        namespaces = self.state.objects.named("Namespace", "", obj.namespace)
        # The name may have been used again since.
        own = [namespace for namespace in namespaces if namespace.created <= obj.created + evidence.SLACK][-1:]
        deletions = (c for namespace in own for c in namespace.changes if c.verb == "Delete")
        last = evidence.newest(c for c in deletions if evidence.before(c, occ))
        return Choice(last, PLACE, 0.9, actor="namespace-controller") if last is not None else None

    def _is_held(self, deletion: KnownChange, occ: Occurrence) -> bool:
        """True if an owner that is being deleted still existed at ``occ``, because of finalizers of others than the
        garbage collector: that deletes dependents when their owner is gone, or has its finalizer
        (pkg/controller/garbagecollector/garbagecollector.go, attemptToDeleteItem)."""
        owner = self.state.occurrence(deletion.span)
        held = (
            [f.name for f in owner.finalizers if not f.removed or f.removed > occ.latest] if owner is not None else []
        )
        return bool(held) and FOREGROUND not in held

    def _node_in_gap(self, occ: Occurrence, pod: ObjectState, effects: tuple[str, ...], actor: str) -> Choice | None:
        """The change of the Node because of which a Pod may have been deleted while nobody watched, so that its
        condition ``DisruptionTarget`` was not seen."""
        for node in reversed(self.state.objects.named("Node", "", pod.node)) if pod.node and occ.uncertainty else ():
            change = _node_change(node, occ, effects)
            if change is not None and occ.earliest - change.time <= evidence.MATCH:
                return Choice(change, PLACE, 0.8, actor=actor)
        return None

    def of_disruption(self, occ: Occurrence, obj: ObjectState) -> Choice:
        """The taint, drain or failure of a Node that causes an eviction on it (cause rule ``place``)."""
        disruption = self.rules.disruptions.get(obj.disruption, Disruption())
        actor = disruption.actor or occ.actor
        for node in reversed(self.state.objects.named("Node", "", obj.node)) if obj.node else ():
            self.prerequisites.require_inferred(node, occ)
            change = _node_change(node, occ, disruption.node)
            if change is not None:
                return Choice(change, PLACE, 0.8, actor=actor)
            bad = evidence.newest_transition(node.transitions, occ) if actor == "kubelet" else None
            if bad is not None and bad.bad:
                return Choice(self.prerequisites.require_cause(bad), PLACE, 0.8, actor=actor)
        return Choice(None, ROOT, 0.5, actor=actor)

    def _failed_before(self, occ: Occurrence, pod: ObjectState) -> Choice | None:
        """The transition of a Pod to Failed with which its deletion began (``is_removed``)."""
        if pod.disruption == ENDED_BY_KUBELET or not evidence.had_ended(pod, occ):
            return None
        last = evidence.newest_transition((t for t in pod.transitions if t.type in ENDED), occ)
        if last is None or occ.earliest - last.time > evidence.MATCH:
            return None
        actor = self.rules.disruptions.get(pod.disruption, Disruption()).actor or occ.actor
        return Choice(self.prerequisites.require_cause(last), OWN, 0.9, actor=actor)

    def _restarted(self, occ: Occurrence, pod: ObjectState) -> Choice | None:
        """The order to restart the Pods of a Rollout: its controller evicts those that are older than the time in
        restartAt (argoproj/argo-rollouts rollout/restart.go). None if the Pod's Node was closed after the order."""
        above = evidence.controlling(self.state, pod)
        rollout = evidence.controlling(self.state, above) if above is not None else None
        if rollout is None or rollout.kind != "Rollout" or not (at := restart_time(rollout.spec)):
            return None
        if not pod.created < at <= occ.latest + evidence.SLACK:
            return None
        orders = [c for c in rollout.changes if c.verb == "Update" and c.manual and evidence.before(c, occ)]
        order = min(orders, key=lambda c: (abs(c.time - at), c.order, c.span), default=None)
        other = self.of_disruption(occ, pod).cause
        if order is None or (other is not None and other.order > order.order):
            return None
        return Choice(order, OWNER, 0.85, actor=self.rules.actors.get(rollout.kind, ""))

    def _by_owners_controller(self, occ: Occurrence, obj: ObjectState, owner: ObjectState) -> Choice | None:
        """Why the owner's controller deleted a dependent; None if it did not."""
        change = ordered_by_owner(self.state, occ, obj, owner, occ.time - self.settings.max_trace_age)
        if change is not None:
            return Choice(change, OWNER, 0.85)
        evicts = self.newest_of_node(occ, ("evicts", "opened")) if owner.kind == "DaemonSet" else None
        if evicts is not None and evicts.effect == "evicts" and occ.earliest - evicts.time <= evidence.MATCH:
            return Choice(evicts, PLACE, 0.8)
        ended = self._end_of_pod(occ, obj, owner)
        return Choice(ended, OWN, 0.8) if ended is not None else None

    def _end_of_pod(self, occ: Occurrence, pod: ObjectState, owner: ObjectState) -> KnownChange | None:
        """The end of a Pod that its controller deletes in order to replace it (stateful_set_control.go,
        daemon_controller.go). A Pod that ended only after it was deleted ended because of that."""
        if owner.kind not in ("StatefulSet", "DaemonSet") or not evidence.had_ended(pod, occ):
            return None
        last = evidence.newest_transition((t for t in pod.transitions if t.type in ENDED), occ)
        return (
            self.prerequisites.require_cause(last)
            if last is not None and occ.earliest - last.time <= evidence.MATCH
            else None
        )

    def of_announcement(self, reporter: ObjectState, event: Occurrence) -> Choice | None:
        """The taint of a Node, for an Event that reports that this Node, or the object for which it was started, is
        being deleted. Karpenter launches replacements between the two (pkg/controllers/disruption/queue.go)."""
        if event.subject is None or event.subject.means != "deletes":
            return None
        owned = (node for node in self.state.objects.dependents(reporter.uid) if node.kind == "Node")
        last = evidence.newest(
            change
            for node in ([reporter] if reporter.kind == "Node" else owned)
            if (change := _node_change(node, event, ("closed", "evicts"))) is not None
        )
        if last is None or event.time - last.time > self.settings.max_trace_age:
            return None
        return Choice(last, OWN if reporter.kind == "Node" else PLACE, 0.9)

    def newest_of_node(self, occ: Occurrence, effects: tuple[str, ...]) -> KnownChange | None:
        """The newest change of a Pod's Node before ``occ`` that had one of these effects."""
        pod = self.state.object(occ.uid)
        for node in self.state.objects.named("Node", "", pod.node) if pod is not None and pod.node else ():
            if "labelled" in effects:
                self.prerequisites.require_published([node], occ)
            change = evidence.newest(c for c in node.changes if c.effect in effects and evidence.before(c, occ))
            if change is not None:
                return change
        return None


def _expired(occ: Occurrence, obj: ObjectState) -> KnownChange | None:
    """The newest change of a Job whose ttlSecondsAfterFinished has run out."""
    if not obj.ended:
        return None
    ttl = decode_spec(obj.spec).ttlSecondsAfterFinished
    if ttl is None or occ.time + occ.uncertainty < obj.ended + ttl * SECOND:
        return None
    return evidence.newest(c for c in obj.changes if c.verb != "Delete")


def _node_change(node: ObjectState, occ: Occurrence, effects: tuple[str, ...]) -> KnownChange | None:
    """The newest change of a Node before ``occ`` with one of these effects, unless it was reverted since."""
    last = evidence.newest(c for c in node.changes if c.effect in (*effects, "opened") and evidence.before(c, occ))
    return last if last is not None and last.effect in effects else None
