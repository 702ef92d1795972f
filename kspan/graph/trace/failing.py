"""When a trace is closed because something in it is failing, and what continues it. Pure.

Waiting does not fix some failures (``[[failure]]`` in rules.toml), and people wait for these traces. Such a trace is
closed when the patience with the failure runs out; one episode continues it. While the same failure lasts, the episodes
become longer.
"""

from typing import NamedTuple

from kspan.graph.state.records import Continuation, Failure, ObjectState, Occurrence, Trace
from kspan.graph.state.state import State
from kspan.settings import FoldSettings

FOLLOWED_KEPT = 16
"""Closed traces by which an episode is found: the first one and the newest."""

FAILING_KEPT = 256
"""Failing objects of which a continuation follows how they end."""


class Failing(NamedTuple):
    """The failing objects of a trace."""

    due: int
    """When to close the trace for it (ns); 0: nothing is failing."""
    objects: list[ObjectState]
    """The objects that are failing, those that are due first."""
    reason: str
    """The object and the failure that are due first, in words."""
    final: bool
    """True if nothing in the trace tries again."""


NOTHING = Failing(0, [], "", final=False)


class FailingTraces:
    """Follows failing objects in open traces."""

    def __init__(self, state: State, settings: FoldSettings) -> None:
        self.state = state
        self.settings = settings

    # when ------------------------------------------------------------------------------------------------------------

    def watch(self, occ: Occurrence) -> None:
        """Have the trace of an occurrence checked in time if something in it is failing, or was."""
        trace = self.state.trace(occ.place.trace)
        obj = self.state.object(occ.uid) if trace is not None else None
        if trace is not None and obj is not None and (trace.failing or (obj.failures and _lasting(obj))):
            self.state.check_soon(trace.id)

    def find(self, trace: Trace) -> Failing:
        """Return the failing objects of a trace, and when to close the trace for them."""
        known = self.continuation(trace)
        found = []
        for obj in self._members(trace, known, failing=True):
            for failure in obj.failures if self._exists(obj) else ():
                due = self._due(trace, failure, known)
                if due:
                    found.append((due, obj.uid, failure.rule, obj, failure))
        if not found:
            return NOTHING
        found.sort(key=lambda each: each[:3])
        due, _, _, obj, failure = found[0]
        final = all(each[4].final for each in found)
        return Failing(
            due,
            [each[3] for each in found],
            f"{obj.kind} {obj.name} is failing: {failure.reason} ({failure.rule})",
            final,
        )

    def _exists(self, obj: ObjectState) -> bool:
        """False for an object that was never seen although others of its kind were: an old Event names it."""
        return bool(obj.failures) and (bool(obj.rv) or not self.state.objects.has_seen(obj.kind))

    def _due(self, trace: Trace, failure: Failure, known: Continuation | None) -> int:
        """When to close a trace for a failure (ns); 0 if it is over."""
        # Occurrences are placed when their hold is over.
        begun, now = trace.opened - self.settings.hold, self.state.clock.now
        if not failure.in_status and failure.heard < begun:
            return 0
        if known is not None and failure.rule in known.rules:
            again = self.settings.report_again_after
            due = trace.opened + again[min(known.number, len(again)) - 1]
        else:
            due = max(failure.since, begun) + failure.patience
        # After an outage, a recovery meanwhile gets the time to arrive.
        due = max(due, self.state.clock.resumed + self.settings.settle)
        if not failure.ended:
            return due
        over = failure.ended + self.settings.settle
        return max(due, over) if now < over else 0

    def objects(self, trace: Trace) -> list[ObjectState]:
        """The objects of a trace whose newest change is in it or in a trace that it continues."""
        return self._members(trace, self.continuation(trace))

    def _members(self, trace: Trace, known: Continuation | None, *, failing: bool = False) -> list[ObjectState]:
        """The objects of a trace, which is an episode of ``known``; or only those that fail, or did lately."""
        uids = {occ.uid for occ in self.state.members(trace.id)}
        if known is not None:
            uids.update(known.failing)
        found = [obj for uid in uids if (obj := self.state.object(uid)) is not None and (obj.failures or not failing)]
        if not found:
            return found
        own = {trace.id, trace.previous_trace, *(known.follows if known is not None else ())} - {""}
        return sorted((obj for obj in found if _belongs(obj, own)), key=_uid)

    def continuation(self, trace: Trace) -> Continuation | None:
        """The continuation whose episode a trace is."""
        kept = self.state.objects.continuation(trace.id)
        return kept[1] if kept is not None and kept[1].trace == trace.id else None

    # what follows ----------------------------------------------------------------------------------------------------

    def close(self, trace: Trace, failing: Failing, root: Occurrence) -> None:
        """Prepare what follows a trace that is being closed: an episode if something in it is failing."""
        kept = self.state.objects.continuation(trace.id)
        holder, old = kept if kept is not None else (self._holder(root, failing), None)
        lasting = [obj for obj in failing.objects if _goes_on(obj)]
        if holder is None:
            return
        if old is not None and not lasting:
            self.state.objects.continue_trace(holder, old, None)
        elif lasting:
            self.state.objects.continue_trace(holder, old, self._next(trace, old, lasting, root))
            for obj in lasting:
                if not obj.changes:  # Only Events are known, which name no cause in the closed trace.
                    self.state.objects.set_episodes(obj, (trace.id,))

    def may_continue(self, kept: Continuation) -> bool:
        """True if what follows a trace is open, or may still be opened by something that is failing for long."""
        until = kept.closed + 2 * self.settings.report_again_after[-1]
        return self.state.is_open(kept.trace) or self.state.clock.now < until

    def _next(
        self, trace: Trace, old: Continuation | None, lasting: list[ObjectState], root: Occurrence
    ) -> Continuation:
        rules = {failure.rule for obj in lasting for failure in obj.failures if not failure.ended}
        before, follows = (old.follows, old.root) if old is not None else ((), root.id)
        first, *others = (*before, trace.id)
        repeated = old is not None and rules <= set(old.rules)
        return Continuation(
            trace="",
            follows=(first, *others[1 - FOLLOWED_KEPT :]),
            root=follows,
            failing=tuple(sorted({obj.uid for obj in lasting})[:FAILING_KEPT]),
            rules=tuple(sorted(rules)),
            number=old.number + 1 if old is not None and repeated else 1,
            closed=self.state.clock.now,
        )

    def _holder(self, root: Occurrence, failing: Failing) -> ObjectState | None:
        """The object that keeps what comes after a trace: that of its root, which lives as long as what follows."""
        return self.state.object(root.uid) or next(iter(failing.objects), None)


def _uid(obj: ObjectState) -> str:
    return obj.uid


def _lasting(obj: ObjectState) -> bool:
    return any(not failure.ended for failure in obj.failures)


def _goes_on(obj: ObjectState) -> bool:
    return any(not failure.ended and not failure.final for failure in obj.failures)


def _belongs(obj: ObjectState, traces: set[str]) -> bool:
    """True if the newest change of an object is in one of these traces."""
    act = obj.last_act
    return act is None or act.trace in traces
