"""From a status to occurrences: the conditions and phases that turned. Pure."""

from kspan.graph import change
from kspan.graph.conditions import PHASE, Turn, turned
from kspan.graph.facts import ObjectState, Occurrence, Turned
from kspan.graph.objects import Metadata, Status
from kspan.graph.rules import Rules
from kspan.graph.state import State
from kspan.model import LogRecord
from kspan.settings import FoldSettings
from kspan.times import SECOND, parse_time_or_zero
from kspan.vocabulary import span_id

NEAR = 2 * SECOND
"""A record received this soon after a whole-second timestamp was received as it happened."""

TURNS_KEPT = 48
"""Turns of one object that others can go back to. As many may wait for their cause: of more within ``hold`` the object
has no standing to tell of, and they are passed over."""

LONGEST_MESSAGE = 1024
"""Characters of a condition's message (the API's limit for Events; meta/v1 Condition allows 32768)."""

SHARED_MANAGER = "kube-controller-manager"

_REPORTERS = {
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


class TurnObserver:
    """Turns what turned into occurrences."""

    def __init__(self, state: State, rules: Rules, settings: FoldSettings) -> None:
        self.state = state
        self.rules = rules
        self.settings = settings

    def observe(
        self, record: LogRecord, meta: Metadata, status: Status, obj: ObjectState, old: ObjectState | None
    ) -> list[Occurrence]:
        """What turned since ``old``, in the order of the status."""
        before = old.conditions if old is not None else ()
        found = turned(obj.kind, before, obj.conditions, status)
        return [self._note(record, meta, status, obj, turn) for turn in found if self._make_room(obj)]

    def _make_room(self, obj: ObjectState) -> bool:
        horizon, live = self.state.clock.now - self.settings.max_trace_age, self.state.holds
        kept = [t for t in obj.turns if t.time >= horizon or live(t.span)]
        waiting = sum((occ := self.state.occurrence(t.span)) is not None and not occ.decided for t in kept)
        obj.turns = kept[-2 * TURNS_KEPT :]
        return waiting < TURNS_KEPT

    def _note(self, record: LogRecord, meta: Metadata, status: Status, obj: ObjectState, turn: Turn) -> Occurrence:
        key = '"f:phase"' if turn.status == PHASE else f'{{\\"type\\":\\"{turn.type}\\"}}'
        manager, written = change.status_writer(meta.managedFields, key)
        occ = self._occurrence(record, status, obj, turn, written)
        occ.manager, occ.actor = manager, self._reporter(obj, manager)
        said = turn.condition
        observed = max(said.observedGeneration if said is not None else 0, status.observedGeneration)
        occ.generation = observed or obj.generation
        foreign = obj.kind == "Pod" and manager == SHARED_MANAGER
        obj.turns.append(Turned(occ.id, turn.type, turn.bad, occ.rv, occ.time, foreign))
        self.state.add_occurrence(occ, self.state.clock.now + self.settings.hold)
        return occ

    def _occurrence(self, record: LogRecord, status: Status, obj: ObjectState, turn: Turn, written: int) -> Occurrence:
        self.state.clock.arrivals += 1
        said = turn.condition
        told = parse_time_or_zero(said.lastTransitionTime) if said is not None else 0
        if not obj.created <= told <= record.recorded_at + SECOND:
            told = written  # Nobody's condition turned before it was there, or has yet to turn.
        time = moment(record, told)
        reason, message = (said.reason, said.message) if said is not None else (status.reason, status.message)
        return Occurrence(
            id=span_id(self.state.cluster, obj.uid, "turn", turn.name, obj.resource_version),
            uid=obj.uid,
            kind=obj.kind,
            namespace=obj.namespace,
            name=obj.name,
            reason=turn.name,
            arrival=self.state.clock.arrivals,
            received=self.state.clock.now,
            time=time,
            latest=time,
            rv=obj.rv,
            api_version=obj.api_version,
            resource_version=obj.resource_version,
            warning=turn.error,
            message=message[:LONGEST_MESSAGE],
            condition=turn.type,
            status=turn.status,
            because=reason[:LONGEST_MESSAGE],
        )

    def _reporter(self, obj: ObjectState, manager: str) -> str:
        if manager == SHARED_MANAGER:
            return _REPORTERS.get(obj.kind) or self.rules.actors.get(obj.kind) or manager
        return change.service_of(manager) or "unknown"
