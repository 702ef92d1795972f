"""How a trace ended, on objects and occurrences that are made by hand. The trace is called ``trace``."""

from collections.abc import Sequence
from typing import Any

import pytest

from kspan.graph.observe.condition_diff import PHASE
from kspan.graph.state.records import Continuation, KnownChange, ObjectState, Occurrence, Place, Repeat
from kspan.graph.trace.failing import NOTHING, Failing
from kspan.graph.trace.verdict import Judge
from kspan.model import Outcome, Verdict
from kspan.settings import FoldSettings
from kspan.times import SECOND
from tests.graph.making import change, occurrence, state_of, thing


def event(span: str, seconds: float = 100, *, parent: str = "a", **more: Any) -> Occurrence:
    """An Event of a Pod in the trace."""
    place = Place("trace", "own", 0.9, cause=parent, parent=parent)
    return occurrence(span, 10, seconds, **({"reason": "Started", "place": place, "event_uid": span} | more))


def warning(span: str, seconds: float = 100, **more: Any) -> Occurrence:
    fields: dict[str, Any] = {"reason": "Unhealthy", "message": "no answer", "warning": True}
    return event(span, seconds, **(fields | more))


def made(span: str, seconds: float = 100, *, verb: str = "Create", parent: str = "", **more: Any) -> Occurrence:
    fields: dict[str, Any] = {"verb": verb, "reason": verb, "parent": parent, "event_uid": ""}
    return event(span, seconds, **(fields | more))


def turned(span: str, seconds: float, condition: str, status: str, **more: Any) -> Occurrence:
    fields: dict[str, Any] = {"condition": condition, "condition_status": status, "reason": condition, "event_uid": ""}
    return event(span, seconds, **(fields | more))


class Judged:
    """The verdict about a trace with these occurrences. ``objects`` are those of the trace, ``others`` all others."""

    def __init__(
        self,
        *members: Occurrence,
        objects: Sequence[ObjectState] = (),
        others: Sequence[ObjectState] = (),
        failing: Failing = NOTHING,
        incomplete: bool = False,
        quiet: bool = False,
        failed_before: tuple[str, ...] = (),
        continued: Continuation | None = None,
    ) -> None:
        state = state_of(*objects, *others)
        for occ in members:
            state.add_occurrence(occ)
            state.start_deciding(occ)
            state.place(occ, occ.place)
        trace = state.trace("trace")
        assert trace is not None
        trace.quiet, trace.failing = quiet, failed_before
        if continued is not None:
            state.objects.continue_trace([*objects, *others][0], None, continued)
        judge = Judge(state, FoldSettings())
        found = state.members("trace")
        self.closed: Verdict = judge.closed(trace, found, objects, failing, incomplete=incomplete)
        self.so_far: Verdict = judge.so_far(trace, failing, objects)

    def __str__(self) -> str:
        return f"{self.closed.outcome}: {self.closed.reason}" if self.closed.reason else str(self.closed.outcome)


def ended(*members: Occurrence, **more: Any) -> str:
    """``outcome`` or ``outcome: reason``."""
    return str(Judged(*members, **more))


def outcome(*members: Occurrence, **more: Any) -> str:
    return str(Judged(*members, **more).closed.outcome)


def failing(*objects: ObjectState, final: bool = False) -> Failing:
    return Failing(100, list(objects), "Pod pod is failing: no image (pull)", final)


# objects that failed, or are failing ---------------------------------------------------------------------------------


def test_a_trace_without_a_warning_is_ok() -> None:
    assert ended(made("a"), objects=[thing("pod")]) == "ok"


def test_a_quiet_trace_is_ok_whatever_it_has() -> None:
    pod = thing("pod", failed=True)
    assert ended(warning("a", parent=""), objects=[pod], quiet=True) == "ok"


@pytest.mark.parametrize(
    "objects, expected",
    [
        ([thing("pod", failed=True)], "failed: Pod pod failed"),
        ([thing("a", failed=True), thing("b", failed=True)], "failed: Pod a failed"),
        # That it failed is final if it does not try again.
        ([thing("a", failed=True, progressing=True), thing("b", failed=True)], "failed: Pod b failed"),
        ([thing("a", failed=True, progressing=True)], "failed: Pod a failed"),
        # A Job replaces its Pods.
        ([thing("job", "Job"), thing("pod", owner="job", failed=True)], "ok"),
        ([thing("pod", owner="job", failed=True)], "failed: Pod pod failed"),
    ],
)
def test_an_object_that_failed_fails_the_trace_unless_its_owner_is_there(
    objects: list[ObjectState], expected: str
) -> None:
    assert ended(made("a"), objects=objects) == expected


@pytest.mark.parametrize(
    "fields, final, expected",
    [
        ({}, False, "failing: Pod pod is failing: no image (pull)"),
        ({}, True, "failed: Pod pod is failing: no image (pull)"),
        ({"failed": True, "progressing": True}, False, "failing: Pod pod is failing: no image (pull)"),
        ({"failed": True}, False, "failed: Pod pod failed"),
    ],
)
def test_what_is_failing_has_failed_if_nothing_tries_again(fields: dict[str, Any], final: bool, expected: str) -> None:
    pod = thing("pod", **fields)
    assert ended(made("a"), objects=[pod], failing=failing(pod, final=final)) == expected


# closed by age -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "objects, expected",
    [
        ([], "did not finish"),
        ([thing("pod")], "did not finish"),
        ([thing("a"), thing("b", progressing=True), thing("c", progressing=True)], "Pod b did not finish"),
        # The owner of what is in progress says more.
        (
            [thing("pod", owner="rs", progressing=True), thing("rs", "ReplicaSet", progressing=True)],
            "ReplicaSet rs did not finish",
        ),
        ([thing("pod", owner="rs", progressing=True)], "Pod pod did not finish"),
    ],
)
def test_an_incomplete_trace_names_what_did_not_finish(objects: list[ObjectState], expected: str) -> None:
    assert ended(made("a"), objects=objects, incomplete=True) == f"incomplete: {expected}"


def test_an_incomplete_trace_with_a_lasting_warning_is_failing() -> None:
    pod = thing("pod", progressing=True)
    assert ended(made("a"), warning("b"), objects=[pod], incomplete=True) == "failing: Pod pod did not finish"


def test_an_incomplete_trace_that_another_change_interrupted_is_superseded_unless_a_warning_lasts() -> None:
    pod = thing("pod", progressing=True, changes=[create(), deletion()])
    assert outcome(made("a"), objects=[pod], incomplete=True) == "superseded"
    other = thing("other", "Widget")
    lasts = warning("b", uid="other", kind="Widget", name="other")
    assert outcome(made("a"), lasts, objects=[pod, other], incomplete=True) == "failing"


# Warnings ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields, said",
    [
        ({}, "Pod web-0: Unhealthy: no answer"),
        ({"message": ""}, "Pod web-0: Unhealthy"),
        ({"name": "", "kind": "Widget"}, "Widget: Unhealthy: no answer"),
    ],
)
def test_a_warning_that_lasts_has_failed_and_is_the_reason(fields: dict[str, Any], said: str) -> None:
    assert ended(made("a"), warning("b", **fields), objects=[thing("pod", progressing=True)]) == f"failed: {said}"


@pytest.mark.parametrize(
    "after, expected",
    [
        ([], "failed"),
        ([event("c", 101)], "ok"),
        ([event("c", 99)], "failed"),
        # In one instant the order of arrival decides.
        ([event("c", 100, arrival=2)], "ok"),
        ([event("c", 100, arrival=1)], "failed"),
        ([event("c", 100, arrival=0)], "failed"),
        # Of another object.
        ([event("c", 101, uid="other")], "failed"),
        # A change is made by others.
        ([made("c", 101, verb="Update", parent="a")], "failed"),
        ([turned("c", 101, "Ready", "True")], "ok"),
        ([turned("c", 101, "Ready", "False")], "failed"),
        ([turned("c", 101, "Succeeded", PHASE)], "ok"),
        ([turned("c", 101, "Failed", PHASE, warning=True, message="")], "failed"),
        # What a kubelet begins.
        *([([event("c", 101, reason=reason)], "failed") for reason in ("BackOff", "Pulling", "SandboxChanged")]),
        ([event("c", 101, reason="Pulling", kind="Widget")], "ok"),
    ],
)
def test_a_warning_is_over_when_something_good_follows(after: list[Occurrence], expected: str) -> None:
    objects = [thing("pod", progressing=True), thing("other", progressing=True)]
    assert outcome(made("a"), warning("b"), *after, objects=objects) == expected


@pytest.mark.parametrize(
    "repeats, expected",
    [
        ([], "ok"),
        ([Repeat(104 * SECOND, 2, "", 5)], "ok"),
        ([Repeat(106 * SECOND, 2, "", 5)], "failed"),
        ([Repeat(106 * SECOND, 2, "", 5), Repeat(104 * SECOND, 3, "", 6)], "failed"),
        # In the instant of the recovery, but received before it.
        ([Repeat(105 * SECOND, 2, "", 5)], "ok"),
        ([Repeat(105 * SECOND, 2, "", 9)], "failed"),
    ],
)
def test_the_last_repeat_of_a_warning_counts(repeats: list[Repeat], expected: str) -> None:
    again = warning("b", repeats=repeats)
    members = [made("a"), again, event("c", 105, arrival=7)]
    assert outcome(*members, objects=[thing("pod", progressing=True)]) == expected


def test_the_newest_warning_of_an_object_is_the_reason() -> None:
    members = [made("a"), warning("b", 101, reason="First"), warning("c", 103, reason="Last"), event("d", 102)]
    pod = thing("pod", progressing=True)
    assert ended(*members, objects=[pod]) == "failed: Pod web-0: Last: no answer"


def test_of_the_warnings_of_several_objects_the_earliest_is_the_reason() -> None:
    members = [made("a"), warning("b", 103), warning("c", 102, uid="other", name="other")]
    objects = [thing("pod", progressing=True), thing("other", progressing=True)]
    assert ended(*members, objects=objects) == "failed: Pod other: Unhealthy: no answer"


@pytest.mark.parametrize(
    "kind, reason, expected",
    [
        ("CronJob", "UnexpectedJob", "ok"),
        ("Job", "UnexpectedJob", "failed"),
        ("CronJob", "FailedCreate", "failed"),
    ],
)
def test_a_job_that_somebody_else_made_is_a_remark(kind: str, reason: str, expected: str) -> None:
    cron = thing("pod", "Widget")
    assert outcome(made("a"), warning("b", kind=kind, reason=reason), objects=[cron]) == expected


# health --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "objects, expected",
    [
        ([thing("pod")], "ok"),
        ([thing("pod", progressing=True)], "failed"),
        ([thing("pod", "Widget")], "failed"),  # Nothing is known of its health.
        ([thing("pod", "Widget", conditions=(("Bound", PHASE),))], "ok"),
        ([thing("pod", "Widget", conditions=(("Bound", "True"),))], "failed"),
        # Its owner has what it needs.
        ([thing("pod", progressing=True, owner="rs"), thing("rs", "ReplicaSet")], "ok"),
        ([thing("pod", progressing=True, owner="rs"), thing("rs", "ReplicaSet", progressing=True)], "failed"),
        (
            [
                thing("pod", progressing=True, owner="rs"),
                thing("rs", "ReplicaSet", progressing=True, owner="web"),
                thing("web", "Deployment"),
            ],
            "ok",
        ),
        # The owner is not in the trace.
        ([thing("pod", progressing=True, owner="gone")], "failed"),
    ],
)
def test_a_warning_is_over_when_its_object_or_the_owner_of_that_is_healthy(
    objects: list[ObjectState], expected: str
) -> None:
    assert outcome(made("a"), warning("b"), objects=objects) == expected


@pytest.mark.parametrize("fields", [{"failed": True}, {"deleted": 1}])
def test_an_owner_that_failed_or_was_deleted_heals_nothing(fields: dict[str, Any]) -> None:
    owner = thing("rs", "ReplicaSet", owner="web", **fields)
    objects = [thing("pod", progressing=True, owner="rs"), owner, thing("web", "Deployment", progressing=True)]
    assert outcome(made("a"), warning("b"), objects=objects) == "failed"


@pytest.mark.parametrize(
    "fields, expected",
    [
        ({"reached": 99 * SECOND}, "failed"),
        ({"reached": 100 * SECOND}, "failed"),
        ({"reached": 101 * SECOND}, "recovered"),
        ({"reached": 101 * SECOND, "progressing": True}, "failed"),
    ],
)
def test_of_an_object_whose_warning_began_the_trace_only_a_later_health_counts(
    fields: dict[str, Any], expected: str
) -> None:
    begins = event("b", 101, reason="Pulling")
    assert outcome(warning("a", parent=""), begins, objects=[thing("pod", **fields)]) == expected


def test_of_another_object_an_earlier_health_counts_also_in_a_trace_that_a_warning_began() -> None:
    members = [warning("a", parent=""), event("c", 101), warning("b", uid="other", name="other")]
    objects = [thing("pod"), thing("other", reached=50 * SECOND)]
    assert outcome(*members, objects=objects) == "recovered"


def test_a_trace_that_a_warning_began_has_recovered_when_that_is_over() -> None:
    pod = thing("pod", progressing=True)
    assert outcome(warning("a", parent=""), event("b", 101), objects=[pod]) == "recovered"
    assert outcome(event("a", parent=""), warning("b"), event("c", 101), objects=[pod]) == "ok"


# objects that are gone -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("unseen", [[], [thing("pod", rv=0)]], ids=["unknown", "only referenced"])
@pytest.mark.parametrize(
    "others, parent, expected",
    [
        # Others of its kind are watched: it was gone.
        ([thing("other")], "a", "unknown: Pod web-0: Unhealthy: no answer; nobody saw how it went on"),
        ([thing("other")], "", "failed: Pod web-0: Unhealthy: no answer"),
        # Nobody watches its kind.
        ([thing("other", "Widget")], "a", "failed: Pod web-0: Unhealthy: no answer"),
        ([thing("other", rv=0)], "a", "failed: Pod web-0: Unhealthy: no answer"),
        ([], "a", "failed: Pod web-0: Unhealthy: no answer"),
    ],
)
def test_the_last_warning_of_an_object_that_was_gone_says_nothing_unless_it_is_the_root(
    unseen: list[ObjectState], others: list[ObjectState], parent: str, expected: str
) -> None:
    first = [made("a", uid="other", kind="Widget")] if parent else []
    begins = event("c", 101, reason="Pulling", parent="b")
    assert ended(*first, warning("b", parent=parent), begins, others=[*unseen, *others]) == expected


def test_a_warning_of_an_object_that_is_there_counts_more_than_that_of_one_that_is_gone() -> None:
    members = [made("a"), warning("b", 100, uid="gone", name="gone"), warning("c", 101, uid="here", name="here")]
    here = thing("here", progressing=True)
    assert ended(*members, objects=[here]) == "failed: Pod here: Unhealthy: no answer"


def test_of_several_that_are_gone_the_earliest_is_named() -> None:
    members = [made("a"), warning("b", 102, uid="x", name="x"), warning("c", 101, uid="y", name="y")]
    assert ended(*members, others=[thing("other")]).startswith("unknown: Pod y: ")


@pytest.mark.parametrize(
    "end, parent, expected",
    [
        (event("c", 101, reason="Killing"), "a", "ok"),
        (event("c", 99, reason="Preempted"), "a", "ok"),
        (event("c", 99, reason="TaintManagerEviction"), "a", "ok"),
        (made("c", 101, verb="Delete", parent="a"), "a", "ok"),
        (event("c", 101, reason="BackOff"), "a", "failed: Pod web-0: Unhealthy: no answer"),
        (event("c", 99, reason="Killing", kind="Widget"), "a", "failed: Pod web-0: Unhealthy: no answer"),
        # What the trace is about was deleted.
        (event("c", 101, reason="Killing"), "", "superseded: what failed was deleted"),
    ],
)
def test_a_warning_of_an_object_that_nobody_saw_ends_with_it(end: Occurrence, parent: str, expected: str) -> None:
    first = [made("a", uid="other", kind="Widget")] if parent else []
    assert ended(*first, warning("b", parent=parent), end) == expected


# objects that were deleted, or changed by another trace --------------------------------------------------------------


def create(**more: Any) -> KnownChange:
    return change("a", 10, 100, "Create", **({"trace": "trace"} | more))


def update(span: str = "u", seconds: float = 150, **more: Any) -> KnownChange:
    return change(span, int(seconds), seconds, "Update", **({"trace": "other"} | more))


def deletion(span: str = "d", seconds: float = 200, **more: Any) -> KnownChange:
    return change(span, int(seconds), seconds, "Delete", **({"trace": "other", "interrupts": True} | more))


@pytest.mark.parametrize(
    "fields, members, expected",
    [
        # By another trace.
        ({"deleting": True, "changes": [deletion()]}, [], "superseded: Pod pod was deleted"),
        ({"deleted": 1, "changes": [deletion()]}, [], "superseded: Pod pod was deleted"),
        ({"deleted": 1}, [], "superseded: what failed was deleted"),
        ({"changes": [update()]}, [], "superseded: superseded by Pod.Update pod"),
        ({"changes": [update("t", 50), update()]}, [], "superseded: superseded by Pod.Update pod"),
        # Before the Warning.
        ({"changes": [update(seconds=120)]}, [], "failed: Pod web-0: Unhealthy: no answer"),
        ({"changes": [update(seconds=119)]}, [], "failed: Pod web-0: Unhealthy: no answer"),
        # By this trace, or together with its owner: that was meant to end it.
        ({"deleted": 1, "changes": [deletion()]}, [made("d", 200, verb="Delete", parent="a")], "ok"),
        ({"deleted": 1, "owner": "rs"}, [made("s", uid="rs", parent="a")], "ok"),
    ],
)
def test_a_warning_ends_with_the_deletion_or_the_next_change_of_its_object(
    fields: dict[str, Any], members: list[Occurrence], expected: str
) -> None:
    pod = thing("pod", **({"progressing": True} | fields))
    begins = made("a", uid="other", kind="Widget")
    assert ended(begins, warning("b", 120), *members, others=[pod]) == expected


def test_the_state_of_an_object_whose_newest_change_is_in_the_trace_counts() -> None:
    pod = thing("pod", progressing=True, changes=[update(seconds=150, trace="trace")])
    assert outcome(made("a"), warning("b", 120), objects=[pod]) == "failed"


def test_the_first_object_that_was_changed_is_what_superseded() -> None:
    gone = thing("w", deleted=1)
    pods = [thing("x", deleted=1, changes=[deletion("dx")]), thing("y", deleted=1, changes=[deletion("dy")])]
    warnings = [warning(f"b{uid}", seconds, uid=uid) for uid, seconds in (("y", 103), ("x", 102), ("w", 101))]
    judged = Judged(made("a", uid="other", kind="Widget"), *warnings, others=[gone, *pods])
    assert (judged.closed.reason, judged.closed.superseded_by) == ("Pod x was deleted", "dx")


@pytest.mark.parametrize(
    "changes, expected",
    [
        ([change("t", 200, 200, "")], "what failed was deleted"),
        ([change("t", 150, 150, ""), deletion()], "Pod pod was deleted"),
    ],
)
def test_a_change_that_only_an_event_reports_supersedes_nothing(changes: list[KnownChange], expected: str) -> None:
    pod = thing("pod", deleted=1, changes=changes)
    begins = made("a", uid="other", kind="Widget")
    assert ended(begins, warning("b", 120), others=[pod]) == f"superseded: {expected}"


# interrupted ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes, interrupted",
    [
        ([create(), deletion()], True),
        ([create(), update("u", interrupts=True)], True),
        ([create(), update("u")], False),
        ([create(), update("u", interrupts=True, trace="trace")], False),
        ([deletion("d", 5), create()], False),
        ([create(), update("u", trace="trace"), deletion()], True),
        ([create(), update("u", 120, trace="trace"), update("v", interrupts=True)], True),
        ([create(), deletion("d", 120), update("u", trace="trace")], False),
        # A template interrupts what an earlier template had begun, a deletion anything.
        ([update("a", 100, trace="trace", template_changed=True), update("u", interrupts=True)], True),
        ([update("a", 100, trace="trace"), update("u", interrupts=True)], False),
        ([update("a", 100, trace="trace"), deletion()], True),
        ([update("a", 100, trace="trace"), update("u", interrupts=True), deletion("e", 210)], True),
        # Only the first that could have interrupted it: this one found nothing to interrupt, and the next one
        # interrupts what it began.
        ([create(), update("u", template_changed=True), update("v", 160, interrupts=True)], False),
        ([create(), update("u", template_changed=True), deletion()], False),
        ([create(), deletion("d", 120, interrupts=False), deletion("e", 210)], False),
        ([create(), update("u", 120), update("v", interrupts=True)], True),
        ([update("a", 100, trace="trace"), update("u", template_changed=True), deletion()], True),
        # An Event or a transition of the trace is no change of it.
        ([change("a", 10, 100, "", trace="trace"), deletion()], False),
        ([], False),
    ],
)
def test_a_change_in_another_trace_interrupts_what_this_one_had_begun(
    changes: list[KnownChange], interrupted: bool
) -> None:
    begun = made("a", verb=changes[0].verb if changes else "Create")
    assert outcome(begun, objects=[thing("pod", changes=changes)]) == ("superseded" if interrupted else "ok")


@pytest.mark.parametrize(
    "until, changes, interrupted",
    [
        (0, [deletion()], True),  # It was still doing it.
        (120, [deletion()], False),  # It had reached it, and did something else when it was deleted.
        (120, [update("u", 150), deletion()], False),
        (200, [deletion()], True),  # The deletion ended it.
        (150, [update("u", 150, interrupts=True, template_changed=True), deletion()], True),
        (120, [update("u", 150, interrupts=True, template_changed=True), deletion()], False),
        (100, [deletion()], True),  # A moment: nobody saw how long it took.
    ],
)
def test_what_an_object_had_reached_cannot_be_interrupted(
    until: int, changes: list[KnownChange], interrupted: bool
) -> None:
    begun = made("a", until=until * SECOND)
    pod = thing("pod", changes=[create(), *changes])
    assert outcome(begun, objects=[pod]) == ("superseded" if interrupted else "ok")


def test_the_first_change_that_interrupts_is_what_superseded() -> None:
    pod = thing("pod", changes=[create(), update("u", interrupts=True), deletion()])
    assert Judged(made("a"), objects=[pod]).closed.superseded_by == "u"
    scaled = thing("pod", changes=[update("a", 100, trace="trace"), update("u", interrupts=True), deletion()])
    assert Judged(made("a", verb="Update"), objects=[scaled]).closed.superseded_by == "d"


def test_only_what_was_created_or_updated_can_be_interrupted() -> None:
    pod = thing("pod", changes=[create(), deletion()])
    assert outcome(made("a", verb="Delete"), objects=[pod]) == "ok"
    assert outcome(event("a"), objects=[pod]) == "ok"
    assert outcome(made("a", verb="Update"), objects=[pod]) == "superseded"


def test_a_dependent_that_its_owner_replaces_interrupts_nothing() -> None:
    rs = thing("rs", "ReplicaSet", changes=[create()])
    pod = thing("pod", owner="rs", changes=[create(), deletion()])
    begun = made("r", uid="rs", kind="ReplicaSet")
    assert outcome(begun, made("a", parent="r"), objects=[rs, pod]) == "ok"
    assert outcome(made("a", parent="r"), objects=[pod]) == "superseded"


def test_the_reason_says_who_interrupted_a_trace_and_how_far_it_came() -> None:
    web = thing("web", "Deployment", changes=[create(), deletion(manager="helm")])
    pods = [made(f"p{n}", 101, uid=f"pod-{n}", parent="a") for n in range(3)]
    ready = [turned(f"r{n}", 102, "Ready", "True", uid=f"pod-{n}") for n in (1, 2, 7)]
    other = turned("o", 102, "Scheduled", "True", uid="pod-0")
    members = [made("a", uid="web", kind="Deployment"), *pods, *ready, other]
    judged = Judged(*members, objects=[web])
    assert judged.closed == Verdict(
        Outcome.SUPERSEDED, "Deployment web was deleted by helm, when 2 of 3 new Pods were ready", "d", "other"
    )
    judged = Judged(members[0], objects=[web])
    assert judged.closed.reason == "Deployment web was deleted by helm"


def test_only_pods_are_counted_as_new_pods() -> None:
    web = thing("web", "Deployment", changes=[create(), deletion()])
    begun = made("a", uid="web", kind="Deployment")
    others = [
        made("p", 101, uid="claim", kind="PersistentVolumeClaim", parent="a"),
        turned("n", 101, "Ready", "True", uid="node", kind="Node"),
        made("q", 101, uid="pod", verb="Update", parent="a"),
    ]
    assert Judged(begun, *others, objects=[web]).closed.reason == "Deployment web was deleted"


# after a trace that was closed while failing -------------------------------------------------------------------------


def continuation(*uids: str, trace: str = "trace") -> Continuation:
    return Continuation(trace, ("before",), "root", uids, ("pull",), 1, 0)


def test_an_episode_that_continues_a_failing_trace_has_recovered_when_nothing_fails() -> None:
    for episode, expected in (("trace", "recovered"), ("later", "ok")):
        pod = thing("pod", changes=[create(trace="before")])
        kept = continuation("pod", trace=episode)
        assert outcome(event("a", parent=""), objects=[pod], continued=kept) == expected


@pytest.mark.parametrize(
    "fields, expected",
    [
        ({}, "recovered"),
        ({"deleting": True}, "superseded: Pod pod was deleted"),
        ({"deleted": 1}, "superseded: Pod pod was deleted"),
    ],
)
def test_an_episode_is_superseded_if_what_failed_was_deleted(fields: dict[str, Any], expected: str) -> None:
    holder = thing("web", "Deployment")
    pod = thing("pod", changes=[deletion(trace="before")], **fields)
    begun = event("a", uid="web", kind="Deployment", parent="")
    assert ended(begun, objects=[holder], others=[pod], continued=continuation("pod")) == expected


@pytest.mark.parametrize("left, expected", [((), "superseded"), (("y",), "recovered")])
def test_an_episode_has_recovered_if_one_of_those_that_failed_is_left(left: tuple[str, ...], expected: str) -> None:
    pods = [thing(uid, changes=[create(trace="before" if uid in left else "other")]) for uid in ("x", "y")]
    holder = thing("web", "Deployment")
    begun = event("a", uid="web", kind="Deployment", parent="")
    assert outcome(begun, objects=[holder], others=pods, continued=continuation("x", "y")) == expected


def test_what_failed_in_the_trace_itself_and_was_replaced_has_superseded_it() -> None:
    pod = thing("pod", changes=[create(), update("u")])
    assert ended(event("a"), objects=[pod], failed_before=("pod",)) == "superseded: superseded by Pod.Update pod"
    there = thing("pod", changes=[create()])
    assert ended(event("a"), objects=[there], failed_before=("pod",)) == "ok"


@pytest.mark.parametrize(
    "members, expected",
    [
        ([warning("b", 110), turned("r", 120, "Ready", "True")], "ok"),
        ([turned("r", 120, "Ready", "True"), warning("b", 130), turned("s", 140, "Ready", "True")], "superseded"),
        ([turned("r", 120, "Ready", "True"), turned("s", 130, "Ready", "False")], "superseded"),
        ([warning("b", 110), turned("r", 120, "PodScheduled", "True")], "superseded"),
        ([event("e", 120)], "superseded"),
    ],
)
def test_what_became_well_before_it_was_deleted_was_not_ended_by_that(members: list[Occurrence], expected: str) -> None:
    pod = thing("pod", deleted=1, changes=[create(), deletion()])
    begun = made("a", until=150 * SECOND)
    assert outcome(begun, *members, others=[pod], failed_before=("pod",)) == expected


def test_a_claim_that_was_bound_before_it_was_deleted_is_no_failure() -> None:
    bound: dict[str, Any] = {"deleted": 1, "conditions": (("Bound", PHASE),), "changes": [deletion()]}
    for fields, expected in ((bound, "ok"), (bound | {"conditions": ()}, "superseded")):
        claim = thing("claim", "PersistentVolumeClaim", **fields)
        begun = made("a", uid="claim", kind="PersistentVolumeClaim")
        waits = warning("b", 110, uid="claim", kind="PersistentVolumeClaim")
        assert outcome(begun, waits, others=[claim]) == expected
        assert outcome(begun, others=[claim], failed_before=("claim",)) == expected


# while a trace is open -----------------------------------------------------------------------------------------------


def test_an_open_trace_is_failing_or_not_decided() -> None:
    pod = thing("pod", progressing=True)
    assert Judged(made("a"), objects=[pod]).so_far == Verdict(None)
    assert Judged(made("a"), warning("b"), event("c", 101), objects=[pod]).so_far == Verdict(None)
    now = Judged(made("a"), objects=[pod], failing=failing(pod)).so_far
    assert now == Verdict(Outcome.FAILING, "Pod pod is failing: no image (pull)")


def test_an_open_trace_names_its_earliest_lasting_warning() -> None:
    objects = [thing("pod", progressing=True), thing("other", progressing=True)]
    members = [made("a"), warning("b", 103), warning("c", 102, uid="other", name="other")]
    expected = Verdict(Outcome.FAILING, "Pod other: Unhealthy: no answer")
    assert Judged(*members, objects=objects).so_far == expected
