"""Which occurrence of a dependent caused a transition of its owner does not depend on the order of the edges between
them, which a restart changes. This holds for owners with so many that they have an index, too."""

import random
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import msgspec
import pytest

from kspan.graph import Fold, built_in_rules
from kspan.graph.cause.choose_transition import MOST_BELOW, newest_below
from kspan.graph.state.object_index import MANY_DEPENDENTS
from kspan.graph.state.records import KnownChange, Transition
from kspan.graph.state.state import State
from kspan.model import Delta, LogRecord, OwnerRow, RecordType
from kspan.pipeline.rebuild import KEYS
from kspan.times import SECOND
from tests.causality.cluster import Cluster
from tests.graph.making import change, occurrence, state_of, thing, transition
from tests.recordings import RUN_OUT, Rows, apply_delta, structure

CLUSTER = "5f1e7a0c-0000-4000-8000-000000000000"

GROUPS = 5
"""Each with a third of the dependents that are looked at without an index."""

Order = Callable[[list[OwnerRow]], Sequence[OwnerRow]]


@cache
def records() -> tuple[list[LogRecord], int]:
    """An application owns groups, and these own configurations. One dependent in each group fails, then the
    application.

    Returns:
        The records, and the number of those that are listed.
    """
    c = Cluster()
    app = c.create("Application", "shop")
    groups = [c.create("Widget", f"group-{number}", owner=app) for number in range(GROUPS)]
    members = [
        [c.create("Widget", f"{group.name}-{n}", owner=group) for n in range(MOST_BELOW // 3)] for group in groups
    ]
    c.first_list()
    listed = len(c.records)
    for group in members:
        c.condition(group[7], "Degraded", "True")
    c.condition(app, "Degraded", "True")
    c.wait(60)
    return c.records, listed


def fold_records(order: Order | None = None) -> Rows:
    """The rows of the projection; with an ``order``, after a restart between the first list and the rest that loads
    the owners in this order."""
    found, listed = records()
    tables: dict[str, dict[Any, Any]] = {table: {} for table in KEYS}
    fold = Fold(CLUSTER, built_in_rules())
    delta = Delta()
    for number, record in enumerate([*found, LogRecord(RecordType.TICK, found[-1].recorded_at + RUN_OUT)], 1):
        fold.apply(number, record)
        if number == listed and order is not None:
            delta = fold.take_delta()
            apply_delta(tables, delta)
            fold = Fold(CLUSTER, built_in_rules())
            fold.load([row.state for row in delta.objects], order(delta.owners), [], [], delta.clock)
    apply_delta(tables, fold.take_delta())
    return {table: [msgspec.structs.asdict(row) for _, row in sorted(rows.items())] for table, rows in tables.items()}


def shuffled(seed: int) -> Order:
    def order(rows: list[OwnerRow]) -> Sequence[OwnerRow]:
        return random.Random(seed).sample(rows, len(rows))

    return order


@pytest.mark.parametrize(
    "order",
    [
        pytest.param(lambda rows: sorted(rows, key=lambda row: (row.uid, row.owner_uid)), id="as stored"),
        pytest.param(lambda rows: rows[::-1], id="reversed"),
        *(pytest.param(shuffled(seed), id=f"shuffled {seed}") for seed in range(3)),
    ],
)
def test_the_cause_of_an_owners_transition_does_not_depend_on_the_order_of_its_dependents(order: Order) -> None:
    expected = fold_records()
    assert structure(fold_records(order)) == structure(expected)
    (transition,) = [row for row in expected["spans"] if row["name"] == "Application.Degraded"]
    assert transition["rule"] == "owner"


def worst(state: State, owner: str, before: int) -> str:
    """The newest transition for the worse or deletion among all dependents of an owner."""
    found: list[Transition | KnownChange] = []
    for obj in state.objects.dependents(owner):
        found += [t for t in obj.transitions if t.bad and t.rv < before]
        found += [c for c in obj.changes if c.verb == "Delete" and c.rv < before]
    return max(((f.rv, f.span) for f in found), default=(0, ""))[1]


@pytest.mark.parametrize("seed", range(5))
def test_the_index_of_many_dependents_finds_what_a_visit_to_all_of_them_finds(seed: int) -> None:
    """However they change: transitions come, are dropped and become repeats, objects come, get owners and go."""
    chance = random.Random(seed)
    owner = thing("owner", "Application")
    objects = [thing(f"o{n}", "Widget", owner="owner") for n in range(MANY_DEPENDENTS + 10)]
    strays = [thing(f"s{n}", "Widget") for n in range(20)]
    state = state_of(owner, *objects, *strays)
    occurrences = [occurrence(f"occ{n}") for n in range(5)]
    asked = 0
    for version in range(10, 2_000):
        obj = chance.choice(objects)
        action = chance.choice(
            ["worse", "worse", "better", "delete", "create", "drop", "merge", "adopt", "forget", "ask"]
        )
        if action in ("worse", "better"):
            made = transition(f"t{chance.randrange(10**6)}", version, bad=action == "worse")
            state.objects.add_transition(obj, made)
        elif action in ("delete", "create"):
            verb = action.capitalize()
            state.objects.add_change(obj, change(f"c{chance.randrange(10**6)}", version, 0, verb))
        elif action == "drop":
            state.clock.advance(state.clock.now + SECOND)
            state.objects.make_room_for_transition(obj)
        elif action == "merge" and obj.transitions:
            state.objects.merge_transition(obj, obj.transitions[-1], chance.choice(occurrences))
        elif action == "adopt" and strays:
            objects.append(strays.pop())
            state.objects.add_transition(objects[-1], transition("stray", version))
            state.objects.own(OwnerRow(objects[-1].uid, "owner", "", "Application", "owner", controller=True))
        elif action == "forget" and len(objects) > MANY_DEPENDENTS + 1:
            objects.remove(obj)
            state.objects.forget(obj)
        elif action == "ask":
            before = chance.randrange(5, version + 5)
            found = newest_below(state, owner, transition("this", before))
            assert (found.span if found is not None else "") == worst(state, "owner", before)
            asked += found is not None
    assert asked > 50


def test_below_an_owner_with_many_dependents_those_of_its_dependents_are_found() -> None:
    owner, middle = thing("owner", "Application"), thing("middle", "Widget", owner="owner")
    others = [thing(f"o{n}", "Widget", owner="owner") for n in range(MANY_DEPENDENTS)]
    state = state_of(owner, *others, middle)
    this = transition("this", 100)
    assert newest_below(state, owner, this) is None
    below = thing("below", "Pod", owner="middle", transitions=[transition("failed", 50)])
    state.objects.put(below)
    state.objects.own(OwnerRow("below", "middle", "", "Widget", "middle", controller=True))
    found = newest_below(state, owner, this)
    assert found is not None
    assert found.span == "failed"
