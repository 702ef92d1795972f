"""Causes in objects that nothing names: the end of a wait, something that was published, a request.

Slack is 1 s, a match 30 s, what was published is applied within 300 s, and a trace lasts at most 900 s."""

from collections.abc import Sequence
from typing import Any

import pytest

from kspan.graph import built_in_rules
from kspan.graph.cause.choice import Choice
from kspan.graph.cause.choose_news import NewsChooser
from kspan.graph.cause.prerequisites import Decide, PrerequisiteError, Prerequisites
from kspan.graph.rules.rules import Subject
from kspan.graph.state.records import KnownChange, News, ObjectState, Place, Refusal
from kspan.graph.state.state import State
from kspan.settings import FoldSettings
from kspan.times import SECOND
from tests.graph.making import change, occurrence, state_of, thing, transition

OWN = Choice(change("own", 10, 50), "own", 0.8)


def chooser(state: State) -> NewsChooser:
    rules, settings = built_in_rules(), FoldSettings()
    return NewsChooser(state, rules, settings, Prerequisites(state, rules, settings))


def text(choice: Choice | None) -> str:
    if choice is None or choice.cause is None:
        return "-"
    return f"{choice.rule} {choice.cause.span} {round(choice.confidence, 2)}"


def news(span: str, rv: int, seconds: float, **more: Any) -> News:
    return News(span, rv, int(seconds * SECOND), **more)


def with_news(*objects: ObjectState) -> State:
    """The state with these objects, whose news are in its indexes."""
    state = state_of(*objects)
    for obj in objects:
        known, obj.news = obj.news, ()
        for one in known:
            state.objects.add_news(obj, one)
    return state


def or_newer(state: State, choice: Choice = OWN, **more: Any) -> str:
    """The cause of an Event of the Pod with version 50, at second 100, of which ``choice`` is known."""
    fields: dict[str, Any] = {"event_uid": "event"} | more
    return text(chooser(state).or_newer(occurrence("this", 50, 100, **fields), choice))


# what an object waited for --------------------------------------------------------------------------------------------


def refusal(name: str = "web", first: float = 60, last: float = 80, **more: Any) -> Refusal:
    fields: dict[str, Any] = {"kind": "ConfigMap", "namespace": "shop"} | more
    return Refusal(name=name, first=int(first * SECOND), last=int(last * SECOND), **fields)


def waited(changes: Sequence[KnownChange], *refusals: Refusal, choice: Choice = OWN, **more: Any) -> str:
    """The cause of the next Event of a Pod that waited for the ConfigMap ``web`` from second 60 to 80."""
    pod = thing("pod", refusals=refusals or (refusal(),), **more)
    return or_newer(state_of(pod, thing("conf", "ConfigMap", "web", changes=list(changes))), choice)


@pytest.mark.parametrize(
    "changes, expected",
    [
        ([change("c", 20, 90)], "subject c 0.9"),
        ([], "own own 0.8"),
        # Between the first complaint and this Event.
        ([change("c", 20, 59)], "subject c 0.9"),
        ([change("c", 20, 58.9)], "own own 0.8"),
        ([change("c", 20, 57, range=2 * SECOND)], "subject c 0.9"),
        ([change("c", 49, 101)], "subject c 0.9"),
        ([change("c", 49, 101.1)], "own own 0.8"),
        ([change("c", 50, 90)], "own own 0.8"),
        # The first one after the last complaint, or else the newest.
        ([change("c", 20, 79), change("d", 21, 90)], "subject c 0.9"),
        ([change("c", 20, 78.9), change("d", 21, 90)], "subject d 0.9"),
        ([change("c", 20, 70, range=9 * SECOND), change("d", 21, 90)], "subject c 0.9"),
        ([change("c", 20, 65), change("d", 21, 70)], "subject d 0.9"),
        ([change("c", 20, 65), change("d", 21, 70), change("e", 22, 75)], "subject e 0.9"),
        # By version, not by place or time.
        ([change("c", 22, 90), change("d", 21, 95)], "subject d 0.9"),
        ([change("z", 21, 90), change("d", 21, 95)], "subject z 0.9"),
        ([change("z", 21, 90), change("d", 21, 90)], "subject d 0.9"),
        # Not older than what is known already.
        ([change("c", 10, 90)], "subject c 0.9"),
        ([change("c", 9, 90)], "own own 0.8"),
    ],
)
def test_an_object_goes_on_because_of_the_first_change_after_its_wait(
    changes: list[KnownChange], expected: str
) -> None:
    assert waited(changes) == expected


@pytest.mark.parametrize(
    "verb, after, ends", [("Update", "", True), ("Create", "Create", True), ("Update", "Create", False)]
)
def test_a_wait_is_ended_by_the_change_that_was_missing(verb: str, after: str, *, ends: bool) -> None:
    assert (waited([change("c", 20, 90, verb)], refusal(after=after)) != "own own 0.8") is ends


def test_a_wait_for_any_object_of_a_kind_is_less_certain_about_its_end() -> None:
    assert waited([change("c", 20, 90)], refusal("")) == "subject c 0.7"
    assert waited([change("c", 20, 90)], refusal("", namespace="elsewhere")) == "own own 0.8"
    assert waited([change("c", 20, 90)], refusal("other")) == "own own 0.8"


@pytest.mark.parametrize(
    "refusals, expected",
    [
        # The Pod complained about another object since.
        ([refusal(last=80), refusal("other", last=80.1)], "own own 0.8"),
        ([refusal(last=80.1), refusal("other", last=80)], "subject c 0.9"),
        ([refusal(last=80), refusal("other", last=80)], "subject c 0.9"),
        # A complaint after the Event is of no concern.
        ([refusal(last=80), refusal("other", 101.1, 110)], "subject c 0.9"),
        ([refusal(last=80), refusal("other", 101, 110)], "own own 0.8"),
        ([refusal(first=101.1, last=110)], "own own 0.8"),
    ],
)
def test_only_what_an_object_complained_about_last_counts(refusals: list[Refusal], expected: str) -> None:
    assert waited([change("c", 20, 90)], *refusals) == expected


def test_of_two_objects_that_were_missing_together_the_newer_one_ended_the_wait() -> None:
    refusals = (refusal("a"), refusal("b"))
    objects = [thing(name, "ConfigMap", changes=[change(name, 20 + at, 90)]) for at, name in enumerate("ba")]
    assert or_newer(state_of(thing("pod", refusals=refusals), *objects)) == "subject a 0.9"


def test_a_workload_does_not_wait_itself() -> None:
    conf = thing("conf", "ConfigMap", "web", changes=[change("c", 20, 90)])
    for kind, expected in (("Widget", "subject c 0.9"), ("ReplicaSet", "own own 0.8")):
        assert or_newer(state_of(thing("pod", kind, refusals=(refusal(),)), conf), kind=kind) == expected


@pytest.mark.parametrize(
    "trace_of_pod, trace_of_conf, known, expected",
    [
        ("trace", "trace", True, "subject c 0.9"),
        ("trace", "other", True, "own own 0.8"),
        ("", "", True, "own own 0.8"),
        ("trace", "trace", False, "own own 0.8"),
    ],
)
def test_a_pod_of_a_rollout_stays_in_its_trace(
    trace_of_pod: str, trace_of_conf: str, known: bool, expected: str
) -> None:
    pod = thing("pod", owner="rs", refusals=(refusal(),), changes=[change("old", 3, 4), change("made", 5, 40)])
    conf = thing("conf", "ConfigMap", "web", changes=[change("c", 20, 90)])
    state = state_of(thing("rs", "ReplicaSet"), pod, conf)
    for span, trace in (("made", trace_of_pod), ("c", trace_of_conf)) if known else ():
        state.add_occurrence(occ := occurrence(span, 5, 40, verb="Create"))
        state.start_deciding(occ)
        if trace:
            state.place(occ, Place(trace))
    assert or_newer(state) == expected


def test_a_pod_of_a_rollout_of_which_no_change_is_known_stays_where_it_is() -> None:
    pod = thing("pod", owner="rs", refusals=(refusal(),))
    conf = thing("conf", "ConfigMap", "web", changes=[change("c", 20, 90)])
    assert or_newer(state_of(thing("rs", "ReplicaSet"), pod, conf)) == "own own 0.8"


# Nodes that admit a Pod -----------------------------------------------------------------------------------------------


def admitted(*, changes: Sequence[KnownChange] = (), node: str = "node-a", **more: Any) -> str:
    """The cause of an Event of a Pod that no Node fitted from second 60 to 80."""
    pod = thing("pod", node=node, refusals=(refusal("", kind="Node", namespace=""),))
    host = thing("node", "Node", "node-a", namespace="", changes=list(changes), **more)
    return or_newer(state_of(pod, host))


def opened(span: str, rv: int, seconds: float, verb: str = "Update", **more: Any) -> KnownChange:
    return change(span, rv, seconds, verb, **({"effect": "opened"} | more))


@pytest.mark.parametrize(
    "changes, expected",
    [
        ([opened("n", 20, 90)], "place n 0.8"),
        ([opened("n", 20, 90, effect="closed")], "own own 0.8"),
        ([opened("n", 20, 59)], "place n 0.8"),
        ([opened("n", 20, 58.9)], "own own 0.8"),
        ([opened("n", 50, 90)], "own own 0.8"),
        ([opened("n", 49, 101)], "place n 0.8"),
        ([opened("n", 49, 101.1)], "own own 0.8"),
        ([opened("n", 20, 82), opened("m", 21, 90)], "place n 0.8"),
        # A Node that joins is not ready yet.
        ([opened("n", 20, 85, "Create"), opened("m", 21, 90)], "place m 0.8"),
        ([opened("n", 20, 85, "Create")], "place n 0.8"),
    ],
)
def test_a_pod_is_scheduled_because_its_node_was_opened(changes: list[KnownChange], expected: str) -> None:
    assert admitted(changes=changes) == expected


@pytest.mark.parametrize(
    "turned, expected",
    [
        (transition("t", 20, 90, bad=False), "place t 0.8"),
        (transition("t", 20, 90), "own own 0.8"),
        (transition("t", 20, 90, "MemoryPressure", bad=False), "own own 0.8"),
        (transition("t", 20, 58.9, bad=False), "own own 0.8"),
        (transition("t", 50, 90, bad=False), "own own 0.8"),
    ],
)
def test_a_pod_is_scheduled_because_its_node_became_ready(turned: Any, expected: str) -> None:
    assert admitted(transitions=[turned]) == expected
    # In the version that also opened it, the transition is what others see.
    both = admitted(transitions=[turned], changes=[opened("n", 20, 90)])
    assert both == (expected if expected.startswith("place") else "place n 0.8")


def test_only_the_node_of_the_pod_admits_it() -> None:
    for node in ("", "node-b"):
        assert admitted(changes=[opened("n", 20, 90)], node=node) == "own own 0.8"


def test_a_wait_for_a_node_with_a_name_is_ended_by_any_change_of_it() -> None:
    pod = thing("pod", node="node-a", refusals=(refusal("node-b", kind="Node", namespace=""),))
    host = thing("node", "Node", "node-b", namespace="", changes=[change("n", 20, 90)])
    assert or_newer(state_of(pod, host)) == "subject n 0.9"


# which occurrences have such a cause ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "means, expected",
    [
        ("deletes", "own own 0.8"),
        ("explains", "own own 0.8"),
        ("observes", "own own 0.8"),
        ("waits", "own own 0.8"),
        ("routine", "subject c 0.9"),
    ],
)
def test_an_event_that_states_its_cause_or_that_it_still_waits_has_no_other(means: str, expected: str) -> None:
    pod = thing("pod", refusals=(refusal(),))
    state = state_of(pod, thing("conf", "ConfigMap", "web", changes=[change("c", 20, 90)]))
    assert or_newer(state, subject=Subject(means)) == expected


def test_an_event_of_an_unknown_object_keeps_its_cause() -> None:
    assert or_newer(state_of()) == "own own 0.8"


def test_what_was_published_counts_if_it_is_newer_than_the_end_of_the_wait() -> None:
    for rv, expected in ((19, "subject c 0.9"), (21, "subject p 0.8")):
        source = ("GitRepository", "flux", "apps")
        obj = thing("pod", "Kustomization", refusals=(refusal(),), source=source)
        repo = thing("repo", "GitRepository", "apps", namespace="flux", news=(news("p", rv, 90),))
        conf = thing("conf", "ConfigMap", "web", changes=[change("c", 20, 90)])
        assert or_newer(with_news(obj, repo, conf), kind="Kustomization") == expected


# what was published ---------------------------------------------------------------------------------------------------


def published(*found: News, source: tuple[str, ...] = ("GitRepository", "flux", "apps"), **more: Any) -> str:
    """The cause of an Event of a Kustomization whose source published these."""
    obj = thing("pod", "Kustomization", "apps", source=source)
    repo = thing("repo", "GitRepository", "apps", namespace=more.pop("of", "flux"), news=found)
    occ = occurrence("this", 50, 100, **more)
    return text(chooser(with_news(obj, repo)).of_source(obj, occ))


@pytest.mark.parametrize(
    "found, expected",
    [
        ([news("p", 20, 90)], "subject p 0.8"),
        ([], "-"),
        ([news("p", 20, 90), news("q", 21, 80)], "subject q 0.8"),
        ([news("p", 21, 90), news("q", 21, 80)], "subject p 0.8"),
        ([news("p", 21, 90), news("q", 21, 90)], "subject q 0.8"),
        # Before the Event.
        ([news("p", 49, 101)], "subject p 0.8"),
        ([news("p", 49, 101.1)], "-"),
        ([news("p", 50, 90)], "-"),
        ([news("this", 20, 90)], "-"),
        # It was applied at once.
        ([news("p", 20, -200)], "subject p 0.8"),
        ([news("p", 20, -200.1)], "-"),
        ([news("p", 20, -200.1, revision="main@1")], "subject p 0.8"),
        # A request publishes nothing.
        ([news("p", 20, 90, wanted="Node")], "-"),
    ],
)
def test_a_tool_applies_the_newest_that_its_source_published(found: list[News], expected: str) -> None:
    assert published(*found) == expected


def test_the_uncertainty_of_a_change_counts() -> None:
    assert published(news("p", 49, 103), uncertainty=2 * SECOND) == "subject p 0.8"
    assert published(news("p", 49, 103.1), uncertainty=2 * SECOND) == "-"


@pytest.mark.parametrize(
    "revision, expected",
    [("main@1", "subject p 0.95"), ("main@2", "subject q 0.95"), ("main@3", "subject q 0.8"), ("", "subject q 0.8")],
)
def test_the_revision_that_is_applied_says_which_one_it_was(revision: str, expected: str) -> None:
    found = [news("p", 20, -500, revision="main@1"), news("q", 21, 90, revision="main@2")]
    assert published(*found, revision=revision) == expected


@pytest.mark.parametrize(
    "source, namespace, expected",
    [
        (("GitRepository", "flux", "apps"), "flux", "subject p 0.8"),
        (("GitRepository", "flux", "other"), "flux", "-"),
        # The spec is not known: one with the same name, in the same namespace.
        ((), "shop", "subject p 0.5"),
        ((), "flux", "-"),
        # The spec is known, and names another one.
        (("GitRepository", "flux", "apps"), "shop", "-"),
    ],
)
def test_a_source_is_found_by_its_name_or_else_by_that_of_the_object(
    source: tuple[str, ...], namespace: str, expected: str
) -> None:
    assert published(news("p", 20, 90), source=source, of=namespace) == expected


def test_only_some_kinds_have_a_source() -> None:
    state = with_news(thing("repo", "GitRepository", "apps", news=(news("p", 20, 90),)))
    occ = occurrence("this", 50, 100)
    for kind, expected in (("Kustomization", "subject p 0.5"), ("Widget", "-")):
        assert text(chooser(state).of_source(thing("pod", kind, "apps"), occ)) == expected


# what a tool applied --------------------------------------------------------------------------------------------------


def applied(*objects: ObjectState, applier: tuple[str, ...] = ("Application", "argocd", "store")) -> str:
    """The cause of a change that a tool made for an object."""
    return text(chooser(with_news(*objects)).of_applier(occurrence("this", 50, 100, applier=applier)))


def app(*changes: KnownChange, **more: Any) -> ObjectState:
    fields: dict[str, Any] = {"namespace": "argocd", "changes": list(changes)} | more
    return thing("app", fields.pop("kind", "Application"), "store", **fields)


@pytest.mark.parametrize(
    "obj, expected",
    [
        (app(), "-"),
        (app(change("c", 20, 90)), "subject c 0.9"),
        (app(change("c", 20, 90), change("d", 21, 80)), "subject d 0.9"),
        (app(change("c", 20, 90, "Delete")), "-"),
        (app(change("c", 50, 90)), "-"),
        (app(change("c", 20, -200)), "subject c 0.9"),
        (app(change("c", 20, -200.1)), "-"),
        (app(change("c", 20, 90), news=(news("e", 21, 95),)), "subject e 0.9"),
        (app(change("c", 22, 90), news=(news("e", 21, 95),)), "subject c 0.9"),
        (app(news=(news("e", 21, 95),)), "subject e 0.9"),
    ],
)
def test_a_tool_makes_a_change_because_of_the_newest_that_happened_to_its_own_object(
    obj: ObjectState, expected: str
) -> None:
    assert applied(obj) == expected


def test_without_a_namespace_the_object_is_one_that_published_something() -> None:
    by_name = ("Application", "", "store")
    assert applied(app(change("c", 20, 90)), applier=by_name) == "-"
    assert applied(app(change("c", 20, 90), news=(news("e", 19, 95),)), applier=by_name) == "subject c 0.9"
    assert applied(app(change("c", 20, 90)), applier=("Application", "elsewhere", "store")) == "-"


@pytest.mark.parametrize("applier", [(), ("Application", "argocd")])
def test_a_change_without_the_mark_of_a_tool_has_no_such_cause(applier: tuple[str, ...]) -> None:
    assert applied(app(change("c", 20, 90)), applier=applier) == "-"


def test_the_source_of_the_object_counts_as_well() -> None:
    repo = thing("repo", "GitRepository", "apps", namespace="flux", news=(news("p", 21, 90),))
    for rv, expected in ((20, "subject p 0.8"), (22, "subject c 0.9")):
        obj = app(change("c", rv, 90), kind="Kustomization", source=("GitRepository", "flux", "apps"))
        assert applied(obj, repo, applier=("Kustomization", "argocd", "store")) == expected


def test_of_two_objects_with_one_name_the_newest_cause_counts() -> None:
    old, new = app(change("c", 20, 90)), app(change("d", 21, 80))
    new.uid = "new"
    assert applied(new, old) == applied(old, new) == "subject d 0.9"


# what was requested ---------------------------------------------------------------------------------------------------


def requester(uid: str, *found: News, **more: Any) -> ObjectState:
    """A Pod for which a Node was requested."""
    return thing(uid, more.pop("kind", "Pod"), news=found, **more)


def wanted(span: str, seconds: float, **more: Any) -> News:
    return news(span, 20, seconds, **({"wanted": "Node"} | more))


def requested(*objects: ObjectState) -> str:
    """The cause of the creation of the Node ``node-a``."""
    occ = occurrence("this", 50, 1000, uid="node", kind="Node", namespace="", name="node-a", verb="Create")
    return text(chooser(with_news(*objects)).of_request(occ))


@pytest.mark.parametrize(
    "pod, expected",
    [
        (requester("p", wanted("e", 900)), "subject e 0.5"),
        (requester("p", wanted("e", 1000)), "subject e 0.5"),
        (requester("p", wanted("e", 1000.1)), "-"),
        (requester("p", wanted("e", 100)), "subject e 0.5"),
        (requester("p", wanted("e", 99.9)), "-"),
        (requester("p", wanted("e", 900), wanted("f", 950)), "subject e 0.5"),
        (requester("p", wanted("f", 900, wanted="Machine"), wanted("e", 950)), "subject e 0.5"),
        (requester("p", wanted("e", 900), kind="Widget"), "-"),
        (requester("p", wanted("e", 900), deleting=True), "-"),
        (requester("p", wanted("e", 900), node="node-a"), "subject e 0.5"),
        (requester("p", wanted("e", 900), node="node-b"), "-"),
        (requester("p", wanted("e", 900, wanted="Machine")), "-"),
        (requester("p"), "-"),
    ],
)
def test_a_node_is_created_for_the_first_pod_for_which_one_was_requested(pod: ObjectState, expected: str) -> None:
    assert requested(pod) == expected


def test_of_several_requests_the_first_counts_and_is_decided_first() -> None:
    first, second = requester("b", wanted("e", 800)), requester("a", wanted("f", 900))
    assert requested(first, second) == "subject e 0.5"
    assert requested(requester("b", wanted("y", 800)), requester("a", wanted("x", 800))) == "subject x 0.5"
    state = with_news(requester("p", wanted("e", 900)))
    state.add_occurrence(event := occurrence("e", 20, 900, event_uid="event"))
    with pytest.raises(PrerequisiteError) as raised:
        chooser(state).of_request(occurrence("this", 50, 1000, kind="Node", name="node-a", verb="Create"))
    assert raised.value.prerequisite == Decide([event])


@pytest.mark.parametrize(
    "kind, by, found, expected",
    [
        ("Group", "pool", wanted("e", 90, revision="pool"), "subject e 0.8"),
        ("Group", "pool", wanted("e", 70, revision="pool"), "subject e 0.8"),
        ("Group", "pool", wanted("e", 69.9, revision="pool"), "own own 0.8"),
        ("Group", "pool", wanted("e", 130, revision="pool"), "subject e 0.8"),
        ("Group", "pool", wanted("e", 130.1, revision="pool"), "own own 0.8"),
        ("Group", "pool", wanted("e", 90, revision="other"), "own own 0.8"),
        ("Group", "pool", wanted("e", 90, revision="pool", wanted="Machine"), "own own 0.8"),
        ("Group", "", wanted("e", 90), "own own 0.8"),
        # The Pod itself.
        ("Pod", "pool", wanted("e", 90, revision="pool"), "own own 0.8"),
    ],
)
def test_a_group_grows_because_of_the_request_that_a_pod_reports(
    kind: str, by: str, found: News, expected: str
) -> None:
    state = with_news(requester("p", found), thing("pod", kind))
    assert or_newer(state, kind=kind, subject=Subject("requests", "Node", by=by)) == expected


def test_only_what_was_requested_for_a_pod_counts() -> None:
    state = with_news(requester("w", wanted("e", 90, revision="pool"), kind="Widget"), thing("pod", "Group"))
    assert or_newer(state, kind="Group", subject=Subject("requests", "Node", by="pool")) == "own own 0.8"
