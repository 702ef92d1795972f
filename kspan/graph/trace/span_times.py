"""Start and end of the spans of a trace that is being closed. Pure.

No effect starts before its cause. A span lasts until the next of its object, or until the object reached what it began,
and covers its children. A deletion lasts from its request until the object is gone.
"""

from collections import defaultdict

from kspan.graph.state.records import ObjectState, Occurrence, Trace
from kspan.graph.state.state import State

Children = dict[str, list[Occurrence]]
"""The occurrences of a trace by the span of their parent; roots by the empty string."""

_ENDED_BY = {
    "Pulling": frozenset(["Pulled", "Failed"]),
    "Started": frozenset(["Ready", "Succeeded", "Failed", "Killing", "BackOff", "ContainerTerminated"]),
}
"""Events that end an action of the kubelet, whatever else happens to the Pod or its other containers meanwhile."""


def children_of(members: list[Occurrence]) -> Children:
    """The occurrences of a trace by parent, in their order."""
    children: Children = defaultdict(list)
    for occ in members:
        children[occ.place.parent].append(occ)
    return children


def start_times(children: Children) -> dict[str, int]:
    """Start of each span (ns), not before that of its parent: the time of an Event may be a truncated second, that of a
    change its receipt. A top-level Event reports what began before it."""
    starts: dict[str, int] = {}
    waiting = [(occ, 0) for occ in children[""]]
    while waiting:
        occ, floor = waiting.pop()
        own = children.get(occ.id, ())
        time = min([occ.time, *(child.time for child in own)]) if occ.top_level else occ.time
        starts[occ.id] = max(time, floor)
        waiting.extend((child, starts[occ.id]) for child in own)
    return starts


def end_times(
    state: State, trace: Trace, members: list[Occurrence], starts: dict[str, int], children: Children
) -> dict[str, int]:
    """End of each span (ns)."""
    by_object: dict[str, list[Occurrence]] = defaultdict(list)
    for occ in members:
        by_object[occ.uid].append(occ)
    ends: dict[str, int] = {}
    for uid, own in by_object.items():
        own.sort(key=lambda o: (starts[o.id], o.id))
        reached = _reached(trace, state.object(uid))
        for i, occ in enumerate(own):
            until = _gone(state, occ) if occ.verb == "Delete" else 0
            if not until:
                following = _end_of(own, i)
                until = starts[following.id] if following is not None else reached
            # The end and the start of a container are moments.
            ends[occ.id] = max(starts[occ.id], until) if occ.run is None else starts[occ.id]
            if occ.repeats or occ.notes:
                ends[occ.id] = max([ends[occ.id], *[r.time for r in occ.repeats], *[n.time for n in occ.notes]])
    for occ in deepest_first(children):
        ends[occ.id] = max([ends[occ.id], *(ends[child.id] for child in children.get(occ.id, ()))])
    return ends


def _gone(state: State, deletion: Occurrence) -> int:
    """When a deleted object was gone (ns); now, if it is still there."""
    obj = state.object(deletion.uid)
    if obj is None or not obj.deleting:
        return 0  # It exists again: a backup was restored.
    return obj.reached if obj.deleted else state.clock.now


def _end_of(own: list[Occurrence], i: int) -> Occurrence | None:
    """The occurrence that ends the i-th of those of one object: the one that reports its end, or else the next."""
    occ, ends = own[i], _ENDED_BY.get(own[i].reason) if own[i].kind == "Pod" else None
    if occ.field_path.startswith("spec.initContainers"):
        ends = None  # Init containers run one after the other.
    for later in own[i + 1 :] if occ.condition or ends else ():
        if later.condition == occ.condition if occ.condition else _reports_end(occ, later, ends):
            return later
    # A container that ends or starts is not what the Pod does next: a deletion lasts until the Pod is gone.
    return next((later for later in own[i + 1 :] if later.run is None), None)


def _reports_end(occ: Occurrence, later: Occurrence, ends: frozenset[str] | None) -> bool:
    return ends is not None and later.reason in ends and later.field_path in ("", occ.field_path)


def _reached(trace: Trace, obj: ObjectState | None) -> int:
    """When the object stopped progressing after its last change (ns); 0 if it has not, or not in this trace."""
    if obj is None or obj.progressing or not obj.changes or obj.changes[-1].trace != trace.id:
        return 0
    return obj.reached


def deepest_first(children: Children) -> list[Occurrence]:
    """The occurrences of a trace, each after its effects."""
    order: list[Occurrence] = []
    waiting = list(children[""])
    while waiting:
        occ = waiting.pop()
        order.append(occ)
        waiting.extend(children.get(occ.id, ()))
    return order[::-1]
