"""Which occurrence of a dependent caused a transition of its owner does not depend on the order of the edges between
them, which a restart changes. This holds for more dependents than are looked at, too."""

import random
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import msgspec
import pytest

from kspan.graph import Fold, built_in_rules
from kspan.graph.cause.evidence import MOST_BELOW
from kspan.model import Delta, LogRecord, OwnerRow, RecordType
from kspan.pipeline.rebuild import KEYS
from tests.causality.cluster import Cluster
from tests.recordings import RUN_OUT, Rows, apply_delta, structure

CLUSTER = "5f1e7a0c-0000-4000-8000-000000000000"

GROUPS = 5
"""Each with a third of the dependents that are looked at, so that not all of them are."""

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
