"""When a trace is resolved, and what its spans then are. Pure.

Resolved: every occurrence on its objects has its cause, nothing has come to it for a while, and nothing in it is on its
way. A trace is closed once, whole; its occurrences leave the graph.
"""

from collections import defaultdict

from kspan.graph.state.records import ObjectState, Occurrence, Trace
from kspan.graph.state.rows import closed_root_row, closed_span_row
from kspan.graph.state.state import State
from kspan.graph.trace.placement import Placer
from kspan.model import SpanRow, TraceRow, TraceState
from kspan.settings import FoldSettings
from kspan.times import SECOND

_ENDED_BY = {
    "Pulling": frozenset(["Pulled", "Failed"]),
    "Started": frozenset(["Ready", "Succeeded", "Failed", "Killing", "BackOff"]),
}
"""What ends what the kubelet began, whatever else happens to the Pod (or to another of its containers) meanwhile."""


def _follower(own: list[Occurrence], i: int) -> Occurrence | None:
    """Until when the i-th of these occurrences of one object lasts: what ends it, or else the next; None without."""
    occ, ends = own[i], _ENDED_BY.get(own[i].reason) if own[i].kind == "Pod" else None
    if occ.field_path.startswith("spec.initContainers"):
        ends = None  # One comes after the other.
    for later in own[i + 1 :] if occ.condition or ends else ():
        if later.condition == occ.condition if occ.condition else _ends(occ, later, ends):
            return later
    return own[i + 1] if i + 1 < len(own) else None


def _ends(occ: Occurrence, later: Occurrence, ends: frozenset[str] | None) -> bool:
    return ends is not None and later.reason in ends and later.field_path in ("", occ.field_path)


def _concerns(trace: Trace, obj: ObjectState) -> bool:
    if not obj.changes or obj.changes[-1].trace == trace.id:
        return True
    turn = next((t for t in reversed(obj.transitions) if t.trace), None)  # What turned after that is not decided yet.
    return turn is not None and turn.bad and turn.trace == trace.id


class Resolver:
    """Checks open traces and closes those that are resolved."""

    def __init__(self, state: State, settings: FoldSettings) -> None:
        self.state = state
        self.settings = settings
        self.placer = Placer(state)

    def check(self, name: str) -> None:
        """Close the trace if it is resolved, otherwise schedule another check."""
        trace, now = self.state.trace(name), self.state.clock.now
        if trace is None or now < trace.check:
            return  # Stale timer; a later check is scheduled.
        expires = trace.opened + self.settings.max_trace_age
        objects = self._objects(trace)
        if now >= expires:
            self._close(trace, incomplete=any(o.progressing for o in objects))
            return
        # What came to rest just now may have caused what was not received yet.
        quiet_since = max([trace.active, *(o.settled for o in objects)])
        settle = self._settle(trace)
        if now < quiet_since + settle:
            again = quiet_since + settle
        elif any(self.state.is_pending(o.uid) for o in objects):
            again = now + self.settings.hold
        elif any(o.progressing or self._awaited(o) for o in objects):
            again = now + self.settings.settle
        else:
            self._close(trace, incomplete=False)
            return
        self.state.check_again(trace, min(again, expires))

    def _awaited(self, obj: ObjectState) -> bool:
        """Whether controllers that were refused because of this object, before its newest change, are still to try
        again, or Pods have yet to leave this Node."""
        if obj.kind == "Node" and obj.changes and obj.changes[-1].effect == "evicts":
            return self._stays(obj.name, obj.changes[-1].time)
        refused_by = self.state.objects.refused_by
        waiting = [*refused_by(obj.kind, obj.namespace, obj.name), *refused_by(obj.kind, obj.namespace, "")]
        changed = obj.changes[-1].time if obj.changes else 0
        still = self.state.clock.now - self.settings.settle
        return any(
            w.refused is not None and w.refused.first <= changed and (w.progressing or w.settled > still)
            for w in waiting
        )

    def _stays(self, node: str, since: int) -> bool:
        now = self.state.clock.now - self.settings.settle
        pods = (pod for pod in self.state.objects.all() if pod.toleration_seconds and pod.node == node)
        return any(
            self.state.is_pending(pod.uid)
            or (not pod.deleting and now < max(since, pod.created) + pod.toleration_seconds * SECOND)
            for pod in pods
        )

    def _settle(self, trace: Trace) -> int:
        quiet = self.settings.settle_after_warning if trace.warning else self.settings.settle
        # Events that come late come late again: the next may be as far behind as the last was.
        return quiet + 2 * self.state.clock.event_lag()

    def _objects(self, trace: Trace) -> list[ObjectState]:
        """The objects whose newest cause is in this trace, or whose trouble is: one that moved on is another trace's
        business."""
        uids = {occ.uid for occ in self.state.members(trace.id)}
        found = (self.state.object(uid) for uid in sorted(uids))
        return [obj for obj in found if obj is not None and _concerns(trace, obj)]

    # closing ---------------------------------------------------------------------------------------------------------

    def _close(self, trace: Trace, *, incomplete: bool) -> None:
        members = sorted(self.state.members(trace.id), key=lambda o: (o.time, o.id))
        self.placer.gather_episode(members)
        children: dict[str, list[Occurrence]] = defaultdict(list)
        for occ in members:
            children[occ.place.parent].append(occ)
        starts = self._starts(children)
        ends = self._ends(trace, members, starts, children)
        root = children[""][0]
        outcome = self._outcome(trace, incomplete=incomplete)
        rows: list[tuple[Occurrence, SpanRow]] = []
        for occ in members:
            obj = self.state.object(occ.uid)
            node = obj.node if obj is not None and obj.node else (occ.instance if occ.actor == "kubelet" else "")
            place = occ, starts[occ.id], ends[occ.id], node
            row = closed_root_row(*place, outcome, incomplete=incomplete) if occ is root else closed_span_row(*place)
            rows.append((occ, row))
        closed = TraceRow(
            trace_id=trace.id,
            state=TraceState.CLOSED,
            root_span_id=root.id,
            previous_trace_id=trace.previous_trace,
            opened_at=trace.opened,
            closed_at=self.state.clock.now,
            start_time=min(starts.values()),
            end_time=max(ends.values()),
            span_count=len(members),
            incomplete=incomplete,
            error=bool(outcome),
            fold=b"",
        )
        self.state.close_trace(trace, closed, rows)

    def _starts(self, children: dict[str, list[Occurrence]]) -> dict[str, int]:
        """No effect starts before its cause: an Event's time may be a cut-off second, a delta's that of its receipt.
        A top-level Event tells of what was begun before it."""
        starts: dict[str, int] = {}
        waiting = [(occ, 0) for occ in children[""]]
        while waiting:
            occ, floor = waiting.pop()
            time = min([occ.time, *(c.time for c in children.get(occ.id, ()))]) if occ.top_level else occ.time
            starts[occ.id] = max(time, floor)
            waiting.extend((child, starts[occ.id]) for child in children.get(occ.id, ()))
        return starts

    def _ends(
        self,
        trace: Trace,
        members: list[Occurrence],
        starts: dict[str, int],
        children: dict[str, list[Occurrence]],
    ) -> dict[str, int]:
        """A span lasts until the next of its object, or until what it began was reached, and covers its children."""
        by_object: dict[str, list[Occurrence]] = defaultdict(list)
        for occ in members:
            by_object[occ.uid].append(occ)
        ends: dict[str, int] = {}
        for uid, own in by_object.items():
            own.sort(key=lambda o: (starts[o.id], o.id))
            reached = self._reached(trace, self.state.object(uid))
            for i, occ in enumerate(own):
                following = _follower(own, i)
                until = starts[following.id] if following is not None else reached
                ends[occ.id] = max(starts[occ.id], until)
                if occ.repeats or occ.notes:
                    ends[occ.id] = max([ends[occ.id], *[r.time for r in occ.repeats], *[n.time for n in occ.notes]])
        for occ in self._deepest_first(children):
            ends[occ.id] = max([ends[occ.id], *(ends[child.id] for child in children.get(occ.id, ()))])
        return ends

    def _reached(self, trace: Trace, obj: ObjectState | None) -> int:
        """When the object came to rest after what this trace did to it (ns; 0: not, or not in this trace)."""
        if obj is None or obj.progressing or not obj.changes or obj.changes[-1].trace != trace.id:
            return 0
        return obj.reached

    def _deepest_first(self, children: dict[str, list[Occurrence]]) -> list[Occurrence]:
        order: list[Occurrence] = []
        waiting = list(children[""])
        while waiting:
            occ = waiting.pop()
            order.append(occ)
            waiting.extend(children.get(occ.id, ()))
        return order[::-1]

    def _outcome(self, trace: Trace, *, incomplete: bool) -> str:
        """Why the whole failed, empty where it did not. A hiccup on the way (a failed Pod of a Job) is no failure."""
        objects = self._objects(trace)
        uids = {obj.uid for obj in objects}
        for obj in objects:
            if obj.failed and obj.owner not in uids:
                return f"{obj.kind} {obj.name} failed"
        if incomplete and trace.warning:
            progressing = [obj for obj in objects if obj.progressing and obj.owner not in uids]
            return f"{progressing[0].kind} {progressing[0].name} did not finish" if progressing else "did not finish"
        return ""

    def forget_object(self, uid: str) -> None:
        """Forget an object that was deleted, or only referenced, long enough ago.

        It stays while a trace of it is open, one of its occurrences waits, or it has dependents in the cluster: their
        deletion still refers to it.
        """
        obj = self.state.object(uid)
        if obj is None or self.state.clock.now < obj.forget or (obj.rv and not obj.deleted):
            return
        if self._is_needed(obj):
            self.state.objects.postpone_forgetting(obj)
        else:
            self.state.objects.forget(obj)

    def _is_needed(self, obj: ObjectState) -> bool:
        return (
            self.state.is_pending(obj.uid)
            or self.state.is_open(obj.episode)
            or any(self.state.is_open(change.trace) for change in obj.changes)
            or any(not dependent.deleted for dependent in self.state.objects.dependents(obj.uid))
        )
