"""The ends and restarts of containers that a status shows: once each, at the stated time if that is plausible."""

from typing import Any

import pytest

from kspan.graph.state.records import ContainerTurn, Occurrence
from kspan.k8s.containers import Ended
from kspan.model import RecordType
from kspan.times import SECOND
from tests.graph.observe.test_object_state import T, Watched, second


def ended(at: int = 90, code: int = 1, *, identity: str = "containerd://a", reason: str = "Error") -> dict[str, Any]:
    times = {"startedAt": second(60), "finishedAt": second(at)}
    return {"terminated": {"exitCode": code, "reason": reason, "containerID": identity, **times}}


def running(at: int = 95) -> dict[str, Any]:
    return {"running": {"startedAt": second(at)}}


def status(
    state: dict[str, Any], number: int = 0, last: dict[str, Any] | None = None, name: str = "web"
) -> dict[str, Any]:
    own = {"name": name, "restartCount": number, "state": state, "lastState": last or {}}
    return {"phase": "Running", "containerStatuses": [own]}


class Pod(Watched):
    """A Pod that was created at second 50."""

    def __init__(self) -> None:
        super().__init__("Pod")
        self.show(status(running()), at=60, kind=RecordType.ADDED)

    def show(
        self, status: dict[str, Any], at: float = 100, kind: RecordType = RecordType.MODIFIED, **meta: Any
    ) -> list[Occurrence]:
        """The turns of containers that a record adds."""
        found = self.see(kind, at, {"creationTimestamp": second(50), **meta}, status=status)
        return [occ for occ in found if occ.run is not None]


def test_an_end_and_a_restart_are_occurrences_of_the_kubelet() -> None:
    pod = Pod()
    (end,) = pod.show(status(ended()))
    assert (end.reason, end.actor, end.warning, end.field_path) == (
        "ContainerTerminated",
        "kubelet",
        True,
        "spec.containers{web}",
    )
    assert (end.time, end.latest, end.rv) == (T + 90 * SECOND, T + 90 * SECOND, pod.obj.rv)
    assert end.message == "container web ended with Error (1)"
    (again,) = pod.show(status(running(95), 1, ended()))
    assert (again.reason, again.warning, again.time) == ("ContainerRestarted", False, T + 95 * SECOND)
    assert pod.obj.containers == (
        ContainerTurn(end.id, "spec.containers{web}", True, 0, end.rv, end.time),
        ContainerTurn(again.id, "spec.containers{web}", False, 1, again.rv, again.time),
    )


def test_an_end_that_a_status_shows_again_is_the_same() -> None:
    pod = Pod()
    assert len(pod.show(status(ended()))) == 1
    assert pod.show(status(ended())) == []
    assert [occ.reason for occ in pod.show(status(running(), 1, ended()))] == ["ContainerRestarted"]
    assert pod.show(status(running(), 1, ended())) == []


def test_an_end_without_a_container_is_known_by_its_number() -> None:
    pod = Pod()
    assert len(pod.show(status(ended(identity="")))) == 1
    assert pod.show(status(ended(identity=""))) == []
    assert [occ.run.number for occ in pod.show(status(ended(identity=""), 1)) if occ.run is not None] == [1, 1]


@pytest.mark.parametrize("code, deleting, warning", [(1, False, True), (0, False, False), (1, True, False)])
def test_a_container_failed_unless_it_completed_or_was_stopped_with_its_pod(
    code: int, deleting: bool, warning: bool
) -> None:
    pod = Pod()
    meta: dict[str, Any] = {"deletionTimestamp": second(130), "deletionGracePeriodSeconds": 30} if deleting else {}
    (end,) = pod.show(status(ended(code=code)), **meta)
    assert end.warning is warning


@pytest.mark.parametrize(
    "stated, received, expected",
    [
        (90, 100, 90),
        (50, 100, 50),
        # Before the Pod was created, or after the record: a clock is wrong.
        (49, 100, 100),
        (101, 100, 100),
        (102, 100, 100),
        (101, 100.5, 100.5),
    ],
)
def test_an_end_has_the_time_that_is_stated_if_that_is_plausible(stated: int, received: float, expected: float) -> None:
    (end,) = Pod().show(status(ended(stated)), at=received)
    assert end.time == T + int(expected * SECOND)


@pytest.mark.parametrize("number, missed", [(0, 0), (1, 1), (3, 3)])
def test_ends_that_nobody_saw_are_counted_from_the_first_run(number: int, missed: int) -> None:
    (end, *_) = [occ.run for occ in Pod().show(status(ended(), number)) if isinstance(occ.run, Ended)]
    assert end.missed == missed


@pytest.mark.parametrize("number, missed", [(1, 0), (2, 1), (4, 3)])
def test_ends_that_nobody_saw_are_counted_from_the_last_that_is_known(number: int, missed: int) -> None:
    pod = Pod()
    pod.show(status(ended()))
    found = [
        occ.run for occ in pod.show(status(ended(identity="containerd://b"), number)) if isinstance(occ.run, Ended)
    ]
    assert [end.missed for end in found] == [missed]


def test_the_ends_of_another_container_do_not_count() -> None:
    pod = Pod()
    pod.show(status(ended(), 5, name="other"))
    (end, *_) = [occ.run for occ in pod.show(status(ended(identity="b"), 1)) if isinstance(occ.run, Ended)]
    assert end.missed == 1


def test_what_the_first_list_shows_is_remembered_and_starts_nothing() -> None:
    pod = Watched("Pod")
    found = pod.see(RecordType.LISTED, 100, {"creationTimestamp": second(50)}, status=status(running(), 1, ended()))
    assert [occ for occ in found if occ.run is not None] == []
    assert [(turn.ended, turn.number) for turn in pod.obj.containers] == [(True, 0), (False, 1)]


def test_of_several_known_ends_the_last_counts() -> None:
    pod = Pod()
    for number in range(3):
        (end,) = [
            occ.run
            for occ in pod.show(status(ended(identity=f"containerd://{number}"), number))
            if isinstance(occ.run, Ended)
        ]
        assert (end.number, end.missed) == (number, 0)
