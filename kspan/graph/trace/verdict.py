"""How a trace ended: its outcome, and why. Pure.

This is the only place that decides it. The outcome is stored with the trace, also while the trace is open; exports,
queries and SQL read it there.

A Warning counts until something shows that it is over: a later occurrence of its object that is not bad, the health of
the object, or that of the owner which controls it. Only a later occurrence shows that the Warning that began the trace
is over: an object can be healthy although a Warning was reported about it.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import cache, partial

from kspan.graph.observe.condition_diff import PHASE, is_bad
from kspan.graph.observe.field_managers import service_of
from kspan.graph.observe.rollout_status import ASSESSED
from kspan.graph.state.records import KnownChange, News, ObjectState, Occurrence, Trace
from kspan.graph.state.state import State
from kspan.graph.trace.deletions import unfinished
from kspan.graph.trace.durations import is_ended_by
from kspan.graph.trace.failing import Failing, FailingTraces
from kspan.k8s.containers import Ended, Restarted
from kspan.model import Outcome, Verdict
from kspan.settings import FoldSettings
from kspan.times import SECOND, parse_time_or_zero

_ATTEMPTS = frozenset(["BackOff", "Killing", "Pulling", "SandboxChanged"])
"""Normal Events of a kubelet about what it begins, or ends: they do not show that a failure is over."""


_LOOPS = frozenset(["BackOff", "CrashLoopBackOff"])
"""Reasons of a failure of a Pod whose container fails again and again."""

_RESTARTED = "will be restarted"
"""In a message of Killing: the container is stopped, not the Pod (pkg/kubelet/kuberuntime, computePodActions)."""

NOT_DECIDED = Verdict(None)


_REMARKS = frozenset([("CronJob", "UnexpectedJob"), ("Namespace", "KubeAPIReadyz")])
"""Warnings by which nothing failed: somebody created a Job of a CronJob by hand
(k8s.io/kubernetes pkg/controller/cronjob/cronjob_controllerv2.go); an API server of OpenShift is ready."""

_LOST = ("Node", "NodeNotReady")
"""A Normal Event that reports a failure (pkg/controller/util/node, RecordNodeStatusChange)."""


class Judge:
    """Decides how traces ended."""

    def __init__(self, state: State, settings: FoldSettings) -> None:
        self.state = state
        self.settings = settings
        self.failing = FailingTraces(state, settings)

    def so_far(self, trace: Trace, failing: Failing, objects: Sequence[ObjectState]) -> Verdict:
        """How an open trace stands: failing, or not decided. ``objects`` are those of the trace."""
        if failing.objects:
            return Verdict(Outcome.FAILING, failing.reason)
        if not trace.warning:
            return NOT_DECIDED
        lasting, _ = self._lasting(self.state.members(trace.id), objects)
        return Verdict(Outcome.FAILING, _said(lasting[0])) if lasting else NOT_DECIDED

    def closed(
        self,
        trace: Trace,
        members: list[Occurrence],
        objects: Sequence[ObjectState],
        failing: Failing,
        *,
        incomplete: bool,
    ) -> Verdict:
        """How a trace ended that is being closed.

        Args:
            trace: the trace.
            members: its occurrences.
            objects: the objects whose newest change or failure is in it.
            failing: those that are failing, if it is closed for that.
            incomplete: it is closed by age while something is in progress.
        """
        if trace.quiet:
            return Verdict(Outcome.OK, "")
        uids = {obj.uid for obj in objects}
        # A failed Pod of a Job that succeeds does not count.
        failed = [obj for obj in objects if obj.failed and obj.owner not in uids]
        ended = [obj for obj in failed if not obj.progressing]
        if ended or (failed and not failing.objects):
            obj = (ended or failed)[0]
            return Verdict(Outcome.FAILED, f"{obj.kind} {obj.name} failed")
        if failing.objects:
            return Verdict(Outcome.FAILED if failing.final else Outcome.FAILING, failing.reason)
        return self._without_failure(trace, members, objects, incomplete=incomplete)

    def _without_failure(
        self, trace: Trace, members: list[Occurrence], objects: Sequence[ObjectState], *, incomplete: bool
    ) -> Verdict:
        failed = trace.warning or any(map(_fails, members))
        lasting, dropped = self._lasting(members, objects) if failed else ([], [])
        crashing = self._crashing(trace, members) if trace.warning else None
        if crashing is not None:
            return crashing
        if incomplete and not lasting and (superseded := self._interrupted(trace, members)) is not None:
            return superseded
        if incomplete:
            uids = {obj.uid for obj in objects}
            busy = next((obj for obj in objects if obj.progressing and obj.owner not in uids), None)
            reason = unfinished(busy, members) if busy is not None else "did not finish"
            left = next((obj for obj in objects if obj.kind == "Node" and obj.deleted), None)
            if busy is None and left is not None:
                reason = f"Pods are left on Node {left.name}, which was deleted"
            return Verdict(Outcome.FAILING if lasting else Outcome.INCOMPLETE, reason)
        began_badly = any(_fails(occ) and not occ.place.parent for occ in members)
        for occ in lasting:
            if began_badly or not self._is_gone(occ):
                return Verdict(Outcome.FAILED, _said(occ))
        if lasting:
            return Verdict(Outcome.UNKNOWN, f"{_said(lasting[0])}; nobody saw how it went on")
        return self._without_warning(trace, members, dropped)

    def _without_warning(self, trace: Trace, members: list[Occurrence], dropped: list[Occurrence]) -> Verdict:
        """The verdict about a trace in which nothing fails any more."""
        known = self.failing.continuation(trace)
        superseded = self._interrupted(trace, members)
        if superseded is not None:
            return superseded
        failed = {*trace.failing, *(known.failing if known is not None else ())} - _recovered(members)
        failed = {uid for uid in failed if (obj := self.state.object(uid)) is None or not _is_bound(obj)}
        if failed:
            there = {obj.uid for obj in self.failing.objects(trace) if not obj.deleting and not obj.deleted}
            if failed.isdisjoint(there):
                return self._replaced(sorted(failed), members)
        if dropped:
            return self._replaced([occ.uid for occ in dropped], members)
        began_badly = any(_fails(occ) and not occ.place.parent for occ in members)
        return Verdict(Outcome.RECOVERED if known is not None or began_badly else Outcome.OK)

    # Warnings --------------------------------------------------------------------------------------------------------

    def _lasting(
        self, members: Iterable[Occurrence], objects: Sequence[ObjectState]
    ) -> tuple[list[Occurrence], list[Occurrence]]:
        """The newest Warning of each object of which nothing shows that it is over, by time; and apart from them those
        whose object was deleted or changed by another trace."""
        members = list(members)
        warnings = _newest_warnings(members)
        if not warnings:
            return [], []
        by_object: dict[str, list[Occurrence]] = defaultdict(list)
        for occ in members:
            if occ.uid in warnings:
                by_object[occ.uid].append(occ)
        known = {obj.uid: obj for obj in objects}
        lasting, dropped = [], []
        for uid, occurrences in by_object.items():
            last, obj = warnings[uid], self.state.object(uid)
            if obj is None or not obj.rv:
                over = False
                if any(_is_end(occ) for occ in occurrences):
                    dropped += [last] if not last.place.parent else []
                    continue
            elif _is_dropped(obj, last, known):
                over = _is_bound(obj) or any(occ.verb == "Delete" for occ in occurrences)
                over = over or any(o.uid == obj.owner and _is_over_with(o, obj.changes) for o in members)
                dropped += [] if over else [last]
                continue
            else:
                began = any(_fails(occ) and not occ.place.parent for occ in occurrences)
                over = _is_healed(last, obj, known, began=began)
            lasting += [] if over else [last]
        return sorted(lasting, key=_by_time), sorted(dropped, key=_by_time)

    def _crashing(self, trace: Trace, members: list[Occurrence]) -> Verdict | None:
        """The verdict if a container that failed was started again, and did not run for long enough to have recovered.

        It has when it ran for longer than its runs in this trace that failed, or for longer than a trace is kept open
        after a Warning.
        """
        clock, enough = self.state.clock, self.settings.settle_after_warning
        for restart, failed in _restarted(members):
            pod = self.state.object(restart.uid)
            if pod is None or pod.deleting or pod.deleted:
                continue
            runs = [run for end in failed if (run := _run_of(end))[0] >= trace.first - SECOND]
            longest = max((finished - started for started, finished in runs), default=0)
            if not runs or clock.watched - restart.time > min(longest + SECOND, enough):
                continue
            shown = next((f for f in pod.failures if f.reason in _LOOPS), None)
            if shown is not None:
                return Verdict(Outcome.FAILING, f"Pod {pod.name} is failing: {shown.reason} ({shown.rule})")
            return Verdict(Outcome.UNKNOWN, f"{_said(failed[-1])}; nobody saw how it went on")
        return None

    def _is_gone(self, warning: Occurrence) -> bool:
        """True if the object of a Warning was never seen although others of its kind were: it was gone before."""
        obj = self.state.object(warning.uid)
        if obj is not None and obj.rv:
            return False
        return self.state.objects.has_seen(warning.kind)

    # what came instead -----------------------------------------------------------------------------------------------

    def _interrupted(self, trace: Trace, members: list[Occurrence]) -> Verdict | None:
        """The verdict if a change in another trace replaced what this one did before that was finished."""
        # An Event of a CronJob is above the Job that it created, but no change of the CronJob is.
        uids = {occ.uid for occ in members if occ.verb in ("Create", "Update")}
        loses_pods = cache(partial(self._loses_pods, trace, members))  # It looks at all of them.
        for occ in members:
            obj = self.state.object(occ.uid) if occ.verb in ("Create", "Update") else None
            if obj is None or obj.owner in uids:
                continue
            later = _interruption(trace, obj, occ, loses_pods=loses_pods)
            if later is not None:
                return _superseded_by(later, obj, members)
        return None

    def _loses_pods(self, trace: Trace, members: list[Occurrence]) -> bool:
        """True if another trace deleted a Pod that this one created, before it was ready."""
        for uid, own in _created_pods(members).items():
            pod = self.state.object(uid)
            last = pod.changes[-1] if pod is not None and pod.changes else None
            if last is None or last.verb != "Delete" or last.trace in ("", trace.id):
                continue
            if not _is_ready(own, last.time, last.rv if last.exact else 0):
                return True
        return False

    def _replaced(self, uids: list[str], members: list[Occurrence]) -> Verdict:
        """The verdict if the objects that failed were deleted or changed by another trace."""
        for obj in map(self.state.object, uids):
            act = obj.last_act if obj is not None else None
            if obj is not None and isinstance(act, News):
                reason = f"superseded by revision {act.revision}, which {obj.kind} {obj.name} applies"
                return Verdict(Outcome.SUPERSEDED, reason, act.span)
            if obj is not None and obj.changes and obj.changes[-1].verb:
                return _superseded_by(obj.changes[-1], obj, members)
        return Verdict(Outcome.SUPERSEDED, "what failed was deleted")


def _superseded_by(change: KnownChange, obj: ObjectState, members: list[Occurrence]) -> Verdict:
    by = f" by {service_of(change.manager)}" if change.manager else ""
    # Without its time: that of a change that was not watched is an estimate, and the linked span has it.
    what = (
        f"{obj.kind} {obj.name} was deleted"
        if change.verb == "Delete"
        else f"superseded by {obj.kind}.{change.verb} {obj.name}"
    )
    reason = f"{what}{by}{_reached(members, change)}"
    return Verdict(Outcome.SUPERSEDED, reason, change.span, change.trace)


def _interruption(
    trace: Trace, obj: ObjectState, begun: Occurrence, *, loses_pods: Callable[[], bool]
) -> KnownChange | None:
    """The change in another trace that interrupted what the changes of an object in this trace had begun.

    It is the first that can, and only if the object was still doing what ``begun`` and its other changes in this trace
    wanted: what it had reached before cannot be interrupted, and after a change that could have interrupted and found
    nothing to interrupt, the object is doing what that one wants.
    """
    ours = [i for i, change in enumerate(obj.changes) if change.trace == trace.id and change.verb]
    if not ours:
        return None
    others = [change for change in obj.changes[ours[-1] + 1 :] if change.trace != trace.id]
    # A new template leaves a change of the replicas as it is, and so does that of a paused Deployment. But the Pods
    # that were created for it are deleted.
    rolls_out = any(_rolls_out(obj.changes[i]) for i in ours) or (bool(others) and loses_pods())
    later = next((change for change in others if change.verb == "Delete" or (rolls_out and _takes_over(change))), None)
    if later is None or not later.interrupts:
        return None
    return later if _is_order_to_stop(later) or not _was_done(begun, others) else None


def _takes_over(change: KnownChange) -> bool:
    """True for a change after which the object does something else: a new template, or an order to stop."""
    return change.interrupts or change.template_changed


def _is_order_to_stop(change: KnownChange) -> bool:
    """True for a request in the status, which also stops what waits without doing anything: a paused rollout."""
    return change.interrupts and change.verb == "Update" and not change.template_changed


def _was_done(begun: Occurrence, later: list[KnownChange]) -> bool:
    """True if the object had reached what an occurrence began before any of the later changes interrupted it.

    An interruption ends what was begun as well (``Objects.end_changes``), at its own time. What ended when it began is
    a moment: nobody saw how long it took.
    """
    return begun.until > begun.time and not any(change.interrupts and change.time <= begun.until for change in later)


def _is_over_with(above: Occurrence, changes: list[KnownChange]) -> bool:
    """True if an occurrence of the owner of an object, with these changes, shows that what was reported about the
    object does not matter: unless another trace deleted it before the owner had what it wanted."""
    if not changes or changes[-1].verb != "Delete":
        return True
    return above.time < above.until <= changes[-1].time


def _rolls_out(change: KnownChange) -> bool:
    if change.effect in ("paused", "resumed"):
        return change.effect == "resumed"
    return change.verb == "Create" or change.template_changed


def _is_dropped(obj: ObjectState, warning: Occurrence, known: dict[str, ObjectState]) -> bool:
    """True if an object was deleted, or changed in another trace, after a Warning about it."""
    if obj.deleting or obj.deleted:
        return True
    act = obj.last_act
    if obj.kind == "Node":  # It is cordoned and tainted, which leaves what its kubelet reported as it is.
        return False
    return obj.uid not in known and act is not None and act.time > _moment(warning)[0]


def _is_healed(warning: Occurrence, obj: ObjectState, known: dict[str, ObjectState], *, began: bool) -> bool:
    """True if the state of an object, or of the owner that controls it, shows that a Warning about it is over."""
    if _is_bound(obj):
        return True
    if (warning.kind, warning.reason) == _LOST:
        return _is_healthy(obj)
    if began:
        return _is_healthy(obj) and obj.reached > _moment(warning)[0]
    here: ObjectState | None = obj
    while here is not None:
        if _is_healthy(here):
            return True
        here = known.get(here.owner)
    return False


def _is_bound(obj: ObjectState) -> bool:
    """True for a claim or volume that is bound, which ends what was reported about it before; also if it is deleted."""
    return ("Bound", PHASE) in obj.conditions


def _reached(members: list[Occurrence], change: KnownChange) -> str:
    """How many of the Pods that were created until a change were ready then, in words; empty if there were none, or if
    that depends on when exactly the change was made, which nobody saw."""
    pods = _created_pods(members)
    if change.exact:
        numbers = {_count(pods.values(), change.time, change.rv)}
    else:
        numbers = {_count(pods.values(), time, 0) for time in (change.time, change.latest)}
    (ready, new), *others = numbers
    return f", when {ready} of {new} new Pods were ready" if new and not others else ""


def _created_pods(members: list[Occurrence]) -> dict[str, list[Occurrence]]:
    """The occurrences of each Pod that was created, by uid."""
    pods: dict[str, list[Occurrence]] = {occ.uid: [] for occ in members if (occ.kind, occ.verb) == ("Pod", "Create")}
    for occ in members:
        if occ.uid in pods:
            pods[occ.uid].append(occ)
    return pods


def _count(pods: Iterable[list[Occurrence]], at: int, rv: int) -> tuple[int, int]:
    """How many Pods were ready at a time (ns) or version (0: unknown), and how many there were."""
    there = [own for own in pods if any(occ.verb == "Create" and _is_before(occ, at, rv) for occ in own)]
    return sum(_is_ready(own, at, rv) for own in there), len(there)


def _is_ready(own: Iterable[Occurrence], at: int, rv: int) -> bool:
    """True if the Pod with these occurrences was ready at a time (ns), or at a version if that is known."""
    newest, ready = 0, False
    for occ in own:
        if occ.condition != "Ready":
            continue
        times = [repeat.time for repeat in occ.repeats if repeat.time < at]
        times += [occ.time] if _is_before(occ, at, rv) else []
        if times and max(times) >= newest:
            newest, ready = max(times), occ.condition_status == "True"
    return ready


def _is_before(occ: Occurrence, at: int, rv: int) -> bool:
    return occ.rv < rv if rv else occ.time < at


def _recovered(members: list[Occurrence]) -> set[str]:
    """The uids of objects that became well, and stayed it as far as a trace has them: no Warning came after that.

    What failed again after it had been well may be well for a moment only: a container that crashes is ready before.
    """
    well: dict[str, tuple[int, int]] = {}
    bad: dict[str, tuple[int, int]] = {}
    for occ in members:
        moment = _moment(occ)
        if occ.warning or (occ.condition and not _is_good(occ)):
            bad[occ.uid] = max(moment, bad.get(occ.uid, moment))
        elif occ.condition and (occ.kind != "Pod" or occ.condition == "Ready"):
            well[occ.uid] = min((occ.time, occ.arrival), well.get(occ.uid, moment))
    return {uid for uid, moment in well.items() if uid not in bad or bad[uid] < moment}


def _restarted(members: list[Occurrence]) -> list[tuple[Occurrence, list[Occurrence]]]:
    """The last restart of each container that runs, after ends with an error: that and those."""
    turns: dict[tuple[str, str], list[Occurrence]] = defaultdict(list)
    for occ in members:
        if occ.run is not None:
            turns[occ.uid, occ.run.field_path].append(occ)
    found = []
    for own in turns.values():
        last = max(own, key=_number)
        failed = [occ for occ in own if occ.warning]
        if isinstance(last.run, Restarted) and failed:
            found.append((last, sorted(failed, key=_number)))
    return found


def _number(occ: Occurrence) -> tuple[int, bool]:
    """The number of the run of a container, and whether this is its end."""
    assert occ.run is not None, "only turns of containers are asked"
    return occ.run.number, isinstance(occ.run, Ended)


def _run_of(end: Occurrence) -> tuple[int, int]:
    """When a run of a container began and ended (ns, in whole seconds); 0: unknown."""
    run = end.run
    return (parse_time_or_zero(run.started), parse_time_or_zero(run.finished)) if isinstance(run, Ended) else (0, 0)


def _newest_warnings(members: list[Occurrence]) -> dict[str, Occurrence]:
    """The newest Warning of each object, by uid, if no later occurrence shows that it is over."""
    newest: dict[str, tuple[tuple[int, int], Occurrence]] = {}
    for occ in members:
        if _fails(occ):
            moment, known = _moment(occ), newest.get(occ.uid)
            if known is None or moment > known[0]:
                newest[occ.uid] = moment, occ
    # What came last is last, mostly, and of a large trace few objects have Warnings: few occurrences are looked at.
    for occ in reversed(members) if newest else ():
        known = newest.get(occ.uid)
        if known is not None and _is_good(occ) and _moment(occ) > known[0] and _is_about(known[1], occ):
            del newest[occ.uid]
    return {uid: occ for uid, (_, occ) in newest.items()}


def _fails(occ: Occurrence) -> bool:
    """True for an occurrence that reports a failure."""
    return (occ.warning and (occ.kind, occ.reason) not in _REMARKS) or (occ.kind, occ.reason) == _LOST


def _is_about(warning: Occurrence, later: Occurrence) -> bool:
    """True if what a later occurrence reports about an object can be the end of what a Warning does.

    The parts of a Node have nothing to do with each other: that Pods are scheduled on it again does not free its disk.
    """
    if warning.kind != "Node":
        return True
    if later.condition:
        return later.condition == warning.condition or is_ended_by(warning, later.condition)
    return is_ended_by(warning, later.reason) or (warning.condition == "Ready" and later.reason == "NodeReady")


def _moment(occ: Occurrence) -> tuple[int, int]:
    """When an occurrence happened last (ns), and its number in the order of arrival."""
    if not occ.repeats:
        return occ.time, occ.arrival
    last = max(occ.repeats, key=lambda repeat: repeat.time)
    return (last.time, last.arrival) if last.time > occ.time else (occ.time, occ.arrival)


def _is_good(occ: Occurrence) -> bool:
    """True for an occurrence that shows that its object does what it should."""
    if occ.warning or occ.verb:
        return False
    if occ.condition:
        return occ.condition_status == PHASE or not is_bad(occ.condition, occ.condition_status)
    return not (occ.kind == "Pod" and occ.reason in _ATTEMPTS)


def _is_end(occ: Occurrence) -> bool:
    if occ.verb == "Delete":
        return True
    ends = occ.kind == "Pod" and occ.reason in ("Killing", "Preempted", "TaintManagerEviction")
    return ends and _RESTARTED not in occ.message


def _is_healthy(obj: ObjectState) -> bool:
    return obj.kind in ASSESSED and not (obj.progressing or obj.failed or obj.deleted)


def _by_time(occ: Occurrence) -> tuple[int, str]:
    return occ.time, occ.id


def _said(occ: Occurrence) -> str:
    """A Warning in words."""
    what = f"{f'{occ.kind} {occ.name}'.strip()}: {occ.reason}"
    return f"{what}: {occ.message}" if occ.message else what
