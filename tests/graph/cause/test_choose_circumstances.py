"""Causes that depend on what happened just before: a new namespace, a schedule, a deletion that is undone, a loss.

A match is 30 s, what was published is applied within 300 s, and ``hold`` is 5 s."""

from typing import Any

import msgspec
import pytest

from kspan.graph.rules.rules import Subject
from kspan.graph.state.records import KnownChange, LostDependent, News, ObjectState, Occurrence
from kspan.times import SECOND
from tests.graph.cause.test_choose import chooser, created, of_change, of_event, of_event_about, text
from tests.graph.making import change, lost, occurrence, thing, transition

# new namespaces ------------------------------------------------------------------------------------------------------


def in_new_namespace(made: KnownChange, kind: str = "ConfigMap", namespace: str = "shop", **more: Any) -> str:
    """The cause of the creation of an object in the namespace ``shop``."""
    shop = thing("ns", "Namespace", "shop", namespace="", changes=[made])
    obj = thing("pod", kind, namespace=namespace, owner=more.pop("owner", ""))
    fields: dict[str, Any] = {"verb": "Create", "manager": "kube-controller-manager"} | more
    return of_change(shop, thing("rs", "ReplicaSet"), obj, kind=kind, **fields)


@pytest.mark.parametrize(
    "made, expected",
    [
        (change("n", 40, 90, "Create"), "place n 0.8"),
        (change("n", 40, 70, "Create"), "place n 0.8"),
        (change("n", 40, 69.9, "Create"), "root - 0.3"),
        (change("n", 50, 90, "Create"), "root - 0.3"),
        (change("n", 40, 90, "Update"), "root - 0.3"),
    ],
)
def test_a_controller_equips_a_new_namespace(made: KnownChange, expected: str) -> None:
    assert in_new_namespace(made) == expected


@pytest.mark.parametrize(
    "fields, expected",
    [
        ({"by_controller": False}, "root - 0.95"),
        ({"owner": "rs"}, "root - 0.3"),
        ({"namespace": ""}, "root - 0.3"),
        ({"namespace": "lab"}, "root - 0.3"),
        ({"verb": "Update"}, "root - 0.3"),
        # The ServiceAccount ``default`` has no managedFields.
        ({"manager": ""}, "root - 0.3"),
        ({"manager": "", "kind": "ServiceAccount"}, "place n 0.8 by serviceaccount-controller"),
        ({"manager": "", "kind": "ServiceAccount", "by_controller": False}, "place n 0.8 by serviceaccount-controller"),
    ],
)
def test_people_and_owners_do_not_equip_namespaces(fields: dict[str, Any], expected: str) -> None:
    assert in_new_namespace(change("n", 40, 90, "Create"), **fields) == expected


# what a tool prunes --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "applied, uncertainty, expected",
    [
        (change("a", 40, 70), 0, "subject a 0.5"),
        (change("a", 40, 69.9), 0, "root - 0.7"),
        (change("a", 40, 65), 5 * SECOND, "subject a 0.5"),
        (change("a", 50, 90), 0, "root - 0.7"),
    ],
)
def test_a_tool_prunes_what_it_applied_just_after_its_object_was_changed(
    applied: KnownChange, uncertainty: int, expected: str
) -> None:
    app = thing("app", "Application", "store", namespace="argocd", changes=[applied])
    fields: dict[str, Any] = {"verb": "Delete", "applier": ("Application", "argocd", "store")}
    assert of_change(app, thing("pod"), uncertainty=uncertainty, **fields) == expected
    assert of_change(app, thing("pod"), verb="Delete") == "root - 0.7", "nothing says that the tool had applied it"


def test_a_deletion_with_another_cause_is_no_pruning() -> None:
    app = thing("app", "Application", "store", namespace="argocd", changes=[change("a", 45, 95)])
    owner = thing("w", "Widget", changes=[change("d", 40, 90, "Delete")])
    fields: dict[str, Any] = {"verb": "Delete", "applier": ("Application", "argocd", "store")}
    assert of_change(app, owner, thing("pod", owners=("w",)), **fields) == "owner d 0.95 by garbage-collector"


# changes without a reason --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "own, owner, more, expected",
    [
        (change("m", 45, 70, manual=True), "", {}, "own m 0.8"),
        (change("m", 45, 69.9, manual=True), "", {}, "root - 0.5 by unknown"),
        (change("m", 45, 60, manual=True, range=10 * SECOND), "", {}, "own m 0.8"),
        (change("m", 45, 65, manual=True), "", {"uncertainty": 5 * SECOND}, "own m 0.8"),
        (change("m", 45, 20, manual=True), "", {"probable_manager": False}, "own m 0.8"),
        (change("m", 45, 20, manual=True), "rs", {}, "own m 0.8"),
        (change("m", 50, 90, manual=True), "", {}, "root - 0.5 by unknown"),
    ],
)
def test_a_removal_of_what_a_controller_had_set_is_its_own_only_if_it_had_a_reason(
    own: KnownChange, owner: str, more: dict[str, Any], expected: str
) -> None:
    rs = thing("rs", "ReplicaSet", changes=[change("a", 5, 10)])
    fields: dict[str, Any] = {"probable_manager": True} | more
    assert of_change(rs, thing("pod", owner=owner, changes=[own]), **fields) == expected


# schedules -----------------------------------------------------------------------------------------------------------


def cron(*gone: LostDependent, policy: str = "Replace", **more: Any) -> ObjectState:
    fields: dict[str, Any] = {"spec": msgspec.json.encode({"concurrencyPolicy": policy}), "lost_dependents": gone}
    return thing("cron", "CronJob", **(fields | more))


def old_job(span: str = "d", rv: int = 45, seconds: float = 95, **more: Any) -> LostDependent:
    return lost(span, rv, seconds, uid=more.pop("uid", "old"), **({"ordered": 1} | more))


@pytest.mark.parametrize(
    "gone, policy, ended, expected",
    [
        (old_job(), "Replace", 0, "owner d 0.85"),
        (old_job(), "Forbid", 0, "root - 0.8"),
        (old_job(), "Replace", 1, "root - 0.8"),
        (old_job(ordered=0), "Replace", 0, "root - 0.8"),
        (old_job(rv=50), "Replace", 0, "root - 0.8"),
        (old_job(seconds=70), "Replace", 0, "owner d 0.85"),
        (old_job(seconds=69.9), "Replace", 0, "root - 0.8"),
        (old_job(seconds=100), "Replace", 0, "owner d 0.85"),
        (old_job(seconds=100.1), "Replace", 0, "root - 0.8"),
        (old_job(uid="forgotten"), "Replace", 0, "root - 0.8"),
    ],
)
def test_a_cron_job_replaces_the_job_that_it_deleted_while_that_ran(
    gone: LostDependent, policy: str, ended: int, expected: str
) -> None:
    assert created(cron(gone, policy=policy), thing("old", "Job", ended=ended)) == expected


def test_of_several_deleted_jobs_the_newest_is_replaced() -> None:
    gone = old_job("a", 44, 96), old_job("b", 45, 95, uid="other")
    assert created(cron(*gone), thing("old", "Job"), thing("other", "Job")) == "owner b 0.85"


@pytest.mark.parametrize(
    "fields, job, verb, expected",
    [
        ({}, {}, "Delete", "root - 0.85"),
        ({"deleting": True}, {}, "Delete", "owner c 0.9"),
        ({"policy": "Forbid"}, {}, "Delete", "owner c 0.9"),
        ({}, {"ended": 1}, "Delete", "owner c 0.9"),
        ({}, {}, "Update", "owner c 0.9"),
    ],
)
def test_a_cron_job_deletes_a_job_that_still_runs_because_it_is_time_for_the_next(
    fields: dict[str, Any], job: dict[str, Any], verb: str, expected: str
) -> None:
    owner = cron(changes=[change("c", 40, 90)], **fields)
    made = occurrence("gone", 55, 99, verb=verb, by_controller=True)
    running = thing("pod", "Job", owner="cron", **job)
    subject = Subject("deletes", "Job", "shop", "pod")
    found = of_event_about(owner, running, made=made, uid="cron", kind="CronJob", subject=subject)
    assert found.removesuffix(" by cronjob-controller") == expected


# what a controller undoes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "before, verb, uncertainty, expected",
    [
        (change("d", 40, 95, "Delete"), "Create", 0, "own d 0.8"),
        (change("d", 40, 95, "Update", manual=True), "Update", 0, "own d 0.8"),
        (change("d", 40, 95, "Update"), "Update", 0, "root - 0.9"),
        (change("d", 40, 95, "Create", manual=True), "Update", 0, "root - 0.9"),
        (change("d", 40, 70, "Delete"), "Create", 0, "own d 0.8"),
        (change("d", 40, 69.9, "Delete"), "Create", 0, "root - 0.9"),
        (change("d", 40, 60, "Delete", range=10 * SECOND), "Create", 0, "own d 0.8"),
        (change("d", 40, 65, "Delete"), "Create", 5 * SECOND, "own d 0.8"),
        (change("d", 55, 95, "Delete"), "Create", 0, "root - 0.9"),
        (change("d", 40, 95, "Delete"), "Delete", 0, "root - 0.9"),
    ],
)
def test_a_controller_without_a_cause_of_its_own_undoes_what_was_done_just_before(
    before: KnownChange, verb: str, uncertainty: int, expected: str
) -> None:
    old = thing("old", "Pod", "web-0", changes=[before])
    made = occurrence("made", 55, 100, verb=verb, uncertainty=uncertainty, uid="new")
    subject = Subject("creates", "Pod", "shop", "web-0", starts=True)
    assert of_event_about(thing("rs", "Widget"), old, made=made, subject=subject) == expected
    assert of_event_about(thing("rs", "Widget"), old, subject=subject) == "root - 0.9"


# what was published --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "own, fields, expected",
    [
        (change("c", 40, 700), {}, "own c 0.8"),
        (change("c", 40, 699.9), {}, "root - 0.9"),
        (change("c", 40, 100), {"starts": False}, "own c 0.8"),
        (change("c", 40, 100), {"means": "routine"}, "own c 0.8"),
        (None, {}, "root - 0.9"),
        (None, {"starts": False}, "root - 0.3"),
    ],
)
def test_what_is_published_starts_a_trace_unless_its_object_was_changed_just_before(
    own: KnownChange | None, fields: dict[str, Any], expected: str
) -> None:
    repo = thing("pod", "GitRepository", changes=[own] if own is not None else [])
    subject = Subject(fields.get("means", "publishes"), starts=fields.get("starts", True))
    event = occurrence("this", 50, 1000, event_uid="event", kind="GitRepository", subject=subject)
    assert text(chooser(repo).of_event(event)) == expected


@pytest.mark.parametrize("rv, expected", [(59, "subject p 0.8"), (60, "root - 0.3")])
def test_an_event_of_a_tool_about_what_it_applied_follows_what_was_published(rv: int, expected: str) -> None:
    repo = thing("repo", "GitRepository", "apps", news=(News("p", rv, 90 * SECOND),))
    tool = thing("rs", "Kustomization", source=("GitRepository", "shop", "apps"))
    assert of_event_about(tool, repo, subject=Subject("applies", "Pod", "shop", "pod")) == expected


# refused replacements ------------------------------------------------------------------------------------------------


def refused(*gone: LostDependent, kind: str = "ReplicaSet", reason: str = "FailedCreate", **more: Any) -> str:
    fields: dict[str, Any] = {"changes": [change("scaled", 20, 50)]} | more
    owner = thing("pod", kind, lost_dependents=gone, **fields)
    return of_event(owner, kind=kind, reason=reason, message="create Pod web-0 in StatefulSet failed")


@pytest.mark.parametrize(
    "found, expected",
    [
        (refused(lost("d", 40, 90)), "owner d 0.85"),
        (refused(lost("d", 40, 90), lost("e", 41, 91)), "owner d 0.85"),
        (refused(lost("d", 40, 90), reason="SuccessfulCreate"), "own scaled 0.8"),
        (refused(), "own scaled 0.8"),
        (refused(lost("d", 40, 90, ordered=1)), "own scaled 0.8"),
        # Since the owner's newest change, if its version is exact.
        (refused(lost("d", 20, 90)), "own scaled 0.8"),
        (refused(lost("d", 20, 90), changes=[change("scaled", 20, 50, exact=False)]), "owner d 0.85"),
        (refused(lost("d", 20, 90), changes=[]), "owner d 0.85"),
        # A StatefulSet names the Pod.
        (refused(lost("d", 40, 90, name="web-0"), kind="StatefulSet"), "owner d 0.85"),
        (refused(lost("d", 40, 90, name="web-1"), kind="StatefulSet"), "own scaled 0.8"),
        (refused(lost("d", 40, 90, name="web-1"), lost("e", 41, 91), kind="StatefulSet"), "owner e 0.85"),
    ],
)
def test_a_controller_that_cannot_replace_a_dependent_reports_it_because_of_the_loss(found: str, expected: str) -> None:
    assert found == expected


# Events that were received before their cause ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "first, fields, expected",
    [
        (change("c", 10, 100.3), {}, "own c 0.6"),
        (change("c", 10, 100.31), {}, "root - 0.3"),
        # The Event was some time within that second.
        (change("c", 10, 101), {"latest": 101 * SECOND}, "own c 0.8"),
        (change("c", 10, 101.1), {"latest": 101 * SECOND}, "root - 0.3"),
        (change("c", 10, 100.2, "Delete", exact=False), {}, "root - 0.3"),
        (change("c", 10, 100.2, "Update", exact=False), {}, "own c 0.6"),
        (change("c", 10, 100.2), {"seen_rv": 5}, "root - 0.3"),
        (change("c", 60, 100.2), {"resource_version": "5"}, "root - 0.3"),
    ],
)
def test_an_event_may_be_received_before_the_change_that_caused_it(
    first: KnownChange, fields: dict[str, Any], expected: str
) -> None:
    assert of_event(thing("pod", changes=[first]), **fields) == expected


# requests ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "by, made, expected",
    [
        # An object with this uid existed, even if its creation was received late.
        ("other", change("o", 45, 130, "Create"), "subject o 0.95"),
        ("shop/other", change("o", 45, 130, "Create"), "root - 0.3"),
        ("other", change("o", 45, 130, "Update"), "root - 0.3"),
        ("other", change("o", 45, 90, "Delete"), "root - 0.3"),
    ],
)
def test_an_event_for_an_object_with_a_uid_follows_its_creation_whenever_that_was_received(
    by: str, made: KnownChange, expected: str
) -> None:
    other = thing("other", "ReplicaSet", changes=[made])
    subject = Subject("creates", "Pod", "shop", "pod", by=by)
    assert of_event_about(thing("rs", "ReplicaSet"), other, subject=subject) == expected


def test_a_failing_transition_has_no_newer_cause_in_what_was_published() -> None:
    repo = thing("repo", "GitRepository", "apps", news=(News("p", 45, 90 * SECOND),))
    source = ("GitRepository", "shop", "apps")
    turned = transition("this", 50, 100)
    tool = thing("pod", "Kustomization", source=source, transitions=[turned], changes=[change("c", 40, 80)])

    def of_transition(**more: Any) -> str:
        occ: Occurrence = occurrence("this", 50, 100, kind="Kustomization", condition="Ready", **more)
        return text(chooser(tool, repo).of_transition(occ))

    assert of_transition(warning=False) == "subject p 0.8"
    assert of_transition(warning=True) == "own c 0.9"


# updates on which a kubelet acted ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "message, seen_rv, expected",
    [
        ("Container app definition changed, will be restarted", 10, "own u 0.95"),
        ("Started container app", 10, "own made 0.95"),
        ("Started container app", 0, "own u 0.8"),
    ],
)
def test_an_event_that_shows_an_update_follows_it_whatever_version_its_kubelet_saw(
    message: str, seen_rv: int, expected: str
) -> None:
    pod = thing("pod", changes=[change("made", 10, 50, "Create"), change("u", 20, 60)])
    assert of_event(pod, actor="kubelet", message=message, seen_rv=seen_rv) == expected
