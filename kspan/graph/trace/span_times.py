"""The order of the spans of a trace, and when they start. Pure. ``durations`` has their ends."""

from collections import defaultdict

from kspan.graph.state.records import Occurrence

Children = dict[str, list[Occurrence]]
"""The occurrences of a trace by the span of their parent; roots by the empty string."""


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


def deepest_first(children: Children) -> list[Occurrence]:
    """The occurrences of a trace, each after its effects."""
    order: list[Occurrence] = []
    waiting = list(children[""])
    while waiting:
        occ = waiting.pop()
        order.append(occ)
        waiting.extend(children.get(occ.id, ()))
    return order[::-1]
