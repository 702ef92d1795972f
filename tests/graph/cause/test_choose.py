"""Which cause is chosen, by which rule, and with which confidence."""

from typing import Any

import msgspec
import pytest

from kspan.graph import built_in_rules
from kspan.graph.cause.choice import Choice
from kspan.graph.cause.choose import Chooser
from kspan.graph.cause.prerequisites import Prerequisites
from kspan.graph.rules.rules import Subject
from kspan.graph.state.records import KnownChange, ObjectState, Occurrence, Refusal, Transition
from kspan.settings import FoldSettings
from kspan.times import SECOND
from tests.graph.making import change, lost, occurrence, replacement, state_of, thing, transition


def chooser(*objects: ObjectState, events: tuple[Occurrence, ...] = ()) -> Chooser:
    state, settings, rules = state_of(*objects), FoldSettings(), built_in_rules()
    for event in events:
        state.add_occurrence(event)
        state.start_deciding(event)
    return Chooser(state, rules, settings, Prerequisites(state, rules, settings))


def text(choice: Choice) -> str:
    """``rule cause confidence``, and who acted if the cause tells that."""
    cause = choice.cause.span if choice.cause is not None else "-"
    return f"{choice.rule} {cause} {round(choice.confidence, 2)}" + (f" by {choice.actor}" if choice.actor else "")


def of_change(*objects: ObjectState, events: tuple[Occurrence, ...] = (), **more: Any) -> str:
    """The cause of a change of the Pod, or of ``uid``, with version 50 at second 100."""
    fields: dict[str, Any] = {"verb": "Update", "by_controller": True} | more
    return text(chooser(*objects, events=events).of_change(occurrence("this", 50, 100, **fields)))


# changes -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields, owner, expected",
    [
        ({"by_controller": False, "manager": "kubectl"}, "", "root - 0.95"),
        ({"by_controller": False, "manager": ""}, "", "root - 0.5"),
        ({"by_controller": False, "manager": "kubectl"}, "rs", "root - 0.95"),
        # A dependent is created by a controller, whoever wrote it.
        ({"by_controller": False, "manager": "kubectl", "verb": "Create"}, "", "root - 0.95"),
        ({"by_controller": False, "manager": "odd", "verb": "Create"}, "rs", "owner a 0.9"),
        ({"by_controller": True, "verb": "Create"}, "rs", "owner a 0.9"),
        ({"by_controller": True}, "rs", "owner a 0.9"),
        ({"by_controller": True}, "", "root - 0.3"),
    ],
)
def test_a_change_by_a_person_is_a_root_and_one_by_a_controller_follows_its_owner(
    fields: dict[str, Any], owner: str, expected: str
) -> None:
    rs = thing("rs", "ReplicaSet", changes=[change("a", 40, 90)])
    assert of_change(rs, thing("pod", owner=owner), **fields) == expected


@pytest.mark.parametrize(
    "cause, more, expected",
    [
        (change("a", 40, 70), {}, "owner a 0.8 by replicaset-controller"),
        (change("a", 40, 69.9), {}, "root - 0.5"),
        (change("a", 40, 60, range=10 * SECOND), {}, "owner a 0.8 by replicaset-controller"),
        (change("a", 40, 65), {"uncertainty": 5 * SECOND}, "owner a 0.8 by replicaset-controller"),
        (change("a", 50, 90), {}, "root - 0.5"),
        (change("a", 40, 90), {"manager": "odd"}, "root - 0.95"),
    ],
)
def test_an_update_of_a_dependent_that_names_nobody_is_the_controllers_if_the_owner_was_changed_just_before(
    cause: KnownChange, more: dict[str, Any], expected: str
) -> None:
    rs = thing("rs", "ReplicaSet", changes=[cause])
    fields: dict[str, Any] = {"by_controller": False, "manager": ""} | more
    assert of_change(rs, thing("pod", owner="rs"), **fields) == expected


def test_a_change_of_an_unknown_object_has_no_cause() -> None:
    assert of_change() == "root - 0.3"


@pytest.mark.parametrize(
    "verb, kind, expected", [("Create", "CronJob", "root - 0.8"), ("Update", "CronJob", "owner a 0.9")]
)
def test_a_cron_job_creates_because_of_the_clock(verb: str, kind: str, expected: str) -> None:
    cron = thing("cron", kind, changes=[change("a", 40, 90)])
    assert of_change(cron, thing("pod", "Job", owner="cron"), verb=verb) == expected


def test_a_static_pod_is_mirrored_by_its_kubelet() -> None:
    node = thing("node", "Node", changes=[change("a", 40, 90)])
    assert of_change(node, thing("pod", owner="node"), verb="Create") == "root - 0.8"


def test_each_level_of_owners_costs_confidence() -> None:
    web, rs = thing("web", "Deployment", changes=[change("a", 40, 90)]), thing("rs", "ReplicaSet", owner="web")
    assert of_change(web, rs, thing("pod", owner="rs")) == "owner a 0.8"


def test_owners_in_a_circle_end_the_search() -> None:
    assert of_change(thing("a", owner="b"), thing("b", owner="a"), thing("pod", owner="a")) == "root - 0.3"


@pytest.mark.parametrize("seconds, expected", [(70, "subject e 0.8"), (69.9, "root - 0.3")])
def test_an_event_about_an_owner_of_which_no_change_is_known_stands_for_one(seconds: float, expected: str) -> None:
    subject = Subject("creates", "ReplicaSet", "shop", "rs")
    event = occurrence("e", 45, seconds, uid="web", event_uid="event", subject=subject)
    assert of_change(thing("rs", "ReplicaSet"), thing("pod", owner="rs"), events=(event,)) == expected


def test_the_change_of_an_owner_counts_more_than_an_event_about_it() -> None:
    event = occurrence(
        "e", 45, 95, uid="web", event_uid="event", subject=Subject("creates", "ReplicaSet", "shop", "rs")
    )
    rs = thing("rs", "ReplicaSet", changes=[change("late", 60, 99)])
    assert of_change(rs, thing("pod", owner="rs"), events=(event,)) == "root - 0.3"


# answers to a change of the same object ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "own, owner, fields, expected",
    [
        # A controller reverts what somebody did to an owned object, and completes what was done to another.
        (change("m", 45, 95, manual=True), "rs", {}, "own m 0.8"),
        (change("m", 45, 95), "rs", {}, "owner a 0.9"),
        (change("m", 45, 95), "", {}, "own m 0.8"),
        (change("m", 45, 95, "Delete"), "", {}, "root - 0.3"),
        # The newer one counts.
        (change("m", 39, 95, manual=True), "rs", {}, "owner a 0.9"),
        (change("m", 40, 90, manual=True), "rs", {}, "own m 0.8"),
        (change("m", 50, 95, manual=True), "rs", {}, "owner a 0.9"),
        # An autoscaler, and a creation, answer nothing.
        (change("m", 45, 95, manual=True), "rs", {"subresource": "scale"}, "owner a 0.9"),
        (change("m", 45, 95, manual=True), "rs", {"verb": "Create"}, "owner a 0.9"),
        # Not older than a trace can be.
        (change("m", 45, 100 - 900, manual=True), "", {}, "own m 0.8"),
        (change("m", 45, 100 - 900.1, manual=True), "", {}, "root - 0.3"),
    ],
)
def test_a_controllers_change_may_answer_one_of_the_same_object(
    own: KnownChange, owner: str, fields: dict[str, Any], expected: str
) -> None:
    rs = thing("rs", "ReplicaSet", changes=[change("a", 40, 90)])
    assert of_change(rs, thing("pod", owner=owner, changes=[own]), **fields) == expected


@pytest.mark.parametrize(
    "kind, turned, expected",
    [
        ("Node", transition("t", 45, 95), "own t 0.8"),
        ("Pod", transition("t", 45, 95), "root - 0.3"),
        ("Node", transition("t", 45, 100 - 900), "own t 0.8"),
        ("Node", transition("t", 45, 100 - 900.1), "root - 0.3"),
        ("Node", transition("t", 50, 95), "root - 0.3"),
    ],
)
def test_the_node_lifecycle_controller_answers_transitions(kind: str, turned: Transition, expected: str) -> None:
    assert of_change(thing("pod", kind, transitions=[turned])) == expected


@pytest.mark.parametrize("rv, expected", [(44, "own t 0.8"), (45, "own m 0.8"), (46, "own m 0.8")])
def test_of_a_change_and_a_transition_of_a_node_the_newer_one_is_answered(rv: int, expected: str) -> None:
    node = thing("pod", "Node", transitions=[transition("t", 45, 95)], changes=[change("m", rv, 95)])
    assert of_change(node) == expected


# what made a controller create a dependent ----------------------------------------------------------------------------


def created(owner: ObjectState, *others: ObjectState, **pod: Any) -> str:
    return of_change(owner, thing("pod", owner=owner.uid, **pod), *others, verb="Create")


@pytest.mark.parametrize(
    "since, expected",
    [([change("a", 40, 90)], "owner d 0.9"), ([change("a", 46, 90)], "owner a 0.9"), ([], "owner d 0.9")],
)
def test_a_lost_dependent_is_the_cause_of_its_replacement(since: list[KnownChange], expected: str) -> None:
    rs = thing("rs", "ReplicaSet", changes=since, lost_dependents=(lost("d", 45, 95),))
    rs.replacements = (replacement("this", 50, 100),)
    assert created(rs) == expected


@pytest.mark.parametrize(
    "known, expected",
    [
        ({"changes": [change("d", 45, 95, "Delete", trace="t")]}, "t"),
        ({"transitions": [transition("d", 45, 95, trace="t")]}, "t"),
        ({"changes": [change("other", 45, 95, "Delete", trace="t")]}, ""),
    ],
)
def test_the_loss_of_a_dependent_is_in_the_trace_of_its_deletion_or_end(known: dict[str, Any], expected: str) -> None:
    rs = thing("rs", "ReplicaSet", lost_dependents=(lost("d", 45, 95, uid="gone"),))
    rs.replacements = (replacement("this", 50, 100),)
    occ = occurrence("this", 50, 100, verb="Create", by_controller=True)
    choice = chooser(rs, thing("pod", owner="rs"), thing("gone", owner="rs", **known)).of_change(occ)
    assert choice.cause is not None
    assert (choice.cause.span, choice.cause.trace) == ("d", expected)


@pytest.mark.parametrize(
    "kind, effect, rv, expected",
    [
        ("DaemonSet", "opened", 45, "place n 0.8"),
        ("DaemonSet", "labelled", 45, "place n 0.8"),
        ("DaemonSet", "closed", 45, "owner a 0.9"),
        ("DaemonSet", "opened", 39, "owner a 0.9"),
        ("DaemonSet", "opened", 50, "owner a 0.9"),
        ("ReplicaSet", "opened", 45, "owner a 0.9"),
    ],
)
def test_a_node_that_admits_pods_is_the_cause_of_those_of_a_daemon_set(
    kind: str, effect: str, rv: int, expected: str
) -> None:
    node = thing("node", "Node", "node-a", namespace="", changes=[change("n", rv, 95, effect=effect)])
    assert created(thing("ds", kind, changes=[change("a", 40, 90)]), node, node="node-a") == expected


@pytest.mark.parametrize(
    "raised, first, last, expected",
    [
        (change("q", 45, 95), 94, 94, "subject q 0.8"),
        (change("q", 45, 95), 96, 96, "subject q 0.8"),
        (change("q", 45, 95), 96.1, 97, "owner a 0.9"),
        (change("q", 50, 95), 94, 94, "owner a 0.9"),
        (change("q", 39, 95), 94, 94, "owner a 0.9"),
        # Refused before the owner's newest change: that may ask for what was allowed all along.
        (change("q", 45, 95), 80, 89.9, "owner a 0.9"),
        (change("q", 45, 95), 80, 90, "subject q 0.8"),
    ],
)
def test_a_quota_that_is_raised_is_the_cause_of_what_it_had_refused(
    raised: KnownChange, first: float, last: float, expected: str
) -> None:
    quota = thing("quota", "ResourceQuota", "small", changes=[raised])
    rs = thing("rs", "ReplicaSet", changes=[change("a", 40, 90)])
    rs.refusals = (Refusal("ResourceQuota", "shop", "small", int(first * SECOND), int(last * SECOND)),)
    assert created(rs, quota) == expected


@pytest.mark.parametrize("admitted, expected", [(44, "owner d 0.9"), (46, "place n 0.8")])
def test_of_several_reasons_for_a_creation_the_newest_counts(admitted: int, expected: str) -> None:
    node = thing("node", "Node", "node-a", namespace="", changes=[change("n", admitted, 95, effect="opened")])
    ds = thing("ds", "DaemonSet", changes=[change("a", 40, 90)], lost_dependents=(lost("d", 45, 95),))
    ds.replacements = (replacement("this", 50, 100),)
    assert created(ds, node, node="node-a") == expected


# Events --------------------------------------------------------------------------------------------------------------


def of_event(*objects: ObjectState, events: tuple[Occurrence, ...] = (), **more: Any) -> str:
    """The cause of an Event of the Pod with version 50, at second 100."""
    fields: dict[str, Any] = {"event_uid": "event", "name": "pod"} | more
    return text(chooser(*objects, events=events).of_event(occurrence("this", 50, 100, **fields)))


@pytest.mark.parametrize(
    "own, seen_rv, expected",
    [
        ([change("a", 10, 90), change("b", 20, 95)], 20, "own b 0.95"),
        ([change("a", 10, 90), change("b", 20, 95)], 19, "own a 0.95"),
        ([change("a", 10, 90), change("b", 20, 95)], 0, "own b 0.8"),
        ([change("a", 10, 90), change("b", 20, 100.1)], 0, "own a 0.8"),
        # A change that was received after the Event that it caused.
        ([change("a", 10, 100.3)], 0, "own a 0.6"),
        ([change("a", 10, 100.31)], 0, "owner o 0.6"),
        ([], 0, "owner o 0.6"),
    ],
)
def test_an_event_follows_the_newest_change_that_its_reporter_can_have_seen(
    own: list[KnownChange], seen_rv: int, expected: str
) -> None:
    owner = thing("rs", "ReplicaSet", changes=[change("o", 5, 80)])
    assert of_event(owner, thing("pod", owner="rs", changes=own), seen_rv=seen_rv) == expected


@pytest.mark.parametrize(
    "owned, expected",
    [
        ([change("o", 5, 100)], "owner o 0.6"),
        ([change("o", 5, 100.1)], "owner top 0.6"),
        ([change("o", 5, 80, "Delete")], "owner top 0.6"),
        ([change("o", 5, 80), change("p", 6, 90)], "owner p 0.6"),
    ],
)
def test_without_a_change_of_its_own_an_event_follows_the_nearest_owner_by_time(
    owned: list[KnownChange], expected: str
) -> None:
    top = thing("web", "Deployment", changes=[change("top", 3, 70)])
    rs = thing("rs", "ReplicaSet", owner="web", changes=owned)
    assert of_event(top, rs, thing("pod", owner="rs")) == expected


def test_an_event_about_the_object_comes_before_its_owner() -> None:
    owner = thing("rs", "ReplicaSet", changes=[change("o", 5, 80)])
    event = occurrence("e", 45, 95, uid="rs", event_uid="other", subject=Subject("creates", "Pod", "shop", "pod"))
    assert of_event(owner, thing("pod", owner="rs"), events=(event,)) == "subject e 0.8"
    assert of_event() == "root - 0.3"
    assert of_event(thing("a", owner="b"), thing("b", owner="a"), uid="a") == "root - 0.3"


@pytest.mark.parametrize("seconds, expected", [(101, "own d 0.95"), (101.1, "own c 0.8")])
def test_an_event_that_explains_a_change_follows_it(seconds: float, expected: str) -> None:
    pod = thing("pod", changes=[change("c", 10, 90, "Create"), change("d", 20, seconds, "Delete")])
    assert of_event(pod, subject=Subject("explains", after="Delete")) == expected


@pytest.mark.parametrize(
    "subject, other, expected",
    [
        (Subject("observes", "Widget", "shop", "w"), {"changes": [change("c", 45, 95)]}, "subject c 0.9"),
        (Subject("observes", "Widget", "shop", "w"), {"changes": [change("c", 50, 95)]}, "own p 0.8"),
        (Subject("observes", "Widget", "shop", "w"), {"changes": [change("c", 45, 95, "Delete")]}, "own p 0.8"),
        (
            Subject("observes", "Widget", "shop", "w", after="Delete"),
            {"changes": [change("c", 45, 95, "Delete")]},
            "subject c 0.9",
        ),
        (Subject("observes", "Widget", "shop", "w", after="Delete"), {"changes": [change("c", 45, 95)]}, "own p 0.8"),
        (
            Subject("observes", "Widget", "shop", "w"),
            {"changes": [change("c", 45, 95)], "transitions": [transition("t", 46, 95)]},
            "subject t 0.9",
        ),
        (
            Subject("observes", "Widget", "shop", "w"),
            {"changes": [change("c", 45, 95)], "transitions": [transition("t", 45, 95)]},
            "subject c 0.9",
        ),
        (Subject("observes", "Widget", "shop", "w"), {"transitions": [transition("t", 46, 95)]}, "subject t 0.9"),
        (Subject("observes", "Widget", "shop", "w"), {"transitions": [transition("t", 50, 95)]}, "own p 0.8"),
    ],
)
def test_an_event_of_a_controller_that_observes_follows_what_it_observed(
    subject: Subject, other: dict[str, Any], expected: str
) -> None:
    pod = thing("pod", changes=[change("p", 10, 90)])
    assert of_event(pod, thing("w", "Widget", **other), subject=subject) == expected


@pytest.mark.parametrize("manual, expected", [(False, "place e 0.9"), (True, "place c 0.9")])
def test_an_observed_node_is_looked_up_by_the_pods_node(manual: bool, expected: str) -> None:
    node = thing("n", "Node", "node-a", namespace="", changes=[change("c", 45, 95, manual=manual)])
    told = occurrence("e", 46, 96, uid="n", event_uid="other", subject=Subject("turns", "Node", "", "node-a"))
    pod = thing("pod", node="node-a", changes=[change("p", 10, 90)])
    subject = Subject("observes", source="nodeName")
    assert of_event(pod, node, events=(told,), subject=subject) == expected


# Events about another object -----------------------------------------------------------------------------------------


def of_event_about(
    *objects: ObjectState, made: Occurrence | None = None, events: tuple[Occurrence, ...] = (), **more: Any
) -> str:
    """The cause of an Event of the ReplicaSet about another object, with version 60 at second 100."""
    fields: dict[str, Any] = {"uid": "rs", "kind": "ReplicaSet", "name": "rs", "event_uid": "event"} | more
    event = occurrence("this", 60, 100, **fields)
    return text(chooser(*objects, events=events).of_event_about(event, made))


CREATES = Subject("creates", "Pod", "shop", "pod")


def rs(**more: Any) -> ObjectState:
    fields: dict[str, Any] = {"changes": [change("a", 40, 90), change("b", 50, 95)]}
    return thing("rs", "ReplicaSet", **(fields | more))


@pytest.mark.parametrize(
    "fields, expected",
    [
        ({"subject": CREATES}, "owner b 0.9"),
        ({"subject": CREATES, "seen_rv": 40}, "owner a 0.95"),
        ({"subject": CREATES, "seen_rv": 50}, "owner b 0.95"),
        ({"subject": CREATES, "top_level": True}, "root - 1.0"),
        ({"subject": Subject("scales", "Pod", "shop", "pod", starts=True)}, "root - 0.9"),
        ({"subject": CREATES, "uid": "unknown"}, "root - 0.3"),
    ],
)
def test_an_event_about_another_object_follows_what_its_controller_acted_for(
    fields: dict[str, Any], expected: str
) -> None:
    made = occurrence("made", 55, 99, verb="Create", by_controller=True)
    pod = thing("pod", owner="rs", changes=[change("made", 55, 99, "Create")])
    assert of_event_about(rs(), pod, made=made, **fields) == expected


def test_a_version_that_explains_nothing_does_not_count() -> None:
    assert of_event_about(rs(), subject=CREATES, seen_rv=30) == "owner b 0.9"


@pytest.mark.parametrize(
    "by, seconds, expected",
    [
        ("other", 99, "subject o 0.95"),
        ("other", 100, "subject o 0.95"),
        ("other", 100.1, "owner b 0.9"),
        ("shop/other", 99, "subject o 0.95"),
        ("unknown", 99, "owner b 0.9"),
        ("shop/unknown", 99, "owner b 0.9"),
    ],
)
def test_an_event_for_the_benefit_of_another_object_follows_that(by: str, seconds: float, expected: str) -> None:
    other = thing("other", "ReplicaSet", changes=[change("o", 45, seconds), change("d", 46, 90, "Delete")])
    assert of_event_about(rs(), other, subject=msgspec.structs.replace(CREATES, by=by)) == expected


@pytest.mark.parametrize("seconds, expected", [(130, "own t 0.95"), (130.1, "own b 0.8")])
def test_an_event_that_reports_a_transition_follows_it(seconds: float, expected: str) -> None:
    subject = Subject("turns", "Pod", "shop", "pod")
    assert of_event_about(rs(transitions=[transition("t", 45, seconds)]), subject=subject) == expected
    starts = msgspec.structs.replace(subject, starts=True)
    assert of_event_about(rs(), subject=starts) == "root - 0.9"


def test_an_event_after_another_of_the_same_object_follows_that() -> None:
    earlier = occurrence("e", 55, 99, uid="rs", reason="Before", event_uid="other", subject=CREATES)
    subject = msgspec.structs.replace(CREATES, after="Before")
    assert of_event_about(rs(), thing("pod", owner="rs"), events=(earlier,), subject=subject) == "own e 0.8"
    assert of_event_about(rs(), thing("pod", owner="rs"), subject=subject) == "owner b 0.9"


@pytest.mark.parametrize(
    "effect, rv, expected",
    [
        ("evicts", 52, "place n 0.85"),
        ("labelled", 52, "place n 0.85"),
        ("opened", 52, "owner b 0.9"),
        ("evicts", 49, "owner b 0.9"),
        ("evicts", 55, "owner b 0.9"),
    ],
)
def test_a_daemon_set_deletes_a_pod_because_its_node_no_longer_admits_it(effect: str, rv: int, expected: str) -> None:
    node = thing("n", "Node", "node-a", namespace="", changes=[change("n", rv, 20, effect=effect)])
    owner = rs()
    owner.kind = "DaemonSet"
    pod = thing("pod", owner="rs", node="node-a", changes=[change("made", 55, 99, "Delete")])
    made = occurrence("made", 55, 99, verb="Delete", by_controller=True)
    assert of_event_about(owner, pod, node, made=made, subject=Subject("deletes", "Pod", "shop", "pod")) == expected
