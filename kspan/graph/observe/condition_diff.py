"""The conditions and phase of an object, and the transitions between two statuses. Pure.

Sources: apimachinery meta/v1 Condition; API conventions ("Typical status properties"); core/v1 PodCondition and
NodeCondition; pkg/controller/deployment/util. Custom resources have the same form, except that Argo CD omits
``status``: an entry without it is true.
"""

import re
from functools import lru_cache
from typing import NamedTuple

from kspan.graph.observe.rollout_status import is_removed
from kspan.k8s.objects import Condition, ObjectStatus

PHASE = "phase"
"""Takes the place of the status if the type is a phase. Only the current phase is in a ConditionSet."""

CONDITIONS_LIMIT = 32
"""Maximum number of conditions of one object. Built-in kinds have up to eight."""

TYPE_LIMIT = 316
"""Maximum length of a condition's type in characters (meta/v1 Condition, maxLength). Longer ones are ignored."""

ConditionSet = tuple[tuple[str, str], ...]
"""(type, status) of each condition, and (phase, PHASE)."""

ANNOUNCEMENT = "DisruptionTarget"
"""Condition of a Pod with the reason why it will be deleted or fail. It belongs to that deletion or failure."""


ENDED = frozenset(["Succeeded", "Failed"])
"""Phases of a Pod that ended."""


class KindConditions(NamedTuple):
    """The conditions of a kind."""

    quiet: frozenset[str] = frozenset()
    """Repeat an Event or another condition. They become events of its span: a Pod would have eight more spans."""
    expected: frozenset[str] = frozenset()
    """True in the first status of an object, so that only later transitions are news."""
    phases: frozenset[str] = frozenset()
    """Phases that are treated as conditions."""


_UNKNOWN_KIND = KindConditions()

_KINDS = {
    "Pod": KindConditions(
        quiet=frozenset(
            [
                "PodScheduled",  # repeats the Event Scheduled or FailedScheduling
                "Initialized",
                "PodReadyToStartContainers",
                "ContainersReady",  # the same as Ready, except for readiness gates
                ANNOUNCEMENT,
            ]
        ),
        phases=ENDED,
    ),
    "Deployment": KindConditions(expected=frozenset(["Progressing"])),
    "HorizontalPodAutoscaler": KindConditions(expected=frozenset(["AbleToScale", "ScalingActive"])),
    "Job": KindConditions(quiet=frozenset(["SuccessCriteriaMet", "FailureTarget"])),  # precede Complete and Failed
    "PersistentVolume": KindConditions(phases=frozenset(["Bound", "Released", "Failed"])),
    "PersistentVolumeClaim": KindConditions(phases=frozenset(["Bound", "Lost"])),
    # Argo Rollouts
    "AnalysisRun": KindConditions(phases=frozenset(["Error", "Failed", "Inconclusive", "Successful"])),
    "Rollout": KindConditions(expected=frozenset(["Progressing"])),
}

_BAD_IF_TRUE = re.compile(
    r"Fail|Error|Pressure$|Unavailable$|Stalled|Degraded|Problem|Exceeded|Conflict|Invalid|Dangling"
    # node-problem-detector (config/*.json)
    r"|Deadlock$|Unhealthy$|^Frequent[A-Z]|^ReadonlyFilesystem$|^CorruptDockerOverlay2$|^XfsShutdown$"
    # CertificateSigningRequests, CustomResourceDefinitions, VerticalPodAutoscalers, ScaledObjects of KEDA, Strimzi
    r"|^Denied$|^NonStructuralSchema$|^NoPodsMatched$|^ConfigUnsupported$|^Fallback$|^NotReady$"
)
"""Types of conditions that are bad if they are true. All others are bad if they are not true."""

_STATES = frozenset(
    [
        # Controllers at work: cert-manager, Flux, machine configs; the conditions of claims and Pods
        # (core/v1 types.go) and of Cluster API (api/core/v1beta2).
        "Deleting",
        "FileSystemResizePending",
        "Issuing",
        "ModifyingVolume",
        "PodResizeInProgress",
        "PodResizePending",
        "Reconciling",
        "Remediating",
        "Resizing",
        "RollingOut",
        "ScalingDown",
        "ScalingUp",
        "Terminating",
        "Updating",
        # What was ordered, or found: Jobs, autoscalers, Argo Rollouts, KEDA, Strimzi, Kueue, Karpenter.
        "Consolidatable",
        "Drifted",
        "Evicted",
        "InstanceTerminating",
        "LowConfidence",
        "Paused",
        "Preempted",
        "ReconciliationPaused",
        "ScalingLimited",
        "Suspended",
    ]
)
"""Types of conditions that name a state. It lasts while they are true; that it is over is not bad by itself."""

_FAILURE_REASON = re.compile(r"fail|error|exceeded|backoff|invalid|denied|forbidden|notfound|timeout", re.IGNORECASE)
"""Reasons of a failure. With other reasons, a condition is only not true yet."""

_POD_CONDITIONS = 8
"""Conditions that Kubernetes gives a Pod. A Pod with more has readiness gates."""

_REASONS_OF_AN_ENDED_POD = frozenset(["PodCompleted", "PodFailed"])
"""Reasons for which a Pod is not ready because it ended, as its phase shows (pkg/kubelet/status/generate.go)."""

_BAD_PHASES = frozenset(["Error", "Failed", "Lost"])


class ConditionTransition(NamedTuple):
    """A transition of a condition or phase."""

    type: str
    status: str
    name: str
    """Name of the span: ``Ready``, or ``Ready=False``."""
    bad: bool
    """True if it became bad, false if it became good."""
    error: bool
    """True if it is a failure."""
    condition: Condition | None
    """The entry of the status. None for a phase and for an entry that was removed."""
    quiet: bool = False
    """True if it is not news by itself: it repeats something, or is the expected first status."""
    first: bool = False
    """True if the condition had no status before."""


def condition_set(kind: str, status: ObjectStatus) -> ConditionSet:
    """Return the conditions of a status, and its phase if phases of the kind are treated as conditions."""
    known = _KINDS.get(kind, _UNKNOWN_KIND)
    if not status.conditions and not known.phases:
        return ()
    phase = ((status.phase, PHASE),) if status.phase in known.phases else ()
    found: list[tuple[str, str]] = [(c.type, c.status) for c in status.conditions or ()]
    if kind != "Pod" or len(found) > _POD_CONDITIONS:  # Pods are the most numerous kind.
        found = _valid(found)
    return (*found, *phase)


@lru_cache(maxsize=1024)
def interned(found: ConditionSet) -> ConditionSet:
    """Return an equal tuple, the same each time: 100,000 Pods share a handful of condition sets of 0.5 kB."""
    return found


def _valid(found: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Keep the last status of each type, valid types only, and not more than the limit."""
    last: dict[str, str] = {}
    for name, value in found:
        if 0 < len(name) <= TYPE_LIMIT and len(last) < CONDITIONS_LIMIT:
            last[name] = value
    return list(last.items())


def diff_conditions(
    kind: str, before: ConditionSet, now: ConditionSet, status: ObjectStatus
) -> list[ConditionTransition]:
    """Return the transitions between two condition sets of an object, in the order of its status.

    Args:
        kind: the kind of the object.
        before: the condition set before.
        now: the condition set of ``status``.
        status: the status now.
    """
    was, entries = dict(before), {c.type: c for c in status.conditions or ()}
    known = _KINDS.get(kind, _UNKNOWN_KIND)
    ended = kind == "Pod" and bool(ended_phase(now))  # Then all conditions repeat the phase.
    found: list[ConditionTransition] = []
    for name, value in now:
        old = was.pop(name, None)
        if old == value:
            continue
        if value != PHASE and (ended or name in known.quiet):
            if old is not None or value == "True":  # An initial "False" is expected and is not recorded.
                found.append(_quiet(name, value, entries[name], first=old is None))
        else:
            transition = _transition_to(kind, name, old, value, entries.get(name) if value != PHASE else None)
            removed = ended and value == PHASE and is_removed(status)
            found.append(transition._replace(error=False) if removed else transition)
    for name, value in was.items():  # A condition that was true and was removed is false.
        if value == "True" and (ended or name in known.quiet):
            found.append(_quiet(name, "False", None, first=False))
        elif value == "True":
            found.append(_transition(kind, name, "False", None, failing=False))
    return found


def _transition_to(
    kind: str, name: str, old: str | None, value: str, condition: Condition | None
) -> ConditionTransition:
    """Return a transition of a condition that is not quiet by its type."""
    failing = condition is not None and _FAILURE_REASON.search(condition.reason) is not None
    if old is None:
        expected = _KINDS.get(kind, _UNKNOWN_KIND).expected
        initial = name in expected if value in ("True", PHASE) else not failing
        if initial:
            return _quiet(name, value, condition, first=True)
    if _repeats_another(name, old, value, condition):
        return _quiet(name, value, condition, first=old is None)
    return _transition(kind, name, value, condition, failing=failing)


def _repeats_another(name: str, old: str | None, value: str, condition: Condition | None) -> bool:
    """True for a Pod that is not ready because it ended, and if the pressure on a lost Node becomes Unknown."""
    if condition is not None and condition.reason in _REASONS_OF_AN_ENDED_POD:
        return True
    return old != "True" and value != "True" and "Unknown" in (old, value) and _BAD_IF_TRUE.search(name) is not None


def _quiet(name: str, value: str, condition: Condition | None, *, first: bool) -> ConditionTransition:
    return ConditionTransition(
        name, value, name if value == "True" else f"{name}={value}", False, False, condition, True, first
    )


def not_quiet(kind: str, transition: ConditionTransition) -> ConditionTransition:
    """Return a quiet transition as news: there is no span that it repeats."""
    return _transition(kind, transition.type, transition.status, transition.condition, failing=False)


def _transition(kind: str, name: str, value: str, condition: Condition | None, *, failing: bool) -> ConditionTransition:
    if value == PHASE:
        bad = name in _BAD_PHASES
        return ConditionTransition(name, PHASE, name, bad, bad, None)
    bad_if_true = _BAD_IF_TRUE.search(name) is not None
    # Also for the end of a state: what is below it changed in the other direction.
    bad = bad_if_true == (value == "True")
    error = is_bad(name, value) and (bad_if_true or failing or (kind, name) == ("Node", "Ready"))
    return ConditionTransition(name, value, name if value == "True" else f"{name}={value}", bad, error, condition)


def is_bad(name: str, value: str) -> bool:
    """True if a condition with this type is bad with this status."""
    if name in _STATES and value == "False":
        return False
    return (_BAD_IF_TRUE.search(name) is not None) == (value == "True")


def is_state(name: str) -> bool:
    """True if a condition with this type names a state that lasts while it is true, whether that is good or bad."""
    return name in _STATES


def ended_phase(conditions: ConditionSet) -> str:
    """Return the phase (Succeeded or Failed) of a Pod that ended; empty if it did not."""
    return next((name for name, value in conditions if value == PHASE), "")
