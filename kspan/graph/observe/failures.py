"""Whether an object is failing in a way that waiting does not fix, as its status and Events about it show. Pure.

The kubelet writes ``CrashLoopBackOff`` into the status only at the end of a back-off, but reports ``BackOff`` at its
beginning. So both count: the newer of the two. A failure that returns within ``settle_after_warning`` is the same
failure: a container in a crash loop runs for a while before it fails again.
"""

from collections.abc import Iterable

from msgspec.structs import replace

from kspan.graph.observe.condition_diff import PHASE, is_bad
from kspan.graph.observe.object_state import ObservedObject
from kspan.graph.observe.rollout_status import ASSESSED
from kspan.graph.observe.timing import MAX_LAG
from kspan.graph.rules.failures import FailureRule, FailureRules
from kspan.graph.state.records import Failure, ObjectState, Occurrence
from kspan.k8s.objects import ContainerStatus, ObjectStatus
from kspan.model import RecordType
from kspan.settings import FoldSettings
from kspan.times import parse_time_or_zero

Failures = tuple[Failure, ...]


class FailureObserver:
    """Follows the failures of objects. Returns values; the caller changes the state."""

    def __init__(self, rules: FailureRules, settings: FoldSettings) -> None:
        self.rules = rules
        self.settings = settings

    def after_status(self, seen: ObservedObject, obj: ObjectState, now: int) -> Failures:
        """Return the failures of an object after a record of it. ``obj`` is its new state, with the failures before."""
        gone = bool(seen.meta.deletionTimestamp) or seen.record.type is RecordType.DELETED
        signs = {} if gone else self.shown(seen)
        if not signs and not obj.failures:
            return ()
        found = []
        for failure in self._remembered(obj, now):
            if failure.rule in signs:
                continue
            # What only Events show is over if the object got well after them. A container that ended is started again.
            over = gone or (failure.in_status and not _has_ended(seen.status))
            over = over or _healthy_since(obj, seen.status) > failure.last
            found.append(replace(failure, ended=now, in_status=False) if over and not failure.ended else failure)
        for rule, reason in signs.values():
            found.append(replace(self._sign(obj, rule, reason, now), in_status=True))
        return tuple(sorted(found, key=lambda failure: failure.rule))

    def concerns(self, occ: Occurrence, obj: ObjectState) -> bool:
        """True if an Event may change the failures of its object."""
        return bool(obj.failures) or self.rules.in_event(occ.kind, occ.reason, occ.message) is not None

    def after_event(self, occ: Occurrence, obj: ObjectState, now: int, waiting: Iterable[Occurrence]) -> Failures:
        """Return the failures of an object after an Event about it.

        Args:
            occ: the Event.
            obj: the object.
            now: event time (ns).
            waiting: other Events about it that wait for their cause. Those of a list are in no order.
        """
        rule = self.rules.in_event(occ.kind, occ.reason, occ.message)
        if rule is None:
            return tuple(
                replace(f, ended=now)
                if not (f.ended or f.in_status or f.last > occ.latest) and self.rules.ends(f.rule, occ.reason)
                else f
                for f in obj.failures
            )
        if self._is_outdated(occ, obj, rule, now):
            return obj.failures
        if any(other.time > occ.time and other.reason in rule.until for other in waiting):
            return obj.failures
        before = next((f for f in obj.failures if f.rule == rule.name), None)
        sign = self._sign(obj, rule, occ.reason, now)
        last = max(occ.latest, before.last if before is not None else 0)
        sign = replace(sign, last=last, heard=now, in_status=before is not None and before.in_status)
        others = [f for f in self._remembered(obj, now) if f.rule != rule.name]
        return tuple(sorted([*others, sign], key=lambda failure: failure.rule))

    def _is_outdated(self, occ: Occurrence, obj: ObjectState, rule: FailureRule, now: int) -> bool:
        """True if a seen object is known to have recovered, or to have been deleted, since an Event about it."""
        if not obj.rv:
            return False
        if obj.deleting or obj.deleted or now - occ.latest > MAX_LAG:
            return True
        ended = next((f.ended for f in obj.failures if f.rule == rule.name), 0)
        return ended >= occ.latest or _healthy_since(obj) >= occ.latest

    def shown(self, seen: ObservedObject) -> dict[str, tuple[FailureRule, str]]:
        """Return the failures that a status shows, by the name of their rule, each with its reason."""
        kind, status = seen.obj.kind, seen.status
        reasons = [
            container.state.waiting.reason
            for container in _containers(status)
            if container.state is not None and container.state.waiting is not None
        ]
        reasons += [c.reason for c in status.conditions or () if c.reason and is_bad(c.type, c.status)]
        found: dict[str, tuple[FailureRule, str]] = {}
        for reason in reasons:
            rule = self.rules.in_status(kind, reason)
            if rule is not None:
                found.setdefault(rule.name, (rule, reason))
        return found

    def _sign(self, obj: ObjectState, rule: FailureRule, reason: str, now: int) -> Failure:
        """A failure with a new sign."""
        before = next((f for f in self._remembered(obj, now) if f.rule == rule.name), None)
        limit = self.settings.report_failure_after
        patience = min(rule.patience, limit) if limit else self.settings.max_trace_age
        if before is not None:
            return replace(before, reason=reason, patience=patience, ended=0)
        return Failure(rule.name, reason, now, patience, final=rule.final)

    def _remembered(self, obj: ObjectState, now: int) -> list[Failure]:
        return [f for f in obj.failures if not f.ended or now - f.ended <= self.settings.settle_after_warning]


def _containers(status: ObjectStatus) -> tuple[ContainerStatus, ...]:
    return (*(status.initContainerStatuses or ()), *(status.containerStatuses or ()))


def _healthy_since(obj: ObjectState, status: ObjectStatus | None = None) -> int:
    """Since when nothing is missing (ns), as far as the status shows; 0 if something is, or if that is unknown."""
    if (obj.kind in ASSESSED and not obj.progressing) or ("Bound", PHASE) in obj.conditions:
        return obj.reached
    return _running_since(status) if status is not None else 0


def _has_ended(status: ObjectStatus) -> bool:
    """True if a container of a Pod ended, but not the Pod."""
    states = (container.state for container in status.containerStatuses or ())
    return status.phase not in ("Succeeded", "Failed") and any(
        s is not None and s.terminated is not None for s in states
    )


def _running_since(status: ObjectStatus) -> int:
    """Since when all containers of a Pod run (ns, in whole seconds); 0 if one does not."""
    states = [container.state for container in status.containerStatuses or ()]
    running = [state.running for state in states if state is not None and state.running is not None]
    if not running or len(running) < len(states):
        return 0
    return max(parse_time_or_zero(each.startedAt) for each in running)
