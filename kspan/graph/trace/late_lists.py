"""Deletions whose cause may be found by a list that is not received yet. Pure."""

from kspan.graph.state.records import Occurrence
from kspan.graph.state.state import State


def awaits_owner(state: State, members: list[Occurrence], wait: int) -> bool:
    """True if a deletion without a cause may follow from that of its owner or namespace.

    Streams that were disconnected together are listed one after the other. So a deletion that a list showed waits for
    the lists of the streams of its owners.

    Args:
        members: the occurrences of a trace.
        wait: how long a deletion waits for other lists (ns).
    """
    for occ in members:
        if occ.verb != "Delete" or occ.place.parent:
            continue
        late = bool(occ.uncertainty) and state.clock.now < occ.received + wait
        if any(state.is_pending(uid) or (late and not deleting) for uid, deleting in _owners(state, occ)):
            return True
    return False


def _owners(state: State, occ: Occurrence) -> list[tuple[str, bool]]:
    """The known owners and namespace of an object: uid, and whether it is being deleted."""
    obj = state.object(occ.uid)
    owners = [state.object(uid) for uid in obj.owners] if obj is not None else []
    owners += state.objects.named("Namespace", "", occ.namespace)
    return [(owner.uid, owner.deleting) for owner in owners if owner is not None and owner.rv]
