"""Condition and phase transitions of an object become occurrences. Pure."""

from msgspec.structs import replace

from kspan.graph.observe import field_managers
from kspan.graph.observe.condition_diff import (
    ANNOUNCEMENT,
    PHASE,
    ConditionTransition,
    diff_conditions,
    not_quiet,
)
from kspan.graph.observe.object_state import ObservedObject
from kspan.graph.observe.timing import PROMPT, clock_error, estimate_time, middle
from kspan.graph.rules.references import revision_of
from kspan.graph.rules.rules import Rules
from kspan.graph.state.records import News, Note, ObjectState, Occurrence, Transition
from kspan.graph.state.state import State
from kspan.ids import span_id
from kspan.k8s.objects import ObjectStatus
from kspan.times import SECOND, parse_time_or_zero

MESSAGE_LIMIT = 1024
"""Maximum length of a message in characters (the API's limit for Events; meta/v1 Condition allows 32768)."""

EVICTED_KEPT = 16
"""Pods that were evicted in one second under one PodDisruptionBudget."""

_READY = ("Ready", "True")

_WRITERS_OF_STATUS = {
    "HorizontalPodAutoscaler": "horizontal-pod-autoscaler",
    "Node": "node-controller",
    "PersistentVolume": "persistentvolume-controller",
    "PersistentVolumeClaim": "persistentvolume-controller",
    "Pod": "node-controller",
}
"""The controllers with that field manager which write the status of these kinds."""


class TransitionObserver:
    """Creates the occurrences of condition and phase transitions."""

    def __init__(self, state: State, rules: Rules) -> None:
        self.state = state
        self.rules = rules

    def observe(self, seen: ObservedObject, obj: ObjectState, old: ObjectState | None) -> list[Occurrence]:
        """Add the transitions since ``old`` to the state and return them, in the order of the status.

        Quiet transitions become notes on a span. So do those of an object that is being deleted: they belong to the
        Delete span.
        """
        if obj.news:
            self._note_applied(obj)
        news, quiet = list[Occurrence](), list[ConditionTransition]()
        before = old.conditions if old is not None else ()
        for transition in diff_conditions(obj.kind, before, obj.conditions, seen.status):
            if transition.quiet or obj.deleting:
                quiet.append(transition)
            elif self.state.objects.make_room_for_transition(obj):
                news.append(self._add(seen, obj, transition))
        if quiet:
            self._add_quiet(seen, obj, quiet, news)
        return news

    def remember_revision(self, seen: ObservedObject, obj: ObjectState) -> None:
        """Note the revision that a listed object had applied: it only applies that again."""
        revision = self._revision(seen)
        if revision:
            applied = obj.rv if _READY in obj.conditions else 0
            self.state.objects.note_revision(obj, News("", obj.rv, obj.written, revision, applied=applied))

    def _note_applied(self, obj: ObjectState) -> None:
        """Note that an object is ready with the revision that it applies, if it is."""
        run = max((n for n in obj.news if n.rv <= obj.rv), key=_version, default=None)
        if run is not None and not run.applied and _READY in obj.conditions and obj.kind in self.rules.sources:
            self.state.objects.note_applied(obj, run)

    def _revision(self, seen: ObservedObject) -> str:
        """Return the revision of its source that an object applies; empty for other kinds."""
        source = self.rules.sources.get(seen.obj.kind)
        if source is None or seen.obj.kind in self.rules.status_fields:
            return ""
        pattern = self.rules.progress.get(seen.obj.kind)
        messages = (
            (c.message for c in seen.status.conditions or () if c.status == "True") if pattern is not None else ()
        )
        stated = (found for m in messages if pattern is not None and (found := pattern.match(m)) is not None)
        return next((f.get("revision") or "" for f in stated), "") or revision_of(
            bytes(seen.obj.status), source.revision
        )

    def _add_quiet(
        self, seen: ObservedObject, obj: ObjectState, quiet: list[ConditionTransition], news: list[Occurrence]
    ) -> None:
        """Note transitions on the span of a transition at the same time, else on the span of the object's last change.

        If the trace of that span is closed, they become occurrences (added to ``news``), except for expected first
        statuses and for objects that are being deleted.
        """
        occ = news[0] if news else self._newest(obj)
        notes: list[Note] = []
        for transition in quiet:
            if transition.type == ANNOUNCEMENT and not news and not obj.deleting:
                self.state.objects.announce_deletion(obj, self._note(seen, obj, transition))
            elif occ is not None:
                notes.append(self._note(seen, obj, transition))
            elif not transition.first and not obj.deleting and self.state.objects.make_room_for_transition(obj):
                news.append(self._add(seen, obj, not_quiet(obj.kind, transition)))
        if occ is not None and notes:
            self.state.add_notes(occ, notes)

    def note_remaining(self, seen: ObservedObject, namespace: ObjectState) -> None:
        """Note newer messages of the conditions of a Namespace that is being deleted: they name what remains in it."""
        deletion = self._newest(namespace)
        if deletion is None:
            return
        for condition in seen.status.conditions or ():
            noted = [note for note in deletion.notes if note.type == condition.type]
            message = condition.message[:MESSAGE_LIMIT]
            if not noted or noted[-1].status != condition.status or noted[-1].message == message:
                continue
            newer = replace(noted[-1], time=self._estimate(seen, 0), message=message)
            if len(noted) > 1 and noted[-2].status == condition.status:
                # The first message and the newest one are enough.
                self.state.replace_note(deletion, noted[-1], newer)
            else:
                self.state.add_notes(deletion, [newer])

    def _newest(self, obj: ObjectState) -> Occurrence | None:
        """Return the last change or transition of an object, if its trace is open."""
        change = obj.changes[-1] if obj.changes and obj.changes[-1].verb else None
        transition = obj.transitions[-1] if obj.transitions else None
        changed = self.state.occurrence(change.span) if change is not None else None
        if transition is None or (change is not None and changed is not None and change.rv > transition.rv):
            return changed
        return self.state.occurrence(transition.span) or changed

    def _note(self, seen: ObservedObject, obj: ObjectState, transition: ConditionTransition) -> Note:
        reason, message = _reason_and_message(seen.status, transition)
        time = self._estimate(seen, self._stated(seen, obj, transition))
        return Note(time, transition.name, transition.type, transition.status, reason, message)

    def _add(self, seen: ObservedObject, obj: ObjectState, transition: ConditionTransition) -> Occurrence:
        occ = self._occurrence(seen, obj, transition)
        occ.manager, _ = self._written(seen, obj, transition)
        occ.actor = self._actor(obj, occ.manager)
        states = obj.kind in self.rules.sources and not self.rules.awaits_revision(obj.kind, occ.condition_reason)
        if states and (revision := self._revision(seen)):
            occ.revision = revision
            self.state.objects.note_revision(obj, News(occ.id, occ.rv, occ.time, revision))
        if transition.status == PHASE:
            occ.notes = (*occ.notes, *self.state.objects.take_announcements(obj))
        by_other_component = obj.kind == "Pod" and occ.manager == field_managers.SHARED
        self.state.add_transition(
            obj, occ, Transition(occ.id, transition.type, transition.bad, occ.rv, occ.time, by_other_component)
        )
        return occ

    def _occurrence(self, seen: ObservedObject, obj: ObjectState, transition: ConditionTransition) -> Occurrence:
        condition = transition.condition
        reason, message = _reason_and_message(seen.status, transition)
        stated, received = self._stated(seen, obj, transition), seen.record.recorded_at
        time, uncertainty = self._estimate(seen, stated), clock_error(seen.record, stated)
        if not stated and (late := self.state.clock.unwatched_before(seen.record)):
            time, uncertainty = middle(received - late, received)
        observed = max(condition.observedGeneration if condition is not None else 0, seen.status.observedGeneration)
        return Occurrence(
            id=span_id(self.state.cluster, obj.uid, "turn", transition.name, obj.resource_version),
            uid=obj.uid,
            kind=obj.kind,
            namespace=obj.namespace,
            name=obj.name,
            reason=transition.name,
            arrival=self.state.clock.next_arrival(),
            received=self.state.clock.now,
            time=time,
            latest=received if uncertainty else time,
            uncertainty=uncertainty,
            rv=obj.rv,
            api_version=obj.api_version,
            resource_version=obj.resource_version,
            generation=observed or obj.generation,
            warning=transition.error,
            message=message,
            condition=transition.type,
            condition_status=transition.status,
            condition_reason=reason,
            evicted=_evicted(seen.status) if seen.status.disruptedPods else (),
        )

    def _estimate(self, seen: ObservedObject, stated: int) -> int:
        """Return the best estimate (ns) of when a transition happened (``estimate_time``)."""
        watched = not self.state.clock.unwatched_before(seen.record)
        return estimate_time(seen.record, stated, watched=watched)

    def _stated(self, seen: ObservedObject, obj: ObjectState, transition: ConditionTransition) -> int:
        """Return when a transition happened (ns, in whole seconds): lastTransitionTime if it is plausible, else the
        time of the write; 0 if the object states neither."""
        condition = transition.condition
        stated = parse_time_or_zero(condition.lastTransitionTime) if condition is not None else 0
        if not obj.created <= stated <= seen.record.recorded_at + SECOND:
            _, stated = self._written(seen, obj, transition)
        return stated

    def _written(self, seen: ObservedObject, obj: ObjectState, transition: ConditionTransition) -> tuple[str, int]:
        """Return the manager that wrote a condition or phase, and when (ns; 0: unknown).

        An entry that is not newer than the version before is that of an earlier write. A write that only removes a
        condition leaves no newer one, and Kubernetes before 1.25 none for some changes of values.
        """
        key = '"f:phase"' if transition.status == PHASE else f'{{\\"type\\":\\"{transition.type}\\"}}'
        manager, time = field_managers.status_writer(seen.meta.managedFields, key)
        received, clock = seen.record.recorded_at, self.state.clock
        late = bool(clock.unwatched_before(seen.record)) or obj.rv <= clock.gap(seen.record.resource).end
        # Of two writes in one second, the second one was received at once, or late.
        same_second = time == seen.written_before and (late or received - time < PROMPT)
        if time > seen.written_before or same_second:
            return manager, time
        removed = transition.condition is None and transition.status != PHASE
        return "" if removed else manager, 0

    def _actor(self, obj: ObjectState, manager: str) -> str:
        """Return the component that wrote the status."""
        if manager == field_managers.SHARED:
            return _WRITERS_OF_STATUS.get(obj.kind) or self.rules.actors.get(obj.kind) or manager
        return field_managers.service_of(manager) or "unknown"


def _version(news: News) -> int:
    return news.rv


def _evicted(status: ObjectStatus) -> tuple[str, ...]:
    """Return the names of the Pods in the status of a PodDisruptionBudget that were evicted last. The API server writes
    them before it deletes them (k8s.io/kubernetes pkg/registry/core/pod/storage/eviction.go, checkAndDecrement)."""
    pods = status.disruptedPods or {}
    newest = max(pods.values(), default="")
    return tuple(sorted(name for name, time in pods.items() if time == newest))[:EVICTED_KEPT]


def _reason_and_message(status: ObjectStatus, transition: ConditionTransition) -> tuple[str, str]:
    """Return those of the condition; for a phase, those of the status."""
    source = transition.condition if transition.condition is not None else status
    return source.reason[:MESSAGE_LIMIT], source.message[:MESSAGE_LIMIT]
