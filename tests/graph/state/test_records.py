"""What the fold knows of something new: nothing, in the way that each field says it."""

from typing import Any

import msgspec
import pytest

from kspan.graph.state.records import (
    SYNTHETIC_CREATE,
    SYNTHETIC_UPDATE,
    Clock,
    Failure,
    KnownChange,
    LostDependent,
    ObjectState,
    Occurrence,
    Place,
    Replacement,
    Trace,
    Transition,
)

UNKNOWN = {
    KnownChange: {"replicas": -1, "replicas_before": -1, "template": 0, "generation": 0}
    | {"template_changed": False, "interrupts": False, "manual": False, "exact": True, "range": 0},
    Transition: {"by_other_component": False},
    LostDependent: {"gone": 0, "ordered": -1, "ended": False},
    Replacement: {},
    Place: {"confidence": 0.0, "episodic": False},
    Occurrence: {"rv": 0, "generation": 0, "uncertainty": 0, "event_count": 0, "event_start": 0, "seen_rv": 0}
    | {
        "until": 0,
        "warning": False,
        "by_controller": False,
        "top_level": False,
        "decided": False,
        "probable_manager": False,
        "unsettled": False,
    },
    ObjectState: {"rv": 0, "generation": 0, "created": 0, "seen": 0, "deleted": 0, "forget": 0, "settled": 0}
    | {"reached": 0, "written": 0, "ended": 0, "template": 0, "toleration_seconds": 0, "labels": 0}
    | {"replicas": -1, "ordinal": -1, "deleting": False, "progressing": False, "failed": False},
    Trace: {"warning": False, "remote": False, "failing_until": 0, "quiet": False, "first": 0, "last": 0},
    Failure: {"last": 0, "heard": 0, "ended": 0, "in_status": False, "final": False},
    Clock: {
        "now": 0,
        "before": 0,
        "arrivals": 0,
        "lag": 0,
        "lag_at": 0,
        "invalid_contexts": 0,
        "held": False,
        "resumed": 0,
        "began": 0,
        "events_listed": 0,
        "events_listed_before": 0,
    },
}


@pytest.mark.parametrize("struct", UNKNOWN, ids=lambda struct: struct.__name__)
def test_a_number_that_is_not_known_is_0_or_minus_1_and_a_flag_is_not_set(struct: type[msgspec.Struct]) -> None:
    fields = msgspec.structs.fields(struct)
    found: dict[str, Any] = {
        field.name: field.default for field in fields if isinstance(field.default, bool | int | float)
    }
    assert found == UNKNOWN[struct]


@pytest.mark.parametrize(
    "before, after, added",
    [(1, 3, 2), (3, 1, -2), (2, 2, 0), (0, 1, 1), (1, 0, -1), (-1, 3, 0), (3, -1, 0), (-1, -1, 0)],
)
def test_a_change_adds_replicas_if_both_numbers_are_known(before: int, after: int, added: int) -> None:
    assert KnownChange("c", "Update", 1, 1, replicas=after, replicas_before=before).added == added


def test_changes_that_were_inferred_come_first_the_creation_before_the_update() -> None:
    assert (SYNTHETIC_CREATE, SYNTHETIC_UPDATE) == (1, 2)
    assert KnownChange("c", "Update", 3, 5).order == (3, 5)


def test_when_a_controller_last_saw_a_dependent() -> None:
    assert LostDependent("l", 1, 5, "u", "n").last == 5
    assert LostDependent("l", 1, 5, "u", "n", gone=9).last == 9
    assert Replacement("r", 1, 5, "n").last == 5


def test_a_transition_as_a_cause() -> None:
    cause = Transition("t", "Ready", True, 7, 5, trace="trace").as_cause()
    assert (cause.span, cause.verb, cause.rv, cause.time, cause.trace) == ("t", "", 7, 5, "trace")
