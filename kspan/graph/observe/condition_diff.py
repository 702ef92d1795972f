"""How an object stands by its own status, and what of that turned. Pure.

Sources: apimachinery meta/v1 Condition and the API conventions ("Typical status properties"); core/v1 PodCondition,
NodeCondition; pkg/controller/deployment/util for what the deployment controller writes. Custom resources follow the
same form, or nearly: Argo CD leaves out ``status`` (an entry that is there is true).
"""

import re
from functools import lru_cache
from typing import NamedTuple

from kspan.k8s.objects import Condition, ObjectStatus

PHASE = "phase"
"""Stands for the status of a phase: a phase that is reached is true, the others are not there."""

MOST = 32
"""Conditions that are followed, of one object: built-in kinds have up to eight, a broken controller any number."""

LONGEST = 316
"""Characters of a condition's type (meta/v1 Condition, maxLength); what is longer is none."""

ConditionSet = tuple[tuple[str, str], ...]
"""(type, status) of what is followed."""


class KindConditions(NamedTuple):
    """What is known of a kind: ``quiet`` turns only repeat what an Event or another turn says, and are events of the
    span that they repeat (a span each would be eight more for a Pod's life, in the storm 12,500 beside 29,300);
    ``expected`` is true from the first status on, so that only its loss and its return are news; ``phases`` turn as
    conditions do."""

    quiet: frozenset[str] = frozenset()
    expected: frozenset[str] = frozenset()
    phases: frozenset[str] = frozenset()


_UNKNOWN_KIND = KindConditions()

ANNOUNCEMENT = "DisruptionTarget"
"""Condition of a Pod that says why it will go: it belongs to the deletion (or the end) that follows."""

_KINDS = {
    "Pod": KindConditions(
        quiet=frozenset(
            [
                "PodScheduled",  # Event Scheduled or FailedScheduling
                "Initialized",
                "PodReadyToStartContainers",
                "ContainersReady",  # Ready, but for readiness gates
                ANNOUNCEMENT,
            ]
        ),
        phases=frozenset(["Succeeded", "Failed"]),
    ),
    "Deployment": KindConditions(expected=frozenset(["Progressing"])),
    "HorizontalPodAutoscaler": KindConditions(expected=frozenset(["AbleToScale", "ScalingActive"])),
    "Job": KindConditions(
        quiet=frozenset(["SuccessCriteriaMet", "FailureTarget"])
    ),  # come just before Complete and Failed
    "PersistentVolume": KindConditions(phases=frozenset(["Bound", "Released", "Failed"])),
    "PersistentVolumeClaim": KindConditions(phases=frozenset(["Bound", "Lost"])),
}

_TROUBLE = re.compile(r"Fail|Error|Pressure$|Unavailable$|Stalled|Degraded|Problem|Exceeded|Conflict|Invalid|Dangling")
"""Types that are bad when they are true."""

_FAILURE = re.compile(r"fail|error|exceeded|backoff|invalid|denied|forbidden|notfound|timeout", re.IGNORECASE)
"""Reasons of a failure, and not of something that is only not there yet."""

_OF_A_POD = 8
"""Conditions that a Pod has by itself; what has more has some of somebody's (readiness gates)."""

_DOUBLED = frozenset(["PodCompleted", "PodFailed"])
"""Reasons for which a Pod is not ready because it has ended, as its phase says (pkg/kubelet/status/generate.go)."""

_BAD_PHASES = frozenset(["Failed", "Lost"])


class ConditionTransition(NamedTuple):
    """A condition (or phase) that turned: ``name`` names the span, ``bad`` tells its direction, ``error`` whether it is
    a failure. ``condition`` is the entry of the status; none for a phase and for an entry that was removed. A ``quiet``
    one is no news by itself: it repeats something, or it is seen for the ``first`` time and how things begin."""

    type: str
    status: str
    name: str
    bad: bool
    error: bool
    condition: Condition | None
    quiet: bool = False
    first: bool = False


def standing(kind: str, status: ObjectStatus) -> ConditionSet:
    """How the object stands, as far as its turns are followed."""
    habits = _KINDS.get(kind, _UNKNOWN_KIND)
    if not status.conditions and not habits.phases:
        return ()
    phase = ((status.phase, PHASE),) if status.phase in habits.phases else ()
    found: list[tuple[str, str]] = [(c.type, c.status) for c in status.conditions or ()]
    if kind != "Pod" or len(found) > _OF_A_POD:  # Pods are the most numerous kind.
        found = _tidied(found)
    return shared((*found, *phase))


@lru_cache(maxsize=1024)
def shared(found: ConditionSet) -> ConditionSet:
    """The same: a hundred thousand Pods stand in a handful of ways, and each takes half a kilobyte."""
    return found


def _tidied(found: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Each type once, and no more of them than can be followed."""
    once: dict[str, str] = {}
    for name, value in found:
        if 0 < len(name) <= LONGEST and len(once) < MOST:
            once[name] = value
    return list(once.items())


def turned(kind: str, before: ConditionSet, now: ConditionSet, status: ObjectStatus) -> list[ConditionTransition]:
    """What turned between two standings of an object.

    What is not so when it first shows is how things begin; it is news only where it says of a failure. A condition that
    was true and is not there any more turned to false.
    """
    was, entries = dict(before), {c.type: c for c in status.conditions or ()}
    habits = _KINDS.get(kind, _UNKNOWN_KIND)
    found: list[ConditionTransition] = []
    ended = kind == "Pod" and bool(ended_phase(now))  # All its conditions say so again.
    for name, value in now:
        old = was.pop(name, None)
        if old == value:
            continue
        if (name in habits.quiet or ended) and value != PHASE:
            # That nothing is done yet when it begins is not even worth a word.
            if old is not None or value == "True":
                found.append(_quiet(name, value, entries[name], old is None))
            continue
        condition = entries.get(name) if value != PHASE else None
        failing = condition is not None and _FAILURE.search(condition.reason) is not None
        begins = old is None and (name in habits.expected if value in ("True", PHASE) else not failing)
        if begins or _doubles(name, old, value, condition):
            found.append(_quiet(name, value, condition, old is None))
        else:
            found.append(_turn(kind, name, value, condition, failing=failing))
    for name, value in was.items():
        if value == "True" and (ended or name in habits.quiet):
            found.append(_quiet(name, "False", None, False))
        elif value == "True":
            found.append(_turn(kind, name, "False", None, failing=False))
    return found


def _doubles(name: str, old: str | None, value: str, condition: Condition | None) -> bool:
    """Whether a turn only doubles another: that a Pod is done, or that of a node that is not heard of nothing is known
    (its pressure is unknown then as well)."""
    if condition is not None and condition.reason in _DOUBLED:
        return True
    return old != "True" and value != "True" and "Unknown" in (old, value) and _TROUBLE.search(name) is not None


def _quiet(name: str, value: str, condition: Condition | None, first: bool) -> ConditionTransition:
    return ConditionTransition(
        name, value, name if value == "True" else f"{name}={value}", False, False, condition, True, first
    )


def by_itself(kind: str, turn: ConditionTransition) -> ConditionTransition:
    """A quiet turn, where there is nothing that it repeats."""
    return _turn(kind, turn.type, turn.status, turn.condition, failing=False)


def _turn(kind: str, name: str, value: str, condition: Condition | None, *, failing: bool) -> ConditionTransition:
    if value == PHASE:
        bad = name in _BAD_PHASES
        return ConditionTransition(name, PHASE, name, bad, bad, None)
    trouble = _TROUBLE.search(name) is not None
    bad = trouble == (value == "True")
    error = bad and (trouble or failing or (kind, name) == ("Node", "Ready"))
    return ConditionTransition(name, value, name if value == "True" else f"{name}={value}", bad, error, condition)


def ended_phase(now: ConditionSet) -> str:
    """The phase in which a Pod ended by itself, empty where it has not."""
    return next((name for name, value in now if value == PHASE), "")
