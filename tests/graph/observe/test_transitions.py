"""Transitions that were received late or repeat others: their times, and the span on which they are noted."""

from typing import Any

import pytest

from kspan.graph.state.records import Gap, Occurrence
from kspan.model import RecordType
from kspan.times import SECOND
from tests.graph.observe.test_object_state import T, Watched, managed, ready, second


def conditions(**statuses: str) -> dict[str, Any]:
    return {"conditions": [{"type": name, "status": value} for name, value in statuses.items()]}


def noted(occ: Occurrence) -> list[str]:
    return [note.name for note in occ.notes]


def test_a_transition_that_repeats_another_is_noted_on_the_first_of_the_same_status() -> None:
    w = Watched("Pod")
    w.see(RecordType.ADDED, status=conditions(Ready="False", Gate="False", ContainersReady="False"))
    first, second_ = w.see(status=conditions(Ready="True", Gate="True", ContainersReady="True"))
    assert (noted(first), noted(second_)) == (["ContainersReady"], [])


def test_a_transition_that_repeats_another_is_noted_on_the_newer_of_the_last_change_and_transition() -> None:
    w = Watched("Pod")
    (made,) = w.see(RecordType.ADDED, status=conditions(Initialized="False"))
    assert w.see(status=conditions(Initialized="True")) == []
    assert noted(made) == ["Initialized"]
    (turned,) = w.see(status=conditions(Initialized="True", Ready="True"))
    assert w.see(status=conditions(Initialized="False", Ready="True")) == []
    assert noted(turned) == ["Initialized=False"]
    (update,) = w.see(
        meta={"generation": 2}, spec={"nodeName": "a"}, status=conditions(Initialized="False", Ready="True")
    )
    assert (
        w.see(meta={"generation": 2}, spec={"nodeName": "a"}, status=conditions(Initialized="True", Ready="True")) == []
    )
    assert noted(update) == ["Initialized"]
    assert noted(turned) == ["Initialized=False"]


@pytest.mark.parametrize("written, expected, uncertainty", [(None, 95, 5), (93, 93, 0), (99, 99, 0), (100, 100, 0)])
def test_while_changes_may_be_missing_a_transition_without_a_time_is_dated_in_the_middle(
    written: int | None, expected: float, uncertainty: float
) -> None:
    w = Watched("Widget")
    w.see(RecordType.ADDED, at=90, **ready("True"))
    w.state.clock.hold()
    meta = {"managedFields": [managed("operator", written, "status", **{"f:status": {}})]} if written else {}
    (occ,) = w.see(at=100, meta=meta, **ready("False"))
    assert ((occ.time - T) / SECOND, occ.uncertainty / SECOND) == (expected, uncertainty)
    assert occ.latest == (T + 100 * SECOND if uncertainty else occ.time)


@pytest.mark.parametrize(
    "before, now, expected",
    [
        # The entry of managedFields is new, or of the same second and received at once.
        (95, 97, ("operator", 97)),
        (99, 99, ("operator", 100)),
        # The entry is that of an earlier write: nobody wrote this one, as far as is known.
        (98, 98, ("operator", 100)),
        (97, 97, ("operator", 100)),
        (98, 97, ("operator", 100)),
    ],
)
def test_the_entry_of_an_earlier_write_has_no_time_for_a_transition(
    before: int, now: int, expected: tuple[str, float]
) -> None:
    w = Watched("Widget")

    def meta(seconds: int) -> dict[str, Any]:
        return {"managedFields": [managed("operator", seconds, "status", **{"f:status": {}})]}

    w.see(RecordType.ADDED, at=99.5, meta=meta(before), **ready("True"))
    (occ,) = w.see(at=100, meta=meta(now), **ready("False"))
    assert (occ.manager, (occ.time - T) / SECOND) == expected


@pytest.mark.parametrize("before, expected", [(95, "operator"), (97, "")])
def test_a_condition_that_is_removed_without_a_new_entry_was_removed_by_nobody_known(
    before: int, expected: str
) -> None:
    w = Watched("Widget")

    def meta(seconds: int) -> dict[str, Any]:
        return {"managedFields": [managed("operator", seconds, "status", **{"f:status": {}})]}

    w.see(RecordType.ADDED, at=99.5, meta=meta(before), **ready("True"))
    (occ,) = w.see(at=100, meta=meta(97), status={"conditions": []})
    assert (occ.name, occ.reason, occ.manager) == ("web", "Ready=False", expected)


def test_a_transition_that_a_list_showed_has_the_time_of_an_entry_of_the_same_second() -> None:
    for end, expected in ((0, 100), (90, 97)):
        w = Watched("Widget")
        entry = {"managedFields": [managed("operator", 97, "status", **{"f:status": {}})]}
        w.see(RecordType.ADDED, at=98, meta=entry, **ready("True"))
        if end:
            w.state.clock.add_gap("example.com/v1/xs", Gap(30, end, T + 98 * SECOND, T + 100 * SECOND))
        (occ,) = w.see(at=100, meta=entry, **ready("False"))
        assert (occ.time - T) / SECOND == expected


def test_a_transition_of_a_status_without_a_creation_time_may_be_as_old_as_it_states() -> None:
    w = Watched("Widget")
    created = {"creationTimestamp": second(10)}
    w.see(RecordType.ADDED, at=50, meta=created, **ready("True"))
    (occ,) = w.see(meta=created, **ready("False", lastTransitionTime=second(20)))
    assert (occ.time - T) / SECOND == 20
