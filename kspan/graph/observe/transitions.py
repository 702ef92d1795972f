"""From a status to occurrences: the conditions and phases that turned. Pure."""

from kspan.graph.observe import field_managers
from kspan.graph.observe.condition_diff import ANNOUNCEMENT, PHASE, ConditionTransition, by_itself, turned
from kspan.graph.rules.rules import Rules
from kspan.graph.state.records import Note, ObjectState, Occurrence, Transition
from kspan.graph.state.state import State
from kspan.ids import span_id
from kspan.k8s.objects import ObjectMeta, ObjectStatus
from kspan.model import LogRecord
from kspan.settings import FoldSettings
from kspan.times import SECOND, parse_time_or_zero

NEAR = 2 * SECOND
"""A record received this soon after a whole-second timestamp was received as it happened."""

LONGEST_MESSAGE = 1024
"""Characters of a condition's message (the API's limit for Events; meta/v1 Condition allows 32768)."""

SHARED_MANAGER = "kube-controller-manager"

_REPORTERS = {
    "HorizontalPodAutoscaler": "horizontal-pod-autoscaler",
    "Node": "node-controller",
    "PersistentVolume": "persistentvolume-controller",
    "PersistentVolumeClaim": "persistentvolume-controller",
    "Pod": "node-controller",
}
"""Who writes the status of these kinds among the controllers that share that manager."""


def moment(record: LogRecord, floor: int) -> int:
    """The best estimate of when what a record shows happened (ns).

    ``floor`` is what the object tells, in whole seconds, cut off (0: nothing). The receipt is more precise where it
    came with what happened; after an outage of ours it is not.
    """
    received = record.recorded_at
    return received if not floor or 0 <= received - floor < NEAR else floor


class TransitionObserver:
    """Turns what turned into occurrences."""

    def __init__(self, state: State, rules: Rules, settings: FoldSettings) -> None:
        self.state = state
        self.rules = rules
        self.settings = settings

    def observe(
        self, record: LogRecord, meta: ObjectMeta, status: ObjectStatus, obj: ObjectState, old: ObjectState | None
    ) -> list[Occurrence]:
        """What turned since ``old``, in the order of the status, but for what is only noted on a span.

        What goes turns on its way, too: its deletion says so.
        """
        told, quiet = [], []
        for turn in turned(obj.kind, old.conditions if old is not None else (), obj.conditions, status):
            if turn.quiet or obj.deleting:
                quiet.append(turn)
            elif self.state.objects.make_room_for_transition(obj):
                told.append(self._turn(record, meta, status, obj, turn))
        if quiet:
            self._note(record, meta, status, obj, quiet, told)
        return told

    def _note(
        self,
        record: LogRecord,
        meta: ObjectMeta,
        status: ObjectStatus,
        obj: ObjectState,
        quiet: list[ConditionTransition],
        told: list[Occurrence],
    ) -> None:
        """Notes turns on the span of what turned with them, else of what happened last to the object. Where that is in
        a closed trace they are occurrences (added to ``told``), unless they are how things begin or end."""
        occ = told[0] if told else self._newest(obj)
        notes: list[Note] = []
        for turn in quiet:
            if turn.type == ANNOUNCEMENT and not told and not obj.deleting:
                self.state.objects.announce_deletion(obj, self._noted(record, meta, status, obj, turn))
            elif occ is not None:
                notes.append(self._noted(record, meta, status, obj, turn))
            elif not turn.first and not obj.deleting and self.state.objects.make_room_for_transition(obj):
                told.append(self._turn(record, meta, status, obj, by_itself(obj.kind, turn)))
        if occ is not None and notes:
            self.state.add_notes(occ, notes)

    def _noted(
        self, record: LogRecord, meta: ObjectMeta, status: ObjectStatus, obj: ObjectState, turn: ConditionTransition
    ) -> Note:
        reason, message = _said(status, turn)
        time = moment(record, self._when(record, meta, obj, turn))
        return Note(time, turn.name, turn.type, turn.status, reason, message)

    def _newest(self, obj: ObjectState) -> Occurrence | None:
        """What happened last to the object, if its trace is open."""
        cause = obj.changes[-1] if obj.changes and obj.changes[-1].verb else None
        turn = obj.transitions[-1] if obj.transitions else None
        changed = self.state.occurrence(cause.span) if cause is not None else None
        if turn is None or (cause is not None and changed is not None and cause.rv > turn.rv):
            return changed
        return self.state.occurrence(turn.span) or changed

    def _turn(
        self, record: LogRecord, meta: ObjectMeta, status: ObjectStatus, obj: ObjectState, turn: ConditionTransition
    ) -> Occurrence:
        manager, _ = _writer(meta, turn)
        occ = self._occurrence(status, obj, turn, moment(record, self._when(record, meta, obj, turn)))
        occ.manager, occ.actor = manager, self._reporter(obj, manager)
        said = turn.condition
        observed = max(said.observedGeneration if said is not None else 0, status.observedGeneration)
        occ.generation = observed or obj.generation
        by_other_component = obj.kind == "Pod" and manager == SHARED_MANAGER
        if turn.status == PHASE:
            occ.notes = [*occ.notes, *self.state.objects.take_announcements(obj)]
        transition = Transition(occ.id, turn.type, turn.bad, occ.rv, occ.time, by_other_component)
        self.state.add_transition(obj, occ, transition)
        return occ

    def _when(self, record: LogRecord, meta: ObjectMeta, obj: ObjectState, turn: ConditionTransition) -> int:
        """When a condition turned (ns), as far as it or the newest write to it tells."""
        told = parse_time_or_zero(turn.condition.lastTransitionTime) if turn.condition is not None else 0
        if obj.created <= told <= record.recorded_at + SECOND:
            return told
        return _writer(meta, turn)[1]  # Nobody's condition turned before it was there, or has yet to turn.

    def _occurrence(self, status: ObjectStatus, obj: ObjectState, turn: ConditionTransition, time: int) -> Occurrence:
        reason, message = _said(status, turn)
        return Occurrence(
            id=span_id(self.state.cluster, obj.uid, "turn", turn.name, obj.resource_version),
            uid=obj.uid,
            kind=obj.kind,
            namespace=obj.namespace,
            name=obj.name,
            reason=turn.name,
            arrival=self.state.clock.next_arrival(),
            received=self.state.clock.now,
            time=time,
            latest=time,
            rv=obj.rv,
            api_version=obj.api_version,
            resource_version=obj.resource_version,
            warning=turn.error,
            message=message,
            condition=turn.type,
            status=turn.status,
            because=reason,
        )

    def _reporter(self, obj: ObjectState, manager: str) -> str:
        if manager == SHARED_MANAGER:
            return _REPORTERS.get(obj.kind) or self.rules.actors.get(obj.kind) or manager
        return field_managers.service_of(manager) or "unknown"


def _said(status: ObjectStatus, turn: ConditionTransition) -> tuple[str, str]:
    """(reason, message) of a turn; those of a phase are the status's own."""
    said = turn.condition
    reason, message = (said.reason, said.message) if said is not None else (status.reason, status.message)
    return reason[:LONGEST_MESSAGE], message[:LONGEST_MESSAGE]


def _writer(meta: ObjectMeta, turn: ConditionTransition) -> tuple[str, int]:
    """Who wrote a condition (or a phase), and when (ns)."""
    key = '"f:phase"' if turn.status == PHASE else f'{{\\"type\\":\\"{turn.type}\\"}}'
    return field_managers.status_writer(meta.managedFields, key)
