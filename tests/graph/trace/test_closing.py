"""When a trace is closed, and what its spans are then. Hold is 5 s, settle 10 s (60 s after a Warning), the maximum age
900 s."""

from functools import cached_property
from typing import Any

import pytest

from kspan.graph import built_in_rules
from kspan.graph.cause.decide import Decider
from kspan.graph.state.records import ObjectState, Occurrence, Place, Refusal, Repeat
from kspan.graph.state.state import State
from kspan.graph.trace.closing import TraceCloser
from kspan.model import Delta, SpanRow, TraceRow, TraceState
from kspan.settings import FoldSettings
from kspan.times import SECOND
from tests.graph.making import change, occurrence, state_of, thing, transition


class Traced:
    """A trace that is opened at second 100, on objects that are made by hand."""

    def __init__(self, *objects: ObjectState) -> None:
        self.state: State = state_of(*objects)
        decider = Decider(self.state, built_in_rules(), FoldSettings())
        self.closer = TraceCloser(self.state, FoldSettings(), decider.chooser)
        self.to(100)

    def to(self, seconds: float) -> None:
        self.state.clock.advance(int(seconds * SECOND))

    def add(self, span: str, parent: str = "", seconds: float = 100, trace: str = "trace", **more: Any) -> Occurrence:
        """Add an occurrence that is placed in the trace."""
        occ = occurrence(span, int(more.pop("rv", 10)), seconds, **more)
        self.state.add_occurrence(occ)
        self.state.start_deciding(occ)
        self.state.place(occ, Place(trace, "own", 0.9, cause=parent, parent=parent))
        return occ

    def check(self, seconds: float) -> str:
        """``closed`` or ``incomplete``, or after how many seconds the trace is checked again."""
        self.to(seconds)
        trace = self.state.trace("trace")
        assert trace is not None
        trace.check = self.state.clock.now
        self.closer.check("trace")
        if self.state.is_open("trace"):
            return f"{(trace.check - self.state.clock.now) / SECOND:g}"
        return "incomplete" if self.closed().incomplete else "closed"

    def closed(self) -> TraceRow:
        """The row of the closed trace."""
        (row,) = (row for row in self._written.traces if row.state is TraceState.CLOSED)
        return row

    @cached_property
    def _written(self) -> Delta:
        return self.state.take_delta()

    def spans(self) -> dict[str, SpanRow]:
        return {row.span_id: row for row in (*self._written.spans, *self._written.updated_spans)}

    def lasts(self) -> dict[str, tuple[float, float]]:
        """Start and end of each span, in seconds."""
        return {name: (row.start_time / SECOND, row.end_time / SECOND) for name, row in self.spans().items()}


def pod(**more: Any) -> ObjectState:
    return thing("pod", changes=[change("a", 10, 100, trace="trace")], **more)


# when ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds, expected", [(109.5, "0.5"), (110, "closed")])
def test_a_trace_is_closed_after_ten_quiet_seconds(seconds: float, expected: str) -> None:
    traced = Traced(pod())
    traced.add("a", verb="Create")
    assert traced.check(seconds) == expected


@pytest.mark.parametrize("seconds, expected", [(110, "50"), (159.5, "0.5"), (160, "closed")])
def test_after_a_warning_a_minute_must_be_quiet(seconds: float, expected: str) -> None:
    traced = Traced(pod())
    traced.add("a", verb="Create")
    traced.add("b", "a", warning=True)
    assert traced.check(seconds) == expected


@pytest.mark.parametrize("seconds, expected", [(155, "10"), (164.5, "0.5"), (165, "closed")])
def test_after_an_outage_ten_quiet_seconds_are_enough_also_after_a_warning(seconds: float, expected: str) -> None:
    """What happened meanwhile has been received, and would be in the trace."""
    traced = Traced(pod())
    traced.add("a", verb="Create")
    traced.add("b", "a", warning=True)
    traced.to(105)
    traced.state.clock.hold()
    traced.state.clock.resume(155 * SECOND)
    assert traced.check(seconds) == expected


def test_what_came_to_rest_just_now_makes_the_quiet_begin() -> None:
    traced = Traced(pod(settled=105 * SECOND))
    traced.add("a", verb="Create")
    assert traced.check(110) == "5"
    assert traced.check(115) == "closed"


def test_late_events_make_the_quiet_longer() -> None:
    traced = Traced(pod())
    traced.add("a", verb="Create")
    traced.state.clock.note_event_lag(3 * SECOND)
    assert traced.check(110) == "6"
    assert traced.check(116) == "closed"


def test_a_trace_stays_open_while_an_occurrence_on_its_objects_waits_for_its_cause() -> None:
    traced = Traced(pod())
    traced.add("a", verb="Create")
    waiting = occurrence("b", 20, 109)
    traced.state.add_occurrence(waiting)
    assert traced.check(110) == "4"
    traced.state.start_deciding(waiting)
    assert traced.check(114) == "closed"


def test_a_trace_does_not_wait_for_what_its_object_begins_in_another_trace() -> None:
    """A Pod that somebody deletes while the trace in which it became ready is about to be closed."""
    obj = pod(progressing=True, settled=109 * SECOND)
    traced = Traced(obj)
    traced.add("a", verb="Create")
    deletion = occurrence("b", 20, 109, verb="Delete")
    obj.changes.append(change("b", 20, 109, "Delete"))
    traced.state.add_occurrence(deletion)
    assert traced.check(110) == "4"
    traced.state.start_deciding(deletion)
    obj.changes[-1].trace = "other"
    assert traced.check(114) == "closed"


@pytest.mark.parametrize("uncertainty, seconds, expected", [(1, 129.5, "10"), (1, 130, "closed"), (0, 110, "closed")])
def test_a_deletion_that_a_list_showed_waits_30_s_for_the_list_of_its_owner(
    uncertainty: int, seconds: float, expected: str
) -> None:
    owned = pod(owner="rs", owners=("rs",))
    traced = Traced(owned, thing("rs", "ReplicaSet"))
    traced.add("a", verb="Delete", uncertainty=uncertainty * SECOND)
    assert traced.check(seconds) == expected


@pytest.mark.parametrize(
    "last, opened, resumed, now, expected",
    [
        # Nothing routine for as long as another trace may last: 900 s.
        (100, 100, 0, 999.5, "0.5"),
        (100, 100, 0, 1000, "closed"),
        (500, 100, 0, 1000, "400"),
        # At most a day: 96 times as long.
        (86_000, 100, 0, 86_400, "100"),
        (86_000, 100, 0, 86_500, "closed"),
        (100, 100, 995, 1000, "5"),
        (100, 100, 995, 1005, "closed"),
    ],
)
def test_a_quiet_trace_is_closed_after_a_quarter_of_an_hour_or_a_day(
    last: float, opened: float, resumed: float, now: float, expected: str
) -> None:
    traced = Traced(pod())
    traced.add("a", event_uid="e")
    trace = traced.state.trace("trace")
    assert trace is not None
    trace.quiet, trace.opened, trace.last = True, int(opened * SECOND), int(last * SECOND)
    if resumed:
        traced.to(resumed - 1)
        traced.state.clock.hold()
        traced.state.clock.resume(int(resumed * SECOND))
    assert traced.check(now) == expected


def test_what_a_list_showed_long_after_it_happened_is_closed_after_ten_quiet_seconds() -> None:
    traced = Traced(pod())
    traced.add("a", event_uid="e")
    trace = traced.state.trace("trace")
    assert trace is not None
    trace.quiet, trace.last, trace.active = True, 100 * SECOND, 5000 * SECOND
    assert traced.check(5005) == "5"
    assert traced.check(5010) == "closed"


def test_an_occurrence_that_waits_on_another_object_keeps_no_trace_open() -> None:
    traced = Traced(pod(), thing("other"))
    traced.add("a", verb="Create")
    traced.state.add_occurrence(occurrence("b", 20, 109, uid="other"))
    assert traced.check(110) == "closed"


@pytest.mark.parametrize(
    "newest, expected",
    [
        ({"changes": [change("a", 10, trace="trace")]}, "10"),
        ({"changes": [change("a", 10, trace="trace"), change("b", 20, trace="other")]}, "closed"),
        ({"changes": []}, "10"),
        # Its error is in this trace, although its newest change is not.
        (
            {"changes": [change("b", 20, trace="other")], "transitions": [transition("t", 30, trace="trace")]},
            "10",
        ),
        (
            {"changes": [change("b", 20, trace="other")], "transitions": [transition("t", 30, trace="other")]},
            "closed",
        ),
        (
            {
                "changes": [change("b", 20, trace="other")],
                "transitions": [transition("t", 30, trace="trace", bad=False)],
            },
            "closed",
        ),
        # One that is not decided yet says nothing.
        (
            {
                "changes": [change("b", 20, trace="other")],
                "transitions": [transition("t", 30, trace="trace"), transition("u", 40)],
            },
            "10",
        ),
    ],
)
def test_an_object_in_progress_keeps_the_trace_open_that_it_belongs_to(newest: dict[str, Any], expected: str) -> None:
    traced = Traced(thing("pod", progressing=True, **newest))
    traced.add("a", verb="Create")
    assert traced.check(110) == expected


@pytest.mark.parametrize("seconds, expected", [(995, "5"), (999.5, "0.5"), (1000, "incomplete")])
def test_at_its_maximum_age_a_trace_is_closed_and_incomplete_if_something_is_in_progress(
    seconds: float, expected: str
) -> None:
    traced = Traced(pod(progressing=True))
    traced.add("a", verb="Create")
    assert traced.check(seconds) == expected


def test_at_its_maximum_age_a_trace_is_complete_if_nothing_is_in_progress() -> None:
    traced = Traced(pod(settled=999 * SECOND))
    traced.add("a", verb="Create")
    assert traced.check(1000) == "closed"


def test_a_timer_of_before_a_later_check_was_scheduled_does_nothing() -> None:
    traced = Traced(pod())
    traced.add("a", verb="Create")
    trace = traced.state.trace("trace")
    assert trace is not None
    traced.to(120)
    trace.check = traced.state.clock.now + 1
    traced.closer.check("trace")
    assert traced.state.is_open("trace")
    traced.closer.check("no such trace")


# others that are awaited ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "seconds, pod_state, expected",
    [
        # The Pod tolerates the taint for 300 s, from the taint or from its own creation on; it may take 10 s more.
        (395, {"toleration_seconds": 300}, "10"),
        (409, {"toleration_seconds": 300}, "10"),
        (410, {"toleration_seconds": 300}, "closed"),
        (410, {"toleration_seconds": 300, "created": 200 * SECOND}, "10"),
        (510, {"toleration_seconds": 300, "created": 200 * SECOND}, "closed"),
        (110, {"toleration_seconds": 0}, "closed"),
        (110, {"toleration_seconds": 300, "deleting": True}, "closed"),
        (110, {"toleration_seconds": 300, "node": "node-b"}, "closed"),
    ],
)
def test_a_node_that_evicts_waits_for_pods_that_tolerate_it_for_a_while(
    seconds: float, pod_state: dict[str, Any], expected: str
) -> None:
    tainted = change("a", 10, 100, trace="trace", effect="evicts")
    node = thing("node", "Node", "node-a", namespace="", changes=[tainted])
    traced = Traced(node, thing("pod", **({"node": "node-a"} | pod_state)))
    traced.add("a", verb="Update", uid="node", kind="Node", name="node-a")
    assert traced.check(seconds) == expected


def test_a_node_that_evicts_waits_for_the_cause_of_what_happened_to_its_pods() -> None:
    tainted = change("a", 10, 100, trace="trace", effect="evicts")
    node = thing("node", "Node", "node-a", namespace="", changes=[tainted])
    traced = Traced(node, thing("pod", node="node-a", toleration_seconds=1, deleting=True))
    traced.add("a", verb="Update", uid="node", kind="Node", name="node-a")
    traced.state.add_occurrence(occurrence("b", 20, 108))
    assert traced.check(120) == "10"


NODE = {"kind": "Node", "name": "node-a", "namespace": ""}


@pytest.mark.parametrize(
    "pods, nodes, expected",
    [
        ([{"node": "node-a"}], [], "10"),
        ([{"node": "node-a", "deleting": True}], [], "10"),
        ([{"node": "node-a", "deleted": 105 * SECOND}], [], "closed"),
        ([{"node": "node-a", "deleted": 105 * SECOND}, {"node": "node-a"}], [], "10"),
        ([{"node": "node-b"}, {}], [], "closed"),
        ([{"node": "node-a"}], [{"rv": 30}], "closed"),
        ([{"node": "node-a"}], [{"rv": 0}], "10"),
        ([{"node": "node-a"}], [{"rv": 30, "deleted": 106 * SECOND}], "10"),
    ],
)
def test_a_deleted_node_waits_for_its_pods_unless_it_joins_again(
    pods: list[dict[str, Any]], nodes: list[dict[str, Any]], expected: str
) -> None:
    gone = thing("node", deleted=100 * SECOND, changes=[change("a", 10, 100, "Delete", trace="trace")], **NODE)
    others = [thing(f"pod-{i}", **one) for i, one in enumerate(pods)]
    others += [thing(f"node-{i}", **NODE, **one) for i, one in enumerate(nodes)]
    traced = Traced(gone, *others)
    traced.add("a", verb="Delete", uid="node", kind="Node", name="node-a")
    assert traced.check(110) == expected


def test_a_deleted_node_waits_for_the_cause_of_what_happened_to_its_pods() -> None:
    gone = thing("node", deleted=100 * SECOND, changes=[change("a", 10, 100, "Delete", trace="trace")], **NODE)
    traced = Traced(gone, thing("pod", node="node-a", deleted=108 * SECOND))
    traced.add("a", verb="Delete", uid="node", kind="Node", name="node-a")
    traced.state.add_occurrence(occurrence("b", 20, 108))
    assert traced.check(120) == "10"


def test_a_deleted_node_whose_pods_stay_is_incomplete() -> None:
    gone = thing("node", deleted=100 * SECOND, changes=[change("a", 10, 100, "Delete", trace="trace")], **NODE)
    traced = Traced(gone, thing("pod", node="node-a"))
    traced.add("a", verb="Delete", uid="node", kind="Node", name="node-a")
    assert traced.check(1000) == "incomplete"
    assert traced.closed().reason == "Pods are left on Node node-a, which was deleted"


@pytest.mark.parametrize(
    "first, progressing, settled, expected",
    [
        # Refused before the quota's change: the controller tries again.
        (99, True, 0, "10"),
        (100, True, 0, "10"),
        (100.1, True, 0, "closed"),
        # It has come to rest: long ago, or just now.
        (99, False, 0, "closed"),
        (99, False, 110, "closed"),
        (99, False, 110.1, "10"),
    ],
)
def test_a_quota_that_was_changed_waits_for_controllers_that_it_had_refused(
    first: float, progressing: bool, settled: float, expected: str
) -> None:
    quota = thing("quota", "ResourceQuota", "small", changes=[change("a", 10, 100, trace="trace")])
    rs = thing("rs", "ReplicaSet", progressing=progressing, settled=int(settled * SECOND))
    traced = Traced(quota, rs)
    refused = Refusal("ResourceQuota", "shop", "small", int(first * SECOND), 100 * SECOND)
    traced.state.objects.refuse(rs, refused)
    traced.add("a", verb="Update", uid="quota", kind="ResourceQuota", name="small")
    assert traced.check(120) == expected


# the rows ------------------------------------------------------------------------------------------------------------


def test_the_row_of_a_closed_trace() -> None:
    traced = Traced(pod())
    traced.add("a", verb="Create")
    traced.add("b", "a", 103)
    assert traced.check(115) == "closed"
    row = traced.closed()
    assert (row.root_span_id, row.span_count, row.error, row.incomplete) == ("a", 2, False, False)
    assert (row.opened_at / SECOND, row.closed_at / SECOND) == (100, 115)
    assert (row.start_time / SECOND, row.end_time / SECOND) == (100, 103)


def test_an_effect_starts_no_earlier_than_its_cause_and_a_moment_does_not_cover_its_effects() -> None:
    traced = Traced(pod(), thing("other"))
    traced.add("a", verb="Create", seconds=100.5, until=int(100.5 * SECOND))
    traced.add("b", "a", 100, uid="other")
    traced.add("c", "b", 104, uid="third")
    traced.check(120)
    assert traced.lasts() == {"a": (100.5, 100.5), "b": (100.5, 100.5), "c": (104, 104)}
    assert traced.closed().end_time == 104 * SECOND


def test_a_top_level_event_starts_with_the_first_of_what_it_reports() -> None:
    traced = Traced(thing("pod"))
    traced.add("a", top_level=True, event_uid="e", seconds=105)
    traced.add("b", "a", 102, uid="other")
    traced.check(120)
    assert traced.lasts() == {"a": (102, 102), "b": (102, 102)}


def test_a_trace_lasts_until_the_last_repeat_in_it() -> None:
    traced = Traced(pod())
    traced.add("a", reason="Unhealthy", repeats=[Repeat(180 * SECOND, 5, "", 2)])
    traced.check(1000)
    assert traced.lasts() == {"a": (100, 100)}
    assert (traced.closed().start_time, traced.closed().end_time) == (100 * SECOND, 180 * SECOND)


@pytest.mark.parametrize(
    "pod_state, warning, seconds, error, message",
    [
        ({}, False, 1000, False, "said"),
        ({"failed": True}, False, 1000, True, "Pod pod failed"),
        ({"progressing": True}, False, 1000, False, "said"),
        ({"progressing": True}, True, 1000, True, "Pod pod did not finish"),
        ({}, True, 1000, False, "said"),
    ],
)
def test_the_outcome_is_on_the_root(
    pod_state: dict[str, Any], warning: bool, seconds: float, error: bool, message: str
) -> None:
    traced = Traced(pod(**pod_state))
    traced.add("a", verb="Create", message="said")
    traced.add("b", "a", warning=warning)
    traced.check(seconds)
    root = traced.spans()["a"]
    assert (root.error, root.message) == (error, message)
    assert traced.closed().error is error


def test_a_failed_dependent_of_an_object_of_the_trace_is_a_hiccup_on_the_way() -> None:
    job = thing("job", "Job", changes=[change("a", 10, trace="trace")])
    traced = Traced(job, thing("pod", owner="job", failed=True))
    traced.add("a", verb="Create", uid="job", kind="Job")
    traced.add("b", "a", verb="Create")
    traced.check(120)
    assert not traced.closed().error


def test_a_span_has_the_node_of_its_object_or_the_host_of_its_kubelet() -> None:
    traced = Traced(thing("pod", node="node-a"))
    traced.add("a", instance="elsewhere", actor="kubelet")
    traced.add("b", "a", uid="gone", instance="node-b", actor="kubelet")
    traced.add("c", "a", uid="gone", instance="node-c", actor="scheduler")
    traced.check(120)
    nodes = {name: row.attributes.get("k8s.node.name") for name, row in traced.spans().items()}
    assert nodes == {"a": "node-a", "b": "node-b", "c": None}


def test_an_object_keeps_how_far_an_event_was_followed_when_its_trace_is_closed() -> None:
    traced = Traced(thing("pod"))
    traced.add("a", event_uid="e", reported_uid="pod", event_count=2, message="said")
    traced.check(120)
    found = traced.state.object("pod")
    assert found is not None
    assert [(track.count, track.message) for track in found.events.values()] == [(2, "said")]


# forgetting ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "state, forgotten",
    [
        ({"deleted": 50 * SECOND, "forget": 100 * SECOND}, True),
        ({"deleted": 50 * SECOND, "forget": 100 * SECOND + 1}, False),
        ({"forget": 100 * SECOND}, False),
        ({"rv": 0, "forget": 100 * SECOND}, True),
        ({"deleted": 50 * SECOND, "forget": 100 * SECOND, "episodes": ("older", "trace")}, False),
        ({"deleted": 50 * SECOND, "forget": 100 * SECOND, "changes": [change("z", 5, trace="trace")]}, False),
        ({"deleted": 50 * SECOND, "forget": 100 * SECOND, "changes": [change("z", 5, trace="other")]}, True),
    ],
)
def test_an_object_is_forgotten_when_nothing_can_refer_to_it(state: dict[str, Any], forgotten: bool) -> None:
    traced = Traced(thing("old", **state))
    traced.add("a")
    traced.closer.forget_object("old")
    assert (traced.state.object("old") is None) is forgotten


def test_an_object_is_remembered_while_it_has_dependents_or_waits_for_a_cause() -> None:
    gone: dict[str, Any] = {"deleted": 50 * SECOND, "forget": 100 * SECOND}
    traced = Traced(thing("old", **gone), thing("child", owner="old"))
    traced.closer.forget_object("old")
    old = traced.state.object("old")
    assert old is not None
    assert old.forget == 1000 * SECOND
    traced = Traced(thing("old", **gone), thing("child", owner="old", deleted=60 * SECOND))
    traced.closer.forget_object("old")
    assert traced.state.object("old") is None
    traced = Traced(thing("old", **gone))
    traced.state.add_occurrence(occurrence("b", uid="old"))
    traced.closer.forget_object("old")
    assert traced.state.object("old") is not None
