"""What came before what: one row for each side of each limit. Slack is 1 s, a match 30 s."""

from typing import Any

import msgspec
import pytest

from kspan.graph.cause import evidence
from kspan.graph.rules.rules import Subject
from kspan.graph.state.records import KnownChange, LostDependent, Replacement, Transition
from kspan.times import SECOND
from tests.graph.making import change, lost, occurrence, replacement, state_of, thing, transition


def span(found: Any) -> str:
    return found.span if found is not None else ""


# before and after ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "cause, rv, seconds, expected",
    [
        # Two versions decide, whatever the times are.
        (change("a", 10, 90), 11, 5, True),
        (change("a", 11, 1), 11, 5, False),
        (change("a", 12, 1), 11, 5, False),
        # An inexact version gives way to a time.
        (change("a", 10, 6, exact=False), 11, 5, True),
        (change("a", 10, 6.1, exact=False), 11, 5, False),
        # An inferred version (1 or 2) is no version: only the time is left.
        (change("a", 2, 6), 11, 5, True),
        (change("a", 2, 6.1), 11, 5, False),
        (change("a", 3, 90), 11, 5, True),
        (change("a", 10, 6), 2, 5, True),
        (change("a", 10, 6.1), 2, 5, False),
        # Not before itself.
        (change("this", 10, 1), 11, 5, False),
    ],
)
def test_a_change_came_before_another(cause: KnownChange, rv: int, seconds: float, expected: bool) -> None:
    assert evidence.before(cause, occurrence(rv=rv, seconds=seconds)) is expected


@pytest.mark.parametrize(
    "cause, seen_rv, expected",
    [
        (change("a", 10, 90), 10, True),
        (change("a", 11, 1), 10, False),
        # The end of an object is later than the version with which a kubelet reports it: its time counts.
        (change("a", 11, 5, "Delete"), 10, True),
        (change("a", 11, 5.1, "Delete"), 10, False),
        # It was received late, so that it may have happened later.
        (change("a", 11, 4, "Delete", range=2 * SECOND), 10, False),
        (change("a", 11, 3, "Delete", range=2 * SECOND), 10, True),
        # The version is not known.
        (change("a", 11, 5), 0, True),
        (change("a", 11, 5.1), 0, False),
        # Inferred changes have times in whole seconds.
        (change("a", 2, 6), 10, True),
        (change("a", 2, 6.1), 10, False),
        (change("a", 3, 6), 10, True),
    ],
)
def test_a_reporter_can_have_seen_a_change(cause: KnownChange, seen_rv: int, expected: bool) -> None:
    assert evidence.seen_by(cause, occurrence(seconds=5, seen_rv=seen_rv)) is expected


@pytest.mark.parametrize(
    "cause, event, expected",
    [
        (change("a", 10, 6), {"rv": 11, "seen_rv": 5}, True),
        (change("a", 10, 6.1), {"rv": 11, "seen_rv": 5}, False),
        (change("a", 11, 1), {"rv": 11, "seen_rv": 5}, False),
        (transition("a", 10, 6), {"rv": 11, "seen_rv": 5}, True),
        # An Event whose version is below that of its object is in another etcd.
        (change("a", 90, 6), {"rv": 11, "seen_rv": 11}, True),
        (change("a", 90, 6), {"rv": 11, "seen_rv": 12}, True),
    ],
)
def test_a_change_was_written_before_an_event(
    cause: KnownChange | Transition, event: dict[str, Any], expected: bool
) -> None:
    assert evidence.before_event(cause, occurrence(seconds=5, **event)) is expected


def test_the_newest_change_is_that_of_the_last_version_then_time_then_span() -> None:
    assert span(evidence.newest([change("z", 1, 9), change("a", 2, 1)])) == "a"
    assert span(evidence.newest([change("z", 2, 1), change("a", 2, 2)])) == "a"
    assert span(evidence.newest([change("b", 2, 1), change("a", 2, 1)])) == "b"
    assert evidence.newest([]) is None


def test_a_creation_that_was_seen_is_more_precise_than_the_creation_time() -> None:
    seen = thing("pod", created=1 * SECOND, changes=[change("u", 5, 9), change("c", 4, 1.5, "Create")])
    assert evidence.created_at(seen) == 1.5 * SECOND
    assert evidence.created_at(thing("pod", created=1 * SECOND, changes=[change("u", 5, 9)])) == 1 * SECOND


def test_an_object_is_controlled_by_its_owner_or_a_volume_by_its_claim() -> None:
    owner, claim, pod, volume = thing("rs"), thing("claim"), thing("pod", owner="rs"), thing("pv", claim="claim")
    state = state_of(owner, claim, pod, volume)
    assert evidence.controlling(state, pod) is owner
    assert evidence.controlling(state, volume) is claim
    assert evidence.controlling(state, owner) is None
    assert evidence.controlling(state, thing("other", owner="unknown")) is None


def test_the_claim_of_a_volume_was_deleted_before() -> None:
    deleted = [change("c", 3, verb="Create"), change("d", 10, verb="Delete")]
    state = state_of(thing("claim", changes=deleted))
    volume = thing("pv", claim="claim")
    assert span(evidence.deletion_of_claim(state, occurrence(rv=11), volume)) == "d"
    assert evidence.deletion_of_claim(state, occurrence(rv=10), volume) is None
    assert evidence.deletion_of_claim(state, occurrence(rv=11), thing("pv")) is None
    assert evidence.deletion_of_claim(state, occurrence(rv=11), thing("pv", claim="other")) is None


# Events about another object -----------------------------------------------------------------------------------------


def about(means: str, **more: Any) -> Subject:
    return Subject(means=means, kind="Pod", namespace="shop", name="pod", **more)


def reported(subject: Subject | None, changes: list[KnownChange], **event: Any) -> str:
    """The change that an Event at second 100 with version 50 reports."""
    event = {"rv": 50, "seconds": 100} | event
    state = state_of(thing("pod", changes=changes))
    found = evidence.reported_change(state, occurrence(subject=subject, **event))
    return found[0].span if found is not None else ""


def test_an_event_reports_the_first_change_after_the_version_that_its_reporter_saw() -> None:
    changes = [change(f"v{rv}", rv, 1, "Create") for rv in (10, 20, 30, 49, 50)]
    assert reported(about("creates"), changes, seen_rv=19, event_count=1) == "v20"
    assert reported(about("creates"), changes, seen_rv=20, event_count=1) == "v30"
    assert reported(about("creates"), changes, seen_rv=49, event_count=1) == "", "50 is the version of the Event"


@pytest.mark.parametrize("event", [{"event_count": 2, "seen_rv": 5}, {"event_count": 1, "seen_rv": 0}])
def test_a_repeat_and_a_reporter_without_a_version_report_the_nearest_change_in_time(event: dict[str, int]) -> None:
    changes = [change("far", 10, 71, "Create"), change("near", 20, 99, "Create"), change("after", 30, 101.1, "Create")]
    assert reported(about("creates"), changes, **event) == "near"


@pytest.mark.parametrize(
    "seconds, expected", [(69.9, ""), (70, "a"), (100, "a"), (101, "a"), (101.1, ""), (130, ""), (131, "")]
)
def test_the_nearest_change_is_at_most_30_s_before_and_1_s_after(seconds: float, expected: str) -> None:
    assert reported(about("creates"), [change("a", 20, seconds, "Create")], seen_rv=0) == expected


@pytest.mark.parametrize("seconds, expected", [(98.9, ""), (99, "a"), (130, "a"), (130.1, "")])
def test_a_condition_is_reported_before_it_leads_to_a_change(seconds: float, expected: str) -> None:
    assert reported(about("turns"), [change("a", 20, seconds)]) == expected
    assert reported(about("turns"), [change("a", 20, seconds, manual=True)]) == ""


@pytest.mark.parametrize(
    "means, verbs",
    [
        ("creates", ["Create"]),
        ("deletes", ["Delete"]),
        ("scales", ["Create", "Update"]),
        ("applies", ["Create", "Update"]),
        ("turns", ["Update"]),
        ("observes", []),
    ],
)
def test_the_verb_of_an_event_is_that_of_the_change(means: str, verbs: list[str]) -> None:
    found = [verb for verb in ("Create", "Update", "Delete") if reported(about(means), [change("a", 20, 100, verb)])]
    assert found == verbs


@pytest.mark.parametrize(
    "stated, made, expected",
    [
        ((3, 5), (3, 5), "a"),
        ((3, 5), (2, 5), ""),
        ((3, 5), (3, 4), ""),
        ((-1, 5), (2, 5), "a"),
        ((3, -1), (3, 9), "a"),
        ((3, 5), (-1, 5), "a"),
        ((0, 5), (0, 5), "a"),
    ],
)
def test_the_numbers_of_replicas_must_fit(stated: tuple[int, int], made: tuple[int, int], expected: str) -> None:
    subject = about("scales", replicas_from=stated[0], replicas_to=stated[1])
    changes = [change("a", 20, 100, replicas_before=made[0], replicas=made[1])]
    assert reported(subject, changes, seen_rv=19, event_count=1) == expected


@pytest.mark.parametrize("manual, rv, expected", [(True, 19, ""), (True, 20, "a"), (True, 21, "a"), (False, 21, "")])
def test_an_event_about_its_own_object_reports_a_change_by_hand_not_older_than_it_saw(
    manual: bool, rv: int, expected: str
) -> None:
    changes = [change("a", rv, 100, manual=manual)]
    assert reported(about("applies", source="self"), changes, seen_rv=20) == expected


@pytest.mark.parametrize(
    "cause, expected",
    [
        # At or below the seen version it is older than the report, unless that version is not exact or inferred.
        (change("a", 20, 100, "Create"), ""),
        (change("a", 20, 100, "Create", exact=False), "a"),
        (change("a", 2, 100, "Create"), "a"),
        (change("a", 3, 100, "Create"), ""),
        # Above that of the Event: Events in an etcd of their own.
        (change("a", 60, 100, "Create"), "a"),
    ],
)
def test_without_a_change_between_the_versions_the_nearest_unordered_one_is_reported(
    cause: KnownChange, expected: str
) -> None:
    assert reported(about("creates"), [cause], seen_rv=20, event_count=1) == expected


@pytest.mark.parametrize(
    "changes, expected",
    [
        # At any time in its range.
        ([change("a", 20, 60, range=40 * SECOND)], "a"),
        ([change("a", 20, 60, range=10 * SECOND)], "a"),
        ([change("a", 20, 60, range=9 * SECOND)], ""),
        ([change("a", 20, 60, range=90 * SECOND)], "a"),
        # One in whose range the Event is is as near as one at its time.
        ([change("b", 20, 60, range=90 * SECOND), change("a", 30, 100)], "a"),
        ([change("b", 20, 60, range=39 * SECOND), change("a", 30, 98)], "b"),
    ],
)
def test_a_change_that_nobody_watched_is_as_near_as_it_can_be(changes: list[KnownChange], expected: str) -> None:
    for one in changes:
        one.verb = "Create"
    assert reported(about("creates"), changes, seen_rv=0) == expected


@pytest.mark.parametrize(
    "fields, replicas_from, expected",
    [
        # It is not known how many replicas there were.
        ({"rv": 2, "replicas_before": -1, "replicas": -1}, 3, "a"),
        ({"rv": 2, "replicas_before": 3, "replicas": -1}, 3, "a"),
        ({"rv": 3, "replicas_before": 3, "replicas": -1}, 3, ""),
        ({"rv": 2, "replicas_before": 2, "replicas": -1}, 3, ""),
        ({"rv": 2, "replicas_before": 3, "replicas": 4}, 3, ""),
        # A creation that nobody saw is reported as one from no replicas.
        ({"rv": 1, "verb": "Create"}, 0, "a"),
        ({"rv": 1, "verb": "Create"}, -1, "a"),
        ({"rv": 1, "verb": "Create"}, 1, ""),
        ({"rv": 3, "verb": "Create", "replicas_before": 1, "replicas": 5}, 1, "a"),
    ],
)
def test_the_numbers_of_a_change_that_nobody_saw_may_be_unknown(
    fields: dict[str, Any], replicas_from: int, expected: str
) -> None:
    subject = about("scales", replicas_from=replicas_from, replicas_to=5)
    made = change("a", fields.pop("rv"), 100, fields.pop("verb", "Update"), **fields)
    assert reported(subject, [made], seen_rv=0) == expected


def test_an_event_about_nothing_reports_nothing() -> None:
    assert reported(None, [change("a", 20, 100, "Create")]) == ""


def test_of_two_events_that_report_a_change_the_nearer_one_counts() -> None:
    state = state_of(thing("pod", changes=[change("c", 20, 100, "Create")]))
    for name, seconds in (("far", 103), ("near", 101), ("also near", 99)):
        event = occurrence(name, 50, seconds, subject=about("creates"), event_uid=name, arrival=1, uid="rs")
        state.add_occurrence(event)
    made = occurrence("c", 20, 100, name="pod")
    found = evidence.reporting_event(state, made)
    assert found is not None
    assert found.id == "also near"
    assert evidence.reporting_event(state, occurrence("other", 20, 100, name="pod")) is None


@pytest.mark.parametrize(
    "event, expected",
    [
        ({"seconds": 100}, "e"),
        ({"seconds": 101}, "e"),
        ({"seconds": 101.1}, ""),
        # An Event of the same object must be earlier.
        ({"seconds": 100, "uid": "pod", "span": "a"}, "a"),
        ({"seconds": 100, "uid": "pod", "span": "z"}, ""),
        ({"seconds": 100.5, "uid": "pod", "span": "a"}, ""),
        ({"seconds": 99, "uid": "pod", "span": "z"}, "z"),
    ],
)
def test_the_newest_event_about_an_object(event: dict[str, Any], expected: str) -> None:
    state = state_of()
    made: dict[str, Any] = {"span": "e", "uid": "rs", "event_uid": "event", "subject": about("creates")} | event
    state.add_occurrence(occurrence(**made))
    found = evidence.newest_event_about(state, thing("pod"), occurrence("this", seconds=100))
    assert (found.id if found is not None else "") == expected


@pytest.mark.parametrize("means, seconds, expected", [("turns", 101, "e"), ("turns", 101.1, ""), ("creates", 100, "")])
def test_an_event_reports_a_transition(means: str, seconds: float, expected: str) -> None:
    state = state_of()
    state.add_occurrence(occurrence("e", 50, seconds, event_uid="event", subject=about(means)))
    found = evidence.reported_transition(state, "Pod", "shop", "pod", occurrence(seconds=100))
    assert (found.id if found is not None else "") == expected


@pytest.mark.parametrize(
    "event, expected",
    [
        ({"seconds": 101}, "e"),
        ({"seconds": 101.1}, ""),
        ({"seconds": 100, "reason": "Other"}, ""),
        ({"seconds": 100, "uid": "other"}, ""),
    ],
)
def test_an_event_with_the_same_reason_about_a_dependent_came_before(event: dict[str, Any], expected: str) -> None:
    state = state_of(thing("rs", "ReplicaSet"), thing("pod", owner="rs"))
    made: dict[str, Any] = {
        "span": "e",
        "uid": "rs",
        "reason": "Created",
        "event_uid": "event",
        "subject": about("creates"),
    } | event
    state.add_occurrence(occurrence(**made))
    found = evidence.reported_before(state, occurrence(uid="rs", seconds=100), "Created")
    assert (found.id if found is not None else "") == expected


# triggers ------------------------------------------------------------------------------------------------------------


def triggered(kind: str, owned: list[KnownChange], made: KnownChange, seen_rv: int = 0, **more: Any) -> str:
    """The change of an owner for which its controller made this change of a dependent."""
    owner = thing("owner", "Deployment", changes=owned, spec=more.pop("spec", b""))
    obj = thing("this", kind, owner="owner", changes=[made], **more)
    occ = occurrence(made.span, made.rv, 100, verb=made.verb)
    return span(evidence.trigger(state_of(owner, obj), owner, obj, occ, seen_rv))


def test_a_controller_acts_for_the_newest_change_that_it_can_have_seen() -> None:
    owned = [change("a", 10), change("b", 20), change("deleted", 25, verb="Delete"), change("later", 40)]
    made = change("this", 30, verb="Create")
    assert triggered("Pod", owned, made) == "b"
    assert triggered("Pod", owned, made, seen_rv=20) == "b"
    assert triggered("Pod", owned, made, seen_rv=19) == "a"
    assert triggered("Pod", owned, made, seen_rv=9) == ""


def test_a_replica_set_is_created_for_the_change_with_its_template() -> None:
    owned = [change("old", 10, template=1), change("new", 20, template=2), change("scaled", 25, template=3)]
    assert triggered("ReplicaSet", owned, change("this", 30, verb="Create", template=2)) == "new"
    assert triggered("ReplicaSet", owned, change("this", 30, verb="Create", template=9)) == "scaled"
    assert triggered("ReplicaSet", owned, change("this", 30, verb="Create", template=0)) == "scaled"
    # The version that the reporter looked at is better evidence.
    assert triggered("ReplicaSet", owned, change("this", 30, verb="Create", template=1), seen_rv=25) == "scaled"


@pytest.mark.parametrize(
    "second, before, after, expected",
    [
        # Growing: for its template, or for a change that only scales.
        ({"template": 2, "template_changed": True}, 1, 2, "first"),
        ({"template": 2, "replicas_before": 1, "replicas": 2}, 1, 2, "second"),
        ({"template": 2, "replicas_before": 1, "replicas": 2, "template_changed": True}, 1, 2, "first"),
        ({"template": 2, "replicas_before": 2, "replicas": 1}, 1, 2, "first"),
        # Shrinking, or neither: for the newest.
        ({"template": 2, "template_changed": True}, 2, 1, "second"),
        ({"template": 2, "template_changed": True}, 2, 2, "second"),
    ],
)
def test_a_replica_set_grows_for_the_change_with_its_template_or_a_scale_up(
    second: dict[str, Any], before: int, after: int, expected: str
) -> None:
    owned = [change("first", 10, template=1), change("second", 20, **second)]
    made = change("this", 30, template=1, replicas_before=before, replicas=after)
    assert triggered("ReplicaSet", owned, made) == expected


@pytest.mark.parametrize(
    "numbered, strategy, exact, second, expected",
    [
        # The controller numbers a ReplicaSet for a new template first: before that it has not seen it.
        (15, "RollingUpdate", True, {}, "first"),
        (20, "RollingUpdate", True, {}, "second"),
        (29, "RollingUpdate", True, {}, "second"),
        (30, "RollingUpdate", True, {}, "second"),
        (31, "RollingUpdate", True, {}, "second"),
        # With Recreate it scales the old ones down first.
        (15, "Recreate", True, {}, "second"),
        (15, "RollingUpdate", False, {}, "second"),
        # A change that scales, too, is acted for at once.
        (15, "RollingUpdate", True, {"replicas_before": 2, "replicas": 1}, "second"),
        (15, "RollingUpdate", True, {"template_changed": False}, "second"),
        (5, "RollingUpdate", True, {}, "first"),
    ],
)
def test_a_deployments_controller_had_seen_the_template_for_which_a_replica_set_was_numbered(
    numbered: int, strategy: str, exact: bool, second: dict[str, Any], expected: str
) -> None:
    owned = [change("first", 10), change("second", 20, **({"template_changed": True} | second))]
    made = change("this", 30, replicas_before=2, replicas=1, exact=exact)
    spec = msgspec.json.encode({"strategy": {"type": strategy}})
    assert triggered("ReplicaSet", owned, made, spec=spec, revision_versions=(numbered,)) == expected


@pytest.mark.parametrize(
    "made_rv, expected",
    [(30, "third"), (25, "second"), (20, "first"), (21, "second"), (0, "third")],
)
def test_a_pod_is_created_for_the_template_of_its_revision(made_rv: int, expected: str) -> None:
    owned = [change(name, rv, template_changed=True) for name, rv in (("first", 10), ("second", 20), ("third", 28))]
    owner = thing("owner", "StatefulSet", changes=owned)
    pod = thing("pod", owner="owner", revision="r2")
    made = [change("r", made_rv, verb="Create")] if made_rv else []
    revision = thing("r2" if made_rv else "r1", "ControllerRevision", owner="owner", changes=made)
    occ = occurrence("this", 40, 100, verb="Create")
    assert span(evidence.trigger(state_of(owner, pod, revision), owner, pod, occ, 0)) == expected


@pytest.mark.parametrize(
    "revisions, expected",
    [
        ([], 0),
        ([{"name": "r2", "changes": [change("a", 5, verb="Create")]}], 5),
        ([{"name": "x", "revision": "r2", "changes": [change("a", 5, verb="Create"), change("b", 7)]}], 7),
        ([{"name": "r2", "changes": [change("a", 5, verb="Create"), change("b", 7, verb="Delete")]}], 5),
        ([{"name": "r2"}], 1),
        ([{"name": "r1", "changes": [change("a", 5)]}], 0),
        ([{"name": "r2", "rv": 0, "changes": [change("a", 5)]}], 0),
        ([{"name": "r2", "kind": "Pod", "changes": [change("a", 5)]}], 0),
        (
            [{"name": "r2", "changes": [change("a", 5)]}, {"name": "x", "revision": "r2", "changes": [change("b", 3)]}],
            5,
        ),
    ],
)
def test_when_a_revision_was_made(revisions: list[dict[str, Any]], expected: int) -> None:
    owner = thing("owner", "StatefulSet")
    made = [
        thing(f"uid-{n}", **({"kind": "ControllerRevision", "owner": "owner"} | more))
        for n, more in enumerate(revisions)
    ]
    assert evidence.revision_made(state_of(owner, *made), owner, "r2") == expected


# replacements --------------------------------------------------------------------------------------------------------


def replaces(kind: str, dependents: list[LostDependent], made: list[Replacement], since: int = -1) -> list[str]:
    """The lost dependent that each replacement takes the place of."""
    owner = thing("owner", kind, lost_dependents=tuple(dependents), replacements=tuple(made))
    return [span(evidence.replaced(owner, occurrence(one.span), (since, 0))) for one in made]


def test_lost_dependents_are_replaced_in_the_order_of_their_loss_each_once() -> None:
    gone = [lost("l2", 12), lost("l1", 10)]
    assert replaces("ReplicaSet", gone, [replacement(f"r{n}", 20 + n) for n in range(3)]) == ["l1", "l2", ""]


def test_a_loss_explains_no_replacement_before_it_and_none_before_the_owners_change() -> None:
    assert replaces("ReplicaSet", [lost("l", 10)], [replacement("r", 11)]) == ["l"]
    assert replaces("ReplicaSet", [lost("l", 11)], [replacement("r", 10)]) == [""]
    assert replaces("ReplicaSet", [lost("l", 11)], [replacement("r", 20)], since=10) == ["l"]
    assert replaces("ReplicaSet", [lost("l", 10)], [replacement("r", 20)], since=10) == [""]
    owner = thing("owner", lost_dependents=(lost("l", 10),))
    assert evidence.replaced(owner, occurrence("unknown"), (-1, 0)) is None
    assert evidence.lost_before(owner, occurrence("unknown"), (-1, 0)) == []


def test_a_loss_in_the_version_of_a_creation_is_that_of_the_same_object_and_explains_only_later_ones() -> None:
    assert replaces("Job", [lost("l", 10)], [replacement("r", 10), replacement("next", 20)]) == ["", "l"]


def test_a_dependent_that_the_controller_deleted_is_not_replaced() -> None:
    assert replaces("ReplicaSet", [lost("l", 10, ordered=1)], [replacement("r", 20)]) == [""]
    assert replaces("ReplicaSet", [lost("l", 10, ordered=0)], [replacement("r", 20)]) == ["l"]


def test_a_job_starts_a_pod_for_the_last_one_that_ended() -> None:
    gone = [lost("l1", 10), lost("l2", 12)]
    assert replaces("Job", gone, [replacement("r1", 20), replacement("r2", 21)]) == ["l2", "l1"]


def test_a_stateful_set_replaces_by_name_and_a_daemon_set_by_node() -> None:
    gone = [lost("l0", 10, name="web-0", node="a"), lost("l1", 11, name="web-1", node="b")]
    made = [replacement("r", 20, name="web-1", node="a")]
    assert replaces("StatefulSet", gone, made) == ["l1"]
    assert replaces("DaemonSet", gone, made) == ["l0"]
    assert replaces("ReplicaSet", gone, made) == ["l0"]


@pytest.mark.parametrize(
    "kind, seconds, expected",
    [("ReplicaSet", 300, "l"), ("ReplicaSet", 300.1, ""), ("Job", 660, "l"), ("Job", 660.1, "")],
)
def test_a_loss_explains_a_replacement_for_five_minutes_or_the_back_off_of_a_job(
    kind: str, seconds: float, expected: str
) -> None:
    assert replaces(kind, [lost("l", 10)], [replacement("r", 20, seconds)]) == [expected]
    gone = [lost("l", 10, gone=100 * SECOND)]
    assert replaces(kind, gone, [replacement("r", 20, 100 + seconds)]) == [expected], "from its removal on"


def test_the_losses_before_are_sorted_by_version() -> None:
    owner = thing("owner", lost_dependents=(lost("b", 12), lost("a", 10), lost("late", 21)))
    owner.replacements = (replacement("this", 20),)
    assert [one.span for one in evidence.lost_before(owner, occurrence("this"), (-1, 0))] == ["a", "b"]
    assert [one.span for one in evidence.lost_before(owner, occurrence("this"), (10, 0))] == ["b"]


# updates on which a kubelet acted ------------------------------------------------------------------------------------

RESIZED = '{"generation": 2, "message": "resized"}'


@pytest.mark.parametrize(
    "fields, expected",
    [
        ({"message": RESIZED}, "u2"),
        ({"message": RESIZED.replace("2", "3")}, "u3"),
        ({"message": RESIZED.replace("2", "4")}, ""),
        ({"message": '{"generation":3}'}, "u3"),
        ({"message": "Started container"}, ""),
        ({"message": "Container app definition changed, will be restarted"}, "u3"),
        ({"message": "Started container", "field_path": "spec.ephemeralContainers{debug}"}, "u3"),
        ({"message": "Started container", "field_path": "spec.containers{app}"}, ""),
        # Of its kubelet, about a Pod.
        ({"message": RESIZED, "actor": "scheduler"}, ""),
        ({"message": RESIZED, "kind": "Widget"}, ""),
    ],
)
def test_an_event_of_a_kubelet_shows_on_which_update_it_acted(fields: dict[str, Any], expected: str) -> None:
    made = change("made", 10, 50, "Create", generation=1)
    pod = thing("pod", changes=[made, change("u2", 20, 60, generation=2), change("u3", 30, 70, generation=3)])
    event = occurrence("this", 50, 100, **({"actor": "kubelet", "event_uid": "event"} | fields))
    assert span(evidence.acted_on(pod, event)) == expected


@pytest.mark.parametrize("seconds, expected", [(101, "u"), (101.1, "")])
def test_a_kubelet_acts_on_an_update_of_before(seconds: float, expected: str) -> None:
    pod = thing("pod", changes=[change("made", 10, 50, "Create"), change("u", 20, seconds, generation=2)])
    event = occurrence("this", 50, 100, actor="kubelet", event_uid="event", message=RESIZED)
    assert span(evidence.acted_on(pod, event)) == expected


def test_a_pod_that_was_only_created_was_not_updated() -> None:
    changes = [change("made", 10, 50, "Create", generation=2), change("gone", 20, 60, "Delete", generation=2)]
    event = occurrence("this", 50, 100, actor="kubelet", event_uid="event", message=RESIZED)
    assert evidence.acted_on(thing("pod", changes=changes), event) is None
