"""The cause of a condition or phase transition. Pure: nothing is changed by choosing.

It is the newest one before it: the change of the object that its controller had observed, or a change or transition of
a dependent. Conditions of Nodes have no cause in the cluster; those of Pods may change because of their Node.
"""

import re
from collections.abc import Callable

from kspan.graph.cause import evidence
from kspan.graph.cause.choice import OWN, OWNER, PLACE, ROOT, UNKNOWN, Choice
from kspan.graph.cause.prerequisites import Prerequisites
from kspan.graph.observe.condition_diff import PHASE
from kspan.graph.state.records import (
    SYNTHETIC_UPDATE,
    ContainerTurn,
    KnownChange,
    ObjectState,
    Occurrence,
    Transition,
)
from kspan.graph.state.state import State
from kspan.k8s.objects import decode_selector, decode_spec
from kspan.k8s.workloads import selects
from kspan.times import SECOND

_ENDED_BY_NODE = frozenset(["Evicted", "NodeLost", "NodeShutdown", "Shutdown", "Terminated"])
"""Reasons of a failed Pod that its kubelet ended because of the node (pkg/kubelet eviction, nodeshutdown)."""

_UNREADY = re.compile(r"containers with unready status: \[([^\]]*)\]")
"""In the message of the condition Ready: the containers for which it is false (pkg/kubelet/status/generate.go)."""

_NOT_READY = "Readiness probe failed"
"""The beginning of the message of an Event about a probe after which a container is not ready
(pkg/kubelet/prober/prober.go)."""

_CONTROLLERS_OF_PODS = ("ReplicaSet", "ReplicationController", "StatefulSet")

_BEFORE_OBSERVED = frozenset(
    ["DeploymentPaused", "DeploymentResumed", "FoundNewReplicaSet", "NewReplicaSetCreated", "ReplicaSetCreateError"]
)
"""Reasons of conditions that the deployment controller writes before it raises ``observedGeneration``
(pkg/controller/deployment/sync.go, checkPausedConditions and getNewReplicaSet). It fails to write a status if the
Deployment was changed since it was read."""

MOST_BELOW = 5_000
"""Dependents that are enough to look at for one transition of their owner. Those of an owner with many are indexed."""

DECISION = 5 * SECOND
"""A controller writes what it decided into the status at once, at the end of the same pass."""


class TransitionChooser:
    """Chooses causes of transitions.

    Args:
        prerequisites: raises PrerequisiteError if something has to be decided first.
        of_disruption: chooses the cause of the disruption of a Pod.
        of_stop: finds the Event in which a kubelet reports that it is going to stop a Pod.
    """

    def __init__(
        self,
        state: State,
        prerequisites: Prerequisites,
        of_disruption: Callable[[Occurrence, ObjectState], Choice],
        of_stop: Callable[[Occurrence], Occurrence | None],
    ) -> None:
        self.state = state
        self.prerequisites = prerequisites
        self.of_disruption = of_disruption
        self.of_stop = of_stop

    def of_transition(self, occ: Occurrence) -> Choice:
        """The cause of a transition; for the end of a disrupted Pod also who disrupted it."""
        obj = self.state.object(occ.uid)
        transition = next((t for t in obj.transitions if t.span == occ.id), None) if obj is not None else None
        if obj is None or transition is None:
            return UNKNOWN
        self.prerequisites.require_decided([earlier.span for earlier in obj.transitions if earlier.rv < transition.rv])
        self.prerequisites.require_inferred(obj, occ)
        if obj.kind == "Node":
            return self._of_node(occ, obj, transition)
        if obj.kind != "Pod" or not obj.node:
            return self._newest(occ, obj, transition)
        if occ.condition_status == PHASE:
            return self._of_end(occ, obj, transition)
        by_node = self._by_node(occ, obj, transition)
        return by_node if by_node is not None else self._newest(occ, obj, transition)

    def _of_node(self, occ: Occurrence, node: ObjectState, transition: Transition) -> Choice:
        """A node fails by itself. It recovers from its last failure, or becomes ready because it joined."""
        if transition.bad:
            return Choice(None, ROOT, 0.9)
        joined = next((c for c in node.changes if c.verb == "Create" and c.rv <= transition.rv), None)
        failures = (t for t in node.transitions if t.bad and t.type == transition.type)
        bad = evidence.newest_transition(failures, occ)
        if bad is not None and (joined is None or joined.rv < bad.rv):
            return Choice(self.prerequisites.require_cause(bad), OWN, 0.8)
        return Choice(joined, OWN, 0.9) if joined is not None else Choice(None, ROOT, 0.5)

    def _of_end(self, occ: Occurrence, pod: ObjectState, transition: Transition) -> Choice:
        """The end of a Pod: that of its containers, or why its kubelet stopped it; or its disruption, if it failed
        because of its node."""
        actor = ""
        stop = self.of_stop(occ) if transition.bad else None
        if stop is not None:
            turn = _turn_before(pod, occ, transition)
            return self._newest(occ, pod, transition) if turn is not None else Choice.event(stop, OWN, 0.95)
        if transition.bad and (pod.disruption or occ.condition_reason in _ENDED_BY_NODE):
            disrupted = self.of_disruption(occ, pod)
            if disrupted.cause is not None:
                return disrupted
            actor = disrupted.actor
        return self._newest(occ, pod, transition)._replace(actor=actor)

    def _by_node(self, occ: Occurrence, pod: ObjectState, transition: Transition) -> Choice | None:
        """The transition of a Pod's Node, if another component than the kubelet wrote the Pod's condition, or the one
        before it."""
        same_type = (t for t in pod.transitions if t.type == transition.type)
        previous = evidence.newest_transition(same_type, occ)
        reverts = previous is not None and previous.by_other_component and previous.bad
        if not (transition.by_other_component or reverts):
            return None
        for node in reversed(self.state.objects.named("Node", "", pod.node)):
            found = evidence.newest_transition((t for t in node.transitions if t.bad or not transition.bad), occ)
            if found is not None:
                return Choice(self.prerequisites.require_cause(found), PLACE, 0.95)
        return None

    def _newest(self, occ: Occurrence, obj: ObjectState, transition: Transition) -> Choice:
        released = evidence.deletion_of_claim(self.state, occ, obj)
        if released is not None:
            return Choice(released, OWNER, 0.9)
        eviction = self._eviction(occ) if occ.evicted and transition.bad else None
        if eviction is not None:
            return Choice(eviction, OWNER, 0.9)
        decision = self._decision(obj, transition) if obj.kind not in ("Pod", "Node") else None
        if decision is not None:
            return Choice.event(decision, OWN, 0.8)
        observed = 0 if occ.condition_reason in _BEFORE_OBSERVED else occ.generation
        before = [
            c
            for c in obj.changes
            if c.verb != "Delete"
            and c.rv <= transition.rv
            and (c.exact or c.time <= occ.time + evidence.SLACK)
            and c.generation <= (observed or c.generation)
        ]
        own = evidence.newest(c for c in before if not self._may_be_later(c, occ))
        # A deadline is exceeded because of the change that set it, not because of a dependent.
        timed_out = occ.condition_reason.endswith("DeadlineExceeded")
        find = newest_guarded if obj.kind == "PodDisruptionBudget" else newest_below
        # What a Pod owns are its claims, which do not run it.
        below = None if timed_out or obj.kind == "Pod" else find(self.state, obj, transition)
        if below is not None and (own is None or own.rv < below.rv):
            return Choice(
                self.prerequisites.require_cause(below) if isinstance(below, Transition) else below, OWNER, 0.8
            )
        turn = _turn_before(obj, occ, transition) if obj.containers else None
        if turn is not None and (own is None or own.rv <= turn.rv):
            self.prerequisites.require_decided([turn.span])
            return Choice(turn.as_cause(), OWN, 0.9)
        probe = self._failed_probe(occ, obj, transition) if obj.kind == "Pod" and turn is None else None
        if probe is not None:
            return Choice.event(probe, OWN, 0.9)
        if own is not None:
            certain = 0.95 if occ.generation and own.generation else 0.9
            return Choice(own, OWN, certain if own is evidence.newest(before) else 0.8)
        return UNKNOWN

    def _may_be_later(self, change: KnownChange, occ: Occurrence) -> bool:
        """True if a change may have been made only after a transition, and the transition has another explanation:
        nobody watched either of them, and the object had not done yet what it was to do before."""
        if change.exact or not change.range or change.latest <= occ.time + evidence.SLACK:
            return False
        made = self.state.occurrence(change.span)
        return made is not None and made.unsettled

    def _failed_probe(self, occ: Occurrence, pod: ObjectState, transition: Transition) -> Occurrence | None:
        """The Event about the readiness probe for which a Pod is not ready any more: the newest about one of the
        containers that the condition names, since the Pod was ready."""
        named = _UNREADY.search(occ.message) if transition.bad and transition.type == "Ready" else None
        if named is None or occ.condition_reason != "ContainersNotReady":
            return None
        since = max((t.time for t in pod.transitions if t.type == "Ready" and t.rv < transition.rv), default=0)
        until = occ.time + evidence.SLACK
        found: list[tuple[int, str, Occurrence]] = []
        for path in (*(f"spec.containers{{{name}}}" for name in named[1].split()), ""):
            for event in self.state.of_containers(pod.uid, "Unhealthy", path):
                times = [event.time, *(repeat.time for repeat in event.repeats)]
                failed = max((time for time in times if since <= time <= until), default=0)
                if failed and event.message.startswith(_NOT_READY):
                    found.append((failed, event.id, event))
        # A report may turn out to be a repeat of an earlier one.
        self.prerequisites.require_decided([event.id for _, _, event in found])
        return max(found, key=lambda each: each[:2], default=(0, "", None))[2]

    def _eviction(self, occ: Occurrence) -> KnownChange | None:
        """The deletion of a Pod whose eviction used up a PodDisruptionBudget: the budget is written first."""
        pods = [pod for name in occ.evicted for pod in self.state.objects.named("Pod", occ.namespace, name)]
        deletions = [
            change
            for pod in pods
            for change in pod.changes
            if change.verb == "Delete" and abs(change.time - occ.time) <= evidence.MATCH
        ]
        first = min(deletions, key=lambda change: (abs(change.time - occ.time), change.rv, change.span), default=None)
        if first is not None:
            self.prerequisites.require_decided([first.span])
        return first

    def _decision(self, obj: ObjectState, transition: Transition) -> Occurrence | None:
        """The Event in which the object's own controller reported a decision just before (an autoscaler's new size)."""
        found = (
            event
            for event in self.state.decisions(obj.uid)
            if event.uid == obj.uid and -evidence.SLACK <= transition.time - event.time <= DECISION
        )
        event = max(found, key=lambda e: (e.time, e.id), default=None)
        if event is not None:
            self.prerequisites.require_decided([event.id])
        return event


def _turn_before(pod: ObjectState, occ: Occurrence, transition: Transition) -> ContainerTurn | None:
    """The end of a container because of which a Pod is not ready any more or ended, or the restart after which it is
    ready again: the newest since the condition last changed. The kubelet may write both at once."""
    if occ.condition_status == PHASE:
        since, ended = 0, True
    elif transition.type in ("Ready", "ContainersReady"):
        earlier = (t.rv for t in pod.transitions if t.type == transition.type and t.rv < transition.rv)
        since, ended = max(earlier, default=0) + transition.bad, transition.bad
    else:
        return None
    turns = (t for t in pod.containers if t.ended == ended and since <= t.rv <= transition.rv)
    return max(turns, key=lambda t: (t.rv, t.time, t.span), default=None)


def newest_guarded(state: State, budget: ObjectState, transition: Transition) -> Transition | KnownChange | None:
    """The newest occurrence before the transition of a PodDisruptionBudget to a Pod that it guards: of those with a
    controller, whose pod template has the labels. All objects of the cluster are looked at."""
    selector = decode_selector(budget.spec)
    if selector is None:
        return None
    found = (
        newest_below(state, owner, transition)
        for owner in state.objects.all()
        if owner.namespace == budget.namespace and owner.kind in _CONTROLLERS_OF_PODS
        if selects(selector, bytes(decode_spec(owner.spec).template))
    )
    return max((f for f in found if f is not None), key=lambda f: (f.rv, f.span), default=None)


def newest_below(state: State, obj: ObjectState, transition: Transition) -> Transition | KnownChange | None:
    """The newest occurrence before ``transition`` to a dependent of ``obj``, direct or not, that may have caused it.

    It is a transition in the same direction; for the worse also a deletion, and for the end of a refusal a creation.
    Dependents are visited level by level; those of more than ``MOST_BELOW`` owners and dependents not all.

    Edges are in the order of arrival, which a restart changes. So owners are sorted by uid, and the dependents of each
    are visited completely, or looked up in an index if they are many: what is found depends on no order.
    """
    verb = "Delete" if transition.bad else "Create" if transition.type == "ReplicaFailure" else ""
    found: list[Transition | KnownChange] = []
    level, seen, visited = [obj.uid], {obj.uid}, 0
    while level:
        below: set[str] = set()
        for owner in level:
            if visited >= MOST_BELOW:
                break
            index = state.objects.happenings(owner)
            if index is not None:
                keys = (transition.bad, verb) if verb else (transition.bad,)
                found += [last for key in keys if (last := index.newest(key, transition.rv)) is not None]
                below |= index.owners
                visited += 1
                continue
            for one in state.objects.dependents(owner):
                found += [t for t in one.transitions if t.bad == transition.bad and t.rv < transition.rv]
                found += [c for c in one.changes if c.verb == verb and SYNTHETIC_UPDATE < c.rv < transition.rv]
                visited += 1
                if state.objects.has_dependents(one.uid):
                    below.add(one.uid)
        level = sorted(below - seen)
        seen |= below
    return max(found, key=lambda f: (f.rv, f.span), default=None)
