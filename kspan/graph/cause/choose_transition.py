"""What made a condition or a phase turn. Pure.

A turn has the newest evidence before it for its cause: the change of the object that its controller had observed, or
what happened to a dependent. Nodes turn by themselves, and Pods may turn because of their Node.
"""

from collections.abc import Callable

from kspan.graph.cause import evidence
from kspan.graph.observe.condition_diff import PHASE
from kspan.graph.state.records import KnownChange, ObjectState, Occurrence, Transition
from kspan.graph.state.state import State
from kspan.graph.trace.placement import OWN, OWNER, PLACE, ROOT, UNKNOWN, Choice
from kspan.times import SECOND

_LEFT_NODE = frozenset(["Evicted", "NodeLost", "NodeShutdown", "Shutdown", "Terminated"])
"""Reasons of a failed Pod that its kubelet ended for the sake of the node (pkg/kubelet eviction, nodeshutdown)."""

DECISION = 5 * SECOND
"""A controller writes what it has decided into the status at once, at the end of the same pass."""


class TransitionChooser:
    """Chooses the causes of turns; ``decide`` decides another occurrence first, ``infer`` makes up unseen changes."""

    def __init__(
        self,
        state: State,
        decide: Callable[[Occurrence], None],
        infer: Callable[[ObjectState, Occurrence], None],
        of_disruption: Callable[[Occurrence, ObjectState], Choice],
    ) -> None:
        self.state = state
        self.decide = decide
        self.infer = infer
        self.of_disruption = of_disruption

    def of_turn(self, occ: Occurrence) -> Choice:
        """The cause of a turn."""
        obj = self.state.object(occ.uid)
        turn = next((t for t in obj.transitions if t.span == occ.id), None) if obj is not None else None
        if obj is None or turn is None:
            return UNKNOWN
        self._in_order(obj, turn)
        self.infer(obj, occ)
        if obj.kind == "Node":
            return self._of_node(occ, obj, turn)
        if obj.kind == "Pod" and obj.node and (place := self._of_pod(occ, obj, turn)) is not None:
            return place
        return self._newest(occ, obj, turn)

    def as_cause(self, turn: Transition) -> KnownChange:
        """A turn, decided, for another to go back to: it may have become a repeat of an earlier one."""
        occ = self.state.occurrence(turn.span)
        if occ is not None:
            self.decide(occ)
        return turn.as_cause()

    def _in_order(self, obj: ObjectState, turn: Transition) -> None:
        for earlier in obj.transitions:
            if earlier.rv < turn.rv:
                self.as_cause(earlier)

    def _of_node(self, occ: Occurrence, node: ObjectState, turn: Transition) -> Choice:
        """A node fails by itself; it is well (again) since it was bad, or since it joined."""
        if turn.bad:
            return Choice(None, ROOT, 0.9)
        joined = next((c for c in node.changes if c.verb == "Create" and c.rv <= turn.rv), None)
        bad = evidence.newest_turn((t for t in node.transitions if t.bad and t.type == turn.type), occ)
        if bad is not None and (joined is None or joined.rv < bad.rv):
            return Choice(self.as_cause(bad), OWN, 0.8)
        return Choice(joined, OWN, 0.9) if joined is not None else Choice(None, ROOT, 0.5)

    def _of_pod(self, occ: Occurrence, pod: ObjectState, turn: Transition) -> Choice | None:
        """What happened to its Node, where somebody else than its kubelet told the turn, or the Pod was made to go."""
        if occ.status == PHASE:
            if not turn.bad:
                return None
            disrupted = self.of_disruption(occ, pod) if pod.disruption or occ.because in _LEFT_NODE else UNKNOWN
            return disrupted if disrupted.cause is not None else None
        before = evidence.newest_turn((t for t in pod.transitions if t.type == turn.type), occ)
        if not (turn.by_other_component or (before is not None and before.by_other_component and before.bad)):
            return None
        for node in reversed(self.state.named("Node", "", pod.node)):
            found = evidence.newest_turn((t for t in node.transitions if t.bad or not turn.bad), occ)
            if found is not None:
                return Choice(self.as_cause(found), PLACE, 0.95)
        return None

    def freed(self, occ: Occurrence, volume: ObjectState) -> KnownChange | None:
        """The deletion of the claim that a volume was bound to, before ``occ``."""
        claim = self.state.object(volume.claim)
        return evidence.newest(c for c in claim.changes if c.verb == "Delete" and c.rv < occ.rv) if claim else None

    def _newest(self, occ: Occurrence, obj: ObjectState, turn: Transition) -> Choice:
        if obj.claim and (freed := self.freed(occ, obj)) is not None:
            return Choice(freed, OWNER, 0.9)
        reported = self.state.decisions(obj.uid)
        decided = self._decision(obj, turn, reported) if reported and obj.kind not in ("Pod", "Node") else None
        if decided is not None:
            return Choice(decided, OWN, 0.8)
        own = evidence.newest(
            c
            for c in obj.changes
            if c.verb != "Delete"
            and c.rv <= turn.rv
            and (c.exact or c.time <= occ.time + evidence.SLACK)
            and c.generation <= (occ.generation or c.generation)
        )
        # That time is over is nobody's doing: a deadline runs from the change.
        below = None if occ.because.endswith("DeadlineExceeded") else evidence.newest_below(self.state, obj, turn)
        if below is not None and (own is None or own.rv < below.rv):
            return Choice(self.as_cause(below) if isinstance(below, Transition) else below, OWNER, 0.8)
        if own is not None:
            return Choice(own, OWN, 0.95 if occ.generation and own.generation else 0.9)
        return UNKNOWN

    def _decision(self, obj: ObjectState, turn: Transition, reported: list[Occurrence]) -> KnownChange | None:
        """What the object's own controller has just decided and told by an Event (an autoscaler's new size)."""
        found = [
            event
            for event in reported
            if event.uid == obj.uid and -evidence.SLACK <= turn.time - event.time <= DECISION
        ]
        event = max(found, key=lambda e: (e.time, e.id), default=None)
        if event is None:
            return None
        self.decide(event)
        return KnownChange(event.id, "", event.rv, event.time, trace=event.trace)
