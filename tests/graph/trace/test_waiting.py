"""Which occurrences a trace waits for that was quiet for ``settle``: all that may join it.

The Deployment ``web`` was created in the trace and has come to rest; somebody changes it at second 109."""

from typing import Any

import pytest

from kspan.graph import built_in_rules
from kspan.graph.cause.decide import Decider
from kspan.graph.rules.rules import Subject
from kspan.graph.state.records import ObjectState, Occurrence, Place, Trace
from kspan.graph.trace.waiting import LONGEST, WaitingOccurrences
from kspan.settings import FoldSettings
from kspan.times import SECOND
from tests.graph.making import change, occurrence, state_of, thing, transition

CHANGED: dict[str, Any] = {
    "uid": "web",
    "kind": "Deployment",
    "name": "web",
    "verb": "Update",
    "manager": "helm",
    "generation": 2,
}
CONTROLLER = {"manager": "kube-controller-manager", "by_controller": True}
REPLICAS: dict[str, Any] = {"uid": "rs", "kind": "ReplicaSet", "name": "web-1", "verb": "Update", **CONTROLLER}
SCALED = Subject("scales", kind="ReplicaSet", namespace="shop", name="web-1", source="message", rule="scaled")


class Waited:
    """An open trace with a Deployment and its ReplicaSet, and a change of the Deployment at second 109."""

    def __init__(self, *more: ObjectState, trace: dict[str, Any] | None = None, **web: Any) -> None:
        changes = [change("a", 10, 90, "Create", trace="trace"), change("m", 20, 109, manual=True)]
        known: dict[str, Any] = {"changes": changes, "progressing": True, "settled": 109 * SECOND} | web
        self.web = thing("web", "Deployment", **known)
        own = [change("b", 11, 90, "Create", trace="trace")]
        self.rs = thing("rs", "ReplicaSet", "web-1", owner="web", changes=own, settled=95 * SECOND)
        self.state = state_of(self.web, self.rs, *more)
        self.state.clock.advance(110 * SECOND)
        self.trace = Trace("trace", 95 * SECOND, 100 * SECOND, 110 * SECOND, **(trace or {}))
        self.waiting = WaitingOccurrences(self.state, Decider(self.state, built_in_rules(), FoldSettings()).chooser)

    def add(self, span: str, rv: int, seconds: float, trace: str = "", **about: Any) -> Occurrence:
        """Add an occurrence that waits, or that is in a ``trace``."""
        occ = occurrence(span, rv, seconds, **about)
        self.state.add_occurrence(occ)
        if trace:
            self.state.start_deciding(occ)
            self.state.place(occ, Place(trace, "own", 0.9))
        return occ

    def changed(self, **more: Any) -> None:
        """Somebody changes the Deployment."""
        self.add("m", 20, 109, **(CHANGED | more))

    def scaled(self, **more: Any) -> None:
        """The deployment controller scales the ReplicaSet."""
        self.rs.changes.append(change("s", 30, 109.5))
        self.rs.progressing, self.rs.settled = True, int(109.5 * SECOND)
        self.add("s", 30, 109.5, **(REPLICAS | more))

    def newest(self) -> float:
        """When the newest occurrence was received that the trace waits for, in seconds; 0: it waits for none."""
        return self.waiting.newest(self.trace, [self.web, self.rs]) / SECOND

    def taken(self) -> float:
        """Since when the Deployment belongs to another trace, in seconds; 0: it does not."""
        return self.waiting.taken(self.trace, [self.web]).get(self.web.uid, 0) / SECOND


def test_a_change_by_a_person_is_not_waited_for_and_takes_its_object() -> None:
    waited = Waited()
    assert (waited.newest(), waited.taken()) == (0, 0)
    waited.changed()
    assert (waited.newest(), waited.taken()) == (0, 109)


def test_an_object_at_rest_is_taken_also_by_a_change_that_leaves_it_at_rest() -> None:
    waited = Waited(progressing=False, settled=96 * SECOND)
    waited.changed()
    assert (waited.newest(), waited.taken()) == (0, 109)


@pytest.mark.parametrize(
    "more",
    [
        {"manager": ""},
        {"uncertainty": 1},
        {"inferred_from": "9"},
        {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
        {"warning": True},
        {"revision": "main@1"},
        CONTROLLER,
    ],
    ids=["by nobody knows whom", "in a gap", "inferred", "a context", "a Warning", "a revision", "by a controller"],
)
def test_a_change_is_waited_for_unless_it_is_certain_to_start_a_trace(more: dict[str, Any]) -> None:
    waited = Waited()
    waited.changed(**more)
    assert (waited.newest(), waited.taken()) == (109, 0)


def test_a_change_of_an_object_that_was_progressing_is_waited_for() -> None:
    """A controller acts for either change, and the Events that show for which are still to come."""
    waited = Waited()
    waited.changed(unsettled=True)
    assert (waited.newest(), waited.taken()) == (109, 0)


def test_of_several_the_newest_that_may_join_counts() -> None:
    """Once its hold is over, those before it are decided, too."""
    waited = Waited()
    waited.add("m", 20, 109, **(CHANGED | {"manager": ""}))
    waited.add("n", 12, 108, **(CHANGED | {"manager": "", "uid": "rs"}))
    assert waited.newest() == 109


def test_the_failure_of_a_node_is_waited_for() -> None:
    """It has no cause in the cluster, and shares a trace with others of its object that have none."""
    node = thing("node", "Node", transitions=[transition("t", 50, 109)])
    waited = Waited(node)
    waited.add("t", 50, 109, condition="Ready", condition_status="False", uid="node", kind="Node", name="node")
    assert waited.waiting.newest(waited.trace, [node]) == 109 * SECOND


def test_a_change_that_interrupts_what_its_object_was_doing_is_waited_for() -> None:
    waited = Waited()
    waited.web.changes[-1].interrupts = True
    waited.changed()
    assert (waited.newest(), waited.taken()) == (109, 0)


def test_a_change_of_an_object_whose_progress_is_not_known_is_waited_for() -> None:
    waited = Waited()
    waited.web.kind = "Widget"
    waited.changed(kind="Widget")
    assert (waited.newest(), waited.taken()) == (109, 0)


@pytest.mark.parametrize(
    "trace",
    [{"warning": True}, {"failing": ("web",)}, {"previous_trace": "closed"}, {"remote": True}],
    ids=["with a Warning", "in which something was failing", "that is an episode", "of another system"],
)
def test_a_trace_waits_for_every_change(trace: dict[str, Any]) -> None:
    waited = Waited(trace=trace)
    waited.changed()
    assert (waited.newest(), waited.taken()) == (109, 0)


@pytest.mark.parametrize("trace, expected", [("", 0), ("other", 0), ("trace", 109.5)])
def test_what_a_controller_does_is_waited_for_if_the_change_to_which_it_reacts_may_be_in_the_trace(
    trace: str, expected: float
) -> None:
    waited = Waited()
    waited.add("m", 20, 109, trace, **CHANGED)
    waited.scaled()
    assert waited.newest() == expected


def test_what_a_controller_does_for_a_change_in_the_trace_is_waited_for() -> None:
    waited = Waited()
    del waited.web.changes[-1]
    waited.add("a", 10, 90, "trace", **CHANGED)
    waited.scaled()
    assert waited.newest() == 109.5


def test_what_follows_from_a_closed_trace_is_waited_for() -> None:
    waited = Waited()
    del waited.web.changes[-1]
    waited.scaled()
    assert waited.newest() == 109.5


@pytest.mark.parametrize("seen_rv, expected", [(10, 109.6), (20, 0)])
def test_the_version_that_its_controller_saw_decides_whether_a_change_is_waited_for(
    seen_rv: int, expected: float
) -> None:
    """The Event is received, the hold of neither is over. It is the newest that waits."""
    waited = Waited()
    waited.add("a", 10, 90, "trace", **CHANGED)
    waited.changed()
    waited.scaled()
    of_web: dict[str, Any] = {"uid": "web", "kind": "Deployment", "name": "web", "reason": "ScalingReplicaSet"}
    waited.add("e", 40, 109.6, event_uid="e", seen_rv=seen_rv, event_count=1, subject=SCALED, **of_web)
    assert waited.newest() == expected


@pytest.mark.parametrize("before, expected", [("", 0), ("trace", 109.7)])
def test_a_transition_is_waited_for_if_the_change_before_it_may_be_in_the_trace(before: str, expected: float) -> None:
    waited = Waited()
    waited.add("m", 20, 109, before, **CHANGED)
    waited.web.transitions = [transition("t", 50, 109.7, "Progressing", bad=False)]
    about: dict[str, Any] = {"uid": "web", "kind": "Deployment", "name": "web", "generation": 2}
    waited.add("t", 50, 109.7, condition="Progressing", condition_status="True", **about)
    assert waited.newest() == expected


def test_what_depends_on_another_occurrence_that_waits_is_waited_for() -> None:
    """A transition after another one, which may become its repeat."""
    waited = Waited()
    waited.changed()
    waited.web.transitions = [transition("t", 50, 109.7), transition("u", 60, 109.8)]
    about: dict[str, Any] = {"uid": "web", "kind": "Deployment", "name": "web", "condition": "Available"}
    waited.add("t", 50, 109.7, condition_status="False", **about)
    waited.add("u", 60, 109.8, condition_status="True", **about)
    assert waited.newest() == 109.8


@pytest.mark.parametrize(
    "event, web, expected",
    [
        ({"seen_rv": 20}, {}, 0),
        ({"seen_rv": 0}, {}, 109.7),
        ({"seen_rv": 20, "top_level": True}, {}, 109.7),
        ({"seen_rv": 20}, {"deleted": 109 * SECOND}, 109.7),
        ({"seen_rv": 20}, {"rv": 0}, 109.7),
    ],
    ids=["a version", "only its time", "it starts a trace", "the object is gone", "the object was not seen"],
)
def test_an_event_is_waited_for_unless_a_version_shows_what_its_cause_is(
    event: dict[str, Any], web: dict[str, Any], expected: float
) -> None:
    waited = Waited(**web)
    waited.changed()
    about: dict[str, Any] = {"uid": "web", "kind": "Deployment", "name": "web", "reason": "Noted", "event_uid": "e"}
    waited.add("e", 60, 109.7, **(about | event))
    assert waited.newest() == expected


def test_what_follows_from_a_change_that_nobody_saw_is_waited_for() -> None:
    """It may be older than a trace can be: whether it explains what follows is decided later."""
    waited = Waited()
    waited.add("m", 20, 109, "other", inferred_from="9", **CHANGED)
    waited.scaled()
    assert waited.newest() == 109.5


def test_an_event_that_may_be_a_repeat_is_waited_for() -> None:
    waited = Waited()
    event: dict[str, Any] = {"uid": "web", "kind": "Deployment", "name": "web", "reason": "Noted", "event_uid": "e"}
    waited.changed()
    waited.add("e2", 60, 109.7, event_count=2, seen_rv=20, reported_uid="web", **event)
    assert waited.newest() == 0
    waited.add("e1", 12, 91, "trace", event_count=1, seen_rv=10, reported_uid="web", **event)
    assert waited.newest() == 109.7


def test_what_waits_on_an_object_that_is_taken_is_still_waited_for_if_it_may_join() -> None:
    """A late Event about what the Deployment did before."""
    waited = Waited()
    waited.add("a", 10, 90, "trace", **CHANGED)
    waited.changed()
    about: dict[str, Any] = {"uid": "web", "kind": "Deployment", "name": "web", "reason": "Noted", "event_uid": "e"}
    waited.add("e", 40, 109.6, seen_rv=12, **about)
    assert (waited.newest(), waited.taken()) == (109.6, 109)


@pytest.mark.parametrize("count, waited_for", [(LONGEST, False), (LONGEST + 1, True)])
def test_a_long_row_of_changes_that_all_wait_is_waited_for(count: int, waited_for: bool) -> None:
    """To find out where a row began must not take the longer the more somebody writes."""
    row = [
        thing(
            f"o{i}", "Deployment", owner=f"o{i - 1}" if i else "", changes=[change(f"s{i}", 30 + i, 109, manual=True)]
        )
        for i in range(count)
    ]
    waited = Waited(*row)
    for i in range(count):
        waited.add(f"s{i}", 30 + i, 109, **(CHANGED | (CONTROLLER if i else {}) | {"uid": f"o{i}", "name": f"o{i}"}))
    assert bool(waited.waiting.newest(waited.trace, row[-1:])) == waited_for
