"""Which occurrences are moments, and how long the others last. Times are seconds."""

from typing import Any

import pytest

from kspan.graph.state.records import Note, Occurrence, Repeat
from kspan.graph.trace.durations import end_times, last_time
from kspan.k8s.containers import Ended
from kspan.times import SECOND
from tests.graph.making import occurrence

APP, OTHER, INIT = "spec.containers{app}", "spec.containers{other}", "spec.initContainers{init}"


def lasts(*members: Occurrence) -> dict[str, float]:
    """The durations of spans, by id."""
    starts = {occ.id: occ.time for occ in members}
    return {span: (end - starts[span]) / SECOND for span, end in end_times(members, starts).items()}


def event(span: str, reason: str, seconds: float, path: str = APP, **more: Any) -> Occurrence:
    number = int(seconds * 1000)
    return occurrence(span, 1, seconds, reason=reason, field_path=path, **({"arrival": number} | more))


def until(seconds: float) -> int:
    return int(seconds * SECOND)


@pytest.mark.parametrize("reason", ["Pulled", "Created", "Scheduled", "Failed", "Unhealthy", "SomethingNew"])
def test_an_event_that_begins_nothing_is_a_moment_whatever_follows(reason: str) -> None:
    assert lasts(event("a", reason, 100), event("b", "Started", 104), event("c", reason, 110))["a"] == 0


@pytest.mark.parametrize(
    "reason, later, expected",
    [
        ("Pulling", [("Pulled", APP, 102)], 2),
        ("Pulling", [("Pulled", OTHER, 102), ("Pulled", APP, 104)], 4),
        ("Pulling", [("FailedMount", "", 102), ("Failed", APP, 104)], 4),
        ("Pulling", [("Pulled", OTHER, 102), ("Created", APP, 104)], 4),
        ("Started", [("Unhealthy", APP, 102), ("Ready", "", 104)], 4),
        ("Started", [("ContainerTerminated", OTHER, 102), ("ContainerTerminated", APP, 104)], 4),
        ("Started", [("Succeeded", "", 104)], 4),
        ("BackOff", [("ContainerRestarted", APP, 110)], 10),
        ("BackOff", [("Pulling", OTHER, 105), ("Pulling", APP, 120)], 20),
        ("Killing", [("ContainerTerminated", APP, 130)], 30),
    ],
)
def test_what_the_kubelet_began_lasts_until_its_end_for_the_same_container(
    reason: str, later: list[tuple[str, str, float]], expected: float
) -> None:
    followed = [event(f"b{i}", name, at, path) for i, (name, path, at) in enumerate(later)]
    assert lasts(event("a", reason, 100), *followed)["a"] == expected


@pytest.mark.parametrize(
    "kind, reason, end, expected",
    [
        ("Pod", "FailedScheduling", "Scheduled", 9),
        ("Pod", "FailedScheduling", "FailedScheduling", 9),
        ("Pod", "FailedMount", "Pulled", 9),
        ("Pod", "FailedAttachVolume", "SuccessfulAttachVolume", 9),
        ("PersistentVolumeClaim", "WaitForFirstConsumer", "Bound", 9),
        ("PersistentVolumeClaim", "Provisioning", "ProvisioningSucceeded", 9),
        ("Node", "NodeNotReady", "NodeReady", 9),
        ("Node", "NodeNotSchedulable", "NodeSchedulable", 9),
        ("Widget", "Pulling", "Pulled", 0),
    ],
)
def test_waiting_lasts_until_there_is_what_was_waited_for(kind: str, reason: str, end: str, expected: float) -> None:
    found = lasts(
        event("a", reason, 100, "", kind=kind),
        event("b", "Other", 103, "", kind=kind),
        event("c", end, 109, APP if kind == "Pod" else "", kind=kind),
    )
    assert found["a"] == expected


@pytest.mark.parametrize(
    "message, expected",
    [
        ('Successfully pulled image "web:v1" in 1.2s', 1.2),
        ('Successfully pulled image "web:v1" in 1.2s (3.4s including waiting). Image size: 123 bytes.', 3.4),
        ('Successfully pulled image "web:v1"', 5),
        ('Container image "web:v1" already present on machine', 5),
    ],
)
def test_a_pull_lasts_as_long_as_the_message_states_at_its_end(message: str, expected: float) -> None:
    """The times of Events may be whole seconds."""
    assert lasts(event("a", "Pulling", 100), event("b", "Pulled", 105, message=message)) == {"a": expected, "b": 0}


def test_init_containers_run_one_after_the_other() -> None:
    started = event("a", "Started", 100, INIT)
    assert lasts(started, event("b", "Pulled", 103, APP))["a"] == 3
    assert lasts(started, event("b", "ContainerTerminated", 102, INIT), event("c", "Pulled", 103, APP))["a"] == 2
    assert (
        lasts(event("a", "Started", 100, APP), event("b", "Pulled", 103, OTHER), event("c", "Ready", 105, ""))["a"] == 5
    )


def test_of_two_events_in_one_second_the_one_that_arrived_later_ends_the_other() -> None:
    pulled = event("b", "Pulled", 100, arrival=4)
    assert lasts(event("a", "Pulling", 100, arrival=3), pulled, event("c", "Pulled", 107))["a"] == 0
    assert lasts(event("a", "Pulling", 100, arrival=5), pulled, event("c", "Pulled", 107))["a"] == 7


def test_repeats_make_no_span_longer_and_end_what_they_are_the_end_of() -> None:
    pulled = event("b", "Pulled", 101, repeats=[Repeat(until(131), 2, "", 9), Repeat(until(183), 3, "", 10)])
    found = lasts(event("a", "Pulling", 100), pulled, event("c", "Pulling", 180))
    assert found == {"a": 1, "b": 0, "c": 3}


def test_a_deletion_ends_what_its_pod_was_doing() -> None:
    delete = occurrence("d", 9, 104, verb="Delete", reason="Delete", until=until(130))
    assert lasts(event("a", "FailedScheduling", 100, ""), delete)["a"] == 4
    assert lasts(event("a", "Killing", 100), delete)["a"] == 30, "until the Pod is gone"


def test_what_an_event_began_without_an_end_lasts_until_the_last_of_its_object() -> None:
    assert lasts(event("a", "Pulling", 100))["a"] == 0
    waits = event("b", "FailedMount", 107, "")
    assert lasts(event("a", "Pulling", 100), waits, event("c", "Scheduled", 150, uid="other"))["a"] == 7


def test_what_has_no_end_lasts_as_long_as_the_change_that_waits_for_it() -> None:
    """A Pod that could not be scheduled is deleted in another trace."""
    create = occurrence("p", 1, 100, verb="Create", reason="Create", until=until(126))
    assert lasts(create, event("a", "FailedScheduling", 100.5, ""))["a"] == 25.5
    assert lasts(create, event("a", "Killing", 100.5))["a"] == 0
    assert lasts(create, event("a", "BackOff", 130))["a"] == 0, "it had been ready before"


@pytest.mark.parametrize("received, expected", [(100.75, 0.35), (107, 0.6), (100.3, 0)])
def test_a_container_that_ended_in_the_second_of_its_end_was_stopped_before_that_was_received(
    received: float, expected: float
) -> None:
    """The status of a Pod has whole seconds."""
    ended = Ended("app", APP, 0, "", "Error", 1, 0, "", "", "")
    more: dict[str, Any] = {"run": ended, "received": until(received), "time": until(100), "arrival": 200_000}
    found = end_times(
        [event("a", "Killing", 100.4), event("b", "ContainerTerminated", 100.4, **more)],
        {"a": until(100.4), "b": until(100.4)},
    )
    assert (found["a"] - until(100.4)) / SECOND == pytest.approx(expected)


def test_its_own_repeats_show_that_something_still_waits_but_not_that_it_still_works() -> None:
    again = [Repeat(until(130), 2, "", 200_000)]
    assert lasts(event("a", "FailedScheduling", 100, "", repeats=again))["a"] == 30
    assert lasts(event("a", "FailedScheduling", 100, "", repeats=again), event("b", "Scheduled", 140, ""))["a"] == 40
    assert lasts(event("a", "Pulling", 100, repeats=again))["a"] == 0


@pytest.mark.parametrize("what", [{"verb": "Update"}, {"condition": "Ready", "condition_status": "False"}])
def test_a_change_and_a_condition_last_until_they_are_over_or_else_until_the_end_of_the_trace(
    what: dict[str, Any],
) -> None:
    later = occurrence("b", 2, 103, uid="other")
    assert lasts(occurrence("a", 1, 100, until=until(109), **what), later)["a"] == 9
    assert lasts(occurrence("a", 1, 100, until=until(100), **what), later)["a"] == 0
    assert lasts(occurrence("a", 1, 100, until=until(99), **what), later)["a"] == 0, "its start is not exact"
    assert lasts(occurrence("a", 1, 100, **what), later)["a"] == 3


@pytest.mark.parametrize(
    "condition, status, expected",
    [
        ("Ready", "False", 9),
        ("Ready", "Unknown", 9),
        ("MemoryPressure", "True", 9),
        ("Ready", "True", 0),
        ("MemoryPressure", "False", 0),
        ("Failed", "True", 0),  # of a Job
        ("Succeeded", "False", 0),  # of a TaskRun
        ("Issuing", "True", 9),  # of a Certificate
        ("Issuing", "False", 0),
        ("Failed", "phase", 0),
        ("Bound", "phase", 0),
    ],
)
def test_a_bad_condition_lasts_and_a_good_or_final_one_is_a_moment(
    condition: str, status: str, expected: float
) -> None:
    what = {"condition": condition, "condition_status": status, "reason": condition}
    assert lasts(occurrence("a", 1, 100, until=until(109), **what))["a"] == expected
    assert lasts(occurrence("a", 1, 100, **what), occurrence("b", 2, 109, uid="other"))["a"] == expected


def test_an_object_that_is_still_there_is_being_deleted_until_now() -> None:
    members = [occurrence("a", 1, 100, verb="Delete"), occurrence("b", 2, 103, verb="Create")]
    ends = end_times(members, {"a": until(100), "b": until(103)}, now=until(130))
    assert ends == {"a": until(130), "b": until(103)}


def test_a_trace_shows_things_until_its_last_repeat_and_note() -> None:
    a = occurrence("a", 1, 100, repeats=[Repeat(until(140), 2, "", 2)])
    b = occurrence("b", 1, 101, notes=[Note(until(150), "Initialized", "Initialized", "True", "", "")])
    assert last_time([a], {"a": a.time}) == until(140)
    assert last_time([a, b], {"a": a.time, "b": b.time}) == until(150)
    assert last_time([], {}) == 0


def test_a_deployment_that_is_progressing_is_not_said_to_go_on() -> None:
    """Its condition stays true when the rollout is complete."""
    what = {"kind": "Deployment", "condition": "Progressing", "reason": "Progressing", "until": until(109)}
    assert lasts(occurrence("a", 1, 100, condition_status="True", **what))["a"] == 0
    assert lasts(occurrence("a", 1, 100, condition_status="False", **what))["a"] == 9
