"""How an object stands by its own status, and what of that turned. Pure.

Sources: apimachinery meta/v1 Condition and the API conventions ("Typical status properties"); core/v1 PodCondition,
NodeCondition; pkg/controller/deployment/util for what the deployment controller writes. Custom resources follow the
same form, or nearly: Argo CD leaves out ``status`` (an entry that is there is true).
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from kspan.graph.objects import Condition, Status

PHASE = "phase"
"""Stands for the status of a phase: a phase that is reached is true, the others are not there."""

MOST = 32
"""Conditions that are followed, of one object: built-in kinds have up to eight, a broken controller any number."""

LONGEST = 316
"""Characters of a condition's type (meta/v1 Condition, maxLength); what is longer is none."""

Standing = tuple[tuple[str, str], ...]
"""(type, status) of what is followed."""


class Habits(NamedTuple):
    """What is known of a kind: ``quiet`` turns only repeat what an Event or another turn says; ``expected`` is true
    from the first status on, so that only its loss and its return are news; ``phases`` turn as conditions do."""

    quiet: frozenset[str] = frozenset()
    expected: frozenset[str] = frozenset()
    phases: frozenset[str] = frozenset()


_UNKNOWN_KIND = Habits()

_KINDS = {
    "Pod": Habits(
        quiet=frozenset(
            [
                "PodScheduled",  # Event Scheduled or FailedScheduling
                "Initialized",
                "PodReadyToStartContainers",
                "ContainersReady",  # Ready, but for readiness gates
                "DisruptionTarget",  # goes onto the deletion that follows
            ]
        ),
        phases=frozenset(["Succeeded", "Failed"]),
    ),
    "Deployment": Habits(expected=frozenset(["Progressing"])),
    "HorizontalPodAutoscaler": Habits(expected=frozenset(["AbleToScale", "ScalingActive"])),
    "Job": Habits(quiet=frozenset(["SuccessCriteriaMet", "FailureTarget"])),  # come just before Complete and Failed
    "PersistentVolume": Habits(phases=frozenset(["Bound", "Released", "Failed"])),
    "PersistentVolumeClaim": Habits(phases=frozenset(["Bound", "Lost"])),
    "PodDisruptionBudget": Habits(quiet=frozenset(["DisruptionAllowed"])),  # counts the Pods that are ready
}

_TROUBLE = re.compile(r"Fail|Error|Pressure$|Unavailable$|Stalled|Degraded|Problem|Exceeded|Conflict|Invalid|Dangling")
"""Types that are bad when they are true."""

_FAILURE = re.compile(r"fail|error|exceeded|backoff|invalid|denied|forbidden|notfound|timeout", re.IGNORECASE)
"""Reasons of a failure, and not of something that is only not there yet."""

_DOUBLED = frozenset(["PodCompleted", "PodFailed"])
"""Reasons for which a Pod is not ready because it has ended, as its phase says (pkg/kubelet/status/generate.go)."""

_BAD_PHASES = frozenset(["Failed", "Lost"])


class Turn(NamedTuple):
    """A condition (or phase) that turned: ``name`` names the span, ``bad`` tells its direction, ``error`` whether it is
    a failure. ``condition`` is the entry of the status; none for a phase and for an entry that was removed."""

    type: str
    status: str
    name: str
    bad: bool
    error: bool
    condition: Condition | None


def standing(kind: str, status: Status) -> Standing:
    """How the object stands, as far as its turns are followed."""
    habits = _KINDS.get(kind, _UNKNOWN_KIND)
    if not status.conditions and not habits.phases:
        return ()
    phase = ((status.phase, PHASE),) if status.phase in habits.phases else ()
    if phase and kind == "Pod":
        return phase  # It ended, and its conditions only say so again.
    quiet = habits.quiet
    found: list[tuple[str, str]] = [(c.type, c.status) for c in status.conditions or () if c.type not in quiet]
    if kind != "Pod" or len(found) > 1:  # Pods are the most numerous kind, and mostly but ready or not.
        found = _tidied(found)
    return (*found, *phase)


def _tidied(found: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Each type once, and no more of them than can be followed.

    A node that is not heard of has unknown pressure as well: that only doubles Ready=Unknown.
    """
    once: dict[str, str] = {}
    for name, value in found:
        if 0 < len(name) <= LONGEST and len(once) < MOST:
            once[name] = "False" if value == "Unknown" and _TROUBLE.search(name) else value
    return list(once.items())


def turned(kind: str, before: Standing, now: Standing, status: Status) -> Iterator[Turn]:
    """What turned between two standings of an object.

    What is not so when it first shows is how things begin; it turns only where it says of a failure. A condition that
    was true and is not there any more turned to false.
    """
    if before == now:
        return
    was, entries = dict(before), {c.type: c for c in status.conditions or ()}
    expected = _KINDS.get(kind, _UNKNOWN_KIND).expected
    for name, value in now:
        old = was.pop(name, None)
        condition = entries.get(name) if value != PHASE else None
        failing = condition is not None and _FAILURE.search(condition.reason) is not None
        begins = old is None and (name in expected if value in ("True", PHASE) else not failing)
        doubled = condition is not None and condition.reason in _DOUBLED
        if old != value and not begins and not doubled:
            yield _turn(kind, name, value, condition, failing=failing)
    if PHASE not in (value for _, value in now):
        for name, value in was.items():
            if value == "True":
                yield _turn(kind, name, "False", None, failing=False)


def _turn(kind: str, name: str, value: str, condition: Condition | None, *, failing: bool) -> Turn:
    if value == PHASE:
        bad = name in _BAD_PHASES
        return Turn(name, PHASE, name, bad, bad, None)
    trouble = _TROUBLE.search(name) is not None
    bad = trouble == (value == "True")
    error = bad and (trouble or failing or (kind, name) == ("Node", "Ready"))
    return Turn(name, value, name if value == "True" else f"{name}={value}", bad, error, condition)


def ended_phase(now: Standing) -> str:
    """The phase in which a Pod ended by itself, empty where it has not."""
    return next((name for name, value in now if value == PHASE), "")
