"""Which occurrences are moments, and how long the others last. Pure.

This is the only place that decides it. Most occurrences are moments: a span of no length, whatever follows. The others
last as long as the thing itself took, which need not be as long as its effects:

- A change lasts until its object has done what it asks for, or until it is given up for a later change: a rollout until
  it is complete, the creation of a Pod until it is ready, of a Job until it is complete, a deletion until the object is
  gone. The change of an object that has nothing to do is a moment.
- A condition that is bad, or names an activity or a state (``Issuing``, ``Suspended``), lasts until it changes again. A
  good or final one is a moment, and so is a phase.
- An Event in the table below lasts until the Event or condition that ends it, or as long as the message of that states.
- Ends and restarts of containers are moments. So are repeats: they do not make a span longer.

What has not ended when its trace is closed lasts until the last thing that the trace shows. A deletion lasts until the
trace is closed: the object is still there.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from kspan.graph.observe.condition_diff import PHASE, is_bad, is_state
from kspan.graph.state.records import Occurrence
from kspan.k8s.containers import image_facts
from kspan.times import SECOND


def _table(entries: Mapping[str, str]) -> dict[tuple[str, str], frozenset[str]]:
    found: dict[tuple[str, str], frozenset[str]] = {}
    for begins, ends in entries.items():
        for begin in begins.split():
            kind, _, reason = begin.partition(".")
            found[kind, reason] = frozenset(ends.split())
    return found


_UNTIL = _table(
    {
        # The kubelet (pkg/kubelet/events). What it does next with a container shows that the step before is over, also
        # where the Event that ends it is lost.
        "Pod.Pulling": "Pulled Failed BackOff Created Started",
        "Pod.Started": "Ready Succeeded Failed Killing BackOff ContainerTerminated",
        "Pod.BackOff": "Pulling Pulled Created Started ContainerRestarted",
        "Pod.Killing": "ContainerTerminated ContainerRestarted Created Started Succeeded Failed",
        "Pod.FailedMount Pod.FailedMapVolume": "FailedMount FailedMapVolume Pulling Pulled Created Started",
        "Pod.FailedAttachVolume": "SuccessfulAttachVolume FailedAttachVolume Pulling Pulled Created Started",
        "Pod.ResizeStarted Pod.ResizeDeferred": (
            "ResizeStarted ResizeCompleted ResizeDeferred ResizeInfeasible ResizeError"
        ),
        # The scheduler.
        "Pod.FailedScheduling": "Scheduled FailedScheduling",
        # Claims and volumes (pkg/controller/volume/events, external-provisioner, external-resizer).
        "PersistentVolumeClaim.WaitForFirstConsumer PersistentVolumeClaim.WaitForPodScheduled": (
            "WaitForPodScheduled Provisioning ExternalProvisioning ProvisioningSucceeded ProvisioningFailed Bound"
        ),
        "PersistentVolumeClaim.Provisioning PersistentVolumeClaim.ExternalProvisioning": (
            "ProvisioningSucceeded ProvisioningFailed Bound"
        ),
        "PersistentVolumeClaim.FailedBinding PersistentVolumeClaim.ProvisioningFailed": (
            "FailedBinding ProvisioningFailed Provisioning ProvisioningSucceeded Bound"
        ),
        "PersistentVolumeClaim.Resizing": "FileSystemResizeRequired FileSystemResizeSuccessful VolumeResizeFailed",
        # Nodes (pkg/kubelet/events, node lifecycle controller).
        "Node.NodeNotReady": "NodeReady Ready",
        "Node.NodeNotSchedulable": "NodeSchedulable",
        "Node.NodeHasDiskPressure": "NodeHasNoDiskPressure",
        "Node.NodeHasInsufficientMemory": "NodeHasSufficientMemory",
        "Node.NodeHasInsufficientPID": "NodeHasSufficientPID",
        # Others.
        "Job.Suspended": "Resumed",
        "Application.OperationStarted": "OperationCompleted",
        "TaskRun.Started PipelineRun.Started": "Succeeded Failed Cancelled",
    }
)
"""Reasons that begin something → reasons and conditions of the same object that end it; of the same container, if it is
about one."""

_FINAL = frozenset([("Failed", "True"), ("FailureTarget", "True"), ("Succeeded", "False")])
"""Conditions (of Jobs, of the runs of Tekton) that never change again: type and status."""

_ROLLED_OUT = ("Deployment", "Progressing")
"""This condition stays true when the rollout is complete (pkg/controller/deployment/progress.go)."""

_STEPS = frozenset(["Pulling", "Pulled", "Created", "Started"])
"""Events about any container of a Pod that show that the init container before is done, or started."""


class _Sign(NamedTuple):
    """A time (ns) at which an object had an occurrence, or a repeat of one."""

    time: int
    arrival: int
    occ: Occurrence
    message: str


def lasts(occ: Occurrence) -> bool:
    """True for a change, and for a condition that is not a moment: they last until ``until``."""
    if not occ.condition:
        return bool(occ.verb)
    state = occ.condition, occ.condition_status
    if occ.condition_status == PHASE or state in _FINAL:
        return False
    if is_state(occ.condition):
        return occ.condition_status != "False"
    if occ.condition.endswith("ing") and (occ.kind, occ.condition) != _ROLLED_OUT:
        return occ.condition_status == "True"
    return is_bad(*state)


def is_ended_by(occ: Occurrence, reason: str) -> bool:
    """True if an occurrence with this reason, about the same object, ends what an Event reports."""
    return reason in _UNTIL.get((occ.kind, occ.reason), ())


def end_so_far(occ: Occurrence) -> int:
    """Return the end of a span (ns), as far as the occurrence alone shows it."""
    return max(occ.time, occ.until) if lasts(occ) else occ.time


def last_time(members: Iterable[Occurrence], starts: Mapping[str, int]) -> int:
    """Return the time of the last thing that the occurrences of a trace show (ns)."""
    return max((_last(occ, starts[occ.id]) for occ in members), default=0)


def _last(occ: Occurrence, start: int) -> int:
    last = max(start, occ.until) if lasts(occ) else start
    return max(last, last_addition(occ)) if occ.repeats or occ.notes else last


def last_addition(occ: Occurrence) -> int:
    """Return the time of the last repeat or note of an occurrence (ns); 0 if it has none."""
    return max([*(r.time for r in occ.repeats), *(n.time for n in occ.notes)], default=0)


def end_times(members: Iterable[Occurrence], starts: Mapping[str, int], now: int = 0) -> dict[str, int]:
    """Return the end of each span (ns).

    Args:
        members: the occurrences of a trace.
        starts: the start of each by span id (ns).
        now: event time, if the trace is being closed.
    """
    members, last = list(members), 0
    ends: dict[str, int] = {}
    open_ended: list[tuple[Occurrence, frozenset[str]]] = []
    for occ in members:
        start = starts[occ.id]
        if lasts(occ):
            if not occ.until:
                last = last or last_time(members, starts)
            ends[occ.id] = max(start, occ.until or (max(last, now) if occ.verb == "Delete" else last))
        elif until := _UNTIL.get((occ.kind, occ.reason)) if occ.run is None else None:
            open_ended.append((occ, until))
        else:
            ends[occ.id] = start
    if open_ended:
        signs = _signs_by_object(members, starts, {occ.uid for occ, _ in open_ended})
        for occ, until in open_ended:
            ends[occ.id] = _end(occ, until, starts[occ.id], signs[occ.uid], ends)
    return ends


def _signs_by_object(
    members: Iterable[Occurrence], starts: Mapping[str, int], uids: set[str]
) -> Mapping[str, list[_Sign]]:
    """Return what happened to some objects, in order."""
    signs: dict[str, list[_Sign]] = defaultdict(list)
    for occ in members:
        if occ.uid in uids:
            signs[occ.uid].append(_Sign(starts[occ.id], occ.arrival, occ, occ.message))
            signs[occ.uid] += [_Sign(r.time, r.arrival, occ, r.message) for r in occ.repeats]
    for found in signs.values():
        found.sort(key=lambda sign: sign[:2])
    return signs


def _end(occ: Occurrence, until: frozenset[str], start: int, signs: list[_Sign], ends: Mapping[str, int]) -> int:
    """Return when something ended that an Event reports (ns)."""
    later = [sign for sign in signs if sign[:2] > (start, occ.arrival)]
    for sign in later:
        if sign.occ is not occ and _ends(occ, until, sign.occ):
            return max(start, _ended_at(occ, start, sign))
    # A Pod that is not ready yet is still waiting for what it waited for. When it is gone, its containers are stopped.
    verbs = ("Delete",) if occ.reason == "Killing" else ("Create", "Update")
    change = max((ends[sign.occ.id] for sign in signs if sign.occ.verb in verbs), default=0)
    # Something that waits reports that again and again. A repeat of anything else is another piece of work.
    waits = occ.reason in until
    return max([start, change, *(sign.time for sign in later if sign.occ is not occ or waits)])


def _ends(occ: Occurrence, until: frozenset[str], later: Occurrence) -> bool:
    if later.verb == "Delete":
        return occ.reason != "Killing"
    if later.reason in until and (not occ.field_path or later.field_path in ("", occ.field_path)):
        return True
    # Init containers run one after the other.
    is_init = occ.reason == "Started" and occ.field_path.startswith("spec.initContainers")
    return is_init and later.reason in _STEPS and later.field_path != occ.field_path


def _ended_at(occ: Occurrence, start: int, sign: _Sign) -> int:
    """Return when something ended (ns), by the occurrence that ends it or what its message states."""
    if (occ.reason, sign.occ.reason) == ("Pulling", "Pulled") and (facts := image_facts(sign.message)) is not None:
        stated = facts.waited or facts.pulled_in
        return start + stated if stated else sign.time
    if sign.occ.run is not None and sign.occ.time <= start:
        # The status of a Pod has whole seconds.
        return min(sign.occ.time + SECOND, sign.occ.received)
    return sign.time
