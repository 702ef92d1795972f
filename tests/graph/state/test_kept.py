"""How much of an object is kept: refusals, news, turns of containers; and where the objects with them are found."""

from typing import Any

import pytest

from kspan.graph.state.records import ContainerTurn, News, Place, Refusal
from kspan.graph.state.state import REPEATS_KEPT, State
from kspan.times import SECOND
from tests.graph.making import occurrence, state_of, thing


def news(span: str, seconds: float = 1000, **more: Any) -> News:
    return News(span, 20, int(seconds * SECOND), **more)


def at(state: State, seconds: float) -> State:
    state.clock.advance(int(seconds * SECOND))
    return state


def refusal(name: str, last: int = 1) -> Refusal:
    return Refusal("ConfigMap", "shop", name, 1, last)


def test_of_the_objects_for_which_one_waited_the_newest_four_are_kept() -> None:
    pod = thing("pod")
    objects = state_of(pod).objects
    for number in range(5):
        objects.refuse(pod, refusal(f"c{number}"))
    assert [r.name for r in pod.refusals] == ["c1", "c2", "c3", "c4"]
    objects.refuse(pod, refusal("c2", last=9))
    assert [(r.name, r.last) for r in pod.refusals] == [("c1", 1), ("c3", 1), ("c4", 1), ("c2", 9)]
    assert list(objects.refused_by("ConfigMap", "shop", "c0")) == []
    assert list(objects.refused_by("ConfigMap", "shop", "c2")) == [pod]


def test_the_newest_eight_news_are_kept_for_as_long_as_a_trace_can_be_open() -> None:
    repo = thing("repo", "GitRepository")
    state = at(state_of(repo), 1000)
    state.add_occurrence(occurrence("waits"))
    for one in (news("old", 99.9), news("waits", 50), news("young", 100)):
        state.objects.add_news(repo, one)
    state.objects.add_news(repo, news("next"))
    assert [one.span for one in repo.news] == ["waits", "young", "next"]
    for number in range(7):
        state.objects.add_news(repo, news(f"n{number}"))
    assert [one.span for one in repo.news] == ["next", *(f"n{number}" for number in range(7))]


def test_an_object_that_published_or_requested_something_is_found_by_that() -> None:
    repo, pod = thing("repo", "GitRepository"), thing("pod")
    objects = at(state_of(repo, pod), 1000).objects
    objects.add_news(repo, news("a"))
    objects.add_news(pod, news("b", wanted="Node"))
    assert (objects.publishers("GitRepository", "repo"), objects.publishers("Pod", "pod")) == ([repo], [])
    assert (objects.requesters("Node"), objects.requesters("Machine")) == ([pod], [])


def test_news_that_became_a_repeat_is_that_of_the_first_event() -> None:
    repo = thing("repo", "GitRepository")
    state = at(state_of(repo), 1000)
    state.objects.add_news(repo, news("a"))
    state.objects.add_news(repo, news("b"))
    fields: dict[str, Any] = {"event_uid": "e", "reported_uid": "repo", "reason": "Published"}
    first, again = occurrence("a", 20, 1000, **fields), occurrence("b", 21, 1001, **fields, event_count=2)
    for occ in (first, again):
        state.add_occurrence(occ)
    state.place(first, Place("trace"))
    state.add_repeat(first, again, 2)
    assert [(one.span, one.trace) for one in repo.news] == [("a", "trace"), ("a", "trace")]


def turn(span: str, path: str = "web", *, ended: bool = True) -> ContainerTurn:
    return ContainerTurn(span, f"spec.containers{{{path}}}", ended, 0, 1, 1)


def test_the_newest_three_ends_and_restarts_of_each_container_are_kept() -> None:
    pod = thing("pod")
    objects = state_of(pod).objects
    objects.add_container_turn(pod, turn("other", "proxy"))
    for number in range(5):
        objects.add_container_turn(pod, turn(f"e{number}"))
        objects.add_container_turn(pod, turn(f"r{number}", ended=False))
    assert [one.span for one in pod.containers] == ["other", "e2", "r2", "e3", "r3", "e4", "r4"]


@pytest.mark.parametrize("kinds, changes", [(["Pod"], 1), (["Pod", "Pod"], 1), (["Pod", "Widget"], 2)])
def test_what_an_object_awaits_is_written_once(kinds: list[str], changes: int) -> None:
    claim = thing("claim")
    state = state_of(claim)
    written = 0
    for kind in kinds:
        state.take_delta()
        state.objects.await_use(claim, kind)
        delta = state.take_delta()
        written += len(delta.updated_objects) + len(delta.objects)
    assert (claim.awaits, written) == (kinds[-1], changes)


def test_a_span_of_routine_events_keeps_its_first_repeats_and_the_newest() -> None:
    state = at(state_of(thing("pod")), 10)
    first = occurrence("first", 1, 1, event_uid="e")
    state.add_occurrence(first)
    state.place(first, Place("trace"))
    for number in range(REPEATS_KEPT + 2):
        again = occurrence(f"o{number}", 2, 2 + number, event_uid=f"e{number}", reported_uid="pod")
        state.add_occurrence(again)
        state.add_routine(first, again)
    assert len(first.repeats) == REPEATS_KEPT
    assert [repeat.count for repeat in first.repeats[-2:]] == [REPEATS_KEPT, REPEATS_KEPT + 3]
    trace = state.trace("trace")
    assert trace is not None
    assert (trace.active, trace.last) == (10 * SECOND, (REPEATS_KEPT + 3) * SECOND)


def test_an_object_has_an_episode_only_while_it_is_open() -> None:
    pod = thing("pod", episodes=("closed",))
    state = state_of(pod)
    state.add_occurrence(occ := occurrence("a"))
    state.place(occ, Place("open"))
    for name in ("open", "next"):
        state.start_episode(pod, name)
    assert pod.episodes == ("open", "next")
