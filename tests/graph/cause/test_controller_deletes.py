"""Which dependents a controller deletes by itself, and for which change of their owner."""

from typing import Any

import msgspec
import pytest

from kspan.graph.cause.controller_deletes import HISTORY_LIMIT, ordered_by_owner
from kspan.graph.state.records import KnownChange, LostDependent, ObjectState
from kspan.times import SECOND
from tests.graph.making import change, lost, occurrence, state_of, thing, transition


def ordered(
    owner: ObjectState, obj: ObjectState, *others: ObjectState, rv: int = 50, seconds: float = 100, since: int = 0
) -> str:
    """The change of its owner for which the deletion of ``obj`` (version 50) was ordered."""
    state = state_of(owner, obj, *others)
    found = ordered_by_owner(state, occurrence("this", rv, seconds, verb="Delete"), obj, owner, since)
    return found.span if found is not None else ""


def spec(**fields: Any) -> bytes:
    return msgspec.json.encode(fields)


# scaling down --------------------------------------------------------------------------------------------------------


def scaled(before: int, after: int, span: str = "down", rv: int = 40) -> KnownChange:
    return change(span, rv, 90, replicas_before=before, replicas=after)


@pytest.mark.parametrize(
    "changes, gone, expected",
    [
        ([scaled(3, 2)], [], "down"),
        ([scaled(3, 2)], [lost("a", 45)], ""),
        ([scaled(3, 1)], [lost("a", 45)], "down"),
        ([scaled(3, 1)], [lost("a", 45), lost("b", 46)], ""),
        # Only what was lost between the scale-down and this deletion counts, and only what was deleted.
        ([scaled(3, 2)], [lost("a", 40)], "down"),
        ([scaled(3, 2)], [lost("a", 41)], ""),
        ([scaled(3, 2)], [lost("a", 49)], ""),
        ([scaled(3, 2)], [lost("a", 50)], "down"),
        ([scaled(3, 2)], [lost("a", 45, ended=True)], "down"),
        # Two scale-downs add up; the newest is the cause.
        ([scaled(4, 3, "first", 30), scaled(3, 2)], [lost("a", 45)], "down"),
        ([scaled(4, 3, "first", 30), scaled(3, 2)], [lost("a", 35), lost("b", 45)], ""),
        # A scale-up in between takes its share.
        ([scaled(4, 2, "first", 30), scaled(2, 3, "up", 40)], [], "first"),
        ([scaled(4, 3, "first", 30), scaled(3, 4, "up", 40)], [], ""),
        # A later change that does not scale is not the cause.
        ([scaled(3, 2, "first", 30), change("other", 40, 90, replicas_before=2, replicas=2)], [], "first"),
        # It did not shrink.
        ([scaled(2, 3)], [], ""),
        ([scaled(3, 3)], [], ""),
        ([scaled(3, 2, rv=50)], [], ""),
        ([scaled(-1, 2)], [], ""),
        ([scaled(2, -1)], [], ""),
        ([scaled(1, 0)], [], "down"),
    ],
)
def test_a_scale_down_deletes_as_many_dependents_as_it_removes(
    changes: list[KnownChange], gone: list[LostDependent], expected: str
) -> None:
    owner = thing("rs", "ReplicaSet", changes=changes, lost_dependents=tuple(gone))
    assert ordered(owner, thing("pod", owner="rs")) == expected


@pytest.mark.parametrize(
    "name, ordinal, expected",
    [
        ("web-2", -1, "down"),
        ("web-1", -1, ""),
        ("web-0", -1, ""),
        ("odd", -1, "down"),
        # The label counts more than the name.
        ("web-0", 2, "down"),
        ("web-9", 1, ""),
        ("web-9", 0, ""),
        ("web-0123456789", -1, "down"),
        ("web-000000001", -1, ""),
    ],
)
def test_a_stateful_set_removes_its_last_pods(name: str, ordinal: int, expected: str) -> None:
    owner = thing("sts", "StatefulSet", changes=[scaled(3, 2)])
    assert ordered(owner, thing("pod", name=name, owner="sts", ordinal=ordinal)) == expected


# other controllers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "progressing, reached, effect, expected",
    [
        (False, 100, "", "done"),
        (False, 101, "", "done"),
        (False, 101.1, "", ""),
        (False, 100, "ended", ""),
        (True, 0, "", ""),
    ],
)
def test_a_job_that_ended_deletes_its_pods_that_still_run(
    progressing: bool, reached: float, effect: str, expected: str
) -> None:
    changes = [change("done", 40), change("x", 41, verb="Delete")]
    owner = thing("job", "Job", progressing=progressing, reached=int(reached * SECOND), changes=changes)
    pod = thing("pod", owner="job", changes=[change("this", 50, 100, "Delete", effect=effect)])
    assert ordered(owner, pod) == expected


def test_another_owner_deletes_nothing_by_itself() -> None:
    assert ordered(thing("w", "Widget", changes=[change("a", 40)]), thing("pod", owner="w")) == ""


@pytest.mark.parametrize(
    "joined, rs, expected",
    [
        (change("j", 40, 95, effect="joined"), {}, "j"),
        (change("j", 50, 95, effect="joined"), {}, ""),
        (change("j", 40, 95, effect="labelled"), {}, ""),
        (change("j", 40, 70, effect="joined"), {}, "j"),
        (change("j", 40, 69.9, effect="joined"), {}, ""),
        (change("j", 40, 95, effect="joined"), {"changes": [change("newer", 41, 95)]}, ""),
        (change("j", 40, 95, effect="joined"), {"changes": [change("older", 39, 95)]}, "j"),
        (change("j", 40, 95, effect="joined"), {"lost_dependents": (lost("x", 45),)}, ""),
        (change("j", 40, 95, effect="joined"), {"lost_dependents": (lost("x", 40),)}, "j"),
        (change("j", 40, 95, effect="joined"), {"lost_dependents": (lost("x", 50),)}, "j"),
        (change("j", 40, 95, effect="joined"), {"lost_dependents": (lost("x", 45, ended=True),)}, "j"),
    ],
)
def test_a_replica_set_deletes_a_pod_when_it_adopted_another(
    joined: KnownChange, rs: dict[str, Any], expected: str
) -> None:
    owner, adopted = thing("rs", "ReplicaSet", **rs), thing("adopted", owner="rs", changes=[joined])
    assert ordered(owner, thing("pod", owner="rs"), adopted) == expected
    if not rs:
        assert ordered(thing("rs", "ReplicationController"), thing("pod", owner="rs"), adopted) == expected


@pytest.mark.parametrize(
    "idle, limit, obj, expected",
    [
        (10, None, {}, "last"),
        (9, None, {}, ""),
        (2, 2, {}, "last"),
        (1, 2, {}, ""),
        (0, 0, {}, "last"),
        (10, None, {"replicas": 1}, ""),
        (10, None, {"kind": "Pod"}, ""),
    ],
)
def test_a_rollout_deletes_replica_sets_beyond_the_history_limit(
    idle: int, limit: int | None, obj: dict[str, Any], expected: str
) -> None:
    """Ten by default. The one that is deleted is idle, too."""
    owner = thing("web", "Deployment", changes=[change("last", 40)], spec=spec(revisionHistoryLimit=limit))
    fields: dict[str, Any] = {"kind": "ReplicaSet", "owner": "web", "replicas": 0} | obj
    this = thing("this", **fields)
    others = [thing(f"rs{n}", "ReplicaSet", owner="web", replicas=0) for n in range(idle)]
    busy = thing("busy", "ReplicaSet", owner="web", replicas=1)
    gone = thing("gone", "ReplicaSet", owner="web", replicas=0, changes=[change("d", 49, verb="Delete")])
    assert ordered(owner, this, *others, busy, gone) == expected
    assert HISTORY_LIMIT == 10


def test_a_replica_set_that_is_deleted_later_counts_as_history() -> None:
    owner = thing("web", "Deployment", changes=[change("last", 40)], spec=spec(revisionHistoryLimit=1))
    this = thing("this", "ReplicaSet", owner="web", replicas=0)
    other = thing("other", "ReplicaSet", owner="web", replicas=0, changes=[change("d", 50, verb="Delete")])
    assert ordered(owner, this, other) == "last"


# updates of Pods -----------------------------------------------------------------------------------------------------

TEMPLATE: dict[str, Any] = {"template_changed": True, "replicas": 3, "replicas_before": 3}


def updated(
    kind: str, pods: list[ObjectState], *, since: int = 0, changes: list[KnownChange] | None = None, **more: Any
) -> str:
    """Whether the first of these Pods is deleted for the new template of version 40, at second 90."""
    known = changes or [change("template", 40, 90, **TEMPLATE)]
    owner = thing("owner", kind, changes=known, spec=spec(**more))
    return ordered(owner, *pods, since=since)


def one(number: int, made: int = 30, *, ready: bool | None = True, **more: Any) -> ObjectState:
    """A Pod that was created with a version; 40 is that of the new template."""
    transitions = [] if ready is None else [transition(f"ready{number}", made + 2, bad=not ready)]
    created = [change(f"c{number}", made, 60, "Create")]
    fields: dict[str, Any] = {"owner": "owner", "changes": created, "transitions": transitions, "created": 60 * SECOND}
    return thing(f"pod{number}", name=f"web-{number}", **(fields | more))


@pytest.mark.parametrize("kind", ["DaemonSet", "StatefulSet"])
@pytest.mark.parametrize(
    "pod, strategy, expected",
    [
        (one(2), {}, "template"),
        (one(2, 39), {}, "template"),
        (one(2, 40), {}, ""),
        (one(2, 41), {}, ""),
        (one(2), {"updateStrategy": {"type": "OnDelete"}}, ""),
        (one(2), {"updateStrategy": {"type": "RollingUpdate"}}, "template"),
        (one(2, rv=0), {}, ""),
        # Without a creation that was seen, the time decides.
        (one(2, changes=[], created=90 * SECOND), {}, "template"),
        (one(2, changes=[], created=91 * SECOND), {}, ""),
        (one(2, changes=[change("c", 1, 60, "Create")], created=91 * SECOND), {}, ""),
        (one(2, changes=[change("c", 30, 60, "Create", exact=False)], created=91 * SECOND), {}, ""),
    ],
)
def test_a_new_template_replaces_older_pods(
    kind: str, pod: ObjectState, strategy: dict[str, Any], expected: str
) -> None:
    assert updated(kind, [pod], **strategy) == expected


def test_other_owners_do_not_replace_pods_for_a_template() -> None:
    assert updated("ReplicaSet", [one(2)]) == ""


@pytest.mark.parametrize("kind", ["DaemonSet", "StatefulSet"])
@pytest.mark.parametrize("made, expected", [(30, "template"), (39, "template"), (40, ""), (45, "")])
def test_the_revision_of_a_pod_tells_its_template(kind: str, made: int, expected: str) -> None:
    revision = thing("r", "ControllerRevision", "r2", owner="owner", changes=[change("r", made, verb="Create")])
    assert updated(kind, [one(2, 35, revision="r2"), revision]) == expected


def test_of_a_pod_without_an_ordinal_the_order_is_not_known() -> None:
    odd = one(1)
    odd.name = "odd"
    assert updated("StatefulSet", [odd, one(2, 30)]) == "template"


def test_a_pod_without_a_revision_belongs_to_none() -> None:
    revision = thing("r", "ControllerRevision", owner="owner", revision="", changes=[change("r", 30, verb="Create")])
    assert updated("StatefulSet", [one(2, 41), revision]) == ""


def test_the_newest_change_is_the_cause_and_not_the_template() -> None:
    known = [change("template", 40, 90, **TEMPLATE), change("partition", 45, 95, replicas=3, replicas_before=3)]
    assert updated("StatefulSet", [one(2)], changes=known) == "partition"


def rolling(**more: Any) -> dict[str, Any]:
    return {"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": more}}


@pytest.mark.parametrize(
    "pods, strategy, expected",
    [
        # Down to the partition.
        ([one(2)], rolling(partition=2), "template"),
        ([one(2)], rolling(partition=3), ""),
        ([one(0)], rolling(partition=0), "template"),
        # Those after it must be up to date and ready.
        ([one(1), one(2, 41)], {}, "template"),
        ([one(1), one(2, 30)], {}, ""),
        ([one(1), one(2, 41, ready=False)], {}, ""),
        ([one(1), one(2, 41, ready=False)], rolling(maxUnavailable=2), "template"),
        ([one(1), one(2, 41, ready=False)], rolling(maxUnavailable=1), ""),
        ([one(1), one(2, 30)], rolling(maxUnavailable=2), ""),
        # Those before it do not matter, and those beyond the replicas need not be ready.
        ([one(1), one(0, 41, ready=False), one(2, 41)], {}, "template"),
        ([one(1), one(2, 41), one(3, 41, ready=False)], {}, "template"),
        # One that is made later, is gone, or is no Pod.
        ([one(1), one(2, 50, ready=False)], {}, "template"),
        ([one(1), one(2, 49, ready=False)], {}, ""),
        ([one(1), one(2, 41), one(2, 30, kind="ControllerRevision")], {}, "template"),
        # Its own readiness: one that is not ready stops an update in order.
        ([one(1, ready=False), one(2, 41)], {}, ""),
        ([one(1, ready=False), one(2, 41)], {"podManagementPolicy": "Parallel"}, "template"),
        ([one(1, ready=False), one(2, 41)], rolling(maxUnavailable=2), "template"),
        # Readiness that is not known: of one that was seen from its creation on, it was not ready yet.
        ([one(1, ready=None), one(2, 41)], {}, ""),
        ([one(1, changes=[], ready=None), one(2, 41)], {}, "template"),
    ],
)
def test_a_stateful_set_is_updated_from_the_last_pod_down(
    pods: list[ObjectState], strategy: dict[str, Any], expected: str
) -> None:
    assert updated("StatefulSet", pods, **strategy) == expected


def test_a_pod_that_was_deleted_and_made_again_counts_as_the_new_one() -> None:
    gone = one(2, 30)
    gone.changes.append(change("d2", 42, verb="Delete"))
    again = one(2, 43)
    again.uid = "again"
    assert updated("StatefulSet", [one(1), gone, again]) == "template"
    assert updated("StatefulSet", [one(1), gone]) == ""


@pytest.mark.parametrize("since, expected", [(60, ""), (61, "template")])
def test_transitions_may_be_forgotten_after_a_while(since: int, expected: str) -> None:
    assert updated("StatefulSet", [one(1, ready=None)], since=since * SECOND) == expected


@pytest.mark.parametrize("rv, expected", [(49, ""), (50, "template")])
def test_the_newest_readiness_before_the_deletion_counts(rv: int, expected: str) -> None:
    pod = one(1)
    pod.transitions.append(transition("bad", rv))
    assert updated("StatefulSet", [pod]) == expected
