"""When a trace is closed because something in it is failing, and what continues it. Hold is 5 s, settle 10 s."""

from typing import Any

import pytest

from kspan.graph.state.records import Continuation, Failure, ObjectState, Occurrence, Place, Trace
from kspan.graph.state.state import State
from kspan.graph.trace.failing import NOTHING, Failing, FailingTraces
from kspan.settings import FoldSettings
from kspan.times import SECOND
from tests.graph.making import change, occurrence, state_of, thing


def failure(rule: str = "pull", since: float = 100, patience: float = 20, **more: Any) -> Failure:
    fields: dict[str, Any] = {"in_status": True} | more
    fields |= {name: int(fields[name] * SECOND) for name in ("heard", "ended") if name in fields}
    return Failure(rule, "ErrImagePull", int(since * SECOND), int(patience * SECOND), **fields)


def pod(*failures: Failure, uid: str = "pod", trace: str = "trace", **more: Any) -> ObjectState:
    """A Pod that was created in the trace and is failing."""
    fields: dict[str, Any] = {"changes": [change("a", 10, 100, "Create", trace=trace)], "failures": failures} | more
    return thing(uid, **fields)


def continuation(*failing: str, **more: Any) -> Continuation:
    fields: dict[str, Any] = {"trace": "trace", "follows": ("before",), "root": "root", "rules": ("pull",)}
    return Continuation(**(fields | {"failing": failing, "number": 1, "closed": 100 * SECOND} | more))


class Traced:
    """A trace that is opened at second 100 with an occurrence of each object."""

    def __init__(self, *objects: ObjectState, others: tuple[ObjectState, ...] = (), **settings: Any) -> None:
        self.state: State = state_of(*objects, *others)
        self.failing = FailingTraces(self.state, FoldSettings(**settings))
        self.to(100)
        for obj in objects:
            self.add(f"of-{obj.uid}", uid=obj.uid, kind=obj.kind)

    def to(self, seconds: float) -> None:
        self.state.clock.advance(int(seconds * SECOND))

    def add(self, span: str, trace: str = "trace", **more: Any) -> Occurrence:
        occ = occurrence(span, 10, 100, **more)
        self.state.add_occurrence(occ)
        self.state.start_deciding(occ)
        self.state.place(occ, Place(trace, "own", 0.9))
        return occ

    @property
    def trace(self) -> Trace:
        found = self.state.trace("trace")
        assert found is not None
        return found

    def find(self) -> Failing:
        return self.failing.find(self.trace)

    def due(self) -> float:
        """The second at which the trace is closed for what is failing; 0: nothing is."""
        found = self.find()
        assert bool(found.objects) == bool(found.due)
        return found.due / SECOND

    def close(self, *objects: ObjectState, root: str = "pod") -> None:
        """Close the trace for these objects."""
        found = Failing(self.state.clock.now, list(objects), "", final=False) if objects else NOTHING
        self.failing.close(self.trace, found, occurrence("first", uid=root))


# when ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "since, patience, due",
    [
        (100, 20, 120),
        # What was failing before the trace began has its whole patience: from when the first occurrence was received.
        (60, 20, 115),
        (95, 20, 115),
        (96, 20, 116),
        (100, 0, 100),
    ],
)
def test_a_trace_is_closed_when_the_patience_with_a_failure_runs_out(since: float, patience: float, due: float) -> None:
    assert Traced(pod(failure(since=since, patience=patience))).due() == due


@pytest.mark.parametrize("heard, due", [(94.9, 0), (95, 115), (99, 119)])
def test_a_failure_that_only_events_show_counts_if_one_came_since_the_trace_began(heard: float, due: float) -> None:
    old = failure(since=heard, heard=heard, in_status=False)
    assert Traced(pod(old)).due() == due


@pytest.mark.parametrize(
    "resumed, due",
    [(105, 120), (110, 120), (111, 121)],
)
def test_after_an_outage_a_recovery_has_ten_seconds_to_arrive(resumed: float, due: float) -> None:
    traced = Traced(pod(failure()))
    traced.state.clock.hold()
    traced.state.clock.resume(int(resumed * SECOND))
    assert traced.due() == due


@pytest.mark.parametrize(
    "ended, now, due",
    [
        (105, 114, 120),
        (105, 115, 0),
        (112, 121, 122),
        (112, 122, 0),
    ],
)
def test_a_failure_that_ended_has_ten_seconds_to_begin_again(ended: float, now: float, due: float) -> None:
    traced = Traced(pod(failure(ended=ended)))
    traced.to(now)
    assert traced.due() == due


def test_the_failure_that_is_due_first_is_the_reason() -> None:
    traced = Traced(
        pod(failure(since=103), uid="a"),
        pod(failure("crash", since=101), failure(since=102), uid="b"),
        pod(uid="c"),
    )
    found = traced.find()
    assert found.due == 121 * SECOND
    assert [obj.uid for obj in found.objects] == ["b", "b", "a"]
    assert found.reason == "Pod b is failing: ErrImagePull (crash)"


def test_of_failures_that_are_due_at_once_the_object_and_the_rule_decide() -> None:
    traced = Traced(pod(failure("x"), failure("y"), uid="b"), pod(failure("z"), failure("q"), uid="a"))
    assert traced.find().reason == "Pod a is failing: ErrImagePull (q)"


@pytest.mark.parametrize("final", [(True, True), (True, False), (False, True), (False, False)])
def test_failures_are_final_if_none_of_the_objects_tries_again(final: tuple[bool, bool]) -> None:
    first, second = (failure(final=each) for each in final)
    assert Traced(pod(first, uid="a"), pod(second, uid="b")).find().final is all(final)


def test_a_trace_without_failures_is_not_closed_for_one() -> None:
    assert Traced(pod()).find() == NOTHING
    assert (NOTHING.due, NOTHING.final) == (0, False)


@pytest.mark.parametrize(
    "fields, others, due",
    [
        ({"rv": 0}, (thing("seen"),), 0),
        ({"rv": 0}, (thing("seen", rv=0),), 120),
        ({"rv": 0}, (thing("seen", "Widget"),), 120),
        ({"rv": 0}, (), 120),
        ({"rv": 1}, (thing("seen"),), 120),
    ],
)
def test_an_old_event_about_an_object_that_is_gone_is_no_failure(
    fields: dict[str, Any], others: tuple[ObjectState, ...], due: float
) -> None:
    assert Traced(pod(failure(), **fields), others=others).due() == due


# episodes of a failure ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "number, rules, due",
    [
        (1, ("pull",), 107),
        (2, ("pull",), 109),
        (3, ("pull",), 111),
        (4, ("pull",), 111),
        (9, ("pull",), 111),
        # Another failure is as new as one in a new trace.
        (2, ("crash",), 120),
    ],
)
def test_the_episodes_of_a_failure_that_lasts_become_longer(number: int, rules: tuple[str, ...], due: float) -> None:
    own = pod(failure(), trace="before")
    traced = Traced(own, report_again_after=(7 * SECOND, 9 * SECOND, 11 * SECOND))
    traced.state.objects.continue_trace(own, None, continuation("pod", number=number, rules=rules))
    assert traced.due() == due


@pytest.mark.parametrize(
    "trace, follows, belongs",
    [
        ("trace", (), True),
        ("previous", (), True),
        ("before", ("before", "later"), True),
        ("later", ("before", "later"), True),
        ("elsewhere", ("before",), False),
        ("", (), False),
    ],
)
def test_an_object_is_failing_in_the_trace_of_its_newest_change_and_in_what_continues_that(
    trace: str, follows: tuple[str, ...], *, belongs: bool
) -> None:
    own = pod(failure(), trace=trace)
    own.changes.insert(0, change("old", 5, 50, trace="trace"))
    traced = Traced(own)
    traced.trace.previous_trace = "previous"
    if follows:
        traced.state.objects.continue_trace(own, None, continuation("pod", follows=follows))
    assert traced.failing.objects(traced.trace) == ([own] if belongs else [])


def test_an_object_of_which_no_change_is_known_belongs_to_any_trace() -> None:
    own = pod(failure(), changes=[])
    assert Traced(own).due() == 120


def test_an_episode_also_follows_those_that_were_failing_before() -> None:
    holder, other = thing("web", "Deployment", changes=[]), pod(failure(), uid="other", trace="before")
    traced = Traced(holder, others=(other,))
    assert traced.due() == 0
    traced.state.objects.continue_trace(holder, None, continuation("other", "forgotten", rules=()))
    assert [obj.uid for obj in traced.failing.objects(traced.trace)] == ["other", "web"]
    assert traced.due() == 120


# what follows --------------------------------------------------------------------------------------------------------


def test_what_goes_on_failing_is_followed_in_one_episode() -> None:
    own, other = pod(failure("x"), failure("w")), pod(failure("y", ended=99), failure("v"), uid="other")
    traced = Traced(own, other)
    traced.to(130)
    traced.close(own, other, own)
    assert own.continuations == (
        Continuation("", ("trace",), "first", ("other", "pod"), ("v", "w", "x"), 1, 130 * SECOND),
    )
    assert traced.state.objects.continuation("trace") == (own, own.continuations[0])


def test_the_object_of_the_root_keeps_what_follows_or_else_the_first_that_fails() -> None:
    own, web = pod(failure()), thing("web", "Deployment")
    Traced(own, others=(web,)).close(own, root="web")
    assert (len(web.continuations), len(own.continuations)) == (1, 0)
    Traced(own, others=(web,)).close(own, root="unknown")
    assert len(own.continuations) == 1


def test_nothing_follows_what_ended_or_never_tries_again() -> None:
    for over in (failure(ended=110), failure(final=True)):
        own = pod(over)
        Traced(own).close(own)
        assert own.continuations == ()
    own, other = pod(failure(ended=110)), pod(failure(), uid="other")
    Traced(own, other).close(own, other)
    assert own.continuations[0].failing == ("other",)


def test_a_trace_of_an_unknown_object_in_which_nothing_fails_has_no_continuation() -> None:
    own = pod()
    Traced(own).close(root="unknown")
    assert own.continuations == ()


def test_an_episode_that_ends_well_is_not_continued() -> None:
    own = pod(failure(ended=110), trace="before")
    traced = Traced(own)
    traced.state.objects.continue_trace(own, None, continuation("pod"))
    traced.close(own)
    assert own.continuations == ()


@pytest.mark.parametrize(
    "rules, number",
    [
        (("pull",), 3),
        (("crash", "pull"), 3),
        (("crash",), 1),
    ],
)
def test_episodes_are_counted_while_the_same_failures_last(rules: tuple[str, ...], number: int) -> None:
    own = pod(failure(), trace="before")
    traced = Traced(own)
    traced.state.objects.continue_trace(own, None, continuation("pod", number=2, rules=rules))
    traced.close(own)
    (kept,) = own.continuations
    assert (kept.number, kept.rules, kept.root, kept.follows) == (number, ("pull",), "root", ("before", "trace"))


@pytest.mark.parametrize("count, kept", [(1, 2), (14, 15), (15, 16), (16, 16), (17, 16)])
def test_an_episode_is_found_by_the_first_trace_and_the_fifteen_newest(count: int, kept: int) -> None:
    own = pod(failure(), trace="before")
    traced = Traced(own)
    names = tuple(f"t{number:02}" for number in range(count))
    traced.state.objects.continue_trace(own, None, continuation("pod", follows=names))
    traced.close(own)
    assert own.continuations[0].follows == (names[0], *(*names, "trace")[1 - kept :])


def test_the_number_of_failing_objects_that_are_followed_is_limited() -> None:
    pods = [pod(failure(), uid=f"pod-{number:03}") for number in range(257)]
    traced = Traced(*pods)
    traced.close(*pods, root="pod-000")
    assert pods[0].continuations[0].failing == tuple(f"pod-{number:03}" for number in range(256))


def test_an_object_of_which_only_events_are_known_names_the_closed_trace_itself() -> None:
    own, other = pod(failure(), changes=[]), pod(failure(), uid="other")
    Traced(own, other).close(own, other)
    assert (own.episodes, other.episodes) == (("trace",), ())


@pytest.mark.parametrize("seconds, follows", [(117, True), (117.9, True), (118, False)])
def test_what_follows_may_begin_within_twice_the_longest_episode(seconds: float, *, follows: bool) -> None:
    traced = Traced(pod(), report_again_after=(2 * SECOND, 9 * SECOND))
    traced.to(seconds)
    assert traced.failing.may_continue(continuation(trace="")) is follows
    assert traced.failing.may_continue(continuation(trace="trace")) is True


# when to look --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "failures, before, soon",
    [
        ((failure(),), (), True),
        ((failure(ended=90),), (), False),
        ((failure(ended=90), failure("crash")), (), True),
        ((), ("pod",), True),
        ((), (), False),
    ],
)
def test_a_trace_is_checked_soon_if_something_in_it_is_failing_or_was(
    failures: tuple[Failure, ...], before: tuple[str, ...], *, soon: bool
) -> None:
    traced = Traced(pod(*failures))
    traced.trace.failing, traced.trace.check = before, 900 * SECOND
    traced.failing.watch(occurrence("b", place=Place("trace")))
    assert (traced.trace.check < 900 * SECOND) is soon


def test_an_occurrence_without_a_trace_or_an_object_is_not_watched() -> None:
    traced = Traced(pod(failure()))
    traced.trace.check = 900 * SECOND
    traced.failing.watch(occurrence("b", place=Place("closed")))
    traced.failing.watch(occurrence("b", uid="unknown", place=Place("trace")))
    assert traced.trace.check == 900 * SECOND
