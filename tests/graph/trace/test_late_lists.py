"""Whether a trace waits for a list that may show the cause of a deletion. Times are seconds."""

from typing import Any

import pytest

from kspan.graph.state.records import ObjectState, Place
from kspan.graph.trace.late_lists import awaits_owner
from kspan.times import SECOND
from tests.graph.making import occurrence, state_of, thing

WAIT = 30 * SECOND


def awaits(owner: ObjectState, now: float = 100, *, parent: str = "", **deletion: Any) -> bool:
    """Whether the trace of a deletion that was received at second 100 waits."""
    pod = thing("pod", owner="owner", owners=("owner",))
    state = state_of(owner, pod)
    state.clock.advance(int(now * SECOND))
    fields: dict[str, Any] = {"verb": "Delete", "uncertainty": SECOND, "place": Place("trace", parent=parent)}
    return awaits_owner(state, [occurrence("this", 50, 100, **(fields | deletion))], WAIT)


@pytest.mark.parametrize("owner", [thing("owner", "ReplicaSet"), thing("ns", "Namespace", "shop", namespace="")])
def test_a_deletion_that_a_list_showed_waits_for_the_list_of_its_owner_or_namespace(owner: ObjectState) -> None:
    assert awaits(owner)
    assert awaits(owner, 129.9)
    assert not awaits(owner, 130)


@pytest.mark.parametrize(
    "deletion", [{"uncertainty": 0}, {"parent": "cause"}, {"verb": "Update"}], ids=["watched", "caused", "update"]
)
def test_nothing_else_waits(deletion: dict[str, Any]) -> None:
    assert not awaits(thing("owner", "ReplicaSet"), **deletion)


def test_an_owner_that_is_being_deleted_or_was_never_seen_is_not_waited_for() -> None:
    assert not awaits(thing("owner", "ReplicaSet", deleting=True))
    assert not awaits(thing("owner", "ReplicaSet", rv=0))


def test_a_pending_change_of_the_owner_is_waited_for_also_if_the_deletion_was_watched() -> None:
    pod = thing("pod", owner="owner", owners=("owner",))
    state = state_of(thing("owner", "ReplicaSet", deleting=True), pod)
    deletion = occurrence("this", 50, 100, verb="Delete", place=Place("trace"))
    assert not awaits_owner(state, [deletion], WAIT)
    state.add_occurrence(occurrence("that", 40, 100, verb="Delete", uid="owner"))
    assert awaits_owner(state, [deletion], WAIT)
