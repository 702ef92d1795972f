"""When a trace is resolved, and its final rows. Pure.

A trace is resolved when every occurrence that may join it has its cause, nothing has been added to it for a while, and
no object in it is progressing. It is closed once, as a whole; its occurrences leave the graph.
"""

from typing import Any

from msgspec.structs import replace

from kspan import vocabulary as words
from kspan.graph.cause import evidence
from kspan.graph.cause.choose import Chooser
from kspan.graph.state.records import ObjectState, Occurrence, Trace
from kspan.graph.state.rows import closed_root_row, closed_span_row, with_image
from kspan.graph.state.state import State
from kspan.graph.trace.durations import end_times, last_addition
from kspan.graph.trace.estimated_times import with_estimated_times
from kspan.graph.trace.failing import NOTHING, Failing, FailingTraces
from kspan.graph.trace.late_lists import awaits_owner
from kspan.graph.trace.placement import Placer
from kspan.graph.trace.span_times import children_of, start_times
from kspan.graph.trace.verdict import Judge
from kspan.graph.trace.waiting import WaitingOccurrences
from kspan.k8s.workloads import container_images
from kspan.model import SpanRow, TraceRow, TraceState
from kspan.settings import FoldSettings
from kspan.times import SECOND

QUIET_AGE = 96
"""Close a quiet trace at this age, in times of ``max_trace_age``: a day with the default of 15 minutes."""

LATE_LISTS = 3
"""For how many times ``settle`` a deletion that a list showed after a gap waits for lists of other streams."""


class TraceCloser:
    """Checks open traces and closes those that are resolved."""

    def __init__(self, state: State, settings: FoldSettings, chooser: Chooser) -> None:
        self.state = state
        self.settings = settings
        self.placer = Placer(state)
        self.waiting = WaitingOccurrences(state, chooser)
        self.failing = FailingTraces(state, settings)
        self.judge = Judge(state, settings)

    def check(self, name: str) -> None:
        """Close the trace if it is resolved, otherwise schedule another check."""
        trace, now = self.state.trace(name), self.state.clock.now
        if trace is None or now < trace.check:
            return  # Stale timer; a later check is scheduled.
        if trace.quiet:
            self._check_quiet(trace)
            return
        failing = self.failing.find(trace)
        if failing.objects:
            self.state.note_failing(trace, [obj.uid for obj in failing.objects])
            if now < failing.due:
                self.state.note_verdict(trace, self.judge.so_far(trace, failing, ()))
                self.state.check_again(trace, failing.due)
            else:
                self._close(trace, failing)
            return
        # What was failing for hours has as much time to recover as anything else. After an outage, what happened
        # meanwhile gets the time to join the trace.
        opened, resumed = max(trace.opened, trace.failing_until), self.state.clock.resumed
        expires = max(opened + self.settings.max_trace_age, resumed + self.settings.settle)
        quiet_until = self._quiet_until(trace)
        if now < min(quiet_until, expires) and not (trace.warning or trace.failing or trace.outcome):
            self.state.check_again(trace, min(quiet_until, expires))  # Nearly every trace, at its first check.
            return
        objects = self._objects(trace)
        if now >= expires:
            self._close(trace, NOTHING, incomplete=any(o.progressing or self._is_left_with_pods(o) for o in objects))
            return
        again = self._check_again_at(trace, objects, quiet_until)
        if again:
            self.state.note_verdict(trace, self.judge.so_far(trace, failing, objects))
            soon = now + self.settings.settle if trace.failing else expires
            self.state.check_again(trace, min(again, expires, soon))
        else:
            self._close(trace, NOTHING)

    def _check_quiet(self, trace: Trace) -> None:
        """Close a quiet trace when nothing routine has happened for as long as another trace may last.

        Tools reconcile every few minutes. What a list shows happened long before it was received.
        """
        longest = self.settings.max_trace_age
        received = max(trace.active, self.state.clock.resumed)
        until = max(received + self.settings.settle, min(trace.last + longest, trace.opened + QUIET_AGE * longest))
        if self.state.clock.now < until:
            self.state.check_again(trace, until)
        else:
            self._close(trace, NOTHING)

    def _quiet_until(self, trace: Trace) -> int:
        """Until when something may still join the trace that had happened before now (ns)."""
        # What happened in an outage is received at its end.
        return max(trace.active + self._settle(trace), self.state.clock.resumed + self.settings.settle)

    def _check_again_at(self, trace: Trace, objects: list[ObjectState], quiet_until: int) -> int:
        """When to check the trace again (ns); 0 if it is resolved."""
        now = self.state.clock.now
        if now < quiet_until:
            return quiet_until
        # What waits and may join the trace has to be decided first.
        received = self.waiting.newest(trace, objects)
        if received:
            decided = received + self.settings.hold
            return decided if decided > now else now + self.settings.hold
        # What happens now may be the beginning of another trace, to which the object belongs from then on.
        taken = self.waiting.taken(trace, objects)
        # An object that stopped progressing just now may have caused something that was not received yet.
        settled = (o.settled for o in objects if o.uid not in taken or o.settled < taken[o.uid])
        quiet_until = max(settled, default=0) + self._settle(trace)
        if now < quiet_until:
            return quiet_until
        objects = [o for o in objects if o.uid not in taken]
        if any(o.progressing or self._is_awaited(o) for o in objects):
            return now + self.settings.settle
        members = self.state.members(trace.id)
        if awaits_owner(self.state, members, LATE_LISTS * self.settings.settle):
            return now + self.settings.settle
        if any(occ.reason == "Killing" and self._is_being_stopped(occ) for occ in members):
            return now + self.settings.settle
        return 0

    def _is_being_stopped(self, killing: Occurrence) -> bool:
        """True if a container of which an Event reports that it is stopped has not ended yet: it has
        ``terminationGracePeriodSeconds``. The progress of a Pod that is being deleted has its own end."""
        pod = self.state.object(killing.uid)
        if pod is None or not pod.rv or pod.deleting or pod.deleted or not killing.field_path:
            return False
        since = max([killing.time, *(repeat.time for repeat in killing.repeats)]) - evidence.SLACK
        ends = [t for t in pod.containers if t.ended and t.field_path == killing.field_path and t.time >= since]
        # One that waits for its cause is going to join the trace. The status of a failed Pod may show no containers.
        waiting = any(not turn.trace and self.state.holds(turn.span) for turn in ends)
        return waiting or not (ends or pod.failed)

    def _is_awaited(self, obj: ObjectState) -> bool:
        """True if Pods have yet to leave this Node, or if controllers that were refused because of this object are
        going to retry after its newest change."""
        if obj.kind == "Node" and obj.changes and obj.changes[-1].effect == "evicts":
            return self._is_tolerated(obj.name, obj.changes[-1].time)
        if self._is_left_with_pods(obj):
            return True
        refused_by = self.state.objects.refused_by
        refused = [*refused_by(obj.kind, obj.namespace, obj.name), *refused_by(obj.kind, obj.namespace, "")]
        changed = obj.changes[-1].time if obj.changes else 0
        settled = self.state.clock.now - self.settings.settle
        # A Pod that waits for any Node may wait forever.
        return obj.kind != "Node" and any(
            r.first <= changed and (w.progressing or w.settled > settled)
            for w in refused
            for r in w.refusals
            if (r.kind, r.namespace) == (obj.kind, obj.namespace) and r.name in ("", obj.name)
        )

    def _is_left_with_pods(self, obj: ObjectState) -> bool:
        """True for a Node that was deleted and still has Pods: the Pod garbage collector deletes them after about a
        minute, unless a Node with this name joins before."""
        if obj.kind != "Node" or not obj.deleted:
            return False
        again = any(node.rv and not node.deleted for node in self.state.objects.named("Node", "", obj.name))
        pods = self.state.objects.pods_on(obj.name)
        return not again and any(not pod.deleted or self.state.is_pending(pod.uid) for pod in pods)

    def _is_tolerated(self, node: str, since: int) -> bool:
        """True if a Pod stays on a Node for some time although the Node was tainted at ``since`` (ns)."""
        now = self.state.clock.now - self.settings.settle
        pods = (pod for pod in self.state.objects.pods_on(node) if pod.toleration_seconds)
        return any(
            self.state.is_pending(pod.uid)
            or (not pod.deleting and now < max(since, pod.created) + pod.toleration_seconds * SECOND)
            for pod in pods
        )

    def _settle(self, trace: Trace) -> int:
        quiet = self.settings.settle_after_warning if trace.warning else self.settings.settle
        # The next Event may be as late as the last one, which was already late.
        return quiet + 2 * self.state.clock.event_lag()

    def _objects(self, trace: Trace) -> list[ObjectState]:
        """The objects whose newest change or failure is in this trace. Objects with a newer change belong to another
        trace."""
        if self.failing.continuation(trace) is not None:
            return self.failing.objects(trace)
        uids = {occ.uid for occ in self.state.members(trace.id)}
        found = map(self.state.object, sorted(uids) if len(uids) > 1 else uids)
        return [obj for obj in found if obj is not None and _concerns(trace, obj)]

    # closing ---------------------------------------------------------------------------------------------------------

    def _close(self, trace: Trace, failing: Failing, *, incomplete: bool = False) -> None:
        members = sorted(self.state.members(trace.id), key=lambda o: (o.time, o.id))
        if self._is_unfounded(trace, members, failing):
            self.state.discard_trace(trace)
            return
        self.placer.gather_roots(members)
        self.placer.name_trace(trace)
        members = with_estimated_times(members)
        children = children_of(members)
        starts = start_times(children)
        ends = end_times(members, starts, self.state.clock.now)
        root = children[""][0]
        objects = self._objects(trace)
        if not incomplete:
            taken = self.waiting.taken(trace, objects)
            objects = [obj for obj in objects if obj.uid not in taken]
        verdict = self.judge.closed(trace, members, objects, failing, incomplete=incomplete)
        verdict = verdict._replace(superseding_trace=self.placer.final_id(verdict.superseding_trace))
        spans: list[tuple[Occurrence, SpanRow]] = []
        where: dict[tuple[str, str], dict[str, Any]] = {}
        for occ in members:
            host = occ.instance if occ.actor == "kubelet" else ""
            known = where.get((occ.uid, host))
            if known is None:
                known = where[occ.uid, host] = self._where(occ, host)
            place = occ, starts[occ.id], ends[occ.id], known
            is_root = occ is root
            row = (
                closed_root_row(*place, verdict, incomplete=incomplete, continues=self._continued(trace))
                if is_root
                else closed_span_row(*place)
            )
            if occ.field_path:
                row = with_image(row, self._image(occ))
            if occ.resumes:
                row = replace(row, links=[*row.links, *self.placer.resumed(occ)])
            spans.append((occ, row))
        closed = TraceRow(
            trace_id=trace.id,
            state=TraceState.CLOSED,
            root_span_id=root.id,
            previous_trace_id=trace.previous_trace,
            opened_at=trace.opened,
            closed_at=self.state.clock.now,
            start_time=min(starts.values()),
            end_time=max([*ends.values(), *(last_addition(occ) for occ in members if occ.repeats or occ.notes)]),
            span_count=len(members),
            incomplete=incomplete,
            error=bool(verdict.error),
            fold=b"",
            outcome=str(verdict.outcome),
            reason=verdict.reason,
            warnings=sum(occ.warning for occ in members),
        )
        self.failing.close(trace, failing, root)
        self.state.close_trace(trace, closed, spans)

    def _is_unfounded(self, trace: Trace, members: list[Occurrence], failing: Failing) -> bool:
        """True if a trace only has changes that nobody saw, and to which nothing refers."""
        if not all(occ.inferred_from and occ.verb and not occ.notes for occ in members):
            return False
        return not (failing.objects or trace.failing or trace.remote or self.failing.continuation(trace) is not None)

    def _continued(self, trace: Trace) -> tuple[str, ...]:
        """The closed traces that a trace continues."""
        known = self.failing.continuation(trace)
        return (trace.previous_trace, *(known.follows if known is not None else ()))

    def _where(self, occ: Occurrence, host: str) -> dict[str, Any]:
        """The attributes of an object that other objects determine: its node (or the ``host`` whose kubelet reported),
        and the owners that control it; of a Pod also its labels. They become a part of the closed span: objects change,
        and retention deletes them, but a span that is sent again must be the same."""
        obj = self.state.object(occ.uid)
        node = obj.node if obj is not None and obj.node else host
        found: dict[str, Any] = {words.NODE_NAME: node} if node else {}
        if obj is None:
            return found
        for owner in self.state.objects.owners_above(obj):
            found |= words.owner_attribute(owner.owner_kind, owner.owner_name)
        for key, value in obj.span_labels:
            found[words.pod_label(key)] = value
        return found

    def _image(self, occ: Occurrence) -> str:
        """The image of the container that an occurrence is about; empty if its Pod was not seen."""
        obj = self.state.object(occ.uid)
        return container_images(obj.spec).get(occ.field_path, "") if obj is not None and obj.kind == "Pod" else ""

    # objects ---------------------------------------------------------------------------------------------------------

    def forget_object(self, uid: str) -> None:
        """Forget an object that was deleted, or only referenced, long enough ago.

        It stays while a trace of it is open, one of its occurrences waits, or it has dependents in the cluster: their
        deletion still refers to it.
        """
        obj = self.state.object(uid)
        if obj is None or self.state.clock.now < obj.forget or (obj.rv and not obj.deleted):
            return
        if self._is_needed(obj):
            self.state.objects.postpone_forgetting(obj)
        else:
            self.state.objects.forget(obj)

    def _is_needed(self, obj: ObjectState) -> bool:
        return (
            self.state.is_pending(obj.uid)
            or any(map(self.state.is_open, (*obj.episodes, obj.quiet)))
            or any(self.state.is_open(change.trace) for change in obj.changes)
            or any(self.failing.may_continue(kept) for kept in obj.continuations)
            or any(not dependent.deleted for dependent in self.state.objects.dependents(obj.uid))
        )


def _concerns(trace: Trace, obj: ObjectState) -> bool:
    # A newer change without a trace is not decided yet.
    act = obj.last_act
    if act is None or act.trace in ("", trace.id):
        return True
    # Newer transitions, without a trace, are not decided yet.
    last = next((t for t in reversed(obj.transitions) if t.trace), None)
    return last is not None and last.bad and last.trace == trace.id
